//! Operators and conversions (cel-go, common/types).

use super::time;
use crate::eval::{Eval, failed, no_overload};
use crate::types::Merge;
use crate::value::{Items, Key, Value, identity};
use regex::Regex;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

type Args<'v, 'a> = &'v mut Vec<Value<'a>>;

/// Of functions that the machine itself evaluates.
pub fn never<'a>(_: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    no_overload()
}

pub fn same<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    args.pop().map_or_else(no_overload, Ok)
}

pub fn not<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match args[0] {
        Value::Bool(b) => Ok(Value::Bool(!b)),
        _ => no_overload(),
    }
}

pub fn negate<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match args[0] {
        Value::Int(n) => checked(n.checked_neg().map(Value::Int)),
        Value::Double(n) => Ok(Value::Double(-n)),
        Value::Duration(n) => checked(n.checked_neg().map(Value::Duration)),
        _ => no_overload(),
    }
}

fn checked(value: Option<Value<'_>>) -> Eval<'_> {
    value.map_or_else(|| failed("integer overflow"), Ok)
}

pub fn equals<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    Ok(Value::Bool(args[0].equals(&args[1])))
}

pub fn differs<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    Ok(Value::Bool(!args[0].equals(&args[1])))
}

fn ordered<'a>(args: &[Value<'a>], holds: fn(Ordering) -> bool) -> Eval<'a> {
    match (args[0].compare(&args[1]), &args[0], &args[1]) {
        (Some(order), ..) => Ok(Value::Bool(holds(order))),
        // NaN is less than nothing and more than nothing.
        (None, Value::Double(_) | Value::Int(_) | Value::Uint(_), Value::Double(_)) => Ok(Value::Bool(false)),
        (None, Value::Double(_), Value::Int(_) | Value::Uint(_)) => Ok(Value::Bool(false)),
        _ => no_overload(),
    }
}

pub fn less<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    ordered(args, Ordering::is_lt)
}

pub fn less_or_equal<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    ordered(args, Ordering::is_le)
}

pub fn greater<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    ordered(args, Ordering::is_gt)
}

pub fn greater_or_equal<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    ordered(args, Ordering::is_ge)
}

pub fn add<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let (Some(right), Some(left)) = (args.pop(), args.pop()) else { return no_overload() };
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => checked(a.checked_add(b).map(Value::Int)),
        (Value::Uint(a), Value::Uint(b)) => {
            a.checked_add(b).map_or_else(|| failed("unsigned integer overflow"), |n| Ok(Value::Uint(n)))
        }
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        (Value::String(a), Value::String(b)) => {
            let mut joined = a.into_owned();
            joined.push_str(&b);
            Ok(Value::String(joined.into()))
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            let mut joined = a.into_owned();
            joined.extend_from_slice(&b);
            Ok(Value::Bytes(joined.into()))
        }
        (Value::Duration(a), Value::Duration(b)) => checked(a.checked_add(b).map(Value::Duration)),
        (Value::Timestamp(t), Value::Duration(d)) | (Value::Duration(d), Value::Timestamp(t)) => {
            time::shift(t, d, false)
        }
        (left, right) => add_lists(left, &right),
    }
}

fn add_lists<'a>(left: Value<'a>, right: &Value<'a>) -> Eval<'a> {
    let Some(more) = right.items() else { return no_overload() };
    if let Value::List(mut items) = left {
        Arc::make_mut(&mut items).extend(more.iter());
        return Ok(Value::List(items));
    }
    let Some(ours) = left.items() else { return no_overload() };
    let merge = left.merge();
    match (ours, more, merge) {
        (Items::Json(ours, decl), Items::Json(theirs, _), Merge::Set | Merge::Map(_)) => {
            // A set gains what it has not; of a map, items with the same keys are replaced where they stand.
            let known: HashSet<String> = ours.iter().map(|item| identity(item, merge)).collect();
            let replaced = |item| {
                let same = |other: &&serde_json::Value| identity(other, merge) == identity(item, merge);
                theirs.iter().find(same).unwrap_or(item)
            };
            let ours = ours.iter().map(|item| if *merge == Merge::Set { item } else { replaced(item) });
            let new = theirs.iter().filter(|item| !known.contains(&identity(item, merge)));
            Ok(Value::list(ours.chain(new).map(|item| Value::of(item, decl)).collect()))
        }
        _ => Ok(Value::list(ours.iter().chain(more.iter()).collect())),
    }
}

pub fn subtract<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match (&args[0], &args[1]) {
        (Value::Int(a), Value::Int(b)) => checked(a.checked_sub(*b).map(Value::Int)),
        (Value::Uint(a), Value::Uint(b)) => {
            a.checked_sub(*b).map_or_else(|| failed("unsigned integer overflow"), |n| Ok(Value::Uint(n)))
        }
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a - b)),
        (Value::Duration(a), Value::Duration(b)) => checked(a.checked_sub(*b).map(Value::Duration)),
        (Value::Timestamp(t), Value::Duration(d)) => time::shift(*t, *d, true),
        (Value::Timestamp(a), Value::Timestamp(b)) => {
            let nanos = a.as_nanosecond() - b.as_nanosecond();
            checked(i64::try_from(nanos).ok().map(Value::Duration))
        }
        _ => no_overload(),
    }
}

pub fn multiply<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match (&args[0], &args[1]) {
        (Value::Int(a), Value::Int(b)) => checked(a.checked_mul(*b).map(Value::Int)),
        (Value::Uint(a), Value::Uint(b)) => {
            a.checked_mul(*b).map_or_else(|| failed("unsigned integer overflow"), |n| Ok(Value::Uint(n)))
        }
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a * b)),
        _ => no_overload(),
    }
}

pub fn divide<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match (&args[0], &args[1]) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => failed("division by zero"),
        (Value::Int(a), Value::Int(b)) => checked(a.checked_div(*b).map(Value::Int)),
        (Value::Uint(a), Value::Uint(b)) => Ok(Value::Uint(a / b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a / b)),
        _ => no_overload(),
    }
}

pub fn modulo<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match (&args[0], &args[1]) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => failed("modulus by zero"),
        (Value::Int(a), Value::Int(b)) => checked(a.checked_rem(*b).map(Value::Int)),
        (Value::Uint(a), Value::Uint(b)) => Ok(Value::Uint(a % b)),
        _ => no_overload(),
    }
}

/// An item by its number; `None`: it is no number of an item.
pub fn position(items: &Items<'_, '_>, index: &Value<'_>) -> Option<usize> {
    let index = match index {
        Value::Int(n) => usize::try_from(*n).ok()?,
        Value::Uint(n) => usize::try_from(*n).ok()?,
        Value::Double(n) if n.fract() == 0.0 && *n >= 0.0 => *n as usize,
        _ => return None,
    };
    (index < items.len()).then_some(index)
}

pub fn index<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    if let Value::Optional(_) = &args[0] {
        return super::optional::index(args, None);
    }
    if let Some(items) = args[0].items() {
        let found = position(&items, &args[1]).and_then(|i| items.get(i));
        return match (found, &args[1]) {
            (Some(item), _) => Ok(item),
            (None, Value::Int(n)) => failed(format!("index out of bounds: {n}")),
            (None, Value::Uint(n)) => failed(format!("index out of bounds: {n}")),
            (None, other) => failed(format!("unsupported index type '{}' in list", other.type_name())),
        };
    }
    let Some(key) = args[1].key() else { return no_overload() };
    match args[0].get(&key) {
        Some(Some(found)) => Ok(found),
        Some(None) => failed(format!("no such key: {key}")),
        None => no_overload(),
    }
}

pub fn is_in<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    if let Some(items) = args[1].items() {
        return Ok(Value::Bool(items.iter().any(|item| item.equals(&args[0]))));
    }
    let key = args[0].key();
    match key.map_or_else(|| args[1].get(&Key::Bool(false)).map(|_| None), |key| args[1].get(&key)) {
        Some(found) => Ok(Value::Bool(found.is_some())),
        None => no_overload(),
    }
}

pub fn size<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match &args[0] {
        value @ (Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Tree(_)) => {
            Ok(Value::Int(value.size() as i64))
        }
        _ => no_overload(),
    }
}

pub fn type_of<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    Ok(Value::Type(args[0].type_name()))
}

pub fn to_bool<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match &args[0] {
        Value::Bool(b) => Ok(Value::Bool(*b)),
        Value::String(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => failed("type conversion error from 'string' to 'bool'"),
        },
        _ => no_overload(),
    }
}

pub fn to_bytes<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match args.swap_remove(0) {
        Value::String(Cow::Borrowed(text)) => Ok(Value::Bytes(text.as_bytes().into())),
        Value::String(Cow::Owned(text)) => Ok(Value::Bytes(text.into_bytes().into())),
        bytes @ Value::Bytes(_) => Ok(bytes),
        _ => no_overload(),
    }
}

pub fn to_double<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match &args[0] {
        Value::Double(n) => Ok(Value::Double(*n)),
        Value::Int(n) => Ok(Value::Double(*n as f64)),
        Value::Uint(n) => Ok(Value::Double(*n as f64)),
        Value::String(text) => match text.parse() {
            Ok(n) => Ok(Value::Double(n)),
            Err(_) => failed("type conversion error from 'string' to 'double'"),
        },
        _ => no_overload(),
    }
}

pub fn to_int<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match &args[0] {
        Value::Int(n) => Ok(Value::Int(*n)),
        Value::Uint(n) => checked(i64::try_from(*n).ok().map(Value::Int)),
        Value::Double(n) if n.abs() < 9_223_372_036_854_775_808.0 => Ok(Value::Int(*n as i64)),
        Value::Double(_) => failed("integer overflow"),
        Value::Timestamp(t) => Ok(Value::Int(t.as_second())),
        Value::Duration(n) => Ok(Value::Int(*n)),
        Value::String(text) => match text.parse() {
            Ok(n) => Ok(Value::Int(n)),
            Err(_) => failed("type conversion error from 'string' to 'int'"),
        },
        _ => no_overload(),
    }
}

pub fn to_uint<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let overflow = || failed("unsigned integer overflow");
    match &args[0] {
        Value::Uint(n) => Ok(Value::Uint(*n)),
        Value::Int(n) => u64::try_from(*n).map_or_else(|_| overflow(), |n| Ok(Value::Uint(n))),
        Value::Double(n) if *n >= 0.0 && *n < 18_446_744_073_709_551_616.0 => Ok(Value::Uint(*n as u64)),
        Value::Double(_) => overflow(),
        Value::String(text) => match text.parse() {
            Ok(n) => Ok(Value::Uint(n)),
            Err(_) => failed("type conversion error from 'string' to 'uint'"),
        },
        _ => no_overload(),
    }
}

pub fn to_string<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    Ok(match args.swap_remove(0) {
        text @ Value::String(_) => text,
        Value::Bool(b) => Value::text(b.to_string()),
        Value::Int(n) => Value::text(n.to_string()),
        Value::Uint(n) => Value::text(n.to_string()),
        Value::Double(n) => Value::text(double_text(n)),
        Value::Bytes(bytes) => match String::from_utf8(bytes.into_owned()) {
            Ok(text) => Value::text(text),
            Err(_) => return failed("invalid UTF-8 in bytes, cannot convert to string"),
        },
        Value::Timestamp(t) => Value::text(time::timestamp_text(t)),
        Value::Duration(n) => Value::text(time::duration_text(n)),
        Value::Ip(ip) => Value::text(ip.to_string()),
        Value::Cidr(cidr) => Value::text(cidr.to_string()),
        _ => return no_overload(),
    })
}

/// The shortest text of a number, as Go's `%g` has it.
pub fn double_text(n: f64) -> String {
    if n.is_nan() {
        return "NaN".to_owned();
    }
    if n.is_infinite() {
        return if n > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let exponent = if n == 0.0 { 0.0 } else { n.abs().log10().floor() };
    if !(-4.0..21.0).contains(&exponent) {
        let text = format!("{n:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{n}")
}
