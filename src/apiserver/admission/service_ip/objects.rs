//! IPAddress objects: each address of a service has one, which comes and goes with it in one transaction.
//!
//! Upstream's allocator makes the object first, as its lock on the address, and a repair loop cleans up behind writes that
//! failed. Here there is nothing to clean up; the repair in the controllers is for what people do to the objects.

use crate::admission::{Admission, Attributes, Charge, Charging, Edit};
use crate::request::Verb;
use alcove_object::field::{Error, Path};
use alcove_object::{Gvr, Status, Value, meta};
use alcove_store::{Entry, Store};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;

/// Where the store keeps IPAddress objects.
pub(super) const TABLE: &str = "ipaddresses.networking.k8s.io";
/// Label of an IPAddress that says its family.
const FAMILY: &str = "ipaddress.kubernetes.io/ip-family";

/// The admission step that writes them.
pub struct AddressObjects {
    store: Store,
    is_given: bool,
}

impl AddressObjects {
    /// Label of an IPAddress that says who made it.
    pub const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
    /// The value of [`Self::MANAGED_BY`] for those of services
    /// (k8s.io/kubernetes/pkg/registry/core/service/ipallocator: ControllerName).
    pub const CONTROLLER: &str = "ipallocator.k8s.io";

    /// A step over this store. `is_given` says that addresses come from elsewhere: then an IPAddress that somebody made
    /// for another purpose gives way, since the address is a fact; else the service is refused.
    pub fn new(store: Store, is_given: bool) -> AddressObjects {
        AddressObjects { store, is_given }
    }

    /// The IPAddress object of a service's address, as upstream's allocator writes it.
    pub fn object(ip: IpAddr, namespace: &str, service: &str) -> Value {
        let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
            "metadata": { "name": ip.to_string(), "labels": { FAMILY: family, Self::MANAGED_BY: Self::CONTROLLER } },
            "spec": { "parentRef": { "resource": "services", "namespace": namespace, "name": service } },
        })
    }

    /// The addresses that a service has.
    pub fn of_service(service: &Value) -> impl Iterator<Item = IpAddr> {
        let ips = service.pointer("/spec/clusterIPs").and_then(Value::as_array);
        ips.into_iter().flatten().filter_map(|ip| ip.as_str()?.parse().ok())
    }

    fn stored(&self, ip: IpAddr) -> Option<(Arc<Entry>, Value)> {
        let entry = self.store.get(TABLE, &ip.to_string())?;
        let object = serde_json::from_slice(&entry.json).ok()?;
        Some((entry, object))
    }

    fn edits(&self, attributes: &Attributes<'_>) -> Result<Vec<Edit>, Status> {
        let gvr = &attributes.resource.gvr;
        let is_service =
            gvr.group.is_empty() && gvr.resource == "services" && attributes.subresource.is_empty();
        if !is_service || attributes.dry_run {
            return Ok(Vec::new());
        }
        let had: Vec<IpAddr> = attributes.old.into_iter().flat_map(Self::of_service).collect();
        let wanted: Vec<IpAddr> = match attributes.verb {
            Verb::Delete => Vec::new(),
            _ => Self::of_service(attributes.object).collect(),
        };
        let (namespace, name) = (attributes.namespace, attributes.name);
        let gone = had.iter().filter(|ip| !wanted.contains(ip));
        let gone = gone.filter_map(|ip| self.stored(*ip).filter(|(_, o)| belongs(o, namespace, name)));
        let mut edits: Vec<Edit> = gone.map(|(entry, _)| edit(Some(entry), None)).collect();
        for ip in wanted.iter().filter(|ip| !had.contains(ip)) {
            edits.extend(self.arrival(*ip, namespace, name)?);
        }
        Ok(edits)
    }

    /// What makes an address the service's.
    fn arrival(&self, ip: IpAddr, namespace: &str, name: &str) -> Result<Option<Edit>, Status> {
        let object = AddressObjects::object(ip, namespace, name);
        match self.stored(ip) {
            None => Ok(Some(edit(None, Some(object)))),
            Some((_, found)) if belongs(&found, namespace, name) => Ok(None),
            Some((entry, mut found)) if self.is_given => {
                found["metadata"]["labels"] = object["metadata"]["labels"].clone();
                found["spec"] = object["spec"].clone();
                Ok(Some(edit(Some(entry), Some(found))))
            }
            Some(_) => {
                let why = format!("failed to allocate IP {ip}: {}", super::Refused::AddressTaken);
                let wrong = Error::invalid(&Path::new("spec").child("clusterIPs"), json!([ip]), why);
                Err(Status::invalid("", "Service", name, &[wrong]))
            }
        }
    }
}

fn edit(entry: Option<Arc<Entry>>, object: Option<Value>) -> Edit {
    Edit { resource: Gvr::new("networking.k8s.io", "v1", "ipaddresses"), subresource: "", entry, object }
}

/// Whether an IPAddress is that of a service.
fn belongs(object: &Value, namespace: &str, name: &str) -> bool {
    let parent = &object["spec"]["parentRef"];
    let group = parent["group"].as_str().unwrap_or_default();
    meta::label(object, AddressObjects::MANAGED_BY) == Some(AddressObjects::CONTROLLER)
        && group.is_empty()
        && parent["resource"] == "services"
        && parent["namespace"] == namespace
        && parent["name"] == name
}

impl Admission for AddressObjects {
    fn name(&self) -> &'static str {
        "AddressObjects"
    }

    fn charge<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Charging<'a> {
        let edits = self.edits(attributes);
        let charge = edits.map(|edits| (!edits.is_empty()).then_some(Charge { edits, turn: None }));
        Box::pin(std::future::ready(charge))
    }
}
