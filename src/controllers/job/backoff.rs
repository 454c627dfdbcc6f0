//! How long a pod that takes a failed one's place has to wait (k8s.io/kubernetes/pkg/controller/job/backoff_utils.go).
//! Pure.

use alcove_object::{Value, condition, meta, time};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Delay before a pod that takes a failed one's place; doubles with each failure.
const BACKOFF_MIN: Duration = Duration::from_secs(10);
/// The longest such delay.
const BACKOFF_MAX: Duration = Duration::from_secs(600);

/// The failures of a job since its last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// How many.
    pub failures: u32,
    /// When the last of them was.
    pub last: Option<Timestamp>,
}

impl Record {
    /// The record after these pods ended, too: a success wipes out what failed until then.
    pub fn after(self, succeeded: &[&Value], failed: &[&Value]) -> Record {
        let times = |pods: &[&Value]| -> Vec<Timestamp> { pods.iter().map(|pod| ended_at(pod)).collect() };
        let (mut record, mut failed) = (self, times(failed));
        if let Some(success) = times(succeeded).into_iter().max() {
            record = Record::default();
            failed.retain(|at| *at > success);
        }
        let failures = u32::try_from(failed.len()).unwrap_or(u32::MAX);
        let last = failed.into_iter().max().or(record.last);
        Record { failures: record.failures.saturating_add(failures), last }
    }

    /// How long until the next pod may come.
    pub fn left(self, now: Timestamp) -> Duration {
        self.last.map_or(Duration::ZERO, |last| delay_left(self.failures, last, now))
    }
}

/// What is left, after this many failures, of the delay that began with the last of them.
pub fn delay_left(failures: u32, last: Timestamp, now: Timestamp) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let delay = BACKOFF_MIN.saturating_mul(1 << (failures - 1).min(10)).min(BACKOFF_MAX);
    left_of(delay, last, now)
}

/// What is left of a time that began then. A beginning that is still to come makes it longer.
pub fn left_of(whole: Duration, began: Timestamp, now: Timestamp) -> Duration {
    let whole = SignedDuration::try_from(whole).unwrap_or(SignedDuration::MAX);
    Duration::try_from(whole.saturating_sub(now.duration_since(began))).unwrap_or_default()
}

/// When a pod ended: when its last container did; or else when it stopped being ready; or else when it was deleted.
pub fn ended_at(pod: &Value) -> Timestamp {
    let at = |text: Option<&Value>| text.and_then(Value::as_str).and_then(time::parse);
    let unready = || {
        let ready = condition::find(pod, "Ready").filter(|c| c["status"] == "False");
        at(ready.and_then(|c| c.get("lastTransitionTime")))
    };
    let deleted = || {
        let grace = pod.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
        let gone = time::parse(meta::text(pod, "deletionTimestamp"))?;
        gone.checked_sub(SignedDuration::from_secs(grace)).ok()
    };
    let created = || time::parse(meta::text(pod, "creationTimestamp"));
    containers_ended_at(pod).or_else(unready).or_else(deleted).or_else(created).unwrap_or(Timestamp::MIN)
}

/// When the last container ended, if they all did. Sidecars end after the others, other init containers before.
fn containers_ended_at(pod: &Value) -> Option<Timestamp> {
    let list = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let sidecars: Vec<&Value> =
        list("/spec/initContainers").filter(|c| c["restartPolicy"] == "Always").map(|c| &c["name"]).collect();
    let ended = |statuses: Vec<&Value>| -> Option<Option<Timestamp>> {
        let times: Option<Vec<Timestamp>> = statuses
            .iter()
            .map(|c| c.pointer("/state/terminated/finishedAt")?.as_str().and_then(time::parse))
            .collect();
        times.map(|times| times.into_iter().max())
    };
    let main = ended(list("/status/containerStatuses").collect()).flatten();
    let beside = list("/status/initContainerStatuses").filter(|c| sidecars.contains(&&c["name"])).collect();
    ended(beside)?.max(main)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + seconds).unwrap()
    }

    fn ended(seconds: i64) -> Value {
        json!({ "status": { "containerStatuses": [
            { "state": { "terminated": { "finishedAt": time::format(at(seconds)) } } }] } })
    }

    /// Numbers are those of upstream's TestNewBackoffRecord and TestGetRemainingBackoffTime.
    #[test]
    fn failures_since_the_last_success_count() {
        let known = Record { failures: 2, last: Some(at(-5)) };
        let record = |failures, last: Option<i64>| Record { failures, last: last.map(at) };
        for (before, succeeded, failed, expected) in [
            (Record::default(), vec![], vec![], Record::default()),
            (Record::default(), vec![], vec![3, 1, 2], record(3, Some(3))),
            (known, vec![], vec![3], record(3, Some(3))),
            (known, vec![], vec![], known),
            (known, vec![1], vec![], Record::default()),
            (known, vec![1, 4], vec![2, 5, 7], record(2, Some(7))),
            (known, vec![9], vec![2, 9], Record::default()),
        ] {
            let pods = |times: Vec<i64>| times.into_iter().map(ended).collect::<Vec<Value>>();
            let (succeeded, failed) = (pods(succeeded), pods(failed));
            let after =
                before.after(&succeeded.iter().collect::<Vec<_>>(), &failed.iter().collect::<Vec<_>>());
            assert_eq!(after, expected);
        }
        for (failures, since, expected) in
            [(0, 0, 0), (1, 0, 10), (1, 4, 6), (1, 11, 0), (2, 0, 20), (3, 15, 25), (7, 0, 600), (90, 0, 600)]
        {
            let left = record(failures, Some(0)).left(at(since));
            assert_eq!(left, Duration::from_secs(expected), "{failures} failures, {since} s ago");
        }
    }

    #[test]
    fn the_last_container_says_when_a_pod_ended() {
        let terminated = |name: &str, seconds: i64| {
            json!({ "name": name,
            "state": { "terminated": { "finishedAt": time::format(at(seconds)) } } })
        };
        let running = json!({ "name": "b", "state": { "running": {} } });
        let spec =
            json!({ "initContainers": [{ "name": "side", "restartPolicy": "Always" }, { "name": "init" }] });
        let gone = json!({ "creationTimestamp": time::format(at(0)),
            "deletionTimestamp": time::format(at(40)), "deletionGracePeriodSeconds": 30 });
        let unready =
            json!([{ "type": "Ready", "status": "False", "lastTransitionTime": time::format(at(7)) }]);
        for (pod, expected) in [
            (json!({ "status": { "containerStatuses": [terminated("a", 1), terminated("b", 5)] } }), 5),
            (
                json!({ "spec": spec, "status": { "containerStatuses": [terminated("a", 1)],
                    "initContainerStatuses": [terminated("init", 9), terminated("side", 3)] } }),
                3,
            ),
            (
                json!({ "metadata": gone, "status": { "conditions": unready,
                    "containerStatuses": [terminated("a", 1), running] } }),
                7,
            ),
            (json!({ "metadata": gone, "status": {} }), 10),
            (json!({ "metadata": { "creationTimestamp": time::format(at(2)) } }), 2),
        ] {
            assert_eq!(ended_at(&pod), at(expected), "{pod}");
        }
    }
}
