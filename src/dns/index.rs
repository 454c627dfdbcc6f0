//! What DNS knows: keys and a few facts of Services, EndpointSlices, Pods, Namespaces and Nodes, found by name and by
//! address. It holds no object; keys are shared with the store.

use crate::facts::{Endpoint, Reach, Service, Slice, node_addresses, pod_addresses};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// `namespace/name`, or the name of what has no namespace.
pub type Key = Arc<str>;

/// The kinds that DNS follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Services.
    Services,
    /// EndpointSlices.
    Slices,
    /// Pods.
    Pods,
    /// Namespaces.
    Namespaces,
    /// Nodes.
    Nodes,
}

/// Everything that answers about the cluster are made from.
#[derive(Debug, Default)]
pub struct Index {
    services: HashMap<Key, Service>,
    services_at: Pairs<IpAddr>,
    slices: HashMap<Key, Slice>,
    slices_at: Pairs<IpAddr>,
    slices_of: Pairs<Key>,
    pods: HashMap<Key, Box<[IpAddr]>>,
    pods_at: Pairs<IpAddr>,
    namespaces: HashSet<Key>,
    nodes: HashMap<Key, Box<[IpAddr]>>,
}

impl Index {
    /// Takes in the newest state of an object; `None`: it is gone.
    pub fn put(&mut self, part: Part, key: &Key, json: Option<&[u8]>) {
        match part {
            Part::Services => self.put_service(key, json.and_then(Service::of)),
            Part::Slices => self.put_slice(key, json.and_then(Slice::of)),
            Part::Pods => self.put_pod(key, json.map(pod_addresses).unwrap_or_default()),
            Part::Namespaces if json.is_some() => drop(self.namespaces.insert(key.clone())),
            Part::Namespaces => drop(self.namespaces.remove(key)),
            Part::Nodes => match json.map(node_addresses) {
                Some(addresses) => drop(self.nodes.insert(key.clone(), addresses)),
                None => drop(self.nodes.remove(key)),
            },
        }
    }

    /// Forgets all of a kind, before it is told anew.
    pub fn clear(&mut self, part: Part) {
        match part {
            Part::Services => {
                self.services.clear();
                self.services_at.clear();
            }
            Part::Slices => {
                self.slices.clear();
                self.slices_at.clear();
                self.slices_of.clear();
            }
            Part::Pods => {
                self.pods.clear();
                self.pods_at.clear();
            }
            Part::Namespaces => self.namespaces.clear(),
            Part::Nodes => self.nodes.clear(),
        }
    }

    fn put_service(&mut self, key: &Key, new: Option<Service>) {
        if self.services.get(key) == new.as_ref() {
            return;
        }
        if let Some(Service { reach: Reach::ClusterIps(old), .. }) = self.services.remove(key) {
            old.iter().for_each(|address| self.services_at.remove(address, key));
        }
        let Some(new) = new else { return };
        if let Reach::ClusterIps(addresses) = &new.reach {
            addresses.iter().for_each(|address| self.services_at.insert(address, key));
        }
        self.services.insert(key.clone(), new);
    }

    fn put_slice(&mut self, key: &Key, new: Option<Slice>) {
        if self.slices.get(key) == new.as_ref() {
            return;
        }
        if let Some(old) = self.slices.remove(key) {
            old.endpoints.iter().for_each(|endpoint| self.slices_at.remove(&endpoint.address, key));
            self.slices_of.remove(&service_of(key, &old), key);
        }
        let Some(new) = new else { return };
        new.endpoints.iter().for_each(|endpoint| self.slices_at.insert(&endpoint.address, key));
        self.slices_of.insert(&service_of(key, &new), key);
        self.slices.insert(key.clone(), new);
    }

    fn put_pod(&mut self, key: &Key, new: Box<[IpAddr]>) {
        if self.pods.get(key).map_or(new.is_empty(), |old| *old == new) {
            return;
        }
        for address in self.pods.remove(key).unwrap_or_default() {
            self.pods_at.remove(&address, key);
        }
        new.iter().for_each(|address| self.pods_at.insert(address, key));
        if !new.is_empty() {
            self.pods.insert(key.clone(), new);
        }
    }

    /// Whether there is such a namespace.
    pub fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains(name)
    }

    /// The addresses of a node.
    pub fn node(&self, name: &str) -> Option<&[IpAddr]> {
        self.nodes.get(name).map(|addresses| &**addresses)
    }

    /// Whether a pod of this namespace has this address.
    pub fn has_pod(&self, namespace: &str, address: &IpAddr) -> bool {
        self.pods_at.of(address).any(|key| split(key).0 == namespace)
    }

    /// A Service, with its key.
    pub fn service(&self, namespace: &str, name: &str) -> Option<(&Key, &Service)> {
        self.services.get_key_value(&*format!("{namespace}/{name}"))
    }

    /// The slices of a Service.
    fn slices<'a>(&'a self, service: &Key) -> impl Iterator<Item = &'a Slice> + use<'a> {
        self.slices_of.of(service).filter_map(|key| self.slices.get(key))
    }

    /// The endpoints of a Service that count, with the slice in which each stands.
    pub fn endpoints<'a>(
        &'a self,
        key: &'a Key,
        service: &'a Service,
    ) -> impl Iterator<Item = (&'a Slice, &'a Endpoint)> {
        let all = self.slices(key).flat_map(|slice| slice.endpoints.iter().map(move |e| (slice, e)));
        all.filter(|(_, endpoint)| endpoint.ready || service.publish_not_ready)
    }

    /// The Service that has this address.
    pub fn service_at(&self, address: &IpAddr) -> Option<&Key> {
        self.services_at.of(address).next()
    }

    /// The endpoints that count at this address, each with the key of its Service.
    pub fn endpoints_at(&self, address: &IpAddr) -> Vec<(&Key, &Endpoint)> {
        let mut found = Vec::new();
        for key in self.slices_at.of(address) {
            let Some(slice) = self.slices.get(key) else { continue };
            let Some((service, facts)) = self.service(split(key).0, &slice.service) else { continue };
            let here = slice.endpoints.iter().filter(|endpoint| endpoint.address == *address);
            found.extend(here.filter(|e| e.ready || facts.publish_not_ready).map(|e| (service, e)));
        }
        found
    }
}

/// Namespace and name of a key.
pub fn split(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}

fn service_of(slice: &Key, facts: &Slice) -> Key {
    format!("{}/{}", split(slice).0, facts.service).into()
}

/// A relation of one to many, as one ordered set.
#[derive(Debug)]
struct Pairs<T>(BTreeSet<(T, Key)>);

impl<T> Default for Pairs<T> {
    fn default() -> Pairs<T> {
        Pairs(BTreeSet::new())
    }
}

impl<T: Ord + Clone> Pairs<T> {
    fn insert(&mut self, one: &T, key: &Key) {
        self.0.insert((one.clone(), key.clone()));
    }

    fn remove(&mut self, one: &T, key: &Key) {
        self.0.remove(&(one.clone(), key.clone()));
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn of<'a>(&'a self, one: &T) -> impl Iterator<Item = &'a Key> + use<'a, T> {
        let one = one.clone();
        let from = (one.clone(), Key::default());
        self.0.range(from..).take_while(move |(other, _)| *other == one).map(|(_, key)| key)
    }
}
