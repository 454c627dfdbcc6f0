//! What may change about a pod, through itself and through its subresources (k8s.io/kubernetes/pkg/apis/core/validation:
//! ValidatePodUpdate, ValidatePodEphemeralContainersUpdate, ValidatePodResize).

use super::pod::{pod, pod_annotations};
use super::{items, quality_of_service, scheduling};
use crate::kinds::tree::{field, int, list, some, text};
use alcove_object::field::{Error, Path, quote};
use alcove_object::quantity::Quantity;
use alcove_object::{Value, meta};
use serde_json::json;
use std::collections::BTreeSet;

const MIRROR: &str = "kubernetes.io/config.mirror";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// What a pod's owner may change.
const CHANGEABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// A change of a pod through the pod itself. Upstream adds a diff to the last message; we name the fields. `has_same_spec`:
/// its spec is known to be the same.
pub(crate) fn pod_change(new: &Value, old: &Value, has_same_spec: bool) -> Vec<Error> {
    let path = Path::new("spec");
    let (Some(spec), Some(old_spec)) = (new.get("spec"), old.get("spec")) else { return Vec::new() };
    if has_same_spec || spec == old_spec {
        // It was judged when it came, and only annotations say more about it.
        let mut errors = pod_annotations(new);
        errors.extend(annotation_changes(new, old));
        return errors;
    }
    let mut errors = pod(new);
    errors.extend(annotation_changes(new, old));
    for field in ["containers", "initContainers"] {
        let (now, before) = (list(spec, &format!("/{field}")), list(old_spec, &format!("/{field}")));
        if now.len() != before.len() {
            errors.push(Error::forbidden(&path.child(field), "pod updates may not add or remove containers"));
            return errors;
        }
    }
    let wanted = some(spec, "/activeDeadlineSeconds").and_then(Value::as_i64);
    if let Some(wanted) = wanted.filter(|wanted| !(0..=i64::from(i32::MAX)).contains(wanted)) {
        let why = format!("must be between 0 and {}, inclusive", i32::MAX);
        errors.push(Error::invalid(&path.child("activeDeadlineSeconds"), wanted, why));
        return errors;
    }
    let deadline = deadline_change(spec, old_spec, &path);
    let is_longer = deadline.as_ref().is_some_and(|error| error.detail.starts_with("must be less"));
    errors.extend(deadline);
    if is_longer {
        return errors;
    }
    errors.extend(toleration_change(spec, old_spec, &path));
    errors.extend(gate_change(spec, old_spec, &path));
    if !list(old_spec, "/schedulingGates").is_empty() {
        errors.extend(scheduling::gated_change(spec, old_spec, &path));
    }
    let changed = changed_fields(spec, old_spec);
    if !changed.is_empty() {
        let why =
            format!("pod updates may not change fields other than {CHANGEABLE}\n{}", changed.join(", "));
        errors.push(Error::forbidden(&path, why));
    }
    errors
}

/// Some annotations stay as they came.
pub(super) fn annotation_changes(new: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("metadata").child("annotations");
    let mut errors = Vec::new();
    let mut refuse = |key: &str, what: &str| {
        let kept = if key.starts_with(APP_ARMOR) { "AppArmor annotations" } else { "mirror pod annotation" };
        if key.starts_with(APP_ARMOR) || key == MIRROR {
            errors.push(Error::forbidden(&path.key(key), format!("may not {what} {kept}")));
        }
    };
    for (key, value) in meta::entries(old.pointer("/metadata/annotations")) {
        if meta::annotation(new, key) != Some(value) {
            refuse(key, "remove or update");
        }
    }
    for (key, _) in meta::entries(new.pointer("/metadata/annotations")) {
        if meta::annotation(old, key).is_none() {
            refuse(key, "add");
        }
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
    let is_changed = |key: &&&String| !is_same(new.get(**key), old.get(**key));
    keys.iter().filter(is_changed).map(|key| format!("spec.{key}")).collect()
}

/// Whether two values mean the same: what is empty is not there.
pub(super) fn is_same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a.filter(|a| !is_nothing(a)), b.filter(|b| !is_nothing(b))) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.iter().all(|(key, value)| is_same(Some(value), b.get(key)))
                && b.iter().all(|(key, value)| a.contains_key(key) || is_nothing(value))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(Some(a), Some(b)))
        }
        (a, b) => a == b,
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
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
        let affinity = map.get_mut("affinity").and_then(Value::as_object_mut);
        let is_empty = affinity.is_some_and(|affinity| {
            affinity.remove("nodeAffinity");
            affinity.is_empty()
        });
        if is_empty {
            map.remove("affinity");
        }
    }
    spec
}

/// A change through `pods/ephemeralcontainers`: containers may be added, nothing else.
pub(crate) fn ephemeral_containers_change(new: &Value, old: &Value) -> Vec<Error> {
    if meta::annotation(old, MIRROR).is_some() {
        return vec![Error::forbidden(&Path::default(), "static pods do not support ephemeral containers")];
    }
    let mut errors = pod(new);
    errors.extend(annotation_changes(new, old));
    let path = Path::new("spec").child("ephemeralContainers");
    for old in list(old, "/spec/ephemeralContainers") {
        let name = text(old, "/name");
        let new = list(new, "/spec/ephemeralContainers").iter().rfind(|c| text(c, "/name") == name);
        let what = match new {
            None => "removed",
            Some(new) if !is_same(Some(new), Some(old)) => "changed",
            Some(_) => continue,
        };
        let why = format!("existing ephemeral containers {} may not be {what}\n", quote(name));
        errors.push(Error::forbidden(&path, why));
    }
    errors
}

/// A change through `pods/resize`: amounts of cpu and memory, which leave the quality of service as it is.
pub(crate) fn resize_change(new: &Value, old: &Value) -> Vec<Error> {
    let whole = |why: &str| vec![Error::forbidden(&Path::default(), why)];
    if meta::annotation(old, MIRROR).is_some() {
        return whole("static pods cannot be resized");
    }
    if text(old, "/spec/os/name") == "windows" {
        return whole("windows pods cannot be resized");
    }
    let path = Path::new("spec");
    let (Some(spec), Some(old_spec)) = (new.get("spec"), old.get("spec")) else { return Vec::new() };
    let mut errors = pod(new);
    let class = match text(old, "/status/qosClass") {
        "" => quality_of_service(old_spec),
        class => class,
    };
    if quality_of_service(spec) != class {
        let given = text(new, "/status/qosClass");
        errors.push(Error::invalid(&path, given, "Pod QOS Class may not change as a result of resizing"));
    }
    if !can_resize(old) {
        errors.push(Error::forbidden(&path, "Pod running on node without support for resize"));
    }
    errors.extend(whole_resize(spec, old_spec, &path));
    let order = order_of_containers(spec, old_spec, &path);
    if !order.is_empty() {
        errors.extend(order);
        return errors;
    }
    for name in ["initContainers", "containers"] {
        errors.extend(removed_amounts(spec, old_spec, name, &path));
    }
    errors.extend(other_resources(spec, old_spec, &path));
    if errors.is_empty() && !is_same(Some(&without_amounts(spec, old_spec)), Some(old_spec)) {
        errors.push(Error::forbidden(&path, "only cpu and memory resources are mutable"));
    }
    errors
}

/// A node that tells nothing of a running container's resources cannot change them.
fn can_resize(pod: &Value) -> bool {
    let statuses = list(pod, "/status/containerStatuses").iter();
    let running = { statuses }.find(|status| some(status, "/state/running").is_some());
    running.is_none_or(|status| some(status, "/resources").is_some())
}

fn is_removed(new: Option<&Value>, old: Option<&Value>, kind: &str) -> bool {
    let names = |resources: Option<&Value>| -> BTreeSet<String> {
        let given = resources.and_then(|r| r.get(kind)).and_then(Value::as_object);
        given.into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    !names(old).is_subset(&names(new))
}

/// What a pod has as a whole.
fn whole_resize(spec: &Value, old: &Value, path: &Path) -> Vec<Error> {
    let (new, old) = (field(spec, "resources"), field(old, "resources"));
    let at = path.child("resources");
    if old.is_none() && new.is_none() {
        return Vec::new();
    }
    if new.is_none() {
        return vec![Error::forbidden(&at, "pod-level resources cannot be removed")];
    }
    let mut errors = Vec::new();
    for (kind, what) in [("requests", "requests"), ("limits", "limits")] {
        if is_removed(new, old, kind) {
            let why = format!("pod-level resource {what} cannot be removed");
            errors.push(Error::forbidden(&at.child(kind), why));
        }
    }
    let none = json!({});
    let masked = masked(new.unwrap_or(&none), old.unwrap_or(&none));
    if !is_same_resources(&masked, old.unwrap_or(&none)) {
        errors.push(Error::forbidden(path, "only cpu and memory resources are mutable at pod-level"));
    }
    errors
}

/// Resources with the old amounts of cpu and memory.
fn masked(new: &Value, old: &Value) -> Value {
    let mut new = new.clone();
    for kind in ["requests", "limits"] {
        let mut amounts = new.get(kind).and_then(Value::as_object).cloned().unwrap_or_default();
        for resource in ["cpu", "memory"] {
            match old.get(kind).and_then(|old| old.get(resource)) {
                Some(amount) => amounts.insert(resource.to_owned(), amount.clone()),
                None => amounts.remove(resource),
            };
        }
        match (amounts.is_empty(), new.as_object_mut()) {
            (true, Some(map)) => drop(map.remove(kind)),
            (false, Some(map)) => drop(map.insert(kind.to_owned(), amounts.into())),
            (_, None) => {}
        }
    }
    new
}

fn is_same_resources(a: &Value, b: &Value) -> bool {
    let amounts = |resources: &Value, kind: &str| -> Vec<(String, Option<Quantity>)> {
        let given = resources.get(kind).and_then(Value::as_object).into_iter().flatten();
        given.map(|(name, amount)| (name.clone(), Quantity::from_value(amount).ok())).collect()
    };
    ["requests", "limits"].iter().all(|kind| amounts(a, kind) == amounts(b, kind))
        && is_same(a.get("claims"), b.get("claims"))
}

fn order_of_containers(spec: &Value, old: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for field in ["containers", "initContainers"] {
        let (new, old) = (list(spec, &format!("/{field}")), list(old, &format!("/{field}")));
        let at = path.child(field);
        if new.len() != old.len() {
            errors.push(Error::forbidden(&at, format!("{field} may not be added or removed on resize")));
            continue;
        }
        let moved =
            new.iter().zip(old).enumerate().filter(|(_, (n, o))| text(n, "/name") != text(o, "/name"));
        errors.extend(moved.map(|(i, _)| {
            let why = format!("{field} may not be renamed or reordered on resize");
            Error::forbidden(&at.index(i).child("name"), why)
        }));
    }
    errors
}

fn removed_amounts(spec: &Value, old: &Value, name: &str, path: &Path) -> Vec<Error> {
    let pairs = items(spec, name, path).zip(list(old, &format!("/{name}")));
    let mut errors = Vec::new();
    for ((at, new), old) in pairs {
        for kind in ["requests", "limits"] {
            if is_removed(new.get("resources"), old.get("resources"), kind) {
                let why = format!("resource {kind} cannot be removed");
                errors.push(Error::forbidden(&at.child("resources").child(kind), why));
            }
        }
    }
    errors
}

/// Whether containers differ in more than their amounts of cpu and memory. The policy of resizing counts as more.
fn other_resources(spec: &Value, old: &Value, path: &Path) -> Vec<Error> {
    let differs = |new: &Value, old: &Value| !is_same(Some(&with_masked_resources(new, old)), Some(old));
    let regular = list(spec, "/containers").iter().zip(list(old, "/containers"));
    let changed = regular.filter(|(new, old)| differs(new, old));
    let why = "only cpu and memory resources are mutable";
    let mut errors: Vec<Error> = changed.map(|_| Error::forbidden(path, why)).collect();
    for ((at, new), old) in items(spec, "initContainers", path).zip(list(old, "/initContainers")) {
        if differs(new, old) {
            let why = "only cpu and memory resources for init or sidecar containers are mutable";
            errors.push(Error::forbidden(&at, why));
        }
        let is_sidecar = text(new, "/restartPolicy") == "Always";
        if !is_sidecar && !is_same(Some(new), Some(old)) {
            let policies = list(new, "/resizePolicy").iter();
            let restarts = policies.filter(|policy| text(policy, "/restartPolicy") == "RestartContainer");
            let why =
                "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
            errors.extend(restarts.map(|_| Error::forbidden(&at, why)));
        }
    }
    errors
}

/// With the old amounts, and without claims: the mask drops them.
fn with_masked_resources(container: &Value, old: &Value) -> Value {
    let mut container = container.clone();
    let none = json!({});
    let (new, before) = (container.get("resources").unwrap_or(&none), old.get("resources"));
    let mut masked = masked(new, before.unwrap_or(&none));
    masked.as_object_mut().map(|masked| masked.remove("claims"));
    let is_nothing = before.is_none() && masked == none;
    match container.as_object_mut() {
        Some(map) if is_nothing => drop(map.remove("resources")),
        Some(map) => drop(map.insert("resources".into(), masked)),
        None => {}
    }
    container
}

fn without_amounts(spec: &Value, old: &Value) -> Value {
    let mut spec = spec.clone();
    for field in ["containers", "initContainers"] {
        let pointer = format!("/{field}");
        let pairs = list(&spec, &pointer).iter().zip(list(old, &pointer));
        let masked: Vec<Value> = pairs.map(|(new, old)| with_masked_resources(new, old)).collect();
        if !masked.is_empty() {
            spec[field] = masked.into();
        }
    }
    match old.get("resources") {
        Some(resources) => spec["resources"] = resources.clone(),
        None => drop(spec.as_object_mut().map(|map| map.remove("resources"))),
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_not_there() {
        let full = json!({"a": {"b": [{"c": 1, "d": "x"}]}, "e": true});
        for (other, same) in [
            (json!({"a": {"b": [{"c": 1, "d": "x", "n": null}]}, "e": true}), true),
            (json!({"a": {"b": [{"c": 1, "d": "x"}], "l": []}, "e": true, "f": null}), true),
            (json!({"a": {"b": [{"c": 1, "d": "x"}], "m": {}}, "e": true}), false),
            (json!({"a": {"b": [{"c": 1, "d": "x"}, null]}, "e": true}), false),
            (json!({"a": {"b": [{"c": 2, "d": "x"}]}, "e": true}), false),
            (json!({"a": {"b": []}, "e": true}), false),
            (json!({"a": {"b": [{"c": 1, "d": "x"}]}}), false),
            (json!({"a": {"b": [{"c": 1, "d": "x"}]}, "e": true, "g": "new"}), false),
        ] {
            assert_eq!(is_same(Some(&full), Some(&other)), same, "{other}");
            assert_eq!(is_same(Some(&other), Some(&full)), same, "{other}");
        }
        assert!(is_same(None, Some(&json!([]))) && !is_same(None, Some(&json!({}))));
    }
}
