//! Containers of a pod.

use super::{by, items, port_number, port_or_name, resources, unique_names, volume};
use crate::kinds::tree::{field, field_text, int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, name};
use std::collections::BTreeSet;

/// What fields of a pod containers can ask for.
const POD_FIELDS: [&str; 10] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
    "spec.host",
];

/// The three lists of containers, with what holds in each alone and among all.
pub(super) fn containers(spec: &Value, volumes: &BTreeSet<&str>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let regular = list(spec, "/containers");
    if regular.is_empty() {
        errors.push(Error::required(&path.child("containers"), ""));
    }
    for (at, container) in items(spec, "containers", path) {
        errors.extend(common(container, volumes, &at));
        errors.extend(running(container, &at));
    }
    errors.extend(unique_names(named(spec, "containers", path)));
    errors.extend(host_ports(regular, &path.child("containers")));
    errors.extend(init_containers(spec, volumes, path));
    errors.extend(ephemeral_containers(spec, volumes, path));
    errors
}

fn named<'a>(spec: &'a Value, list: &str, path: &Path) -> impl Iterator<Item = (Path, &'a str)> {
    items(spec, list, path).map(|(at, container)| (at, text(container, "/name")))
}

fn init_containers(spec: &Value, volumes: &BTreeSet<&str>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut names: BTreeSet<&str> = list(spec, "/containers").iter().map(|c| text(c, "/name")).collect();
    for (at, container) in items(spec, "initContainers", path) {
        errors.extend(common(container, volumes, &at));
        let name = text(container, "/name");
        if !name.is_empty() && !names.insert(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        }
        errors.extend(host_ports(std::slice::from_ref(container), &path.child("initContainers")));
        if text(container, "/restartPolicy") == "Always" {
            errors.extend(running(container, &at));
            continue;
        }
        for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if field(container, name).is_some() {
                let why = "may not be set for init containers without restartPolicy=Always";
                errors.push(Error::forbidden(&at.child(name), why));
            }
        }
    }
    errors
}

fn ephemeral_containers(spec: &Value, volumes: &BTreeSet<&str>, path: &Path) -> Vec<Error> {
    const FORBIDDEN: [&str; 6] =
        ["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resizePolicy"];
    let mut errors = Vec::new();
    let others = ["/containers", "/initContainers"].into_iter().flat_map(|l| list(spec, l));
    let others: BTreeSet<&str> = others.map(|c| text(c, "/name")).collect();
    let mut names = others.clone();
    for (at, container) in items(spec, "ephemeralContainers", path) {
        errors.extend(common(container, volumes, &at));
        let (name, target) = (text(container, "/name"), text(container, "/targetContainerName"));
        if !names.insert(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        }
        if !target.is_empty() && !others.contains(target) {
            errors.push(Error::not_found(&at.child("targetContainerName"), target));
        }
        let is_set =
            |field: &str| container.get(field).is_some_and(|v| !v.is_null() && *v != Value::Array(vec![]));
        let why = "cannot be set for an Ephemeral Container";
        errors.extend(FORBIDDEN.iter().filter(|f| is_set(f)).map(|f| Error::forbidden(&at.child(f), why)));
    }
    errors
}

/// What holds for containers of every list.
fn common(container: &Value, volumes: &BTreeSet<&str>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    match text(container, "/name") {
        "" => errors.push(Error::required(&path.child("name"), "")),
        name => errors.extend(by(name::is_dns1123_label, name, &path.child("name"))),
    }
    if text(container, "/image").is_empty() {
        errors.push(Error::required(&path.child("image"), ""));
    }
    errors.extend(one_of(container, "terminationMessagePolicy", &["FallbackToLogsOnError", "File"], path));
    errors.extend(ports(container, path));
    errors.extend(environment(container, path));
    errors.extend(volume::mounts(container, volumes, path));
    errors.extend(one_of(container, "imagePullPolicy", &["Always", "IfNotPresent", "Never"], path));
    errors.extend(resources::requirements(container.get("resources"), &path.child("resources")));
    errors
}

fn one_of(value: &Value, field: &str, allowed: &[&str], path: &Path) -> Option<Error> {
    let given = field_text(value, field);
    (!given.is_empty() && !allowed.contains(&given))
        .then(|| Error::not_supported(&path.child(field), given, allowed))
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
        errors.extend(one_of(port, "protocol", &["SCTP", "TCP", "UDP"], &at));
    }
    errors
}

/// A port of the node can be taken once.
fn host_ports(containers: &[Value], path: &Path) -> Vec<Error> {
    let mut taken = BTreeSet::new();
    let mut errors = Vec::new();
    for (i, container) in containers.iter().enumerate() {
        for (at, port) in items(container, "ports", &path.index(i)) {
            let number = int(port, "/hostPort");
            let key = format!("{}/{}/{number}", text(port, "/protocol"), text(port, "/hostIP"));
            if number != 0 && !taken.insert(key.clone()) {
                errors.push(Error::duplicate(&at.child("hostPort"), key));
            }
        }
    }
    errors
}

fn environment(container: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (at, variable) in items(container, "env", path) {
        match text(variable, "/name") {
            "" => errors.push(Error::required(&at.child("name"), "")),
            name => errors.extend(by(name::is_relaxed_env_var_name, name, &at.child("name"))),
        }
        errors.extend(value_from(variable, &at.child("valueFrom")));
    }
    let list_path = path.child("envFrom");
    for (at, source) in items(container, "envFrom", path) {
        let prefix = text(source, "/prefix");
        if !prefix.is_empty() {
            errors.extend(by(name::is_relaxed_env_var_name, prefix, &at.child("prefix")));
        }
        let given = ["configMapRef", "secretRef"].into_iter().filter(|f| field(source, f).is_some());
        match given.count() {
            0 => errors.push(Error::invalid(
                &list_path,
                "",
                "must specify one of: `configMapRef` or `secretRef`",
            )),
            1 => {}
            _ => errors.push(Error::invalid(
                &list_path,
                "",
                "may not have more than one field specified at a time",
            )),
        }
    }
    errors
}

/// Where a variable's value comes from: one place, and not beside a value.
fn value_from(variable: &Value, path: &Path) -> Vec<Error> {
    let Some(source) = some(variable, "/valueFrom") else { return Vec::new() };
    let mut errors = Vec::new();
    if let Some(field) = some(source, "/fieldRef") {
        errors.extend(field_ref(field, &path.child("fieldRef")));
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        let Some(reference) = field(source, kind) else { continue };
        let at = path.child(kind);
        errors.extend(by(name::is_dns1123_subdomain, text(reference, "/name"), &at.child("name")));
        match text(reference, "/key") {
            "" => errors.push(Error::required(&at.child("key"), "")),
            key => errors.extend(by(name::is_config_map_key, key, &at.child("key"))),
        }
    }
    let kinds = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    let given = kinds.into_iter().filter(|kind| field(source, kind).is_some()).count();
    let why = match given {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        _ if !text(variable, "/value").is_empty() => "may not be specified when `value` is not empty",
        1 => return errors,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(Error::invalid(path, "", why));
    errors
}

fn field_ref(reference: &Value, path: &Path) -> Option<Error> {
    let field = text(reference, "/fieldPath");
    if field.is_empty() {
        return Some(Error::required(&path.child("fieldPath"), ""));
    }
    let is_entry = ["metadata.labels['", "metadata.annotations['"].iter().any(|p| field.starts_with(p));
    if is_entry || POD_FIELDS.contains(&field) {
        return None;
    }
    let why = format!("error converting fieldPath: field label not supported: {field}");
    let is_map = matches!(field, "metadata.labels" | "metadata.annotations");
    Some(match is_map {
        true => Error::not_supported(&path.child("fieldPath"), field, &POD_FIELDS[..9]),
        false => Error::invalid(&path.child("fieldPath"), field, why),
    })
}

/// What holds for containers that keep running: probes and hooks.
fn running(container: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for hook in ["postStart", "preStop"] {
        if let Some(handler) = some(container, &format!("/lifecycle/{hook}")) {
            errors.extend(handler_errors(handler, &path.child("lifecycle").child(hook)));
        }
    }
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = field(container, kind) else { continue };
        let at = path.child(kind);
        errors.extend(handler_errors(probe, &at));
        for field in
            ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            errors.extend(super::non_negative(probe, field, &at));
        }
        let threshold = int(probe, "/successThreshold");
        if kind != "readinessProbe" && threshold != 1 && threshold != 0 {
            errors.push(Error::invalid(&at.child("successThreshold"), threshold, "must be 1"));
        }
    }
    errors
}

/// How a probe or hook is run: one way.
fn handler_errors(handler: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut count = 0;
    for kind in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(action) = field(handler, kind) else { continue };
        let at = path.child(kind);
        count += 1;
        if count > 1 {
            errors.push(Error::forbidden(&at, "may not specify more than 1 handler type"));
            continue;
        }
        match kind {
            "exec" if list(action, "/command").is_empty() => {
                errors.push(Error::required(&at.child("command"), ""))
            }
            "httpGet" | "tcpSocket" => errors.extend(port_or_name(action.get("port"), &at.child("port"))),
            "grpc" => errors.extend(port_number(action, "port", &at)),
            _ => {}
        }
        if kind == "httpGet" {
            errors.extend(one_of(action, "scheme", &["HTTP", "HTTPS"], &at));
        }
    }
    if count == 0 {
        errors.push(Error::required(path, "must specify a handler type"));
    }
    errors
}
