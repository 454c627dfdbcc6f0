//! JSON bytes to a tree.
//!
//! A reader of our own instead of serde_json's: it ends nesting at our limit, it notices duplicate keys (the last
//! one wins, as upstream), and a bad body is explained in Go's words.

use super::error::{Cause, DecodeError};
use super::syntax;
use crate::Tree;
use crate::limits::DEPTH_MAX;
use alcove_object::Value;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// A tree and what it does not show.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<T = Value> {
    /// The tree; of a duplicate key, the last value.
    pub value: T,
    /// Whether any object had a key twice.
    pub duplicates: bool,
}

/// Reads one JSON value and nothing after it. Fails on bad syntax and nesting past the limit. What is no UTF-8, and
/// halves of surrogate pairs, become replacement characters, as in Go.
pub fn parse(text: &[u8]) -> Result<Parsed, DecodeError> {
    let Parsed { value, duplicates } = borrow(text)?;
    Ok(Parsed { value: value.into_value(), duplicates })
}

/// The same, borrowing texts.
pub(super) fn borrow(text: &[u8]) -> Result<Parsed<Tree<'_>>, DecodeError> {
    let read = read(text).or_else(|error| {
        // Hardly any body needs this, so only what could not be read pays for it.
        let legible = legible(text).ok_or(error)?;
        let Parsed { value, duplicates } = read(&legible)?;
        Ok(Parsed { value: value.into_value().into(), duplicates })
    });
    read.map_err(|error: serde_json::Error| {
        Cause::Json(syntax::explain(text).unwrap_or_else(|| error.to_string())).into()
    })
}

fn read(text: &[u8]) -> Result<Parsed<Tree<'_>>, serde_json::Error> {
    let duplicates = Cell::new(false);
    // Checked as a whole, a text need not be checked string by string.
    let text = std::str::from_utf8(text).map_err(Error::custom)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Reader { depth: 0, duplicates: &duplicates }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(Parsed { value, duplicates: duplicates.get() })
}

/// The text with a replacement character for each byte that is part of no character, and for each escape that stands
/// for half a surrogate pair. `None` if there are none.
fn legible(text: &[u8]) -> Option<Vec<u8>> {
    const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
    let mut legible = Vec::with_capacity(text.len());
    let (mut rest, mut is_changed) = (text, false);
    while let [first, ..] = rest {
        let (taken, written) = match first {
            b'\\' => escape(rest),
            byte if byte.is_ascii() => (1, &rest[..1]),
            _ => match character(rest) {
                0 => (1, REPLACEMENT),
                length => (length, &rest[..length]),
            },
        };
        is_changed |= rest[..taken] != *written;
        legible.extend_from_slice(written);
        rest = &rest[taken..];
    }
    is_changed.then_some(legible)
}

/// How many bytes the character has that a text begins with; 0 if it is none.
fn character(text: &[u8]) -> usize {
    let start = &text[..text.len().min(4)];
    let valid = match std::str::from_utf8(start) {
        Ok(valid) => valid,
        Err(error) => std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid.chars().next().map_or(0, char::len_utf8)
}

/// The escape that a text begins with: how long it is, and what to write for it.
fn escape(text: &[u8]) -> (usize, &[u8]) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let is_low = |unit: u16| (0xdc00..0xe000).contains(&unit);
    match unit(0) {
        Some(0xd800..=0xdbff) if unit(6).is_some_and(is_low) => (12, &text[..12]),
        Some(0xd800..=0xdfff) => (6, br"\ufffd"),
        Some(_) => (6, &text[..6]),
        None => (text.len().min(2), &text[..text.len().min(2)]),
    }
}

/// Spells numbers as Go does when it writes a tree without types: a float without a fraction as an integer.
pub(super) fn spell_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => spell(number),
        Value::Array(items) => items.iter_mut().for_each(spell_numbers),
        Value::Object(map) => map.values_mut().for_each(spell_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Spells one of them.
pub(super) fn spell(number: &mut Number) {
    if let Some(whole) = whole(number) {
        *number = whole;
    }
}

/// The integer that a float without a fraction stands for, if it fits.
pub(super) fn whole(number: &Number) -> Option<Number> {
    /// From here on not every integer has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if !number.is_f64() {
        return None;
    }
    let float = number.as_f64()?;
    (float.fract() == 0.0 && float.abs() <= EXACT).then(|| Number::from(float as i64))
}

/// Reads a value at a depth. Copied for every child, hence two words small.
#[derive(Clone, Copy)]
struct Reader<'r> {
    depth: usize,
    duplicates: &'r Cell<bool>,
}

/// A text that is borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Reader<'_> {
    fn child<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom("exceeded max depth"));
        }
        Ok(Reader { depth: self.depth + 1, ..self })
    }

    /// The map of entries in their order: the last one with a key wins.
    fn map<'de>(self, mut entries: Vec<(Cow<'de, str>, Tree<'de>)>) -> Tree<'de> {
        if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
            entries.reverse();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            let before = entries.len();
            entries.dedup_by(|(a, _), (b, _)| a == b);
            if entries.len() < before {
                self.duplicates.set(true);
            }
        }
        Tree::Map(entries)
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Tree<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree<'de>, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree<'de>, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree<'de>, E> {
        // Past int64 a number without a type is a float, as upstream.
        match i64::try_from(value) {
            Ok(value) => Ok(Tree::Number(value.into())),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree<'de>, E> {
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree<'de>, A::Error> {
        let child = self.child()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(child)? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree<'de>, A::Error> {
        let child = self.child()?;
        let mut map = Vec::new();
        while let Some(Text(key)) = entries.next_key()? {
            map.push((key, entries.next_value_seed(child)?));
        }
        Ok(self.map(map))
    }
}
