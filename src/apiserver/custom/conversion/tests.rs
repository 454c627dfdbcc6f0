//! A resource whose versions spell a field differently, over a server whose webhook knows how.

use super::{KEPT_MAX, Kept};
use crate::bootstrap;
use crate::client::{Client, Event};
use crate::custom::Definitions;
use crate::kinds;
use crate::options::ListOptions;
use crate::rest::Target;
use crate::server::Server;
use crate::testing::webhook::Hook;
use crate::testing::{TestEnv, server};
use crate::user::User;
use alcove_object::selector::Fields;
use alcove_object::{Gvr, Value};
use alcove_schema::Minor;
use serde_json::json;
use std::sync::Arc;

fn tabs(version: &str) -> Gvr {
    Gvr::new("stable.example.com", version, "tabs")
}

fn schema(field: &str) -> Value {
    let spec = json!({"type": "object", "properties": {field: {"type": "string"}, "kept": {"type": "string", "default": "x"}}});
    json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}})
}

async fn world(hook: &Hook) -> Client {
    world_of(hook).await.client(User::component("tester"), "tester")
}

async fn world_of(hook: &Hook) -> Server {
    let server = server(kinds::resources(Minor::DEFAULT), Arc::new(TestEnv::new(7)));
    bootstrap(&server, &[]).await.unwrap();
    let client = server.client(User::component("tester"), "tester");
    let definitions = Definitions::load(&server).unwrap();
    tokio::spawn(definitions.run());
    let version = |name: &str, field: &str, storage: bool| json!({"name": name, "served": true, "storage": storage, "schema": schema(field), "selectableFields": [{"jsonPath": format!(".spec.{field}")}]});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "tabs.stable.example.com"},
        "spec": {
            "group": "stable.example.com", "scope": "Namespaced", "names": {"plural": "tabs", "kind": "Tab"},
            "versions": [version("v1", "old", true), version("v2", "new", false)],
            "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": hook.url(), "conversionReviewVersions": ["v1"]}},
        },
    });
    let mut changes = server.registry_changes();
    client
        .create(&Gvr::new("apiextensions.k8s.io", "v1", "customresourcedefinitions"), "", definition)
        .await
        .unwrap();
    while server.registry().gvr(&tabs("v2")).is_none() {
        changes.changed().await.unwrap();
    }
    server
}

/// Renames the field, after a change that a test wants.
fn convert(request: &Value, spoil: fn(&mut Value)) -> Value {
    let version = &request["desiredAPIVersion"];
    let (from, to) = if version == "stable.example.com/v2" { ("old", "new") } else { ("new", "old") };
    let one = |object: &Value| {
        let mut object = object.clone();
        object["apiVersion"] = version.clone();
        object["spec"][to] = object["spec"][from].take();
        object["spec"].as_object_mut().unwrap().remove(from);
        object["spec"]["unknown"] = 1.into();
        spoil(&mut object);
        object
    };
    let objects: Vec<Value> = request["objects"].as_array().unwrap().iter().map(one).collect();
    json!({"result": {"status": "Success"}, "convertedObjects": objects})
}

fn tab(version: &str, name: &str, field: &str) -> Value {
    json!({
        "apiVersion": format!("stable.example.com/{version}"), "kind": "Tab",
        "metadata": {"name": name}, "spec": {field: "value"},
    })
}

#[tokio::test]
async fn every_version_reads_and_writes_every_object() {
    let hook = Hook::start(|request| convert(request, |_| {})).await;
    let client = world(&hook).await;
    let (old, new) = (json!({"old": "value", "kept": "x"}), json!({"new": "value", "kept": "x"}));
    client.create(&tabs("v1"), "default", tab("v1", "a", "old")).await.unwrap();
    let made = client.create(&tabs("v2"), "default", tab("v2", "b", "new")).await.unwrap().parse();
    assert_eq!((&made["apiVersion"], &made["spec"]), (&json!("stable.example.com/v2"), &new));
    assert_eq!(client.get(&tabs("v1"), "default", "b").unwrap().parse()["spec"], old);
    let mut watch = client.watch(&tabs("v2"), "", &ListOptions::default()).unwrap();
    let events = watch.next().await.unwrap().unwrap();
    let specs: Vec<Value> = events
        .iter()
        .filter_map(|event| match event {
            Event::Added(object) => Some(object.parse()["spec"].clone()),
            _ => None,
        })
        .collect();
    assert_eq!(specs, [new.clone(), new]);
    let mut changed = made;
    changed["spec"]["new"] = "other".into();
    changed["metadata"]["labels"] = json!({"a": "b"});
    client.update(&tabs("v2"), "default", changed).await.unwrap();
    let read = client.get(&tabs("v1"), "default", "b").unwrap().parse();
    assert_eq!((&read["spec"]["old"], &read["metadata"]["labels"]["a"]), (&json!("other"), &json!("b")));
}

#[tokio::test]
async fn what_a_webhook_may_not_do_fails_the_request() {
    for (spoil, expected) in [
        (
            (|object| object["metadata"]["uid"] = "x".into()) as fn(&mut Value),
            "returned invalid converted object at index 0: must have the same UID: x != ",
        ),
        (|object| object["metadata"]["name"] = "x".into(), "must have the same name: x != a"),
        (|object| object["kind"] = "Other".into(), "invalid kind (expected Tab, received Other)"),
        (
            |object| object["apiVersion"] = "stable.example.com/v3".into(),
            "invalid groupVersion (expected stable.example.com/v1, received stable.example.com/v3)",
        ),
        (|object| *object = json!({}), "invalid groupVersion (expected stable.example.com/v1, received )"),
    ] {
        let hook = Hook::start(move |request| convert(request, spoil)).await;
        let client = world(&hook).await;
        let refused = client.create(&tabs("v2"), "default", tab("v2", "a", "new")).await.unwrap_err();
        let head = "conversion webhook for stable.example.com/v2, Kind=Tab ";
        assert!(refused.code == 500 && refused.message.starts_with(head), "{refused}");
        assert!(refused.message.contains(expected), "{refused}");
        assert_eq!(client.get(&tabs("v1"), "default", "a").unwrap_err().code, 404);
    }
    let hook = Hook::start(|_| json!({"result": {"status": "Failed", "message": "cannot"}})).await;
    let client = world(&hook).await;
    let refused = client.create(&tabs("v2"), "default", tab("v2", "a", "new")).await.unwrap_err();
    assert_eq!(refused.message, "conversion webhook for stable.example.com/v2, Kind=Tab failed: cannot");
    let hook = Hook::start(|_| json!({"result": {"status": "Success"}, "convertedObjects": []})).await;
    let client = world(&hook).await;
    let refused = client.create(&tabs("v2"), "default", tab("v2", "a", "new")).await.unwrap_err();
    assert_eq!(
        refused.message,
        "conversion webhook for stable.example.com/v2, Kind=Tab returned 0 objects, expected 1"
    );
}

#[tokio::test]
async fn a_webhook_that_never_answers_is_not_waited_for_for_ever() {
    let asked = Arc::new(tokio::sync::Notify::new());
    let knock = asked.clone();
    let hook = Hook::start(move |_| {
        knock.notify_one();
        Value::Null
    })
    .await;
    let client = world(&hook).await;
    let create =
        tokio::spawn(async move { client.create(&tabs("v2"), "default", tab("v2", "a", "new")).await });
    asked.notified().await;
    // From here on nothing but time can happen, so that it may pass at once.
    tokio::time::pause();
    let refused = create.await.unwrap().unwrap_err();
    assert_eq!(refused.code, 500);
    let expected = "conversion webhook for stable.example.com/v2, Kind=Tab failed: Post \"https://localhost:";
    assert!(refused.message.starts_with(expected), "{refused}");
    assert!(refused.message.ends_with("?timeout=30s\": context deadline exceeded"), "{refused}");
}

#[tokio::test]
async fn fields_are_those_of_the_version_that_is_asked_for() {
    let hook = Hook::start(|request| convert(request, |_| {})).await;
    let server = world_of(&hook).await;
    let client = server.client(User::component("tester"), "tester");
    for (name, value) in [("a", "one"), ("b", "two")] {
        let mut object = tab("v1", name, "old");
        object["spec"]["old"] = value.into();
        client.create(&tabs("v1"), "default", object).await.unwrap();
    }
    let target = Target::named(&server.registry(), &tabs("v2"), "", "default", "").unwrap();
    let fields = Fields::parse("spec.new=two").unwrap();
    let options = ListOptions { fields, bookmarks: true, ..ListOptions::default() };
    let listed = server.list(&target, &options).await.unwrap();
    assert_eq!(listed.items.iter().map(|object| object.name().to_owned()).collect::<Vec<_>>(), ["b"]);

    let mut watch = server.watch(&target, &options).await.unwrap();
    let next = async |watch: &mut crate::rest::Watch| watch.next().await.unwrap().unwrap();
    let told = |events: &[Event]| match &events[0] {
        Event::Added(object) => format!("added {}", object.name()),
        Event::Deleted(object) => format!("deleted {}", object.name()),
        Event::Bookmark { .. } => "bookmark".to_owned(),
        Event::Modified(object) => format!("modified {}", object.name()),
    };
    assert_eq!(told(&next(&mut watch).await), "added b");
    assert_eq!(told(&next(&mut watch).await), "bookmark");
    for (name, value, expected) in [("a", "two", "added a"), ("b", "one", "deleted b")] {
        let mut object = client.get(&tabs("v1"), "default", name).unwrap().parse();
        object["spec"]["old"] = value.into();
        client.update(&tabs("v1"), "default", object).await.unwrap();
        assert_eq!(told(&next(&mut watch).await), expected);
    }
}

#[test]
fn results_of_one_operation_are_kept_together() {
    let results = |keys: std::ops::Range<u64>| keys.map(|key| (key, Arc::new(Value::Null))).collect();
    let mut kept = Kept::default();
    kept.add(results(0..10));
    kept.add(results(10..10 + 2 * KEPT_MAX as u64));
    assert!((0..10 + 2 * KEPT_MAX as u64).all(|key| kept.get(key).is_some()));
    kept.add(results(5000..5001));
    assert!(kept.get(0).is_none() && kept.get(10).is_some() && kept.get(5000).is_some());
}
