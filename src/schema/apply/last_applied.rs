//! The annotation of client-side apply, for objects that move to server-side apply and back
//! (lastappliedmanager.go and lastappliedupdater.go in k8s.io/apimachinery/pkg/util/managedfields/internal).

use super::compare::compare;
use super::error::Conflict;
use super::fields::{decode_text, json_text};
use super::fieldset::{Skip, named_fields};
use super::set::Set;
use super::types::Type;
use super::validate::validate;
use crate::Tree;
use alcove_object::{Value, meta};

/// The field manager of `kubectl apply --server-side`, the only one that the annotation concerns.
pub(super) const KUBECTL: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Bytes of all annotations' keys and values; past it the annotation is dropped (upstream: TotalAnnotationSizeLimitB).
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// The conflicts that remain when fields of the last client-side apply that nobody changed since are the applier's.
/// The annotation being missing, unreadable or of another version, all of them do.
pub(super) fn remaining(
    conflicts: Vec<Conflict>,
    live: &Value,
    ty: Type<'_>,
    api_version: &str,
) -> Vec<Conflict> {
    let text = meta::annotation(live, ANNOTATION).unwrap_or_default();
    let Ok(applied) = serde_json::from_str::<Value>(text) else { return conflicts };
    let same_version = applied.get("apiVersion").and_then(Value::as_str) == Some(api_version);
    if !same_version || validate(ty, &applied).is_err() {
        return conflicts;
    }
    let changes = compare(ty, &applied, live, &Set::EMPTY);
    let (named, _) = named_fields(ty, &Tree::from(&applied), Skip::default());
    let Ok(named) = decode_text(&named) else { return conflicts };
    let allowed = named.difference(&changes.modified).difference(&changes.added).difference(&changes.removed);
    let mut texts = std::collections::HashSet::new();
    allowed.each(&mut |path| {
        texts.insert(path.iter().map(|e| e.to_string()).collect::<String>());
    });
    conflicts.into_iter().filter(|c| !texts.contains(&c.field)).collect()
}

/// Brings the annotation up to date with what was applied, if the object has it.
pub(super) fn refresh(object: &mut Value, patch: &Tree<'_>) {
    if meta::annotation(object, ANNOTATION).is_none_or(str::is_empty) {
        return;
    }
    let mut applied = patch.to_value();
    if let Some(Value::Object(annotations)) = applied.pointer_mut("/metadata/annotations") {
        annotations.remove(ANNOTATION);
    }
    let text = json_text(&applied) + "\n";
    let annotations = meta::child_mut(meta::metadata_mut(object), "annotations");
    annotations.insert(ANNOTATION.to_owned(), Value::String(text));
    let bytes = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    if annotations.iter().map(bytes).sum::<usize>() > ANNOTATIONS_BYTES_MAX {
        annotations.remove(ANNOTATION);
    }
}
