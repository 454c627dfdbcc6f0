//! The three patches that say what to change, from a tree and a patch to a tree: JSON patch (RFC 6902), JSON merge
//! patch (RFC 7386) and strategic merge patch. The fourth, server-side apply, is a room of its own.
//!
//! They behave as the libraries of upstream's API server do (gopkg.in/evanphx/json-patch.v4,
//! k8s.io/apimachinery/pkg/util/strategicpatch), also where these bend the RFCs: clients have come to rely on it.
//! What a patch makes of an object is decoded and checked like any other body, by the caller.

mod json;
mod merge;
mod order;
mod strategic;

pub use json::json_patch;
pub use merge::merge_patch;
pub use strategic::strategic_merge;

use crate::limits::{DEPTH_MAX, JSON_PATCH_OPERATIONS_MAX};
use alcove_object::status::Details;
use alcove_object::{Reason, Status, Value};

/// Why a patch cannot be applied. The texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch has not the form of one. 400.
    #[error("{0}")]
    Malformed(String),
    /// A JSON patch has this many operations, more than allowed. 413.
    #[error("The allowed maximum operations in a JSON patch is {JSON_PATCH_OPERATIONS_MAX}, got {0}")]
    TooManyOperations(usize),
    /// The patch does not fit the object: a test fails, a path is missing. 422.
    #[error("{0}")]
    Failed(String),
    /// Patch and object cannot be merged by the schema's rules, as when a list's item lacks its key. 500, as
    /// upstream has it.
    #[error("{0}")]
    Unmergeable(String),
}

impl PatchError {
    /// Whether the patch itself asked to be given up: an operation `test` found something else.
    pub fn is_test(&self) -> bool {
        matches!(self, PatchError::Failed(text) if text.ends_with(json::TEST_FAILED))
    }

    /// The answer to the request.
    pub fn to_status(&self) -> Status {
        match self {
            PatchError::Malformed(text) => Status::bad_request(text.clone()),
            PatchError::TooManyOperations(_) => {
                Status::too_large(format!("Request entity too large: {self}"))
            }
            // Upstream answers with the generic text of the code and keeps the reason to itself.
            PatchError::Failed(_) => {
                let text = "the server rejected our request due to an error in our request";
                Status::new(422, Reason::INVALID, text).with_details(Details::default())
            }
            PatchError::Unmergeable(text) => Status::new(500, Reason::UNKNOWN, text.clone()),
        }
    }
}

/// Refuses a patch that nests deeper than bodies may, so that what works on it may recurse.
fn check_depth(patch: &Value) -> Result<(), PatchError> {
    if depth_within(patch, DEPTH_MAX) {
        return Ok(());
    }
    Err(PatchError::Malformed(format!("the patch nests deeper than {DEPTH_MAX} levels")))
}

/// Whether objects and arrays nest at most `max` levels deep.
fn depth_within(value: &Value, max: usize) -> bool {
    let within = |child: &Value| depth_within(child, max - 1);
    match value {
        Value::Object(map) => max > 0 && map.values().all(within),
        Value::Array(items) => max > 0 && items.iter().all(within),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
