//! The one configuration of a virtual cluster. The tenant process reads it as a file, the chart takes it as its
//! `values.yaml`, and the CLI hands it to both; so a setting has one name, one default and one explanation everywhere.
//!
//! The types are the truth: their comments become docs/configuration.md and the JSON Schema for editors and helm. Tests
//! write these with the feature `schema`, which the product does without: it knows the keys from keys.json.
//! **Invariants.** Everything may be left out, and what is left out is the secure choice. A key that is not known is an
//! error that names its place and the nearest known one. This room must not know what any setting does.

mod check;
mod control_plane;
#[cfg(any(test, feature = "schema"))]
mod document;
mod exposure;
mod keys;
mod sync;
mod types;
#[cfg(any(test, feature = "schema"))]
mod values;
mod version;

pub use check::{NAME_MAX, Problem};
pub use control_plane::{ControlPlane, Image, Storage, Toggle};
#[cfg(any(test, feature = "schema"))]
pub use document::{json_schema, markdown};
pub use exposure::{ArgoCd, Expose, ExposeType, Ingress, Kubeconfig, KubeconfigSecret, ParentRef, TlsRoute};
pub use sync::{
    Endpoints, Ingresses, NodeNames, Nodes, PodSecurity, Pods, ServiceAccounts, Services, Sync, VolumeClaims,
};
pub use types::{
    API_VERSION, Config, Dns, Host, Isolation, KIND, LimitRange, NetworkIsolation, Quota, ResourceQuota,
};
#[cfg(any(test, feature = "schema"))]
pub use values::values_yaml;
pub use version::KubernetesVersion;

use serde_json::Value;

impl Config {
    /// Reads a configuration from YAML (or JSON). Errors: text that is no YAML, unknown keys, values of a wrong type or
    /// out of their range; each is a sentence with the place.
    pub fn parse(text: &str) -> Result<Config, Problem> {
        check::parse(text)
    }

    /// Takes a tree, such as merged values. Errors as for [`Config::parse`].
    pub fn from_tree(tree: Value) -> Result<Config, Problem> {
        check::from_tree(tree)
    }

    /// The configuration as a tree, with all defaults written out.
    pub fn to_tree(&self) -> Value {
        serde_json::to_value(self).expect("a configuration is texts, numbers, lists and maps with text keys")
    }
}
