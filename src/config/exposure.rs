//! How a tenant is reached, and where its kubeconfigs go.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the tenant's API server is reached from outside its namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Expose {
    /// The type of the tenant's Service.
    #[serde(rename = "type")]
    pub service_type: ExposeType,
    /// Annotations of the Service, for a load balancer.
    pub annotations: BTreeMap<String, String>,
    /// The node port, if it must be a certain one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_port: Option<u16>,
    /// Client address ranges that a load balancer lets in.
    pub load_balancer_source_ranges: Vec<String>,
    /// More names and addresses that the serving certificate is for.
    pub names: Vec<String>,
    /// An Ingress that passes TLS through to the API server.
    pub ingress: Ingress,
    /// A Gateway API TLSRoute that passes TLS through to the API server.
    pub tls_route: TlsRoute,
}

/// The type of the tenant's Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub enum ExposeType {
    /// Reached within the host cluster, and by port-forward.
    #[default]
    ClusterIP,
    /// Reached on a port of every node.
    NodePort,
    /// Reached at an address that a load balancer gives.
    LoadBalancer,
}

/// An Ingress that passes TLS through. The controller must be able to, as ingress-nginx is with
/// `--enable-ssl-passthrough`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ingress {
    /// Whether it is made.
    pub enabled: bool,
    /// The host name.
    pub host: String,
    /// The IngressClass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Annotations in addition to those for TLS passthrough by ingress-nginx.
    pub annotations: BTreeMap<String, String>,
}

/// A Gateway API TLSRoute that passes TLS through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TlsRoute {
    /// Whether it is made.
    pub enabled: bool,
    /// The host names.
    pub hosts: Vec<String>,
    /// The gateways that it belongs to.
    pub parent_refs: Vec<ParentRef>,
}

/// A gateway, as in `parentRefs` of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ParentRef {
    /// Its name.
    pub name: String,
    /// Its namespace; the tenant's unless named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

/// The kubeconfigs that are written to Secrets. `NAME-kubeconfig` is always there: type `cluster.x-k8s.io/secret`, key
/// `value`, as Cluster API and Flux read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Kubeconfig {
    /// The address in it, such as `https://red.example.com:443`. Without it: the exposed address when there is one, else
    /// the Service's name within the host cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The name of context, cluster and user in it; the tenant's name unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// How long its client certificate is valid, in days. It is renewed when two thirds are over.
    pub certificate_days: u32,
    /// More Secrets with kubeconfigs.
    pub additional: Vec<KubeconfigSecret>,
    /// A Secret that makes the tenant a cluster of an Argo CD.
    pub argo_cd: ArgoCd,
}

impl Default for Kubeconfig {
    fn default() -> Self {
        Kubeconfig {
            server: None,
            context: None,
            certificate_days: 365,
            additional: Vec::new(),
            argo_cd: ArgoCd::default(),
        }
    }
}

/// One more Secret with a kubeconfig.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeconfigSecret {
    /// Its name.
    pub name: String,
    /// Its namespace; the tenant's unless named. Another one gets a Role there, which the platform team must make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The address in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// A service account of the tenant, as `namespace/name`, whose token it holds in place of the admin's certificate.
    /// The token is renewed before it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
}

/// A Secret that makes the tenant a cluster of an Argo CD.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ArgoCd {
    /// Whether it is made.
    pub enabled: bool,
    /// Argo CD's namespace. The platform team gives the tenant's service account rights on Secrets there.
    pub namespace: String,
    /// Argo CD's project for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Labels of the Secret, which ApplicationSets choose by.
    pub labels: BTreeMap<String, String>,
}

impl Default for ArgoCd {
    fn default() -> Self {
        ArgoCd { enabled: false, namespace: "argocd".into(), project: None, labels: BTreeMap::new() }
    }
}

impl Expose {
    /// The host names that reach the API server from outside.
    pub fn hosts(&self) -> Vec<String> {
        let ingress = self.ingress.enabled.then(|| self.ingress.host.clone());
        let route = self.tls_route.hosts.iter().filter(|_| self.tls_route.enabled).cloned();
        ingress.into_iter().chain(route).collect()
    }
}
