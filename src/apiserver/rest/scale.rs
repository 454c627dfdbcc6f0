//! The `scale` subresource: replicas of any kind that has them, as autoscaling/v1 Scale.

use super::decode;
use super::patch::Patch;
use super::settled::Settled;
use super::write::Write;
use crate::options::FieldValidation;
use crate::registry::ScalePaths;

use alcove_object::field::{Error, Path};
use alcove_object::{Gvk, Gvr, Status, Value, meta, selector};
use alcove_schema::apply::{self, Replicas};
use serde_json::{Map, json};

/// How a Scale is to be changed.
pub(super) enum Rescale<'b> {
    /// By this Scale.
    Replace(Value),
    /// By a patch of the Scale.
    Patch(Patch<'b>),
}

impl Write<'_> {
    /// What an object becomes when its Scale changes: other replicas, and another owner of them.
    pub(super) fn rescaled(&mut self, how: &Rescale<'_>, old: &Value) -> Result<Value, Status> {
        let resource = self.resource();
        let (kind, api_version) = (self.target.gvk(), resource.gvk.api_version());
        let schema = resource.types.kind(kind).ok_or_else(|| Status::internal("Scale has no type"))?;
        let twins = self.registry.resources().iter().filter(|twin| {
            twin.gvk.group == resource.gvk.group && twin.gvr.resource == resource.gvr.resource
        });
        let served: Vec<String> = twins.map(|twin| twin.gvk.api_version()).collect();
        let path = resource.scale.replicas.trim_start_matches('/').replace('/', ".");
        let replicas = Replicas { path: &path, api_version: &api_version, served: &served };

        let mut before = of(old, &resource.scale, kind);
        replicas.to_scale(old, &mut before);
        let scale_version = kind.api_version();
        let manager = self.manager_in(&scale_version);
        let mut after = match how {
            Rescale::Replace(scale) => scale.clone(),
            Rescale::Patch(patch) => match patch.configuration() {
                Some(patch) => apply::apply(Some(&before), patch, schema, &manager, self.options.force, &[])
                    .map_err(|e| e.to_status())?,
                None => {
                    let mut scale = before.clone();
                    patch.merge_into(&mut scale, schema)?;
                    scale
                }
            },
        };
        let (patch, validation) = match how {
            Rescale::Patch(patch) if !patch.is_apply() => (Some(patch), self.options.field_validation),
            _ => (None, FieldValidation::Ignore),
        };
        let mut warnings = Vec::new();
        decode::patched(&mut after, &Settled::default(), schema, patch, validation, &mut warnings)?;
        self.place(&mut after)?;
        self.check_name(&after)?;
        if !matches!(how, Rescale::Patch(patch) if patch.is_apply()) {
            apply::track_update(Some(&before), &mut after, schema, &manager, &[])
                .map_err(|e| e.to_status())?;
        }
        let mut object = old.clone();
        set(&mut object, &resource.gvr, &resource.scale, &after, resource.custom.is_some())?;
        self.warnings.append(&mut warnings);
        replicas.to_object(&after, &mut object);
        Ok(object)
    }
}

/// A Scale of this kind that shows an object's replicas.
pub(super) fn of(object: &Value, paths: &ScalePaths, kind: &Gvk) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.get("metadata").and_then(|m| m.get(field)) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let replicas = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let mut spec = Map::new();
    if replicas(&paths.replicas) != 0 {
        spec.insert("replicas".into(), replicas(&paths.replicas).into());
    }
    let mut status = Map::from_iter([("replicas".to_owned(), Value::from(replicas(&paths.current)))]);
    let selector = selector_text(paths.selector.as_ref().and_then(|path| object.pointer(path)));
    if !selector.is_empty() {
        status.insert("selector".into(), selector.into());
    }
    json!({
        "apiVersion": kind.api_version(), "kind": kind.kind,
        "metadata": metadata, "spec": spec, "status": status,
    })
}

/// Takes over the replicas, and the preconditions, of a Scale. 422 for a negative number. Upstream does not compare the
/// UID with that of a custom resource.
pub(super) fn set(
    object: &mut Value,
    gvr: &Gvr,
    paths: &ScalePaths,
    scale: &Value,
    is_custom: bool,
) -> Result<(), Status> {
    let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
    // Custom resources have rules of their own about them.
    if replicas < 0 && !is_custom {
        let path = Path::new("spec").child("replicas");
        let wrong = [Error::invalid(&path, replicas, "must be greater than or equal to 0")];
        return Err(Status::invalid("autoscaling", "Scale", meta::name(scale), &wrong));
    }
    let (given, found) = (meta::uid(scale), meta::uid(object));
    if !given.is_empty() && given != found && !is_custom {
        let why = format!("Precondition failed: UID in precondition: {given}, UID in object meta: {found}");
        let resource = format!("{}/scale", gvr.resource);
        return Err(Status::conflict(&gvr.group, &resource, meta::name(object), &why));
    }
    let version = meta::text(scale, "resourceVersion").to_owned();
    meta::set(object, "resourceVersion", version);
    put(object, &paths.replicas, replicas.into());
    Ok(())
}

/// Puts a value at a pointer of fields, making what is missing on the way.
fn put(object: &mut Value, pointer: &str, value: Value) {
    let Some((parents, last)) = pointer.trim_start_matches('/').rsplit_once('/') else { return };
    let Some(mut map) = object.as_object_mut() else { return };
    for parent in parents.split('/') {
        map = meta::child_mut(map, parent);
    }
    map.insert(last.to_owned(), value);
}

/// A selector as the text that queries use: its own text, a LabelSelector, or a plain map of labels.
fn selector_text(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return String::new() };
    if let Value::String(text) = selector {
        return text.clone();
    }
    let is_object = ["matchLabels", "matchExpressions"].iter().any(|key| selector.get(key).is_some());
    let labels = match is_object {
        true => selector::Labels::from_object(Some(selector)).ok().flatten(),
        false => Some(selector::Labels::from_map(Some(selector))),
    };
    labels.map(|labels| labels.to_string()).unwrap_or_default()
}
