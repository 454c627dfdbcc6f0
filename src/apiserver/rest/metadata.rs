//! The part of `metadata` that is the server's own: what a client cannot set, and what an update cannot change.

use super::settled::Settled;
use crate::registry::{Generation, Resource};
use alcove_object::{Env, Value, meta};

/// Forgets what only the server sets (k8s.io/apiserver/pkg/registry/rest/meta.go: WipeObjectMetaSystemFields).
pub(super) fn wipe(object: &mut Value) {
    let metadata = meta::metadata_mut(object);
    for field in ["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        metadata.remove(field);
    }
}

/// Identity and age of a new object.
pub(super) fn fill(object: &mut Value, env: &dyn Env, now: &str) {
    let metadata = meta::metadata_mut(object);
    metadata.insert("creationTimestamp".into(), now.into());
    metadata.insert("uid".into(), env.uid().into());
}

/// Makes a name from `generateName`: its first 58 characters and five random ones.
pub(super) fn generate_name(object: &mut Value, env: &dyn Env) {
    const BASE_MAX: usize = 63 - SUFFIX;
    const SUFFIX: usize = 5;
    let base: String = meta::text(object, "generateName").chars().take(BASE_MAX).collect();
    meta::set(object, "name", format!("{base}{}", env.name_suffix(SUFFIX)));
}

/// `generation` of a new object.
pub(super) fn first_generation(resource: &Resource, object: &mut Value) {
    match resource.rules.generation {
        // What nobody counts stays as it came.
        Generation::None => {}
        _ => meta::set(object, "generation", 1),
    }
}

/// `generation` of a changed object: one more when what the kind counts has changed.
pub(super) fn next_generation(resource: &Resource, object: &mut Value, old: &Value, settled: &Settled) {
    let has_new_spec = || !settled.has("spec") && object.get("spec") != old.get("spec");
    let changed = match resource.rules.generation {
        Generation::None => false,
        Generation::Spec => has_new_spec(),
        Generation::SpecAndAnnotations => {
            has_new_spec() || object["metadata"].get("annotations") != old["metadata"].get("annotations")
        }
        Generation::LabelsAndAll => {
            object["metadata"].get("labels") != old["metadata"].get("labels")
                || !counted(object, false).eq(counted(old, false))
        }
        Generation::AllButStatus => {
            let has_status = resource.subresource("status").is_some();
            !counted(object, has_status).eq(counted(old, has_status))
        }
    };
    keep_generation(object, old);
    if changed {
        meta::set(object, "generation", meta::generation(old) + 1);
    }
}

/// The fields that [`Generation::AllButStatus`] counts. Without a subresource, `status` is a field like any other.
fn counted(object: &Value, has_status: bool) -> impl Iterator<Item = (&String, &Value)> {
    const SYSTEM: &[&str] = &["apiVersion", "kind", "metadata", "status"];
    without(object, if has_status { SYSTEM } else { &SYSTEM[..3] })
}

/// `generation` as it was.
pub(super) fn keep_generation(object: &mut Value, old: &Value) {
    carry(object, old, "generation");
}

/// What an update never changes (k8s.io/apiserver/pkg/registry/rest/update.go: BeforeUpdate).
pub(super) fn preserve(object: &mut Value, old: &Value) {
    if meta::uid(object).is_empty() {
        carry(object, old, "uid");
    }
    carry(object, old, "creationTimestamp");
    // What is not going cannot be sent away like this: validation refuses it.
    if meta::is_deleting(old) {
        carry(object, old, "deletionTimestamp");
    }
    if object["metadata"]["deletionGracePeriodSeconds"].is_null() {
        carry(object, old, "deletionGracePeriodSeconds");
    }
    meta::unset(object, "selfLink");
}

/// Takes one field of `metadata` from the old object, absence included.
fn carry(object: &mut Value, old: &Value, field: &str) {
    match old.get("metadata").and_then(|m| m.get(field)) {
        Some(value) => meta::set(object, field, value.clone()),
        None => meta::unset(object, field),
    }
}

/// Takes fields of metadata from the old object: dotted paths, or `metadata` for all that clients write in it
/// (k8s.io/apimachinery/pkg/apis/meta/v1: ResetObjectMetaForStatus).
pub(super) fn carry_all(object: &mut Value, old: &Value, paths: &[&str]) {
    for path in paths {
        match path.strip_prefix("metadata.") {
            Some(field) => carry(object, old, field),
            None => {
                for field in ["annotations", "finalizers", "labels", "ownerReferences"] {
                    carry(object, old, field);
                }
            }
        }
    }
}

/// Takes one top-level field from the old object, absence included.
pub(super) fn carry_field(object: &mut Value, old: &Value, field: &str) {
    let Some(object) = object.as_object_mut() else { return };
    match old.get(field) {
        Some(value) if object.get(field) == Some(value) => None,
        Some(value) => object.insert(field.to_owned(), value.clone()),
        None => object.remove(field),
    };
}

/// The fields of a map but these.
fn without<'v>(
    map: &'v Value,
    skipped: &'static [&'static str],
) -> impl Iterator<Item = (&'v String, &'v Value)> {
    map.as_object().into_iter().flatten().filter(move |(key, _)| !skipped.contains(&key.as_str()))
}
