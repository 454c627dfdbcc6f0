//! Endpoints that a tenant writes: they reach its own pods, what the platform team names, and nothing else.

use crate::support::tenant::pod;
use crate::support::{Host, Side};
use alcove_object::{Value, meta};
use serde_json::json;

fn without_selector(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": { "ports": [{ "port": 80 }] } })
}

fn endpoints(name: &str, ips: &[&str]) -> Value {
    let addresses: Vec<Value> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
    json!({ "apiVersion": "v1", "kind": "Endpoints", "metadata": { "name": name },
            "subsets": [{ "addresses": addresses, "ports": [{ "port": 8080 }] }] })
}

fn addresses(endpoints: &Value) -> Vec<&str> {
    let subsets = endpoints["subsets"].as_array().into_iter().flatten();
    let entries = subsets.flat_map(|subset| subset["addresses"].as_array().into_iter().flatten());
    entries.filter_map(|entry| entry["ip"].as_str()).collect()
}

#[tokio::test]
async fn addresses_of_own_pods_are_kept_while_the_pods_are_there() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("services", without_selector("db")).await;
    // 10.244.0.9 is the tenant's pod's, as soon as the host says so; 10.96.0.1 may be the host's API server.
    side.create("endpoints", endpoints("db", &["10.244.0.9", "10.96.0.1", "192.0.2.254"])).await;
    let name = "db-x-default-x-demo";
    let event = side.until_event("db", "SyncedInPart").await;
    assert!(event["message"].as_str().unwrap().contains("subsets[0].addresses"), "{event}");
    host.until("endpoints", name, |e| addresses(e).is_empty()).await;
    side.create("pods", pod("web")).await;
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    host.run("web-x-default-x-demo", "node-1").await;
    host.until("endpoints", name, |e| addresses(e) == ["10.244.0.9"]).await;
    // The next pod with this address may be another tenant's.
    side.delete("pods", "web", Some(0)).await;
    host.end("web-x-default-x-demo").await;
    host.until("endpoints", name, |e| addresses(e).is_empty()).await;
}

#[tokio::test]
async fn what_a_tenant_says_of_its_own_pods_opens_nothing() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("services", without_selector("db")).await;
    side.create("pods", pod("web")).await;
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    // A tenant's administrator may write any status.
    let forged = json!({ "status": { "podIP": "10.244.7.7", "podIPs": [{ "ip": "10.244.7.7" }] } });
    side.patch_part("pods", "status", "web", forged).await;
    side.create("endpoints", endpoints("db", &["10.244.7.7"])).await;
    side.until_event("db", "SyncedInPart").await;
    let on_host = host.until("endpoints", "db-x-default-x-demo", |_| true).await;
    assert!(addresses(&on_host).is_empty(), "{on_host}");
}

#[tokio::test]
async fn slices_name_their_service_and_what_is_allowed() {
    let host = Host::start().await;
    let mut side = Side::without_syncer(&host, "demo", 2).await;
    side.allowed.endpoints.allowed = vec!["192.0.2.0/24".into()];
    side.start_syncer(&host).await;
    let long = "a".repeat(60);
    side.create("services", without_selector(&long)).await;
    let slice = json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": "s", "labels": { "kubernetes.io/service-name": long } },
        "endpoints": [{ "addresses": ["192.0.2.7"], "nodeName": "n" }, { "addresses": ["198.51.100.1"] }],
        "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }] });
    side.create("endpointslices", slice).await;
    let name = side.host_name("default", "s");
    let on_host = host.until("endpointslices", &name, |_| true).await;
    let service = side.host_name("default", &long);
    assert_eq!(meta::label(&on_host, "kubernetes.io/service-name"), Some(&*service));
    assert_eq!(on_host["endpoints"].as_array().map(Vec::len), Some(1), "{on_host}");
    assert_eq!(on_host["endpoints"][0]["addresses"], json!(["192.0.2.7"]));
    side.patch(
        "endpointslices",
        "s",
        json!({ "ports": [{ "name": "http", "port": 81, "protocol": "TCP" }] }),
    )
    .await;
    host.until("endpointslices", &name, |s| s["ports"][0]["port"] == 81).await;
    // A service that selects pods gets its endpoints from the host.
    side.patch("services", &long, json!({ "spec": { "selector": { "app": "web" } } })).await;
    host.until_gone("endpointslices", &name).await;
}

#[tokio::test]
async fn the_tenant_sees_where_its_own_api_server_is() {
    let host = Host::start().await;
    let slice = json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": "demo-abc", "labels": { "kubernetes.io/service-name": "demo" } },
        "endpoints": [{ "addresses": ["10.244.0.3"], "conditions": { "ready": true }, "nodeName": "n" }],
        "ports": [{ "name": "https", "port": 8443, "protocol": "TCP" }] });
    host.create("endpointslices", slice).await;
    let side = Side::start(&host, "demo", 2).await;
    let front = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "demo" },
                        "spec": { "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": [{ "port": 443 }] } });
    host.create("services", front).await;
    side.until("services", "kubernetes", |_| true).await;
    let seen = side.until("endpoints", "kubernetes", |e| addresses(e) == ["10.244.0.3"]).await;
    assert_eq!(seen["subsets"][0]["ports"][0]["port"], 8443);
    let slice = side.until("endpointslices", "kubernetes", |_| true).await;
    assert_eq!(meta::label(&slice, "kubernetes.io/service-name"), Some("kubernetes"));
    assert!(slice["endpoints"][0].get("nodeName").is_none(), "{slice}");
    // What comes later on the host comes after it.
    side.create("services", without_selector("db")).await;
    side.create("endpoints", endpoints("db", &["192.0.2.254"])).await;
    host.until("endpoints", "db-x-default-x-demo", |_| true).await;
    assert_eq!((host.list("endpoints").len(), host.list("endpointslices").len()), (1, 1));
}
