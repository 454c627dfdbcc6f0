//! Variables of containers, and what containers and volumes ask of the pod itself
//! (k8s.io/kubernetes/pkg/apis/core/validation).

use super::volume::backsteps;
use super::{by, items};
use crate::kinds::tree::{field, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::quantity::Quantity;
use alcove_object::{Value, name};

/// Fields of a pod that variables can hold.
const VARIABLE_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// All fields of a pod that a client can name.
const POD_FIELDS: [&str; 15] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
    "spec.host",
];

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// The variables of a container.
pub(super) fn variables(container: &Value, path: &Path) -> Vec<Error> {
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
        let mut count = 0;
        for kind in ["configMapRef", "secretRef"] {
            let Some(reference) = field(source, kind) else { continue };
            count += 1;
            let at = at.child(kind).child("name");
            match text(reference, "/name") {
                "" => errors.push(Error::required(&at, "")),
                given => errors.extend(prefix_of_subdomain(given, &at)),
            }
        }
        let why = match count {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        errors.push(Error::invalid(&list_path, "", why));
    }
    errors
}

/// Upstream judges these names as if something were to follow.
fn prefix_of_subdomain(given: &str, path: &Path) -> Vec<Error> {
    name::dns_subdomain(given, true).into_iter().map(|why| Error::invalid(path, given, why)).collect()
}

/// Where a variable's value comes from: one place, and not beside a value.
fn value_from(variable: &Value, path: &Path) -> Vec<Error> {
    let Some(source) = some(variable, "/valueFrom") else { return Vec::new() };
    let mut errors = Vec::new();
    if let Some(reference) = field(source, "fieldRef") {
        errors.extend(field_ref(reference, &VARIABLE_FIELDS, &path.child("fieldRef")));
    }
    if let Some(reference) = field(source, "resourceFieldRef") {
        errors.extend(resource_ref(reference, false, &path.child("resourceFieldRef")));
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
    if let Some(reference) = field(source, "fileKeyRef") {
        errors.extend(file_key_ref(reference, &path.child("fileKeyRef")));
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

fn file_key_ref(reference: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let required =
        |field: &str, rule: &dyn Fn(&str, &Path) -> Vec<Error>| match text(reference, &format!("/{field}")) {
            "" => vec![Error::required(&path.child(field), "")],
            given => rule(given, &path.child(field)),
        };
    errors.extend(required("key", &|given, at| by(name::is_relaxed_env_var_name, given, at).collect()));
    errors.extend(required("volumeName", &|given, at| by(name::is_dns1123_label, given, at).collect()));
    errors.extend(required("path", &|given, at| backsteps(given, at).into_iter().collect()));
    errors
}

/// A field of the pod, of those that may stand here.
pub(super) fn field_ref(reference: &Value, allowed: &[&str], path: &Path) -> Vec<Error> {
    let at = path.child("fieldPath");
    if text(reference, "/apiVersion").is_empty() {
        return vec![Error::required(&path.child("apiVersion"), "")];
    }
    let wrong = |why: &str| {
        let given = text(reference, "/fieldPath");
        vec![Error::invalid(&at, given, format!("error converting fieldPath: {why}"))]
    };
    let given = text(reference, "/fieldPath");
    if given.is_empty() {
        return vec![Error::required(&at, "")];
    }
    match text(reference, "/apiVersion") {
        "v1" => {}
        other => return wrong(&format!("unsupported pod version: {other}")),
    }
    if let Some((map, key)) = subscripted(given) {
        return match map {
            "metadata.annotations" => by(name::is_qualified_name, &key.to_lowercase(), path).collect(),
            "metadata.labels" => by(name::is_qualified_name, key, path).collect(),
            _ => wrong(&format!("field label does not support subscript: {given}")),
        };
    }
    if !POD_FIELDS.contains(&given) {
        return wrong(&format!("field label not supported: {given}"));
    }
    let given = if given == "spec.host" { "spec.nodeName" } else { given };
    if allowed.contains(&given) { Vec::new() } else { vec![Error::not_supported(&at, given, allowed)] }
}

/// `PATH['KEY']` (k8s.io/kubernetes/pkg/fieldpath).
fn subscripted(given: &str) -> Option<(&str, &str)> {
    let (map, key) = given.strip_suffix("']")?.split_once("['")?;
    (!map.is_empty()).then_some((map, key))
}

/// A resource of a container, in parts of some size.
pub(super) fn resource_ref(reference: &Value, names_container: bool, path: &Path) -> Vec<Error> {
    let resource = text(reference, "/resource");
    let is_huge = ["limits.hugepages-", "requests.hugepages-"].iter().any(|head| resource.starts_with(head));
    let mut errors = Vec::new();
    if names_container && text(reference, "/containerName").is_empty() {
        errors.push(Error::required(&path.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(Error::required(&path.child("resource"), ""));
    } else if !RESOURCES.contains(&resource) && !is_huge {
        errors.push(Error::not_supported(&path.child("resource"), resource, &RESOURCES));
    }
    let divisor = field(reference, "divisor").and_then(|divisor| Quantity::from_value(divisor).ok());
    let Some(divisor) = divisor.filter(|divisor| !divisor.is_zero()) else { return errors };
    const SIZES: [&str; 13] =
        ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let (allowed, what): (&[&str], &str) = match resource.split_once('.').map_or("", |(_, rest)| rest) {
        "cpu" if RESOURCES.contains(&resource) => (&["1m", "1"], "cpu"),
        "memory" if RESOURCES.contains(&resource) => (&SIZES, "memory"),
        "ephemeral-storage" if RESOURCES.contains(&resource) => (&SIZES, "local ephemeral storage"),
        _ if is_huge => (&SIZES, "hugepages"),
        _ => return errors,
    };
    if !allowed.contains(&&*divisor.to_string()) {
        let values = if what == "cpu" { "1m and 1".to_owned() } else { SIZES.join(", ") };
        let why = format!("only divisor's values {values} are supported with the {what} resource");
        errors.push(Error::invalid(&path.child("divisor"), resource, why));
    }
    errors
}
