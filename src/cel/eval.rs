//! Evaluates a checked tree, and counts what it costs (cel-go, interpreter).

use crate::ast::{Call, Expr, Fold, Kind, Literal, Member};
use crate::library::Builtin;
use crate::macros::ACCU;
use crate::record::Made;
use crate::value::{Key, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why an evaluation has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// It cost too much.
    #[error("operation cancelled: actual cost limit exceeded")]
    CostExceeded,
    /// What went wrong, in upstream's words.
    #[error("{0}")]
    Failed(String),
}

pub(crate) type Eval<'a> = Result<Value<'a>, EvalError>;

pub(crate) fn failed<'a>(why: impl Into<String>) -> Eval<'a> {
    Err(EvalError::Failed(why.into()))
}

/// What is known while one expression is evaluated.
pub(crate) struct Machine<'a, 'v> {
    variables: &'v [(&'static str, Value<'a>)],
    locals: Vec<(&'a str, Eval<'a>)>,
    pub cost: u64,
    limit: u64,
}

const LIST_COST: u64 = 10;
const MAP_COST: u64 = 30;
const STRUCT_COST: u64 = 40;

impl<'a, 'v> Machine<'a, 'v> {
    pub fn new(variables: &'v [(&'static str, Value<'a>)], limit: u64) -> Machine<'a, 'v> {
        Machine { variables, locals: Vec::new(), cost: 0, limit }
    }

    fn charge(&mut self, cost: u64) -> Result<(), EvalError> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limit { Err(EvalError::CostExceeded) } else { Ok(()) }
    }

    pub fn eval(&mut self, expr: &'a Expr) -> Eval<'a> {
        match &expr.kind {
            Kind::Literal(literal) => Ok(literal_value(literal)),
            Kind::Ident(name) => {
                self.charge(1)?;
                self.variable(name)
            }
            Kind::Select { operand, field, test } => {
                let operand = self.eval(operand)?;
                if !test {
                    self.charge(1)?;
                }
                select(&operand, field, *test)
            }
            Kind::Call(call) => self.call(call),
            Kind::List { items, optional } => {
                if !items.iter().all(|item| matches!(item.kind, Kind::Literal(_))) || items.is_empty() {
                    self.charge(LIST_COST)?;
                }
                let mut out = Vec::with_capacity(items.len());
                for (i, item) in items.iter().enumerate() {
                    let value = self.eval(item)?;
                    if optional.contains(&i) {
                        let Value::Optional(inner) = value else { return no_overload() };
                        out.extend(inner.map(|inner| *inner));
                    } else {
                        out.push(value);
                    }
                }
                Ok(Value::list(out))
            }
            Kind::Map(entries) => {
                self.charge(MAP_COST)?;
                let mut out = BTreeMap::new();
                for entry in entries {
                    let Some(key) = self.eval(&entry.key)?.key() else {
                        return failed("unsupported key type");
                    };
                    let value = match (self.eval(&entry.value)?, entry.optional) {
                        (Value::Optional(None), true) => continue,
                        (Value::Optional(Some(inner)), true) => *inner,
                        (value, _) => value,
                    };
                    if out.contains_key(&key) {
                        return failed(format!("Failed with repeated key: {key}"));
                    }
                    out.insert(key, value);
                }
                Ok(Value::Map(Arc::new(out)))
            }
            Kind::Struct { name, fields } => self.record(name, fields),
            Kind::Fold(fold) => self.fold(fold),
        }
    }

    fn record(&mut self, name: &'a str, members: &'a [Member]) -> Eval<'a> {
        self.charge(STRUCT_COST)?;
        let mut fields = BTreeMap::new();
        for member in members {
            let value = match (self.eval(&member.value)?, member.optional) {
                (Value::Optional(None), true) => continue,
                (Value::Optional(Some(inner)), true) => *inner,
                (value, _) => value,
            };
            fields.insert(&*member.name, value);
        }
        Ok(Value::Made(Arc::new(Made { name, fields })))
    }

    fn variable(&self, name: &str) -> Eval<'a> {
        if let Some((_, value)) = self.locals.iter().rev().find(|(known, _)| *known == name) {
            return value.clone();
        }
        if let Some((_, value)) = self.variables.iter().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        let kind = [
            "bool",
            "bytes",
            "double",
            "int",
            "list",
            "map",
            "null_type",
            "string",
            "type",
            "uint",
            "optional_type",
        ]
        .into_iter()
        .find(|kind| *kind == name);
        match kind {
            Some(kind) => Ok(Value::Type(kind)),
            None => failed(format!("no such attribute(s): {name}")),
        }
    }

    fn call(&mut self, call: &'a Call) -> Eval<'a> {
        match (&*call.function, call.args.as_slice()) {
            ("_&&_", [a, b]) => self.logical(a, b, false),
            ("_||_", [a, b]) => self.logical(a, b, true),
            ("_?_:_", [condition, yes, no]) => match self.eval(condition)? {
                Value::Bool(true) => self.eval(yes),
                Value::Bool(false) => self.eval(no),
                _ => no_overload(),
            },
            ("@not_strictly_false", [inner]) => {
                let held = match self.eval(inner) {
                    Err(EvalError::CostExceeded) => return Err(EvalError::CostExceeded),
                    Ok(Value::Bool(false)) => false,
                    _ => true,
                };
                self.charge(1)?;
                Ok(Value::Bool(held))
            }
            ("orValue" | "or", [other]) => {
                let target = call.target.as_ref().map_or_else(no_overload, |target| self.eval(target))?;
                self.charge(1)?;
                match (target, &*call.function) {
                    (Value::Optional(Some(inner)), "orValue") => Ok(*inner),
                    (some @ Value::Optional(Some(_)), _) => Ok(some),
                    (Value::Optional(None), _) => self.eval(other),
                    _ => no_overload(),
                }
            }
            _ => self.strict(call),
        }
    }

    /// `&&` and `||`: one side that decides is enough, whatever is wrong with the other.
    fn logical(&mut self, a: &'a Expr, b: &'a Expr, decisive: bool) -> Eval<'a> {
        let left = self.eval(a);
        match &left {
            Err(EvalError::CostExceeded) => return left,
            Ok(Value::Bool(value)) if *value == decisive => return left,
            _ => {}
        }
        let right = self.eval(b);
        match (left, right) {
            (_, Err(EvalError::CostExceeded)) => Err(EvalError::CostExceeded),
            (_, Ok(Value::Bool(value))) if value == decisive => Ok(Value::Bool(decisive)),
            (Err(error), _) | (Ok(Value::Bool(_)), Err(error)) => Err(error),
            (Ok(Value::Bool(_)), Ok(Value::Bool(value))) => Ok(Value::Bool(value)),
            _ => no_overload(),
        }
    }

    fn strict(&mut self, call: &'a Call) -> Eval<'a> {
        let Some(Builtin { run, price }) = call.builtin else { return no_overload() };
        let mut args = Vec::with_capacity(call.args.len() + 1);
        for (i, expr) in call.target.as_deref().into_iter().chain(&call.args).enumerate() {
            // What a loop gathers is handed on, not copied.
            let value = match expr.ident() {
                Some(ACCU) if i == 0 && call.target.is_none() => {
                    self.charge(1)?;
                    let held = self.locals.iter_mut().rev().find(|(known, _)| *known == ACCU);
                    match held {
                        Some((_, value)) if matches!(value, Ok(Value::List(_) | Value::Map(_))) => {
                            std::mem::replace(value, Ok(Value::Null))?
                        }
                        Some((_, value)) => value.clone()?,
                        None => Value::Null,
                    }
                }
                _ => self.eval(expr)?,
            };
            args.push(value);
        }
        let before = price.before(&args);
        self.charge(before)?;
        let result = run(&mut args, call.pattern.as_ref())?;
        self.charge(price.after(&result))?;
        Ok(result)
    }

    fn fold(&mut self, fold: &'a Fold) -> Eval<'a> {
        let range = self.eval(&fold.range)?;
        let init = self.eval(&fold.init);
        if matches!(init, Err(EvalError::CostExceeded)) {
            return init;
        }
        let depth = self.locals.len();
        self.locals.push((&fold.accu, init));
        let looped = self.turns(fold, &range, depth);
        self.locals.truncate(depth + 1);
        let result = match looped {
            Ok(()) => self.eval(&fold.result),
            Err(error) => Err(error),
        };
        self.locals.truncate(depth);
        result
    }

    fn turns(&mut self, fold: &'a Fold, range: &Value<'a>, depth: usize) -> Result<(), EvalError> {
        if let Some(items) = range.items() {
            for i in 0..items.len() {
                let Some(item) = items.get(i) else { break };
                let index = Value::Int(i as i64);
                let (first, second) = if fold.second.is_some() { (index, Some(item)) } else { (item, None) };
                if !self.turn(fold, first, second, depth)? {
                    break;
                }
            }
            return Ok(());
        }
        let Some(entries) = range.entries() else { return no_overload().map(|_| ()) };
        for (key, value) in entries {
            let second = fold.second.is_some().then_some(value);
            if !self.turn(fold, key.value(), second, depth)? {
                break;
            }
        }
        Ok(())
    }

    /// One turn of a loop; false: it ends.
    fn turn(
        &mut self,
        fold: &'a Fold,
        first: Value<'a>,
        second: Option<Value<'a>>,
        depth: usize,
    ) -> Result<bool, EvalError> {
        self.locals.truncate(depth + 1);
        self.locals.push((&fold.first, Ok(first)));
        if let (Some(name), Some(value)) = (&fold.second, second) {
            self.locals.push((name, Ok(value)));
        }
        match self.eval(&fold.condition)? {
            Value::Bool(true) => {}
            _ => return Ok(false),
        }
        let step = self.eval(&fold.step);
        if matches!(step, Err(EvalError::CostExceeded)) {
            return Err(EvalError::CostExceeded);
        }
        self.locals[depth].1 = step;
        Ok(true)
    }
}

fn literal_value(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Int(n) => Value::Int(*n),
        Literal::Uint(n) => Value::Uint(*n),
        Literal::Double(n) => Value::Double(*n),
        Literal::String(text) => Value::String((&**text).into()),
        Literal::Bytes(bytes) => Value::Bytes((&**bytes).into()),
    }
}

pub(crate) fn no_overload<'a>() -> Eval<'a> {
    failed("no such overload")
}

/// A field of a value, or whether it is there.
pub(crate) fn select<'a>(operand: &Value<'a>, field: &str, test: bool) -> Eval<'a> {
    if let Value::Optional(inner) = operand {
        let Some(inner) = inner else {
            return Ok(if test { Value::Bool(false) } else { Value::Optional(None) });
        };
        let found = inner.get(&Key::String(field.into())).flatten();
        return Ok(if test { Value::Bool(found.is_some()) } else { Value::Optional(found.map(Box::new)) });
    }
    match operand.get(&Key::String(field.into())) {
        Some(found) if test => Ok(Value::Bool(found.is_some())),
        Some(Some(Value::Failed(why))) => failed(&*why),
        Some(Some(found)) => Ok(found),
        Some(None) => failed(format!("no such key: {field}")),
        None => no_overload(),
    }
}
