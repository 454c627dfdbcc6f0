//! Plans as tables: which pods there are, what is done, what is reported.
//!
//! A pod is written as `NUMBER STATE REVISION`: `run` is available, `new` just became ready, `wait` is pending, `slow`
//! runs and is not ready, `fail` and `done` have ended, and a `-` after a state says that the pod is being deleted.

use super::*;
use std::fmt::Write;

const NOW: &str = "2026-01-01T01:00:00Z";

fn set(spec: Value) -> Value {
    let mut set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": "web", "namespace": "d", "uid": "set", "generation": 4 },
        "spec": {
            "replicas": 3, "serviceName": "www", "selector": { "matchLabels": { "app": "web" } },
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [] } },
        },
    });
    for (field, value) in spec.as_object().unwrap() {
        set["spec"][field] = value.clone();
    }
    set
}

fn pod(text: &str) -> (i64, Value) {
    let [ordinal, state, revision] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let ordinal: i64 = ordinal.parse().unwrap();
    let mut pod = identity::pod(&set(json!({})), ordinal, revision);
    pod["metadata"]["uid"] = format!("pod-{ordinal}").into();
    if state.ends_with('-') {
        pod["metadata"]["deletionTimestamp"] = NOW.into();
    }
    let (phase, ready, since) = match state.trim_end_matches('-') {
        "run" => ("Running", "True", "2026-01-01T00:00:00Z"),
        "new" => ("Running", "True", "2026-01-01T00:59:56Z"),
        "slow" => ("Running", "False", NOW),
        "wait" => ("Pending", "False", NOW),
        "fail" => ("Failed", "False", NOW),
        "done" => ("Succeeded", "False", NOW),
        other => panic!("{other}"),
    };
    pod["status"] = json!({ "phase": phase,
        "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": since }] });
    (ordinal, pod)
}

fn view(spec: Value, pods: &[&str]) -> View {
    let set = set(spec);
    let revised = |name: &str| Revised { name: name.to_owned(), set: set.clone() };
    View {
        current: revised("a"),
        update: revised("b"),
        collisions: 0,
        pods: pods.iter().map(|text| pod(text)).collect(),
        claims: BTreeMap::new(),
        now: NOW.parse().unwrap(),
        set,
    }
}

/// The steps in short: `+0b` makes number 0 of revision b, `-0` deletes it, `=0` keeps it.
fn steps(view: &View) -> String {
    let mut out = String::new();
    for step in of(view).phases.iter().flatten() {
        let (sign, pod) = match step {
            Step::Create(pod) => ("+", pod),
            Step::Delete(pod) => ("-", pod),
            Step::Keep(pod) => ("=", pod),
        };
        let ordinal = identity::ordinal(&view.set, pod).unwrap();
        let revision = if sign == "+" { meta::label(pod, REVISION).unwrap() } else { "" };
        write!(out, "{}{sign}{ordinal}{revision}", if out.is_empty() { "" } else { " " }).unwrap();
    }
    out
}

#[track_caller]
fn check(spec: Value, cases: &[(&[&str], &str)]) {
    for (pods, expected) in cases {
        assert_eq!(&steps(&view(spec.clone(), pods)), expected, "{spec} {pods:?}");
    }
}

#[test]
fn an_ordered_set_makes_one_pod_after_another() {
    check(
        json!({}),
        &[
            (&[], "+0b"),
            (&["0 wait b"], ""),
            (&["0 slow b"], ""),
            (&["0 run b"], "+1b"),
            (&["0 run b", "2 run b"], "+1b"),
            (&["0 run b", "1 run b", "2 run b"], ""),
            (&["0 run- b", "2 run b"], ""),
            (&["0 run b", "1 fail b", "2 run b"], "-1"),
            (&["0 run b", "1 done b"], "-1"),
            (&["0 run b", "1 fail- b"], ""),
        ],
    );
    check(json!({ "minReadySeconds": 10 }), &[(&["0 new b"], ""), (&["0 run b"], "+1b")]);
    check(json!({ "ordinals": { "start": 5 } }), &[(&[], "+5b"), (&["5 run b", "6 run b"], "+7b")]);
    check(json!({ "replicas": 0 }), &[(&[], "")]);
}

#[test]
fn an_ordered_set_takes_away_the_highest_pod_first() {
    let two = json!({ "replicas": 2 });
    check(
        two.clone(),
        &[
            (&["0 run b", "1 run b", "2 run b", "3 run b"], "-3"),
            (&["0 run b", "1 run b", "2 run b", "3 run- b"], ""),
            (&["0 run b", "1 slow b", "2 run b"], ""),
            (&["0 run b", "1 run b", "2 slow b"], "-2"),
            (&["0 run b", "1 run b", "2 slow b", "3 slow b"], ""),
            (&["0 run b", "1 run b", "2 slow b", "3 run b"], "-3"),
            // An update waits until the set has its size.
            (&["0 run a", "1 run a", "2 run a"], "-2"),
        ],
    );
    check(json!({ "replicas": 1, "ordinals": { "start": 1 } }), &[(&["0 run b", "1 run b"], "-0")]);
}

#[test]
fn a_parallel_set_waits_for_nobody_but_to_update() {
    let parallel = json!({ "podManagementPolicy": "Parallel" });
    check(
        parallel,
        &[
            (&[], "+0b +1b +2b"),
            (&["1 slow b"], "+0b +2b"),
            (&["0 fail b", "1 slow b", "2 run- b"], "-0"),
            (&["0 slow b", "1 run b", "2 run b", "3 run b", "4 slow b", "5 run- b"], "-4 -3"),
            (&["0 run a", "1 run a", "2 run a"], "-2"),
            (&["0 run a", "1 run a", "2 slow b"], ""),
            (&["0 run a", "1 slow a", "2 run b"], "-1"),
        ],
    );
}

#[test]
fn an_update_goes_downwards_and_waits_for_each_pod() {
    check(
        json!({}),
        &[
            (&["0 run a", "1 run a", "2 run a"], "-2"),
            (&["0 run a", "1 run a", "2 run- a"], ""),
            (&["0 run a", "1 run a"], "+2b"),
            (&["0 run a", "1 run a", "2 slow b"], ""),
            (&["0 run a", "1 run a", "2 run b"], "-1"),
            // A broken pod of the old revision blocks an ordered set, as upstream.
            (&["0 run a", "1 slow a", "2 run b"], ""),
        ],
    );
    let partitioned =
        json!({ "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 2 } } });
    check(
        partitioned,
        &[
            (&["0 run a", "1 run a", "2 run a"], "-2"),
            (&["0 run a", "1 run a", "2 run b"], ""),
            (&["0 run a", "2 run b"], "+1a"),
            (&["0 run a", "1 run a"], "+2b"),
        ],
    );
    let on_delete = json!({ "updateStrategy": { "type": "OnDelete" } });
    check(on_delete, &[(&["0 run a", "1 run a", "2 run a"], ""), (&["0 run a", "2 run a"], "+1b")]);
}

#[test]
fn without_settings_a_rolling_update_makes_lost_pods_of_the_revision_they_had() {
    let mut view = view(json!({ "updateStrategy": { "type": "RollingUpdate" } }), &["0 run a"]);
    view.set["status"] = json!({ "currentReplicas": 2 });
    assert_eq!(steps(&view), "+1a");
    view.set["status"] = json!({ "currentReplicas": 1 });
    assert_eq!(steps(&view), "+1b");
}

#[test]
fn a_set_that_is_deleted_only_reports() {
    let mut view = view(json!({}), &["0 run b"]);
    view.set["metadata"]["deletionTimestamp"] = NOW.into();
    assert_eq!(steps(&view), "");
    assert_eq!(of(&view).status["replicas"], 1);
}

#[test]
fn claims_are_made_for_pods_that_wait_and_owned_as_the_policy_says() {
    let spec = |scaled: &str| {
        json!({ "replicas": 1, "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": {} }],
            "persistentVolumeClaimRetentionPolicy": { "whenScaled": scaled, "whenDeleted": "Retain" } })
    };
    let owned_by = |uid: &str| {
        json!({ "metadata": { "name": "c", "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": "web-1",
            "uid": uid, "controller": true }] } })
    };
    let claims = |pairs: &[(&str, Value)]| -> BTreeMap<String, Value> {
        pairs.iter().map(|(name, claim)| ((*name).to_owned(), claim.clone())).collect()
    };
    let bare = json!({ "metadata": { "name": "c" } });
    for (scaled, replicas, pods, found, expected) in [
        ("Retain", 1, &["0 wait b"][..], claims(&[]), "=0"),
        ("Retain", 1, &["0 wait b"], claims(&[("data-web-0", bare.clone())]), ""),
        ("Retain", 1, &["0 run b"], claims(&[("data-web-0", bare.clone())]), "=0"),
        ("Delete", 1, &["0 wait b", "1 run b"], claims(&[("data-web-0", bare.clone())]), ""),
        ("Delete", 2, &["0 run b"], claims(&[("data-web-1", owned_by("old"))]), ""),
        ("Retain", 2, &["0 run b"], claims(&[("data-web-1", owned_by("old"))]), "+1b"),
    ] {
        let mut spec = spec(scaled);
        spec["replicas"] = replicas.into();
        let mut view = view(spec, pods);
        if pods == ["0 run b"] && replicas == 2 {
            // It has its volume already.
            view.pods.insert(0, {
                let mut pod = pod("0 run b").1;
                pod["spec"]["volumes"] =
                    json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data-web-0" } }]);
                pod
            });
        }
        view.claims = found;
        assert_eq!(steps(&view), expected, "{scaled} {replicas} {pods:?}");
    }
    let mut view = view(spec("Delete"), &["0 run b", "1 run b"]);
    view.pods.get_mut(&0).unwrap()["spec"]["volumes"] =
        json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data-web-0" } }]);
    view.claims = claims(&[("data-web-1", bare)]);
    assert_eq!(steps(&view), "=1 -1", "the claim goes with the pod that is scaled away");
}

#[test]
fn the_status_counts_pods_by_what_they_are() {
    let status = |spec: Value, pods: &[&str]| of(&view(spec, pods)).status;
    assert_eq!(
        status(json!({}), &["0 run a", "1 slow a", "2 run b", "3 run- b"]),
        json!({ "observedGeneration": 4, "collisionCount": 0, "replicas": 4, "readyReplicas": 3,
            "availableReplicas": 3, "currentReplicas": 2, "updatedReplicas": 1, "currentRevision": "a",
            "updateRevision": "b" })
    );
    assert_eq!(
        status(json!({}), &["0 run a", "1 run a", "2 run a"])["currentReplicas"],
        2,
        "one is about to be replaced"
    );
    let done = status(json!({}), &["0 run b", "1 run b", "2 run b"]);
    assert_eq!((&done["currentRevision"], &done["currentReplicas"]), (&json!("b"), &json!(3)));
    let on_delete = json!({ "updateStrategy": { "type": "OnDelete" } });
    assert_eq!(status(on_delete, &["0 run b", "1 run b", "2 run b"])["currentRevision"], "a");
}

#[test]
fn who_is_ready_but_not_yet_available_is_looked_at_again() {
    let view = view(json!({ "minReadySeconds": 10 }), &["0 run b", "1 new b"]);
    let plan = of(&view);
    assert_eq!(plan.next, Next::After(Duration::from_secs(6)));
    assert_eq!((&plan.status["readyReplicas"], &plan.status["availableReplicas"]), (&json!(2), &json!(1)));
}

#[test]
fn conditions_of_others_are_no_news() {
    let mut view = view(json!({}), &["0 run b", "1 run b", "2 run b"]);
    let status = of(&view).status;
    assert!(is_news(&view.set, &status));
    view.set["status"] = status.clone();
    view.set["status"]["conditions"] = json!([{ "type": "Theirs" }]);
    assert!(!is_news(&view.set, &status));
    view.set["status"]["replicas"] = 2.into();
    assert!(is_news(&view.set, &status));
}
