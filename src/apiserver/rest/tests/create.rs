//! create.

use super::{World, gvr, object};
use crate::options::{DeleteOptions, WriteOptions};
use crate::rest::{Body, Caller, Target};
use alcove_object::{Reason, meta};
use serde_json::{Value, json};

async fn refused(plural: &str, object: Value) -> (u16, String) {
    let w = World::new().await;
    let status = w.client.create(&gvr(plural), "default", object).await.unwrap_err();
    (status.code, status.message.clone())
}

#[tokio::test]
async fn what_a_new_object_may_not_say() {
    let with = |field: &str, value: Value| {
        let mut o = object("configs", "a");
        o["metadata"][field] = value;
        o
    };
    let nameless = json!({"apiVersion": "v1", "kind": "Config", "metadata": {}});
    let cases: Vec<(Value, u16, &str)> = vec![
        (
            with("namespace", "other".into()),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            with("resourceVersion", "5".into()),
            500,
            "resourceVersion should not be set on objects to be created",
        ),
        (nameless, 422, "metadata.name: Required value: name or generateName is required"),
        (with("name", "A_b".into()), 422, "Config \"A_b\" is invalid: metadata.name: Invalid value: \"A_b\""),
        (with("labels", json!({"-": "v"})), 422, "metadata.labels: Invalid value: \"-\""),
        (with("finalizers", json!(["no good"])), 422, "metadata.finalizers"),
        (
            json!({"apiVersion": "v2", "kind": "Config", "metadata": {"name": "a"}}),
            400,
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (json!([]), 400, ""),
    ];
    for (given, code, text) in cases {
        let (found, message) = refused("configs", given.clone()).await;
        assert_eq!(found, code, "{given}: {message}");
        assert!(message.contains(text), "{given}: {message}");
    }
}

#[tokio::test]
async fn system_metadata_is_the_servers_own() {
    let w = World::new().await;
    let mut o = object("configs", "a");
    for (field, value) in [
        ("uid", json!("mine")),
        ("creationTimestamp", json!("2001-01-01T00:00:00Z")),
        ("deletionTimestamp", json!("2001-01-01T00:00:00Z")),
        ("deletionGracePeriodSeconds", json!(5)),
        ("selfLink", json!("/x")),
    ] {
        o["metadata"][field] = value;
    }
    let metadata = w.client.create(&gvr("configs"), "default", o).await.unwrap().parse()["metadata"].clone();
    assert_ne!(metadata["uid"], "mine");
    assert_eq!(metadata["creationTimestamp"], "2026-11-21T09:30:00Z");
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        assert!(metadata.get(field).is_none(), "{field}");
    }
}

#[tokio::test]
async fn a_missing_kind_and_namespace_are_filled_in() {
    let w = World::new().await;
    let o = w
        .client
        .create(&gvr("configs"), "default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap()
        .parse();
    assert_eq!((&o["apiVersion"], &o["kind"]), (&json!("v1"), &json!("Config")));
    assert_eq!(meta::namespace(&o), "default");
}

#[tokio::test]
async fn a_second_object_of_the_name_is_refused() {
    let w = World::new().await;
    let configs = gvr("configs");
    w.client.create(&configs, "default", object("configs", "a")).await.unwrap();
    let status = w.client.create(&configs, "default", object("configs", "a")).await.unwrap_err();
    assert_eq!((status.code, &status.reason), (409, &Reason::ALREADY_EXISTS));
    assert_eq!(status.message, "configs \"a\" already exists");
}

#[tokio::test]
async fn a_name_whose_object_is_going_says_so() {
    let w = World::new().await;
    let configs = gvr("configs");
    let mut o = object("configs", "a");
    o["metadata"]["finalizers"] = json!(["example.com/hold"]);
    w.client.create(&configs, "default", o.clone()).await.unwrap();
    w.client.delete(&configs, "default", "a", &DeleteOptions::default()).await.unwrap();
    let status = w.client.create(&configs, "default", o).await.unwrap_err();
    assert_eq!(status.message, "object is being deleted: configs \"a\" already exists");
}

#[tokio::test]
async fn names_are_generated_until_one_is_free() {
    let w = World::new().await;
    let configs = gvr("configs");
    let base = "x".repeat(80);
    let nameless = json!({"metadata": {"generateName": base}});
    let first = w.client.create(&configs, "default", nameless.clone()).await.unwrap();
    let second = w.client.create(&configs, "default", nameless).await.unwrap();
    assert_ne!(first.name(), second.name());
    assert_eq!(first.name().len(), 63);
    assert!(first.name().starts_with(&"x".repeat(58)));
}

#[tokio::test]
async fn status_is_dropped_and_generation_starts() {
    let w = World::new().await;
    let mut o = object("workers", "a");
    o["spec"] = json!({"replicas": 2});
    o["status"] = json!({"replicas": 9});
    let created = w.client.create(&gvr("workers"), "default", o).await.unwrap().parse();
    assert_eq!(meta::generation(&created), 1);
    assert!(created.get("status").is_none());
}

#[tokio::test]
async fn double_owners_are_dropped_with_a_warning() {
    let w = World::new().await;
    let owner = json!({"apiVersion": "v1", "kind": "Config", "name": "b", "uid": "u-1"});
    let mut o = object("configs", "a");
    o["metadata"]["ownerReferences"] = json!([owner, owner]);
    let target = Target::named(&w.server.registry(), &gvr("configs"), "", "default", "").unwrap();
    let caller = Caller::default();
    let answered = w.server.create(&caller, &target, Body::Tree(o), &WriteOptions::default()).await.unwrap();
    assert_eq!(meta::owner_references(&answered.object.parse()).len(), 1);
    assert!(answered.warnings[0].starts_with(".metadata.ownerReferences contains duplicate entries"));
    assert!(answered.warnings[0].ends_with("u-1"));
    assert!(answered.created);
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let w = World::new().await;
    let target = Target::named(&w.server.registry(), &gvr("configs"), "", "default", "").unwrap();
    let options = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let before = w.server.store.revision();
    let body = || Body::Tree(object("configs", "a"));
    let shown = w.server.create(&Caller::default(), &target, body(), &options).await.unwrap().object.parse();
    assert!(!meta::uid(&shown).is_empty());
    assert_eq!(meta::text(&shown, "resourceVersion"), "");
    assert_eq!(w.server.store.revision(), before);
    w.client.create(&gvr("configs"), "default", object("configs", "a")).await.unwrap();
    let again = w.server.create(&Caller::default(), &target, body(), &options).await.unwrap_err();
    assert_eq!(again.code, 409);
}

#[tokio::test]
async fn namespaces_must_be_there_and_alive() {
    let w = World::new().await;
    let configs = gvr("configs");
    let status = w.client.create(&configs, "nowhere", object("configs", "a")).await.unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (404, "namespaces \"nowhere\" not found"));

    let namespaces = gvr("namespaces");
    w.client.create(&namespaces, "", object("namespaces", "going")).await.unwrap();
    w.client.delete(&namespaces, "", "going", &DeleteOptions::default()).await.unwrap();
    let status = w.client.create(&configs, "going", object("configs", "a")).await.unwrap_err();
    assert_eq!(status.code, 403);
    assert_eq!(
        status.message,
        "configs \"a\" is forbidden: unable to create new content in namespace going because it is being terminated"
    );
    let cause = &status.details.as_ref().unwrap().causes[0];
    assert_eq!((&*cause.reason, cause.field.as_str()), ("NamespaceTerminating", "metadata.namespace"));
}

#[tokio::test]
async fn the_systems_namespaces_are_there_and_stay() {
    let w = World::new().await;
    for name in crate::bootstrap::SYSTEM_NAMESPACES {
        w.client.get(&gvr("namespaces"), "", name).unwrap();
    }
    let status =
        w.client.delete(&gvr("namespaces"), "", "default", &DeleteOptions::default()).await.unwrap_err();
    assert_eq!(
        (status.code, status.message.as_str()),
        (403, "namespaces \"default\" is forbidden: this namespace may not be deleted")
    );
    let before = w.server.store.revision();
    crate::bootstrap(&w.server, &[]).await.unwrap();
    assert_eq!(w.server.store.revision(), before);
}
