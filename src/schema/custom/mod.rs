//! Custom resources in the one type form: what the `openAPIV3Schema` of a definition's version comes to.
//!
//! [`form`] makes the [`Types`](crate::Types) that decoding, pruning, server-side apply and tables read like those of
//! any built-in kind; what the form has no place for, validation beyond types, stands beside it as [`Rules`].
//! [`definition`] judges the schema itself when its definition is written.
//!
//! **Invariants.** Pure. A schema that [`definition::errors`] accepts compiles, and never fails on an object. Recursion
//! is as deep as schema and object are nested, which decoding has limited.

mod defaults;
pub mod definition;
mod embedded;
mod expressions;
mod form;
mod formats;
mod json_path;
mod lists;
mod rules;
mod structural;
#[cfg(test)]
mod tests;
mod validate;
mod walk;

pub use defaults::fill_defaults;
pub use form::form;
pub use formats::is_known as is_known_format;
pub use json_path::{JsonPath, JsonPathError};
pub use rules::{BadPattern, Rules};

use alcove_object::Value;

/// Whether a keyword of a schema is `true`.
fn is_true(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword) == Some(&Value::Bool(true))
}

/// The text of a keyword, empty if there is none.
fn text<'a>(schema: &'a Value, keyword: &str) -> &'a str {
    schema.get(keyword).and_then(Value::as_str).unwrap_or_default()
}

/// The schemas of a keyword that maps names to schemas.
fn schemas<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema.get(keyword).and_then(Value::as_object).into_iter().flatten()
}

/// The items of a keyword that is a list.
fn items<'a>(schema: &'a Value, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of a keyword that is a list of them.
fn texts<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = &'a str> {
    items(schema, keyword).iter().filter_map(Value::as_str)
}

/// The schema of a keyword, if it is one (not a boolean, not a list).
fn inner<'a>(schema: &'a Value, keyword: &str) -> Option<&'a Value> {
    schema.get(keyword).filter(|inner| inner.is_object())
}

/// The extensions that make a value more than its type says.
const PRESERVE_UNKNOWN: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const LIST_TYPE: &str = "x-kubernetes-list-type";
const LIST_MAP_KEYS: &str = "x-kubernetes-list-map-keys";
const MAP_TYPE: &str = "x-kubernetes-map-type";
const VALIDATIONS: &str = "x-kubernetes-validations";
