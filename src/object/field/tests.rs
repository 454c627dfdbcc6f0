//! Paths, errors and their texts, as upstream writes them.

use super::*;
use serde_json::json;

#[test]
fn paths() {
    let path = Path::new("spec").child("containers").index(0).child("env").key("a").child("name");
    assert_eq!(path.to_string(), "spec.containers[0].env[a].name");
    assert_eq!(Path::default().child("spec").as_str(), "spec");
}

#[test]
fn texts_and_causes() {
    let at = &Path::new("spec.x");
    let cases = [
        (Error::invalid(at, "a\"b", "why"), r#"spec.x: Invalid value: "a\"b": why"#, "FieldValueInvalid"),
        (Error::invalid(at, -1, "why"), "spec.x: Invalid value: -1: why", "FieldValueInvalid"),
        (Error::invalid(at, 1.5, ""), "spec.x: Invalid value: 1.5", "FieldValueInvalid"),
        (Error::invalid(at, 1e6, ""), "spec.x: Invalid value: 1e+06", "FieldValueInvalid"),
        (Error::invalid(at, 0.00001, ""), "spec.x: Invalid value: 1e-05", "FieldValueInvalid"),
        (Error::invalid(at, true, ""), "spec.x: Invalid value: true", "FieldValueInvalid"),
        (Error::invalid(at, Value::Null, "why"), "spec.x: Invalid value: null: why", "FieldValueInvalid"),
        (
            Error::invalid(at, json!({"b": [1, "<&>"], "a": null}), "why"),
            r#"spec.x: Invalid value: {"a":null,"b":[1,"\u003c\u0026\u003e"]}: why"#,
            "FieldValueInvalid",
        ),
        (Error::type_invalid(at, "a", "why"), "spec.x: Invalid value: \"a\": why", "FieldValueTypeInvalid"),
        (Error::required(at, ""), "spec.x: Required value", "FieldValueRequired"),
        (Error::required(at, "why"), "spec.x: Required value: why", "FieldValueRequired"),
        (
            Error::not_supported(at, "c", &["a", "b"]),
            r#"spec.x: Unsupported value: "c": supported values: "a", "b""#,
            "FieldValueNotSupported",
        ),
        (Error::not_supported(at, "c", &[]), r#"spec.x: Unsupported value: "c""#, "FieldValueNotSupported"),
        (Error::forbidden(at, "why"), "spec.x: Forbidden: why", "FieldValueForbidden"),
        (Error::duplicate(at, "a"), "spec.x: Duplicate value: \"a\"", "FieldValueDuplicate"),
        (Error::not_found(at, "a"), "spec.x: Not found: \"a\"", "FieldValueNotFound"),
        (Error::too_long(at, 1), "spec.x: Too long: may not be more than 1 byte", "FieldValueTooLong"),
        (Error::too_long(at, 63), "spec.x: Too long: may not be more than 63 bytes", "FieldValueTooLong"),
        (
            Error::too_long_characters(at, 9),
            "spec.x: Too long: may not be more than 9 characters",
            "FieldValueTooLong",
        ),
        (Error::too_short(at, 2), "spec.x: Too short: must be at least 2 characters", "FieldValueTooShort"),
        (Error::too_many(at, 3, 1), "spec.x: Too many: 3: must have at most 1 item", "FieldValueTooMany"),
        (Error::too_few(at, 0, 2), "spec.x: Too few: 0: must have at least 2 items", "FieldValueTooFew"),
        (Error::internal(at, "why"), "spec.x: Internal error: why", "InternalError"),
    ];
    for (error, text, reason) in cases {
        assert_eq!(error.to_string(), text);
        let cause = error.cause();
        assert_eq!((&*cause.reason, &*cause.field), (reason, "spec.x"));
        assert_eq!(format!("spec.x: {}", cause.message), text);
    }
}

#[test]
fn an_empty_path_is_shown_as_upstream_shows_it() {
    assert_eq!(Error::required(&Path::default(), "").to_string(), "<nil>: Required value");
}

#[test]
fn several_errors_are_one_text() {
    let (a, b) = (Error::required(&Path::new("a"), ""), Error::required(&Path::new("b"), ""));
    let cases = [
        (vec![a.clone()], "a: Required value"),
        (vec![a.clone(), a.clone()], "a: Required value"),
        (vec![a.clone(), b.clone(), a.clone()], "[a: Required value, b: Required value]"),
    ];
    for (errors, text) in cases {
        assert_eq!(join(&errors), text);
    }
    // As many as a request can have come to an end soon.
    let many: Vec<Error> =
        (0..200_000).map(|n| Error::required(&Path::new("items").index(n % 100_000), "")).collect();
    assert_eq!(join(&many).matches("Required value").count(), 100_000);
}

#[test]
fn quoting_is_that_of_go() {
    let cases = [
        ("a\"b\\c\n\t\x07\x01\x7f", r#""a\"b\\c\n\t\a\x01\x7f""#),
        ("é\u{a0}x\u{200b}", r#""é\u00a0x\u200b""#),
        ("😀\u{e0001}", r#""😀\U000e0001""#),
        ("\u{301}", "\"\u{301}\""),
    ];
    for (text, quoted) in cases {
        assert_eq!(quote(text), quoted);
    }
}
