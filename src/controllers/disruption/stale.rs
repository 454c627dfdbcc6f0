//! Takes back that a pod is about to be disrupted when nothing came of it: the condition `DisruptionTarget` of a pod that
//! is still not being deleted two minutes later.

use crate::pods;
use crate::runtime::{self, Failure, Key, Mapper, Next, Reconciler, Source};
use alcove_apiserver::options::{PatchType, WriteOptions};
use alcove_apiserver::{Client, Event, Object};
use alcove_object::{Env, Reason, Value, condition, meta, time};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long a pod may be about to be disrupted.
const PATIENCE: Duration = Duration::from_secs(2 * 60);
const CONDITION: &str = "DisruptionTarget";
/// Kubelets take as long as they need.
const BY_KUBELET: &str = "TerminationByKubelet";

/// Resets the condition of pods that were spared.
pub struct StaleDisruptions {
    client: Client,
    env: Arc<dyn Env>,
}

impl StaleDisruptions {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> StaleDisruptions {
        StaleDisruptions { client, env }
    }

    /// Pods that have the condition.
    pub fn sources() -> Vec<Source> {
        let mapper: Mapper = Box::new(|event, add| match event {
            Event::Added(pod) | Event::Modified(pod) if is_target(pod) => add(pod.key.clone()),
            _ => {}
        });
        vec![Source::new(pods::resource(), mapper)]
    }
}

fn is_target(pod: &Object) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Pod {
        status: PodStatus,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct PodStatus {
        conditions: Vec<Condition>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Condition {
        r#type: String,
        status: String,
    }
    // Hardly any pod has it, and this is asked of every change of every pod.
    let text = std::str::from_utf8(&pod.bytes).unwrap_or_default();
    if !text.contains(CONDITION) {
        return false;
    }
    let pod = serde_json::from_str::<Pod>(text).unwrap_or_default();
    pod.status.conditions.iter().any(|c| c.r#type == CONDITION && c.status == "True")
}

/// How long until the condition is stale; `None`: it is not there, or somebody acts on it.
fn left(pod: &Value, now: Timestamp) -> Option<Duration> {
    let condition = condition::find(pod, CONDITION).filter(|c| c["status"] == "True")?;
    if meta::is_deleting(pod) || pods::is_finished(pod) || condition["reason"] == BY_KUBELET {
        return None;
    }
    let since = condition["lastTransitionTime"].as_str().and_then(time::parse)?;
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    Some(PATIENCE.saturating_sub(passed))
}

impl Reconciler for StaleDisruptions {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn workers(&self) -> usize {
        1
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let resource = pods::resource();
        let Some(pod) = self.client.find(&resource, namespace, name)? else { return Ok(Next::Done) };
        let (pod, now) = (pod.parse(), self.env.now());
        match left(&pod, now) {
            None => return Ok(Next::Done),
            Some(left) if !left.is_zero() => return Ok(Next::After(left)),
            Some(_) => {}
        }
        let patch = json!({
            "metadata": { "uid": meta::uid(&pod), "resourceVersion": meta::text(&pod, "resourceVersion") },
            "status": { "conditions": [{
                "type": CONDITION, "status": "False", "reason": null, "message": null,
                "lastTransitionTime": time::format(now),
            }] },
        });
        let (kind, options) = (PatchType::Strategic, WriteOptions::default());
        match self.client.patch(&resource, "status", namespace, name, kind, patch, &options).await {
            Err(status) if !status.is(Reason::NOT_FOUND) => Err(status.into()),
            _ => Ok(Next::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pods_that_were_spared_are_waited_for() {
        let now = "2026-01-01T00:10:00Z".parse().unwrap();
        let pod = |status: &str, reason: &str, minute: u32| {
            json!({ "metadata": {}, "status": { "conditions": [{ "type": CONDITION, "status": status,
                "reason": reason, "lastTransitionTime": format!("2026-01-01T00:{minute:02}:00Z") }] } })
        };
        let mut going = pod("True", "EvictionByEvictionAPI", 1);
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:09:00Z".into();
        let mut ended = pod("True", "EvictionByEvictionAPI", 1);
        ended["status"]["phase"] = "Failed".into();
        let cases = [
            (json!({}), None),
            (pod("True", "EvictionByEvictionAPI", 9), Some(60)),
            (pod("True", "EvictionByEvictionAPI", 1), Some(0)),
            (pod("False", "", 1), None),
            (pod("True", BY_KUBELET, 1), None),
            (going, None),
            (ended, None),
        ];
        for (pod, expected) in cases {
            assert_eq!(left(&pod, now), expected.map(Duration::from_secs), "{pod}");
        }
    }
}
