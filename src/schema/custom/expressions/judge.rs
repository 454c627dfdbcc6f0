//! Runs the rules of a schema over an object, within a budget.

use super::{Expressions, Rule};
use crate::ListKind;
use alcove_cel::limits::{BUDGET_COST_MAX, CALL_COST_MAX, MESSAGE_BYTES_MAX};
use alcove_cel::{EvalError, Value as Cel};
use alcove_object::Value;
use alcove_object::field::{Error, ErrorType, Path};

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

impl Expressions {
    /// All that rules say against a value; `old` is what it takes the place of. Rules that say nothing of a change are
    /// not told of parts that were not changed.
    pub fn errors(&self, value: &Value, old: Option<&Value>, path: &Path) -> Vec<Error> {
        let mut judge = Judge { errors: Vec::new(), budget: BUDGET_COST_MAX };
        let before = Before { same: old, around: None, is_root: true };
        judge.node(self, path, value, old, before);
        judge.errors
    }
}

/// Where the state before a change is, for what was not changed: errors of that are no errors.
#[derive(Clone, Copy)]
struct Before<'v> {
    /// What stood in this very place.
    same: Option<&'v Value>,
    /// The nearest place above of which that is known: what is there, and what was.
    around: Option<(&'v Value, &'v Value)>,
    is_root: bool,
}

impl<'v> Before<'v> {
    fn is_unchanged(&self, value: &Value) -> bool {
        match (self.same, self.around) {
            (Some(old), _) => old == value,
            (None, Some((new, old))) => new == old,
            (None, None) => false,
        }
    }

    /// The same for something inside of `value`, which was `old` there.
    fn below(self, value: &'v Value, old: Option<&'v Value>) -> Before<'v> {
        match self.same {
            None => Before { is_root: false, ..self },
            Some(same) => Before { same: old, around: Some((value, same)), is_root: false },
        }
    }

    fn nothing() -> Before<'v> {
        Before { same: None, around: None, is_root: false }
    }
}

struct Judge {
    errors: Vec<Error>,
    /// What may still be spent; below zero, all is over.
    budget: i64,
}

/// The sum is spent.
struct Spent;

impl Judge {
    fn node<'v>(
        &mut self,
        node: &Expressions,
        path: &Path,
        value: &'v Value,
        old: Option<&'v Value>,
        before: Before<'v>,
    ) {
        let old = old.filter(|old| !old.is_null());
        if self.budget < 0 || value.is_null() {
            return;
        }
        if self.rules(node, path, value, old, before).is_err() {
            self.budget = -1;
            return;
        }
        for inner in &node.all_of {
            self.node(inner, path, value, old, Before { same: None, ..before });
        }
        match value {
            Value::Array(items) => {
                let Some(inner) = &node.items else { return };
                for (i, item) in items.iter().enumerate() {
                    let was = same_item(&node.list, item, old);
                    let correlated = before.same.and_then(|same| same_item(&node.list, item, Some(same)));
                    self.node(inner, &path.index(i), item, was, before.below(value, correlated));
                }
            }
            Value::Object(map) => {
                for (key, item) in map {
                    let (inner, path) = match (&node.additional, node.properties.get(key.as_str())) {
                        (_, Some(inner)) => (inner, path.child(key)),
                        (Some(inner), None) => (&**inner, path.key(key)),
                        (None, None) => continue,
                    };
                    let was = old.and_then(|old| old.get(key));
                    // Both sides were brought to one version, so what they say of it was not changed by anybody.
                    let before = match before.is_root && matches!(key.as_str(), "apiVersion" | "kind") {
                        true => Before::nothing(),
                        false => before.below(value, before.same.and_then(|same| same.get(key))),
                    };
                    self.node(inner, &path, item, was, before);
                }
            }
            _ => {}
        }
    }

    fn rules(
        &mut self,
        node: &Expressions,
        path: &Path,
        value: &Value,
        old: Option<&Value>,
        before: Before<'_>,
    ) -> Result<(), Spent> {
        let wrong = |why: String| Error::invalid(path, &*node.type_name, why);
        if !node.rules.is_empty() && self.budget <= 0 {
            self.errors.push(wrong(OUT_OF_BUDGET.to_owned()));
            return Err(Spent);
        }
        for rule in &node.rules {
            if rule.is_transition && old.is_none() && !rule.is_old_optional {
                continue;
            }
            let program = match &rule.program {
                Ok(program) => program,
                Err(why) => {
                    self.errors.push(wrong(format!("rule compile error: {why}")));
                    continue;
                }
            };
            let cel = |value| Cel::of(value, Some(&node.decl));
            let old_self = match (rule.is_old_optional, old) {
                (true, old) => Cel::Optional(old.map(|old| Box::new(cel(old)))),
                (false, Some(old)) => cel(old),
                (false, None) => Cel::Null,
            };
            let variables = [("self", cel(value)), ("oldSelf", old_self)];
            let outcome = program.evaluate(&variables, CALL_COST_MAX);
            let cost = i64::try_from(outcome.cost).unwrap_or(i64::MAX);
            if cost > self.budget {
                self.errors.push(wrong(OUT_OF_BUDGET.to_owned()));
                return Err(Spent);
            }
            self.budget -= cost;
            let name = &rule.name;
            match outcome.result {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => {
                    let is_told = rule.is_transition || !before.is_unchanged(value);
                    let held: [_; 2] = [("self", cel(value)), ("oldSelf", old.map_or(Cel::Null, cel))];
                    self.broken(rule, node, path, value, &held, is_told)?;
                }
                Err(EvalError::CostExceeded) => {
                    let error = EvalError::CostExceeded;
                    self.errors.push(wrong(format!(
                        "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {name}"
                    )));
                    return Err(Spent);
                }
                Err(EvalError::Failed(why)) if why.starts_with("no such overload") => {
                    self.errors.push(wrong(format!(
                        "'{why}': call arguments did not match a supported operator, function or macro signature for rule: {name}"
                    )));
                }
                Err(EvalError::Failed(why)) => {
                    self.errors.push(wrong(format!("{why} evaluating rule: {name}")))
                }
            }
        }
        Ok(())
    }

    /// A rule does not hold.
    fn broken(
        &mut self,
        rule: &Rule,
        node: &Expressions,
        path: &Path,
        value: &Value,
        variables: &[(&'static str, Cel<'_>)],
        is_told: bool,
    ) -> Result<(), Spent> {
        let path = if rule.field_path.is_empty() { path.clone() } else { path.child(&rule.field_path) };
        let detail = match self.message(rule, variables) {
            Ok(Some(message)) => message,
            Ok(None) if rule.message.is_empty() => format!("failed rule: {}", rule.name),
            Ok(None) => rule.message.to_string(),
            Err(why) => {
                self.errors.extend(is_told.then(|| Error::invalid(&path, &*node.type_name, why)));
                return Err(Spent);
            }
        };
        if !is_told {
            return Ok(());
        }
        // Of lists and objects, no value is shown.
        let shown = Some(value.clone()).filter(|value| !value.is_object() && !value.is_array());
        let field = match path.as_str() {
            "" => "<nil>".to_owned(),
            text => text.to_owned(),
        };
        let error = |kind, value, detail| Error { kind, field, value, detail };
        self.errors.push(match &*rule.reason {
            "FieldValueForbidden" => Error::forbidden(&path, detail),
            "FieldValueRequired" => Error::required(&path, detail),
            "FieldValueDuplicate" => error(ErrorType::Duplicate, shown, String::new()),
            _ => error(ErrorType::Invalid, shown, detail),
        });
        Ok(())
    }

    /// What the message expression says. `None`: nothing that can be used. Fails if it costs too much.
    fn message(
        &mut self,
        rule: &Rule,
        variables: &[(&'static str, Cel<'_>)],
    ) -> Result<Option<String>, String> {
        let Some(program) = &rule.message_program else { return Ok(None) };
        let outcome = program.evaluate(variables, CALL_COST_MAX);
        let cost = i64::try_from(outcome.cost).unwrap_or(i64::MAX);
        if cost > self.budget {
            return Err(
                "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run"
                    .to_owned(),
            );
        }
        if matches!(outcome.result, Err(EvalError::CostExceeded)) {
            let source = alcove_object::field::quote(&rule.message_source);
            return Err(format!(
                "no further validation rules will be run due to call cost exceeds limit for messageExpression: {source}"
            ));
        }
        self.budget -= cost;
        let Ok(Cel::String(message)) = outcome.result else { return Ok(None) };
        let message = message.trim();
        let is_usable = !message.is_empty() && message.len() <= MESSAGE_BYTES_MAX && !message.contains('\n');
        Ok(is_usable.then(|| message.to_owned()))
    }
}

/// The item of the old list that is the same thing: only lists of type map tell.
fn same_item<'o>(list: &ListKind, item: &Value, old: Option<&'o Value>) -> Option<&'o Value> {
    let ListKind::Map(keys) = list else { return None };
    let is_same = |other: &&Value| keys.iter().all(|key| other.get(&**key) == item.get(&**key));
    old?.as_array()?.iter().find(is_same)
}
