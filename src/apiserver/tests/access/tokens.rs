//! Tokens of service accounts: asked for, judged, bound, reviewed.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};

use crate::world::*;

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
            "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/openid/v1/jwks"),
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
