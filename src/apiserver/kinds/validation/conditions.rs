//! Conditions of the common form (k8s.io/apimachinery/pkg/apis/meta/v1/validation: ValidateConditions).

use super::items;
use crate::kinds::tree::{int, some, text};
use alcove_object::Value;
use alcove_object::field::{Error, Path};
use alcove_object::validate::validate_label_name;
use std::collections::BTreeSet;

const REASON_BYTES_MAX: usize = 1024;
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// The conditions of a status, each type once.
pub(super) fn conditions(status: &Value, path: &Path) -> Vec<Error> {
    let mut seen = BTreeSet::new();
    let mut errors = Vec::new();
    for (at, condition) in items(status, "conditions", path) {
        let kind = text(condition, "/type");
        if !seen.insert(kind) {
            errors.push(Error::duplicate(&at.child("type"), kind));
        }
        errors.extend(one(condition, &at));
    }
    errors
}

fn one(condition: &Value, path: &Path) -> Vec<Error> {
    const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
    let mut errors = validate_label_name(text(condition, "/type"), &path.child("type"));
    let status = text(condition, "/status");
    if !STATUSES.contains(&status) {
        errors.push(Error::not_supported(&path.child("status"), status, &STATUSES));
    }
    let observed = int(condition, "/observedGeneration");
    if observed < 0 {
        let why = "must be greater than or equal to zero";
        errors.push(Error::invalid(&path.child("observedGeneration"), observed, why));
    }
    if some(condition, "/lastTransitionTime").is_none() {
        errors.push(Error::required(&path.child("lastTransitionTime"), ""));
    }
    let (reason, at) = (text(condition, "/reason"), path.child("reason"));
    if reason.is_empty() {
        errors.push(Error::required(&at, ""));
    } else if !is_reason(reason) {
        let why = "a condition reason must start with alphabetic character, optionally followed by a string of \
                   alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. \
                   'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used \
                   for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
        errors.push(Error::invalid(&at, reason, why));
    }
    if reason.len() > REASON_BYTES_MAX {
        errors.push(Error::too_long(&at, REASON_BYTES_MAX));
    }
    if text(condition, "/message").len() > MESSAGE_BYTES_MAX {
        errors.push(Error::too_long(&path.child("message"), MESSAGE_BYTES_MAX));
    }
    errors
}

fn is_reason(reason: &str) -> bool {
    let bytes = reason.as_bytes();
    let is_inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b',' | b':');
    let is_last = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(is_last)
        && bytes.iter().all(is_inner)
}
