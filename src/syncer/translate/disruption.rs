//! PodDisruptionBudgets: how many pods may be missing belongs to the tenant, the count to the host.

use super::{Context, Wanted, labels, metadata};
use alcove_object::{Value, meta};
use serde_json::json;

/// Fields of `spec` that go to the host as they are.
pub const BUDGET_FIELDS: [&str; 3] = ["minAvailable", "maxUnavailable", "unhealthyPodEvictionPolicy"];
/// Fields of `status` that are the host's.
pub const BUDGET_STATUS_FIELDS: [&str; 5] =
    ["currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods", "conditions"];

/// The host's PodDisruptionBudget.
pub fn disruption_budget(context: &Context<'_>, object: &Value) -> Wanted {
    let mut spec = json!({});
    for field in BUDGET_FIELDS {
        if let Some(value) = object["spec"].get(field) {
            spec[field] = value.clone();
        }
    }
    // Without a selector it is about no pod, on the host too.
    if let Some(selector) = object["spec"].get("selector").filter(|selector| selector.is_object()) {
        spec["selector"] = labels::selector(context.tenant, Some(meta::namespace(object)), selector);
    }
    let metadata = metadata(context.tenant, object);
    json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec })
        .into()
}

/// A tenant's budget with the host's count.
pub fn disruption_budget_back(tenant: &Value, host: &Value) -> Value {
    let mut out = tenant.clone();
    let mut status = json!({});
    for field in BUDGET_STATUS_FIELDS {
        if let Some(value) = host.pointer(&format!("/status/{field}")) {
            status[field] = value.clone();
        }
    }
    let observed = host.pointer("/status/observedGeneration").and_then(Value::as_i64);
    if observed == Some(meta::generation(host)) {
        status["observedGeneration"] = meta::generation(tenant).into();
    } else if let Some(before) = tenant.pointer("/status/observedGeneration") {
        status["observedGeneration"] = before.clone();
    }
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        if condition.get("observedGeneration").is_some() {
            condition["observedGeneration"] = meta::generation(tenant).into();
        }
    }
    out["status"] = status;
    out
}
