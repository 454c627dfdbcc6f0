//! How Go shows JSON values. Upstream's error texts are made with it, and clients see them, so ours are too.

use alcove_object::Value;
use serde_json::Map;

/// The type that a value decodes to upstream; null has none.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// The kind of that type, as package reflect names it.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
        scalar => type_name(scalar),
    }
}

/// Go's `%v` of a value.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => plain_list(items),
        Value::Object(map) => plain_map(map),
        scalar => scalar.to_string(),
    }
}

/// Go's `%v` of a list.
pub(crate) fn plain_list(items: &[Value]) -> String {
    format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" "))
}

/// Go's `%v` of a map.
pub(crate) fn plain_map(map: &Map<String, Value>) -> String {
    let entries = map.iter().map(|(k, v)| format!("{k}:{}", plain(v)));
    format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
}

/// What encoding/json calls the kind of a value in its errors.
pub fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
