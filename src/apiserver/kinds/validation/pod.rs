//! Pod specs, and what may change about a pod.

use super::{by, container, items, tolerations, volume};
use crate::kinds::tree::{field_text, int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, name, validate};
use std::collections::BTreeSet;

/// Closed sets of values, in the order in which upstream names them.
const POLICIES: [(&str, &[&str]); 2] = [
    ("restartPolicy", &["Always", "OnFailure", "Never"]),
    ("dnsPolicy", &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]),
];

/// The spec of a pod or of a template.
pub(crate) fn pod_spec(spec: &Value, path: &Path) -> Vec<Error> {
    let (volumes, mut errors) = volume::volumes(spec, path);
    errors.extend(container::containers(spec, &volumes, path));
    errors.extend(validate::validate_labels(spec.get("nodeSelector"), &path.child("nodeSelector")));
    for (field, rule) in [
        ("serviceAccountName", name::is_dns1123_subdomain as fn(&str) -> Vec<String>),
        ("nodeName", name::is_dns1123_subdomain),
        ("priorityClassName", name::is_dns1123_subdomain),
        ("runtimeClassName", name::is_dns1123_subdomain),
        ("hostname", name::is_dns1123_label),
        ("subdomain", name::is_dns1123_label),
    ] {
        let given = field_text(spec, field);
        if !given.is_empty() {
            errors.extend(by(rule, given, &path.child(field)));
        }
    }
    if some(spec, "/activeDeadlineSeconds").is_some() {
        let seconds = int(spec, "/activeDeadlineSeconds");
        let messages = name::is_in_range(seconds, 1, i32::MAX.into());
        errors.extend(
            messages.into_iter().map(|m| Error::invalid(&path.child("activeDeadlineSeconds"), seconds, m)),
        );
    }
    for (field, allowed) in POLICIES {
        let given = field_text(spec, field);
        if !given.is_empty() && !allowed.contains(&given) {
            errors.push(Error::not_supported(&path.child(field), given, allowed));
        }
    }
    errors.extend(sysctls(spec, path));
    errors.extend(tolerations(spec, path));
    for (at, gate) in items(spec, "schedulingGates", path) {
        errors.extend(
            name::is_qualified_name(text(gate, "/name"))
                .into_iter()
                .map(|m| Error::invalid(&at, text(gate, "/name"), m)),
        );
    }
    errors
}

/// Kernel parameters: their names, each once.
fn sysctls(spec: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let Some(context) = some(spec, "/securityContext") else { return errors };
    let mut names = BTreeSet::new();
    for (at, sysctl) in items(context, "sysctls", &path.child("securityContext")) {
        let name = text(sysctl, "/name");
        match name {
            "" => errors.push(Error::required(&at.child("name"), "")),
            name if !is_sysctl(name) => {
                let pattern = "([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
                let why = format!("must have at most 253 characters and match regex ^{pattern}$");
                errors.push(Error::invalid(&at.child("name"), name, why));
            }
            _ => {}
        }
        if !name.is_empty() && !names.insert(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        }
    }
    errors
}

fn is_sysctl(name: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 253
        && name.split(['.', '/']).all(|part| {
            let bytes = part.as_bytes();
            let ends =
                bytes.first().is_some_and(|b| is_word(*b)) && bytes.last().is_some_and(|b| is_word(*b));
            ends && bytes.iter().all(|&b| is_word(b) || matches!(b, b'-' | b'_'))
        })
}

/// A template: labels, annotations and spec.
pub(crate) fn template(template: &Value, path: &Path) -> Vec<Error> {
    let metadata = template.get("metadata").unwrap_or(&Value::Null);
    // Upstream leaves `metadata` out of these paths.
    let mut errors = validate::validate_labels(metadata.get("labels"), &path.child("labels"));
    errors.extend(validate::validate_annotations(metadata.get("annotations"), &path.child("annotations")));
    let spec_path = path.child("spec");
    let spec = template.get("spec").unwrap_or(&Value::Null);
    errors.extend(pod_spec(spec, &spec_path));
    if !list(spec, "/ephemeralContainers").is_empty() {
        let why = "ephemeral containers not allowed in pod template";
        errors.push(Error::forbidden(&spec_path.child("ephemeralContainers"), why));
    }
    errors
}

/// What a pod's owner may change.
const CHANGEABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// A change of a pod through the pod itself. Upstream adds a diff to the last message; we name the fields.
pub(crate) fn pod_change(new: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("spec");
    let (Some(spec), Some(old_spec)) = (new.get("spec"), old.get("spec")) else { return Vec::new() };
    let mut errors = pod_spec(spec, &path);
    for field in ["containers", "initContainers"] {
        if list(spec, &format!("/{field}")).len() != list(old_spec, &format!("/{field}")).len() {
            errors.push(Error::forbidden(&path.child(field), "pod updates may not add or remove containers"));
            return errors;
        }
        for (at, container) in items(spec, field, &path) {
            let image = text(container, "/image");
            if image.trim() != image {
                let why = "must not have leading or trailing whitespace";
                errors.push(Error::invalid(&at.child("image"), image, why));
            }
        }
    }
    errors.extend(deadline_change(spec, old_spec, &path));
    errors.extend(toleration_change(spec, old_spec, &path));
    errors.extend(gate_change(spec, old_spec, &path));
    let changed = changed_fields(spec, old_spec);
    if !changed.is_empty() {
        let why =
            format!("pod updates may not change fields other than {CHANGEABLE}\n{}", changed.join(", "));
        errors.push(Error::forbidden(&path, why));
    }
    errors
}

fn deadline_change(spec: &Value, old: &Value, path: &Path) -> Option<Error> {
    let path = path.child("activeDeadlineSeconds");
    match (some(spec, "/activeDeadlineSeconds"), some(old, "/activeDeadlineSeconds")) {
        (Some(new), Some(old)) if new.as_i64() > old.as_i64() => {
            Some(Error::invalid(&path, new.clone(), "must be less than or equal to previous value"))
        }
        (None, Some(_)) => {
            Some(Error::invalid(&path, Value::Null, "must not update from a positive integer to nil value"))
        }
        _ => None,
    }
}

/// Tolerations may be added, and how long they hold may change.
fn toleration_change(spec: &Value, old: &Value, path: &Path) -> Option<Error> {
    let lasting = |toleration: &Value| {
        let mut map = toleration.as_object().cloned().unwrap_or_default();
        map.remove("tolerationSeconds");
        map
    };
    let new: Vec<_> = list(spec, "/tolerations").iter().map(lasting).collect();
    let is_kept = list(old, "/tolerations").iter().map(lasting).all(|t| new.contains(&t));
    let why = "existing toleration can not be modified except its tolerationSeconds";
    (!is_kept).then(|| Error::forbidden(&path.child("tolerations"), why))
}

fn gate_change(spec: &Value, old: &Value, path: &Path) -> Vec<Error> {
    let old: BTreeSet<&str> = list(old, "/schedulingGates").iter().map(|g| text(g, "/name")).collect();
    let added = items(spec, "schedulingGates", path).filter(|(_, gate)| !old.contains(text(gate, "/name")));
    added
        .map(|(at, gate)| {
            let name = text(gate, "/name");
            let why = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            Error::forbidden(&at.child("name"), why)
        })
        .collect()
}

/// The fields that changed and may not.
fn changed_fields(new: &Value, old: &Value) -> Vec<String> {
    let (new, old) = (munged(new, old), munged(old, old));
    let none = serde_json::Map::new();
    let (new, old) = (new.as_object().unwrap_or(&none), old.as_object().unwrap_or(&none));
    let keys: BTreeSet<&String> = new.keys().chain(old.keys()).collect();
    let is_changed = |key: &&&String| {
        let none = &Value::Null;
        new.get(**key).unwrap_or(none) != old.get(**key).unwrap_or(none)
    };
    keys.iter().filter(is_changed).map(|key| format!("spec.{key}")).collect()
}

/// The spec without what may change.
fn munged(spec: &Value, old: &Value) -> Value {
    let mut spec = spec.clone();
    let is_gated = !list(old, "/schedulingGates").is_empty();
    let ends_soon =
        int(old, "/terminationGracePeriodSeconds") < 0 && int(&spec, "/terminationGracePeriodSeconds") == 1;
    let Some(map) = spec.as_object_mut() else { return spec };
    for field in ["containers", "initContainers"] {
        for container in map.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            container.as_object_mut().map(|c| c.remove("image"));
        }
    }
    map.remove("activeDeadlineSeconds");
    map.remove("schedulingGates");
    map.remove("tolerations");
    if ends_soon {
        map.insert("terminationGracePeriodSeconds".into(), old["terminationGracePeriodSeconds"].clone());
    }
    if is_gated {
        map.remove("nodeSelector");
        map.get_mut("affinity").and_then(Value::as_object_mut).map(|a| a.remove("nodeAffinity"));
    }
    spec
}

/// A change through `pods/ephemeralcontainers`: containers may be added, nothing else.
pub(crate) fn ephemeral_containers_change(new: &Value, old: &Value) -> Vec<Error> {
    if meta::annotation(old, "kubernetes.io/config.mirror").is_some() {
        return vec![Error::forbidden(&Path::default(), "static pods do not support ephemeral containers")];
    }
    let path = Path::new("spec");
    let mut errors = pod_spec(new.get("spec").unwrap_or(&Value::Null), &path);
    let path = path.child("ephemeralContainers");
    for old in list(old, "/spec/ephemeralContainers") {
        let name = text(old, "/name");
        let quoted = alcove_object::field::quote(name);
        match list(new, "/spec/ephemeralContainers").iter().find(|c| text(c, "/name") == name) {
            None => {
                let why = format!("existing ephemeral containers {quoted} may not be removed\n");
                errors.push(Error::forbidden(&path, why));
            }
            Some(new) if new != old => {
                let why = format!("existing ephemeral containers {quoted} may not be changed\n");
                errors.push(Error::forbidden(&path, why));
            }
            Some(_) => {}
        }
    }
    errors
}
