//! What changes about pods that are on the host, where they are placed, and how those that are not there say so.

use crate::support::host::creates;
use crate::support::tenant::pod;
use crate::support::{Host, Side, phase, server_uid};
use alcove_object::{Status, Value, condition, meta};
use serde_json::json;

const POD: &str = "web-x-default-x-demo";

fn synced<'a>(pod: &'a Value, field: &str) -> &'a str {
    condition::find(pod, "alcove.dev/Synced").and_then(|c| c[field].as_str()).unwrap_or_default()
}

#[tokio::test]
async fn what_the_platform_team_changes_later_leaves_running_pods_as_they_are() {
    let host = Host::start().await;
    let mut side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("web")).await;
    let before = server_uid(&host.until("pods", POD, |_| true).await);
    host.run(POD, "node-1").await;
    side.until("pods", "web", |p| phase(p) == "Running").await;
    side.stop_syncer().await;
    side.allowed.pods.node_selector.insert("pool".into(), "new".into());
    side.start_syncer(&host).await;
    // Its labels follow all the same.
    side.patch("pods", "web", json!({ "metadata": { "labels": { "tier": "front" } } })).await;
    let on_host =
        host.until("pods", POD, |p| p["metadata"]["labels"]["labels.alcove.dev/tier"] == "front").await;
    assert!(on_host["spec"].get("nodeSelector").is_none());
    assert_eq!(server_uid(&on_host), before);
    let events =
        side.client.list(&crate::support::gvr("events"), "default", &Default::default()).unwrap().items;
    assert!(events.iter().all(|event| event.parse()["reason"] != "HostRefused"));
}

#[tokio::test]
async fn ephemeral_containers_and_gates_take_their_own_ways() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    let mut gated = pod("web");
    gated["spec"]["schedulingGates"] = json!([{ "name": "example.com/a" }]);
    side.create("pods", gated).await;
    host.until("pods", POD, |p| p["spec"]["schedulingGates"][0]["name"] == "example.com/a").await;
    side.patch("pods", "web", json!({ "spec": { "schedulingGates": null } })).await;
    host.until("pods", POD, |p| p["spec"]["schedulingGates"].as_array().is_none_or(Vec::is_empty)).await;
    host.run(POD, "node-1").await;
    side.until("pods", "web", |p| phase(p) == "Running").await;
    let debug = json!([{ "name": "debug", "image": "busybox", "targetContainerName": "main" }]);
    side.patch_part(
        "pods",
        "ephemeralcontainers",
        "web",
        json!({ "spec": { "ephemeralContainers": debug } }),
    )
    .await;
    let on_host = host.until("pods", POD, |p| !p["spec"]["ephemeralContainers"].is_null()).await;
    assert_eq!(on_host["spec"]["ephemeralContainers"][0]["image"], "busybox");
    side.settled(&host).await;
}

#[tokio::test]
async fn resources_are_resized_in_place() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    let mut sized = pod("web");
    sized["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "1" } });
    side.create("pods", sized).await;
    host.until("pods", POD, |_| true).await;
    host.run(POD, "node-1").await;
    side.until("pods", "web", |p| phase(p) == "Running").await;
    let patch = json!({ "spec": { "containers": [{ "name": "main", "resources": { "requests": { "cpu": "2" } } }] } });
    side.patch_part("pods", "resize", "web", patch).await;
    host.until("pods", POD, |p| p["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "2").await;
    host.until("pods", POD, |p| p["metadata"]["annotations"]["alcove.dev/generation"] == "2").await;
    side.settled(&host).await;
    let events = crate::support::list(&side.client, "events", "default");
    assert!(events.iter().all(|event| event["reason"] != "HostRefused"), "{events:?}");
}

#[tokio::test]
async fn a_pod_with_a_node_of_its_own_goes_to_the_host_if_the_node_is_there() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    let placed = |name: &str| {
        let mut pod = pod(name);
        pod["spec"]["nodeName"] = "node-1".into();
        pod
    };
    side.create("pods", placed("early")).await;
    let early = side.until("pods", "early", |p| synced(p, "status") == "False").await;
    assert!(synced(&early, "message").contains("this cluster has no node node-1"), "{early}");
    side.create("pods", pod("web")).await;
    host.until("pods", POD, |_| true).await;
    host.run(POD, "node-1").await;
    side.until("nodes", "node-1", |_| true).await;
    host.until("pods", "early-x-default-x-demo", |_| true).await;
    side.create("pods", placed("late")).await;
    let on_host = host.until("pods", "late-x-default-x-demo", |_| true).await;
    assert!(on_host["spec"].get("nodeName").is_none(), "the host's scheduler has the last word");
    let term =
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0";
    let only = json!([{ "key": "metadata.name", "operator": "In", "values": ["node-1"] }]);
    assert_eq!(on_host.pointer(term).unwrap()["matchFields"], only);
    host.run("late-x-default-x-demo", "node-1").await;
    side.until("pods", "late", |p| phase(p) == "Running").await;
}

#[tokio::test]
async fn a_pod_that_is_not_on_the_host_says_why_until_it_is() {
    let host = Host::start().await;
    let full = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_full = full.clone();
    host.admit(move |write| {
        match creates(write, "pods") && is_full.load(std::sync::atomic::Ordering::Relaxed) {
            true => Err(Status::forbidden("", "pods", POD, "exceeded quota: q")),
            false => Ok(()),
        }
    });
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("web")).await;
    let refused = side.until("pods", "web", |p| synced(p, "reason") == "HostRefused").await;
    assert!(synced(&refused, "message").contains("pods \"web\" is forbidden: exceeded quota"), "{refused}");
    full.store(false, std::sync::atomic::Ordering::Relaxed);
    side.patch("pods", "web", json!({ "metadata": { "labels": { "again": "yes" } } })).await;
    host.until("pods", POD, |_| true).await;
    side.until("pods", "web", |p| synced(p, "status") == "True").await;
    side.settled(&host).await;
}

#[tokio::test]
async fn what_every_pod_gets_wins_over_what_it_asks_for() {
    let host = Host::start().await;
    let mut side = Side::without_syncer(&host, "demo", 2).await;
    side.allowed.pods.node_selector.insert("pool".into(), "tenants".into());
    side.allowed.pods.annotations = vec!["example.com/*".into()];
    side.start_syncer(&host).await;
    let mut own = pod("web");
    own["metadata"]["annotations"] = json!({ "example.com/a": "b", "k8s.v1.cni.cncf.io/networks": "other" });
    own["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
    side.create("pods", own).await;
    let on_host = host.until("pods", POD, |_| true).await;
    assert_eq!(on_host["spec"]["nodeSelector"], json!({ "pool": "tenants" }));
    assert_eq!(meta::annotation(&on_host, "example.com/a"), Some("b"));
    assert_eq!(meta::annotation(&on_host, "k8s.v1.cni.cncf.io/networks"), None);
    let tolerations = on_host["spec"]["tolerations"].to_string();
    assert!(!tolerations.contains(r#"{"operator":"Exists"}"#), "{tolerations}");
    let event = side.until_event("web", "SyncedInPart").await;
    assert!(event["message"].as_str().unwrap().contains("spec.tolerations: the platform team does not let"));

    let mut elsewhere = pod("elsewhere");
    elsewhere["spec"]["nodeSelector"] = json!({ "pool": "system" });
    side.create("pods", elsewhere).await;
    let refused = side.until("pods", "elsewhere", |p| synced(p, "status") == "False").await;
    assert!(synced(&refused, "message").contains("spec.nodeSelector: the platform team runs"), "{refused}");
}
