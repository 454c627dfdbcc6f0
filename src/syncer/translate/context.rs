//! What a translation may know besides the object itself: whose it is, what the platform team allows, and a few facts
//! about other objects.

use super::{Refusal, Resolver, Tenant};
use alcove_config::Sync;
use alcove_object::Value;
use std::net::IpAddr;

/// What a translation may know besides the object itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Which tenant.
    pub tenant: &'a Tenant,
    /// What the platform team allows.
    pub allowed: &'a Sync,
    /// Other objects.
    pub known: &'a dyn Known,
}

/// Facts about other objects, as they are now.
pub trait Known: std::marker::Sync {
    /// A tenant's object. `resource` is a plural that is synced, such as `services`.
    fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value>;
    /// Whether a pod of this tenant has this address on the host, as the host says.
    fn is_pod_address(&self, address: IpAddr) -> bool;
    /// Whether the host has this class (`storageclasses`, `ingressclasses`); `None` where it may not be asked.
    fn has_class(&self, resource: &str, name: &str) -> Option<bool>;
    /// The labels of a tenant's namespace.
    fn namespace_labels(&self, namespace: &str) -> Value;
    /// The tenant's namespaces that a label selector selects.
    fn namespaces(&self, selector: &Value) -> Vec<String>;
    /// The host's name of a tenant's node; `None` if the tenant has no such node.
    fn host_node(&self, node: &str) -> Option<String>;
    /// The DNS domain of the tenant.
    fn domain(&self) -> String;
    /// The tenant's DNS, if its pods are to use it.
    fn resolver(&self) -> Option<Resolver>;
    /// The host's service account of the tenant's pods, if they have one that is not the namespace's default.
    fn account(&self) -> Option<String>;
}

/// Nothing is known of other objects.
pub struct Nothing;

impl Known for Nothing {
    fn object(&self, _: &str, _: &str, _: &str) -> Option<Value> {
        None
    }

    fn is_pod_address(&self, _: IpAddr) -> bool {
        false
    }

    fn has_class(&self, _: &str, _: &str) -> Option<bool> {
        None
    }

    fn namespace_labels(&self, _: &str) -> Value {
        Value::Null
    }

    fn namespaces(&self, _: &Value) -> Vec<String> {
        Vec::new()
    }

    fn host_node(&self, _: &str) -> Option<String> {
        None
    }

    fn domain(&self) -> String {
        "cluster.local".into()
    }

    fn resolver(&self) -> Option<Resolver> {
        None
    }

    fn account(&self) -> Option<String> {
        None
    }
}

/// A host object, and what of the tenant's is not in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The host's object.
    pub object: Value,
    /// What was left out of it, and why. Shown to the tenant as an event.
    pub left_out: Vec<Refusal>,
}

impl From<Value> for Wanted {
    fn from(object: Value) -> Wanted {
        Wanted { object, left_out: Vec::new() }
    }
}

/// Whether a list of keys names this one: as it is, or by what stands before a final `*`.
pub fn names(list: &[String], key: &str) -> bool {
    list.iter().any(|entry| match entry.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => entry == key,
    })
}
