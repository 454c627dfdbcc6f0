//! Jobs: pods that run to completion, each counted exactly once (k8s.io/kubernetes/pkg/controller/job).
//!
//! A finished pod is counted in two steps, so that a crash between them counts it neither twice nor never: its UID goes
//! to `status.uncountedTerminatedPods`, then its finalizer goes, and only when that is gone does the UID become a
//! number. [`tracking`] decides who is counted, [`plan`] what should happen; both are pure.
//!
//! Not here yet: `podFailurePolicy`, `successPolicy`, `backoffLimitPerIndex`, `podReplacementPolicy`.

mod indexes;
mod plan;
mod tracking;

use crate::claims::{self, Claims};
use crate::pod_control::PodControl;
use crate::pods;
use crate::runtime::{self, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::Client;
use alcove_apiserver::options::{DeleteOptions, ListOptions, PatchType, Propagation, WriteOptions};
use alcove_object::selector::Labels;
use alcove_object::{Env, Gvr, Reason, Status, Value, meta, settled, time};
use plan::Plan;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Keeps a finished pod until it is counted.
pub(crate) const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// Pods created or deleted in one go at most.
const BURST_PODS: usize = 500;

/// The Job controller, which also deletes finished jobs after `ttlSecondsAfterFinished`.
pub struct Jobs {
    client: Client,
    env: Arc<dyn Env>,
    control: PodControl,
    pods: Arc<Claims>,
}

fn resource() -> Gvr {
    Gvr::new("batch", "v1", "jobs")
}

/// A pod of a job, for one of its indexes if it has them.
fn pod(job: &Value, index: Option<u32>) -> Value {
    let mut pod = pods::from_template(&job["spec"]["template"], job, &format!("{}-", meta::name(job)));
    pod["metadata"]["finalizers"] = json!([TRACKING]);
    if let Some(index) = index {
        indexes::mark(&mut pod, meta::name(job), index);
    }
    pod
}

impl Jobs {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> Jobs {
        let control = PodControl::new(client.clone(), env.clone(), "job-controller");
        let pods = Claims::of_pods(client.clone(), resource(), "Job");
        let pods = Arc::new(Claims { finalizer: Some(TRACKING), ..pods });
        Jobs { client, env, control, pods }
    }

    /// Jobs and their pods.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        vec![Source::new(resource(), runtime::by_key()), self.pods.source()]
    }

    async fn write_status(&self, job: &mut Value, wanted: Value) -> Result<(), Status> {
        if job.get("status") == Some(&wanted) {
            return Ok(());
        }
        let mut changed = job.clone();
        changed["status"] = wanted;
        let namespace = meta::namespace(job).to_owned();
        *job = self.client.update_subresource(&resource(), "status", &namespace, changed).await?.parse();
        Ok(())
    }

    async fn release(&self, pod: &Value) -> Result<(), Status> {
        let kept: Vec<&str> = meta::finalizers(pod).filter(|f| *f != TRACKING).collect();
        let patch = json!({ "metadata": {
            "uid": meta::uid(pod), "resourceVersion": meta::text(pod, "resourceVersion"), "finalizers": kept,
        } });
        let (namespace, name, options) = (meta::namespace(pod), meta::name(pod), WriteOptions::default());
        let kind = PatchType::Merge;
        let released = self.client.patch(&pods::resource(), "", namespace, name, kind, patch, &options).await;
        settled(released, &[Reason::NOT_FOUND])
    }

    /// A finished job: its pods are let go, and it is deleted when its time has come.
    async fn after_the_end(&self, job: &Value, pods: &[Value]) -> Result<Next, Status> {
        for pod in pods.iter().filter(|p| meta::finalizers(p).any(|f| f == TRACKING)) {
            self.release(pod).await?;
        }
        let Some(ttl) = job.pointer("/spec/ttlSecondsAfterFinished").and_then(Value::as_u64) else {
            return Ok(Next::Done);
        };
        let ended = plan::end_of(job).and_then(|c| c["lastTransitionTime"].as_str()).and_then(time::parse);
        let passed = ended.map_or(Duration::ZERO, |at| self.env.now().duration_since(at).unsigned_abs());
        let left = Duration::from_secs(ttl).saturating_sub(passed);
        if !left.is_zero() {
            return Ok(Next::After(left));
        }
        let options = DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::of(job) };
        self.client.delete(&resource(), meta::namespace(job), meta::name(job), &options).await?;
        Ok(Next::Done)
    }

    async fn carry_out(&self, job: &Value, plan: &Plan, pods: &[Value]) -> Result<(), Status> {
        let deletions = pods.iter().filter(|p| plan.delete.contains(meta::uid(p)));
        self.control.delete_all(job, deletions.take(BURST_PODS)).await?;
        self.control.create_all(job, &plan.create, |index| pod(job, *index)).await
    }

    async fn sync(&self, mut job: Value) -> Result<Next, Status> {
        // Without a selector its pods could not be found again, so none may be made.
        let Some(selector) = claims::selector_of(&job) else { return Ok(Next::Done) };
        let pods = self.pods.of(&job, &selector).await?;
        if meta::is_deleting(&job) || plan::end_of(&job).is_some() {
            return self.after_the_end(&job, &pods).await;
        }
        let counted = tracking::count(&job, &pods);
        let plan = plan::of(&job, &pods, &counted, self.env.now());
        self.write_status(&mut job, plan.status.clone()).await?;
        for pod in pods.iter().filter(|p| counted.release.contains(meta::uid(p))) {
            self.release(pod).await?;
        }
        if let Some((kind, reason, message)) = &plan.tell {
            self.control.events.tell(&job, *kind, reason, message).await;
        }
        self.carry_out(&job, &plan, &pods).await?;
        Ok(plan.next)
    }
}

impl Reconciler for Jobs {
    fn name(&self) -> &'static str {
        "job-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(job) = self.client.find(&resource(), namespace, name)? else {
            return self.release_orphans(namespace, name).await;
        };
        match self.sync(job.parse()).await {
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(Next::Done),
            result => Ok(result?),
        }
    }
}

impl Jobs {
    /// Pods of a job that is gone must not be held by a finalizer that nobody would take away.
    async fn release_orphans(&self, namespace: &str, job: &str) -> Result<Next, Failure> {
        let text = format!("batch.kubernetes.io/job-name={job}");
        let options = ListOptions { labels: Labels::parse(&text)?, ..ListOptions::default() };
        for pod in self.client.list(&pods::resource(), namespace, &options)?.items {
            let pod = pod.parse();
            if meta::finalizers(&pod).any(|f| f == TRACKING) {
                self.release(&pod).await?;
            }
        }
        Ok(Next::Done)
    }
}
