//! Status answers: reasons, codes and texts as upstream gives them.

use super::*;
use crate::field::Path;
use serde_json::json;

#[test]
fn what_clients_receive() {
    let errors = [
        field::Error::required(&Path::new("spec.a"), ""),
        field::Error::invalid(&Path::new("spec.b"), 1, "why"),
    ];
    let cases = [
        (
            Status::not_found("apps", "deployments", "a\"b"),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": r#"deployments.apps "a\"b" not found"#, "reason": "NotFound", "code": 404,
                "details": {"name": "a\"b", "group": "apps", "kind": "deployments"},
            }),
        ),
        (
            Status::invalid("", "Pod", "p", &errors),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "Pod \"p\" is invalid: [spec.a: Required value, spec.b: Invalid value: 1: why]",
                "reason": "Invalid", "code": 422,
                "details": {"name": "p", "kind": "Pod", "causes": [
                    {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.a"},
                    {"reason": "FieldValueInvalid", "message": "Invalid value: 1: why", "field": "spec.b"},
                ]},
            }),
        ),
        (
            Status::too_many_requests("wait", 5),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "wait",
                "reason": "TooManyRequests", "code": 429, "details": {"retryAfterSeconds": 5},
            }),
        ),
        (
            Status::unauthorized(),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
            }),
        ),
        (
            Status::new(200, Reason::UNKNOWN, "")
                .with_details(Details { uid: "u".into(), ..Details::default() }),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 200,
                "details": {"uid": "u"},
            }),
        ),
    ];
    for (status, value) in cases {
        assert_eq!(status.to_value(), value);
        assert_eq!(Status::from_value(&value), Some(status));
    }
}

#[test]
fn messages() {
    let cases = [
        (Status::forbidden("apps", "deployments", "a", "no"), r#"deployments.apps "a" is forbidden: no"#),
        (Status::forbidden("", "pods", "", "no"), "pods is forbidden: no"),
        (Status::forbidden("", "", "", "no"), "forbidden: no"),
        (Status::already_exists("", "pods", "a"), r#"pods "a" already exists"#),
        (Status::conflict("", "pods", "a", "no"), r#"Operation cannot be fulfilled on pods "a": no"#),
        (Status::invalid("", "Pod", "a", &[]), r#"Pod "a" is invalid"#),
        (Status::internal("no"), "Internal error occurred: no"),
        (Status::timeout("no", 1), "Timeout: no"),
        (
            Status::method_not_supported("apps", "deployments", "delete"),
            r#"delete is not supported on resources of kind "deployments.apps""#,
        ),
    ];
    for (status, message) in cases {
        assert_eq!(status.to_string(), message);
    }
}

#[test]
fn an_expired_token_comes_with_a_fresh_one() {
    let mut status = Status::expired("too old");
    status.continue_token = "next".into();
    let value = status.to_value();
    assert_eq!(value["metadata"], json!({"continue": "next"}));
    assert_eq!(Status::from_value(&value), Some(status));
    assert_eq!(Status::from_value(&json!({"kind": "Pod"})), None);
}
