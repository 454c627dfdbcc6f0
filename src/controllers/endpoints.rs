//! Endpoints and EndpointSlices of services with a selector (k8s.io/kubernetes/pkg/controller/{endpoint,endpointslice}).
//!
//! Both say the same about the same pods, so one reconciler writes both. [`slices`] turns a service and its pods into
//! what should be there; it is pure.

mod slices;

use crate::pods;
use crate::runtime::{self, Facts, Failure, Key, Mapper, Next, Reconciler, Source};
use alcove_apiserver::options::{DeleteOptions, ListOptions};
use alcove_apiserver::{Client, Event};
use alcove_object::selector::Labels;
use alcove_object::{Gvr, Reason, Status, Value, meta, settled};
use std::sync::Arc;

/// Label that tells whose slice it is.
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`] on our slices.
pub(crate) const CONTROLLER: &str = "endpointslice-controller.k8s.io";
/// Label that names a slice's service.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Keeps Endpoints and EndpointSlices.
pub struct Endpoints {
    client: Client,
}

impl Endpoints {
    /// A controller that acts as this client's user.
    pub fn new(client: Client) -> Endpoints {
        Endpoints { client }
    }

    /// Services, pods that one selects or selected, and slices of ours that somebody else touched.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let this = self.clone();
        let pods: Mapper = Box::new(move |event, add| this.services_of(event, add));
        let touched: Mapper = Box::new(|event, add| {
            let (Event::Modified(o) | Event::Deleted(o)) = event else { return };
            let facts = Facts::of(o);
            let ours = facts.labels.get(MANAGED_BY).is_some_and(|by| by == CONTROLLER);
            if let Some(service) = facts.labels.get(SERVICE_NAME).filter(|_| ours) {
                add(runtime::join(o.namespace(), service));
            }
        });
        vec![
            Source::new(services(), runtime::by_key()),
            Source::new(pods::resource(), pods),
            Source::new(slice_resource(), touched),
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

    /// Brings the service's slices to what is wanted: equal ones stay, others are rewritten, surplus ones go.
    async fn write_slices(&self, service: &Value, wanted: Vec<Value>) -> Result<(), Status> {
        let namespace = meta::namespace(service);
        let text = format!("{SERVICE_NAME}={},{MANAGED_BY}={CONTROLLER}", meta::name(service));
        let labels = Labels::parse(&text).map_err(Status::internal)?;
        let found = self.client.list(
            &slice_resource(),
            namespace,
            &ListOptions { labels, ..ListOptions::default() },
        )?;
        let mut found: Vec<Value> = found.items.iter().map(alcove_apiserver::Object::parse).collect();
        let mut missing = Vec::new();
        for slice in wanted {
            match found.iter().position(|f| slices::is_same(f, &slice)) {
                Some(at) => drop(found.swap_remove(at)),
                None => missing.push(slice),
            }
        }
        for slice in missing {
            let reusable = found.iter().position(|f| f["addressType"] == slice["addressType"]);
            match reusable.map(|at| found.swap_remove(at)) {
                Some(mut old) => {
                    slices::overwrite(&mut old, &slice);
                    self.client.update(&slice_resource(), namespace, old).await?;
                }
                None => drop(self.client.create(&slice_resource(), namespace, slice).await?),
            }
        }
        for surplus in found {
            self.delete(&slice_resource(), &surplus).await?;
        }
        Ok(())
    }

    async fn delete(&self, resource: &Gvr, object: &Value) -> Result<(), Status> {
        let options = DeleteOptions::of(object);
        let gone = self.client.delete(resource, meta::namespace(object), meta::name(object), &options).await;
        settled(gone, &[Reason::NOT_FOUND])
    }

    /// The service is gone: its endpoints go with it. Slices have an owner reference and are garbage collected.
    async fn forget(&self, namespace: &str, name: &str) -> Result<(), Status> {
        match self.client.find(&endpoint_resource(), namespace, name)? {
            Some(found) => self.delete(&endpoint_resource(), &found.parse()).await,
            None => Ok(()),
        }
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

fn slice_resource() -> Gvr {
    Gvr::new("discovery.k8s.io", "v1", "endpointslices")
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
            self.write_slices(&service, slices::slices(&service, &pods)).await
        };
        match result.await {
            Err(status) if status.is(Reason::NOT_FOUND) || crate::namespace::is_terminating(&status) => {
                Ok(Next::Done)
            }
            result => Ok(result.map(|()| Next::Done)?),
        }
    }
}
