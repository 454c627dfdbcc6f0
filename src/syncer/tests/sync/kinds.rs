//! Every kind both ways: made, changed and deleted in the tenant; what the host says flows back.

use crate::support::host::{NAMESPACE, running};
use crate::support::tenant::{config_map, pod, pod_with, secret, service};
use crate::support::{Host, Side, holds, list, phase, server_uid};
use serde_json::json;

#[tokio::test]
async fn a_pod_goes_to_the_host_and_its_status_comes_back() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    let made = side.create("pods", pod("web")).await;
    let on_host = host.until("pods", "web-x-default-x-demo", |_| true).await;
    assert_eq!(on_host["metadata"]["annotations"]["alcove.dev/uid"], made["metadata"]["uid"]);
    host.run("web-x-default-x-demo", "node-1").await;
    let pod = side.until("pods", "web", |p| phase(p) == "Running").await;
    assert_eq!(pod["spec"]["nodeName"], "node-1");
    assert_eq!(pod["status"]["podIP"], "10.244.0.9");
    assert!(holds(&pod, "Ready") && holds(&pod, "PodScheduled"), "{pod}");
    side.settled(&host).await;
    assert_eq!(host.writes("Create pods"), 1, "a pod costs one request");
    assert_eq!(host.writes("Update pods"), 0);
}

#[tokio::test]
async fn a_changed_pod_changes_on_the_host() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("web")).await;
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    host.run("web-x-default-x-demo", "node-1").await;
    let change = json!({ "metadata": { "labels": { "tier": "front" } },
                         "spec": { "containers": [{ "name": "main", "image": "nginx:2" }] } });
    side.patch("pods", "web", change).await;
    let is_changed = |p: &serde_json::Value| {
        p["spec"]["containers"][0]["image"] == "nginx:2"
            && p["metadata"]["labels"]["labels.alcove.dev/tier"] == "front"
    };
    host.until("pods", "web-x-default-x-demo", is_changed).await;
    side.patch("pods", "web", json!({ "metadata": { "labels": { "tier": null } } })).await;
    let is_without = |p: &serde_json::Value| p["metadata"]["labels"].get("labels.alcove.dev/tier").is_none();
    host.until("pods", "web-x-default-x-demo", is_without).await;
    side.until("pods", "web", |p| phase(p) == "Running").await;
    side.settled(&host).await;
}

#[tokio::test]
async fn a_service_goes_to_the_host_and_its_addresses_come_back() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("services", service("web")).await;
    let name = "web-x-default-x-demo";
    host.until("services", name, |s| s["spec"]["ports"][0]["port"] == 80).await;
    host.patch(
        "services",
        name,
        json!({ "spec": { "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"] } }),
    )
    .await;
    side.until("services", "web", |s| s["spec"]["clusterIP"] == "10.96.0.7").await;
    side.patch("services", "web", json!({ "spec": { "publishNotReadyAddresses": true } })).await;
    let kept = host.until("services", name, |s| s["spec"]["publishNotReadyAddresses"] == true).await;
    assert_eq!(kept["spec"]["clusterIP"], "10.96.0.7", "the host's own field stays");
    side.settled(&host).await;
    side.delete("services", "web", None).await;
    host.until_gone("services", name).await;
    side.settled(&host).await;
}

#[tokio::test]
async fn config_is_on_the_host_while_a_pod_uses_it() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("configmaps", config_map("app", "v1")).await;
    side.create("secrets", secret("app")).await;
    side.create("configmaps", config_map("unused", "v1")).await;
    side.create("pods", pod_with("web", "app")).await;
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    let name = "app-x-default-x-demo";
    assert!(
        host.get("configmaps", name).is_some() && host.get("secrets", name).is_some(),
        "config goes first"
    );
    side.settled(&host).await;
    side.patch("configmaps", "app", json!({ "data": { "key": "v2", "more": "x" } })).await;
    host.until("configmaps", name, |c| c["data"] == json!({ "key": "v2", "more": "x" })).await;
    side.patch("configmaps", "app", json!({ "data": { "more": null } })).await;
    host.until("configmaps", name, |c| c["data"] == json!({ "key": "v2" })).await;
    side.delete("pods", "web", Some(0)).await;
    host.until_gone("configmaps", name).await;
    host.until_gone("secrets", name).await;
    side.settled(&host).await;
    assert!(host.objects_of("demo").is_empty());
}

#[tokio::test]
async fn config_that_appears_or_goes_while_used_follows() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod_with("web", "late")).await;
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    side.create("configmaps", config_map("late", "v1")).await;
    host.until("configmaps", "late-x-default-x-demo", |_| true).await;
    side.delete("configmaps", "late", None).await;
    host.until_gone("configmaps", "late-x-default-x-demo").await;
    side.settled(&host).await;
}

#[tokio::test]
async fn a_gate_that_the_tenant_opens_opens_on_the_host() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    let mut gated = pod("web");
    gated["spec"]["readinessGates"] = json!([{ "conditionType": "example.com/gate" }]);
    side.create("pods", gated).await;
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    host.run("web-x-default-x-demo", "node-1").await;
    side.until("pods", "web", |p| phase(p) == "Running").await;
    let open = json!({ "status": { "conditions": [{ "type": "example.com/gate", "status": "True" }] } });
    side.patch_part("pods", "status", "web", open).await;
    let on_host = host.until("pods", "web-x-default-x-demo", |p| holds(p, "example.com/gate")).await;
    assert!(holds(&on_host, "Ready"), "the host's own conditions stay: {on_host}");
    let pod = side.until("pods", "web", |p| holds(p, "example.com/gate") && holds(p, "Ready")).await;
    assert_eq!(phase(&pod), "Running");
}

#[tokio::test]
async fn virtual_nodes_are_there_while_they_carry_pods() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    for (name, node) in [("a", "node-1"), ("b", "node-1"), ("c", "node-2")] {
        side.create("pods", pod(name)).await;
        let on_host = side.host_name("default", name);
        host.until("pods", &on_host, |_| true).await;
        host.run(&on_host, node).await;
    }
    let nodes = |count: usize| {
        let client = side.client.clone();
        move || {
            let nodes = list(&client, "nodes", "");
            if nodes.len() == count { Ok(nodes) } else { Err(format!("{nodes:?}")) }
        }
    };
    let both = side.changes.until(nodes(2)).await;
    assert!(both.iter().all(|n| n["metadata"]["labels"]["alcove.dev/virtual-node"] == "true"));
    side.delete("pods", "c", Some(0)).await;
    side.changes.until(nodes(1)).await;
    side.delete("pods", "a", Some(0)).await;
    side.until_gone("pods", "a").await;
    // b is still there. What the host said of c last may have brought its node back for a moment.
    side.changes.until(nodes(1)).await;
    side.delete("pods", "b", Some(0)).await;
    side.changes.until(nodes(0)).await;
}

#[tokio::test]
async fn events_flow_back_once() {
    let host = Host::start().await;
    let mut side = Side::start(&host, "demo", 2).await;
    let made = side.create("pods", pod("web")).await;
    let on_host = host.until("pods", "web-x-default-x-demo", |_| true).await;
    let event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": { "name": "web-x-default-x-demo.1", "namespace": NAMESPACE },
        "involvedObject": { "apiVersion": "v1", "kind": "Pod", "name": "web-x-default-x-demo", "namespace": NAMESPACE,
                            "uid": server_uid(&on_host) },
        "reason": "Scheduled", "type": "Normal", "count": 3, "source": { "component": "scheduler" },
        "message": "Successfully assigned team-a/web-x-default-x-demo to node-1",
    });
    host.create("events", event.clone()).await;
    let told = side.until_event("web", "Scheduled").await;
    assert_eq!(told["message"], "Successfully assigned default/web to node-1");
    assert_eq!((&told["count"], &told["involvedObject"]["uid"]), (&json!(3), &made["metadata"]["uid"]));
    // A restart sees it again, and tells only what is new.
    side.stop_syncer().await;
    side.start_syncer(&host).await;
    let mut next = event;
    next["metadata"]["name"] = "web-x-default-x-demo.2".into();
    next["reason"] = "Pulled".into();
    host.create("events", next).await;
    side.until_event("web", "Pulled").await;
    let events = list(&side.client, "events", "default");
    assert_eq!(events.len(), 2, "{events:?}");
    let again = events.iter().find(|e| e["reason"] == "Scheduled").unwrap();
    assert_eq!(
        again["metadata"]["resourceVersion"], told["metadata"]["resourceVersion"],
        "not written again"
    );
    host.patch("events", "web-x-default-x-demo.1", json!({ "count": 4 })).await;
    side.changes
        .until(|| {
            let events = list(&side.client, "events", "default");
            if events.iter().any(|e| e["count"] == 4) { Ok(()) } else { Err(format!("{events:?}")) }
        })
        .await;
}

#[tokio::test]
async fn a_pods_last_words_are_taken_back_before_it_goes() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("job")).await;
    let name = "job-x-default-x-demo";
    host.until("pods", name, |_| true).await;
    host.run(name, "node-1").await;
    side.until("pods", "job", |p| phase(p) == "Running").await;
    let mut done = running();
    done["phase"] = "Succeeded".into();
    host.report(name, done).await;
    host.delete("pods", name, Some(0)).await;
    let pod = side.until("pods", "job", |p| phase(p) != "Running").await;
    assert_eq!(phase(&pod), "Succeeded", "it succeeded, whatever became of it after");
}

#[tokio::test]
async fn a_service_changes_its_type_both_ways() {
    let host = Host::start_with_addresses().await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    side.create("services", service("web")).await;
    let name = "web-x-default-x-demo";
    side.patch("services", "web", json!({ "spec": { "type": "NodePort" } })).await;
    let seen = side.until("services", "web", |s| s["spec"]["ports"][0]["nodePort"].is_u64()).await;
    let on_host = host.get("services", name).unwrap();
    assert_eq!(seen["spec"]["ports"][0]["nodePort"], on_host["spec"]["ports"][0]["nodePort"]);
    let chosen = json!({ "spec": { "ports": [{ "port": 80, "nodePort": 30123 }] } });
    side.patch("services", "web", chosen).await;
    host.until("services", name, |s| s["spec"]["ports"][0]["nodePort"] == 30123).await;
    let policy =
        json!({ "spec": { "internalTrafficPolicy": "Local", "trafficDistribution": "PreferClose" } });
    side.patch("services", "web", policy).await;
    let is_local = |s: &serde_json::Value| {
        s["spec"]["internalTrafficPolicy"] == "Local" && s["spec"]["trafficDistribution"] == "PreferClose"
    };
    host.until("services", name, is_local).await;
    side.patch(
        "services",
        "web",
        json!({ "spec": { "type": "ClusterIP", "ports": [{ "port": 80, "nodePort": null }] } }),
    )
    .await;
    let is_plain = |s: &serde_json::Value| {
        s["spec"]["type"] == "ClusterIP" && s["spec"]["ports"][0].get("nodePort").is_none()
    };
    host.until("services", name, is_plain).await;
    side.until("services", "web", is_plain).await;
    side.settled(&host).await;
}

#[tokio::test]
async fn selected_nodes_of_the_host_are_there_without_pods_under_hidden_names() {
    let host = Host::start().await;
    let mut side = Side::without_syncer(&host, "demo", 2).await;
    side.allowed.nodes.selector = [("pool".to_owned(), "red".to_owned())].into();
    side.allowed.nodes.names = alcove_config::NodeNames::Hidden;
    for (name, pool) in [("ip-10-0-0-1", "red"), ("ip-10-0-0-2", "blue")] {
        let node = json!({ "apiVersion": "v1", "kind": "Node",
                           "metadata": { "name": name, "labels": { "pool": pool } } });
        host.create_cluster_wide("nodes", node).await;
    }
    side.start_syncer(&host).await;
    let count = |expected: usize| {
        let client = side.client.clone();
        move || match list(&client, "nodes", "") {
            nodes if nodes.len() == expected => Ok(nodes),
            nodes => Err(format!("{nodes:?}")),
        }
    };
    let shown = side.changes.until(count(1)).await;
    assert!(!shown[0].to_string().contains("ip-10"), "{shown:?}");
    side.create("pods", pod("web")).await;
    let name = "web-x-default-x-demo";
    host.until("pods", name, |_| true).await;
    host.run(name, "ip-10-0-0-2").await;
    let running = side.until("pods", "web", |p| phase(p) == "Running").await;
    let node = running["spec"]["nodeName"].as_str().unwrap();
    assert!(node.starts_with("node-") && shown[0]["metadata"]["name"] != node, "{running}");
    side.changes.until(count(2)).await;
    side.delete("pods", "web", Some(0)).await;
    host.end(name).await;
    side.changes.until(count(1)).await;
}
