//! What is wrong, where, and what to do about it: read from objects, their conditions and their events. `create` tells
//! it while it waits, `doctor` when it is asked.

use crate::tenants::{Trouble, trouble};
use alcove_object::{condition, meta};
use serde_json::{Value, json};

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, such as `pod red-0 on the host`.
    pub place: String,
    /// What is wrong, in plain words.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl Finding {
    /// A finding.
    pub fn new(place: impl Into<String>, what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { place: place.into(), what: what.into(), advice: advice.into() }
    }

    /// As scripts read it.
    pub fn tree(&self) -> Value {
        json!({ "where": self.place, "what": self.what, "advice": self.advice })
    }
}

/// The warning that happened last to an object.
pub fn last_warning<'a>(events: &'a [Value], uid: &str) -> Option<&'a Value> {
    let about = |event: &&Value| event["involvedObject"]["uid"] == uid && event["type"] == "Warning";
    events.iter().filter(about).max_by_key(|event| when(event).to_owned())
}

/// When an event happened last, as text that sorts.
fn when(event: &Value) -> &str {
    let times = ["lastTimestamp", "eventTime"].map(|key| event[key].as_str());
    let series = event.pointer("/series/lastObservedTime").and_then(Value::as_str);
    let created = event.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
    [series, times[0], times[1], created].into_iter().flatten().next().unwrap_or_default()
}

fn message(event: &Value) -> String {
    event["message"].as_str().unwrap_or_default().trim().to_owned()
}

/// What keeps a pod of a control plane from running.
pub fn of_control_plane(pod: &Value, events: &[Value]) -> Option<Finding> {
    let place = format!("pod {} on the host", meta::name(pod));
    let is_ready = condition::is_true(pod, "Ready");
    if is_ready {
        return None;
    }
    if let Some(trouble) = trouble(pod) {
        let (what, advice) = in_words(&trouble, meta::namespace(pod), meta::name(pod));
        return Some(Finding { place, what, advice });
    }
    let is_placed = pod.pointer("/spec/nodeName").is_some();
    let still_true = |event: &&Value| event["reason"] != "FailedScheduling" || !is_placed;
    let Some(event) = last_warning(events, meta::uid(pod)).filter(still_true) else {
        return Some(match is_placed {
            true => Finding::new(place, of_start(pod, events), "look again in a moment"),
            false => Finding::new(
                place,
                "it waits for a node, and the host does not say why",
                "look again in a moment; if nothing changes, the host's scheduler may be down: ask the platform team",
            ),
        });
    };
    let advice = match event["reason"].as_str().unwrap_or_default() {
        "FailedMount" | "FailedAttachVolume" => "look at the volume and its StorageClass on the host",
        "Unhealthy" => "it has only just started, or its log tells why it does not serve",
        "FailedCreatePodSandBox" => "the node has no network for it: ask the platform team",
        _ => "the message says what the host wants; ask the platform team",
    };
    Some(Finding::new(place, message(event), advice))
}

/// What a pod does that has a node and is not ready.
fn of_start(pod: &Value, events: &[Value]) -> String {
    let last = |reason: &str| {
        let of_pod =
            |event: &&Value| event["involvedObject"]["uid"] == meta::uid(pod) && event["reason"] == reason;
        events.iter().filter(of_pod).map(|event| when(event).to_owned()).max()
    };
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if let Some(begun) = last("Pulling")
        && last("Pulled").is_none_or(|ended| ended < begun)
    {
        return format!("node {node} still pulls its image");
    }
    format!("it starts on node {node} and is not ready yet")
}

/// Troubles of a pod of ours in words, with what to do.
fn in_words(trouble: &Trouble, namespace: &str, pod: &str) -> (String, String) {
    let Trouble { reason, message, .. } = trouble;
    match reason.as_str() {
        "Unschedulable" if message.contains("PersistentVolumeClaim") || message.contains("persistentvolumeclaim") => (
            format!("no node can take it, since its claim has no volume: {message}"),
            "see the claim's events; name a StorageClass with --set controlPlane.storage.class=NAME, or do without a volume in a throw-away tenant with --set controlPlane.storage.persistent=false".into(),
        ),
        "Unschedulable" => (
            format!("no node can take it: {message}"),
            "make room, or change controlPlane.resources, controlPlane.nodeSelector or controlPlane.tolerations".into(),
        ),
        "ErrImageNeverPull" => (
            format!("its image is not on the node, and may not be pulled: {message}"),
            "load the image on the nodes, or allow pulling with --set controlPlane.image.pullPolicy=IfNotPresent".into(),
        ),
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" => (
            format!("its image cannot be pulled: {message}"),
            "check the name given with --image, and name credentials with --set 'controlPlane.image.pullSecrets=[NAME]' if the registry wants them".into(),
        ),
        "CrashLoopBackOff" => (
            format!("its process ends again and again: {message}"),
            format!("its log says why: kubectl logs -n {namespace} {pod} --previous"),
        ),
        _ => (format!("{reason}: {message}"), "the message says what the host wants; ask the platform team".into()),
    }
}

/// Why a StatefulSet cannot make its pod.
pub fn of_set(set: &Value, events: &[Value]) -> Option<Finding> {
    let event = last_warning(events, meta::uid(set)).filter(|event| event["reason"] == "FailedCreate")?;
    let place = format!("StatefulSet {} on the host", meta::name(set));
    let text = message(event);
    let (what, advice) = if text.contains("exceeded quota") || text.contains("failed quota") {
        (
            "the namespace's quota has no room for its pod",
            "ask the platform team for more quota, or ask for less with controlPlane.resources",
        )
    } else if text.contains("PodSecurity") {
        (
            "the namespace's Pod Security level refuses its pod",
            "ask the platform team for a namespace that allows it",
        )
    } else if text.contains("forbidden") || text.contains("denied") {
        ("the host refuses its pod", "the message names the rule; ask the platform team")
    } else {
        ("its pod cannot be made", "the message says what the host wants; ask the platform team")
    };
    Some(Finding::new(place, format!("{what}: {text}"), advice))
}

/// Why a claim has no volume.
pub fn of_claim(claim: &Value, events: &[Value]) -> Option<Finding> {
    let phase = claim.pointer("/status/phase").and_then(Value::as_str).unwrap_or("Pending");
    let place = format!("claim {} on the host", meta::name(claim));
    let advice = "name a StorageClass of the host with --set controlPlane.storage.class=NAME, or do without a volume in a throw-away tenant with --set controlPlane.storage.persistent=false";
    match phase {
        "Bound" => None,
        "Lost" => Some(Finding::new(
            place,
            "its volume is lost",
            "restore the volume on the host, or make the tenant anew",
        )),
        _ => {
            let of_claim = |event: &&Value| event["involvedObject"]["uid"] == meta::uid(claim);
            // That a claim waits for its first pod is no trouble.
            let quiet =
                ["WaitForFirstConsumer", "ExternalProvisioning", "Provisioning", "ProvisioningSucceeded"];
            let told = |event: &&Value| !quiet.contains(&event["reason"].as_str().unwrap_or_default());
            let last =
                events.iter().filter(of_claim).filter(told).max_by_key(|event| when(event).to_owned())?;
            Some(Finding::new(place, format!("it has no volume: {}", message(last)), advice))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(uid: &str, reason: &str, message: &str, at: &str) -> Value {
        json!({ "type": "Warning", "reason": reason, "message": message, "lastTimestamp": at, "involvedObject": { "uid": uid } })
    }

    #[test]
    fn what_keeps_a_control_plane_is_told_with_what_to_do() {
        let pod = |status: Value| json!({ "metadata": { "name": "red-0", "namespace": "red", "uid": "p" }, "status": status });
        let waiting = |reason: &str| json!({ "containerStatuses": [{ "state": { "waiting": { "reason": reason, "message": "why" } } }] });
        let unscheduled = |message: &str| json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message }] });
        for (status, what, advice) in [
            (waiting("ErrImageNeverPull"), "not on the node", "load the image"),
            (waiting("ImagePullBackOff"), "cannot be pulled", "--image"),
            (waiting("CrashLoopBackOff"), "again and again", "kubectl logs -n red red-0 --previous"),
            (unscheduled("0/1 nodes: Insufficient cpu"), "no node can take it", "make room"),
            (
                unscheduled("unbound immediate PersistentVolumeClaims"),
                "no volume",
                "controlPlane.storage.class",
            ),
        ] {
            let found = of_control_plane(&pod(status), &[]).unwrap();
            assert!(found.what.contains(what) && found.advice.contains(advice), "{found:?}");
        }
        let mut placed = pod(json!({ "phase": "Pending" }));
        placed["spec"] = json!({ "nodeName": "one" });
        let scheduling = [event("p", "FailedScheduling", "no room", "2026-01-01T00:00:00Z")];
        assert!(of_control_plane(&placed, &scheduling).unwrap().what.contains("starts on node one"));
        let mut pulling = [event("p", "Pulling", "pulls", "2026-01-01T00:00:00Z")];
        pulling[0]["type"] = "Normal".into();
        assert!(of_control_plane(&placed, &pulling).unwrap().what.contains("pulls its image"));
        let ready = pod(json!({ "conditions": [{ "type": "Ready", "status": "True" }] }));
        assert_eq!(of_control_plane(&ready, &[event("p", "Unhealthy", "x", "2026-01-01T00:00:00Z")]), None);
    }

    #[test]
    fn the_last_warning_counts() {
        let set = json!({ "metadata": { "name": "red", "uid": "s" } });
        let events = [
            event("s", "FailedCreate", "pods is forbidden: exceeded quota: a", "2026-01-01T00:00:02Z"),
            event("s", "FailedCreate", "violates PodSecurity", "2026-01-01T00:00:01Z"),
            event("other", "FailedCreate", "x", "2026-01-01T00:00:03Z"),
        ];
        assert!(of_set(&set, &events).unwrap().what.contains("quota"));
        assert!(of_set(&set, &events[1..]).unwrap().what.contains("Pod Security"));
        assert_eq!(of_set(&set, &events[2..]), None);
    }

    #[test]
    fn a_claim_that_waits_for_its_pod_is_no_trouble() {
        let claim = |phase: &str| json!({ "metadata": { "name": "data-red-0", "uid": "c" }, "status": { "phase": phase } });
        let none = [event("c", "WaitForFirstConsumer", "waits", "2026-01-01T00:00:00Z")];
        assert_eq!(of_claim(&claim("Pending"), &none), None);
        assert_eq!(
            of_claim(&claim("Bound"), &[event("c", "FailedBinding", "no", "2026-01-01T00:00:00Z")]),
            None
        );
        let failed = [event("c", "FailedBinding", "no storage class is set", "2026-01-01T00:00:00Z")];
        assert!(of_claim(&claim("Pending"), &failed).unwrap().what.contains("no storage class is set"));
    }
}
