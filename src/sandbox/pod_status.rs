//! What a kubelet reports of a pod. Pure: pod in, status out.

use alcove_object::{condition, meta, time};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a container runs that is meant to end and does not sleep.
const RUN_TIME: Duration = Duration::from_secs(1);

/// How long the pod's containers run: as long as the one that sleeps the longest. `None`: for ever.
pub fn run_time(pod: &Value) -> Option<Duration> {
    let containers =
        pod.pointer("/spec/containers").and_then(Value::as_array).filter(|_| is_meant_to_end(pod))?;
    containers.iter().try_fold(RUN_TIME, |longest, container| Some(longest.max(time_of(container)?)))
}

/// How long `sleep 30` or `sleep 5m` takes; `None` for `sleep infinity`. Whatever else a container does takes a moment.
fn time_of(container: &Value) -> Option<Duration> {
    let words = |field: &str| container[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    let line: Vec<&str> = words("command").chain(words("args")).collect();
    let &[program, time] = line.as_slice() else { return Some(RUN_TIME) };
    if program.rsplit('/').next() != Some("sleep") {
        return Some(RUN_TIME);
    }
    let (count, unit) = time.split_at(time.trim_end_matches(|c: char| c.is_ascii_lowercase()).len());
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "infinity" => return None,
        _ => return Some(RUN_TIME),
    };
    let count: u64 = count.parse::<u32>().map_or(0, u64::from);
    Some(Duration::from_secs(count * seconds))
}

/// Whether the pod's containers are meant to end: a Job's pod, or one that is not restarted.
fn is_meant_to_end(pod: &Value) -> bool {
    let of_job = meta::controller_of(pod).is_some_and(|owner| owner["kind"] == "Job");
    of_job || pod.pointer("/spec/restartPolicy").and_then(Value::as_str).is_some_and(|p| p != "Always")
}

/// The status of a pod whose containers all run and are ready.
pub fn running(pod: &Value, address: &str, host: &str, now: Timestamp) -> Value {
    let started = started_at(pod, now);
    let running = json!({ "running": { "startedAt": started } });
    json!({
        "phase": "Running",
        "observedGeneration": meta::generation(pod),
        "hostIP": host, "hostIPs": [{ "ip": host }],
        "podIP": address, "podIPs": [{ "ip": address }],
        "startTime": started,
        "conditions": conditions(pod, true, None, now),
        "initContainerStatuses": containers(pod, "initContainers", &ended(&started, &started), true),
        "containerStatuses": containers(pod, "containers", &running, true),
    })
}

/// The status of a pod whose containers all ended well.
pub fn succeeded(pod: &Value, now: Timestamp) -> Value {
    let (started, finished) = (started_at(pod, now), time::format(now));
    json!({
        "phase": "Succeeded",
        "observedGeneration": meta::generation(pod),
        "conditions": conditions(pod, false, Some("PodCompleted"), now),
        "containerStatuses": containers(pod, "containers", &ended(&started, &finished), false),
    })
}

/// Whether the pod already has this status, so that nothing need be written. Times of an unchanged state stay as they
/// were, since they are taken from the pod.
pub fn is_reported(pod: &Value, status: &Value) -> bool {
    status.as_object().into_iter().flatten().all(|(field, value)| match field.as_str() {
        "conditions" => value.as_array().into_iter().flatten().all(|c| has_condition(pod, c)),
        _ if value.as_array().is_some_and(Vec::is_empty) => true,
        _ => pod.pointer(&format!("/status/{field}")) == Some(value),
    })
}

fn started_at(pod: &Value, now: Timestamp) -> String {
    let known = pod.pointer("/status/startTime").and_then(Value::as_str);
    known.map_or_else(|| time::format(now), str::to_owned)
}

fn ended(started: &str, finished: &str) -> Value {
    json!({ "terminated": { "exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": finished } })
}

fn containers(pod: &Value, list: &str, state: &Value, ready: bool) -> Vec<Value> {
    let specs = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array);
    let prefix = meta::uid(pod);
    specs
        .into_iter()
        .flatten()
        .map(|c| {
            let name = c["name"].as_str().unwrap_or_default();
            json!({
                "name": name, "image": c["image"], "imageID": "", "containerID": format!("simulated://{prefix}/{name}"),
                "ready": ready, "started": state.get("running").is_some(), "restartCount": 0, "state": state,
            })
        })
        .collect()
}

fn conditions(pod: &Value, ready: bool, reason: Option<&str>, now: Timestamp) -> Vec<Value> {
    let wanted = [
        ("PodReadyToStartContainers", ready),
        ("Initialized", true),
        ("Ready", ready),
        ("ContainersReady", ready),
        ("PodScheduled", true),
    ];
    wanted.iter().map(|(kind, holds)| condition(pod, kind, *holds, reason, now)).collect()
}

fn condition(pod: &Value, kind: &str, holds: bool, reason: Option<&str>, now: Timestamp) -> Value {
    let status = condition::status(holds);
    let known = condition::find(pod, kind).filter(|c| c["status"] == status);
    let since =
        known.and_then(|c| c["lastTransitionTime"].as_str()).map_or_else(|| time::format(now), str::to_owned);
    let mut out =
        json!({ "type": kind, "status": status, "lastTransitionTime": since, "lastProbeTime": null });
    if let Some(reason) = reason {
        out["reason"] = reason.into();
    }
    out
}

fn has_condition(pod: &Value, wanted: &Value) -> bool {
    let kind = wanted["type"].as_str().unwrap_or_default();
    condition::find(pod, kind)
        .is_some_and(|c| c["status"] == wanted["status"] && c["reason"] == wanted["reason"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(restart_policy: &str) -> Value {
        json!({
            "metadata": { "uid": "u1", "generation": 1 },
            "spec": { "restartPolicy": restart_policy, "containers": [{ "name": "c", "image": "i:1" }] },
        })
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_reported_status_is_not_reported_again() {
        let mut pod = pod("Always");
        let status = running(&pod, "10.244.0.2", "172.20.0.2", at("2026-01-01T00:00:00Z"));
        assert!(!is_reported(&pod, &status));
        pod["status"] = status;
        let again = running(&pod, "10.244.0.2", "172.20.0.2", at("2026-01-01T00:10:00Z"));
        assert!(is_reported(&pod, &again));
        pod["spec"]["containers"][0]["image"] = "i:2".into();
        let changed = running(&pod, "10.244.0.2", "172.20.0.2", at("2026-01-01T00:10:00Z"));
        assert!(!is_reported(&pod, &changed));
    }

    #[test]
    fn pods_that_are_not_restarted_end() {
        assert_eq!(run_time(&pod("Always")), None);
        assert_eq!(run_time(&pod("Never")), Some(RUN_TIME));
        let status = succeeded(&pod("Never"), at("2026-01-01T00:00:00Z"));
        assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
        assert_eq!(status["phase"], "Succeeded");
    }

    #[test]
    fn containers_that_sleep_run_so_long() {
        for (command, args, seconds) in [
            (json!(["sleep", "300"]), json!(null), Some(300)),
            (json!(["/bin/sleep"]), json!(["5m"]), Some(300)),
            (json!(null), json!(["sleep", "1d"]), Some(86_400)),
            (json!(["sleep", "infinity"]), json!(null), None),
            (json!(["sleep", "0"]), json!(null), Some(1)),
            (json!(["sleep", "-1"]), json!(null), Some(1)),
            (json!(["sleep", "99999999999999999999"]), json!(null), Some(1)),
            (json!(["sleep", "1x"]), json!(null), Some(1)),
            (json!(["sleep"]), json!(null), Some(1)),
            (json!(["sh", "-c", "sleep 300"]), json!(null), Some(1)),
        ] {
            let mut pod = pod("Never");
            pod["spec"]["containers"][0]["command"] = command.clone();
            pod["spec"]["containers"][0]["args"] = args;
            assert_eq!(run_time(&pod), seconds.map(Duration::from_secs), "{command}");
        }
    }
}
