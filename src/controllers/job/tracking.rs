//! What a job's pods say: which of them ended and count, and which may lose their finalizer. Pure.

use super::backoff::ended_at;
use super::indexes::{self, Indexes};
use super::policy::{self, Verdict};
use super::{TRACKING, completions, is_indexed, number, replaces_only_failed};
use crate::pods;
use alcove_object::gather::Gather;
use alcove_object::{Value, meta};
use std::collections::{BTreeMap, BTreeSet};

/// Pods announced in a status at most, and so those that are counted in one go: some 20 KB.
const UNCOUNTED_PODS_MAX: usize = 500;

/// How many pods ended, and which.
#[derive(Debug, Default)]
pub struct Counted<'a> {
    /// `status.succeeded`; of an Indexed job, the number of indexes that succeeded.
    pub succeeded: i64,
    /// `status.failed`.
    pub failed: i64,
    /// Pods that are announced and have their finalizer still: `status.uncountedTerminatedPods`.
    pub uncounted_succeeded: BTreeSet<&'a str>,
    /// The same for failed pods.
    pub uncounted_failed: BTreeSet<&'a str>,
    /// Pods that succeeded and are not announced.
    pub new_succeeded: Vec<&'a Value>,
    /// The same for failed pods, those too whose failure counts towards no limit.
    pub new_failed: Vec<&'a Value>,
    /// Successes, counted or about to be.
    pub all_succeeded: i64,
    /// Failures, counted or about to be, that count towards the limit.
    pub all_failed: i64,
    /// For Indexed jobs: indexes that succeeded.
    pub succeeded_indexes: Indexes,
    /// For jobs with a limit for each index: indexes that failed.
    pub failed_indexes: Option<Indexes>,
    /// The failed pod of an index that waits for its successor, which is told of the failures so far.
    pub replaced: BTreeMap<u32, &'a Value>,
}

fn announced<'a>(job: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    let found = job.pointer(&format!("/status/uncountedTerminatedPods/{list}")).and_then(Value::as_array);
    found.into_iter().flatten().filter_map(Value::as_str)
}

/// Whether a pod has not been counted.
pub fn is_tracked(pod: &Value) -> bool {
    meta::finalizers(pod).any(|f| f == TRACKING)
}

/// Whether a pod counts as failed. One that is being deleted does at once, if it is replaced at once or if no node would
/// ever say that it failed.
pub fn has_failed(job: &Value, pod: &Value) -> bool {
    match pods::phase(pod) {
        "Failed" => true,
        "Succeeded" => false,
        _ => meta::is_deleting(pod) && !(replaces_only_failed(job) && pods::node(pod).is_some()),
    }
}

/// The index of a pod, if it is one of the job's.
fn index_of(job: &Value, pod: &Value) -> Option<u32> {
    indexes::of(pod).filter(|index| *index < completions(job))
}

fn has_index_failed(job: &Value, pod: &Value, limit: i64) -> bool {
    let is_beyond = || i64::from(indexes::failures_before(pod).counted) >= limit;
    has_failed(job, pod)
        && match policy::on_failure(job, pod) {
            Verdict::FailIndex => true,
            Verdict::Ignore => false,
            Verdict::Count | Verdict::FailJob(_) => is_beyond(),
        }
}

/// Counts a job's pods.
pub fn count<'a>(job: &'a Value, pods: &'a [Value]) -> Counted<'a> {
    let mut out = Counted {
        succeeded: number(job, "/status/succeeded").unwrap_or(0),
        failed: number(job, "/status/failed").unwrap_or(0),
        ..Counted::default()
    };
    let tracked: BTreeMap<&str, &Value> =
        pods.iter().filter(|p| is_tracked(p)).map(|p| (meta::uid(p), p)).gather();
    // What was announced and has lost its finalizer becomes a number.
    for uid in announced(job, "succeeded") {
        match tracked.contains_key(uid) {
            true => drop(out.uncounted_succeeded.insert(uid)),
            false => out.succeeded += 1,
        }
    }
    for uid in announced(job, "failed") {
        match tracked.contains_key(uid) {
            true => drop(out.uncounted_failed.insert(uid)),
            false => out.failed += 1,
        }
    }
    let is_indexed = is_indexed(job);
    for (uid, pod) in &tracked {
        if is_indexed && index_of(job, pod).is_none() {
            continue;
        }
        if pods::phase(pod) == "Succeeded" && !out.uncounted_succeeded.contains(uid) {
            out.new_succeeded.push(pod);
        } else if has_failed(job, pod) && !out.uncounted_failed.contains(uid) {
            out.new_failed.push(pod);
        }
    }
    let counting = out.new_failed.iter().filter(|pod| policy::on_failure(job, pod) != Verdict::Ignore);
    out.all_failed = out.failed + (out.uncounted_failed.len() + counting.count()) as i64;
    out.all_succeeded = out.succeeded + (out.uncounted_succeeded.len() + out.new_succeeded.len()) as i64;
    if is_indexed {
        count_indexes(job, pods, tracked.values().copied(), &mut out);
        // Indexes say exactly who succeeded, so no pod can count twice.
        out.succeeded = out.succeeded_indexes.count() as i64;
        out.all_succeeded = out.succeeded;
    }
    out
}

fn count_indexes<'a>(
    job: &Value,
    pods: &[Value],
    tracked: impl Iterator<Item = &'a Value> + Clone,
    out: &mut Counted<'a>,
) {
    let known = |field: &str| Indexes::parse(job["status"][field].as_str().unwrap_or(""), completions(job));
    let of = |pod: &&Value| index_of(job, pod);
    let succeeded: Indexes =
        tracked.clone().filter(|p| pods::phase(p) == "Succeeded").filter_map(|p| of(&p)).collect();
    out.succeeded_indexes = known("completedIndexes").union(&succeeded);
    let Some(limit) = number(job, "/spec/backoffLimitPerIndex") else { return };
    let failed =
        tracked.clone().filter(|pod| has_index_failed(job, pod, limit)).filter_map(|p| of(&p)).collect();
    let failed = known("failedIndexes").union(&failed);
    let running: Indexes = pods.iter().filter(|p| pods::is_active(p)).filter_map(indexes::of).collect();
    for pod in tracked.filter(|pod| has_failed(job, pod)) {
        let Some(index) = of(&pod) else { continue };
        if [&out.succeeded_indexes, &failed, &running].iter().any(|set| set.contains(index)) {
            continue;
        }
        let other = out.replaced.entry(index).or_insert(pod);
        let failures = |pod: &Value| {
            let before = indexes::failures_before(pod);
            before.counted.saturating_add(before.ignored)
        };
        if failures(other) <= failures(pod) && ended_at(other) <= ended_at(pod) {
            *other = pod;
        }
    }
    out.failed_indexes = Some(failed);
}

/// How a job ends, as far as its pods are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    None,
    /// Pods that did not fail are not counted.
    Success,
    /// Pods that did not succeed failed.
    Failure,
}

/// Pods that may be counted now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// UIDs of pods whose finalizer may go once the status is written.
    pub pods: BTreeSet<String>,
    /// `status.uncountedTerminatedPods.succeeded`.
    pub succeeded: BTreeSet<String>,
    /// `status.uncountedTerminatedPods.failed`.
    pub failed: BTreeSet<String>,
    /// There are more, for another time.
    pub is_partial: bool,
}

/// Decides which pods may be counted now, but for those that go `uncounted`.
pub fn release(
    job: &Value,
    pods: &[Value],
    counted: &Counted<'_>,
    outcome: Outcome,
    uncounted: &BTreeSet<String>,
) -> Release {
    let owned = |uids: &BTreeSet<&str>| uids.iter().map(|uid| (*uid).to_owned()).collect();
    let mut out = Release {
        succeeded: owned(&counted.uncounted_succeeded),
        failed: owned(&counted.uncounted_failed),
        ..Release::default()
    };
    let is_indexed = is_indexed(job);
    let lets_go_of_all = meta::is_deleting(job) || outcome != Outcome::None;
    let is_replaced = |pod: &Value| {
        indexes::of(pod)
            .and_then(|i| counted.replaced.get(&i))
            .is_some_and(|p| meta::uid(p) == meta::uid(pod))
    };
    let mut indexes = 0;
    for pod in pods.iter().filter(|p| is_tracked(p) && !uncounted.contains(meta::uid(p))) {
        let (uid, has_succeeded) = (meta::uid(pod), pods::phase(pod) == "Succeeded");
        let has_failed = has_failed(job, pod);
        if !lets_go_of_all && !has_succeeded && (!has_failed || is_replaced(pod)) {
            continue;
        }
        if indexes + out.succeeded.len() + out.failed.len() >= UNCOUNTED_PODS_MAX && !out.pods.is_empty() {
            out.is_partial = true;
            break;
        }
        out.pods.insert(uid.to_owned());
        let is_its_own = !is_indexed || index_of(job, pod).is_some();
        if has_succeeded {
            match is_indexed {
                true => indexes += 1,
                false if !out.failed.contains(uid) => drop(out.succeeded.insert(uid.to_owned())),
                false => {}
            }
        } else if (has_failed || outcome == Outcome::Failure)
            && is_its_own
            && policy::on_failure(job, pod) != Verdict::Ignore
        {
            out.failed.insert(uid.to_owned());
        }
    }
    out
}
