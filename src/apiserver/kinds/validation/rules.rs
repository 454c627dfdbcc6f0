//! Rules that are data: a place in an object and what must hold there. Most of what upstream checks of a kind is of
//! this form; the rest is a function that a rule names.

use super::by;
use crate::kinds::tree::text;
use alcove_object::field::{Error, Path};
use alcove_object::quantity::Quantity;
use alcove_object::validate::{validate_label_selector, validate_labels};
use alcove_object::{Value, name};

/// A place, and what must hold there. Steps are separated by slashes, `*` is every item of a list or value of a map. A
/// rule whose place has no parent holds.
pub(crate) type Rule = (&'static str, Check);

/// What must hold in a place.
#[derive(Clone, Copy)]
pub(crate) enum Check {
    /// There is something: no null, no empty text, list or map. With upstream's words.
    Required(&'static str),
    /// One of these, unless nothing is there.
    OneOf(&'static [&'static str]),
    /// One of these; an empty text is missing.
    RequiredOneOf(&'static [&'static str]),
    /// A text of this form, the empty one too.
    Named(fn(&str) -> Vec<String>),
    /// A text of this form, unless it is empty.
    NamedIfAny(fn(&str) -> Vec<String>),
    /// A text of this form that is not empty.
    RequiredNamed(fn(&str) -> Vec<String>),
    /// A number within bounds, unless none is there, with upstream's words.
    Within(i64, i64, &'static str),
    /// No negative number.
    NonNegative,
    /// No negative quantity.
    NonNegativeQuantity,
    /// A label selector.
    Selector,
    /// A map of labels.
    Labels,
    /// Each item of a list has another value in this field; empty ones are somebody else's business.
    Unique(&'static str),
    /// Further rules inside.
    Inside(&'static [Rule]),
    /// What a function says.
    By(fn(&Value, &Path) -> Vec<Error>),
}

/// All that an object breaks of some rules.
pub(crate) fn check(value: &Value, rules: &[Rule]) -> Vec<Error> {
    let mut errors = Vec::new();
    check_at(value, rules, &Path::default(), &mut errors);
    errors
}

/// The same of a value that stands somewhere.
pub(super) fn below(value: &Value, rules: &[Rule], path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    check_at(value, rules, path, &mut errors);
    errors
}

fn check_at(value: &Value, rules: &[Rule], path: &Path, errors: &mut Vec<Error>) {
    for (place, what) in rules {
        walk(value, place, path, what, errors);
    }
}

fn walk(value: &Value, place: &str, path: &Path, what: &Check, errors: &mut Vec<Error>) {
    if place.is_empty() {
        return judge(value, path, what, errors);
    }
    let (step, rest) = place.split_once('/').unwrap_or((place, ""));
    match (step, value) {
        ("*", Value::Array(items)) => {
            items.iter().enumerate().for_each(|(i, item)| walk(item, rest, &path.index(i), what, errors));
        }
        ("*", Value::Object(map)) => {
            map.iter().for_each(|(key, value)| walk(value, rest, &path.key(key), what, errors));
        }
        (step, Value::Object(map)) if step != "*" => {
            let child = map.get(step).unwrap_or(&Value::Null);
            if !child.is_null() || rest.is_empty() {
                walk(child, rest, &path.child(step), what, errors);
            }
        }
        _ => {}
    }
}

fn judge(value: &Value, path: &Path, what: &Check, errors: &mut Vec<Error>) {
    let word = value.as_str().unwrap_or_default();
    match *what {
        Check::Required(why) if is_nothing(value) => errors.push(Error::required(path, why)),
        Check::RequiredOneOf(_) | Check::RequiredNamed(_) if word.is_empty() => {
            errors.push(Error::required(path, ""));
        }
        Check::OneOf(allowed) | Check::RequiredOneOf(allowed)
            if !value.is_null() && !allowed.contains(&word) =>
        {
            errors.push(Error::not_supported(path, word, allowed));
        }
        Check::Named(rule) | Check::RequiredNamed(rule) => errors.extend(by(rule, word, path)),
        Check::NamedIfAny(rule) if !word.is_empty() => errors.extend(by(rule, word, path)),
        Check::Within(min, max, why) => {
            let number = value.as_i64().filter(|number| !(min..=max).contains(number));
            errors.extend(number.map(|number| Error::invalid(path, number, why)));
        }
        Check::NonNegative => {
            let number = value.as_i64().filter(|number| *number < 0);
            errors.extend(number.map(|number| Error::invalid(path, number, NEGATIVE)));
        }
        Check::NonNegativeQuantity => {
            let amount = Quantity::from_value(value).ok().filter(|amount| amount.signum() < 0);
            errors.extend(amount.map(|amount| Error::invalid(path, amount.to_string(), NEGATIVE)));
        }
        Check::Selector if !value.is_null() => {
            errors.extend(validate_label_selector(Some(value), false, path))
        }
        Check::Labels => errors.extend(validate_labels(Some(value), path)),
        Check::Unique(field) => errors.extend(doubles(value, field, path)),
        Check::Inside(rules) if !value.is_null() => check_at(value, rules, path, errors),
        Check::By(function) => errors.extend(function(value, path)),
        _ => {}
    }
}

const NEGATIVE: &str = "must be greater than or equal to 0";

/// Whether Go would have the zero of a text, list, map or pointer here.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn doubles(list: &Value, field: &str, path: &Path) -> Vec<Error> {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    let pointer = format!("/{field}");
    let is_double = |i: usize, value: &str| {
        !value.is_empty() && items[..i].iter().any(|other| text(other, &pointer) == value)
    };
    let values = items.iter().map(|item| text(item, &pointer)).enumerate();
    let doubles = values.filter(|(i, value)| is_double(*i, value));
    doubles.map(|(i, value)| Error::duplicate(&path.index(i).child(field), value)).collect()
}

/// A text that may stand in a path of the API.
pub(super) fn path_segment(value: &str) -> Vec<String> {
    name::path_segment(value, false)
}

/// A name in any case, of which upstream shows the lower one.
pub(super) fn lowered_name(value: &Value, path: &Path) -> Vec<Error> {
    match value.as_str().unwrap_or_default() {
        "" => vec![Error::required(path, "")],
        given => by(name::is_qualified_name, &given.to_lowercase(), path).collect(),
    }
}

/// `domain/path`, such as `acme.io/foo`.
pub(super) fn domain_prefixed_path(value: &Value, path: &Path) -> Vec<Error> {
    let value = value.as_str().unwrap_or_default();
    if value.is_empty() {
        return vec![Error::required(path, "")];
    }
    let parts = value.split_once('/').filter(|(domain, rest)| !domain.is_empty() && !rest.is_empty());
    let Some((domain, rest)) = parts else {
        return vec![Error::invalid(path, value, "must be a domain-prefixed path (such as \"acme.io/foo\")")];
    };
    let mut errors: Vec<Error> = by(name::is_dns1123_subdomain, domain, path).collect();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
    if !rest.chars().all(is_plain) {
        let why = r"Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')";
        errors.push(Error::invalid(path, rest, why));
    }
    errors
}

/// Whether a list has the item that stands for everything.
fn has_wildcard(list: &[Value]) -> bool {
    list.iter().any(|item| item == "*")
}

/// `*` stands alone in a list.
pub(super) fn wildcard_alone(value: &Value, others: &str, path: &Path) -> Option<Error> {
    let items = value.as_array().filter(|items| items.len() > 1 && has_wildcard(items))?;
    let why = format!("if '*' is present, must not specify other {others}");
    Some(Error::invalid(path, items.clone(), why))
}
