//! Quantities (k8s.io/apiserver/pkg/cel/library/quantity.go), and the comparisons that versions share with them.

use super::strings::text;
use crate::eval::{Eval, failed, no_overload};
use crate::value::Value;
use alcove_object::Quantity;
use alcove_object::quantity::Format;
use regex::Regex;
use std::cmp::Ordering;

type Args<'v, 'a> = &'v mut Vec<Value<'a>>;

pub fn parse<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Some(text) = text(args, 0) else { return no_overload() };
    Quantity::parse(text).map_or_else(|e| failed(e.to_string()), |q| Ok(Value::Quantity(Box::new(q))))
}

pub fn is_quantity<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    text(args, 0).map_or_else(no_overload, |text| Ok(Value::Bool(Quantity::parse(text).is_ok())))
}

macro_rules! quantity {
    ($args:expr) => {
        match &$args[0] {
            Value::Quantity(quantity) => quantity,
            _ => return no_overload(),
        }
    };
}

pub fn sign<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    Ok(Value::Int(quantity!(args).signum().into()))
}

pub fn as_integer<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let quantity = quantity!(args);
    match quantity.whole() {
        Some(n) => Ok(Value::Int(n)),
        None => failed("cannot convert value to integer"),
    }
}

pub fn is_integer<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    Ok(Value::Bool(quantity!(args).whole().is_some()))
}

pub fn as_float<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    Ok(Value::Double(quantity!(args).approximate()))
}

fn other(args: &[Value<'_>]) -> Option<Quantity> {
    match args.get(1) {
        Some(Value::Quantity(quantity)) => Some((**quantity).clone()),
        Some(Value::Int(n)) => Some(Quantity::new(*n, Format::DecimalSi)),
        _ => None,
    }
}

pub fn add<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Some(other) = other(args) else { return no_overload() };
    Ok(Value::Quantity(Box::new(quantity!(args).add(&other))))
}

pub fn sub<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Some(other) = other(args) else { return no_overload() };
    Ok(Value::Quantity(Box::new(quantity!(args).sub(&other))))
}

fn order(args: &[Value<'_>]) -> Option<Ordering> {
    match (&args[0], &args[1]) {
        (Value::Quantity(a), Value::Quantity(b)) => Some(a.cmp(b)),
        (Value::Semver(a), Value::Semver(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

pub fn is_greater<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    order(args).map_or_else(no_overload, |order| Ok(Value::Bool(order.is_gt())))
}

pub fn is_less<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    order(args).map_or_else(no_overload, |order| Ok(Value::Bool(order.is_lt())))
}

pub fn compare<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    order(args).map_or_else(no_overload, |order| Ok(Value::Int(order as i64)))
}
