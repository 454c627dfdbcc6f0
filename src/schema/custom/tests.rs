//! Tables: (schema, value) to what is kept, filled in and complained about.

use super::*;
use crate::decode::{Report, conform, decode};
use crate::{Minor, Types, builtin};
use alcove_object::field::{Error, Path};
use alcove_object::{Gvk, Value};
use serde_json::json;

fn cron_tab() -> Gvk {
    Gvk::new("stable.example.com", "v1", "CronTab")
}

fn types(spec: Value) -> Types {
    let schema = json!({ "type": "object", "properties": { "spec": spec } });
    form(&schema, &cron_tab(), &builtin::types(Minor::DEFAULT))
}

/// The spec after decoding and defaulting, and the unknown fields.
fn kept(schema: Value, spec: Value) -> (Value, Vec<String>) {
    let types = types(schema);
    let view = types.kind(&cron_tab()).unwrap();
    let mut object = json!({ "apiVersion": "stable.example.com/v1", "kind": "CronTab", "spec": spec });
    let mut report = Report::default();
    conform(&mut object, view, &mut report).unwrap();
    fill_defaults(&mut object, view);
    let unknown = report.unknown.iter().map(ToString::to_string).collect();
    (object["spec"].clone(), unknown)
}

#[test]
fn what_is_specified_is_kept() {
    let object = |properties: Value| json!({ "type": "object", "properties": properties });
    let text = json!({ "type": "string" });
    for (schema, spec, expected, unknown) in [
        (
            object(json!({"a": text})),
            json!({"a": 1, "b": 2}),
            json!({"a": 1}),
            vec!["unknown field \"spec.b\""],
        ),
        (object(json!({"a": text})), json!({"a": null}), json!({}), vec![]),
        (
            object(json!({"a": {"type": "string", "nullable": true}})),
            json!({"a": null}),
            json!({"a": null}),
            vec![],
        ),
        (
            object(
                json!({"a": {"type": "string", "default": "x"}, "b": {"type": "object", "default": {}, "properties": {"c": {"type": "integer", "default": 3}}}}),
            ),
            json!({"a": null}),
            json!({"a": "x", "b": {"c": 3}}),
            vec![],
        ),
        (
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": object(json!({}))}}),
            json!({"a": {"x": 1}, "b": {"y": 2.0}}),
            json!({"a": {}, "b": {"y": 2}}),
            vec!["unknown field \"spec.a.x\""],
        ),
        (
            json!({"type": "object", "additionalProperties": object(json!({"n": {"type": "number"}}))}),
            json!({"k": {"n": 1.0, "m": 1}}),
            json!({"k": {"n": 1}}),
            vec!["unknown field \"spec.k.m\""],
        ),
        (
            json!({"type": "object", "additionalProperties": true}),
            json!({"k": {"n": null}, "l": null}),
            json!({"k": {"n": null}, "l": null}),
            vec![],
        ),
        (
            object(json!({"l": {"type": "array", "items": object(json!({"a": text}))}})),
            json!({"l": [{"a": "1", "b": 1}, 3]}),
            json!({"l": [{"a": "1"}, 3]}),
            vec!["unknown field \"spec.l[0].b\""],
        ),
        (
            json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "nam": 1}, "spec": {"x": 1}}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"x": 1}}),
            vec!["unknown field \"spec.metadata.nam\""],
        ),
    ] {
        assert_eq!(
            kept(schema.clone(), spec.clone()),
            (expected, unknown.into_iter().map(str::to_owned).collect()),
            "{schema} {spec}"
        );
    }
}

#[test]
fn metadata_is_read_as_that_of_any_kind() {
    let types = types(json!({ "type": "object" }));
    let read = |body: &str| {
        decode(body.as_bytes(), crate::decode::Encoding::Json, Some(&cron_tab()), |k| types.kind(k))
    };
    let found = read(r#"{"metadata":{"name":"a","labels":{"x":1}}}"#).unwrap_err().to_string();
    assert_eq!(found, "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string");
    let decoded = read(r#"{"metadata":{"name":"a","foo":1},"spec":{"b":1},"zz":{}}"#).unwrap();
    let strict: Vec<String> = decoded.strict.iter().map(ToString::to_string).collect();
    assert_eq!(
        strict,
        ["unknown field \"metadata.foo\"", "unknown field \"spec.b\"", "unknown field \"zz\""]
    );
    assert_eq!(
        decoded.value,
        json!({"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": "a"}, "spec": {}})
    );
}

fn complaints(errors: &[Error]) -> Vec<String> {
    errors.iter().map(Error::to_string).collect()
}

#[test]
fn values_are_judged_in_upstreams_words() {
    let spec = |properties: Value| json!({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}});
    for (schema, value, expected) in [
        (
            json!({"type": "integer"}),
            json!("x"),
            "spec.a: Invalid value: \"string\": spec.a in body must be of type integer: \"string\"",
        ),
        (
            json!({"type": "string"}),
            json!(null),
            "spec.a: Invalid value: \"null\": spec.a in body must be of type string: \"null\"",
        ),
        (
            json!({"type": "string"}),
            json!(1),
            "spec.a: Invalid value: \"integer\": spec.a in body must be of type string: \"integer\"",
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            "spec.a: Invalid value: \"boolean\": spec.a in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            "spec.a: Invalid value: \"b\": spec.a in body should match '^a+$'",
        ),
        (
            json!({"type": "string", "maxLength": 2}),
            json!("bbb"),
            "spec.a: Too long: may not be more than 2 bytes",
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("b"),
            "spec.a: Invalid value: \"b\": spec.a in body should be at least 2 chars long",
        ),
        (
            json!({"type": "string", "format": "date"}),
            json!("b"),
            "spec.a: Invalid value: \"b\": spec.a in body must be of type date: \"b\"",
        ),
        (
            json!({"type": "string", "enum": ["x", "y"]}),
            json!("b"),
            "spec.a: Unsupported value: \"b\": supported values: \"x\", \"y\"",
        ),
        (
            json!({"type": "integer", "minimum": 1}),
            json!(0),
            "spec.a: Invalid value: 0: spec.a in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "integer", "maximum": 1, "exclusiveMaximum": true}),
            json!(1),
            "spec.a: Invalid value: 1: spec.a in body should be less than 1",
        ),
        (
            json!({"type": "number", "multipleOf": 0.5}),
            json!(0.7),
            "spec.a: Invalid value: 0.7: spec.a in body should be a multiple of 0.5",
        ),
        (
            json!({"type": "integer", "format": "int32"}),
            json!(3_000_000_000_i64),
            "<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in spec.a",
        ),
        (
            json!({"type": "array", "maxItems": 1, "items": {"type": "string"}}),
            json!(["a", "b"]),
            "spec.a: Too many: 2: must have at most 1 item",
        ),
        (
            json!({"type": "array", "minItems": 1, "items": {"type": "string"}}),
            json!([]),
            "spec.a: Invalid value: 0: spec.a in body should have at least 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!([1]),
            "spec.a[0]: Invalid value: \"integer\": spec.a[0] in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "object", "required": ["b"], "properties": {}}),
            json!({}),
            "spec.a.b: Required value",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"k": 1}),
            "spec.a.k: Invalid value: \"integer\": spec.a.k in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "integer", "not": {"enum": [1]}}),
            json!(1),
            "<nil>: Invalid value: \"\": \"spec.a\" must not validate the schema (not)",
        ),
        (
            json!({"type": "integer", "oneOf": [{"minimum": 1}, {"maximum": 5}]}),
            json!(3),
            "<nil>: Invalid value: \"\": \"spec.a\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ),
    ] {
        let rules = Rules::compile(&spec(json!({ "a": schema.clone() }))).unwrap();
        assert_eq!(complaints(&rules.errors(&json!({"spec": {"a": value}}), None)), [expected], "{schema}");
    }
    let either = Rules::compile(&spec(json!({"a": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}}))).unwrap();
    for good in [json!(1), json!("50%")] {
        assert!(either.errors(&json!({"spec": {"a": good}}), None).is_empty());
    }
}

#[test]
fn what_was_wrong_before_is_not_told_again() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string", "maxLength": 1},
        "l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
              "items": {"type": "object", "properties": {"k": {"type": "string"}, "n": {"type": "integer", "minimum": 5}}}},
    }}}});
    let rules = Rules::compile(&schema).unwrap();
    let old = json!({"spec": {"a": "long", "l": [{"k": "x", "n": 1}]}});
    let same = json!({"spec": {"a": "long", "l": [{"k": "y", "n": 5}, {"k": "x", "n": 1}]}});
    assert_eq!(complaints(&rules.errors(&same, Some(&old))), Vec::<String>::new());
    let worse = json!({"spec": {"a": "longer", "l": [{"k": "x", "n": 2}]}});
    assert_eq!(
        complaints(&rules.errors(&worse, Some(&old))),
        [
            "spec.a: Too long: may not be more than 1 byte",
            "spec.l[0].n: Invalid value: 2: spec.l[0].n in body should be greater than or equal to 5",
        ]
    );
}

#[test]
fn items_of_sets_and_maps_are_there_once() {
    let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
    let map = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": {"type": "object", "properties": {"k": {"type": "string"}}}});
    for (schema, value, expected) in [
        (&set, json!(["a", "b", "a", "a"]), vec!["spec.l[2]: Duplicate value: \"a\""]),
        (&set, json!(["a", "b"]), vec![]),
        (&map, json!([{"k": "a"}, {"k": "a", "x": 1}]), vec!["spec.l[1]: Duplicate value: {\"k\":\"a\"}"]),
        (&map, json!([{"k": "a"}, {"k": "b"}]), vec![]),
    ] {
        let types = types(json!({"type": "object", "properties": {"l": schema}}));
        let view = types.kind(&cron_tab()).unwrap();
        let object = json!({"spec": {"l": value}});
        assert_eq!(complaints(&Rules::list_errors(&object, None, view)), expected);
        assert!(Rules::list_errors(&object, Some(&object), view).is_empty(), "ratcheted");
    }
}

#[test]
fn schemas_are_judged_when_they_are_written() {
    let root = |properties: Value| json!({"type": "object", "properties": properties});
    for (schema, expected) in [
        (root(json!({"a": {"type": "string"}})), ""),
        (json!({}), "s.type: Required value: must not be empty at the root"),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            "s.type: Invalid value: \"array\": must be object at the root",
        ),
        (
            root(json!({"a": {}})),
            "s.properties[a].type: Required value: must not be empty for specified object fields",
        ),
        (root(json!({"a": {"type": "array"}})), "s.properties[a].items: Required value: must be specified"),
        (
            root(json!({"a": {"type": "text"}})),
            "s.properties[a].type: Unsupported value: \"text\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
        ),
        (
            root(json!({"a": {"type": "string", "pattern": "("}})),
            "s.properties[a].pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: ",
        ),
        (
            root(json!({"a": {"type": "string", "anyOf": [{"type": "string"}]}})),
            "s.properties[a].anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            json!({"type": "object", "anyOf": [{"required": ["b"], "properties": {"b": {"minimum": 1}}}]}),
            "s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]",
        ),
        (
            root(
                json!({"a": {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": {"type": "string"}}}),
            ),
            "s.properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ),
        (
            root(json!({"a": {"type": "integer", "default": "x"}})),
            "s.properties[a].default: Invalid value: \"string\":  in body must be of type integer: \"string\"",
        ),
        (
            root(json!({"a": {"type": "object", "default": {"b": 1}}})),
            "s.properties[a].default: Invalid value: {\"b\":1}: must not have unknown fields",
        ),
        (
            root(json!({"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}})),
            "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
        ),
        (
            root(
                json!({"a": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object", "properties": {"k": {"type": "string"}}}}}),
            ),
            "s.properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
        ),
        (
            root(json!({"a": {"type": "string", "uniqueItems": true}})),
            "s.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
    ] {
        let found = complaints(&definition::errors(&schema, None, false, &Path::new("s")));
        match expected {
            "" => assert!(found.is_empty(), "{schema}: {found:?}"),
            _ => assert!(found.len() == 1 && found[0].starts_with(expected), "{schema}: {found:?}"),
        }
    }
}
