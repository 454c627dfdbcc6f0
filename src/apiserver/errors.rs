//! Every other room's failures as `Status`: the one place where that is decided.

use crate::registry::Resource;
use alcove_object::status::{Cause, Details};
use alcove_object::{Status, field};
use alcove_store::{CommitError, Error as ReadError};

/// Why an update lost against another one, in upstream's words; kubectl and controllers match on it.
pub(crate) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// 404 about one object of a resource.
pub(crate) fn not_found(resource: &Resource, name: &str) -> Status {
    Status::not_found(&resource.gvr.group, &resource.gvr.resource, name)
}

/// 409 about one object of a resource.
pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Status {
    Status::conflict(&resource.gvr.group, &resource.gvr.resource, name, why)
}

/// 422 about one object of a resource; `Ok` when nothing is wrong.
pub(crate) fn valid(resource: &Resource, name: &str, errors: Vec<field::Error>) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&resource.gvk.group, &resource.gvk.kind, name, &errors))
}

/// A transaction that did not happen, where the caller has no better answer to a conflict.
pub(crate) fn commit(resource: &Resource, name: &str, error: CommitError) -> Status {
    match error {
        CommitError::Conflict { .. } => conflict(resource, name, MODIFIED),
        CommitError::Medium(why) => Status::internal(format_args!("the store cannot write: {why}")),
        CommitError::Closed => Status::unavailable("the server is shutting down"),
    }
}

/// A list or get at a revision that the store cannot answer.
pub(crate) fn read(error: ReadError) -> Status {
    match error {
        ReadError::Compacted { .. } => {
            Status::expired("The resourceVersion for the provided list is too old.")
        }
        ReadError::Future { asked, newest } => too_large_version(asked, newest),
    }
}

/// A watch from a revision that is no longer known.
pub(crate) fn watch(error: ReadError) -> Status {
    match error {
        ReadError::Compacted { asked, oldest } => {
            Status::expired(format!("too old resource version: {asked} ({oldest})"))
        }
        other => read(other),
    }
}

/// 504: a resourceVersion that did not come within the time.
pub(crate) fn too_large_version(asked: u64, newest: u64) -> Status {
    let mut status = Status::timeout(format!("Too large resource version: {asked}, current: {newest}"), 1);
    let cause = Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        field: String::new(),
    };
    status.details.get_or_insert_with(Details::default).causes.push(cause);
    status
}

/// 400: a resourceVersion that is no number.
pub(crate) fn bad_version(text: &str) -> Status {
    Status::bad_request(format!(
        "invalid resource version: resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
    ))
}
