//! Who may do what, over TLS: plain users with certificates, service accounts with tokens, and strangers.

#![allow(clippy::unwrap_used)]

mod support;

use alcove_apiserver::admission::{
    Admission, Certificates, Escalation, NamespaceLifecycle, ServiceAccount, TokenVolumes,
};
use alcove_apiserver::authn::{ServiceAccountTokens, SigningKeys};
use alcove_apiserver::authorization::{self, Rbac};
use alcove_apiserver::testing::front::Https;
use alcove_apiserver::testing::{TestEnv, memory_store};
use alcove_apiserver::{ApiServer, ServerConfig, kinds};
use alcove_schema::Minor;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use support::{Answer, Connection};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const GROUP: &str = "rbac.authorization.k8s.io";
const CORE: &str = "/api/v1/namespaces/default";
const WHOAMI: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

struct World {
    env: Arc<TestEnv>,
    https: Https,
    admin: Connection,
}

impl World {
    async fn new() -> World {
        let (env, store) = (Arc::new(TestEnv::new(1)), memory_store());
        let rbac = Rbac::new(store.clone());
        let keys = SigningKeys::generate().unwrap();
        let admission: Vec<Arc<dyn Admission>> = vec![
            Arc::new(NamespaceLifecycle::new(store.clone())),
            Arc::new(ServiceAccount::new(store.clone(), env.clone(), TokenVolumes::Mounted)),
            Arc::new(Certificates::new(rbac.clone())),
            Arc::new(Escalation::new(rbac.clone())),
        ];
        let server = ApiServer::new(ServerConfig {
            minor: Minor::DEFAULT,
            env: env.clone(),
            resources: kinds::resources(Minor::DEFAULT),
            admission,
            authorizer: rbac,
            connector: None,
            tokens: Some(Arc::new(ServiceAccountTokens::new(keys, store.clone(), env.clone()))),
            store,
        });
        alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
        authorization::bootstrap::reconcile(&server).await.unwrap();
        let https = Https::start(server).await;
        let admin = Connection::admin(&https).await;
        World { env, https, admin }
    }

    async fn user(&self, name: &str, groups: &[&str]) -> Connection {
        let day = Duration::from_secs(24 * 60 * 60);
        let issued = self.https.authority.client(name, groups, Timestamp::now(), day).unwrap();
        Connection::open(&self.https, Some(&issued), &["http/1.1"]).await
    }

    async fn stranger(&self) -> Connection {
        Connection::open(&self.https, None, &["http/1.1"]).await
    }

    async fn made(&mut self, path: &str, object: Value) -> Value {
        let made = self.admin.post(path, &object).await;
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()
    }

    /// Gives a user a cluster role of their own.
    async fn allow(&mut self, user: &str, rules: Value) {
        let role = json!({"metadata": {"name": user}, "rules": rules});
        self.made(&format!("{RBAC}/clusterroles"), role).await;
        let binding = json!({
            "metadata": {"name": user}, "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": user},
            "subjects": [{"apiGroup": GROUP, "kind": "User", "name": user}],
        });
        self.made(&format!("{RBAC}/clusterrolebindings"), binding).await;
    }

    async fn account(&mut self, name: &str) -> Value {
        self.made(&format!("{CORE}/serviceaccounts"), json!({"metadata": {"name": name}})).await
    }

    async fn token(&mut self, account: &str, spec: Value) -> Answer {
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec,
        });
        self.admin.post(&format!("{CORE}/serviceaccounts/{account}/token"), &request).await
    }
}

fn token_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["status"]["token"].as_str().unwrap().to_owned()
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn with_token(
    connection: &mut Connection,
    token: &str,
    method: Method,
    path: &str,
    body: &Value,
) -> Answer {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    connection.send(method, path, &headers, body).await
}

async fn whoami(connection: &mut Connection, token: &str) -> Answer {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    with_token(connection, token, Method::POST, WHOAMI, &review).await
}

fn message(answer: &Answer) -> String {
    answer.json()["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn strangers_learn_health_and_version_alone() {
    let world = World::new().await;
    let mut stranger = world.stranger().await;
    for path in ["/healthz", "/livez", "/readyz", "/version"] {
        assert_eq!(stranger.get(path, "*/*").await.status, 200, "{path}");
    }
    for (path, why) in [
        ("/", "forbidden: User \"system:anonymous\" cannot get path \"/\""),
        ("/apis", "forbidden: User \"system:anonymous\" cannot get path \"/apis\""),
        ("/metrics", "forbidden: User \"system:anonymous\" cannot get path \"/metrics\""),
        ("/openid/v1/jwks", "forbidden: User \"system:anonymous\" cannot get path \"/openid/v1/jwks\""),
        (
            "/api/v1/namespaces/default/secrets/s",
            "secrets \"s\" is forbidden: User \"system:anonymous\" cannot get resource \"secrets\" in API group \"\" \
             in the namespace \"default\"",
        ),
        (
            "/api/v1/nodes",
            "nodes is forbidden: User \"system:anonymous\" cannot list resource \"nodes\" in API group \"\" at the \
             cluster scope",
        ),
        (
            "/apis/apps/v1/namespaces/default/nothings",
            "nothings.apps is forbidden: User \"system:anonymous\" cannot list resource \"nothings\" in API group \
             \"apps\" in the namespace \"default\"",
        ),
    ] {
        let answer = stranger.get(path, "application/json").await;
        assert_eq!((answer.status.as_u16(), message(&answer)), (403, why.to_owned()), "{path}");
    }
    for token in ["nonsense", "a.b.c", ""] {
        let answer = with_token(&mut stranger, token, Method::GET, "/version", &Value::Null).await;
        let expected = if token.is_empty() { 200 } else { 401 };
        assert_eq!(answer.status, expected, "{token:?}");
    }
}

#[tokio::test]
async fn users_do_what_their_roles_say() {
    let mut world = World::new().await;
    let mut ada = world.user("ada", &["dev"]).await;
    let pods = format!("{CORE}/pods");
    let refused = ada.get(&pods, "application/json").await;
    let why = "pods is forbidden: User \"ada\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"";
    assert_eq!((refused.status.as_u16(), message(&refused)), (403, why.to_owned()));
    let discovered = ada.get("/apis", "application/json").await;
    assert_eq!(discovered.status, 200, "whoever proved who they are may discover");

    let binding = |name: &str, role: &str| {
        json!({
            "metadata": {"name": name}, "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": "dev"}],
        })
    };
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    world.made(&bindings, binding("viewers", "system:aggregate-to-view")).await;
    assert_eq!(ada.get(&pods, "application/json").await.status, 200, "the right holds at once");
    assert_eq!(ada.get("/api/v1/pods", "application/json").await.status, 403);
    assert_eq!(ada.get(&format!("{CORE}/secrets"), "application/json").await.status, 403);
    let map = json!({"metadata": {"name": "m"}, "data": {"k": "v"}});
    assert_eq!(ada.post(&format!("{CORE}/configmaps"), &map).await.status, 403);

    let own = json!({"spec": {"namespace": "default"}});
    let rules = ada.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", &own).await.json();
    let has = |verb: &str, resource: &str| {
        rules["status"]["resourceRules"].as_array().unwrap().iter().any(|rule| {
            let list = |field: &str| rule[field].as_array().unwrap().clone();
            list("verbs").contains(&json!(verb)) && list("resources").contains(&json!(resource))
        })
    };
    assert!(has("list", "pods") && has("create", "selfsubjectaccessreviews") && !has("list", "secrets"));
    assert_eq!(rules["status"]["incomplete"], false);

    let may = |verb: &str, resource: &str| json!({"spec": {"resourceAttributes": {"namespace": "default", "verb": verb, "resource": resource}}});
    let review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(ada.post(review, &may("list", "secrets")).await.json()["status"], json!({"allowed": false}));
    assert_eq!(
        ada.post(review, &may("list", "pods")).await.json()["status"],
        json!({"allowed": true, "reason":
            "RBAC: allowed by RoleBinding \"viewers/default\" of ClusterRole \"system:aggregate-to-view\" to Group \"dev\""})
    );
    let deleted = world.admin.send(Method::DELETE, &format!("{bindings}/viewers"), &[], "").await;
    assert_eq!(deleted.status, 200);
    assert_eq!(ada.get(&pods, "application/json").await.status, 403, "the right ends at once");
    world.made(&bindings, binding("ghost", "nothing")).await;
    let why = format!("{why}: RBAC: clusterrole.rbac.authorization.k8s.io \"nothing\" not found");
    assert_eq!(message(&ada.get(&pods, "application/json").await), why);
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have() {
    let mut world = World::new().await;
    let all = json!(["get", "list", "create", "update", "patch", "delete"]);
    let writes =
        json!({"verbs": all, "apiGroups": [GROUP], "resources": ["roles", "rolebindings", "clusterroles"]});
    let maps = json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"]});
    world.allow("eve", json!([writes, maps])).await;
    let mut eve = world.user("eve", &["dev"]).await;
    let roles = format!("{RBAC}/namespaces/default/roles");
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    let role = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules});
    let bind = |name: &str, kind: &str, role: &str| {
        json!({
            "metadata": {"name": name}, "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
            "subjects": [{"apiGroup": GROUP, "kind": "User", "name": "eve"}],
        })
    };
    let grab = json!([
        {"verbs": ["get", "delete"], "apiGroups": [""], "resources": ["secrets", "configmaps"]},
        {"verbs": ["get"], "nonResourceURLs": ["/metrics"]},
    ]);

    let lesser =
        json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["m"]}]);
    let made = eve.post(&roles, &role("lesser", lesser)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let refused = eve.post(&format!("{RBAC}/clusterroles"), &role("more", grab.clone())).await;
    assert_eq!(
        (refused.status.as_u16(), message(&refused)),
        (
            403,
            "clusterroles.rbac.authorization.k8s.io \"more\" is forbidden: user \"eve\" (groups=[\"dev\" \
             \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
             {APIGroups:[\"\"], Resources:[\"configmaps\"], Verbs:[\"delete\"]}\n\
             {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"delete\"]}\n\
             {NonResourceURLs:[\"/metrics\"], Verbs:[\"get\"]}"
                .to_owned()
        )
    );
    let patch = [("content-type", "application/merge-patch+json")];
    let more = json!({"rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}).to_string();
    assert_eq!(eve.send(Method::PATCH, &format!("{roles}/lesser"), &patch, more.clone()).await.status, 403);
    let apply = [("content-type", "application/apply-patch+yaml")];
    let path = format!("{roles}/applied?fieldManager=eve");
    let mut applied =
        role("applied", json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}]));
    applied["apiVersion"] = format!("{GROUP}/v1").into();
    applied["kind"] = "Role".into();
    assert_eq!(eve.send(Method::PATCH, &path, &apply, applied.to_string()).await.status, 403);
    assert_eq!(
        eve.send(Method::PUT, &format!("{roles}/put"), &[("content-type", "application/json")], {
            role("put", json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}])).to_string()
        })
        .await
        .status,
        403
    );
    let collects = json!({
        "metadata": {"name": "collector"}, "rules": [],
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
    });
    let refused = eve.post(&format!("{RBAC}/clusterroles"), &collects).await;
    assert!(message(&refused).ends_with("must have cluster-admin privileges to use the aggregationRule"));

    assert_eq!(eve.post(&bindings, &bind("a", "Role", "lesser")).await.status, 201);
    let refused = eve.post(&bindings, &bind("b", "ClusterRole", "cluster-admin")).await;
    assert_eq!(refused.status, 403);
    assert!(
        message(&refused).contains("{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}"),
        "{}",
        refused.text()
    );
    let refused = eve.post(&bindings, &bind("c", "Role", "none")).await;
    assert_eq!(
        (refused.status.as_u16(), message(&refused)),
        (404, "role.rbac.authorization.k8s.io \"none\" not found".to_owned())
    );
    let dry = eve.post(&format!("{bindings}?dryRun=All"), &bind("d", "ClusterRole", "cluster-admin")).await;
    assert_eq!(dry.status, 403);

    // Somebody greater made the role and bound it: its labels alone are no business of escalation.
    world
        .made(
            &roles,
            role("secrets", json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}])),
        )
        .await;
    let finalizers = json!({"metadata": {"finalizers": ["example.com/x"]}}).to_string();
    let changed = eve.send(Method::PATCH, &format!("{roles}/secrets"), &patch, finalizers).await;
    assert_eq!(changed.status, 200, "{}", changed.text());

    let special = json!([
        {"verbs": ["escalate"], "apiGroups": [GROUP], "resources": ["roles"]},
        {"verbs": ["bind"], "apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": ["edit"]},
    ]);
    world.made(&format!("{RBAC}/clusterroles"), role("special", special)).await;
    world.made(&format!("{RBAC}/clusterrolebindings"), bind("special", "ClusterRole", "special")).await;
    assert_eq!(eve.post(&roles, &role("more", grab)).await.status, 422, "now only its paths are wrong");
    assert_eq!(eve.post(&bindings, &bind("e", "ClusterRole", "edit")).await.status, 201);
    assert_eq!(eve.post(&bindings, &bind("f", "ClusterRole", "admin")).await.status, 201, "it is empty here");
    assert_eq!(eve.post(&bindings, &bind("g", "ClusterRole", "cluster-admin")).await.status, 403);
    assert_eq!(eve.send(Method::PATCH, &format!("{roles}/lesser"), &patch, more).await.status, 200);
}

#[tokio::test]
async fn tokens_stand_for_service_accounts() {
    let mut world = World::new().await;
    let account = world.account("builder").await;
    let uid = account["metadata"]["uid"].as_str().unwrap().to_owned();
    let answer = world.token("builder", json!({})).await;
    let request = answer.json();
    assert_eq!(request["kind"], "TokenRequest");
    assert_eq!(request["spec"]["audiences"], json!([ISSUER]));
    assert_eq!(request["spec"]["expirationSeconds"], 3600);
    assert_eq!(request["status"]["expirationTimestamp"], "2026-11-21T10:30:00Z");
    let token = token_of(&answer);
    let said = claims(&token);
    assert_eq!(
        (&said["iss"], &said["sub"]),
        (&json!(ISSUER), &json!("system:serviceaccount:default:builder"))
    );
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 3600);
    let bound = json!({"namespace": "default", "serviceaccount": {"name": "builder", "uid": uid}});
    assert_eq!(said["kubernetes.io"], bound);

    let mut bearer = world.stranger().await;
    let me = whoami(&mut bearer, &token).await.json();
    let jti = format!("JTI={}", said["jti"].as_str().unwrap());
    assert_eq!(
        me["status"]["userInfo"],
        json!({
            "username": "system:serviceaccount:default:builder", "uid": uid,
            "groups": ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": [jti]},
        })
    );
    let refused = with_token(&mut bearer, &token, Method::GET, &format!("{CORE}/pods"), &Value::Null).await;
    assert!(
        message(&refused)
            .starts_with("pods is forbidden: User \"system:serviceaccount:default:builder\" cannot")
    );
    let binding = json!({
        "metadata": {"name": "b"}, "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "system:aggregate-to-view"},
        "subjects": [{"kind": "ServiceAccount", "name": "builder", "namespace": "default"}],
    });
    world.made(&format!("{RBAC}/namespaces/default/rolebindings"), binding).await;
    assert_eq!(
        with_token(&mut bearer, &token, Method::GET, &format!("{CORE}/pods"), &Value::Null).await.status,
        200
    );

    let tampered = format!("{}x", &token[..token.len() - 1]);
    assert_eq!(whoami(&mut bearer, &tampered).await.status, 401);
    world.env.advance(3600 + 60);
    assert_eq!(whoami(&mut bearer, &token).await.status, 201, "clocks may differ by a minute");
    world.env.advance(1);
    assert_eq!(whoami(&mut bearer, &token).await.status, 401);

    let token = token_of(&world.token("builder", json!({"expirationSeconds": 600})).await);
    assert_eq!(whoami(&mut bearer, &token).await.status, 201);
    let path = format!("{CORE}/serviceaccounts/builder");
    assert_eq!(world.admin.send(Method::DELETE, &path, &[], "").await.status, 200);
    assert_eq!(whoami(&mut bearer, &token).await.status, 401);
    world.account("builder").await;
    assert_eq!(whoami(&mut bearer, &token).await.status, 401, "another account of the same name");
}

#[tokio::test]
async fn token_requests_are_checked() {
    let mut world = World::new().await;
    world.account("builder").await;
    let refused =
        "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: ";
    for (spec, code, why) in [
        (
            json!({"expirationSeconds": 599}),
            422,
            format!("{refused}599: may not specify a duration less than 10 minutes"),
        ),
        (
            json!({"expirationSeconds": 4294967297_i64}),
            422,
            format!("{refused}4294967297: may not specify a duration larger than 2^32 seconds"),
        ),
        (
            json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "none"}}),
            404,
            "pods \"none\" not found".to_owned(),
        ),
        (
            json!({"boundObjectRef": {"apiVersion": "v1", "kind": "ConfigMap", "name": "m"}}),
            400,
            "cannot bind token to object of type /v1, Kind=ConfigMap".to_owned(),
        ),
    ] {
        let answer = world.token("builder", spec.clone()).await;
        assert_eq!((answer.status.as_u16(), message(&answer)), (code, why), "{spec}");
    }
    let missing = world.token("nobody", json!({})).await;
    assert_eq!(
        (missing.status.as_u16(), message(&missing)),
        (404, "serviceaccounts \"nobody\" not found".into())
    );

    let mut eve = world.user("eve", &[]).await;
    let refused = eve.post(&format!("{CORE}/serviceaccounts/builder/token"), &json!({})).await;
    assert_eq!(
        message(&refused),
        "serviceaccounts \"builder\" is forbidden: User \"eve\" cannot create resource \"serviceaccounts/token\" in API \
         group \"\" in the namespace \"default\""
    );
}

#[tokio::test]
async fn tokens_end_with_what_they_are_bound_to() {
    let mut world = World::new().await;
    world.account("default").await;
    world.account("builder").await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}], "nodeName": "n"}});
    let pod = world.made(&format!("{CORE}/pods"), pod).await;
    let volume = &pod["spec"]["volumes"][0];
    assert_eq!(volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"], 3607);
    let bound = |uid: &str| json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid}, "expirationSeconds": 3607});
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let other = world.token("builder", bound(uid)).await;
    assert_eq!(
        message(&other),
        "cannot bind token for serviceaccount \"builder\" to pod running with different serviceaccount name."
    );
    assert_eq!(world.token("default", bound("other")).await.status, 409);

    let answer = world.token("default", bound(uid)).await;
    let token = token_of(&answer);
    let said = claims(&token);
    assert_eq!(said["kubernetes.io"]["pod"], json!({"name": "p", "uid": uid}));
    assert_eq!(said["kubernetes.io"]["node"], json!({"name": "n"}));
    let issued = said["iat"].as_i64().unwrap();
    assert_eq!(said["kubernetes.io"]["warnafter"].as_i64().unwrap() - issued, 3607);
    assert_eq!(said["exp"].as_i64().unwrap() - issued, 365 * 24 * 3600, "clients of old read it only once");
    assert_eq!(answer.json()["status"]["expirationTimestamp"], "2026-11-21T10:30:07Z");

    let mut bearer = world.stranger().await;
    let me = whoami(&mut bearer, &token).await.json();
    let extra = &me["status"]["userInfo"]["extra"];
    assert_eq!(extra["authentication.kubernetes.io/pod-name"], json!(["p"]));
    assert_eq!(extra["authentication.kubernetes.io/pod-uid"], json!([uid]));
    assert_eq!(extra["authentication.kubernetes.io/node-name"], json!(["n"]));

    // A pod on its way out keeps its token for its grace period and a minute more.
    let deleted = world.admin.send(Method::DELETE, &format!("{CORE}/pods/p"), &[], "").await;
    assert_eq!(deleted.status, 200);
    world.env.advance(30 + 60);
    assert_eq!(whoami(&mut bearer, &token).await.status, 201);
    world.env.advance(1);
    assert_eq!(whoami(&mut bearer, &token).await.status, 401);

    let secret = world.made(&format!("{CORE}/secrets"), json!({"metadata": {"name": "s"}})).await;
    assert!(secret["metadata"]["uid"].is_string());
    let spec = json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": "s"}});
    let token = token_of(&world.token("default", spec).await);
    assert_eq!(whoami(&mut bearer, &token).await.status, 201);
    world.admin.send(Method::DELETE, &format!("{CORE}/secrets/s"), &[], "").await;
    assert_eq!(whoami(&mut bearer, &token).await.status, 401);
}

#[tokio::test]
async fn tokens_are_reviewed_for_their_audiences() {
    let mut world = World::new().await;
    world.account("builder").await;
    let token = token_of(&world.token("builder", json!({"audiences": ["vault", "other"]})).await);
    let mut bearer = world.stranger().await;
    assert_eq!(whoami(&mut bearer, &token).await.status, 401, "it is not for the API server");
    let review = |audiences: Value| {
        json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": {"token": token, "audiences": audiences},
        })
    };
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let good = world.admin.post(path, &review(json!(["vault", "x"]))).await.json();
    assert_eq!(good["status"]["authenticated"], true);
    assert_eq!(good["status"]["audiences"], json!(["vault"]));
    assert_eq!(good["status"]["user"]["username"], "system:serviceaccount:default:builder");
    let bad = world.admin.post(path, &review(json!([]))).await.json();
    assert_eq!(bad["status"].get("authenticated"), None);
    let error = bad["status"]["error"].as_str().unwrap();
    let why =
        format!("token audiences [\"vault\" \"other\"] is invalid for the target audiences [\"{ISSUER}\"]");
    assert_eq!(error, format!("[invalid bearer token, {why}]"));
}

#[tokio::test]
async fn the_issuer_tells_its_keys() {
    let mut world = World::new().await;
    world.account("builder").await;
    let token = token_of(&world.token("builder", json!({})).await);
    let mut bearer = world.stranger().await;
    let path = "/.well-known/openid-configuration";
    let answer = with_token(&mut bearer, &token, Method::GET, path, &Value::Null).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, max-age=3600");
    assert_eq!(
        answer.json(),
        json!({
            "issuer": ISSUER, "jwks_uri": format!("https://{}/openid/v1/jwks", world.https.address),
            "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    );
    let answer = with_token(&mut bearer, &token, Method::GET, "/openid/v1/jwks", &Value::Null).await;
    assert_eq!(answer.header("content-type"), "application/jwk-set+json");
    let key = answer.json()["keys"][0].clone();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let header: Value = serde_json::from_slice(&decode(signed.split('.').next().unwrap())).unwrap();
    assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &key["kid"]));
    let point = [vec![4], decode(key["x"].as_str().unwrap()), decode(key["y"].as_str().unwrap())].concat();
    let public = ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, point);
    assert!(public.verify(signed.as_bytes(), &decode(signature)).is_ok());
}

/// A request for a certificate with this subject, as `spec.request` holds it.
fn certificate_request(user: &str, group: &str) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, user);
    params.distinguished_name.push(rcgen::DnType::OrganizationName, group);
    BASE64_STANDARD.encode(params.serialize_request(&key).unwrap().pem().unwrap())
}

#[tokio::test]
async fn certificates_are_asked_for_and_approved_by_those_who_may() {
    let mut world = World::new().await;
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let all = json!({"verbs": ["*"], "apiGroups": ["certificates.k8s.io"], "resources": [
        "certificatesigningrequests", "certificatesigningrequests/approval", "certificatesigningrequests/status",
    ]});
    world.allow("ada", json!([all])).await;
    let mut ada = world.user("ada", &["dev"]).await;
    let request = |name: &str, group: &str, spec: Value| {
        let mut object = json!({"metadata": {"name": name}, "spec": {
            "request": certificate_request("eve", group), "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"], "username": "root", "groups": ["system:masters"],
        }});
        for (field, value) in spec.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
        object
    };
    let made = ada.post(path, &request("a", "dev", json!({}))).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!(made["spec"]["username"], "ada", "who sends it is who asks");
    assert_eq!(made["spec"]["groups"], json!(["dev", "system:authenticated"]));

    let masters = ada.post(path, &request("b", "system:masters", json!({}))).await;
    assert_eq!(
        message(&masters),
        "certificatesigningrequests.certificates.k8s.io \"b\" is forbidden: use of kubernetes.io/kube-apiserver-client \
         signer with system:masters group is not allowed"
    );
    for (spec, why) in [
        (json!({"request": "bm9uc2Vuc2U="}), "spec.request: Invalid value: "),
        (json!({"usages": []}), "spec.usages: Required value"),
        (json!({"usages": ["fun"]}), "spec.usages[0]: Unsupported value: \"fun\""),
        (json!({"usages": ["any", "any"]}), "spec.usages[1]: Duplicate value: \"any\""),
        (json!({"signerName": "nobody"}), "must be a fully qualified domain and path of the form"),
        (json!({"signerName": "kubernetes.io/legacy-unknown"}), "the legacy signerName is not allowed"),
        (json!({"expirationSeconds": 599}), "may not specify a duration less than 600 seconds (10 minutes)"),
    ] {
        let refused = ada.post(path, &request("c", "dev", spec.clone())).await;
        assert_eq!(refused.status, 422, "{spec}");
        assert!(message(&refused).contains(why), "{spec}: {}", refused.text());
    }

    let mut approved = made.clone();
    approved["spec"]["signerName"] = "example.com/other".into();
    approved["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "Test"}]);
    let put = [("content-type", "application/json")];
    let approval = format!("{path}/a/approval");
    let refused = ada.send(Method::PUT, &approval, &put, approved.to_string()).await;
    assert_eq!(
        message(&refused),
        "certificatesigningrequests.certificates.k8s.io \"a\" is forbidden: user not permitted to approve requests with \
         signerName \"kubernetes.io/kube-apiserver-client\""
    );
    let early = ada.send(Method::PUT, &format!("{path}/a/status"), &put, approved.to_string()).await;
    assert_eq!(early.status, 422, "approval has its own subresource: {}", early.text());

    let signers = json!({"verbs": ["approve"], "apiGroups": ["certificates.k8s.io"], "resources": ["signers"],
        "resourceNames": ["kubernetes.io/*"]});
    let role = json!({"metadata": {"name": "approver"}, "rules": [signers]});
    world.made(&format!("{RBAC}/clusterroles"), role).await;
    let binding = json!({
        "metadata": {"name": "approver"}, "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "approver"},
        "subjects": [{"apiGroup": GROUP, "kind": "User", "name": "ada"}],
    });
    world.made(&format!("{RBAC}/clusterrolebindings"), binding).await;
    let answer = ada.send(Method::PUT, &approval, &put, approved.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let object = answer.json();
    assert_eq!(object["spec"], made["spec"], "approval changes conditions alone");
    assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "2026-11-21T09:30:00Z");
    let mut denied = object.clone();
    denied["status"]["conditions"] = json!([{"type": "Denied", "status": "True"}]);
    let refused = ada.send(Method::PUT, &approval, &put, denied.to_string()).await;
    assert!(
        message(&refused).contains("updates may not remove a condition of type \"Approved\""),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn whoever_may_acts_as_somebody_else() {
    let mut world = World::new().await;
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    let mut eve = world.user("eve", &[]).await;
    let refused = eve.send(Method::GET, "/version", &[("impersonate-user", "root")], "").await;
    assert_eq!(
        (refused.status.as_u16(), message(&refused)),
        (
            403,
            "users \"root\" is forbidden: User \"eve\" cannot impersonate resource \"users\" in API group \"\" at the \
             cluster scope"
                .to_owned()
        )
    );
    world.allow("eve", json!([
        {"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users", "serviceaccounts"]},
        {"verbs": ["impersonate"], "apiGroups": [""], "resources": ["groups"], "resourceNames": ["dev"]},
        {"verbs": ["impersonate"], "apiGroups": ["authentication.k8s.io"], "resources": ["userextras/scopes"],
            "resourceNames": ["view"]},
    ]))
    .await;
    let account = "system:serviceaccount:default:builder";
    for (headers, expected) in [
        (
            vec![("impersonate-user", "ada")],
            Ok(json!({"username": "ada", "groups": ["system:authenticated"]})),
        ),
        (
            vec![
                ("impersonate-user", "ada"),
                ("impersonate-group", "dev"),
                ("impersonate-extra-scopes", "view"),
            ],
            Ok(
                json!({"username": "ada", "groups": ["dev", "system:authenticated"], "extra": {"scopes": ["view"]}}),
            ),
        ),
        (
            vec![("impersonate-user", account)],
            Ok(json!({"username": account, "groups":
                ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]})),
        ),
        (
            vec![("impersonate-user", "ada"), ("impersonate-group", "system:masters")],
            Err((
                403,
                "groups \"system:masters\" is forbidden: User \"eve\" cannot impersonate resource \"groups\"",
            )),
        ),
        (
            vec![("impersonate-user", "ada"), ("impersonate-extra-scopes", "edit")],
            Err((
                403,
                "userextras.authentication.k8s.io \"edit\" is forbidden: User \"eve\" cannot impersonate resource \"userextras/scopes\"",
            )),
        ),
        (
            vec![("impersonate-user", "ada"), ("impersonate-uid", "1")],
            Err((
                403,
                "uids.authentication.k8s.io \"1\" is forbidden: User \"eve\" cannot impersonate resource \"uids\"",
            )),
        ),
        (vec![("impersonate-group", "dev")], Err((500, "Internal error occurred: requested"))),
    ] {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers.clone());
        let answer = eve.send(Method::POST, WHOAMI, &all, review.clone()).await;
        match expected {
            Ok(user) => assert_eq!(answer.json()["status"]["userInfo"], user, "{headers:?}"),
            Err((code, why)) => {
                assert_eq!(answer.status, code, "{headers:?}");
                assert!(message(&answer).starts_with(why), "{}", answer.text());
            }
        }
    }
    // What is acted as counts, not who acts.
    let pods = format!("{CORE}/pods");
    let answer = world.admin.send(Method::GET, &pods, &[("impersonate-user", "ada")], "").await;
    assert_eq!(answer.status, 403);
    let headers = [("impersonate-user", "ada"), ("impersonate-group", "system:masters")];
    assert_eq!(world.admin.send(Method::GET, &pods, &headers, "").await.status, 200);
}
