//! What may be said in the status of kinds that count pods, and of those that have addresses
//! (ValidateDeploymentStatus and its like in k8s.io/kubernetes/pkg/apis). Pods have a file of their own.

use super::conditions::conditions;
use super::{address, by, items, non_negative};
use crate::kinds::tree::{field, int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::quantity::Quantity;
use alcove_object::{Value, meta, name};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Numbers of a status: none is negative, and some are parts of others.
pub(crate) struct Counts {
    /// All of them.
    pub(crate) numbers: &'static [&'static str],
    /// A part, the whole, and what the whole is called.
    pub(crate) parts: &'static [(&'static str, &'static str, &'static str)],
}

const OF_REPLICAS: &str = "status.replicas";

pub(crate) const DEPLOYMENT: Counts = Counts {
    numbers: &[
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ],
    parts: &[
        ("updatedReplicas", "replicas", OF_REPLICAS),
        ("readyReplicas", "replicas", OF_REPLICAS),
        ("availableReplicas", "replicas", OF_REPLICAS),
        ("availableReplicas", "readyReplicas", "readyReplicas"),
    ],
};

/// Replica sets and replication controllers.
pub(crate) const REPLICA_SET: Counts = Counts {
    numbers: &[
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
        "terminatingReplicas",
    ],
    parts: &[
        ("fullyLabeledReplicas", "replicas", OF_REPLICAS),
        ("readyReplicas", "replicas", OF_REPLICAS),
        ("availableReplicas", "replicas", OF_REPLICAS),
        ("availableReplicas", "readyReplicas", "readyReplicas"),
    ],
};

pub(crate) const STATEFUL_SET: Counts = Counts {
    numbers: &[
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ],
    parts: &[
        ("readyReplicas", "replicas", OF_REPLICAS),
        ("currentReplicas", "replicas", OF_REPLICAS),
        ("updatedReplicas", "replicas", OF_REPLICAS),
        ("availableReplicas", "replicas", OF_REPLICAS),
        ("availableReplicas", "readyReplicas", "status.readyReplicas"),
    ],
};

pub(crate) const DAEMON_SET: Counts = Counts {
    numbers: &[
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ],
    parts: &[],
};

const DISRUPTION_BUDGET: Counts = Counts {
    numbers: &["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"],
    parts: &[],
};

const AUTOSCALER: Counts = Counts { numbers: &["currentReplicas", "desiredReplicas"], parts: &[] };

/// A change of a status that counts.
pub(crate) fn counted(counts: &Counts, object: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("status");
    let none = Value::Null;
    let status = object.get("status").unwrap_or(&none);
    let mut errors: Vec<Error> =
        counts.numbers.iter().filter_map(|field| non_negative(status, field, &path)).collect();
    for (part, whole, called) in counts.parts {
        let count = |field: &str| int(status, &format!("/{field}"));
        if count(part) > count(whole) {
            let why = format!("cannot be greater than {called}");
            errors.push(Error::invalid(&path.child(part), count(part), why));
        }
    }
    errors.extend(collisions_kept(object, old));
    errors
}

/// How often a name was taken is never forgotten, or the same name would be tried again.
fn collisions_kept(object: &Value, old: &Value) -> Option<Error> {
    let count = |object: &Value| some(object, "/status/collisionCount").and_then(Value::as_i64);
    let (new, old) = (count(object), count(old)?);
    let path = Path::new("status").child("collisionCount");
    new.is_none_or(|new| new < old).then(|| Error::invalid(&path, new.unwrap_or(0), "cannot be decremented"))
}

pub(crate) fn replication_controller(object: &Value, old: &Value) -> Vec<Error> {
    counted(&REPLICA_SET, object, old)
}

pub(crate) fn autoscaler(object: &Value, old: &Value) -> Vec<Error> {
    counted(&AUTOSCALER, object, old)
}

pub(crate) fn disruption_budget(object: &Value, old: &Value) -> Vec<Error> {
    let status = object.get("status").unwrap_or(&Value::Null);
    let mut errors = conditions(status, &Path::new("status"));
    errors.extend(counted(&DISRUPTION_BUDGET, object, old));
    errors
}

/// What was found about the types of a policy's expressions.
pub(crate) fn validating_policy(object: &Value, _: &Value) -> Vec<Error> {
    let (path, none) = (Path::new("status"), Value::Null);
    let status = object.get("status").unwrap_or(&none);
    let found = status.get("typeChecking").unwrap_or(&none);
    let mut errors = Vec::new();
    for (at, warning) in items(found, "expressionWarnings", &path.child("typeChecking")) {
        for field in ["warning", "fieldRef"] {
            errors.extend(
                text(warning, &format!("/{field}")).is_empty().then(|| Error::required(&at.child(field), "")),
            );
        }
    }
    errors.extend(conditions(status, &path));
    errors
}

/// Whether somebody answers for a version.
pub(crate) fn api_service(object: &Value, _: &Value) -> Vec<Error> {
    const STATUSES: &[&str] = &["True", "False", "Unknown"];
    let conditions = items(&object["status"], "conditions", &Path::new("status"));
    let wrong = conditions.filter_map(|(at, condition)| {
        let status = text(condition, "/status");
        (!STATUSES.contains(&status)).then(|| Error::not_supported(&at.child("status"), status, STATUSES))
    });
    wrong.collect()
}

/// Conditions of a flow schema or a priority level: each type once.
pub(crate) fn flow(object: &Value, _: &Value) -> Vec<Error> {
    let mut seen = BTreeSet::new();
    let mut errors = Vec::new();
    for (at, condition) in items(&object["status"], "conditions", &Path::new("status")) {
        let (kind, at) = (text(condition, "/type"), at.child("type"));
        if !seen.insert(kind) {
            errors.push(Error::duplicate(&at, kind));
        }
        if kind.is_empty() {
            errors.push(Error::required(&at, ""));
        }
    }
    errors
}

/// A namespace is active until it goes.
pub(crate) fn namespace(object: &Value) -> Option<Error> {
    let phase = text(object, "/status/phase");
    let (wanted, when) = match meta::is_deleting(object) {
        true => ("Terminating", "is not empty"),
        false => ("Active", "is empty"),
    };
    let why = format!("may only be '{wanted}' if `deletionTimestamp` {when}");
    (phase != wanted).then(|| Error::invalid(&Path::new("status").child("Phase"), phase, why))
}

/// How large a claim is, and how far its resizing has come.
pub(crate) fn claim(object: &Value, _: &Value) -> Vec<Error> {
    const RESIZES: [&str; 5] = [
        "ControllerResizeInProgress",
        "ControllerResizeInfeasible",
        "NodeResizeInProgress",
        "NodeResizeInfeasible",
        "NodeResizePending",
    ];
    let path = Path::new("status");
    let none = serde_json::Map::new();
    let map = |field: &str| object["status"].get(field).and_then(Value::as_object).unwrap_or(&none);
    let mut errors = Vec::new();
    for (resource, amount) in map("capacity") {
        errors.extend(amount_errors(amount, &path.child("capacity").key(resource)));
    }
    let at = path.child("allocatedResourceStatuses");
    for (resource, status) in map("allocatedResourceStatuses") {
        errors.extend(claimed_resource(resource, &at));
        if !RESIZES.iter().any(|known| status == known) {
            errors.push(Error::not_supported(&at, resource.as_str(), &RESIZES));
        }
    }
    let at = path.child("allocatedResources");
    for (resource, amount) in map("allocatedResources") {
        let wrong = claimed_resource(resource, &at);
        if wrong.is_empty() {
            errors.extend(amount_errors(amount, &at.key(resource)));
        }
        errors.extend(wrong);
    }
    errors
}

fn amount_errors(amount: &Value, path: &Path) -> Option<Error> {
    let amount = Quantity::from_value(amount).ok().filter(|amount| amount.value() < 0)?;
    Some(Error::invalid(path, amount.value(), "must be a valid resource quantity"))
}

fn claimed_resource(resource: &str, path: &Path) -> Vec<Error> {
    let wrong: Vec<Error> = by(name::is_qualified_name, resource, path).collect();
    let is_native = !resource.contains('/') || resource.contains("kubernetes.io/");
    if wrong.is_empty() && is_native && resource != "storage" {
        return vec![Error::not_supported(path, resource, &["storage"])];
    }
    wrong
}

/// Addresses of the load balancer of an Ingress.
pub(crate) fn ingress(object: &Value, old: &Value) -> Vec<Error> {
    balancer(object, old, false)
}

/// Addresses of the load balancer of a Service, if it has one.
pub(crate) fn service(object: &Value, old: &Value) -> Vec<Error> {
    let entries = list(object, "/status/loadBalancer/ingress");
    if text(object, "/spec/type") != "LoadBalancer" && !entries.is_empty() {
        let path = Path::new("status").child("loadBalancer").child("ingress");
        return vec![Error::forbidden(&path, "may only be used when `spec.type` is 'LoadBalancer'")];
    }
    balancer(object, old, true)
}

fn balancer(object: &Value, old: &Value, has_modes: bool) -> Vec<Error> {
    let before = list(old, "/status/loadBalancer/ingress");
    let none = Value::Null;
    let balancer = some(object, "/status/loadBalancer").unwrap_or(&none);
    let mut errors = Vec::new();
    for (at, entry) in items(balancer, "ingress", &Path::new("status").child("loadBalancer")) {
        let (ip, host) = (text(entry, "/ip"), text(entry, "/hostname"));
        if !ip.is_empty() && !before.iter().any(|old| text(old, "/ip") == ip) {
            errors.extend(address::address(ip, &at.child("ip")));
        }
        if has_modes {
            errors.extend(mode(entry, ip, &at.child("ipMode")));
        }
        if !host.is_empty() {
            errors.extend(by(name::is_dns1123_subdomain, host, &at.child("hostname")));
            if host.parse::<IpAddr>().is_ok() {
                let why = "must be a DNS name, not an IP address";
                errors.push(Error::invalid(&at.child("hostname"), host, why));
            }
        }
    }
    errors
}

fn mode(entry: &Value, ip: &str, path: &Path) -> Option<Error> {
    match (ip.is_empty(), field(entry, "ipMode").and_then(Value::as_str)) {
        (true, None) | (false, Some("Proxy" | "VIP")) => None,
        (true, Some(_)) => Some(Error::forbidden(path, "may not be specified when `ip` is not set")),
        (false, None) => Some(Error::required(path, "must be specified when `ip` is set")),
        (false, Some(other)) => Some(Error::not_supported(path, other, &["Proxy", "VIP"])),
    }
}
