//! Pods' own tokens on the host: whose they are, how long they last, and that they go with their pod.

use crate::support::host::running;
use crate::support::tenant::pod;
use crate::support::{Host, Side, gvr, phase, server_uid};
use alcove_object::{Value, meta};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

pub const POD: &str = "web-x-default-x-demo";

/// A pod with a token of the cluster for ten minutes and one for somebody else.
pub fn pod_with_tokens(name: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["serviceAccountName"] = "default".into();
    pod["spec"]["volumes"] = json!([{ "name": "own", "projected": { "sources": [
        { "serviceAccountToken": { "path": "token", "expirationSeconds": 600 } },
        { "serviceAccountToken": { "path": "vault", "audience": "vault", "expirationSeconds": 7200 } } ] } }]);
    pod
}

pub async fn with_account(side: &Side) {
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
    side.client.create(&gvr("serviceaccounts"), "default", account).await.unwrap();
}

pub fn secret_name(pod: &Value) -> String {
    format!("{}-x-default-x-demo.{}.tokens", meta::name(pod), meta::uid(pod))
}

/// What a token of a Secret says.
fn claims(secret: &Value, key: &str) -> Value {
    let token = BASE64_STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap();
    let token = String::from_utf8(token).unwrap();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn tokens_are_the_tenants_and_lie_in_a_secret_of_the_pod() {
    let mut host = Host::start().await;
    host.start_controllers();
    let side = Side::start(&host, "demo", 2).await;
    with_account(&side).await;
    let made = side.create("pods", pod_with_tokens("web")).await;
    let on_host = host.until("pods", POD, |_| true).await;
    assert!(host.get("secrets", &secret_name(&made)).is_none(), "no token before the pod has its node");
    host.run(POD, "node-1").await;
    let secret = host.until("secrets", &secret_name(&made), |_| true).await;

    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], on_host["metadata"]["uid"]);
    let source = &on_host["spec"]["volumes"][0]["projected"]["sources"][1]["secret"];
    assert_eq!(source["name"], secret_name(&made));
    assert_eq!(source["items"], json!([{ "key": "own.1", "path": "vault" }]));
    let (own, vault) = (claims(&secret, "own.0"), claims(&secret, "own.1"));
    assert_eq!(own["sub"], "system:serviceaccount:default:default");
    assert_eq!(own["kubernetes.io"]["pod"], json!({ "name": "web", "uid": made["metadata"]["uid"] }));
    assert_eq!(own["kubernetes.io"]["node"]["name"], "node-1");
    assert_eq!(own["exp"].as_i64().unwrap() - own["iat"].as_i64().unwrap(), 600);
    assert_eq!(vault["aud"], json!(["vault"]));
    assert_eq!(vault["exp"].as_i64().unwrap() - vault["iat"].as_i64().unwrap(), 7200);
    for token in secret["data"].as_object().unwrap().values() {
        let token = BASE64_STANDARD.decode(token.as_str().unwrap()).unwrap();
        let token = String::from_utf8(token).unwrap();
        let told = format!("{:?} {:?}", host.list("pods"), host.list("events"));
        assert!(!told.contains(&token) && !secret["metadata"].to_string().contains(&token));
    }
    side.settled(&host).await;

    side.delete("pods", "web", None).await;
    host.until("pods", POD, meta::is_deleting).await;
    host.end(POD).await;
    host.until_gone("secrets", &secret_name(&made)).await;
    side.settled(&host).await;
}

#[tokio::test]
async fn tokens_are_renewed_before_they_end_and_come_back_when_somebody_takes_them() {
    let host = Host::start().await;
    let mut side = Side::start(&host, "demo", 2).await;
    with_account(&side).await;
    let made = side.create("pods", pod_with_tokens("web")).await;
    host.until("pods", POD, |_| true).await;
    host.run(POD, "node-1").await;
    let name = secret_name(&made);
    let first = host.until("secrets", &name, |_| true).await;
    side.until("pods", "web", |p| phase(p) == "Running").await;

    // A restart asks for no token that is still good.
    side.stop_syncer().await;
    side.start_syncer(&host).await;
    host.report(POD, json!({ "message": "after the restart" })).await;
    side.until("pods", "web", |p| p["status"]["message"] == "after the restart").await;
    assert_eq!(host.get("secrets", &name).unwrap()["data"], first["data"]);

    side.env.advance(481);
    host.report(POD, running()).await;
    let second = host.until("secrets", &name, |s| s["data"] != first["data"]).await;
    assert!(claims(&second, "own.0")["iat"].as_i64() > claims(&first, "own.0")["iat"].as_i64());
    assert_eq!(server_uid(&second), server_uid(&first));

    host.patch("secrets", &name, json!({ "data": { "own.0": "Z29uZQ==" } })).await;
    host.until("secrets", &name, |s| s["data"]["own.0"] != "Z29uZQ==").await;
    host.delete("secrets", &name, None).await;
    host.until("secrets", &name, |s| server_uid(s) != server_uid(&first)).await;
    side.settled(&host).await;
}

#[tokio::test]
async fn a_pod_without_its_account_is_told() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod_with_tokens("web")).await;
    host.until("pods", POD, |_| true).await;
    host.run(POD, "node-1").await;
    let event = side.until_event("web", "FailedToken").await;
    assert!(event["message"].as_str().unwrap().contains("serviceaccounts \"default\" not found"), "{event}");
}
