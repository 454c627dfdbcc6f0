//! EndpointSlices for Endpoints that somebody else writes, of services without a selector
//! (k8s.io/kubernetes/pkg/controller/endpointslicemirroring). [`slices`] says what should be there; it is pure.

mod slices;

use crate::endpoint_slices::EndpointSlices;
use crate::events::{Kind, Recorder};
use crate::runtime::{self, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::{Client, Object};
use alcove_object::{Env, Gvr, Status, Value, meta};
use std::sync::Arc;

/// Who our slices say that they are managed by.
const CONTROLLER: &str = "endpointslicemirroring-controller.k8s.io";
/// Label of Endpoints that are not to be mirrored.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Annotation of Endpoints that are a lock of old.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// Mirrors Endpoints.
pub struct Mirroring {
    client: Client,
    slices: EndpointSlices,
    events: Recorder,
}

impl Mirroring {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> Mirroring {
        let events = Recorder::new(client.clone(), env, "endpoint-slice-mirroring-controller");
        let slices = EndpointSlices {
            client: client.clone(),
            controller: CONTROLLER,
            is_same: slices::is_same,
            reused: slices::reused,
        };
        Mirroring { client, slices, events }
    }

    /// Endpoints, services, and slices of ours.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        vec![
            Source::new(resource("endpoints"), runtime::by_key()),
            Source::new(resource("services"), runtime::by_key()),
            self.slices.touched(),
        ]
    }

    /// The Endpoints to mirror; `None`: there is nothing to be mirrored.
    fn original(&self, namespace: &str, name: &str) -> Result<Option<Value>, Status> {
        let Some(endpoints) = self.client.find(&resource("endpoints"), namespace, name)? else {
            return Ok(None);
        };
        let endpoints = endpoints.parse();
        let is_skipped = meta::label(&endpoints, SKIP) == Some("true")
            || meta::annotation(&endpoints, LEADER).is_some()
            || meta::is_deleting(&endpoints);
        let service = self.client.find(&resource("services"), namespace, name)?;
        let is_selected = |service: Object| {
            service.parse().pointer("/spec/selector").is_some_and(|selector| !selector.is_null())
        };
        Ok(Some(endpoints).filter(|_| !is_skipped && !service.is_none_or(is_selected)))
    }
}

fn resource(resource: &str) -> Gvr {
    Gvr::new("", "v1", resource)
}

impl Reconciler for Mirroring {
    fn name(&self) -> &'static str {
        "endpointslicemirroring-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let original = self.original(namespace, name)?;
        let mirror = original.as_ref().map(slices::mirror).unwrap_or_default();
        if let Some(original) = &original {
            for (reason, message) in mirror.complaints {
                self.events.tell(original, Kind::Warning, reason, &message).await;
            }
        }
        match self.slices.write(namespace, name, mirror.slices).await {
            Err(status) if crate::namespace::is_terminating(&status) => Ok(Next::Done),
            result => Ok(result.map(|()| Next::Done)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint_slices::{MANAGED_BY, SERVICE_NAME};
    use crate::testing::{World, of};
    use alcove_apiserver::options::DeleteOptions;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn slices_follow_endpoints_of_services_without_a_selector() {
        let world = World::new().await;
        let (services, endpoints) = (of("", "services"), of("", "endpoints"));
        let slices = of("discovery.k8s.io", "endpointslices");
        let service = json!({ "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "db", "namespace": "default" },
            "spec": { "ports": [{ "port": 80 }] } });
        world.create(&services, service).await;
        let subsets = |ip: &str| json!([{ "addresses": [{ "ip": ip }], "ports": [{ "port": 5432 }] }]);
        let object = json!({ "apiVersion": "v1", "kind": "Endpoints",
            "metadata": { "name": "db", "namespace": "default", "labels": { "a": "b" } },
            "subsets": subsets("192.0.2.1") });
        world.create(&endpoints, object).await;
        let shows = |all: &[Value], ip: &str| {
            all.len() == 1
                && all[0]["endpoints"].as_array().is_some_and(|e| e.len() == 1)
                && all[0]["endpoints"][0]["addresses"] == json!([ip])
        };
        let first = world.until(&slices, |all| shows(all, "192.0.2.1")).await;
        assert_eq!(
            first[0]["metadata"]["labels"],
            json!({ "a": "b", SERVICE_NAME: "db", MANAGED_BY: CONTROLLER })
        );
        assert_eq!(first[0]["metadata"]["ownerReferences"][0]["kind"], "Endpoints");

        world.patch(&endpoints, "db", json!({ "subsets": subsets("192.0.2.2") })).await;
        let second = world.until(&slices, |all| shows(all, "192.0.2.2")).await;
        assert_eq!(meta::name(&second[0]), meta::name(&first[0]), "a slice that is there is used again");
        // Somebody touches it.
        world.patch(&slices, meta::name(&second[0]), json!({ "endpoints": [] })).await;
        world.until(&slices, |all| shows(all, "192.0.2.2")).await;

        world.patch(&endpoints, "db", json!({ "metadata": { "labels": { SKIP: "true" } } })).await;
        world.until(&slices, <[Value]>::is_empty).await;
        world.patch(&endpoints, "db", json!({ "metadata": { "labels": { SKIP: null } } })).await;
        world.until(&slices, |all| shows(all, "192.0.2.2")).await;
        world.client.delete(&endpoints, "default", "db", &DeleteOptions::default()).await.unwrap();
        world.until(&slices, <[Value]>::is_empty).await;
    }
}
