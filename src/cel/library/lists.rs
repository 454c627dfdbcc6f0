//! Lists, sets and maps (k8s.io/apiserver/pkg/cel/library/lists.go, cel-go ext/{lists,sets,comprehensions}.go).

use super::strings::{place, text};
use crate::eval::{Eval, failed, no_overload};
use crate::value::Value;
use regex::Regex;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

type Args<'v, 'a> = &'v mut Vec<Value<'a>>;

/// Items that `lists.range` makes at most; a call with more costs too much in any case.
const RANGE_ITEMS_MAX: i64 = 1_000_000;

macro_rules! items {
    ($args:expr, $i:expr) => {
        match $args.get($i).and_then(Value::items) {
            Some(items) => items,
            None => return no_overload(),
        }
    };
}

fn position_of<'a>(args: &[Value<'a>], is_last: bool) -> Eval<'a> {
    if let (Some(subject), Some(part)) = (text(args, 0), text(args, 1)) {
        let from = match args.get(2) {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        };
        return place(subject, part, from, is_last).map_or_else(failed, |n| Ok(Value::Int(n)));
    }
    let items = items!(args, 0);
    let is_it = |i: &usize| items.get(*i).is_some_and(|item| item.equals(&args[1]));
    let found = match is_last {
        true => (0..items.len()).rev().find(is_it),
        false => (0..items.len()).find(is_it),
    };
    Ok(Value::Int(found.map_or(-1, |i| i as i64)))
}

pub fn index_of<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    position_of(args, false)
}

pub fn last_index_of<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    position_of(args, true)
}

pub fn is_sorted<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let items: Vec<Value<'a>> = items!(args, 0).iter().collect();
    let sorted = items.windows(2).all(|pair| pair[0].compare(&pair[1]).is_some_and(Ordering::is_le));
    Ok(Value::Bool(sorted))
}

pub fn sum<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let mut total: Option<Value<'a>> = None;
    for item in items!(args, 0).iter() {
        total = Some(match total {
            None => item,
            Some(total) => super::core::add(&mut vec![total, item], None)?,
        });
    }
    Ok(total.unwrap_or(Value::Int(0)))
}

fn extreme<'a>(args: &[Value<'a>], wanted: Ordering, name: &str) -> Eval<'a> {
    let mut best: Option<Value<'a>> = None;
    for item in items!(args, 0).iter() {
        let is_better = best.as_ref().is_none_or(|best| item.compare(best) == Some(wanted));
        if is_better {
            best = Some(item);
        }
    }
    best.map_or_else(|| failed(format!("{name} called on empty list")), Ok)
}

pub fn min<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    extreme(args, Ordering::Less, "min")
}

pub fn max<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    extreme(args, Ordering::Greater, "max")
}

pub fn slice<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let items = items!(args, 0);
    let (Value::Int(from), Value::Int(to)) = (&args[1], &args[2]) else { return no_overload() };
    match (usize::try_from(*from), usize::try_from(*to)) {
        (Ok(a), Ok(b)) if a <= b && b <= items.len() => {
            Ok(Value::list((a..b).filter_map(|i| items.get(i)).collect()))
        }
        (Err(_), _) | (_, Err(_)) => {
            failed(format!("cannot slice({from}, {to}), negative indexes not supported"))
        }
        (Ok(a), Ok(b)) if a > b => {
            failed(format!("cannot slice({from}, {to}), start index must be less than or equal to end index"))
        }
        _ => failed(format!("cannot slice({from}, {to}), list is length {}", items.len())),
    }
}

pub fn flatten<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let depth = match args.get(1) {
        Some(Value::Int(n)) if *n < 0 => return failed("level must be non-negative"),
        Some(Value::Int(n)) => (*n).min(64),
        _ => 1,
    };
    let mut out = Vec::new();
    items!(args, 0).iter().for_each(|item| flatten_into(item, depth, &mut out));
    Ok(Value::list(out))
}

fn flatten_into<'a>(item: Value<'a>, depth: i64, out: &mut Vec<Value<'a>>) {
    match item.items().filter(|_| depth > 0) {
        Some(inner) => inner.iter().for_each(|item| flatten_into(item, depth - 1, out)),
        None => out.push(item),
    }
}

pub fn range<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match args[0] {
        Value::Int(n) if n > RANGE_ITEMS_MAX => failed("operation cancelled: actual cost limit exceeded"),
        Value::Int(n) => Ok(Value::list((0..n).map(Value::Int).collect())),
        _ => no_overload(),
    }
}

pub fn reverse<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let mut items: Vec<Value<'a>> = items!(args, 0).iter().collect();
    items.reverse();
    Ok(Value::list(items))
}

/// What tells values apart: equal ones have one print.
fn print(value: &Value<'_>) -> String {
    if let Some(items) = value.items() {
        return items.iter().map(|item| print(&item) + ",").fold("[".to_owned(), |a, b| a + &b);
    }
    if let Some(entries) = value.entries() {
        let mut parts: Vec<String> = entries.iter().map(|(k, v)| format!("{k:?}={}", print(v))).collect();
        parts.sort();
        return format!("{{{}", parts.join(","));
    }
    match value {
        Value::Int(n) => format!("n{n}"),
        Value::Uint(n) => format!("n{n}"),
        Value::Double(n) if n.fract() == 0.0 && n.abs() < 1e15 => format!("n{}", *n as i64),
        Value::Quantity(quantity) => format!("q{}", quantity.milli_value()),
        other => format!("{other:?}"),
    }
}

pub fn distinct<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let mut seen = HashSet::new();
    Ok(Value::list(items!(args, 0).iter().filter(|item| seen.insert(print(item))).collect()))
}

pub fn sort<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let mut items: Vec<Value<'a>> = items!(args, 0).iter().collect();
    items.sort_by(|a, b| a.compare(b).unwrap_or(Ordering::Equal));
    Ok(Value::list(items))
}

pub fn sort_by_keys<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let (items, keys) = (items!(args, 0), items!(args, 1));
    let mut pairs: Vec<(Value<'a>, Value<'a>)> = keys.iter().zip(items.iter()).collect();
    pairs.sort_by(|a, b| a.0.compare(&b.0).unwrap_or(Ordering::Equal));
    Ok(Value::list(pairs.into_iter().map(|(_, item)| item).collect()))
}

pub fn first<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    Ok(Value::Optional(items!(args, 0).get(0).map(Box::new)))
}

pub fn last<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let items = items!(args, 0);
    Ok(Value::Optional(items.len().checked_sub(1).and_then(|i| items.get(i)).map(Box::new)))
}

/// One entry more, or all of another map. None may be there already.
pub fn map_insert<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let entries = match args.len() {
        3 => {
            let (Some(value), Some(key)) = (args.pop(), args.pop()) else { return no_overload() };
            let Some(key) = key.key() else { return failed("unsupported key type") };
            vec![(key, value)]
        }
        _ => match args.pop().and_then(|map| map.entries()) {
            Some(entries) => entries,
            None => return no_overload(),
        },
    };
    let Some(Value::Map(mut map)) = args.pop() else { return no_overload() };
    let inner = Arc::make_mut(&mut map);
    for (key, value) in entries {
        if inner.contains_key(&key) {
            return failed(format!("insert failed: key {key} already exists"));
        }
        inner.insert(key, value);
    }
    Ok(Value::Map(map))
}

fn prints(args: &[Value<'_>], i: usize) -> Option<HashSet<String>> {
    args.get(i).and_then(Value::items).map(|items| items.iter().map(|item| print(&item)).collect())
}

pub fn set_contains<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match (prints(args, 0), prints(args, 1)) {
        (Some(all), Some(wanted)) => Ok(Value::Bool(wanted.is_subset(&all))),
        _ => no_overload(),
    }
}

pub fn set_equivalent<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match (prints(args, 0), prints(args, 1)) {
        (Some(a), Some(b)) => Ok(Value::Bool(a == b)),
        _ => no_overload(),
    }
}

pub fn set_intersects<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match (prints(args, 0), prints(args, 1)) {
        (Some(a), Some(b)) => Ok(Value::Bool(!a.is_disjoint(&b))),
        _ => no_overload(),
    }
}
