//! The few facts that DNS needs of an object, read from its bytes without building a tree of the whole object.

use serde::{Deserialize, Deserializer};
use std::net::IpAddr;

/// Protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The default.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The protocol of a name in any case.
    pub fn named(name: &str) -> Option<Protocol> {
        [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)]
            .into_iter()
            .find_map(|(known, protocol)| known.eq_ignore_ascii_case(name).then_some(protocol))
    }
}

/// A port of a Service or of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name, empty for the only port of a Service without one.
    pub name: Box<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

/// How a Service is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Through these addresses.
    ClusterIps(Box<[IpAddr]>),
    /// Through its endpoints, each by itself.
    Headless,
    /// Under another name.
    ExternalName(Box<str>),
}

/// What DNS knows of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// How it is reached.
    pub reach: Reach,
    /// Its ports.
    pub ports: Box<[Port]>,
    /// Whether endpoints count before they are ready.
    pub publish_not_ready: bool,
}

/// One address of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The name that the endpoint chose.
    pub hostname: Option<Box<str>>,
    /// Whether it takes traffic.
    pub ready: bool,
}

/// What DNS knows of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Name of its Service, in its own namespace.
    pub service: Box<str>,
    /// Its endpoints' addresses.
    pub endpoints: Box<[Endpoint]>,
    /// The ports of all of them.
    pub ports: Box<[Port]>,
}

impl Service {
    /// Reads a Service.
    pub fn of(json: &[u8]) -> Option<Service> {
        let Wire::<ServiceSpec> { metadata, spec, .. } = serde_json::from_slice(json).ok()?;
        let reach = match () {
            () if spec.kind.as_deref() == Some("ExternalName") => {
                Reach::ExternalName(spec.external_name.unwrap_or_default().trim_end_matches('.').into())
            }
            () if spec.cluster_ip.as_deref() == Some("None") => Reach::Headless,
            () if spec.cluster_ips.is_empty() => {
                Reach::ClusterIps(addresses(spec.cluster_ip.iter().map(String::as_str)))
            }
            () => Reach::ClusterIps(addresses(spec.cluster_ips.iter().map(String::as_str))),
        };
        // The older word for the same wish, which the DNS specification names.
        let tolerated = metadata.annotations.tolerate_unready.as_deref() == Some("true");
        Some(Service {
            reach,
            ports: ports(spec.ports),
            publish_not_ready: spec.publish_not_ready_addresses || tolerated,
        })
    }
}

impl Slice {
    /// Reads an EndpointSlice. `None` for one that belongs to no Service.
    pub fn of(json: &[u8]) -> Option<Slice> {
        let slice: SliceWire = serde_json::from_slice(json).ok()?;
        let endpoints = slice.endpoints.into_iter().flat_map(|endpoint| {
            let hostname = endpoint.hostname.filter(|name| !name.is_empty());
            // A missing condition means ready (k8s.io/api/discovery/v1).
            let ready = endpoint.conditions.ready.unwrap_or(true);
            let addresses = addresses(endpoint.addresses.iter().map(String::as_str));
            Vec::from(addresses).into_iter().map(move |address| Endpoint {
                address,
                hostname: hostname.as_deref().map(Into::into),
                ready,
            })
        });
        Some(Slice {
            service: slice.metadata.labels.service?.into(),
            endpoints: endpoints.collect(),
            ports: ports(slice.ports),
        })
    }
}

/// Addresses of a Pod that DNS may name: none of a pod that ended or is asked to end.
pub fn pod_addresses(json: &[u8]) -> Box<[IpAddr]> {
    let Ok(pod) = serde_json::from_slice::<PodWire>(json) else { return Box::default() };
    let ended = matches!(pod.status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if ended || pod.metadata.deletion_timestamp.is_some() {
        return Box::default();
    }
    let all = pod.status.pod_ips.iter().filter_map(|entry| entry.ip.as_deref());
    match addresses(all.chain(pod.status.pod_ip.as_deref())) {
        found if found.len() < 2 => found,
        found => {
            let mut found = Vec::from(found);
            found.sort_unstable();
            found.dedup();
            found.into()
        }
    }
}

/// The addresses of a Node by which it is reached within the cluster.
pub fn node_addresses(json: &[u8]) -> Box<[IpAddr]> {
    let Ok(node) = serde_json::from_slice::<NodeWire>(json) else { return Box::default() };
    let internal = node.status.addresses.iter().filter(|entry| entry.kind == "InternalIP");
    addresses(internal.map(|entry| &*entry.address))
}

fn addresses<'a>(texts: impl Iterator<Item = &'a str>) -> Box<[IpAddr]> {
    texts.filter_map(|text| text.parse().ok()).collect()
}

fn ports(wire: Vec<PortWire>) -> Box<[Port]> {
    let known = wire.into_iter().filter_map(|port| {
        Some(Port {
            name: port.name.unwrap_or_default().into(),
            protocol: Protocol::named(port.protocol.as_deref().unwrap_or("TCP"))?,
            number: port.port?,
        })
    });
    known.collect()
}

/// `null` where a list or a string may stand is the same as nothing.
fn nullable<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire<Spec> {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    #[serde(deserialize_with = "nullable")]
    annotations: Annotations,
    #[serde(deserialize_with = "nullable")]
    labels: Labels,
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "service.alpha.kubernetes.io/tolerate-unready-endpoints")]
    tolerate_unready: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Labels {
    #[serde(rename = "kubernetes.io/service-name")]
    service: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs", deserialize_with = "nullable")]
    cluster_ips: Vec<String>,
    external_name: Option<String>,
    #[serde(deserialize_with = "nullable")]
    publish_not_ready_addresses: bool,
    #[serde(deserialize_with = "nullable")]
    ports: Vec<PortWire>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PortWire {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<u16>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SliceWire {
    metadata: Metadata,
    #[serde(deserialize_with = "nullable")]
    endpoints: Vec<EndpointWire>,
    #[serde(deserialize_with = "nullable")]
    ports: Vec<PortWire>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EndpointWire {
    #[serde(deserialize_with = "nullable")]
    addresses: Vec<String>,
    hostname: Option<String>,
    #[serde(deserialize_with = "nullable")]
    conditions: Conditions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodWire {
    metadata: Metadata,
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs", deserialize_with = "nullable")]
    pod_ips: Vec<PodIp>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodIp {
    ip: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeWire {
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    #[serde(deserialize_with = "nullable")]
    addresses: Vec<NodeAddress>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeAddress {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}
