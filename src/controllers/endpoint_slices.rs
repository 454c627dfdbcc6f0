//! EndpointSlices of a service as one controller keeps them: which are its own, and how few writes bring them to what
//! is wanted (k8s.io/endpointslice).

use crate::runtime::{self, Facts, Key, Source};
use alcove_apiserver::options::{DeleteOptions, ListOptions};
use alcove_apiserver::{Client, Event, Object};
use alcove_object::selector::Labels;
use alcove_object::{Gvr, Reason, Status, Value, meta, settled};

/// Label that tells whose slice it is.
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Label that names a slice's service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The slices of one controller.
pub struct EndpointSlices {
    /// Reads and writes as this client's user.
    pub client: Client,
    /// The value of [`MANAGED_BY`] on the controller's slices.
    pub controller: &'static str,
    /// Whether a slice, the first, already says what the second says.
    pub is_same: fn(&Value, &Value) -> bool,
    /// What is written where a slice, the first, is used again for the second.
    pub reused: fn(Value, Value) -> Value,
}

impl EndpointSlices {
    /// Slices of the controller that somebody else touched, as the key of their service.
    pub fn touched(&self) -> Source {
        let controller = self.controller;
        let mapper = move |event: &Event, add: &mut dyn FnMut(Key)| {
            let (Event::Modified(slice) | Event::Deleted(slice)) = event else { return };
            let facts = Facts::of(slice);
            let is_ours = facts.labels.get(MANAGED_BY).is_some_and(|by| by == controller);
            if let Some(service) = facts.labels.get(SERVICE_NAME).filter(|_| is_ours) {
                add(runtime::join(slice.namespace(), service));
            }
        };
        Source::new(resource(), Box::new(mapper))
    }

    fn of(&self, namespace: &str, service: &str) -> Result<Vec<Value>, Status> {
        let text = format!("{SERVICE_NAME}={service},{MANAGED_BY}={}", self.controller);
        // What is no label's value is no service's name.
        let Ok(labels) = Labels::parse(&text) else { return Ok(Vec::new()) };
        let options = ListOptions { labels, ..ListOptions::default() };
        let found = self.client.list(&resource(), namespace, &options)?;
        Ok(found.items.iter().map(Object::parse).collect())
    }

    /// Brings the service's slices to what is wanted: equal ones stay, others are used again, best one with the same
    /// ports, surplus ones go.
    pub async fn write(&self, namespace: &str, service: &str, wanted: Vec<Value>) -> Result<(), Status> {
        let mut found = self.of(namespace, service)?;
        let mut missing = Vec::new();
        for slice in wanted {
            match found.iter().position(|f| (self.is_same)(f, &slice)) {
                Some(at) => drop(found.swap_remove(at)),
                None => missing.push(slice),
            }
        }
        for slice in missing {
            match reusable(&found, &slice).map(|at| found.swap_remove(at)) {
                Some(old) => {
                    drop(self.client.update(&resource(), namespace, (self.reused)(old, slice)).await?);
                }
                None => drop(self.client.create(&resource(), namespace, slice).await?),
            }
        }
        for surplus in found {
            let options = DeleteOptions::of(&surplus);
            let gone = self.client.delete(&resource(), namespace, meta::name(&surplus), &options).await;
            settled(gone, &[Reason::NOT_FOUND])?;
        }
        Ok(())
    }
}

fn reusable(found: &[Value], slice: &Value) -> Option<usize> {
    let fits = |f: &Value| f["addressType"] == slice["addressType"];
    let is_best = |f: &Value| fits(f) && f["ports"] == slice["ports"];
    found.iter().position(is_best).or_else(|| found.iter().position(fits))
}

fn resource() -> Gvr {
    Gvr::new("discovery.k8s.io", "v1", "endpointslices")
}
