//! Tables: a policy's spec to the warnings in its status.

use super::World;
use crate::admission::policies::status::warnings;
use serde_json::{Value, json};

#[tokio::test]
async fn types_are_checked_for_each_kind() {
    let world = World::new().await;
    let spec = |resources: Value, validations: Value| {
        let rules = json!([{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": resources}]);
        json!({"matchConstraints": {"resourceRules": rules}, "validations": validations})
    };
    let wrong = |kind: &str, column: usize, why: &str, source: &str| {
        let mark = format!("{}^", ".".repeat(column - 1));
        format!("apps/v1, Kind={kind}: ERROR: <input>:1:{column}: {why}\n | {source}\n | {mark}\n")
    };
    let greater = "object.spec.replicas > '1'";
    let no_overload = "found no matching overload for '_>_' applied to '(int, string)'";
    let none = "object.spec.replicas == 1";
    for (spec, expected) in [
        (spec(json!(["deployments"]), json!([{"expression": "object.spec.replicas > 1"}])), json!([])),
        (
            spec(json!(["deployments"]), json!([{"expression": "true"}, {"expression": greater}])),
            json!([{"fieldRef": "spec.validations[1].expression", "warning": wrong("Deployment", 22, no_overload, greater)}]),
        ),
        (
            spec(
                json!(["deployments", "statefulsets", "none", "deployments/scale"]),
                json!([{"expression": "true", "messageExpression": greater}]),
            ),
            json!([{
                "fieldRef": "spec.validations[0].messageExpression",
                "warning": wrong("Deployment", 22, no_overload, greater) + "\n" + &wrong("StatefulSet", 22, no_overload, greater),
            }]),
        ),
        (
            spec(json!(["daemonsets", "deployments"]), json!([{"expression": none}])),
            json!([{"fieldRef": "spec.validations[0].expression", "warning": wrong("DaemonSet", 12, "undefined field 'replicas'", none)}]),
        ),
        (spec(json!(["*"]), json!([{"expression": greater}])), json!([])),
    ] {
        assert_eq!(Value::from(warnings(&spec, &world.server.registry())), expected, "{spec}");
    }
    let mut spec = spec(json!(["deployments"]), json!([{"expression": "variables.n > params.data.n"}]));
    spec["variables"] = json!([{"name": "n", "expression": "object.spec.replicas"}]);
    spec["paramKind"] = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let found = Value::from(warnings(&spec, &world.server.registry())).to_string();
    assert!(found.contains(no_overload), "{found}");
}
