//! Horizontal pod autoscalers in the form of v2 (k8s.io/kubernetes/pkg/apis/autoscaling/validation).

use super::rules::Check::{By, Inside, NonNegativeQuantity, OneOf, Required, RequiredNamed, Within};
use super::rules::{Rule, below, path_segment};
use super::{by, resources};
use crate::kinds::tree::{field, int, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::quantity::Quantity;
use alcove_object::{Value, name};

const METRICS: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
const POLICIES: &[&str] = &["Percent", "Pods"];
/// A scaling policy looks back this far, in seconds. Past it: 422.
const PERIOD_SECONDS_MAX: i64 = 1800;
/// A decision to scale waits this long, in seconds. Past it: 422.
const STABILIZATION_SECONDS_MAX: i64 = 3600;

pub(crate) const AUTOSCALER: &[Rule] = &[
    ("spec/minReplicas", Within(1, i64::MAX, "must be greater than or equal to 1")),
    ("spec", By(most)),
    ("spec/scaleTargetRef", Inside(REFERENCE)),
    ("spec/scaleTargetRef", By(has_group)),
    ("spec/metrics/*", By(metric)),
    ("spec/behavior/scaleUp", Inside(SCALING)),
    ("spec/behavior/scaleDown", Inside(SCALING)),
];

const REFERENCE: &[Rule] = &[("kind", RequiredNamed(path_segment)), ("name", RequiredNamed(path_segment))];

const SCALING: &[Rule] = &[
    ("stabilizationWindowSeconds", Within(0, i64::MAX, "must be greater than or equal to zero")),
    (
        "stabilizationWindowSeconds",
        Within(i64::MIN, STABILIZATION_SECONDS_MAX, "must be less than or equal to 3600"),
    ),
    ("selectPolicy", OneOf(&["Disabled", "Max", "Min"])),
    ("policies", Required("must specify at least one Policy")),
    ("policies/*/type", OneOf(POLICIES)),
    ("policies/*/value", Within(1, i64::MAX, "must be greater than zero")),
    ("policies/*/periodSeconds", Within(1, i64::MAX, "must be greater than zero")),
    ("policies/*/periodSeconds", Within(i64::MIN, PERIOD_SECONDS_MAX, "must be less than or equal to 1800")),
    ("tolerance", NonNegativeQuantity),
];

fn most(spec: &Value, path: &Path) -> Vec<Error> {
    let (most, at) = (int(spec, "/maxReplicas"), path.child("maxReplicas"));
    let mut errors = Vec::new();
    match most {
        0 => errors.push(Error::required(&at, "must be set and greater than 0")),
        most if most < 0 => errors.push(Error::invalid(&at, most, "must be greater than or equal to 1")),
        _ => {}
    }
    if some(spec, "/minReplicas").is_some_and(|min| most < min.as_i64().unwrap_or(0)) {
        errors.push(Error::invalid(&at, most, "must be greater than or equal to `minReplicas`"));
    }
    errors
}

fn has_group(reference: &Value, path: &Path) -> Vec<Error> {
    let version = text(reference, "/apiVersion");
    let why = match version.matches('/').count() {
        1 if !version.starts_with('/') => return Vec::new(),
        0 | 1 => "apiVersion must specify API group".to_owned(),
        _ => format!("unexpected GroupVersion string: {version}"),
    };
    vec![Error::invalid(&path.child("apiVersion"), version, why)]
}

/// The metric's own field, by its type.
fn field_of(kind: &str) -> String {
    let mut chars = kind.chars();
    chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect()
}

fn metric(metric: &Value, path: &Path) -> Vec<Error> {
    let (kind, kind_path) = (text(metric, "/type"), path.child("type"));
    let mut errors = Vec::new();
    if kind.is_empty() {
        errors.push(Error::required(&kind_path, "must specify a metric source type"));
    }
    let is_known = METRICS.contains(&kind);
    if !is_known {
        // Upstream says so twice.
        errors.extend([0, 1].map(|_| Error::not_supported(&kind_path, kind, &METRICS)));
    }
    // In upstream's order: only the first that is there is looked into.
    let all = ["object", "external", "pods", "resource", "containerResource"];
    let given: Vec<&str> = all.into_iter().filter(|name| field(metric, name).is_some()).collect();
    if let Some(first) = given.first() {
        errors.extend(source(first, &metric[*first], &path.child(first)));
    }
    let own = field_of(kind);
    if is_known && field(metric, &own).is_none() {
        let why = "must populate information for the given metric source";
        errors.push(Error::required(&path.child(&own), why));
    }
    if given.len() != 1 {
        let others = given.into_iter().filter(|name| !is_known || *name != own);
        let why = "must populate the given metric source only";
        errors.extend(others.map(|name| Error::forbidden(&path.child(name), why)));
    }
    errors
}

/// A metric's selector is left to whoever serves metrics, as upstream leaves it.
const IDENTIFIER: &[Rule] = &[("metric/name", By(metric_name))];

fn metric_name(value: &Value, path: &Path) -> Vec<Error> {
    match value.as_str().unwrap_or_default() {
        "" => vec![Error::required(path, "must specify a metric name")],
        name => by(path_segment, name, path).collect(),
    }
}

fn source(kind: &str, source: &Value, path: &Path) -> Vec<Error> {
    let target_path = path.child("target");
    let has = |name: &str| some(source, &format!("/target/{name}")).is_some();
    let mut errors = Vec::new();
    if matches!(kind, "object" | "external" | "pods") {
        if kind == "object" {
            errors.extend(below(source, &[("describedObject", Inside(REFERENCE))], path));
        }
        errors.extend(below(source, IDENTIFIER, path));
    } else {
        errors.extend(resource(kind, source, path));
    }
    errors.extend(target(source.get("target").unwrap_or(&Value::Null), &target_path));
    let (missing, place) = match kind {
        "object" => ("must set either a target value or averageValue", "averageValue"),
        "external" => ("must set either a target value for metric or a per-pod target", "averageValue"),
        "pods" => ("must specify a positive target averageValue", "averageValue"),
        _ => ("must set either a target raw value or a target utilization", "averageUtilization"),
    };
    let other = match kind {
        "object" | "external" => "value",
        "pods" => "",
        _ => "averageUtilization",
    };
    if !has("averageValue") && !has(other) {
        errors.push(Error::required(&target_path.child(place), missing));
    }
    let both = match kind {
        "external" => Some(("value", "may not set both a target value for metric and a per-pod target")),
        "resource" | "containerResource" => {
            Some(("averageValue", "may not set both a target raw value and a target utilization"))
        }
        _ => None,
    };
    if let Some((place, why)) = both.filter(|_| has("averageValue") && has(other)) {
        errors.push(Error::forbidden(&target_path.child(place), why));
    }
    errors
}

fn resource(kind: &str, source: &Value, path: &Path) -> Vec<Error> {
    let (name, at) = (text(source, "/name"), path.child("name"));
    let mut errors = Vec::new();
    if name.is_empty() {
        errors.push(Error::required(&at, "must specify a resource name"));
    }
    if kind != "containerResource" {
        return errors;
    }
    if !name.is_empty() {
        errors.extend(resources::container_resource_name(name, &at));
    }
    match text(source, "/container") {
        "" => errors.push(Error::required(&path.child("container"), "must specify a container")),
        container => errors.extend(by(name::is_dns1123_label, container, &path.child("container"))),
    }
    errors
}

fn target(target: &Value, path: &Path) -> Vec<Error> {
    let (kind, at) = (text(target, "/type"), path.child("type"));
    let mut errors = Vec::new();
    if kind.is_empty() {
        errors.push(Error::required(&at, "must specify a metric target type"));
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind) {
        errors.push(Error::invalid(&at, kind, "must be either Utilization, Value, or AverageValue"));
    }
    for name in ["value", "averageValue"] {
        let amount = some(target, &format!("/{name}")).and_then(|value| Quantity::from_value(value).ok());
        let amount = amount.filter(|amount| amount.signum() != 1);
        errors.extend(amount.map(|a| Error::invalid(&path.child(name), a.to_string(), "must be positive")));
    }
    let share = some(target, "/averageUtilization").and_then(Value::as_i64).filter(|share| *share < 1);
    errors.extend(
        share.map(|s| Error::invalid(&path.child("averageUtilization"), s, "must be greater than 0")),
    );
    errors
}
