//! FieldsV1: a field set as JSON (sigs.k8s.io/structured-merge-diff/v6/fieldpath/serialize.go).
//!
//! Every path element is a key (`f:NAME`, `k:{...}`, `v:VALUE`, `i:INDEX`); `.` says that the path so far is itself in
//! the set, and an empty object says so too.

use super::path::{Element, KeyField};
use super::set::{Node, Set};
use alcove_object::Value;
use serde_json::Map;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Reads a field set. Elements of kinds that nobody knows are passed over, as upstream does.
///
/// Errors say what cannot be read; they are never shown to clients as they are.
pub fn decode(fields: &Value) -> Result<Set<'_>, String> {
    let map = fields.as_object().ok_or("field set is not an object")?;
    let mut nodes = Vec::with_capacity(map.len());
    for (key, below) in map.iter().filter(|(key, _)| *key != ".") {
        let Some(element) = decode_element(key)? else { continue };
        let children = decode(below)?;
        let member = children.is_empty() || below.get(".").is_some();
        nodes.push(Node { element, member, children });
    }
    Ok(Set::from_nodes(nodes))
}

fn decode_element(text: &str) -> Result<Option<Element<'_>>, String> {
    let Some((kind, rest)) = text.split_at_checked(2).filter(|(kind, _)| kind.ends_with(':')) else {
        return Err(format!("missing colon: {text}"));
    };
    let json =
        || serde_json::from_str::<Value>(rest).map_err(|e| format!("parsing key as path element: {e}"));
    Ok(Some(match kind {
        "f:" => Element::field(rest),
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

fn encode_element(element: &Element<'_>) -> String {
    match element {
        Element::Field(name) => ["f:", name].concat(),
        Element::Value(value) => format!("v:{}", json_text(value)),
        Element::Index(index) => format!("i:{index}"),
        Element::Key(fields) => {
            let mut out = String::with_capacity(32);
            out.push_str("k:{");
            for (i, field) in fields.iter().enumerate() {
                let comma = if i == 0 { "" } else { "," };
                let name = Value::String(field.name.clone().into_owned());
                write!(out, "{comma}{name}:{}", json_text(&field.value))
                    .expect("writing to a String cannot fail");
            }
            out.push('}');
            out
        }
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
