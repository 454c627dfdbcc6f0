//! What a request asks beside its object: the query parameters and option bodies, parsed once.

use alcove_object::field::{self, Path};
use alcove_object::{Status, Value, meta, selector};

/// How strictly a body's fields are checked (`fieldValidation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)] // the words of the API
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// Options of create, update and patch.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// `dryRun=All`: everything but the write.
    pub dry_run: bool,
    /// `fieldManager`; empty: the caller's user agent up to the first slash.
    pub field_manager: String,
    /// `fieldValidation`.
    pub field_validation: FieldValidation,
    /// `force`, for server-side apply only.
    pub force: bool,
}

/// `resourceVersionMatch`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words of the API
pub enum VersionMatch {
    NotOlderThan,
    Exact,
    /// A word that is none of them; refused together with what else is wrong.
    Unknown(String),
}

/// Options of list, watch and deletecollection.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Which labels objects must have.
    pub labels: selector::Labels,
    /// Which fields objects must have.
    pub fields: selector::Fields,
    /// `resourceVersion` as sent: empty, `0` or a decimal number.
    pub resource_version: String,
    /// `resourceVersionMatch`.
    pub version_match: Option<VersionMatch>,
    /// `limit`, 0 for none.
    pub limit: usize,
    /// `continue` as sent.
    pub continue_token: String,
    /// `allowWatchBookmarks`.
    pub bookmarks: bool,
    /// `sendInitialEvents`.
    pub send_initial_events: Option<bool>,
    /// `timeoutSeconds`. 0 is none; what is below zero ends at once.
    pub timeout_seconds: Option<i64>,
}

/// `propagationPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words of the API
pub enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// Options of delete and deletecollection.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// `dryRun=All`.
    pub dry_run: bool,
    /// `gracePeriodSeconds`.
    pub grace_period_seconds: Option<i64>,
    /// `preconditions.uid`.
    pub uid: Option<String>,
    /// `preconditions.resourceVersion`.
    pub resource_version: Option<String>,
    /// `propagationPolicy`.
    pub propagation: Option<Propagation>,
    /// `orphanDependents`, the old way to say it.
    pub orphan_dependents: Option<bool>,
}

impl DeleteOptions {
    /// Deletes this very object, and not another one that has its name by now.
    pub fn of(object: &Value) -> DeleteOptions {
        DeleteOptions { uid: Some(meta::uid(object).to_owned()), ..DeleteOptions::default() }
    }

    /// Delete options as a body's tree says them. 400 for another kind or wrong types, 422 for wrong values.
    pub fn read(body: &Value) -> Result<DeleteOptions, Status> {
        let kind = body.get("kind").and_then(Value::as_str).unwrap_or("DeleteOptions");
        if kind != "DeleteOptions" {
            return Err(Status::bad_request("decoded object cannot be converted to DeleteOptions"));
        }
        let body: Option<DeleteBody> =
            serde::Deserialize::deserialize(body).map_err(|error: serde_json::Error| {
                Status::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
            })?;
        let body = body.unwrap_or_default();
        let mut errors = Vec::new();
        let propagation =
            propagation(body.propagation_policy.as_deref(), body.orphan_dependents, &mut errors);
        let dry_run = dry_run(body.dry_run.iter().flatten().map(String::as_str), &mut errors);
        refuse("DeleteOptions", &errors)?;
        let preconditions = body.preconditions.unwrap_or_default();
        Ok(DeleteOptions {
            dry_run,
            grace_period_seconds: body.grace_period_seconds,
            propagation,
            orphan_dependents: body.orphan_dependents,
            uid: preconditions.uid,
            resource_version: preconditions.resource_version,
        })
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeleteBody {
    grace_period_seconds: Option<i64>,
    preconditions: Option<Preconditions>,
    orphan_dependents: Option<bool>,
    propagation_policy: Option<String>,
    dry_run: Option<Vec<String>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

/// Whether nothing is to be written.
pub(crate) fn dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut Vec<field::Error>) -> bool {
    let values: Vec<&str> = values.collect();
    if values.iter().any(|value| *value != "All") {
        errors.push(field::Error::not_supported(&Path::new("dryRun"), values.clone(), &["All"]));
    }
    !values.is_empty()
}

/// 422 for wrong options of this kind.
pub(crate) fn refuse(kind: &str, errors: &[field::Error]) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", kind, "", errors)) }
}

/// What becomes of what belongs to the object.
pub(crate) fn propagation(
    text: Option<&str>,
    orphan: Option<bool>,
    errors: &mut Vec<field::Error>,
) -> Option<Propagation> {
    let path = Path::new("propagationPolicy");
    let text = text?;
    if orphan.is_some() {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        errors.push(field::Error::invalid(&path, text, why));
    }
    match text {
        "Foreground" => Some(Propagation::Foreground),
        "Background" => Some(Propagation::Background),
        "Orphan" => Some(Propagation::Orphan),
        other => {
            let known = ["Foreground", "Background", "Orphan", "nil"];
            errors.push(field::Error::not_supported(&path, other, &known));
            None
        }
    }
}

/// The kind of a patch, by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words of the API
pub enum PatchType {
    Json,
    Merge,
    Strategic,
    /// Server-side apply; the body is JSON or YAML.
    Apply,
}
