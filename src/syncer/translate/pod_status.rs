//! Pod status: the host's, with what only the tenant knows kept.

use alcove_object::tree::at;
use alcove_object::{Value, meta};
use serde_json::{Value as Json, json};

/// Conditions that the host's kubelet, scheduler and controllers own. All others (readiness gates) are the tenant's.
const HOST_CONDITIONS: [&str; 9] = [
    "PodScheduled",
    "Initialized",
    "ContainersReady",
    "Ready",
    "PodReadyToStartContainers",
    "DisruptionTarget",
    "PodResizePending",
    "PodResizeInProgress",
    "AllContainersRestarting",
];

/// The condition of a pod that is about to be ended for the sake of others.
const DISRUPTION: &str = "DisruptionTarget";

/// Whether the host owns a condition of this type.
pub fn condition_owners(kind: &str) -> bool {
    HOST_CONDITIONS.contains(&kind)
}

/// Fields of a status that tell of containers, and where those stand in the pod. A webhook of the host may have put more
/// into its pod; the tenant is told of its own.
const STATUSES_OF_CONTAINERS: [(&str, &str); 3] = [
    ("containerStatuses", "/spec/containers"),
    ("initContainerStatuses", "/spec/initContainers"),
    ("ephemeralContainerStatuses", "/spec/ephemeralContainers"),
];

/// The tenant's status for a host pod's status. `tenant` is the tenant's pod as it is.
pub fn pod_status(tenant: &Value, host: &Value) -> Json {
    let mut status = host.get("status").cloned().unwrap_or_else(|| json!({}));
    for (field, containers) in STATUSES_OF_CONTAINERS {
        let own = containers_of(tenant, containers);
        let mut statuses = status.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
        statuses.retain(|status| own.contains(&&status["name"]));
        set_or_remove(&mut status, field, (!statuses.is_empty()).then(|| statuses.into()));
    }
    if let Some(class) = at(tenant, "/status/qosClass") {
        status["qosClass"] = class.clone();
    }
    // The host counts its own pod's generations. What it observed is the tenant's one that its pod was made from, once it
    // caught up; a host that does not say what it observed has, as soon as its kubelet speaks of the pod.
    let observed = at(host, "/status/observedGeneration").and_then(Value::as_i64);
    let is_started = at(host, "/status/startTime").is_some();
    let caught_up = observed.map_or(is_started, |observed| observed == meta::generation(host));
    let observed = match caught_up {
        true => Some(json!(made_from(tenant, host))),
        false => at(tenant, "/status/observedGeneration").cloned(),
    };
    set_or_remove(&mut status, "observedGeneration", observed.filter(|_| meta::generation(tenant) > 0));
    let theirs = conditions(host).filter(|c| condition_owners(kind(c)));
    // An eviction in the tenant says so in the tenant's pod first.
    let is_evicted_here =
        |c: &Value| kind(c) == DISRUPTION && !conditions(host).any(|theirs| kind(theirs) == DISRUPTION);
    let ours = conditions(tenant).filter(|c| !condition_owners(kind(c)) || is_evicted_here(c));
    let merged: Vec<Value> = theirs
        .cloned()
        .map(|mut condition| {
            let generation = condition.get("observedGeneration").map(|_| json!(made_from(tenant, host)));
            set_or_remove(&mut condition, "observedGeneration", generation);
            condition
        })
        .chain(ours.cloned())
        .collect();
    set_or_remove(&mut status, "conditions", (!merged.is_empty()).then(|| merged.into()));
    status
}

/// A pod's status without the conditions that only the tenant knows.
pub fn without_own_conditions(status: &Value) -> Value {
    let mut status = status.clone();
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(|condition| condition_owners(kind(condition)));
    }
    status
}

/// Annotation: the generation of the tenant's pod that a host pod was made from.
pub const GENERATION: &str = "alcove.dev/generation";

fn made_from(tenant: &Value, host: &Value) -> i64 {
    let noted = meta::annotation(host, GENERATION).and_then(|generation| generation.parse().ok());
    noted.unwrap_or_else(|| meta::generation(tenant))
}

/// The condition by which a pod says that it is not on the host, and why.
pub const SYNCED: &str = "alcove.dev/Synced";

/// The conditions that the tenant owns and the host's kubelet waits for: those of the pod's readiness gates. `None` for
/// pods without gates.
pub fn gate_conditions(pod: &Value) -> Option<Value> {
    let gates = at(pod, "/spec/readinessGates")?.as_array().filter(|gates| !gates.is_empty())?;
    let is_gate = |condition: &&Value| gates.iter().any(|gate| gate["conditionType"] == condition["type"]);
    let mine = conditions(pod).filter(|c| !condition_owners(kind(c))).filter(is_gate);
    let mine = mine.map(|condition| {
        let mut condition = condition.clone();
        // The host counts its own pod's generations.
        set_or_remove(&mut condition, "observedGeneration", None);
        condition
    });
    Some(mine.collect())
}

fn containers_of<'a>(pod: &'a Value, pointer: &str) -> Vec<&'a Value> {
    let containers = at(pod, pointer).and_then(Value::as_array).into_iter().flatten();
    containers.map(|container| &container["name"]).collect()
}

fn conditions(pod: &Value) -> impl Iterator<Item = &Value> {
    at(pod, "/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

fn kind(condition: &Value) -> &str {
    condition["type"].as_str().unwrap_or_default()
}

fn set_or_remove(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(map) = object.as_object_mut() else { return };
    match value {
        Some(value) => drop(map.insert(field.into(), value)),
        None => drop(map.remove(field)),
    }
}
