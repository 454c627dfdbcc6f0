//! Whether an apply patch fits its schema, with upstream's texts
//! (sigs.k8s.io/structured-merge-diff/v6/typed/{validate,helpers}.go).

use super::types::{Atom, ListType, MapType, Scalar, Type};
use crate::go;
use alcove_object::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What is wrong with one value.
struct Problem {
    path: String,
    text: String,
}

/// All that is wrong with a value, in one text.
pub(super) fn validate(ty: Type<'_>, value: &Value) -> Result<(), String> {
    let mut problems = Vec::new();
    check(ty, value, &mut String::new(), &mut problems);
    let texts: Vec<String> = problems.into_iter().map(Problem::into_text).collect();
    match &*texts {
        [] => Ok(()),
        [one] => Err(one.clone()),
        all => Err(all.iter().fold("errors:".to_owned(), |text, one| text + "\n  " + one)),
    }
}

impl Problem {
    fn into_text(self) -> String {
        if self.path.is_empty() { self.text } else { format!("{}: {}", self.path, self.text) }
    }
}

fn check(ty: Type<'_>, value: &Value, path: &mut String, problems: &mut Vec<Problem>) {
    let wrong = match (ty.atom(Some(value)), value) {
        (_, Value::Null) => None,
        (Atom::Map(map), Value::Object(_)) => return check_map(map, value, path, problems),
        (Atom::List(list), Value::Array(items)) => return check_list(list, items, path, problems),
        (Atom::Map(_), _) => Some(format!("expected map, got &{{{}}}", go::plain(value))),
        (Atom::List(_), _) => Some(format!("expected list, got &{{{}}}", go::plain(value))),
        (Atom::Scalar(scalar), _) => check_scalar(scalar, value),
    };
    problems.extend(wrong.map(|text| Problem { path: path.clone(), text }));
}

fn check_scalar(scalar: Scalar, value: &Value) -> Option<String> {
    let container = matches!(value, Value::Array(_) | Value::Object(_));
    match scalar {
        Scalar::Number if !value.is_number() => {
            Some(format!("expected numeric (int or float), got {}", go::type_name(value)))
        }
        Scalar::String if !value.is_string() => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(value)))
        }
        Scalar::Boolean if !value.is_boolean() => {
            Some(format!("expected boolean, got &{{{}}}", go::plain(value)))
        }
        Scalar::Any if container => Some(format!("expected any scalar, got &{{{}}}", go::plain(value))),
        _ => None,
    }
}

/// Stops at the first field that nobody declared, as upstream does.
fn check_map(map: MapType<'_>, value: &Value, path: &mut String, problems: &mut Vec<Problem>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let end = path.len();
        path.push('.');
        path.push_str(key);
        let child = map.child(key);
        match &child {
            Some(child) => check(child.ty, value, path, problems),
            None => {
                problems.push(Problem { path: path.clone(), text: "field not declared in schema".to_owned() })
            }
        }
        path.truncate(end);
        if child.is_none() {
            return;
        }
    }
}

fn check_list(list: ListType<'_>, items: &[Value], path: &mut String, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let end = path.len();
        if list.is_atomic() {
            write!(path, "[{index}]").expect("writing to a String cannot fail");
        } else {
            let element = match list.element(item) {
                Ok(element) => element,
                Err(why) => {
                    problems.push(Problem { path: path.clone(), text: format!("element {index}: {why}") });
                    return;
                }
            };
            let shown = element.to_string();
            if !seen.insert(element) {
                let text = format!("duplicate entries for key {shown}");
                problems.push(Problem { path: path.clone(), text });
            }
            path.push_str(&shown);
        }
        check(list.item, item, path, problems);
        path.truncate(end);
    }
}

/// Go's `%#v`.
fn go_syntax(value: &Value) -> String {
    let ty = go::type_name(value);
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => {
            format!("{ty}{{{}}}", items.iter().map(go_syntax).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(k, v)| format!("{k:?}:{}", go_syntax(v))).collect();
            format!("{ty}{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}
