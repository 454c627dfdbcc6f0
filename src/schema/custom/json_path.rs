//! The JSON paths of printer columns and selectable fields: fields, indices, slices, wildcards and filters on equality
//! (the part of k8s.io/client-go/util/jsonpath that definitions use).

use alcove_object::Value;
use thiserror::Error;

/// Steps of one path at most.
const STEPS_MAX: usize = 64;

/// A path that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Box<[Step]>);

/// Why a text is no path.
#[derive(Debug, Error)]
pub enum JsonPathError {
    /// Something that is not understood, from here on.
    #[error("unrecognized path at {0:?}")]
    Unrecognized(String),
    /// More steps than there may be.
    #[error("more than {STEPS_MAX} steps")]
    TooLong,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(Box<str>),
    /// An item; counted from the end if negative.
    Index(i64),
    /// Items from one on, before another, each so many apart; ends are counted from the end if negative.
    Slice(i64, Option<i64>, i64),
    /// All items, or all values.
    All,
    /// Itself and everything below.
    Descend,
    /// Items in which the value at a path compares so.
    Filter(JsonPath, Comparison, Value),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Exists,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Reads a path such as `.status.conditions[?(@.type=="Ready")].status`.
    pub fn parse(text: &str) -> Result<JsonPath, JsonPathError> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if steps.len() == STEPS_MAX {
                return Err(JsonPathError::TooLong);
            }
            let (step, after) = step(rest).ok_or_else(|| JsonPathError::Unrecognized(rest.to_owned()))?;
            steps.extend(step);
            rest = after;
        }
        Ok(JsonPath(steps.into()))
    }

    /// The values at the path, in document order.
    pub fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| follow(step, value)).collect();
        }
        found
    }

    /// The first value at the path.
    pub fn first<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.find(value).into_iter().next()
    }

    /// The fields that the path begins with: whatever it finds stands below them.
    pub fn leading_fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map_while(|step| match step {
            Step::Field(name) => Some(&**name),
            _ => None,
        })
    }

    /// The fields of a path that is nothing but fields.
    pub fn fields(&self) -> Option<Vec<&str>> {
        let field = |step: &'_ Step| matches!(step, Step::Field(_));
        if !self.0.iter().all(field) {
            return None;
        }
        let names = self.0.iter().filter_map(|step| match step {
            Step::Field(name) => Some(&**name),
            _ => None,
        });
        Some(names.collect())
    }
}

/// The first step of a path, none for a dot that stands for the value itself.
fn step(text: &str) -> Option<(Option<Step>, &str)> {
    if let Some(rest) = text.strip_prefix("..") {
        // The name follows without another dot.
        let rest_is_name = !rest.is_empty() && !rest.starts_with(['.', '[']);
        return rest_is_name
            .then_some((Some(Step::Descend), rest))
            .or_else(|| rest.starts_with('[').then_some((Some(Step::Descend), rest)));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = bracket(rest)?;
        return Some((Some(subscript(inside.trim())?), after));
    }
    let rest = text.strip_prefix('.').unwrap_or(text);
    if rest.is_empty() || rest.starts_with('[') {
        return Some((None, rest));
    }
    let mut name = String::new();
    let mut chars = rest.char_indices();
    let mut end = rest.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => {
                end = at;
                break;
            }
            '\\' => name.push(chars.next()?.1),
            ']' | '{' | '}' | '(' | ')' | ' ' | '"' | '\'' => return None,
            c => name.push(c),
        }
    }
    let step = if name == "*" { Step::All } else { Step::Field(name.into()) };
    Some((Some(step), &rest[end..]))
}

/// What stands before the closing bracket, quotes and nested brackets respected, and what after.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let (mut quote, mut depth) = (None, 0);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some((&text[..at], &text[at + 1..])),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn subscript(inside: &str) -> Option<Step> {
    if inside == "*" {
        return Some(Step::All);
    }
    if let Some(condition) = inside.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return filter(condition.trim());
    }
    if let Some(name) = quoted(inside) {
        return Some(Step::Field(name.into()));
    }
    if inside.contains(':') {
        return slice(inside);
    }
    inside.parse().ok().map(Step::Index)
}

/// `from:to:step`, of which each may be missing.
fn slice(inside: &str) -> Option<Step> {
    let mut numbers = Vec::new();
    for part in inside.split(':') {
        numbers.push(if part.is_empty() { None } else { Some(part.trim().parse().ok()?) });
    }
    match numbers[..] {
        [from, to] => Some(Step::Slice(from.unwrap_or(0), to, 1)),
        [from, to, every] => Some(Step::Slice(from.unwrap_or(0), to, every.unwrap_or(1))),
        _ => None,
    }
}

fn filter(condition: &str) -> Option<Step> {
    const OPERATORS: [(&str, Comparison); 6] = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let found = OPERATORS.iter().filter_map(|(text, how)| Some((condition.find(text)?, *text, *how)));
    let first = found.min_by_key(|(at, text, _)| (*at, std::cmp::Reverse(text.len())));
    let path = |text: &str| JsonPath::parse(text.trim().strip_prefix('@')?).ok();
    let Some((at, operator, how)) = first else {
        return Some(Step::Filter(path(condition)?, Comparison::Exists, Value::Null));
    };
    let operand = condition[at + operator.len()..].trim();
    let operand = match quoted(operand) {
        Some(text) => text.into(),
        None => serde_json::from_str(operand).ok()?,
    };
    Some(Step::Filter(path(&condition[..at])?, how, operand))
}

fn quoted(text: &str) -> Option<String> {
    let inside = ['\'', '"'].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q))?;
    Some(inside.replace("\\.", "."))
}

fn follow<'v>(step: &Step, value: &'v Value) -> Vec<&'v Value> {
    match (step, value) {
        (Step::Field(name), Value::Object(map)) => map.get(&**name).into_iter().collect(),
        (Step::Index(index), Value::Array(items)) => {
            let at = if *index < 0 { items.len() as i64 + index } else { *index };
            usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
        }
        (Step::Slice(from, to, every), Value::Array(items)) => sliced(items, *from, *to, *every),
        (Step::All, Value::Array(items)) => items.iter().collect(),
        (Step::All, Value::Object(map)) => map.values().collect(),
        (Step::Descend, value) => {
            let mut found = vec![value];
            let below: Vec<&Value> = match value {
                Value::Array(items) => items.iter().collect(),
                Value::Object(map) => map.values().collect(),
                _ => Vec::new(),
            };
            found.extend(below.into_iter().flat_map(|value| follow(step, value)));
            found
        }
        (Step::Filter(path, how, operand), Value::Array(items)) => {
            items.iter().filter(|item| compares(path.first(item), *how, operand)).collect()
        }
        _ => Vec::new(),
    }
}

/// Part of a list; nothing where the bounds make no sense.
fn sliced(items: &[Value], from: i64, to: Option<i64>, every: i64) -> Vec<&Value> {
    let length = items.len() as i64;
    let bound = |at: i64| if at < 0 { at + length } else { at };
    let (from, to) = (bound(from), bound(to.unwrap_or(length)).min(length));
    let Ok(every) = usize::try_from(every) else { return Vec::new() };
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(from), Ok(to)) if from < to => items[from..to].iter().step_by(every.max(1)).collect(),
        _ => Vec::new(),
    }
}

fn compares(value: Option<&Value>, how: Comparison, operand: &Value) -> bool {
    let Some(value) = value else { return false };
    let order = match (value, operand) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (a, b) => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
    };
    match how {
        Comparison::Exists => true,
        Comparison::Equal => value == operand || order.is_some_and(|o| o.is_eq()),
        Comparison::NotEqual => value != operand && order.is_none_or(|o| o.is_ne()),
        Comparison::Less => order.is_some_and(|o| o.is_lt()),
        Comparison::LessOrEqual => order.is_some_and(|o| o.is_le()),
        Comparison::Greater => order.is_some_and(|o| o.is_gt()),
        Comparison::GreaterOrEqual => order.is_some_and(|o| o.is_ge()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_and_what_they_find() {
        let object = json!({
            "metadata": {"annotations": {"a.b/c": "x"}},
            "spec": {"items": [{"n": 1, "k": "a"}, {"n": 2, "k": "b"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Synced", "status": "False"}]},
        });
        for (path, expected) in [
            (".spec.items[0].n", json!([1])),
            (".spec.items[-1].n", json!([2])),
            (".spec.items[*].k", json!(["a", "b"])),
            (".spec.items[0:1].n", json!([1])),
            (".spec.items[-1:].n", json!([2])),
            (".spec.items[:].n", json!([1, 2])),
            (".spec.items[0:5:2].n", json!([1])),
            (".spec.items[2:1].n", json!([])),
            (".spec.items[?(@.n>1)].k", json!(["b"])),
            (".status.conditions[?(@.type==\"Ready\")].status", json!(["True"])),
            (".status.conditions[?(@.type=='Synced')].status", json!(["False"])),
            (".status.conditions[?(@.type!='Synced')].status", json!(["True"])),
            (".metadata.annotations['a\\.b/c']", json!(["x"])),
            (".metadata.annotations.a\\.b/c", json!(["x"])),
            ("..k", json!(["a", "b"])),
            (".spec.missing.deeper", json!([])),
            (".metadata.annotations", json!([{"a.b/c": "x"}])),
        ] {
            let found = JsonPath::parse(path).unwrap();
            assert_eq!(json!(found.find(&object)), expected, "{path}");
        }
        for bad in [".spec[", ".spec[x]", ".a b", "..", ".a[?(b)]"] {
            assert!(JsonPath::parse(bad).is_err(), "{bad}");
        }
    }
}
