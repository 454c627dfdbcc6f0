//! What a request asks beside its object: the query parameters and option bodies, parsed once.

use alcove_object::{Value, meta, selector};

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
