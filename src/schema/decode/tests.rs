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
fn a_float_is_read_as_the_nearest_one() {
    let text = "10500000000000000000000000000000000000000000005124095576030431004";
    for (body, encoding) in [
        (format!(r#"{{"apiVersion":"x.io/v1","kind":"X","f":{text}}}"#), Encoding::Json),
        (format!("{{apiVersion: x.io/v1, kind: X, f: {text}.0}}"), Encoding::Yaml),
    ] {
        let decoded = decode(body.as_bytes(), encoding, None, |_| None).unwrap();
        assert_eq!(decoded.value["f"], json!(1.05e64));
    }
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

/// A case of `testdata`: a body, and the object, the strict errors or the error that k8s.io/apimachinery v0.36.3
/// made of it, reading strictly and writing JSON.
struct Case(Value);

impl Case {
    fn all(text: &str) -> impl Iterator<Item = Case> {
        text.lines().map(|line| Case(serde_json::from_str(line).unwrap()))
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    fn expected(&self) -> (Value, String, String) {
        (self.0["value"].clone(), self.text("strict").to_owned(), self.text("error").to_owned())
    }

    fn found(&self) -> (Value, String, String) {
        let text = self.text("body");
        let result = match self.text("encoding") {
            "json" => read(text.as_bytes(), Encoding::Json),
            "yaml" => read(text.as_bytes(), Encoding::Yaml),
            _ => read(&from_hex(text), Encoding::Protobuf),
        };
        match result {
            Ok(Decoded { gvk, mut value, strict, .. }) => {
                fill(&mut value, builtin::types(Minor(36)).kind(&gvk).unwrap());
                let strict = if strict.is_empty() { String::new() } else { strict_message(&strict) };
                (value, strict, String::new())
            }
            Err(error) => (Value::Null, String::new(), error.to_string()),
        }
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn texts_become_what_upstream_makes_of_them() {
    for case in Case::all(include_str!("testdata/upstream.jsonl")) {
        assert_eq!(case.found(), case.expected(), "{}: {}", case.text("name"), case.text("body"));
    }
}

#[test]
fn messages_become_what_upstream_makes_of_them() {
    for case in Case::all(include_str!("testdata/protobuf.jsonl")) {
        let (mut found, mut expected) = (case.found(), case.expected());
        // Go's own names of types and fields are not in the table.
        if expected.2.starts_with("proto: ") {
            assert!(found.2.starts_with("proto: "), "{}: {}", case.text("name"), found.2);
            (found.2, expected.2) = Default::default();
        }
        assert_eq!(found, expected, "{}: {}", case.text("name"), case.text("body"));
    }
}

#[test]
fn what_go_wrote_is_written_again_without_loss() {
    for case in Case::all(include_str!("testdata/protobuf.jsonl")).filter(|case| !case.0["value"].is_null()) {
        let types = builtin::types(Minor(36));
        let value = &case.0["value"];
        let gvk =
            Gvk::from_api_version(value["apiVersion"].as_str().unwrap(), value["kind"].as_str().unwrap());
        let view = types.kind(&gvk).unwrap();
        let mut again = read(&encode(value, view).unwrap(), Encoding::Protobuf).unwrap().value;
        fill(&mut again, view);
        assert_eq!(&again, value, "{}", case.text("name"));
    }
}

#[test]
fn bad_yaml_is_an_error_with_its_line() {
    for (body, start) in [
        ("apiVersion: v1\ndata:\n\ta: b\n", "yaml: line 3: "),
        ("a: 1\ndata: {a: b\n", "yaml: line 2: "),
        ("a: \"b\n", "yaml: line 2: "),
        ("? [a]\n: b\n", "yaml: line 1: invalid map key"),
        ("~: a\n", "yaml: unsupported map key of type: null"),
        ("a: \u{0}\n", "yaml: "),
    ] {
        let error = parse_yaml(body.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(start), "{body:?}: {error}");
    }
    assert_eq!(parse_yaml(b"a: \xff").unwrap_err().to_string(), "yaml: invalid UTF-8");
    for (text, expected) in [
        (&b"{\"a\":\"\xffb\xe2\x82\"}"[..], "\u{fffd}b\u{fffd}\u{fffd}"),
        (br#"{"a":"\ud800b"}"#, "\u{fffd}b"),
        (br#"{"a":"\udc00\ud83d\ude00"}"#, "\u{fffd}\u{1f600}"),
        (br#"{"a":"\\ud800\ud800"}"#, "\\ud800\u{fffd}"),
    ] {
        assert_eq!(parse_json(text).unwrap().value, json!({ "a": expected }), "as Go reads it");
    }
    assert!(parse_json(b"\xff{}").is_err());
    assert!(parse_json(br#"{"a":"\ud8"}"#).is_err());
}

#[test]
fn yaml_aliases_end_before_they_cost_memory() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..40 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb += &format!("a{i}: &a{i} [{aliases}]\n");
    }
    let error = parse_yaml(bomb.as_bytes()).unwrap_err().to_string();
    assert!(error.ends_with("document contains excessive aliasing"), "{error}");

    let merges: String = (1..40).map(|i| format!("a{i}: &a{i}\n  <<: *a{}\n  k{i}: v\n", i - 1)).collect();
    assert!(parse_yaml(format!("a0: &a0 {{k: v}}\n{merges}").as_bytes()).is_ok());
}

#[test]
fn strict_errors_are_counted_out() {
    let fields: Vec<String> = (0..500).map(|i| format!("\"x{i}\":1")).collect();
    let body = format!(r#"{{"apiVersion":"v1","kind":"ConfigMap",{}}}"#, fields.join(","));
    let strict = read(body.as_bytes(), Encoding::Json).unwrap().strict;
    assert_eq!(strict.len(), crate::limits::STRICT_ERRORS_MAX);
}
