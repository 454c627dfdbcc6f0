//! Labels and selectors on the host.
//!
//! A tenant's label keys get a suffix of ours in their prefix: `app` becomes `labels.alcove.dev/app`,
//! `app.kubernetes.io/name` becomes `app.kubernetes.io.labels.alcove.dev/name`. So no label that a tenant chooses can
//! make a host Service, controller, policy or webhook take the tenant's pod for one of its own, and the original key
//! can still be read off. Every selector gains the tenant's marker; an empty one means the whole tenant, never the
//! whole host namespace.

use super::Tenant;
use super::metadata::{CLUSTER, NAMESPACE};
use serde_json::{Map as JsonMap, Value, json};
use sha2::{Digest, Sha256};

const DOMAIN: &str = "labels.alcove.dev";
/// The longest prefix of a label key.
const PREFIX_MAX: usize = 253;

/// How label keys are written on the host.
pub struct Map;

impl Map {
    /// The host's key for a tenant's key.
    pub fn key(key: &str) -> String {
        match key.split_once('/') {
            None => format!("{DOMAIN}/{key}"),
            Some((prefix, name)) if prefix.len() + 1 + DOMAIN.len() <= PREFIX_MAX => {
                format!("{prefix}.{DOMAIN}/{name}")
            }
            Some((prefix, name)) => {
                let digest = Sha256::digest(prefix);
                let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                format!("{hash}.{DOMAIN}/{name}")
            }
        }
    }

    /// A tenant's labels as the host has them.
    pub fn labels(labels: Option<&Value>) -> JsonMap<String, Value> {
        alcove_object::meta::entries(labels).map(|(k, v)| (Map::key(k), v.into())).collect()
    }
}

/// A `metav1.LabelSelector` over a tenant's pods of one namespace (or of all, when that is `None`), as the host has it.
pub fn selector(tenant: &Tenant, namespace: Option<&str>, selector: &Value) -> Value {
    let mut labels = Map::labels(selector.get("matchLabels"));
    labels.insert(CLUSTER.into(), tenant.cluster.clone().into());
    if let Some(namespace) = namespace {
        labels.insert(NAMESPACE.into(), namespace.into());
    }
    let mut out = json!({ "matchLabels": labels });
    let expressions: Vec<Value> = selector
        .get("matchExpressions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|expression| {
            let mut expression = expression.clone();
            let key = Map::key(expression["key"].as_str().unwrap_or_default());
            expression["key"] = key.into();
            expression
        })
        .collect();
    if !expressions.is_empty() {
        out["matchExpressions"] = expressions.into();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_can_be_read_off_and_never_are_the_hosts_own() {
        assert_eq!(Map::key("app"), "labels.alcove.dev/app");
        assert_eq!(Map::key("app.kubernetes.io/name"), "app.kubernetes.io.labels.alcove.dev/name");
        assert_eq!(Map::key("alcove.dev/cluster"), "alcove.dev.labels.alcove.dev/cluster");
        let long = Map::key(&format!("{}/name", "a".repeat(253)));
        assert!(long.split_once('/').unwrap().0.len() <= PREFIX_MAX);
    }

    #[test]
    fn an_empty_selector_means_the_whole_tenant() {
        let tenant = Tenant { cluster: "demo".into(), host_namespace: "h".into() };
        let host = selector(&tenant, None, &json!({}));
        assert_eq!(host, json!({ "matchLabels": { CLUSTER: "demo" } }));
    }
}
