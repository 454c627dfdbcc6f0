//! Texts and patterns (cel-go ext/strings.go version 2, k8s.io/apiserver/pkg/cel/library/regex.go). Places are counted
//! in characters.

use super::core::double_text;
use super::time;
use crate::EvalError;
use crate::check::pattern as compile;
use crate::eval::{Eval, failed, no_overload};
use crate::limits::TEXT_BYTES_MAX;
use crate::value::Value;
use regex::Regex;
use std::fmt::Write;

type Args<'v, 'a> = &'v mut Vec<Value<'a>>;

/// The bytes of base64 with padding.
pub fn read_base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// The text of an argument.
pub fn text<'v>(args: &'v [Value<'_>], i: usize) -> Option<&'v str> {
    match args.get(i) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn int(args: &[Value<'_>], i: usize) -> Option<i64> {
    match args.get(i) {
        Some(Value::Int(n)) => Some(*n),
        _ => None,
    }
}

macro_rules! texts {
    ($args:expr, $first:ident, $second:ident) => {
        let (Some($first), Some($second)) = (text($args, 0), text($args, 1)) else { return no_overload() };
    };
}

fn with_pattern<T>(
    known: Option<&Regex>,
    source: &str,
    then: impl FnOnce(&Regex) -> T,
) -> Result<T, EvalError> {
    match known {
        Some(pattern) => Ok(then(pattern)),
        None => match compile(source) {
            Ok(pattern) => Ok(then(&pattern)),
            Err(why) => Err(EvalError::Failed(why)),
        },
    }
}

pub fn matches<'a>(args: Args<'_, 'a>, pattern: Option<&Regex>) -> Eval<'a> {
    texts!(args, subject, source);
    with_pattern(pattern, source, |p| p.is_match(subject)).map(Value::Bool)
}

pub fn find<'a>(args: Args<'_, 'a>, pattern: Option<&Regex>) -> Eval<'a> {
    texts!(args, subject, source);
    let found = with_pattern(pattern, source, |p| p.find(subject).map(|m| m.as_str().to_owned()))?;
    Ok(Value::text(found.unwrap_or_default()))
}

pub fn find_all<'a>(args: Args<'_, 'a>, pattern: Option<&Regex>) -> Eval<'a> {
    texts!(args, subject, source);
    let limit = int(args, 2).map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let found = with_pattern(pattern, source, |p| {
        p.find_iter(subject).take(limit).map(|m| Value::text(m.as_str())).collect()
    })?;
    Ok(Value::list(found))
}

pub fn contains<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    texts!(args, subject, part);
    Ok(Value::Bool(subject.contains(part)))
}

pub fn starts_with<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    texts!(args, subject, part);
    Ok(Value::Bool(subject.starts_with(part)))
}

pub fn ends_with<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    texts!(args, subject, part);
    Ok(Value::Bool(subject.ends_with(part)))
}

pub fn char_at<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let (Some(subject), Some(index)) = (text(args, 0), int(args, 1)) else { return no_overload() };
    let size = subject.chars().count();
    match usize::try_from(index) {
        Ok(i) if i <= size => Ok(Value::text(subject.chars().nth(i).map(String::from).unwrap_or_default())),
        _ => failed(format!("index out of range: {index}")),
    }
}

/// Where a text stands in another: the first place from `from` on, or the last one up to it.
pub fn place(subject: &str, part: &str, from: Option<i64>, is_last: bool) -> Result<i64, String> {
    let (subject, part): (Vec<char>, Vec<char>) = (subject.chars().collect(), part.chars().collect());
    let bad = |n: i64| format!("index out of range: {n}");
    let from = match from {
        Some(n) => match usize::try_from(n) {
            Ok(i) if i <= subject.len() => Some(i),
            _ => return Err(bad(n)),
        },
        None => None,
    };
    if part.is_empty() {
        let end = if is_last { subject.len() } else { 0 };
        return Ok(from.unwrap_or(end) as i64);
    }
    let Some(latest) = subject.len().checked_sub(part.len()) else { return Ok(-1) };
    let is_at = |&i: &usize| subject[i..].starts_with(&part);
    let found = match is_last {
        true => (0..=from.unwrap_or(latest).min(latest)).rev().find(is_at),
        false => (from.unwrap_or(0)..=latest).find(is_at),
    };
    Ok(found.map_or(-1, |i| i as i64))
}

pub fn lower<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    text(args, 0).map_or_else(no_overload, |text| Ok(Value::text(text.to_ascii_lowercase())))
}

pub fn upper<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    text(args, 0).map_or_else(no_overload, |text| Ok(Value::text(text.to_ascii_uppercase())))
}

pub fn trim<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    text(args, 0).map_or_else(no_overload, |text| Ok(Value::text(text.trim())))
}

pub fn substring<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let (Some(subject), Some(from)) = (text(args, 0), int(args, 1)) else { return no_overload() };
    let size = subject.chars().count();
    let to = int(args, 2).unwrap_or(size as i64);
    let valid = |n: i64| usize::try_from(n).ok().filter(|n| *n <= size);
    match (valid(from), valid(to)) {
        (Some(a), Some(b)) if a <= b => {
            Ok(Value::text(subject.chars().skip(a).take(b - a).collect::<String>()))
        }
        (Some(_), Some(_)) => failed(format!("invalid substring range. start: {from}, end: {to}")),
        (None, _) => failed(format!("index out of range: {from}")),
        (_, None) => failed(format!("index out of range: {to}")),
    }
}

pub fn replace<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    texts!(args, subject, old);
    let Some(new) = text(args, 2) else { return no_overload() };
    let times = int(args, 3).map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let found = subject.matches(old).count().min(times);
    if found.saturating_mul(new.len()).saturating_add(subject.len()) > TEXT_BYTES_MAX {
        return Err(EvalError::CostExceeded);
    }
    Ok(Value::text(subject.replacen(old, new, times)))
}

pub fn split<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    texts!(args, subject, separator);
    let limit = int(args, 2).map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let parts: Vec<String> = match (limit, separator.is_empty()) {
        (0, _) => Vec::new(),
        (limit, true) => {
            let count = subject.chars().count();
            let mut parts: Vec<String> = subject
                .chars()
                .take(limit.min(count) - usize::from(limit < count))
                .map(String::from)
                .collect();
            if limit < count {
                parts.push(subject.chars().skip(limit - 1).collect());
            }
            parts
        }
        (limit, false) => subject.splitn(limit, separator).map(str::to_owned).collect(),
    };
    Ok(Value::list(parts.into_iter().map(Value::text).collect()))
}

pub fn join<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Some(items) = args[0].items() else { return no_overload() };
    let separator = text(args, 1).unwrap_or_default();
    let mut out = String::new();
    for (i, item) in items.iter().enumerate() {
        let Value::String(part) = item else { return no_overload() };
        if i > 0 {
            out.push_str(separator);
        }
        out.push_str(&part);
    }
    Ok(Value::text(out))
}

/// The text as a step of a path in a JSON patch (k8s.io/apiserver/pkg/cel/library/jsonpatch.go).
pub fn escape_pointer<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Some(subject) = text(args, 0) else { return no_overload() };
    Ok(Value::text(subject.replace('~', "~0").replace('/', "~1")))
}

pub fn quote<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Some(subject) = text(args, 0) else { return no_overload() };
    let mut out = String::from("\"");
    for c in subject.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(Value::text(out))
}

/// `"%d of %s".format([1, "two"])`.
pub fn format<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let (Some(template), Some(values)) = (text(args, 0), args[1].items()) else { return no_overload() };
    let mut values = values.iter();
    let mut used = 0;
    let mut out = String::new();
    let mut rest = template.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if rest.peek() == Some(&'%') {
            rest.next();
            out.push('%');
            continue;
        }
        let mut precision = 6;
        if rest.peek() == Some(&'.') {
            rest.next();
            precision = 0;
            while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                precision = (precision * 10 + digit as usize).min(64);
                rest.next();
            }
        }
        let Some(clause) = rest.next() else { return failed("unexpected end of string") };
        let Some(value) = values.next() else { return failed(format!("index {used} out of range")) };
        used += 1;
        let Some(()) = write(&mut out, clause, precision, &value) else {
            let kind = value.type_name();
            return failed(format!(
                "error during formatting: could not use a value of type {kind} with %{clause}"
            ));
        };
    }
    Ok(Value::text(out))
}

fn write(out: &mut String, clause: char, precision: usize, value: &Value<'_>) -> Option<()> {
    let _infallible = match (clause, value) {
        ('s', value) => {
            out.push_str(&shown(value));
            Ok(())
        }
        ('d', Value::Int(n)) => write!(out, "{n}"),
        ('d', Value::Uint(n)) => write!(out, "{n}"),
        ('f', Value::Double(n)) => write!(out, "{n:.precision$}"),
        ('e', Value::Double(n)) => {
            let text = format!("{n:.precision$e}");
            let (mantissa, exponent) = text.split_once('e')?;
            let exponent: i32 = exponent.parse().ok()?;
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(out, "{mantissa}e{sign}{:02}", exponent.abs())
        }
        ('b', Value::Int(n)) => write!(out, "{}{:b}", if *n < 0 { "-" } else { "" }, n.unsigned_abs()),
        ('b', Value::Uint(n)) => write!(out, "{n:b}"),
        ('b', Value::Bool(b)) => write!(out, "{}", u8::from(*b)),
        ('o', Value::Int(n)) => write!(out, "{}{:o}", if *n < 0 { "-" } else { "" }, n.unsigned_abs()),
        ('o', Value::Uint(n)) => write!(out, "{n:o}"),
        ('x', Value::Int(n)) => write!(out, "{}{:x}", if *n < 0 { "-" } else { "" }, n.unsigned_abs()),
        ('x', Value::Uint(n)) => write!(out, "{n:x}"),
        ('X', Value::Int(n)) => write!(out, "{}{:X}", if *n < 0 { "-" } else { "" }, n.unsigned_abs()),
        ('X', Value::Uint(n)) => write!(out, "{n:X}"),
        ('x' | 'X', Value::String(_) | Value::Bytes(_)) => {
            let bytes: &[u8] = match value {
                Value::String(text) => text.as_bytes(),
                Value::Bytes(bytes) => bytes,
                _ => return None,
            };
            bytes
                .iter()
                .try_for_each(|b| if clause == 'x' { write!(out, "{b:02x}") } else { write!(out, "{b:02X}") })
        }
        _ => return None,
    };
    Some(())
}

/// A value as `%s` shows it.
fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Uint(n) => n.to_string(),
        Value::Double(n) => double_text(*n),
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Timestamp(t) => time::timestamp_text(*t),
        Value::Duration(n) => time::duration_text(*n),
        Value::Type(name) => (*name).to_owned(),
        Value::Ip(ip) => ip.to_string(),
        Value::Cidr(cidr) => cidr.to_string(),
        Value::Quantity(quantity) => quantity.to_string(),
        other => match (other.items(), other.entries()) {
            (Some(items), _) => {
                let items: Vec<String> = items.iter().map(|item| shown(&item)).collect();
                format!("[{}]", items.join(", "))
            }
            (None, Some(entries)) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{key}: {}", shown(value))).collect();
                format!("{{{}}}", entries.join(", "))
            }
            _ => other.type_name().to_owned(),
        },
    }
}
