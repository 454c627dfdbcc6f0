//! Limit ranges (k8s.io/kubernetes/pkg/apis/core/validation: ValidateLimitRange).

use super::by;
use super::resources::container_resource_name;
use super::rules::Check::By;
use super::rules::Rule;
use crate::kinds::tree::{some, text};
use alcove_object::field::{Error, Path};
use alcove_object::quantity::{Format, Quantity};
use alcove_object::{Value, name};
use std::collections::BTreeSet;

const TYPES: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];

pub(crate) const LIMIT_RANGE: &[Rule] = &[("spec/limits", By(limits))];

fn limits(value: &Value, path: &Path) -> Vec<Error> {
    let mut seen = BTreeSet::new();
    let mut errors = Vec::new();
    for (i, limit) in value.as_array().into_iter().flatten().enumerate() {
        let (at, kind) = (path.index(i), text(limit, "/type"));
        errors.extend(limit_type(kind, &at.child("type")));
        if !seen.insert(kind) {
            errors.push(Error::duplicate(&at.child("type"), kind));
        }
        errors.extend(names(limit, kind, &at));
        errors.extend(amounts(limit, kind, &at));
    }
    errors
}

fn limit_type(kind: &str, path: &Path) -> Vec<Error> {
    let errors: Vec<Error> = by(name::is_qualified_name, kind, path).collect();
    if errors.is_empty() && !kind.contains('/') && !TYPES.contains(&kind) {
        return vec![Error::invalid(path, kind, "must be a standard limit type or fully qualified")];
    }
    errors
}

fn names(limit: &Value, kind: &str, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let given = some(limit, &format!("/{field}")).and_then(Value::as_object);
        let Some(given) = given else { continue };
        if kind == "Pod" && field.starts_with("default") {
            if !given.is_empty() {
                let why = "may not be specified when `type` is 'Pod'";
                errors.push(Error::forbidden(&path.child(field), why));
            }
            continue;
        }
        for resource in given.keys() {
            let at = path.child(field).key(resource);
            errors.extend(match kind {
                "Pod" | "Container" => container_resource_name(resource, &at),
                _ => resource_name(resource, &at),
            });
        }
    }
    errors
}

fn resource_name(resource: &str, path: &Path) -> Vec<Error> {
    let errors: Vec<Error> = by(name::is_qualified_name, resource, path).collect();
    if errors.is_empty()
        && !resource.contains('/')
        && resource != "storage"
        && !super::quota::is_standard(resource)
    {
        return vec![Error::invalid(path, resource, "must be a standard resource type or fully qualified")];
    }
    errors
}

/// Amounts of one resource against each other.
fn amounts(limit: &Value, kind: &str, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let of = |field: &str, resource: &str| {
        let is_unused = kind == "Pod" && field.starts_with("default");
        Quantity::from_value(limit.get(field).filter(|_| !is_unused)?.get(resource)?).ok()
    };
    let has_storage = of("min", "storage").is_some() || of("max", "storage").is_some();
    if kind == "PersistentVolumeClaim" && !has_storage {
        let why = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(Error::required(&path.child("limits"), why));
    }
    let fields = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];
    let resources: BTreeSet<&String> =
        fields.iter().filter_map(|f| limit.get(f)?.as_object()).flat_map(|map| map.keys()).collect();
    for resource in resources {
        let mut less = |small: &str, large: &str, place: &str, shown: &str, says: [&str; 2]| {
            let (Some(a), Some(b)) = (of(small, resource), of(large, resource)) else { return };
            if a > b {
                let why = format!("{} {a} is greater than {} {b}", says[0], says[1]);
                let value = if shown == small { &a } else { &b };
                errors.push(Error::invalid(&path.child(place).key(resource), value.to_string(), why));
            }
        };
        less("min", "max", "min", "min", ["min value", "max value"]);
        less(
            "min",
            "defaultRequest",
            "defaultRequest",
            "defaultRequest",
            ["min value", "default request value"],
        );
        less(
            "defaultRequest",
            "max",
            "defaultRequest",
            "defaultRequest",
            ["default request value", "max value"],
        );
        let says = ["default request value", "default limit value"];
        less("defaultRequest", "default", "defaultRequest", "defaultRequest", says);
        less("min", "default", "default", "min", ["min value", "default value"]);
        less("default", "max", "default", "max", ["default value", "max value"]);
        errors.extend(ratio(
            [of("maxLimitRequestRatio", resource), of("min", resource), of("max", resource)],
            &path.child("maxLimitRequestRatio").key(resource),
        ));
        if let (Some(limit), Some(request)) = (of("default", resource), of("defaultRequest", resource))
            && super::resources::is_whole(resource)
            && limit != request
        {
            let why =
                format!("default value {limit} must equal to defaultRequest value {request} in {resource}");
            let at = path.child("defaultRequest").key(resource);
            errors.push(Error::invalid(&at, request.to_string(), why));
        }
    }
    errors
}

/// Limits may be this many times the requests, and no more than the largest is of the smallest.
fn ratio([ratio, min, max]: [Option<Quantity>; 3], path: &Path) -> Vec<Error> {
    let Some(ratio) = ratio else { return Vec::new() };
    let mut errors = Vec::new();
    if ratio < Quantity::new(1, Format::DecimalSi) {
        errors.push(Error::invalid(path, ratio.to_string(), format!("ratio {ratio} is less than 1")));
    }
    if let (Some(min), Some(max)) = (min, max) {
        let most = max.milli_value() as f64 / min.milli_value() as f64;
        if ratio.milli_value() as f64 / 1000.0 > most {
            let why = format!("ratio {ratio} is greater than max/min = {most:.6}");
            errors.push(Error::invalid(path, ratio.to_string(), why));
        }
    }
    errors
}
