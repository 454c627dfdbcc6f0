//! What clients can do with resources: one pipeline for every kind, whoever asks and however.
//!
//! The methods here belong to [`ApiServer`](crate::ApiServer); HTTP and the in-process client call the same ones.
//! Callers have authenticated and authorized; what is left to authorize (a PUT that creates) is asked here.
//! Every answer is bytes of the stored object in the version that was asked for; every failure is a `Status`.

mod apart;
mod body;
mod connect;
mod create;
mod decode;
mod delete;
mod evict;
mod metadata;
mod page;
mod patch;
mod pods;
mod read;
mod rewind;
mod scale;
mod selection;
mod settled;
mod stored;
mod target;
pub(crate) mod token;
mod update;
mod validate;
mod watch;
mod write;

pub(crate) use validate::standard_finalizer;

pub(crate) use apart::apart;
pub use body::{Body, Encoding};
pub use connect::{Connection, Connector, Held, HttpBody, no_body};
pub(crate) use stored::{converted, tree};
pub use target::{Caller, Target};
pub use watch::Watch;

use crate::client::Object;
use crate::options::FieldValidation;
use alcove_object::status::Details;
use alcove_object::{Status, Value};

/// The body of a post to a kind that is not stored. 400 as for objects.
pub(crate) fn decoded(
    target: &Target,
    body: Body,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<Value, Status> {
    decode::object(body, &target.resource.types, target.gvk(), false, validation, warnings)
}

/// The answer to a write.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The object as stored, in the version asked for; for subresources with a kind of their own, that kind.
    pub object: Object,
    /// It was not there before: 201 instead of 200.
    pub created: bool,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

/// The answer to a delete.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// What the answer shows.
    pub answer: DeletedAnswer,
    /// Whether it is no longer in the store.
    pub gone: bool,
    /// 202 instead of 200: it is not gone yet, and the caller asked in the old way (`orphanDependents=false`).
    pub accepted: bool,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

/// What the answer to a delete shows.
#[derive(Clone, Debug)]
pub enum DeletedAnswer {
    /// The object: it is still there, or its kind answers so.
    Object(Object),
    /// A `Status` of success about the object that is gone.
    Status(Details),
}

/// The `Status` object of a success, such as a delete's.
pub fn success(details: &Details) -> Value {
    serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": serde_json::to_value(details).expect("details hold only strings and numbers"),
    })
}

#[cfg(test)]
mod tests;
