//! Types whose values expressions make, `Name{field: value}`, and what becomes of values outside: JSON.

use crate::limits::REQUEST_BYTES_MAX;
use crate::types::Type;
use crate::value::{Key, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// A type whose values expressions make.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Its name.
    pub name: &'static str,
    /// Its fields. `None`: any, of any type; and whatever its name and a dot begin is such a type, too
    /// (`Object.spec` beside `Object`).
    pub fields: Option<&'static [(&'static str, Type)]>,
}

impl Record {
    /// Whether the name is that of the type, or of one inside of it.
    fn is_named(&self, name: &str) -> bool {
        match name.strip_prefix(self.name) {
            Some("") => true,
            Some(rest) => self.fields.is_none() && rest.starts_with('.'),
            None => false,
        }
    }

    /// The record that a name means.
    pub(crate) fn find<'r>(records: &'r [Record], name: &str) -> Option<&'r Record> {
        records.iter().find(|record| record.is_named(name))
    }

    /// The type of a field, if there is such a one.
    pub(crate) fn field(&self, name: &str) -> Option<Type> {
        match self.fields {
            None => Some(Type::Dyn),
            Some(fields) => fields.iter().find(|(known, _)| *known == name).map(|(_, kind)| kind.clone()),
        }
    }
}

/// A value of a record.
#[derive(Clone, Debug)]
pub struct Made<'a> {
    /// The name of its type.
    pub name: &'a str,
    /// Its fields.
    pub fields: BTreeMap<&'a str, Value<'a>>,
}

impl<'a> Made<'a> {
    pub(crate) fn equals(&self, other: &Made<'a>) -> bool {
        let same = |(name, value): (&&str, &Value<'a>)| {
            other.fields.get(name).is_some_and(|other| value.equals(other))
        };
        self.name == other.name && self.fields.len() == other.fields.len() && self.fields.iter().all(same)
    }
}

impl<'a> Value<'a> {
    /// The value as JSON. Fails for what JSON has no form for, and when it would have more bytes than a request may.
    pub fn json(&self) -> Result<Json, String> {
        let mut room = REQUEST_BYTES_MAX;
        self.json_within(&mut room)
    }

    fn json_within(&self, room: &mut u64) -> Result<Json, String> {
        let text = |text: String| Ok(Json::String(text));
        match self {
            Value::String(text) => take(room, text.len())?,
            Value::Bytes(bytes) => take(room, bytes.len())?,
            _ => take(room, 1)?,
        }
        match self {
            Value::Null => Ok(Json::Null),
            Value::Bool(b) => Ok(json!(b)),
            Value::Int(n) => Ok(json!(n)),
            Value::Uint(n) => Ok(json!(n)),
            Value::Double(n) => Ok(json!(n)),
            Value::String(held) => text(held.to_string()),
            Value::Bytes(bytes) => text(STANDARD.encode(bytes)),
            Value::Timestamp(time) => text(time.to_string()),
            Value::Made(made) => {
                let fields = made.fields.iter().map(|(name, value)| {
                    take(room, name.len())?;
                    Ok(((*name).to_owned(), value.json_within(room)?))
                });
                Ok(Json::Object(fields.collect::<Result<Map<_, _>, String>>()?))
            }
            Value::Tree(tree) => {
                weigh(tree.json(), room)?;
                Ok(tree.json().clone())
            }
            Value::List(items) => {
                let items = items.iter().map(|item| item.json_within(room));
                Ok(Json::Array(items.collect::<Result<_, String>>()?))
            }
            Value::Map(map) => {
                let entries = map.iter().map(|(key, value)| {
                    let Key::String(name) = key else {
                        return Err(format!("map key {key} is not of type string"));
                    };
                    take(room, name.len())?;
                    Ok((name.to_string(), value.json_within(room)?))
                });
                Ok(Json::Object(entries.collect::<Result<Map<_, _>, String>>()?))
            }
            other => Err(format!("a value of type {} has no form in JSON", other.type_name())),
        }
    }

    /// Upstream's words for each record whose name is not the path of fields that leads to it, from the root's on
    /// (k8s.io/apiserver/pkg/cel/mutation/dynamic). Lists and maps between them have no names.
    pub fn misnamed(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Value::Made(made) = self {
            self.misnamed_below(made.name, &mut wrong);
        }
        wrong
    }

    fn misnamed_below(&self, path: &str, wrong: &mut Vec<String>) {
        match self {
            Value::Made(made) => {
                if made.name != path {
                    let name = made.name;
                    wrong.push(format!(
                        "unexpected type name {name:?}, expected {path:?}, which matches field name path from root Object type"
                    ));
                }
                for (name, value) in &made.fields {
                    value.misnamed_below(&format!("{path}.{name}"), wrong);
                }
            }
            Value::List(items) => items.iter().for_each(|item| item.misnamed_below(path, wrong)),
            Value::Map(map) => map.values().for_each(|value| value.misnamed_below(path, wrong)),
            _ => {}
        }
    }
}

/// Takes bytes from those that are left.
fn take(room: &mut u64, bytes: usize) -> Result<(), String> {
    // Quotes, a comma or a colon.
    let bytes = bytes as u64 + 3;
    *room = room.checked_sub(bytes).ok_or("the value is larger than a request may be")?;
    Ok(())
}

fn weigh(json: &Json, room: &mut u64) -> Result<(), String> {
    match json {
        Json::String(text) => take(room, text.len()),
        Json::Array(items) => items.iter().try_for_each(|item| weigh(item, room)),
        Json::Object(map) => map.iter().try_for_each(|(key, value)| {
            take(room, key.len())?;
            weigh(value, room)
        }),
        _ => take(room, 1),
    }
}
