//! Addresses and blocks of them (k8s.io/apimachinery/pkg/util/validation/ip.go).

use alcove_object::field::{Error, Path};
use std::net::IpAddr;

const NOT_AN_ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const NOT_A_BLOCK: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An address, in any spelling without leading zeros that is no IPv4 address in IPv6's clothes.
pub(in crate::kinds) fn address(text: &str, path: &Path) -> Option<Error> {
    let why = match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => "must not be an IPv4-mapped IPv6 address",
        Ok(_) => return None,
        Err(_) if without_zeros(text).parse::<IpAddr>().is_ok() => "must not have leading 0s",
        Err(_) => NOT_AN_ADDRESS,
    };
    Some(Error::invalid(path, text, why))
}

/// An address in its one canonical spelling.
pub(super) fn canonical_address(text: &str, path: &Path) -> Option<Error> {
    let wrong = address(text, path);
    let canonical = text.parse::<IpAddr>().map(|ip| ip.to_string()).unwrap_or_default();
    wrong.or_else(|| {
        let why = format!("must be in canonical form (\"{canonical}\")");
        (canonical != text).then(|| Error::invalid(path, text, why))
    })
}

/// An address with the width of its network, in its one canonical spelling.
pub(super) fn interface(text: &str, path: &Path) -> Option<Error> {
    let Some((ip, bits)) = parse_block(text) else {
        let why = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
        return Some(Error::invalid(path, text, why));
    };
    let canonical = format!("{ip}/{bits}");
    let why = format!("must be in canonical form (\"{canonical}\")");
    (canonical != text).then(|| Error::invalid(path, text, why))
}

/// An address of IPv4 with what leads its numbers taken away.
pub(in crate::kinds) fn without_zeros(text: &str) -> String {
    let plain = |part: &str| match part.trim_start_matches('0') {
        "" if !part.is_empty() => "0".to_owned(),
        plain => plain.to_owned(),
    };
    text.split('.').map(plain).collect::<Vec<_>>().join(".")
}

/// An address and how many of its bits name the block.
pub(super) fn parse_block(text: &str) -> Option<(IpAddr, u32)> {
    let (ip, bits) = text.split_once('/')?;
    let (ip, bits) = (ip.parse::<IpAddr>().ok()?, bits.parse::<u32>().ok()?);
    (bits <= width(ip)).then_some((ip, bits))
}

/// Bits of an address.
pub(in crate::kinds) fn width(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

/// The first address of the block that an address is in. `bits` is at most its width.
pub(in crate::kinds) fn first_of(ip: IpAddr, bits: u32) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

/// The number of the block that an address is in.
fn prefix(ip: IpAddr, bits: u32) -> u128 {
    number(ip).checked_shr(width(ip) - bits).unwrap_or(0)
}

/// Whether a block lies in another and is smaller.
pub(super) fn is_strictly_inside(inner: (IpAddr, u32), outer: (IpAddr, u32)) -> bool {
    let is_same_family = inner.0.is_ipv4() == outer.0.is_ipv4();
    is_same_family && inner.1 > outer.1 && prefix(inner.0, outer.1) == prefix(outer.0, outer.1)
}

/// A block without bits beyond its prefix.
pub(in crate::kinds) fn block(text: &str, path: &Path) -> Option<Error> {
    let Some((ip, bits)) = parse_block(text) else { return Some(Error::invalid(path, text, NOT_A_BLOCK)) };
    let why = match ip {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "must not have an IPv4-mapped IPv6 address",
        _ if first_of(ip, bits) != ip => "must not have bits set beyond the prefix length",
        _ => return None,
    };
    Some(Error::invalid(path, text, why))
}

/// An address that packets can be sent to from elsewhere.
pub(in crate::kinds) fn endpoint(text: &str, path: &Path) -> Vec<Error> {
    let Ok(ip) = text.parse::<IpAddr>() else {
        return vec![Error::invalid(path, text, "must be a valid IP address")];
    };
    let (link_local, link_local_multicast) = match ip {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments()[0] == 0xff02),
    };
    let unspecified = format!("may not be unspecified ({text})");
    let complaints = [
        (ip.is_unspecified(), unspecified.as_str()),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (link_local_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    ];
    complaints.iter().filter(|(is_so, _)| *is_so).map(|(_, why)| Error::invalid(path, text, *why)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_blocks() {
        let says = |error: Option<Error>| error.map(|e| e.detail).unwrap_or_default();
        let path = Path::new("a");
        for (text, detail) in [
            ("10.0.0.1", ""),
            ("fd00::1", ""),
            ("FD00:0:0::1", ""),
            ("010.0.0.1", "must not have leading 0s"),
            ("::ffff:1.2.3.4", "must not be an IPv4-mapped IPv6 address"),
            ("", NOT_AN_ADDRESS),
            ("10.0.0", NOT_AN_ADDRESS),
        ] {
            assert_eq!(says(address(text, &path)), detail, "{text}");
        }
        for (text, detail) in [
            ("10.0.0.0/8", ""),
            ("0.0.0.0/0", ""),
            ("::/0", ""),
            ("10.0.0.1/32", ""),
            ("10.0.0.1/8", "must not have bits set beyond the prefix length"),
            ("10.0.0.0/33", NOT_A_BLOCK),
            ("10.0.0.0", NOT_A_BLOCK),
        ] {
            assert_eq!(says(block(text, &path)), detail, "{text}");
        }
        let block = |text| parse_block(text).expect("a block");
        assert!(is_strictly_inside(block("10.1.0.0/16"), block("10.0.0.0/8")));
        assert!(!is_strictly_inside(block("10.0.0.0/8"), block("10.0.0.0/8")));
        assert!(!is_strictly_inside(block("11.0.0.0/16"), block("10.0.0.0/8")));
        assert!(!is_strictly_inside(block("fd00::/16"), block("0.0.0.0/0")));
        assert_eq!(endpoint("127.0.0.1", &path).len(), 1);
        assert_eq!(endpoint("10.0.0.1", &path).len(), 0);
    }
}
