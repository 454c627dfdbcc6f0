//! Addresses that this server gives out by itself: free is what no stored service has, no IPAddress object names and
//! nobody was just promised.
//!
//! Nothing follows the store: whoever asks first takes in what changed among services since somebody last asked.

use super::{Answer, Asker, Refused, ServiceAddresses, objects};
use alcove_object::{Env, Value, condition, meta};
use alcove_store::{Range, Store, Watch};
use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const SERVICES: &str = "services";
const BLOCKS: &str = "servicecidrs.networking.k8s.io";
/// The block that the server itself makes.
const OWN_BLOCK: &str = "kubernetes";
/// A promise is kept so long for a write that is under way; longer than any request may take.
const PROMISE: SignedDuration = SignedDuration::from_secs(60);
/// Changes taken in at once.
const CHANGES_MAX: usize = 256;

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

    fn block(&self) -> Block {
        Block::new(self.network, self.prefix)
    }

    /// Node ports at the start that are left to those who ask for one by number: a thirty-second, 16 to 128
    /// (k8s.io/kubernetes/pkg/registry/core/service/portallocator: calculateRangeOffset).
    fn reserved_ports(&self) -> u16 {
        let (first, last) = self.node_ports;
        let size = last - first + 1;
        if size < 16 { 0 } else { (size / 32).clamp(16, 128) }
    }
}

/// A block of addresses, without the two that a network keeps for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    first: u32,
    size: u32,
}

impl Block {
    /// A block of less than four addresses has none to give.
    fn new(network: Ipv4Addr, prefix: u8) -> Block {
        let bits = 32 - u32::from(prefix.clamp(1, 32));
        let network = u32::from(network) >> bits << bits;
        Block { first: network.saturating_add(1), size: (1u32 << bits).saturating_sub(2) }
    }

    fn parse(text: &str) -> Option<Block> {
        let (network, prefix) = text.split_once('/')?;
        Some(Block::new(network.parse().ok()?, prefix.parse().ok().filter(|prefix| *prefix <= 32)?))
    }

    fn contains(&self, ip: IpAddr) -> bool {
        let IpAddr::V4(ip) = ip else { return false };
        u32::from(ip).checked_sub(self.first).is_some_and(|offset| offset < self.size)
    }

    /// Addresses at the start that are left to those who ask for one by name: a sixteenth, 16 to 256
    /// (k8s.io/kubernetes/pkg/registry/core/service/ipallocator: calculateRangeOffset).
    fn reserved(&self) -> u32 {
        (self.size / 16).clamp(16, 256).min(self.size)
    }

    /// All addresses in the order in which they are given: from a random place on, those of the reserved part last.
    fn in_order(self, random: u64) -> impl Iterator<Item = IpAddr> {
        let reserved = self.reserved();
        let open = self.size - reserved;
        let start = if open == 0 { 0 } else { (random % u64::from(open)) as u32 };
        let upper = (0..open).map(move |i| reserved + (start + i) % open);
        upper.chain(0..reserved).map(move |offset| IpAddr::from(Ipv4Addr::from(self.first + offset)))
    }
}

/// One thing that can be had once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Item {
    Ip(IpAddr),
    Port(u16),
}

/// What stored services hold, and what was promised.
#[derive(Default)]
struct Books {
    watch: Option<Watch>,
    held: HashMap<Arc<str>, Vec<Item>>,
    /// How many services hold an item: more than one where something went wrong before.
    holders: HashMap<Item, usize>,
    promised: HashMap<Item, Promise>,
}

/// What was given for a write that is under way.
struct Promise {
    /// Of whom.
    key: String,
    since: Timestamp,
    /// Writes of this one service that are under way with it.
    writes: usize,
}

impl Books {
    /// Takes in what was published until now, and forgets promises that nobody will keep any more.
    fn catch_up(&mut self, store: &Store, now: Timestamp) {
        if !self.follow() {
            self.load(store);
        }
        self.promised.retain(|_, promise| now.duration_since(promise.since) < PROMISE);
    }

    /// False without a watch, or when it lost its place.
    fn follow(&mut self) -> bool {
        let Some(mut watch) = self.watch.take() else { return false };
        // What is there is given at once; a watch that would wait has told everything.
        while let Some(Some(news)) = watch.next(CHANGES_MAX).now_or_never() {
            let Ok(changes) = news else { return false };
            for change in changes {
                let entry = change.entry();
                let held = if change.is_delete() { Vec::new() } else { held_by(&entry.json) };
                self.put(&entry.key, held);
            }
        }
        self.watch = Some(watch);
        true
    }

    fn load(&mut self, store: &Store) {
        (self.held, self.holders) = Default::default();
        let Ok(listing) = store.list(SERVICES, &Range::default(), &|_| true) else { return };
        for entry in listing.entries {
            self.put(&entry.key, held_by(&entry.json));
        }
        // Without a watch, whoever asks next reads again.
        self.watch = store.watch(SERVICES, listing.revision).ok();
    }

    fn put(&mut self, key: &Arc<str>, held: Vec<Item>) {
        for item in &held {
            *self.holders.entry(item.clone()).or_default() += 1;
            // A promise is kept once the store shows it.
            self.promised.remove(item);
        }
        let before = match held.is_empty() {
            true => self.held.remove(key),
            false => self.held.insert(key.clone(), held),
        };
        for item in before.into_iter().flatten() {
            let is_last = self.holders.get_mut(&item).is_some_and(|count| {
                *count -= 1;
                *count == 0
            });
            if is_last {
                self.holders.remove(&item);
            }
        }
    }

    /// Whether somebody else has it, or was promised it. A service whose name is still to be made is nobody's equal.
    fn is_taken(&self, item: &Item, asker: Asker<'_>) -> bool {
        let is_own = |key: &str| key == asker.key && !key.ends_with('/');
        self.holders.contains_key(item)
            || self.promised.get(item).is_some_and(|promise| !is_own(&promise.key))
    }

    fn promise(&mut self, item: Item, key: &str, since: Timestamp) {
        let writes = self.promised.get(&item).map_or(0, |promise| promise.writes);
        self.promised.insert(item, Promise { key: key.to_owned(), since, writes: writes + 1 });
    }

    /// Ends a promise, unless another write of the same service goes on with it. One that was made before the service
    /// had a name names its namespace alone.
    fn take_back(&mut self, item: &Item, key: &str) {
        let Some(promise) = self.promised.get_mut(item) else { return };
        if promise.key != key && !(promise.key.ends_with('/') && key.starts_with(&promise.key)) {
            return;
        }
        promise.writes -= 1;
        if promise.writes == 0 {
            self.promised.remove(item);
        }
    }
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

    /// The blocks to give addresses of: those of ready ServiceCIDRs, and the server's own while it has no object.
    fn blocks(&self) -> Vec<Block> {
        let listing = self.store.list(BLOCKS, &Range::default(), &|_| true);
        let entries = listing.map(|listing| listing.entries).unwrap_or_default();
        let mut blocks = Vec::new();
        if !entries.iter().any(|entry| *entry.key == *OWN_BLOCK) {
            blocks.push(self.config.block());
        }
        for entry in entries {
            let Ok(object) = serde_json::from_slice::<Value>(&entry.json) else { continue };
            let cidrs = object.pointer("/spec/cidrs").and_then(Value::as_array).filter(|_| is_ready(&object));
            blocks.extend(cidrs.into_iter().flatten().filter_map(|cidr| Block::parse(cidr.as_str()?)));
        }
        blocks
    }

    fn give_ip(&self, asker: Asker<'_>, wanted: Option<IpAddr>) -> Result<IpAddr, Refused> {
        let (mut books, now) = (self.books.lock(), self.env.now());
        books.catch_up(&self.store, now);
        let is_taken = |ip: &IpAddr| {
            books.is_taken(&Item::Ip(*ip), asker) || self.store.get(objects::TABLE, &ip.to_string()).is_some()
        };
        let blocks = self.blocks();
        let ip = match wanted {
            Some(ip) if !blocks.iter().any(|block| block.contains(ip)) => {
                return Err(Refused::AddressOutside);
            }
            Some(ip) if is_taken(&ip) => return Err(Refused::AddressTaken),
            Some(ip) => ip,
            None => {
                let random = self.env.random();
                let mut all = blocks.into_iter().flat_map(|block| block.in_order(random));
                all.find(|ip| !is_taken(ip)).ok_or(Refused::Full)?
            }
        };
        if !asker.dry_run {
            books.promise(Item::Ip(ip), asker.key, now);
        }
        Ok(ip)
    }

    fn give_port(&self, asker: Asker<'_>, wanted: Option<u16>) -> Result<u16, Refused> {
        let (first, last) = self.config.node_ports;
        let (mut books, now) = (self.books.lock(), self.env.now());
        books.catch_up(&self.store, now);
        let port = match wanted {
            Some(port) if !(first..=last).contains(&port) => return Err(Refused::PortOutside(first, last)),
            Some(port) if books.is_taken(&Item::Port(port), asker) => return Err(Refused::PortTaken),
            Some(port) => port,
            None => {
                // One that is chosen freely is one that nobody was promised, not even this service.
                let is_free = |port: &u16| {
                    let item = Item::Port(*port);
                    !books.is_taken(&item, asker) && !books.promised.contains_key(&item)
                };
                let reserved = self.config.reserved_ports();
                let open = last - first + 1 - reserved;
                let start = (self.env.random() % u64::from(open.max(1))) as u16;
                let upper = (0..open).map(|i| first + reserved + (start + i) % open);
                upper.chain(first..first + reserved).find(is_free).ok_or(Refused::Full)?
            }
        };
        if !asker.dry_run {
            books.promise(Item::Port(port), asker.key, now);
        }
        Ok(port)
    }
}

impl ServiceAddresses for LocalAddresses {
    fn cluster_ip<'a>(&'a self, asker: Asker<'a>, wanted: Option<IpAddr>) -> Answer<'a, IpAddr> {
        Box::pin(std::future::ready(self.give_ip(asker, wanted)))
    }

    fn node_port<'a>(&'a self, asker: Asker<'a>, wanted: Option<u16>) -> Answer<'a, u16> {
        Box::pin(std::future::ready(self.give_port(asker, wanted)))
    }

    fn give_back(&self, asker: Asker<'_>, ips: &[IpAddr], ports: &[u16]) {
        let mut books = self.books.lock();
        let ips = ips.iter().map(|ip| Item::Ip(*ip));
        for item in ips.chain(ports.iter().map(|port| Item::Port(*port))) {
            books.take_back(&item, asker.key);
        }
    }
}

/// Whether addresses of a ServiceCIDR are given: as long as nobody says that it is not ready, or is going.
fn is_ready(block: &Value) -> bool {
    condition::find(block, "Ready").is_none_or(|ready| ready["status"] == "True") && !meta::is_deleting(block)
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
    let ports = list("/spec/ports").into_iter().filter_map(|p| port(&p, "nodePort"));
    let check = service.get("spec").and_then(|s| port(s, "healthCheckNodePort"));
    let mut items: Vec<Item> = ips.chain(ports.chain(check).map(Item::Port)).collect();
    // One port may serve several protocols.
    items.sort_by_key(|item| match item {
        Item::Ip(ip) => (0, Some(*ip), 0),
        Item::Port(port) => (1, None, *port),
    });
    items.dedup();
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_their_ends_to_themselves() {
        for (text, expected) in [
            ("10.96.0.0/16", Some((0x0a60_0001, 65534))),
            ("10.96.7.9/16", Some((0x0a60_0001, 65534))),
            ("10.0.0.4/30", Some((0x0a00_0005, 2))),
            ("10.0.0.4/31", Some((0x0a00_0005, 0))),
            ("10.0.0.4/33", None),
            ("fd00::/112", None),
            ("none", None),
        ] {
            let block = Block::parse(text);
            assert_eq!(block.map(|block| (block.first, block.size)), expected, "{text}");
        }
    }

    #[test]
    fn the_reserved_part_of_a_block_is_given_last() {
        let block = Block::parse("10.0.0.0/24").unwrap();
        let order: Vec<IpAddr> = block.in_order(200).collect();
        let last = |ip: &IpAddr| ip.to_string().rsplit('.').next().unwrap().parse::<u32>().unwrap();
        assert_eq!(order.len(), 254);
        assert_eq!(order.iter().take(238).map(last).min(), Some(17));
        assert_eq!(order.iter().skip(238).map(last).collect::<Vec<_>>(), (1..17).collect::<Vec<_>>());
    }
}
