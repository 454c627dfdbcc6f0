//! The top of the configuration, and what has no larger group of its own.

use crate::control_plane::ControlPlane;
use crate::exposure::{Expose, Kubeconfig};
use crate::sync::{PodSecurity, Sync};
use crate::version::KubernetesVersion;
use alcove_object::gather::Gather;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// `apiVersion` of a configuration file.
pub const API_VERSION: &str = "alcove.dev/v1alpha1";
/// `kind` of a configuration file.
pub const KIND: &str = "Config";

/// The configuration of one virtual cluster. Everything may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Always `alcove.dev/v1alpha1`. A file that `alcove serve` reads must say it; chart values need not.
    pub api_version: String,
    /// Always `Config`. A file that `alcove serve` reads must say it; chart values need not.
    pub kind: String,
    /// The Kubernetes minor that the tenant serves: 1.34, 1.35, 1.36 or 1.37.
    pub kubernetes_version: KubernetesVersion,
    /// API versions to switch on or off, as kube-apiserver's `--runtime-config` names them: `api/all`, `api/ga`,
    /// `api/beta`, `api/alpha`, `GROUP/VERSION` or `GROUP/VERSION/RESOURCE`, each `true` or `false`; `/v1` is the core
    /// group. Beta and alpha versions are off unless they are switched on; objects of a kind that is switched off are
    /// kept.
    pub runtime_config: BTreeMap<String, bool>,
    /// The DNS domain of the tenant, as its pods see it.
    pub cluster_domain: String,
    /// Directory that keeps everything. In a pod it is set by the chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Address to serve on; loopback unless there is a host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Port to serve on; 0 takes a free one and keeps it over restarts. In a pod it is set by the chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The host cluster. Without it the process serves a control plane that stands alone. In a pod it is set by the
    /// chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// What of the tenant's objects goes to the host, and what of the host is shown to the tenant.
    pub sync: Sync,
    /// The tenant's DNS server.
    pub dns: Dns,
    /// How much the tenant may keep in its own store. Host quotas do not cover it.
    pub quota: Quota,
    /// How the tenant's API server is reached from outside its namespace.
    pub expose: Expose,
    /// The kubeconfigs that are written to Secrets.
    pub kubeconfig: Kubeconfig,
    /// Walls around the tenant's namespace on the host.
    pub isolation: Isolation,
    /// The pod that runs the tenant.
    pub control_plane: ControlPlane,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            api_version: API_VERSION.into(),
            kind: KIND.into(),
            kubernetes_version: KubernetesVersion::default(),
            runtime_config: BTreeMap::new(),
            cluster_domain: "cluster.local".into(),
            data: None,
            address: None,
            port: None,
            host: None,
            sync: Sync::default(),
            dns: Dns::default(),
            quota: Quota::default(),
            expose: Expose::default(),
            kubeconfig: Kubeconfig::default(),
            isolation: Isolation::default(),
            control_plane: ControlPlane::default(),
        }
    }
}

/// Where a tenant lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Host {
    /// The tenant's name: a DNS label. It stands in the names of all its host objects.
    pub name: String,
    /// The host namespace that holds its objects.
    pub namespace: String,
    /// A kubeconfig for the host. Without it, the pod's own service account is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
}

/// The tenant's DNS server, which is part of the tenant's process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Dns {
    /// Whether it runs. Without it, pods keep the host's DNS and cannot find the tenant's services by name.
    pub enabled: bool,
    /// The UDP and TCP port that it listens on.
    pub port: u16,
    /// Resolvers for names outside the cluster domain, as `ip` or `ip:port`. Without any, those of the process's own
    /// /etc/resolv.conf.
    pub upstreams: Vec<String>,
}

impl Default for Dns {
    fn default() -> Self {
        Dns { enabled: true, port: 1053, upstreams: Vec::new() }
    }
}

/// How much the tenant may keep in its own store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Quota {
    /// Objects of all kinds together, Events excepted. 0: no limit.
    pub objects: u64,
    /// Bytes of all objects together. 0: no limit.
    pub bytes: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Quota { objects: 50_000, bytes: 512 * 1024 * 1024 }
    }
}

/// Walls around the tenant's namespace on the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Isolation {
    /// Names of other tenants that may live in the same host namespace. A second tenant is refused otherwise.
    pub shared_with: Vec<String>,
    /// Whether the host namespace gets Pod Security labels with the level of `sync.pods.podSecurity`. Only `alcove
    /// create` writes them: a chart cannot label its own namespace.
    pub label_namespace: bool,
    /// Network policies around the control plane and the tenant's pods.
    pub network: NetworkIsolation,
    /// The host's ResourceQuota for the namespace.
    pub resource_quota: ResourceQuota,
    /// The host's LimitRange for the namespace.
    pub limit_range: LimitRange,
}

impl Default for Isolation {
    fn default() -> Self {
        Isolation {
            shared_with: Vec::new(),
            label_namespace: true,
            network: NetworkIsolation::default(),
            resource_quota: ResourceQuota::default(),
            limit_range: LimitRange::default(),
        }
    }
}

/// Network policies. The tenant's pods reach each other, the tenant's API server and DNS, and public addresses; not
/// other tenants, not link-local addresses (cloud metadata), not the host's API server, unless it is said here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NetworkIsolation {
    /// Whether the policies are made.
    pub enabled: bool,
    /// Whether the tenant's pods reach public addresses.
    pub public_egress: bool,
    /// Address ranges that never count as public: private ranges, link-local addresses and carrier-grade NAT unless
    /// said otherwise. Put the addresses of the host's API server here if they are public.
    pub denied: Vec<String>,
    /// More egress rules for the tenant's pods, as in a NetworkPolicy.
    pub extra_egress: Vec<Value>,
    /// More ingress rules for the tenant's pods, as in a NetworkPolicy; say which controllers may reach them.
    pub extra_ingress: Vec<Value>,
    /// More egress rules for the control plane's pod, as in a NetworkPolicy.
    pub control_plane_egress: Vec<Value>,
    /// Who reaches the control plane's API port, as `from` of a NetworkPolicy. Empty: everybody, since it is protected
    /// by TLS and RBAC.
    pub control_plane_from: Vec<Value>,
}

impl Default for NetworkIsolation {
    fn default() -> Self {
        let denied = [
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
        ];
        NetworkIsolation {
            enabled: true,
            public_egress: true,
            denied: denied.map(str::to_owned).to_vec(),
            extra_egress: Vec::new(),
            extra_ingress: Vec::new(),
            control_plane_egress: Vec::new(),
            control_plane_from: Vec::new(),
        }
    }
}

/// The host's ResourceQuota for the namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ResourceQuota {
    /// Whether it is made.
    pub enabled: bool,
    /// `spec.hard`, as in a ResourceQuota.
    pub hard: BTreeMap<String, Value>,
}

impl Default for ResourceQuota {
    fn default() -> Self {
        let hard = [
            ("requests.cpu", json!("10")),
            ("requests.memory", json!("20Gi")),
            ("requests.storage", json!("100Gi")),
            ("limits.cpu", json!("20")),
            ("limits.memory", json!("40Gi")),
            ("count/pods", json!("100")),
            ("count/services", json!("100")),
            ("count/persistentvolumeclaims", json!("20")),
            ("count/configmaps", json!("200")),
            ("count/secrets", json!("200")),
            ("services.loadbalancers", json!("1")),
            ("services.nodeports", json!("0")),
        ];
        ResourceQuota {
            enabled: false,
            hard: hard.into_iter().map(|(name, value)| (name.to_owned(), value)).gather(),
        }
    }
}

/// The host's LimitRange for the namespace. Whoever switches the quota on wants it too, since a quota refuses pods
/// without requests and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LimitRange {
    /// Whether it is made. `null` follows `isolation.resourceQuota.enabled`.
    pub enabled: Option<bool>,
    /// `default` of containers.
    pub default: BTreeMap<String, Value>,
    /// `defaultRequest` of containers.
    pub default_request: BTreeMap<String, Value>,
}

impl Default for LimitRange {
    fn default() -> Self {
        let resources = |cpu: &str, memory: &str| {
            [("cpu".to_owned(), json!(cpu)), ("memory".to_owned(), json!(memory))].into_iter().gather()
        };
        LimitRange {
            enabled: None,
            default: resources("1", "512Mi"),
            default_request: resources("50m", "64Mi"),
        }
    }
}

impl Isolation {
    /// Whether a LimitRange is made.
    pub fn has_limit_range(&self) -> bool {
        self.limit_range.enabled.unwrap_or(self.resource_quota.enabled)
    }
}

impl Config {
    /// The Pod Security level that the host namespace is labelled with.
    pub fn namespace_level(&self) -> Option<PodSecurity> {
        self.isolation.label_namespace.then_some(self.sync.pods.pod_security)
    }
}
