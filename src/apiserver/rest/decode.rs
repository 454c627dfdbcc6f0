//! A write's body as a tree of the kind that the request is about, as Go would have read it.

use super::Body;
use super::patch::Patch;
use super::settled::Settled;
use crate::options::{FieldValidation, PatchType};
use alcove_object::field::{Error, Path};
use alcove_object::{Gvk, Status, Value, meta};
use alcove_schema::decode::{self, Cause, DecodeError, Report, StrictError};
use alcove_schema::{Tree, Types, View};

/// Decodes a body into a tree of this kind. 400 for what cannot be read, for another version or kind, and, under
/// Strict, for fields that do not exist or are there twice; under Warn those become warnings.
pub(super) fn object(
    body: Body,
    types: &Types,
    kind: &Gvk,
    is_custom: bool,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<Value, Status> {
    let (found, value, mut strict) = match body {
        Body::Encoded { bytes, encoding } => {
            // Custom resources name their kind themselves.
            let default = Some(kind).filter(|_| !is_custom);
            let lookup = |found: &Gvk| types.kind(if is_old_eviction(found, kind) { kind } else { found });
            let decoded = decode::decode(&bytes, encoding, default, lookup);
            let decoded = decoded.map_err(|e| {
                Status::bad_request(match &e.cause {
                    Cause::NoVersion(_) => other_version("", kind),
                    _ => e.message(&kind.kind, &bytes),
                })
            })?;
            let mut value = decoded.value;
            if decoded.forgets_owners {
                forget_owners(&mut value);
            }
            (decoded.gvk, value, decoded.strict)
        }
        Body::Tree(tree) => conformed(tree, types, kind)?,
    };
    check_kind(&found, kind, &value, is_custom)?;
    if is_custom {
        strict.sort_by_key(custom_order);
    }
    judge(&strict, validation, warnings, |text| {
        let (name, version) = (&found.kind, &found.version);
        Status::bad_request(format!(
            "{name} in version {version:?} cannot be handled as a {}: {text}",
            kind.kind
        ))
    })?;
    Ok(value)
}

/// Whether this is an eviction as clients of old send it: the same fields under a version that has no other kind any more
/// (k8s.io/kubernetes/pkg/registry/core/pod/storage/eviction.go: AcceptsGroupVersion).
fn is_old_eviction(found: &Gvk, expected: &Gvk) -> bool {
    found.kind == "Eviction" && *found == Gvk { version: "v1beta1".into(), ..expected.clone() }
}

/// Says again that nobody is to own the fields any more.
fn forget_owners(object: &mut Value) {
    meta::set(object, "managedFields", Value::Array(Vec::new()));
}

/// A tree from inside the process, made what it would be had it come over the wire.
fn conformed(mut tree: Value, types: &Types, kind: &Gvk) -> Result<(Gvk, Value, Vec<StrictError>), Status> {
    let Some(map) = tree.as_object_mut() else {
        return Err(Status::bad_request("the body of the request is not an object"));
    };
    let text = |key: &str| map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let api_version = text("apiVersion").map_or_else(|| kind.api_version(), str::to_owned);
    let found = Gvk::from_api_version(&api_version, text("kind").unwrap_or(&kind.kind));
    map.insert("apiVersion".into(), api_version.into());
    map.insert("kind".into(), found.kind.clone().into());
    let mut report = Report::default();
    if let Some(view) = types.kind(&found) {
        decode::conform(&mut tree, view, &mut report).map_err(|cause| {
            Status::bad_request(decode::DecodeError::of(&found, cause).message(&kind.kind, b""))
        })?;
    }
    Ok((found, tree, report.unknown))
}

/// 400 for another version or kind than the request is about.
fn check_kind(found: &Gvk, expected: &Gvk, object: &Value, is_custom: bool) -> Result<(), Status> {
    if is_old_eviction(found, expected) {
        return Ok(());
    }
    if found.api_version() != expected.api_version() {
        return Err(Status::bad_request(other_version(&found.api_version(), expected)));
    }
    if found.kind != expected.kind && is_custom {
        let why = format!("must be {}", expected.kind);
        let wrong = [Error::invalid(&Path::new("kind"), found.kind.as_str(), why)];
        return Err(Status::invalid(&expected.group, &found.kind, meta::name(object), &wrong));
    }
    if found.kind != expected.kind {
        return Err(Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: the kind in the data is another one",
            found.kind, found.version, expected.kind
        )));
    }
    Ok(())
}

fn other_version(found: &str, expected: &Gvk) -> String {
    let wanted = expected.api_version();
    format!("the API version in the data ({found}) does not match the expected API version ({wanted})")
}

/// The order in which upstream finds what is wrong with the fields of a custom resource: what the text says twice, its
/// metadata, then what is pruned by path, and the metadata of embedded resources
/// (k8s.io/apiextensions-apiserver/pkg/apiserver: schemaCoercingDecoder).
fn custom_order(error: &StrictError) -> (u8, String) {
    match error {
        StrictError::Unknown(path) if path.starts_with("metadata.") => (1, String::new()),
        StrictError::Unknown(path) if path.contains(".metadata.") => (3, path.clone()),
        StrictError::Unknown(path) => (2, path.clone()),
        StrictError::Duplicate(_) | StrictError::Yaml(_) => (0, String::new()),
    }
}

/// What strict field validation has to say, as a refusal or as warnings.
fn judge(
    strict: &[StrictError],
    validation: FieldValidation,
    warnings: &mut Vec<String>,
    refuse: impl FnOnce(String) -> Status,
) -> Result<(), Status> {
    match validation {
        FieldValidation::Strict if !strict.is_empty() => return Err(refuse(decode::strict_message(strict))),
        FieldValidation::Warn => warnings.extend(strict.iter().flat_map(StrictError::warnings)),
        FieldValidation::Strict | FieldValidation::Ignore => {}
    }
    Ok(())
}

/// A merge or apply patch as a tree, and what is there twice in it. 400 for what is no object; what it is called then
/// depends on who reads it upstream.
pub(super) fn patch(kind: PatchType, body: &Body) -> Result<(Tree<'_>, Vec<StrictError>), Status> {
    let (bytes, encoding) = match body {
        Body::Tree(tree) => return Ok((tree.into(), Vec::new())),
        Body::Encoded { bytes, encoding } => (bytes, *encoding),
    };
    let refuse = |why: String, is_syntax: bool| {
        Status::bad_request(match (kind, is_syntax) {
            (PatchType::Apply, true) => format!("error decoding YAML: error converting YAML to JSON: {why}"),
            (PatchType::Apply, false) => {
                format!("error decoding YAML: error unmarshaling JSON: while decoding JSON: {why}")
            }
            (PatchType::Strategic, _) => why,
            (PatchType::Json | PatchType::Merge, _) => format!("error decoding patch: {why}"),
        })
    };
    let read = decode::untyped(bytes, encoding);
    let (tree, strict) = read.map_err(|e| refuse(without_kind(&e), true))?;
    match tree {
        Tree::Null | Tree::Map(_) => Ok((tree, strict)),
        other => {
            let found = decode::json_kind(&other.into_value());
            let why =
                format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}");
            Err(refuse(why, false))
        }
    }
}

/// What is wrong with a text in which nobody looks for a kind.
fn without_kind(error: &DecodeError) -> String {
    match &error.cause {
        Cause::Json(why) => why.clone(),
        _ => error.to_string(),
    }
}

/// A JSON patch as the list of its operations.
pub(super) fn operations(body: &Body) -> Result<Value, Status> {
    match body {
        Body::Tree(tree) => Ok(tree.clone()),
        Body::Encoded { bytes, .. } => decode::parse_json(bytes)
            .map(|parsed| parsed.value)
            .map_err(|e| Status::bad_request(format!("error decoding patch: {}", without_kind(&e)))),
    }
}

/// Makes an object what it would be after a round trip through its Go type; `patch` made it unless an apply or an update
/// did. 422 about the patch for what does not fit, and, under Strict, for fields that do not exist. What is settled has been
/// there.
pub(super) fn patched(
    object: &mut Value,
    settled: &Settled,
    schema: View<'_>,
    patch: Option<&Patch<'_>>,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    let mut report = Report::default();
    let before = matches!(validation, FieldValidation::Strict).then(|| object.clone());
    if let Err(cause) = settled.beside(object, |object| decode::conform(object, schema, &mut report)) {
        let is_strategic = patch.is_some_and(|patch| patch.strategic().is_some());
        let why = if is_strategic { cause.of_tree() } else { cause.to_string() };
        return Err(refused_patch(patch, before.as_ref().unwrap_or(object), why));
    }
    if report.forgets_owners {
        forget_owners(object);
    }
    let mut strict = patch.map(|patch| patch.twice().to_vec()).unwrap_or_default();
    strict.append(&mut report.unknown);
    judge(&strict, validation, warnings, |text| refused_patch(patch, before.as_ref().unwrap_or(object), text))
}

/// The error about a patch, which shows what upstream has at hand: a strategic patch as Go prints it, or else the object.
fn refused_patch(patch: Option<&Patch<'_>>, object: &Value, why: String) -> Status {
    match patch.and_then(Patch::strategic) {
        Some(patch) => invalid_patch(decode::plain(patch), why),
        None => invalid_patch(object.to_string(), why),
    }
}

pub(super) fn invalid_patch(shown: String, why: String) -> Status {
    Status::invalid("", "", "", &[Error::invalid(&Path::new("patch"), shown, why)])
}
