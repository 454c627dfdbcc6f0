//! YAML to a tree: the first document of a text, as sigs.k8s.io/yaml converts it to JSON.
//!
//! The tree is composed here from the parser's events, since only here can duplicates be told with their lines, as
//! upstream tells them, and only here can the cost of aliases be counted before it is paid.

use super::error::{Cause, DecodeError, StrictError};
use super::json;
use super::scalar::{Scalar, resolve, resolve_as};
use crate::Tree;
use crate::limits::{DEPTH_MAX, STRICT_ERRORS_MAX, YAML_EXPANDED_BYTES_MAX};
use alcove_object::Value;
use alcove_object::field::quote;
use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::Map;
use std::borrow::Cow;
use std::collections::HashMap;

/// A tree and the duplicates in its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<T = Value> {
    /// The tree; of a duplicate key, the last value.
    pub value: T,
    /// The keys that are there twice: one error for all, as upstream has it.
    pub strict: Option<StrictError>,
}

/// Reads the first document; an empty text is null. Fails on bad syntax, bad UTF-8, keys or numbers that JSON cannot
/// hold, nesting past the limit, and aliases that expand past theirs.
pub fn parse(text: &[u8]) -> Result<Parsed, DecodeError> {
    let Parsed { value, strict } = borrow(text)?;
    Ok(Parsed { value: value.into_value(), strict })
}

/// The same, borrowing texts where the text is JSON.
pub(super) fn borrow(text: &[u8]) -> Result<Parsed<Tree<'_>>, DecodeError> {
    match borrow_json(text) {
        Some(value) => Ok(Parsed { value, strict: None }),
        None => parse_yaml(text).map(|Parsed { value, strict }| Parsed { value: value.into(), strict }),
    }
}

/// The first document of a text that people or programs wrote for us. Fails as [`parse`] does, and at keys that are
/// there twice; what is wrong is told in one line.
pub fn tree(text: &str) -> Result<Value, String> {
    let parsed = parse(text.as_bytes()).map_err(|error| error.to_string())?;
    match parsed.strict {
        Some(error) => Err(error.to_string().replace("\n  ", " ")),
        None => Ok(parsed.value),
    }
}

/// JSON is YAML, and what kubectl and helm send as apply patches is JSON: that is read ten times as fast. None if the
/// text is not JSON, or if there is something to report about it.
fn borrow_json(text: &[u8]) -> Option<Tree<'_>> {
    if !text.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let json::Parsed { mut value, duplicates } = json::borrow(text).ok()?;
    value.each_number(&json::spell);
    (!duplicates).then_some(value)
}

fn parse_yaml(text: &[u8]) -> Result<Parsed, DecodeError> {
    let text = std::str::from_utf8(text).map_err(|_| failure("invalid UTF-8"))?;
    let mut options = granit_parser::options! {
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
        emit_unresolved_aliases: true,
    };
    options.set_emit_comments(false);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut composer = Composer {
        text,
        parser: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        expanded: 0,
        duplicates: Vec::new(),
    };
    let value = composer.document()?;
    let strict = (!composer.duplicates.is_empty()).then(|| {
        StrictError::Yaml(format!("yaml: unmarshal errors:\n  {}", composer.duplicates.join("\n  ")))
    });
    Ok(Parsed { value, strict })
}

fn failure(text: &str) -> DecodeError {
    Cause::Yaml(format!("yaml: {text}")).into()
}

fn failure_at(span: &Span, text: &str) -> DecodeError {
    failure(&format!("line {}: {text}", span.start.line()))
}

struct Composer<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    /// Values of the anchors that are complete, with what a copy costs.
    anchors: HashMap<usize, Node>,
    /// Bytes that anchors and aliases have cost so far.
    expanded: usize,
    duplicates: Vec<String>,
}

/// A composed value and an estimate of the memory that it takes.
#[derive(Clone)]
struct Node {
    value: Value,
    bytes: usize,
}

/// What a value takes in a tree, without its text.
const NODE_BYTES: usize = 32;

/// Counts a copy before it is made.
fn charge(expanded: &mut usize, bytes: usize, span: &Span) -> Result<(), DecodeError> {
    *expanded = expanded.saturating_add(bytes);
    if *expanded > YAML_EXPANDED_BYTES_MAX {
        return Err(failure_at(span, "document contains excessive aliasing"));
    }
    Ok(())
}

type Step<'t> = (Event<'t>, Span);

impl<'t> Composer<'t> {
    fn next(&mut self) -> Result<Step<'t>, DecodeError> {
        match self.parser.next_event() {
            Some(Ok(step)) => Ok(step),
            Some(Err(error)) => Err(failure(&format!("line {}: {}", error.marker().line(), error.info()))),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Value, DecodeError> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(Value::Null),
                step => return Ok(self.node(step, 0)?.value),
            }
        }
    }

    fn node(&mut self, (event, span): Step<'t>, depth: usize) -> Result<Node, DecodeError> {
        if depth > DEPTH_MAX {
            return Err(failure_at(&span, "exceeded max depth"));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(text, style, tag)?, anchor),
            Event::SequenceStart(_, anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => return self.alias(anchor, &span),
            Event::UnresolvedAlias(name) => {
                return Err(failure(&format!("unknown anchor '{name}' referenced")));
            }
            _ => return Err(failure_at(&span, "unexpected event")),
        };
        if anchor != 0 {
            charge(&mut self.expanded, node.bytes, &span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Node, DecodeError> {
        let Some(node) = self.anchors.get(&anchor) else {
            // Anchors become known when their value is complete.
            let name = span.slice(self.text).unwrap_or_default().trim_start_matches('*');
            return Err(failure(&format!("anchor '{name}' value contains itself")));
        };
        charge(&mut self.expanded, node.bytes, span)?;
        Ok(node.clone())
    }

    fn sequence(&mut self, depth: usize) -> Result<Node, DecodeError> {
        let mut items = Vec::new();
        let mut bytes = NODE_BYTES;
        loop {
            let step = self.next()?;
            if matches!(step.0, Event::SequenceEnd) {
                return Ok(Node { value: Value::Array(items), bytes });
            }
            let item = self.node(step, depth + 1)?;
            bytes += item.bytes;
            items.push(item.value);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Node, DecodeError> {
        let mut map = Map::new();
        let mut bytes = NODE_BYTES;
        loop {
            let step = self.next()?;
            if matches!(step.0, Event::MappingEnd) {
                return Ok(Node { value: Value::Object(map), bytes });
            }
            let key = self.key(step)?;
            let step = self.next()?;
            let line = step.1.start.line();
            let node = self.node(step, depth + 1)?;
            bytes += node.bytes + key.as_ref().map_or(0, |key| key.name.len() + NODE_BYTES);
            match key {
                Some(key) => self.insert(&mut map, key, node.value, line),
                None => self.merge(&mut map, node.value, line)?,
            }
        }
    }

    /// A mapping's key; none for `<<`.
    fn key(&mut self, (event, span): Step<'t>) -> Result<Option<Key>, DecodeError> {
        let name = match event {
            Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<" => return Ok(None),
            Event::Scalar(text, style, anchor, tag) => {
                let meaning = meaning(&text, style, tag.as_deref())?;
                let shown = if meaning == Scalar::Text { quote(&text) } else { text.to_string() };
                let name =
                    meaning.into_key(&text).ok_or_else(|| failure("unsupported map key of type: null"))?;
                if anchor != 0 {
                    let bytes = NODE_BYTES + name.len();
                    self.anchors.insert(anchor, Node { value: name.as_str().into(), bytes });
                }
                return Ok(Some(Key { name, shown }));
            }
            Event::Alias(anchor) => self.alias(anchor, &span)?.value,
            _ => Value::Null,
        };
        match name {
            Value::String(name) => Ok(Some(Key { shown: quote(&name), name })),
            Value::Number(_) | Value::Bool(_) => {
                Ok(Some(Key { name: name.to_string(), shown: name.to_string() }))
            }
            _ => Err(failure_at(&span, "invalid map key")),
        }
    }

    fn insert(&mut self, map: &mut Map<String, Value>, key: Key, value: Value, line: usize) {
        if map.insert(key.name, value).is_some() && self.duplicates.len() < STRICT_ERRORS_MAX {
            self.duplicates.push(format!("line {line}: key {} already set in map", key.shown));
        }
    }

    /// `<<`: the keys of one mapping, or of several of which the first wins, as if they stood here. Like upstream,
    /// a key that is there already counts as a duplicate.
    fn merge(&mut self, map: &mut Map<String, Value>, value: Value, line: usize) -> Result<(), DecodeError> {
        let sources = match value {
            Value::Array(sources) => sources,
            source => vec![source],
        };
        for source in sources.into_iter().rev() {
            let Value::Object(source) = source else {
                return Err(failure("map merge requires map or sequence of maps as the value"));
            };
            for (name, value) in source {
                self.insert(map, Key { shown: quote(&name), name }, value, line);
            }
        }
        Ok(())
    }
}

/// A key of a mapping, as JSON has it and as it is shown in errors.
struct Key {
    name: String,
    shown: String,
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<Cow<'_, Tag>>) -> Result<Node, DecodeError> {
    let bytes = NODE_BYTES + text.len();
    let value = match meaning(&text, style, tag.as_deref())? {
        Scalar::Text => Value::String(text.into_owned()),
        other => other
            .into_value(&text)
            .map_err(|shown| DecodeError::from(Cause::Yaml(format!("json: unsupported value: {shown}"))))?,
    };
    Ok(Node { value, bytes })
}

/// What a scalar means by its style and tag; tags that are not YAML's own leave a text.
fn meaning(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Scalar, DecodeError> {
    let Some(tag) = tag else {
        return Ok(if style == ScalarStyle::Plain { resolve(text) } else { Scalar::Text });
    };
    let Some(suffix) = tag.core_suffix() else { return Ok(Scalar::Text) };
    resolve_as(suffix, text)
        .ok_or_else(|| failure(&format!("cannot decode {} `{text}` as a !!{suffix}", resolve(text).tag())))
}
