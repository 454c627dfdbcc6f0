//! Definitions of custom resources: their stored versions, and that they hold on to themselves while they have
//! instances (k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition).

use crate::custom::{CLEANUP_FINALIZER, set_condition, storage_version, versions};
use crate::kinds::defaults::kinds;
use crate::kinds::tree::{list, text};
use crate::kinds::validation;
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, quote};
use alcove_object::{Value, meta, time};
use alcove_schema::custom::is_known_format;
use serde_json::json;
use std::collections::BTreeSet;

/// Definitions of custom resources.
pub(crate) struct CustomResourceDefinition;

impl Strategy for CustomResourceDefinition {
    fn default(&self, object: &mut Value) {
        kinds::custom_resource_definition(object);
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        // Upstream writes null here, on which `kubectl wait` fails when it comes before the first condition.
        object["status"] = json!({"conditions": []});
        note_stored_version(object);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, _: &Value) {
        note_stored_version(object);
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        validation::definition(object, None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        validation::definition(object, Some(old))
    }

    fn validate_subresource(&self, _: &Context<'_>, _: &str, object: &Value, _: &Value) -> Vec<Error> {
        validation::definition_status(object)
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        let known = old.map(unknown_formats).unwrap_or_default();
        let formats = unknown_formats(object).into_iter().filter(|format| !known.contains(format));
        formats.map(|format| format!("unrecognized format {}", quote(&format))).collect()
    }

    fn begin_deletion(&self, context: &Context<'_>, object: &Value) -> Option<Value> {
        let mut begun = object.clone();
        let mut finalizers: Vec<String> = meta::finalizers(object).map(str::to_owned).collect();
        if !finalizers.iter().any(|f| f == CLEANUP_FINALIZER) {
            finalizers.push(CLEANUP_FINALIZER.to_owned());
        }
        meta::set(&mut begun, "finalizers", finalizers);
        let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        let condition = ("Terminating", true, "InstanceDeletionPending", message);
        set_condition(&mut begun, condition, &time::format(context.env.now()));
        Some(begun)
    }
}

/// The storage version is one that objects may be stored in from now on.
fn note_stored_version(object: &mut Value) {
    let Some(storage) = storage_version(object).map(str::to_owned) else { return };
    if list(object, "/status/storedVersions").iter().any(|stored| *stored == storage) {
        return;
    }
    let Some(map) = object.as_object_mut() else { return };
    let stored = meta::child_mut(map, "status").entry("storedVersions").or_insert_with(|| json!([]));
    match stored {
        Value::Array(stored) => stored.push(storage.into()),
        other => *other = json!([storage]),
    }
}

/// Formats of texts that no version knows; they are no rules.
fn unknown_formats(definition: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, version) in versions(definition) {
        walk(version.pointer("/schema/openAPIV3Schema"), &mut |schema| {
            let format = text(schema, "/format");
            let is_known = match text(schema, "/type") {
                "" | "string" => is_known_format(format),
                "integer" => matches!(format, "int32" | "int64"),
                "number" => matches!(format, "float" | "double"),
                _ => false,
            };
            if !format.is_empty() && !is_known {
                found.insert(format.to_owned());
            }
        });
    }
    found
}

/// Visits a schema and all in it; as deep as decoding lets bodies be.
fn walk(schema: Option<&Value>, visit: &mut impl FnMut(&Value)) {
    let Some(schema) = schema.filter(|schema| schema.is_object()) else { return };
    visit(schema);
    for keyword in ["items", "additionalProperties", "not"] {
        walk(schema.get(keyword), visit);
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        schema[keyword].as_array().into_iter().flatten().for_each(|inner| walk(Some(inner), visit));
    }
    for inner in schema["properties"].as_object().into_iter().flat_map(|all| all.values()) {
        walk(Some(inner), visit);
    }
}
