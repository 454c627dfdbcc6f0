//! What should happen to a StatefulSet's pods now, and what the set reports of them. Pure: a view in, a plan out
//! (k8s.io/kubernetes/pkg/controller/statefulset, stateful_set_control.go).
//!
//! Pods are numbered, and an ordered set does one thing at a time: it makes pods upwards, each when all before it are
//! available; it takes away what is too much downwards; and only then it replaces pods of an older revision, downwards
//! too. A set that works in parallel waits for nobody but while it replaces pods.

use super::{identity, retention};
use crate::history::REVISION;
use crate::pods;
use crate::runtime::Next;
use alcove_object::{Value, meta};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Steps about replicas in one go at most. A set that works in parallel goes on when its pods have come.
pub(super) const BURST_PODS: usize = 500;

/// A set with the template of one of its revisions.
pub(super) struct Revised {
    /// The revision's name.
    pub name: String,
    /// The set.
    pub set: Value,
}

/// All that a plan follows from.
pub(super) struct View {
    pub set: Value,
    pub current: Revised,
    pub update: Revised,
    /// How often the name of a new revision was taken.
    pub collisions: i64,
    /// The set's pods by their numbers.
    pub pods: BTreeMap<i64, Value>,
    /// The claims of those and of pods to come, by name.
    pub claims: BTreeMap<String, Value>,
    pub now: Timestamp,
}

/// One thing to do.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Make a pod and its claims.
    Create(Value),
    /// Delete a pod.
    Delete(Value),
    /// Give a pod what is its own: missing claims, labels, owners of its claims.
    Keep(Value),
}

/// What to do, and what to report.
pub(super) struct Plan {
    /// Steps in phases: one phase begins when the one before has succeeded.
    pub phases: Vec<Vec<Step>>,
    pub status: Value,
    pub next: Next,
}

/// Whether pods are made and deleted one after another.
pub(super) fn is_ordered(set: &Value) -> bool {
    set.pointer("/spec/podManagementPolicy").and_then(Value::as_str) != Some("Parallel")
}

fn rolling(set: &Value) -> Option<&Value> {
    set.pointer("/spec/updateStrategy/rollingUpdate").filter(|rolling| !rolling.is_null())
}

fn partition(set: &Value) -> i64 {
    rolling(set).and_then(|rolling| rolling["partition"].as_i64()).unwrap_or(0)
}

fn is_rolling(set: &Value) -> bool {
    set.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("RollingUpdate")
}

fn reported(set: &Value, field: &str) -> i64 {
    set.get("status").and_then(|status| status.get(field)).and_then(Value::as_i64).unwrap_or(0)
}

fn min_ready(set: &Value) -> Duration {
    Duration::from_secs(set["spec"]["minReadySeconds"].as_u64().unwrap_or(0))
}

impl View {
    fn first(&self) -> i64 {
        identity::start(&self.set)
    }

    fn end(&self) -> i64 {
        self.first() + identity::replicas(&self.set)
    }

    fn is_replica(&self, ordinal: i64) -> bool {
        (self.first()..self.end()).contains(&ordinal)
    }

    /// How long until a pod that runs is available.
    fn wait(&self, pod: &Value) -> Option<Duration> {
        (pods::phase(pod) == "Running").then_some(())?;
        pods::time_to_available(pod, min_ready(&self.set), self.now)
    }

    fn is_available(&self, pod: &Value) -> bool {
        self.wait(pod) == Some(Duration::ZERO)
    }

    /// A pod that is not there yet, is not available, or is about to end.
    fn is_unavailable(&self, pod: Option<&Value>) -> bool {
        pod.is_none_or(|pod| meta::is_deleting(pod) || !self.is_available(pod))
    }

    /// Of which revision a pod is made that is not there: below the partition, of the one that was.
    fn revision_of(&self, ordinal: i64) -> &Revised {
        let old = match rolling(&self.current.set) {
            Some(_) => partition(&self.current.set),
            None if is_rolling(&self.current.set) => reported(&self.set, "currentReplicas"),
            None => 0,
        };
        if ordinal < self.first() + old { &self.current } else { &self.update }
    }

    fn claims_of(&self, ordinal: i64) -> impl Iterator<Item = Option<&Value>> {
        identity::claim_names(&self.set, ordinal).map(|name| self.claims.get(&name))
    }

    /// Whether claims of an earlier pod of this number still go with it.
    fn waits_for_claims(&self, pod: &Value, ordinal: i64) -> bool {
        retention::is_scaled_away(&self.set)
            && self.claims_of(ordinal).flatten().any(|claim| retention::is_stale(claim, pod))
    }

    fn has_wrong_owners(&self, pod: &Value, ordinal: i64) -> bool {
        let is_condemned = !self.is_replica(ordinal);
        let wrong = |claim| retention::owners(claim, &self.set, pod, is_condemned).is_some();
        self.claims_of(ordinal).flatten().any(wrong)
    }

    fn lacks_claims(&self, ordinal: i64) -> bool {
        self.claims_of(ordinal).any(|claim| claim.is_none_or(meta::is_deleting))
    }

    /// What one of the replicas needs, and whether the next one may be looked at in an ordered set.
    fn replica(&self, ordinal: i64) -> (Option<Step>, bool) {
        let Some(pod) = self.pods.get(&ordinal) else {
            let revised = self.revision_of(ordinal);
            let pod = identity::pod(&revised.set, ordinal, &revised.name);
            let waits = self.waits_for_claims(&pod, ordinal);
            return ((!waits).then_some(Step::Create(pod)), false);
        };
        if pods::is_finished(pod) {
            return ((!meta::is_deleting(pod)).then(|| Step::Delete(pod.clone())), false);
        }
        let is_well = !self.is_unavailable(Some(pod));
        let is_due = is_well || !is_ordered(&self.set);
        let is_pending = pods::phase(pod) == "Pending";
        let needs = (is_pending && self.lacks_claims(ordinal))
            || ((is_due || is_pending) && self.has_wrong_owners(pod, ordinal))
            || (is_due && identity::correction(&self.set, pod).is_some());
        (needs.then(|| Step::Keep(pod.clone())), is_well)
    }

    /// Pods beyond the replicas, the highest first.
    fn condemned(&self) -> impl Iterator<Item = (i64, &Value)> {
        let all = self.pods.iter().rev().map(|(ordinal, pod)| (*ordinal, pod));
        all.filter(|(ordinal, _)| !self.is_replica(*ordinal))
    }

    /// Which of the pods beyond the replicas go now, and whether all that must go are on their way.
    fn scale_down(&self) -> (Vec<Step>, bool) {
        let delete = |pod: &Value| Step::Delete(pod.clone());
        if !is_ordered(&self.set) {
            let going = self.condemned().filter(|(_, pod)| !meta::is_deleting(pod));
            return (going.map(|(_, pod)| delete(pod)).collect(), true);
        }
        let Some((highest, pod)) = self.condemned().next() else { return (Vec::new(), true) };
        let lowest_unwell = self.condemned().filter(|(_, pod)| self.is_unavailable(Some(pod))).last();
        let may_go = self.is_available(pod) || lowest_unwell.is_some_and(|(ordinal, _)| ordinal == highest);
        let goes = may_go && !meta::is_deleting(pod);
        (goes.then(|| delete(pod)).into_iter().collect(), false)
    }

    /// The next pod to be replaced by one of the new revision.
    fn replace(&self) -> Option<Step> {
        for ordinal in (self.first() + partition(&self.set)..self.end()).rev() {
            let pod = self.pods.get(&ordinal);
            let old = pod.filter(|pod| meta::label(pod, REVISION) != Some(&self.update.name));
            if let Some(old) = old.filter(|pod| !meta::is_deleting(pod)) {
                return Some(Step::Delete(old.clone()));
            }
            if self.is_unavailable(pod) {
                return None;
            }
        }
        None
    }

    fn phases(&self) -> Vec<Vec<Step>> {
        let mut phases = vec![Vec::new()];
        for ordinal in self.first()..self.end() {
            if phases[0].len() >= BURST_PODS {
                break;
            }
            let (step, may_go_on) = self.replica(ordinal);
            phases[0].extend(step);
            if is_ordered(&self.set) && !may_go_on {
                return phases;
            }
        }
        let kept = self.condemned().filter(|(ordinal, pod)| self.has_wrong_owners(pod, *ordinal));
        phases.push(kept.map(|(_, pod)| Step::Keep(pod.clone())).collect());
        let (going, is_done) = self.scale_down();
        phases.push(going);
        if is_done && is_rolling(&self.set) {
            phases.push(self.replace().into_iter().collect());
        }
        phases
    }

    fn status(&self, replaced: usize) -> Value {
        let pods = || self.pods.values();
        let of = |revision: &Revised| {
            let of_it =
                |pod: &&Value| !meta::is_deleting(pod) && meta::label(pod, REVISION) == Some(&revision.name);
            pods().filter(of_it).count()
        };
        let replicas = pods().count();
        let ready = pods().filter(|pod| pods::phase(pod) == "Running" && pods::is_ready(pod)).count();
        let updated = of(&self.update);
        let mut current = (self.current.name.as_str(), of(&self.current).saturating_sub(replaced));
        let all = identity::replicas(&self.set);
        let is_complete = [replicas, ready, updated].iter().all(|count| i64::try_from(*count) == Ok(all));
        if is_rolling(&self.set) && is_complete {
            current = (&self.update.name, updated);
        }
        let mut status = json!({
            "observedGeneration": meta::generation(&self.set), "collisionCount": self.collisions, "replicas": replicas,
            "availableReplicas": pods().filter(|pod| self.is_available(pod)).count(),
            "currentRevision": current.0, "updateRevision": self.update.name,
        });
        let counts = [("readyReplicas", ready), ("currentReplicas", current.1), ("updatedReplicas", updated)];
        for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            status[field] = count.into();
        }
        status
    }
}

/// What to do about a set and its pods.
pub(super) fn of(view: &View) -> Plan {
    let phases = if meta::is_deleting(&view.set) { Vec::new() } else { view.phases() };
    let replaced = phases.get(3).map_or(0, Vec::len);
    let waits = view.pods.values().filter_map(|pod| view.wait(pod)).filter(|wait| !wait.is_zero());
    let next = waits.min().map_or(Next::Done, Next::After);
    Plan { phases, status: view.status(replaced), next }
}

/// Whether a report says something new. Conditions are others' words and stay until it does.
pub(super) fn is_news(set: &Value, status: &Value) -> bool {
    const COUNTS: [&str; 5] =
        ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    let count = |status: &Value, field: &str| status.get(field).and_then(Value::as_i64).unwrap_or(0);
    let old = &set["status"];
    count(status, "observedGeneration") > count(old, "observedGeneration")
        || COUNTS.iter().any(|field| count(status, field) != count(old, field))
        || ["currentRevision", "updateRevision"].iter().any(|field| status[*field] != old[*field])
}

#[cfg(test)]
mod tests;
