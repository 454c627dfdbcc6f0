//! Defaults of custom resources (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting/algorithm.go).

use crate::types::{Shape, View};
use alcove_object::Value;

/// Fills in the defaults of fields that are missing, or null where null is no value of theirs. Idempotent; takes any
/// tree. Schemas of built-in types inside (metadata) have no part in it.
pub fn fill_defaults(value: &mut Value, view: View<'_>) {
    if !view.schema().custom {
        return;
    }
    match (view.shape(), value) {
        (Shape::Struct(fields), Value::Object(map)) => {
            for field in fields {
                let child = view.at(field.schema);
                if let Some(default) = &field.default {
                    let takes_null = child.schema().nullable;
                    if map.get(&*field.name).is_none_or(|value| value.is_null() && !takes_null) {
                        map.insert(field.name.to_string(), default.clone());
                    }
                }
                if let Some(value) = map.get_mut(&*field.name) {
                    fill_defaults(value, child);
                }
            }
        }
        (Shape::Map(item), Value::Object(map)) => {
            map.values_mut().for_each(|value| fill_defaults(value, view.at(*item)));
        }
        (Shape::List(item), Value::Array(items)) => {
            items.iter_mut().for_each(|value| fill_defaults(value, view.at(*item)));
        }
        _ => {}
    }
}

/// Whether a schema has any default.
pub(super) fn has_defaults(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            map.get("default").is_some_and(|default| !default.is_null())
                || map.iter().any(|(key, value)| match key.as_str() {
                    "properties" => value.as_object().is_some_and(|all| all.values().any(has_defaults)),
                    "items" | "additionalProperties" => has_defaults(value),
                    _ => false,
                })
        }
        _ => false,
    }
}
