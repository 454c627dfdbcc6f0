//! Trees to protobuf, by the same table that [`protobuf`](super::protobuf) reads with.
//!
//! Fields are written by name, not by number: every reader takes any order. What is absent from the tree is absent
//! from the wire, where Go would write the zero of a value; readers see no difference.

use super::frames::envelope;
use super::special;
use super::wire::{BYTES, FIXED64, put_bytes, put_message, put_number, put_tag, put_varint};
use crate::limits::DEPTH_MAX;
use crate::types::{Field, Shape, View};
use alcove_object::{Value, time};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Map;
use thiserror::Error;

/// A tree that does not conform to its kind, which whoever made it has to answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the object does not conform to its schema")]
pub struct EncodeError;

/// Writes an object that conforms to its kind as a protobuf body, magic bytes and envelope included.
pub fn encode(value: &Value, schema: View<'_>) -> Result<Vec<u8>, EncodeError> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    Ok(envelope(text("apiVersion"), text("kind"), &encode_message(value, schema)?))
}

/// Writes an object that conforms to its kind as a bare message, as lists hold it.
pub fn encode_message(value: &Value, schema: View<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    object_fields(&mut out, value, schema)?;
    Ok(out)
}

/// Writes the fields of a struct that no other stands around.
pub(super) fn object_fields(out: &mut Vec<u8>, value: &Value, schema: View<'_>) -> Result<(), EncodeError> {
    fields_of(out, object(value)?, schema, &[], 0)
}

fn object(value: &Value) -> Result<&Map<String, Value>, EncodeError> {
    value.as_object().ok_or(EncodeError)
}

/// Writes the fields of a struct that stand at `within`, and the messages that are inlined in JSON below it.
fn fields_of(
    out: &mut Vec<u8>,
    map: &Map<String, Value>,
    view: View<'_>,
    within: &[u32],
    depth: usize,
) -> Result<(), EncodeError> {
    if depth > DEPTH_MAX {
        return Err(EncodeError);
    }
    let mut inlined: Vec<u32> = Vec::new();
    for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
        let Some(field) = view.field(name).filter(|field| stands_in(field, within)) else { continue };
        match field.within.get(within.len()) {
            Some(number) if !inlined.contains(number) => inlined.push(*number),
            Some(_) => {}
            None if field.number == 0 => {}
            None => put_field(out, field, value, view.at(field.schema), depth)?,
        }
    }
    for number in inlined {
        let path: Vec<u32> = within.iter().copied().chain([number]).collect();
        put_message(out, number, |out| fields_of(out, map, view, &path, depth + 1))?;
    }
    Ok(())
}

/// Whether a field stands in this message or in one below it.
fn stands_in(field: &Field, within: &[u32]) -> bool {
    // Nearly always nothing is inlined: no comparison then.
    within.is_empty() || field.within.starts_with(within)
}

/// Writes a field: a list as its items, a map as its entries, all else once.
fn put_field(
    out: &mut Vec<u8>,
    field: &Field,
    value: &Value,
    view: View<'_>,
    depth: usize,
) -> Result<(), EncodeError> {
    match view.shape() {
        Shape::List(item) if !view.schema().wrapped => {
            let item = view.at(*item);
            list(value)?.iter().try_for_each(|value| put_value(out, field.number, value, item, depth + 1))
        }
        Shape::Map(item) => object(value)?.iter().try_for_each(|(key, value)| {
            put_message(out, field.number, |out| {
                put_bytes(out, 1, key.as_bytes());
                put_value(out, 2, value, view.at(*item), depth + 1)
            })
        }),
        _ => put_value(out, field.number, value, view, depth),
    }
}

fn list(value: &Value) -> Result<&[Value], EncodeError> {
    value.as_array().map(Vec::as_slice).ok_or(EncodeError)
}

fn put_value(
    out: &mut Vec<u8>,
    number: u32,
    value: &Value,
    view: View<'_>,
    depth: usize,
) -> Result<(), EncodeError> {
    if value.is_null() {
        // An item that is null still counts as one.
        put_bytes(out, number, b"");
        return Ok(());
    }
    match view.shape() {
        Shape::Struct(_) => {
            put_message(out, number, |out| fields_of(out, object(value)?, view, &[], depth + 1))
        }
        Shape::List(item) => put_message(out, number, |out| {
            let item = view.at(*item);
            list(value)?.iter().try_for_each(|value| put_value(out, 1, value, item, depth + 1))
        }),
        // Protobuf has no map of maps.
        Shape::Map(_) => Err(EncodeError),
        Shape::BoolOr(_) | Shape::OneOrList(_) | Shape::OneOrStrings(_) => {
            put_message(out, number, |out| put_either(out, value, view, depth + 1))
        }
        _ => put_leaf(out, number, value, view.shape()),
    }
}

fn put_either(out: &mut Vec<u8>, value: &Value, view: View<'_>, depth: usize) -> Result<(), EncodeError> {
    match (view.shape(), value) {
        (Shape::BoolOr(_), Value::Bool(allows)) => {
            put_number(out, 1, (*allows).into());
            Ok(())
        }
        (Shape::BoolOr(schema), Value::Object(_)) => {
            put_number(out, 1, 1);
            put_value(out, 2, value, view.at(*schema), depth)
        }
        (Shape::OneOrList(schema) | Shape::OneOrStrings(schema), Value::Object(_)) => {
            put_value(out, 1, value, view.at(*schema), depth)
        }
        (Shape::OneOrList(schema), Value::Array(items)) => {
            items.iter().try_for_each(|item| put_value(out, 2, item, view.at(*schema), depth))
        }
        (Shape::OneOrStrings(_), Value::Array(items)) => items.iter().try_for_each(|item| {
            put_bytes(out, 2, item.as_str().ok_or(EncodeError)?.as_bytes());
            Ok(())
        }),
        _ => Err(EncodeError),
    }
}

fn put_leaf(out: &mut Vec<u8>, number: u32, value: &Value, shape: &Shape) -> Result<(), EncodeError> {
    let text = || value.as_str().ok_or(EncodeError);
    match shape {
        Shape::String => put_bytes(out, number, text()?.as_bytes()),
        Shape::Boolean => put_number(out, number, value.as_bool().ok_or(EncodeError)?.into()),
        // Negative numbers of either width take ten bytes, as protobuf has it.
        Shape::Int32 | Shape::Int64 => put_number(out, number, value.as_i64().ok_or(EncodeError)? as u64),
        Shape::Double => {
            put_tag(out, number, FIXED64);
            out.extend_from_slice(&value.as_f64().ok_or(EncodeError)?.to_le_bytes());
        }
        Shape::Bytes => {
            put_bytes(out, number, &STANDARD.decode(text()?).map_err(|_| EncodeError)?);
        }
        Shape::IntOrString => put_message(out, number, |out| put_int_or_string(out, value))?,
        Shape::Quantity => put_message(out, number, |out| {
            put_bytes(out, 1, text()?.as_bytes());
            Ok(())
        })?,
        Shape::Time | Shape::MicroTime => {
            let time = time::parse(text()?).ok_or(EncodeError)?;
            // Before the epoch too, nanos count forward.
            let seconds = time.as_nanosecond().div_euclid(1_000_000_000) as i64;
            let nanos = time.as_nanosecond().rem_euclid(1_000_000_000) as u64;
            put_message(out, number, |out| {
                put_number(out, 1, seconds as u64);
                put_number(out, 2, nanos);
                Ok(())
            })?;
        }
        Shape::Duration => put_message(out, number, |out| {
            put_number(out, 1, special::duration_nanoseconds(text()?).ok_or(EncodeError)? as u64);
            Ok(())
        })?,
        _ => {
            let raw = serde_json::to_vec(value).map_err(|_| EncodeError)?;
            put_tag(out, number, BYTES);
            let mut message = Vec::with_capacity(raw.len() + 8);
            put_bytes(&mut message, 1, &raw);
            put_varint(out, message.len() as u64);
            out.extend_from_slice(&message);
        }
    }
    Ok(())
}

fn put_int_or_string(out: &mut Vec<u8>, value: &Value) -> Result<(), EncodeError> {
    match value {
        Value::Number(int) => {
            put_number(out, 1, 0);
            put_number(out, 2, int.as_i64().ok_or(EncodeError)? as u64);
        }
        Value::String(text) => {
            put_number(out, 1, 1);
            put_bytes(out, 3, text.as_bytes());
        }
        _ => return Err(EncodeError),
    }
    Ok(())
}
