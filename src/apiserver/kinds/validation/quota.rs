//! What a resource quota may limit, and for which objects (k8s.io/kubernetes/pkg/apis/core/validation:
//! ValidateResourceQuota).

use super::{by, items};
use crate::kinds::tree::{list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::quantity::Quantity;
use alcove_object::{Value, name};
use std::collections::BTreeSet;

/// Names without a domain that quotas know, counted in whole numbers.
const WHOLE: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];
/// Names without a domain that quotas know, measured.
const MEASURED: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];
/// Names that scopes of pods may be used with.
const OF_PODS: [&str; 7] =
    ["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "VolumeAttributesClass",
    "CrossNamespacePodAffinity",
];
const OPPOSITES: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];
const UNSUPPORTED_SCOPE: &str = "unsupported scope";
const UNSUPPORTED_FOR_RESOURCE: &str = "unsupported scope applied to resource";
const CONFLICTING: &str = "conflicting scopes";
const MUST_EXIST: &str = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
    ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
    ResourceQuotaScopeCrossNamespacePodAffinity";

pub(super) fn is_standard(name: &str) -> bool {
    let huge = name.strip_prefix("requests.").unwrap_or(name).starts_with("hugepages-");
    huge || WHOLE.contains(&name) || MEASURED.contains(&name)
}

/// Whether a resource is given out whole.
pub(super) fn is_counted(name: &str) -> bool {
    WHOLE.contains(&name) || super::resources::is_extended(name)
}

/// The spec of a quota.
pub(in crate::kinds) fn quota_spec(spec: &Value, path: &Path) -> Vec<Error> {
    let hard = some(spec, "/hard");
    let mut errors = quota_limits(hard, &path.child("hard"));
    let names: Vec<&str> =
        hard.and_then(Value::as_object).into_iter().flatten().map(|(name, _)| &**name).collect();
    errors.extend(listed_scopes(spec, &names, path));
    errors.extend(selected_scopes(spec, &names, path));
    errors
}

/// Amounts by name, of a spec or a status.
pub(in crate::kinds) fn quota_limits(limits: Option<&Value>, path: &Path) -> Vec<Error> {
    let limits = limits.and_then(Value::as_object).into_iter().flatten();
    let check = |(name, amount): (&String, &Value)| {
        let path = path.key(name);
        let mut errors = limit_name(name, &path);
        errors.extend(amount_of(name, amount, &path));
        errors
    };
    limits.flat_map(check).collect()
}

fn limit_name(name: &str, path: &Path) -> Vec<Error> {
    let mut errors: Vec<Error> = by(name::is_qualified_name, name, path).collect();
    if name.contains('/') {
        return errors;
    }
    if errors.is_empty() && !is_standard(name) && name != "storage" {
        errors.push(Error::invalid(path, name, "must be a standard resource type or fully qualified"));
    }
    if !is_standard(name) {
        errors.push(Error::invalid(path, name, "must be a standard resource for quota"));
    }
    errors
}

/// An amount that is not negative, and whole where it must be.
pub(super) fn amount_of(name: &str, amount: &Value, path: &Path) -> Vec<Error> {
    let Ok(amount) = Quantity::from_value(amount) else { return Vec::new() };
    let mut errors = Vec::new();
    if amount.signum() < 0 {
        errors.push(Error::invalid(path, amount.to_string(), "must be greater than or equal to 0"));
    }
    if is_counted(name) && amount.whole().is_none() {
        errors.push(Error::invalid(path, amount.to_string(), "must be an integer"));
    }
    errors
}

/// Whether a scope may be used with a limit.
fn fits(scope: &str, limit: &str) -> bool {
    match scope {
        "BestEffort" => limit == "pods",
        "VolumeAttributesClass" => matches!(limit, "persistentvolumeclaims" | "requests.storage"),
        _ if SCOPES.contains(&scope) => OF_PODS.contains(&limit),
        _ => true,
    }
}

/// What is wrong with a scope by itself: it is not known, or does not fit a limit.
fn misfits(scope: &str, limits: &[&str]) -> usize {
    limits.iter().filter(|limit| is_standard(limit) && !fits(scope, limit)).count()
}

fn has_opposites(scopes: &BTreeSet<&str>) -> usize {
    OPPOSITES.iter().filter(|pair| pair.iter().all(|scope| scopes.contains(scope))).count()
}

fn listed_scopes(spec: &Value, limits: &[&str], path: &Path) -> Vec<Error> {
    let path = path.child("scopes");
    let given = || some(spec, "/scopes").cloned().unwrap_or(Value::Null);
    let scopes: Vec<&str> = list(spec, "/scopes").iter().filter_map(Value::as_str).collect();
    let mut errors = Vec::new();
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            errors.push(Error::invalid(&path, given(), UNSUPPORTED_SCOPE));
        }
        let misfits = misfits(scope, limits);
        errors.extend((0..misfits).map(|_| Error::invalid(&path, given(), UNSUPPORTED_FOR_RESOURCE)));
    }
    let opposites = has_opposites(&scopes.into_iter().collect());
    errors.extend((0..opposites).map(|_| Error::invalid(&path, given(), CONFLICTING)));
    errors
}

fn selected_scopes(spec: &Value, limits: &[&str], path: &Path) -> Vec<Error> {
    let Some(selector) = some(spec, "/scopeSelector") else { return Vec::new() };
    let path = path.child("scopeSelector").child("matchExpressions");
    let mut errors = Vec::new();
    let mut scopes = BTreeSet::new();
    for (_, expression) in items(selector, "matchExpressions", &path) {
        let (scope, operator) = (text(expression, "/scopeName"), text(expression, "/operator"));
        if !SCOPES.contains(&scope) {
            errors.push(Error::invalid(&path.child("scopeName"), scope, UNSUPPORTED_SCOPE));
        }
        let misfits = misfits(scope, limits);
        errors
            .extend((0..misfits).map(|_| Error::invalid(&path, selector.clone(), UNSUPPORTED_FOR_RESOURCE)));
        let has_values = !matches!(scope, "PriorityClass" | "VolumeAttributesClass");
        if SCOPES.contains(&scope) && has_values && operator != "Exists" {
            errors.push(Error::invalid(&path.child("operator"), operator, MUST_EXIST));
        }
        errors.extend(values(expression, operator, &path));
        scopes.insert(scope);
    }
    let given = some(spec, "/scopes").cloned().unwrap_or(Value::Null);
    let opposites = has_opposites(&scopes);
    errors.extend((0..opposites).map(|_| Error::invalid(&path, given.clone(), CONFLICTING)));
    errors
}

fn values(expression: &Value, operator: &str, path: &Path) -> Option<Error> {
    let values = list(expression, "/values");
    match operator {
        "In" | "NotIn" if values.is_empty() => Some(Error::required(
            &path.child("values"),
            "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
        )),
        "Exists" | "DoesNotExist" if !values.is_empty() => Some(Error::invalid(
            &path.child("values"),
            values.to_vec(),
            "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
        )),
        "In" | "NotIn" | "Exists" | "DoesNotExist" => None,
        _ => Some(Error::invalid(&path.child("operator"), operator, "not a valid selector operator")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quotas_are_refused_in_upstreams_words() {
        let hard = |name: &str, amount: &str| json!({ "hard": { name: amount } });
        let cases = [
            (hard("pods", "1"), ""),
            (hard("count/things.example.com", "1"), ""),
            (hard("requests.example.com/gpu", "1"), ""),
            (hard("gold.storageclass.storage.k8s.io/requests.storage", "1Gi"), ""),
            (
                hard("things", "1"),
                "spec.hard[things]: Invalid value: \"things\": must be a standard resource type or fully qualified|\
                 spec.hard[things]: Invalid value: \"things\": must be a standard resource for quota",
            ),
            (
                hard("storage", "1"),
                "spec.hard[storage]: Invalid value: \"storage\": must be a standard resource for quota",
            ),
            (hard("cpu", "-1"), "spec.hard[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"),
            (hard("pods", "1500m"), "spec.hard[pods]: Invalid value: \"1500m\": must be an integer"),
            (
                json!({ "hard": { "services": "1" }, "scopes": ["Terminating"] }),
                "spec.scopes: Invalid value: [\"Terminating\"]: unsupported scope applied to resource",
            ),
            (json!({ "scopes": ["Odd"] }), "spec.scopes: Invalid value: [\"Odd\"]: unsupported scope"),
            (
                json!({ "scopes": ["BestEffort", "NotBestEffort"] }),
                "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes",
            ),
            (
                json!({ "scopeSelector": { "matchExpressions": [
                    { "scopeName": "PriorityClass", "operator": "In" }] } }),
                "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when \
                 `operator` is 'In' or 'NotIn' for scope selector",
            ),
        ];
        for (spec, expected) in cases {
            let errors: Vec<String> =
                quota_spec(&spec, &Path::new("spec")).iter().map(|e| e.to_string()).collect();
            assert_eq!(errors.join("|"), expected, "{spec}");
        }
    }
}
