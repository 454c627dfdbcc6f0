//! Whole operations, in turn, each with the object and the owners that upstream's field manager makes of it
//! (`testdata/operations.yaml`: k8s.io/apimachinery v0.36.3 over the types of Kubernetes 1.36).
//!
//! Objects are compared without empty maps: upstream's are Go structs, which write some that nobody set.

use super::*;
use crate::types::Field;
use crate::{ListKind, Minor, Schema, SchemaId, Shape, Types};
use serde_json::json;

const OPERATIONS: &str = include_str!("testdata/operations.yaml");
const TIME: &str = "2026-11-21T09:30:00Z";

#[test]
fn operations_end_as_upstream_has_them() {
    let file = crate::decode::parse_yaml(OPERATIONS.as_bytes()).expect("yaml").value;
    let scenarios = file.as_array().expect("a list");
    assert!(scenarios.len() > 10);
    let mut wrong = Vec::new();
    for scenario in scenarios {
        let kind = Gvk::from_api_version(text(scenario, "apiVersion"), text(scenario, "kind"));
        let types = types_with_widget();
        let schema = types.kind(&kind).expect("known kind");
        let mut live = None;
        for (at, step) in scenario["steps"].as_array().expect("steps").iter().enumerate() {
            let about = format!("{} #{at}", text(scenario, "name"));
            if let Err(why) = run(step, schema, &kind, &mut live) {
                wrong.push(format!("{about}: {why}"));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn run(step: &Value, schema: View<'_>, kind: &Gvk, live: &mut Option<Value>) -> Result<(), String> {
    let api_version = &*kind.api_version();
    let (name, is_apply) = match step.get("apply") {
        Some(name) => (name, true),
        None => (&step["update"], false),
    };
    let name = name.as_str().expect("manager");
    let manager = Manager { name, api_version, subresource: text(step, "subresource"), time: TIME };
    let reset: Vec<&str> = step["reset"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let force = step["force"] == true;
    let mut object = step["object"].clone();
    let result = if is_apply {
        let patch = Tree::from(&object);
        let whole = apply(live.as_ref(), &patch, schema, &manager, force, &reset);
        if let Some(live) = live {
            let (bare, owners) = apart(live);
            let parts = apply_apart(&bare, &owners, &patch, schema, &manager, force, &reset);
            same(&parts.map_err(|e| e.to_string()), &whole.as_ref().map(apart).map_err(|e| e.to_string()))?;
        }
        whole
    } else {
        track_update(live.as_ref(), &mut object, schema, &manager, &reset).map(|()| object)
    };
    let mut object = match (result, step.get("error").and_then(Value::as_str)) {
        (Err(error), Some(expected)) => return same(&sorted(&error.to_string()), &sorted(expected)),
        (Err(error), None) => return Err(error.to_string()),
        (Ok(_), Some(expected)) => return Err(format!("no error, expected {expected}")),
        (Ok(object), None) => object,
    };
    let owners = managed::entries(Some(&object)).to_vec();
    same(&owners.iter().map(show_owner).collect::<Vec<_>>(), &expected_owners(&step["owners"]))?;
    meta::set(&mut object, "uid", meta::uid(&step["result"]));
    managed::put(&mut object, None);
    if kind.group != "example.com" {
        crate::decode::conform(&mut object, schema, &mut Default::default()).expect("fits its type");
        crate::decode::fill(&mut object, schema);
    }
    same(&without_empty(&object), &without_empty(&step["result"]))?;
    let mut stored = step["result"].clone();
    managed::put(&mut stored, (!owners.is_empty()).then_some(Value::Array(owners)));
    *live = Some(stored);
    Ok(())
}

/// An object without its managed fields, and their text.
fn apart(object: &Value) -> (Value, String) {
    let owners = managed::entries(Some(object));
    let text = if owners.is_empty() { String::new() } else { Value::from(owners).to_string() };
    let mut bare = object.clone();
    managed::put(&mut bare, None);
    (bare, text)
}

#[test]
fn texts_are_those_of_trees() {
    let sets = [
        json!({}),
        json!({"f:a": {}, "f:b": {".": {}, "f:c": {}}}),
        json!({"f:\"quoted\\": {}, "f:ü": {"f:": {}}}),
        json!({"k:{\"port\":443}": {".": {}, "f:x": {}}, "k:{\"port\":80}": {}, "k:{\"port\":8080}": {}}),
        json!({"v:10": {}, "v:9": {}, "v:\"a\"": {}, "v:true": {}, "i:10": {}, "i:9": {}, "f:z": {}}),
    ];
    for tree in sets {
        let text = tree.to_string();
        let (from_tree, from_text) = (fields::decode(&tree).unwrap(), fields::decode_text(&text).unwrap());
        assert_eq!(from_tree, from_text, "{text}");
        let mut written = Vec::new();
        fields::encode_text(&from_text, &mut written);
        assert_eq!(String::from_utf8(written).unwrap(), text);
    }
    for wrong in ["[]", "1", "{\"a\":{}}", "{\"k:1\":{}}", "{\"f:a\":1}"] {
        assert!(fields::decode_text(wrong).is_err() && fields::decode(&wrong.parse().unwrap()).is_err());
    }
}

#[test]
fn times_alone_change_nothing_in_texts() {
    let owners = |time: &str, manager: &str| {
        json!([{"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}, "manager": manager,
            "operation": "Apply", "time": time}])
        .to_string()
    };
    let (live, other) = (json!({"data": {"a": "b"}}), json!({"data": {"a": "c"}}));
    let (before, now, hers) = (owners("2026-01-01T00:00:00Z", "m"), owners(TIME, "m"), owners(TIME, "n"));
    assert_eq!(keep_times_apart(&live, &before, &live, now.clone()), before);
    assert_eq!(keep_times_apart(&live, &before, &other, now.clone()), now);
    assert_eq!(keep_times_apart(&live, &before, &live, hers.clone()), hers);
    assert_eq!(keep_times_apart(&live, "", &live, now.clone()), now);
}

fn same<T: PartialEq + serde::Serialize>(got: &T, expected: &T) -> Result<(), String> {
    let json = |value: &T| serde_json::to_string(value).expect("json");
    if got == expected {
        Ok(())
    } else {
        Err(format!("\n     got {}\nexpected {}", json(got), json(expected)))
    }
}

/// Lines of errors come in no order upstream.
fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// `MANAGER OPERATION[/SUBRESOURCE] APIVERSION[ timed]`, and the fields.
fn show_owner(entry: &Value) -> (String, Value) {
    let subresource = match text(entry, "subresource") {
        "" => String::new(),
        name => format!("/{name}"),
    };
    let timed = if text(entry, "time").is_empty() { "" } else { " timed" };
    let (manager, operation) = (text(entry, "manager"), text(entry, "operation"));
    let head = format!("{manager} {operation}{subresource} {}{timed}", text(entry, "apiVersion"));
    (head, entry["fieldsV1"].clone())
}

fn expected_owners(owners: &Value) -> Vec<(String, Value)> {
    let owners = owners.as_array().into_iter().flatten();
    let split = |owner: &Value| {
        let (head, fields) = owner.as_str().expect("text").split_once(": ").expect("owner");
        (head.to_owned(), serde_json::from_str(fields).expect("json"))
    };
    owners.map(split).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Without empty maps and nulls in maps, at any depth.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().map(|(key, value)| (key.clone(), without_empty(value)));
            let empty = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
            Value::Object(kept.filter(|(_, value)| !empty(value)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_empty).collect()),
        Value::Number(n) => json!(n.as_f64()),
        other => other.clone(),
    }
}

/// The built-in types and a custom resource, as its definition would make it.
fn types_with_widget() -> Types {
    let mut types = (*crate::builtin::types(Minor(36))).clone();
    let string = types.add(Schema::of(Shape::String));
    let integer = types.add(Schema::of(Shape::Int64));
    let plain = types.add(Schema::of(Shape::List(string)));
    let set = |item| Schema { list: ListKind::Set, ..Schema::of(Shape::List(item)) };
    let tags = types.add(set(string));
    let numbers = types.add(set(integer));
    let fields = |fields: &[(&str, SchemaId)]| -> Schema {
        Schema::of(Shape::Struct(fields.iter().map(|(name, id)| Field::of(*name, *id)).collect()))
    };
    let free = types.add(Schema { preserve_unknown: true, ..fields(&[]) });
    let whole = types.add(Schema { atomic: true, ..fields(&[("a", string), ("b", string)]) });
    let port = Field { default: Some(json!(80)), ..Field::of("port", integer) };
    let rule = [Field::of("host", string), port, Field::of("to", string)];
    let rule = types.add(Schema::of(Shape::Struct(rule.into())));
    let keys = ListKind::Map(["host".into(), "port".into()].into());
    let rules = types.add(Schema { list: keys, ..Schema::of(Shape::List(rule)) });
    let spec = types.add(fields(&[
        ("free", free),
        ("numbers", numbers),
        ("plain", plain),
        ("rules", rules),
        ("size", integer),
        ("tags", tags),
        ("whole", whole),
    ]));
    let kinds = [Gvk::new("example.com", "v1", "Widget")].into();
    types.add(Schema { kinds, ..fields(&[("spec", spec)]) });
    types
}
