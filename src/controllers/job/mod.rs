//! Jobs: pods that run to completion, each counted exactly once (k8s.io/kubernetes/pkg/controller/job).
//!
//! A finished pod is counted in two steps, so that a crash between them counts it neither twice nor never: its UID goes
//! to `status.uncountedTerminatedPods`, then its finalizer goes, and only when that is gone does the UID become a
//! number. A job ends in two steps as well: how it ends is announced, and said once all its pods are counted and gone.
//! [`tracking`] decides who is counted, [`policy`] what a failure means, [`plan`] what should happen; all are pure.

mod backoff;
mod indexes;
mod plan;
mod policy;
mod status;
mod tracking;

use crate::claims::{self, Claims};
use crate::pod_control::PodControl;
use crate::pods;
use crate::runtime::{self, Facts, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::options::{DeleteOptions, ListOptions, PatchType, Propagation, WriteOptions};
use alcove_apiserver::{Client, Object};
use alcove_object::{Env, Gvr, Reason, Status, Value, condition, meta, settled, time};
use backoff::Record;
use futures_util::future::join_all;
use parking_lot::Mutex;
use plan::{NewPod, Plan};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Keeps a finished pod until it is counted.
pub(crate) const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// Who a job says it is managed by when that is this controller, which is what one that says nothing means.
const MANAGER: &str = "kubernetes.io/job-controller";
/// Pods created or deleted in one go at most.
const BURST_PODS: usize = 500;
/// What this controller does not read of a pod.
const UNREAD: &[&str] =
    &["managedFields", "containers", "ephemeralContainers", "volumes", "tolerations", "affinity"];

/// The Job controller, which also deletes finished jobs after `ttlSecondsAfterFinished`.
pub struct Jobs {
    client: Client,
    env: Arc<dyn Env>,
    control: PodControl,
    pods: Arc<Claims>,
    /// Failures of the jobs that go on, each with its job's UID.
    failures: Mutex<HashMap<Key, (String, Record)>>,
}

fn resource() -> Gvr {
    Gvr::new("batch", "v1", "jobs")
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// How many completion indexes a job has.
fn completions(job: &Value) -> u32 {
    number(job, "/spec/completions").and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
}

fn is_indexed(job: &Value) -> bool {
    job.pointer("/spec/completionMode").and_then(Value::as_str) == Some("Indexed")
}

/// Whether a pod that is being deleted is replaced only once it has ended.
fn replaces_only_failed(job: &Value) -> bool {
    let policy = job.pointer("/spec/podReplacementPolicy").and_then(Value::as_str);
    policy == Some("Failed") || job.pointer("/spec/podFailurePolicy").is_some_and(|p| !p.is_null())
}

fn is_managed_elsewhere(job: &Value) -> bool {
    job.pointer("/spec/managedBy").and_then(Value::as_str).is_some_and(|manager| manager != MANAGER)
}

/// A condition of this type, if it holds.
fn holding<'a>(job: &'a Value, kind: &str) -> Option<&'a Value> {
    condition::find(job, kind).filter(|c| c["status"] == "True")
}

/// The condition that says that a job has ended, if it has.
fn end_of(job: &Value) -> Option<&Value> {
    ["Complete", "Failed"].iter().find_map(|kind| holding(job, kind))
}

/// A pod of a job, for one of its indexes if it has them.
fn pod(job: &Value, new: NewPod) -> Value {
    let mut pod = pods::from_template(&job["spec"]["template"], job, &format!("{}-", meta::name(job)));
    let finalizers: BTreeSet<&str> = meta::finalizers(&pod).chain([TRACKING]).collect();
    pod["metadata"]["finalizers"] = json!(finalizers);
    if let Some(index) = new.index {
        indexes::mark(&mut pod, meta::name(job), index);
    }
    if let Some(failures) = new.failures {
        indexes::mark_failures(&mut pod, failures);
    }
    pod
}

impl Jobs {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> Jobs {
        let control = PodControl::new(client.clone(), env.clone(), "job-controller");
        let pods = Claims::of_pods(client.clone(), resource(), "Job");
        let pods = Arc::new(Claims { finalizer: Some(TRACKING), unread: UNREAD, ..pods });
        Jobs { client, env, control, pods, failures: Mutex::default() }
    }

    /// Jobs and their pods.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        vec![Source::new(resource(), runtime::by_key()), self.pods.source()]
    }

    async fn write_status(&self, job: &mut Value, wanted: &Value) -> Result<(), Status> {
        if job.get("status") == Some(wanted) {
            return Ok(());
        }
        let mut changed = job.clone();
        changed["status"] = wanted.clone();
        let namespace = meta::namespace(job).to_owned();
        *job = self.client.update_subresource(&resource(), "status", &namespace, changed).await?.parse();
        Ok(())
    }

    /// Lets go of pods, those that nobody holds any more included.
    async fn release(&self, pods: impl IntoIterator<Item = &Value>) -> Result<(), Status> {
        let tracked: Vec<&Value> = pods.into_iter().filter(|pod| tracking::is_tracked(pod)).collect();
        for some in tracked.chunks(BURST_PODS) {
            let released = join_all(some.iter().map(|pod| self.release_one(pod))).await;
            released.into_iter().collect::<Result<(), Status>>()?;
        }
        Ok(())
    }

    async fn release_one(&self, pod: &Value) -> Result<(), Status> {
        let patch = json!({ "metadata": {
            "uid": meta::uid(pod), "$deleteFromPrimitiveList/finalizers": [TRACKING],
        } });
        let (namespace, name, options) = (meta::namespace(pod), meta::name(pod), WriteOptions::default());
        let kind = PatchType::Strategic;
        let released = self.client.patch(&pods::resource(), "", namespace, name, kind, patch, &options).await;
        // A conflict: another pod has its name.
        settled(released, &[Reason::NOT_FOUND, Reason::CONFLICT])
    }

    /// Deletes a finished job when its time has come.
    async fn expire(&self, job: &Value) -> Result<Next, Status> {
        let ttl = job.pointer("/spec/ttlSecondsAfterFinished").and_then(Value::as_u64);
        let (Some(ttl), false) = (ttl, meta::is_deleting(job)) else { return Ok(Next::Done) };
        let ended = end_of(job).and_then(|c| c["lastTransitionTime"].as_str()).and_then(time::parse);
        let left = ended.map_or(Duration::ZERO, |ended| {
            backoff::left_of(Duration::from_secs(ttl), ended, self.env.now())
        });
        if !left.is_zero() {
            return Ok(Next::After(left));
        }
        let options = DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::of(job) };
        self.client.delete(&resource(), meta::namespace(job), meta::name(job), &options).await?;
        Ok(Next::Done)
    }

    /// Deletes pods before the status says that they go, and creates them after it says that the job has begun.
    async fn carry_out(&self, job: &mut Value, plan: &Plan, pods: &[Value], key: &Key) -> Result<(), Status> {
        let those = |uids: &BTreeSet<String>| -> Vec<&Value> {
            pods.iter().filter(|pod| uids.contains(meta::uid(pod))).collect()
        };
        self.release(those(&plan.drop)).await?;
        for some in [those(&plan.drop), those(&plan.delete)].concat().chunks(BURST_PODS) {
            self.control.delete_all(job, some.iter().copied()).await?;
        }
        self.write_status(job, &plan.status).await?;
        self.failures.lock().insert(key.clone(), (meta::uid(job).to_owned(), plan.record));
        self.release(those(&plan.release)).await?;
        for (kind, reason, message) in &plan.tell {
            self.control.events.tell(job, *kind, reason, message).await;
        }
        self.control.create_all(job, plan.create.iter().copied(), |new| pod(job, new)).await
    }

    async fn sync(&self, key: &Key, mut job: Value) -> Result<Next, Status> {
        let is_finished = end_of(&job).is_some();
        if is_managed_elsewhere(&job) {
            return if is_finished { self.expire(&job).await } else { Ok(Next::Done) };
        }
        // Without a selector its pods could not be found again, so none may be made.
        let Some(selector) = claims::selector_of(&job) else { return Ok(Next::Done) };
        let pods = self.pods.of(&job, &selector).await?;
        if is_finished {
            self.failures.lock().remove(key);
            self.release(&pods).await?;
            return self.expire(&job).await;
        }
        let known = self.failures.lock().get(key).filter(|(uid, _)| uid == meta::uid(&job)).map(|(_, r)| *r);
        let plan = plan::of(&job, &pods, known, self.env.now());
        self.carry_out(&mut job, &plan, &pods, key).await?;
        Ok(plan.again.map_or(Next::Done, Next::After))
    }

    /// Pods of a job that is gone must not be held by a finalizer that nobody would take away.
    async fn release_orphans(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let is_orphan = |pod: &&Object| {
            // Most pods never had the finalizer, and need not be read for that.
            let is_tracked = std::str::from_utf8(&pod.bytes).is_ok_and(|text| text.contains(TRACKING));
            let is_ours = |facts: &Facts| {
                let of_job = |owner: &runtime::OwnerReference| owner.kind == "Job" && owner.name == name;
                facts.controller().is_none_or(of_job)
            };
            is_tracked && is_ours(&Facts::of(pod))
        };
        let pods = self.client.list(&pods::resource(), namespace, &ListOptions::default())?.items;
        let orphans: Vec<Value> = pods.iter().filter(is_orphan).map(Object::parse).collect();
        self.release(&orphans).await?;
        Ok(Next::Done)
    }
}

impl Reconciler for Jobs {
    fn name(&self) -> &'static str {
        "job-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(job) = self.client.find(&resource(), namespace, name)? else {
            self.failures.lock().remove(key);
            return self.release_orphans(key).await;
        };
        match self.sync(key, job.parse()).await {
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(Next::Done),
            result => Ok(result?),
        }
    }
}

#[cfg(test)]
mod runs;
#[cfg(test)]
mod tests;
