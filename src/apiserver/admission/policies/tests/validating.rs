//! Tables: (policy, binding) to the verdict.

use super::{World, config_map, config_maps, merge};
use crate::options::WriteOptions;
use crate::rest::{Body, Caller, Target};
use alcove_object::Value;
use serde_json::json;

async fn world(policy: &Value, binding: &Value) -> World {
    let world = World::new().await;
    let mut bound = json!({"validationActions": ["Deny"]});
    merge(&mut bound, binding);
    let spec = json!({"validations": [{"expression": "true"}]});
    world.bind("ValidatingAdmissionPolicy", "p", spec, policy, &bound).await;
    world
}

#[tokio::test]
async fn policies_judge() {
    let head =
        "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: ";
    let params = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let validation = |validation: Value| json!({"validations": [validation]});
    for (policy, binding, expected) in [
        (validation(json!({"expression": "object.data.size == '5'"})), json!({}), None),
        (
            validation(json!({"expression": " object.data.size == '6'"})),
            json!({}),
            Some((422, "failed expression: object.data.size == '6'")),
        ),
        (
            validation(json!({"expression": "false", "message": "no", "reason": "Forbidden"})),
            json!({}),
            Some((403, "no")),
        ),
        (
            validation(json!({"expression": "false", "messageExpression": "'size is ' + object.data.size"})),
            json!({}),
            Some((422, "size is 5")),
        ),
        (
            validation(json!({"expression": "object.data.none == ''"})),
            json!({}),
            Some((422, "expression 'object.data.none == ''' resulted in error: no such key: none")),
        ),
        (
            json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.data.none == ''"}]}),
            json!({}),
            None,
        ),
        (
            json!({
                "variables": [{"name": "size", "expression": "int(object.data.size)"}, {"name": "twice", "expression": "variables.size * 2"}],
                "validations": [{"expression": "variables.twice < 10"}],
            }),
            json!({}),
            Some((422, "failed expression: variables.twice < 10")),
        ),
        (
            json!({
                "variables": [{"name": "none", "expression": "object.data.none"}, {"name": "b", "expression": "variables.none + 'b'"}],
                "validations": [{"expression": "has(object.data.none) ? variables.b == 'b' : true"}, {"expression": "variables.b == 'b'"}],
            }),
            json!({}),
            Some((
                422,
                "expression 'variables.b == 'b'' resulted in error: composited variable \"b\" fails to evaluate: composited variable \"none\" fails to evaluate: no such key: none",
            )),
        ),
        (
            validation(json!({"expression": "!authorizer.requestResource.check('create').allowed()"})),
            json!({}),
            Some((422, "failed expression: !authorizer.requestResource.check('create').allowed()")),
        ),
        (
            json!({"matchConditions": [{"name": "c", "expression": "!authorizer.path('/').check('get').allowed()"}], "validations": [{"expression": "false"}]}),
            json!({}),
            None,
        ),
        (
            json!({"matchConditions": [{"name": "c", "expression": "object.none == 1"}, {"name": "d", "expression": "true"}]}),
            json!({}),
            Some((422, "expression 'object.none == 1' resulted in error: no such key: none")),
        ),
        (
            json!({"paramKind": params, "validations": [{"expression": "int(object.data.size) <= int(params.data.size)"}]}),
            json!({"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}}),
            Some((422, "failed expression: int(object.data.size) <= int(params.data.size)")),
        ),
        (
            json!({"paramKind": params, "validations": [{"expression": "false"}]}),
            json!({"paramRef": {"name": "none", "parameterNotFoundAction": "Allow"}}),
            None,
        ),
        (
            json!({"paramKind": params}),
            json!({"paramRef": {"name": "none", "parameterNotFoundAction": "Deny"}}),
            Some((
                422,
                "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
            )),
        ),
        (
            json!({"matchConditions": [{"name": "c", "expression": "object.metadata.name != 'x'"}], "validations": [{"expression": "false"}]}),
            json!({}),
            None,
        ),
        (
            validation(json!({"expression": "false"})),
            json!({"matchResources": {"namespaceSelector": {"matchLabels": {"tier": "high"}}}}),
            None,
        ),
        (
            validation(
                json!({"expression": "namespaceObject.metadata.labels.tier != 'low' || request.operation != 'CREATE'"}),
            ),
            json!({"matchResources": {"namespaceSelector": {"matchLabels": {"tier": "low"}}}}),
            Some((
                422,
                "failed expression: namespaceObject.metadata.labels.tier != 'low' || request.operation != 'CREATE'",
            )),
        ),
        (validation(json!({"expression": "false"})), json!({"validationActions": ["Audit"]}), None),
    ] {
        let world = world(&policy, &binding).await;
        let expected = expected.map_or(Ok(()), |(code, message)| Err((code, format!("{head}{message}"))));
        assert_eq!(world.create().await.map(|_| ()), expected, "{policy} {binding}");
    }
}

#[tokio::test]
async fn a_policy_may_only_warn() {
    let policy = json!({"validations": [{"expression": "false", "message": "hm"}]});
    let world = world(&policy, &json!({"validationActions": ["Warn"]})).await;
    let registry = world.server.registry();
    let target = Target::named(&registry, &config_maps(), "", "default", "").unwrap();
    let body = Body::Tree(config_map("x", "5"));
    let made =
        world.server.create(&Caller::default(), &target, body, &WriteOptions::default()).await.unwrap();
    assert_eq!(made.warnings, ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p': hm"]);
}
