//! What things cost: requests to the host, and states that the tenant's store keeps and its watchers are told.

use crate::support::host::running;
use crate::support::{Host, Side, gvr, phase};
use crate::tokens::{POD, pod_with_tokens, secret_name, with_account};
use alcove_apiserver::Event;
use alcove_object::Value;
use serde_json::json;

fn message(pod: &Value) -> &str {
    pod.pointer("/status/message").and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test]
async fn a_pod_costs_the_host_two_requests_and_the_tenant_one_write_for_each_of_its_states() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    with_account(&side).await;
    let mut states = side.client.watch(&gvr("pods"), "default", &Default::default()).unwrap();
    let made = side.create("pods", pod_with_tokens("web")).await;
    host.until("pods", POD, |_| true).await;
    host.bind(POD, "node-1").await;
    host.until("secrets", &secret_name(&made), |_| true).await;
    host.report(POD, running()).await;
    side.until("pods", "web", |pod| phase(pod) == "Running").await;
    host.report(POD, json!({ "message": "the last one" })).await;
    side.until("pods", "web", |pod| message(pod) == "the last one").await;
    side.settled(&host).await;

    let asked =
        ["patch pods", "patch secrets", "patch pods/status", "get pods", "get secrets", "delete pods"];
    assert_eq!(asked.map(|what| host.requests(what)), [1, 1, 0, 0, 0, 0], "{asked:?}");
    let mut told = Vec::new();
    while told.last().is_none_or(|pod| message(pod) != "the last one") {
        for event in states.next().await.unwrap().unwrap() {
            if let Event::Added(object) | Event::Modified(object) | Event::Deleted(object) = event {
                told.push(object.parse());
            }
        }
    }
    let told: Vec<_> =
        told.iter().map(|pod| (pod["spec"]["nodeName"].as_str(), phase(pod), message(pod))).collect();
    let on_node = Some("node-1");
    let expected = [
        (None, "Pending", ""),
        (on_node, "Pending", ""),
        (on_node, "Running", ""),
        (on_node, "Running", "the last one"),
    ];
    assert_eq!(told, expected);
}
