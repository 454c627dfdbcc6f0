//! ConfigMaps and Secrets: their content belongs to the tenant.

use super::{Tenant, metadata};
use alcove_object::Value;
use serde_json::json;

/// Secret types that mean something to the host's own controllers; ours become plain ones.
const HOST_SECRET_TYPES: [&str; 2] = ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];

/// The host's ConfigMap.
pub fn config_map(tenant: &Tenant, object: &Value) -> Value {
    content(tenant, object, "ConfigMap", &["data", "binaryData"])
}

/// The host's Secret.
pub fn secret(tenant: &Tenant, object: &Value) -> Value {
    let mut out = content(tenant, object, "Secret", &["data"]);
    let kind = object["type"].as_str().unwrap_or("Opaque");
    out["type"] = if HOST_SECRET_TYPES.contains(&kind) { "Opaque".into() } else { kind.into() };
    out
}

fn content(tenant: &Tenant, object: &Value, kind: &str, fields: &[&str]) -> Value {
    let mut out = json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata(tenant, object) });
    for field in fields {
        if let Some(value) = object.get(field) {
            out[field] = value.clone();
        }
    }
    out
}
