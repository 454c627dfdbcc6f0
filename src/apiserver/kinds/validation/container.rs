//! Containers of a pod (k8s.io/kubernetes/pkg/apis/core/validation).

use super::{by, environment, handlers, items, port_number, resources, security, volume};
use crate::kinds::tree::{field, field_text, int, list, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, name};
use std::collections::BTreeSet;

/// What containers may refer to in their pod.
pub(super) struct Surroundings<'a> {
    /// The pod's spec.
    pub(super) spec: &'a Value,
    /// The volumes that are right.
    pub(super) volumes: BTreeSet<&'a str>,
    /// Claims of devices, by their names in the pod.
    pub(super) claims: BTreeSet<&'a str>,
    /// Whether the pod shares the users of its node.
    pub(super) host_users: bool,
}

/// The three lists of containers, with what holds in each alone and among all.
pub(super) fn containers(pod: &Surroundings<'_>, path: &Path) -> Vec<Error> {
    let mut errors = regular_containers(pod, path);
    errors.extend(init_containers(pod, path));
    errors.extend(ephemeral_containers(pod, path));
    errors
}

fn regular_containers(pod: &Surroundings<'_>, path: &Path) -> Vec<Error> {
    let regular = list(pod.spec, "/containers");
    if regular.is_empty() {
        return vec![Error::required(&path.child("containers"), "")];
    }
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    for (at, container) in items(pod.spec, "containers", path) {
        errors.extend(common(container, pod, &at));
        let name = text(container, "/name");
        if !names.insert(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        }
        errors.extend(handlers::running(container, pod.spec, &at));
        errors.extend(handlers::restarts(container, false, &at));
    }
    errors.extend(host_ports(regular, 0, &path.child("containers")));
    errors
}

fn init_containers(pod: &Surroundings<'_>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let regular = list(pod.spec, "/containers").iter();
    let mut names: BTreeSet<&str> = regular.map(|c| text(c, "/name")).collect();
    for (i, (at, container)) in items(pod.spec, "initContainers", path).enumerate() {
        errors.extend(common(container, pod, &at));
        errors.extend(handlers::restarts(container, true, &at));
        let name = text(container, "/name");
        if names.contains(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        } else if !name.is_empty() {
            names.insert(name);
        }
        // One runs after the other, so that two may have one port. Upstream counts each as the first.
        errors.extend(host_ports(std::slice::from_ref(container), 0, &path.child("initContainers")));
        let stays = text(container, "/restartPolicy") == "Always";
        if stays {
            errors.extend(handlers::running(container, pod.spec, &at));
            continue;
        }
        for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if field(container, name).is_some() {
                let why = "may not be set for init containers without restartPolicy=Always";
                errors.push(Error::forbidden(&at.child(name), why));
            }
        }
        let at = path.child("initContainers").index(i);
        for (at, policy) in items(container, "resizePolicy", &at) {
            if text(policy, "/restartPolicy") == "RestartContainer" {
                let why = "must not be set to 'RestartContainer' for non-sidecar initContainers";
                errors.push(Error::invalid(&at.child("restartPolicy"), "RestartContainer", why));
            }
        }
    }
    errors
}

fn ephemeral_containers(pod: &Surroundings<'_>, path: &Path) -> Vec<Error> {
    const FORBIDDEN: [&str; 9] = [
        "ports",
        "resources",
        "resizePolicy",
        "restartPolicy",
        "restartPolicyRules",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
    ];
    const WHY: &str = "cannot be set for an Ephemeral Container";
    let mut errors = Vec::new();
    let others = ["/containers", "/initContainers"].into_iter().flat_map(|l| list(pod.spec, l));
    let others: BTreeSet<&str> = others.map(|c| text(c, "/name")).collect();
    let mut names = others.clone();
    for (at, container) in items(pod.spec, "ephemeralContainers", path) {
        errors.extend(common(container, pod, &at));
        errors.extend(padded_image(container, &at));
        let (name, target) = (text(container, "/name"), text(container, "/targetContainerName"));
        if !names.insert(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        }
        if !target.is_empty() && !others.contains(target) {
            errors.push(Error::not_found(&at.child("targetContainerName"), target));
        }
        errors.extend(
            FORBIDDEN.iter().filter(|f| is_set(container, f)).map(|f| Error::forbidden(&at.child(f), WHY)),
        );
        for (at, mount) in items(container, "volumeMounts", &at) {
            let set = ["subPath", "subPathExpr"].into_iter().filter(|f| !field_text(mount, f).is_empty());
            errors.extend(set.map(|f| Error::forbidden(&at.child(f), WHY)));
        }
    }
    errors
}

/// Whether Go would have more than a zero here.
fn is_set(container: &Value, name: &str) -> bool {
    field(container, name).is_some_and(|value| match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) if name == "resources" => map.values().any(|value| !value.is_null()),
        _ => true,
    })
}

/// What only pods are asked for, and no templates.
pub(super) fn padded_image(container: &Value, path: &Path) -> Option<Error> {
    let image = text(container, "/image");
    let why = "must not have leading or trailing whitespace";
    (image.trim() != image).then(|| Error::invalid(&path.child("image"), image, why))
}

/// What holds for containers of every list.
fn common(container: &Value, pod: &Surroundings<'_>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    match text(container, "/name") {
        "" => errors.push(Error::required(&path.child("name"), "")),
        name => errors.extend(by(name::is_dns1123_label, name, &path.child("name"))),
    }
    if text(container, "/image").is_empty() {
        errors.push(Error::required(&path.child("image"), ""));
    }
    let policies = ["File", "FallbackToLogsOnError"];
    errors.extend(required_one_of(container, "terminationMessagePolicy", &policies, path));
    errors.extend(ports(container, path));
    errors.extend(environment::variables(container, path));
    errors.extend(volume::mounts(container, &pod.volumes, path));
    errors.extend(volume::devices(container, pod, path));
    errors.extend(pull_policy(container, "imagePullPolicy", path));
    errors.extend(resources::of_container(container.get("resources"), &pod.claims, &path.child("resources")));
    errors.extend(resize_policies(container, pod.spec, &path.child("resizePolicy")));
    errors.extend(security::of_container(container, pod.host_users, &path.child("securityContext")));
    errors
}

/// A text that must be there and be one of these.
pub(super) fn required_one_of(value: &Value, field: &str, allowed: &[&str], path: &Path) -> Option<Error> {
    match field_text(value, field) {
        "" => Some(Error::required(&path.child(field), "")),
        given if !allowed.contains(&given) => Some(Error::not_supported(&path.child(field), given, allowed)),
        _ => None,
    }
}

/// When an image is pulled.
pub(super) fn pull_policy(value: &Value, field: &str, path: &Path) -> Option<Error> {
    required_one_of(value, field, &["Always", "IfNotPresent", "Never"], path)
}

fn ports(container: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    for (at, port) in items(container, "ports", path) {
        let name = text(port, "/name");
        if !name.is_empty() {
            let wrong: Vec<Error> = by(name::is_valid_port_name, name, &at.child("name")).collect();
            if wrong.is_empty() && !names.insert(name) {
                errors.push(Error::duplicate(&at.child("name"), name));
            }
            errors.extend(wrong);
        }
        match int(port, "/containerPort") {
            0 => errors.push(Error::required(&at.child("containerPort"), "")),
            _ => errors.extend(port_number(port, "containerPort", &at)),
        }
        if int(port, "/hostPort") != 0 {
            errors.extend(port_number(port, "hostPort", &at));
        }
        errors.extend(required_one_of(port, "protocol", &["SCTP", "TCP", "UDP"], &at));
    }
    errors
}

/// A port of the node can be taken once.
fn host_ports(containers: &[Value], first: usize, path: &Path) -> Vec<Error> {
    let mut taken = BTreeSet::new();
    let mut errors = Vec::new();
    for (i, container) in containers.iter().enumerate() {
        for (at, port) in items(container, "ports", &path.index(first + i)) {
            let number = int(port, "/hostPort");
            let key = format!("{}/{}/{number}", text(port, "/protocol"), text(port, "/hostIP"));
            if number != 0 && !taken.insert(key.clone()) {
                errors.push(Error::duplicate(&at.child("hostPort"), key));
            }
        }
    }
    errors
}

/// Ports of containers on their node's network are the node's. A template may leave them out.
pub(super) fn host_network_ports(spec: &Value, is_pod: bool, path: &Path) -> Vec<Error> {
    if field(spec, "hostNetwork").is_none_or(|on| *on != true) {
        return Vec::new();
    }
    let mut errors = Vec::new();
    for (at, container) in items(spec, "containers", path) {
        for (at, port) in items(container, "ports", &at) {
            let (host, own) = (int(port, "/hostPort"), int(port, "/containerPort"));
            if (is_pod || host != 0) && host != own {
                let why = "must match `containerPort` when `hostNetwork` is true";
                errors.push(Error::invalid(&at.child("hostPort"), host, why));
            }
        }
    }
    errors
}

/// Whether a change of resources restarts a container. Upstream does not say which entry it means.
fn resize_policies(container: &Value, spec: &Value, path: &Path) -> Vec<Error> {
    const RESOURCES: [&str; 2] = ["cpu", "memory"];
    const POLICIES: [&str; 2] = ["NotRequired", "RestartContainer"];
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (i, entry) in list(container, "/resizePolicy").iter().enumerate() {
        let (resource, policy) = (text(entry, "/resourceName"), text(entry, "/restartPolicy"));
        if !seen.insert(resource) {
            errors.push(Error::duplicate(&path.index(i), resource));
        }
        for (given, allowed) in [(resource, RESOURCES), (policy, POLICIES)] {
            match given {
                "" => errors.push(Error::required(path, "")),
                given if !allowed.contains(&given) => {
                    errors.push(Error::not_supported(path, given, &allowed));
                }
                _ => {}
            }
        }
        if text(spec, "/restartPolicy") == "Never" && policy != "NotRequired" {
            let why = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.push(Error::invalid(path, policy, why));
        }
    }
    errors
}
