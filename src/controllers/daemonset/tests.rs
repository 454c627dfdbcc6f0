//! The controller on a server in memory, beside all others. Nobody schedules there: pods stay tied to their nodes.

use super::pod;
use crate::history;
use crate::testing::{World, of, set_status};
use alcove_object::{Value, meta};
use serde_json::json;

fn set() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "agent", "namespace": "default" },
        "spec": {
            "selector": { "matchLabels": { "app": "agent" } },
            "template": { "metadata": { "labels": { "app": "agent" } },
                "spec": { "nodeSelector": { "kind": "worker" }, "containers": [{ "name": "c", "image": "one" }] } },
        },
    })
}

fn node(name: &str, kind: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": { "kind": kind } } })
}

fn nodes_of(pods: &[Value]) -> Vec<&str> {
    let mut nodes: Vec<&str> = pods.iter().filter_map(pod::node).collect();
    nodes.sort_unstable();
    nodes
}

fn reports(desired: i64) -> impl Fn(&[Value]) -> bool {
    move |sets: &[Value]| {
        let [set] = sets else { return false };
        let count = |field: &str| set["status"][field].as_i64().unwrap_or(0);
        [
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "numberReady",
            "numberAvailable",
            "updatedNumberScheduled",
        ]
        .iter()
        .all(|field| count(field) == desired)
            && set["status"]["observedGeneration"] == set["metadata"]["generation"]
    }
}

#[tokio::test]
async fn pods_follow_the_nodes_that_fit() {
    let mut world = World::new().await;
    world.run_pods();
    let (sets, pods, nodes) = (of("apps", "daemonsets"), of("", "pods"), of("", "nodes"));
    world.create(&sets, set()).await;
    world.until(&sets, reports(0)).await;
    assert!(world.list(&pods).is_empty(), "there is no node");
    for (name, kind) in [("a", "worker"), ("b", "other"), ("c", "worker")] {
        world.create(&nodes, node(name, kind)).await;
    }
    world.until(&pods, |pods| nodes_of(pods) == ["a", "c"]).await;
    world.until(&sets, reports(2)).await;
    world.patch(&nodes, "b", json!({ "metadata": { "labels": { "kind": "worker" } } })).await;
    world.until(&pods, |pods| nodes_of(pods) == ["a", "b", "c"]).await;
    world.patch(&nodes, "a", json!({ "spec": { "taints": [{ "key": "k", "effect": "NoExecute" }] } })).await;
    world.until(&pods, |pods| nodes_of(pods) == ["b", "c"]).await;
    let options = alcove_apiserver::options::DeleteOptions::default();
    world.client.delete(&nodes, "", "c", &options).await.unwrap();
    world.until(&pods, |pods| nodes_of(pods) == ["b"]).await;
    world.until(&sets, reports(1)).await;

    let failed = world.list(&pods).remove(0);
    set_status(&world.client, &failed, json!({ "phase": "Failed" })).await;
    world.until(&pods, |pods| pods.len() == 1 && meta::uid(&pods[0]) != meta::uid(&failed)).await;
    let told = world.list(&of("", "events"));
    assert!(told.iter().any(|event| event["reason"] == "FailedDaemonPod"), "{told:#?}");
}

#[tokio::test]
async fn a_set_is_rolled_out_and_back() {
    let mut world = World::new().await;
    world.run_pods();
    let (sets, pods, nodes) = (of("apps", "daemonsets"), of("", "pods"), of("", "nodes"));
    world.create(&nodes, node("a", "worker")).await;
    world.create(&nodes, node("b", "worker")).await;
    world.create(&sets, set()).await;
    world.until(&sets, reports(2)).await;
    let hash = |pods: &[Value]| meta::label(&pods[0], history::REVISION).map(str::to_owned);
    let first = hash(&world.list(&pods));
    let image = |image: &str| json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } });
    let runs = |image: &'static str| {
        move |pods: &[Value]| {
            pods.len() == 2 && pods.iter().all(|pod| pod["spec"]["containers"][0]["image"] == image)
        }
    };
    world.patch(&sets, "agent", image("two")).await;
    world.until(&pods, runs("two")).await;
    assert_ne!(hash(&world.list(&pods)), first);
    world.patch(&sets, "agent", image("one")).await;
    let back = world.until(&pods, runs("one")).await;
    assert_eq!(hash(&back), first, "it is the first revision again");
    world.until(&sets, reports(2)).await;
    let mut numbers: Vec<i64> = world.list(&history::resource()).iter().map(history::number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);

    world.patch(&sets, "agent", json!({ "spec": { "revisionHistoryLimit": 0 } })).await;
    world.until(&history::resource(), |revisions| revisions.len() == 1).await;
}
