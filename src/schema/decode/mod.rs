//! Bytes to trees: JSON, YAML and protobuf request bodies, checked and normalised by the type form.
//!
//! Upstream decodes a body into a Go struct and later writes that struct as JSON; what a client sees is the sum of
//! both steps. This folder does the same to a tree: [`json`], [`yaml`] and [`protobuf`] read, [`conform`] applies
//! what the Go type would have kept, dropped, refused or spelled differently, [`fill`] adds what Go always writes,
//! and [`strict`] tells what strict field validation complains about, in upstream's words and order.
//!
//! **Invariants.** No input panics, overflows the stack or allocates out of proportion: nesting ends at
//! [`DEPTH_MAX`](crate::limits::DEPTH_MAX), YAML aliases at
//! [`YAML_EXPANDED_BYTES_MAX`](crate::limits::YAML_EXPANDED_BYTES_MAX). Nothing here knows a kind by name.

mod clock;
mod conform;
mod custom;
mod encode;
mod error;
mod fill;
pub mod frames;
mod json;
mod path;
mod protobuf;
mod scalar;
mod special;
mod strict;
mod syntax;
mod wire;
mod yaml;

pub use crate::go::{json_kind, plain};
pub use conform::{Report, conform};
pub use encode::{EncodeError, encode, encode_message};
pub use error::{Cause, DecodeError, StrictError, strict_message};
pub use fill::fill;
pub use json::{Parsed as ParsedJson, parse as parse_json};
pub use strict::errors as strict_errors;
pub use wire::WireError;
pub use yaml::{Parsed as ParsedYaml, parse as parse_yaml, tree as yaml_tree};

use crate::Tree;
use crate::go;
use crate::types::View;
use alcove_object::{Gvk, Value};

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`
    Json,
    /// `application/yaml` and `application/apply-patch+yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

/// A body that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// What the body says it is, completed by the default.
    pub gvk: Gvk,
    /// The tree. With a schema it conforms to it and names its apiVersion and kind; without, it is as written.
    pub value: Value,
    /// What strict field validation refuses, and `Warn` warns of; to be ignored under `Ignore`.
    pub strict: Vec<StrictError>,
    /// Whether the body asks to forget who owns the fields ([`Report::forgets_owners`]).
    pub forgets_owners: bool,
}

/// Reads one object.
///
/// `default` is the kind that the request path asks for: it completes a body without apiVersion or kind. `schema`
/// gives the type of the kind that was found, or none when the kind is served without one (custom resources): the
/// tree is then as written, and only duplicate fields are strict errors. Protobuf needs a schema.
///
/// Fails on bad syntax, on a missing kind, on nesting past the limit, and on values that do not fit their type.
pub fn decode<'t>(
    body: &[u8],
    encoding: Encoding,
    default: Option<&Gvk>,
    schema: impl FnOnce(&Gvk) -> Option<View<'t>>,
) -> Result<Decoded, DecodeError> {
    match encoding {
        Encoding::Json => decode_json(body, default, schema),
        Encoding::Yaml => decode_yaml(body, default, schema),
        Encoding::Protobuf => decode_protobuf(body, default, schema),
    }
}

fn decode_json<'t>(
    body: &[u8],
    default: Option<&Gvk>,
    schema: impl FnOnce(&Gvk) -> Option<View<'t>>,
) -> Result<Decoded, DecodeError> {
    let json::Parsed { mut value, duplicates } = json::parse(body)?;
    let gvk = named_kind(&value, default, body)?;
    let view = schema(&gvk);
    let Report { unknown, forgets_owners, .. } = match view {
        Some(view) => shape(&mut value, view, &gvk)?,
        None => {
            json::spell_numbers(&mut value);
            Report::default()
        }
    };
    // The common body has nothing to complain about; only the others pay for a second, ordered look.
    let clean = !duplicates && unknown.is_empty();
    let strict = if clean { Vec::new() } else { strict::errors(body, view) };
    Ok(Decoded { gvk, value, strict, forgets_owners })
}

fn decode_yaml<'t>(
    body: &[u8],
    default: Option<&Gvk>,
    schema: impl FnOnce(&Gvk) -> Option<View<'t>>,
) -> Result<Decoded, DecodeError> {
    let yaml::Parsed { mut value, strict } = yaml::parse(body)?;
    let gvk = named_kind(&value, default, body)?;
    let mut strict: Vec<StrictError> = strict.into_iter().collect();
    let mut forgets_owners = false;
    if let Some(view) = schema(&gvk) {
        let report = shape(&mut value, view, &gvk)?;
        strict.extend(report.unknown);
        forgets_owners = report.forgets_owners;
    }
    Ok(Decoded { gvk, value, strict, forgets_owners })
}

fn decode_protobuf<'t>(
    body: &[u8],
    default: Option<&Gvk>,
    schema: impl FnOnce(&Gvk) -> Option<View<'t>>,
) -> Result<Decoded, DecodeError> {
    let envelope = protobuf::open(body)?;
    let gvk = complete(&envelope.api_version, &envelope.kind, default)?;
    if gvk.kind.is_empty() {
        return Err(Cause::NoKind(envelope.to_string()).into());
    }
    if gvk.version.is_empty() {
        return Err(Cause::NoVersion(envelope.to_string()).into());
    }
    let Some(view) = schema(&gvk) else {
        return Err(DecodeError::of(&gvk, Cause::NoSchema(Box::new(gvk.clone()))));
    };
    let mut value =
        protobuf::message(envelope.raw, view).map_err(|error| DecodeError::of(&gvk, error.into()))?;
    shape(&mut value, view, &gvk)?;
    Ok(Decoded { gvk, value, strict: Vec::new(), forgets_owners: false })
}

/// Reads JSON or YAML that is of no kind, such as a patch: the tree as written, with numbers as Go spells them, and the
/// keys that are there twice. Fails on bad syntax, on nesting past the limit, and on protobuf, which says nothing
/// without a type.
pub fn untyped(body: &[u8], encoding: Encoding) -> Result<(Tree<'_>, Vec<StrictError>), DecodeError> {
    match encoding {
        Encoding::Json => {
            let json::Parsed { mut value, duplicates } = json::borrow(body)?;
            value.each_number(&json::spell);
            Ok((value, if duplicates { strict::errors(body, None) } else { Vec::new() }))
        }
        Encoding::Yaml => {
            let yaml::Parsed { value, strict } = yaml::borrow(body)?;
            Ok((value, strict.into_iter().collect()))
        }
        Encoding::Protobuf => Err(Cause::Json("a patch is JSON or YAML".into()).into()),
    }
}

/// Conforms a tree to its kind and writes the kind into it.
fn shape(value: &mut Value, view: View<'_>, gvk: &Gvk) -> Result<Report, DecodeError> {
    let mut report = Report::default();
    conform(value, view, &mut report).map_err(|cause| DecodeError::of(gvk, cause))?;
    if let Value::Object(map) = value {
        map.insert("apiVersion".to_owned(), gvk.api_version().into());
        map.insert("kind".to_owned(), gvk.kind.as_str().into());
    }
    Ok(report)
}

/// The kind that a JSON or YAML tree names, completed by the default.
fn named_kind(value: &Value, default: Option<&Gvk>, body: &[u8]) -> Result<Gvk, DecodeError> {
    let api_version = type_meta(value, "apiVersion")?;
    let kind = type_meta(value, "kind")?;
    let gvk = complete(api_version, kind, default)?;
    if gvk.kind.is_empty() {
        return Err(Cause::NoKind(String::from_utf8_lossy(body).into_owned()).into());
    }
    if gvk.version.is_empty() {
        return Err(Cause::NoVersion(String::from_utf8_lossy(body).into_owned()).into());
    }
    Ok(gvk)
}

fn type_meta<'v>(value: &'v Value, name: &str) -> Result<&'v str, DecodeError> {
    const TARGET: &str = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    match value {
        Value::Null => Ok(""),
        Value::Object(map) => match map.get(name) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(Cause::Json(format!(
                "json: cannot unmarshal {} into Go struct field .{name} of type string",
                go::json_kind(other)
            ))
            .into()),
        },
        other => Err(Cause::Json(format!(
            "json: cannot unmarshal {} into Go value of type {TARGET}",
            go::json_kind(other)
        ))
        .into()),
    }
}

/// What upstream's serializers do with a kind that is named in part (gvkWithDefaults).
fn complete(api_version: &str, kind: &str, default: Option<&Gvk>) -> Result<Gvk, DecodeError> {
    if api_version.matches('/').count() > 1 {
        return Err(Cause::Version(api_version.to_owned()).into());
    }
    let mut gvk = Gvk::from_api_version(api_version, kind);
    let Some(default) = default else { return Ok(gvk) };
    if gvk.kind.is_empty() {
        gvk.kind.clone_from(&default.kind);
    }
    if gvk.version.is_empty() && (gvk.group.is_empty() || gvk.group == default.group) {
        gvk.group.clone_from(&default.group);
        gvk.version.clone_from(&default.version);
    }
    Ok(gvk)
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
