//! What a pod says about where it runs: selectors of nodes, affinities, spreading, tolerations and gates
//! (k8s.io/kubernetes/pkg/apis/core/validation).

use super::items;
use crate::kinds::tree::{field, int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::validate::{validate_label_name, validate_label_selector};
use alcove_object::{Value, name};
use std::collections::BTreeSet;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Affinities of a pod.
pub(super) fn affinity(spec: &Value, path: &Path) -> Vec<Error> {
    let Some(affinity) = field(spec, "affinity") else { return Vec::new() };
    let path = path.child("affinity");
    let mut errors = Vec::new();
    if let Some(nodes) = field(affinity, "nodeAffinity") {
        let at = path.child("nodeAffinity");
        errors.extend(field(nodes, REQUIRED).iter().flat_map(|s| node_selector(s, &at.child(REQUIRED))));
        for (at, term) in items(nodes, PREFERRED, &at) {
            errors.extend(weight(term, &at));
            let preference = term.get("preference").unwrap_or(&Value::Null);
            errors.extend(node_selector_term(preference, true, &at.child("preference")));
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(pods) = field(affinity, kind) else { continue };
        let at = path.child(kind);
        errors.extend(items(pods, REQUIRED, &at).flat_map(|(at, term)| pod_term(term, &at)));
        for (at, weighted) in items(pods, PREFERRED, &at) {
            errors.extend(weight(weighted, &at));
            let term = weighted.get("podAffinityTerm").unwrap_or(&Value::Null);
            errors.extend(pod_term(term, &at.child("podAffinityTerm")));
        }
    }
    errors
}

fn weight(term: &Value, path: &Path) -> Option<Error> {
    let weight = int(term, "/weight");
    let is_wrong = !(1..=100).contains(&weight);
    is_wrong.then(|| Error::invalid(&path.child("weight"), weight, "must be in the range 1-100"))
}

/// A selector of nodes: some terms, of which one must hold.
pub(super) fn node_selector(selector: &Value, path: &Path) -> Vec<Error> {
    if list(selector, "/nodeSelectorTerms").is_empty() {
        let why = "must have at least one node selector term";
        return vec![Error::required(&path.child("nodeSelectorTerms"), why)];
    }
    let terms = items(selector, "nodeSelectorTerms", path);
    terms.flat_map(|(at, term)| node_selector_term(term, false, &at)).collect()
}

fn node_selector_term(term: &Value, lenient_values: bool, path: &Path) -> Vec<Error> {
    let labels = items(term, "matchExpressions", path);
    let mut errors: Vec<Error> =
        labels.flat_map(|(at, wanted)| label_requirement(wanted, lenient_values, &at)).collect();
    errors.extend(items(term, "matchFields", path).flat_map(|(at, wanted)| field_requirement(wanted, &at)));
    errors
}

fn label_requirement(wanted: &Value, lenient_values: bool, path: &Path) -> Vec<Error> {
    let (operator, values) = (text(wanted, "/operator"), list(wanted, "/values"));
    let (at, key) = (path.child("values"), path.child("key"));
    let mut errors = Vec::new();
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            errors.push(Error::required(&at, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(&at, why));
        }
        "Gt" | "Lt" if values.len() != 1 => {
            let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(Error::required(&at, why));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => {
            errors.push(Error::invalid(&path.child("operator"), other, "not a valid selector operator"));
        }
    }
    errors.extend(validate_label_name(text(wanted, "/key"), &key));
    let values = items(wanted, "values", path).filter(|_| !lenient_values);
    errors.extend(values.flat_map(|(at, value)| {
        let value = value.as_str().unwrap_or_default();
        super::by(name::is_valid_label_value, value, &at).collect::<Vec<_>>()
    }));
    errors
}

/// The only field of a node that can be asked for is its name.
fn field_requirement(wanted: &Value, path: &Path) -> Vec<Error> {
    let (operator, key) = (text(wanted, "/operator"), text(wanted, "/key"));
    let mut errors = Vec::new();
    match operator {
        "In" | "NotIn" if list(wanted, "/values").len() != 1 => {
            let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(Error::required(&path.child("values"), why));
        }
        "In" | "NotIn" => {}
        other => errors.push(Error::invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    if key != "metadata.name" {
        errors.push(Error::invalid(&path.child("key"), key, "not a valid field selector key"));
        return errors;
    }
    errors.extend(items(wanted, "values", path).flat_map(|(at, value)| {
        let node = value.as_str().unwrap_or_default();
        super::by(name::is_dns1123_subdomain, node, &at).collect::<Vec<_>>()
    }));
    errors
}

fn pod_term(term: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for selector in ["labelSelector", "namespaceSelector"] {
        errors.extend(validate_label_selector(field(term, selector), false, &path.child(selector)));
    }
    for namespace in list(term, "/namespaces").iter().filter_map(Value::as_str) {
        errors.extend(super::by(name::is_dns1123_label, namespace, &path.child("namespace")));
    }
    errors.extend(label_keys(term, path));
    let (key, at) = (text(term, "/topologyKey"), path.child("topologyKey"));
    if key.is_empty() {
        errors.push(Error::required(&at, "can not be empty"));
    }
    errors.extend(validate_label_name(key, &at));
    errors
}

/// Keys whose values are taken from the pod itself, which the selector must not name again.
fn label_keys(term: &Value, path: &Path) -> Vec<Error> {
    let selector = field(term, "labelSelector");
    let mut errors = Vec::new();
    for keys in ["matchLabelKeys", "mismatchLabelKeys"] {
        if selector.is_none() && !list(term, &format!("/{keys}")).is_empty() {
            let why = "must not be specified when labelSelector is not set";
            errors.push(Error::forbidden(&path.child(keys), why));
            continue;
        }
        let each = items(term, keys, path);
        errors.extend(each.flat_map(|(at, key)| validate_label_name(key.as_str().unwrap_or_default(), &at)));
    }
    let matched: Vec<&str> = list(term, "/matchLabelKeys").iter().filter_map(Value::as_str).collect();
    let mismatched = list(term, "/mismatchLabelKeys");
    let labels = selector.and_then(|s| s.get("matchLabels")).and_then(Value::as_object);
    let mut seen: BTreeSet<&str> = labels.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    // One expression per key comes from the keys themselves: only a second one is the user's.
    for wanted in selector.map_or(&[][..], |s| list(s, "/matchExpressions")) {
        let key = text(wanted, "/key");
        if let Some(i) = matched.iter().rposition(|matched| *matched == key)
            && seen.contains(key)
        {
            let why = "exists in both matchLabelKeys and labelSelector";
            errors.push(Error::invalid(&path.index(i), key, why));
        }
        seen.insert(key);
    }
    let both = matched.iter().enumerate().filter(|(_, key)| mismatched.iter().any(|other| other == *key));
    errors.extend(both.map(|(i, key)| {
        let why = "exists in both matchLabelKeys and mismatchLabelKeys";
        Error::invalid(&path.child("matchLabelKeys").index(i), *key, why)
    }));
    errors
}

/// How pods are spread.
pub(super) fn spread(spec: &Value, path: &Path) -> Vec<Error> {
    let all = list(spec, "/topologySpreadConstraints");
    let constraints = items(spec, "topologySpreadConstraints", path).enumerate();
    constraints.flat_map(|(i, (at, constraint))| one_spread(constraint, &all[i + 1..], &at)).collect()
}

fn one_spread(constraint: &Value, others: &[Value], path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let skew = int(constraint, "/maxSkew");
    if skew <= 0 {
        errors.push(Error::invalid(&path.child("maxSkew"), skew, "must be greater than zero"));
    }
    let (key, action) = (text(constraint, "/topologyKey"), text(constraint, "/whenUnsatisfiable"));
    if key.is_empty() {
        errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
    }
    const ACTIONS: [&str; 2] = ["DoNotSchedule", "ScheduleAnyway"];
    if !ACTIONS.contains(&action) {
        errors.push(Error::not_supported(&path.child("whenUnsatisfiable"), action, &ACTIONS));
    }
    let is_same =
        |other: &Value| text(other, "/topologyKey") == key && text(other, "/whenUnsatisfiable") == action;
    if others.iter().any(is_same) {
        let at = path.child("{topologyKey, whenUnsatisfiable}");
        errors.push(Error::duplicate(&at, format!("{{{key}, {action}}}")));
    }
    if let Some(domains) = some(constraint, "/minDomains").and_then(Value::as_i64) {
        let at = path.child("minDomains");
        if domains <= 0 {
            errors.push(Error::invalid(&at, domains, "must be greater than zero"));
        }
        if action != "DoNotSchedule" {
            let why = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
            errors.push(Error::invalid(&at, domains, why));
        }
    }
    for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        let given = some(constraint, &format!("/{policy}")).and_then(Value::as_str);
        if let Some(given) = given.filter(|given| !["Honor", "Ignore"].contains(given)) {
            errors.push(Error::not_supported(&path.child(policy), given, &["Honor", "Ignore"]));
        }
    }
    errors.extend(label_keys(constraint, path));
    let selector = field(constraint, "labelSelector");
    errors.extend(validate_label_selector(selector, false, &path.child("labelSelector")));
    errors
}

/// Tolerations, of pods and runtime classes.
pub(crate) fn tolerations(value: &Value, path: &Path) -> Vec<Error> {
    items(value, "tolerations", path)
        .flat_map(|(at, toleration)| toleration_errors(toleration, &at))
        .collect()
}

pub(super) fn toleration_errors(toleration: &Value, at: &Path) -> Vec<Error> {
    const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let mut errors = Vec::new();
    let (key, operator) = (text(toleration, "/key"), text(toleration, "/operator"));
    let (effect, value) = (text(toleration, "/effect"), text(toleration, "/value"));
    if !key.is_empty() {
        errors.extend(validate_label_name(key, &at.child("key")));
    }
    if key.is_empty() && operator != "Exists" {
        let why =
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(Error::invalid(&at.child("operator"), operator, why));
    }
    if some(toleration, "/tolerationSeconds").is_some() && effect != "NoExecute" {
        let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(Error::invalid(&at.child("effect"), effect, why));
    }
    match operator {
        "Exists" if !value.is_empty() => {
            let why = "value must be empty when `operator` is 'Exists'";
            errors.push(Error::invalid(&at.child("operator"), value, why));
        }
        "" | "Equal" => {
            let wrong = name::is_valid_label_value(value);
            if !wrong.is_empty() {
                errors.push(Error::invalid(&at.child("operator"), value, wrong.join(";")));
            }
        }
        "Exists" => {}
        // Operators of a feature that is off in all minors that are served.
        "Lt" | "Gt" => {
            let supported = ["Equal", "Exists", "Lt", "Gt"];
            errors.push(Error::not_supported(&at.child("operator"), operator, &supported));
        }
        _ => errors.push(Error::not_supported(&at.child("operator"), operator, &["Equal", "Exists"])),
    }
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        errors.push(Error::not_supported(&at.child("effect"), effect, &EFFECTS));
    }
    errors
}

/// What must be taken away before the scheduler looks at a pod, and what must hold before it counts as ready.
pub(super) fn gates(spec: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (at, gate) in items(spec, "readinessGates", path) {
        let condition = text(gate, "/conditionType");
        errors.extend(super::by(name::is_qualified_name, condition, &at.child("conditionType")));
    }
    let mut seen = BTreeSet::new();
    for (at, gate) in items(spec, "schedulingGates", path) {
        let gate = text(gate, "/name");
        errors.extend(super::by(name::is_qualified_name, gate, &at));
        if !seen.insert(gate) {
            errors.push(Error::duplicate(&at, gate));
        }
    }
    errors
}

/// What may change of where a gated pod may run: selectors may become narrower.
pub(super) fn gated_change(spec: &Value, old: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let (new_nodes, old_nodes) = (field(spec, "nodeSelector"), field(old, "nodeSelector"));
    let kept = old_nodes.and_then(Value::as_object).into_iter().flatten();
    let is_kept = |(key, value): (&String, &Value)| new_nodes.and_then(|nodes| nodes.get(key)) == Some(value);
    if !{ kept }.all(is_kept) {
        let why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        let given = new_nodes.cloned().unwrap_or_default();
        errors.push(Error::invalid(&path.child("nodeSelector"), given, why));
    }
    let terms = |spec| list(spec, &format!("/affinity/nodeAffinity/{REQUIRED}/nodeSelectorTerms"));
    let (new, old) = (terms(spec), terms(old));
    let at = path.child("affinity").child("nodeAffinity").child(REQUIRED).child("nodeSelectorTerms");
    if !old.is_empty() && old.len() != new.len() {
        let why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(Error::invalid(&at, new.to_vec(), why));
        return errors;
    }
    let wider = old.iter().zip(new).enumerate().filter(|(_, (old, new))| !is_narrower(new, old));
    errors.extend(wider.map(|(i, (_, new))| {
        let why = "only additions are allowed (no mutations or deletions)";
        Error::invalid(&at.index(i), new.clone(), why)
    }));
    errors
}

/// Whether a term asks for all that another did, in its order. One that asks for nothing selects nothing, and stays so.
fn is_narrower(new: &Value, old: &Value) -> bool {
    let lists = ["/matchExpressions", "/matchFields"];
    let is_empty = |term: &Value| lists.iter().all(|pointer| list(term, pointer).is_empty());
    if is_empty(old) {
        return is_empty(new);
    }
    lists.iter().all(|pointer| list(new, pointer).starts_with(list(old, pointer)))
}
