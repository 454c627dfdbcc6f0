//! Who owns a claim of a StatefulSet, and so with whom it goes: the set, the pod, or nobody, as
//! `persistentVolumeClaimRetentionPolicy` says. Pure.

use crate::pods;
use alcove_object::{Value, meta};

fn deletes(set: &Value, field: &str) -> bool {
    let policy = set.pointer("/spec/persistentVolumeClaimRetentionPolicy");
    policy.and_then(|policy| policy.get(field)).and_then(Value::as_str) == Some("Delete")
}

/// Whether claims go when their pods are scaled away.
pub(super) fn is_scaled_away(set: &Value) -> bool {
    deletes(set, "whenScaled")
}

/// Whether a reference names this object by kind and name, of whatever life.
fn names(reference: &Value, object: &Value) -> bool {
    ["apiVersion", "kind"].iter().all(|field| reference[*field] == object[*field])
        && reference["name"] == meta::name(object)
}

/// Whether a claim belongs to an earlier object of the same name.
pub(super) fn is_stale(claim: &Value, object: &Value) -> bool {
    let references = meta::owner_references(claim);
    references.iter().find(|r| names(r, object)).is_some_and(|r| r["uid"] != meta::uid(object))
}

/// Whether somebody else controls a claim that would be the set's or the pod's.
pub(super) fn is_taken(claim: &Value, set: &Value, pod: &Value) -> bool {
    let is_kept = !deletes(set, "whenScaled") && !deletes(set, "whenDeleted");
    !is_kept
        && meta::owner_references(claim).iter().any(|reference| {
            [set, pod].iter().find(|object| names(reference, object)).map_or_else(
                || reference["controller"] == Value::Bool(true),
                |object| reference["uid"] != meta::uid(object),
            )
        })
}

/// The owners that a claim should have, if it has others. `is_condemned`: the pod is beyond the replicas.
pub(super) fn owners(claim: &Value, set: &Value, pod: &Value, is_condemned: bool) -> Option<Vec<Value>> {
    if is_stale(claim, set) || is_stale(claim, pod) {
        // The garbage collector's business.
        return None;
    }
    let references = meta::owner_references(claim);
    let is_ours = |reference: &Value| names(reference, set) || names(reference, pod);
    let mut wanted: Vec<Value> = references.iter().filter(|r| !is_ours(r)).cloned().collect();
    if !is_taken(claim, set, pod) {
        let (scaled, deleted) = (deletes(set, "whenScaled"), deletes(set, "whenDeleted"));
        if scaled && is_condemned {
            wanted.push(pods::owner_reference(pod));
        } else if deleted {
            wanted.push(pods::owner_reference(set));
        }
    }
    let uids = |references: &[Value]| {
        let mut uids: Vec<String> =
            references.iter().map(|r| format!("{} {}", r["uid"], r["controller"])).collect();
        uids.sort();
        uids
    };
    (uids(&wanted) != uids(references)).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(scaled: &str, deleted: &str) -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "web", "uid": "set" },
            "spec": { "persistentVolumeClaimRetentionPolicy": { "whenScaled": scaled, "whenDeleted": deleted } } })
    }

    fn pod() -> Value {
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web-1", "uid": "pod" } })
    }

    fn claim(owners: &[Value]) -> Value {
        json!({ "metadata": { "name": "data-web-1", "ownerReferences": owners } })
    }

    #[test]
    fn a_claim_goes_with_whom_the_policy_says() {
        let other = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x" });
        for (scaled, deleted, is_condemned, expected) in [
            ("Retain", "Retain", false, &["x"][..]),
            ("Retain", "Retain", true, &["x"]),
            ("Retain", "Delete", false, &["x", "set"]),
            ("Retain", "Delete", true, &["x", "set"]),
            ("Delete", "Retain", false, &["x"]),
            ("Delete", "Retain", true, &["x", "pod"]),
            ("Delete", "Delete", false, &["x", "set"]),
            ("Delete", "Delete", true, &["x", "pod"]),
        ] {
            let set = set(scaled, deleted);
            for before in [vec![], vec![pods::owner_reference(&set)], vec![pods::owner_reference(&pod())]] {
                let before = [vec![other.clone()], before].concat();
                let after = owners(&claim(&before), &set, &pod(), is_condemned).unwrap_or(before);
                let uids: Vec<&str> = after.iter().filter_map(|r| r["uid"].as_str()).collect();
                assert_eq!(uids, expected, "{scaled} {deleted} {is_condemned}");
                assert_eq!(owners(&claim(&after), &set, &pod(), is_condemned), None, "it is right by now");
            }
        }
    }

    #[test]
    fn claims_of_others_and_of_earlier_lives_are_left_alone() {
        let set = set("Delete", "Delete");
        let mut earlier = pods::owner_reference(&pod());
        earlier["uid"] = "old".into();
        assert!(is_stale(&claim(std::slice::from_ref(&earlier)), &pod()));
        assert_eq!(owners(&claim(&[earlier]), &set, &pod(), true), None);
        let other = json!({ "apiVersion": "v1", "kind": "Pod", "name": "y", "uid": "y", "controller": true });
        assert!(is_taken(&claim(std::slice::from_ref(&other)), &set, &pod()));
        assert_eq!(owners(&claim(std::slice::from_ref(&other)), &set, &pod(), false), None);
        let both = claim(&[other.clone(), pods::owner_reference(&set)]);
        assert_eq!(owners(&both, &set, &pod(), false), Some(vec![other]), "two controllers are one too many");
        let mut loose = pods::owner_reference(&set);
        loose["controller"] = false.into();
        assert_eq!(owners(&claim(&[loose]), &set, &pod(), false), Some(vec![pods::owner_reference(&set)]));
    }
}
