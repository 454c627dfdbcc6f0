//! StatefulSets: pods with names, numbers and claims of their own (k8s.io/kubernetes/pkg/controller/statefulset).
//!
//! [`plan`] decides what happens when, [`identity`] who a pod is, [`retention`] who owns its claims; all three are pure.
//! This file reads and writes. `maxUnavailable` of a rolling update is behind a gate that is off upstream, so it is 1.

mod identity;
mod plan;
mod retention;
mod writes;

use crate::batch::slow_start;
use crate::claims::{self, Claims};
use crate::events::Recorder;
use crate::history;
use crate::runtime::{self, Facts, Failure, Key, Mapper, Next, Reconciler, Source, skim};
use alcove_apiserver::{Client, Event};
use alcove_object::gather::Gather;
use alcove_object::{Env, Gvr, Reason, Status, Value, meta};
use plan::{Plan, Revised, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The label of a revision that holds its hash.
const HASH: &str = "controller.kubernetes.io/hash";
/// What is not read of a pod: all but its volumes of what the other controllers leave unread too.
const UNREAD_OF_PODS: &[&str] =
    &["managedFields", "containers", "initContainers", "ephemeralContainers", "tolerations", "affinity"];
/// How many names of a new revision are tried at once.
const COLLISIONS_MAX: i64 = 100;

/// The StatefulSet controller.
pub struct StatefulSets {
    client: Client,
    env: Arc<dyn Env>,
    events: Recorder,
    pods: Arc<Claims>,
    revisions: Arc<Claims>,
}

fn resource() -> Gvr {
    Gvr::new("apps", "v1", "statefulsets")
}

fn claim_resource() -> Gvr {
    Gvr::new("", "v1", "persistentvolumeclaims")
}

impl StatefulSets {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> StatefulSets {
        let events = Recorder::new(client.clone(), env.clone(), "statefulset-controller");
        let pods = Claims::of_pods(client.clone(), resource(), "StatefulSet");
        let pods = Arc::new(Claims { unread: UNREAD_OF_PODS, ..pods });
        let revisions = Arc::new(history::claims(client.clone(), resource(), "StatefulSet"));
        StatefulSets { client, env, events, pods, revisions }
    }

    /// StatefulSets, their pods and revisions, and claims that go, for which a pod may wait.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let this = self.clone();
        let claims: Mapper = Box::new(move |event, add| {
            if let Event::Deleted(claim) = event {
                this.pods.selecting(claim.namespace(), &Facts::of(claim), add);
            }
        });
        vec![
            Source::new(resource(), runtime::by_key()),
            self.pods.source(),
            history::source(&self.revisions),
            Source::new(claim_resource(), claims),
        ]
    }

    /// The set's revisions: the one that its pods had when the last rollout ended, and the one they are to have. The
    /// latter is found by what it holds, or made.
    async fn revise(
        &self,
        set: &Value,
        revisions: &mut Vec<Value>,
    ) -> Result<(Revised, Revised, i64), Status> {
        let wanted = history::snapshot(set);
        let mut collisions = set.pointer("/status/collisionCount").and_then(Value::as_i64).unwrap_or(0);
        let at = match revisions.iter().rposition(|revision| revision["data"] == wanted) {
            Some(newest) if newest + 1 == revisions.len() => newest,
            Some(earlier) => {
                let number = serde_json::json!({ "revision": history::next_number(revisions) });
                let patched = history::patch(&self.client, &revisions[earlier], number).await?;
                revisions.remove(earlier);
                revisions.push(patched);
                revisions.len() - 1
            }
            None => {
                let (made, tries) = self.create_revision(set, revisions, collisions).await?;
                collisions = tries;
                revisions.push(made);
                revisions.len() - 1
            }
        };
        let named = set.pointer("/status/currentRevision").and_then(Value::as_str);
        let current = revisions.iter().find(|r| Some(meta::name(r)) == named).unwrap_or(&revisions[at]);
        let revised = |revision: &Value| Revised {
            name: meta::name(revision).to_owned(),
            set: history::restored(set, revision),
        };
        Ok((revised(current), revised(&revisions[at]), collisions))
    }

    /// Makes a revision for the template of now; gives it and how many names were taken so far.
    async fn create_revision(
        &self,
        set: &Value,
        revisions: &[Value],
        collisions: i64,
    ) -> Result<(Value, i64), Status> {
        let data = history::snapshot(set);
        let number = history::next_number(revisions);
        let mut failure = None;
        for tries in collisions..collisions.saturating_add(COLLISIONS_MAX) {
            let revision = history::revision(set, HASH, &history::hash(&data, tries), number);
            let (namespace, name) = (meta::namespace(set), meta::name(&revision).to_owned());
            match self.client.create(&history::resource(), namespace, revision).await {
                Ok(made) => return Ok((made.parse(), tries)),
                Err(status) if status.is(Reason::ALREADY_EXISTS) => {
                    let found = self.client.get(&history::resource(), namespace, &name)?.parse();
                    if found["data"] == data {
                        return Ok((found, tries));
                    }
                    failure = Some(status);
                }
                Err(status) => return Err(status),
            }
        }
        Err(failure.unwrap_or_else(|| Status::internal("no name is left for a revision".to_owned())))
    }

    /// The claims of all pods that are there or are next to be made, by name; their metadata alone.
    fn claims(&self, set: &Value, pods: &BTreeMap<i64, Value>) -> Result<BTreeMap<String, Value>, Status> {
        let first = identity::start(set);
        let missing =
            (first..first.saturating_add(identity::replicas(set))).filter(|n| !pods.contains_key(n));
        let most = if plan::is_ordered(set) { 1 } else { plan::BURST_PODS };
        let mut found = BTreeMap::new();
        for ordinal in pods.keys().copied().chain(missing.take(most)) {
            for name in identity::claim_names(set, ordinal) {
                if let Some(claim) = self.client.find(&claim_resource(), meta::namespace(set), &name)? {
                    found.insert(name, skim(&claim, &["managedFields", "annotations"]));
                }
            }
        }
        Ok(found)
    }

    async fn carry_out(&self, set: &Value, plan: Plan) -> Result<(), Status> {
        for phase in plan.phases {
            if plan::is_ordered(set) {
                for step in phase {
                    self.take(set, step).await?;
                }
            } else {
                slow_start(phase, |step| self.take(set, step)).await?;
            }
        }
        Ok(())
    }

    async fn report(&self, set: &Value, status: Value) -> Result<(), Status> {
        if !plan::is_news(set, &status) {
            return Ok(());
        }
        let mut changed = set.clone();
        changed["status"] = status;
        self.client.update_subresource(&resource(), "status", meta::namespace(set), changed).await.map(drop)
    }

    /// Deletes the oldest revisions beyond the limit that no pod has.
    async fn forget(&self, view: &View, revisions: &[Value]) -> Result<(), Status> {
        let Some(limit) = history::limit(&view.set) else { return Ok(()) };
        let is_used = |revision: &Value| {
            let name = meta::name(revision);
            let has = |pod: &Value| meta::label(pod, history::REVISION) == Some(name);
            [&view.current, &view.update].iter().any(|revised| revised.name == name)
                || view.pods.values().any(has)
        };
        let unused = revisions.iter().filter(|revision| !is_used(revision)).count();
        for revision in history::expendable(revisions, is_used, unused.saturating_sub(limit)) {
            history::delete(&self.client, revision).await?;
        }
        Ok(())
    }

    async fn sync(&self, set: Value) -> Result<Next, Status> {
        let Some(selector) = claims::selector_of(&set) else { return Ok(Next::Done) };
        let mut revisions = self.revisions.of(&set, &selector).await?;
        if meta::is_deleting(&set) && revisions.is_empty() {
            // It was nothing else that went before the set, so nothing is made anew.
            return Ok(Next::Done);
        }
        history::sort(&mut revisions);
        let is_member = |pod: &Value| identity::ordinal(&set, pod).is_some();
        let pods = self.pods.of_those(&set, &selector, is_member).await?;
        let pods: BTreeMap<i64, Value> =
            pods.into_iter().filter_map(|pod| Some((identity::ordinal(&set, &pod)?, pod))).gather();
        let claims = self.claims(&set, &pods)?;
        let (current, update, collisions) = self.revise(&set, &mut revisions).await?;
        let now = self.env.now();
        let view = View { set, current, update, collisions, pods, claims, now };
        let plan = plan::of(&view);
        let (status, next) = (plan.status.clone(), plan.next);
        let done = self.carry_out(&view.set, plan).await;
        self.report(&view.set, status).await?;
        self.forget(&view, &revisions).await?;
        done.map(|()| next)
    }
}

impl Reconciler for StatefulSets {
    fn name(&self) -> &'static str {
        "statefulset-controller"
    }

    fn workers(&self) -> usize {
        4
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(set) = self.client.find(&resource(), namespace, name)? else { return Ok(Next::Done) };
        match self.sync(set.parse()).await {
            // The namespace ends and takes the set with it.
            Err(status) if crate::namespace::is_terminating(&status) => Ok(Next::Done),
            result => Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests;
