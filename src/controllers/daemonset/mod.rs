//! DaemonSets: one pod on every node that fits (k8s.io/kubernetes/pkg/controller/daemon).
//!
//! [`plan`] decides which pods come and go, [`rolling`] how those of an older revision are replaced, [`status`] what is
//! reported; all are pure. Pods are tied to their nodes by affinity, and whoever schedules binds them. This file reads
//! and writes.
//!
//! The nodes of a tenant may be virtual: there while another pod is on them. So a set has no pods in an idle tenant, and
//! its pods come and go with the nodes.

mod backoff;
mod plan;
mod pod;
mod revisions;
mod rolling;
mod status;

use crate::claims::{self, Claims};
use crate::history;
use crate::namespace::is_terminating;
use crate::pod_control::PodControl;
use crate::runtime::{self, Failure, Key, Mapper, Next, Reconciler, Source, skim};
use alcove_apiserver::options::ListOptions;
use alcove_apiserver::{Client, Event, Object};
use alcove_object::gather::Gather;
use alcove_object::selector::Labels;
use alcove_object::{Env, Gvr, Status, Value, meta};
use backoff::Backoff;
use parking_lot::Mutex;
use plan::{Fit, Plan, View};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// Pods made or deleted in one go at most (upstream's BurstReplicas).
const BURST_PODS: usize = 250;
/// What is not read of a pod: all but its affinity of what the other controllers leave unread too.
const UNREAD_OF_PODS: &[&str] =
    &["managedFields", "containers", "initContainers", "ephemeralContainers", "volumes", "tolerations"];
/// What is not read of a node, which is most of it.
const UNREAD_OF_NODES: &[&str] = &["managedFields", "annotations", "images", "conditions", "nodeInfo"];

/// The DaemonSet controller.
pub struct DaemonSets {
    client: Client,
    env: Arc<dyn Env>,
    control: PodControl,
    pods: Arc<Claims>,
    revisions: Arc<Claims>,
    backoff: Backoff,
    /// A digest of what sets ask of a node, so that a heartbeat concerns nobody.
    seen: Mutex<HashMap<Key, u64>>,
}

fn resource() -> Gvr {
    Gvr::new("apps", "v1", "daemonsets")
}

fn node_resource() -> Gvr {
    Gvr::new("", "v1", "nodes")
}

impl DaemonSets {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> DaemonSets {
        let control = PodControl::new(client.clone(), env.clone(), "daemonset-controller");
        let pods = Claims::of_pods(client.clone(), resource(), "DaemonSet");
        let pods = Arc::new(Claims { unread: UNREAD_OF_PODS, ..pods });
        let revisions = Arc::new(history::claims(client.clone(), resource(), "DaemonSet"));
        DaemonSets {
            client,
            env,
            control,
            pods,
            revisions,
            backoff: Backoff::default(),
            seen: Mutex::default(),
        }
    }

    /// DaemonSets, their pods and revisions, and nodes, each of which concerns all sets.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let this = self.clone();
        let nodes: Mapper = Box::new(move |event, add| {
            let is_new = match event {
                Event::Added(node) | Event::Modified(node) => this.is_other_node(node),
                Event::Deleted(node) => this.seen.lock().remove(&node.key).is_some(),
                Event::Bookmark { .. } => false,
            };
            if is_new {
                let sets = this.client.list(&resource(), "", &ListOptions::default());
                sets.map(|list| list.items).unwrap_or_default().into_iter().for_each(|set| add(set.key));
            }
        });
        vec![
            Source::new(resource(), runtime::by_key()),
            self.pods.source(),
            history::source(&self.revisions),
            Source::new(node_resource(), nodes),
        ]
    }

    /// Whether a node is new, or what sets ask of it has changed.
    fn is_other_node(&self, node: &Object) -> bool {
        let tree = skim(node, UNREAD_OF_NODES);
        let mut digest = DefaultHasher::new();
        (tree.pointer("/metadata/labels"), tree.pointer("/spec/taints")).hash(&mut digest);
        let digest = digest.finish();
        self.seen.lock().insert(node.key.clone(), digest) != Some(digest)
    }

    /// What the set says of each node.
    fn nodes(&self, set: &Value) -> Result<BTreeMap<String, Fit>, Status> {
        let spec = pod::spec(set);
        let nodes = self.client.list(&node_resource(), "", &ListOptions::default())?.items;
        let fit = |node: &Object| (node.name().to_owned(), plan::fit(&spec, &skim(node, UNREAD_OF_NODES)));
        Ok(nodes.iter().map(fit).gather())
    }

    async fn carry_out(&self, view: &View, plan: &Plan) -> Result<(), Status> {
        for (kind, reason, message) in &plan.tell {
            self.control.events.tell(&view.set, *kind, reason, message).await;
        }
        for node in &plan.failed_on {
            self.backoff.note(rest_key(&view.set, node), view.now);
        }
        let nodes = plan.create.iter().take(BURST_PODS);
        let pod = |node: &String| pod::pod(&view.set, node, &view.hash);
        let created = self.control.create_all(&view.set, nodes, pod).await;
        let deleted = self.control.delete_all(&view.set, plan.delete.iter().take(BURST_PODS)).await;
        created.and(deleted)
    }

    async fn report(&self, view: &View) -> Result<(), Status> {
        let wanted = status::of(view);
        if view.set.get("status") == Some(&wanted) {
            return Ok(());
        }
        let mut changed = view.set.clone();
        changed["status"] = wanted;
        let namespace = meta::namespace(&view.set);
        self.client.update_subresource(&resource(), "status", namespace, changed).await.map(drop)
    }

    async fn sync(&self, set: Value, selector: &Labels) -> Result<Next, Status> {
        let claimed = self.pods.of(&set, selector).await?;
        let (hash, old) = self.revise(&set, selector, &claimed).await?;
        let (nodes, now) = (self.nodes(&set)?, self.env.now());
        let used: Vec<String> =
            claimed.iter().filter_map(|pod| meta::label(pod, history::REVISION).map(str::to_owned)).collect();
        let view = View { set, hash, nodes, pods: plan::by_node(claimed), now };
        let plan = plan::of(&view, &|node| self.backoff.left(&rest_key(&view.set, node), now));
        let done = self.carry_out(&view, &plan).await;
        self.report(&view).await?;
        done?;
        self.forget(&view.set, &old, &used).await?;
        Ok(next(&view, plan.wait))
    }
}

/// Nodes rest until the set is changed.
fn rest_key(set: &Value, node: &str) -> String {
    format!("{}/{}/{node}", meta::uid(set), set["status"]["observedGeneration"])
}

/// When time alone changes something: a failed pod may go, or a ready one is available.
fn next(view: &View, wait: Option<Duration>) -> Next {
    let pods = view.pods.values().flatten();
    let waits = pods.filter_map(|pod| crate::pods::time_to_available(pod, view.min_ready(), view.now));
    let due = waits.filter(|wait| !wait.is_zero()).chain(wait).min();
    due.map_or(Next::Done, Next::After)
}

impl Reconciler for DaemonSets {
    fn name(&self) -> &'static str {
        "daemon-set-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(set) = self.client.find(&resource(), namespace, name)? else { return Ok(Next::Done) };
        let set = set.parse();
        let Some(selector) = claims::selector_of(&set) else { return Ok(Next::Done) };
        if meta::is_deleting(&set) {
            // Its revisions may be gone already, so nothing true could be said of its pods.
            return Ok(Next::Done);
        }
        match self.sync(set, &selector).await {
            Err(status) if is_terminating(&status) => Ok(Next::Done),
            result => Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests;
