//! ReplicaSets: as many pods as asked for (k8s.io/kubernetes/pkg/controller/replicaset).

use crate::claims::{self, Claims, UNREAD_OF_PODS};
use crate::events::{Kind, Recorder};
use crate::pods;
use crate::runtime::{self, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::Client;
use alcove_apiserver::options::DeleteOptions;
use alcove_object::selector::Labels;
use alcove_object::{Env, Gvr, Reason, Status, Value, meta, time};
use futures_util::future::join_all;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Pods created or deleted in one go at most (upstream's BurstReplicas).
const BURST_PODS: usize = 500;
/// Pods created at first; doubles while creations succeed, so that a quota that is used up costs few requests.
const SLOW_START_PODS: usize = 1;

/// The ReplicaSet controller.
pub struct ReplicaSets {
    client: Client,
    env: Arc<dyn Env>,
    events: Recorder,
    pods: Arc<Claims>,
}

impl ReplicaSets {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> ReplicaSets {
        let events = Recorder::new(client.clone(), env.clone(), "replicaset-controller");
        let pods = Arc::new(Claims {
            client: client.clone(),
            owners: resource(),
            kind: "ReplicaSet",
            owned: pod_resource(),
            finalizer: None,
            unread: UNREAD_OF_PODS,
            astray: Mutex::default(),
        });
        ReplicaSets { client, env, events, pods }
    }

    /// ReplicaSets and their pods.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        vec![Source::new(resource(), runtime::by_key()), self.pods.source()]
    }

    /// Creates pods in growing batches; gives how many were made, and the first failure.
    async fn create(&self, set: &Value, count: usize) -> (usize, Option<Status>) {
        let mut made = 0;
        let mut batch = SLOW_START_PODS;
        while made < count {
            let creations = (0..batch.min(count - made)).map(|_| self.create_one(set));
            let mut failure = None;
            for result in join_all(creations).await {
                match result {
                    Ok(()) => made += 1,
                    Err(status) => failure = Some(status),
                }
            }
            if failure.is_some() {
                return (made, failure);
            }
            batch *= 2;
        }
        (made, None)
    }

    async fn create_one(&self, set: &Value) -> Result<(), Status> {
        let pod = pods::from_template(&set["spec"]["template"], set, &format!("{}-", meta::name(set)));
        match self.client.create(&pod_resource(), meta::namespace(set), pod).await {
            Ok(pod) => {
                self.events
                    .tell(set, Kind::Normal, "SuccessfulCreate", &format!("Created pod: {}", pod.name()))
                    .await;
                Ok(())
            }
            // The namespace ends and takes the set with it.
            Err(status) if is_terminating(&status) => Ok(()),
            Err(status) => {
                let message = format!("Error creating: {status}");
                self.events.tell(set, Kind::Warning, "FailedCreate", &message).await;
                Err(status)
            }
        }
    }

    async fn delete_one(&self, set: &Value, pod: &Value) -> Result<(), Status> {
        let options = DeleteOptions { uid: Some(meta::uid(pod).to_owned()), ..DeleteOptions::default() };
        match self.client.delete(&pod_resource(), meta::namespace(pod), meta::name(pod), &options).await {
            Ok(_) => {
                let message = format!("Deleted pod: {}", meta::name(pod));
                self.events.tell(set, Kind::Normal, "SuccessfulDelete", &message).await;
                Ok(())
            }
            Err(status) if status.is(Reason::NOT_FOUND) || status.is(Reason::CONFLICT) => Ok(()),
            Err(status) => Err(status),
        }
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
            return self.create(set, missing).await.1.map(|status| ("FailedCreate", status));
        }
        let surplus = (active.len() - wanted).min(BURST_PODS);
        pods::sort_for_deletion(active);
        let deletions = active[..surplus].iter().map(|pod| self.delete_one(set, pod));
        let failure = join_all(deletions).await.into_iter().find_map(Result::err);
        failure.map(|status| ("FailedDelete", status))
    }

    async fn report(&self, set: &Value, wanted: Value) -> Result<(), Status> {
        if set.get("status") == Some(&wanted) {
            return Ok(());
        }
        let mut changed = set.clone();
        changed["status"] = wanted;
        match self.client.update_subresource(&resource(), "status", meta::namespace(set), changed).await {
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(()),
            result => result.map(drop),
        }
    }
}

/// Whether a creation failed since the namespace is being deleted.
pub(crate) fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|d| &d.causes);
    status.is(Reason::FORBIDDEN) && causes.into_iter().any(|c| c.reason == "NamespaceTerminating")
}

fn resource() -> Gvr {
    Gvr::new("apps", "v1", "replicasets")
}

fn pod_resource() -> Gvr {
    Gvr::new("", "v1", "pods")
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
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[field] = count.into();
    }
    if let Some((reason, failure)) = failure {
        let since = pods::condition(set, "ReplicaFailure").map(|c| c["lastTransitionTime"].clone());
        status["conditions"] = json!([{
            "type": "ReplicaFailure", "status": "True", "reason": reason, "message": failure.message,
            "lastTransitionTime": since.unwrap_or_else(|| time::format(now).into()),
        }]);
    }
    (status, waits.into_iter().filter(|w| !w.is_zero()).min())
}

impl Reconciler for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset-controller"
    }

    fn workers(&self) -> usize {
        4
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(set) = self.client.find(&resource(), namespace, name)? else { return Ok(Next::Done) };
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
