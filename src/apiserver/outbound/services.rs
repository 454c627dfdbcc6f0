//! From a Service to an address that answers for it now.

use alcove_object::Value;
use alcove_store::{Range, Store};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

/// An address, or a sentence on why there is none.
pub type Resolved<'a> = Pin<Box<dyn Future<Output = Result<SocketAddr, String>> + Send + 'a>>;

/// Finds where a Service answers.
pub trait ResolveService: Send + Sync {
    /// An address of the Service's port.
    fn resolve<'a>(&'a self, namespace: &'a str, name: &'a str, port: u16) -> Resolved<'a>;
}

/// Where a Service leads.
enum Found {
    Address(SocketAddr),
    /// A name outside, on the port that was asked for.
    Name(String),
}

/// Takes a ready endpoint of the Service, as kube-proxy would, so that it works where no kube-proxy runs; where the
/// Service has no selector and no endpoints, its own address.
pub struct StoreServices {
    store: Store,
}

impl StoreServices {
    /// Services and endpoints of this store.
    pub fn new(store: Store) -> StoreServices {
        StoreServices { store }
    }

    fn find(&self, namespace: &str, name: &str, port: u16) -> Result<Found, String> {
        let entry = self.store.get("services", &format!("{namespace}/{name}"));
        let entry = entry.ok_or_else(|| format!("service {name:?} not found"))?;
        let service: Value = serde_json::from_slice(&entry.json).map_err(|error| error.to_string())?;
        if service.pointer("/spec/type").and_then(Value::as_str) == Some("ExternalName") {
            let host = service.pointer("/spec/externalName").and_then(Value::as_str).unwrap_or_default();
            return Ok(Found::Name(host.to_owned()));
        }
        let ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
        let found = ports.into_iter().find(|known| known["port"].as_u64() == Some(port.into()));
        let found = found.ok_or_else(|| format!("no service port {port} found for service {name:?}"))?;
        let port_name = found["name"].as_str().unwrap_or_default();
        if let Some(address) = self.endpoint(namespace, name, port_name) {
            return Ok(Found::Address(address));
        }
        let has_selector = service.pointer("/spec/selector").is_some_and(|selector| !selector.is_null());
        let own = service
            .pointer("/spec/clusterIP")
            .and_then(Value::as_str)
            .and_then(|ip| ip.parse::<IpAddr>().ok());
        match own.filter(|_| !has_selector) {
            Some(ip) => Ok(Found::Address(SocketAddr::new(ip, port))),
            None => Err(format!("no endpoints available for service {name:?}")),
        }
    }

    /// A ready endpoint of a port. The newest slice is looked at first.
    fn endpoint(&self, namespace: &str, service: &str, port: &str) -> Option<SocketAddr> {
        let prefix = format!("{namespace}/");
        let range = Range { prefix: &prefix, ..Range::default() };
        let is_of =
            |entry: &alcove_store::Entry| entry.index.label("kubernetes.io/service-name") == Some(service);
        let listing = self.store.list("endpointslices.discovery.k8s.io", &range, &is_of).ok()?;
        listing.entries.iter().find_map(|entry| {
            let slice: Value = serde_json::from_slice(&entry.json).ok()?;
            let ports = slice["ports"].as_array()?;
            let port = ports.iter().find(|known| known["name"].as_str().unwrap_or_default() == port)?;
            let port = u16::try_from(port["port"].as_u64()?).ok()?;
            let is_ready =
                |endpoint: &&Value| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false));
            let ready = slice["endpoints"].as_array()?.iter().find(is_ready)?;
            let ip = ready.pointer("/addresses/0")?.as_str()?.parse().ok()?;
            Some(SocketAddr::new(ip, port))
        })
    }
}

impl ResolveService for StoreServices {
    fn resolve<'a>(&'a self, namespace: &'a str, name: &'a str, port: u16) -> Resolved<'a> {
        Box::pin(async move {
            match self.find(namespace, name, port)? {
                Found::Address(address) => Ok(address),
                Found::Name(host) => {
                    let failed = |why: &str| format!("dial tcp: lookup {host}: {why}");
                    let found = tokio::net::lookup_host((&*host, port)).await;
                    let mut found = found.map_err(|error| failed(&error.to_string()))?;
                    found.next().ok_or_else(|| failed("no such host"))
                }
            }
        })
    }
}
