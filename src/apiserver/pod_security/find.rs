//! What checks look for in a pod, and how they say who has it.

use crate::kinds::CONTAINER_LISTS;
use alcove_object::Value;
use alcove_object::tree::at;
use std::collections::BTreeSet;

/// All containers, in the order in which upstream visits them.
pub(super) fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    CONTAINER_LISTS.iter().filter_map(|list| spec[*list].as_array()).flatten()
}

pub(super) fn list<'a>(of: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    at(of, pointer).and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn name(of: &Value) -> &str {
    of["name"].as_str().unwrap_or_default()
}

/// Containers, and the pod itself where it has the field too, that set a field to a bad value (or to a list with bad
/// values): who, as text, and the values.
pub(super) fn setters(
    spec: &Value,
    pod_too: bool,
    pointer: &str,
    is_bad: &dyn Fn(&Value) -> bool,
) -> Option<(String, BTreeSet<String>)> {
    let bad = |holder: &Value| -> BTreeSet<String> {
        let values: Vec<&Value> = match at(holder, pointer) {
            None => Vec::new(),
            Some(Value::Array(values)) => values.iter().collect(),
            Some(value) => vec![value],
        };
        let bad = values.into_iter().filter(|value| is_bad(value));
        bad.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
    };
    let of_pod = if pod_too { bad(spec) } else { BTreeSet::new() };
    let of_containers = containers_with(spec, &bad);
    let mut who = Vec::new();
    if !of_pod.is_empty() {
        who.push("pod".to_owned());
    }
    let mut values = of_pod;
    if let Some((_, names, more)) = of_containers {
        who.push(names);
        values.extend(more);
    }
    (!who.is_empty()).then(|| (who.join(" and "), values))
}

/// Containers of which a search finds anything: how many, their names as text, and what was found.
pub(super) fn containers_with(
    spec: &Value,
    find: &dyn Fn(&Value) -> BTreeSet<String>,
) -> Option<(usize, String, BTreeSet<String>)> {
    let found: Vec<(&str, BTreeSet<String>)> =
        containers(spec).map(|c| (name(c), find(c))).filter(|(_, found)| !found.is_empty()).collect();
    let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    let who = format!("{} {}", plural("container", names.len()), quoted(&names));
    let values = found.iter().flat_map(|(_, values)| values.iter().cloned()).collect();
    (!found.is_empty()).then_some((found.len(), who, values))
}

pub(super) fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

pub(super) fn uses(count: usize) -> &'static str {
    if count == 1 { "uses" } else { "use" }
}

pub(super) fn quoted<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect();
    items.join(", ")
}
