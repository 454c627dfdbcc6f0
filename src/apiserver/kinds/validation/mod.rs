//! Rules that several kinds share, with upstream's texts (k8s.io/kubernetes/pkg/apis/*/validation). What the schema
//! says (required fields, closed sets of values) is checked for all kinds alike and not here.

pub(super) mod address;
pub(super) mod autoscaling;
pub(super) mod claims;
pub(super) mod claims_of_devices;
mod conditions;
mod container;
pub(super) mod control;
mod definition;
pub(super) mod devices;
pub(super) mod early;
pub(super) mod endpoints;
mod environment;
mod handlers;
pub(super) mod job_status;
pub(super) mod jobs;
pub(super) mod limits;
pub(super) mod network;
pub(super) mod node;
mod pod;
mod pod_change;
mod pod_status;
pub(super) mod policies;
mod quota;
mod resources;
pub(super) mod rules;
mod scheduling;
mod security;
mod sources;
pub(super) mod statuses;
pub(super) mod storage;
pub(super) mod templates;
#[cfg(test)]
mod tests;
mod volume;
pub(super) mod webhooks;

pub(super) use address::block;
pub(super) use definition::{definition, definition_status};
pub(super) use pod::{new_pod, template};
pub(super) use pod_change::{ephemeral_containers_change, pod_change, resize_change};
pub(super) use pod_status::pod_status_change;
pub(super) use quota::{quota_limits, quota_spec};
pub(crate) use resources::{aggregate, quality_of_service};
pub(super) use security::{APP_ARMOR_CONTAINER, app_armor_profile};

use super::tree::{int, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::selector::Labels;
use alcove_object::{Value, name};

/// A rule for texts: what is wrong, in words.
type Rule = fn(&str) -> Vec<String>;

/// Every complaint of a rule about a text, as an error of its place.
pub(super) fn by<'a>(rule: Rule, value: &'a str, path: &'a Path) -> impl Iterator<Item = Error> + use<'a> {
    rule(value).into_iter().map(move |message| Error::invalid(path, value, message))
}

/// The number at a pointer below `value` must not be negative; a missing one is not.
pub(super) fn non_negative(value: &Value, field: &str, path: &Path) -> Option<Error> {
    let number = value.get(field)?.as_i64()?;
    (number < 0).then(|| Error::invalid(&path.child(field), number, "must be greater than or equal to 0"))
}

/// A port's number, or the name of one.
pub(super) fn port_or_name(port: Option<&Value>, path: &Path) -> Vec<Error> {
    match port {
        Some(Value::String(text)) => by(name::is_valid_port_name, text, path).collect(),
        Some(Value::Number(number)) => {
            let port = number.as_i64().unwrap_or(0);
            name::is_valid_port_number(port).into_iter().map(|m| Error::invalid(path, port, m)).collect()
        }
        _ => name::is_valid_port_number(0).into_iter().map(|m| Error::invalid(path, 0, m)).collect(),
    }
}

/// The items of a list with their paths.
pub(super) fn items<'a>(
    value: &'a Value,
    field: &str,
    path: &Path,
) -> impl Iterator<Item = (Path, &'a Value)> + use<'a> {
    let path = path.child(field);
    let items = value.get(field).and_then(Value::as_array).into_iter().flatten();
    items.enumerate().map(move |(i, item)| (path.index(i), item))
}

/// The selector of a workload: well-formed, not empty, and matching the template's labels.
pub(super) fn selects_template(spec: &Value, kind: &str, path: &Path) -> Vec<Error> {
    let selector_path = path.child("selector");
    let Some(selector) = some(spec, "/selector") else {
        let mut errors = vec![Error::required(&selector_path, "")];
        errors.extend(matches_template(spec, None, path));
        return errors;
    };
    let mut errors = alcove_object::validate::validate_label_selector(Some(selector), false, &selector_path);
    let asks = |field: &str| {
        selector.get(field).is_some_and(|v| *v != serde_json::json!({}) && *v != serde_json::json!([]))
    };
    if !asks("matchLabels") && !asks("matchExpressions") {
        errors.push(Error::invalid(
            &selector_path,
            selector.clone(),
            format!("empty selector is invalid for {kind}"),
        ));
        return errors;
    }
    match Labels::from_object(Some(selector)) {
        Ok(Some(parsed)) => errors.extend(matches_template(spec, Some(&parsed), path)),
        _ => errors.push(Error::invalid(&selector_path, selector.clone(), "invalid label selector")),
    }
    errors
}

/// A selector must match the labels of the template; none matches nothing.
pub(super) fn matches_template(spec: &Value, selector: Option<&Labels>, path: &Path) -> Option<Error> {
    let labels = spec.pointer("/template/metadata/labels");
    let label = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
    if selector.is_some_and(|s| s.matches(label)) {
        return None;
    }
    let path = path.child("template").child("metadata").child("labels");
    Some(Error::invalid(
        &path,
        labels.cloned().unwrap_or(Value::Null),
        "`selector` does not match template `labels`",
    ))
}

/// The template of a kind whose pods run until they are deleted.
pub(super) fn lasting_template(spec: &Value, kind: &str, path: &Path) -> Vec<Error> {
    // Whose pods these would be is not known then, and most kinds ask no more.
    let is_readable = kind == "DaemonSet" || Labels::from_object(some(spec, "/selector")).is_ok();
    if !is_readable {
        return Vec::new();
    }
    let template_path = path.child("template");
    let Some(template) = some(spec, "/template") else { return vec![Error::required(&template_path, "")] };
    let mut errors = self::template(template, &template_path);
    let spec_path = template_path.child("spec");
    let policy = text(template, "/spec/restartPolicy");
    if policy != "Always" {
        errors.push(Error::not_supported(&spec_path.child("restartPolicy"), policy, &["Always"]));
    }
    if some(template, "/spec/activeDeadlineSeconds").is_some() {
        let why = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(Error::forbidden(&spec_path.child("activeDeadlineSeconds"), why));
    }
    errors
}

/// A number of pods, or a share of them.
pub(super) fn int_or_percent(value: Option<&Value>, path: &Path) -> Vec<Error> {
    match value {
        Some(Value::String(text)) => by(name::is_valid_percent, text, path).collect(),
        Some(Value::Number(number)) if number.as_i64().is_some_and(|n| n < 0) => {
            vec![Error::invalid(path, number.as_i64().unwrap_or(0), "must be greater than or equal to 0")]
        }
        _ => Vec::new(),
    }
}

/// Whether a number of pods or a share of them is none.
pub(super) fn is_zero(value: Option<&Value>) -> bool {
    match value {
        Some(Value::String(text)) => text.trim_end_matches('%').parse::<i64>().unwrap_or(0) == 0,
        Some(value) => value.as_i64() == Some(0),
        None => true,
    }
}

/// A share must not be more than the whole.
pub(super) fn at_most_all(value: Option<&Value>, path: &Path) -> Option<Error> {
    let text = value?.as_str()?;
    let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
    (percent > 100).then(|| Error::invalid(path, text, "must not be greater than 100%"))
}

/// The field must be what it was.
pub(super) fn immutable(new: &Value, old: &Value, pointer: &str, path: &Path) -> Option<Error> {
    let (new, old) = (some(new, pointer), some(old, pointer));
    alcove_object::validate::validate_immutable(
        new.unwrap_or(&Value::Null),
        old.unwrap_or(&Value::Null),
        path,
    )
}

/// The number of a port in a list's item.
pub(super) fn port_number(port: &Value, field: &str, path: &Path) -> Vec<Error> {
    let number = int(port, &format!("/{field}"));
    let path = path.child(field);
    name::is_valid_port_number(number).into_iter().map(|m| Error::invalid(&path, number, m)).collect()
}
