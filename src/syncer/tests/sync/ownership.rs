//! Whose is what: our fields are put back, others' are left alone, and what is not ours is never touched.

use crate::support::host::creates;
use crate::support::tenant::{config_map, pod, pod_with, secret, service};
use crate::support::{Host, Side, holds, phase, server_uid};
use alcove_object::{Value, meta};
use serde_json::json;

/// A change of the tenant that must come through after what was told before it.
async fn barrier(host: &Host, side: &Side, resource: &str, name: &str) -> Value {
    side.patch(resource, name, json!({ "metadata": { "labels": { "barrier": "passed" } } })).await;
    let is_passed = |o: &Value| meta::label(o, "labels.alcove.dev/barrier") == Some("passed");
    host.until(resource, &side.host_name("default", name), is_passed).await
}

#[tokio::test]
async fn an_edit_of_our_field_is_put_back() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("services", service("web")).await;
    side.create("configmaps", config_map("app", "v1")).await;
    side.create("pods", pod_with("web", "app")).await;
    let (service, config, pod) = ("web-x-default-x-demo", "app-x-default-x-demo", "web-x-default-x-demo");
    host.until("services", service, |_| true).await;
    host.until("pods", pod, |_| true).await;
    // Changed, removed, and added to what is ours as a whole.
    host.patch(
        "services",
        service,
        json!({ "spec": { "publishNotReadyAddresses": false, "selector": { "app": "theirs" },
        "sessionAffinity": "ClientIP" } }),
    )
    .await;
    host.patch("configmaps", config, json!({ "data": { "key": null } })).await;
    host.patch("pods", pod, json!({ "spec": { "containers": [{ "name": "main", "image": "evil" }] } })).await;
    host.patch("pods", pod, json!({ "metadata": { "annotations": { "alcove.dev/labels": "forged" } } }))
        .await;
    host.until("configmaps", config, |c| c["data"]["key"] == "v1").await;
    host.until("services", service, |s| s["spec"]["sessionAffinity"] == "None").await;
    host.until("pods", pod, |p| p["spec"]["containers"][0]["image"] == "nginx").await;
    side.settled(&host).await;
}

#[tokio::test]
async fn an_edit_of_a_field_that_is_not_ours_is_left_alone() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("web")).await;
    let name = "web-x-default-x-demo";
    host.until("pods", name, |_| true).await;
    let theirs = json!({ "metadata": { "annotations": { "mesh.example/injected": "yes" }, "labels": { "team": "a" } } });
    host.patch("pods", name, theirs).await;
    let pod = barrier(&host, &side, "pods", "web").await;
    assert_eq!(meta::annotation(&pod, "mesh.example/injected"), Some("yes"));
    assert_eq!(meta::label(&pod, "team"), Some("a"));
    side.settled(&host).await;
}

#[tokio::test]
async fn what_a_webhook_adds_or_changes_is_not_fought_over() {
    let host = Host::start().await;
    host.admit(|write| {
        if creates(write, "pods") {
            let containers = write.object["spec"]["containers"].as_array_mut().unwrap();
            containers[0]["image"] = "mirror.example/nginx".into();
            containers.push(json!({ "name": "proxy", "image": "mesh" }));
        }
        Ok(())
    });
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("web")).await;
    let name = "web-x-default-x-demo";
    host.until("pods", name, |_| true).await;
    host.run(name, "node-1").await;
    side.until("pods", "web", |p| phase(p) == "Running").await;
    let pod = host.get("pods", name).unwrap();
    assert_eq!(pod["spec"]["containers"][0]["image"], "mirror.example/nginx");
    assert_eq!(pod["spec"]["containers"][1]["name"], "proxy");
    assert_eq!(host.writes("Update pods"), 0, "what the webhook did is not drift");
    barrier(&host, &side, "pods", "web").await;
    let pod = host.get("pods", name).unwrap();
    assert_eq!(pod["spec"]["containers"][1]["name"], "proxy", "{pod}");
}

#[tokio::test]
async fn an_object_of_ours_deleted_by_hand_comes_back() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("services", service("web")).await;
    side.create("configmaps", config_map("app", "v1")).await;
    side.create("secrets", secret("app")).await;
    side.create("pods", pod_with("web", "app")).await;
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    for (resource, name) in [
        ("services", "web-x-default-x-demo"),
        ("configmaps", "app-x-default-x-demo"),
        ("secrets", "app-x-default-x-demo"),
    ] {
        let before = server_uid(&host.until(resource, name, |_| true).await);
        host.delete(resource, name, None).await;
        host.until(resource, name, |o| server_uid(o) != before).await;
    }
    assert!(side.get("services", "web").is_some());
    side.settled(&host).await;
}

#[tokio::test]
async fn an_object_of_others_is_never_touched() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    let name = "web-x-default-x-demo";
    let mut theirs = service(name);
    theirs["spec"]["ports"][0]["port"] = 8080.into();
    let theirs = host.create("services", theirs).await;
    side.create("services", service("web")).await;
    let event = side.until_event("web", "SyncRefused").await;
    assert!(event["message"].as_str().unwrap().contains("not this cluster's"), "{event}");
    side.delete("services", "web", None).await;
    side.create("services", service("other")).await;
    host.until("services", "other-x-default-x-demo", |_| true).await;
    assert_eq!(host.get("services", name), Some(theirs), "neither written nor deleted");
    // As soon as the name is free, it is used.
    side.create("services", service("web")).await;
    side.until_event("web", "SyncRefused").await;
    host.delete("services", name, None).await;
    host.until("services", name, |s| meta::annotation(s, "alcove.dev/name") == Some("web")).await;
    side.settled(&host).await;
}

#[tokio::test]
async fn a_pod_never_sees_an_object_of_others() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    host.create("secrets", secret("app-x-default-x-demo")).await;
    side.create("configmaps", config_map("barrier", "v1")).await;
    side.create("pods", pod_with("other", "barrier")).await;
    host.until("configmaps", "barrier-x-default-x-demo", |_| true).await;
    side.create("pods", pod_with("web", "app")).await;
    let event = side.until_event("web", "SyncRefused").await;
    assert!(event["message"].as_str().unwrap().contains("which this pod would see"), "{event}");
    assert_eq!(host.get("pods", "web-x-default-x-demo"), None);
}

#[tokio::test]
async fn a_copy_of_our_object_is_nobodys() {
    let host = Host::start().await;
    let mut side = Side::start(&host, "demo", 2).await;
    side.create("services", service("web")).await;
    let ours = host.until("services", "web-x-default-x-demo", |_| true).await;
    let mut copy = json!({ "apiVersion": "v1", "kind": "Service", "spec": { "ports": [{ "port": 80 }] },
        "metadata": { "name": "backup", "labels": ours["metadata"]["labels"], "annotations": ours["metadata"]["annotations"] } });
    copy["metadata"]["labels"]["mine"] = "yes".into();
    let copy = host.create("services", copy).await;
    side.stop_syncer().await;
    side.delete("services", "web", None).await;
    side.start_syncer(&host).await;
    host.until_gone("services", "web-x-default-x-demo").await;
    assert_eq!(host.get("services", "backup"), Some(copy));
}

#[tokio::test]
async fn an_object_made_again_under_its_name_is_another() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("services", service("web")).await;
    let name = "web-x-default-x-demo";
    let before = host.until("services", name, |_| true).await;
    side.delete("services", "web", None).await;
    let mut next = service("web");
    next["spec"]["ports"][0]["port"] = 81.into();
    let next = side.create("services", next).await;
    let uid = server_uid(&next);
    let after = host.until("services", name, |s| meta::annotation(s, "alcove.dev/uid") == Some(&uid)).await;
    assert_ne!(server_uid(&before), server_uid(&after), "the old one went, with all that was its");
    side.settled(&host).await;
}

/// What the host says of an object is the host's, whoever else writes it; what is the tenant's to say stays.
#[tokio::test]
async fn a_status_that_somebody_writes_over_in_the_tenant_is_put_back() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    // What ended may start again: with `Never`, the tenant's word could not be taken back.
    let mut again = pod("web");
    again["spec"]["restartPolicy"] = "OnFailure".into();
    side.create("pods", again).await;
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    host.run("web-x-default-x-demo", "node-1").await;
    let containers = json!([{ "name": "main", "image": "nginx", "imageID": "", "ready": true, "restartCount": 0,
                              "state": { "running": { "startedAt": "2026-11-21T09:30:00Z" } } }]);
    host.report("web-x-default-x-demo", json!({ "containerStatuses": containers })).await;
    let has_containers = |p: &Value| p.pointer("/status/containerStatuses/0/state/running").is_some();
    let before = side.until("pods", "web", has_containers).await;
    let over = json!({ "status": {
        "phase": "Failed", "reason": "Nonsense", "startTime": null,
        "containerStatuses": [{ "name": "main", "image": "nginx", "imageID": "", "ready": false, "restartCount": 0,
                                "state": { "running": null, "terminated": { "exitCode": 1 } } }],
        "conditions": [{ "type": "Ready", "status": "False" }, { "type": "example.com/mine", "status": "True" }],
    } });
    let overwritten = side.patch_part("pods", "status", "web", over).await;
    assert_eq!(phase(&overwritten), "Failed");
    let after = side.until("pods", "web", |p| phase(p) == "Running").await;
    for field in ["reason", "startTime", "containerStatuses", "podIP"] {
        assert_eq!(after["status"].get(field), before["status"].get(field), "{field}");
    }
    assert!(holds(&after, "Ready") && holds(&after, "example.com/mine"), "{after}");
    assert_eq!(host.requests("get pods"), 1, "the host is asked once");

    let mut balanced = service("web");
    balanced["spec"]["type"] = "LoadBalancer".into();
    side.create("services", balanced).await;
    let balancer = |ip: &str| json!({ "loadBalancer": { "ingress": [{ "ip": ip, "ipMode": "VIP" }] } });
    host.until("services", "web-x-default-x-demo", |_| true).await;
    host.status("services", "web-x-default-x-demo", balancer("192.0.2.1")).await;
    let is_given =
        |s: &Value| s.pointer("/status/loadBalancer/ingress/0/ip").is_some_and(|ip| ip == "192.0.2.1");
    side.until("services", "web", is_given).await;
    let other = json!({ "status": balancer("192.0.2.66") });
    assert!(!is_given(&side.patch_part("services", "status", "web", other).await));
    side.until("services", "web", is_given).await;
    side.settled(&host).await;
}
