//! Plans as tables: which pods are on which nodes, and what is done.
//!
//! A node is written as its name; with a `-` before it, it gets no pod; with a `~`, one that is there stays. A pod is
//! written as `NODE STATE REVISION`: `run` is available, `slow` is not ready, `fail` and `done` have ended, and a `-`
//! after a state says that the pod is being deleted. The current revision is b.

use super::*;
use serde_json::json;

const NOW: &str = "2026-01-01T01:00:00Z";

fn set(rolling: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "agent", "namespace": "d", "uid": "set" },
        "spec": { "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": rolling },
            "template": { "metadata": { "labels": { "app": "agent" } }, "spec": {} } },
    })
}

fn a_pod(index: usize, text: &str) -> Value {
    let [node, state, revision] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let mut pod = pod::pod(&set(json!({})), node, revision);
    let name = format!("{node}{index}{revision}");
    meta::set(&mut pod, "uid", name.clone());
    meta::set(&mut pod, "name", name);
    meta::set(&mut pod, "creationTimestamp", format!("2026-01-01T00:00:{index:02}Z"));
    if state.ends_with('-') {
        meta::set(&mut pod, "deletionTimestamp", NOW);
    }
    let (phase, ready) = match state.trim_end_matches('-') {
        "run" => ("Running", "True"),
        "slow" => ("Running", "False"),
        "fail" => ("Failed", "False"),
        "done" => ("Succeeded", "False"),
        other => panic!("{other}"),
    };
    pod["status"] = json!({ "phase": phase,
        "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z" }] });
    pod
}

pub(in super::super) fn view(rolling: Value, nodes: &[&str], pods: &[&str]) -> View {
    let node = |text: &&str| match (text.strip_prefix('-'), text.strip_prefix('~')) {
        (Some(name), _) => (name.to_owned(), Fit::No),
        (_, Some(name)) => (name.to_owned(), Fit::Stays),
        _ => ((*text).to_owned(), Fit::Runs),
    };
    View {
        set: set(rolling),
        hash: "b".into(),
        nodes: nodes.iter().map(node).collect(),
        pods: by_node(pods.iter().enumerate().map(|(index, text)| a_pod(index, text)).collect()),
        now: NOW.parse().unwrap(),
    }
}

/// The plan in short: `+NODE` gets a pod, `-NODE INDEX REVISION` goes.
fn steps(view: &View) -> String {
    let plan = of(view, &|_| None);
    let created = plan.create.iter().map(|node| format!("+{node}"));
    let deleted = plan.delete.iter().map(|pod| format!("-{}", meta::name(pod)));
    created.chain(deleted).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(rolling: Value, cases: &[(&[&str], &[&str], &str)]) {
    for (nodes, pods, expected) in cases {
        assert_eq!(&steps(&view(rolling.clone(), nodes, pods)), expected, "{rolling} {nodes:?} {pods:?}");
    }
}

#[test]
fn every_node_that_fits_has_one_pod() {
    check(
        json!({ "maxUnavailable": 1, "maxSurge": 0 }),
        &[
            (&[], &[], ""),
            (&["m", "n"], &[], "+m +n"),
            (&["m", "n", "-o", "~p"], &["m run b"], "+n"),
            (&["-m", "~n"], &["m run b", "n run b"], "-m0b"),
            (&["-m"], &["m run- b"], ""),
            (&["n"], &["n run- b"], ""),
            (&["n"], &["n run b", "n run b", "n slow b"], "-n1b -n2b"),
            (&["n"], &["n done b"], "-n0b"),
            (&["n"], &["n done- b"], "+n"),
            (&["n"], &["n fail b"], "-n0b"),
            (&["n"], &["n run b", "gone run b", "lost run- b"], "-gone1b"),
        ],
    );
}

#[test]
fn a_failed_pod_stays_while_its_node_rests() {
    let view = view(json!({}), &["n"], &["n fail b"]);
    let plan = of(&view, &|node| (node == "n").then_some(Duration::from_secs(3)));
    assert_eq!((plan.wait, plan.delete.len(), plan.tell.len()), (Some(Duration::from_secs(3)), 0, 0));
    let plan = of(&view, &|_| None);
    assert_eq!(plan.failed_on, ["n"]);
    assert_eq!(plan.tell[0].2, "Found failed daemon pod /n0b on node n, will try to kill it");
}

#[test]
fn old_pods_go_a_few_at_a_time() {
    let all = &["m", "n", "o"][..];
    check(
        json!({ "maxUnavailable": 1, "maxSurge": 0 }),
        &[
            (all, &["m run a", "n run a", "o run a"], "-m0a"),
            (all, &["m run- a", "n run a", "o run a"], ""),
            (all, &["m slow b", "n run a", "o run a"], ""),
            (all, &["m run b", "n run a", "o run a"], "-n1a"),
            (all, &["m run a", "n slow a", "o slow a"], "-n1a -o2a"),
            (all, &["m run b", "n run b", "o run b"], ""),
        ],
    );
    let half = json!({ "maxUnavailable": "50%" });
    check(half, &[(all, &["m run a", "n run a", "o run a"], "-m0a -n1a")]);
    let none = json!({ "maxUnavailable": 0 });
    check(none, &[(all, &["m run a", "n run a", "o run a"], "-m0a")]);
    let mut by_hand = view(json!({}), all, &["m run a", "n run a", "o run a"]);
    by_hand.set["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
    assert_eq!(steps(&by_hand), "");
}

#[test]
fn with_a_surge_new_pods_come_first() {
    let all = &["m", "n"][..];
    check(
        json!({ "maxUnavailable": 0, "maxSurge": 1 }),
        &[
            (all, &["m run a", "n run a"], "+m"),
            (all, &["m run a", "m slow b", "n run a"], ""),
            (all, &["m run a", "m run b", "n run a"], "-m0a"),
            (all, &["m slow a", "m slow b", "n run a"], "-m0a"),
            (all, &["m run b", "n run a"], "+n"),
            (all, &["m slow a", "n run a"], "+m +n"),
            (all, &["m run- a", "n run b"], "+m"),
            (all, &["m run a", "m run a", "m slow b", "n run b"], "-m1a"),
            // The pod of a node that should have none any more goes when enough others serve.
            (&["~m", "n"], &["m run a", "n slow b"], ""),
            (&["~m", "n"], &["m run a", "n run b"], "-m0a"),
        ],
    );
}

#[test]
fn nodes_fit_by_name_selector_and_taints() {
    let node = |taint: Option<(&str, &str)>| {
        let taints: Vec<Value> =
            taint.iter().map(|(key, effect)| json!({ "key": key, "effect": effect })).collect();
        json!({ "metadata": { "name": "n", "labels": { "a": "b" } }, "spec": { "taints": taints } })
    };
    for (template, taint, expected) in [
        (json!({}), None, Fit::Runs),
        (json!({ "nodeName": "n" }), None, Fit::Runs),
        (json!({ "nodeName": "m" }), None, Fit::No),
        (json!({ "nodeSelector": { "a": "c" } }), None, Fit::No),
        (json!({}), Some(("own", "NoSchedule")), Fit::Stays),
        (json!({}), Some(("own", "NoExecute")), Fit::No),
        (json!({}), Some(("own", "PreferNoSchedule")), Fit::Runs),
        (json!({}), Some(("node.kubernetes.io/unschedulable", "NoSchedule")), Fit::Runs),
        (json!({}), Some(("node.kubernetes.io/not-ready", "NoExecute")), Fit::Runs),
        (json!({ "tolerations": [{ "operator": "Exists" }] }), Some(("own", "NoExecute")), Fit::Runs),
    ] {
        let mut set = set(json!({}));
        set["spec"]["template"]["spec"] = template.clone();
        assert_eq!(fit(&pod::spec(&set), &node(taint)), expected, "{template} {taint:?}");
    }
}
