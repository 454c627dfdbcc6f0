//! Judges custom values by their rules, in upstream's words (k8s.io/kube-openapi/pkg/validation/{validate,errors} and
//! k8s.io/apiextensions-apiserver/pkg/apiserver/validation).
//!
//! On an update, errors of what is as it was before are dropped (ratcheting): what the rules of today refuse and
//! those of yesterday took does not stand in the way of a change elsewhere.

use super::rules::Rules;
use super::{embedded, lists};
use crate::types::{ListKind, View};
use alcove_object::Value;
use alcove_object::field::{Error, Path};
use serde_json::{Map, Number};
use std::fmt::Write;

/// The largest whole number that a float holds exactly (go-openapi/swag).
const LARGEST_EXACT: f64 = 9_007_199_254_740_991.0;

impl Rules {
    /// All that is wrong with a value; `old` is the value that it takes the place of.
    pub fn errors(&self, value: &Value, old: Option<&Value>) -> Vec<Error> {
        check(self, value, old, &Place::ROOT).errors
    }

    /// All that is wrong with the `status` of an object.
    pub fn status_errors(&self, object: &Value, old: &Value) -> Vec<Error> {
        let (Some(rules), Some(status)) = (self.properties.get("status"), object.get("status")) else {
            return Vec::new();
        };
        let mut errors = check(rules, status, old.get("status"), &Place::ROOT).errors;
        // The sentences speak of places within the status.
        for error in &mut errors {
            error.field = match error.field.as_str() {
                "" | "<nil>" => "status".to_owned(),
                field => format!("status.{field}"),
            };
        }
        errors
    }
}

impl Rules {
    /// What rules in CEL say against an object, unless something else is so wrong that they cannot be asked.
    pub fn expression_errors(&self, object: &Value, old: Option<&Value>, found: &[Error]) -> Vec<Error> {
        use alcove_object::field::ErrorType as T;
        let Some(expressions) = &self.expressions else { return Vec::new() };
        let is_blocking =
            |kind| matches!(kind, T::NotSupported | T::Required | T::TooLong | T::TooMany | T::TypeInvalid);
        if found.iter().any(|error| is_blocking(error.kind)) {
            let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            return vec![Error::invalid(&Path::default(), Value::Null, why)];
        }
        expressions.errors(object, old, &Path::default())
    }

    /// What is wrong with objects inside of an object: they say what they are. `view` is the form of the same schema.
    pub fn embedded_errors(value: &Value, view: View<'_>) -> Vec<Error> {
        let mut found = Vec::new();
        embedded::errors(value, view, &Path::default(), &mut found);
        found
    }

    /// Items that are there twice in lists of type set and map; `view` is the form of the same schema. On an update
    /// they are told only if there were none before.
    pub fn list_errors(value: &Value, old: Option<&Value>, view: View<'_>) -> Vec<Error> {
        let find = |value: &Value| {
            let mut found = Vec::new();
            lists::errors(value, view, &Path::default(), &mut found);
            found
        };
        let found = find(value);
        if found.is_empty() || old.is_some_and(|old| !find(old).is_empty()) { Vec::new() } else { found }
    }
}

/// Where one is: steps on the stack that become text when there is something to say.
struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    step: Step<'p>,
}

enum Step<'p> {
    Root,
    Property(&'p str),
    /// A key that the schema does not name: upstream writes a dot before it even at the root.
    Key(&'p str),
    Index(usize),
}

impl<'p> Place<'p> {
    const ROOT: Place<'static> = Place { parent: None, step: Step::Root };

    fn then(&'p self, step: Step<'p>) -> Place<'p> {
        Place { parent: Some(self), step }
    }

    fn property(&'p self, name: &'p str) -> Place<'p> {
        self.then(Step::Property(name))
    }

    fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    fn text(&self) -> String {
        let mut text = self.parent.map(Place::text).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Property(name) if text.is_empty() => text.push_str(name),
            Step::Property(name) | Step::Key(name) => {
                text.push('.');
                text.push_str(name);
            }
            Step::Index(index) => {
                let _infallible = write!(text, "[{index}]");
            }
        }
        text
    }
}

/// The path of an error whose place has this text.
fn path(text: &str) -> Path {
    match text.strip_prefix('.').unwrap_or(text) {
        "" => Path::default(),
        text => Path::new(text),
    }
}

/// What a check comes to. Matches tell which of several alternatives was nearest.
#[derive(Default)]
struct Outcome {
    errors: Vec<Error>,
    matches: usize,
}

impl Outcome {
    fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    fn merge(&mut self, other: Outcome) {
        self.errors.extend(other.errors);
        self.matches += other.matches;
    }

    /// A sentence about the value at a place: `PLACE in body WHAT`.
    fn wrong(&mut self, place: &Place<'_>, value: &Value, what: &str) {
        let text = place.text();
        let message = sentence(&text, what);
        self.errors.push(Error::invalid(&path(&text), value.clone(), message));
    }

    /// An error that upstream does not tie to a field.
    fn loose(&mut self, message: String) {
        self.errors.push(Error::invalid(&Path::default(), "", message));
    }
}

fn sentence(place: &str, what: &str) -> String {
    format!("{place} in body {what}")
}

fn check(rules: &Rules, value: &Value, old: Option<&Value>, place: &Place<'_>) -> Outcome {
    let mut out = checked(rules, value, old, place);
    if !out.is_valid() && old == Some(value) {
        out.errors.clear();
    }
    out
}

fn checked(rules: &Rules, value: &Value, old: Option<&Value>, place: &Place<'_>) -> Outcome {
    let mut out = Outcome::default();
    if !rules.types.is_empty() || !rules.format_name.is_empty() {
        out.merge(types(rules, value, place));
    }
    if value.is_null() {
        out.merge(allowed(rules, value, place));
        return out;
    }
    out.merge(junctors(rules, value, old, place));
    match value {
        Value::String(text) => {
            out.merge(string(rules, value, text, place));
            if rules.format.is_some_and(|format| !format.takes(text)) {
                type_error(&mut out, place, &rules.format_name, text);
            }
        }
        Value::Number(number) => out.merge(self::number(rules, value, number, place)),
        Value::Array(items) => out.merge(array(rules, items, old, place)),
        _ => {}
    }
    out.merge(allowed(rules, value, place));
    if let Value::Object(map) = value {
        out.merge(object(rules, map, old, place));
    }
    out.matches += 1;
    out
}

fn type_error(out: &mut Outcome, place: &Place<'_>, expected: &str, found: &str) {
    let text = place.text();
    let found_text = alcove_object::field::quote(found);
    let message = sentence(&text, &format!("must be of type {expected}: {found_text}"));
    out.errors.push(Error::type_invalid(&path(&text), found, message));
}

fn types(rules: &Rules, value: &Value, place: &Place<'_>) -> Outcome {
    let mut out = Outcome { matches: 1, ..Outcome::default() };
    let takes = |name: &str| rules.types.contains(&name);
    let (found, format) = match value {
        Value::Null => {
            if !rules.types.is_empty() && !rules.nullable {
                type_error(&mut out, place, &rules.types.join(","), "null");
            }
            return out;
        }
        Value::Bool(_) => ("boolean", ""),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
        Value::Number(number) if number.is_f64() => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
    };
    let is_whole = |n: &Number| n.as_f64().is_some_and(|n| n.fract() == 0.0 && n.abs() <= LARGEST_EXACT);
    let fits = takes(found)
        || found == "integer" && takes("number")
        || found == "number" && takes("integer") && value.as_number().is_some_and(is_whole);
    let is_listed = matches!(found, "string" | "array");
    let expected_format = &*rules.format_name;
    let has_format = fits || format == expected_format;
    if !is_listed && !expected_format.is_empty() && !has_format {
        type_error(&mut out, place, expected_format, format);
    } else if is_listed && !expected_format.is_empty() && !takes("number") && !takes("integer") {
        // The format has its own say.
    } else if !fits {
        type_error(&mut out, place, &rules.types.join(","), found);
    }
    out
}

/// The closed set of values. Null is never in it, whatever it says.
fn allowed(rules: &Rules, value: &Value, place: &Place<'_>) -> Outcome {
    let mut out = Outcome::default();
    if rules.allowed.is_empty() || !value.is_null() && rules.allowed.iter().any(|a| is_same(a, value)) {
        return out;
    }
    let texts = rules.allowed.iter().map(|a| a.as_str().map_or_else(|| a.to_string(), str::to_owned));
    let texts: Vec<String> = texts.collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    out.errors.push(Error::not_supported(&path(&place.text()), value.clone(), &texts));
    out
}

fn is_same(a: &Value, b: &Value) -> bool {
    a == b || a.is_number() && b.is_number() && a.as_f64() == b.as_f64()
}

fn junctors(rules: &Rules, value: &Value, old: Option<&Value>, place: &Place<'_>) -> Outcome {
    let mut out = Outcome { matches: 1, ..Outcome::default() };
    let quoted = || alcove_object::field::quote(&place.text());
    if !rules.any_of.is_empty() {
        let tried = rules.any_of.iter().map(|rules| check(rules, value, old, place));
        match nearest(tried) {
            (0, best) => {
                out.loose(format!("{} must validate at least one schema (anyOf)", quoted()));
                out.merge(best);
            }
            (_, first) => out.merge(first),
        }
    }
    if !rules.one_of.is_empty() {
        let tried = rules.one_of.iter().map(|rules| check(rules, value, old, place));
        match nearest(tried) {
            (1, only) => out.merge(only),
            (0, best) => {
                out.loose(format!(
                    "{} must validate one and only one schema (oneOf). Found none valid",
                    quoted()
                ));
                out.merge(best);
            }
            (n, _) => out.loose(format!(
                "{} must validate one and only one schema (oneOf). Found {n} valid alternatives",
                quoted()
            )),
        }
    }
    let mut valid = 0;
    for rules in &rules.all_of {
        let outcome = check(rules, value, old, place);
        valid += usize::from(outcome.is_valid());
        out.merge(outcome);
    }
    if valid != rules.all_of.len() {
        let none = if valid == 0 { ". None validated" } else { "" };
        out.loose(format!("{} must validate all the schemas (allOf){none}", quoted()));
    }
    if rules.not.as_ref().is_some_and(|not| check(not, value, old, place).is_valid()) {
        out.loose(format!("{} must not validate the schema (not)", quoted()));
    }
    out
}

/// How many of the outcomes are valid, and the first of those, or else the one with most matches.
fn nearest(tried: impl Iterator<Item = Outcome>) -> (usize, Outcome) {
    let mut valid = 0;
    let mut best: Option<Outcome> = None;
    for outcome in tried {
        let is_valid = outcome.is_valid();
        let is_better = best.as_ref().is_none_or(|best| outcome.matches > best.matches);
        if valid == 0 && (is_valid || is_better) {
            best = Some(outcome);
        }
        valid += usize::from(is_valid);
    }
    (valid, best.unwrap_or_default())
}

fn string(rules: &Rules, value: &Value, text: &str, place: &Place<'_>) -> Outcome {
    let mut out = Outcome::default();
    let length = || i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(max) = rules.max_length.filter(|max| length() > *max) {
        let max = usize::try_from(max).unwrap_or(0);
        out.errors.push(Error::too_long(&path(&place.text()), max));
    } else if let Some(min) = rules.min_length.filter(|min| length() < *min) {
        out.wrong(place, value, &format!("should be at least {min} chars long"));
    } else if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
        out.wrong(place, value, &format!("should match '{}'", pattern.as_str()));
    }
    out
}

fn number(rules: &Rules, value: &Value, number: &Number, place: &Place<'_>) -> Outcome {
    let mut out = Outcome { matches: 1, ..Outcome::default() };
    /// The first number beyond those that 64 bits hold.
    const INT64_END: f64 = 9_223_372_036_854_775_808.0;
    let is_integer = rules.types == ["integer"];
    let float = number.as_f64().unwrap_or(0.0);
    let fits = match &*rules.format_name {
        "int32" => number.as_i64().map_or(float.fract() == 0.0, |n| i32::try_from(n).is_ok()),
        _ if is_integer => {
            number.is_i64() || number.is_f64() && float.fract() == 0.0 && float.abs() < INT64_END
        }
        "float" => float.abs() <= f64::from(f32::MAX),
        _ => true,
    };
    if !fits {
        let kind = if is_integer { "integer" } else { "number" };
        let format = match &*rules.format_name {
            "" => "(default format)".to_owned(),
            name => format!("with format {name}"),
        };
        out.loose(format!("Checked value must be of type {kind} {format} in {}", place.text()));
    }
    let shown = |bound: f64| match number.is_f64() {
        true => Number::from_f64(bound).map_or_else(String::new, |n| n.to_string()),
        false => (bound as i64).to_string(),
    };
    if let Some(factor) = rules.multiple_of {
        let times = if factor < 1.0 { 1.0 / factor * float } else { float / factor };
        if factor <= 0.0 || (times - times.round()).abs() > f64::EPSILON * times.abs().max(1.0) {
            out.wrong(place, value, &format!("should be a multiple of {}", shown(factor)));
        }
    }
    if let Some(max) = rules.maximum {
        let (exceeds, words) = match rules.exclusive_maximum {
            true => (float >= max, "less than"),
            false => (float > max, "less than or equal to"),
        };
        if exceeds {
            out.wrong(place, value, &format!("should be {words} {}", shown(max)));
        }
    }
    if let Some(min) = rules.minimum {
        let (is_below, words) = match rules.exclusive_minimum {
            true => (float <= min, "greater than"),
            false => (float < min, "greater than or equal to"),
        };
        if is_below {
            out.wrong(place, value, &format!("should be {words} {}", shown(min)));
        }
    }
    out
}

fn array(rules: &Rules, items: &[Value], old: Option<&Value>, place: &Place<'_>) -> Outcome {
    let mut out = Outcome { matches: 1, ..Outcome::default() };
    if let Some(inner) = &rules.items {
        for (i, item) in items.iter().enumerate() {
            let place = place.then(Step::Index(i));
            let mut outcome = check(inner, item, None, &place);
            // Only what is wrong is worth a search for what it was before.
            if !outcome.is_valid()
                && let Some(before) = same_item(&rules.list, item, old)
            {
                outcome = check(inner, item, Some(before), &place);
            }
            out.merge(outcome);
        }
    }
    let size = items.len();
    if let Some(min) = rules.min_items.filter(|min| (size as i64) < *min) {
        out.wrong(place, &size.into(), &format!("should have at least {min} items"));
    }
    if let Some(max) = rules.max_items.filter(|max| size as i64 > *max) {
        out.errors.push(Error::too_many(&path(&place.text()), size, usize::try_from(max).unwrap_or(0)));
    }
    out
}

/// The item of the old list that is the same thing: only lists of type map tell.
fn same_item<'o>(list: &ListKind, item: &Value, old: Option<&'o Value>) -> Option<&'o Value> {
    let ListKind::Map(keys) = list else { return None };
    let is_same = |other: &&Value| keys.iter().all(|key| other.get(&**key) == item.get(&**key));
    old?.as_array()?.iter().find(is_same)
}

fn object(rules: &Rules, map: &Map<String, Value>, old: Option<&Value>, place: &Place<'_>) -> Outcome {
    let mut out = Outcome::default();
    let size = map.len();
    if let Some(min) = rules.min_properties.filter(|min| (size as i64) < *min) {
        out.wrong(place, &size.into(), &format!("should have at least {min} properties"));
    }
    if let Some(max) = rules.max_properties.filter(|max| size as i64 > *max) {
        out.errors.push(Error::too_many(&path(&place.text()), size, usize::try_from(max).unwrap_or(0)));
    }
    for (key, value) in map {
        // Both sides were brought to one version, so what they say of it was not changed by anybody.
        let is_type_meta = place.is_root() && matches!(key.as_str(), "apiVersion" | "kind");
        let before = old.filter(|_| !is_type_meta).and_then(|old| old.get(key));
        match (rules.properties.get(key.as_str()), &rules.additional) {
            (Some(inner), _) => out.merge(check(inner, value, before, &place.property(key))),
            (None, Some(inner)) => out.merge(check(inner, value, before, &place.then(Step::Key(key)))),
            (None, None) => {}
        }
    }
    for name in rules.required.iter().filter(|name| !map.contains_key(&***name)) {
        let missing = Place { parent: Some(place), step: Step::Key(name) };
        out.errors.push(Error::required(&path(&missing.text()), ""));
    }
    out
}
