//! What is synced, and what the platform team allows in it.

use crate::control_plane::Toggle;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What of the tenant's objects goes to the host, and what of the host is shown to the tenant. Pods, Services and the
/// ConfigMaps and Secrets that pods use are always synced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Sync {
    /// What pods may ask of the host, and what they get whether they ask or not.
    pub pods: Pods,
    /// What Services may ask of the host.
    pub services: Services,
    /// Endpoints and EndpointSlices that the tenant writes for Services without a selector.
    pub endpoints: Endpoints,
    /// Claims to volumes.
    pub persistent_volume_claims: VolumeClaims,
    /// Whether the host's StorageClasses are shown in the tenant. Needs a ClusterRole on the host.
    pub storage_classes: Toggle,
    /// Ingresses, and the host's IngressClasses.
    pub ingresses: Ingresses,
    /// Whether the tenant's NetworkPolicies go to the host.
    pub network_policies: Toggle,
    /// Whether the tenant's PodDisruptionBudgets go to the host, where they hold back drains of nodes.
    pub pod_disruption_budgets: Toggle,
    /// Service accounts of the tenant as service accounts of the host.
    pub service_accounts: ServiceAccounts,
    /// What the tenant sees of the host's nodes.
    pub nodes: Nodes,
}

/// What pods may ask of the host, and what they get whether they ask or not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Pods {
    /// The Pod Security Standard that every pod must meet before it goes to the host.
    pub pod_security: PodSecurity,
    /// Node labels that every pod must be placed by, in addition to its own `nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations that every pod gets in addition to its own.
    pub tolerations: Vec<Value>,
    /// Tolerations of their own that pods may have, as in a pod. Empty: all but those that tolerate everything.
    pub allowed_tolerations: Vec<Value>,
    /// The RuntimeClass of every pod, such as one with a sandbox. Without it, pods may not choose one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// The PriorityClass of every pod on the host. The tenant's own classes never reach the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Annotations that pods may carry to the host: keys, or prefixes that end in `*`. None unless named, since
    /// annotations speak to whoever listens on the host.
    pub annotations: Vec<String>,
    /// Prefixes of image names and what takes their place, such as `docker.io/: mirror.example.com/docker/`. The longest
    /// one that fits wins.
    pub images: BTreeMap<String, String>,
}

/// A level of the Pod Security Standards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PodSecurity {
    /// Nothing is refused. Only for tenants who may have the nodes.
    Privileged,
    /// What would take over a node is refused.
    #[default]
    Baseline,
    /// Only pods that follow today's best practice are taken.
    Restricted,
}

/// What Services may ask of the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Services {
    /// Whether Services of type NodePort are taken.
    pub node_ports: bool,
    /// Whether Services of type LoadBalancer are taken.
    pub load_balancers: bool,
    /// Annotations that Services may carry to the host: keys, or prefixes that end in `*`.
    pub annotations: Vec<String>,
}

impl Default for Services {
    fn default() -> Self {
        Services { node_ports: true, load_balancers: true, annotations: Vec::new() }
    }
}

/// Endpoints and EndpointSlices that the tenant writes for Services without a selector. Addresses of the tenant's own
/// pods are always allowed; loopback, link-local and multicast addresses never are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Endpoints {
    /// Address ranges outside the cluster that they may name, such as that of a database.
    pub allowed: Vec<String>,
}

/// Claims to volumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VolumeClaims {
    /// Whether they are synced.
    pub enabled: bool,
    /// Names of the StorageClasses that claims may ask for. Empty: all.
    pub storage_classes: Vec<String>,
    /// The StorageClass of claims that name none. Without it, the host's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_storage_class: Option<String>,
    /// Whether claims may choose a volume of the host by name or labels. Volumes may be of any kind, `hostPath` too.
    pub named_volumes: bool,
}

impl Default for VolumeClaims {
    fn default() -> Self {
        VolumeClaims {
            enabled: true,
            storage_classes: Vec::new(),
            default_storage_class: None,
            named_volumes: false,
        }
    }
}

/// Ingresses, and the host's IngressClasses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ingresses {
    /// Whether they are synced.
    pub enabled: bool,
    /// Names of the IngressClasses that they may ask for. The first is that of an Ingress that names none.
    pub classes: Vec<String>,
    /// Hosts that they may serve: names, or suffixes such as `*.red.example.com`. None unless named: a tenant could take
    /// another one's host otherwise.
    pub hosts: Vec<String>,
    /// Annotations that they may carry to the host: keys, or prefixes that end in `*`.
    pub annotations: Vec<String>,
}

/// Service accounts of the tenant as service accounts of the host, for clouds that give rights to them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServiceAccounts {
    /// Whether they are synced. Pods then run as the host's account for theirs; it still has no rights on the host.
    pub enabled: bool,
    /// Annotations that they may carry to the host: keys, or prefixes that end in `*`.
    pub annotations: Vec<String>,
}

/// What the tenant sees of the host's nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Nodes {
    /// Labels of the host's nodes that the tenant sees all the time, with their sizes. Needs a ClusterRole on the host.
    /// Empty: the tenant sees a node as long as a pod of its own runs there, and nothing of it but its name.
    pub selector: BTreeMap<String, String>,
    /// Labels of the host's nodes that the tenant sees: keys, or prefixes that end in `*`.
    pub labels: Vec<String>,
    /// What the tenant's nodes are called.
    pub names: NodeNames,
    /// Whether selected nodes show their addresses, which users of node ports ask for.
    pub addresses: bool,
}

/// What the tenant's nodes are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum NodeNames {
    /// As on the host.
    #[default]
    Shown,
    /// By a stable name that tells nothing.
    Hidden,
}
