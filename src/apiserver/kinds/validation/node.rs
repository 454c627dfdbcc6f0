//! Nodes (k8s.io/kubernetes/pkg/apis/core/validation: ValidateNode, ValidateNodeUpdate).

use super::address::{block, parse_block};
use super::items;
use super::quota::amount_of;
use crate::kinds::tree::{list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::validate::validate_label_name;
use alcove_object::{Value, name};
use std::collections::BTreeSet;

const FEATURE_BYTES_MAX: usize = 253;

/// What holds for new and for changed nodes.
pub(crate) fn node(node: &Value) -> Vec<Error> {
    let none = Value::Null;
    let spec = node.get("spec").unwrap_or(&none);
    // Upstream names this path so.
    let mut errors = taints(spec, &Path::new("metadata"));
    let status = Path::new("status");
    for field in ["capacity", "allocatable"] {
        let amounts = node["status"].get(field).and_then(Value::as_object).into_iter().flatten();
        let at = status.child(field);
        errors.extend(amounts.flat_map(|(name, amount)| amount_of(name, amount, &at.child(name))));
    }
    errors.extend(features(node, &status.child("declaredFeatures")));
    errors
}

/// The blocks from which a new node's pods have their addresses: of each family one at most.
pub(crate) fn blocks(node: &Value) -> Vec<Error> {
    let none = Value::Null;
    let spec = node.get("spec").unwrap_or(&none);
    let path = Path::new("spec");
    let given: Vec<&str> = list(spec, "/podCIDRs").iter().filter_map(Value::as_str).collect();
    let mut errors: Vec<Error> = given
        .iter()
        .enumerate()
        .filter_map(|(i, cidr)| block(cidr, &path.child("podCIDRs").index(i)))
        .collect();
    if given.len() > 1 {
        let families: Vec<bool> =
            given.iter().filter_map(|cidr| Some(parse_block(cidr)?.0.is_ipv4())).collect();
        let is_dual = given.len() == 2 && families.contains(&true) && families.contains(&false);
        if !is_dual {
            let why = "may specify no more than one CIDR for each IP family";
            let shown = list(spec, "/podCIDRs").to_vec();
            errors.push(Error::invalid(&path.child("podCIDRs"), shown, why));
        }
    }
    errors
}

/// What a node was given stays, and it says each address once.
pub(crate) fn change(node: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("spec");
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, address) in items(&node["status"], "addresses", &Path::new("status")) {
        if !seen.insert((text(address, "/type"), text(address, "/address"))) {
            errors.push(Error::duplicate(&at, address.clone()));
        }
    }
    for (field, pointer) in [("podCIDRs", "/spec/podCIDRs"), ("providerID", "/spec/providerID")] {
        let was = some(old, pointer);
        if was.is_some() && was != some(node, pointer) {
            let name = if field == "podCIDRs" { "podCIDR" } else { field };
            let why = format!("node updates may not change {name} except from \"\" to valid");
            errors.push(Error::forbidden(&path.child(field), why));
        }
    }
    errors
}

fn taints(spec: &Value, path: &Path) -> Vec<Error> {
    const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let mut seen = BTreeSet::new();
    let mut errors = Vec::new();
    for (at, taint) in items(spec, "taints", path) {
        let (key, value, effect) = (text(taint, "/key"), text(taint, "/value"), text(taint, "/effect"));
        errors.extend(validate_label_name(key, &at.child("key")));
        let wrong = name::is_valid_label_value(value);
        if !wrong.is_empty() {
            errors.push(Error::invalid(&at.child("value"), value, wrong.join(";")));
        }
        match effect {
            "" => errors.push(Error::required(&at.child("effect"), "")),
            effect if !EFFECTS.contains(&effect) => {
                errors.push(Error::not_supported(&at.child("effect"), effect, &EFFECTS));
            }
            _ => {}
        }
        if !seen.insert((key, effect)) {
            let detail = "taints must be unique by key and effect pair".to_owned();
            errors.push(Error { detail, ..Error::duplicate(&at, taint.clone()) });
        }
    }
    errors
}

/// Features that a kubelet says it has, in order.
fn features(node: &Value, path: &Path) -> Vec<Error> {
    let given: Vec<&str> = list(node, "/status/declaredFeatures").iter().filter_map(Value::as_str).collect();
    let mut errors = Vec::new();
    for (i, feature) in given.iter().enumerate() {
        let shown = alcove_object::field::quote(feature);
        let why = if feature.len() > FEATURE_BYTES_MAX {
            Some(format!("must be no more than {FEATURE_BYTES_MAX} characters"))
        } else {
            let why = "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., \
                       MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes";
            (!is_feature(feature)).then(|| why.to_owned())
        };
        errors.extend(why.map(|why| {
            Error::invalid(&path.index(i), *feature, format!("invalid feature name {shown}: {why}"))
        }));
    }
    for (i, pair) in given.windows(2).enumerate() {
        match pair[0].cmp(pair[1]) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => errors.push(Error::duplicate(&path.index(i + 1), pair[1])),
            std::cmp::Ordering::Greater => {
                errors.push(Error::invalid(
                    &path.index(i + 1),
                    pair[1],
                    "list must be sorted alphabetically",
                ));
            }
        }
    }
    errors
}

fn is_feature(feature: &str) -> bool {
    let is_word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    feature.starts_with(|c: char| c.is_ascii_uppercase()) && feature.split('/').all(is_word)
}
