//! What Go writes although nobody set it: structs held by value (`status: {}`), scalars without `omitempty`.

use crate::limits::DEPTH_MAX;
use crate::types::{Field, Omit, Shape, View, order};
use alcove_object::Value;
use serde_json::Map;

/// Adds to a tree that conforms to its kind every field that Go always writes, so that it reads as upstream's
/// answer would. To be done last, after defaulting and admission; doing it twice changes nothing.
pub fn fill(value: &mut Value, schema: View<'_>) {
    walk(value, schema, 0);
}

fn walk(value: &mut Value, view: View<'_>, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match (view.shape(), value) {
        (Shape::Struct(fields), Value::Object(map)) => fill_struct(map, fields, view, depth),
        (Shape::Map(item), Value::Object(map)) => {
            map.values_mut().for_each(|value| walk(value, view.at(*item), depth + 1));
        }
        (Shape::List(item) | Shape::OneOrList(item), Value::Array(items)) => {
            items.iter_mut().for_each(|value| walk(value, view.at(*item), depth + 1));
        }
        (
            Shape::BoolOr(schema) | Shape::OneOrList(schema) | Shape::OneOrStrings(schema),
            value @ Value::Object(_),
        ) => walk(value, view.at(*schema), depth + 1),
        _ => {}
    }
}

/// Both the tree's keys and the type's fields are sorted, so one pass finds what is missing and what is there.
fn fill_struct(map: &mut Map<String, Value>, fields: &[Field], view: View<'_>, depth: usize) {
    let mut missing = Vec::new();
    let mut entries = map.iter_mut().peekable();
    for field in fields {
        let child = view.at(field.schema);
        while entries.next_if(|(key, _)| order(key, &field.name).is_lt()).is_some() {}
        match entries.next_if(|(key, _)| **key == *field.name) {
            Some((_, value @ (Value::Object(_) | Value::Array(_)))) => walk(value, child, depth + 1),
            Some(_) => {}
            None => missing.extend(always(field, child).map(|mut zero| {
                walk(&mut zero, child, depth + 1);
                (field.name.to_string(), zero)
            })),
        }
    }
    map.extend(missing);
}

/// The zero value that Go writes for an absent field, if it does.
fn always(field: &Field, view: View<'_>) -> Option<Value> {
    match field.omit {
        Omit::Zero | Omit::EmptyOrZero => None,
        Omit::Empty if field.pointer => None,
        Omit::Never if field.pointer => Some(Value::Null),
        Omit::Empty => zero_struct(view),
        Omit::Never => zero_struct(view).or_else(|| Some(zero_scalar(view))),
    }
}

/// The zero of what Go holds as a struct; `omitempty` never leaves those out.
fn zero_struct(view: View<'_>) -> Option<Value> {
    match view.shape() {
        Shape::Struct(_) => Some(Value::Object(Map::new())),
        Shape::Quantity => Some("0".into()),
        Shape::Duration => Some("0s".into()),
        Shape::IntOrString => Some(0.into()),
        Shape::BoolOr(_) => Some(false.into()),
        Shape::Time | Shape::MicroTime | Shape::Any | Shape::OneOrList(_) | Shape::OneOrStrings(_) => {
            Some(Value::Null)
        }
        _ => None,
    }
}

fn zero_scalar(view: View<'_>) -> Value {
    match view.shape() {
        Shape::String => "".into(),
        Shape::Boolean => false.into(),
        Shape::Int32 | Shape::Int64 | Shape::Double => 0.into(),
        _ => Value::Null,
    }
}
