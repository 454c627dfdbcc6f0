//! Protobuf messages to trees, told what they are by the type form alone.
//!
//! A body is `k8s\0` and a `runtime.Unknown` that names the kind and holds the message
//! (k8s.io/apimachinery/pkg/runtime/serializer/protobuf). Unknown numbers are skipped, as protobuf has it.

use super::special::{self, Spelling};
use super::wire::{Content, Reader, WireError};
use crate::limits::DEPTH_MAX;
use crate::types::{Field, Shape, View};
use alcove_object::{Value, time};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Number};
use std::fmt;

/// What every body begins with.
pub(super) const PREFIX: &[u8] = b"k8s\0";

/// The envelope around a message.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) raw: &'a [u8],
}

/// As upstream prints it when a kind is missing.
impl fmt::Display for Envelope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "runtime.TypeMeta{{APIVersion:{:?}, Kind:{:?}}}", self.api_version, self.kind)
    }
}

/// Opens a body.
pub(super) fn open(body: &[u8]) -> Result<Envelope<'_>, WireError> {
    if body.is_empty() {
        return Err(WireError::NoData);
    }
    let message = body.strip_prefix(PREFIX).ok_or(WireError::NoPrefix)?;
    if message.is_empty() {
        return Err(WireError::NoBody);
    }
    let mut envelope = Envelope::default();
    let mut fields = Reader::new(message);
    while let Some((number, content)) = fields.field()? {
        match number {
            1 => {
                let mut meta = Reader::new(content.bytes("TypeMeta")?);
                while let Some((number, content)) = meta.field()? {
                    match number {
                        1 => envelope.api_version = content.text("APIVersion")?.to_owned(),
                        2 => envelope.kind = content.text("Kind")?.to_owned(),
                        _ => {}
                    }
                }
            }
            2 => envelope.raw = content.bytes("Raw")?,
            _ => {}
        }
    }
    Ok(envelope)
}

/// Reads a message of this type. Zero values are in the tree where the wire has them.
pub(super) fn message(bytes: &[u8], view: View<'_>) -> Result<Value, WireError> {
    let mut map = Map::new();
    fields_of(bytes, view, &[], &mut map, 0)?;
    Ok(Value::Object(map))
}

/// Reads the fields of a message into a map: those of a struct, as far as they stand at `within`.
fn fields_of(
    bytes: &[u8],
    view: View<'_>,
    within: &[u32],
    map: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), WireError> {
    if depth > DEPTH_MAX {
        return Err(WireError::Depth);
    }
    let mut reader = Reader::new(bytes);
    while let Some((number, content)) = reader.field()? {
        match find(view.fields(), within, number) {
            Found::Field(field) => {
                let child = view.at(field.schema);
                match map.get_mut(&*field.name) {
                    Some(slot) => *slot = value(content, child, Some(slot.take()), &field.name, depth)?,
                    None => {
                        let value = value(content, child, None, &field.name, depth)?;
                        map.insert(field.name.to_string(), value);
                    }
                }
            }
            Found::Inlined => {
                let mut path = within.to_vec();
                path.push(number);
                fields_of(content.bytes("inlined message")?, view, &path, map, depth + 1)?;
            }
            Found::Nothing => {}
        }
    }
    Ok(())
}

enum Found<'a> {
    Field(&'a Field),
    /// A message that is a struct of its own only on the wire.
    Inlined,
    Nothing,
}

fn find<'a>(fields: &'a [Field], within: &[u32], number: u32) -> Found<'a> {
    // By lengths and numbers first: what is inlined is rare, and comparing slices for every field is not free.
    let depth = within.len();
    for field in fields {
        if field.within.len() == depth {
            if field.number == number && (depth == 0 || *field.within == *within) {
                return Found::Field(field);
            }
        } else if field.within.get(depth) == Some(&number) && field.within.starts_with(within) {
            return Found::Inlined;
        }
    }
    Found::Nothing
}

/// Reads one occurrence of a field. `before` is what earlier occurrences gave: lists and maps grow, messages merge.
fn value(
    content: Content<'_>,
    view: View<'_>,
    before: Option<Value>,
    name: &str,
    depth: usize,
) -> Result<Value, WireError> {
    if depth > DEPTH_MAX {
        return Err(WireError::Depth);
    }
    match view.shape() {
        Shape::Struct(_) => {
            let mut map = into_map(before);
            fields_of(content.bytes(name)?, view, &[], &mut map, depth + 1)?;
            Ok(Value::Object(map))
        }
        Shape::Map(item) => {
            let mut map = into_map(before);
            let (key, value) = entry(content.bytes(name)?, view.at(*item), name, depth + 1)?;
            map.insert(key, value);
            Ok(Value::Object(map))
        }
        Shape::List(item) if view.schema().wrapped => {
            let mut items = into_list(before);
            let mut reader = Reader::new(content.bytes(name)?);
            while let Some((number, content)) = reader.field()? {
                if number == 1 {
                    push(&mut items, content, view.at(*item), name, depth + 1)?;
                }
            }
            Ok(Value::Array(items))
        }
        Shape::List(item) => {
            let mut items = into_list(before);
            push(&mut items, content, view.at(*item), name, depth + 1)?;
            Ok(Value::Array(items))
        }
        Shape::BoolOr(_) | Shape::OneOrList(_) | Shape::OneOrStrings(_) => {
            either(content.bytes(name)?, view, name, depth + 1)
        }
        _ => leaf(content, view.shape(), name),
    }
}

fn into_map(before: Option<Value>) -> Map<String, Value> {
    match before {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn into_list(before: Option<Value>) -> Vec<Value> {
    match before {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// Adds an occurrence of a repeated field: one item, or many numbers packed into bytes.
fn push(
    items: &mut Vec<Value>,
    content: Content<'_>,
    view: View<'_>,
    name: &str,
    depth: usize,
) -> Result<(), WireError> {
    let (Shape::Int32 | Shape::Int64 | Shape::Boolean | Shape::Double, Content::Bytes(packed)) =
        (view.shape(), content)
    else {
        items.push(value(content, view, None, name, depth)?);
        return Ok(());
    };
    let mut reader = Reader::new(packed);
    while !reader.is_empty() {
        let content = match view.shape() {
            Shape::Double => Content::Fixed64(reader.fixed64()?),
            _ => Content::Varint(reader.varint()?),
        };
        items.push(leaf(content, view.shape(), name)?);
    }
    Ok(())
}

/// One entry of a map: key 1, value 2; what is absent is zero.
fn entry(bytes: &[u8], view: View<'_>, name: &str, depth: usize) -> Result<(String, Value), WireError> {
    let mut key = String::new();
    let mut found = None;
    let mut reader = Reader::new(bytes);
    while let Some((number, content)) = reader.field()? {
        match number {
            1 => key = content.text(name)?.to_owned(),
            2 => found = Some(value(content, view, found, name, depth)?),
            _ => {}
        }
    }
    Ok((key, found.unwrap_or(Value::Null)))
}

/// The messages of the types that are a schema or something else.
fn either(bytes: &[u8], view: View<'_>, name: &str, depth: usize) -> Result<Value, WireError> {
    let mut found = match view.shape() {
        Shape::BoolOr(_) => Value::Bool(false),
        _ => Value::Null,
    };
    let mut reader = Reader::new(bytes);
    while let Some((number, content)) = reader.field()? {
        found = match (view.shape(), number) {
            (Shape::BoolOr(_), 1) if !found.is_object() => (content.varint(name)? != 0).into(),
            (Shape::BoolOr(schema), 2) => value(content, view.at(*schema), Some(found), name, depth)?,
            (Shape::OneOrList(schema) | Shape::OneOrStrings(schema), 1) if !found.is_array() => {
                value(content, view.at(*schema), Some(found), name, depth)?
            }
            (Shape::OneOrList(schema), 2) => {
                let mut items = into_list(Some(found));
                push(&mut items, content, view.at(*schema), name, depth)?;
                Value::Array(items)
            }
            (Shape::OneOrStrings(_), 2) => {
                let mut items = into_list(Some(found));
                items.push(content.text(name)?.into());
                Value::Array(items)
            }
            _ => found,
        };
    }
    Ok(found)
}

fn leaf(content: Content<'_>, shape: &Shape, name: &str) -> Result<Value, WireError> {
    match shape {
        Shape::String => Ok(content.text(name)?.into()),
        Shape::Boolean => Ok((content.varint(name)? != 0).into()),
        Shape::Int32 => Ok((content.varint(name)? as i32).into()),
        Shape::Int64 => Ok((content.varint(name)? as i64).into()),
        Shape::Double => double(content, name),
        Shape::Bytes => Ok(STANDARD.encode(content.bytes(name)?).into()),
        Shape::IntOrString => int_or_string(content.bytes(name)?),
        Shape::Quantity => quantity(content.bytes(name)?),
        Shape::Time => timestamp(content.bytes(name)?, false),
        Shape::MicroTime => timestamp(content.bytes(name)?, true),
        Shape::Duration => duration(content.bytes(name)?),
        _ => raw(content.bytes(name)?),
    }
}

fn double(content: Content<'_>, name: &str) -> Result<Value, WireError> {
    let float = match content {
        Content::Fixed64(bits) => f64::from_bits(bits),
        Content::Fixed32(bits) => f32::from_bits(bits).into(),
        other => return Err(other.wrong(name)),
    };
    let number = Number::from_f64(float);
    number.map(Value::Number).ok_or_else(|| WireError::Value(format!("json: unsupported value: {float}")))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, WireError> {
    let (mut is_text, mut int, mut text) = (false, 0, "");
    let mut reader = Reader::new(bytes);
    while let Some((number, content)) = reader.field()? {
        match number {
            1 => is_text = content.varint("Type")? == 1,
            2 => int = content.varint("IntVal")? as i32,
            3 => text = content.text("StrVal")?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { int.into() })
}

fn quantity(bytes: &[u8]) -> Result<Value, WireError> {
    let mut text = "0";
    let mut reader = Reader::new(bytes);
    while let Some((number, content)) = reader.field()? {
        if number == 1 {
            text = content.text("String_")?;
        }
    }
    let spelled = special::quantity(text).map_err(WireError::Value)?;
    Ok(spelled.map_or_else(|| text.into(), Value::String))
}

/// Seconds and nanos; an empty message is no time at all.
fn timestamp(bytes: &[u8], micro: bool) -> Result<Value, WireError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, content)) = reader.field()? {
        match number {
            1 => seconds = content.varint("Seconds")? as i64,
            2 => nanos = content.varint("Nanos")? as i32,
            _ => {}
        }
    }
    let time = Timestamp::new(seconds, if micro { nanos } else { 0 })
        .map_err(|_| WireError::Value("Time.MarshalJSON: year outside of range [0,9999]".to_owned()))?;
    let text = if micro { time::format_micro(time) } else { time::format(time) };
    Ok(match special::time(&text) {
        Ok(Spelling::Zero) => Value::Null,
        _ => text.into(),
    })
}

fn duration(bytes: &[u8]) -> Result<Value, WireError> {
    let mut nanoseconds = 0;
    let mut reader = Reader::new(bytes);
    while let Some((number, content)) = reader.field()? {
        if number == 1 {
            nanoseconds = content.varint("Duration")? as i64;
        }
    }
    Ok(special::duration_text(nanoseconds).into())
}

/// JSON in a message of its own: RawExtension, JSON, FieldsV1. Without bytes it is null.
fn raw(bytes: &[u8]) -> Result<Value, WireError> {
    let mut text: &[u8] = &[];
    let mut reader = Reader::new(bytes);
    while let Some((number, content)) = reader.field()? {
        if number == 1 {
            text = content.bytes("Raw")?;
        }
    }
    if text.is_empty() {
        return Ok(Value::Null);
    }
    super::json::parse(text).map(|parsed| parsed.value).map_err(|error| WireError::Value(error.to_string()))
}
