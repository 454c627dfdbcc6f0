//! A way through a custom value beside its form.

use crate::types::{Shape, View};
use alcove_object::Value;
use alcove_object::field::Path;

/// Shows each place of a value that the form knows, what is around it first, with the form that it has there.
pub(super) fn each<'v>(
    value: &Value,
    view: View<'v>,
    path: &Path,
    visit: &mut dyn FnMut(&Value, View<'v>, &Path),
) {
    if !view.schema().custom {
        return;
    }
    visit(value, view, path);
    match (view.shape(), value) {
        (Shape::Struct(_), Value::Object(map)) => {
            for (key, value) in map {
                if let Some(child) = view.child(key) {
                    each(value, child, &path.child(key), visit);
                }
            }
        }
        (Shape::Map(item), Value::Object(map)) => {
            for (key, value) in map {
                each(value, view.at(*item), &path.key(key), visit);
            }
        }
        (Shape::List(item), Value::Array(items)) => {
            for (i, value) in items.iter().enumerate() {
                each(value, view.at(*item), &path.index(i), visit);
            }
        }
        _ => {}
    }
}
