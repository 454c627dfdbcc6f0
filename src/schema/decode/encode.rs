//! JSON to protobuf, by the same table that [`protobuf`](super::protobuf) reads with, and without a tree between: whoever
//! asks for protobuf has each stored object read once from front to back.
//!
//! Fields are written in the order in which they stand in JSON, not by number: every reader takes any order. What is
//! absent from JSON is absent from the wire, where Go would write the zero of a value; readers see no difference.

use super::frames::envelope;
use super::special;
use super::wire::{FIXED64, put_bytes, put_message, put_number, put_tag};
use crate::limits::DEPTH_MAX;
use crate::types::{Field, Shape, View};
use alcove_object::scan::{Malformed, Scanner, Text};
use alcove_object::{Value, time};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// An object that does not conform to its kind, which whoever made it has to answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the object does not conform to its schema")]
pub struct EncodeError;

impl From<Malformed> for EncodeError {
    fn from(Malformed: Malformed) -> EncodeError {
        EncodeError
    }
}

/// Writes an object that conforms to its kind as a protobuf body, magic bytes and envelope included.
pub fn encode(value: &Value, schema: View<'_>) -> Result<Vec<u8>, EncodeError> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let json = serde_json::to_vec(value).map_err(|_| EncodeError)?;
    let mut message = Vec::with_capacity(json.len());
    encode_message(&json, schema, &mut message)?;
    Ok(envelope(text("apiVersion"), text("kind"), &message))
}

/// Appends an object that conforms to its kind as a bare message, as lists hold it. `json` is compact. After an error,
/// something of it may have been written.
pub fn encode_message(json: &[u8], schema: View<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    fields_of(out, &mut Scanner::new(json), schema, &[], 0)
}

/// Writes the fields of a struct that stand at `within`, and the messages that are inlined in JSON below it.
fn fields_of(
    out: &mut Vec<u8>,
    json: &mut Scanner<'_>,
    view: View<'_>,
    within: &[u32],
    depth: usize,
) -> Result<(), EncodeError> {
    if depth > DEPTH_MAX {
        return Err(EncodeError);
    }
    let start = *json;
    let (fields, mut after) = (view.fields(), 0);
    let mut inlined: Vec<u32> = Vec::new();
    json.object(|json, key| {
        if json.null()? {
            return Ok(());
        }
        let field = find(fields, key, &mut after).filter(|field| stands_in(field, within));
        match field.map(|field| (field, field.within.get(within.len()))) {
            Some((field, None)) if field.number != 0 => {
                return put_field(out, field, json, view.at(field.schema), depth);
            }
            Some((_, Some(number))) if !inlined.contains(number) => inlined.push(*number),
            _ => {}
        }
        json.value().map(|_| ()).map_err(EncodeError::from)
    })?;
    for number in inlined {
        let path: Vec<u32> = within.iter().copied().chain([number]).collect();
        put_message(out, number, |out| fields_of(out, &mut { start }, view, &path, depth + 1))?;
    }
    Ok(())
}

/// Finds a field by its key. Both are sorted, nearly always: `after` is where the last one was found, and the next one
/// is not far behind it.
fn find<'a>(fields: &'a [Field], key: Text<'_>, after: &mut usize) -> Option<&'a Field> {
    let (before, behind) = fields.split_at(*after);
    let is_it = |field: &Field| key.is(&field.name);
    let found = match behind.iter().position(is_it) {
        Some(found) => *after + found,
        None => before.iter().position(is_it)?,
    };
    *after = found + 1;
    Some(&fields[found])
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
    json: &mut Scanner<'_>,
    view: View<'_>,
    depth: usize,
) -> Result<(), EncodeError> {
    match view.shape() {
        Shape::List(item) if !view.schema().wrapped => {
            let item = view.at(*item);
            json.array(|json| put_value(out, field.number, json, item, depth + 1))
        }
        Shape::Map(item) => json.object(|json, key| {
            put_message(out, field.number, |out| {
                put_bytes(out, 1, &key.bytes()?);
                put_value(out, 2, json, view.at(*item), depth + 1)
            })
        }),
        _ => put_value(out, field.number, json, view, depth),
    }
}

fn put_value(
    out: &mut Vec<u8>,
    number: u32,
    json: &mut Scanner<'_>,
    view: View<'_>,
    depth: usize,
) -> Result<(), EncodeError> {
    if json.null()? {
        // An item that is null still counts as one.
        put_bytes(out, number, b"");
        return Ok(());
    }
    match view.shape() {
        Shape::Struct(_) => put_message(out, number, |out| fields_of(out, json, view, &[], depth + 1)),
        Shape::List(item) => put_message(out, number, |out| {
            let item = view.at(*item);
            json.array(|json| put_value(out, 1, json, item, depth + 1))
        }),
        // Protobuf has no map of maps.
        Shape::Map(_) => Err(EncodeError),
        Shape::BoolOr(_) | Shape::OneOrList(_) | Shape::OneOrStrings(_) => {
            put_message(out, number, |out| put_either(out, json, view, depth + 1))
        }
        shape => put_leaf(out, number, json, shape),
    }
}

fn put_either(
    out: &mut Vec<u8>,
    json: &mut Scanner<'_>,
    view: View<'_>,
    depth: usize,
) -> Result<(), EncodeError> {
    match (view.shape(), json.peek()) {
        (Shape::BoolOr(_), Some(b't' | b'f')) => {
            put_number(out, 1, json.boolean()?.into());
            Ok(())
        }
        (Shape::BoolOr(schema), Some(b'{')) => {
            put_number(out, 1, 1);
            put_value(out, 2, json, view.at(*schema), depth)
        }
        (Shape::OneOrList(schema) | Shape::OneOrStrings(schema), Some(b'{')) => {
            put_value(out, 1, json, view.at(*schema), depth)
        }
        (Shape::OneOrList(schema), _) => json.array(|json| put_value(out, 2, json, view.at(*schema), depth)),
        (Shape::OneOrStrings(_), _) => json.array(|json| {
            put_bytes(out, 2, &json.string()?.bytes()?);
            Ok(())
        }),
        _ => Err(EncodeError),
    }
}

fn put_leaf(
    out: &mut Vec<u8>,
    number: u32,
    json: &mut Scanner<'_>,
    shape: &Shape,
) -> Result<(), EncodeError> {
    match shape {
        Shape::String => put_bytes(out, number, &json.string()?.bytes()?),
        Shape::Boolean => put_number(out, number, json.boolean()?.into()),
        // Negative numbers of either width take ten bytes, as protobuf has it.
        Shape::Int32 | Shape::Int64 => put_number(out, number, json.integer()? as u64),
        Shape::Double => {
            let text = std::str::from_utf8(json.number()?).map_err(|_| EncodeError)?;
            put_tag(out, number, FIXED64);
            out.extend_from_slice(&text.parse::<f64>().map_err(|_| EncodeError)?.to_le_bytes());
        }
        Shape::Bytes => {
            let text = json.string()?.bytes()?;
            put_bytes(out, number, &STANDARD.decode(text).map_err(|_| EncodeError)?);
        }
        Shape::IntOrString => put_message(out, number, |out| put_int_or_string(out, json))?,
        Shape::Quantity => put_message(out, number, |out| {
            put_bytes(out, 1, &json.string()?.bytes()?);
            Ok::<(), EncodeError>(())
        })?,
        Shape::Time | Shape::MicroTime => {
            let time = time::parse(&json.string()?.text()?).ok_or(EncodeError)?;
            // Before the epoch too, nanos count forward.
            let seconds = time.as_nanosecond().div_euclid(1_000_000_000) as i64;
            let nanos = time.as_nanosecond().rem_euclid(1_000_000_000) as u64;
            put_message(out, number, |out| {
                put_number(out, 1, seconds as u64);
                put_number(out, 2, nanos);
                Ok::<(), EncodeError>(())
            })?;
        }
        Shape::Duration => {
            let text = json.string()?;
            let nanoseconds = special::duration_nanoseconds(&text.text()?).ok_or(EncodeError)?;
            put_message(out, number, |out| {
                put_number(out, 1, nanoseconds as u64);
                Ok::<(), EncodeError>(())
            })?;
        }
        _ => put_message(out, number, |out| {
            put_bytes(out, 1, json.value()?);
            Ok::<(), EncodeError>(())
        })?,
    }
    Ok(())
}

fn put_int_or_string(out: &mut Vec<u8>, json: &mut Scanner<'_>) -> Result<(), EncodeError> {
    if json.peek() == Some(b'"') {
        put_number(out, 1, 1);
        put_bytes(out, 3, &json.string()?.bytes()?);
    } else {
        put_number(out, 1, 0);
        put_number(out, 2, json.integer()? as u64);
    }
    Ok(())
}
