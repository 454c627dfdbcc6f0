//! FieldsV1: a field set as JSON (sigs.k8s.io/structured-merge-diff/v6/fieldpath/serialize.go).
//!
//! Every path element is a key (`f:NAME`, `k:{...}`, `v:VALUE`, `i:INDEX`); `.` says that the path so far is itself in
//! the set, and an empty object says so too. Sets are read from trees and from texts, and written as either.

use super::path::{Element, KeyField};
use super::set::{Node, Set};
use alcove_object::{Value, write};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Map;
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Reads a field set. Elements of kinds that nobody knows are passed over, as upstream does.
///
/// Errors say what cannot be read; they are never shown to clients as they are.
pub fn decode(fields: &Value) -> Result<Set<'_>, String> {
    let map = fields.as_object().ok_or("field set is not an object")?;
    let mut nodes = Vec::with_capacity(map.len());
    for (key, below) in map.iter().filter(|(key, _)| *key != ".") {
        let Some(element) = decode_element(Cow::Borrowed(key))? else { continue };
        let children = decode(below)?;
        let member = children.is_empty() || below.get(".").is_some();
        nodes.push(Node { element, member, children });
    }
    Ok(Set::from_nodes(nodes))
}

/// Reads a field set from its text, as [`decode`] does from a tree of it.
pub fn decode_text(text: &str) -> Result<Set<'_>, String> {
    let read = Level.deserialize(&mut serde_json::Deserializer::from_str(text));
    read.map(|(set, _)| set).map_err(|e| e.to_string())
}

/// Reads one level of a text, and whether it says that the path so far is itself in the set.
struct Level;

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Level {
    type Value = (Set<'de>, bool);

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = (Set<'de>, bool);

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a field set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut nodes = Vec::new();
        let mut is_named = false;
        while let Some(Name(key)) = members.next_key()? {
            if key == "." {
                members.next_value::<IgnoredAny>()?;
                is_named = true;
                continue;
            }
            let element = decode_element(key).map_err(A::Error::custom)?;
            let (children, is_member) = members.next_value_seed(Level)?;
            if let Some(element) = element {
                nodes.push(Node { element, member: is_member || children.is_empty(), children });
            }
        }
        Ok((Set::from_nodes(nodes), is_named))
    }
}

fn decode_element(text: Cow<'_, str>) -> Result<Option<Element<'_>>, String> {
    let Some((kind, rest)) = text.split_at_checked(2).filter(|(kind, _)| kind.ends_with(':')) else {
        return Err(format!("missing colon: {text}"));
    };
    let json =
        || serde_json::from_str::<Value>(rest).map_err(|e| format!("parsing key as path element: {e}"));
    Ok(Some(match kind {
        "f:" => Element::Field(match text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[2..]),
            Cow::Owned(text) => Cow::Owned(text[2..].to_owned()),
        }),
        "v:" => Element::Value(Cow::Owned(json()?)),
        "i:" => Element::Index(rest.parse().map_err(|e| format!("parsing index: {e}"))?),
        "k:" => match json()? {
            Value::Object(map) => Element::Key(
                map.into_iter()
                    .map(|(name, value)| KeyField { name: Cow::Owned(name), value: Cow::Owned(value) })
                    .collect(),
            ),
            _ => return Err(format!("key is not an object: {rest}")),
        },
        _ => return Ok(None),
    }))
}

/// Writes a field set.
pub fn encode(set: &Set<'_>) -> Value {
    let map: Map<String, Value> = set.nodes().iter().map(encode_node).collect();
    Value::Object(map)
}

fn encode_node(node: &Node<'_>) -> (String, Value) {
    let mut below = encode(&node.children);
    if let (true, false, Value::Object(map)) = (node.member, node.children.is_empty(), &mut below) {
        map.insert(".".to_owned(), Value::Object(Map::new()));
    }
    (encode_element(&node.element), below)
}

/// Appends the text of a field set.
pub fn encode_text(set: &Set<'_>, out: &mut Vec<u8>) {
    encode_level(set, false, out);
}

fn encode_level(set: &Set<'_>, is_member: bool, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut comma: &[u8] = b"";
    if is_member && !set.is_empty() {
        out.extend_from_slice(br#"".":{}"#);
        comma = b",";
    }
    // Fields come first and in the order of their names, the rest in the order of its texts.
    let rest_at = set.nodes().partition_point(|node| matches!(node.element, Element::Field(_)));
    let (fields, rest) = set.nodes().split_at(rest_at);
    for node in fields {
        let Element::Field(name) = &node.element else { continue };
        out.extend_from_slice(comma);
        comma = b",";
        put_field(name, out);
        out.push(b':');
        encode_level(&node.children, node.member, out);
    }
    let mut rest: Vec<(String, &Node<'_>)> =
        rest.iter().map(|node| (encode_element(&node.element), node)).collect();
    rest.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (key, node) in rest {
        out.extend_from_slice(comma);
        comma = b",";
        put_key(&key, out);
        out.push(b':');
        encode_level(&node.children, node.member, out);
    }
    out.push(b'}');
}

/// Writes the name of a field.
pub(super) fn put_field(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"f:");
    // Hardly any has something to escape.
    if !name.bytes().any(|c| c < b' ' || matches!(c, b'"' | b'\\')) {
        out.extend_from_slice(name.as_bytes());
        return out.push(b'"');
    }
    let quote = out.len();
    write::text(out, name);
    out.remove(quote);
}

/// Writes the key of an item or a value. It is made of JSON, so that nothing else has to be escaped in it.
pub(super) fn put_key(key: &str, out: &mut Vec<u8>) {
    out.reserve(2 * key.len() + 2);
    out.push(b'"');
    for byte in key.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn encode_element(element: &Element<'_>) -> String {
    match element {
        Element::Field(name) => ["f:", name].concat(),
        Element::Value(value) => format!("v:{}", json_text(value)),
        Element::Index(index) => format!("i:{index}"),
        Element::Key(fields) => {
            let mut out = String::with_capacity(48);
            out.push_str("k:{");
            for (i, field) in fields.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                push_quoted(&field.name, &mut out);
                out.push(':');
                match &*field.value {
                    Value::String(text) => push_quoted(text, &mut out),
                    value => out.push_str(&json_text(value)),
                }
            }
            out.push('}');
            out
        }
    }
}

/// A text as JSON.
pub(super) fn push_quoted(text: &str, out: &mut String) {
    let is_plain = |c: u8| matches!(c, b' '..=b'~') && !matches!(c, b'"' | b'\\' | b'<' | b'>' | b'&');
    match text.bytes().all(is_plain) {
        true => out.extend(["\"", text, "\""]),
        false => out.push_str(&json_text(&Value::String(text.to_owned()))),
    }
}

/// JSON as Go's encoder writes it: what HTML could take amiss is escaped.
pub(super) fn json_text(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04x}", c as u32).expect("writing to a String cannot fail");
            }
            _ => out.push(c),
        }
    }
    out
}
