//! Events about synced objects: they flow back, with the tenant's names in place of the host's.

use super::{Owner, Tenant, host_name};
use alcove_object::{Value, meta};
use serde_json::json;

/// Fields of an event that are taken over as they are.
const PLAIN_FIELDS: [&str; 11] = [
    "reason",
    "type",
    "count",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "source",
    "reportingComponent",
    "reportingInstance",
    "action",
    "series",
];

/// What the host says about an object of this owner, with the tenant's names in place of the host's: its own, and those
/// of others in its namespace.
pub fn in_tenant_terms(tenant: &Tenant, owner: &Owner, text: &str) -> String {
    let own = host_name(tenant, &owner.namespace, &owner.name);
    let suffix = host_name(tenant, &owner.namespace, "");
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '/');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let name = word.trim_end_matches('.');
        let (path, last) = name.rsplit_once('/').unwrap_or(("", name));
        let ours = if last == own { Some(&*owner.name) } else { last.strip_suffix(&*suffix) };
        match ours.filter(|name| !name.is_empty()) {
            Some(ours) => {
                let path = if path == tenant.host_namespace { &owner.namespace } else { path };
                out.push_str(path);
                out.push_str(if path.is_empty() { "" } else { "/" });
                out.push_str(ours);
                out.push_str(&word[name.len()..]);
            }
            None => out.push_str(word),
        }
        let next = after.find(is_of_name).unwrap_or(after.len());
        out.push_str(&after[..next]);
        rest = &after[next..];
    }
    out
}

/// The tenant's event for a host event about an object of this owner. `None` for events that name no object of ours.
pub fn event(tenant: &Tenant, owner: &Owner, host: &Value) -> Value {
    let suffix = meta::name(host).rsplit('.').next().unwrap_or_default();
    let involved = &host["involvedObject"];
    let mut out = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": { "name": format!("{}.{suffix}", owner.name), "namespace": owner.namespace },
        "involvedObject": {
            "apiVersion": involved["apiVersion"], "kind": involved["kind"],
            "namespace": owner.namespace, "name": owner.name, "uid": owner.uid,
        },
        "message": in_tenant_terms(tenant, owner, host["message"].as_str().unwrap_or_default()),
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
