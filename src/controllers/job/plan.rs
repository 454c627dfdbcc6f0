//! What should happen to a job: its status, pods to create and delete, and when to look again. Pure.

use super::tracking::Counted;
use super::{BURST_PODS, indexes};
use crate::events::Kind;
use crate::pods;
use crate::runtime::Next;
use alcove_object::{Value, meta, time};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// Delay before a pod that takes a failed one's place; doubles with each failure.
const BACKOFF_MIN: Duration = Duration::from_secs(10);
/// The longest such delay.
const BACKOFF_MAX: Duration = Duration::from_secs(600);

/// What should happen.
#[derive(Debug)]
pub struct Plan {
    /// The job's status.
    pub status: Value,
    /// Pods to create, [`BURST_PODS`] at most, each with its completion index if the job has them.
    pub create: Vec<Option<u32>>,
    /// UIDs of pods to delete.
    pub delete: BTreeSet<String>,
    /// What to tell people.
    pub tell: Option<(Kind, String, String)>,
    /// When to look again.
    pub next: Next,
}

/// The condition that says that a job has ended, if it has.
pub fn end_of(job: &Value) -> Option<&Value> {
    ["Complete", "Failed"].iter().find_map(|kind| holding(job, kind))
}

fn holding<'a>(job: &'a Value, kind: &str) -> Option<&'a Value> {
    pods::condition(job, kind).filter(|c| c["status"] == "True")
}

/// How a job ends.
struct End {
    /// `SuccessCriteriaMet` or `FailureTarget`, set at once.
    interim: &'static str,
    /// `Complete` or `Failed`, set when all pods have ended.
    last: &'static str,
    reason: String,
    message: String,
}

fn end(job: &Value, counted: &Counted, active: usize, now: Timestamp) -> Option<End> {
    let failure = |reason: &str, message: &str| {
        Some(End { interim: "FailureTarget", last: "Failed", reason: reason.into(), message: message.into() })
    };
    if let Some(known) = holding(job, "FailureTarget") {
        let text = |field: &str| known[field].as_str().unwrap_or_default();
        return failure(text("reason"), text("message"));
    }
    if is_successful(job, counted, active) {
        return Some(End {
            interim: "SuccessCriteriaMet",
            last: "Complete",
            reason: "CompletionsReached".into(),
            message: "Reached expected number of succeeded pods".into(),
        });
    }
    if counted.all_failed() > job.pointer("/spec/backoffLimit").and_then(Value::as_i64).unwrap_or(6) {
        return failure("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    if deadline_left(job, now).is_some_and(|left| left.is_zero()) {
        return failure("DeadlineExceeded", "Job was active longer than specified deadline");
    }
    None
}

fn is_successful(job: &Value, counted: &Counted, active: usize) -> bool {
    match job.pointer("/spec/completions").and_then(Value::as_i64) {
        Some(completions) => counted.all_succeeded() >= completions,
        // A work queue is done when one pod succeeded and the others ended.
        None => counted.all_succeeded() > 0 && active == 0,
    }
}

fn deadline_left(job: &Value, now: Timestamp) -> Option<Duration> {
    let deadline = Duration::from_secs(job.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_u64)?);
    let started = job.pointer("/status/startTime").and_then(Value::as_str).and_then(time::parse)?;
    Some(deadline.saturating_sub(now.duration_since(started).unsigned_abs()))
}

/// How long to wait after the last failure before a new pod may come.
fn backoff_left(pods: &[Value], counted: &Counted, now: Timestamp) -> Duration {
    let failures = counted.all_failed();
    let last = pods.iter().filter(|p| pods::phase(p) == "Failed").filter_map(ended_at).max();
    let (Some(last), true) = (last, failures > 0) else { return Duration::ZERO };
    let delay = BACKOFF_MIN.saturating_mul(1 << (failures - 1).clamp(0, 10)).min(BACKOFF_MAX);
    delay.saturating_sub(now.duration_since(last).unsigned_abs())
}

fn ended_at(pod: &Value) -> Option<Timestamp> {
    let states = pod.pointer("/status/containerStatuses").and_then(Value::as_array)?;
    let times = states.iter().filter_map(|c| c.pointer("/state/terminated/finishedAt")?.as_str());
    times.filter_map(time::parse).max()
}

/// What should happen to a job with these pods.
pub fn of(job: &Value, pods: &[Value], counted: &Counted, now: Timestamp) -> Plan {
    let active: Vec<&Value> = pods.iter().filter(|p| pods::is_active(p)).collect();
    let terminating = pods.iter().filter(|p| meta::is_deleting(p) && !pods::is_finished(p)).count();
    let is_suspended = job.pointer("/spec/suspend") == Some(&Value::Bool(true));
    let mut plan = Plan {
        status: job.get("status").cloned().unwrap_or_else(|| json!({})),
        create: Vec::new(),
        delete: BTreeSet::new(),
        tell: None,
        next: Next::Done,
    };
    let end = end(job, counted, active.len(), now);
    if end.is_some() || is_suspended {
        plan.delete = active.iter().map(|p| meta::uid(p).to_owned()).collect();
    } else {
        let wait = backoff_left(pods, counted, now);
        let (create, surplus) = balance(job, &active, counted);
        plan.delete = surplus;
        match wait.is_zero() {
            true => plan.create = create,
            false if !create.is_empty() => plan.next = Next::After(wait),
            false => {}
        }
        if let (Next::Done, Some(left)) = (plan.next, deadline_left(job, now)) {
            plan.next = Next::After(left);
        }
    }
    report_counts(&mut plan.status, counted, &active, terminating);
    report_suspension(&mut plan, job, is_suspended, now);
    if let Some(end) = end {
        let is_over = active.is_empty() && terminating == 0 && counted.release.is_empty();
        report_end(&mut plan, &end, is_over, now);
    }
    plan
}

/// Pods to create and surplus pods to delete.
fn balance(job: &Value, active: &[&Value], counted: &Counted) -> (Vec<Option<u32>>, BTreeSet<String>) {
    let parallelism = job.pointer("/spec/parallelism").and_then(Value::as_u64).unwrap_or(1) as usize;
    let completions = job.pointer("/spec/completions").and_then(Value::as_u64);
    if job.pointer("/spec/completionMode").and_then(Value::as_str) == Some("Indexed") {
        return balance_indexes(
            active,
            counted,
            parallelism,
            u32::try_from(completions.unwrap_or(0)).unwrap_or(u32::MAX),
        );
    }
    let wanted = match completions {
        Some(completions) => {
            (completions as i64 - counted.all_succeeded()).max(0).min(parallelism as i64) as usize
        }
        // A work queue takes no new pods once one succeeded.
        None if counted.all_succeeded() > 0 => active.len(),
        None => parallelism,
    };
    let missing = wanted.saturating_sub(active.len()).min(BURST_PODS);
    (vec![None; missing], surplus(active, active.len().saturating_sub(wanted)))
}

fn balance_indexes(
    active: &[&Value],
    counted: &Counted,
    parallelism: usize,
    completions: u32,
) -> (Vec<Option<u32>>, BTreeSet<String>) {
    let running: BTreeSet<u32> = active.iter().filter_map(|p| indexes::of(p)).collect();
    let open = (0..completions).filter(|i| !counted.completed.contains(i) && !running.contains(i));
    let missing = parallelism.saturating_sub(active.len()).min(BURST_PODS);
    (open.take(missing).map(Some).collect(), surplus(active, active.len().saturating_sub(parallelism)))
}

fn surplus(active: &[&Value], count: usize) -> BTreeSet<String> {
    let mut pods: Vec<Value> = active.iter().map(|p| (*p).clone()).collect();
    pods::sort_for_deletion(&mut pods);
    pods.iter().take(count).map(|p| meta::uid(p).to_owned()).collect()
}

fn report_counts(status: &mut Value, counted: &Counted, active: &[&Value], terminating: usize) {
    let ready = active.iter().filter(|p| pods::is_ready(p)).count();
    let counts =
        [("active", active.len() as i64), ("succeeded", counted.succeeded), ("failed", counted.failed)];
    for (field, count) in counts {
        match (count, status.as_object_mut()) {
            (0, Some(status)) => drop(status.remove(field)),
            (count, _) => status[field] = count.into(),
        }
    }
    status["ready"] = ready.into();
    status["terminating"] = terminating.into();
    if !counted.completed.is_empty() {
        status["completedIndexes"] = indexes::format(&counted.completed).into();
    }
    let mut uncounted = json!({});
    for (field, uids) in [("succeeded", &counted.uncounted_succeeded), ("failed", &counted.uncounted_failed)]
    {
        if !uids.is_empty() {
            uncounted[field] = uids.iter().cloned().collect();
        }
    }
    status["uncountedTerminatedPods"] = uncounted;
}

fn report_suspension(plan: &mut Plan, job: &Value, is_suspended: bool, now: Timestamp) {
    let known = pods::condition(job, "Suspended").map(|c| c["status"] == "True");
    if is_suspended {
        if let Some(status) = plan.status.as_object_mut() {
            status.remove("startTime");
        }
        if known != Some(true) {
            set_condition(&mut plan.status, "Suspended", true, "JobSuspended", "Job suspended", now);
            plan.tell = Some((Kind::Normal, "Suspended".into(), "Job suspended".into()));
        }
        return;
    }
    if known == Some(true) {
        set_condition(&mut plan.status, "Suspended", false, "JobResumed", "Job resumed", now);
        plan.tell = Some((Kind::Normal, "Resumed".into(), "Job resumed".into()));
    }
    if plan.status.get("startTime").is_none() {
        plan.status["startTime"] = time::format(now).into();
    }
}

fn report_end(plan: &mut Plan, end: &End, is_over: bool, now: Timestamp) {
    set_condition(&mut plan.status, end.interim, true, &end.reason, &end.message, now);
    if !is_over {
        return;
    }
    set_condition(&mut plan.status, end.last, true, &end.reason, &end.message, now);
    if end.last == "Complete" {
        plan.status["completionTime"] = time::format(now).into();
        plan.tell = Some((Kind::Normal, "Completed".into(), "Job completed".into()));
    } else {
        plan.tell = Some((Kind::Warning, end.reason.clone(), end.message.clone()));
    }
}

fn set_condition(status: &mut Value, kind: &str, holds: bool, reason: &str, message: &str, now: Timestamp) {
    let holds = if holds { "True" } else { "False" };
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(conditions) = status["conditions"].as_array_mut() else { return };
    if conditions.iter().any(|c| c["type"] == kind && c["status"] == holds) {
        return;
    }
    conditions.retain(|c| c["type"] != kind);
    let now = time::format(now);
    conditions.push(json!({ "type": kind, "status": holds, "reason": reason, "message": message,
                            "lastProbeTime": now, "lastTransitionTime": now }));
}

#[cfg(test)]
mod tests {
    use super::super::tracking;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + seconds).unwrap()
    }

    fn job(spec: Value) -> Value {
        json!({ "metadata": { "name": "j" }, "spec": spec, "status": {} })
    }

    fn pod(uid: &str, phase: &str) -> Value {
        json!({ "metadata": { "uid": uid, "finalizers": [super::super::TRACKING] }, "status": { "phase": phase } })
    }

    fn plan(job: &Value, pods: &[Value], seconds: i64) -> Plan {
        of(job, pods, &tracking::count(job, pods), at(seconds))
    }

    #[test]
    fn a_job_starts_its_pods_and_completes() {
        let mut job = job(json!({ "parallelism": 2, "completions": 3, "backoffLimit": 6 }));
        let first = plan(&job, &[], 0);
        assert_eq!(first.create.len(), 2);
        job["status"] = first.status;
        let pods = [pod("a", "Succeeded"), pod("b", "Running")];
        let second = plan(&job, &pods, 1);
        assert_eq!(second.create.len(), 1, "two of three are missing, one of them runs");
        job["status"] = json!({ "succeeded": 3, "startTime": time::format(at(0)) });
        let last = plan(&job, &[], 9);
        assert!(end_of(&json!({ "status": last.status })).is_some_and(|c| c["type"] == "Complete"));
        assert_eq!(last.status["completionTime"], time::format(at(9)));
        assert!(last.create.is_empty());
    }

    #[test]
    fn failures_beyond_the_limit_fail_the_job_after_its_pods_ended() {
        let mut job = job(json!({ "parallelism": 1, "completions": 1, "backoffLimit": 0 }));
        let pods = [pod("a", "Failed"), pod("b", "Running")];
        let first = plan(&job, &pods, 0);
        assert_eq!(first.delete, BTreeSet::from(["b".to_owned()]));
        assert!(end_of(&json!({ "status": first.status })).is_none(), "b still runs");
        job["status"] = first.status;
        let last = plan(&job, &[], 1);
        let status = json!({ "status": last.status });
        assert_eq!(end_of(&status).unwrap()["reason"], "BackoffLimitExceeded");
    }

    #[test]
    fn a_failed_pod_is_replaced_after_a_delay() {
        let job = job(json!({ "parallelism": 1, "completions": 1, "backoffLimit": 6 }));
        let mut failed = pod("a", "Failed");
        failed["status"]["containerStatuses"] =
            json!([{ "state": { "terminated": { "finishedAt": time::format(at(0)) } } }]);
        let early = plan(&job, std::slice::from_ref(&failed), 4);
        assert!(early.create.is_empty());
        assert_eq!(early.next, Next::After(Duration::from_secs(6)));
        assert_eq!(plan(&job, &[failed], 10).create.len(), 1);
    }

    #[test]
    fn an_indexed_job_fills_the_open_indexes() {
        let mut job = job(json!({ "parallelism": 3, "completions": 5, "completionMode": "Indexed" }));
        job["status"] = json!({ "completedIndexes": "0,2", "succeeded": 2 });
        let mut running = pod("r", "Running");
        indexes::mark(&mut running, "j", 1);
        assert_eq!(plan(&job, &[running], 0).create, vec![Some(3), Some(4)]);
    }

    #[test]
    fn a_suspended_job_stops_its_pods() {
        let job = job(json!({ "parallelism": 1, "completions": 1, "suspend": true }));
        let plan = plan(&job, &[pod("a", "Running")], 0);
        assert_eq!(plan.delete.len(), 1);
        assert!(plan.status.get("startTime").is_none());
    }

    #[test]
    fn a_job_of_any_size_is_planned_in_pieces() {
        for spec in [
            json!({ "parallelism": i32::MAX }),
            json!({ "parallelism": i32::MAX, "completions": i32::MAX, "completionMode": "Indexed" }),
        ] {
            assert_eq!(plan(&job(spec), &[], 0).create.len(), BURST_PODS);
        }
    }
}
