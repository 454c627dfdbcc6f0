//! The controller on a server in memory, beside all others.

use crate::history;
use crate::testing::{World, names, of};
use alcove_object::{Value, meta};
use serde_json::json;

fn set(policy: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": 2, "serviceName": "www", "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": "one" }] } },
            "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } }],
            "persistentVolumeClaimRetentionPolicy": { "whenScaled": policy, "whenDeleted": policy },
        },
    })
}

/// Whether the one set has all its pods, of one revision, and says so.
fn is_complete(sets: &[Value]) -> bool {
    let [set] = sets else { return false };
    let (spec, status) = (&set["spec"], &set["status"]);
    ["replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"]
        .iter()
        .all(|field| status[*field].as_i64().unwrap_or(0) == spec["replicas"].as_i64().unwrap_or(0))
        && status["currentRevision"] == status["updateRevision"]
        && status["observedGeneration"] == set["metadata"]["generation"]
}

fn image(image: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } })
}

#[tokio::test]
async fn a_set_is_rolled_out_and_back_and_its_claims_go_with_its_pods() {
    let mut world = World::new().await;
    world.run_pods();
    let (sets, pods, claims) = (of("apps", "statefulsets"), of("", "pods"), of("", "persistentvolumeclaims"));
    world.create(&sets, set("Delete")).await;
    let first = world.until(&sets, is_complete).await.remove(0);
    assert_eq!(names(&world.list(&pods)), ["web-0", "web-1"]);
    assert_eq!(names(&world.list(&claims)), ["data-web-0", "data-web-1"]);
    let owner = |claim: &Value| meta::controller_of(claim).map(|o| o["kind"].clone());
    let owned = |claims: &[Value]| claims.iter().all(|claim| owner(claim) == Some(json!("StatefulSet")));
    world.until(&claims, owned).await;

    world.patch(&sets, "web", image("two")).await;
    let second = world.until(&sets, |sets| is_complete(sets) && sets[0]["status"] != first["status"]).await;
    assert_ne!(second[0]["status"]["currentRevision"], first["status"]["currentRevision"]);
    assert!(world.list(&pods).iter().all(|pod| pod["spec"]["containers"][0]["image"] == "two"));

    world.patch(&sets, "web", image("one")).await;
    let back = |sets: &[Value]| {
        is_complete(sets) && sets[0]["status"]["currentRevision"] == first["status"]["currentRevision"]
    };
    world.until(&sets, back).await;
    let numbers: Vec<i64> = world.list(&history::resource()).iter().map(history::number).collect();
    assert_eq!(numbers.iter().sum::<i64>(), 2 + 3, "the first came back as the third: {numbers:?}");

    world.patch(&sets, "web", json!({ "spec": { "replicas": 1 } })).await;
    world.until(&claims, |claims| names(claims) == ["data-web-0"]).await;
    world.patch(&sets, "web", json!({ "spec": { "replicas": 2 } })).await;
    world.until(&sets, is_complete).await;
    assert_eq!(names(&world.list(&claims)), ["data-web-0", "data-web-1"]);

    let told = world.list(&of("", "events"));
    let told: Vec<&str> = told.iter().filter_map(|event| event["message"].as_str()).collect();
    for message in [
        "Create Claim data-web-0 Pod web-0 in StatefulSet web success",
        "Create Pod web-0 in StatefulSet web successful",
        "Delete Pod web-1 in StatefulSet web successful",
    ] {
        assert!(told.contains(&message), "{message} in {told:#?}");
    }
    let options = alcove_apiserver::options::DeleteOptions::default();
    world.client.delete(&sets, "default", "web", &options).await.unwrap();
    world.until(&claims, <[Value]>::is_empty).await;
    world.until(&history::resource(), <[Value]>::is_empty).await;
}

#[tokio::test]
async fn lost_pods_come_back_with_their_name_and_their_claim() {
    let mut world = World::new().await;
    world.run_pods();
    let (sets, pods) = (of("apps", "statefulsets"), of("", "pods"));
    world.create(&sets, set("Retain")).await;
    world.until(&sets, is_complete).await;
    let before = world.list(&pods);
    let failed = json!({ "phase": "Failed" });
    crate::testing::set_status(&world.client, &before[1], failed).await;
    let uid = meta::uid(&before[1]).to_owned();
    world.until(&pods, |pods| pods.len() == 2 && pods.iter().all(|pod| meta::uid(pod) != uid)).await;
    world.until(&sets, is_complete).await;
    let after = world.list(&pods);
    assert_eq!(names(&after), ["web-0", "web-1"]);
    assert_eq!(meta::uid(&after[0]), meta::uid(&before[0]));
    let volume = json!({ "name": "data", "persistentVolumeClaim": { "claimName": "data-web-1" } });
    assert!(after[1]["spec"]["volumes"].as_array().unwrap().contains(&volume));
}

#[tokio::test]
async fn only_pods_with_a_name_of_the_set_are_adopted() {
    let mut world = World::new().await;
    world.run_pods();
    let pod = |name: &str| {
        json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": "default", "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "c", "image": "one" }] } })
    };
    let (sets, pods) = (of("apps", "statefulsets"), of("", "pods"));
    world.create(&pods, pod("web-0")).await;
    world.create(&pods, pod("stranger-0")).await;
    let mut set = set("Retain");
    set["spec"].as_object_mut().unwrap().remove("volumeClaimTemplates");
    world.create(&sets, set).await;
    let found = world.until(&pods, |pods| pods.len() == 3).await;
    let adopted =
        |name: &str| found.iter().any(|p| meta::name(p) == name && meta::controller_of(p).is_some());
    assert!(adopted("web-0") && !adopted("stranger-0"));
    let labels = &found.iter().find(|pod| meta::name(pod) == "web-0").unwrap()["metadata"]["labels"];
    assert_eq!(labels["statefulset.kubernetes.io/pod-name"], "web-0");
}
