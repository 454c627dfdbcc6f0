//! Server-side apply: who owns which field of an object, and merging by that (the rules of
//! sigs.k8s.io/structured-merge-diff and k8s.io/apimachinery/pkg/util/managedfields).
//!
//! Two entry points. [`track_update`] is for every write that is not an apply: it compares the old and the new
//! object and writes down who changed what. [`apply`] merges a patch into the live object, takes away what its
//! manager no longer applies, and refuses to overwrite what others own unless forced.
//!
//! **Invariants.** Pure, as the whole room; the time of a write comes from the caller as text. An object whose
//! owners did not change keeps the times of its entries, so that writing the same thing twice changes nothing.

mod error;

pub use error::{ApplyError, Conflict};

use crate::View;
use alcove_object::Value;

/// Who writes, and how the entry in `metadata.managedFields` will name them.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a> {
    /// Field manager: the request's `fieldManager`, or what stands before the first `/` of its User-Agent.
    pub name: &'a str,
    /// `apiVersion` of the request, which is also the version of the objects that are compared.
    pub api_version: &'a str,
    /// Subresource written through, empty for the main resource.
    pub subresource: &'a str,
    /// The time now, as `metav1.Time` (`2026-11-21T09:30:00Z`).
    pub time: &'a str,
}

/// Records in `new.metadata.managedFields` what a create, update or patch changed.
///
/// `live` is the stored object, none on create. `new` is what will be stored but for mutating admission (which is
/// followed by a second call, as upstream does): complete, defaulted, with the managed fields the client sent, if it
/// sent any. `reset` names what this (sub)resource never owns: `status` on the main resource, `spec` on `status`, also
/// dotted paths such as `metadata.labels`.
///
/// Writing `managedFields: []` or `[{}]` forgets all owners. Managed fields that cannot be read are replaced by the
/// live object's, and never fail the write.
pub fn track_update(
    live: Option<&Value>,
    new: &mut Value,
    schema: View<'_>,
    manager: &Manager<'_>,
    reset: &[&str],
) -> Result<(), ApplyError> {
    let _ = (live, new, schema, manager, reset);
    Ok(())
}

/// Merges an apply patch into the live object and gives the result, with its new managed fields.
///
/// `live` is the stored object in the patch's version, none when the patch creates. `patch` is the client's body,
/// decoded without defaults. The caller then defaults, prepares and validates the result like any other write, does
/// *not* call [`track_update`] before mutating admission, and compares the result with the live object: they are equal
/// when the apply changed nothing.
pub fn apply(
    live: Option<&Value>,
    patch: &Value,
    schema: View<'_>,
    manager: &Manager<'_>,
    force: bool,
    reset: &[&str],
) -> Result<Value, ApplyError> {
    let _ = (live, patch, schema, manager, force, reset);
    todo!()
}
