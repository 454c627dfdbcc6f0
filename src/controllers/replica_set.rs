//! ReplicaSets, and the ReplicationControllers that they came from: as many pods as asked for
//! (k8s.io/kubernetes/pkg/controller/{replicaset,replication}).

use crate::claims::{self, Claims, REPLICATION_CONTROLLER};
use crate::pod_control::PodControl;
use crate::pods;
use crate::runtime::{self, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::Client;
use alcove_object::selector::Labels;
use alcove_object::{Env, Gvr, Reason, Status, Value, condition, meta, settled, time};
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Pods created or deleted in one go at most (upstream's BurstReplicas).
const BURST_PODS: usize = 500;

/// The controller of ReplicaSets, or that of ReplicationControllers.
pub struct ReplicaSets {
    name: &'static str,
    resource: Gvr,
    client: Client,
    env: Arc<dyn Env>,
    control: PodControl,
    pods: Arc<Claims>,
}

impl ReplicaSets {
    /// A controller of ReplicaSets that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> ReplicaSets {
        let resource = Gvr::new("apps", "v1", "replicasets");
        ReplicaSets::of("replicaset-controller", resource, "ReplicaSet", client, env)
    }

    /// A controller of ReplicationControllers that acts as this client's user.
    pub fn of_replication_controllers(client: Client, env: Arc<dyn Env>) -> ReplicaSets {
        let resource = Gvr::new("", "v1", "replicationcontrollers");
        ReplicaSets::of("replication-controller", resource, REPLICATION_CONTROLLER, client, env)
    }

    fn of(
        name: &'static str,
        resource: Gvr,
        kind: &'static str,
        client: Client,
        env: Arc<dyn Env>,
    ) -> ReplicaSets {
        let control = PodControl::new(client.clone(), env.clone(), name);
        let pods = Arc::new(Claims::of_pods(client.clone(), resource.clone(), kind));
        ReplicaSets { name, resource, client, env, control, pods }
    }

    /// The sets and their pods.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        vec![Source::new(self.resource.clone(), runtime::by_key()), self.pods.source()]
    }

    /// Brings the number of active pods to what is asked for. Gives the first failure and what it was about.
    async fn scale(
        &self,
        set: &Value,
        active: &mut [Value],
        wanted: usize,
    ) -> Option<(&'static str, Status)> {
        if active.len() < wanted {
            let missing = (wanted - active.len()).min(BURST_PODS);
            let pod =
                |_| pods::from_template(&set["spec"]["template"], set, &format!("{}-", meta::name(set)));
            let created = self.control.create_all(set, 0..missing, pod).await;
            return created.err().map(|status| ("FailedCreate", status));
        }
        let surplus = (active.len() - wanted).min(BURST_PODS);
        pods::sort_for_deletion(active);
        let deleted = self.control.delete_all(set, &active[..surplus]).await;
        deleted.err().map(|status| ("FailedDelete", status))
    }

    async fn report(&self, set: &Value, wanted: Value) -> Result<(), Status> {
        if set.get("status") == Some(&wanted) {
            return Ok(());
        }
        let mut changed = set.clone();
        changed["status"] = wanted;
        let told =
            self.client.update_subresource(&self.resource, "status", meta::namespace(set), changed).await;
        settled(told, &[Reason::NOT_FOUND])
    }
}

/// What a set reports of its pods, and when an unavailable one may become available.
fn status(
    set: &Value,
    claimed: &[Value],
    failure: Option<&(&'static str, Status)>,
    now: Timestamp,
) -> (Value, Option<Duration>) {
    let min_ready = Duration::from_secs(set["spec"]["minReadySeconds"].as_u64().unwrap_or(0));
    let template = Labels::from_map(set.pointer("/spec/template/metadata/labels"));
    let active: Vec<&Value> = claimed.iter().filter(|p| pods::is_active(p)).collect();
    let waits: Vec<Duration> =
        active.iter().filter_map(|p| pods::time_to_available(p, min_ready, now)).collect();
    let counts = [
        ("readyReplicas", waits.len()),
        ("availableReplicas", waits.iter().filter(|w| w.is_zero()).count()),
        ("fullyLabeledReplicas", active.iter().filter(|p| template.matches(|k| meta::label(p, k))).count()),
    ];
    let mut status = json!({ "replicas": active.len(), "observedGeneration": meta::generation(set) });
    if set["kind"] != REPLICATION_CONTROLLER {
        let terminating = claimed.iter().filter(|p| meta::is_deleting(p) && !pods::is_finished(p));
        status["terminatingReplicas"] = terminating.count().into();
    }
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[field] = count.into();
    }
    // A failure that lasts is told as it began: words that change, as those with a pod's name do, would bring the set back
    // at once and without an end.
    if let Some((reason, failure)) = failure {
        let began = condition::find(set, "ReplicaFailure").cloned().unwrap_or_else(|| {
            json!({ "type": "ReplicaFailure", "status": "True", "reason": reason, "message": failure.message,
                    "lastTransitionTime": time::format(now) })
        });
        status["conditions"] = json!([began]);
    }
    (status, waits.into_iter().filter(|w| !w.is_zero()).min())
}

impl Reconciler for ReplicaSets {
    fn name(&self) -> &'static str {
        self.name
    }

    fn workers(&self) -> usize {
        4
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(set) = self.client.find(&self.resource, namespace, name)? else { return Ok(Next::Done) };
        let set = set.parse();
        let Some(selector) = claims::selector_of(&set) else { return Ok(Next::Done) };
        let claimed = self.pods.of(&set, &selector).await?;
        let mut failure = None;
        if !meta::is_deleting(&set) {
            let mut active: Vec<Value> = claimed.iter().filter(|p| pods::is_active(p)).cloned().collect();
            let wanted = set["spec"]["replicas"].as_u64().unwrap_or(1) as usize;
            failure = self.scale(&set, &mut active, wanted).await;
        }
        // Pods that were made or deleted just now are in the watch's next events, which bring the key back.
        let (wanted, next) = status(&set, &claimed, failure.as_ref(), self.env.now());
        self.report(&set, wanted).await?;
        match (failure, next) {
            (Some((_, status)), _) => Err(status.into()),
            (None, Some(delay)) => Ok(Next::After(delay)),
            (None, None) => Ok(Next::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, names, of};

    /// Words with the name of a pod in them are others each time; a status that followed them would wake its own set.
    #[test]
    fn a_failure_that_lasts_is_told_as_it_began() {
        let set = json!({ "kind": "ReplicaSet", "metadata": { "name": "web", "generation": 1 },
            "spec": { "replicas": 1, "template": { "metadata": {} } } });
        let refused = |pod: &str| ("FailedCreate", Status::bad_request(format!("no {pod}")));
        let at = |second| Timestamp::from_second(second).unwrap();
        let (first, _) = status(&set, &[], Some(&refused("web-a")), at(0));
        assert_eq!(first["conditions"][0]["message"], "no web-a");
        let mut failing = set.clone();
        failing["status"] = first.clone();
        assert_eq!(status(&failing, &[], Some(&refused("web-b")), at(9)).0, first);
        assert_eq!(status(&failing, &[], None, at(9)).0.get("conditions"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn replication_controllers_keep_their_pods_by_plain_labels() {
        let mut world = World::new().await;
        world.run_pods();
        let (controllers, pods) = (of("", "replicationcontrollers"), of("", "pods"));
        let spec = json!({ "containers": [{ "name": "c", "image": "i" }] });
        let orphan = json!({ "apiVersion": "v1", "kind": "Pod", "spec": spec,
            "metadata": { "name": "orphan", "namespace": "default", "labels": { "app": "web" } } });
        world.create(&pods, orphan).await;
        let controller = json!({ "apiVersion": "v1", "kind": "ReplicationController",
            "metadata": { "name": "web", "namespace": "default" },
            "spec": { "replicas": 3, "selector": { "app": "web" },
                "template": { "metadata": { "labels": { "app": "web" } }, "spec": spec } } });
        world.create(&controllers, controller).await;
        let all = world.until(&controllers, |all| all[0]["status"]["availableReplicas"] == 3).await;
        let expected = json!({ "replicas": 3, "readyReplicas": 3, "availableReplicas": 3,
            "fullyLabeledReplicas": 3, "observedGeneration": 1 });
        assert_eq!(all[0]["status"], expected);
        let found = world.list(&pods);
        assert!(names(&found).contains(&"orphan"), "a pod without a controller is adopted");
        assert!(found.iter().all(|pod| meta::controller_of(pod).is_some_and(|o| o["name"] == "web")));

        world.patch(&pods, "orphan", json!({ "metadata": { "labels": { "app": null } } })).await;
        let is_let_go = |all: &[Value]| {
            let orphan = all.iter().find(|pod| meta::name(pod) == "orphan");
            all.len() == 4 && orphan.is_some_and(|pod| meta::controller_of(pod).is_none())
        };
        world.until(&pods, is_let_go).await;
        world.patch(&controllers, "web", json!({ "spec": { "replicas": 0 } })).await;
        world.until(&pods, |all| names(all) == ["orphan"]).await;
    }
}
