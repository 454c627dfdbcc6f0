//! Validation rules in CEL (`x-kubernetes-validations`), compiled once with the schema that they stand in
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel).
//!
//! [`declare`] says what rules see of data, `judge` runs them over an object, `admit` judges the rules themselves when
//! their definition is written, and `field_path` reads where an error is to be told.

mod admit;
mod declare;
mod field_path;
mod judge;
#[cfg(test)]
mod tests;

pub(super) use admit::admit;

use super::{EMBEDDED, INT_OR_STRING, VALIDATIONS, inner, is_true, items, schemas, text};
use crate::ListKind;
use alcove_cel::{Decl, Program, Type, Variable, escape};
use alcove_object::Value;
use alcove_object::gather::Gather;
use declare::declare;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rules of one schema and of all below it that have any.
#[derive(Debug)]
pub(super) struct Expressions {
    rules: Vec<Rule>,
    decl: Arc<Decl>,
    /// The schema's `type`, which some errors show in place of a value.
    type_name: Box<str>,
    list: ListKind,
    items: Option<Box<Expressions>>,
    additional: Option<Box<Expressions>>,
    properties: BTreeMap<Box<str>, Expressions>,
    all_of: Vec<Expressions>,
}

/// One rule.
#[derive(Debug)]
struct Rule {
    /// The expression, or why it does not compile, which the definition's validation has let nobody write.
    program: Result<Program, String>,
    /// It speaks of the state before a change.
    is_transition: bool,
    /// It is run also where there is no state before.
    is_old_optional: bool,
    /// What the message begins with, or what errors name: the message, else the rule.
    name: Box<str>,
    message: Box<str>,
    message_program: Option<Program>,
    message_source: Box<str>,
    reason: Box<str>,
    field_path: Box<str>,
}

impl Expressions {
    /// Compiles all rules of a schema. `None`: it has none. `is_root`: objects of the schema are whole resources.
    pub fn compile(schema: &Value, is_root: bool) -> Option<Expressions> {
        if !has_rules(schema) {
            return None;
        }
        compile(schema, schema, declare(schema, is_root)?)
    }
}

fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            map.get(VALIDATIONS).and_then(Value::as_array).is_some_and(|rules| !rules.is_empty())
                || ["items", "additionalProperties"].iter().filter_map(|k| inner(schema, k)).any(has_rules)
                || schemas(schema, "properties").any(|(_, inner)| has_rules(inner))
                || items(schema, "allOf").iter().any(has_rules)
        }
        _ => false,
    }
}

/// `schema` has the rules, `node` the types: they differ inside of `allOf`.
fn compile(schema: &Value, node: &Value, decl: Arc<Decl>) -> Option<Expressions> {
    let rules: Vec<Rule> =
        items(schema, VALIDATIONS).iter().map(|rule| self::rule(rule, node, &decl)).collect();
    let below = |keyword: &str| {
        let (schema, node) = (inner(schema, keyword)?, inner(node, keyword)?);
        compile(schema, node, decl.element()?.clone()).map(Box::new)
    };
    let property = |(name, schema): (&String, &Value)| {
        let node = node.get("properties")?.get(name)?;
        let decl = match escape(name) {
            Some(escaped) => decl.field(&escaped)?.decl.clone(),
            None => declare(node, is_true(node, EMBEDDED))?,
        };
        Some((name.as_str().into(), compile(schema, node, decl)?))
    };
    let (items_rules, additional) = (below("items"), below("additionalProperties"));
    let properties: BTreeMap<_, _> = schemas(schema, "properties").filter_map(property).gather();
    let all_of: Vec<_> =
        items(schema, "allOf").iter().filter_map(|schema| compile(schema, node, decl.clone())).collect();
    let is_empty = rules.is_empty()
        && items_rules.is_none()
        && additional.is_none()
        && properties.is_empty()
        && all_of.is_empty();
    (!is_empty).then(|| Expressions {
        rules,
        type_name: if is_true(node, INT_OR_STRING) { "".into() } else { text(node, "type").into() },
        list: super::form::list_kind(node),
        items: items_rules,
        additional,
        properties,
        all_of,
        decl,
    })
}

/// What a rule may speak of.
fn variables(decl: &Arc<Decl>, is_old_optional: bool) -> [Variable; 2] {
    let old = match is_old_optional {
        true => Variable::optional("oldSelf", decl),
        false => Variable::declared("oldSelf", decl),
    };
    [Variable::declared("self", decl), old]
}

fn rule(rule: &Value, node: &Value, decl: &Arc<Decl>) -> Rule {
    let is_old_optional = is_true(rule, "optionalOldSelf");
    let variables = variables(decl, is_old_optional);
    let source = text(rule, "rule");
    let program = expression(source, &variables, &Type::Bool);
    let message_source = text(rule, "messageExpression");
    let message_program = (!message_source.is_empty())
        .then(|| expression(message_source, &self::variables(decl, false), &Type::String).ok())
        .flatten();
    let message = text(rule, "message").trim();
    let field_path = text(rule, "fieldPath");
    Rule {
        is_transition: program.as_ref().is_ok_and(|program| program.uses("oldSelf")),
        program,
        is_old_optional,
        name: if message.is_empty() { source.trim().into() } else { message.into() },
        message: message.into(),
        message_program,
        message_source: message_source.into(),
        reason: text(rule, "reason").into(),
        field_path: field_path::normalized(field_path, node).unwrap_or_default().into(),
    }
}

/// An expression of one type of value; else why it is none, in upstream's words.
fn expression(source: &str, variables: &[Variable], wanted: &Type) -> Result<Program, String> {
    let program =
        Program::compile(source, variables).map_err(|issues| format!("compilation failed: {issues}"))?;
    match (program.result().is(wanted), wanted) {
        (true, _) => Ok(program),
        (false, Type::String) => Err("messageExpression must evaluate to a string".to_owned()),
        (false, _) => Err("cel expression must evaluate to a bool".to_owned()),
    }
}
