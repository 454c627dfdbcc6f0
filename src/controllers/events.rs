//! Events: what controllers tell people about an object, as `kubectl describe` shows it.

use alcove_apiserver::Client;
use alcove_apiserver::options::{PatchType, WriteOptions};
use alcove_object::{Env, Gvr, Value, meta, time};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

/// How many different events are remembered, so that one that repeats is counted instead of written anew.
const REMEMBERED_EVENTS_MAX: usize = 1024;

/// Writes events in the name of one component.
pub struct Recorder {
    client: Client,
    env: Arc<dyn Env>,
    component: &'static str,
    known: Mutex<HashMap<String, (String, u64)>>,
}

/// Whether an event tells of something normal or of something to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words of the API
pub enum Kind {
    Normal,
    Warning,
}

impl Recorder {
    /// A recorder that writes as this client's user and signs as `component`.
    pub fn new(client: Client, env: Arc<dyn Env>, component: &'static str) -> Recorder {
        Recorder { client, env, component, known: Mutex::default() }
    }

    /// Tells something about an object. A failure to tell is logged, never returned: events are advice.
    pub fn tell<'a>(
        &'a self,
        object: &'a Value,
        kind: Kind,
        reason: &'a str,
        message: &'a str,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let identity = format!("{}/{reason}/{message}", meta::uid(object));
            let repeated = self.known.lock().get_mut(&identity).map(|(name, count)| {
                *count += 1;
                (name.clone(), *count)
            });
            let namespace = match meta::namespace(object) {
                "" => "default",
                namespace => namespace,
            };
            let result = match repeated {
                Some((name, count)) => self.count(namespace, &name, count).await,
                None => self.write(namespace, object, kind, reason, message, identity).await,
            };
            if let Err(status) = result {
                tracing::debug!(component = self.component, reason, error = %status, "cannot write an event");
            }
        })
    }

    async fn count(&self, namespace: &str, name: &str, count: u64) -> Result<(), alcove_object::Status> {
        let patch = json!({ "count": count, "lastTimestamp": time::format(self.env.now()) });
        let options = WriteOptions::default();
        self.client
            .patch(&events(), "", namespace, name, PatchType::Strategic, patch, &options)
            .await
            .map(drop)
    }

    async fn write(
        &self,
        namespace: &str,
        object: &Value,
        kind: Kind,
        reason: &str,
        message: &str,
        identity: String,
    ) -> Result<(), alcove_object::Status> {
        let now = time::format(self.env.now());
        let name = format!("{}.{:016x}", meta::name(object), self.env.random());
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": { "name": name, "namespace": namespace },
            "involvedObject": {
                "apiVersion": object["apiVersion"], "kind": object["kind"],
                "namespace": meta::namespace(object), "name": meta::name(object),
                "uid": meta::uid(object), "resourceVersion": meta::text(object, "resourceVersion"),
            },
            "type": match kind { Kind::Normal => "Normal", Kind::Warning => "Warning" },
            "reason": reason, "message": message, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now,
            "source": { "component": self.component }, "reportingComponent": self.component, "reportingInstance": "",
        });
        self.client.create(&events(), namespace, event).await?;
        let mut known = self.known.lock();
        if known.len() >= REMEMBERED_EVENTS_MAX {
            known.clear();
        }
        known.insert(identity, (name, 1));
        Ok(())
    }
}

fn events() -> Gvr {
    Gvr::new("", "v1", "events")
}
