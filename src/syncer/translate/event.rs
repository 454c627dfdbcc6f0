//! Events about synced objects: they flow back, with the tenant's names in place of the host's.

use super::{Owner, Tenant, host_name};
use alcove_object::{Value, meta};
use serde_json::json;

/// Fields of an event that are taken over as they are.
const PLAIN_FIELDS: [&str; 9] = [
    "reason",
    "type",
    "count",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "source",
    "reportingComponent",
    "action",
];

/// The tenant's event for a host event about an object of this owner. `None` for events that name no object of ours.
pub fn event(tenant: &Tenant, owner: &Owner, host: &Value) -> Value {
    let host_object = host_name(tenant, &owner.namespace, &owner.name);
    let rename = |text: &str| {
        text.replace(
            &format!("{}/{host_object}", tenant.host_namespace),
            &format!("{}/{}", owner.namespace, owner.name),
        )
        .replace(&host_object, &owner.name)
    };
    let suffix = meta::name(host).rsplit('.').next().unwrap_or_default();
    let involved = &host["involvedObject"];
    let mut out = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": { "name": format!("{}.{suffix}", owner.name), "namespace": owner.namespace },
        "involvedObject": {
            "apiVersion": involved["apiVersion"], "kind": involved["kind"],
            "namespace": owner.namespace, "name": owner.name, "uid": owner.uid,
        },
        "message": rename(host["message"].as_str().unwrap_or_default()),
    });
    if let Some(path) = involved.get("fieldPath") {
        out["involvedObject"]["fieldPath"] = path.clone();
    }
    for field in PLAIN_FIELDS {
        if let Some(value) = host.get(field).filter(|v| !v.is_null()) {
            out[field] = value.clone();
        }
    }
    out
}
