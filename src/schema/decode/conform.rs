//! What a Go struct would have made of a tree: the structural walk over built-in kinds.
//!
//! It drops unknown fields and says which, drops what Go's `omitempty` and `omitzero` would not write again,
//! refuses values of the wrong type in Go's words, and spells quantities, times and durations canonically.

use super::error::{Cause, StrictError};
use super::json::whole;
use super::path::Path;
use super::special;
use crate::go;
use crate::limits::{DEPTH_MAX, STRICT_ERRORS_MAX};
use crate::types::{Field, Omit, Shape, View};
use alcove_object::Value;
use serde_json::Map;

/// What was found on the way.
#[derive(Debug, Default)]
pub struct Report {
    /// Fields that the type does not have, in the tree's order; at most
    /// [`STRICT_ERRORS_MAX`](crate::limits::STRICT_ERRORS_MAX).
    pub unknown: Vec<StrictError>,
    /// Whether the object came with an empty list of `managedFields`, which asks to forget them and which Go does not
    /// write again. Of custom resources it asks nothing.
    pub forgets_owners: bool,
    /// Above zero inside types that upstream reads with a lenient decoder of their own.
    lenient: usize,
}

/// Makes a tree what it would be after a round trip through its kind's Go type; unknown fields go to the report.
///
/// Of custom resources, only what they have in common with built-in kinds (metadata) is read so; the rest is pruned
/// ([`super::custom`]). Fails with upstream's text if a value does not
/// fit its type, or if the tree is nested deeper than the limit.
pub fn conform(value: &mut Value, schema: View<'_>, report: &mut Report) -> Result<(), Cause> {
    let owners = value.pointer("/metadata/managedFields").and_then(Value::as_array);
    report.forgets_owners = owners.is_some_and(Vec::is_empty) && !schema.schema().custom;
    walk(value, schema, &Path::ROOT, report)
}

pub(super) fn walk(
    value: &mut Value,
    view: View<'_>,
    path: &Path<'_>,
    report: &mut Report,
) -> Result<(), Cause> {
    if path.depth > DEPTH_MAX {
        return Err(Cause::Shape("exceeded max depth".to_owned()));
    }
    if view.schema().custom {
        return super::custom::prune(value, view, path, report);
    }
    match (view.shape(), &mut *value) {
        (Shape::Any, _) => Ok(()),
        (_, Value::Null) => {
            *value = unset(view);
            Ok(())
        }
        (Shape::Struct(_), Value::Object(map)) => fields_of(map, view, path, report),
        (Shape::Map(item), Value::Object(map)) => {
            let item = view.at(*item);
            map.iter_mut().try_for_each(|(key, value)| walk(value, item, &path.key(key), report))
        }
        (Shape::List(item), Value::Array(items)) => {
            let item = view.at(*item);
            items.iter_mut().enumerate().try_for_each(|(i, value)| walk(value, item, &path.index(i), report))
        }
        (Shape::String, Value::String(_)) | (Shape::Boolean, Value::Bool(_)) => Ok(()),
        (Shape::Int32, Value::Number(n)) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => Ok(()),
        (Shape::Int64, Value::Number(n)) if n.is_i64() => Ok(()),
        (Shape::Double, Value::Number(number)) => {
            if let Some(whole) = whole(number) {
                *number = whole;
            }
            Ok(())
        }
        (Shape::IntOrString, Value::String(_)) => Ok(()),
        (Shape::IntOrString, Value::Number(n)) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {
            Ok(())
        }
        (Shape::BoolOr(_) | Shape::OneOrList(_) | Shape::OneOrStrings(_), _) => {
            report.lenient += 1;
            let result = either(value, view, path, report);
            report.lenient -= 1;
            result
        }
        (Shape::Bytes, Value::String(text)) => rewrite(text, special::bytes(text)),
        (Shape::Time, Value::String(_)) => time_or_null(value, special::time),
        (Shape::MicroTime, Value::String(_)) => time_or_null(value, special::micro_time),
        (Shape::Duration, Value::String(text)) => rewrite(text, special::duration(text)),
        (Shape::Quantity, Value::String(text)) => rewrite(text, special::quantity(text)),
        (Shape::Quantity, Value::Number(number)) => {
            let text = number.to_string();
            *value = special::quantity(&text).map_err(Cause::Shape)?.unwrap_or(text).into();
            Ok(())
        }
        (Shape::Quantity, _) => Err(Cause::Shape(special::not_a_quantity())),
        (_, other) => Err(mismatch(other, view, path)),
    }
}

/// The fields of a struct. Both the tree's keys and the type's fields are sorted, so one merge finds all.
fn fields_of(
    map: &mut Map<String, Value>,
    view: View<'_>,
    path: &Path<'_>,
    report: &mut Report,
) -> Result<(), Cause> {
    let schema = view.schema();
    let mut fields = view.in_order();
    let mut result = Ok(());
    map.retain(|key, value| {
        if result.is_err() {
            return true;
        }
        let Some(field) = fields.find(key) else {
            if !schema.preserve_unknown {
                report.unknown_field(&path.key(key));
            }
            return schema.preserve_unknown;
        };
        // Null leaves a field as it was: unset.
        if value.is_null() {
            return false;
        }
        let child = view.at(field.schema);
        result = walk(value, child, &path.field(&field.name, &schema.name), report);
        !omits(field, child, value)
    });
    result
}

impl Report {
    pub(super) fn unknown_field(&mut self, path: &Path<'_>) {
        if self.lenient == 0 && self.unknown.len() < STRICT_ERRORS_MAX {
            self.unknown.push(StrictError::Unknown(path.full()));
        }
    }
}

/// What null becomes where it cannot be left out, as a list's item or a map's value: Go's zero value.
fn unset(view: View<'_>) -> Value {
    match view.shape() {
        Shape::String => "".into(),
        Shape::Boolean => false.into(),
        Shape::Int32 | Shape::Int64 | Shape::Double | Shape::IntOrString => 0.into(),
        Shape::Quantity => "0".into(),
        Shape::Duration => "0s".into(),
        Shape::Struct(_) => Value::Object(Map::new()),
        _ => Value::Null,
    }
}

/// Whether Go leaves this field out when it writes the value.
fn omits(field: &Field, view: View<'_>, value: &Value) -> bool {
    if value.is_null() {
        return true;
    }
    if field.pointer {
        return false;
    }
    match field.omit {
        Omit::Never => false,
        Omit::Empty => is_empty(view, value),
        Omit::Zero => !is_collection(view) && is_zero(view, value),
        Omit::EmptyOrZero => is_empty(view, value) || is_zero(view, value),
    }
}

fn is_collection(view: View<'_>) -> bool {
    matches!(view.shape(), Shape::List(_) | Shape::Map(_) | Shape::Bytes)
}

/// What `omitempty` calls empty.
fn is_empty(view: View<'_>, value: &Value) -> bool {
    match (view.shape(), value) {
        (Shape::List(_), Value::Array(items)) => items.is_empty(),
        (Shape::Map(_), Value::Object(map)) => map.is_empty(),
        (Shape::String | Shape::Bytes, Value::String(text)) => text.is_empty(),
        (Shape::Boolean, Value::Bool(value)) => !value,
        (Shape::Int32 | Shape::Int64 | Shape::Double, Value::Number(number)) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

/// What `omitzero` calls zero, of a value that conforms: like empty, and structs without anything set.
fn is_zero(view: View<'_>, value: &Value) -> bool {
    match (view.shape(), value) {
        (_, Value::Null) => true,
        (Shape::Struct(fields), Value::Object(map)) => {
            fields.iter().all(|field| match map.get(&*field.name) {
                None | Some(Value::Null) => true,
                Some(value) => !field.pointer && is_zero(view.at(field.schema), value),
            })
        }
        (Shape::Quantity, Value::String(text)) => text == "0",
        (Shape::Duration, Value::String(text)) => text == "0s",
        (Shape::IntOrString, Value::Number(number)) => number.as_i64() == Some(0),
        (Shape::List(_) | Shape::Map(_) | Shape::Bytes, _) => false,
        _ => is_empty(view, value),
    }
}

/// The three types that are a schema or something else (k8s.io/apiextensions-apiserver: marshal.go).
fn either(value: &mut Value, view: View<'_>, path: &Path<'_>, report: &mut Report) -> Result<(), Cause> {
    match (view.shape(), &mut *value) {
        (
            Shape::BoolOr(schema) | Shape::OneOrList(schema) | Shape::OneOrStrings(schema),
            Value::Object(_),
        ) => walk(value, view.at(*schema), path, report),
        (Shape::BoolOr(_), Value::Bool(_)) => Ok(()),
        (Shape::BoolOr(_), _) => Err(Cause::Shape("boolean or JSON schema expected".to_owned())),
        (Shape::OneOrList(schema), Value::Array(items)) => {
            let item = view.at(*schema);
            items.iter_mut().enumerate().try_for_each(|(i, value)| walk(value, item, &path.index(i), report))
        }
        (Shape::OneOrStrings(_), Value::Array(items)) => match items.iter().find(|item| !item.is_string()) {
            Some(item) => Err(Cause::Shape(format!(
                "json: cannot unmarshal {} into Go value of type string",
                go::json_kind(item)
            ))),
            None => Ok(()),
        },
        // Anything else leaves Go's value unset.
        _ => {
            *value = Value::Null;
            Ok(())
        }
    }
}

/// Puts another spelling in place of a text, if there is one.
fn rewrite(text: &mut String, spelled: Result<Option<String>, String>) -> Result<(), Cause> {
    if let Some(spelled) = spelled.map_err(Cause::Shape)? {
        *text = spelled;
    }
    Ok(())
}

fn time_or_null(
    value: &mut Value,
    spell: impl Fn(&str) -> Result<special::Spelling, String>,
) -> Result<(), Cause> {
    let Value::String(text) = value else { return Ok(()) };
    match spell(text).map_err(Cause::Shape)? {
        special::Spelling::Same => {}
        special::Spelling::Text(text) => *value = text.into(),
        special::Spelling::Zero => *value = Value::Null,
    }
    Ok(())
}

/// The error of encoding/json for a value of the wrong type.
fn mismatch(value: &Value, view: View<'_>, path: &Path<'_>) -> Cause {
    let target = match view.shape() {
        Shape::Time | Shape::MicroTime | Shape::Duration => "string".to_owned(),
        Shape::IntOrString => "int32".to_owned(),
        _ => go_type(view),
    };
    let found = match (value, view.shape()) {
        (Value::Number(number), Shape::Int32 | Shape::Int64 | Shape::IntOrString) => {
            format!("number {number}")
        }
        _ => go::json_kind(value).to_owned(),
    };
    let text = match path.go_field() {
        Some(field) => {
            format!("json: cannot unmarshal {found} into Go struct field {field} of type {target}")
        }
        None => format!("json: cannot unmarshal {found} into Go value of type {target}"),
    };
    match view.shape() {
        // These read JSON themselves.
        Shape::Time | Shape::MicroTime | Shape::Duration | Shape::IntOrString => Cause::Shape(text),
        _ => Cause::Mismatch { text, found: go::kind(value), target },
    }
}

/// How Go prints the type; named scalars are printed as what they are made of, their names are not in the table.
fn go_type(view: View<'_>) -> String {
    match view.shape() {
        Shape::String => "string".to_owned(),
        Shape::Boolean => "bool".to_owned(),
        Shape::Int32 => "int32".to_owned(),
        Shape::Int64 => "int64".to_owned(),
        Shape::Double => "float64".to_owned(),
        Shape::Bytes => "[]uint8".to_owned(),
        Shape::IntOrString => "intstr.IntOrString".to_owned(),
        Shape::Quantity => "resource.Quantity".to_owned(),
        Shape::Time => "v1.Time".to_owned(),
        Shape::MicroTime => "v1.MicroTime".to_owned(),
        Shape::Duration => "v1.Duration".to_owned(),
        Shape::Map(value) => format!("map[string]{}", go_type(view.at(*value))),
        Shape::List(item) => format!("[]{}", go_type(view.at(*item))),
        Shape::Struct(_) | Shape::Any | Shape::BoolOr(_) | Shape::OneOrList(_) | Shape::OneOrStrings(_) => {
            let mut parts = view.schema().name.rsplit('.');
            let name = parts.next().unwrap_or_default();
            format!("{}.{name}", parts.next().unwrap_or_default())
        }
    }
}
