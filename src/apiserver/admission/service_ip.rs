//! ServiceIp: addresses and node ports for services (k8s.io/kubernetes/pkg/registry/core/service/storage/alloc.go).
//!
//! Who gives them out is behind [`ServiceAddresses`]: a server of its own counts what its store holds
//! ([`LocalAddresses`]), a tenant asks its host. Nothing has to be given back: an address is free when no stored service
//! has it and no write that is under way was promised it.

use super::{Admission, Admitting, Attributes};
use crate::kinds::services;
use crate::request::Verb;
use alcove_object::field::{Error, Path};
use alcove_object::{Status, Value, meta};
use serde_json::{Map, json};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

mod local;

pub use local::{AddressConfig, LocalAddresses};

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

    /// A port on every node for a protocol: the wanted one, or any.
    fn node_port<'a>(&'a self, asker: Asker<'a>, protocol: &'a str, wanted: Option<u16>) -> Answer<'a, u16>;
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
        let gvr = &attributes.resource.gvr;
        let is_write = matches!(attributes.verb, Verb::Create | Verb::Update);
        if !gvr.group.is_empty()
            || gvr.resource != "services"
            || !attributes.subresource.is_empty()
            || !is_write
        {
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
        let invalid = |error| Status::invalid("", "Service", &name, &[error]);
        if services::needs_cluster_ip(service) {
            families(service).map_err(invalid)?;
            self.assign_ip(asker, service, old).await.map_err(invalid)?;
        }
        if services::needs_node_ports(service) {
            self.assign_ports(asker, service, old).await.map_err(invalid)?;
        }
        if services::needs_health_check_port(service) {
            self.assign_health_check(asker, service, old).await.map_err(invalid)?;
        }
        Ok(())
    }

    async fn assign_ip(
        &self,
        asker: Asker<'_>,
        service: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Error> {
        let given = text(service, "/spec/clusterIPs/0").to_owned();
        let had = old.map_or("", |old| text(old, "/spec/clusterIPs/0"));
        let wanted = match given.as_str() {
            "None" => return Ok(()),
            given if !given.is_empty() && given == had => return Ok(()),
            "" => None,
            // What is no address is refused by validation.
            given => match given.parse() {
                Ok(ip) => Some(ip),
                Err(_) => return Ok(()),
            },
        };
        let path = Path::new("spec").child("clusterIPs");
        let ip = self.addresses.cluster_ip(asker, wanted).await.map_err(|refused| match wanted {
            Some(ip) => Error::invalid(&path, json!([ip]), format!("failed to allocate IP {ip}: {refused}")),
            None => Error::invalid(&path, json!([""]), format!("failed to allocate IP: {refused}")),
        })?;
        if let Some(spec) = spec_mut(service) {
            spec.insert("clusterIP".into(), ip.to_string().into());
            spec.insert("clusterIPs".into(), json!([ip.to_string()]));
        }
        Ok(())
    }

    async fn assign_ports(
        &self,
        asker: Asker<'_>,
        service: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Error> {
        let mut had = old.map(node_ports).unwrap_or_default();
        let mut ports = service.pointer("/spec/ports").and_then(Value::as_array).cloned().unwrap_or_default();
        // Of one number and several protocols, the first says the node port for all.
        let mut chosen: Vec<(i64, String, u16)> = Vec::new();
        for (i, port) in ports.iter_mut().enumerate() {
            let protocol = text(port, "/protocol").to_owned();
            let number = int(port, "/port");
            let given = u16::try_from(int(port, "/nodePort")).unwrap_or(0);
            let kept = had.iter().position(|held| given != 0 && *held == (protocol.clone(), given));
            let node_port = match kept {
                Some(at) => had.swap_remove(at).1,
                None => {
                    let sibling = chosen.iter().find(|(n, p, _)| *n == number && *p != protocol).map(|c| c.2);
                    let wanted = if given == 0 { sibling } else { Some(given) };
                    let answer = self.addresses.node_port(asker, &protocol, wanted).await;
                    let path = Path::new("spec").child("ports").index(i).child("nodePort");
                    answer.map_err(|refused| Error::invalid(&path, given, port_text(&refused)))?
                }
            };
            chosen.push((number, protocol, node_port));
            if let Some(port) = port.as_object_mut() {
                port.insert("nodePort".into(), node_port.into());
            }
        }
        if let (false, Some(spec)) = (ports.is_empty(), spec_mut(service)) {
            spec.insert("ports".into(), ports.into());
        }
        Ok(())
    }

    async fn assign_health_check(
        &self,
        asker: Asker<'_>,
        service: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Error> {
        let given = int(service, "/spec/healthCheckNodePort");
        if given != 0 && old.is_some_and(|old| int(old, "/spec/healthCheckNodePort") == given) {
            return Ok(());
        }
        let wanted = u16::try_from(given).ok().filter(|port| *port != 0);
        let path = Path::new("spec").child("healthCheckNodePort");
        let answer = self.addresses.node_port(asker, "TCP", wanted).await;
        let port = answer.map_err(|refused| Error::invalid(&path, given, port_text(&refused)))?;
        if let Some(spec) = spec_mut(service) {
            spec.insert("healthCheckNodePort".into(), port.into());
        }
        Ok(())
    }
}

fn port_text(refused: &Refused) -> String {
    match refused {
        Refused::Full => format!("failed to allocate a nodePort: {refused}"),
        other => other.to_string(),
    }
}

impl Admission for ServiceIp {
    fn name(&self) -> &'static str {
        "ServiceIp"
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(self.assign(attributes))
    }
}

/// The families of a cluster that has IPv4 alone. Services that have neither an address nor a selector are reached
/// through what somebody else writes, of any family.
fn families(service: &mut Value) -> Result<(), Error> {
    let is_headless = text(service, "/spec/clusterIPs/0") == "None";
    let selects = service.pointer("/spec/selector").and_then(Value::as_object).is_some_and(|s| !s.is_empty());
    let policy = text(service, "/spec/ipFamilyPolicy").to_owned();
    let given = service.pointer("/spec/ipFamilies").and_then(Value::as_array).cloned().unwrap_or_default();
    let path = Path::new("spec");
    if is_headless && !selects {
        let default = if policy.is_empty() { "RequireDualStack" } else { &policy };
        let mut families = if given.is_empty() { vec![json!("IPv4")] } else { given };
        if default != "SingleStack" && families.len() == 1 {
            families.push(if families[0] == "IPv4" { json!("IPv6") } else { json!("IPv4") });
        }
        set_families(service, default, families);
        return Ok(());
    }
    if let Some((i, family)) = given.iter().enumerate().find(|(_, family)| **family == "IPv6") {
        let path = path.child("ipFamilies").index(i);
        return Err(Error::invalid(&path, family.clone(), "not configured on this cluster"));
    }
    if policy == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        return Err(Error::invalid(&path.child("ipFamilyPolicy"), policy, why));
    }
    let policy = if policy.is_empty() { "SingleStack" } else { &policy };
    let families = if given.is_empty() { vec![json!("IPv4")] } else { given };
    set_families(service, policy, families);
    Ok(())
}

fn set_families(service: &mut Value, policy: &str, families: Vec<Value>) {
    if let Some(spec) = spec_mut(service) {
        spec.insert("ipFamilyPolicy".into(), policy.into());
        spec.insert("ipFamilies".into(), families.into());
    }
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
