//! Claims go to the host, volumes and classes are shown to the tenant, and nothing of the host's own disks is.

use crate::support::tenant::pod;
use crate::support::{Host, Side, get};
use alcove_object::{Value, meta};
use serde_json::json;

fn claim(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } })
}

fn class(name: &str) -> Value {
    json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": name },
            "provisioner": "disks.example.com", "parameters": { "secret": "s" }, "allowVolumeExpansion": true })
}

const BOUND: &str =
    "{\"phase\":\"Bound\",\"accessModes\":[\"ReadWriteOnce\"],\"capacity\":{\"storage\":\"1Gi\"}}";

#[tokio::test]
async fn a_claim_is_bound_on_the_host_and_the_tenant_sees_a_volume_of_its_own() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    let made = side.create("persistentvolumeclaims", claim("data")).await;
    let name = "data-x-default-x-demo";
    let on_host = host.until("persistentvolumeclaims", name, |_| true).await;
    assert_eq!(on_host["spec"]["resources"]["requests"]["storage"], "1Gi");
    let choice = json!({ "spec": { "volumeName": "host-disk-7", "storageClassName": "standard" } });
    host.patch("persistentvolumeclaims", name, choice).await;
    let bound: Value = serde_json::from_str(BOUND).unwrap();
    host.status("persistentvolumeclaims", name, bound).await;
    let seen = side.until("persistentvolumeclaims", "data", |c| c["status"]["phase"] == "Bound").await;
    let volume = format!("pvc-{}", meta::uid(&made));
    assert_eq!(
        (&seen["spec"]["volumeName"], &seen["spec"]["storageClassName"]),
        (&json!(volume), &json!("standard"))
    );
    let shown =
        side.until_cluster_wide("persistentvolumes", &volume, |v| v["status"]["phase"] == "Bound").await;
    assert_eq!(shown["spec"]["claimRef"]["uid"], made["metadata"]["uid"]);
    assert!(!shown.to_string().contains("host-disk-7"), "{shown}");
    // It grows with its claim.
    let more = json!({ "spec": { "resources": { "requests": { "storage": "2Gi" } } } });
    side.patch("persistentvolumeclaims", "data", more).await;
    host.until("persistentvolumeclaims", name, |c| c["spec"]["resources"]["requests"]["storage"] == "2Gi")
        .await;
    host.status("persistentvolumeclaims", name, json!({ "capacity": { "storage": "2Gi" } })).await;
    side.until_cluster_wide("persistentvolumes", &volume, |v| v["spec"]["capacity"]["storage"] == "2Gi")
        .await;
    // Deleted by hand it comes back, and it goes with its claim.
    side.client
        .delete(&crate::support::gvr("persistentvolumes"), "", &volume, &Default::default())
        .await
        .unwrap();
    side.until_cluster_wide("persistentvolumes", &volume, |v| meta::uid(v) != meta::uid(&shown)).await;
    side.delete("persistentvolumeclaims", "data", None).await;
    host.until_gone("persistentvolumeclaims", name).await;
    let gone = || match get(&side.client, "persistentvolumes", "", &volume) {
        None => Ok(()),
        Some(left) => Err(left.to_string()),
    };
    side.changes.until(gone).await;
}

#[tokio::test]
async fn a_claim_that_could_take_a_disk_of_the_hosts_is_refused() {
    let host = Host::start().await;
    let mut side = Side::without_syncer(&host, "demo", 2).await;
    side.allowed.persistent_volume_claims.storage_classes = vec!["standard".into()];
    side.start_syncer(&host).await;
    for (name, field, value) in [
        ("named", "volumeName", json!("host-disk")),
        ("selecting", "selector", json!({ "matchLabels": { "a": "b" } })),
        ("classless", "storageClassName", json!("")),
        ("manual", "storageClassName", json!("manual")),
        (
            "snapshot",
            "dataSource",
            json!({ "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s" }),
        ),
    ] {
        let mut asking = claim(name);
        asking["spec"][field] = value;
        side.create("persistentvolumeclaims", asking).await;
        let event = side.until_event(name, "SyncRefused").await;
        assert!(event["message"].as_str().unwrap().contains(field), "{event}");
    }
    let mut fine = claim("fine");
    fine["spec"]["storageClassName"] = "standard".into();
    side.create("persistentvolumeclaims", fine).await;
    host.until("persistentvolumeclaims", "fine-x-default-x-demo", |_| true).await;
    assert_eq!(host.list("persistentvolumeclaims").len(), 1);
}

#[tokio::test]
async fn a_pod_waits_for_its_claim() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    host.create("persistentvolumeclaims", claim("theirs-x-default-x-demo")).await;
    for name in ["data", "theirs"] {
        side.create("persistentvolumeclaims", claim(name)).await;
        let mut mounting = pod(name);
        mounting["spec"]["volumes"] =
            json!([{ "name": "v", "persistentVolumeClaim": { "claimName": name } }]);
        side.create("pods", mounting).await;
    }
    let on_host = host.until("pods", "data-x-default-x-demo", |_| true).await;
    let volume = &on_host["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"];
    assert_eq!(volume, "data-x-default-x-demo");
    let check = || {
        let events = crate::support::list(&side.client, "events", "default");
        let of_pod =
            events.iter().any(|e| e["involvedObject"]["kind"] == "Pod" && e["reason"] == "SyncRefused");
        if of_pod { Ok(()) } else { Err(format!("{events:?}")) }
    };
    side.changes.until(check).await;
    assert_eq!(host.get("pods", "theirs-x-default-x-demo"), None, "it would mount another's volume");
}

#[tokio::test]
async fn classes_of_the_host_are_shown_and_edits_are_put_back() {
    let host = Host::start().await;
    let mut side = Side::without_syncer(&host, "demo", 2).await;
    side.allowed.storage_classes.enabled = true;
    host.create_cluster_wide("storageclasses", class("fast")).await;
    side.start_syncer(&host).await;
    let shown = side.until_cluster_wide("storageclasses", "fast", |_| true).await;
    assert_eq!(shown["provisioner"], "disks.example.com");
    assert!(shown.get("parameters").is_none(), "{shown}");
    side.client
        .delete(&crate::support::gvr("storageclasses"), "", "fast", &Default::default())
        .await
        .unwrap();
    let again =
        side.until_cluster_wide("storageclasses", "fast", |c| meta::uid(c) != meta::uid(&shown)).await;
    let mut edited = again.clone();
    edited["allowVolumeExpansion"] = false.into();
    side.client.update(&crate::support::gvr("storageclasses"), "", edited).await.unwrap();
    side.until_cluster_wide("storageclasses", "fast", |c| {
        c["allowVolumeExpansion"] == true && meta::revision(c) > meta::revision(&again)
    })
    .await;
    // A class that the host does not have would bind to any disk that names it.
    let mut by_hand = class("by-hand");
    by_hand["provisioner"] = "kubernetes.io/no-provisioner".into();
    host.create_cluster_wide("storageclasses", by_hand).await;
    let mut local = claim("local");
    local["spec"]["storageClassName"] = "by-hand".into();
    side.create("persistentvolumeclaims", local).await;
    side.until_event("local", "SyncRefused").await;
    let mut odd = claim("odd");
    odd["spec"]["storageClassName"] = "manual".into();
    side.create("persistentvolumeclaims", odd).await;
    let event = side.until_event("odd", "SyncRefused").await;
    assert!(event["message"].as_str().unwrap().contains("no such class"), "{event}");
    host.client
        .delete(&crate::support::gvr("storageclasses"), "", "fast", &Default::default())
        .await
        .unwrap();
    let gone = || match get(&side.client, "storageclasses", "", "fast") {
        None => Ok(()),
        Some(left) => Err(left.to_string()),
    };
    side.changes.until(gone).await;
}

#[tokio::test]
async fn without_a_right_to_classes_claims_go_on() {
    let host = Host::start().await;
    host.deny(Some("storageclasses"));
    let mut side = Side::without_syncer(&host, "demo", 2).await;
    side.allowed.storage_classes.enabled = true;
    side.start_syncer(&host).await;
    let mut asking = claim("data");
    asking["spec"]["storageClassName"] = "standard".into();
    side.create("persistentvolumeclaims", asking).await;
    host.until("persistentvolumeclaims", "data-x-default-x-demo", |c| {
        c["spec"]["storageClassName"] == "standard"
    })
    .await;
    assert!(matches!(side.features.state("storageclasses"), alcove_syncer::State::Off(_)));
}
