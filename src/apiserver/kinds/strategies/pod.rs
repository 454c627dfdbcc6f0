//! Pods.

use crate::kinds::defaults::pod;
use crate::kinds::tree::{list, some, text};
use crate::kinds::validation::{ephemeral_containers_change, pod_change, pod_spec, quality_of_service};
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, time};
use serde_json::json;

/// Pods.
pub(crate) struct Pod;

impl Strategy for Pod {
    fn default(&self, object: &mut Value) {
        pod::pod(object);
    }

    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        let quality = quality_of_service(object.get("spec").unwrap_or(&Value::Null));
        let mut status = json!({"phase": "Pending", "qosClass": quality});
        if !list(object, "/spec/schedulingGates").is_empty() {
            status["conditions"] = json!([gated_condition(&time::format(context.env.now()))]);
        }
        if let Some(map) = object.as_object_mut() {
            map.insert("status".into(), status);
        }
    }

    fn prepare_subresource(&self, _: &Context<'_>, subresource: &str, object: &mut Value, old: &Value) {
        match subresource {
            "status" => keep_quality(object, old),
            "ephemeralcontainers" => {
                let containers = object.pointer("/spec/ephemeralContainers").cloned();
                restore(object, old);
                set_spec(object, "ephemeralContainers", containers);
            }
            "resize" => keep_resources(object, old),
            _ => {}
        }
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let path = Path::new("spec");
        let Some(spec) = object.get("spec") else { return Vec::new() };
        let mut errors = pod_spec(spec, &path);
        if !list(spec, "/ephemeralContainers").is_empty() {
            errors.push(Error::forbidden(&path.child("ephemeralContainers"), "cannot be set on create"));
        }
        if !text(spec, "/nodeName").is_empty() && !list(spec, "/schedulingGates").is_empty() {
            let why = "cannot be set until all schedulingGates have been cleared";
            errors.push(Error::forbidden(&path.child("nodeName"), why));
        }
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        pod_change(object, old)
    }

    fn validate_subresource(
        &self,
        _: &Context<'_>,
        subresource: &str,
        object: &Value,
        old: &Value,
    ) -> Vec<Error> {
        match subresource {
            "status" => status_change(object, old),
            "ephemeralcontainers" => ephemeral_containers_change(object, old),
            "resize" => resize(object, old),
            _ => Vec::new(),
        }
    }
}

fn gated_condition(now: &str) -> Value {
    json!({
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
        "lastProbeTime": null, "lastTransitionTime": now,
    })
}

/// Kubelets of old dropped the class; it never changes.
fn keep_quality(object: &mut Value, old: &Value) {
    let class = text(old, "/status/qosClass");
    if text(object, "/status/qosClass").is_empty()
        && !class.is_empty()
        && let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
    {
        status.insert("qosClass".into(), class.into());
    }
    match old.pointer("/metadata/ownerReferences") {
        Some(owners) => meta::set(object, "ownerReferences", owners.clone()),
        None => meta::unset(object, "ownerReferences"),
    }
}

/// Spec and status as they were, but for what is set after.
fn restore(object: &mut Value, old: &Value) {
    let Some(map) = object.as_object_mut() else { return };
    for field in ["spec", "status"] {
        match old.get(field) {
            Some(value) => map.insert(field.into(), value.clone()),
            None => map.remove(field),
        };
    }
}

fn set_spec(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    match value {
        Some(value) => spec.insert(field.into(), value),
        None => spec.remove(field),
    };
}

/// A resize may change the resources of containers, and nothing else. When containers were added, removed or renamed
/// everything stays as it came, for validation to refuse.
fn keep_resources(object: &mut Value, old: &Value) {
    let mut merged = Vec::new();
    for field in ["containers", "initContainers"] {
        let (new, old) = (list(object, &format!("/spec/{field}")), list(old, &format!("/spec/{field}")));
        let is_same =
            new.len() == old.len() && new.iter().zip(old).all(|(n, o)| n.get("name") == o.get("name"));
        if !is_same {
            return;
        }
        merged.push((
            field,
            new.iter().zip(old).map(|(new, old)| with_resources(new, old)).collect::<Vec<_>>(),
        ));
    }
    let whole = object.pointer("/spec/resources").cloned();
    restore(object, old);
    set_spec(object, "resources", whole);
    for (field, containers) in merged {
        if !containers.is_empty() {
            set_spec(object, field, Some(containers.into()));
        }
    }
}

fn with_resources(new: &Value, old: &Value) -> Value {
    let mut container = old.clone();
    for field in ["resources", "resizePolicy"] {
        let Some(map) = container.as_object_mut() else { continue };
        match new.get(field) {
            Some(value) => map.insert(field.into(), value.clone()),
            None => map.remove(field),
        };
    }
    container
}

/// A resize leaves the quality of service and the containers as they are.
fn resize(object: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("spec");
    let (Some(spec), Some(old_spec)) = (object.get("spec"), old.get("spec")) else { return Vec::new() };
    let mut errors = pod_spec(spec, &path);
    for field in ["containers", "initContainers"] {
        let names = |spec: &Value| -> Vec<Option<Value>> {
            list(spec, &format!("/{field}")).iter().map(|c| c.get("name").cloned()).collect()
        };
        if names(spec) != names(old_spec) {
            let why = "only cpu and memory resources are mutable";
            errors.push(Error::forbidden(&path, why));
        }
    }
    let class = text(old, "/status/qosClass");
    if !class.is_empty() && quality_of_service(spec) != class {
        errors.push(Error::invalid(&path, class, "Pod QOS Class may not change as a result of resizing"));
    }
    if some(old, "/metadata/annotations/kubernetes.io~1config.mirror").is_some() {
        errors.push(Error::forbidden(&Path::default(), "static pods cannot be resized"));
    }
    errors
}

fn status_change(object: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("status");
    let mut errors = Vec::new();
    let (new, was) = (text(object, "/spec/nodeName"), text(old, "/spec/nodeName"));
    if new != was {
        errors.push(Error::forbidden(&path.child("nodeName"), "may not be changed directly"));
    }
    errors.extend(crate::kinds::validation::immutable(
        object,
        old,
        "/status/qosClass",
        &path.child("qosClass"),
    ));
    errors
}
