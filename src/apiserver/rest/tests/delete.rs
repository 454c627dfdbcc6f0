//! delete and deletecollection.

use super::{World, gvr, object};
use crate::options::{DeleteOptions, ListOptions, Propagation};
use crate::rest::{Caller, Deleted, DeletedAnswer, Target};
use alcove_object::{Status, Value, meta};
use serde_json::json;

impl World {
    async fn delete(&self, plural: &str, name: &str, options: DeleteOptions) -> Result<Deleted, Status> {
        let target = Target::named(&self.server.registry(), &gvr(plural), "", "default", name).unwrap();
        self.server.delete(&Caller::default(), &target, &options).await
    }
}

fn shown(deleted: Deleted) -> Value {
    match deleted.answer {
        DeletedAnswer::Object(object) => object.parse(),
        DeletedAnswer::Status(details) => crate::rest::success(&details),
    }
}

#[tokio::test]
async fn what_is_gone_answers_with_a_status() {
    let w = World::new().await;
    let o = w.created("configs", object("configs", "a")).await;
    let answer = shown(w.delete("configs", "a", DeleteOptions::default()).await.unwrap());
    assert_eq!(
        answer,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": "a", "kind": "configs", "uid": meta::uid(&o)},
        })
    );
    let status = w.delete("configs", "a", DeleteOptions::default()).await.unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (404, "configs \"a\" not found"));
}

#[tokio::test]
async fn preconditions_must_hold() {
    let w = World::new().await;
    let o = w.created("configs", object("configs", "a")).await;
    let wrong_uid = DeleteOptions { uid: Some("x".into()), ..DeleteOptions::default() };
    let wrong_version = DeleteOptions { resource_version: Some("1".into()), ..DeleteOptions::default() };
    for options in [wrong_uid, wrong_version] {
        assert_eq!(w.delete("configs", "a", options).await.unwrap_err().code, 409);
    }
    let right = DeleteOptions {
        uid: Some(meta::uid(&o).into()),
        resource_version: Some(meta::text(&o, "resourceVersion").into()),
        ..DeleteOptions::default()
    };
    assert!(w.delete("configs", "a", right).await.unwrap().gone);
}

#[tokio::test]
async fn propagation_becomes_finalizers() {
    let policy = |p| DeleteOptions { propagation: Some(p), ..DeleteOptions::default() };
    let legacy = |orphan| DeleteOptions { orphan_dependents: Some(orphan), ..DeleteOptions::default() };
    let cases: Vec<(DeleteOptions, Option<&str>)> = vec![
        (DeleteOptions::default(), None),
        (policy(Propagation::Background), None),
        (policy(Propagation::Foreground), Some("foregroundDeletion")),
        (policy(Propagation::Orphan), Some("orphan")),
        (legacy(true), Some("orphan")),
        (legacy(false), None),
    ];
    for (options, expected) in cases {
        let w = World::new().await;
        w.created("workers", object("workers", "a")).await;
        let text = format!("{options:?}");
        let deleted = w.delete("workers", "a", options).await.unwrap();
        assert_eq!(deleted.gone, expected.is_none(), "{text}");
        let Some(finalizer) = expected else { continue };
        let now = shown(deleted);
        assert_eq!(meta::finalizers(&now).collect::<Vec<_>>(), [finalizer]);
        assert_eq!(meta::text(&now, "deletionTimestamp"), "2026-11-21T09:30:00Z");
        assert_eq!(now["metadata"]["deletionGracePeriodSeconds"], 0);
        assert_eq!(meta::generation(&now), 2, "the start of an end counts");
    }
}

#[tokio::test]
async fn contradicting_options_are_refused() {
    let w = World::new().await;
    let both = DeleteOptions {
        propagation: Some(Propagation::Orphan),
        orphan_dependents: Some(true),
        ..DeleteOptions::default()
    };
    assert_eq!(w.delete("configs", "a", both).await.unwrap_err().code, 422);
}

#[tokio::test]
async fn deleting_twice_changes_nothing() {
    let w = World::new().await;
    let mut o = object("configs", "a");
    o["metadata"]["finalizers"] = json!(["example.com/hold"]);
    w.created("configs", o).await;
    let first = shown(w.delete("configs", "a", DeleteOptions::default()).await.unwrap());
    w.env.advance(100);
    let second = shown(w.delete("configs", "a", DeleteOptions::default()).await.unwrap());
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_dry_run_deletes_nothing() {
    let w = World::new().await;
    w.created("configs", object("configs", "a")).await;
    let options = DeleteOptions { dry_run: true, ..DeleteOptions::default() };
    assert!(w.delete("configs", "a", options).await.unwrap().gone);
    w.client.get(&gvr("configs"), "default", "a").unwrap();
}

fn pod(node: &str, phase: &str) -> Value {
    let mut pod = object("pods", "a");
    pod["spec"] = json!({"terminationGracePeriodSeconds": 30});
    if !node.is_empty() {
        pod["spec"]["nodeName"] = node.into();
    }
    pod["status"] = json!({"phase": phase});
    pod
}

#[tokio::test]
async fn pods_end_after_their_grace() {
    let grace = |n| DeleteOptions { grace_period_seconds: Some(n), ..DeleteOptions::default() };
    // (pod, options) -> seconds until its end; none: gone at once
    let cases: Vec<(Value, DeleteOptions, Option<i64>)> = vec![
        (pod("n1", "Running"), DeleteOptions::default(), Some(30)),
        (pod("n1", "Running"), grace(5), Some(5)),
        (pod("n1", "Running"), grace(-3), Some(1)),
        (pod("n1", "Running"), grace(0), None),
        (pod("", "Pending"), DeleteOptions::default(), None),
        (pod("n1", "Succeeded"), DeleteOptions::default(), None),
        (pod("n1", "Failed"), grace(20), None),
    ];
    for (pod, options, expected) in cases {
        let w = World::new().await;
        let created = w.created("pods", pod.clone()).await;
        let mut with_status = created;
        with_status["status"] = pod["status"].clone();
        w.client.update_subresource(&gvr("pods"), "status", "default", with_status).await.unwrap();
        let text = format!("{pod} {options:?}");
        let deleted = w.delete("pods", "a", options).await.unwrap();
        assert_eq!(deleted.gone, expected.is_none(), "{text}");
        let now = shown(deleted);
        assert_eq!(now["kind"], "Pod", "pods answer with themselves");
        let Some(seconds) = expected else { continue };
        assert_eq!(now["metadata"]["deletionGracePeriodSeconds"], seconds, "{text}");
        let end = alcove_object::time::parse(meta::text(&now, "deletionTimestamp")).unwrap();
        assert_eq!(
            end,
            alcove_object::Env::now(&*w.env) + jiff::SignedDuration::from_secs(seconds),
            "{text}"
        );
    }
}

#[tokio::test]
async fn grace_can_only_become_shorter() {
    let w = World::new().await;
    w.created("pods", pod("n1", "Running")).await;
    let grace = |n| DeleteOptions { grace_period_seconds: Some(n), ..DeleteOptions::default() };
    let seconds = |deleted| shown(deleted)["metadata"]["deletionGracePeriodSeconds"].clone();
    assert_eq!(seconds(w.delete("pods", "a", DeleteOptions::default()).await.unwrap()), 30);
    assert_eq!(seconds(w.delete("pods", "a", grace(60)).await.unwrap()), 30);
    assert_eq!(seconds(w.delete("pods", "a", grace(10)).await.unwrap()), 10);
    assert_eq!(seconds(w.delete("pods", "a", DeleteOptions::default()).await.unwrap()), 10);
    assert!(w.delete("pods", "a", grace(0)).await.unwrap().gone);
}

#[tokio::test]
async fn a_namespace_goes_through_its_own_finalizers() {
    let w = World::new().await;
    let namespaces = gvr("namespaces");
    w.client.create(&namespaces, "", object("namespaces", "x")).await.unwrap();
    let going = w.client.delete(&namespaces, "", "x", &DeleteOptions::default()).await.unwrap().unwrap();
    let mut going = going.parse();
    assert_eq!(going["status"]["phase"], "Terminating");
    assert!(meta::is_deleting(&going));
    going["spec"]["finalizers"] = json!([]);
    w.client.update_subresource(&namespaces, "finalize", "", going).await.unwrap();
    assert_eq!(w.client.get(&namespaces, "", "x").unwrap_err().code, 404);
}

#[tokio::test]
async fn a_collection_goes_by_selector() {
    let w = World::new().await;
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let mut o = object("configs", name);
        o["metadata"]["labels"] = json!({"l": label});
        w.created("configs", o).await;
    }
    let target = Target::named(&w.server.registry(), &gvr("configs"), "", "default", "").unwrap();
    let list = ListOptions {
        labels: alcove_object::selector::Labels::parse("l=x").unwrap(),
        ..ListOptions::default()
    };
    let options = DeleteOptions::default();
    let gone = w.server.delete_collection(&Caller::default(), &target, &list, &options).await.unwrap();
    assert_eq!(gone.items.iter().map(|o| o.name().to_owned()).collect::<Vec<_>>(), ["a", "c"]);
    let left = w.client.list(&gvr("configs"), "default", &ListOptions::default()).unwrap();
    assert_eq!(left.items.iter().map(|o| o.name().to_owned()).collect::<Vec<_>>(), ["b"]);
}
