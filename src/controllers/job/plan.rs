//! What should happen to a job: its status, pods to create and delete, and when to look again
//! (k8s.io/kubernetes/pkg/controller/job/job_controller.go, syncJob and manageJob). Pure.

use super::backoff::{self, Record, left_of};
use super::indexes::{self, Failures, Indexes};
use super::policy::{self, Verdict};
use super::status;
use super::tracking::{self, Counted, Outcome};
use super::{BURST_PODS, completions, holding, is_indexed, number, replaces_only_failed};
use crate::events::Kind;
use crate::pods;
use alcove_object::{Value, meta, time};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A pod to create.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewPod {
    /// Its completion index, if the job has them.
    pub index: Option<u32>,
    /// How often pods of its index failed, if that has a limit.
    pub failures: Option<Failures>,
}

/// What should happen, in this order.
#[derive(Debug, Default)]
pub struct Plan {
    /// UIDs of pods that nobody needs: they lose their finalizer, so that they are not counted, and are deleted.
    pub drop: BTreeSet<String>,
    /// UIDs of pods to delete, which are counted.
    pub delete: BTreeSet<String>,
    /// The job's status, as it is after these.
    pub status: Value,
    /// UIDs of pods that lose their finalizer, now that the status announces them.
    pub release: BTreeSet<String>,
    /// What to tell people.
    pub tell: Vec<(Kind, String, String)>,
    /// Pods to create, [`BURST_PODS`] at most.
    pub create: Vec<NewPod>,
    /// When to look again.
    pub again: Option<Duration>,
    /// The failures to remember once the status is written.
    pub record: Record,
}

impl Plan {
    fn look_again(&mut self, after: Duration) {
        self.again = Some(self.again.map_or(after, |again| again.min(after)));
    }
}

/// Pods as they are, and as they will be.
#[derive(Clone, Copy, Debug)]
pub struct Pods {
    /// Pods that neither ended nor are being deleted.
    pub active: usize,
    /// Those of them that are ready.
    pub ready: usize,
    /// Pods that are being deleted and did not end yet.
    pub terminating: usize,
}

/// How a job ends.
#[derive(Debug)]
pub struct End {
    /// Success, or failure.
    pub outcome: Outcome,
    /// The condition's reason.
    pub reason: String,
    /// The condition's message.
    pub message: String,
}

impl End {
    fn new(outcome: Outcome, reason: &str, message: &str) -> End {
        End { outcome, reason: reason.to_owned(), message: message.to_owned() }
    }

    /// The end that a condition announced.
    fn of(condition: &Value, outcome: Outcome) -> End {
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        End::new(outcome, text("reason"), text("message"))
    }
}

fn is_suspended(job: &Value) -> bool {
    job.pointer("/spec/suspend") == Some(&Value::Bool(true))
}

/// How the job ends, unless its pods were as many as asked for.
fn end(job: &Value, pods: &[Value], counted: &Counted<'_>, now: Timestamp) -> Option<End> {
    let failure = |reason: &str, message: &str| Some(End::new(Outcome::Failure, reason, message));
    if let Some(known) = holding(job, "SuccessCriteriaMet") {
        return Some(End::of(known, Outcome::Success));
    }
    if let Some(known) = holding(job, "FailureTarget") {
        return Some(End::of(known, Outcome::Failure));
    }
    let fails_job = |pod: &Value| match policy::on_failure(job, pod) {
        Verdict::FailJob(message) => Some(message),
        _ => None,
    };
    if let Some(message) = pods.iter().filter(|p| tracking::has_failed(job, p)).find_map(fails_job) {
        return failure("PodFailurePolicy", &message);
    }
    let limit = number(job, "/spec/backoffLimit").unwrap_or(6);
    if counted.all_failed > limit || has_restarted_too_often(job, pods, limit) {
        return failure("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    if deadline_left(job, now).is_some_and(|left| left.is_zero()) {
        return failure("DeadlineExceeded", "Job was active longer than specified deadline");
    }
    if let Some(failed) = counted.failed_indexes.as_ref().map(Indexes::count) {
        let limit = number(job, "/spec/maxFailedIndexes").and_then(|limit| u64::try_from(limit).ok());
        if limit.is_some_and(|limit| failed > limit) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return failure("MaxFailedIndexesExceeded", message);
        }
        if failed > 0 && failed + counted.succeeded_indexes.count() >= completions(job).into() {
            return failure("FailedIndexes", "Job has failed indexes");
        }
    }
    let message = policy::on_success(job, completions(job), &counted.succeeded_indexes)?;
    Some(End::new(Outcome::Success, "SuccessPolicy", &message))
}

/// Whether the containers of pods that restart them did so too often.
fn has_restarted_too_often(job: &Value, pods: &[Value], limit: i64) -> bool {
    if job.pointer("/spec/template/spec/restartPolicy").and_then(Value::as_str) != Some("OnFailure") {
        return false;
    }
    let containers = |pod: &Value| -> i64 {
        let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
        let all = lists.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
        all.filter_map(|c| c["restartCount"].as_i64()).sum()
    };
    let live = pods.iter().filter(|p| matches!(pods::phase(p), "Running" | "Pending"));
    live.map(containers).sum::<i64>() >= limit.max(1)
}

fn deadline_left(job: &Value, now: Timestamp) -> Option<Duration> {
    let whole = job.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_u64)?;
    let began = job.pointer("/status/startTime").and_then(Value::as_str).and_then(time::parse)?;
    (!is_suspended(job)).then(|| left_of(Duration::from_secs(whole), began, now))
}

/// Whether as many pods succeeded as were asked for, and none is left.
fn is_complete(job: &Value, counted: &Counted<'_>, active: usize) -> bool {
    active == 0
        && match number(job, "/spec/completions") {
            Some(completions) => counted.all_succeeded >= completions,
            // A work queue is done when one pod succeeded and the others ended.
            None => counted.all_succeeded > 0,
        }
}

/// What should happen to a job with these pods. `before` are the failures remembered; `None`: nothing is known of this
/// job yet, so its pods say all there is.
pub fn of(job: &Value, pods: &[Value], before: Option<Record>, now: Timestamp) -> Plan {
    let counted = tracking::count(job, pods);
    let mut plan = Plan { record: record(job, pods, &counted, before), ..Plan::default() };
    let active: Vec<&Value> = pods.iter().filter(|p| pods::is_active(p)).collect();
    let terminating: Vec<&Value> =
        pods.iter().filter(|p| meta::is_deleting(p) && !pods::is_finished(p)).collect();
    let mut end = end(job, pods, &counted, now);
    let is_managed = end.is_none() && !meta::is_deleting(job);
    if end.is_some() {
        plan.delete = uids(&active);
    } else if is_managed {
        manage(job, &active, &terminating, &counted, now, &mut plan);
    }
    if let (None, Some(left)) = (&end, deadline_left(job, now)) {
        plan.look_again(left);
    }
    let goes = |pod: &&&Value| plan.drop.contains(meta::uid(pod)) || plan.delete.contains(meta::uid(pod));
    let stays = |pod: &&&Value| !goes(pod);
    let left = Pods {
        active: active.iter().filter(stays).count(),
        ready: active.iter().filter(stays).filter(|p| pods::is_ready(p)).count(),
        terminating: terminating.len() + active.iter().filter(goes).count(),
    };
    if end.is_none() && is_complete(job, &counted, left.active) {
        let message = "Reached expected number of succeeded pods";
        end = Some(End::new(Outcome::Success, "CompletionsReached", message));
    }
    let outcome = end.as_ref().map_or(Outcome::None, |end| end.outcome);
    let release = tracking::release(job, pods, &counted, outcome, &plan.drop);
    plan.status = status::of(job, &counted, &release, left);
    status::note_start(&mut plan.status, is_suspended(job), now);
    match &end {
        Some(end) => {
            // Everything must be counted and gone before the last word is said.
            let is_over = release == tracking::Release::default() && left.active + left.terminating == 0;
            plan.tell = status::note_end(job, &mut plan.status, end, is_over, now);
        }
        None if is_managed => {
            plan.tell.extend(status::note_suspension(&mut plan.status, is_suspended(job), now));
        }
        None => {}
    }
    plan.release = release.pods;
    plan
}

fn record(job: &Value, pods: &[Value], counted: &Counted<'_>, before: Option<Record>) -> Record {
    if let Some(before) = before {
        return before.after(&counted.new_succeeded, &counted.new_failed);
    }
    let ended = |fits: &dyn Fn(&Value) -> bool| -> Vec<&Value> { pods.iter().filter(|p| fits(p)).collect() };
    let succeeded = ended(&|pod| pods::phase(pod) == "Succeeded");
    Record::default().after(&succeeded, &ended(&|pod| tracking::has_failed(job, pod)))
}

fn uids(pods: &[&Value]) -> BTreeSet<String> {
    pods.iter().map(|pod| meta::uid(pod).to_owned()).collect()
}

/// Brings the number of active pods to what is asked for: deletes some, or else creates some.
fn manage(
    job: &Value,
    active: &[&Value],
    terminating: &[&Value],
    counted: &Counted<'_>,
    now: Timestamp,
    plan: &mut Plan,
) {
    if is_suspended(job) {
        plan.drop = uids(active);
        return;
    }
    let count = |pointer: &str| number(job, pointer).and_then(|n| usize::try_from(n).ok());
    let parallelism = count("/spec/parallelism").unwrap_or(1);
    let succeeded = usize::try_from(counted.all_succeeded).unwrap_or(0);
    let wanted = match count("/spec/completions") {
        Some(completions) => completions.saturating_sub(succeeded).min(parallelism),
        // A work queue takes no new pods once one succeeded.
        None if succeeded > 0 => active.len(),
        None => parallelism,
    };
    plan.drop = surplus(job, active, active.len().saturating_sub(wanted));
    if !plan.drop.is_empty() {
        return;
    }
    let only_failed = replaces_only_failed(job);
    let held = active.len() + if only_failed { terminating.len() } else { 0 };
    let missing = wanted.saturating_sub(held).min(BURST_PODS);
    if missing == 0 {
        return;
    }
    let has_index_limit = counted.failed_indexes.is_some();
    let wait = if has_index_limit { Duration::ZERO } else { plan.record.left(now) };
    if !wait.is_zero() {
        plan.look_again(wait);
        return;
    }
    if !is_indexed(job) {
        plan.create = vec![NewPod::default(); missing];
        return;
    }
    let others = if only_failed { terminating } else { &[] };
    let taken: Indexes = active.iter().chain(others).filter_map(|pod| indexes::of(pod)).collect();
    let taken = taken
        .union(&counted.succeeded_indexes)
        .union(counted.failed_indexes.as_ref().unwrap_or(&Indexes::default()));
    for index in taken.missing(completions(job)).take(missing) {
        let replaced = counted.replaced.get(&index).copied();
        match replaced.map(|pod| index_delay_left(pod, now)).filter(|left| !left.is_zero()) {
            Some(left) => plan.look_again(left),
            None => {
                let failures = has_index_limit.then(|| failures_after(job, replaced));
                plan.create.push(NewPod { index: Some(index), failures });
            }
        }
    }
}

fn index_delay_left(replaced: &Value, now: Timestamp) -> Duration {
    let before = indexes::failures_before(replaced);
    let failures = before.counted.saturating_add(before.ignored).saturating_add(1);
    backoff::delay_left(failures, backoff::ended_at(replaced), now)
}

/// How often an index failed, with its last pod.
fn failures_after(job: &Value, replaced: Option<&Value>) -> Failures {
    let Some(replaced) = replaced else { return Failures::default() };
    let mut failures = indexes::failures_before(replaced);
    let failed = match policy::on_failure(job, replaced) {
        Verdict::Ignore => &mut failures.ignored,
        _ => &mut failures.counted,
    };
    *failed = failed.saturating_add(1);
    failures
}

/// The pods to delete when at least so many are too many: those without an index, those whose index is another's too,
/// and then those that have got the least far.
fn surplus(job: &Value, active: &[&Value], at_least: usize) -> BTreeSet<String> {
    let (mut out, mut rest) = (Vec::new(), Vec::new());
    if is_indexed(job) {
        let mut by_index: BTreeMap<Option<u32>, Vec<&Value>> = BTreeMap::new();
        for pod in active {
            let index = indexes::of(pod).filter(|index| *index < completions(job));
            by_index.entry(index).or_default().push(pod);
        }
        for (index, mut same) in by_index {
            pods::sort_for_deletion(&mut same);
            rest.extend(index.and_then(|_| same.pop()));
            out.extend(same);
        }
    } else {
        rest = active.to_vec();
    }
    pods::sort_for_deletion(&mut rest);
    let more = at_least.saturating_sub(out.len());
    out.extend(rest.into_iter().take(more));
    out.truncate(BURST_PODS);
    uids(&out)
}
