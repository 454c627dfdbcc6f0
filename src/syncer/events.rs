//! Host events about a tenant's objects, told again in the tenant.

use crate::engine::Syncer;
use crate::translate;
use alcove_apiserver::options::{PatchType, WriteOptions};
use alcove_object::{Gvr, Reason, Status, Value, meta};
use futures_util::StreamExt;
use kube::Api;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher;
use serde_json::json;
use std::sync::Arc;

/// Takes host events about the tenant's objects over.
pub async fn follow_events(syncer: Arc<Syncer>) {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Event"), "events");
    let api: Api<DynamicObject> =
        Api::namespaced_with(syncer.host_client.clone(), &syncer.tenant.host_namespace, &resource);
    let mut events = watcher(api, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        let (Ok(watcher::Event::Apply(event)) | Ok(watcher::Event::InitApply(event))) = event else {
            continue;
        };
        let Ok(host) = serde_json::to_value(&event) else { continue };
        let text =
            |pointer: &str| host.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(owner) = syncer.host.owner_of(&text("/involvedObject/kind"), &text("/involvedObject/name"))
        else {
            continue;
        };
        if let Err(status) = syncer.tell(translate::event(&syncer.tenant, &owner, &host)).await {
            tracing::debug!(error = %status, "cannot take over a host event");
        }
    }
}

impl Syncer {
    async fn tell(&self, event: Value) -> Result<(), Status> {
        let events = Gvr::new("", "v1", "events");
        let (namespace, name) = (meta::namespace(&event).to_owned(), meta::name(&event).to_owned());
        match self.client.create(&events, &namespace, event.clone()).await {
            Err(status) if status.is(Reason::ALREADY_EXISTS) => {
                let known = self.client.get(&events, &namespace, &name)?.parse();
                if known["count"] == event["count"] {
                    return Ok(());
                }
                let patch = json!({ "count": event["count"], "lastTimestamp": event["lastTimestamp"] });
                let options = WriteOptions::default();
                self.client
                    .patch(&events, "", &namespace, &name, PatchType::Merge, patch, &options)
                    .await
                    .map(drop)
            }
            result => result.map(drop),
        }
    }
}
