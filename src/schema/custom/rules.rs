//! What a schema says beyond types, compiled once: bounds, patterns, closed sets, and schemas joined by logic.

use super::expressions::Expressions;
use super::form::list_kind;
use super::formats::Format;
use super::{INT_OR_STRING, defaults, inner, is_true, items, schemas, text, texts};
use crate::{ListKind, limits::DEPTH_MAX};
use alcove_object::Value;
use regex::Regex;
use std::collections::BTreeMap;

/// The rules of one schema and of all below it.
#[derive(Debug, Default)]
pub struct Rules {
    /// Names of the types that are allowed; empty: any.
    pub(super) types: Vec<&'static str>,
    pub(super) nullable: bool,
    /// `int32`, `int64`, `float`, `double`, or a format of texts as it was written.
    pub(super) format_name: Box<str>,
    pub(super) format: Option<Format>,
    pub(super) allowed: Vec<Value>,
    pub(super) maximum: Option<f64>,
    pub(super) exclusive_maximum: bool,
    pub(super) minimum: Option<f64>,
    pub(super) exclusive_minimum: bool,
    pub(super) multiple_of: Option<f64>,
    pub(super) max_length: Option<i64>,
    pub(super) min_length: Option<i64>,
    pub(super) pattern: Option<Regex>,
    pub(super) max_items: Option<i64>,
    pub(super) min_items: Option<i64>,
    pub(super) max_properties: Option<i64>,
    pub(super) min_properties: Option<i64>,
    pub(super) required: Vec<Box<str>>,
    pub(super) properties: BTreeMap<Box<str>, Rules>,
    pub(super) additional: Option<Box<Rules>>,
    pub(super) items: Option<Box<Rules>>,
    pub(super) list: ListKind,
    pub(super) all_of: Vec<Rules>,
    pub(super) any_of: Vec<Rules>,
    pub(super) one_of: Vec<Rules>,
    pub(super) not: Option<Box<Rules>>,
    has_defaults: bool,
    /// Rules in CEL, of this schema and all below; only of a root.
    pub(super) expressions: Option<Box<Expressions>>,
}

/// A pattern that is no regular expression, and why.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BadPattern(#[from] alcove_cel::PatternError);

impl Rules {
    /// Compiles a schema; null has no rules. Fails on a pattern that is no regular expression.
    pub fn compile(schema: &Value) -> Result<Rules, BadPattern> {
        let rules = compile(schema, 0)?;
        Ok(Rules {
            has_defaults: defaults::has_defaults(schema),
            expressions: Expressions::compile(schema, true).map(Box::new),
            ..rules
        })
    }

    /// Whether the schema has any default, so that what was stored before may lack it.
    pub fn has_defaults(&self) -> bool {
        self.has_defaults
    }
}

fn compile(schema: &Value, depth: usize) -> Result<Rules, BadPattern> {
    if depth > DEPTH_MAX {
        return Ok(Rules::default());
    }
    let all = |keyword: &str| -> Result<Vec<Rules>, BadPattern> {
        items(schema, keyword).iter().map(|s| compile(s, depth + 1)).collect()
    };
    let one = |keyword: &str| inner(schema, keyword).map(|s| compile(s, depth + 1).map(Box::new)).transpose();
    let number = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let count = |keyword: &str| schema.get(keyword).and_then(Value::as_i64);
    let properties = schemas(schema, "properties");
    let properties =
        properties.map(|(name, s)| compile(s, depth + 1).map(|rules| (Box::from(name.as_str()), rules)));
    let types = types(schema);
    let (format_name, format) = format(&types, text(schema, "format"));
    Ok(Rules {
        nullable: is_true(schema, "nullable"),
        format_name,
        format,
        allowed: items(schema, "enum").to_vec(),
        maximum: number("maximum"),
        exclusive_maximum: is_true(schema, "exclusiveMaximum"),
        minimum: number("minimum"),
        exclusive_minimum: is_true(schema, "exclusiveMinimum"),
        multiple_of: number("multipleOf"),
        max_length: count("maxLength"),
        min_length: count("minLength"),
        pattern: pattern(text(schema, "pattern"))?,
        max_items: count("maxItems"),
        min_items: count("minItems"),
        max_properties: count("maxProperties"),
        min_properties: count("minProperties"),
        required: texts(schema, "required").map(Box::from).collect(),
        properties: properties.collect::<Result<_, BadPattern>>()?,
        additional: one("additionalProperties")?,
        items: one("items")?,
        list: list_kind(schema),
        all_of: all("allOf")?,
        any_of: all("anyOf")?,
        one_of: all("oneOf")?,
        not: one("not")?,
        types,
        has_defaults: false,
        expressions: None,
    })
}

fn types(schema: &Value) -> Vec<&'static str> {
    const KNOWN: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
    if is_true(schema, INT_OR_STRING) {
        return vec!["integer", "string"];
    }
    KNOWN.iter().copied().filter(|known| *known == text(schema, "type")).collect()
}

/// Formats that the type does not have are no rules.
fn format(types: &[&str], name: &str) -> (Box<str>, Option<Format>) {
    let known = match types {
        ["integer"] => matches!(name, "int32" | "int64"),
        ["number"] => matches!(name, "float" | "double"),
        [] | ["string"] => {
            let known = Format::of(name);
            return (if known.is_some() { name.into() } else { "".into() }, known);
        }
        _ => false,
    };
    (if known { name.into() } else { "".into() }, None)
}

pub(super) fn pattern(pattern: &str) -> Result<Option<Regex>, BadPattern> {
    if pattern.is_empty() {
        return Ok(None);
    }
    Ok(Some(alcove_cel::compile_pattern(pattern, None)?))
}
