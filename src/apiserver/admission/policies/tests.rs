//! Tables: (policy, binding, name of a ConfigMap) to the verdict, through the whole pipeline.

use super::ValidatingPolicies;
use crate::admission::Admission;
use crate::client::Client;
use crate::kinds;
use crate::options::WriteOptions;
use crate::rest::{Body, Caller, Target};
use crate::server::Server;
use crate::testing::{TestEnv, server_with};
use crate::user::User;
use alcove_object::{Gvr, Value};
use alcove_schema::Minor;
use serde_json::json;
use std::sync::Arc;

struct World {
    server: Server,
    client: Client,
}

fn config_maps() -> Gvr {
    Gvr::new("", "v1", "configmaps")
}

fn config_map(name: &str, size: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"size": size}})
}

impl World {
    async fn new(policy: Value, binding: Value) -> World {
        let env = Arc::new(TestEnv::new(7));
        let server = server_with(kinds::resources(Minor::DEFAULT), env, |store| {
            vec![Arc::new(ValidatingPolicies::new(store.clone())) as Arc<dyn Admission>]
        });
        let client = server.client(User::component("tester"), "tester");
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "labels": {"tier": "low"}}});
        client.create(&Gvr::new("", "v1", "namespaces"), "", namespace).await.unwrap();
        client.create(&config_maps(), "default", config_map("limits", "3")).await.unwrap();
        let rules = json!([{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]);
        let mut spec =
            json!({"matchConstraints": {"resourceRules": rules}, "validations": [{"expression": "true"}]});
        merge(&mut spec, &policy);
        let mut bound = json!({"policyName": "p", "validationActions": ["Deny"]});
        merge(&mut bound, &binding);
        for (kind, resource, name, spec) in [
            ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", "p", spec),
            ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "b", bound),
        ] {
            let version = "admissionregistration.k8s.io/v1";
            let object =
                json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
            client
                .create(&Gvr::new("admissionregistration.k8s.io", "v1", resource), "", object)
                .await
                .unwrap();
        }
        World { server, client }
    }

    async fn create(&self) -> Result<(), (u16, String)> {
        let created = self.client.create(&config_maps(), "default", config_map("x", "5")).await;
        created.map(|_| ()).map_err(|status| (status.code, status.message.clone()))
    }
}

fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().into_iter().flatten() {
        into[key] = value.clone();
    }
}

#[tokio::test]
async fn policies_judge() {
    let head =
        "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: ";
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
        let world = World::new(policy.clone(), binding.clone()).await;
        let expected = expected.map_or(Ok(()), |(code, message)| Err((code, format!("{head}{message}"))));
        assert_eq!(world.create().await, expected, "{policy} {binding}");
    }
}

#[tokio::test]
async fn a_policy_may_only_warn() {
    let policy = json!({"validations": [{"expression": "false", "message": "hm"}]});
    let world = World::new(policy, json!({"validationActions": ["Warn"]})).await;
    let registry = world.server.registry();
    let target = Target::named(&registry, &config_maps(), "", "default", "").unwrap();
    let body = Body::Tree(config_map("x", "5"));
    let made =
        world.server.create(&Caller::default(), &target, body, &WriteOptions::default()).await.unwrap();
    assert_eq!(made.warnings, ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': hm"]);
}
