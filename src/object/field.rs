//! Field paths and field errors, as in k8s.io/apimachinery/pkg/util/validation/field. Their texts reach people
//! through kubectl and are matched by tests, so they equal upstream's.

use crate::status::Cause;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// Where in an object something is: `spec.containers[0].ports[key].name`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Path(String);

impl Path {
    /// The path of a top-level field.
    pub fn new(name: &str) -> Path {
        Path(name.to_owned())
    }

    /// A field of this one.
    pub fn child(&self, name: &str) -> Path {
        if self.0.is_empty() { Path(name.to_owned()) } else { Path(format!("{}.{name}", self.0)) }
    }

    /// An item of this list.
    pub fn index(&self, index: usize) -> Path {
        Path(format!("{}[{index}]", self.0))
    }

    /// An entry of this map.
    pub fn key(&self, key: &str) -> Path {
        Path(format!("{}[{key}]", self.0))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
        Error { kind, field: path.0.clone(), value, detail: detail.into() }
    }

    /// `PATH: Invalid value: VALUE: DETAIL`
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Error {
        Error::with(ErrorType::Invalid, path, Some(value.into()), detail)
    }

    /// `PATH: Required value[: DETAIL]`
    pub fn required(path: &Path, detail: impl Into<String>) -> Error {
        Error::with(ErrorType::Required, path, None, detail)
    }

    /// `PATH: Unsupported value: VALUE: supported values: "a", "b"`
    pub fn not_supported(path: &Path, value: impl Into<Value>, supported: &[&str]) -> Error {
        let list = supported.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(", ");
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
        Error::with(ErrorType::TooLong, path, None, format!("may not be more than {max_bytes} bytes"))
    }

    /// `PATH: Too many: ACTUAL: must have at most MAX items`
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Error {
        let items = if max == 1 { "item" } else { "items" };
        Error::with(ErrorType::TooMany, path, Some(actual.into()), format!("must have at most {max} {items}"))
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
            (ErrorType::Invalid | ErrorType::TypeInvalid, v) => format!("Invalid value: {}", show(v)).into(),
            (ErrorType::NotSupported, v) => format!("Unsupported value: {}", show(v)).into(),
            (ErrorType::Duplicate, v) => format!("Duplicate value: {}", show(v)).into(),
            (ErrorType::NotFound, v) => format!("Not found: {}", show(v)).into(),
            (ErrorType::TooMany, v) => format!("Too many: {}", show(v)).into(),
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

/// How upstream prints a bad value: strings quoted, the rest as compact JSON.
fn show(value: &Option<Value>) -> String {
    match value {
        None | Some(Value::Null) => "null".into(),
        Some(Value::String(s)) => format!("{s:?}"),
        Some(other) => other.to_string(),
    }
}

/// Several errors as one text: alone as it is, more in brackets, doubles once, as upstream's Aggregate prints.
pub fn join(errors: &[Error]) -> String {
    let mut seen: Vec<String> = Vec::with_capacity(errors.len());
    for text in errors.iter().map(Error::to_string) {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    if seen.len() == 1 { seen.swap_remove(0) } else { format!("[{}]", seen.join(", ")) }
}
