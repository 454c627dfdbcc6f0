//! What a job's status may say, and that what has come to an end stays there
//! (k8s.io/kubernetes/pkg/apis/batch/validation: ValidateJobUpdateStatus).

use super::jobs::{interval_of, total_of, without_value};
use super::pod_change::is_same;
use super::{items, non_negative};
use crate::kinds::tree::{flag, int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, time};
use std::collections::BTreeSet;

/// A state of a job, as its status has it.
struct State<'a> {
    job: &'a Value,
}

impl State<'_> {
    fn has(&self, condition: &str, status: &str) -> bool {
        let conditions = list(self.job, "/status/conditions").iter();
        { conditions }.any(|c| text(c, "/type") == condition && text(c, "/status") == status)
    }

    fn is(&self, condition: &str) -> bool {
        self.has(condition, "True")
    }

    fn is_finished(&self) -> bool {
        self.is("Complete") || self.is("Failed")
    }

    fn number(&self, field: &str) -> i64 {
        int(self.job, &format!("/status/{field}"))
    }

    fn field(&self, name: &str) -> Option<&Value> {
        some(self.job, &format!("/status/{name}"))
    }

    fn time(&self, name: &str) -> Option<jiff::Timestamp> {
        self.field(name)?.as_str().and_then(time::parse)
    }
}

/// A change of a job's status: what has come to an end stays there, and what a job says of its end fits together. Rules
/// about a field are asked when it, or what it hangs on, changes.
pub(crate) fn job_status_change(job: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("status");
    let (new, was) = (State { job }, State { job: old });
    let mut errors = numbers(&new, &path);
    errors.extend(uncounted(&new, &path));
    errors.extend(endings(&new, &was, &path));
    errors.extend(times(&new, &was, &path));
    errors.extend(finished(&new, &was, &path));
    errors.extend(index_lists(&new, &was, &path));
    let changed = |field: &str| !is_same(new.field(field), was.field(field));
    let ready = new.field("ready").and_then(Value::as_i64);
    if let Some(ready) = ready.filter(|ready| *ready > new.number("active"))
        && (changed("ready") || changed("active"))
    {
        let why = "cannot set more ready pods than active";
        errors.push(Error::invalid(&path.child("ready"), ready, why));
    }
    errors.extend(kept(&new, &was, &path));
    errors
}

fn numbers(new: &State<'_>, path: &Path) -> Vec<Error> {
    let status = new.job.get("status").unwrap_or(&Value::Null);
    let counts = ["active", "succeeded", "failed", "ready", "terminating"].into_iter();
    counts.filter_map(|count| non_negative(status, count, path)).collect()
}

fn uncounted(new: &State<'_>, path: &Path) -> Vec<Error> {
    let Some(pods) = new.field("uncountedTerminatedPods") else { return Vec::new() };
    let path = path.child("uncountedTerminatedPods");
    let mut seen = BTreeSet::new();
    let mut errors = Vec::new();
    for field in ["succeeded", "failed"] {
        for (at, uid) in items(pods, field, &path) {
            let uid = uid.as_str().unwrap_or_default();
            if uid.is_empty() {
                errors.push(Error::invalid(&at, "", "must not be empty"));
            } else if !seen.insert(uid) {
                errors.push(Error::duplicate(&at, uid));
            }
        }
    }
    errors
}

/// Conditions that end a job, which exclude each other and have forerunners.
fn endings(new: &State<'_>, was: &State<'_>, path: &Path) -> Vec<Error> {
    let changed = |condition: &str| new.is(condition) != was.is(condition);
    let is_changed = |conditions: &[&str]| conditions.iter().any(|condition| changed(condition));
    let failed_indexes = !is_same(new.field("failedIndexes"), was.field("failedIndexes"));
    let [complete, failed, target, met] =
        ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"].map(|condition| new.is(condition));
    let has_policy = some(new.job, "/spec/successPolicy").is_some();
    let rules = [
        (
            complete && failed && is_changed(&["Complete", "Failed"]),
            "cannot set Complete=True and Failed=true conditions",
        ),
        (
            complete && target && is_changed(&["Complete", "FailureTarget"]),
            "cannot set Complete=True and FailureTarget=true conditions",
        ),
        (
            failed && !target && (changed("Failed") || failed_indexes),
            "cannot set Failed=True condition without the FailureTarget=true condition",
        ),
        (
            complete && !met && is_changed(&["Complete", "SuccessCriteriaMet"]),
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        ),
        (met && failed, "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
        (met && target, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
        (
            has_policy && !met && complete,
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
        ),
    ];
    let broken = rules.into_iter().filter(|(is_broken, _)| *is_broken);
    broken.map(|(_, why)| without_value(&path.child("conditions"), why)).collect()
}

fn times(new: &State<'_>, was: &State<'_>, path: &Path) -> Vec<Error> {
    let changed = |field: &str| !is_same(new.field(field), was.field(field));
    let complete = new.is("Complete");
    let is_asked = complete != was.is("Complete") || changed("completionTime");
    let at = path.child("completionTime");
    let ended = new.field("completionTime");
    let mut errors = Vec::new();
    match ended {
        Some(ended) if is_asked && !complete => {
            let why = "cannot set completionTime when there is no Complete=True condition";
            errors.push(Error::invalid(&at, ended.clone(), why));
        }
        None if is_asked && complete => {
            errors.push(Error::required(&at, "completionTime is required for Complete jobs"));
        }
        _ => {}
    }
    let is_before =
        new.time("completionTime").zip(new.time("startTime")).is_some_and(|(end, start)| end < start);
    if is_before && (changed("startTime") || changed("completionTime")) {
        let shown = ended.cloned().unwrap_or_default();
        errors.push(Error::invalid(&at, shown, "must be equal to or after `startTime`"));
    }
    if ended.is_some() && was.field("completionTime").is_some() && changed("completionTime") {
        errors.push(Error::invalid(&at, ended.cloned().unwrap_or_default(), "field is immutable"));
    }
    let resumes = was.is("Suspended") && new.has("Suspended", "False");
    let is_running = was.field("startTime").is_some() && !flag(new.job, "/spec/suspend");
    if changed("startTime") && !resumes && is_running {
        let shown = new.field("startTime").cloned().unwrap_or_default();
        let why = "field is immutable for unsuspended job once set";
        errors.push(Error::invalid(&path.child("startTime"), shown, why));
    }
    errors
}

/// What a job that has ended has no more.
fn finished(new: &State<'_>, was: &State<'_>, path: &Path) -> Vec<Error> {
    if !new.is_finished() {
        return Vec::new();
    }
    let is_new = !was.is_finished();
    let is_asked = |field: &str| is_new || !is_same(new.field(field), was.field(field));
    let mut errors = Vec::new();
    for count in ["active", "terminating"] {
        if new.number(count) > 0 && is_asked(count) {
            let why = format!("{count}>0 is invalid for finished job");
            errors.push(Error::invalid(&path.child(count), new.number(count), why));
        }
    }
    let is_empty = flag(new.job, "/spec/suspend")
        && some(new.job, "/spec/completions").and_then(Value::as_i64) == Some(0);
    if new.field("startTime").is_none() && is_asked("startTime") && !is_empty {
        errors.push(Error::required(&path.child("startTime"), "startTime is required for finished job"));
    }
    let pods = new.field("uncountedTerminatedPods");
    let has_pods =
        pods.is_some_and(|pods| ["/succeeded", "/failed"].iter().any(|field| !list(pods, field).is_empty()));
    if has_pods && is_asked("uncountedTerminatedPods") {
        let at = path.child("uncountedTerminatedPods");
        let shown = pods.cloned().unwrap_or_default();
        errors.push(Error::invalid(&at, shown, "must be empty for finished job"));
    }
    errors
}

fn index_lists(new: &State<'_>, was: &State<'_>, path: &Path) -> Vec<Error> {
    let changed = |field: &str| !is_same(new.field(field), was.field(field));
    let (completed, failed) = (text(new.job, "/status/completedIndexes"), new.field("failedIndexes"));
    let completions = some(new.job, "/spec/completions").and_then(Value::as_i64);
    let has_limit = some(new.job, "/spec/backoffLimitPerIndex").is_some();
    let mut errors = Vec::new();
    let at = path.child("completedIndexes");
    if changed("completedIndexes") {
        if let Some(why) = completions.and_then(|completions| total_of(completed, completions).err()) {
            errors.push(Error::invalid(&at, completed, format!("error parsing completedIndexes: {why}")));
        }
        if !completed.is_empty() && text(new.job, "/spec/completionMode") != "Indexed" {
            let why = "cannot set non-empty completedIndexes when non-indexed completion mode";
            errors.push(Error::invalid(&at, completed, why));
        }
    }
    let Some(failed) = failed.and_then(Value::as_str) else { return errors };
    let at = path.child("failedIndexes");
    if changed("failedIndexes") {
        let wrong = completions.filter(|_| has_limit).and_then(|c| total_of(failed, c).err());
        errors.extend(
            wrong.map(|why| Error::invalid(&at, failed, format!("error parsing failedIndexes: {why}"))),
        );
        if !has_limit {
            let why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
            errors.push(Error::invalid(&at, failed, why));
        }
    }
    if changed("failedIndexes") || changed("completedIndexes") {
        let both = completions.and_then(|completions| overlap(completed, failed, completions));
        errors.extend(both.map(|index| {
            let why = format!("failedIndexes and completedIndexes overlap at index: {index}");
            Error::invalid(&at, failed, why)
        }));
    }
    errors
}

/// The first index that two lists share. Parts that cannot be read are somebody else's business.
fn overlap(completed: &str, failed: &str, completions: i64) -> Option<i64> {
    let read = |indexes: &str| -> Vec<(i64, i64)> {
        indexes.split(',').filter_map(|interval| interval_of(interval, completions).ok()).collect()
    };
    let (completed, failed) = (read(completed), read(failed));
    let (mut i, mut j) = (0, 0);
    while let (Some(c), Some(f)) = (completed.get(i), failed.get(j)) {
        if c.0 <= f.1 && f.0 <= c.1 {
            return Some(c.0.max(f.0));
        }
        if c.0 <= f.0 { i += 1 } else { j += 1 }
    }
    None
}

/// What a job has reached it does not lose.
fn kept(new: &State<'_>, was: &State<'_>, path: &Path) -> Vec<Error> {
    let at = path.child("conditions");
    let mut errors = Vec::new();
    for condition in ["Failed", "Complete", "FailureTarget"] {
        if was.is(condition) && !new.is(condition) {
            let why = format!("cannot disable the terminal {condition}=True condition");
            errors.push(without_value(&at, why));
        }
    }
    let scales = text(new.job, "/spec/completionMode") == "Indexed"
        && some(new.job, "/spec/completions") == some(new.job, "/spec/parallelism");
    for (count, is_asked) in [("failed", true), ("succeeded", !scales)] {
        if is_asked && new.number(count) < was.number(count) {
            let why = format!("cannot decrease the {count} counter");
            errors.push(Error::invalid(&path.child(count), new.number(count), why));
        }
    }
    let (met, was_met) = (new.is("SuccessCriteriaMet"), was.is("SuccessCriteriaMet"));
    if was_met && !met {
        errors.push(without_value(&at, "cannot disable the SuccessCriteriaMet=True condition"));
    }
    if was.is("Complete") && !was_met && met {
        let why = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        errors.push(without_value(&at, why));
    }
    errors
}
