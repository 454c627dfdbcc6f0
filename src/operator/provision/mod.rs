//! The objects that one virtual cluster is made of on its host, as functions from a [`Release`] to trees.
//!
//! The chart in `manifests/chart` is written by hand and renders the same objects; each is the other's judge in
//! `tests/chart.rs` of this room. Whoever changes one changes both.

mod config;
mod network;
mod policies;
mod rights;
mod workload;

pub use config::SET_BY_THE_CHART;
pub use rights::{GRANTS, Grant, Scope};

use alcove_config::{Config, PodSecurity, Problem};
use alcove_object::Value;
use serde_json::json;
use std::collections::BTreeMap;

/// Label and its value: objects of this product.
pub const APP: (&str, &str) = ("app.kubernetes.io/name", "alcove");
/// Label: the tenant that an object of the control plane belongs to. Synced objects have another one,
/// `alcove.dev/cluster`, so that neither is ever taken for the other.
pub const TENANT: &str = "alcove.dev/tenant";
/// Annotation of the Secret with the tenant's kubeconfig: the UID of the pod whose process serves and wrote it last.
pub const SERVED_BY: &str = "alcove.dev/served-by";
/// Label of synced objects: the virtual cluster that they belong to.
const SYNCED: &str = "alcove.dev/cluster";
/// Annotation of the pod: a digest of its configuration, so that a change rolls it.
pub const CONFIG_HASH: &str = "alcove.dev/config-hash";
/// The port that the API is served on within the pod.
pub const API_PORT: u16 = 8443;
/// The port of the tenant's Service.
pub const SERVICE_PORT: u16 = 443;
/// User and group that the process runs as.
pub const UID: u32 = 65532;
/// Where the volume is in the pod.
const VOLUME: &str = "/var/lib/alcove";
/// Where the store is. Not the volume itself, which belongs to root: the process makes a folder that is its own.
const DATA: &str = "/var/lib/alcove/data";

/// One virtual cluster to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// Its name: that of the Helm release, too.
    pub name: String,
    /// The host namespace.
    pub namespace: String,
    /// The version of alcove: the image's tag unless the configuration names another.
    pub version: String,
    /// Its configuration.
    pub config: Config,
}

/// Why values make no release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key that follows from the pod.
    #[error("{0} is set by the chart; take it out of the values")]
    SetByTheChart(&'static str),
    /// Values that are no configuration, or a name that is none.
    #[error(transparent)]
    Values(#[from] Problem),
}

impl Release {
    /// A release of these values, such as helm takes. Errors: names that cannot be used, and wrong values.
    pub fn new(name: &str, namespace: &str, version: &str, mut values: Value) -> Result<Release, Error> {
        if let Some(key) = SET_BY_THE_CHART.into_iter().find(|key| values.get(key).is_some()) {
            return Err(Error::SetByTheChart(key));
        }
        if values.is_null() {
            values = json!({});
        }
        if values.is_object() {
            values["host"] = json!({ "name": name, "namespace": namespace });
        }
        let mut config = Config::from_tree(values)?;
        config.host = None;
        Ok(Release { name: name.into(), namespace: namespace.into(), version: version.into(), config })
    }

    /// `NAME-WHAT`.
    fn part(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    /// The name of its cluster-wide objects; no two releases have the same.
    pub fn cluster_wide_name(&self) -> String {
        format!("alcove:{}:{}", self.namespace, self.name)
    }

    /// What selects the pod of the control plane.
    pub fn selector(&self) -> Value {
        json!({ APP.0: APP.1, "app.kubernetes.io/instance": self.name, TENANT: self.name })
    }

    /// What selects the tenant's pods.
    fn synced(&self) -> Value {
        json!({ SYNCED: self.name })
    }

    fn labels(&self) -> Value {
        let mut labels = self.selector();
        labels["app.kubernetes.io/managed-by"] = "Helm".into();
        labels["app.kubernetes.io/version"] = self.version.clone().into();
        labels
    }

    /// An object of the release's namespace, with the marks by which helm adopts it.
    fn object(&self, api_version: &str, kind: &str, name: &str) -> Value {
        let mut object = self.cluster_wide(api_version, kind, name);
        object["metadata"]["namespace"] = self.namespace.clone().into();
        object
    }

    fn cluster_wide(&self, api_version: &str, kind: &str, name: &str) -> Value {
        json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {
                "name": name, "labels": self.labels(),
                "annotations": {
                    "meta.helm.sh/release-name": self.name, "meta.helm.sh/release-namespace": self.namespace,
                },
            },
        })
    }
}

/// All objects of a release, in the order in which they are best applied: who may do what, what is read, walls, and the
/// pod last. The namespace is not among them, see [`namespace`].
pub fn objects(release: &Release) -> Vec<Value> {
    let mut all = rights::objects(release);
    all.push(config::secret(release));
    all.extend(policies::objects(release));
    all.extend(network::objects(release));
    all.extend(workload::objects(release));
    all
}

/// The release's namespace, with the labels that it should have. To be applied by whoever may do so.
pub fn namespace(release: &Release) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": release.namespace, "labels": namespace_labels(&release.config) },
    })
}

/// The Pod Security labels of the namespace; none if the configuration wants none. The control plane's pod meets every
/// level.
pub fn namespace_labels(config: &Config) -> BTreeMap<&'static str, &'static str> {
    let level = match config.namespace_level() {
        None => return BTreeMap::new(),
        Some(PodSecurity::Privileged) => "privileged",
        Some(PodSecurity::Baseline) => "baseline",
        Some(PodSecurity::Restricted) => "restricted",
    };
    BTreeMap::from([("pod-security.kubernetes.io/enforce", level)])
}

/// Puts a value at a key unless it says nothing.
fn put(object: &mut Value, key: &str, value: impl Into<Value>) {
    let value = value.into();
    let is_empty = match &value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    if !is_empty {
        object[key] = value;
    }
}

#[cfg(test)]
mod tests;
