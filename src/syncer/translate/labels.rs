//! Labels and selectors on the host.
//!
//! A tenant's label keys get a suffix of ours in their prefix: `app` becomes `labels.alcove.dev/app`,
//! `app.kubernetes.io/name` becomes `app.kubernetes.io.labels.alcove.dev/name`. So no label that a tenant chooses can
//! make a host Service, controller, policy or webhook take the tenant's pod for one of its own, and the original key
//! can still be read off. Every selector gains the tenant's marker; an empty one means the whole tenant, never the
//! whole host namespace.

use super::Tenant;
use super::metadata::{CLUSTER, NAMESPACE};
use alcove_object::gather::Gather;
use serde_json::{Map as JsonMap, Value, json};
use sha2::{Digest, Sha256};

const DOMAIN: &str = "labels.alcove.dev";
const NAMESPACE_DOMAIN: &str = "namespace.alcove.dev";
/// The label that every namespace has.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// The longest prefix of a label key.
const PREFIX_MAX: usize = 253;

/// How label keys are written on the host.
pub struct Map;

impl Map {
    /// The host's key for a tenant's key.
    pub fn key(key: &str) -> String {
        key_in(key, DOMAIN)
    }

    /// The host's key, on a pod, for a key of its namespace's labels. Namespaces are on every pod by name already.
    pub fn namespace_key(key: &str) -> String {
        if key == NAMESPACE_NAME { NAMESPACE.to_owned() } else { key_in(key, NAMESPACE_DOMAIN) }
    }

    /// A tenant namespace's labels as the host's pods have them.
    pub fn namespace_labels(labels: Option<&Value>) -> JsonMap<String, Value> {
        let entries = alcove_object::meta::entries(labels).filter(|(key, _)| *key != NAMESPACE_NAME);
        entries.map(|(key, value)| (Map::namespace_key(key), value.into())).gather()
    }

    /// A tenant's labels as the host has them.
    pub fn labels(labels: Option<&Value>) -> JsonMap<String, Value> {
        alcove_object::meta::entries(labels).map(|(k, v)| (Map::key(k), v.into())).gather()
    }
}

/// A tenant's key with a domain of ours at the end of its prefix.
pub fn key_in(key: &str, domain: &str) -> String {
    match key.split_once('/') {
        None => format!("{domain}/{key}"),
        Some((prefix, name)) if prefix.len() + 1 + domain.len() <= PREFIX_MAX => {
            format!("{prefix}.{domain}/{name}")
        }
        Some((prefix, name)) => {
            let digest = Sha256::digest(prefix);
            let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("{hash}.{domain}/{name}")
        }
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

/// Narrows a selector over a tenant's pods to those in namespaces that this one selects.
pub fn within(mut selector: Value, namespaces: &Value) -> Value {
    for (key, value) in alcove_object::meta::entries(namespaces.get("matchLabels")) {
        let requirement = json!({ "key": Map::namespace_key(key), "operator": "In", "values": [value] });
        require(&mut selector, requirement);
    }
    for expression in namespaces["matchExpressions"].as_array().into_iter().flatten() {
        let mut expression = expression.clone();
        let key = Map::namespace_key(expression["key"].as_str().unwrap_or_default());
        expression["key"] = key.into();
        require(&mut selector, expression);
    }
    selector
}

/// Adds a requirement to a selector.
pub fn require(selector: &mut Value, requirement: Value) {
    match selector.get_mut("matchExpressions").and_then(Value::as_array_mut) {
        Some(expressions) => expressions.push(requirement),
        None => selector["matchExpressions"] = json!([requirement]),
    }
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
    fn namespaces_are_selected_by_labels_that_their_pods_carry() {
        let tenant = Tenant { cluster: "demo".into(), host_namespace: "h".into() };
        let labels = json!({ "kubernetes.io/metadata.name": "shop", "team": "red", "a.b/c": "d" });
        let carried = Map::namespace_labels(Some(&labels));
        assert_eq!(
            Value::Object(carried),
            json!({ "namespace.alcove.dev/team": "red", "a.b.namespace.alcove.dev/c": "d" })
        );
        let namespaces = json!({ "matchLabels": { "kubernetes.io/metadata.name": "shop" },
            "matchExpressions": [{ "key": "team", "operator": "Exists" }] });
        let host = within(selector(&tenant, None, &json!({})), &namespaces);
        assert_eq!(
            host["matchExpressions"],
            json!([
            { "key": NAMESPACE, "operator": "In", "values": ["shop"] },
            { "key": "namespace.alcove.dev/team", "operator": "Exists" }])
        );
    }

    #[test]
    fn an_empty_selector_means_the_whole_tenant() {
        let tenant = Tenant { cluster: "demo".into(), host_namespace: "h".into() };
        let host = selector(&tenant, None, &json!({}));
        assert_eq!(host, json!({ "matchLabels": { CLUSTER: "demo" } }));
    }
}
