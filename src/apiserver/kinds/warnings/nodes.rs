//! What has to do with nodes: their old labels wherever objects select them, and nodes and volumes themselves
//! (k8s.io/kubernetes/pkg/api/{node,persistentvolume,storage} and the strategy of nodes).

use super::forms;
use crate::kinds::tree::{field_text, list, some, text};
use alcove_object::{Value, meta, name};

/// Labels of nodes that are called otherwise today (pkg/api/node: deprecatedNodeLabels).
const OLD_LABELS: [(&str, &str); 8] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

/// Sources of volumes that are on their way out, in the order in which upstream looks.
const OLD_SOURCES: [(&str, &str); 6] = [
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Why a label of nodes is old; `None`: it is not.
pub(super) fn why_old(label: &str) -> Option<&'static str> {
    OLD_LABELS.iter().find(|(old, _)| *old == label).map(|(_, why)| *why)
}

/// A term that selects nodes, at a place. Values matter where validation does not look at them.
pub(super) fn term(term: &Value, with_values: bool, place: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    for (i, expression) in list(term, "/matchExpressions").iter().enumerate() {
        let key = field_text(expression, "key");
        warnings.extend(why_old(key).map(|why| format!("{place}.matchExpressions[{i}].key: {key} is {why}")));
        for (j, value) in list(expression, "/values").iter().enumerate().filter(|_| with_values) {
            let value = value.as_str().unwrap_or_default();
            let place = format!("{place}.matchExpressions[{i}].values[{j}]");
            let wrong = name::is_valid_label_value(value).into_iter();
            warnings.extend(wrong.map(|why| format!("{place}: {value} is invalid, {why}")));
        }
    }
    warnings
}

/// The affinity of a pod to nodes.
pub(super) fn affinity(pod: &Value, at: &dyn Fn(&str) -> String) -> Vec<String> {
    const PLACE: &str = "spec.affinity.nodeAffinity";
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let Some(given) = some(pod, "/spec/affinity/nodeAffinity") else { return Vec::new() };
    let mut warnings = Vec::new();
    for (i, required) in list(given, &format!("/{}", REQUIRED.replace('.', "/"))).iter().enumerate() {
        warnings.extend(term(required, false, &at(&format!("{PLACE}.{REQUIRED}[{i}]"))));
    }
    for (i, preferred) in list(given, &format!("/{PREFERRED}")).iter().enumerate() {
        let place = at(&format!("{PLACE}.{PREFERRED}[{i}].preference"));
        warnings.extend(term(preferred.get("preference").unwrap_or(&Value::Null), true, &place));
    }
    warnings
}

/// Nodes.
pub(in crate::kinds) fn node(object: &Value, _: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    if some(object, "/spec/configSource").is_some() {
        warnings.push("spec.configSource: the feature is removed".to_owned());
    }
    if !text(object, "/spec/externalID").is_empty() {
        warnings.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned());
    }
    for (i, block) in list(object, "/spec/podCIDRs").iter().enumerate() {
        let block = block.as_str().unwrap_or_default();
        warnings.extend(forms::block(block, &format!("spec.podCIDRs[{i}]")));
    }
    warnings
}

/// Volumes.
pub(in crate::kinds) fn volume(object: &Value, _: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, why) in [
        (
            "volume.beta.kubernetes.io/storage-class",
            "deprecated since v1.8; use \"storageClassName\" attribute instead",
        ),
        (
            "volume.beta.kubernetes.io/mount-options",
            "deprecated since v1.31; use \"mountOptions\" attribute instead",
        ),
    ] {
        let is_there = meta::annotation(object, key).is_some();
        warnings.extend(is_there.then(|| format!("metadata.annotations[{key}]: {why}")));
    }
    if text(object, "/spec/persistentVolumeReclaimPolicy") == "Recycle" {
        warnings.push(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the \
             recommended approach is to use dynamic provisioning."
                .to_owned(),
        );
    }
    let terms = list(object, "/spec/nodeAffinity/required/nodeSelectorTerms").iter().enumerate();
    for (i, given) in terms {
        warnings.extend(term(given, false, &format!("spec.nodeAffinity.required.nodeSelectorTerms[{i}]")));
    }
    for (source, why) in OLD_SOURCES {
        if some(object, &format!("/spec/{source}")).is_some() {
            // Upstream writes this one otherwise than the field is called.
            let told = if source == "storageos" { "storageOS" } else { source };
            warnings.push(format!("spec.{told}: {why}"));
        }
    }
    warnings
}

/// Classes of volumes.
pub(in crate::kinds) fn storage_class(object: &Value, _: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (i, topology) in list(object, "/allowedTopologies").iter().enumerate() {
        for (j, expression) in list(topology, "/matchLabelExpressions").iter().enumerate() {
            let place = format!("allowedTopologies[{i}].matchLabelExpressions[{j}].key");
            warnings.extend(why_old(field_text(expression, "key")).map(|why| format!("{place}: {why}")));
        }
    }
    warnings
}

/// What a place of nodes has of storage.
pub(in crate::kinds) fn storage_capacity(object: &Value, _: Option<&Value>) -> Vec<String> {
    let Some(topology) = some(object, "/nodeTopology") else { return Vec::new() };
    let mut warnings = term(topology, false, "nodeTopology");
    for (label, _) in meta::entries(topology.get("matchLabels")) {
        warnings.extend(why_old(label).map(|why| format!("nodeTopology.matchLabels.{label}: {why}")));
    }
    warnings
}

/// Classes of runtimes.
pub(in crate::kinds) fn runtime_class(object: &Value, _: Option<&Value>) -> Vec<String> {
    let labels = meta::entries(object.pointer("/scheduling/nodeSelector"));
    let old = labels.filter_map(|(label, _)| why_old(label));
    old.map(|why| format!("scheduling.nodeSelector: {why}")).collect()
}
