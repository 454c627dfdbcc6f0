//! How pods end, on either side, and what a restart of the syncer finds.

use crate::support::tenant::{config_map, pod, pod_with, service};
use crate::support::{Host, Side, holds, phase, server_uid};
use alcove_object::{Value, meta};
use serde_json::json;

#[tokio::test]
async fn a_pod_that_ran_and_vanished_ends_as_evicted() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("web")).await;
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    host.run("web-x-default-x-demo", "node-1").await;
    side.until("pods", "web", |p| phase(p) == "Running").await;
    host.delete("pods", "web-x-default-x-demo", Some(0)).await;
    let pod = side.until("pods", "web", |p| phase(p) == "Failed").await;
    assert_eq!(pod["status"]["reason"], "Evicted");
    assert!(holds(&pod, "DisruptionTarget") && !holds(&pod, "Ready"), "{pod}");
    side.settled(&host).await;
}

#[tokio::test]
async fn a_pod_that_never_ran_is_made_again() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("web")).await;
    let name = "web-x-default-x-demo";
    let before = server_uid(&host.until("pods", name, |_| true).await);
    host.delete("pods", name, Some(0)).await;
    host.until("pods", name, |p| server_uid(p) != before).await;
    assert_ne!(phase(&side.get("pods", "web").unwrap()), "Failed");
    side.settled(&host).await;
}

#[tokio::test]
async fn a_pod_deleted_in_the_tenant_ends_gracefully_on_the_host() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("web")).await;
    let name = "web-x-default-x-demo";
    host.until("pods", name, |_| true).await;
    host.run(name, "node-1").await;
    side.until("pods", "web", |p| phase(p) == "Running").await;
    side.delete("pods", "web", Some(17)).await;
    let ending = host.until("pods", name, meta::is_deleting).await;
    assert_eq!(ending["metadata"]["deletionGracePeriodSeconds"], 17);
    assert!(side.get("pods", "web").is_some(), "it is there until its containers ended");
    side.delete("pods", "web", Some(3)).await;
    host.until("pods", name, |p| p["metadata"]["deletionGracePeriodSeconds"] == 3).await;
    host.delete("pods", name, Some(0)).await;
    side.until_gone("pods", "web").await;
    side.settled(&host).await;
}

#[tokio::test]
async fn a_forced_deletion_frees_the_name_soon() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("web")).await;
    let name = "web-x-default-x-demo";
    host.until("pods", name, |_| true).await;
    host.run(name, "node-1").await;
    side.until("pods", "web", |p| phase(p) == "Running").await;
    side.delete("pods", "web", Some(0)).await;
    let next = server_uid(&side.create("pods", pod("web")).await);
    let ending = host.until("pods", name, meta::is_deleting).await;
    assert_eq!(ending["metadata"]["deletionGracePeriodSeconds"], 1);
    host.delete("pods", name, Some(0)).await;
    let made = host.until("pods", name, |p| meta::annotation(p, "alcove.dev/uid") == Some(&next)).await;
    assert!(!meta::is_deleting(&made));
    side.settled(&host).await;
    let pod = side.get("pods", "web").unwrap();
    assert_eq!(phase(&pod), "Pending", "nothing of the old pod's status is taken for the new one's: {pod}");
}

#[tokio::test]
async fn who_deletes_a_pod_that_the_syncer_deletes_too_is_answered() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    let mut refused = pod("web");
    refused["spec"]["volumes"] = json!([{ "name": "root", "hostPath": { "path": "/" } }]);
    for _ in 0..40 {
        side.create("pods", refused.clone()).await;
        side.until_event("web", "SyncRefused").await;
        side.delete("pods", "web", Some(1)).await;
        side.until_gone("pods", "web").await;
    }
}

#[tokio::test]
async fn a_pod_that_the_host_ends_ends_in_the_tenant() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("web")).await;
    let name = "web-x-default-x-demo";
    host.until("pods", name, |_| true).await;
    host.run(name, "node-1").await;
    side.until("pods", "web", |p| phase(p) == "Running").await;
    host.delete("pods", name, Some(30)).await;
    let drained = json!({ "conditions": [{ "type": "Ready", "status": "False" }] });
    host.report(name, drained).await;
    let pod = side.until("pods", "web", |p| !holds(p, "Ready")).await;
    assert_eq!(phase(&pod), "Running", "it is still there while the host ends it");
    host.delete("pods", name, Some(0)).await;
    side.until("pods", "web", |p| phase(p) == "Failed").await;
}

#[tokio::test]
async fn a_restart_loses_nothing_and_deletes_nothing_wrongly() {
    let host = Host::start().await;
    let mut side = Side::start(&host, "demo", 2).await;
    side.create("configmaps", config_map("app", "v1")).await;
    for name in ["kept", "finished", "deleted", "vanished"] {
        side.create("pods", pod_with(name, "app")).await;
        side.create("services", service(name)).await;
        let on_host = side.host_name("default", name);
        host.until("pods", &on_host, |_| true).await;
        host.until("services", &on_host, |_| true).await;
        host.run(&on_host, "node-1").await;
        side.until("pods", name, |p| phase(p) == "Running").await;
    }
    side.settled(&host).await;
    let kept = server_uid(&host.get("pods", "kept-x-default-x-demo").unwrap());
    side.stop_syncer().await;

    // Meanwhile, in the tenant ...
    side.patch("configmaps", "app", json!({ "data": { "key": "v2" } })).await;
    side.delete("services", "deleted", None).await;
    side.delete("pods", "deleted", None).await;
    side.create("pods", pod("new")).await;
    // ... and on the host.
    host.report("finished-x-default-x-demo", json!({ "phase": "Succeeded" })).await;
    host.delete("pods", "vanished-x-default-x-demo", Some(0)).await;
    host.delete("services", "kept-x-default-x-demo", None).await;
    host.patch(
        "services",
        "finished-x-default-x-demo",
        json!({ "spec": { "selector": { "app": "theirs" } } }),
    )
    .await;

    side.start_syncer(&host).await;
    host.until("pods", "new-x-default-x-demo", |_| true).await;
    host.until("configmaps", "app-x-default-x-demo", |c| c["data"]["key"] == "v2").await;
    host.until("services", "kept-x-default-x-demo", |_| true).await;
    host.until_gone("services", "deleted-x-default-x-demo").await;
    host.until("pods", "deleted-x-default-x-demo", meta::is_deleting).await;
    host.delete("pods", "deleted-x-default-x-demo", Some(0)).await;
    side.until_gone("pods", "deleted").await;
    side.until("pods", "finished", |p| phase(p) == "Succeeded").await;
    side.until("pods", "vanished", |p| phase(p) == "Failed").await;
    side.settled(&host).await;
    assert_eq!(server_uid(&host.get("pods", "kept-x-default-x-demo").unwrap()), kept);
    assert_eq!(phase(&side.get("pods", "kept").unwrap()), "Running");
}

#[tokio::test]
async fn a_namespace_takes_everything_of_it_along() {
    let host = Host::start().await;
    let mut side = Side::start(&host, "demo", 2).await;
    side.start_controllers();
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } });
    side.client.create(&crate::support::gvr("namespaces"), "", namespace).await.unwrap();
    let within = |mut object: Value| {
        object["metadata"]["namespace"] = "shop".into();
        object
    };
    side.create("configmaps", within(config_map("app", "v1"))).await;
    side.create("services", within(service("web"))).await;
    side.create("pods", within(pod_with("web", "app"))).await;
    side.create("services", service("stays")).await;
    let name = side.host_name("shop", "web");
    host.until("pods", &name, |_| true).await;
    host.run(&name, "node-1").await;
    side.changes
        .until(|| {
            let running = crate::support::get(&side.client, "pods", "shop", "web")
                .is_some_and(|p| phase(&p) == "Running");
            if running { Ok(()) } else { Err("the pod does not run".to_owned()) }
        })
        .await;
    side.client.delete(&crate::support::gvr("namespaces"), "", "shop", &Default::default()).await.unwrap();
    host.until("pods", &name, meta::is_deleting).await;
    host.delete("pods", &name, Some(0)).await;
    let is_empty = || match host.objects_of("demo") {
        left if left == ["services/stays-x-default-x-demo"] => Ok(()),
        left => Err(format!("left on the host: {left:?}")),
    };
    side.changes.until(is_empty).await;
    side.settled(&host).await;
}
