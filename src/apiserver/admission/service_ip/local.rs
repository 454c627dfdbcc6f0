//! Addresses that this server gives out by itself: free is what no stored service has and nobody was just promised.
//!
//! What the store holds is read again whenever somebody asks, but a service is parsed only when its revision is new.

use super::{Answer, Asker, Refused, ServiceAddresses};
use alcove_object::{Env, Value};
use alcove_store::{Range, Store};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// A promise is kept so long for a write that is under way; longer than any request may take.
const PROMISE: SignedDuration = SignedDuration::from_secs(60);

/// What can be given out.
#[derive(Clone, Debug)]
pub struct AddressConfig {
    /// First address of the range of cluster IPs.
    pub network: Ipv4Addr,
    /// Bits of the range's prefix, at most 30. Its first and last address are never given.
    pub prefix: u8,
    /// First and last node port.
    pub node_ports: (u16, u16),
}

impl Default for AddressConfig {
    /// 10.96.0.0/16 and 30000-32767, as kubeadm and kube-apiserver have it.
    fn default() -> AddressConfig {
        AddressConfig { network: Ipv4Addr::new(10, 96, 0, 0), prefix: 16, node_ports: (30000, 32767) }
    }
}

impl AddressConfig {
    /// The range in CIDR form.
    pub fn cidr(&self) -> String {
        format!("{}/{}", self.network, self.prefix)
    }

    /// The address that the `kubernetes` service has: the first one.
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) + 1)
    }

    /// How many addresses can be given.
    fn size(&self) -> u32 {
        (1u32 << (32 - u32::from(self.prefix.clamp(1, 30)))) - 2
    }

    fn contains(&self, ip: IpAddr) -> bool {
        let IpAddr::V4(ip) = ip else { return false };
        let first = u32::from(self.network) + 1;
        (first..first + self.size()).contains(&u32::from(ip))
    }

    /// Addresses at the start that are left to those who ask for one by name: a sixteenth, 16 to 256
    /// (k8s.io/kubernetes/pkg/registry/core/service/ipallocator: calculateRangeOffset).
    fn reserved(&self) -> u32 {
        (self.size() / 16).clamp(16, 256).min(self.size())
    }
}

/// One thing that can be had once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Item {
    Ip(IpAddr),
    Port(String, u16),
}

/// What stored services hold, and what was promised.
#[derive(Default)]
struct Books {
    stored: HashMap<Arc<str>, (u64, Vec<Item>)>,
    promised: HashMap<Item, (String, Timestamp)>,
}

/// Gives out addresses by what the store holds.
pub struct LocalAddresses {
    config: AddressConfig,
    store: Store,
    env: Arc<dyn Env>,
    books: Mutex<Books>,
}

impl LocalAddresses {
    /// Gives out what `config` has, but for what services in `store` hold.
    pub fn new(config: AddressConfig, store: Store, env: Arc<dyn Env>) -> LocalAddresses {
        LocalAddresses { config, store, env, books: Mutex::default() }
    }

    /// Brings the books up to the store, and gives all that is taken by others than the asker.
    fn taken(&self, books: &mut Books, asker: Asker<'_>) -> HashSet<Item> {
        let range = Range { prefix: "", after: None, limit: 0, at: None };
        let entries = self.store.list("services", &range, &|_| true).map(|l| l.entries).unwrap_or_default();
        let mut stored = HashMap::with_capacity(entries.len());
        for entry in entries {
            let known = books.stored.remove(&entry.key).filter(|(revision, _)| *revision == entry.revision);
            let held = known.unwrap_or_else(|| (entry.revision, held_by(&entry.json)));
            stored.insert(entry.key.clone(), held);
        }
        books.stored = stored;
        let now = self.env.now();
        // A promise is kept once the store shows it.
        let stored: HashSet<&Item> = books.stored.values().flat_map(|(_, items)| items).collect();
        books.promised.retain(|item, _| !stored.contains(item));
        books.promised.retain(|_, (_, since)| now.duration_since(*since) < PROMISE);
        let promised = books.promised.iter().filter(|(_, (key, _))| key != asker.key).map(|(item, _)| item);
        let others = books.stored.iter().filter(|(key, _)| ***key != *asker.key);
        others.flat_map(|(_, (_, items))| items).chain(promised).cloned().collect()
    }

    fn promise(&self, books: &mut Books, asker: Asker<'_>, item: Item) {
        if !asker.dry_run {
            books.promised.insert(item, (asker.key.to_owned(), self.env.now()));
        }
    }

    fn give_ip(&self, asker: Asker<'_>, wanted: Option<IpAddr>) -> Result<IpAddr, Refused> {
        let mut books = self.books.lock();
        let taken = self.taken(&mut books, asker);
        let ip = match wanted {
            Some(ip) if !self.config.contains(ip) => return Err(Refused::AddressOutside),
            Some(ip) if taken.contains(&Item::Ip(ip)) => return Err(Refused::AddressTaken),
            Some(ip) => ip,
            None => self.free_ip(&taken, &books, asker)?,
        };
        self.promise(&mut books, asker, Item::Ip(ip));
        Ok(ip)
    }

    /// A random free address, of the part that nobody asks for by name as long as there is one.
    fn free_ip(&self, taken: &HashSet<Item>, books: &Books, asker: Asker<'_>) -> Result<IpAddr, Refused> {
        let (size, reserved) = (self.config.size(), self.config.reserved());
        let at = |offset: u32| IpAddr::from(Ipv4Addr::from(u32::from(self.config.network) + 1 + offset));
        let is_free = |ip: &IpAddr| {
            let item = Item::Ip(*ip);
            // Its own old promise is as good as a new address.
            !taken.contains(&item)
                && !books.stored.get(asker.key).is_some_and(|(_, held)| held.contains(&item))
        };
        let open = size - reserved;
        let start = if open == 0 { 0 } else { (self.env.random() % u64::from(open)) as u32 };
        let upper = (0..open).map(|i| reserved + (start + i) % open);
        upper.chain(0..reserved).map(at).find(is_free).ok_or(Refused::Full)
    }

    fn give_port(&self, asker: Asker<'_>, protocol: &str, wanted: Option<u16>) -> Result<u16, Refused> {
        let (first, last) = self.config.node_ports;
        let mut books = self.books.lock();
        let taken = self.taken(&mut books, asker);
        let is_free = |port: &u16| {
            let mut same = ["TCP", "UDP", "SCTP"].iter().map(|p| Item::Port((*p).to_owned(), *port));
            match wanted {
                Some(_) => !taken.contains(&Item::Port(protocol.to_owned(), *port)),
                // A port that is chosen freely is one that no protocol has, not even of the same service.
                None => same.all(|item| !taken.contains(&item) && !books.promised.contains_key(&item)),
            }
        };
        let port = match wanted {
            Some(port) if !(first..=last).contains(&port) => return Err(Refused::PortOutside(first, last)),
            Some(port) if !is_free(&port) => return Err(Refused::PortTaken),
            Some(port) => port,
            None => {
                let count = u64::from(last - first) + 1;
                let start = self.env.random() % count;
                let ports = (0..count).map(|i| first + ((start + i) % count) as u16);
                ports.into_iter().find(is_free).ok_or(Refused::Full)?
            }
        };
        self.promise(&mut books, asker, Item::Port(protocol.to_owned(), port));
        Ok(port)
    }
}

impl ServiceAddresses for LocalAddresses {
    fn cluster_ip<'a>(&'a self, asker: Asker<'a>, wanted: Option<IpAddr>) -> Answer<'a, IpAddr> {
        Box::pin(std::future::ready(self.give_ip(asker, wanted)))
    }

    fn node_port<'a>(&'a self, asker: Asker<'a>, protocol: &'a str, wanted: Option<u16>) -> Answer<'a, u16> {
        Box::pin(std::future::ready(self.give_port(asker, protocol, wanted)))
    }
}

/// What a stored service holds.
fn held_by(json: &[u8]) -> Vec<Item> {
    let service: Value =
        serde_json::from_slice(json).expect("the store holds only JSON that this server wrote");
    let list =
        |pointer: &str| service.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let ips = list("/spec/clusterIPs").into_iter().filter_map(|ip| ip.as_str()?.parse().ok().map(Item::Ip));
    let port = |port: &Value, field: &str| {
        port.get(field).and_then(Value::as_u64).and_then(|p| u16::try_from(p).ok())
    };
    let ports = list("/spec/ports").into_iter().filter_map(|p| {
        let protocol = p.get("protocol").and_then(Value::as_str).unwrap_or("TCP").to_owned();
        port(&p, "nodePort").map(|number| Item::Port(protocol, number))
    });
    let check = service.get("spec").and_then(|s| port(s, "healthCheckNodePort"));
    ips.chain(ports).chain(check.map(|p| Item::Port("TCP".into(), p))).collect()
}
