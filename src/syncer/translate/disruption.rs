//! PodDisruptionBudgets: how many pods may be missing belongs to the tenant; the host counts for its own evictions.

use super::{Context, Wanted, labels, metadata};
use alcove_object::{Value, meta};
use serde_json::json;

/// Fields of `spec` that go to the host as they are.
pub const BUDGET_FIELDS: [&str; 3] = ["minAvailable", "maxUnavailable", "unhealthyPodEvictionPolicy"];

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
