//! What we know ourselves: the cluster's names after the Kubernetes DNS specification 1.1
//! (github.com/kubernetes/dns, docs/specification.md), addresses back to names, names of nodes. One pure function from
//! an index and a question to an answer.
//!
//! Where the specification is silent, CoreDNS' kubernetes plugin is followed: endpoints without a hostname are named
//! after their address, endpoints of Services with a cluster IP have names too, and SRV may be asked of a Service
//! itself. Names of pods are answered for pods that exist.

use crate::answer::{Answer, address};
use crate::facts::{Endpoint, Port, Protocol, Reach, Service};
use crate::index::{Index, Key, split};
use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, HINFO, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How long our own answers may be kept, in seconds: CoreDNS' value, short since endpoints come and go.
pub const TTL_SECONDS: u32 = 5;
/// The version of the specification that is followed.
const SCHEMA_VERSION: &str = "1.1.0";
/// Port weights are equal.
const WEIGHT: u16 = 100;

/// The names that are ours to answer.
#[derive(Clone, Debug)]
pub struct Zones {
    /// The cluster's domain.
    pub domain: Name,
    /// Domains of others that nobody here is told about.
    pub hidden: Vec<Name>,
    /// Addresses of which we alone say what they are called.
    pub reverse: Vec<IpNet>,
}

/// A moment of the cluster.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The names that are ours.
    pub zones: &'a Zones,
    /// What exists.
    pub index: &'a Index,
    /// Version of what exists, for SOA records.
    pub serial: u32,
    /// Which of several addresses comes first; grows from question to question.
    pub turn: usize,
}

/// What a name of the cluster stands for.
enum Found<'a> {
    /// Nothing.
    Absent,
    /// Nothing itself, but there are names below it.
    Empty,
    Apex,
    Version,
    NameServer,
    Addresses(Vec<IpAddr>),
    Alias(&'a str),
    /// A Service, of which one may also ask for all its ports.
    Service(&'a Key, &'a Service),
    /// The ports of this name of a Service.
    Ports(&'a Key, &'a Service, &'a str, Protocol),
}

impl<'a> View<'a> {
    /// The answer to a question; `None`: it is not ours to answer.
    pub fn answer(self, question: &Query) -> Option<Answer> {
        let name = question.name.to_lowercase();
        if self.zones.domain.zone_of(&name) {
            return Some(self.cluster(question, &name));
        }
        if let Some(zone) = self.zones.hidden.iter().find(|zone| zone.zone_of(&name)) {
            return Some(self.nothing(zone, ResponseCode::NXDomain));
        }
        if let Ok(net) = name.parse_arpa_name() {
            return self.reverse(question, &name, net);
        }
        let labels = texts(&name)?;
        let addresses = match labels.as_slice() {
            ["localhost"] => &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            _ => self.index.node(&labels.join("."))?,
        };
        Some(self.addresses(question, addresses.to_vec(), &name))
    }

    fn cluster(self, question: &Query, name: &Name) -> Answer {
        let depth = usize::from(self.zones.domain.num_labels());
        let found = texts(name)
            .and_then(|labels| Some(self.find(labels.get(..labels.len().checked_sub(depth)?)?)))
            .unwrap_or(Found::Absent);
        let domain = &self.zones.domain;
        let kind = question.query_type;
        if kind == RecordType::ANY && !matches!(found, Found::Absent | Found::Empty) {
            return limited(question);
        }
        match found {
            Found::Absent => self.nothing(domain, ResponseCode::NXDomain),
            Found::Empty => self.nothing(domain, ResponseCode::NoError),
            Found::Apex => self.apex(question),
            Found::Version if kind == RecordType::TXT => {
                self.records(question, [RData::TXT(TXT::new(vec![SCHEMA_VERSION.to_owned()]))])
            }
            Found::Version => self.nothing(domain, ResponseCode::NoError),
            Found::NameServer => self.addresses(question, self.server_addresses(), domain),
            Found::Addresses(addresses) if addresses.is_empty() => {
                self.nothing(domain, ResponseCode::NXDomain)
            }
            Found::Addresses(addresses) => self.addresses(question, addresses, domain),
            Found::Alias(target) => self.alias(question, target),
            Found::Service(key, service) if kind == RecordType::SRV => {
                self.ports(question, key, service, |_| true)
            }
            Found::Service(key, service) => match service.reach {
                Reach::ClusterIps(ref addresses) => self.addresses(question, addresses.to_vec(), domain),
                _ => {
                    let addresses = unique(self.index.endpoints(key, service).map(|(_, e)| e.address));
                    match addresses.is_empty() {
                        true => self.nothing(domain, ResponseCode::NXDomain),
                        false => self.addresses(question, addresses, domain),
                    }
                }
            },
            Found::Ports(key, service, name, protocol) => {
                self.ports(question, key, service, |port| &*port.name == name && port.protocol == protocol)
            }
        }
    }

    /// What stands at a name, given by its labels before the domain, in lower case.
    fn find(self, labels: &[&'a str]) -> Found<'a>
    where
        Self: 'a,
    {
        let namespace = |name: &str| match self.index.has_namespace(name) {
            true => Found::Empty,
            false => Found::Absent,
        };
        match *labels {
            [] => Found::Apex,
            ["dns-version"] => Found::Version,
            ["ns", "dns"] => Found::NameServer,
            ["dns" | "svc" | "pod"] => Found::Empty,
            [name, "svc" | "pod"] => namespace(name),
            [pod, namespace, "pod"] => match dashed(pod) {
                Some(address) if self.index.has_pod(namespace, &address) => Found::Addresses(vec![address]),
                _ => Found::Absent,
            },
            [ref below @ .., name, namespace, "svc"] => match self.index.service(namespace, name) {
                Some((key, service)) => self.within(below, key, service),
                None => Found::Absent,
            },
            _ => Found::Absent,
        }
    }

    /// What stands at a name of a Service or below it.
    fn within(self, below: &[&'a str], key: &'a Key, service: &'a Service) -> Found<'a>
    where
        Self: 'a,
    {
        if let Reach::ExternalName(target) = &service.reach {
            return if below.is_empty() { Found::Alias(target) } else { Found::Absent };
        }
        let protocol = |label: &str| label.strip_prefix('_').and_then(Protocol::named);
        let has = |matches: &dyn Fn(&Port) -> bool| match service.reach {
            Reach::Headless => self
                .index
                .endpoints(key, service)
                .any(|(slice, _)| slice.ports.iter().any(|port| !port.name.is_empty() && matches(port))),
            _ => service.ports.iter().any(|port| !port.name.is_empty() && matches(port)),
        };
        match *below {
            [] => Found::Service(key, service),
            [label] if label.starts_with('_') => match protocol(label) {
                Some(protocol) if has(&|port| port.protocol == protocol) => Found::Empty,
                _ => Found::Absent,
            },
            [hostname] => {
                let named = self.index.endpoints(key, service).filter(|(_, e)| host(e) == hostname);
                Found::Addresses(unique(named.map(|(_, e)| e.address)))
            }
            [port, label] => match (port.strip_prefix('_'), protocol(label)) {
                (Some(name), Some(p)) if has(&|port| &*port.name == name && port.protocol == p) => {
                    Found::Ports(key, service, name, p)
                }
                _ => Found::Absent,
            },
            _ => Found::Absent,
        }
    }

    fn apex(self, question: &Query) -> Answer {
        let domain = &self.zones.domain;
        match question.query_type {
            RecordType::SOA => self.records(question, [self.soa(domain).data]),
            RecordType::NS => {
                let Some(server) = self.server() else {
                    return self.nothing(domain, ResponseCode::NoError);
                };
                let mut answer = self.records(question, [RData::NS(NS(server.clone()))]);
                answer.additionals = records(&server, self.server_addresses().into_iter().map(address));
                answer
            }
            _ => self.nothing(domain, ResponseCode::NoError),
        }
    }

    fn alias(self, question: &Query, target: &str) -> Answer {
        let labels = target.split('.').map(str::as_bytes);
        let Ok(target) = Name::from_labels(labels) else {
            return Answer::empty(ResponseCode::ServFail);
        };
        let mut answer = self.records(question, [RData::CNAME(CNAME(target.clone()))]);
        answer.chase = (question.query_type != RecordType::CNAME).then_some(target);
        answer
    }

    /// SRV records of the ports that match, with the addresses of what they lead to.
    fn ports(
        self,
        question: &Query,
        key: &Key,
        service: &Service,
        matches: impl Fn(&Port) -> bool,
    ) -> Answer {
        let mut answer = Answer::own(Vec::new());
        let mut add = |port: &Port, target: &Name| {
            let data = RData::SRV(SRV::new(0, WEIGHT, port.number, target.clone()));
            let record = Record::from_rdata(question.name.clone(), TTL_SECONDS, data);
            if !answer.answers.contains(&record) {
                answer.answers.push(record);
            }
        };
        let mut targets: Vec<(Name, IpAddr)> = Vec::new();
        match &service.reach {
            Reach::ClusterIps(addresses) => {
                let Some(target) = self.below(key, &[]) else { return answer };
                service.ports.iter().filter(|port| matches(port)).for_each(|port| add(port, &target));
                targets.extend(addresses.iter().map(|address| (target.clone(), *address)));
            }
            _ => {
                for (slice, endpoint) in self.index.endpoints(key, service) {
                    let Some(target) = self.below(key, &[&host(endpoint)]) else { continue };
                    slice.ports.iter().filter(|port| matches(port)).for_each(|port| add(port, &target));
                    if !targets.iter().any(|(_, known)| *known == endpoint.address) {
                        targets.push((target, endpoint.address));
                    }
                }
            }
        }
        if question.query_type != RecordType::SRV || answer.answers.is_empty() {
            let none = matches!(service.reach, Reach::Headless) && targets.is_empty();
            let code = if none { ResponseCode::NXDomain } else { ResponseCode::NoError };
            return self.nothing(&self.zones.domain, code);
        }
        let additionals = targets.into_iter();
        answer.additionals =
            additionals.map(|(name, to)| Record::from_rdata(name, TTL_SECONDS, address(to))).collect();
        answer
    }

    fn reverse(self, question: &Query, name: &Name, net: IpNet) -> Option<Answer> {
        let owned = self.zones.reverse.iter().find(|owned| owned.contains(&net));
        let zone = owned.map(|owned| name.trim_to(apex_labels(owned)));
        let names = match net.prefix_len() == net.max_prefix_len() {
            true => self.names(&net.addr()),
            false if zone.is_some() => return Some(self.nothing(&zone?, ResponseCode::NoError)),
            false => Vec::new(),
        };
        if names.is_empty() {
            return Some(self.nothing(&zone?, ResponseCode::NXDomain));
        }
        Some(match question.query_type {
            RecordType::PTR => self.records(question, names.into_iter().map(|name| RData::PTR(PTR(name)))),
            RecordType::ANY => limited(question),
            _ => self.nothing(&zone.unwrap_or_else(|| name.base_name()), ResponseCode::NoError),
        })
    }

    /// What an address is called: as its Service, or else as the endpoints that have it.
    fn names(self, address: &IpAddr) -> Vec<Name> {
        if let Some(key) = self.index.service_at(address) {
            return self.below(key, &[]).into_iter().collect();
        }
        let mut endpoints = self.index.endpoints_at(address);
        // Many look at the first name alone, so the names that somebody chose come first.
        endpoints.sort_by_key(|(_, endpoint)| endpoint.hostname.is_none());
        let all = endpoints.into_iter().filter_map(|(key, endpoint)| self.below(key, &[&host(endpoint)]));
        let mut names: Vec<Name> = Vec::new();
        for name in all {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Address records of the type that is asked for, or the word that there are none of it.
    fn addresses(self, question: &Query, mut addresses: Vec<IpAddr>, zone: &Name) -> Answer {
        match question.query_type {
            RecordType::A => addresses.retain(IpAddr::is_ipv4),
            RecordType::AAAA => addresses.retain(IpAddr::is_ipv6),
            RecordType::ANY if !addresses.is_empty() => return limited(question),
            _ => addresses.clear(),
        }
        if addresses.is_empty() {
            return self.nothing(zone, ResponseCode::NoError);
        }
        let first = self.turn % addresses.len();
        addresses.rotate_left(first);
        self.records(question, addresses.into_iter().map(address))
    }

    fn records(self, question: &Query, data: impl IntoIterator<Item = RData>) -> Answer {
        Answer::own(records(&question.name, data))
    }

    /// There is no such name, or no such record; the SOA says for how long that may be believed.
    fn nothing(self, zone: &Name, code: ResponseCode) -> Answer {
        Answer { code, authorities: vec![self.soa(zone)], ..Answer::own(Vec::new()) }
    }

    fn soa(self, zone: &Name) -> Record {
        let server = self.server().unwrap_or_else(|| zone.clone());
        let person =
            Name::from_labels([&b"hostmaster"[..]]).and_then(|name| name.append_domain(&self.zones.domain));
        let data = SOA::new(server, person.unwrap_or_default(), self.serial, 7200, 1800, 86400, TTL_SECONDS);
        Record::from_rdata(zone.clone(), TTL_SECONDS, RData::SOA(data))
    }

    fn server(self) -> Option<Name> {
        let labels = Name::from_labels([&b"ns"[..], b"dns"]).ok()?;
        labels.append_domain(&self.zones.domain).ok()
    }

    fn server_addresses(self) -> Vec<IpAddr> {
        match self.index.service("kube-system", "kube-dns") {
            Some((_, Service { reach: Reach::ClusterIps(addresses), .. })) => addresses.to_vec(),
            _ => Vec::new(),
        }
    }

    /// A Service's own name, or one below it.
    fn below(self, service: &str, labels: &[&str]) -> Option<Name> {
        let (namespace, name) = split(service);
        let labels = labels.iter().copied().chain([name, namespace, "svc"]);
        Name::from_labels(labels.map(str::as_bytes)).ok()?.append_domain(&self.zones.domain).ok()
    }
}

/// A name's labels, when all of them are text.
fn texts(name: &Name) -> Option<Vec<&str>> {
    name.iter().map(|label| std::str::from_utf8(label).ok()).collect()
}

fn records(name: &Name, data: impl IntoIterator<Item = RData>) -> Vec<Record> {
    data.into_iter().map(|data| Record::from_rdata(name.clone(), TTL_SECONDS, data)).collect()
}

/// The answer to `ANY`: that it is not answered (RFC 8482).
pub fn limited(question: &Query) -> Answer {
    let data = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
    Answer::own(records(&question.name, [data]))
}

/// The name of an endpoint below its Service.
fn host(endpoint: &Endpoint) -> std::borrow::Cow<'_, str> {
    match &endpoint.hostname {
        Some(name) => (&**name).into(),
        None => match endpoint.address.to_string().replace(['.', ':'], "-") {
            name if name.ends_with('-') => format!("{name}0").into(),
            name => name.into(),
        },
    }
}

/// The address that a pod's name holds, with dashes for dots or colons.
fn dashed(label: &str) -> Option<IpAddr> {
    let v4 = label.replace('-', ".").parse::<Ipv4Addr>().map(IpAddr::V4);
    v4.or_else(|_| label.replace('-', ":").parse::<Ipv6Addr>().map(IpAddr::V6)).ok()
}

/// How many labels the name of a reverse zone has.
fn apex_labels(net: &IpNet) -> usize {
    let bits = if net.addr().is_ipv4() { 8 } else { 4 };
    2 + usize::from(net.prefix_len()).div_ceil(bits)
}

fn unique(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = addresses.collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests;
