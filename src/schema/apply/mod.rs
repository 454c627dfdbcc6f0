//! Server-side apply: who owns which field of an object, and merging by that (the rules of
//! sigs.k8s.io/structured-merge-diff and k8s.io/apimachinery/pkg/util/managedfields).
//!
//! Two entry points for what clients write, and [`configure`] for what policies do. [`track_update`] is for every write that is not an apply: it compares the old and the new
//! object and writes down who changed what. [`apply`] merges a patch into the live object, takes away what its
//! manager no longer applies, and refuses to overwrite what others own unless forced. [`keep_times`] ends either: a write
//! that changed nothing but times is none.
//!
//! Objects are compared in the request's version. Entries that name fields in another version of the kind are taken as
//! if fields had the same names there, which holds but for the few kinds whose versions differ in structure.
//!
//! **Invariants.** Pure, as the whole room; the time of a write comes from the caller as text. Depth of recursion is
//! that of the objects, which decoding limits. Field sets borrow from the objects they describe.

mod compare;
mod configure;
mod error;
mod fields;
mod fieldset;
mod last_applied;
mod managed;
mod merge;
mod path;
mod scale;
mod set;
mod types;
mod update;
mod validate;

#[cfg(test)]
mod tests;

pub use configure::configure;
pub use error::{ApplyError, Conflict};
pub use path::{Element, KeyField};
pub use scale::Replicas;
pub use set::{Node, Set};

use crate::{Tree, View};
use alcove_object::{Gvk, Value, meta};
use managed::{Operation, Owner, Owners};
use serde_json::Map;
use std::sync::LazyLock;
use types::Type;
use update::{Applied, Configuration, Scope};

/// Who writes, and how the entry in `metadata.managedFields` will name them.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a> {
    /// Field manager: the request's `fieldManager`, or what stands before the first `/` of its User-Agent. `unknown`
    /// if empty.
    pub name: &'a str,
    /// `apiVersion` of the request, which is also the version of the objects that are compared.
    pub api_version: &'a str,
    /// Subresource written through, empty for the main resource.
    pub subresource: &'a str,
    /// The time now, as `metav1.Time` (`2026-11-21T09:30:00Z`).
    pub time: &'a str,
}

/// The manager of what was there before the first apply to an object whose owners nobody knew.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

static NOTHING: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));

/// Records in `new.metadata.managedFields` what a create, update or patch changed. Never fails: a write does not fail
/// for its bookkeeping.
///
/// `live` is the stored object, none on create. `new` is what the client wants, complete and defaulted, with the
/// managed fields that came with it. Upstream calls this once, *before* mutating admission and before the strategy
/// resets what the request may not write; what admission changes has no owner. `reset` names what this (sub)resource
/// never owns: `status` on the main resource, `spec` on `status`; also dotted paths such as `metadata.labels`.
///
/// An object that has no owners although it exists stays without, until the first apply. Writing `managedFields: []`
/// or `[{}]` forgets all owners. Managed fields that cannot be read, and those of subresource writes, count as not
/// sent: the live object's stay.
pub fn track_update(
    live: Option<&Value>,
    new: &mut Value,
    schema: View<'_>,
    manager: &Manager<'_>,
    reset: &[&str],
) -> Result<(), ApplyError> {
    let owners = owners_after(live, new, schema, manager, reset).and_then(Owners::write);
    managed::put(new, owners);
    Ok(())
}

fn owners_after<'a>(
    live: Option<&'a Value>,
    new: &'a Value,
    schema: View<'a>,
    manager: &Manager<'a>,
    reset: &[&'a str],
) -> Option<Owners<'a>> {
    let mut owners = known_owners(live, new, manager)?;
    if owners.entries.is_empty() && live.is_some() {
        return None;
    }
    let scope = Scope::new(Type::Declared(schema), reset);
    update::record(&mut owners, live.unwrap_or(&NOTHING), new, &scope, manager);
    Some(owners)
}

/// The owners before the write: those that the client sent if they are any good, else those of the live object.
fn known_owners<'a>(live: Option<&'a Value>, new: &'a Value, manager: &Manager<'_>) -> Option<Owners<'a>> {
    if manager.subresource.is_empty() {
        if managed::is_reset(new) {
            return live.is_none().then(Owners::default);
        }
        if let Some(sent) = Owners::read(Some(new)).ok().filter(|sent| !sent.entries.is_empty()) {
            return Some(sent);
        }
    }
    Some(Owners::read(live).unwrap_or_default())
}

/// Merges an apply patch into the live object and gives the result, with its new managed fields.
///
/// `live` is the stored object in the request's version, none when the patch creates. `patch` is the client's body,
/// as it was sent. `reset` is as in [`track_update`]. Upstream's order: merge, prune, settle owners, and only then bring
/// the result into the form of its type (what pruning emptied is null until then) and default it; then the strategy, mutating admission and validation as for any other write, without
/// [`track_update`]. What the patch changed in reset fields is in the result for the strategy to
/// take back.
///
/// Errors: [`ApplyError::Conflicts`] when others own what would change and `force` is not set; the patch having managed
/// fields, another kind or version than the request, or fields that its schema does not declare.
pub fn apply(
    live: Option<&Value>,
    patch: &Tree<'_>,
    schema: View<'_>,
    manager: &Manager<'_>,
    force: bool,
    reset: &[&str],
) -> Result<Value, ApplyError> {
    let scope = Scope::new(Type::Declared(schema), reset);
    let owned = check_patch(patch, &scope, schema, manager)?;
    let configuration = Configuration { patch, owned: &owned };
    let request = Request { live, configuration, scope, manager, force };
    let (mut object, owners) = request.merged(Owners::read(live))?;
    managed::put(&mut object, owners.write());
    Ok(object)
}

/// The same for a live object whose managed fields are held apart, as the text that they are in `owners`, empty if there
/// are none. Gives the result without its managed fields, and those: half of most objects never become a tree.
pub fn apply_apart(
    live: &Value,
    owners: &str,
    patch: &Tree<'_>,
    schema: View<'_>,
    manager: &Manager<'_>,
    force: bool,
    reset: &[&str],
) -> Result<(Value, String), ApplyError> {
    let scope = Scope::new(Type::Declared(schema), reset);
    let owned = check_patch(patch, &scope, schema, manager)?;
    let configuration = Configuration { patch, owned: &owned };
    let request = Request { live: Some(live), configuration, scope, manager, force };
    let owner = Owner::of(manager, Operation::Apply);
    let owners = Owners::read_text(owners, &owner, &owned);
    let (object, owners) = request.merged(owners)?;
    Ok((object, owners.write_text(&owner, &owned)))
}

/// One apply that is good in itself.
struct Request<'a, 'm> {
    live: Option<&'a Value>,
    configuration: Configuration<'a>,
    scope: Scope<'a>,
    manager: &'m Manager<'a>,
    force: bool,
}

impl<'a> Request<'a, '_> {
    /// The merged object, and its owners.
    fn merged(&self, owners: Result<Owners<'a>, String>) -> Result<(Value, Owners<'a>), ApplyError> {
        let Request { live, configuration, ref scope, manager, force } = *self;
        let (base, ty) = (live.unwrap_or(&NOTHING), scope.ty);
        let mut owners =
            owners.map_err(|why| ApplyError::Failed(format!("failed to decode managed fields: {why}")))?;
        if owners.entries.is_empty() && live.is_some() {
            let before = Manager { name: BEFORE_FIRST_APPLY, ..*manager };
            update::record(&mut owners, &NOTHING, base, scope, &before);
        }
        let merged = || {
            let mut merged = merge::clone_unmanaged(base);
            merge::merge(ty, &mut merged, configuration.patch);
            merged
        };
        let is_kubectl = manager.name == last_applied::KUBECTL;
        let before = is_kubectl.then(|| owners.clone());
        let mut outcome =
            update::apply_patch(&mut owners, base, merged(), configuration, scope, manager, force);
        if let (Err(conflicts), Some(known)) = (&mut outcome, before) {
            *conflicts = last_applied::remaining(std::mem::take(conflicts), base, ty, manager.api_version);
            if conflicts.is_empty() {
                owners = known;
                outcome =
                    update::apply_patch(&mut owners, base, merged(), configuration, scope, manager, true);
            }
        }
        let mut object = match outcome.map_err(ApplyError::Conflicts)? {
            Applied::Same => merge::clone_unmanaged(base),
            Applied::Changed(object) => object,
        };
        if is_kubectl {
            last_applied::refresh(&mut object, configuration.patch);
        }
        Ok((object, owners))
    }
}

/// The text of the fields that a patch's manager gets to own, if it is one of this kind and version that its schema
/// allows.
fn check_patch(
    patch: &Tree<'_>,
    scope: &Scope<'_>,
    schema: View<'_>,
    manager: &Manager<'_>,
) -> Result<String, ApplyError> {
    let text = |key: &str| patch.get(key).and_then(Tree::as_str).unwrap_or_default();
    let kind = Gvk::from_api_version(text("apiVersion"), text("kind"));
    let shown = || format!("{}/{}, Kind={}", kind.group, kind.version, kind.kind);
    let kinds = &schema.schema().kinds;
    if text("apiVersion") != manager.api_version
        || !(kinds.is_empty() || kinds.iter().any(|k| k.kind == kind.kind))
    {
        return Err(ApplyError::WrongType(shown()));
    }
    let owners = patch.get("metadata").and_then(|metadata| metadata.get("managedFields"));
    if owners.is_some_and(|owners| !owners.is_null()) {
        return Err(ApplyError::ManagedFieldsSet);
    }
    let (owned, is_doubtful) = scope.owned_of(patch);
    if is_doubtful {
        let patch = patch.to_value();
        validate::validate(scope.ty, &patch).map_err(|why| {
            let (namespace, name, shown) = (meta::namespace(&patch), meta::name(&patch), shown());
            ApplyError::Failed(format!(
                "failed to create typed patch object ({namespace}/{name}; {shown}): {why}"
            ))
        })?;
    }
    Ok(owned)
}

/// Gives entries of `new` the times they have in `live`, if times of managed fields are all that differs, so that the
/// write can be left out (IgnoreManagedFieldsTimestampsTransformer in k8s.io/apiserver). Call it last, with the object
/// as it would be stored, under the live object's resourceVersion.
pub fn keep_times(live: &Value, new: &mut Value) {
    // Most writes change something.
    if !path::equal_unmanaged(live, new) {
        return;
    }
    let (old, entries) = (managed::entries(Some(live)), managed::entries(Some(new)));
    let same_but_time = |(a, b): (&Value, &Value)| timeless(a).eq(timeless(b));
    if old.len() == entries.len() && old != entries && old.iter().zip(entries).all(same_but_time) {
        managed::put(new, Some(Value::Array(old.to_vec())));
    }
}

/// The same for objects whose managed fields are held apart (see [`apply_apart`]): which of two texts `new` is to have.
pub fn keep_times_apart(live: &Value, live_owners: &str, new: &Value, new_owners: String) -> String {
    match path::equal_unmanaged(live, new) && managed::same_but_times(live_owners, &new_owners) {
        true => live_owners.to_owned(),
        false => new_owners,
    }
}

fn timeless(entry: &Value) -> impl Iterator<Item = (&String, &Value)> {
    entry.as_object().into_iter().flatten().filter(|(key, _)| *key != "time")
}
