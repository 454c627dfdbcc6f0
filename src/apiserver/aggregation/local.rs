//! The APIServices of what this server serves itself: of built-in groups and of custom resources
//! (k8s.io/kubernetes/pkg/controlplane/apiserver/aggregator.go, controller/crdregistration,
//! k8s.io/kube-aggregator/pkg/controllers/autoregister).

use crate::kinds;
use crate::registry::Registry;
use alcove_object::{Value, meta};
use serde_json::json;
use std::collections::BTreeMap;

/// Says that the server keeps an APIService.
pub const MANAGED_LABEL: &str = "kube-aggregator.kubernetes.io/automanaged";
/// The group of APIServices has none itself.
const OWN_GROUP: &str = "apiregistration.k8s.io";
/// Where groups of custom resources stand, and their versions.
pub const CUSTOM_PRIORITIES: (i64, i64) = (1000, 100);

/// The priorities of a built-in group-version, as its APIService tells them.
pub fn built_in(group: &str, version: &str) -> Option<(i64, i64)> {
    let found = kinds::GROUPS.iter().find(|known| known.name == group)?;
    let (_, version) = found.versions.iter().find(|(known, _)| *known == version)?;
    Some((found.priority.into(), (*version).into()))
}

/// The APIServices that must be there, by name.
pub fn wanted(registry: &Registry) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for resource in registry.resources().iter().filter(|resource| resource.gvr.group != OWN_GROUP) {
        let (group, version) = (&resource.gvr.group, &resource.gvr.version);
        let (kept, priorities) = match (&resource.custom, built_in(group, version)) {
            (None, Some(priorities)) => ("onstart", priorities),
            (None, None) => continue,
            (Some(_), _) => ("true", CUSTOM_PRIORITIES),
        };
        all.entry(format!("{version}.{group}")).or_insert_with(|| object(group, version, kept, priorities));
    }
    all
}

fn object(group: &str, version: &str, kept: &str, (group_priority, version_priority): (i64, i64)) -> Value {
    let mut spec = json!({
        "version": version, "groupPriorityMinimum": group_priority, "versionPriority": version_priority,
    });
    if !group.is_empty() {
        spec["group"] = group.into();
    }
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": format!("{version}.{group}"), "labels": {MANAGED_LABEL: kept}},
        "spec": spec,
    })
}

/// Whether the server keeps a stored APIService.
pub fn is_managed(object: &Value) -> bool {
    matches!(meta::label(object, MANAGED_LABEL), Some("onstart" | "true"))
}
