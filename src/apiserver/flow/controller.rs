//! Follows the objects of the two kinds: keeps those that every cluster has, gives them to the gate, and says in each
//! flow schema whether its priority level is there (k8s.io/apiserver/pkg/util/flowcontrol/apf_controller.go,
//! k8s.io/kubernetes/pkg/registry/flowcontrol/rest).

use super::bootstrap::{self, API_VERSION};
use super::gate::Gate;
use crate::client::{Client, Watch};
use crate::options::{DeleteOptions, ListOptions, PatchType, WriteOptions};
use crate::server::Server;
use crate::user::User;
use alcove_object::{Gvr, Reason, Status, Value, meta, settled, time};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait before objects that could not be read or written are tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Owns the specs of what the server suggests.
const PRODUCER: &str = "api-priority-and-fairness-config-producer-v1";
/// Owns the conditions of flow schemas.
const CONSUMER: &str = "api-priority-and-fairness-config-consumer-v1";

/// Whatever was changed or deleted meanwhile comes as an event.
const PASSING: [Reason; 2] = [Reason::CONFLICT, Reason::NOT_FOUND];

/// The priority levels and flow schemas of a server.
pub struct Flows {
    server: Server,
    client: Client,
    gate: Arc<Gate>,
}

fn levels() -> Gvr {
    Gvr::new("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations")
}

fn schemas() -> Gvr {
    Gvr::new("flowcontrol.apiserver.k8s.io", "v1", "flowschemas")
}

impl Flows {
    /// Makes what every cluster has, and a gate that works by what is stored. To be called before the server answers
    /// anybody. `seats`: requests that the server works on at once.
    pub async fn load(server: &Server, seats: u32) -> Result<Flows, Status> {
        let client = server.client(User::component("system:apiserver"), PRODUCER);
        let flows = Flows { server: server.clone(), client, gate: Gate::new(seats) };
        let (stored_levels, stored_schemas) = flows.stored()?;
        if stored_schemas.is_empty() {
            let all = bootstrap::levels().into_iter().map(|level| (levels(), level));
            let all = all.chain(bootstrap::schemas().into_iter().map(|schema| (schemas(), schema)));
            // All together, so that they share a commit.
            let made = all.map(|(kind, object)| flows.make(kind, object));
            futures_util::future::try_join_all(made).await?;
            let (levels, schemas) = flows.stored()?;
            flows.gate.configure(&levels, &schemas);
        } else {
            flows.gate.configure(&stored_levels, &stored_schemas);
        }
        Ok(flows)
    }

    /// Where requests get their seats.
    pub fn gate(&self) -> Arc<Gate> {
        self.gate.clone()
    }

    /// Follows the objects until it is dropped.
    pub async fn run(self) {
        loop {
            if let Err(status) = self.follow().await {
                tracing::warn!(error = %status, "cannot keep priority levels and flow schemas");
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn follow(&self) -> Result<(), Status> {
        let (mut of_levels, mut of_schemas) = (self.watch(&levels())?, self.watch(&schemas())?);
        loop {
            self.reconcile().await?;
            // What was written meanwhile comes as an event; what comes together is looked at once.
            let events = tokio::select! {
                events = of_levels.next() => events,
                events = of_schemas.next() => events,
            };
            match events {
                None => return Ok(()),
                Some(events) => drop(events?),
            }
        }
    }

    fn watch(&self, kind: &Gvr) -> Result<Watch, Status> {
        let resource_version = self.server.store.revision().to_string();
        self.client.watch(kind, "", &ListOptions { resource_version, ..ListOptions::default() })
    }

    fn stored(&self) -> Result<(Vec<Value>, Vec<Value>), Status> {
        let of = |kind: &Gvr| -> Result<Vec<Value>, Status> {
            let list = self.client.list(kind, "", &ListOptions::default())?;
            Ok(list.items.iter().map(|object| object.parse()).collect())
        };
        Ok((of(&levels())?, of(&schemas())?))
    }

    async fn reconcile(&self) -> Result<(), Status> {
        let (stored_levels, stored_schemas) = self.stored()?;
        self.gate.configure(&stored_levels, &stored_schemas);
        self.keep(&levels(), &stored_levels, &bootstrap::levels()).await?;
        self.keep(&schemas(), &stored_schemas, &bootstrap::schemas()).await?;
        for schema in &stored_schemas {
            self.tell_level(schema, &stored_levels).await?;
        }
        Ok(())
    }

    /// Makes what is missing, mends what is the server's to mend, and deletes what it has no use for any more.
    async fn keep(&self, kind: &Gvr, stored: &[Value], suggested: &[Value]) -> Result<(), Status> {
        for wanted in suggested {
            match stored.iter().find(|object| meta::name(object) == meta::name(wanted)) {
                None => self.make(kind.clone(), wanted.clone()).await?,
                Some(current) => {
                    if let Some(revised) = bootstrap::revised(current, wanted) {
                        settled(self.client.update(kind, "", revised).await, &PASSING)?;
                    }
                }
            }
        }
        for object in stored.iter().filter(|object| bootstrap::is_left_over(object, suggested)) {
            let options = DeleteOptions {
                resource_version: Some(meta::text(object, "resourceVersion").to_owned()),
                ..DeleteOptions::default()
            };
            settled(self.client.delete(kind, "", meta::name(object), &options).await, &PASSING)?;
        }
        Ok(())
    }

    async fn make(&self, kind: Gvr, object: Value) -> Result<(), Status> {
        settled(self.client.create(&kind, "", object).await, &[Reason::ALREADY_EXISTS])
    }

    /// Says in a flow schema whether its level is there.
    async fn tell_level(&self, schema: &Value, levels: &[Value]) -> Result<(), Status> {
        let level = schema.pointer("/spec/priorityLevelConfiguration/name").and_then(Value::as_str);
        let level = level.unwrap_or_default();
        let is_there = levels.iter().any(|other| meta::name(other) == level);
        let Some(condition) = dangling(schema, level, is_there, &time::format(self.server.env.now())) else {
            return Ok(());
        };
        let name = meta::name(schema);
        let patch = json!({
            "apiVersion": API_VERSION, "kind": "FlowSchema", "metadata": {"name": name, "uid": meta::uid(schema)},
            "status": {"conditions": [condition]},
        });
        let options =
            WriteOptions { force: true, field_manager: CONSUMER.to_owned(), ..WriteOptions::default() };
        let told = self.client.patch(&schemas(), "status", "", name, PatchType::Apply, patch, &options).await;
        settled(told, &PASSING)
    }
}

/// The condition as it must be, unless it is so already.
fn dangling(schema: &Value, level: &str, is_there: bool, now: &str) -> Option<Value> {
    let of = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
    let (status, reason, message) = match is_there {
        true => ("False", "Found", format!("{of} and it exists")),
        false => ("True", "NotFound", format!("{of} but there is no such object")),
    };
    let conditions = schema.pointer("/status/conditions").and_then(Value::as_array);
    let current = conditions.into_iter().flatten().find(|condition| condition["type"] == "Dangling");
    let is_so = current.is_some_and(|current| {
        current["status"] == status && current["reason"] == reason && current["message"] == message
    });
    let condition = json!({
        "type": "Dangling", "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
    });
    (!is_so).then_some(condition)
}
