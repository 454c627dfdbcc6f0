//! Pod addresses: one flat /16, each given to one pod at a time and reused as late as possible.

use alcove_controllers::runtime::Key;
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// The pod network: 10.244.0.0/16.
const NETWORK: u32 = u32::from_be_bytes([10, 244, 0, 0]);
/// Addresses that can be given out; network, gateway and broadcast are left out.
const FIRST: u16 = 2;
const LAST: u16 = u16::MAX - 1;

/// Which pod has which address.
#[derive(Debug, Default)]
pub struct Addresses {
    by_pod: HashMap<Key, u16>,
    taken: HashMap<u16, Key>,
    last: u16,
}

impl Addresses {
    /// Notes an address that a pod has already.
    pub fn note(&mut self, pod: &Key, address: Ipv4Addr) {
        let offset = u32::from(address).wrapping_sub(NETWORK);
        if let Ok(offset) = u16::try_from(offset) {
            self.taken.insert(offset, pod.clone());
            self.by_pod.insert(pod.clone(), offset);
        }
    }

    /// The pod's address; a new one if it has none. `None`: all are taken.
    pub fn give(&mut self, pod: &Key) -> Option<Ipv4Addr> {
        if let Some(offset) = self.by_pod.get(pod) {
            return Some(address(*offset));
        }
        let span = LAST - FIRST + 1;
        let offset = (1..=span)
            .map(|step| FIRST + ((self.last.saturating_sub(FIRST) as u32 + step as u32) % span as u32) as u16)
            .find(|offset| !self.taken.contains_key(offset))?;
        self.last = offset;
        self.taken.insert(offset, pod.clone());
        self.by_pod.insert(pod.clone(), offset);
        Some(address(offset))
    }

    /// Takes a pod's address back.
    pub fn release(&mut self, pod: &Key) {
        if let Some(offset) = self.by_pod.remove(pod) {
            self.taken.remove(&offset);
        }
    }
}

fn address(offset: u16) -> Ipv4Addr {
    Ipv4Addr::from(NETWORK + u32::from(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_unique_and_reused_late() {
        let mut addresses = Addresses::default();
        let first = addresses.give(&"default/a".into()).unwrap();
        assert_eq!(addresses.give(&"default/a".into()), Some(first));
        let second = addresses.give(&"default/b".into()).unwrap();
        assert_ne!(first, second);
        addresses.release(&"default/a".into());
        assert_ne!(addresses.give(&"default/c".into()).unwrap(), first);
    }

    #[test]
    fn the_network_has_an_end_and_starts_again() {
        let mut addresses = Addresses::default();
        let all = usize::from(LAST - FIRST) + 1;
        for i in 0..all {
            assert!(addresses.give(&format!("default/{i}").into()).is_some());
        }
        assert_eq!(addresses.give(&"default/one-too-many".into()), None);
        addresses.release(&"default/7".into());
        assert!(addresses.give(&"default/one-too-many".into()).is_some());
    }
}
