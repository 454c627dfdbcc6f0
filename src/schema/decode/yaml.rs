//! YAML to a tree: the first document of a text, as sigs.k8s.io/yaml converts it to JSON.
//!
//! The tree is composed here from the parser's events, since only here can duplicates be told with their lines, as
//! upstream tells them, and only here can the cost of aliases be counted before it is paid.

use super::error::{Cause, DecodeError, StrictError};
use super::scalar::{Scalar, resolve, resolve_as};
use crate::limits::{DEPTH_MAX, STRICT_ERRORS_MAX, YAML_EXPANDED_BYTES_MAX};
use alcove_object::Value;
use alcove_object::field::quote;
use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::Map;
use std::borrow::Cow;
use std::collections::HashMap;

/// A tree and the duplicates in its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The tree; of a duplicate key, the last value.
    pub value: Value,
    /// The keys that are there twice: one error for all, as upstream has it.
    pub strict: Option<StrictError>,
}

/// Reads the first document; an empty text is null. Fails on bad syntax, bad UTF-8, keys or numbers that JSON cannot
/// hold, nesting past the limit, and aliases that expand past theirs.
pub fn parse(text: &[u8]) -> Result<Parsed, DecodeError> {
    let text = std::str::from_utf8(text).map_err(|_| failure("invalid UTF-8"))?;
    let mut options = granit_parser::options! {
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    options.set_emit_comments(false);
    let mut composer = Composer {
        parser: Parser::new_from_str_with_options(text.strip_prefix('\u{feff}').unwrap_or(text), options),
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
            Event::Scalar(text, style, anchor, tag) => (scalar(text, style, tag, &span)?, anchor),
            Event::SequenceStart(_, anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => return self.alias(anchor, &span),
            _ => return Err(failure_at(&span, "unexpected event")),
        };
        if anchor != 0 {
            self.pay(node.bytes, &span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Node, DecodeError> {
        let Some(bytes) = self.anchors.get(&anchor).map(|node| node.bytes) else {
            return Err(failure_at(span, "anchor value contains itself"));
        };
        self.pay(bytes, span)?;
        self.anchors.get(&anchor).cloned().ok_or_else(|| failure_at(span, "unknown anchor referenced"))
    }

    /// Counts a copy before it is made.
    fn pay(&mut self, bytes: usize, span: &Span) -> Result<(), DecodeError> {
        self.expanded = self.expanded.saturating_add(bytes);
        if self.expanded > YAML_EXPANDED_BYTES_MAX {
            return Err(failure_at(span, "document contains excessive aliasing"));
        }
        Ok(())
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
            let (event, span) = self.next()?;
            let Event::Scalar(text, style, _, tag) = event else {
                if matches!(event, Event::MappingEnd) {
                    return Ok(Node { value: Value::Object(map), bytes });
                }
                // An alias to a scalar would do as well; nobody writes one as a key.
                return Err(failure_at(&span, "invalid map key"));
            };
            let step = self.next()?;
            let line = step.1.start.line();
            let value = self.node(step, depth + 1)?;
            bytes += value.bytes + text.len() + NODE_BYTES;
            if &*text == "<<" && style == ScalarStyle::Plain {
                merge(&mut map, value.value, &span)?;
                continue;
            }
            let meaning = meaning(&text, style, tag.as_deref(), &span)?;
            let shown = if matches!(meaning, Scalar::Text) { quote(&text) } else { text.to_string() };
            let Some(key) = meaning.into_key(&text) else {
                return Err(failure("unsupported map key of type: null"));
            };
            if map.insert(key, value.value).is_some() && self.duplicates.len() < STRICT_ERRORS_MAX {
                self.duplicates.push(format!("line {line}: key {shown} already set in map"));
            }
        }
    }
}

/// `<<`: the keys of one mapping, or of several of which the first wins, as if they stood here.
fn merge(map: &mut Map<String, Value>, value: Value, span: &Span) -> Result<(), DecodeError> {
    let sources = match value {
        Value::Object(source) => vec![Value::Object(source)],
        Value::Array(sources) => sources,
        _ => Vec::new(),
    };
    if sources.is_empty() {
        return Err(failure("map merge requires map or sequence of maps as the value"));
    }
    for source in sources.into_iter().rev() {
        let Value::Object(source) = source else {
            return Err(failure_at(span, "map merge requires map or sequence of maps as the value"));
        };
        map.extend(source);
    }
    Ok(())
}

fn scalar(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<Cow<'_, Tag>>,
    span: &Span,
) -> Result<Node, DecodeError> {
    let bytes = NODE_BYTES + text.len();
    let value = match meaning(&text, style, tag.as_deref(), span)? {
        Scalar::Text => Value::String(text.into_owned()),
        other => other
            .into_value(&text)
            .ok_or_else(|| DecodeError::from(Cause::Yaml(format!("json: unsupported value: {text}"))))?,
    };
    Ok(Node { value, bytes })
}

/// What a scalar means by its style and tag; tags that are not YAML's own leave a text.
fn meaning(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Result<Scalar, DecodeError> {
    match tag {
        None if style == ScalarStyle::Plain => Ok(resolve(text)),
        None => Ok(Scalar::Text),
        Some(tag) => match tag.core_suffix() {
            Some(suffix) => resolve_as(suffix, text)
                .ok_or_else(|| failure_at(span, &format!("cannot decode `{text}` as a !!{suffix}"))),
            None => Ok(Scalar::Text),
        },
    }
}
