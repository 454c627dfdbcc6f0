//! Which pods a DaemonSet makes and deletes now. Pure (k8s.io/kubernetes/pkg/controller/daemon).
//!
//! First every node gets the pod that it should have; when nothing is left to do there, [`rolling`] replaces pods of an
//! older revision.

use super::{pod, rolling};
use crate::events::Kind;
use crate::{history, nodes, pods};
use alcove_object::{Value, meta};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// All that a plan follows from.
pub(super) struct View {
    pub set: Value,
    /// What pods of the current revision are labelled with.
    pub hash: String,
    /// What the set says of each node, by name.
    pub nodes: BTreeMap<String, Fit>,
    /// The set's pods by the nodes that they are or are to be on, without those that ended and are being deleted.
    pub pods: BTreeMap<String, Vec<Value>>,
    pub now: Timestamp,
}

/// Whether a node gets a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It does.
    Runs,
    /// It does not, but one that is there stays.
    Stays,
    /// One that is there goes.
    No,
}

/// What to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Nodes that get a pod.
    pub create: Vec<String>,
    /// Pods that go.
    pub delete: Vec<Value>,
    /// Nodes on which a pod failed and goes for that.
    pub failed_on: Vec<String>,
    /// What people are told.
    pub tell: Vec<(Kind, &'static str, String)>,
    /// How long until a failed pod may go.
    pub wait: Option<Duration>,
}

/// What a set whose pods have this spec says of a node.
pub(super) fn fit(spec: &Value, node: &Value) -> Fit {
    let named = spec["nodeName"].as_str().unwrap_or_default();
    if !(named.is_empty() || named == meta::name(node)) || !nodes::is_selected(spec, node) {
        return Fit::No;
    }
    match (
        nodes::is_tolerable(spec, node, &["NoExecute", "NoSchedule"]),
        nodes::is_tolerable(spec, node, &["NoExecute"]),
    ) {
        (true, _) => Fit::Runs,
        (false, true) => Fit::Stays,
        (false, false) => Fit::No,
    }
}

/// Groups pods by node.
pub(super) fn by_node(found: Vec<Value>) -> BTreeMap<String, Vec<Value>> {
    let mut by_node: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for found in found {
        let has_ended = pods::is_finished(&found) && meta::is_deleting(&found);
        if let Some(node) = pod::node(&found).filter(|_| !has_ended).map(str::to_owned) {
            by_node.entry(node).or_default().push(found);
        }
    }
    for pods in by_node.values_mut() {
        pods.sort_by_cached_key(|pod| {
            let is_nowhere = pods::node(pod).is_none();
            (is_nowhere, meta::text(pod, "creationTimestamp").to_owned(), meta::name(pod).to_owned())
        });
    }
    by_node
}

impl View {
    pub(super) fn min_ready(&self) -> Duration {
        Duration::from_secs(self.set["spec"]["minReadySeconds"].as_u64().unwrap_or(0))
    }

    pub(super) fn is_available(&self, pod: &Value) -> bool {
        pods::time_to_available(pod, self.min_ready(), self.now) == Some(Duration::ZERO)
    }

    pub(super) fn is_updated(&self, pod: &Value) -> bool {
        pod::is_updated(&self.set, pod, &self.hash)
    }

    /// How many nodes get a pod.
    pub(super) fn desired(&self) -> usize {
        self.nodes.values().filter(|fit| **fit == Fit::Runs).count()
    }

    /// Which of the running pods of a node are too many; `running` has the oldest first.
    fn surplus<'a>(&self, running: &[&'a Value]) -> Vec<&'a Value> {
        if rolling::max_surge(&self.set, 1) == 0 {
            return running.iter().skip(1).copied().collect();
        }
        // One of each revision may be there: the old one until it is not ready or the new one is available.
        let is_new = |pod: &&&Value| meta::label(pod, history::REVISION) == Some(&self.hash);
        let (new, old) = (running.iter().find(is_new), running.iter().find(|pod| !is_new(pod)));
        let stays = |pod: &Value| [new, old].iter().flatten().any(|kept| meta::uid(kept) == meta::uid(pod));
        let mut surplus: Vec<&Value> = running.iter().filter(|pod| !stays(pod)).copied().collect();
        if let (Some(new), Some(old)) = (new, old)
            && (!pods::is_ready(old) || self.is_available(new))
        {
            surplus.push(old);
        }
        surplus
    }

    fn look_after(&self, plan: &mut Plan, node: &str, rest: &dyn Fn(&str) -> Option<Duration>) {
        let here = self.pods[node].iter().filter(|pod| !meta::is_deleting(pod));
        let mut running = Vec::new();
        for pod in here {
            let (namespace, name) = (meta::namespace(pod), meta::name(pod));
            match (pods::phase(pod), rest(node)) {
                ("Failed", Some(left)) => plan.wait = Some(plan.wait.map_or(left, |wait| wait.min(left))),
                ("Failed", None) => {
                    let message = format!(
                        "Found failed daemon pod {namespace}/{name} on node {node}, will try to kill it"
                    );
                    plan.tell.push((Kind::Warning, "FailedDaemonPod", message));
                    plan.failed_on.push(node.to_owned());
                    plan.delete.push(pod.clone());
                }
                ("Succeeded", _) => {
                    let message = format!(
                        "Found succeeded daemon pod {namespace}/{name} on node {node}, will try to delete it"
                    );
                    plan.tell.push((Kind::Normal, "SucceededDaemonPod", message));
                    plan.delete.push(pod.clone());
                }
                _ => running.push(pod),
            }
        }
        let surges = rolling::max_surge(&self.set, 1) > 0;
        if surges && running.is_empty() && self.nodes.get(node) == Some(&Fit::Runs) {
            plan.create.push(node.to_owned());
        }
        plan.delete.extend(self.surplus(&running).into_iter().cloned());
    }

    /// Gives every node the pod that it should have. `rest` says how long a failed pod of a node stays.
    fn manage(&self, rest: &dyn Fn(&str) -> Option<Duration>) -> Plan {
        let mut plan = Plan::default();
        for (node, fit) in &self.nodes {
            match (fit, self.pods.get(node)) {
                (Fit::Runs, None) => plan.create.push(node.clone()),
                (Fit::Stays | Fit::No, None) => {}
                (Fit::Runs | Fit::Stays, Some(_)) => self.look_after(&mut plan, node, rest),
                (Fit::No, Some(pods)) => {
                    plan.delete.extend(pods.iter().filter(|pod| !meta::is_deleting(pod)).cloned());
                }
            }
        }
        // Upstream leaves those that were bound to a node that is gone to its collector of pods. Here nodes go with the
        // last other pod on them, and what runs there for the node's sake goes with the node.
        let gone = self.pods.iter().filter(|(node, _)| !self.nodes.contains_key(*node));
        let stranded = gone.flat_map(|(_, pods)| pods).filter(|pod| !meta::is_deleting(pod));
        plan.delete.extend(stranded.cloned());
        plan
    }
}

/// What to do about a set and its pods.
pub(super) fn of(view: &View, rest: &dyn Fn(&str) -> Option<Duration>) -> Plan {
    let mut plan = view.manage(rest);
    let is_settled = plan.create.is_empty() && plan.delete.is_empty();
    if is_settled && rolling::is_rolling(&view.set) {
        (plan.create, plan.delete) = rolling::step(view);
    }
    plan
}

#[cfg(test)]
pub(super) mod tests;
