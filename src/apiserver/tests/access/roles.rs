//! Roles: what strangers, users and administrators may do, and what nobody can give away.

use http::Method;
use serde_json::{Value, json};

use crate::world::*;

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
async fn who_may_only_read_runs_nothing_in_pods() {
    let mut world = World::new().await;
    world.account("default").await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    world.made(&format!("{CORE}/pods"), pod).await;
    let runs = json!(["pods/exec", "pods/attach", "pods/portforward"]);
    world.allow("ada", json!([{"verbs": ["get"], "apiGroups": [""], "resources": runs}])).await;
    world.allow("bob", json!([{"verbs": ["get", "create"], "apiGroups": [""], "resources": runs}])).await;
    let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket")];
    // Nobody answers for pods here: 503 is as far as one gets.
    for (user, code) in [("ada", 403), ("bob", 503)] {
        for subresource in ["exec", "attach", "portforward"] {
            let mut connection = world.user(user, &["dev"]).await;
            let path = format!("{CORE}/pods/p/{subresource}");
            let answer = connection.send(Method::GET, &path, &upgrade, "").await;
            assert_eq!(answer.status, code, "{user} {subresource}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_method_that_no_rule_can_name_needs_all_verbs() {
    let mut world = World::new().await;
    world.account("default").await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    world.made(&format!("{CORE}/pods"), pod).await;
    let rule = |verbs: Value| json!([{"verbs": verbs, "apiGroups": [""], "resources": ["pods/proxy"]}]);
    world.allow("ada", rule(json!(["get", "list", "watch", "create", "update", "patch", "delete"]))).await;
    world.allow("bob", rule(json!(["*"]))).await;
    let proxy = format!("{CORE}/pods/p/proxy/");
    // Nobody answers for pods here: 503 is as far as one gets.
    for (user, path, code) in
        [("ada", &proxy, 403), ("bob", &proxy, 503), ("bob", &format!("{CORE}/pods"), 403)]
    {
        let mut connection = world.user(user, &["dev"]).await;
        let answer = connection.send(Method::OPTIONS, path, &[], "").await;
        assert_eq!(answer.status, code, "{user} {path}: {}", answer.text());
    }
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
