//! Conditions: what the status of an object says in a list that has each type once (apimachinery's
//! pkg/api/meta/conditions.go, and the older forms that pods, Jobs and others have).

use crate::Value;
use serde_json::json;

/// The condition of a type in the object's status.
pub fn find<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// Whether the condition of a type holds: its status is `True`.
pub fn is_true(object: &Value, kind: &str) -> bool {
    find(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// What a condition's `status` says of what holds or does not.
pub fn status(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}

/// Puts a condition into the list `conditions`, which is made where there is none: in place of the one of its type, whose
/// `lastTransitionTime` stays if its `status` does, or at the end.
pub fn set(conditions: &mut Value, mut condition: Value) {
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Value::Array(list) = conditions else { return };
    match list.iter_mut().find(|known| known["type"] == condition["type"]) {
        Some(known) => {
            if known["status"] == condition["status"] && known["lastTransitionTime"].is_string() {
                condition["lastTransitionTime"] = known["lastTransitionTime"].take();
            }
            *known = condition;
        }
        None => list.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(kind: &str, status: &str, reason: &str, at: &str) -> Value {
        json!({ "type": kind, "status": status, "reason": reason, "lastTransitionTime": at })
    }

    #[test]
    fn each_type_is_there_once_and_times_move_with_statuses() {
        let mut object = json!({ "status": {} });
        assert!(!is_true(&object, "Ready"));
        for (next, since) in [
            (condition("Ready", "False", "New", "1"), "1"),
            (condition("Ready", "False", "Old", "2"), "1"),
            (condition("Other", "True", "Old", "3"), "3"),
            (condition("Ready", "True", "Old", "4"), "4"),
        ] {
            set(&mut object["status"]["conditions"], next.clone());
            let kind = next["type"].as_str().unwrap();
            let found = find(&object, kind).unwrap();
            assert_eq!((&found["reason"], &found["lastTransitionTime"]), (&next["reason"], &json!(since)));
        }
        assert!(is_true(&object, "Ready"));
        let types: Vec<_> =
            object["status"]["conditions"].as_array().unwrap().iter().map(|c| &c["type"]).collect();
        assert_eq!(types, ["Ready", "Other"]);
    }
}
