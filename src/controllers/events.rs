//! Events: what controllers tell people about an object, as `kubectl describe` shows it.

mod correlate;

use alcove_apiserver::Client;
use alcove_apiserver::options::{PatchType, WriteOptions};
use alcove_object::{Env, Gvr, Reason, Status, Value, meta, time};
use correlate::{Correlator, News, Told, Written};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;

/// Writes events in the name of one component.
pub struct Recorder {
    client: Client,
    env: Arc<dyn Env>,
    component: &'static str,
    known: Mutex<Correlator>,
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
            let of = [meta::namespace(object), meta::name(object), meta::uid(object)];
            let of = format!("{}/{}", object["kind"].as_str().unwrap_or_default(), of.join("/"));
            let news = News { object: &of, kind, reason, message };
            let told = self.known.lock().told(news, self.env.now());
            let Some(told) = told else { return };
            let result = self.write(object, kind, reason, told).await;
            if let Err(status) = result {
                tracing::debug!(component = self.component, reason, error = %status, "cannot write an event");
            }
        })
    }

    /// Writes an event, or that it happened once more. One that is over, since nobody told of it for long, is written anew.
    async fn write(&self, object: &Value, kind: Kind, reason: &str, told: Told) -> Result<(), Status> {
        let namespace = match meta::namespace(object) {
            "" => "default",
            namespace => namespace,
        };
        let now = self.env.now();
        let event = match told.before {
            Some(before) => Written { count: before.count + 1, ..before },
            None => {
                let name = format!("{}.{:016x}", meta::name(object), self.env.random());
                Written { name, count: 1, first: now }
            }
        };
        let is_there = event.count > 1 && self.count(namespace, &event, &told.message).await?;
        if !is_there {
            let event = self.new_event(namespace, object, kind, reason, (&event, &told.message));
            self.client.create(&events(), namespace, event).await?;
        }
        self.known.lock().remember(told.identity, event);
        Ok(())
    }

    /// Counts an event. Gives whether it is still there.
    async fn count(&self, namespace: &str, event: &Written, message: &str) -> Result<bool, Status> {
        let last = time::format(self.env.now());
        let patch = json!({ "count": event.count, "lastTimestamp": last, "message": message });
        let (options, events) = (WriteOptions::default(), events());
        let patched =
            self.client.patch(&events, "", namespace, &event.name, PatchType::Strategic, patch, &options);
        match patched.await {
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(false),
            result => result.map(|_| true),
        }
    }

    fn new_event(
        &self,
        namespace: &str,
        object: &Value,
        kind: Kind,
        reason: &str,
        (event, message): (&Written, &str),
    ) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": { "name": event.name, "namespace": namespace },
            "involvedObject": {
                "apiVersion": object["apiVersion"], "kind": object["kind"],
                "namespace": meta::namespace(object), "name": meta::name(object),
                "uid": meta::uid(object), "resourceVersion": meta::text(object, "resourceVersion"),
            },
            "type": match kind { Kind::Normal => "Normal", Kind::Warning => "Warning" },
            "reason": reason, "message": message, "count": event.count,
            "firstTimestamp": time::format(event.first), "lastTimestamp": time::format(self.env.now()),
            "source": { "component": self.component }, "reportingComponent": self.component, "reportingInstance": "",
        })
    }
}

fn events() -> Gvr {
    Gvr::new("", "v1", "events")
}
