//! Addresses and blocks of them that are right, or were once, in a spelling that is not the one
//! (k8s.io/apimachinery/pkg/util/validation/ip.go: GetWarningsForIP and GetWarningsForCIDR).

use crate::kinds::validation::address::{first_of, width, without_zeros};
use std::net::IpAddr;

/// What is to say about an address. What is no address is no matter of warnings.
pub(in crate::kinds) fn address(text: &str, place: &str) -> Option<String> {
    let (ip, is_standard) = lenient(text)?;
    if !is_standard {
        return Some(format!("{place}: non-standard IP address {text:?} is invalid: use \"{ip}\""));
    }
    let is_canonical = ip.is_ipv4() || ip.to_string() == text;
    (!is_canonical)
        .then(|| format!("{place}: IPv6 address {text:?} should be in RFC 5952 canonical format (\"{ip}\")"))
}

/// What is to say about a block.
pub(in crate::kinds) fn block(text: &str, place: &str) -> Vec<String> {
    let Some((block, is_standard)) = lenient_block(text) else { return Vec::new() };
    let (ip, bits) = block;
    let first = first_of(ip, bits);
    let mut warnings = Vec::new();
    if first != ip {
        warnings.push(format!(
            "{place}: CIDR value {text:?} is ambiguous in this context (should be \"{first}/{bits}\" or \
             \"{ip}/{}\"?)",
            width(ip)
        ));
    }
    if !is_standard {
        warnings
            .push(format!("{place}: non-standard CIDR value {text:?} is invalid: use \"{first}/{bits}\""));
    }
    let canonical = format!("{ip}/{bits}");
    if warnings.is_empty() && ip.is_ipv6() && canonical != text {
        warnings.push(format!(
            "{place}: IPv6 CIDR value {text:?} should be in RFC 5952 canonical format (\"{canonical}\")"
        ));
    }
    warnings
}

/// An address as Kubernetes took it once: with zeros before its numbers, or one of IPv4 in IPv6's clothes. Gives whether
/// it is neither.
fn lenient(text: &str) -> Option<(IpAddr, bool)> {
    match text.parse() {
        Ok(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(v4) => Some((v4.into(), false)),
            None => Some((v6.into(), true)),
        },
        Ok(v4) => Some((v4, true)),
        Err(_) => Some((without_zeros(text).parse().ok()?, false)),
    }
}

fn lenient_block(text: &str) -> Option<((IpAddr, u32), bool)> {
    let (ip, bits) = text.split_once('/')?;
    let is_mapped = ip.contains(':');
    let (ip, is_standard) = lenient(ip)?;
    let has_zeros = bits.len() > 1 && bits.starts_with('0');
    let bits: u32 = bits.parse().ok()?;
    let bits = if ip.is_ipv4() && is_mapped { bits.checked_sub(96)? } else { bits };
    (bits <= width(ip)).then_some(((ip, bits), is_standard && !has_zeros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_told() {
        for (text, expected) in [
            ("10.0.0.1", None),
            ("fd00::1", None),
            ("nonsense", None),
            ("010.0.0.001", Some("p: non-standard IP address \"010.0.0.001\" is invalid: use \"10.0.0.1\"")),
            (
                "::ffff:10.0.0.1",
                Some("p: non-standard IP address \"::ffff:10.0.0.1\" is invalid: use \"10.0.0.1\""),
            ),
            (
                "FD00:0::1",
                Some("p: IPv6 address \"FD00:0::1\" should be in RFC 5952 canonical format (\"fd00::1\")"),
            ),
        ] {
            assert_eq!(address(text, "p").as_deref(), expected, "{text}");
        }
        let ambiguous = "p: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \
                         \"10.0.0.1/32\"?)";
        for (text, expected) in [
            ("10.0.0.0/8", vec![]),
            ("0.0.0.0/0", vec![]),
            ("::/0", vec![]),
            ("nonsense", vec![]),
            ("10.0.0.1/8", vec![ambiguous]),
            (
                "010.0.0.0/8",
                vec!["p: non-standard CIDR value \"010.0.0.0/8\" is invalid: use \"10.0.0.0/8\""],
            ),
            (
                "FD00::/8",
                vec!["p: IPv6 CIDR value \"FD00::/8\" should be in RFC 5952 canonical format (\"fd00::/8\")"],
            ),
        ] {
            assert_eq!(block(text, "p"), expected, "{text}");
        }
    }
}
