//! The `scale` subresource: replicas of any kind that has them, as autoscaling/v1 Scale.

use alcove_object::field::{Error, Path};
use alcove_object::{Gvk, Status, Value, meta, selector};
use serde_json::{Map, json};

/// A Scale of this kind that shows an object's replicas.
pub(super) fn of(object: &Value, kind: &Gvk) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.get("metadata").and_then(|m| m.get(field)) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let replicas = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let mut spec = Map::new();
    if replicas("/spec/replicas") != 0 {
        spec.insert("replicas".into(), replicas("/spec/replicas").into());
    }
    let mut status = Map::from_iter([("replicas".to_owned(), Value::from(replicas("/status/replicas")))]);
    let selector = selector_text(object.pointer("/spec/selector"));
    if !selector.is_empty() {
        status.insert("selector".into(), selector.into());
    }
    json!({
        "apiVersion": kind.api_version(), "kind": kind.kind,
        "metadata": metadata, "spec": spec, "status": status,
    })
}

/// Takes over the replicas, and the preconditions, of a Scale. 422 for a negative number.
pub(super) fn set(object: &mut Value, scale: &Value) -> Result<(), Status> {
    let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
    if replicas < 0 {
        let path = Path::new("spec").child("replicas");
        let wrong = [Error::invalid(&path, replicas, "must be greater than or equal to 0")];
        return Err(Status::invalid("autoscaling", "Scale", meta::name(scale), &wrong));
    }
    let (given, found) = (meta::uid(scale), meta::uid(object));
    if !given.is_empty() && given != found {
        let why = format!("Precondition failed: UID in precondition: {given}, UID in object meta: {found}");
        return Err(Status::conflict("autoscaling", "scales", meta::name(scale), &why));
    }
    let version = meta::text(scale, "resourceVersion").to_owned();
    meta::set(object, "resourceVersion", version);
    if let Some(map) = object.as_object_mut() {
        meta::child_mut(map, "spec").insert("replicas".into(), replicas.into());
    }
    Ok(())
}

/// A selector as the text that queries use: a LabelSelector, or a plain map of labels.
fn selector_text(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return String::new() };
    let is_object = ["matchLabels", "matchExpressions"].iter().any(|key| selector.get(key).is_some());
    let labels = match is_object {
        true => selector::Labels::from_object(Some(selector)).ok().flatten(),
        false => Some(selector::Labels::from_map(Some(selector))),
    };
    labels.map(|labels| labels.to_string()).unwrap_or_default()
}
