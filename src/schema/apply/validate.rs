//! Whether an apply patch fits its schema, with upstream's texts
//! (sigs.k8s.io/structured-merge-diff/v6/typed/{validate,helpers}.go).

use super::path::Element;
use super::types::{Atom, ListType, MapType, Scalar, Type};
use crate::go;
use alcove_object::Value;
use std::collections::BTreeSet;
use std::fmt;

/// What is wrong with one value.
struct Problem {
    path: String,
    text: String,
}

/// Where a walk is. It becomes a text only when there is something to say: most patches are right.
enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, &'a Element<'a>),
    Index(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Root => Ok(()),
            Place::Field(parent, name) => write!(f, "{parent}.{name}"),
            Place::Item(parent, element) => write!(f, "{parent}{element}"),
            Place::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// All that is wrong with a value, in one text.
pub(super) fn validate(ty: Type<'_>, value: &Value) -> Result<(), String> {
    let mut problems = Vec::new();
    check(ty, value, &Place::Root, &mut problems);
    let texts: Vec<String> = problems.into_iter().map(Problem::into_text).collect();
    match &*texts {
        [] => Ok(()),
        [one] => Err(one.clone()),
        all => Err(all.iter().fold("errors:".to_owned(), |text, one| text + "\n  " + one)),
    }
}

impl Problem {
    fn new(place: &Place<'_>, text: String) -> Problem {
        Problem { path: place.to_string(), text }
    }

    fn into_text(self) -> String {
        if self.path.is_empty() { self.text } else { format!("{}: {}", self.path, self.text) }
    }
}

fn check(ty: Type<'_>, value: &Value, place: &Place<'_>, problems: &mut Vec<Problem>) {
    let wrong = match (ty.atom(Some(value)), value) {
        (_, Value::Null) => None,
        (Atom::Map(map), Value::Object(_)) => return check_map(map, value, place, problems),
        (Atom::List(list), Value::Array(items)) => return check_list(list, items, place, problems),
        (Atom::Map(_), _) => Some(format!("expected map, got &{{{}}}", go::plain(value))),
        (Atom::List(_), _) => Some(format!("expected list, got &{{{}}}", go::plain(value))),
        (Atom::Scalar(scalar), _) => check_scalar(scalar, value),
    };
    problems.extend(wrong.map(|text| Problem::new(place, text)));
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
fn check_map(map: MapType<'_>, value: &Value, place: &Place<'_>, problems: &mut Vec<Problem>) {
    let mut children = map.children();
    for (key, value) in value.as_object().into_iter().flatten() {
        let place = Place::Field(place, key);
        match children.find(key) {
            Some(child) => check(child.ty, value, &place, problems),
            None => {
                problems.push(Problem::new(&place, "field not declared in schema".to_owned()));
                return;
            }
        }
    }
}

fn check_list(list: ListType<'_>, items: &[Value], place: &Place<'_>, problems: &mut Vec<Problem>) {
    if list.is_atomic() {
        for (index, item) in items.iter().enumerate() {
            check(list.item, item, &Place::Index(place, index), problems);
        }
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let element = match list.element(item) {
            Ok(element) => element,
            Err(why) => {
                problems.push(Problem::new(place, format!("element {index}: {why}")));
                return;
            }
        };
        if !seen.insert(element.clone()) {
            problems.push(Problem::new(place, format!("duplicate entries for key {element}")));
        }
        check(list.item, item, &Place::Item(place, &element), problems);
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
