//! Plans of jobs with all kinds of pods, which are those of upstream's TestControllerSyncJob, TestSyncJobPastDeadline,
//! TestSyncJobWithJobPodFailurePolicy, TestSyncJobWithJobSuccessPolicy, TestSyncJobWithJobBackoffLimitPerIndex and
//! TestTrackJobStatusAndRemoveFinalizers.

use super::*;
use jiff::Timestamp;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

/// A job that started a while ago, unless its status says otherwise.
fn job(spec: Value, status: Value) -> Value {
    let mut job = json!({ "metadata": { "name": "j", "namespace": "default" }, "spec": spec,
        "status": { "startTime": time::format(at(-60)) } });
    for (field, value) in status.as_object().unwrap() {
        job["status"][field] = value.clone();
    }
    job
}

/// Pods from words: a phase, `ready` or `terminating`; `*n` of them; `@i` with
/// an index, `/f` after failures, `#c` with an exit code, `~s` ended at a second, `!` without a finalizer, `^` without a node.
fn pods(words: &str) -> Vec<Value> {
    let mut out = Vec::new();
    for word in words.split_whitespace() {
        let until = |text: &str| {
            let end = text.find(['*', '@', '/', '#', '~', '!', '^']).unwrap_or(text.len());
            text[..end].to_owned()
        };
        let after = |mark: char| word.split_once(mark).map(|(_, rest)| until(rest));
        let phase = match &*until(word) {
            "ready" | "terminating" => "Running".to_owned(),
            phase => phase.to_owned(),
        };
        for _ in 0..after('*').map_or(1, |n| n.parse().unwrap()) {
            let uid = format!("{:02}", out.len());
            let mut pod = json!({ "metadata": { "name": uid, "namespace": "default", "uid": uid,
                "annotations": {}, "creationTimestamp": time::format(at(-50)) }, "spec": { "nodeName": "n" }, "status": { "phase": phase } });
            if !word.contains('!') {
                pod["metadata"]["finalizers"] = json!([TRACKING]);
            }
            if word.contains('^') {
                pod["spec"] = json!({});
            }
            if word.starts_with("ready") {
                pod["status"]["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
            }
            if word.starts_with("terminating") {
                pod["metadata"]["deletionTimestamp"] = time::format(at(-40)).into();
            }
            if let Some(index) = after('@') {
                pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] = index.into();
            }
            if let Some(failures) = after('/') {
                pod["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] =
                    failures.into();
            }
            let (code, end) = (after('#'), after('~'));
            if code.is_some() || end.is_some() {
                let code: i64 = code.map_or(0, |code| code.parse().unwrap());
                let end = end.map(|end| time::format(at(end.parse().unwrap())));
                pod["status"]["containerStatuses"] = json!([{ "name": "c", "state": { "terminated": { "exitCode": code, "finishedAt": end } } }]);
            }
            out.push(pod);
        }
    }
    out
}

/// Does to pods what the plan says, but for those to create.
fn apply(plan: &plan::Plan, pods: &mut [Value]) {
    for pod in pods.iter_mut() {
        let uid = meta::uid(pod).to_owned();
        if plan.drop.contains(&uid) || plan.release.contains(&uid) {
            meta::unset(pod, "finalizers");
        }
        if plan.drop.contains(&uid) || plan.delete.contains(&uid) {
            pod["metadata"]["deletionTimestamp"] = time::format(at(0)).into();
        }
    }
}

/// What a plan does, and how the job stands after everything is counted, in words.
fn outcome(job: &Value, words: &str) -> String {
    let (mut job, mut pods) = (job.clone(), pods(words));
    let plan = plan::of(&job, &pods, None, at(0));
    let mut out = String::new();
    let mut say = |name: &str, value: String| {
        if !value.is_empty() {
            out += &format!(" {name}={value}");
        }
    };
    let unless_zero = |count: i64| if count == 0 { String::new() } else { count.to_string() };
    let size = |uids: &BTreeSet<String>| unless_zero(uids.len() as i64);
    let indexes = plan.create.iter().filter_map(|new| new.index).collect::<indexes::Indexes>().to_string();
    say(
        "create",
        if indexes.is_empty() { unless_zero(plan.create.len() as i64) } else { format!("@{indexes}") },
    );
    say("drop", size(&plan.drop));
    say("delete", size(&plan.delete));
    say("release", size(&plan.release));
    apply(&plan, &mut pods);
    job["status"] = plan.status.clone();
    let status = plan::of(&job, &pods, Some(plan.record), at(0)).status;
    for field in ["active", "ready", "terminating", "succeeded", "failed"] {
        say(field, unless_zero(status[field].as_i64().unwrap_or(0)));
    }
    for field in ["completedIndexes", "failedIndexes"] {
        say(field, status[field].as_str().unwrap_or("").to_owned());
    }
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let conditions: Vec<String> = conditions
        .map(|c| {
            let no = if c["status"] == "True" { "" } else { "!" };
            format!("{no}{}:{}", c["type"].as_str().unwrap(), c["reason"].as_str().unwrap())
        })
        .collect();
    say("is", conditions.join(","));
    out.trim_start().to_owned()
}

#[track_caller]
fn check(rows: &[(Value, &str, &str)]) {
    for (spec, words, expected) in rows {
        let mut spec = spec.clone();
        let status = spec.as_object_mut().unwrap().remove("status").unwrap_or_else(|| json!({}));
        let is_deleting = spec.as_object_mut().unwrap().remove("deleting").is_some();
        let mut job = job(spec, status);
        if is_deleting {
            job["metadata"]["deletionTimestamp"] = time::format(at(-10)).into();
        }
        assert_eq!(outcome(&job, words), *expected, "{} with {words:?}", job["spec"]);
    }
}

const DONE: &str = "is=SuccessCriteriaMet:CompletionsReached,Complete:CompletionsReached";

#[test]
fn plain_jobs_keep_as_many_pods_as_they_need() {
    let of = |parallelism: i64, completions: i64| match completions {
        0.. => json!({ "parallelism": parallelism, "completions": completions, "backoffLimit": 6 }),
        _ => json!({ "parallelism": parallelism, "backoffLimit": 6 }),
    };
    let with = |mut spec: Value, field: &str, value: Value| {
        spec[field] = value;
        spec
    };
    let replaces = |spec: Value, policy: &str| with(spec, "podReplacementPolicy", json!(policy));
    check(&[
        (of(2, 5), "", "create=2"),
        (of(2, -1), "", "create=2"),
        (of(2, 5), "Pending*2", "active=2"),
        (of(3, 5), "Running ready*2", "active=3 ready=2"),
        (of(2, 5), "Running Succeeded", "create=1 release=1 active=1 succeeded=1"),
        (of(2, 5), "Running Failed", "create=1 release=1 active=1 failed=1"),
        (of(2, 5), "Running Failed~-4", "release=1 active=1 failed=1"),
        (of(2, 5), "Running Failed~-4 Succeeded~-3", "create=1 release=2 active=1 succeeded=1 failed=1"),
        (of(2, 5), "Running*3", "drop=1 active=2 terminating=1"),
        (of(2, 5), "ready*3", "drop=1 active=2 ready=2 terminating=1"),
        (of(2, 5), "Running*10", "drop=8 active=2 terminating=8"),
        (of(3, 4), "Running*3 Succeeded*2", "drop=1 release=2 active=2 terminating=1 succeeded=2"),
        (of(2, 5), "Running*2 Succeeded*2", "release=2 active=2 succeeded=2"),
        (of(2, 5), "Succeeded*5", &format!("release=5 succeeded=5 {DONE}")),
        (of(2, -1), "Running Succeeded", "release=1 active=1 succeeded=1"),
        (of(2, -1), "Succeeded Failed", &format!("release=2 succeeded=1 failed=1 {DONE}")),
        (of(1, 0), "", DONE),
        (
            replaces(of(1, -1), "Failed"),
            "Running Failed terminating",
            "release=1 active=1 terminating=1 failed=1",
        ),
        (replaces(of(1, 1), "Failed"), "terminating", "terminating=1"),
        (replaces(of(1, 1), "Failed"), "terminating^", "release=1 terminating=1 failed=1"),
        (
            replaces(of(1, -1), "TerminatingOrFailed"),
            "Running Failed terminating",
            "release=2 active=1 terminating=1 failed=2",
        ),
        (replaces(of(1, 1), "Failed"), "Running*2 terminating*4", "drop=1 active=1 terminating=5"),
        (
            with(of(1, 1), "podFailurePolicy", json!({ "rules": [] })),
            "Running*2 terminating*4",
            "drop=1 active=1 terminating=5",
        ),
        (with(of(2, 5), "deleting", json!(1)), "Pending Running Succeeded", "release=3 active=2 succeeded=1"),
        (with(of(2, 4), "suspend", json!(true)), "ready*2", "drop=2 terminating=2 is=Suspended:JobSuspended"),
        (
            with(with(of(2, 4), "suspend", json!(true)), "deleting", json!(1)),
            "Running*2",
            "release=2 active=2",
        ),
        (
            with(
                of(2, 4),
                "status",
                json!({ "conditions": [{ "type": "Suspended", "status": "True",
                "reason": "JobSuspended", "message": "Job suspended" }] }),
            ),
            "",
            "create=2 is=!Suspended:JobResumed",
        ),
        (
            with(
                of(1, 1),
                "status",
                json!({ "succeeded": 2, "failed": 3,
                "uncountedTerminatedPods": { "succeeded": ["x", "00"], "failed": ["y", "01"] } }),
            ),
            "Succeeded Failed",
            &format!("release=2 succeeded=4 failed=5 {DONE}"),
        ),
    ]);
}

#[test]
fn jobs_fail_when_too_much_fails_or_too_much_time_passes() {
    let of = |limit: i64| json!({ "parallelism": 2, "completions": 3, "backoffLimit": limit });
    let failed = |reason: &str| format!("is=FailureTarget:{reason},Failed:{reason}");
    let mut on_failure = of(2);
    on_failure["template"] = json!({ "spec": { "restartPolicy": "OnFailure" } });
    let mut late = of(6);
    late["activeDeadlineSeconds"] = json!(60);
    let mut early = late.clone();
    early["activeDeadlineSeconds"] = json!(61);
    let mut suspended = late.clone();
    suspended["suspend"] = json!(true);
    check(&[
        (of(0), "Failed", &format!("release=1 failed=1 {}", failed("BackoffLimitExceeded"))),
        (
            of(0),
            "ready*2 Failed",
            "delete=2 release=3 terminating=2 failed=3 is=FailureTarget:BackoffLimitExceeded",
        ),
        (of(1), "Failed", "create=2 release=1 failed=1"),
        (late, "Running", "delete=1 release=1 terminating=1 failed=1 is=FailureTarget:DeadlineExceeded"),
        (early, "Running*2", "active=2"),
        (suspended, "Running", "drop=1 terminating=1 is=Suspended:JobSuspended"),
    ]);
    let restarted = |counts: &[i64]| {
        let containers: Value = counts.iter().map(|n| json!({ "restartCount": n })).collect();
        json!({ "metadata": { "uid": "a", "finalizers": [TRACKING] },
            "status": { "phase": "Running", "containerStatuses": containers } })
    };
    for (limit, counts, fails) in
        [(2, [1, 0], false), (2, [1, 1], true), (0, [0, 0], false), (0, [1, 0], true)]
    {
        let mut spec = on_failure.clone();
        spec["backoffLimit"] = json!(limit);
        let plan = plan::of(&job(spec, json!({})), &[restarted(&counts)], None, at(0));
        assert_eq!(plan.delete.len() == 1, fails, "{limit} {counts:?}");
    }
}

#[test]
fn indexed_jobs_fill_the_open_indexes() {
    let of = |parallelism: i64, completions: i64, limit: i64| {
        json!({ "parallelism": parallelism, "completions": completions, "backoffLimit": limit,
            "completionMode": "Indexed" })
    };
    let mut replaces = of(2, 5, 6);
    replaces["podReplacementPolicy"] = json!("Failed");
    let mut smaller = of(2, 2, 6);
    smaller["status"] = json!({ "succeeded": 1, "completedIndexes": "3" });
    check(&[
        (of(2, 5, 6), "", "create=@0,1"),
        (replaces.clone(), "terminating@0", "create=@1 terminating=1"),
        (replaces, "terminating@1", "create=@0 terminating=1"),
        (of(2, 5, 6), "terminating@0", "create=@0,1 release=1 terminating=1 failed=1"),
        (
            of(2, 3, 6),
            "Succeeded@0 Failed@1 Succeeded@1 Succeeded@2",
            &format!("release=4 succeeded=3 failed=1 completedIndexes=0-2 {DONE}"),
        ),
        (
            of(2, 3, 0),
            "Succeeded@0 Failed@1 Running@2",
            "delete=1 release=3 terminating=1 succeeded=1 failed=2 completedIndexes=0 is=FailureTarget:BackoffLimitExceeded",
        ),
        (
            of(2, 3, 6),
            "Succeeded@0 Succeeded@1 Succeeded@1",
            "create=@2 release=3 succeeded=2 completedIndexes=0,1",
        ),
        (
            of(8, 20, 6),
            "Running@0 Succeeded@2 Pending@3 Succeeded@4 Succeeded@5 Succeeded@7 Succeeded@8 Succeeded@9",
            "create=@1,6,10-13 release=6 active=2 succeeded=6 completedIndexes=2,4,5,7-9",
        ),
        (of(3, 4, 6), "Failed@0 Pending@1 Failed@2", "create=@0,2 release=2 active=1 failed=2"),
        (
            of(2, 5, 6),
            "Running Succeeded Failed Running@x Succeeded@x Failed@x Pending@x Succeeded@0 Running@1 Running@2",
            "drop=3 release=5 active=2 terminating=3 succeeded=1 completedIndexes=0",
        ),
        (
            of(5, 5, 6),
            "Succeeded Failed Running@x Succeeded@0 Running@1 Running@2 Pending@2",
            "drop=2 release=3 active=2 terminating=2 succeeded=1 completedIndexes=0",
        ),
        (
            of(2, 5, 6),
            "Succeeded@0 Running@5 Succeeded@6 Pending@7 Failed@8",
            "drop=2 release=3 terminating=2 succeeded=1 completedIndexes=0",
        ),
        (smaller, "Running@0 Succeeded@1", "release=1 active=1 succeeded=1 completedIndexes=1"),
    ]);
}

#[test]
fn failure_policies_fail_ignore_and_count() {
    let of = |action: &str| {
        json!({ "parallelism": 1, "completions": 2, "backoffLimit": 0, "podFailurePolicy": { "rules": [
            { "action": action, "onExitCodes": { "operator": "In", "values": [3] } }] } })
    };
    let mut announced = of("FailJob");
    announced["status"] = json!({ "conditions": [{ "type": "FailureTarget", "status": "True",
        "reason": "PodFailurePolicy", "message": "m" }] });
    let failed = |reason: &str| format!("release=1 failed=1 is=FailureTarget:{reason},Failed:{reason}");
    check(&[
        (of("FailJob"), "Failed#3", &failed("PodFailurePolicy")),
        (of("FailJob"), "Failed#4", &failed("BackoffLimitExceeded")),
        (of("FailJob"), "Running#3", "active=1"),
        (of("FailJob"), "terminating#3", "terminating=1"),
        (
            of("FailJob"),
            "Running Failed#3",
            "delete=1 release=2 terminating=1 failed=2 is=FailureTarget:PodFailurePolicy",
        ),
        (announced, "Failed#4", &failed("PodFailurePolicy")),
        (of("Ignore"), "Failed#3~-60", "create=1 release=1"),
        (of("Ignore"), "Failed#4~-60", &failed("BackoffLimitExceeded")),
        (of("Count"), "Failed#3~-60", &failed("BackoffLimitExceeded")),
        (of("Count"), "terminating", "terminating=1"),
    ]);
}

#[test]
fn success_policies_end_jobs_early() {
    let of = |rule: Value| {
        json!({ "parallelism": 3, "completions": 3, "backoffLimit": 0, "completionMode": "Indexed",
            "successPolicy": { "rules": [rule] } })
    };
    let mut announced = of(json!({ "succeededCount": 1 }));
    announced["status"] = json!({ "completedIndexes": "0", "succeeded": 1, "conditions": [
        { "type": "SuccessCriteriaMet", "status": "True", "reason": "SuccessPolicy", "message": "m" }] });
    check(&[
        (
            of(json!({ "succeededCount": 1 })),
            "Running@0 Succeeded@1 Running@2",
            "delete=2 release=3 terminating=2 succeeded=1 completedIndexes=1 is=SuccessCriteriaMet:SuccessPolicy",
        ),
        (
            of(json!({ "succeededIndexes": "0,2" })),
            "Succeeded@0 Running@1 Succeeded@2",
            "delete=1 release=3 terminating=1 succeeded=2 completedIndexes=0,2 is=SuccessCriteriaMet:SuccessPolicy",
        ),
        (
            of(json!({ "succeededIndexes": "0-2" })),
            "Succeeded@0 Running@1 Succeeded@2",
            "release=2 active=1 succeeded=2 completedIndexes=0,2",
        ),
        (
            // What fails the job comes first.
            of(json!({ "succeededCount": 1 })),
            "Failed@0 Succeeded@1",
            "release=2 succeeded=1 failed=1 completedIndexes=1 \
             is=FailureTarget:BackoffLimitExceeded,Failed:BackoffLimitExceeded",
        ),
        (
            // Unless success was announced before.
            announced,
            "Failed@2 Succeeded@0!",
            "release=1 succeeded=1 failed=1 completedIndexes=0 \
             is=SuccessCriteriaMet:SuccessPolicy,Complete:SuccessPolicy",
        ),
    ]);
}

#[test]
fn indexes_have_limits_of_their_own() {
    let of = |completions: i64, more: Value| {
        let mut spec = json!({ "parallelism": completions, "completions": completions, "backoffLimit": i32::MAX,
            "completionMode": "Indexed", "backoffLimitPerIndex": 1 });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let none = || json!({});
    let policy = |action: &str| {
        json!({ "podFailurePolicy": { "rules": [
            { "action": action, "onExitCodes": { "operator": "In", "values": [3] } }] } })
    };
    let failed = |reason: &str| format!("is=FailureTarget:{reason},Failed:{reason}");
    check(&[
        (
            of(2, none()),
            "Failed@0/0 Succeeded@0/1 Succeeded@1/0",
            &format!("release=3 succeeded=2 failed=1 completedIndexes=0,1 {DONE}"),
        ),
        // A failed pod is kept until the one that takes its place is there.
        (of(2, none()), "Failed@0/0", "create=@0,1"),
        (of(2, none()), "Failed@0/0 Pending@0/1", "create=@1 release=1 active=1 failed=1"),
        (of(2, none()), "Running@0/0 Failed@1/0~0", "active=1"),
        (of(2, none()), "Failed@0/1", "create=@1 release=1 failed=1 failedIndexes=0"),
        (of(2, policy("FailIndex")), "Failed@0/0#3", "create=@1 release=1 failed=1 failedIndexes=0"),
        (
            of(2, policy("FailJob")),
            "Failed@0/0#3",
            &format!("release=1 failed=1 {}", failed("PodFailurePolicy")),
        ),
        (of(2, policy("Ignore")), "Failed@0/0#3", "create=@0,1"),
        (of(2, policy("Ignore")), "Failed@0/1#3", "create=@0,1"),
        (
            of(2, json!({ "backoffLimit": 1 })),
            "Failed@0/0 Failed@1/0",
            &format!("release=2 failed=2 {}", failed("BackoffLimitExceeded")),
        ),
        (
            of(2, none()),
            "Failed@0/1 Succeeded@1/0",
            &format!(
                "release=2 succeeded=1 failed=1 completedIndexes=1 failedIndexes=0 {}",
                failed("FailedIndexes")
            ),
        ),
        (
            of(4, json!({ "maxFailedIndexes": 1 })),
            "Failed@0/1 Succeeded@1/0 Failed@2/1 Running@3/0",
            "delete=1 release=4 terminating=1 succeeded=1 failed=3 completedIndexes=1 failedIndexes=0,2 \
             is=FailureTarget:MaxFailedIndexesExceeded",
        ),
    ]);
    // What the next pod of an index is told, and when it comes.
    for (action, words, expected, again) in [
        ("Count", "Failed@0/2#3", Some((3, 0)), None),
        ("Ignore", "Failed@0/2#3", Some((2, 1)), None),
        ("Ignore", "Failed@0/2#3~0 Failed@1/3#4", None, Some(40)),
    ] {
        let spec = of(1, policy(action));
        let mut job = job(spec, json!({}));
        job["spec"]["backoffLimitPerIndex"] = json!(9);
        let plan = plan::of(&job, &pods(words), None, at(0));
        let told: Vec<_> =
            plan.create.iter().map(|new| new.failures.unwrap()).map(|f| (f.counted, f.ignored)).collect();
        assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "{action} {words}");
        assert_eq!(plan.again, again.map(Duration::from_secs), "{action} {words}");
    }
}

#[test]
fn how_a_job_ends_is_announced_first() {
    let mut job = job(json!({ "parallelism": 1, "completions": 0, "backoffLimit": 6 }), json!({}));
    let first = plan::of(&job, &[], None, at(1));
    assert_eq!(first.status["conditions"].as_array().unwrap().len(), 1);
    assert!(first.status.get("completionTime").is_none() && first.tell.is_empty());
    job["status"] = first.status;
    let last = plan::of(&job, &[], Some(first.record), at(2));
    job["status"] = last.status;
    assert_eq!(end_of(&job).unwrap()["type"], "Complete");
    assert_eq!(job["status"]["completionTime"], time::format(at(2)));
    assert_eq!(last.tell, [(crate::events::Kind::Normal, "Completed".into(), "Job completed".into())]);
}

#[test]
fn a_job_is_looked_at_again_when_its_time_has_come() {
    let spec = json!({ "parallelism": 1, "completions": 1, "backoffLimit": 6, "activeDeadlineSeconds": 65 });
    let job = job(spec, json!({}));
    for (words, expected) in [("Running", 5), ("Failed~-8", 2), ("Failed~-3", 5)] {
        let plan = plan::of(&job, &pods(words), None, at(0));
        assert_eq!(plan.again, Some(Duration::from_secs(expected)), "{words}");
        assert!(plan.create.is_empty());
    }
    let known = Record { failures: 1, last: Some(at(-1)) };
    let plan = plan::of(&job, &[], Some(known), at(0));
    assert_eq!(plan.again, Some(Duration::from_secs(5)), "a failed pod that somebody deleted counts");
    assert!(plan.create.is_empty());
}

#[test]
fn a_job_of_any_size_is_planned_in_pieces() {
    for spec in [
        json!({ "parallelism": i32::MAX }),
        json!({ "parallelism": i32::MAX, "completions": i32::MAX, "completionMode": "Indexed" }),
    ] {
        let job = job(spec.clone(), json!({}));
        assert_eq!(plan::of(&job, &[], None, at(0)).create.len(), BURST_PODS);
    }
    for mode in ["Indexed", "NonIndexed"] {
        let spec = json!({ "parallelism": 1200, "completions": 1200, "completionMode": mode });
        let words: String = (0..1200).map(|i| format!("Succeeded@{i} ")).collect();
        let (mut job, mut pods) = (job(spec, json!({})), pods(&words));
        let mut released = Vec::new();
        while end_of(&job).is_none() {
            let plan = plan::of(&job, &pods, None, at(0));
            apply(&plan, &mut pods);
            released.push(plan.release.len());
            job["status"] = plan.status;
        }
        assert_eq!(released, [500, 500, 200, 0], "{mode}");
        assert_eq!(job["status"]["succeeded"], 1200);
    }
}
