//! From a structural schema to what expressions see (k8s.io/apiserver/pkg/cel/common/schemas.go).

use super::super::{EMBEDDED, INT_OR_STRING, inner, is_true, items, schemas, text, texts};
use crate::ListKind;
use crate::custom::form::list_kind;
use alcove_cel::limits::REQUEST_BYTES_MAX;
use alcove_cel::{Decl, Field, Merge, Shape, Type, escape};
use alcove_object::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest texts of times and durations, and the shortest in JSON.
const TIME_CHARACTERS: u64 = 32;
const TIME_BYTES_MIN: u64 = 21;
const DATE_BYTES: u64 = 12;
const DURATION_BYTES_MIN: u64 = 3;

/// What expressions see of data of a schema; `None`: nothing. At a root, `apiVersion`, `kind` and two fields of
/// `metadata` are there whatever the schema says.
pub(super) fn declare(schema: &Value, is_root: bool) -> Option<Arc<Decl>> {
    if is_true(schema, INT_OR_STRING) {
        let length = schema.get("maxLength").and_then(Value::as_i64).map(|max| positive(max) * 4);
        return Some(Decl::scalar(Type::Dyn, 1, length.unwrap_or(REQUEST_BYTES_MAX - 2)));
    }
    if is_root {
        return Some(object(schema, true));
    }
    match text(schema, "type") {
        "array" => {
            let items = inner(schema, "items")?;
            let item = declare(items, is_true(items, EMBEDDED))?;
            let most = (REQUEST_BYTES_MAX - 2) / (item.bytes_min + 1);
            let merge = match list_kind(schema) {
                ListKind::Atomic => Merge::Atomic,
                ListKind::Set => Merge::Set,
                ListKind::Map(keys) => Merge::Map(keys),
            };
            Some(container(schema, "maxItems", most, Shape::List(item, merge)))
        }
        "object" => match inner(schema, "additionalProperties") {
            Some(values) => {
                let value = declare(values, is_true(values, EMBEDDED))?;
                let most = (REQUEST_BYTES_MAX - 2) / (value.bytes_min + 6);
                Some(container(schema, "maxProperties", most, Shape::Map(value)))
            }
            None => Some(object(schema, false)),
        },
        "string" => Some(string(schema)),
        "boolean" => Some(Decl::scalar(Type::Bool, 4, 0)),
        "number" => Some(Decl::scalar(Type::Double, 1, 0)),
        "integer" => Some(Decl::scalar(Type::Int, 1, 0)),
        _ => None,
    }
}

fn positive(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

fn container(schema: &Value, keyword: &str, most: u64, shape: Shape) -> Arc<Decl> {
    let elements_max = schema.get(keyword).and_then(Value::as_i64).map_or(most, positive);
    Arc::new(Decl { shape, elements_max, bytes_min: 2 })
}

fn string(schema: &Value) -> Arc<Decl> {
    let length = schema.get("maxLength").and_then(Value::as_i64).map(positive);
    match text(schema, "format") {
        "byte" => return Decl::scalar(Type::Bytes, 2, length.unwrap_or(REQUEST_BYTES_MAX - 2)),
        "duration" => return Decl::scalar(Type::Duration, DURATION_BYTES_MIN, TIME_CHARACTERS),
        "date" => return Decl::scalar(Type::Timestamp, DATE_BYTES, DATE_BYTES),
        "date-time" => return Decl::scalar(Type::Timestamp, TIME_BYTES_MIN, TIME_CHARACTERS),
        _ => {}
    }
    // A character takes four bytes at most.
    let allowed = items(schema, "enum").iter().filter_map(Value::as_str).map(|text| text.len() as u64).max();
    let most = length.map(|length| length.saturating_mul(4)).or(allowed);
    Decl::scalar(Type::String, 2, most.unwrap_or(REQUEST_BYTES_MAX - 2))
}

fn object(schema: &Value, is_root: bool) -> Arc<Decl> {
    let required: Vec<&str> = texts(schema, "required").collect();
    let mut fields: BTreeMap<Box<str>, Field> = BTreeMap::new();
    let mut bytes_min = 2;
    for (name, property) in schemas(schema, "properties") {
        let decl = match name.as_str() {
            "metadata" if is_root => metadata(),
            "apiVersion" | "kind" if is_root => any_text(),
            _ => match declare(property, is_true(property, EMBEDDED)) {
                Some(decl) => decl,
                None => continue,
            },
        };
        let has_default = property.get("default").is_some_and(|default| !default.is_null());
        if required.contains(&name.as_str()) && !has_default {
            bytes_min += name.len() as u64 + decl.bytes_min + 4;
        }
        if let Some(escaped) = escape(name) {
            fields.insert(escaped.into(), Field { json: name.as_str().into(), decl });
        }
    }
    if is_root {
        for (name, decl) in [("apiVersion", any_text()), ("kind", any_text()), ("metadata", metadata())] {
            fields.entry(name.into()).or_insert(Field { json: name.into(), decl });
        }
    }
    Arc::new(Decl { shape: Shape::Object(fields), elements_max: 0, bytes_min })
}

fn any_text() -> Arc<Decl> {
    Decl::scalar(Type::String, 2, REQUEST_BYTES_MAX - 2)
}

fn metadata() -> Arc<Decl> {
    let field = |name: &str| (Box::from(name), Field { json: name.into(), decl: any_text() });
    let fields = [field("name"), field("generateName")].into();
    Arc::new(Decl { shape: Shape::Object(fields), elements_max: 0, bytes_min: 2 })
}
