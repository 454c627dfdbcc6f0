//! Tables: (policy, binding) to the ConfigMap that is stored, or the refusal.

use super::{World, config_map, config_maps};
use crate::options::WriteOptions;
use crate::rest::{Body, Caller, Target};
use alcove_object::Value;
use serde_json::json;

const KIND: &str = "MutatingAdmissionPolicy";

fn configuration(source: &str) -> Value {
    json!({"mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": source}}]})
}

fn operations(source: &str) -> Value {
    json!({"mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": source}}]})
}

fn with(mut policy: Value, more: Value) -> Value {
    super::merge(&mut policy, &more);
    policy
}

async fn bind(world: &World, name: &str, policy: &Value, binding: &Value) {
    world.bind(KIND, name, json!({"reinvocationPolicy": "Never"}), policy, binding).await;
}

/// A ConfigMap as the tables speak of it.
fn shown(created: Result<Value, (u16, String)>) -> String {
    match created {
        Err((code, message)) => format!("{code} {message}"),
        Ok(object) => {
            let labels = object["metadata"].get("labels").map(|labels| format!(" {labels}"));
            format!("{}{}", object["data"], labels.unwrap_or_default())
        }
    }
}

#[tokio::test]
async fn policies_change() {
    let params = json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}});
    let named = json!({"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}});
    let add = |value: &str| operations(&format!("[JSONPatch{{op: 'add', path: '/data/a', value: {value}}}]"));
    let plain = r#"{"size":"5"}"#;
    let refused = |why: &str| format!("403 policy 'p' with binding 'p' denied request: {why}");
    for (policy, binding, expected) in [
        (
            configuration("Object{metadata: Object.metadata{labels: {'a': object.data.size}}}"),
            json!({}),
            r#"{"size":"5"} {"a":"5"}"#.to_owned(),
        ),
        (
            configuration("Object{data: {'size': '6', 'b': 'c'}}"),
            json!({}),
            r#"{"b":"c","size":"6"}"#.to_owned(),
        ),
        (configuration("Object{}"), json!({}), plain.to_owned()),
        (
            configuration("Object{datum: {'size': '6'}}"),
            json!({}),
            refused(
                "error applying patch: failed to convert patch object to typed object: .datum: field not declared in schema",
            ),
        ),
        (
            configuration("Object{metadata: Object.wrong{}}"),
            json!({}),
            refused(
                "type mismatch: unexpected type name \"Object.wrong\", expected \"Object.metadata\", which matches field name path from root Object type",
            ),
        ),
        (
            configuration("Object{data: {'size': object.data.none}}"),
            json!({}),
            refused(
                "expression 'Object{data: {'size': object.data.none}}' resulted in error: no such key: none",
            ),
        ),
        (
            with(
                configuration("Object{data: {'size': object.data.none}}"),
                json!({"failurePolicy": "Ignore"}),
            ),
            json!({}),
            plain.to_owned(),
        ),
        (add("'b'"), json!({}), r#"{"a":"b","size":"5"}"#.to_owned()),
        (
            operations(
                "has(object.metadata.labels) ? [] : [JSONPatch{op: 'add', path: '/metadata/labels', value: {}}, JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a.b/c'), value: 'd'}, JSONPatch{op: 'move', from: '/data/size', path: '/data/large'}]",
            ),
            json!({}),
            r#"{"large":"5"} {"a.b/c":"d"}"#.to_owned(),
        ),
        (
            operations(
                "[JSONPatch{op: 'test', path: '/data/size', value: '6'}, JSONPatch{op: 'remove', path: '/data'}]",
            ),
            json!({}),
            plain.to_owned(),
        ),
        (
            operations("[JSONPatch{op: 'remove', path: '/data/none'}]"),
            json!({}),
            refused(
                "JSON Patch: error in remove for path: '/data/none': Unable to remove nonexistent key: none: missing value",
            ),
        ),
        (
            operations("[JSONPatch{op: 'add', path: '/none', value: 1}]"),
            json!({}),
            "500 Internal error occurred: strict decoding error: unknown field \"none\"".to_owned(),
        ),
        (
            json!({"mutations": [
                {"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/data/a', value: 'b'}]"}},
                {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{data: {'c': object.data.a + 'c'}}"}},
            ]}),
            json!({}),
            r#"{"a":"b","c":"bc","size":"5"}"#.to_owned(),
        ),
        (
            with(
                add("variables.b"),
                json!({"variables": [{"name": "b", "expression": "string(int(object.data.size) + 1)"}]}),
            ),
            json!({}),
            r#"{"a":"6","size":"5"}"#.to_owned(),
        ),
        (with(add("params.data.size"), params.clone()), named, r#"{"a":"3","size":"5"}"#.to_owned()),
        (
            with(add("params.data.size"), params.clone()),
            json!({"paramRef": {"name": "none", "parameterNotFoundAction": "Allow"}}),
            plain.to_owned(),
        ),
        (
            with(add("params.data.size"), params),
            json!({"paramRef": {"name": "none", "parameterNotFoundAction": "Deny"}}),
            refused(
                "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
            ),
        ),
        (
            with(
                add("'b'"),
                json!({"matchConditions": [{"name": "c", "expression": "object.metadata.name != 'x'"}]}),
            ),
            json!({}),
            plain.to_owned(),
        ),
        (
            add("'b'"),
            json!({"matchResources": {"namespaceSelector": {"matchLabels": {"tier": "high"}}}}),
            plain.to_owned(),
        ),
        (
            add("namespaceObject.metadata.labels.tier"),
            json!({"matchResources": {"namespaceSelector": {"matchLabels": {"tier": "low"}}}}),
            r#"{"a":"low","size":"5"}"#.to_owned(),
        ),
    ] {
        let world = World::new().await;
        bind(&world, "p", &policy, &binding).await;
        assert_eq!(shown(world.create().await), expected, "{policy} {binding}");
    }
}

/// Each appends its letter if it was not the last to do so.
#[tokio::test]
async fn policies_are_asked_by_name_and_again_if_they_want() {
    for (again, expected) in [
        ([false, false], r#"{"size":"5ab"}"#),
        ([true, false], r#"{"size":"5aba"}"#),
        ([true, true], r#"{"size":"5abab"}"#),
        ([false, true], r#"{"size":"5ab"}"#),
    ] {
        let world = World::new().await;
        for (letter, again) in ["b", "a"].into_iter().zip([again[1], again[0]]) {
            let policy = configuration(&format!(
                "Object{{data: {{'size': object.data.size + (object.data.size.endsWith('{letter}') ? '' : '{letter}')}}}}"
            ));
            let when = if again { "IfNeeded" } else { "Never" };
            bind(&world, letter, &with(policy, json!({"reinvocationPolicy": when})), &json!({})).await;
        }
        assert_eq!(shown(world.create().await), expected, "{again:?}");
    }
}

#[tokio::test]
async fn a_dry_run_is_changed_too_and_policies_are_never() {
    let world = World::new().await;
    let everything = json!({"matchConstraints": {"resourceRules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]}});
    let policy =
        with(configuration("Object{metadata: Object.metadata{annotations: {'a': 'b'}}}"), everything);
    bind(&world, "p", &policy, &json!({})).await;
    let registry = world.server.registry();
    let target = Target::named(&registry, &config_maps(), "", "default", "").unwrap();
    let options = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let body = Body::Tree(config_map("x", "5"));
    let made = world.server.create(&Caller::default(), &target, body, &options).await.unwrap();
    assert_eq!(made.object.parse()["metadata"]["annotations"], json!({"a": "b"}));
    bind(&world, "q", &configuration("Object{}"), &json!({})).await;
    let policies = alcove_object::Gvr::new("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies");
    let stored = world.client.get(&policies, "", "q").unwrap().parse();
    assert_eq!(stored["metadata"].get("annotations"), None);
}
