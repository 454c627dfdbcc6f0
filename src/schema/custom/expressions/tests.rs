//! Definitions and objects, and what kube-apiserver 1.36.3 said to them: recorded from a real one.

use crate::custom::{Rules, definition};
use alcove_object::field::{Error, Path};
use serde_json::{Value, json};

const RECORDED: &str = include_str!("testdata/upstream.json");

fn in_object(spec: &Value) -> Value {
    json!({ "type": "object", "properties": { "spec": spec } })
}

/// Errors as the Status of a request shows them.
fn shown(errors: &[Error]) -> String {
    match errors {
        [one] => one.to_string(),
        [] => String::new(),
        many => {
            let many: Vec<String> = many.iter().map(ToString::to_string).collect();
            format!("[{}]", many.join(", "))
        }
    }
}

#[test]
fn definitions_are_judged_as_upstream_judges_them() {
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    let path = Path::new("spec").child("validation").child("openAPIV3Schema");
    let mut wrong = Vec::new();
    for case in recorded["definitions"].as_array().unwrap() {
        let found = shown(&definition::errors(&in_object(&case["schema"]), None, false, &path));
        if found != case["message"] {
            wrong.push(format!("{}\n  ours:   {found}\n  theirs: {}", case["name"], case["message"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn objects_are_judged_as_upstream_judges_them() {
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    let mut wrong = Vec::new();
    for case in recorded["objects"].as_array().unwrap() {
        let schema = in_object(&case["schema"]);
        let refused = definition::errors(&schema, None, false, &Path::default());
        assert!(refused.is_empty(), "{}: {}", case["name"], shown(&refused));
        let rules = Rules::compile(&schema).unwrap();
        let mut stored: Option<Value> = None;
        for step in case["steps"].as_array().unwrap() {
            let object = json!({ "spec": step["spec"] });
            let mut errors = rules.errors(&object, stored.as_ref());
            errors.extend(rules.expression_errors(&object, stored.as_ref(), &errors));
            // Go visits the properties of an object in any order.
            let mut found: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let theirs = step["message"].as_str().unwrap();
            let is_same = match errors.as_slice() {
                [] | [_] => shown(&errors) == theirs,
                _ => {
                    found.sort();
                    let total: usize = found.iter().map(|error| error.len() + 2).sum();
                    found.iter().all(|error| theirs.contains(error.as_str())) && total == theirs.len()
                }
            };
            if !is_same {
                wrong.push(format!("{}\n  ours:   {}\n  theirs: {theirs}", case["name"], shown(&errors)));
            }
            if errors.is_empty() {
                stored = Some(object);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_was_wrong_before_and_was_not_touched_is_no_error() {
    let schema = in_object(&json!({"type": "object", "properties": {
        "a": {"type": "string", "x-kubernetes-validations": [{"rule": "self == 'x'"}]},
        "b": {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]},
    }}));
    let rules = Rules::compile(&schema).unwrap();
    let object = |a: &str, b: i64| json!({"spec": {"a": a, "b": b}});
    for (old, new, expected) in [
        (object("bad", 1), object("bad", 2), ""),
        (object("bad", 1), object("worse", 2), "spec.a: Invalid value: \"worse\": failed rule: self == 'x'"),
        (object("bad", 3), object("bad", 2), "spec.b: Invalid value: 2: failed rule: self >= oldSelf"),
    ] {
        let found = rules.expression_errors(&new, Some(&old), &[]);
        assert_eq!(shown(&found), expected, "{old} {new}");
    }
}

/// Estimates that upstream's tests hold fast
/// (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/compilation_test.go: TestCostEstimation).
#[test]
fn costs_are_estimated_as_upstream_estimates_them() {
    let list = |kind: &str, max: Option<i64>| match max {
        Some(max) => json!({"type": "array", "maxItems": max, "items": {"type": kind}}),
        None => json!({"type": "array", "items": {"type": kind}}),
    };
    let map = |kind: &str| json!({"type": "object", "additionalProperties": {"type": kind}});
    let text = |max: Option<i64>| match max {
        Some(max) => json!({"type": "string", "maxLength": max}),
        None => json!({"type": "string"}),
    };
    for (schema, rule, expected) in [
        (list("number", None), "self.all(x, true)", 4_718_591),
        (list("number", Some(10)), "self.all(x, true)", 32),
        (list("string", None), "self.all(x, true)", 3_145_727),
        (list("boolean", None), "self.all(x, true)", 1_887_437),
        (map("number"), "self.all(x, true)", 1_348_169),
        (map("string"), "self.all(x, true)", 1_179_647),
        (map("boolean"), "self.all(x, true)", 943_718),
        (text(None), "self.contains('test')", 314_574),
        (text(Some(10)), "self.contains('test')", 5),
        (text(None), "self.startsWith('test')", 2),
        (text(None), "size(self + \"hello\") > size(\"hello\")", 314_578),
        (text(Some(4)), "size(self + \"hello\") > size(\"hello\")", 7),
        (list("number", None), "self[1] == 0.0", 2),
        (list("string", None), "self[1] == self[1]", 314_577),
        (list("number", Some(10)), "self.all(x, self.all(y, self.all(z, true)))", 3552),
        (text(None), "self.matches(\"x\")", 314_574),
        (text(Some(50)), "self.matches(\"x\")", 22),
        (text(None), "\"\".matches(\"(((((((((())))))))))[0-9]\")", 7),
        (text(None), "self == \"x\"", 2),
        (list("number", Some(3 * 1024 * 2048)), "self.all(x, x == 0.0)", 25_165_826),
        (json!({"x-kubernetes-int-or-string": true}), "type(self) == int && self == 5", 314_578),
    ] {
        let decl = super::declare(&schema, false).unwrap();
        let program = alcove_cel::Program::compile(rule, &super::variables(&decl, false)).unwrap();
        assert_eq!(program.cost_max(), expected, "{rule} over {schema}");
    }
}
