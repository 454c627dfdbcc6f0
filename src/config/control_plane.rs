//! The pod that runs a tenant.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Something that is on or off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Toggle {
    /// Whether it is on.
    pub enabled: bool,
}

/// The pod that runs a tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ControlPlane {
    /// The image.
    pub image: Image,
    /// Requests and limits, as in a container.
    pub resources: BTreeMap<String, Value>,
    /// Where it keeps its store.
    pub storage: Storage,
    /// Labels of the nodes that it may run on.
    pub node_selector: BTreeMap<String, String>,
    /// As in a pod.
    pub tolerations: Vec<Value>,
    /// As in a pod.
    pub affinity: BTreeMap<String, Value>,
    /// As in a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// More labels of the pod.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pod.
    pub annotations: BTreeMap<String, String>,
    /// What to log, such as `info` or `alcove_syncer=debug`.
    pub log: String,
    /// A PodDisruptionBudget that keeps drains from ending the pod.
    pub pod_disruption_budget: Toggle,
    /// A ServiceMonitor for the Prometheus operator.
    pub service_monitor: Toggle,
}

impl Default for ControlPlane {
    fn default() -> Self {
        let resources = json!({
            "requests": { "cpu": "20m", "memory": "48Mi" },
            "limits": { "memory": "1Gi" },
        });
        ControlPlane {
            image: Image::default(),
            resources: serde_json::from_value(resources).expect("a map"),
            storage: Storage::default(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: BTreeMap::new(),
            priority_class_name: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            log: "info".into(),
            pod_disruption_budget: Toggle::default(),
            service_monitor: Toggle::default(),
        }
    }
}

/// The image of the control plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Image {
    /// Registry and repository.
    pub repository: String,
    /// Tag; the version of the binary or chart unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// As in a container.
    pub pull_policy: String,
    /// Names of Secrets with registry credentials.
    pub pull_secrets: Vec<String>,
}

impl Default for Image {
    fn default() -> Self {
        Image {
            repository: "ghcr.io/alcove-dev/alcove".into(),
            tag: None,
            pull_policy: "IfNotPresent".into(),
            pull_secrets: Vec::new(),
        }
    }
}

/// Where the control plane keeps its store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Storage {
    /// Whether it has a claim. Without one, everything is lost with the pod: only for throw-away clusters.
    pub persistent: bool,
    /// The size of the claim, or the limit of the directory that takes its place.
    pub size: String,
    /// The StorageClass of the claim; the host's default unless named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

impl Default for Storage {
    fn default() -> Self {
        Storage { persistent: true, size: "2Gi".into(), class: None }
    }
}
