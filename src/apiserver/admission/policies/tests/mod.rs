//! Policies of both kinds through the whole pipeline: (policy, binding) to what becomes of a ConfigMap.

mod mutating;
mod status;
mod validating;

use super::{MutatingPolicies, ValidatingPolicies};
use crate::admission::Admission;
use crate::client::Client;
use crate::kinds;
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
    async fn new() -> World {
        let env = Arc::new(TestEnv::new(7));
        let server = server_with(kinds::resources(Minor::DEFAULT), env, |store| {
            let mutating = MutatingPolicies::new(store.clone());
            vec![Arc::new(mutating) as Arc<dyn Admission>, Arc::new(ValidatingPolicies::new(store.clone()))]
        });
        let client = server.client(User::component("tester"), "tester");
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "labels": {"tier": "low"}}});
        client.create(&Gvr::new("", "v1", "namespaces"), "", namespace).await.unwrap();
        client.create(&config_maps(), "default", config_map("limits", "3")).await.unwrap();
        World { server, client }
    }

    /// A policy about new ConfigMaps and its binding, with what is given put over what they are otherwise.
    async fn bind(&self, kind: &str, name: &str, mut spec: Value, policy: &Value, binding: &Value) {
        let rules = json!([{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]);
        spec["matchConstraints"] = json!({"resourceRules": rules});
        merge(&mut spec, policy);
        let mut bound = json!({"policyName": name});
        merge(&mut bound, binding);
        let policies = format!("{}policies", kind.trim_end_matches("Policy").to_lowercase());
        let bindings = format!("{}bindings", kind.to_lowercase());
        for (kind, resource, spec) in
            [(kind.to_owned(), policies, spec), (format!("{kind}Binding"), bindings, bound)]
        {
            let version = "admissionregistration.k8s.io/v1";
            let object =
                json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
            let gvr = Gvr::new("admissionregistration.k8s.io", "v1", &resource);
            self.client.create(&gvr, "", object).await.unwrap();
        }
    }

    async fn create(&self) -> Result<Value, (u16, String)> {
        let created = self.client.create(&config_maps(), "default", config_map("x", "5")).await;
        created.map(|object| object.parse()).map_err(|status| (status.code, status.message.clone()))
    }
}

fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().into_iter().flatten() {
        into[key] = value.clone();
    }
}
