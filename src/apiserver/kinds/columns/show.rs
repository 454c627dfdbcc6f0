//! How single values look in cells: times, labels, selectors, quantities, lists that are cut.

use crate::kinds::tree::{list, text};
use alcove_object::{Value, time};
use jiff::{SignedDuration, Timestamp};

/// Time since the timestamp at a pointer; `<unknown>` when it is not set.
pub(super) fn since(object: &Value, pointer: &str, now: Timestamp) -> String {
    match time::parse(text(object, pointer)) {
        Some(then) => human(now.duration_since(then)),
        None => "<unknown>".into(),
    }
}

/// A duration as people read it.
pub(super) fn human(duration: SignedDuration) -> String {
    time::human_duration(duration.as_secs())
}

/// Labels as `a=b,c=d`.
pub(super) fn labels(map: Option<&Value>) -> String {
    let pairs: Vec<String> = alcove_object::meta::entries(map).map(|(k, v)| format!("{k}={v}")).collect();
    if pairs.is_empty() { "<none>".into() } else { pairs.join(",") }
}

/// A LabelSelector as a query; `None` selects nothing and shows nothing, as upstream has it.
pub(super) fn selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return String::new() };
    let equal =
        alcove_object::meta::entries(selector.get("matchLabels")).map(|(k, v)| (k, format!("{k}={v}")));
    let asked = list(selector, "/matchExpressions").iter().map(|e| (text(e, "/key"), requirement(e)));
    let mut all: Vec<(&str, String)> = equal.chain(asked).collect();
    all.sort_by(|a, b| a.0.cmp(b.0));
    all.into_iter().map(|(_, shown)| shown).collect::<Vec<_>>().join(",")
}

/// A LabelSelector as Go prints the type, which is what upstream shows where it forgot to make a query of it.
pub(super) fn selector_in_go(selector: &Value) -> String {
    let labels = alcove_object::meta::entries(selector.get("matchLabels"));
    let labels: String = labels.map(|(key, value)| format!("{key}: {value},")).collect();
    let expression = |e: &Value| {
        let values: Vec<&str> = list(e, "/values").iter().filter_map(Value::as_str).collect();
        let (key, operator, values) = (text(e, "/key"), text(e, "/operator"), values.join(" "));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
    };
    let expressions: String = list(selector, "/matchExpressions").iter().map(expression).collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

fn requirement(expression: &Value) -> String {
    let key = text(expression, "/key");
    let mut values: Vec<&str> = list(expression, "/values").iter().filter_map(Value::as_str).collect();
    values.sort_unstable();
    match text(expression, "/operator") {
        "In" => format!("{key} in ({})", values.join(",")),
        "NotIn" => format!("{key} notin ({})", values.join(",")),
        "DoesNotExist" => format!("!{key}"),
        _ => key.to_owned(),
    }
}

/// The same, `<none>` when nothing is asked.
pub(super) fn selector_or_none(value: Option<&Value>) -> String {
    match selector(value) {
        shown if shown.is_empty() => "<none>".into(),
        shown => shown,
    }
}

/// A number, quantity or percentage as it stands.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A field of every container, such as its image, joined by commas.
pub(super) fn containers(pod_spec: Option<&Value>, field: &str) -> String {
    let containers = pod_spec.map_or(&[][..], |spec| list(spec, "/containers"));
    let values: Vec<&str> =
        containers.iter().map(|c| c.get(field).and_then(Value::as_str).unwrap_or("")).collect();
    values.join(",")
}

/// The first `max` of what there is, and how many more there are.
pub(super) fn some_of(items: &[String], max: usize) -> String {
    let shown = items[..items.len().min(max)].join(",");
    match items.len().saturating_sub(max) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

/// `True`, `False`, or `<unset>` when missing.
pub(super) fn truth(value: Option<&Value>) -> &'static str {
    match value.and_then(Value::as_bool) {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    }
}
