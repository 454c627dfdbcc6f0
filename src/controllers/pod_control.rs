//! Pods made and deleted in an owner's name, with the events that say so
//! (k8s.io/kubernetes/pkg/controller/controller_utils.go, RealPodControl).
//!
//! StatefulSets tell of their pods in other words, so they write themselves.

use crate::batch::slow_start;
use crate::events::{Kind, Recorder};
use crate::namespace::is_terminating;
use crate::pods;
use alcove_apiserver::Client;
use alcove_apiserver::options::DeleteOptions;
use alcove_object::{Env, Reason, Status, Value, meta};
use futures_util::future::join_all;
use std::sync::Arc;

/// Writes pods, and events of their owners, as one controller.
pub struct PodControl {
    client: Client,
    /// Tells what the controller itself has to say.
    pub events: Recorder,
}

impl PodControl {
    /// Writes as this client's user; events are signed as `component`.
    pub fn new(client: Client, env: Arc<dyn Env>, component: &'static str) -> PodControl {
        PodControl { events: Recorder::new(client.clone(), env, component), client }
    }

    /// Makes a pod for each item, in growing batches. The first failure ends it, and has been told.
    pub async fn create_all<T>(
        &self,
        owner: &Value,
        items: impl IntoIterator<Item = T>,
        pod: impl Fn(T) -> Value,
    ) -> Result<(), Status> {
        slow_start(items, |item| self.create(owner, pod(item))).await
    }

    async fn create(&self, owner: &Value, pod: Value) -> Result<(), Status> {
        match self.client.create(&pods::resource(), meta::namespace(owner), pod).await {
            Ok(made) => {
                let message = format!("Created pod: {}", made.name());
                self.events.tell(owner, Kind::Normal, "SuccessfulCreate", &message).await;
                Ok(())
            }
            // The namespace ends and takes the owner with it.
            Err(status) if is_terminating(&status) => Ok(()),
            Err(status) => {
                let message = format!("Error creating: {status}");
                self.events.tell(owner, Kind::Warning, "FailedCreate", &message).await;
                Err(status)
            }
        }
    }

    /// Deletes those pods, all at once; gives the first failure. One that is gone, or whose name is another's by now, is
    /// none.
    pub async fn delete_all<'a>(
        &self,
        owner: &Value,
        those: impl IntoIterator<Item = &'a Value>,
    ) -> Result<(), Status> {
        join_all(those.into_iter().map(|pod| self.delete(owner, pod))).await.into_iter().collect()
    }

    async fn delete(&self, owner: &Value, pod: &Value) -> Result<(), Status> {
        let options = DeleteOptions::of(pod);
        match self.client.delete(&pods::resource(), meta::namespace(pod), meta::name(pod), &options).await {
            Ok(_) => {
                let message = format!("Deleted pod: {}", meta::name(pod));
                self.events.tell(owner, Kind::Normal, "SuccessfulDelete", &message).await;
                Ok(())
            }
            Err(status) if status.is(Reason::NOT_FOUND) || status.is(Reason::CONFLICT) => Ok(()),
            Err(status) => {
                let message = format!("Error deleting: {status}");
                self.events.tell(owner, Kind::Warning, "FailedDelete", &message).await;
                Err(status)
            }
        }
    }
}
