//! What should happen to a CronJob at a time: which jobs it has, which of them go, whether one begins, and when to look
//! again. Pure.

use crate::events::Kind;
use crate::pods;
use alcove_apiserver::cron::Schedule;
use alcove_object::{Value, condition, meta, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::time::Duration;

/// More missed starts than this are told of, since that many come from a clock that is wrong or a deadline that is not set.
const MISSED_STARTS: i64 = 100;
/// Looking again is put off by this much, for clocks that differ a little.
const CLOCK_SKEW: Duration = Duration::from_millis(100);
/// Says in a job's annotations which of its CronJob's times it is for.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// Something to tell people about a CronJob.
#[derive(Debug, PartialEq, Eq)]
pub struct Tell {
    pub kind: Kind,
    pub reason: &'static str,
    pub message: String,
}

impl Tell {
    pub fn new(kind: Kind, reason: &'static str, message: String) -> Tell {
        Tell { kind, reason, message }
    }
}

/// What to do now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub tell: Vec<Tell>,
    /// The time for which a job begins.
    pub start: Option<Timestamp>,
    /// When to look again; `None`: when the CronJob changes.
    pub again: Option<Duration>,
}

/// How a job ended: `Complete` or `Failed`.
pub fn end_of(job: &Value) -> Option<&'static str> {
    ["Complete", "Failed"].into_iter().find(|kind| condition::is_true(job, kind))
}

fn active(cron_job: &Value) -> &[Value] {
    cron_job["status"]["active"].as_array().map_or(&[], Vec::as_slice)
}

/// Whether the status names a job as active.
pub fn is_active(cron_job: &Value, uid: &str) -> bool {
    active(cron_job).iter().any(|reference| reference["uid"] == uid)
}

/// Takes a job off the active ones.
pub fn drop_active(cron_job: &mut Value, uid: &str) {
    let Some(status) = cron_job["status"].as_object_mut() else { return };
    let Some(list) = status.get_mut("active").and_then(Value::as_array_mut) else { return };
    list.retain(|reference| reference["uid"] != uid);
    if list.is_empty() {
        status.remove("active");
    }
}

/// Brings the status up to what the jobs say. Jobs that are named as active and not among these are for the caller.
pub fn observe(cron_job: &mut Value, jobs: &[Value]) -> Vec<Tell> {
    let mut tell = Vec::new();
    for job in jobs {
        let (uid, name) = (meta::uid(job), meta::name(job));
        let was_active = is_active(cron_job, uid);
        match end_of(job) {
            None if !was_active => {
                let message = format!("Saw a job that the controller did not create or forgot: {name}");
                tell.push(Tell::new(Kind::Warning, "UnexpectedJob", message));
            }
            None => {}
            Some(end) => {
                if was_active {
                    drop_active(cron_job, uid);
                    let message = format!("Saw completed job: {name}, condition: {end}");
                    tell.push(Tell::new(Kind::Normal, "SawCompletedJob", message));
                }
                if end == "Complete" {
                    note_success(cron_job, job);
                }
            }
        }
    }
    tell
}

fn note_success(cron_job: &mut Value, job: &Value) {
    let at = |object: &Value, field: &str| object["status"][field].as_str().and_then(time::parse);
    let Some(ended) = at(job, "completionTime") else { return };
    if at(cron_job, "lastSuccessfulTime").is_none_or(|last| ended > last) {
        cron_job["status"]["lastSuccessfulTime"] = job["status"]["completionTime"].clone();
    }
}

/// The finished jobs beyond what the history keeps, oldest first.
pub fn surplus<'a>(cron_job: &Value, jobs: &'a [Value]) -> Vec<&'a Value> {
    let limits = [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")];
    let of = |(end, limit): (&str, &str)| {
        let Some(limit) = cron_job["spec"][limit].as_u64() else { return Vec::new() };
        let mut ended: Vec<&Value> = jobs.iter().filter(|job| end_of(job) == Some(end)).collect();
        // A job without a start is the youngest.
        ended.sort_by_key(|job| {
            let start = job["status"]["startTime"].as_str().unwrap_or_default();
            (start.is_empty(), start.to_owned(), meta::name(job).to_owned())
        });
        let kept = usize::try_from(limit).unwrap_or(usize::MAX);
        let count = ended.len().saturating_sub(kept);
        ended.truncate(count);
        ended
    };
    limits.into_iter().flat_map(of).collect()
}

/// A schedule's times up to now.
#[derive(Debug, PartialEq, Eq)]
struct Past {
    /// From when on they were looked at.
    since: Timestamp,
    /// The last of them.
    last: Option<Timestamp>,
    /// About how many there were.
    count: i64,
}

/// The schedule names days that never come.
struct Never;

fn past(schedule: &Schedule, zone: &TimeZone, since: Timestamp, now: Timestamp) -> Result<Past, Never> {
    let next = |t: Timestamp| schedule.next(t, zone);
    let first = next(since).ok_or(Never)?;
    if now < first {
        return Ok(Past { since, last: None, count: 0 });
    }
    let second = next(first).ok_or(Never)?;
    if now < second {
        return Ok(Past { since, last: Some(first), count: 0 });
    }
    let step = second.duration_since(first).as_secs();
    if step < 1 {
        return Err(Never);
    }
    // About how many there were, if they all were as far apart as these two; from just before the last of them the true
    // ones are walked.
    let count = now.duration_since(first).as_secs() / step + 1;
    let near = first.checked_add(SignedDuration::from_secs((count - 2) * step)).map_err(|_| Never)?;
    let mut last = None;
    let mut walk = next(near);
    while let Some(t) = walk.filter(|t| *t <= now) {
        last = Some(t);
        walk = next(t);
    }
    Ok(Past { since, last, count })
}

/// From when on times count: the last one that was met, or the CronJob's creation.
fn beginning(cron_job: &Value) -> Option<Timestamp> {
    let last = cron_job["status"]["lastScheduleTime"].as_str().and_then(time::parse);
    last.or_else(|| time::parse(meta::text(cron_job, "creationTimestamp")))
}

fn deadline(cron_job: &Value) -> Option<SignedDuration> {
    cron_job["spec"]["startingDeadlineSeconds"].as_i64().map(SignedDuration::from_secs)
}

/// How long until the schedule's next time.
fn wait(cron_job: &Value, schedule: &Schedule, zone: &TimeZone, now: Timestamp) -> Option<Duration> {
    let since = beginning(cron_job)?;
    let from = match past(schedule, zone, since, now) {
        Ok(Past { last: Some(last), .. }) => last,
        Ok(Past { count: 0, since, .. }) => since,
        Ok(_) | Err(Never) => now,
    };
    let next = schedule.next(from, zone)?;
    let wait = Duration::try_from(next.duration_since(now)).unwrap_or_default();
    Some(wait + CLOCK_SKEW)
}

/// How long until the next time of a CronJob whose schedule is new. `None`: it is no schedule.
pub fn wait_for_next(cron_job: &Value, now: Timestamp) -> Option<Duration> {
    let schedule = Schedule::parse(cron_job["spec"]["schedule"].as_str()?).ok()?;
    wait(cron_job, &schedule, &zone_of(cron_job).ok()?, now)
}

fn zone_of(cron_job: &Value) -> Result<TimeZone, String> {
    let name = cron_job["spec"]["timeZone"].as_str().unwrap_or_default();
    time::zone(name).ok_or_else(|| format!("invalid timeZone: {name:?}: unknown time zone {name}"))
}

/// What should happen to a CronJob whose status is up to date.
pub fn of(cron_job: &Value, now: Timestamp) -> Plan {
    let spec = &cron_job["spec"];
    let warn = |reason: &'static str, message: String| Plan {
        tell: vec![Tell::new(Kind::Warning, reason, message)],
        ..Plan::default()
    };
    if meta::is_deleting(cron_job) {
        return Plan::default();
    }
    let zone = match zone_of(cron_job) {
        Ok(zone) => zone,
        Err(why) => return warn("UnknownTimeZone", why),
    };
    if spec["suspend"] == true {
        return Plan::default();
    }
    let text = spec["schedule"].as_str().unwrap_or_default();
    let schedule = match Schedule::parse(text) {
        Ok(schedule) => schedule,
        Err(why) => return warn("UnparseableSchedule", format!("unparseable schedule: {text:?} : {why}")),
    };
    let Some(since) = beginning(cron_job) else { return Plan::default() };
    let earliest = deadline(cron_job).and_then(|deadline| now.checked_sub(deadline).ok());
    let Ok(past) = past(&schedule, &zone, earliest.map_or(since, |earliest| since.max(earliest)), now) else {
        let why = "time difference between two schedules is less than 1 second";
        return warn("InvalidSchedule", format!("invalid schedule: {text} : {why}"));
    };
    let mut plan = Plan { again: wait(cron_job, &schedule, &zone, now), ..Plan::default() };
    if let Some(at) = past.last {
        if past.count > MISSED_STARTS {
            let why = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            plan.tell.push(Tell::new(Kind::Warning, "TooManyMissedTimes", why.into()));
        }
        begin(cron_job, at, now, &mut plan);
    }
    plan
}

/// Decides whether the job for a time that has come begins.
fn begin(cron_job: &Value, at: Timestamp, now: Timestamp, plan: &mut Plan) {
    let is_late = deadline(cron_job).and_then(|d| at.checked_add(d).ok()).is_some_and(|end| end < now);
    if is_late {
        let when = at.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let message = format!("Missed scheduled time to start a job: {when}");
        plan.tell.push(Tell::new(Kind::Warning, "MissSchedule", message));
        return;
    }
    let name = job_name(cron_job, at);
    let is_known = active(cron_job).iter().any(|reference| reference["name"] == *name);
    let last = cron_job["status"]["lastScheduleTime"].as_str().and_then(time::parse);
    if is_known || last == Some(at) {
        return;
    }
    if cron_job["spec"]["concurrencyPolicy"] == "Forbid" && !active(cron_job).is_empty() {
        let why = "Not starting job because prior execution is running and concurrency policy is Forbid";
        plan.tell.push(Tell::new(Kind::Normal, "JobAlreadyActive", why.into()));
        return;
    }
    plan.start = Some(at);
}

/// The name of a time's job says which minute it is for, so that it is made once.
fn job_name(cron_job: &Value, at: Timestamp) -> String {
    format!("{}-{}", meta::name(cron_job), at.as_second().div_euclid(60))
}

/// The job for a time.
pub fn job(cron_job: &Value, at: Timestamp) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let zoned = at.to_zoned(zone_of(cron_job).unwrap_or(TimeZone::UTC));
    let offset = if zoned.offset().seconds() == 0 { "Z".into() } else { zoned.strftime("%:z").to_string() };
    let when = format!("{}{offset}", zoned.strftime("%Y-%m-%dT%H:%M:%S"));
    let mut metadata = json!({
        "name": job_name(cron_job, at),
        "annotations": {},
        "ownerReferences": [pods::owner_reference(cron_job)],
    });
    for field in ["labels", "annotations"] {
        if let Some(entries) = template["metadata"][field].as_object() {
            metadata[field] = entries.clone().into();
        }
    }
    metadata["annotations"][SCHEDULED] = when.into();
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"] })
}

/// Notes a job that has begun for a time.
pub fn note_start(cron_job: &mut Value, job: &Value, at: Timestamp) {
    let reference = json!({
        "apiVersion": "batch/v1", "kind": "Job", "namespace": meta::namespace(job), "name": meta::name(job),
        "uid": meta::uid(job), "resourceVersion": meta::text(job, "resourceVersion"),
    });
    match cron_job["status"]["active"].as_array_mut() {
        Some(active) => active.push(reference),
        None => cron_job["status"]["active"] = json!([reference]),
    }
    cron_job["status"]["lastScheduleTime"] = time::format(at).into();
}

#[cfg(test)]
mod tests;
