//! What the workload controllers ask of pods: which are active, ready, available, and which go first.

use alcove_object::{Gvr, Value, condition, meta, time};
use jiff::Timestamp;
use serde_json::json;
use std::borrow::Borrow;
use std::time::Duration;

/// Pods, as a resource.
pub fn resource() -> Gvr {
    Gvr::new("", "v1", "pods")
}

/// Not finished and not being deleted.
pub fn is_active(pod: &Value) -> bool {
    !meta::is_deleting(pod) && !is_finished(pod)
}

/// Succeeded or failed.
pub fn is_finished(pod: &Value) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// `status.phase`, or empty.
pub fn phase(pod: &Value) -> &str {
    pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default()
}

/// The node that a pod is bound to.
pub fn node(pod: &Value) -> Option<&str> {
    pod.pointer("/spec/nodeName")?.as_str().filter(|node| !node.is_empty())
}

/// Whether the condition `Ready` holds.
pub fn is_ready(pod: &Value) -> bool {
    condition::is_true(pod, "Ready")
}

/// How long until a ready pod counts as available; zero when it does, `None` when it is not ready.
pub fn time_to_available(pod: &Value, min_ready: Duration, now: Timestamp) -> Option<Duration> {
    let ready = condition::find(pod, "Ready").filter(|c| c["status"] == "True")?;
    if min_ready.is_zero() {
        return Some(Duration::ZERO);
    }
    let since = ready["lastTransitionTime"].as_str().and_then(time::parse)?;
    Some(min_ready.saturating_sub(now.duration_since(since).unsigned_abs()))
}

/// A pod from a template, controlled by `owner`. `labels` are added to the template's.
pub fn from_template(template: &Value, owner: &Value, generate_name: &str) -> Value {
    let mut metadata = json!({ "generateName": generate_name, "ownerReferences": [owner_reference(owner)] });
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.pointer(&format!("/metadata/{field}")).filter(|v| !v.is_null()) {
            metadata[field] = value.clone();
        }
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] })
}

/// The reference that makes `owner` the managing controller of an object.
pub fn owner_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta::name(owner), "uid": meta::uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Sorts pods so that those to be deleted first stand first (controller_utils.go, ActivePodsWithRanks): without a node,
/// not running, not ready, cheap by `controller.kubernetes.io/pod-deletion-cost`, ready for a shorter time, restarted
/// more often, younger.
pub fn sort_for_deletion<P: Borrow<Value>>(pods: &mut [P]) {
    pods.sort_by_cached_key(|pod| {
        let pod = pod.borrow();
        let has_node = node(pod).is_some();
        let phase = match phase(pod) {
            "Pending" => 0,
            "Unknown" => 1,
            _ => 2,
        };
        let cost = meta::annotation(pod, "controller.kubernetes.io/pod-deletion-cost");
        let cost: i32 = cost.and_then(|c| c.parse().ok()).unwrap_or(0);
        let ready_since =
            condition::find(pod, "Ready").and_then(|c| c["lastTransitionTime"].as_str()).unwrap_or_default();
        let restarts: i64 = pod
            .pointer("/status/containerStatuses")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|c| c["restartCount"].as_i64())
            .max()
            .unwrap_or(0);
        let created = meta::text(pod, "creationTimestamp").to_owned();
        let newer_first = |time: &str| std::cmp::Reverse(time.to_owned());
        (
            has_node,
            phase,
            is_ready(pod),
            cost,
            newer_first(ready_since),
            std::cmp::Reverse(restarts),
            newer_first(&created),
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_without_a_node_go_first_and_cheap_ones_before_dear_ones() {
        let pod = |name: &str, node: &str, ready: &str, cost: &str| {
            json!({
                "metadata": { "name": name, "annotations": { "controller.kubernetes.io/pod-deletion-cost": cost } },
                "spec": { "nodeName": node },
                "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] },
            })
        };
        let mut pods = vec![
            pod("dear", "n", "True", "9"),
            pod("cheap", "n", "True", "1"),
            pod("unready", "n", "False", "9"),
            pod("nowhere", "", "False", "9"),
        ];
        sort_for_deletion(&mut pods);
        let names: Vec<&str> = pods.iter().map(meta::name).collect();
        assert_eq!(names, ["nowhere", "unready", "cheap", "dear"]);
    }

    #[test]
    fn a_pod_is_available_after_its_time() {
        let pod = json!({ "status": { "conditions": [
            { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" } ] } });
        let now = "2026-01-01T00:00:04Z".parse().unwrap();
        assert_eq!(time_to_available(&pod, Duration::ZERO, now), Some(Duration::ZERO));
        assert_eq!(time_to_available(&pod, Duration::from_secs(10), now), Some(Duration::from_secs(6)));
        assert_eq!(time_to_available(&json!({}), Duration::ZERO, now), None);
    }
}
