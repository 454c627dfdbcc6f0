//! Defaults: what the server fills in where an object says nothing (k8s.io/kubernetes/pkg/apis/*/v1/defaults.go and
//! the `+default` markers of the API types).
//!
//! Nearly all of it is data: a rule names a place and the value that belongs there when nothing does. What depends on
//! other fields is code, next to the rules of its kind. Everything is idempotent and takes any tree.

pub(super) mod kinds;
pub(super) mod pod;
#[cfg(test)]
mod tests;
pub(super) mod workload;

use alcove_object::{Value, meta};
use serde_json::Map;

/// A place in a tree, and what belongs there. Steps are separated by slashes; `*` is every item of a list or every
/// value of a map; a step that ends in `+` is made when it is missing. A rule whose place has no parent does nothing.
pub(super) type Rule = (&'static str, Fill);

/// What belongs in a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fill {
    /// A text where there is none or an empty one.
    Text(&'static str),
    /// A text where there is none; an empty one is wrong and not missing.
    Word(&'static str),
    /// A number where there is none.
    Int(i64),
    /// A number where there is none or zero: fields that Go cannot tell from unset.
    Count(i64),
    /// A boolean where there is none.
    Bool(bool),
    /// An empty object where there is none.
    Empty,
    /// A list of one text where there is none or an empty one.
    Texts(&'static str),
    /// Further rules inside what is there.
    Inside(&'static [Rule]),
}

/// Fills in what is missing.
pub(super) fn fill(value: &mut Value, rules: &[Rule]) {
    for (place, what) in rules {
        walk(value, place, *what);
    }
}

fn walk(value: &mut Value, place: &str, what: Fill) {
    // Places are short: a plain look at each byte costs less than setting up a search.
    let (step, rest) = match place.bytes().position(|c| c == b'/') {
        Some(at) => (&place[..at], Some(&place[at + 1..])),
        None => (place, None),
    };
    match (step, rest) {
        ("*", Some(rest)) => each(value, |item| walk(item, rest, what)),
        ("*", None) => each(value, |item| inside(item, what)),
        (step, Some(rest)) => {
            let Some(map) = value.as_object_mut() else { return };
            let step = match step.strip_suffix('+') {
                Some(step) => {
                    if map.get(step).is_none_or(Value::is_null) {
                        map.insert(step.to_owned(), Value::Object(Map::new()));
                    }
                    step
                }
                None => step,
            };
            if let Some(child) = map.get_mut(step) {
                walk(child, rest, what);
            }
        }
        (step, None) => put(value, step, what),
    }
}

fn each(value: &mut Value, mut change: impl FnMut(&mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(&mut change),
        Value::Object(map) => map.values_mut().for_each(&mut change),
        _ => {}
    }
}

fn inside(value: &mut Value, what: Fill) {
    if let Fill::Inside(rules) = what
        && !value.is_null()
    {
        fill(value, rules);
    }
}

fn put(parent: &mut Value, name: &str, what: Fill) {
    let Some(map) = parent.as_object_mut() else { return };
    if let Fill::Inside(_) = what {
        return map.get_mut(name).into_iter().for_each(|child| inside(child, what));
    }
    let there = map.get(name).filter(|v| !v.is_null());
    let is_missing = there.is_none();
    let is_text_missing = there.is_none_or(|v| v == "");
    let value = match what {
        Fill::Text(text) if is_text_missing => Value::from(text),
        Fill::Word(text) if is_missing => text.into(),
        Fill::Int(number) if is_missing => number.into(),
        Fill::Count(number) if there.is_none_or(|v| *v == 0) => number.into(),
        Fill::Bool(flag) if is_missing => flag.into(),
        Fill::Empty if is_missing => Value::Object(Map::new()),
        Fill::Texts(text) if there.is_none_or(|v| *v == Value::Array(Vec::new())) => vec![text].into(),
        _ => return,
    };
    map.insert(name.to_owned(), value);
}

/// Labels of the object where it has none: those at a pointer.
fn labels_from(object: &mut Value, pointer: &str) {
    let has_labels =
        object.pointer("/metadata/labels").and_then(Value::as_object).is_some_and(|m| !m.is_empty());
    if has_labels {
        return;
    }
    if let Some(labels) = object.pointer(pointer).filter(|l| l.is_object()).cloned() {
        meta::set(object, "labels", labels);
    }
}

/// `requests` where only a limit is given, in one `resources` tree.
fn requests_from_limits(resources: &mut Value) {
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    let Some(resources) = resources.as_object_mut() else { return };
    let requests = meta::child_mut(resources, "requests");
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}
