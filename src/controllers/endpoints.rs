//! Endpoints and EndpointSlices of services with a selector (k8s.io/kubernetes/pkg/controller/{endpoint,endpointslice}).
//!
//! Both say the same about the same pods, so one reconciler writes both. [`slices`] turns a service and its pods into
//! what should be there; it is pure.

mod slices;

use crate::endpoint_slices::EndpointSlices;
use crate::pods;
use crate::runtime::{self, Facts, Failure, Key, Mapper, Next, Reconciler, Source};
use alcove_apiserver::options::{DeleteOptions, ListOptions};
use alcove_apiserver::{Client, Event};
use alcove_object::selector::Labels;
use alcove_object::{Gvr, Reason, Status, Value, meta, settled};
use std::sync::Arc;

/// Who our slices say that they are managed by.
const CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// Keeps Endpoints and EndpointSlices.
pub struct Endpoints {
    client: Client,
    slices: EndpointSlices,
}

impl Endpoints {
    /// A controller that acts as this client's user.
    pub fn new(client: Client) -> Endpoints {
        let slices = EndpointSlices {
            client: client.clone(),
            controller: CONTROLLER,
            is_same: slices::is_same,
            reused: slices::reused,
        };
        Endpoints { client, slices }
    }

    /// Services, pods that one selects or selected, and slices of ours that somebody else touched.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let this = self.clone();
        let pods: Mapper = Box::new(move |event, add| this.services_of(event, add));
        vec![
            Source::new(services(), runtime::by_key()),
            Source::new(pods::resource(), pods),
            self.slices.touched(),
        ]
    }

    /// Asks for every service of the pod's namespace that selects it. A pod whose labels changed may have left a
    /// service, which only that service's own endpoints know: so ask for those that name it, too.
    fn services_of(&self, event: &Event, add: &mut dyn FnMut(Key)) {
        let (Event::Added(pod) | Event::Modified(pod) | Event::Deleted(pod)) = event else { return };
        let facts = Facts::of(pod);
        let Ok(found) = self.client.list(&services(), pod.namespace(), &ListOptions::default()) else {
            return;
        };
        for service in found.items {
            let selects = selector_of(&service.parse())
                .is_some_and(|selector| selector.matches(|key| facts.labels.get(key).map(String::as_str)));
            if selects || facts.uid.is_empty() || self.names(&service, pod.name()) {
                add(service.key);
            }
        }
    }

    fn names(&self, service: &alcove_apiserver::Object, pod: &str) -> bool {
        let Ok(endpoints) = self.client.get(&endpoint_resource(), service.namespace(), service.name()) else {
            return false;
        };
        slices::names_pod(&endpoints.parse(), pod)
    }

    fn pods_of(&self, service: &Value, labels: Labels) -> Result<Vec<Value>, Status> {
        let options = ListOptions { labels, ..ListOptions::default() };
        let found = self.client.list(&pods::resource(), meta::namespace(service), &options)?;
        Ok(found.items.iter().map(alcove_apiserver::Object::parse).collect())
    }

    async fn write_endpoints(&self, wanted: Value) -> Result<(), Status> {
        let (namespace, name) = (meta::namespace(&wanted).to_owned(), meta::name(&wanted).to_owned());
        match self.client.find(&endpoint_resource(), &namespace, &name)? {
            None => self.client.create(&endpoint_resource(), &namespace, wanted).await.map(drop),
            Some(found) => {
                let mut tree = found.parse();
                let same_labels = tree.pointer("/metadata/labels") == wanted.pointer("/metadata/labels");
                let capacity = meta::annotation(&wanted, slices::OVER_CAPACITY);
                let same_capacity = meta::annotation(&tree, slices::OVER_CAPACITY) == capacity;
                if tree.get("subsets") == wanted.get("subsets") && same_labels && same_capacity {
                    return Ok(());
                }
                set_annotation(&mut tree, slices::OVER_CAPACITY, capacity);
                tree["metadata"]["labels"] = wanted["metadata"]["labels"].clone();
                tree["subsets"] = wanted["subsets"].clone();
                self.client.update(&endpoint_resource(), &namespace, tree).await.map(drop)
            }
        }
    }

    /// The service is gone: its endpoints go with it. Slices have an owner reference and are garbage collected.
    async fn forget(&self, namespace: &str, name: &str) -> Result<(), Status> {
        let Some(found) = self.client.find(&endpoint_resource(), namespace, name)? else { return Ok(()) };
        let options = DeleteOptions::of(&found.parse());
        let gone = self.client.delete(&endpoint_resource(), namespace, name, &options).await;
        settled(gone, &[Reason::NOT_FOUND])
    }
}

fn set_annotation(object: &mut Value, key: &str, value: Option<&str>) {
    let annotations = meta::child_mut(meta::metadata_mut(object), "annotations");
    match value {
        Some(value) => annotations.insert(key.to_owned(), value.into()),
        None => annotations.remove(key),
    };
}

fn services() -> Gvr {
    Gvr::new("", "v1", "services")
}

fn endpoint_resource() -> Gvr {
    Gvr::new("", "v1", "endpoints")
}

/// A service's selector; `None` where somebody else provides the endpoints.
fn selector_of(service: &Value) -> Option<Labels> {
    let selector = Labels::from_map(service.pointer("/spec/selector"));
    let is_external = service.pointer("/spec/type").and_then(Value::as_str) == Some("ExternalName");
    (!selector.is_empty() && !is_external).then_some(selector)
}

impl Reconciler for Endpoints {
    fn name(&self) -> &'static str {
        "endpointslice-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(service) = self.client.find(&services(), namespace, name)? else {
            self.forget(namespace, name).await?;
            return Ok(Next::Done);
        };
        let service = service.parse();
        let Some(selector) = selector_of(&service).filter(|_| !meta::is_deleting(&service)) else {
            return Ok(Next::Done);
        };
        let pods = self.pods_of(&service, selector)?;
        let result = async {
            self.write_endpoints(slices::endpoints(&service, &pods)).await?;
            self.slices.write(namespace, name, slices::slices(&service, &pods)).await
        };
        match result.await {
            Err(status) if status.is(Reason::NOT_FOUND) || crate::namespace::is_terminating(&status) => {
                Ok(Next::Done)
            }
            result => Ok(result.map(|()| Next::Done)?),
        }
    }
}
