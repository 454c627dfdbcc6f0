//! JSON patch (RFC 6902) with the habits of the library that upstream uses:
//! negative indices count from the end; `replace` in an object also adds; a missing `value` is null; `test` for null
//! passes where nothing is; the root can be tested and replaced, not added or moved.

use super::{PatchError, check_depth, depth_within};
use crate::go;
use crate::limits::{DEPTH_MAX, JSON_PATCH_COPY_BYTES_MAX, JSON_PATCH_OPERATIONS_MAX};
use alcove_object::Value;
use serde_json::Map;

/// Applies the operations in place, one after the other.
///
/// At most [`JSON_PATCH_OPERATIONS_MAX`] of them, which together copy at most [`JSON_PATCH_COPY_BYTES_MAX`]. After an
/// error the document holds what the operations before it did, and is to be thrown away.
pub fn json_patch(document: &mut Value, operations: &Value) -> Result<(), PatchError> {
    let operations = read_operations(operations)?;
    if operations.len() > JSON_PATCH_OPERATIONS_MAX {
        return Err(PatchError::TooManyOperations(operations.len()));
    }
    let mut copied_bytes = 0;
    for operation in operations {
        apply(document, &operation, &mut copied_bytes).map_err(PatchError::Failed)?;
    }
    Ok(())
}

/// How the failure of a `test` ends.
pub(super) const TEST_FAILED: &str = "failed: test failed";

/// One operation; what is missing stays `None`, since the library complains only when it needs it.
#[derive(Default)]
struct Operation<'a> {
    kind: Option<&'a str>,
    path: Option<&'a str>,
    from: Option<&'a str>,
    value: Option<&'a Value>,
}

fn read_operations(operations: &Value) -> Result<Vec<Operation<'_>>, PatchError> {
    check_depth(operations)?;
    match operations {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().map(read_operation).collect(),
        other => Err(wrong_type(other, "value of type []handlers.jsonPatchOp")),
    }
}

fn read_operation(operation: &Value) -> Result<Operation<'_>, PatchError> {
    let map = match operation {
        Value::Null => return Ok(Operation::default()),
        Value::Object(map) => map,
        other => return Err(wrong_type(other, "value of type handlers.jsonPatchOp")),
    };
    let text = |field: &str| match map.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(other) => Err(wrong_type(other, &format!("struct field jsonPatchOp.{field} of type string"))),
    };
    Ok(Operation { kind: text("op")?, path: text("path")?, from: text("from")?, value: map.get("value") })
}

fn wrong_type(value: &Value, wanted: &str) -> PatchError {
    let kind = go::json_kind(value);
    PatchError::Malformed(format!("error decoding patch: json: cannot unmarshal {kind} into Go {wanted}"))
}

fn apply(document: &mut Value, operation: &Operation<'_>, copied_bytes: &mut usize) -> Result<(), String> {
    let value = || operation.value.cloned().unwrap_or_default();
    let kind = operation.kind.unwrap_or("unknown");
    let path =
        || operation.path.ok_or_else(|| format!("{kind} operation failed to decode path: missing value"));
    let from = || {
        let missing = "operation, missing from field: missing value";
        operation.from.ok_or_else(|| format!("{kind} operation failed to decode from: {missing}"))
    };
    match kind {
        "add" => add(document, kind, path()?, value()),
        "remove" => {
            let path = path()?;
            let (container, key) = locate(document, path).ok_or_else(|| missing(kind, "path", path))?;
            take(container, &key).map(drop).map_err(|e| format!("error in remove for path: '{path}': {e}"))
        }
        "replace" => replace(document, path()?, value()),
        "move" => {
            let from = from()?;
            let (container, key) = locate(document, from).ok_or_else(|| missing(kind, "from path", from))?;
            let value = take(container, &key).map_err(|e| format!("error in move for path: '{key}': {e}"))?;
            add(document, kind, path()?, value)
        }
        "test" => test(document, path()?, operation.value),
        "copy" => {
            let from = from()?;
            let (container, key) = locate(document, from).ok_or_else(|| missing(kind, "from path", from))?;
            let value = get(container, &key).map_err(|e| format!("error in copy for from: '{from}': {e}"))?;
            let value = value.cloned().unwrap_or_default();
            *copied_bytes += value.to_string().len();
            if *copied_bytes > JSON_PATCH_COPY_BYTES_MAX {
                return Err(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied_bytes}, \
                     exceeding the limit {JSON_PATCH_COPY_BYTES_MAX}"
                ));
            }
            add(document, kind, path()?, value)
        }
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn missing(kind: &str, what: &str, path: &str) -> String {
    format!("{kind} operation does not apply: doc is missing {what}: \"{path}\": missing value")
}

fn add(document: &mut Value, kind: &str, path: &str, value: Value) -> Result<(), String> {
    check_result_depth(path, &value)?;
    let (container, key) = locate(document, path).ok_or_else(|| missing(kind, "path", path))?;
    let done = match container {
        Container::Object(map) => {
            map.insert(key, value);
            Ok(())
        }
        Container::Array(items) if key == "-" => {
            items.push(value);
            Ok(())
        }
        Container::Array(items) => index_of(&key, items.len() + 1).map(|i| items.insert(i, value)),
    };
    done.map_err(|e| format!("error in {kind} for path: '{path}': {e}"))
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    check_result_depth(path, &value)?;
    if path.is_empty() {
        if !value.is_object() && !value.is_array() {
            return Err("replace operation value must be object or array".into());
        }
        *document = value;
        return Ok(());
    }
    let (container, key) = locate(document, path).ok_or_else(|| missing("replace", "path", path))?;
    match container {
        Container::Object(map) => {
            map.insert(key, value);
        }
        Container::Array(items) => {
            let absent =
                |_| format!("replace operation does not apply: doc is missing key: {path}: missing value");
            let index = index_of(&key, items.len()).map_err(absent)?;
            items[index] = value;
        }
    }
    Ok(())
}

fn test(document: &mut Value, path: &str, expected: Option<&Value>) -> Result<(), String> {
    let failed = || format!("testing value {path} {TEST_FAILED}");
    let expected = expected.unwrap_or(&Value::Null);
    if path.is_empty() {
        return if document == expected { Ok(()) } else { Err(failed()) };
    }
    let (container, key) = locate(document, path).ok_or_else(|| missing("test", "path", path))?;
    let found = get(container, &key).map_err(|e| format!("error in test for path: '{path}': {e}"))?;
    if found.unwrap_or(&Value::Null) == expected { Ok(()) } else { Err(failed()) }
}

/// What holds the value that a path names.
enum Container<'a> {
    Object(&'a mut Map<String, Value>),
    Array(&'a mut Vec<Value>),
}

impl<'a> Container<'a> {
    fn of(value: &'a mut Value) -> Option<Container<'a>> {
        match value {
            Value::Object(map) => Some(Container::Object(map)),
            Value::Array(items) => Some(Container::Array(items)),
            _ => None,
        }
    }
}

/// The container and the key at the end of a path; `None` where the way breaks off. Whatever stands before the first
/// slash does not count.
fn locate<'a>(document: &'a mut Value, path: &str) -> Option<(Container<'a>, String)> {
    let mut tokens = path.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"));
    let mut key = tokens.next()?;
    let mut container = Container::of(document)?;
    for next in tokens {
        let inner = match container {
            Container::Object(map) => map.get_mut(&key)?,
            Container::Array(items) => {
                let index = index_of(&key, items.len()).ok()?;
                &mut items[index]
            }
        };
        container = Container::of(inner)?;
        key = next;
    }
    Some((container, key))
}

/// The value of a key: in objects what is missing is `None`, in arrays it is an error.
fn get<'a>(container: Container<'a>, key: &str) -> Result<Option<&'a Value>, String> {
    match container {
        Container::Object(map) => Ok(map.get(key)),
        Container::Array(items) => index_of(key, items.len()).map(|i| Some(&items[i])),
    }
}

fn take(container: Container<'_>, key: &str) -> Result<Value, String> {
    match container {
        Container::Object(map) => {
            map.remove(key).ok_or_else(|| format!("Unable to remove nonexistent key: {key}: missing value"))
        }
        Container::Array(items) => index_of(key, items.len()).map(|i| items.remove(i)),
    }
}

/// An index below `length`; negative ones count from the end.
fn index_of(key: &str, length: usize) -> Result<usize, String> {
    let index: i64 = key.parse().map_err(|_| format!("value was not a proper array index: '{key}'"))?;
    let length = length as i64;
    let from_start = if index < 0 { index.saturating_add(length) } else { index };
    if (0..length).contains(&from_start) {
        return Ok(from_start as usize);
    }
    Err(format!("Unable to access invalid index: {index}: invalid index referenced"))
}

/// A patch must not nest a document deeper than a body may be: copies into copies could otherwise do so.
fn check_result_depth(path: &str, value: &Value) -> Result<(), String> {
    let above = path.split('/').count() - 1;
    match DEPTH_MAX.checked_sub(above) {
        Some(rest) if depth_within(value, rest) => Ok(()),
        _ => Err(format!("the patched object would nest deeper than {DEPTH_MAX} levels")),
    }
}
