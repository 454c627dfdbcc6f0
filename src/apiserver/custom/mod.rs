//! Custom resources: from the definitions in the store to descriptors in the registry.
//!
//! [`Definitions`] watches definitions in process. For each it decides which names are accepted, serves a resource per
//! served version ([`resources`]), says so in the definition's status ([`status`]), and, when the definition goes,
//! deletes its instances before it lets go. From there on the pipeline, discovery, tables and OpenAPI treat a custom
//! resource like any other; [`strategy`] has the hooks.
//!
//! **Invariants.** What is served is a function of the definitions in the store: a restart serves the same before
//! anybody can ask. A version is served before its definition says `Established`.

mod controller;
mod conversion;
mod names;
mod resources;
mod status;
mod strategy;
#[cfg(test)]
mod tests;

pub use controller::Definitions;
pub use conversion::Conversion;
pub(crate) use resources::by_priority;
pub(crate) use status::{approval, is_protected, set_condition};

use alcove_object::Value;

/// Holds a definition until its instances are gone.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
/// Says who approved a definition in a group of the Kubernetes community.
pub const APPROVED_ANNOTATION: &str = "api-approved.kubernetes.io";

/// The versions of a definition, with their names.
pub(crate) fn versions(definition: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
    versions.map(|version| (version["name"].as_str().unwrap_or_default(), version))
}

/// The name of the version in which objects are stored.
pub(crate) fn storage_version(definition: &Value) -> Option<&str> {
    versions(definition).find(|(_, version)| version["storage"] == true).map(|(name, _)| name)
}

/// The text at a pointer, empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of the list at a pointer.
pub(crate) fn texts(value: &Value, pointer: &str) -> Vec<String> {
    let list = value.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
