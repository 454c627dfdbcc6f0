//! Which addresses a tenant may write: those of its own pods, and what the platform team names.

use super::Context;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

/// The address that a text means; an IPv4 address in IPv6 clothes is an IPv4 address.
pub fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse::<IpAddr>().ok()?.to_canonical())
}

/// Addresses that mean another machine to everybody who reads them: never to be written by a tenant.
pub fn is_local(address: IpAddr) -> bool {
    let is_special = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    is_special
        || match address {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_unicast_link_local() || is_metadata(v6),
        }
}

/// The same for a text.
pub fn is_local_address(text: &str) -> bool {
    address(text).is_none_or(is_local)
}

/// Where clouds answer questions about the machine over IPv6 (AWS).
fn is_metadata(address: Ipv6Addr) -> bool {
    address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
}

/// Why a tenant may not send traffic to an address; `None`: it may.
pub fn refused(context: &Context<'_>, text: &str) -> Option<String> {
    let Some(found) = address(text) else { return Some(format!("{text} is no IP address")) };
    if is_local(found) {
        return Some(format!("{text} is a loopback, link-local or multicast address"));
    }
    let ranges = &context.allowed.endpoints.allowed;
    let is_allowed =
        || ranges.iter().filter_map(|range| range.parse::<IpNet>().ok()).any(|range| range.contains(&found));
    let is_known = context.known.is_pod_address(found) || is_allowed();
    (!is_known).then(|| {
        format!("{text} is not the address of a pod of this cluster; ask the platform team for sync.endpoints.allowed")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_known_in_all_clothes() {
        for text in [
            "127.0.0.1",
            "::1",
            "169.254.169.254",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "fd00:ec2::254",
            "255.255.255.255",
        ] {
            assert!(is_local(address(text).unwrap()), "{text}");
        }
        assert!(!is_local(address("10.0.0.1").unwrap()) && !is_local(address("2001:db8::1").unwrap()));
    }
}
