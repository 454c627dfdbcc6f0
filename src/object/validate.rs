//! The rules for `metadata` that hold for every kind: k8s.io/apimachinery/pkg/api/validation/objectmeta.go and
//! pkg/apis/meta/v1/validation. Functions from trees to lists of field errors; the paths say where the tree stands.

use crate::field::{Error, Path, is_printable, quote};
use crate::gvk::split_api_version;
use crate::meta;
use crate::name::{self, NameRule};
use serde_json::Value;

/// All keys and values of an object's annotations together, in bytes.
pub const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// A field manager's name, in bytes.
pub const FIELD_MANAGER_BYTES_MAX: usize = 128;
/// The subresource in an entry of `managedFields`, in bytes.
pub const SUBRESOURCE_BYTES_MAX: usize = 256;

/// `metadata` of a new object, with its name already generated. `path` is that of `metadata`.
pub fn validate_object_meta(object: &Value, namespaced: bool, rule: NameRule, path: &Path) -> Vec<Error> {
    let mut errors = validate_identity(object, namespaced, rule, path);
    let metadata = &object["metadata"];
    errors.extend(validate_labels(metadata.get("labels"), &path.child("labels")));
    errors.extend(validate_annotations(metadata.get("annotations"), &path.child("annotations")));
    errors.extend(validate_owner_references(metadata.get("ownerReferences"), &path.child("ownerReferences")));
    errors.extend(validate_finalizers(object, &path.child("finalizers")));
    errors.extend(validate_managed_fields(metadata.get("managedFields"), &path.child("managedFields")));
    errors
}

/// Of `metadata`, what says which object it is: names, namespace and generation.
pub fn validate_identity(object: &Value, namespaced: bool, rule: NameRule, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let prefix = meta::text(object, "generateName");
    if !prefix.is_empty() {
        let messages = rule(prefix, true).into_iter();
        errors.extend(messages.map(|m| Error::invalid(&path.child("generateName"), prefix, m)));
    }
    match meta::name(object) {
        "" => errors.push(Error::required(&path.child("name"), "name or generateName is required")),
        name => {
            let messages = rule(name, false).into_iter();
            errors.extend(messages.map(|m| Error::invalid(&path.child("name"), name, m)));
        }
    }
    errors.extend(namespace_errors(meta::namespace(object), namespaced, &path.child("namespace")));
    let generation = meta::generation(object);
    if generation < 0 {
        errors.push(Error::invalid(
            &path.child("generation"),
            generation,
            "must be greater than or equal to 0",
        ));
    }
    errors
}

fn namespace_errors(namespace: &str, namespaced: bool, path: &Path) -> Vec<Error> {
    match (namespaced, namespace) {
        (true, "") => vec![Error::required(path, "")],
        (true, _) => {
            let messages = name::dns_label(namespace, false).into_iter();
            messages.map(|m| Error::invalid(path, namespace, m)).collect()
        }
        (false, "") => Vec::new(),
        (false, _) => vec![Error::forbidden(path, "not allowed on this type")],
    }
}

/// `metadata` of an object that takes the place of `old`, but for its identity and its finalizers. `path` is that of
/// `metadata`.
pub fn validate_object_meta_update(new: &Value, old: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    if meta::is_deleting(old) {
        errors.extend(new_finalizers(new, old, &path.child("finalizers")));
    }
    if meta::text(new, "resourceVersion").is_empty() {
        errors.push(Error::invalid(&path.child("resourceVersion"), "", "must be specified for an update"));
    }
    let generation = meta::generation(new);
    if generation < meta::generation(old) {
        errors.push(Error::invalid(&path.child("generation"), generation, "must not be decremented"));
    }
    for field in ["name", "namespace", "uid"] {
        let (new, old) = (meta::text(new, field), meta::text(old, field));
        if new != old {
            errors.push(Error::invalid(&path.child(field), new, FIELD_IMMUTABLE));
        }
    }
    let metadata = &new["metadata"];
    for field in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        errors.extend(validate_immutable(&metadata[field], &old["metadata"][field], &path.child(field)));
    }
    errors.extend(validate_labels(metadata.get("labels"), &path.child("labels")));
    errors.extend(validate_annotations(metadata.get("annotations"), &path.child("annotations")));
    errors.extend(validate_owner_references(metadata.get("ownerReferences"), &path.child("ownerReferences")));
    errors.extend(validate_managed_fields(metadata.get("managedFields"), &path.child("managedFields")));
    errors
}

/// What a change of a field that may not change is answered with.
pub const FIELD_IMMUTABLE: &str = "field is immutable";

/// A value that must be what it was. Missing and null are the same.
pub fn validate_immutable(new: &Value, old: &Value, path: &Path) -> Option<Error> {
    (new != old).then(|| Error::invalid(path, new.clone(), FIELD_IMMUTABLE))
}

fn new_finalizers(new: &Value, old: &Value, path: &Path) -> Option<Error> {
    let mut added: Vec<&str> =
        meta::finalizers(new).filter(|f| meta::finalizers(old).all(|o| o != *f)).collect();
    added.sort_unstable();
    added.dedup();
    let list = added.iter().map(|f| quote(f)).collect::<Vec<_>>().join(", ");
    let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
    (!added.is_empty()).then(|| Error::forbidden(path, format!("{why} []string{{{list}}}")))
}

/// A map of labels: keys and values.
pub fn validate_labels(labels: Option<&Value>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (key, value) in meta::entries(labels) {
        errors.extend(validate_label_name(key, path));
        let messages = name::is_valid_label_value(value).into_iter();
        errors.extend(messages.map(|m| Error::invalid(path, value, m)));
    }
    errors
}

/// The key of a label.
pub fn validate_label_name(key: &str, path: &Path) -> Vec<Error> {
    name::is_qualified_name(key).into_iter().map(|m| Error::invalid(path, key, m)).collect()
}

/// A map of annotations: keys, in any case, and the size of all ([`ANNOTATIONS_BYTES_MAX`]).
pub fn validate_annotations(annotations: Option<&Value>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut size = 0;
    for (key, value) in meta::entries(annotations) {
        let messages = name::is_qualified_name(&key.to_lowercase()).into_iter();
        errors.extend(messages.map(|m| Error::invalid(path, key, m)));
        size += key.len() + value.len();
    }
    if size > ANNOTATIONS_BYTES_MAX {
        errors.push(Error::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
    errors
}

/// The list of owners: each complete, at most one of them the controller.
pub fn validate_owner_references(references: Option<&Value>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut controller: Option<String> = None;
    for reference in references.and_then(Value::as_array).into_iter().flatten() {
        let text = |field: &str| reference.get(field).and_then(Value::as_str).unwrap_or_default();
        errors.extend(owner_errors(reference, path));
        if reference.get("controller").and_then(Value::as_bool) != Some(true) {
            continue;
        }
        let this = format!("{}/{}", text("kind"), text("name"));
        match &controller {
            None => controller = Some(this),
            Some(first) => {
                let why =
                    "Only one reference can have Controller set to true. Found \"true\" in references for";
                let detail = format!("{why} {first} and {this}");
                errors.push(Error::invalid(path, references.cloned().unwrap_or_default(), detail));
            }
        }
    }
    errors
}

fn owner_errors(reference: &Value, path: &Path) -> Vec<Error> {
    let text = |field: &str| reference.get(field).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = match text("apiVersion") {
        // More than one slash is no group and version at all.
        text if text.matches('/').count() > 1 => ("", ""),
        text => split_api_version(text),
    };
    let mut errors = Vec::new();
    if version.is_empty() {
        errors.push(Error::invalid(
            &path.child("apiVersion"),
            text("apiVersion"),
            "version must not be empty",
        ));
    }
    for field in ["kind", "name", "uid"] {
        if text(field).is_empty() {
            errors.push(Error::invalid(&path.child(field), "", "must not be empty"));
        }
    }
    if (group, version, text("kind")) == ("", "v1", "Event") {
        let why = "/v1, Kind=Event is disallowed from being an owner";
        errors.push(Error::invalid(path, reference.clone(), why));
    }
    errors
}

/// The name of one finalizer.
pub fn validate_finalizer_name(finalizer: &str, path: &Path) -> Vec<Error> {
    name::is_qualified_name(finalizer).into_iter().map(|m| Error::invalid(path, finalizer, m)).collect()
}

/// The names of finalizers, and which of them exclude each other.
pub fn validate_finalizers(object: &Value, path: &Path) -> Vec<Error> {
    let mut errors: Vec<Error> =
        meta::finalizers(object).flat_map(|finalizer| validate_finalizer_name(finalizer, path)).collect();
    let has = |name: &str| meta::finalizers(object).any(|f| f == name);
    if has("orphan") && has("foregroundDeletion") {
        let list = object["metadata"]["finalizers"].clone();
        let why = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(Error::invalid(path, list, why));
    }
    errors
}

/// The list of `managedFields`: operation, type of fields, manager and subresource of each entry.
pub fn validate_managed_fields(entries: Option<&Value>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (i, entry) in entries.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let path = path.index(i);
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
        let operation = text("operation");
        if !matches!(operation, "Apply" | "Update") {
            errors.push(Error::invalid(&path.child("operation"), operation, "must be `Apply` or `Update`"));
        }
        let fields_type = text("fieldsType");
        if !matches!(fields_type, "" | "FieldsV1") {
            errors.push(Error::invalid(&path.child("fieldsType"), fields_type, "must be `FieldsV1`"));
        }
        errors.extend(validate_field_manager(text("manager"), &path.child("manager")));
        if text("subresource").len() > SUBRESOURCE_BYTES_MAX {
            errors.push(Error::too_long(&path.child("subresource"), SUBRESOURCE_BYTES_MAX));
        }
    }
    errors
}

/// A field manager's name: at most [`FIELD_MANAGER_BYTES_MAX`], printable. Empty is "not set".
pub fn validate_field_manager(manager: &str, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    if manager.len() > FIELD_MANAGER_BYTES_MAX {
        errors.push(Error::too_long(path, FIELD_MANAGER_BYTES_MAX));
    }
    for (at, c) in manager.char_indices().filter(|(_, c)| !is_printable(*c)) {
        let why = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
        errors.push(Error::invalid(path, manager, why));
    }
    errors
}

/// A `metav1.LabelSelector` tree, as objects carry it; a missing one is fine. `lenient_values` lets values pass
/// that are no label values, for objects that were stored so.
pub fn validate_label_selector(selector: Option<&Value>, lenient_values: bool, path: &Path) -> Vec<Error> {
    let Some(selector) = selector else { return Vec::new() };
    let mut errors = validate_labels(selector.get("matchLabels"), &path.child("matchLabels"));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for (i, expression) in expressions.into_iter().flatten().enumerate() {
        let path = path.child("matchExpressions").index(i);
        errors.extend(expression_errors(expression, lenient_values, &path));
    }
    errors
}

fn expression_errors(expression: &Value, lenient_values: bool, path: &Path) -> Vec<Error> {
    let text = |field: &str| expression.get(field).and_then(Value::as_str).unwrap_or_default();
    let values = expression.get("values").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut errors = Vec::new();
    match text("operator") {
        "In" | "NotIn" if values.is_empty() => {
            let why = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(Error::required(&path.child("values"), why));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(&path.child("values"), why));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(Error::invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    errors.extend(validate_label_name(text("key"), &path.child("key")));
    for (i, value) in values.iter().filter_map(Value::as_str).enumerate().filter(|_| !lenient_values) {
        let messages = name::is_valid_label_value(value).into_iter();
        errors.extend(messages.map(|m| Error::invalid(&path.child("values").index(i), value, m)));
    }
    errors
}

#[cfg(test)]
mod tests;
