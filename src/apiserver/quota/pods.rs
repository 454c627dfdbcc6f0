//! What pods use of a quota (k8s.io/kubernetes/pkg/quota/v1/evaluator/core/pods.go and
//! k8s.io/component-helpers/resource).

use super::amounts::{self, Amounts};
use super::number;
use alcove_object::gather::Gather;
use alcove_object::{Value, time};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What is counted of containers under its own name, as a request and as a limit.
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const HUGE_PAGES: &str = "hugepages-";
/// What a quota of them makes every container say. Upstream calls that a mistake, and keeps it.
const DEMANDED: [&str; 6] =
    ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// Whether a name in a quota is about pods.
pub(super) fn is_pod_resource(name: &str) -> bool {
    let bare = name.strip_prefix("requests.").or(name.strip_prefix("limits.")).unwrap_or(name);
    if name == "pods" || COMPUTE.contains(&bare) {
        return true;
    }
    match name.strip_prefix("requests.") {
        Some(request) => {
            request.starts_with(HUGE_PAGES) || is_foreign(name) || request.starts_with(DEVICE_CLASS)
        }
        None => name.starts_with(HUGE_PAGES),
    }
}

/// Requests of devices by their class, which count as if somebody's own name were meant.
const DEVICE_CLASS: &str = "deviceclass.resource.kubernetes.io/";

/// Whether a resource is not Kubernetes' own.
fn is_foreign(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

/// Whether a pod has an end set, which is what upstream calls terminating here.
pub(super) fn is_terminating(pod: &Value) -> bool {
    pod["spec"]["activeDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds >= 0)
}

/// What a pod uses. One that has ended uses nothing but its place.
pub(super) fn usage(pod: &Value, now: Timestamp) -> Amounts {
    if has_ended(pod, now) {
        return Amounts::new();
    }
    let mut used = compute(&whole(pod, "requests"), &whole(pod, "limits"));
    used.insert("pods".into(), number(1));
    used
}

/// Succeeded, failed, or past the time that it had to stop in.
fn has_ended(pod: &Value, now: Timestamp) -> bool {
    if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return true;
    }
    let begun = pod["metadata"]["deletionTimestamp"].as_str().and_then(time::parse);
    let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_i64();
    match (begun, grace) {
        (Some(begun), Some(grace)) => now.duration_since(begun) > SignedDuration::from_secs(grace),
        _ => false,
    }
}

/// What a pod asks for as a whole: of its containers, unless it says so itself, and its overhead.
fn whole(pod: &Value, field: &str) -> Amounts {
    let mut sum = amounts::of_containers(pod, &|container| of_container(pod, container, field));
    let own = amounts::read(pod["spec"]["resources"].get(field));
    sum.extend(own.into_iter().filter(|(name, _)| is_of_pods(name)));
    let overhead = amounts::read(pod["spec"].get("overhead"));
    let is_counted = |name: &str| field == "requests" || sum.get(name).is_some_and(|limit| !limit.is_zero());
    let overhead: Amounts = overhead.into_iter().filter(|(name, _)| is_counted(name)).gather();
    amounts::add(&mut sum, &overhead);
    sum
}

/// What may be asked for by a pod as a whole.
fn is_of_pods(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || resource.starts_with(HUGE_PAGES)
}

/// What a container asks for, and what it still holds or was promised while it is resized.
fn of_container(pod: &Value, container: &Value, field: &str) -> Amounts {
    let mut asked = amounts::read(container["resources"].get(field));
    let status = status_of(pod, container);
    let Some(held) = status.and_then(|status| status.get("resources")).filter(|held| !held.is_null()) else {
        return asked;
    };
    if is_infeasible(pod) {
        asked.clear();
    }
    amounts::raise(&mut asked, &amounts::read(held.get(field)));
    if field == "requests" {
        amounts::raise(
            &mut asked,
            &amounts::read(status.and_then(|status| status.get("allocatedResources"))),
        );
    }
    asked
}

fn status_of<'a>(pod: &'a Value, container: &Value) -> Option<&'a Value> {
    let lists = ["containerStatuses", "initContainerStatuses"].iter();
    let mut statuses = lists.flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
    statuses.find(|status| status["name"] == container["name"])
}

fn is_infeasible(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == "PodResizePending" && c["reason"] == "Infeasible")
}

/// Requests and limits under the names that quotas have for them.
fn compute(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut used = Amounts::new();
    for (name, amount) in requests {
        let is_own = COMPUTE.contains(&&**name) || name.starts_with(HUGE_PAGES);
        if is_own {
            used.insert(name.clone(), amount.clone());
        }
        if is_own || is_foreign(name) || name.starts_with(DEVICE_CLASS) {
            used.insert(format!("requests.{name}"), amount.clone());
        }
    }
    let limits = limits.iter().filter(|(name, _)| COMPUTE.contains(&&***name));
    used.extend(limits.map(|(name, amount)| (format!("limits.{name}"), amount.clone())));
    used
}

/// What a quota of `names` demands that containers do not say: `must specify limits.cpu for: a,b; ...`.
pub(super) fn unsaid(pod: &Value, names: &[&str]) -> Option<String> {
    let own = ["requests", "limits"].iter().flat_map(|field| pod["spec"]["resources"][*field].as_object());
    if own.flatten().any(|(name, _)| is_of_pods(name)) {
        return None;
    }
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let lists = ["containers", "initContainers"].iter();
    for container in lists.flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten()) {
        let of = |field: &str| amounts::read(container["resources"].get(field));
        let said = compute(&of("requests"), &of("limits"));
        for name in names.iter().filter(|name| DEMANDED.contains(name) && !said.contains_key(**name)) {
            missing.entry(name).or_default().insert(container["name"].as_str().unwrap_or_default());
        }
    }
    if missing.is_empty() {
        return None;
    }
    let of_names = |(name, containers): (&&str, &BTreeSet<&str>)| {
        let containers: Vec<&str> = containers.iter().copied().collect();
        format!("{name} for: {}", containers.join(","))
    };
    let parts: Vec<String> = missing.iter().map(of_names).collect();
    Some(format!("must specify {}", parts.join("; ")))
}
