//! Takes pods away that nobody else will: finished ones beyond a number, those whose node is gone, and those that shall go
//! and never came to a node (k8s.io/kubernetes/pkg/controller/podgc).
//!
//! A node may come after its pods, and the syncer makes nodes again for the pods that the host has placed; so a node must
//! have been missing for a while, and is looked for once more, before anything is deleted.

use crate::pods;
use crate::runtime::{self, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::options::{DeleteOptions, ListOptions, PatchType, WriteOptions};
use alcove_apiserver::{Client, Event};
use alcove_object::lean::Wanted;
use alcove_object::selector::Fields;
use alcove_object::{Env, Gvr, Reason, Status, Value, meta, settled, time};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Finished pods that are kept: upstream's default of `--terminated-pod-gc-threshold`.
pub const FINISHED_PODS_MAX: usize = 12_500;
/// How long a node must be missing.
const QUARANTINE: Duration = Duration::from_secs(40);
/// How long a pod without a node may take to go: as often as upstream looks.
const GOING: Duration = Duration::from_secs(20);
/// The key of all finished pods. Keys of pods have a namespace.
const FINISHED: &str = "finished";
/// What is read of a pod to tell whether it may be left over.
const READ: [&str; 5] = [
    "metadata/creationTimestamp",
    "metadata/deletionTimestamp",
    "spec/nodeName",
    "status/phase",
    "status/reason",
];

/// Deletes pods that are left over.
pub struct PodGc {
    client: Client,
    env: Arc<dyn Env>,
    finished_max: usize,
    read: Wanted,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Finished pods by what decides who goes first: evicted ones, then old ones.
    finished: HashMap<Key, (bool, Option<Timestamp>)>,
    /// Since when pods are known to be lost, or were last deleted.
    lost: HashMap<Key, Timestamp>,
}

/// Why a pod is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// Its node is not there.
    Orphaned,
    /// It shall go and has no node whose kubelet would end it.
    Unscheduled,
}

impl Lost {
    fn patience(self) -> Duration {
        match self {
            Lost::Orphaned => QUARANTINE,
            Lost::Unscheduled => GOING,
        }
    }
}

impl PodGc {
    /// A controller that acts as this client's user and keeps so many finished pods.
    pub fn new(client: Client, env: Arc<dyn Env>, finished_max: usize) -> PodGc {
        PodGc { client, env, finished_max, read: Wanted::of(&READ), state: Mutex::default() }
    }

    /// Pods, and those of a node that goes.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let (this, that) = (self.clone(), self.clone());
        let pods = move |event: &Event, add: &mut dyn FnMut(Key)| this.see(event, add);
        let nodes = move |event: &Event, add: &mut dyn FnMut(Key)| {
            if let Event::Deleted(node) = event {
                that.pods_on(node.name()).for_each(add);
            }
        };
        vec![Source::new(pods::resource(), Box::new(pods)), Source::new(nodes_resource(), Box::new(nodes))]
    }

    fn see(&self, event: &Event, add: &mut dyn FnMut(Key)) {
        match event {
            Event::Deleted(pod) => {
                let mut state = self.state.lock();
                state.finished.remove(&pod.key);
                state.lost.remove(&pod.key);
            }
            Event::Added(pod) | Event::Modified(pod) => {
                let tree = self.read.read(&pod.bytes).unwrap_or_default();
                if pods::is_finished(&tree) && self.note_finished(&pod.key, &tree) {
                    add(FINISHED.into());
                }
                let is_lost = match pods::node(&tree) {
                    None => meta::is_deleting(&tree),
                    Some(node) => !self.has_node(node).unwrap_or(true),
                };
                if is_lost || self.state.lock().lost.contains_key(&pod.key) {
                    add(pod.key.clone());
                }
            }
            Event::Bookmark { .. } => {}
        }
    }

    /// Remembers a finished pod; gives whether there are too many.
    fn note_finished(&self, key: &Key, pod: &Value) -> bool {
        let mut state = self.state.lock();
        let finished = &mut state.finished;
        finished.entry(key.clone()).or_insert_with(|| {
            let is_evicted = pod["status"]["reason"] == "Evicted";
            (!is_evicted, time::parse(meta::text(pod, "creationTimestamp")))
        });
        finished.len() > self.finished_max
    }

    /// The finished pods that are too many, those that go first in front.
    fn surplus(&self) -> Vec<Key> {
        let state = self.state.lock();
        let many = state.finished.len().saturating_sub(self.finished_max);
        let mut all: Vec<_> = state.finished.iter().collect();
        let name = |key: &Key| runtime::split(key).1.to_owned();
        all.sort_by_cached_key(|(key, rank)| (**rank, name(key)));
        all.into_iter().take(many).map(|(key, _)| key.clone()).collect()
    }

    fn pods_on(&self, node: &str) -> impl Iterator<Item = Key> + use<> {
        let fields = Fields::parse(&format!("spec.nodeName={node}")).unwrap_or_default();
        let options = ListOptions { fields, ..ListOptions::default() };
        let found = self.client.list(&pods::resource(), "", &options).map(|list| list.items);
        found.unwrap_or_default().into_iter().map(|pod| pod.key)
    }

    fn has_node(&self, name: &str) -> Result<bool, Status> {
        self.client.find(&nodes_resource(), "", name).map(|node| node.is_some())
    }

    fn lost(&self, pod: &Value) -> Result<Option<Lost>, Status> {
        let is_over = meta::is_deleting(pod)
            && pods::is_finished(pod)
            && pod["metadata"]["deletionGracePeriodSeconds"] == 0;
        match pods::node(pod) {
            // Somebody's finalizer holds what is left of it.
            _ if is_over => Ok(None),
            Some(node) => Ok((!self.has_node(node)?).then_some(Lost::Orphaned)),
            None => Ok(meta::is_deleting(pod).then_some(Lost::Unscheduled)),
        }
    }

    /// Deletes a pod at once, and says before that it failed: nobody else will say so.
    async fn end(&self, pod: &Value, why: Option<Lost>) -> Result<(), Status> {
        const PASSING: [Reason; 2] = [Reason::NOT_FOUND, Reason::CONFLICT];
        let (resource, namespace, name) = (pods::resource(), meta::namespace(pod), meta::name(pod));
        if !pods::is_finished(pod) {
            let patch = failed(pod, why, self.env.now());
            let (kind, options) = (PatchType::Strategic, WriteOptions::default());
            let said = self.client.patch(&resource, "status", namespace, name, kind, patch, &options).await;
            settled(said, &PASSING)?;
        }
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::of(pod) };
        settled(self.client.delete(&resource, namespace, name, &options).await, &PASSING)
    }
}

fn nodes_resource() -> Gvr {
    Gvr::new("", "v1", "nodes")
}

fn failed(pod: &Value, why: Option<Lost>, now: Timestamp) -> Value {
    let mut status = json!({ "phase": "Failed" });
    let generation = meta::generation(pod);
    if generation > 0 {
        status["observedGeneration"] = generation.into();
    }
    if why == Some(Lost::Orphaned) {
        let mut condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists", "lastTransitionTime": time::format(now),
        });
        if generation > 0 {
            condition["observedGeneration"] = generation.into();
        }
        status["conditions"] = json!([condition]);
    }
    json!({ "metadata": { "uid": meta::uid(pod) }, "status": status })
}

impl Reconciler for PodGc {
    fn name(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn workers(&self) -> usize {
        1
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        if &**key == FINISHED {
            for key in self.surplus() {
                let (namespace, name) = runtime::split(&key);
                if let Some(pod) = self.client.find(&pods::resource(), namespace, name)? {
                    self.end(&pod.parse(), None).await?;
                }
            }
            return Ok(Next::Done);
        }
        let (namespace, name) = runtime::split(key);
        let pod = self.client.find(&pods::resource(), namespace, name)?.map(|pod| pod.parse());
        let lost = pod.as_ref().map(|pod| self.lost(pod)).transpose()?.flatten();
        let (Some(pod), Some(lost)) = (pod, lost) else {
            self.state.lock().lost.remove(key);
            return Ok(Next::Done);
        };
        let now = self.env.now();
        let since = *self.state.lock().lost.entry(key.clone()).or_insert(now);
        let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        let left = lost.patience().saturating_sub(waited);
        if !left.is_zero() {
            return Ok(Next::After(left));
        }
        self.state.lock().lost.insert(key.clone(), now);
        self.end(&pod, Some(lost)).await?;
        Ok(Next::After(lost.patience()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, names, of, set_status};
    use tokio::task::JoinSet;

    fn pod(name: &str, node: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "default" },
            "spec": { "nodeName": node, "containers": [{ "name": "c", "image": "i" }] },
        })
    }

    fn node(name: &str) -> Value {
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } })
    }

    async fn delete(world: &World, resource: &Gvr, namespace: &str, name: &str) {
        world.client.delete(resource, namespace, name, &DeleteOptions::default()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn pods_go_when_their_node_has_been_gone_for_a_while() {
        let world = World::new().await;
        let (pods, nodes) = (pods::resource(), nodes_resource());
        for name in ["stays", "goes", "returns"] {
            world.create(&nodes, node(name)).await;
            world.create(&pods, pod(name, name)).await;
        }
        let mut held = pod("held", "never");
        meta::set(&mut held, "finalizers", json!(["example.com/a"]));
        world.create(&pods, held).await;
        world.create(&pods, pod("waits", "")).await;
        for name in ["goes", "returns"] {
            delete(&world, &nodes, "", name).await;
        }
        // The clock stands still, so however often they are looked at, nobody goes.
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(world.list(&pods).len(), 5);
        world.create(&nodes, node("returns")).await;
        world.env.advance(41);
        let left = |all: &[Value]| {
            let mut left = names(all);
            left.sort_unstable();
            left == ["held", "returns", "stays", "waits"]
                && all.iter().any(|pod| meta::name(pod) == "held" && meta::is_deleting(pod))
        };
        let all = world.until(&pods, left).await;
        let held = all.iter().find(|pod| meta::name(pod) == "held").unwrap();
        let condition = alcove_object::condition::find(held, "DisruptionTarget").unwrap();
        assert_eq!(held["status"]["phase"], "Failed");
        assert_eq!(condition["reason"], "DeletionByPodGC");
        assert_eq!(condition["message"], "PodGC: node no longer exists");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_shall_go_and_has_no_node_has_failed() {
        let world = World::new().await;
        let pods = pods::resource();
        let mut held = pod("held", "");
        meta::set(&mut held, "finalizers", json!(["example.com/a"]));
        world.create(&pods, held).await;
        delete(&world, &pods, "default", "held").await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(world.list(&pods)[0]["status"]["phase"], "Pending");
        world.env.advance(21);
        let all = world.until(&pods, |all| all[0]["status"]["phase"] == "Failed").await;
        assert!(alcove_object::condition::find(&all[0], "DisruptionTarget").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn of_finished_pods_evicted_and_old_ones_go_first() {
        let world = World::new().await;
        let pods = of("", "pods");
        let mut tasks = JoinSet::new();
        let gc = Arc::new(PodGc::new(world.client.clone(), world.env.clone(), 2));
        let sources = gc.sources();
        runtime::start(&mut tasks, gc, &world.client, &Arc::default(), sources);
        for (name, phase, reason) in [
            ("running", "Running", ""),
            ("old", "Succeeded", ""),
            ("middle", "Failed", ""),
            ("evicted", "Failed", "Evicted"),
            ("new", "Succeeded", ""),
        ] {
            let made = world.create(&pods, pod(name, "")).await;
            set_status(&world.client, &made, json!({ "phase": phase, "reason": reason })).await;
            world.env.advance(1);
            if name == "evicted" {
                world.until(&pods, |all| names(all) == ["middle", "old", "running"]).await;
            }
        }
        world.until(&pods, |all| names(all) == ["middle", "new", "running"]).await;
    }
}
