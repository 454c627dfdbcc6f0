//! Definitions and their instances through the in-process client: what a user sees, from definition to deletion.

use super::{CLEANUP_FINALIZER, Definitions};
use crate::client::{Client, Event};
use crate::options::{DeleteOptions, FieldValidation, ListOptions, PatchType, WriteOptions};
use crate::rest::{Body, Caller, Encoding, Target};
use crate::server::Server;
use crate::testing::{self, TestEnv};
use crate::{User, kinds};
use alcove_object::{Gvk, Gvr, Status, Value, condition, selector::Fields};
use alcove_schema::Minor;
use serde_json::json;
use std::sync::Arc;
use tokio::task::JoinSet;

struct World {
    server: Server,
    client: Client,
    _tasks: JoinSet<()>,
}

fn crds() -> Gvr {
    Gvr::new("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

fn tabs(version: &str) -> Gvr {
    Gvr::new("stable.example.com", version, "crontabs")
}

fn version(name: &str, spec: Value) -> Value {
    json!({
        "name": name, "served": true, "storage": name == "v1",
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": spec, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }}},
        "subresources": {"status": {}, "scale": {
            "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }},
        "selectableFields": [{"jsonPath": ".spec.cronSpec"}],
        "additionalPrinterColumns": [{"name": "Cron", "type": "string", "jsonPath": ".spec.cronSpec"}],
    })
}

fn spec() -> Value {
    json!({"type": "object", "required": ["cronSpec"], "properties": {
        "cronSpec": {"type": "string", "pattern": "^[0-9* ]+$"},
        "replicas": {"type": "integer", "minimum": 0, "default": 1},
    }})
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "crontabs.stable.example.com"},
        "spec": {
            "group": "stable.example.com", "scope": "Namespaced",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"]},
            "versions": [version("v1", spec())],
        },
    })
}

fn tab(name: &str) -> Value {
    json!({
        "apiVersion": "stable.example.com/v1", "kind": "CronTab",
        "metadata": {"name": name}, "spec": {"cronSpec": "* * 5"},
    })
}

impl World {
    async fn new() -> World {
        let env = Arc::new(TestEnv::new(11));
        let server = testing::server(kinds::resources(Minor::DEFAULT), env);
        crate::bootstrap(&server, &[]).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(Definitions::load(&server).unwrap().run());
        let client = server.client(User::component("tester"), "tester");
        World { server, client, _tasks: tasks }
    }

    /// A world in which the definition is established.
    async fn with(definition: Value) -> World {
        let world = World::new().await;
        world.define(definition).await;
        world
    }

    async fn define(&self, definition: Value) -> Value {
        let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
        self.client.create(&crds(), "", definition).await.unwrap();
        self.until(&name, |crd| crd.is_some_and(|crd| condition::is_true(crd, "Established"))).await.unwrap()
    }

    /// Waits until a definition is as asked for; gives it as it is then.
    async fn until(&self, name: &str, is: impl Fn(Option<&Value>) -> bool) -> Option<Value> {
        let mut watch = self.client.watch(&crds(), "", &ListOptions::default()).unwrap();
        loop {
            for event in watch.next().await.unwrap().unwrap() {
                let now = match event {
                    Event::Added(o) | Event::Modified(o) if o.name() == name => Some(o.parse()),
                    Event::Deleted(o) if o.name() == name => None,
                    _ => continue,
                };
                if is(now.as_ref()) {
                    return now;
                }
            }
        }
    }

    async fn create(&self, object: Value) -> Result<Value, Status> {
        let version = object["apiVersion"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        Ok(self.client.create(&tabs(&version), "default", object).await?.parse())
    }
}

#[tokio::test]
async fn a_definition_is_established_and_served() {
    let world = World::new().await;
    let crd = world.define(definition()).await;
    assert_eq!(
        crd["status"]["acceptedNames"],
        json!({"plural": "crontabs", "singular": "crontab", "kind": "CronTab", "listKind": "CronTabList",
               "shortNames": ["ct"], "categories": ["all"]})
    );
    assert_eq!(crd["status"]["storedVersions"], json!(["v1"]));
    let made = world.create(tab("a")).await.unwrap();
    assert_eq!(made["spec"], json!({"cronSpec": "* * 5", "replicas": 1}), "defaulted");
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "tester");
    let registry = world.server.registry();
    let resource = registry.kind(&Gvk::new("stable.example.com", "v1", "CronTab")).unwrap();
    assert_eq!(resource.list_kind(), "CronTabList");
    assert_eq!(resource.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["Name", "Cron"]);
}

#[tokio::test]
async fn wrong_instances_are_refused() {
    let world = World::with(definition()).await;
    for (pointer, value, expected) in [
        (
            "/spec/cronSpec",
            json!("daily"),
            "spec.cronSpec: Invalid value: \"daily\": spec.cronSpec in body should match '^[0-9* ]+$'",
        ),
        (
            "/spec/cronSpec",
            json!(5),
            "spec.cronSpec: Invalid value: \"integer\": spec.cronSpec in body must be of type string: \"integer\"",
        ),
        ("/spec", json!({}), "spec.cronSpec: Required value"),
    ] {
        let mut object = tab("a");
        *object.pointer_mut(pointer).unwrap() = value;
        let status = world.create(object).await.unwrap_err();
        let expected = format!("CronTab.stable.example.com \"a\" is invalid: {expected}");
        assert_eq!((status.code, &*status.message), (422, &*expected));
    }
}

#[tokio::test]
async fn unknown_fields_are_pruned_or_refused() {
    let world = World::with(definition()).await;
    let mut object = tab("a");
    object["spec"]["image"] = "x".into();
    let registry = world.server.registry();
    let target = Target::named(&registry, &tabs("v1"), "", "default", "").unwrap();
    let create = async |validation| {
        let options = WriteOptions { field_validation: validation, ..WriteOptions::default() };
        let body = Body::Encoded { bytes: object.to_string().into(), encoding: Encoding::Json };
        world.server.create(&Caller::default(), &target, body, &options).await
    };
    let refused = create(FieldValidation::Strict).await.unwrap_err();
    let expected = "CronTab in version \"v1\" cannot be handled as a CronTab: strict decoding error: unknown field \"spec.image\"";
    assert_eq!((refused.code, &*refused.message), (400, expected));
    let warned = create(FieldValidation::Warn).await.unwrap();
    assert_eq!(warned.warnings, ["unknown field \"spec.image\""]);
    assert_eq!(warned.object.parse()["spec"], json!({"cronSpec": "* * 5", "replicas": 1}));
}

#[tokio::test]
async fn updates_need_a_version_and_count() {
    let world = World::with(definition()).await;
    let made = world.create(tab("a")).await.unwrap();
    let refused = world.client.update(&tabs("v1"), "default", tab("a")).await.unwrap_err();
    assert_eq!(
        refused.message,
        "crontabs.stable.example.com \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
    let mut changed = made.clone();
    changed["spec"]["replicas"] = 3.into();
    changed["status"] = json!({"x": 1});
    let changed = world.client.update(&tabs("v1"), "default", changed).await.unwrap().parse();
    assert_eq!((&changed["metadata"]["generation"], changed.get("status")), (&json!(2), None));
    let mut status = changed.clone();
    status["status"] = json!({"replicas": 3, "selector": "a=b"});
    status["spec"]["replicas"] = 9.into();
    status["metadata"]["labels"] = json!({"a": "b"});
    let written =
        world.client.update_subresource(&tabs("v1"), "status", "default", status).await.unwrap().parse();
    assert_eq!(written["spec"]["replicas"], 3);
    assert_eq!(written["metadata"].get("labels"), None);
    assert_eq!(written["metadata"]["generation"], 2);
    let options = WriteOptions::default();
    let scale = json!({"spec": {"replicas": 5}});
    let scale =
        world.client.patch(&tabs("v1"), "scale", "default", "a", PatchType::Merge, scale, &options).await;
    let scale = scale.unwrap().parse();
    assert_eq!(scale["spec"], json!({"replicas": 5}));
    assert_eq!(scale["status"], json!({"replicas": 3, "selector": "a=b"}));
}

#[tokio::test]
async fn an_apply_owns_what_it_names() {
    let world = World::with(definition()).await;
    let apply = async |manager: &str, patch: Value| {
        let options = WriteOptions { field_manager: manager.into(), ..WriteOptions::default() };
        world.client.patch(&tabs("v1"), "", "default", "a", PatchType::Apply, patch, &options).await
    };
    let mut patch = tab("a");
    patch["metadata"]["labels"] = json!({"x": "y"});
    let made = apply("one", patch).await.unwrap().parse();
    let fields = &made["metadata"]["managedFields"][0]["fieldsV1"];
    assert_eq!(*fields, json!({"f:metadata": {"f:labels": {"f:x": {}}}, "f:spec": {"f:cronSpec": {}}}));
    let mut other = tab("a");
    other["spec"]["cronSpec"] = "1 1 1".into();
    let conflict = apply("two", other).await.unwrap_err();
    assert_eq!(conflict.code, 409);
    assert!(conflict.message.contains("conflict with \"one\": .spec.cronSpec"), "{conflict}");
}

#[tokio::test]
async fn versions_share_objects() {
    let mut crd = definition();
    let mut newer = version("v2", spec());
    newer["storage"] = false.into();
    newer["deprecated"] = false.into();
    crd["spec"]["versions"].as_array_mut().unwrap().push(newer);
    let world = World::with(crd).await;
    world.create(tab("a")).await.unwrap();
    let read = world.client.get(&tabs("v2"), "default", "a").unwrap().parse();
    assert_eq!(read["apiVersion"], "stable.example.com/v2");
    let mut changed = read.clone();
    changed["spec"]["replicas"] = 7.into();
    world.client.update(&tabs("v2"), "default", changed).await.unwrap();
    let read = world.client.get(&tabs("v1"), "default", "a").unwrap().parse();
    assert_eq!(
        (&read["apiVersion"], &read["spec"]["replicas"]),
        (&json!("stable.example.com/v1"), &json!(7))
    );
}

#[tokio::test]
async fn fields_can_be_selected() {
    let world = World::with(definition()).await;
    for (name, cron) in [("a", "1"), ("b", "2")] {
        let mut object = tab(name);
        object["spec"]["cronSpec"] = cron.into();
        world.create(object).await.unwrap();
    }
    let list = |fields: &str| {
        let options = ListOptions { fields: Fields::parse(fields).unwrap(), ..ListOptions::default() };
        world
            .client
            .list(&tabs("v1"), "", &options)
            .map(|list| list.items.iter().map(|o| o.name().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(list("spec.cronSpec=2").unwrap(), ["b"]);
    assert_eq!(list("spec.cronSpec!=2").unwrap(), ["a"]);
    assert_eq!(list("spec.replicas=1").unwrap_err().code, 400);
}

#[tokio::test]
async fn a_new_default_shows_in_what_was_stored_before() {
    let world = World::with(definition()).await;
    world.create(tab("a")).await.unwrap();
    let mut crd = world.client.get(&crds(), "", "crontabs.stable.example.com").unwrap().parse();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["image"] =
        json!({"type": "string", "default": "busybox"});
    let mut changes = world.server.registry_changes();
    changes.borrow_and_update();
    world.client.update(&crds(), "", crd).await.unwrap();
    changes.changed().await.unwrap();
    let read = world.client.get(&tabs("v1"), "default", "a").unwrap().parse();
    assert_eq!(read["spec"]["image"], "busybox");
}

#[tokio::test]
async fn a_definition_takes_its_instances_with_it() {
    let world = World::with(definition()).await;
    let mut held = tab("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    for object in [tab("a"), held] {
        world.create(object).await.unwrap();
    }
    let name = "crontabs.stable.example.com";
    let marked =
        world.client.delete(&crds(), "", name, &DeleteOptions::default()).await.unwrap().unwrap().parse();
    assert_eq!(marked["metadata"]["finalizers"], json!([CLEANUP_FINALIZER]));
    let is_under_way = |crd: Option<&Value>| {
        crd.is_some_and(|crd| {
            let conditions = crd["status"]["conditions"].as_array().unwrap();
            conditions.iter().any(|c| c["reason"] == "InstanceDeletionInProgress")
        })
    };
    world.until(name, is_under_way).await;
    assert_eq!(world.client.get(&tabs("v1"), "default", "a").unwrap_err().code, 404);
    let refused = world.create(tab("b")).await.unwrap_err();
    assert_eq!(
        (refused.code, &*refused.message),
        (
            403,
            "crontabs.stable.example.com \"b\" is forbidden: create not allowed while custom resource definition is terminating"
        )
    );
    let options = WriteOptions::default();
    let let_go = json!({"metadata": {"finalizers": null}});
    world.client.patch(&tabs("v1"), "", "default", "held", PatchType::Merge, let_go, &options).await.unwrap();
    world.until(name, |crd| crd.is_none()).await;
    let mut changes = world.server.registry_changes();
    while world.server.registry().gvr(&tabs("v1")).is_some() {
        changes.changed().await.unwrap();
    }
}

#[tokio::test]
async fn names_are_given_once() {
    let world = World::with(definition()).await;
    let mut other = definition();
    other["metadata"]["name"] = "tabs.stable.example.com".into();
    other["spec"]["names"] = json!({"plural": "tabs", "singular": "tab", "kind": "CronTab"});
    world.client.create(&crds(), "", other).await.unwrap();
    let name = "tabs.stable.example.com";
    let refused = world
        .until(name, |crd| {
            crd.is_some_and(|crd| crd["status"]["conditions"].as_array().is_some_and(|list| !list.is_empty()))
        })
        .await;
    let refused = refused.unwrap();
    let condition = &refused["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"]), (&json!("NamesAccepted"), &json!("False")));
    assert!(world.server.registry().resource("stable.example.com", "v1", "tabs").is_none());
    world.client.delete(&crds(), "", "crontabs.stable.example.com", &DeleteOptions::default()).await.unwrap();
    world.until(name, |crd| crd.is_some_and(|crd| condition::is_true(crd, "Established"))).await;
}

#[tokio::test]
async fn what_was_defined_is_served_again() {
    let world = World::with(definition()).await;
    world.create(tab("a")).await.unwrap();
    // Another start over the same store.
    world.server.replace_resources(kinds::resources(Minor::DEFAULT));
    assert!(world.client.get(&tabs("v1"), "default", "a").is_err());
    let _definitions = Definitions::load(&world.server).unwrap();
    assert_eq!(world.client.get(&tabs("v1"), "default", "a").unwrap().name(), "a");
}

#[tokio::test]
async fn wrong_definitions_are_refused() {
    let world = World::new().await;
    let schema = "/spec/versions/0/schema/openAPIV3Schema";
    for (pointer, value, expected) in [
        (
            "/metadata/name",
            json!("a.b"),
            "metadata.name: Invalid value: \"a.b\": must be spec.names.plural+\".\"+spec.group",
        ),
        (
            "/spec/scope",
            json!("World"),
            "spec.scope: Unsupported value: \"World\": supported values: \"Cluster\", \"Namespaced\"",
        ),
        (
            &format!("{schema}/properties/spec"),
            json!({}),
            "spec.validation.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields",
        ),
        (
            "/spec/preserveUnknownFields",
            json!(true),
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ),
        (
            "/spec/names/listKind",
            json!("CronTab"),
            "spec.names.listKind: Invalid value: \"CronTab\": kind and listKind may not be the same",
        ),
        (
            "/spec/versions/0/additionalPrinterColumns/0/type",
            json!("text"),
            "spec.additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of boolean,date,integer,number,string",
        ),
        (
            "/spec/versions/0/subresources/scale/specReplicasPath",
            json!(".status.x"),
            "spec.subresources.scale.specReplicasPath: Invalid value: \".status.x\": should be a json path under .spec",
        ),
    ] {
        let mut crd = definition();
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        crd.pointer_mut(parent).unwrap()[last] = value;
        // The schema's selectable field goes with the schema.
        if pointer.ends_with("/spec") {
            crd["spec"]["versions"][0]["selectableFields"] = json!([]);
        }
        let status = world.client.create(&crds(), "", crd.clone()).await.unwrap_err();
        let name = crd["metadata"]["name"].as_str().unwrap();
        let expected =
            format!("CustomResourceDefinition.apiextensions.k8s.io {name:?} is invalid: {expected}");
        assert_eq!((status.code, &*status.message), (422, &*expected));
    }
}

#[tokio::test]
async fn a_thousand_versions_are_served() {
    let mut crd = definition();
    let versions = (1..=1000).map(|n| version(&format!("v{n}"), spec()));
    crd["spec"]["versions"] = versions.collect();
    let world = World::with(crd).await;
    world.create(tab("a")).await.unwrap();
    for name in ["v1", "v2", "v1000"] {
        let read = world.client.get(&tabs(name), "default", "a").unwrap().parse();
        assert_eq!(read["apiVersion"], format!("stable.example.com/{name}"));
    }
}

/// A schema of so many properties.
fn wide(properties: usize) -> Value {
    let one =
        json!({"type": "string", "description": "x".repeat(80), "maxLength": 10, "pattern": "^[a-z]*$"});
    let all: serde_json::Map<_, _> = (0..properties).map(|n| (format!("property{n}"), one.clone())).collect();
    json!({"type": "object", "properties": all})
}

#[tokio::test]
async fn a_schema_as_large_as_a_request_is_served() {
    let mut crd = definition();
    crd["spec"]["versions"] = json!([version("v1", wide(18_000))]);
    crd["spec"]["versions"][0].as_object_mut().unwrap().remove("selectableFields");
    let size = crd.to_string().len();
    assert!(size > 2_900_000 && size <= crate::http::limits::BODY_BYTES_MAX, "{size} bytes");
    let world = World::with(crd).await;
    let mut object = tab("a");
    object["spec"] = json!({"property17999": "abc", "unknown": 1});
    assert_eq!(world.create(object.clone()).await.unwrap()["spec"], json!({"property17999": "abc"}));
    object["metadata"]["name"] = "b".into();
    object["spec"] = json!({"property17999": "ABC"});
    assert_eq!(world.create(object).await.unwrap_err().code, 422);
}

#[tokio::test]
async fn schemas_without_end_are_refused() {
    let world = World::new().await;
    let refused = async |schema: Value| {
        let mut crd = definition();
        crd["spec"]["versions"] = json!([version("v1", schema)]);
        crd["spec"]["versions"][0].as_object_mut().unwrap().remove("selectableFields");
        world.client.create(&crds(), "", crd).await.unwrap_err()
    };
    let recursive = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
    let status = refused(recursive).await;
    let expected = "spec.validation.openAPIV3Schema.properties[spec].properties[next].$ref: Forbidden: $ref is not supported";
    assert!(status.code == 422 && status.message.contains(expected), "{status}");
    let deep = (0..60)
        .fold(json!({"type": "string"}), |inner, _| json!({"type": "object", "properties": {"a": inner}}));
    let status = refused(deep).await;
    assert_eq!(status.code, 400, "{status}");
}
