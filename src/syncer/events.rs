//! Host events about a tenant's objects, told again in the tenant.

use crate::engine::Syncer;
use crate::host::Pauses;
use crate::host_object::HostObject;
use crate::rules::{Flow, RULES, Rule};
use crate::translate::{self, Owner};
use alcove_apiserver::options::{PatchType, WriteOptions};
use alcove_config::NodeNames;
use alcove_object::{Gvr, Status, Value, meta};
use futures_util::StreamExt;
use futures_util::future::join_all;
use kube::Api;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Events that are taken over together if they came together, so that the tenant's store writes them in one commit.
const EVENTS_AT_ONCE: usize = 32;
/// Fields that change when an event happens again.
const COUNTED_FIELDS: [&str; 3] = ["count", "lastTimestamp", "series"];

/// Takes host events about the tenant's objects over. To be started when the host's objects are known: an event of
/// before about an unknown object is nobody's.
pub async fn follow_events(syncer: Arc<Syncer>) {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Event"), "events");
    let api: Api<HostObject> =
        Api::namespaced_with(syncer.host_client.clone(), &syncer.tenant.host_namespace, &resource);
    let events = watcher(api, watcher::Config::default()).backoff(Pauses::default());
    let mut events = events.ready_chunks(EVENTS_AT_ONCE).boxed();
    while let Some(ready) = events.next().await {
        // Of an event that happened again, the last state counts.
        let mut newest = BTreeMap::new();
        for event in ready {
            let (event, is_new) = match event {
                Ok(watcher::Event::Apply(event)) => (event, true),
                Ok(watcher::Event::InitApply(event)) => (event, false),
                _ => continue,
            };
            let event = event.into_tree();
            newest.insert(meta::name(&event).to_owned(), (event, is_new));
        }
        join_all(newest.values().map(|(event, is_new)| syncer.take_event(event, *is_new))).await;
    }
}

impl Syncer {
    async fn take_event(&self, host: &Value, is_new: bool) {
        let Some(owner) = self.owner_of_event(host, is_new).await else { return };
        if let Err(status) = self.tell(self.event(&owner, host)).await {
            tracing::debug!(error = %status, "cannot take over a host event");
        }
    }

    /// Whose the host object is that an event is about. The event may come before the watch of the object's kind tells
    /// of the object, so one that a new event is about is asked for if it is not known.
    async fn owner_of_event(&self, event: &Value, is_new: bool) -> Option<Owner> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = (text("/involvedObject/kind"), text("/involvedObject/name"));
        let uid = text("/involvedObject/uid");
        let is_meant = |rule: &&Rule| rule.kind == kind && matches!(rule.flow, Flow::Down { .. });
        let rule = RULES.iter().find(is_meant)?;
        match self.host.facts(rule, name).filter(|facts| uid.is_empty() || facts.uid == uid) {
            Some(facts) => facts.owner,
            None if !is_new => None,
            None => {
                let object = self.ask(self.api(rule).get_opt(name)).await.ok().flatten()?.into_tree();
                (meta::uid(&object) == uid).then(|| self.owner(rule, &object)).flatten()
            }
        }
    }

    /// A host event in the tenant's terms, nodes too.
    fn event(&self, owner: &Owner, host: &Value) -> Value {
        let mut event = translate::event(&self.tenant, owner, host);
        if let Some(node) = event.pointer_mut("/source/host") {
            let known = node.as_str().filter(|node| !node.is_empty()).map(|node| self.node_name(node));
            *node = known.unwrap_or_default().into();
        }
        if self.allowed.nodes.names == NodeNames::Hidden {
            let message = event["message"].as_str().unwrap_or_default();
            event["message"] = self.host.hide_nodes(message).into();
        }
        event
    }

    /// The tenant's event has a name that follows from the host's, so it is told once, whoever starts when.
    async fn tell(&self, event: Value) -> Result<(), Status> {
        let events = Gvr::new("", "v1", "events");
        let (namespace, name) = (meta::namespace(&event).to_owned(), meta::name(&event).to_owned());
        let Some(known) = self.client.find(&events, &namespace, &name)? else {
            return self.client.create(&events, &namespace, event).await.map(drop);
        };
        let known = known.parse();
        let mut patch = json!({});
        for field in COUNTED_FIELDS {
            if known.get(field).unwrap_or(&Value::Null) != event.get(field).unwrap_or(&Value::Null) {
                patch[field] = event[field].clone();
            }
        }
        if patch.as_object().is_some_and(|patch| patch.is_empty()) {
            return Ok(());
        }
        let options = WriteOptions::default();
        self.client.patch(&events, "", &namespace, &name, PatchType::Merge, patch, &options).await.map(drop)
    }
}
