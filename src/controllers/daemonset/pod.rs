//! A DaemonSet's pod for a node: what it tolerates, and how it is tied to its node. Pure.

use crate::nodes::NAME_FIELD;
use crate::{history, pods};
use alcove_object::{Value, meta};
use serde_json::json;

const GENERATION: &str = "deprecated.daemonset.template.generation";
const GENERATION_LABEL: &str = "pod-template-generation";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
/// Taints of nodes in trouble that a daemon's pods bear, so that they outlast it, and their effects.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// The spec of the set's pods, before one is tied to a node.
pub(super) fn spec(set: &Value) -> Value {
    let mut spec = set["spec"]["template"]["spec"].clone();
    let of_host_network = ("node.kubernetes.io/network-unavailable", "NoSchedule");
    let more = (spec["hostNetwork"] == Value::Bool(true)).then_some(of_host_network);
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    for (key, effect) in TOLERATED.into_iter().chain(more) {
        let toleration = json!({ "key": key, "operator": "Exists", "effect": effect });
        let is_same = |own: &Value| {
            ["key", "operator", "effect"].iter().all(|field| own[*field] == toleration[*field])
                && own["value"].as_str().unwrap_or_default().is_empty()
        };
        match tolerations.iter_mut().find(|own| is_same(own)) {
            Some(own) => *own = toleration,
            None => tolerations.push(toleration),
        }
    }
    spec["tolerations"] = tolerations.into();
    spec
}

/// How many templates the set has had, as its annotation says.
fn generation(set: &Value) -> Option<i64> {
    meta::annotation(set, GENERATION)?.parse().ok()
}

/// The pod of a node, of the revision with this hash.
pub(super) fn pod(set: &Value, node: &str, hash: &str) -> Value {
    let mut pod = pods::from_template(&set["spec"]["template"], set, &format!("{}-", meta::name(set)));
    let labels = meta::child_mut(meta::metadata_mut(&mut pod), "labels");
    labels.insert(history::REVISION.into(), hash.into());
    if let Some(generation) = generation(set) {
        labels.insert(GENERATION_LABEL.into(), generation.to_string().into());
    }
    pod["spec"] = spec(set);
    // The set was asked whether the node fits, so whatever else it requires of nodes need not be said.
    let only = json!({ "key": NAME_FIELD, "operator": "In", "values": [node] });
    pod["spec"]["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"] =
        json!([{ "matchFields": [only] }]);
    pod
}

/// The node that a pod is on, or is to be on.
pub(super) fn node(pod: &Value) -> Option<&str> {
    pods::node(pod).or_else(|| {
        let terms = pod.pointer("/spec/affinity/nodeAffinity")?.get(REQUIRED)?.get("nodeSelectorTerms")?;
        let fields = terms.as_array()?.iter().filter_map(|term| term["matchFields"].as_array()).flatten();
        let by_name = fields.into_iter().find(|f| f["key"] == NAME_FIELD && f["operator"] == "In")?;
        match by_name["values"].as_array()?.as_slice() {
            [Value::String(only)] => Some(only.as_str()),
            _ => None,
        }
    })
}

/// Whether a pod is of the set's current template.
pub(super) fn is_updated(set: &Value, pod: &Value, hash: &str) -> bool {
    let of_generation = || {
        let generation = generation(set)?.to_string();
        Some(meta::label(pod, GENERATION_LABEL)? == generation)
    };
    meta::label(pod, history::REVISION) == Some(hash) || of_generation() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_tied_to_its_node_and_bears_its_troubles() {
        let set = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": { "name": "agent", "uid": "u", "annotations": { GENERATION: "3" } },
            "spec": { "template": { "metadata": { "labels": { "app": "agent" } }, "spec": {
                "hostNetwork": true,
                "tolerations": [{ "key": "a", "operator": "Exists" }, { "key": "node.kubernetes.io/not-ready",
                    "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5 }],
                "affinity": { "podAntiAffinity": {}, "nodeAffinity": { REQUIRED: { "nodeSelectorTerms": [
                    { "matchExpressions": [{ "key": "zone", "operator": "Exists" }] }] } } } } } },
        });
        let pod = pod(&set, "n", "abc");
        assert_eq!(meta::text(&pod, "generateName"), "agent-");
        assert_eq!(
            pod["metadata"]["labels"],
            json!({ "app": "agent", history::REVISION: "abc", GENERATION_LABEL: "3" })
        );
        assert_eq!(node(&pod), Some("n"));
        assert_eq!(pod["spec"]["affinity"]["podAntiAffinity"], json!({}));
        let tolerations = pod["spec"]["tolerations"].as_array().unwrap();
        assert_eq!(tolerations.len(), 1 + TOLERATED.len() + 1);
        assert!(tolerations.iter().all(|toleration| toleration.get("tolerationSeconds").is_none()));
        assert!(is_updated(&set, &pod, "abc") && is_updated(&set, &pod, "of the same generation"));
        let mut later = set.clone();
        later["metadata"]["annotations"][GENERATION] = "4".into();
        assert!(!is_updated(&later, &pod, "xyz"));
    }

    #[test]
    fn a_pod_that_is_bound_is_where_it_is() {
        assert_eq!(node(&json!({ "spec": { "nodeName": "m" } })), Some("m"));
        assert_eq!(node(&json!({ "spec": { "nodeName": "" } })), None);
    }
}
