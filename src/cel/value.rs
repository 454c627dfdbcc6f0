//! Values while an expression is evaluated. Data stays where it is: a tree of JSON is read through its declaration, and
//! only what an expression touches becomes a value.

use crate::library::{Access, Cidr, Format, Semver, Url, read_duration, read_timestamp};
use crate::record::Made;
use crate::types::{Decl, Merge, Shape, Type};
use alcove_object::Quantity;
use jiff::Timestamp;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// A value of the language.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the types of the language need no more words than their names
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Timestamp(Timestamp),
    /// Nanoseconds.
    Duration(i64),
    /// A list or map as it stands in JSON.
    Tree(Tree<'a>),
    List(Arc<Vec<Value<'a>>>),
    Map(Arc<BTreeMap<Key<'a>, Value<'a>>>),
    Made(Arc<Made<'a>>),
    /// A type, by its name.
    Type(&'static str),
    Optional(Option<Box<Value<'a>>>),
    Ip(IpAddr),
    Cidr(Cidr),
    Quantity(Box<Quantity>),
    Url(Arc<Url>),
    Semver(Arc<Semver>),
    Format(&'static Format),
    /// A question that is put together of what somebody may do, or its answer.
    Access(Arc<Access<'a>>),
    /// What could not be evaluated: whoever selects it from what holds it fails with the reason.
    Failed(Arc<str>),
}

/// JSON, and what is declared of it.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    json: &'a Json,
    decl: Option<&'a Decl>,
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Key<'a> {
    Bool(bool),
    /// Of either kind of whole number: equal ones are one key.
    Number(i128),
    String(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// JSON as a value, by its declaration, or by what it looks like if there is none.
    pub fn of(json: &'a Json, decl: Option<&'a Decl>) -> Value<'a> {
        let kind = match decl.map(|decl| &decl.shape) {
            Some(Shape::Scalar(kind)) => Some(kind),
            _ => None,
        };
        match (json, kind) {
            (Json::Null, _) => Value::Null,
            (Json::Bool(b), _) => Value::Bool(*b),
            (Json::Number(n), Some(Type::Double)) => Value::Double(n.as_f64().unwrap_or(0.0)),
            (Json::Number(n), _) => match (n.as_i64(), n.as_f64()) {
                (Some(n), _) => Value::Int(n),
                (None, Some(n)) if matches!(kind, Some(Type::Int)) && n.fract() == 0.0 => {
                    Value::Int(n as i64)
                }
                (None, n) => Value::Double(n.unwrap_or(0.0)),
            },
            (Json::String(text), kind) => Value::of_text(text, kind),
            (Json::Array(_) | Json::Object(_), _) => {
                Value::Tree(Tree { json, decl: decl.filter(|_| kind.is_none()) })
            }
        }
    }

    fn of_text(text: &'a str, kind: Option<&Type>) -> Value<'a> {
        let read = match kind {
            Some(Type::Timestamp) => read_timestamp(text).map(Value::Timestamp),
            Some(Type::Duration) => read_duration(text).map(Value::Duration),
            Some(Type::Bytes) => crate::library::read_base64(text).map(|bytes| Value::Bytes(bytes.into())),
            _ => None,
        };
        // Validation has judged formats before rules see them.
        read.unwrap_or(Value::String(text.into()))
    }

    pub(crate) fn text(text: impl Into<String>) -> Value<'a> {
        Value::String(Cow::Owned(text.into()))
    }

    pub(crate) fn list(items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(Arc::new(items))
    }

    pub(crate) fn some(value: Value<'a>) -> Value<'a> {
        Value::Optional(Some(Box::new(value)))
    }

    /// The name of the value's type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Tree(Tree { json: Json::Array(_), .. }) | Value::List(_) => "list",
            Value::Tree(_) | Value::Map(_) => "map",
            Value::Made(made) if made.name == "JSONPatch" => "JSONPatch",
            Value::Made(_) => "Object",
            Value::Type(_) => "type",
            Value::Optional(_) => "optional_type",
            Value::Ip(_) => "net.IP",
            Value::Cidr(_) => "net.CIDR",
            Value::Quantity(_) => "kubernetes.Quantity",
            Value::Url(_) => "kubernetes.URL",
            Value::Semver(_) => "kubernetes.Semver",
            Value::Format(_) => "kubernetes.NamedFormat",
            Value::Access(access) => access.type_name(),
            Value::Failed(_) => "error",
        }
    }

    /// The items, if this is a list.
    pub(crate) fn items(&self) -> Option<Items<'_, 'a>> {
        match self {
            Value::List(items) => Some(Items::Values(items)),
            Value::Tree(Tree { json: Json::Array(items), decl }) => {
                Some(Items::Json(items, decl.and_then(|decl| decl.element()).map(|item| &**item)))
            }
            _ => None,
        }
    }

    /// The entries, if this is a map.
    pub(crate) fn entries(&self) -> Option<Vec<(Key<'a>, Value<'a>)>> {
        match self {
            Value::Map(map) => Some(map.iter().map(|(k, v)| (k.clone(), v.clone())).collect()),
            Value::Tree(Tree { json: Json::Object(map), decl }) => {
                let entry = |(key, value): (&'a String, &'a Json)| {
                    let inner = decl.and_then(|decl| match &decl.shape {
                        Shape::Object(fields) => fields.values().find(|f| *f.json == **key).map(|f| &*f.decl),
                        _ => decl.element().map(|d| &**d),
                    });
                    (Key::String(key.as_str().into()), Value::of(value, inner))
                };
                Some(map.iter().map(entry).collect())
            }
            _ => None,
        }
    }

    /// What a map or an object has under a name. `None`: it is neither; `Some(None)`: nothing.
    pub(crate) fn get(&self, key: &Key<'_>) -> Option<Option<Value<'a>>> {
        match self {
            Value::Map(map) => Some(map.get(key).cloned()),
            Value::Made(made) => match key {
                Key::String(name) => Some(made.fields.get(&**name).cloned()),
                _ => Some(None),
            },
            Value::Tree(Tree { json: Json::Object(map), decl }) => {
                let Key::String(name) = key else { return Some(None) };
                let (json, inner) = match decl.map(|decl| (decl, &decl.shape)) {
                    Some((_, Shape::Object(fields))) => match fields.get(&**name) {
                        Some(field) => (&*field.json, Some(&*field.decl)),
                        None => return Some(None),
                    },
                    Some((decl, _)) => (&**name, decl.element().map(|d| &**d)),
                    None => (&**name, None),
                };
                Some(map.get(json).map(|value| Value::of(value, inner)))
            }
            _ => None,
        }
    }

    /// The value as a key.
    pub(crate) fn key(&self) -> Option<Key<'a>> {
        Some(match self {
            Value::Bool(b) => Key::Bool(*b),
            Value::Int(n) => Key::Number(i128::from(*n)),
            Value::Uint(n) => Key::Number(i128::from(*n)),
            Value::Double(n) if n.fract() == 0.0 => Key::Number(*n as i128),
            Value::String(text) => Key::String(text.clone()),
            _ => return None,
        })
    }

    /// Characters, bytes, items or entries; 1 for everything else.
    pub(crate) fn size(&self) -> u64 {
        let size = match self {
            Value::String(text) if text.is_ascii() => text.len(),
            Value::String(text) => text.chars().count(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(items) => items.len(),
            Value::Map(map) => map.len(),
            Value::Tree(Tree { json: Json::Array(items), .. }) => items.len(),
            Value::Tree(Tree { json: Json::Object(map), .. }) => map.len(),
            Value::Optional(Some(inner)) => return inner.size(),
            _ => 1,
        };
        size as u64
    }

    /// How items of the list are told apart, if the list says so.
    pub(crate) fn merge(&self) -> &'a Merge {
        match self {
            Value::Tree(Tree { decl: Some(Decl { shape: Shape::List(_, merge), .. }), .. }) => merge,
            _ => &Merge::Atomic,
        }
    }

    /// Whether two values are the same; numbers of all types are compared by their worth.
    pub fn equals(&self, other: &Value<'a>) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::Type(a), Value::Type(b)) => a == b,
            (Value::Optional(Some(a)), Value::Optional(Some(b))) => a.equals(b),
            (Value::Optional(None), Value::Optional(None)) => true,
            (Value::Ip(a), Value::Ip(b)) => a == b,
            (Value::Cidr(a), Value::Cidr(b)) => a == b,
            (Value::Quantity(a), Value::Quantity(b)) => a.cmp(b) == Ordering::Equal,
            (Value::Url(a), Value::Url(b)) => a == b,
            (Value::Semver(a), Value::Semver(b)) => a.cmp(b) == Ordering::Equal,
            (Value::Format(a), Value::Format(b)) => std::ptr::eq(*a, *b),
            (Value::Made(a), Value::Made(b)) => a.equals(b),
            _ => match (self.items(), other.items()) {
                (Some(a), Some(b)) => same_items(self, &a, &b),
                (None, None) => match (self.number(), other.number()) {
                    (Some(_), Some(_)) => self.compare(other) == Some(Ordering::Equal),
                    _ => self.equal_maps(other).unwrap_or(false),
                },
                _ => false,
            },
        }
    }

    fn equal_maps(&self, other: &Value<'a>) -> Option<bool> {
        let (ours, theirs) = (self.entries()?, other.entries()?);
        let same = |(key, value): &(Key<'a>, Value<'a>)| match other.get(key) {
            Some(Some(other)) => value.equals(&other),
            _ => false,
        };
        // Objects are seen by the names in JSON, which are the same on both sides if both are of one declaration.
        if let (Value::Tree(a), Value::Tree(b)) = (self, other)
            && a.is_object_of(b)
        {
            return Some(a.json == b.json);
        }
        Some(ours.len() == theirs.len() && ours.iter().all(same))
    }

    fn number(&self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(*n as f64),
            Value::Uint(n) => Some(*n as f64),
            Value::Double(n) => Some(*n),
            _ => None,
        }
    }

    fn whole(&self) -> Option<i128> {
        match self {
            Value::Int(n) => Some(i128::from(*n)),
            Value::Uint(n) => Some(i128::from(*n)),
            _ => None,
        }
    }

    /// The order of two values; `None` if they have none.
    pub(crate) fn compare(&self, other: &Value<'a>) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
            (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
            (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
            _ => match (self.whole(), other.whole()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => self.number()?.partial_cmp(&other.number()?),
            },
        }
    }
}

impl<'a> Tree<'a> {
    /// What it is.
    pub(crate) fn json(&self) -> &'a Json {
        self.json
    }

    fn is_object_of(&self, other: &Tree<'_>) -> bool {
        match (self.decl, other.decl) {
            (Some(a), Some(b)) => std::ptr::eq(a, b) && matches!(a.shape, Shape::Object(_)),
            _ => false,
        }
    }
}

/// The items of a list, wherever they stand.
#[derive(Clone, Copy)]
pub(crate) enum Items<'v, 'a> {
    Values(&'v [Value<'a>]),
    Json(&'a [Json], Option<&'a Decl>),
}

impl<'v, 'a> Items<'v, 'a> {
    pub fn len(&self) -> usize {
        match self {
            Items::Values(items) => items.len(),
            Items::Json(items, _) => items.len(),
        }
    }

    pub fn get(&self, i: usize) -> Option<Value<'a>> {
        match self {
            Items::Values(items) => items.get(i).cloned(),
            Items::Json(items, decl) => items.get(i).map(|item| Value::of(item, *decl)),
        }
    }

    pub fn iter(self) -> impl Iterator<Item = Value<'a>> + use<'v, 'a> {
        (0..self.len()).filter_map(move |i| self.get(i))
    }
}

fn same_items<'a>(list: &Value<'a>, a: &Items<'_, 'a>, b: &Items<'_, 'a>) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (Items::Json(ours, _), Items::Json(theirs, _)) = (a, b) else {
        return a.iter().zip(b.iter()).all(|(a, b)| a.equals(&b));
    };
    match list.merge() {
        Merge::Atomic => a.iter().zip(b.iter()).all(|(a, b)| a.equals(&b)),
        merge => {
            let theirs: HashMap<String, &Json> =
                theirs.iter().map(|item| (identity(item, merge), item)).collect();
            ours.iter().all(|item| theirs.get(&identity(item, merge)) == Some(&item))
        }
    }
}

/// What tells an item of a set or a map apart from the others.
pub(crate) fn identity(item: &Json, merge: &Merge) -> String {
    match merge {
        Merge::Map(keys) => {
            let values: Vec<&Json> = keys.iter().map(|key| item.get(&**key).unwrap_or(&Json::Null)).collect();
            serde_json::to_string(&values).unwrap_or_default()
        }
        _ => item.to_string(),
    }
}

impl<'a> Key<'a> {
    /// The key as a value.
    pub(crate) fn value(&self) -> Value<'a> {
        match self {
            Key::Bool(b) => Value::Bool(*b),
            Key::Number(n) => match i64::try_from(*n) {
                Ok(n) => Value::Int(n),
                Err(_) => Value::Uint(u64::try_from(*n).unwrap_or(u64::MAX)),
            },
            Key::String(text) => Value::String(text.clone()),
        }
    }
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Key::Bool(b) => write!(f, "{b}"),
            Key::Number(n) => write!(f, "{n}"),
            Key::String(text) => f.write_str(text),
        }
    }
}
