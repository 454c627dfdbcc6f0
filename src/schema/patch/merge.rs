//! JSON merge patch (RFC 7386): objects merge, null deletes, everything else replaces.

use super::{PatchError, check_depth};
use alcove_object::Value;
use serde_json::Map;

/// Applies a merge patch in place. Nulls in what the patch adds are dropped, also inside of arrays.
///
/// A patch that is an array takes the place of the document, for the decoder to refuse; null and scalars are no
/// patches.
pub fn merge_patch(document: &mut Value, patch: &Value) -> Result<(), PatchError> {
    check_depth(patch)?;
    match (document, patch) {
        (Value::Object(document), Value::Object(patch)) => merge_maps(document, patch),
        (document, Value::Object(_) | Value::Array(_)) => *document = without_nulls(patch),
        _ => return Err(PatchError::Malformed("Invalid JSON Patch".into())),
    }
    Ok(())
}

fn merge_maps(document: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, change) in patch {
        match (document.get_mut(key), change) {
            (_, Value::Null) => {
                document.remove(key);
            }
            (Some(Value::Object(current)), Value::Object(change)) => merge_maps(current, change),
            // The library prunes what it adds, but not what it puts in the place of an object.
            (Some(current @ Value::Object(_)), change) => *current = change.clone(),
            (_, change) => {
                document.insert(key.clone(), without_nulls(change));
            }
        }
    }
}

/// A copy without the null fields of all objects in it. Null items of arrays stay.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.iter().filter(|(_, v)| !v.is_null());
            fields.map(|(k, v)| (k.clone(), without_nulls(v))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        scalar => scalar.clone(),
    }
}
