//! Field paths and field errors, as in k8s.io/apimachinery/pkg/util/validation/field. Their texts reach people
//! through kubectl and are matched by tests, so they equal upstream's.

use crate::status::Cause;
use serde_json::Value;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Where in an object something is: `spec.containers[0].ports[key].name`.
///
/// Rules make one for every field that they look at, and nearly all are dropped unread. So a path of usual length lies
/// in place.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Path(SmallVec<[u8; Path::INLINE_BYTES]>);

impl Path {
    const INLINE_BYTES: usize = 96;

    /// The path of a top-level field.
    pub fn new(name: &str) -> Path {
        Path(name.as_bytes().into())
    }

    /// A field of this one.
    pub fn child(&self, name: &str) -> Path {
        let dot = if self.0.is_empty() { "" } else { "." };
        self.with([dot, name])
    }

    /// An item of this list.
    pub fn index(&self, index: usize) -> Path {
        self.with(["[", &index.to_string(), "]"])
    }

    /// An entry of this map.
    pub fn key(&self, key: &str) -> Path {
        self.with(["[", key, "]"])
    }

    fn with<const N: usize>(&self, parts: [&str; N]) -> Path {
        let mut path = self.clone();
        parts.iter().for_each(|part| path.0.extend_from_slice(part.as_bytes()));
        path
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a path is made of whole texts")
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({:?})", self.as_str())
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// The value does not follow the rules.
    Invalid,
    /// The value is missing.
    Required,
    /// The value is not one of those that exist; the error lists them.
    NotSupported,
    /// The value may not be set, or not be changed, here.
    Forbidden,
    /// The value is there twice.
    Duplicate,
    /// What the value refers to is not there.
    NotFound,
    /// The text is too long.
    TooLong,
    /// The list is too long.
    TooMany,
    /// The list is too short.
    TooFew,
    /// The text is too short.
    TooShort,
    /// The value has the wrong JSON type.
    TypeInvalid,
    /// Something broke on our side.
    Internal,
}

/// One thing that is wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorType,
    /// Where.
    pub field: String,
    /// The value that is wrong; `None` where the text shows none.
    pub value: Option<Value>,
    /// Why, for people.
    pub detail: String,
}

impl Error {
    fn with(kind: ErrorType, path: &Path, value: Option<Value>, detail: impl Into<String>) -> Error {
        let field = if path.0.is_empty() { "<nil>".to_owned() } else { path.as_str().to_owned() };
        Error { kind, field, value, detail: detail.into() }
    }

    /// `PATH: Invalid value: VALUE: DETAIL`
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Error {
        Error::with(ErrorType::Invalid, path, Some(value.into()), detail)
    }

    /// `PATH: Invalid value: VALUE: DETAIL`, for a value of the wrong JSON type.
    pub fn type_invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Error {
        Error::with(ErrorType::TypeInvalid, path, Some(value.into()), detail)
    }

    /// `PATH: Required value[: DETAIL]`
    pub fn required(path: &Path, detail: impl Into<String>) -> Error {
        Error::with(ErrorType::Required, path, None, detail)
    }

    /// `PATH: Unsupported value: VALUE: supported values: "a", "b"`
    pub fn not_supported(path: &Path, value: impl Into<Value>, supported: &[&str]) -> Error {
        let list = supported.iter().map(|s| quote(s)).collect::<Vec<_>>().join(", ");
        let detail = if list.is_empty() { String::new() } else { format!("supported values: {list}") };
        Error::with(ErrorType::NotSupported, path, Some(value.into()), detail)
    }

    /// `PATH: Forbidden[: DETAIL]`
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Error {
        Error::with(ErrorType::Forbidden, path, None, detail)
    }

    /// `PATH: Duplicate value: VALUE`
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Error {
        Error::with(ErrorType::Duplicate, path, Some(value.into()), "")
    }

    /// `PATH: Not found: VALUE`
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Error {
        Error::with(ErrorType::NotFound, path, Some(value.into()), "")
    }

    /// `PATH: Too long: may not be more than MAX bytes`
    pub fn too_long(path: &Path, max_bytes: usize) -> Error {
        let bytes = if max_bytes == 1 { "byte" } else { "bytes" };
        Error::with(ErrorType::TooLong, path, None, format!("may not be more than {max_bytes} {bytes}"))
    }

    /// `PATH: Too long: may not be more than MAX characters`, where characters and not bytes are counted.
    pub fn too_long_characters(path: &Path, max: usize) -> Error {
        let characters = if max == 1 { "character" } else { "characters" };
        Error::with(ErrorType::TooLong, path, None, format!("may not be more than {max} {characters}"))
    }

    /// `PATH: Too short: must be at least MIN characters`
    pub fn too_short(path: &Path, min: usize) -> Error {
        let characters = if min == 1 { "character" } else { "characters" };
        Error::with(ErrorType::TooShort, path, None, format!("must be at least {min} {characters}"))
    }

    /// `PATH: Too many: ACTUAL: must have at most MAX items`
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Error {
        let items = if max == 1 { "item" } else { "items" };
        Error::with(ErrorType::TooMany, path, Some(actual.into()), format!("must have at most {max} {items}"))
    }

    /// `PATH: Too few: ACTUAL: must have at least MIN items`
    pub fn too_few(path: &Path, actual: usize, min: usize) -> Error {
        let items = if min == 1 { "item" } else { "items" };
        Error::with(ErrorType::TooFew, path, Some(actual.into()), format!("must have at least {min} {items}"))
    }

    /// `PATH: Internal error: DETAIL`
    pub fn internal(path: &Path, detail: impl Into<String>) -> Error {
        Error::with(ErrorType::Internal, path, None, detail)
    }

    /// The text without the path, as `details.causes[].message` has it.
    pub fn body(&self) -> String {
        let head: Cow<'_, str> = match (self.kind, &self.value) {
            (ErrorType::Required, _) => "Required value".into(),
            (ErrorType::Forbidden, _) => "Forbidden".into(),
            (ErrorType::Internal, _) => "Internal error".into(),
            (ErrorType::TooLong, _) => "Too long".into(),
            (ErrorType::TooShort, _) => "Too short".into(),
            (ErrorType::Invalid, None) => "Invalid value".into(),
            (ErrorType::Duplicate, None) => "Duplicate value".into(),
            (ErrorType::Invalid | ErrorType::TypeInvalid, v) => format!("Invalid value: {}", show(v)).into(),
            (ErrorType::NotSupported, v) => format!("Unsupported value: {}", show(v)).into(),
            (ErrorType::Duplicate, v) => format!("Duplicate value: {}", show(v)).into(),
            (ErrorType::NotFound, v) => format!("Not found: {}", show(v)).into(),
            (ErrorType::TooMany, v) => format!("Too many: {}", show(v)).into(),
            (ErrorType::TooFew, v) => format!("Too few: {}", show(v)).into(),
        };
        if self.detail.is_empty() { head.into_owned() } else { format!("{head}: {}", self.detail) }
    }

    /// The cause that a 422 lists for this error.
    pub fn cause(&self) -> Cause {
        let reason = match self.kind {
            ErrorType::Invalid => "FieldValueInvalid",
            ErrorType::Required => "FieldValueRequired",
            ErrorType::NotSupported => "FieldValueNotSupported",
            ErrorType::Forbidden => "FieldValueForbidden",
            ErrorType::Duplicate => "FieldValueDuplicate",
            ErrorType::NotFound => "FieldValueNotFound",
            ErrorType::TooLong => "FieldValueTooLong",
            ErrorType::TooMany => "FieldValueTooMany",
            ErrorType::TooFew => "FieldValueTooFew",
            ErrorType::TooShort => "FieldValueTooShort",
            ErrorType::TypeInvalid => "FieldValueTypeInvalid",
            ErrorType::Internal => "InternalError",
        };
        Cause { reason: reason.into(), message: self.body(), field: self.field.clone() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// How upstream prints a bad value: strings quoted, simple numbers as Go prints them, the rest as compact JSON.
fn show(value: &Option<Value>) -> String {
    match value {
        None | Some(Value::Null) => "null".into(),
        Some(Value::String(s)) => quote(s),
        Some(Value::Number(n)) => match n.as_f64().filter(|_| n.is_f64()) {
            Some(float) => show_float(float),
            None => n.to_string(),
        },
        Some(other) => escape_html(&other.to_string()),
    }
}

/// Go's `%v` of a float64.
fn show_float(float: f64) -> String {
    let magnitude = float.abs();
    if magnitude == 0.0 || (1e-4..1e6).contains(&magnitude) {
        return format!("{float}");
    }
    let text = format!("{float:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.strip_prefix('-') {
        Some(digits) => format!("{mantissa}e-{digits:0>2}"),
        None => format!("{mantissa}e+{exponent:0>2}"),
    }
}

/// Go's JSON encoder escapes what HTML could take for markup. In JSON these stand only inside of strings.
pub fn escape_html(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Go's `%q`: the text in double quotes, with what cannot be printed escaped.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c => out.push_str(&match u32::from(c) {
                code @ (..0x20 | 0x7f) => format!("\\x{code:02x}"),
                code @ ..0x10000 => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    out.push('"');
    out
}

/// Whether a character shows up in print, as Go's `unicode.IsPrint` has it: of all kinds of space only the plain one.
pub fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        c if c.is_ascii() => false,
        // The standard library knows what prints, but tells it only through its escapes, in which a mark
        // prints when it follows a letter.
        c => ['a', c].iter().collect::<String>().escape_debug().count() == 2,
    }
}

/// Several errors as one text: alone as it is, more in brackets, doubles once, as upstream's Aggregate prints.
pub fn join(errors: &[Error]) -> String {
    // An object can have as many errors as it has fields, so none is compared with all others.
    let mut seen = HashSet::with_capacity(errors.len());
    let mut texts: Vec<String> =
        errors.iter().map(Error::to_string).filter(|text| seen.insert(text.clone())).collect();
    if texts.len() == 1 { texts.swap_remove(0) } else { format!("[{}]", texts.join(", ")) }
}

#[cfg(test)]
mod tests;
