//! The folder as a whole, against what upstream's own decoders make of the same bodies.

use super::*;
use crate::limits::DEPTH_MAX;
use crate::{Minor, builtin};
use serde_json::json;

fn read(body: &[u8], encoding: Encoding) -> Result<Decoded, DecodeError> {
    let types = builtin::types(Minor(36));
    decode(body, encoding, None, |gvk| types.kind(gvk))
}

#[test]
fn nesting_ends_at_the_limit_in_every_encoding() {
    for depth in [DEPTH_MAX + 1, 10_000, 200_000] {
        for text in ["[".repeat(depth), r#"{"a":"#.repeat(depth)] {
            let error = parse_json(text.as_bytes()).unwrap_err().to_string();
            assert!(error.ends_with("exceeded max depth"), "{error}");
            assert!(parse_yaml(text.as_bytes()).is_err());
        }
        let indented: String = (0..depth.min(2_000)).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
        assert!(parse_yaml(indented.as_bytes()).is_err());
    }
    let at_limit = "[".repeat(DEPTH_MAX) + &"]".repeat(DEPTH_MAX);
    assert!(parse_json(at_limit.as_bytes()).is_ok());
}

#[test]
fn a_kind_that_is_named_in_part_is_completed() {
    let types = builtin::types(Minor(36));
    let default = Gvk::new("apps", "v1", "Deployment");
    for (body, expected) in [
        ("{}", Ok(default.clone())),
        (r#"{"kind":"Scale"}"#, Ok(Gvk::new("apps", "v1", "Scale"))),
        (r#"{"apiVersion":"autoscaling/v1","kind":"Scale"}"#, Ok(Gvk::new("autoscaling", "v1", "Scale"))),
        (r#"{"apiVersion":"a/b/c"}"#, Err("unexpected GroupVersion string: a/b/c")),
        (
            r#"{"kind":5}"#,
            Err(concat!(
                "couldn't get version/kind; json parse error: ",
                "json: cannot unmarshal number into Go struct field .kind of type string"
            )),
        ),
    ] {
        let found = decode(body.as_bytes(), Encoding::Json, Some(&default), |gvk| types.kind(gvk));
        assert_eq!(
            found.map(|d| d.gvk).map_err(|e| e.to_string()),
            expected.map_err(str::to_owned),
            "{body}"
        );
    }
}

#[test]
fn a_tree_without_a_schema_stays_as_it_is() {
    let body = br#"{"apiVersion":"x.io/v1","kind":"X","n":1.0,"f":1.5,"l":null,"a":{"b":1,"b":2}}"#;
    let decoded = decode(body, Encoding::Json, None, |_| None).unwrap();
    assert_eq!(
        decoded.value,
        json!({"apiVersion": "x.io/v1", "kind": "X", "n": 1, "f": 1.5, "l": null, "a": {"b": 2}})
    );
    assert_eq!(strict_message(&decoded.strict), r#"strict decoding error: duplicate field "a.b""#);
}

#[test]
fn messages_name_the_kind_once_it_is_known() {
    for (body, expected) in [
        (
            r#"{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":"x"}}"#,
            concat!(
                r#"Deployment in version "v1" cannot be handled as a Deployment: "#,
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
            ),
        ),
        (
            "not json",
            concat!(
                "the object provided is unrecognized (must be of type Deployment): couldn't get version/kind; ",
                "json parse error: invalid character 'o' in literal null (expecting 'u') (6e6f74206a736f6e)"
            ),
        ),
    ] {
        let error = read(body.as_bytes(), Encoding::Json).unwrap_err();
        assert_eq!(error.message("Deployment", body.as_bytes()), expected);
    }
}
