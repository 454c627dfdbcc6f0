//! Reading and writing `metadata` of an object tree. Missing and wrongly typed fields read as empty, so that
//! callers need no checks of their own; whether they are allowed is the schema's business.

use crate::tree::at;
use serde_json::{Map, Value};

/// `metadata.name`, or empty.
pub fn name(object: &Value) -> &str {
    text(object, "name")
}

/// `metadata.namespace`, or empty.
pub fn namespace(object: &Value) -> &str {
    text(object, "namespace")
}

/// `metadata.uid`, or empty.
pub fn uid(object: &Value) -> &str {
    text(object, "uid")
}

/// A text field of `metadata`, or empty.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_str).unwrap_or_default()
}

/// `metadata.resourceVersion` as a number; 0 when unset or not a number.
pub fn revision(object: &Value) -> u64 {
    text(object, "resourceVersion").parse().unwrap_or(0)
}

/// `metadata.generation`, or 0.
pub fn generation(object: &Value) -> i64 {
    at(object, "/metadata/generation").and_then(Value::as_i64).unwrap_or(0)
}

/// Whether `metadata.deletionTimestamp` is set.
pub fn is_deleting(object: &Value) -> bool {
    !text(object, "deletionTimestamp").is_empty()
}

/// The entries of `metadata.labels`.
pub fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    entries(at(object, "/metadata/labels"))
}

/// One label's value.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("labels")?.get(key)?.as_str()
}

/// One annotation's value.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// The finalizers, in order.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    at(object, "/metadata/finalizers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// The owner references, as trees.
pub fn owner_references(object: &Value) -> &[Value] {
    at(object, "/metadata/ownerReferences").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The owner reference with `controller: true`, if there is one.
pub fn controller_of(object: &Value) -> Option<&Value> {
    owner_references(object).iter().find(|o| o.get("controller").and_then(Value::as_bool) == Some(true))
}

/// Text-to-text entries of a map; others are passed over.
pub fn entries(map: Option<&Value>) -> impl Iterator<Item = (&str, &str)> {
    map.and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| v.as_str().map(|v| (k.as_str(), v)))
}

/// `metadata` for writing; made when missing. An object that is no map becomes one.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    child_mut(map_mut(object), "metadata")
}

/// A map below a map, made when missing or of another type.
pub fn child_mut<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    map_mut(map.entry(key).or_insert_with(|| Value::Object(Map::new())))
}

/// Sets `metadata.FIELD`.
pub fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    metadata_mut(object).insert(field.to_owned(), value.into());
}

/// Removes `metadata.FIELD`.
pub fn unset(object: &mut Value, field: &str) {
    metadata_mut(object).remove(field);
}

fn map_mut(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the value was made a map above"),
    }
}

#[cfg(test)]
mod tests;
