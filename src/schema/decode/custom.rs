//! What is kept of a custom resource: what its schema specifies, whatever its type, and nulls where they mean something
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/{pruning,defaulting/prunenulls}).

use super::conform::{Report, walk};
use super::error::Cause;
use super::json::spell_numbers;
use super::path::Path;
use crate::types::{Shape, View};
use alcove_object::Value;

/// Drops fields that the schema does not specify, which go to the report, and nulls of fields that neither take null
/// nor have a default. Values of the wrong type stay for validation to complain about.
pub(super) fn prune(
    value: &mut Value,
    view: View<'_>,
    path: &Path<'_>,
    report: &mut Report,
) -> Result<(), Cause> {
    let preserve_unknown = view.schema().preserve_unknown;
    match (view.shape(), value) {
        (Shape::Struct(_), Value::Object(map)) => {
            let mut result = Ok(());
            let mut fields = view.in_order();
            map.retain(|key, value| {
                if result.is_err() {
                    return true;
                }
                let path = path.key(key);
                let Some(field) = fields.find(key) else {
                    match preserve_unknown {
                        true => spell_numbers(value),
                        false => report.unknown_field(&path),
                    }
                    return preserve_unknown;
                };
                let child = view.at(field.schema);
                if value.is_null() && !child.schema().nullable && field.default.is_none() {
                    return false;
                }
                result = walk(value, child, &path, report);
                true
            });
            result
        }
        (Shape::Map(item), Value::Object(map)) => {
            let item = view.at(*item);
            map.retain(|_, value| !value.is_null() || item.schema().nullable);
            map.iter_mut().try_for_each(|(key, value)| walk(value, item, &path.key(key), report))
        }
        (Shape::List(item), Value::Array(items)) => {
            let item = view.at(*item);
            items.iter_mut().enumerate().try_for_each(|(i, value)| walk(value, item, &path.index(i), report))
        }
        // A map where none belongs: nothing in it is specified.
        (shape, Value::Object(map)) if !preserve_unknown && !matches!(shape, Shape::Any) => {
            map.keys().for_each(|key| report.unknown_field(&path.key(key)));
            map.clear();
            Ok(())
        }
        (_, value) => {
            spell_numbers(value);
            Ok(())
        }
    }
}
