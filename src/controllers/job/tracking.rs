//! Which finished pods count, and which of them may lose their finalizer. Pure.

use super::{TRACKING, indexes};
use crate::pods;
use alcove_object::{Value, meta};
use std::collections::BTreeSet;

/// The result of looking at a job's pods.
#[derive(Debug, Default, PartialEq)]
pub struct Counted {
    /// `status.succeeded`.
    pub succeeded: i64,
    /// `status.failed`.
    pub failed: i64,
    /// Pods to be counted once their finalizer is gone: `status.uncountedTerminatedPods`.
    pub uncounted_succeeded: BTreeSet<String>,
    /// The same for failed pods.
    pub uncounted_failed: BTreeSet<String>,
    /// UIDs of pods whose finalizer may go after the status is written.
    pub release: BTreeSet<String>,
    /// For Indexed jobs: indexes that succeeded.
    pub completed: BTreeSet<u32>,
}

impl Counted {
    /// Successes, counted or about to be.
    pub fn all_succeeded(&self) -> i64 {
        self.succeeded + self.uncounted_succeeded.len() as i64
    }

    /// Failures, counted or about to be.
    pub fn all_failed(&self) -> i64 {
        self.failed + self.uncounted_failed.len() as i64
    }
}

fn uids(job: &Value, list: &str) -> BTreeSet<String> {
    let found = job.pointer(&format!("/status/uncountedTerminatedPods/{list}")).and_then(Value::as_array);
    found.into_iter().flatten().filter_map(|u| u.as_str().map(str::to_owned)).collect()
}

fn is_tracked(pod: &Value) -> bool {
    meta::finalizers(pod).any(|f| f == TRACKING)
}

/// A pod that is being deleted before it finished counts as failed.
fn has_failed(pod: &Value) -> bool {
    pods::phase(pod) == "Failed" || (meta::is_deleting(pod) && pods::phase(pod) != "Succeeded")
}

/// Counts a job's pods.
pub fn count(job: &Value, pods: &[Value]) -> Counted {
    let reported = |field: &str| job["status"][field].as_i64().unwrap_or(0);
    let is_indexed = job.pointer("/spec/completionMode").and_then(Value::as_str) == Some("Indexed");
    let completions = job.pointer("/spec/completions").and_then(Value::as_u64).unwrap_or(0);
    let completed = job["status"]["completedIndexes"].as_str().unwrap_or_default();
    let mut out = Counted {
        succeeded: reported("succeeded"),
        failed: reported("failed"),
        completed: indexes::parse(completed, u32::try_from(completions).unwrap_or(u32::MAX)),
        ..Counted::default()
    };
    let tracked: BTreeSet<&str> = pods.iter().filter(|p| is_tracked(p)).map(meta::uid).collect();
    // What was announced and has lost its finalizer becomes a number.
    for uid in uids(job, "succeeded") {
        match tracked.contains(&*uid) {
            true => drop(out.uncounted_succeeded.insert(uid)),
            false => out.succeeded += i64::from(!is_indexed),
        }
    }
    for uid in uids(job, "failed") {
        match tracked.contains(&*uid) {
            true => drop(out.uncounted_failed.insert(uid)),
            false => out.failed += 1,
        }
    }
    for pod in pods.iter().filter(|p| is_tracked(p)) {
        let uid = meta::uid(pod).to_owned();
        if pods::phase(pod) == "Succeeded" {
            out.completed.extend(indexes::of(pod));
            if !is_indexed {
                out.uncounted_succeeded.insert(uid.clone());
            }
        } else if has_failed(pod) {
            out.uncounted_failed.insert(uid.clone());
        } else {
            continue;
        }
        out.release.insert(uid);
    }
    if is_indexed {
        // Indexes say exactly who succeeded, so no pod can count twice.
        out.succeeded = out.completed.len() as i64;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(uid: &str, phase: &str, tracked: bool) -> Value {
        let finalizers = if tracked { json!([TRACKING]) } else { json!([]) };
        json!({ "metadata": { "uid": uid, "finalizers": finalizers }, "status": { "phase": phase } })
    }

    #[test]
    fn a_pod_is_announced_released_and_counted_once() {
        let mut job = json!({ "spec": {}, "status": {} });
        let counted = count(&job, &[pod("a", "Succeeded", true), pod("b", "Running", true)]);
        assert_eq!((counted.succeeded, counted.all_succeeded()), (0, 1));
        assert_eq!(counted.release, BTreeSet::from(["a".to_owned()]));
        job["status"]["uncountedTerminatedPods"] = json!({ "succeeded": ["a"] });
        // A crash before the finalizer went: the same again.
        let again = count(&job, &[pod("a", "Succeeded", true)]);
        assert_eq!((again.succeeded, again.all_succeeded()), (0, 1));
        // The finalizer is gone, and then the pod too.
        for pods in [vec![pod("a", "Succeeded", false)], vec![]] {
            let counted = count(&job, &pods);
            assert_eq!((counted.succeeded, counted.all_succeeded()), (1, 1));
        }
        job["status"] = json!({ "succeeded": 1 });
        assert_eq!(count(&job, &[pod("a", "Succeeded", false)]).all_succeeded(), 1);
    }
}
