//! What is not synced, and how the tenant hears of it.

use crate::support::host::creates;
use crate::support::tenant::{pod, service};
use crate::support::{Host, Side};
use alcove_object::{Status, Value};
use serde_json::json;

#[tokio::test]
async fn what_the_rules_forbid_is_told_to_the_tenant() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    let mut external = service("external");
    external["spec"]["externalIPs"] = json!(["192.0.2.1"]);
    side.create("services", external).await;
    let change = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut pod = pod(name);
        change(&mut pod);
        pod
    };
    let privileged = json!({ "privileged": true });
    side.create(
        "pods",
        change("root", &|p| p["spec"]["containers"][0]["securityContext"] = privileged.clone()),
    )
    .await;
    side.create("pods", change("placed", &|p| p["spec"]["nodeName"] = "node-1".into())).await;
    for (name, expected) in [
        ("external", "spec.externalIPs: external IPs take over traffic"),
        ("root", "violates PodSecurity \"baseline:latest\": privileged (container \"main\" must not set"),
        ("placed", "spec.nodeName: this cluster has no node node-1"),
    ] {
        let event = side.until_event(name, "SyncRefused").await;
        assert!(event["message"].as_str().unwrap().contains(expected), "{event}");
        assert_eq!(event["type"], "Warning");
    }
    assert!(host.list("pods").is_empty() && host.list("services").is_empty());
}

#[tokio::test]
async fn what_the_host_refuses_is_told_in_the_tenants_names() {
    let host = Host::start().await;
    host.admit(|write| match creates(write, "pods") {
        true => {
            Err(Status::forbidden("", "pods", "web-x-default-x-demo", "exceeded quota: q, requested: pods=1"))
        }
        false => Ok(()),
    });
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("web")).await;
    let event = side.until_event("web", "HostRefused").await;
    let message = event["message"].as_str().unwrap();
    assert!(message.contains("pods \"web\" is forbidden: exceeded quota"), "{message}");
    // Others are not held up by it.
    side.create("services", service("web")).await;
    host.until("services", "web-x-default-x-demo", |_| true).await;
}

#[tokio::test]
async fn services_that_lead_into_the_host_or_are_off_are_refused() {
    let host = Host::start().await;
    let mut side = Side::without_syncer(&host, "demo", 2).await;
    side.allowed.services.node_ports = false;
    side.start_syncer(&host).await;
    let mut inside = service("inside");
    inside["spec"] = json!({ "type": "ExternalName", "externalName": "kubernetes.default.svc" });
    side.create("services", inside).await;
    let mut port = service("port");
    port["spec"]["type"] = "NodePort".into();
    side.create("services", port).await;
    for (name, field) in [("inside", "spec.externalName"), ("port", "spec.type")] {
        let event = side.until_event(name, "SyncRefused").await;
        assert!(event["message"].as_str().unwrap().contains(field), "{event}");
    }
    assert!(host.objects_of("demo").is_empty());
}
