//! Horizontal pod autoscalers: v1 knows one CPU target and keeps the rest of v2 in annotations, so that nothing is lost
//! on the way through it (k8s.io/kubernetes/pkg/apis/autoscaling/v1/conversion.go).

use super::ruled;
use crate::kinds::defaults::kinds;
use crate::kinds::tree::{some, text};
use crate::kinds::validation::statuses;
use crate::registry::{Context, Strategy};
use alcove_object::field::Error;
use alcove_object::{Gvk, Value, meta};
use serde_json::{Map, json};

/// Autoscalers of both versions.
pub(crate) struct Autoscaler;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

impl Strategy for Autoscaler {
    fn default(&self, object: &mut Value) {
        kinds::horizontal_pod_autoscaler(object);
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        // The rules are those of v2, in which upstream thinks too.
        match text(object, "/apiVersion") {
            "autoscaling/v1" => {
                let mut converted = object.clone();
                to_v2(&mut converted);
                ruled::autoscaler(&converted)
            }
            _ => ruled::autoscaler(object),
        }
    }

    fn validate_subresource(&self, _: &Context<'_>, part: &str, object: &Value, old: &Value) -> Vec<Error> {
        if part == "status" { statuses::autoscaler(object, old) } else { Vec::new() }
    }

    fn convert(&self, object: &mut Value, to: &Gvk) {
        match to.version.as_str() {
            "v1" => to_v1(object),
            _ => to_v2(object),
        }
    }
}

fn take(object: &mut Value, parent: &str, field: &str) -> Option<Value> {
    object.get_mut(parent)?.as_object_mut()?.remove(field)
}

fn put(object: &mut Value, parent: &str, field: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        meta::child_mut(map, parent).insert(field.to_owned(), value);
    }
}

fn is_cpu_share(metric: &Value) -> bool {
    text(metric, "/resource/name") == "cpu" && some(metric, "/resource/target/averageUtilization").is_some()
}

fn to_v1(object: &mut Value) {
    let metrics = take(object, "spec", "metrics");
    let (cpu, others): (Vec<Value>, Vec<Value>) =
        metrics.as_ref().and_then(Value::as_array).into_iter().flatten().cloned().partition(is_cpu_share);
    if let Some(target) = cpu.first().and_then(|m| some(m, "/resource/target/averageUtilization")) {
        put(object, "spec", "targetCPUUtilizationPercentage", target.clone());
    }
    let current = take(object, "status", "currentMetrics");
    let share = current.as_ref().and_then(Value::as_array).into_iter().flatten().find_map(|m| {
        let is_cpu = text(m, "/resource/name") == "cpu";
        some(m, "/resource/current/averageUtilization").filter(|_| is_cpu)
    });
    if let Some(share) = share.cloned() {
        put(object, "status", "currentCPUUtilizationPercentage", share);
    }
    let kept = [
        (METRICS, (!others.is_empty()).then(|| others.into())),
        (BEHAVIOR, take(object, "spec", "behavior")),
        (CURRENT_METRICS, current),
        (CONDITIONS, take(object, "status", "conditions")),
    ];
    for (annotation, value) in kept {
        if let Some(value) = value.filter(|v| !v.is_null()) {
            let annotations = meta::child_mut(meta::metadata_mut(object), "annotations");
            annotations.insert(annotation.to_owned(), value.to_string().into());
        }
    }
}

fn to_v2(object: &mut Value) {
    let target = take(object, "spec", "targetCPUUtilizationPercentage").filter(|t| !t.is_null());
    let share = take(object, "status", "currentCPUUtilizationPercentage").filter(|share| !share.is_null());
    let mut metrics = match annotation(object, METRICS) {
        Some(Value::Array(others)) => others,
        _ => Vec::new(),
    };
    if let Some(target) = target {
        let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}});
        metrics.push(json!({"type": "Resource", "resource": cpu}));
    }
    if !metrics.is_empty() {
        put(object, "spec", "metrics", metrics.into());
    }
    if let Some(share) = share {
        let cpu = json!({"name": "cpu", "current": {"averageUtilization": share}});
        put(object, "status", "currentMetrics", json!([{"type": "Resource", "resource": cpu}]));
    }
    for (parent, field, key) in [
        ("spec", "behavior", BEHAVIOR),
        ("status", "currentMetrics", CURRENT_METRICS),
        ("status", "conditions", CONDITIONS),
    ] {
        if let Some(value) = annotation(object, key) {
            put(object, parent, field, value);
        }
    }
    let annotations = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    if annotations.is_some_and(|map| map.is_empty()) {
        meta::unset(object, "annotations");
    }
}

/// Takes an annotation that holds a tree.
fn annotation(object: &mut Value, key: &str) -> Option<Value> {
    let annotations: &mut Map<String, Value> =
        object.pointer_mut("/metadata/annotations")?.as_object_mut()?;
    serde_json::from_str(annotations.remove(key)?.as_str()?).ok()
}
