//! What may be said of a pod through `pods/status` (k8s.io/kubernetes/pkg/apis/core/validation:
//! ValidatePodStatusUpdate).

use super::control::NON_NEGATIVE;
use super::pod_change::annotation_changes;
use super::security::id_errors;
use super::{address, by, immutable, items};
use crate::kinds::tree::{field, field_text, int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, name};
use std::collections::BTreeSet;

const MESSAGE_BYTES_MAX: usize = 1024;
const STATUSES: [(&str, &str); 3] = [
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
];

/// A change of a pod's status.
pub(crate) fn pod_status_change(new: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("status");
    let none = Value::Null;
    let (status, old_status) = (new.get("status").unwrap_or(&none), old.get("status").unwrap_or(&none));
    let spec = new.get("spec").unwrap_or(&none);
    let mut errors = annotation_changes(new, old);
    errors.extend(conditions(status, &path));
    if text(new, "/spec/nodeName") != text(old, "/spec/nodeName") {
        errors.push(Error::forbidden(&path.child("nodeName"), "may not be changed directly"));
    }
    errors.extend(nomination(status, old_status, old, &path));
    errors.extend(observed(status, &path));
    errors.extend(immutable(new, old, "/status/qosClass", &path.child("qosClass")));
    for (statuses, containers) in STATUSES {
        errors.extend(restarts(status, old_status, spec, statuses, containers, &path));
    }
    errors.extend(claims(status, spec, &path));
    errors.extend(extended_claim(status, spec, &path));
    for (field, single) in [("podIPs", "podIP"), ("hostIPs", "hostIP")] {
        errors.extend(addresses(status, old_status, field, single, &path));
    }
    for (statuses, _) in STATUSES {
        errors.extend(users(status, spec, statuses, &path));
    }
    for (statuses, containers) in STATUSES {
        errors.extend(health(status, spec, statuses, containers, &path));
    }
    errors
}

fn conditions(status: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (at, condition) in items(status, "conditions", path) {
        errors.extend(observed(condition, &at));
        let kind = text(condition, "/type");
        if !matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            errors.extend(by(name::is_qualified_name, kind, &at.child("Type")));
        }
    }
    errors
}

fn observed(value: &Value, path: &Path) -> Option<Error> {
    let generation = int(value, "/observedGeneration");
    let at = path.child("observedGeneration");
    (generation < 0).then(|| Error::invalid(&at, generation, NON_NEGATIVE))
}

fn nomination(status: &Value, old_status: &Value, old: &Value, path: &Path) -> Vec<Error> {
    let (node, was) = (text(status, "/nominatedNodeName"), text(old_status, "/nominatedNodeName"));
    if node.is_empty() || node == was {
        return Vec::new();
    }
    let at = path.child("nominatedNodeName");
    let mut errors: Vec<Error> = by(name::is_dns1123_subdomain, node, &at).collect();
    if !text(old, "/spec/nodeName").is_empty() {
        let why = "may not be set on pods that are already bound to a node";
        errors.push(Error::forbidden(&at, why));
    }
    errors
}

/// A container that ended stays so unless something says that it is run again.
fn restarts(
    status: &Value,
    old: &Value,
    spec: &Value,
    statuses: &str,
    containers: &str,
    path: &Path,
) -> Vec<Error> {
    let is_ephemeral = containers == "ephemeralContainers";
    if !is_ephemeral && restarts_all(spec) {
        return Vec::new();
    }
    let ended = items(old, statuses, path)
        .filter_map(|(at, old)| Some((at, text(old, "/name"), some(old, "/state/terminated")?)));
    let mut errors = Vec::new();
    for (at, name, terminated) in ended {
        let named = |value: &&Value| text(value, "/name") == name;
        let new = list(status, &format!("/{statuses}")).iter();
        let mut revived = { new }.filter(named).filter(|new| some(new, "/state/terminated").is_none());
        let container = list(spec, &format!("/{containers}")).iter().find(named);
        let code = int(terminated, "/exitCode");
        let may = !is_ephemeral && container.is_some_and(|c| is_run_again(c, spec, code));
        if revived.next().is_some() && !may {
            errors.push(Error::forbidden(
                &at.child("state"),
                "may not be transitioned to non-terminated state",
            ));
        }
    }
    errors
}

/// Whether the end of some container runs all of them again.
fn restarts_all(spec: &Value) -> bool {
    let containers = list(spec, "/containers").iter().chain(list(spec, "/initContainers"));
    let mut rules = containers.flat_map(|container| list(container, "/restartPolicyRules"));
    rules.any(|rule| text(rule, "/action") == "RestartAllContainers")
}

/// Whether a container that ended with this code is run again
/// (k8s.io/kubernetes/pkg/api/v1/pod: ContainerShouldRestart).
fn is_run_again(container: &Value, spec: &Value, code: i64) -> bool {
    let by_policy = |policy: &str| match policy {
        "Always" => Some(true),
        "OnFailure" => Some(code != 0),
        "Never" => Some(false),
        _ => None,
    };
    let own = field(container, "restartPolicy").and_then(Value::as_str);
    let matches = |rule: &&Value| {
        let is_listed = list(rule, "/exitCodes/values").iter().any(|value| value.as_i64() == Some(code));
        match text(rule, "/exitCodes/operator") {
            "In" => is_listed,
            "NotIn" => !is_listed,
            _ => false,
        }
    };
    let rule = own.and_then(|_| list(container, "/restartPolicyRules").iter().find(matches));
    if rule.is_some_and(|rule| matches!(text(rule, "/action"), "Restart" | "RestartAllContainers")) {
        return true;
    }
    own.and_then(by_policy).or_else(|| by_policy(text(spec, "/restartPolicy"))).unwrap_or(true)
}

/// Claims that were made for the pod.
fn claims(status: &Value, spec: &Value, path: &Path) -> Vec<Error> {
    let known: Vec<&str> = list(spec, "/resourceClaims").iter().map(|claim| text(claim, "/name")).collect();
    let mut seen = BTreeSet::new();
    let mut errors = Vec::new();
    for (at, claim) in items(status, "resourceClaimStatuses", path) {
        let (given, place) = (text(claim, "/name"), at.child("name"));
        if !known.contains(&given) {
            let why = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(Error::invalid(&place, given, why));
        }
        if !seen.insert(given) {
            errors.push(Error::duplicate(&place, given));
        }
        if let Some(claim) = field(claim, "resourceClaimName").and_then(Value::as_str) {
            errors.extend(by(name::is_dns1123_subdomain, claim, &at.child("resourceClaimName")));
        }
    }
    errors
}

/// The claim that was made for extended resources.
fn extended_claim(status: &Value, spec: &Value, path: &Path) -> Vec<Error> {
    let Some(claim) = field(status, "extendedResourceClaimStatus") else { return Vec::new() };
    let path = path.child("extendedResourceClaimStatus");
    let containers: Vec<&Value> =
        list(spec, "/containers").iter().chain(list(spec, "/initContainers")).collect();
    let mut errors = Vec::new();
    if list(claim, "/requestMappings").is_empty() {
        let why = "at least one request mapping is required";
        errors.push(Error::required(&path.child("requestMappings"), why));
    }
    let mut seen = BTreeSet::new();
    for (at, mapping) in items(claim, "requestMappings", &path) {
        let [container, resource, request] =
            ["containerName", "resourceName", "requestName"].map(|f| field_text(mapping, f));
        match containers.iter().find(|c| text(c, "/name") == container) {
            None => {
                let why =
                    "must match the name of an entry in spec.initContainers.name or spec.containers.name";
                errors.push(Error::invalid(&at.child("containerName"), container, why));
            }
            Some(found) if found.pointer("/resources/requests").and_then(|r| r.get(resource)).is_none() => {
                let why = "must match the extended resource name of an entry in \
                           spec.initContainers.resources.requests or spec.containers.resources.requests";
                errors.push(Error::invalid(&at.child("resourceName"), resource, why));
            }
            Some(_) => {}
        }
        errors.extend(by(name::is_dns1123_label, request, &path.child("requestName")));
        if !seen.insert((container, resource, request)) {
            errors.push(Error::duplicate(&at.child("containerName"), container));
            errors.push(Error::duplicate(&at.child("resourceName"), resource));
            errors.push(Error::duplicate(&at.child("requestName"), request));
        }
    }
    match text(claim, "/resourceClaimName") {
        "" => errors.push(Error::required(&path.child("resourceClaimName"), "")),
        name => errors.extend(by(name::is_dns1123_subdomain, name, &path.child("resourceClaimName"))),
    }
    errors
}

/// Addresses: right ones, and one of each family at most. Wrong ones that were there may stay.
fn addresses(status: &Value, old: &Value, name: &str, single: &str, path: &Path) -> Vec<Error> {
    let ips = |status: &Value| -> Vec<String> {
        list(status, &format!("/{name}")).iter().map(|ip| text(ip, "/ip").to_owned()).collect()
    };
    let (given, before, path) = (ips(status), ips(old), path.child(name));
    let mut errors = Vec::new();
    if let (Some(first), "hostIP") = (given.first(), single)
        && first != text(status, "/hostIP")
    {
        errors.push(Error::invalid(&path.index(0).child("ip"), first.as_str(), "must be equal to `hostIP`"));
    }
    for (i, ip) in given.iter().enumerate().filter(|(_, ip)| !before.contains(ip)) {
        errors.extend(address::address(ip, &path.index(i)));
    }
    if given.len() > 1 {
        let parsed: Result<Vec<std::net::IpAddr>, _> = given.iter().map(|ip| ip.parse()).collect();
        let is_dual = parsed.as_ref().is_ok_and(|ips| {
            ips.iter().any(std::net::IpAddr::is_ipv4) && ips.iter().any(std::net::IpAddr::is_ipv6)
        });
        if parsed.is_err() {
            let wrong = given.iter().find(|ip| ip.parse::<std::net::IpAddr>().is_err());
            let position = given.iter().position(|ip| Some(ip) == wrong).unwrap_or(0);
            let why = format!(
                "failed to check for dual stack with error:invalid IP[{position}]: {}",
                wrong.map_or("", String::as_str)
            );
            errors.push(Error::internal(&path, why));
        }
        if !is_dual || given.len() > 2 {
            let shown = list(status, &format!("/{name}")).to_vec();
            let why = "may specify no more than one IP for each IP family";
            errors.push(Error::invalid(&path, shown, why));
        }
    }
    errors
}

fn users(status: &Value, spec: &Value, statuses: &str, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (at, container) in items(status, statuses, path) {
        let Some(user) = some(container, "/user/linux") else { continue };
        let at = at.child("user").child("linux");
        match text(spec, "/os/name") {
            "windows" => errors.push(Error::forbidden(&at, "cannot be set for a windows pod")),
            "" | "linux" => {
                for id in ["uid", "gid"] {
                    errors.extend(id_errors(int(user, &format!("/{id}")), &at.child(id)));
                }
                for (at, group) in items(user, "supplementalGroups", &at) {
                    errors.extend(id_errors(group.as_i64().unwrap_or(0), &at));
                }
            }
            _ => {}
        }
    }
    errors
}

/// How devices do that a container has.
fn health(status: &Value, spec: &Value, statuses: &str, containers: &str, path: &Path) -> Vec<Error> {
    const HEALTHS: [&str; 3] = ["Healthy", "Unhealthy", "Unknown"];
    let mut errors = Vec::new();
    for (at, container) in items(status, statuses, path) {
        if containers == "ephemeralContainers" {
            if !list(container, "/allocatedResourcesStatus").is_empty() {
                let why = "must not be specified in container status";
                errors.push(Error::forbidden(&at.child("allocatedResourcesStatus"), why));
            }
            continue;
        }
        let name = text(container, "/name");
        let specified = list(spec, &format!("/{containers}")).iter().find(|c| text(c, "/name") == name);
        for (at, resource) in items(container, "allocatedResourcesStatus", &at) {
            let given = text(resource, "/name");
            errors.extend(specified.and_then(|c| unasked(c, given, &at)));
            let mut ids = BTreeSet::new();
            for (at, device) in items(resource, "resources", &at) {
                let health = text(device, "/health");
                if !HEALTHS.contains(&health) {
                    errors.push(Error::not_supported(&at.child("health"), health, &HEALTHS));
                }
                match field(device, "message").and_then(Value::as_str).map(str::len) {
                    Some(0) => {
                        let why = "must be non-empty if specified";
                        errors.push(Error::required(&at.child("message"), why));
                    }
                    Some(length) if length > MESSAGE_BYTES_MAX => {
                        errors.push(Error::too_long(&at.child("message"), MESSAGE_BYTES_MAX));
                    }
                    _ => {}
                }
                let id = text(device, "/resourceID");
                if !ids.insert(id) {
                    errors.push(Error::duplicate(&at.child("resourceID"), id));
                }
            }
        }
    }
    errors
}

fn unasked(container: &Value, resource: &str, path: &Path) -> Option<Error> {
    let claims = || {
        list(container, "/resources/claims").iter().map(|claim| {
            let (name, request) = (text(claim, "/name"), text(claim, "/request"));
            if request.is_empty() { format!("claim:{name}") } else { format!("claim:{name}/{request}") }
        })
    };
    let requests = container.pointer("/resources/requests").and_then(Value::as_object);
    let (is_asked, why) = match resource.starts_with("claim:") {
        true => (
            claims().any(|claim| claim == resource),
            "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty",
        ),
        false => (
            requests.is_some_and(|requests| requests.contains_key(resource)),
            "must match one of the container's resource requests",
        ),
    };
    (!is_asked).then(|| Error::invalid(&path.child("name"), resource, why))
}
