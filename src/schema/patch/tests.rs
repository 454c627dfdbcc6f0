//! The cases are data: `cases.json` holds kind, original, patch, and what upstream's libraries make of them.
//! The kinds `json` and `merge` stand for JSON patch and JSON merge patch.

use super::*;
use crate::{Minor, builtin, limits};
use alcove_object::Gvk;
use serde_json::json;

fn run(kind: &str, original: &Value, patch: &Value) -> Result<Value, PatchError> {
    let mut document = original.clone();
    match kind {
        "json" => json_patch(&mut document, patch).map(|()| document),
        "merge" => merge_patch(&mut document, patch).map(|()| document),
        kind => {
            let (api_version, kind) = kind.rsplit_once('/').unwrap();
            let types = builtin::types(Minor::DEFAULT);
            strategic_merge(original, patch, types.kind(&Gvk::from_api_version(api_version, kind)).unwrap())
        }
    }
}

#[test]
fn patches_do_what_upstream_does() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("cases.json")).unwrap();
    for case in &cases {
        let result = run(case["kind"].as_str().unwrap(), &case["original"], &case["patch"]);
        match case.get("expected") {
            Some(expected) => assert_eq!(result.as_ref(), Ok(expected), "{case}"),
            // Texts of JSON patches are never shown, so they need not be the same.
            None if case["kind"] == "json" => assert!(result.is_err(), "{case}"),
            None => assert_eq!(result.unwrap_err().to_string(), case["error"].as_str().unwrap(), "{case}"),
        }
    }
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

#[test]
fn patches_and_what_they_make_have_a_depth() {
    let deep = nested(limits::DEPTH_MAX + 1);
    for kind in ["json", "merge", "v1/Pod"] {
        let error = run(kind, &json!({}), &deep).unwrap_err();
        assert_eq!(error.to_string(), "the patch nests deeper than 100 levels", "{kind}");
    }
    assert!(run("merge", &json!({}), &nested(limits::DEPTH_MAX)).is_ok());
    // Each copy of the object into itself doubles its depth.
    let copies = |n: usize| Value::from(vec![json!({"op": "copy", "from": "/a", "path": "/a/b"}); n]);
    assert!(run("json", &json!({"a": {}}), &copies(6)).is_ok());
    let error = run(
        "json",
        &json!({"a": {}}),
        &json!([
            {"op": "add", "path": "/a", "value": nested(60)},
            {"op": "copy", "from": "/a", "path": format!("/a{}", "/a".repeat(59))},
        ]),
    );
    assert_eq!(error.unwrap_err().to_string(), "the patched object would nest deeper than 100 levels");
}

#[test]
fn copies_have_a_size() {
    let original = json!({"a": "x".repeat(1024 * 1024 - 2), "b": []});
    let copies = |n: usize| Value::from(vec![json!({"op": "copy", "from": "/a", "path": "/b/-"}); n]);
    assert!(run("json", &original, &copies(3)).is_ok());
    assert_eq!(
        run("json", &original, &copies(4)).unwrap_err().to_string(),
        "Unable to complete the copy, the accumulated size increase of copy is 4194304, exceeding the limit 3145728"
    );
}

#[test]
fn what_clients_are_answered() {
    let many = Value::from(vec![json!({"op": "test", "path": "/a"}); limits::JSON_PATCH_OPERATIONS_MAX + 1]);
    let generic = "the server rejected our request due to an error in our request";
    let cases = [
        (
            "json",
            json!({"op": "add"}),
            (400, "BadRequest"),
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (
            "json",
            json!([1]),
            (400, "BadRequest"),
            "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp",
        ),
        (
            "json",
            json!([{"op": 1}]),
            (400, "BadRequest"),
            "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string",
        ),
        (
            "json",
            many,
            (413, "RequestEntityTooLarge"),
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
        ),
        ("json", json!([{"op": "remove", "path": "/x"}]), (422, "Invalid"), generic),
        ("json", json!([{"op": "test", "path": "/x", "value": 1}]), (422, "Invalid"), generic),
        ("merge", json!("x"), (400, "BadRequest"), "Invalid JSON Patch"),
        (
            "v1/Pod",
            json!([]),
            (400, "BadRequest"),
            "json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (
            "v1/Pod",
            json!({"spec": {"$retainKeys": 1}}),
            (400, "BadRequest"),
            "invalid patch format of retainKeys",
        ),
        (
            "v1/Pod",
            json!({"spec": {"containers": [{"image": "x"}]}}),
            (500, ""),
            "map: map[image:x] does not contain declared merge key: name",
        ),
    ];
    let original = json!({"spec": {"containers": [{"name": "a"}]}});
    for (kind, patch, (code, reason), message) in cases {
        let status = run(kind, &original, &patch).unwrap_err().to_status();
        assert_eq!((status.code, &*status.reason.0, status.message.as_str()), (code, reason, message));
    }
}

#[test]
fn fields_without_a_schema_merge_plainly() {
    let cases = [
        (json!({"x": {"a": 1}}), json!({"x": {"b": 2}}), json!({"x": {"a": 1, "b": 2}})),
        (json!({"x": [{"name": "a"}]}), json!({"x": [{"name": "b"}]}), json!({"x": [{"name": "b"}]})),
        (json!({"x": 1}), json!({"x": {"y": {"z": null}}}), json!({"x": {"y": {}}})),
        (json!({"x": ["a", "b"]}), json!({"$deleteFromPrimitiveList/x": ["a"]}), json!({"x": ["b"]})),
    ];
    for (original, patch, expected) in cases {
        assert_eq!(run("v1/Pod", &original, &patch), Ok(expected), "{patch}");
    }
    assert_eq!(run("v1/Pod", &json!({"x": 1}), &Value::Null), Ok(json!({"x": 1})));
}
