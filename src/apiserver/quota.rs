//! What resource quotas count: which of a quota's names are about a resource, how much of them an object uses, and which
//! objects a quota's scopes leave in (k8s.io/apiserver/pkg/quota/v1 and k8s.io/kubernetes/pkg/quota/v1/evaluator/core).
//!
//! Functions from values to values. Admission charges by them, and the controller that counts anew counts by them, so
//! that both come to the same numbers.

pub mod amounts;
mod pods;
mod scopes;
#[cfg(test)]
mod tests;

use alcove_object::gather::Gather;
use alcove_object::quantity::{Format, Quantity};
use alcove_object::{Value, tree};
use amounts::Amounts;
use jiff::Timestamp;

pub use scopes::Scope;

/// Behind the name of a storage class: what is counted of the claims of that class.
const STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";

/// Kinds that are counted under an old name, too.
const OLD_NAMES: [&str; 4] = ["configmaps", "resourcequotas", "replicationcontrollers", "secrets"];

/// What an object of some resource means to quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// By what its containers ask for.
    Pods,
    /// By type and ports.
    Services,
    /// By size and storage class.
    Claims,
    /// By number alone, under this old name as well.
    Number(Option<&'static str>),
}

/// How objects of a resource are counted. `None`: not at all, since they are not kept, or are news.
pub fn counted(group: &str, resource: &str) -> Option<Counted> {
    match (group, resource) {
        ("", "pods") => Some(Counted::Pods),
        ("", "services") => Some(Counted::Services),
        ("", "persistentvolumeclaims") => Some(Counted::Claims),
        ("" | "events.k8s.io", "events") | ("", "bindings") | ("authorization.k8s.io", _) => None,
        ("", resource) => Some(Counted::Number(OLD_NAMES.into_iter().find(|name| *name == resource))),
        _ => Some(Counted::Number(None)),
    }
}

/// `count/RESOURCE.GROUP`.
pub fn count_name(group: &str, resource: &str) -> String {
    if group.is_empty() { format!("count/{resource}") } else { format!("count/{resource}.{group}") }
}

impl Counted {
    /// Whether this name in a quota is about objects of the resource.
    pub fn is_about(self, group: &str, resource: &str, name: &str) -> bool {
        if name.strip_prefix("count/").is_some_and(|_| name == count_name(group, resource)) {
            return true;
        }
        match self {
            Counted::Pods => pods::is_pod_resource(name),
            Counted::Services => matches!(name, "services" | "services.nodeports" | "services.loadbalancers"),
            Counted::Claims => {
                let what = name.split_once(STORAGE_CLASS).map_or(name, |(_, what)| what);
                matches!(what, "persistentvolumeclaims" | "requests.storage")
            }
            Counted::Number(old) => old == Some(name),
        }
    }

    /// How much an object uses, under all names that it counts under.
    pub fn usage(self, group: &str, resource: &str, object: &Value, now: Timestamp) -> Amounts {
        let mut used = match self {
            Counted::Pods => pods::usage(object, now),
            Counted::Services => service(object),
            Counted::Claims => claim(object),
            Counted::Number(old) => old.map(|name| (name.to_owned(), number(1))).into_iter().gather(),
        };
        used.insert(count_name(group, resource), number(1));
        used
    }

    /// What a quota demands of an object that this one does not say, in upstream's words.
    pub fn unsaid(self, object: &Value, names: &[&str]) -> Option<String> {
        match self {
            Counted::Pods => pods::unsaid(object, names),
            _ => None,
        }
    }

    /// Whether a quota's scopes leave the object in.
    pub fn is_in(self, scopes: &[Scope<'_>], object: &Value) -> bool {
        scopes.iter().all(|scope| match self {
            Counted::Pods => scope.has_pod(object),
            Counted::Claims => scope.has_claim(object),
            _ => false,
        })
    }
}

/// A whole number of something.
pub fn number(count: i64) -> Quantity {
    Quantity::new(count, Format::DecimalSi)
}

fn service(service: &Value) -> Amounts {
    let ports = service["spec"]["ports"].as_array().map_or(&[][..], Vec::as_slice);
    let named = ports.iter().filter(|port| port["nodePort"].as_i64().unwrap_or(0) != 0).count();
    let kind = service["spec"]["type"].as_str().unwrap_or_default();
    // Their numbers are not given yet, so what is meant is counted.
    let node_ports = match kind {
        "LoadBalancer" if service["spec"]["allocateLoadBalancerNodePorts"] == false => named,
        "LoadBalancer" | "NodePort" => ports.len(),
        _ => 0,
    };
    let count = |count: usize| number(i64::try_from(count).unwrap_or(i64::MAX));
    Amounts::from([
        ("services".into(), number(1)),
        ("services.nodeports".into(), count(node_ports)),
        ("services.loadbalancers".into(), number((kind == "LoadBalancer").into())),
    ])
}

fn claim(claim: &Value) -> Amounts {
    let storage = |pointer: &str| tree::at(claim, pointer).and_then(|v| Quantity::from_value(v).ok());
    let mut used = Amounts::from([("persistentvolumeclaims".to_owned(), number(1))]);
    if let Some(asked) = storage("/spec/resources/requests/storage") {
        let allocated = storage("/status/allocatedResources/storage").filter(|allocated| *allocated > asked);
        let size = allocated.unwrap_or(asked);
        // Quotas of storage are in whole bytes.
        let is_whole = size == Quantity::new(size.value(), size.format());
        let size = if is_whole { size } else { Quantity::new(size.value(), size.format()) };
        used.insert("requests.storage".into(), size);
    }
    let annotated = tree::at(claim, "/metadata/annotations/volume.beta.kubernetes.io~1storage-class");
    let class =
        annotated.or(claim["spec"].get("storageClassName")).and_then(Value::as_str).unwrap_or_default();
    if !class.is_empty() {
        let by_class =
            |(name, amount): (&String, &Quantity)| (format!("{class}{STORAGE_CLASS}{name}"), amount.clone());
        used.extend(used.iter().map(by_class).collect::<Amounts>());
    }
    used
}
