//! update and finalizers.

use super::{World, gvr, object};
use crate::options::{DeleteOptions, WriteOptions};
use crate::rest::{Body, Caller, Target};
use alcove_object::{Reason, Value, meta};
use serde_json::json;

impl World {
    pub(super) async fn created(&self, plural: &str, object: Value) -> Value {
        self.client.create(&gvr(plural), "default", object).await.unwrap().parse()
    }
}

#[tokio::test]
async fn the_same_again_is_no_write() {
    let w = World::new().await;
    let old = w.created("configs", object("configs", "a")).await;
    let before = w.server.store.revision();
    w.env.advance(60);
    let again = w.client.update(&gvr("configs"), "default", old.clone()).await.unwrap();
    assert_eq!(again.revision, meta::revision(&old));
    assert_eq!(w.server.store.revision(), before);
}

#[tokio::test]
async fn another_version_or_uid_is_a_conflict() {
    let w = World::new().await;
    let old = w.created("configs", object("configs", "a")).await;
    let mut stale = old.clone();
    stale["data"] = json!({"k": "v"});
    w.client.update(&gvr("configs"), "default", stale.clone()).await.unwrap();
    let status = w.client.update(&gvr("configs"), "default", stale.clone()).await.unwrap_err();
    assert_eq!((status.code, &status.reason), (409, &Reason::CONFLICT));
    assert_eq!(
        status.message,
        "Operation cannot be fulfilled on configs \"a\": the object has been modified; please apply your changes to \
         the latest version and try again"
    );
    stale["metadata"]["uid"] = "other".into();
    let status = w.client.update(&gvr("configs"), "default", stale).await.unwrap_err();
    assert_eq!(status.code, 409);
    assert!(status.message.contains("Precondition failed: UID in precondition: other, UID in object meta: "));
}

#[tokio::test]
async fn an_update_without_a_version_depends_on_the_kind() {
    let w = World::new().await;
    w.created("configs", object("configs", "a")).await;
    w.client.update(&gvr("configs"), "default", object("configs", "a")).await.unwrap();
    w.created("stricts", object("stricts", "a")).await;
    let status = w.client.update(&gvr("stricts"), "default", object("stricts", "a")).await.unwrap_err();
    assert_eq!(status.code, 422);
    assert_eq!(
        status.message,
        "stricts.apps \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
}

#[tokio::test]
async fn put_creates_only_for_some_kinds_and_asks_for_permission() {
    let w = World::new().await;
    let status = w.client.update(&gvr("configs"), "default", object("configs", "a")).await.unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (404, "configs \"a\" not found"));

    let target = Target::named(&w.server.registry(), &gvr("upserts"), "", "default", "a").unwrap();
    let put = |o: Value| {
        let (server, target) = (w.server.clone(), target.clone());
        async move {
            let options = WriteOptions::default();
            server.update(&Caller::default(), &target, Body::Tree(o), &options).await
        }
    };
    assert!(put(object("upserts", "a")).await.unwrap().created);
    assert!(!put(object("upserts", "a")).await.unwrap().created);
    let mut with_uid = object("upserts", "a");
    with_uid["metadata"]["uid"] = "u".into();
    assert_eq!(put(with_uid).await.unwrap_err().code, 409);
}

#[tokio::test]
async fn the_path_names_the_object() {
    let w = World::new().await;
    w.created("configs", object("configs", "a")).await;
    let target = Target::named(&w.server.registry(), &gvr("configs"), "", "default", "a").unwrap();
    let options = WriteOptions::default();
    let put = |o: Value| w.server.update(&CALLER, &target, Body::Tree(o), &options);
    static CALLER: std::sync::LazyLock<Caller> = std::sync::LazyLock::new(Caller::default);
    assert_eq!(
        put(object("configs", "b")).await.unwrap_err().message,
        "the name of the object (b) does not match the name on the URL (a)"
    );
    assert_eq!(
        put(json!({"metadata": {}})).await.unwrap_err().message,
        "the name of the object (a based on URL) was undeterminable: name must be provided"
    );
    let elsewhere = json!({"metadata": {"name": "a", "namespace": "b"}});
    assert_eq!(put(elsewhere).await.unwrap_err().code, 400);
}

#[tokio::test]
async fn what_the_server_set_stays() {
    let w = World::new().await;
    let old = w.created("workers", object("workers", "a")).await;
    let mut new = old.clone();
    for (field, value) in [("creationTimestamp", json!("2001-01-01T00:00:00Z")), ("generation", json!(40))] {
        new["metadata"][field] = value;
    }
    let now = w.client.update(&gvr("workers"), "default", new).await.unwrap().parse();
    assert_eq!(now["metadata"], old["metadata"]);
    for (field, value) in
        [("deletionTimestamp", json!("2001-01-01T00:00:00Z")), ("deletionGracePeriodSeconds", json!(5))]
    {
        let mut new = old.clone();
        new["metadata"][field] = value;
        let refused = w.client.update(&gvr("workers"), "default", new).await.unwrap_err();
        assert!(refused.message.ends_with("field is immutable"), "{refused}");
    }
}

#[tokio::test]
async fn generation_counts_spec_alone() {
    let w = World::new().await;
    let mut o = object("workers", "a");
    o["spec"] = json!({"replicas": 1});
    let mut o = w.created("workers", o).await;
    let steps = [
        ("/metadata/labels", json!({"a": "b"}), 1),
        ("/spec", json!({"replicas": 2}), 2),
        ("/spec", json!({"replicas": 2}), 2),
    ];
    for (path, value, generation) in steps {
        match path {
            "/spec" => o["spec"] = value,
            _ => o["metadata"]["labels"] = value,
        }
        o = w.client.update(&gvr("workers"), "default", o).await.unwrap().parse();
        assert_eq!(meta::generation(&o), generation, "{path}");
    }
}

#[tokio::test]
async fn status_and_the_rest_keep_to_themselves() {
    let w = World::new().await;
    let mut o = object("workers", "a");
    o["spec"] = json!({"replicas": 1});
    let mut o = w.created("workers", o).await;
    o["spec"]["replicas"] = 5.into();
    o["status"] = json!({"replicas": 1});
    o["metadata"]["annotations"] = json!({"seen": "yes"});
    let after =
        w.client.update_subresource(&gvr("workers"), "status", "default", o.clone()).await.unwrap().parse();
    assert_eq!((&after["spec"]["replicas"], &after["status"]["replicas"]), (&json!(1), &json!(1)));
    assert_eq!(meta::generation(&after), 1);
    assert_eq!(meta::annotation(&after, "seen"), Some("yes"));

    let mut o = after.clone();
    o["status"] = json!({"replicas": 77});
    let after = w.client.update(&gvr("workers"), "default", o).await.unwrap().parse();
    assert_eq!(after["status"]["replicas"], 1);
}

#[tokio::test]
async fn the_last_finalizer_takes_the_object_along() {
    let w = World::new().await;
    let configs = gvr("configs");
    let mut o = object("configs", "a");
    o["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    w.created("configs", o).await;
    let going =
        w.client.delete(&configs, "default", "a", &DeleteOptions::default()).await.unwrap().unwrap().parse();
    assert!(meta::is_deleting(&going));

    let mut more = going.clone();
    more["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b", "example.com/c"]);
    let status = w.client.update(&configs, "default", more).await.unwrap_err();
    assert_eq!(status.code, 422);
    assert!(status.message.contains(
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
         finalizers []string{\"example.com/c\"}"
    ));

    let mut one = going.clone();
    one["metadata"]["finalizers"] = json!(["example.com/b"]);
    let mut last = w.client.update(&configs, "default", one).await.unwrap().parse();
    last["metadata"]["finalizers"] = json!([]);
    w.client.update(&configs, "default", last).await.unwrap();
    assert_eq!(w.client.get(&configs, "default", "a").unwrap_err().code, 404);
}

#[tokio::test]
async fn writers_without_a_version_never_lose_a_race() {
    let w = World::new().await;
    w.created("configs", object("configs", "a")).await;
    let writes = (0..20).map(|n| {
        let client = w.client.clone();
        tokio::spawn(async move {
            let mut o = object("configs", "a");
            o["data"] = json!({"n": n.to_string()});
            client.update(&gvr("configs"), "default", o).await
        })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn changed_metadata_follows_the_rules_too() {
    let w = World::new().await;
    let old = w.created("configs", object("configs", "a")).await;
    // Upstream asks for finalizers twice, as names and as those of its own kinds.
    for (field, value, causes) in [
        ("labels", json!({"-": "v"}), 1),
        ("annotations", json!({"a b": "v"}), 1),
        ("finalizers", json!(["no good"]), 2),
        ("ownerReferences", json!([{"apiVersion": "v1", "kind": "Config", "name": "b", "uid": ""}]), 1),
    ] {
        let mut new = old.clone();
        new["metadata"][field] = value;
        let status = w.client.update(&gvr("configs"), "default", new).await.unwrap_err();
        assert_eq!(status.code, 422, "{field}");
        assert_eq!(status.details.as_ref().unwrap().causes.len(), causes, "{field}: {}", status.message);
    }
}
