//! A scheduler that is good enough for simulated nodes: node selectors, required node affinity and taints are obeyed,
//! load is spread by pod count.

use crate::{node_resource, pods};
use alcove_apiserver::Client;
use alcove_apiserver::options::{ListOptions, PatchType, WriteOptions};
use alcove_apiserver::{Event, Object};
use alcove_controllers::events::{Kind, Recorder};
use alcove_controllers::nodes;
use alcove_controllers::runtime::{self, Failure, Key, Mapper, Next, Reconciler};
use alcove_object::{Env, Reason, Status, meta, time};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The scheduler that pods name unless they want another one.
const DEFAULT_SCHEDULER: &str = "default-scheduler";
/// How long an unschedulable pod waits for a node to appear.
const UNSCHEDULABLE_DELAY: Duration = Duration::from_secs(5);

/// What a node that takes no new pods is tainted with.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Why a pod stays unscheduled.
const NO_NODE: &str = "no node matches the pod's node selector";

/// Binds pods that have no node yet.
pub struct Scheduler {
    client: Client,
    env: Arc<dyn Env>,
    events: Recorder,
    placed: Mutex<Placed>,
}

/// Where pods are, by key, and how many each node has.
#[derive(Default)]
struct Placed {
    node_of: HashMap<Key, Arc<str>>,
    pods_on: HashMap<Arc<str>, usize>,
}

impl Placed {
    fn put(&mut self, pod: &Key, node: Option<&str>) {
        if let Some(before) = self.node_of.remove(pod)
            && let Some(count) = self.pods_on.get_mut(&before)
        {
            *count = count.saturating_sub(1);
        }
        if let Some(node) = node {
            let node: Arc<str> = node.into();
            *self.pods_on.entry(node.clone()).or_default() += 1;
            self.node_of.insert(pod.clone(), node);
        }
    }

    fn load(&self, node: &str) -> usize {
        self.pods_on.get(node).copied().unwrap_or(0)
    }
}

impl Scheduler {
    /// A scheduler that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> Scheduler {
        let events = Recorder::new(client.clone(), env.clone(), "default-scheduler");
        Scheduler { client, env, events, placed: Mutex::default() }
    }

    /// Notes where pods are and asks for those that are nowhere.
    pub fn mapper(self: Arc<Self>) -> Mapper {
        Box::new(move |event, add| match event {
            Event::Added(pod) | Event::Modified(pod) => {
                let tree = pod.parse();
                let node = node_name(&tree);
                self.placed.lock().put(&pod.key, node);
                if node.is_none() {
                    add(pod.key.clone());
                }
            }
            Event::Deleted(pod) => self.placed.lock().put(&pod.key, None),
            Event::Bookmark { .. } => {}
        })
    }

    /// The node with the fewest pods among those that the pod may be on.
    fn choose(&self, pod: &Value) -> Result<Option<Object>, Status> {
        let mut nodes = self.client.list(&node_resource(), "", &ListOptions::default())?.items;
        nodes.retain(|node| may_be_on(&pod["spec"], &node.parse()));
        let placed = self.placed.lock();
        Ok(nodes.into_iter().min_by_key(|node| placed.load(node.name())))
    }

    async fn bind(&self, key: &Key, node: &str) -> Result<(), Status> {
        let (namespace, name) = runtime::split(key);
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name, "namespace": namespace },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node },
        });
        self.placed.lock().put(key, Some(node));
        self.client.create_subresource(&pods(), "binding", namespace, name, binding).await.map(drop)
    }

    async fn say_unschedulable(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = runtime::split(key);
        let status = json!({ "status": { "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": NO_NODE,
            "lastTransitionTime": time::format(self.env.now()),
        }] } });
        let options = WriteOptions::default();
        self.client
            .patch(&pods(), "status", namespace, name, PatchType::Strategic, status, &options)
            .await
            .map(drop)
    }
}

/// Whether a pod with this spec may be on a node.
fn may_be_on(spec: &Value, node: &Value) -> bool {
    let is_open = node.pointer("/spec/unschedulable") != Some(&Value::Bool(true))
        || nodes::tolerates(spec, &json!({ "key": UNSCHEDULABLE, "effect": "NoSchedule" }));
    is_open && nodes::is_selected(spec, node) && nodes::is_tolerable(spec, node, &["NoSchedule", "NoExecute"])
}

fn node_name(pod: &Value) -> Option<&str> {
    pod.pointer("/spec/nodeName").and_then(Value::as_str).filter(|n| !n.is_empty())
}

fn is_ours_to_bind(pod: &Value) -> bool {
    let gated = pod.pointer("/spec/schedulingGates").and_then(Value::as_array).is_some_and(|g| !g.is_empty());
    let scheduler = pod.pointer("/spec/schedulerName").and_then(Value::as_str).unwrap_or(DEFAULT_SCHEDULER);
    node_name(pod).is_none() && !gated && !meta::is_deleting(pod) && scheduler == DEFAULT_SCHEDULER
}

fn is_said_unschedulable(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c["type"] == "PodScheduled" && c["reason"] == "Unschedulable")
}

impl Reconciler for Scheduler {
    fn name(&self) -> &'static str {
        "sandbox-scheduler"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(pod) = self.client.find(&pods(), namespace, name)? else { return Ok(Next::Done) };
        let pod = pod.parse();
        if !is_ours_to_bind(&pod) {
            return Ok(Next::Done);
        }
        let Some(node) = self.choose(&pod)? else {
            if !is_said_unschedulable(&pod) {
                self.say_unschedulable(key).await?;
                self.events.tell(&pod, Kind::Warning, "FailedScheduling", NO_NODE).await;
            }
            return Ok(Next::After(UNSCHEDULABLE_DELAY));
        };
        match self.bind(key, node.name()).await {
            Ok(()) => {
                let message = format!("Successfully assigned {key} to {}", node.name());
                self.events.tell(&pod, Kind::Normal, "Scheduled", &message).await;
                Ok(Next::Done)
            }
            Err(status) if status.is(Reason::NOT_FOUND) || status.is(Reason::CONFLICT) => Ok(Next::Done),
            Err(status) => Err(status.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_node_takes_pods_that_bear_it() {
        let node = json!({ "metadata": { "name": "n" }, "spec": { "unschedulable": true } });
        let daemon = json!({ "tolerations": [
            { "key": UNSCHEDULABLE, "operator": "Exists", "effect": "NoSchedule" }] });
        let by_name = |name: &str| {
            let only = json!({ "key": nodes::NAME_FIELD, "operator": "In", "values": [name] });
            json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{ "matchFields": [only] }] } } } })
        };
        let open = json!({ "metadata": { "name": "n" } });
        assert!(!may_be_on(&json!({}), &node) && may_be_on(&daemon, &node));
        assert!(may_be_on(&by_name("n"), &open) && !may_be_on(&by_name("m"), &open));
    }
}
