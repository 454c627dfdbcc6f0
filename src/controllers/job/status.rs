//! The status of a job: counts of its pods, and conditions in the order in which upstream sets them. Pure.

use super::plan::{End, Pods};
use super::tracking::{Counted, Outcome, Release};
use super::{holding, is_indexed, number};
use crate::events::Kind;
use alcove_object::gather::Gather;
use alcove_object::{Value, time};
use jiff::Timestamp;
use serde_json::{Map, json};
use std::collections::BTreeSet;

/// A job's status, with the counts as they are.
pub fn of(job: &Value, counted: &Counted<'_>, release: &Release, left: Pods) -> Value {
    let mut status = job.get("status").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut set = |field: &str, value: Option<Value>| match value {
        Some(value) => drop(status.insert(field.to_owned(), value)),
        None => drop(status.remove(field)),
    };
    let unless_zero = |count: i64| (count != 0).then(|| count.into());
    set("active", unless_zero(left.active as i64));
    set("succeeded", unless_zero(counted.succeeded));
    set("failed", unless_zero(counted.failed));
    set("ready", Some(left.ready.into()));
    set("terminating", Some(left.terminating.into()));
    if is_indexed(job) {
        let completed = counted.succeeded_indexes.to_string();
        set("completedIndexes", (!completed.is_empty()).then(|| completed.into()));
        set("failedIndexes", counted.failed_indexes.as_ref().map(|failed| failed.to_string().into()));
    }
    let list = |uids: &BTreeSet<String>| uids.iter().cloned().collect::<Value>();
    let uncounted = [("succeeded", &release.succeeded), ("failed", &release.failed)];
    let uncounted = uncounted.into_iter().filter(|(_, uids)| !uids.is_empty());
    let uncounted: Map<String, Value> =
        uncounted.map(|(field, uids)| (field.to_owned(), list(uids))).gather();
    set("uncountedTerminatedPods", Some(uncounted.into()));
    status.into()
}

/// A job starts when its pods may.
pub fn note_start(status: &mut Value, is_suspended: bool, now: Timestamp) {
    if !is_suspended && status["startTime"].is_null() {
        status["startTime"] = time::format(now).into();
    }
}

/// Says that a job stopped for a while, or goes on; gives what to tell if that is new. The time that it takes counts
/// anew.
pub fn note_suspension(
    status: &mut Value,
    is_suspended: bool,
    now: Timestamp,
) -> Option<(Kind, String, String)> {
    let (reason, message) =
        if is_suspended { ("JobSuspended", "Job suspended") } else { ("JobResumed", "Job resumed") };
    if !set_condition(status, "Suspended", is_suspended, reason, message, now) {
        return None;
    }
    match status.as_object_mut() {
        Some(status) if is_suspended => drop(status.remove("startTime")),
        _ => status["startTime"] = time::format(now).into(),
    }
    Some((Kind::Normal, reason.trim_start_matches("Job").to_owned(), message.to_owned()))
}

/// Says how a job ends, and that it has ended once `is_over` and what it ends with has been announced; gives what to
/// tell of it then.
pub fn note_end(
    job: &Value,
    status: &mut Value,
    end: &End,
    is_over: bool,
    now: Timestamp,
) -> Vec<(Kind, String, String)> {
    let (interim, last) = match end.outcome {
        Outcome::Failure => ("FailureTarget", "Failed"),
        _ => ("SuccessCriteriaMet", "Complete"),
    };
    if holding(job, interim).is_none() {
        set_condition(status, interim, true, &end.reason, &end.message, now);
        return Vec::new();
    }
    if !is_over {
        return Vec::new();
    }
    set_condition(status, last, true, &end.reason, &end.message, now);
    if end.outcome == Outcome::Failure {
        return vec![(Kind::Warning, end.reason.clone(), end.message.clone())];
    }
    status["completionTime"] = time::format(now).into();
    let wanted = number(job, "/spec/completions");
    let has_too_many = wanted.is_some_and(|wanted| status["succeeded"].as_i64().unwrap_or(0) > wanted);
    let tell = |kind, reason: &str, message: &str| (kind, reason.to_owned(), message.to_owned());
    let surplus = has_too_many.then(|| {
        let message = "Too many succeeded pods running after completion count reached";
        tell(Kind::Warning, "TooManySucceededPods", message)
    });
    surplus.into_iter().chain([tell(Kind::Normal, "Completed", "Job completed")]).collect()
}

/// Sets a condition; gives whether it changed. One that is not there is not set to `False`.
fn set_condition(
    status: &mut Value,
    kind: &str,
    holds: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> bool {
    let now = time::format(now);
    let condition = json!({ "type": kind, "status": if holds { "True" } else { "False" }, "reason": reason,
        "message": message, "lastProbeTime": now, "lastTransitionTime": now });
    if !status["conditions"].is_array() && holds {
        status["conditions"] = json!([]);
    }
    let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) else { return false };
    match conditions.iter_mut().find(|c| c["type"] == kind) {
        Some(known) if ["status", "reason", "message"].iter().all(|f| known[f] == condition[f]) => false,
        Some(known) => {
            *known = condition;
            true
        }
        None if holds => {
            conditions.push(condition);
            true
        }
        None => false,
    }
}
