//! Templates of pods on their own, and the oldest kind that runs pods from one
//! (k8s.io/kubernetes/pkg/apis/core/validation).

use super::rules::Check::{By, NonNegative, Required};
use super::rules::Rule;
use super::{lasting_template, matches_template, template};
use crate::kinds::tree::some;
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta};

pub(crate) const POD_TEMPLATE: &[Rule] = &[("template", By(of_pod))];

fn of_pod(value: &Value, path: &Path) -> Vec<Error> {
    if value.is_null() { Vec::new() } else { template(value, path) }
}

pub(crate) const REPLICATION_CONTROLLER: &[Rule] = &[
    ("spec/minReadySeconds", NonNegative),
    ("spec/replicas", NonNegative),
    ("spec/selector", By(some_selector)),
    ("spec/template", Required("")),
    ("spec", By(of_controller)),
];

fn some_selector(value: &Value, path: &Path) -> Vec<Error> {
    let is_empty = meta::entries(Some(value)).next().is_none();
    if is_empty { vec![Error::required(path, "")] } else { Vec::new() }
}

fn of_controller(spec: &Value, path: &Path) -> Vec<Error> {
    if some(spec, "/template").is_none() {
        return Vec::new();
    }
    let mut errors = Vec::new();
    let labels = spec.pointer("/template/metadata/labels");
    let is_there = |(key, value): (&str, &str)| {
        labels.and_then(|labels| labels.get(key)).and_then(Value::as_str) == Some(value)
    };
    if !meta::entries(spec.get("selector")).all(is_there) {
        errors.extend(matches_template(spec, None, path));
    }
    errors.extend(lasting_template(spec, "ReplicationController", path));
    errors
}
