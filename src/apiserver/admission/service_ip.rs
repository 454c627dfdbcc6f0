//! ServiceIp: addresses and node ports for services (k8s.io/kubernetes/pkg/registry/core/service/storage/alloc.go).
//!
//! Who gives them out is behind [`ServiceAddresses`]: a server of its own counts what its store holds
//! ([`LocalAddresses`]), a tenant asks its host. Nothing has to be given back: an address is free when no stored service
//! has it and no write that is under way was promised it.

use super::{Admission, Admitting, Attributes};
use crate::kinds::services;
use crate::request::Verb;
use alcove_object::field::{Error, Path};
use alcove_object::{Reason, Status, Value, meta};
use serde_json::{Map, json};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

mod local;
mod objects;

pub use local::{AddressConfig, LocalAddresses};
pub use objects::AddressObjects;

/// The families that a cluster of ours has addresses of.
const FAMILIES: &[&str] = &["IPv4"];

/// Why an address or port is not given. The texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing is left.
    #[error("range is full")]
    Full,
    /// Another service has this address.
    #[error("provided IP is already allocated")]
    AddressTaken,
    /// This address is not one to give.
    #[error("the provided network does not match the current range")]
    AddressOutside,
    /// Another service has this port.
    #[error("provided port is already allocated")]
    PortTaken,
    /// This port is not one to give.
    #[error("provided port is not in the valid range. The range of valid ports is {0}-{1}")]
    PortOutside(u16, u16),
}

/// A boxed answer.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refused>> + Send + 'a>>;

/// Who asks for an address.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// `namespace/name` of the service; the name is empty while it is not generated.
    pub key: &'a str,
    /// Nothing will be written: nothing needs to be kept for it.
    pub dry_run: bool,
}

/// Gives out addresses and node ports.
pub trait ServiceAddresses: Send + Sync {
    /// An address in the cluster: the wanted one, or any.
    fn cluster_ip<'a>(&'a self, asker: Asker<'a>, wanted: Option<IpAddr>) -> Answer<'a, IpAddr>;

    /// A port on every node, for all protocols: the wanted one, or any.
    fn node_port<'a>(&'a self, asker: Asker<'a>, wanted: Option<u16>) -> Answer<'a, u16>;

    /// These were given for a service that is not stored after all.
    fn give_back(&self, asker: Asker<'_>, ips: &[IpAddr], ports: &[u16]);
}

/// The admission step.
pub struct ServiceIp {
    addresses: Arc<dyn ServiceAddresses>,
}

impl ServiceIp {
    /// A step that asks `addresses`.
    pub fn new(addresses: Arc<dyn ServiceAddresses>) -> ServiceIp {
        ServiceIp { addresses }
    }

    async fn assign(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        if !is_write(attributes) {
            return Ok(());
        }
        let (dry_run, old) = (attributes.dry_run, attributes.old);
        let service = &mut *attributes.object;
        // An object without a spec is refused later.
        if !service.get("spec").is_some_and(Value::is_object) {
            return Ok(());
        }
        match old {
            Some(old) => services::carry_over(service, old),
            None => services::single_and_list(service, None),
        }
        let key = format!("{}/{}", attributes.namespace, meta::name(service));
        let asker = Asker { key: &key, dry_run };
        let name = meta::name(service).to_owned();
        let invalid = |errors: &[Error]| Status::invalid("", "Service", &name, errors);
        services::fill_families(service, old, FAMILIES).map_err(|errors| invalid(&errors))?;
        let told = |failure| match failure {
            Failure::Invalid(error) => invalid(&[error]),
            Failure::Full(what) => {
                let why = format!("failed to allocate a {what}: {}", Refused::Full);
                Status::internal(why.replace("{name}", &format!("{name:?}")))
            }
            Failure::Other(why) => Status::new(500, Reason::UNKNOWN, why),
        };
        let has_had = |service: &Value| services::needs_cluster_ip(service);
        if services::needs_cluster_ip(service) && !old.is_some_and(has_had) {
            self.assign_ip(asker, service).await.map_err(told)?;
        }
        if matches!(services::kind(service), "NodePort" | "LoadBalancer") {
            self.assign_ports(asker, service, old).await.map_err(told)?;
        }
        let is_asked = |service: &Value| services::needs_health_check_port(service);
        if is_asked(service) && !old.is_some_and(is_asked) {
            self.assign_health_check(asker, service).await.map_err(told)?;
        }
        Ok(())
    }

    /// Gives back what a service has that had not had it before.
    fn give_back(&self, attributes: &Attributes<'_>) {
        if !is_write(attributes) || attributes.dry_run {
            return;
        }
        let ips = |service: &Value| AddressObjects::of_service(service).collect::<Vec<_>>();
        let ports = |service: &Value| -> Vec<u16> {
            let check = u16::try_from(int(service, "/spec/healthCheckNodePort")).ok();
            node_ports(service)
                .into_iter()
                .map(|held| held.1)
                .chain(check.filter(|port| *port != 0))
                .collect()
        };
        let (mut new_ips, mut new_ports) = (ips(attributes.object), ports(attributes.object));
        if let Some(old) = attributes.old {
            let (old_ips, old_ports) = (ips(old), ports(old));
            new_ips.retain(|ip| !old_ips.contains(ip));
            new_ports.retain(|port| !old_ports.contains(port));
        }
        let key = format!("{}/{}", attributes.namespace, meta::name(attributes.object));
        self.addresses.give_back(Asker { key: &key, dry_run: false }, &new_ips, &new_ports);
    }

    /// An address for a service that had none.
    async fn assign_ip(&self, asker: Asker<'_>, service: &mut Value) -> Result<(), Failure> {
        let wanted = match text(service, "/spec/clusterIPs/0") {
            "None" => return Ok(()),
            "" => None,
            given => Some(given.to_owned()),
        };
        let path = Path::new("spec").child("clusterIPs");
        let ip = match &wanted {
            None => self.addresses.cluster_ip(asker, None).await.map_err(|refused| match refused {
                Refused::Full => Failure::Full("serviceIP for Service {name}"),
                other => Error::invalid(&path, json!([""]), format!("failed to allocate IP: {other}")).into(),
            })?,
            Some(given) => {
                // What is no address was refused with the families.
                let Ok(ip) = given.parse() else { return Ok(()) };
                let answer = self.addresses.cluster_ip(asker, Some(ip)).await;
                answer.map_err(|refused| {
                    let why = format!("failed to allocate IP {given}: {refused}");
                    Error::invalid(&path, json!([given]), why)
                })?
            }
        };
        if let Some(spec) = spec_mut(service) {
            spec.insert("clusterIP".into(), ip.to_string().into());
            spec.insert("clusterIPs".into(), json!([ip.to_string()]));
        }
        Ok(())
    }

    /// Node ports for the ports that have none (alloc.go: initNodePorts, updateNodePorts).
    async fn assign_ports(
        &self,
        asker: Asker<'_>,
        service: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Failure> {
        let had: Vec<u16> = old.map(node_ports).unwrap_or_default().into_iter().map(|held| held.1).collect();
        let is_free_to_choose = services::needs_node_ports(service);
        let asked = node_ports_by_number(service);
        let mut ports = service.pointer("/spec/ports").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut taken: Vec<u16> = Vec::new();
        let mut chosen: Vec<(i64, u16)> = Vec::new();
        for (i, port) in ports.iter_mut().enumerate() {
            let number = int(port, "/port");
            let given = u16::try_from(int(port, "/nodePort")).unwrap_or(0);
            if given == 0 && !is_free_to_choose {
                continue;
            }
            // A new service says the node port of one number once, for all of its protocols.
            let first = chosen.iter().find(|(n, _)| *n == number).map(|(_, port)| *port);
            let sibling = asked.iter().find(|(n, _)| *n == number).map(|(_, port)| *port);
            let wanted = match (given, old) {
                (0, None) => first.or(sibling),
                (0, Some(_)) => None,
                (given, _) => Some(given),
            };
            let is_ours = |port: u16| match old {
                None => first == Some(port),
                Some(_) => had.contains(&port) || taken.contains(&port),
            };
            let node_port = match wanted {
                Some(port) if is_ours(port) => port,
                wanted => self.take_port(asker, wanted, &taken, i).await?,
            };
            taken.push(node_port);
            chosen.push((number, node_port));
            if let Some(port) = port.as_object_mut() {
                port.insert("nodePort".into(), node_port.into());
            }
        }
        if let (false, Some(spec)) = (ports.is_empty(), spec_mut(service)) {
            spec.insert("ports".into(), ports.into());
        }
        if old.is_some() { no_double(service) } else { Ok(()) }
    }

    async fn take_port(
        &self,
        asker: Asker<'_>,
        wanted: Option<u16>,
        taken: &[u16],
        at: usize,
    ) -> Result<u16, Failure> {
        let path = Path::new("spec").child("ports").index(at).child("nodePort");
        if let Some(port) = wanted.filter(|port| taken.contains(port)) {
            return Err(Error::invalid(&path, port, Refused::PortTaken.to_string()).into());
        }
        loop {
            match self.addresses.node_port(asker, wanted).await {
                // A dry run promises nothing, so that a port may come twice.
                Ok(port) if taken.contains(&port) => {}
                Ok(port) => return Ok(port),
                Err(Refused::Full) => return Err(Failure::Full("nodePort")),
                Err(refused) => return Err(Error::invalid(&path, wanted, refused.to_string()).into()),
            }
        }
    }

    async fn assign_health_check(&self, asker: Asker<'_>, service: &mut Value) -> Result<(), Failure> {
        let given = int(service, "/spec/healthCheckNodePort");
        let wanted = u16::try_from(given).ok().filter(|port| *port != 0);
        let port = self.addresses.node_port(asker, wanted).await.map_err(|refused| {
            let what = if wanted.is_some() { "requested" } else { "a" };
            let why = format!("failed to allocate {what} HealthCheck NodePort {given}: {refused}");
            Failure::Other(format!("Internal error occurred: {why}"))
        })?;
        if let Some(spec) = spec_mut(service) {
            spec.insert("healthCheckNodePort".into(), port.into());
        }
        Ok(())
    }
}

/// Why a service gets nothing.
enum Failure {
    /// It asks for what cannot be.
    Invalid(Error),
    /// Nothing is left of this.
    Full(&'static str),
    /// Upstream says so with 500 and these words.
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Invalid(error)
    }
}

/// A protocol has a node port once.
fn no_double(service: &Value) -> Result<(), Failure> {
    let ports = node_ports(service);
    let double = ports.iter().enumerate().find(|(i, held)| ports[..*i].contains(held));
    match double {
        Some((_, (protocol, port))) => {
            Err(Failure::Other(format!("duplicate nodePort: {{{protocol} {port}}}")))
        }
        None => Ok(()),
    }
}

/// The node ports that are asked for, by the numbers of their ports.
fn node_ports_by_number(service: &Value) -> Vec<(i64, u16)> {
    let ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    let asked = ports.map(|p| (int(p, "/port"), u16::try_from(int(p, "/nodePort")).unwrap_or(0)));
    asked.filter(|(_, port)| *port != 0).collect()
}

impl Admission for ServiceIp {
    fn name(&self) -> &'static str {
        "ServiceIp"
    }

    fn is_storage(&self) -> bool {
        true
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(self.assign(attributes))
    }

    fn withdraw(&self, attributes: &Attributes<'_>) {
        self.give_back(attributes);
    }
}

/// Whether a service itself is made or changed.
fn is_write(attributes: &Attributes<'_>) -> bool {
    let gvr = &attributes.resource.gvr;
    let is_service = gvr.group.is_empty() && gvr.resource == "services" && attributes.subresource.is_empty();
    is_service && matches!(attributes.verb, Verb::Create | Verb::Update)
}

/// Whether a changed service asks for what the old one had not: an address in the cluster, or a port on the nodes, be it
/// one that it names or any.
pub fn asks_for_more(service: &Value, old: &Value) -> bool {
    let is_new = |needs: fn(&Value) -> bool| needs(service) && !needs(old);
    let lacks_address = services::needs_cluster_ip(service) && text(service, "/spec/clusterIPs/0").is_empty();
    let (had, has) = (node_ports(old), node_ports(service));
    let all = service.pointer("/spec/ports").and_then(Value::as_array).map_or(0, Vec::len);
    let is_new_port = services::needs_node_ports(service)
        && (has.len() < all || has.iter().any(|port| !had.contains(port)));
    let check = |of: &Value| int(of, "/spec/healthCheckNodePort");
    let is_new_check =
        services::needs_health_check_port(service) && (check(service) == 0 || check(service) != check(old));
    is_new(services::needs_cluster_ip) || lacks_address || is_new_port || is_new_check
}

fn node_ports(service: &Value) -> Vec<(String, u16)> {
    let ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    let held =
        ports.map(|p| (text(p, "/protocol").to_owned(), u16::try_from(int(p, "/nodePort")).unwrap_or(0)));
    held.filter(|(_, port)| *port != 0).collect()
}

fn spec_mut(service: &mut Value) -> Option<&mut Map<String, Value>> {
    service.get_mut("spec")?.as_object_mut()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn int(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}
