//! The repair of IPAddress objects: each address of a service has its object, and each object of an address its service
//! (k8s.io/kubernetes/pkg/registry/core/service/ipallocator/controller/repairip.go).
//!
//! The server writes both together, so that nothing of its own leaks. What is mended here is what people do to the
//! objects, and what services had before there were such objects. Whether an address lies in a ServiceCIDR is not asked:
//! a host that gives addresses has ranges of its own.

use crate::events::{Kind, Recorder};
use crate::runtime::{self, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::admission::AddressObjects;
use alcove_apiserver::options::DeleteOptions;
use alcove_apiserver::{Client, Event};
use alcove_object::{Env, Gvr, Reason, Status, Value, meta, settled, time};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long an address may be there before its service is.
const ALONE: Duration = Duration::from_secs(60);
/// How long an address may be there before its service has it.
const UNUSED: Duration = Duration::from_secs(5);

/// Keeps IPAddress objects of services.
pub struct ServiceAddressObjects {
    client: Client,
    env: Arc<dyn Env>,
    events: Recorder,
}

impl ServiceAddressObjects {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> ServiceAddressObjects {
        let events = Recorder::new(client.clone(), env.clone(), "ipallocator-repair-controller");
        ServiceAddressObjects { client, env, events }
    }

    /// Services; addresses; the services of addresses that changed or went, and the addresses of services that went.
    pub fn sources() -> Vec<Source> {
        let services_and_theirs = |event: &Event, add: &mut dyn FnMut(Key)| match event {
            Event::Added(service) | Event::Modified(service) => add(service.key.clone()),
            Event::Deleted(service) => {
                AddressObjects::of_service(&service.parse()).for_each(|ip| add(ip.to_string().into()));
            }
            _ => {}
        };
        let addresses = |event: &Event, add: &mut dyn FnMut(Key)| {
            let (Event::Added(o) | Event::Modified(o) | Event::Deleted(o)) = event else { return };
            add(o.key.clone());
            let parent = if matches!(event, Event::Added(_)) { None } else { parent(&o.parse()) };
            if let Some((namespace, name)) = parent {
                add(runtime::join(&namespace, &name));
            }
        };
        vec![
            Source::new(services(), Box::new(services_and_theirs)),
            Source::new(addresses_resource(), Box::new(addresses)),
        ]
    }

    /// Every address of a service has its object.
    async fn mend_service(&self, namespace: &str, name: &str) -> Result<Next, Failure> {
        let Some(service) = self.client.find(&services(), namespace, name)? else { return Ok(Next::Done) };
        let service = service.parse();
        for ip in AddressObjects::of_service(&service) {
            let found = self.client.find(&addresses_resource(), "", &ip.to_string())?;
            let Some(found) = found.map(|found| found.parse()) else {
                let why = format!("Cluster IP [{}]: {ip} is not allocated; repairing", family(ip));
                self.tell(&service, "ClusterIPNotAllocated", &why).await;
                self.make(ip, &service).await?;
                continue;
            };
            match parent(&found) {
                Some((n, s)) if n == namespace && s == name => {
                    if !has_labels(&found, ip) {
                        self.make_anew(&found, ip, &service).await?;
                    }
                }
                Some((n, s)) if self.has_address(&n, &s, ip)? => {
                    let why = format!(
                        "Cluster IP [{}]:{ip} was assigned to multiple services; please recreate service",
                        family(ip)
                    );
                    self.tell(&service, "ClusterIPAlreadyAllocated", &why).await;
                }
                _ => {
                    let why = format!(
                        "the ClusterIP [{}]: {ip} for Service {namespace}/{name} has a wrong reference; repairing",
                        family(ip)
                    );
                    self.tell(&service, "ClusterIPNotAllocated", &why).await;
                    self.make_anew(&found, ip, &service).await?;
                }
            }
        }
        Ok(Next::Done)
    }

    /// An address that is said to be a service's is one.
    async fn mend_address(&self, name: &str) -> Result<Next, Failure> {
        let Some(object) = self.client.find(&addresses_resource(), "", name)? else { return Ok(Next::Done) };
        let object = object.parse();
        if meta::label(&object, AddressObjects::MANAGED_BY) != Some(AddressObjects::CONTROLLER) {
            return Ok(Next::Done);
        }
        let Some((namespace, service)) = parent(&object) else {
            let why = format!(
                "IPAddress {name} appears to have been modified, not referencing a Service: cleaning up"
            );
            self.tell(&object, "IPAddressNotAllocated", &why).await;
            self.delete(&object).await?;
            return Ok(Next::Done);
        };
        let found = self.client.find(&services(), &namespace, &service)?.map(|found| found.parse());
        let has_it = found
            .as_ref()
            .is_some_and(|service| AddressObjects::of_service(service).any(|ip| ip.to_string() == name));
        if has_it {
            return Ok(Next::Done);
        }
        let created = time::parse(meta::text(&object, "creationTimestamp")).unwrap_or(self.env.now());
        let age = Duration::try_from(self.env.now().duration_since(created)).unwrap_or_default();
        let (grace, reason, what) = match &found {
            None => (ALONE, "IPAddressNotAllocated", "appears to have leaked"),
            Some(service) if service["spec"]["type"] == "ExternalName" => {
                (ALONE, "IPAddressWrongReference", "has a wrong reference")
            }
            Some(_) => (UNUSED, "IPAddressWrongReference", "has a wrong reference"),
        };
        if age < grace {
            return Ok(Next::After(grace - age));
        }
        let why = format!("IPAddress: {name} for Service {namespace}/{service} {what}: cleaning up");
        self.tell(&object, reason, &why).await;
        self.delete(&object).await?;
        Ok(Next::Done)
    }

    fn has_address(&self, namespace: &str, name: &str, ip: IpAddr) -> Result<bool, Status> {
        let found = self.client.find(&services(), namespace, name)?;
        Ok(found.is_some_and(|service| AddressObjects::of_service(&service.parse()).any(|other| other == ip)))
    }

    async fn tell(&self, object: &Value, reason: &str, message: &str) {
        self.events.tell(object, Kind::Warning, reason, message).await;
    }

    async fn make(&self, ip: IpAddr, service: &Value) -> Result<(), Status> {
        let object = AddressObjects::object(ip, meta::namespace(service), meta::name(service));
        let made = self.client.create(&addresses_resource(), "", object).await;
        settled(made, &[Reason::ALREADY_EXISTS])
    }

    async fn make_anew(&self, found: &Value, ip: IpAddr, service: &Value) -> Result<(), Status> {
        self.delete(found).await?;
        self.make(ip, service).await
    }

    async fn delete(&self, object: &Value) -> Result<(), Status> {
        let options = DeleteOptions::of(object);
        let gone = self.client.delete(&addresses_resource(), "", meta::name(object), &options).await;
        settled(gone, &[Reason::NOT_FOUND])
    }
}

fn services() -> Gvr {
    Gvr::new("", "v1", "services")
}

fn addresses_resource() -> Gvr {
    Gvr::new("networking.k8s.io", "v1", "ipaddresses")
}

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// Namespace and name of the service that an address is for; `None` if it is for something else.
fn parent(object: &Value) -> Option<(String, String)> {
    let parent = object.pointer("/spec/parentRef")?;
    let text = |field: &str| parent[field].as_str().unwrap_or_default().to_owned();
    let is_service = text("group").is_empty() && text("resource") == "services";
    is_service.then(|| (text("namespace"), text("name")))
}

fn has_labels(object: &Value, ip: IpAddr) -> bool {
    let wanted = AddressObjects::object(ip, "", "");
    meta::labels(&wanted).all(|(key, value)| meta::label(object, key) == Some(value))
}

impl Reconciler for ServiceAddressObjects {
    fn name(&self) -> &'static str {
        "service-ip-repair-controller"
    }

    fn workers(&self) -> usize {
        1
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        match runtime::split(key) {
            ("", address) => self.mend_address(address).await,
            (namespace, name) => self.mend_service(namespace, name).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, of};
    use serde_json::json;

    fn address(ip: &str, service: &str, managed_by: &str) -> Value {
        json!({ "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
            "metadata": { "name": ip, "labels": { AddressObjects::MANAGED_BY: managed_by } },
            "spec": { "parentRef": { "resource": "services", "namespace": "default", "name": service } } })
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_and_services_find_each_other() {
        let world = World::new().await;
        let (addresses, services) = (of("networking.k8s.io", "ipaddresses"), of("", "services"));
        // Of nobody: goes after a while. Of somebody else: stays.
        world.create(&addresses, address("10.96.0.7", "none", AddressObjects::CONTROLLER)).await;
        world.create(&addresses, address("10.96.0.8", "none", "somebody")).await;
        world.env.advance(ALONE.as_secs() as i64);
        // Without the right labels: made anew.
        world.create(&addresses, address("10.96.0.9", "a", "nobody")).await;
        for (name, ip) in [("a", "10.96.0.9"), ("b", "10.96.0.10")] {
            let service = json!({ "apiVersion": "v1", "kind": "Service",
                "metadata": { "name": name, "namespace": "default" },
                "spec": { "clusterIP": ip, "clusterIPs": [ip], "ports": [{ "port": 80 }] } });
            world.create(&services, service).await;
        }
        let is_mended = |all: &[Value]| {
            let of = |ip: &str| all.iter().find(|object| meta::name(object) == ip);
            let is_right = |ip: &str, service: &str| {
                of(ip).is_some_and(|object| {
                    has_labels(object, ip.parse().unwrap()) && object["spec"]["parentRef"]["name"] == service
                })
            };
            is_right("10.96.0.9", "a") && is_right("10.96.0.10", "b") && of("10.96.0.7").is_none()
        };
        let found = world.until(&addresses, is_mended).await;
        assert_eq!(found.len(), 3, "{found:?}");

        let options = DeleteOptions::default();
        world.client.delete(&addresses, "", "10.96.0.10", &options).await.unwrap();
        world.until(&addresses, is_mended).await;
        // An object that is a service's no more goes, too.
        world.env.advance(ALONE.as_secs() as i64);
        world.client.delete(&services, "default", "b", &options).await.unwrap();
        world.until(&addresses, |all| all.iter().all(|object| meta::name(object) != "10.96.0.10")).await;
    }
}
