//! A CronJob at a time, and what should happen to it.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Made at nine o'clock, runs every hour at ten past; with more in its spec and status.
fn cron_job(spec: Value, status: Value) -> Value {
    let mut cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": { "name": "tick", "namespace": "d", "uid": "u", "creationTimestamp": "2026-01-01T09:00:00Z" },
        "spec": { "schedule": "10 * * * *", "concurrencyPolicy": "Allow", "jobTemplate": { "spec": { "template": {} } } },
        "status": status,
    });
    for (field, value) in spec.as_object().unwrap() {
        cron_job["spec"][field] = value.clone();
    }
    cron_job
}

fn running(name: &str) -> Value {
    json!({ "lastScheduleTime": "2026-01-01T09:10:00Z", "active": [{ "name": name, "uid": "j" }] })
}

#[test]
fn jobs_begin_when_their_time_has_come() {
    let last = |time: &str| json!({ "lastScheduleTime": time });
    let none = || json!({});
    // spec, status, now, the job's time, seconds to wait, what is told
    let cases = [
        (none(), none(), "2026-01-01T09:05:00Z", "", Some(300), ""),
        (none(), none(), "2026-01-01T09:10:00Z", "2026-01-01T09:10:00Z", Some(3600), ""),
        (none(), none(), "2026-01-01T09:40:00Z", "2026-01-01T09:10:00Z", Some(1800), ""),
        (none(), last("2026-01-01T09:10:00Z"), "2026-01-01T09:10:01Z", "", Some(3599), ""),
        (none(), last("2026-01-01T09:10:00Z"), "2026-01-01T13:00:00Z", "2026-01-01T12:10:00Z", Some(600), ""),
        (
            none(),
            last("2026-01-01T09:10:00Z"),
            "2026-01-08T09:20:00Z",
            "2026-01-08T09:10:00Z",
            Some(3000),
            "TooManyMissedTimes",
        ),
        (
            json!({ "startingDeadlineSeconds": 7200 }),
            last("2026-01-01T09:10:00Z"),
            "2026-01-08T09:20:00Z",
            "2026-01-08T09:10:00Z",
            Some(3000),
            "",
        ),
        (json!({ "startingDeadlineSeconds": 60 }), none(), "2026-01-01T09:20:00Z", "", Some(3000), ""),
        (json!({ "suspend": true }), none(), "2026-01-01T09:20:00Z", "", None, ""),
        (json!({ "schedule": "nonsense" }), none(), "2026-01-01T09:20:00Z", "", None, "UnparseableSchedule"),
        (json!({ "timeZone": "No/Where" }), none(), "2026-01-01T09:20:00Z", "", None, "UnknownTimeZone"),
        (json!({ "schedule": "0 0 30 2 *" }), none(), "2026-01-01T09:20:00Z", "", None, "InvalidSchedule"),
        (
            json!({ "schedule": "0 11 * * *", "timeZone": "Europe/Berlin" }),
            none(),
            "2026-01-01T10:00:30Z",
            "2026-01-01T10:00:00Z",
            Some(86370),
            "",
        ),
        (
            json!({ "concurrencyPolicy": "Forbid" }),
            running("tick-1"),
            "2026-01-01T10:10:00Z",
            "",
            Some(3600),
            "JobAlreadyActive",
        ),
        (
            json!({ "concurrencyPolicy": "Replace" }),
            running("tick-1"),
            "2026-01-01T10:10:00Z",
            "2026-01-01T10:10:00Z",
            Some(3600),
            "",
        ),
        (none(), running("tick-29454370"), "2026-01-01T10:10:00Z", "", Some(3600), ""),
    ];
    for (spec, status, now, start, again, told) in cases {
        let cron_job = cron_job(spec, status);
        let plan = of(&cron_job, at(now));
        let found = plan.start.map_or(String::new(), |t| t.to_string());
        let reasons: Vec<&str> = plan.tell.iter().map(|tell| tell.reason).collect();
        let wait = plan.again.map(|wait| (wait - CLOCK_SKEW).as_secs());
        assert_eq!((&*found, wait, &*reasons.join(",")), (start, again, told), "{now} {cron_job}");
    }
}

#[test]
fn a_start_that_is_missed_is_told_of() {
    // The deadline's edge: the time is within the last minute, but its own deadline has passed by a part of a second.
    let cron_job = cron_job(json!({ "startingDeadlineSeconds": 60 }), json!({}));
    let mut plan = Plan::default();
    begin(&cron_job, at("2026-01-01T09:10:00Z"), at("2026-01-01T09:11:00.5Z"), &mut plan);
    assert_eq!(plan.start, None);
    assert_eq!(plan.tell[0].message, "Missed scheduled time to start a job: Thu, 01 Jan 2026 09:10:00 +0000");
}

#[test]
fn a_new_schedule_counts_from_its_next_time() {
    let waits = |schedule: &str| {
        let cron_job = cron_job(json!({ "schedule": schedule }), json!({}));
        wait_for_next(&cron_job, at("2026-01-01T12:32:00Z")).map(|wait| (wait - CLOCK_SKEW).as_secs())
    };
    assert_eq!(waits("*/5 * * * *"), Some(180));
    assert_eq!(waits("nonsense"), None);
}

fn job(name: &str, end: &str, start: &str, completion: &str) -> Value {
    let mut job = json!({ "metadata": { "name": name, "uid": format!("uid-{name}") }, "status": {} });
    for (field, time) in [("startTime", start), ("completionTime", completion)] {
        if !time.is_empty() {
            job["status"][field] = format!("2026-01-01T{time}:00Z").into();
        }
    }
    if !end.is_empty() {
        job["status"]["conditions"] = json!([{ "type": end, "status": "True" }]);
    }
    job
}

#[test]
fn ended_jobs_leave_the_active_ones() {
    let jobs = [
        job("a", "Complete", "09:10", "09:11"),
        job("b", "Failed", "09:10", ""),
        job("c", "", "09:10", ""),
        job("d", "Complete", "08:10", "08:11"),
    ];
    let references: Vec<Value> =
        ["a", "b"].iter().map(|name| json!({ "name": name, "uid": format!("uid-{name}") })).collect();
    let mut cron_job = cron_job(json!({}), json!({ "active": references }));
    let told: Vec<String> = observe(&mut cron_job, &jobs).into_iter().map(|tell| tell.message).collect();
    let expected = [
        "Saw completed job: a, condition: Complete",
        "Saw completed job: b, condition: Failed",
        "Saw a job that the controller did not create or forgot: c",
    ];
    assert_eq!(told, expected);
    assert_eq!(cron_job["status"], json!({ "lastSuccessfulTime": "2026-01-01T09:11:00Z" }));
}

#[test]
fn the_oldest_jobs_go_beyond_the_history() {
    let jobs = [
        job("young", "Complete", "09:30", ""),
        job("old", "Complete", "09:10", ""),
        job("never", "Complete", "", ""),
        job("failed", "Failed", "09:00", ""),
        job("running", "", "09:00", ""),
    ];
    let names = |limits: Value| -> Vec<String> {
        let cron_job = cron_job(limits, json!({}));
        surplus(&cron_job, &jobs).into_iter().map(|job| meta::name(job).to_owned()).collect()
    };
    assert_eq!(
        names(json!({ "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1 })),
        ["old", "young"]
    );
    assert_eq!(names(json!({ "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 0 })), ["failed"]);
    assert!(names(json!({})).is_empty());
}

#[test]
fn a_job_says_which_time_it_is_for() {
    let template =
        json!({ "metadata": { "labels": { "l": "1" }, "annotations": { "a": "2" } }, "spec": { "x": 1 } });
    for (zone, time, expected) in [
        (Value::Null, "2026-07-01T10:10:00Z", "2026-07-01T10:10:00Z"),
        (json!("Europe/Berlin"), "2026-07-01T10:10:00Z", "2026-07-01T12:10:00+02:00"),
        (json!("Europe/London"), "2026-01-01T10:10:00Z", "2026-01-01T10:10:00Z"),
    ] {
        let mut cron_job = cron_job(json!({ "timeZone": zone, "jobTemplate": template }), json!({}));
        let job = super::job(&cron_job, at(time));
        assert_eq!(meta::annotation(&job, SCHEDULED), Some(expected));
        assert_eq!((meta::annotation(&job, "a"), meta::label(&job, "l")), (Some("2"), Some("1")));
        assert_eq!(job["spec"], json!({ "x": 1 }));
        assert_eq!(meta::name(&job), format!("tick-{}", at(time).as_second() / 60));
        note_start(&mut cron_job, &job, at(time));
        assert_eq!(cron_job["status"]["lastScheduleTime"], time);
        assert_eq!(cron_job["status"]["active"][0]["name"], meta::name(&job));
    }
}
