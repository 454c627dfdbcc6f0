//! Path elements: the ways to name one child of an object or a list
//! (sigs.k8s.io/structured-merge-diff/v6/fieldpath/element.go).
//!
//! Elements borrow from the objects and schemas they were found in, since every write makes hundreds of them.

use alcove_object::Value;
use serde_json::Number;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

/// One step from a value to a value inside it. The order is upstream's, which is the order of stored field sets.
#[derive(Clone, Debug)]
pub enum Element<'a> {
    /// A field of a struct or a key of a map.
    Field(Cow<'a, str>),
    /// The item of a list with these key fields, sorted by name.
    Key(Rc<[KeyField<'a>]>),
    /// The item of a set with this value.
    Value(Cow<'a, Value>),
    /// The item at this position.
    Index(i64),
}

/// One field of a list item's key.
#[derive(Clone, Debug)]
pub struct KeyField<'a> {
    /// Name of the field.
    pub name: Cow<'a, str>,
    /// Its value in the item, or the schema's default.
    pub value: Cow<'a, Value>,
}

impl Ord for Element<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Element::Field(a), Element::Field(b)) => a.cmp(b),
            (Element::Key(a), Element::Key(b)) => compare_keys(a, b),
            (Element::Value(a), Element::Value(b)) => compare(a, b),
            (Element::Index(a), Element::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Element<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Element<'_> {}

impl<'a> Element<'a> {
    /// A field by its name.
    pub fn field(name: &'a str) -> Element<'a> {
        Element::Field(Cow::Borrowed(name))
    }

    fn rank(&self) -> u8 {
        match self {
            Element::Field(_) => 0,
            Element::Key(_) => 1,
            Element::Value(_) => 2,
            Element::Index(_) => 3,
        }
    }
}

/// As people read it: `.name`, `[name="a",port=80]`, `[="a"]`, `[0]`.
impl fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Field(name) => write!(f, ".{name}"),
            Element::Key(fields) => {
                f.write_str("[")?;
                for (i, field) in fields.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{}={}", field.name, Shown(&field.value))?;
                }
                f.write_str("]")
            }
            Element::Value(value) => write!(f, "[={}]", Shown(value)),
            Element::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A value inside a path, as upstream prints it.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Array(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{}", Shown(item))?;
                }
                f.write_str("]")
            }
            Value::Object(map) => map.iter().try_for_each(|(k, v)| write!(f, "{k}={}", Shown(v))),
            Value::String(text) => write!(f, "{text:?}"),
            other => write!(f, "{other}"),
        }
    }
}

fn compare_keys(a: &[KeyField<'_>], b: &[KeyField<'_>]) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        let order = a.name.cmp(&b.name).then_with(|| compare(&a.value, &b.value));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// The order of values: numbers, texts, booleans, lists, maps, null; numbers by size whatever their type.
pub fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => a
            .iter()
            .zip(b)
            .map(|(a, b)| compare(a, b))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| a.len().cmp(&b.len())),
        (Value::Object(a), Value::Object(b)) => a
            .iter()
            .zip(b)
            .map(|((ak, av), (bk, bv))| ak.cmp(bk).then_with(|| compare(av, bv)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| a.len().cmp(&b.len())),
        _ => kind_rank(a).cmp(&kind_rank(b)),
    }
}

/// Whether two values are the same, where `1` and `1.0` are.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((ak, av), (bk, bv))| ak == bk && equal(av, bv))
        }
        _ => compare(a, b) == Ordering::Equal,
    }
}

/// Whether two values are the same text, boolean or number. Spares a look into the schema where it cannot matter.
pub(super) fn is_same_scalar(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => a == b,
        _ => false,
    }
}

/// Whether two objects are the same but for their managed fields.
pub(super) fn equal_unmanaged(a: &Value, b: &Value) -> bool {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return equal(a, b) };
    let same = |key: &String, a: &Value, b: &Value| match (a, b) {
        (Value::Object(a), Value::Object(b)) if key == "metadata" => {
            let owned = |(key, _): &(&String, &Value)| *key != "managedFields";
            let (mut a, mut b) = (a.iter().filter(owned), b.iter().filter(owned));
            loop {
                match (a.next(), b.next()) {
                    (None, None) => return true,
                    (Some((ak, av)), Some((bk, bv))) if ak == bk && equal(av, bv) => {}
                    _ => return false,
                }
            }
        }
        _ => equal(a, b),
    };
    a.len() == b.len() && a.iter().zip(b).all(|((ak, av), (bk, bv))| ak == bk && same(ak, av, bv))
}

fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => {
            let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0));
            a.partial_cmp(&b).unwrap_or(Ordering::Equal)
        }
    }
}

fn kind_rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}
