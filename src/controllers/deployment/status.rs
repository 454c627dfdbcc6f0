//! What a deployment reports: counts, and the conditions `Available` and `Progressing` that `kubectl rollout status`
//! waits for (pkg/controller/deployment/{sync,progress}.go).

use super::{Rollout, replicas, reported, rollout};
use crate::runtime::Next;
use alcove_object::{Value, condition, meta, time};
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

/// The status of a rollout as it is now, and when its deadline is due.
pub(super) fn of(rollout: &Rollout, now: Timestamp) -> (Value, Next) {
    let mut status = counts(rollout);
    let available = available_condition(rollout);
    let (progressing, next) = progressing_condition(rollout, &status, now);
    let failure = rollout.new.iter().find_map(|set| condition::find(set, "ReplicaFailure")).cloned();
    let conditions = [Some(available), progressing, failure];
    let conditions = conditions.into_iter().flatten();
    let conditions = conditions.map(|condition| stamped(&rollout.deployment, condition, now)).collect();
    status["conditions"] = in_order(&rollout.deployment, conditions).into();
    (status, next)
}

/// Conditions in the order in which they came about: what says the same as before keeps its place, what does not comes
/// last (SetDeploymentCondition). Upstream begins with the new replica set, or with
/// the pause.
fn in_order(deployment: &Value, mut conditions: Vec<Value>) -> Vec<Value> {
    let before =
        deployment.pointer("/status/conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_first = before.is_empty();
    let place = |condition: &Value| match before.iter().position(|known| known["type"] == condition["type"]) {
        Some(at)
            if ["status", "reason", "lastUpdateTime"].iter().all(|f| before[at][*f] == condition[*f]) =>
        {
            at
        }
        _ if is_first
            && (condition["reason"] == "NewReplicaSetCreated"
                || condition["reason"] == "DeploymentPaused") =>
        {
            0
        }
        _ => usize::MAX,
    };
    conditions.sort_by_key(place);
    conditions
}

fn counts(rollout: &Rollout) -> Value {
    let total = |field: &str| rollout.sets().map(|set| reported(set, field)).sum::<i64>();
    let (all, available) = (total("replicas"), total("availableReplicas"));
    let fields = [
        ("replicas", all),
        ("updatedReplicas", rollout.new.as_ref().map_or(0, |set| reported(set, "replicas"))),
        ("readyReplicas", total("readyReplicas")),
        ("availableReplicas", available),
        ("unavailableReplicas", (rollout.sets().map(replicas).sum::<i64>() - available).max(0)),
        ("collisionCount", reported(&rollout.deployment, "collisionCount")),
    ];
    let mut status = json!({ "observedGeneration": meta::generation(&rollout.deployment) });
    for (field, count) in fields.into_iter().filter(|(_, count)| *count > 0) {
        status[field] = count.into();
    }
    if let Some(terminating) = terminating(rollout) {
        status["terminatingReplicas"] = terminating.into();
    }
    status
}

/// Pods that are going, of all sets; unknown as long as one that was counted does not say it.
fn terminating(rollout: &Rollout) -> Option<i64> {
    let counted = rollout.sets().filter(|set| {
        reported(set, "observedGeneration") > 0 || set.pointer("/status/terminatingReplicas").is_some()
    });
    counted.map(|set| set.pointer("/status/terminatingReplicas").and_then(Value::as_i64)).sum()
}

fn available_condition(rollout: &Rollout) -> Value {
    let available: i64 = rollout.sets().map(|set| reported(set, "availableReplicas")).sum();
    let wanted = replicas(&rollout.deployment) - rollout::max_unavailable(&rollout.deployment);
    if available >= wanted {
        json!({ "type": "Available", "status": "True", "reason": "MinimumReplicasAvailable",
                "message": "Deployment has minimum availability." })
    } else {
        json!({ "type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable",
                "message": "Deployment does not have minimum availability." })
    }
}

/// `Progressing`, and the time of the deadline while it runs.
fn progressing_condition(rollout: &Rollout, status: &Value, now: Timestamp) -> (Option<Value>, Next) {
    let deployment = &rollout.deployment;
    let known = condition::find(deployment, "Progressing");
    let Some(deadline) = deployment.pointer("/spec/progressDeadlineSeconds").and_then(Value::as_u64) else {
        return (None, Next::Done);
    };
    if deployment.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        let paused = json!({ "type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused",
                             "message": "Deployment is paused" });
        return (Some(paused), Next::Done);
    }
    let Some(new) = &rollout.new else { return (known.cloned(), Next::Done) };
    let set = meta::name(new);
    let condition = |reason: &str, holds: &str, message: String| {
        Some(json!({ "type": "Progressing", "status": holds, "reason": reason, "message": message }))
    };
    if rollout::is_complete(rollout) && meta::generation(new) <= reported(new, "observedGeneration") {
        let message = format!("ReplicaSet \"{set}\" has successfully progressed.");
        return (condition("NewReplicaSetAvailable", "True", message), Next::Done);
    }
    // What was complete stays so while it is scaled.
    let is_whole = status.get("replicas") == status.get("updatedReplicas");
    if let Some(known) = known.filter(|known| is_whole && known["reason"] == "NewReplicaSetAvailable") {
        return (Some(known.clone()), Next::Done);
    }
    let Some(known) = known else {
        let message = format!("Created new replica set \"{set}\"");
        return (
            condition("NewReplicaSetCreated", "True", message),
            Next::After(Duration::from_secs(deadline)),
        );
    };
    if has_progressed(deployment, status) || known["reason"] == "DeploymentPaused" {
        let mut moved = json!({ "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
                                "message": format!("ReplicaSet \"{set}\" is progressing.") });
        moved["lastUpdateTime"] = time::format(now).into();
        return (Some(moved), Next::After(Duration::from_secs(deadline)));
    }
    let since = known["lastUpdateTime"].as_str().and_then(time::parse).unwrap_or(now);
    let passed = now.duration_since(since).unsigned_abs();
    let is_over = passed >= Duration::from_secs(deadline) && known["reason"] != "NewReplicaSetAvailable";
    if is_over {
        let message = format!("ReplicaSet \"{set}\" has timed out progressing.");
        return (condition("ProgressDeadlineExceeded", "False", message), Next::Done);
    }
    (
        Some(known.clone()),
        Next::After(Duration::from_secs(deadline).saturating_sub(passed).max(Duration::from_secs(1))),
    )
}

/// Whether anything moved since the last report: more updated, ready or available replicas, or fewer old ones.
fn has_progressed(deployment: &Value, status: &Value) -> bool {
    let new = |field: &str| status[field].as_i64().unwrap_or(0);
    let old = |field: &str| reported(deployment, field);
    new("updatedReplicas") > old("updatedReplicas")
        || new("replicas") - new("updatedReplicas") < old("replicas") - old("updatedReplicas")
        || new("readyReplicas") > old("readyReplicas")
        || new("availableReplicas") > old("availableReplicas")
        || meta::generation(deployment) > old("observedGeneration")
}

/// Times as upstream keeps them: the transition when the status flips, the update when anything about it changes.
fn stamped(deployment: &Value, mut condition: Value, now: Timestamp) -> Value {
    let kind = condition["type"].as_str().unwrap_or_default().to_owned();
    let known = condition::find(deployment, &kind);
    let now = Value::from(time::format(now));
    let flipped = known.is_none_or(|k| k["status"] != condition["status"]);
    let changed = flipped || known.is_some_and(|k| k["reason"] != condition["reason"]);
    let kept = |field: &str| known.map(|k| k[field].clone()).filter(|t| !t.is_null());
    let transition = if flipped { None } else { kept("lastTransitionTime") };
    condition["lastTransitionTime"] = transition.unwrap_or_else(|| now.clone());
    if condition.get("lastUpdateTime").is_none() || changed {
        let update = if changed { None } else { kept("lastUpdateTime") };
        condition["lastUpdateTime"] = update.unwrap_or(now);
    }
    condition
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn rollout(available: i64) -> Rollout {
        let set = json!({ "metadata": { "name": "web-1" }, "spec": { "replicas": 2 },
            "status": { "replicas": 2, "readyReplicas": available, "availableReplicas": available } });
        let deployment = json!({ "metadata": { "name": "web", "generation": 1 },
            "spec": { "replicas": 2, "progressDeadlineSeconds": 600, "strategy": { "type": "RollingUpdate",
                "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } } } });
        Rollout { deployment, new: Some(set), old: Vec::new() }
    }

    fn reason(status: &Value, kind: &str) -> String {
        let conditions = status["conditions"].as_array().unwrap();
        conditions.iter().find(|c| c["type"] == kind).unwrap()["reason"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_rollout_is_created_progresses_and_completes() {
        let mut r = rollout(0);
        let (status, next) = of(&r, at("2026-01-01T00:00:00Z"));
        assert_eq!(reason(&status, "Progressing"), "NewReplicaSetCreated");
        assert_eq!(reason(&status, "Available"), "MinimumReplicasUnavailable");
        assert_eq!(next, Next::After(Duration::from_secs(600)));
        r.deployment["status"] = status;
        r.new = rollout(1).new;
        let (status, _) = of(&r, at("2026-01-01T00:01:00Z"));
        assert_eq!(reason(&status, "Progressing"), "ReplicaSetUpdated");
        r.deployment["status"] = status.clone();
        let (again, _) = of(&r, at("2026-01-01T00:02:00Z"));
        assert_eq!(again, status, "nothing moved, so nothing is written");
        r.new = rollout(2).new;
        let (status, next) = of(&r, at("2026-01-01T00:03:00Z"));
        assert_eq!(reason(&status, "Progressing"), "NewReplicaSetAvailable");
        assert_eq!(reason(&status, "Available"), "MinimumReplicasAvailable");
        assert_eq!(next, Next::Done);
    }

    #[test]
    fn conditions_stand_in_the_order_in_which_they_came_about() {
        let mut r = rollout(0);
        let mut order = |available: i64, at_time: &str| {
            r.new = rollout(available).new;
            let (status, _) = of(&r, at(at_time));
            r.deployment["status"] = status.clone();
            let conditions = status["conditions"].as_array().unwrap();
            conditions.iter().map(|c| c["reason"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let (created, moved) = ("NewReplicaSetCreated", "ReplicaSetUpdated");
        let (short, enough) = ("MinimumReplicasUnavailable", "MinimumReplicasAvailable");
        assert_eq!(order(0, "2026-01-01T00:00:00Z"), [created, short]);
        assert_eq!(order(1, "2026-01-01T00:00:01Z"), [short, moved]);
        assert_eq!(order(2, "2026-01-01T00:00:02Z"), [enough, "NewReplicaSetAvailable"]);
        assert_eq!(order(1, "2026-01-01T00:00:03Z"), ["NewReplicaSetAvailable", short], "it was complete");
    }

    #[test]
    fn a_rollout_that_does_not_move_exceeds_its_deadline() {
        let mut r = rollout(0);
        r.deployment["status"] = of(&r, at("2026-01-01T00:00:00Z")).0;
        let (status, _) = of(&r, at("2026-01-01T00:10:00Z"));
        assert_eq!(reason(&status, "Progressing"), "ProgressDeadlineExceeded");
    }
}
