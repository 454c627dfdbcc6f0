//! Values that may be missing (cel-go, cel/library.go: OptionalTypes).

use super::core::position;
use crate::eval::{Eval, failed, no_overload, select as select_field};
use crate::value::Value;
use regex::Regex;

type Args<'v, 'a> = &'v mut Vec<Value<'a>>;

pub fn of<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    Ok(Value::some(args.swap_remove(0)))
}

pub fn none<'a>(_: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    Ok(Value::Optional(None))
}

pub fn of_non_zero<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let value = args.swap_remove(0);
    let is_zero = match &value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Duration(0) => true,
        Value::Double(n) => *n == 0.0,
        Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Tree(_) => {
            value.size() == 0
        }
        Value::Optional(inner) => inner.is_none(),
        _ => false,
    };
    Ok(if is_zero { Value::Optional(None) } else { Value::some(value) })
}

pub fn value<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match args.swap_remove(0) {
        Value::Optional(Some(inner)) => Ok(*inner),
        Value::Optional(None) => failed("optional.none() dereference"),
        _ => no_overload(),
    }
}

pub fn has_value<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match &args[0] {
        Value::Optional(inner) => Ok(Value::Bool(inner.is_some())),
        _ => no_overload(),
    }
}

/// `a[?b]`, and `a[b]` of what may be missing.
pub fn index<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let target = match &args[0] {
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => inner,
        target => target,
    };
    if let Some(items) = target.items() {
        let found = position(&items, &args[1]).and_then(|i| items.get(i));
        return Ok(Value::Optional(found.map(Box::new)));
    }
    let Some(key) = args[1].key() else { return no_overload() };
    match target.get(&key) {
        Some(found) => Ok(Value::Optional(found.map(Box::new))),
        None => no_overload(),
    }
}

/// `a.?b`.
pub fn select<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Value::String(field) = &args[1] else { return no_overload() };
    if let Value::Optional(_) = &args[0] {
        return select_field(&args[0], field, false);
    }
    match select_field(&args[0], field, true)? {
        Value::Bool(true) => select_field(&args[0], field, false).map(Value::some),
        _ => Ok(Value::Optional(None)),
    }
}
