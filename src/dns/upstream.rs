//! Which resolvers are asked about the rest of the world, and which domain of theirs stays theirs.

use hickory_proto::rr::Name;
use std::net::{IpAddr, SocketAddr};

/// Resolvers that are asked: the first of a file are taken, as the C library does.
pub const UPSTREAMS_MAX: usize = 3;
const PORT: u16 = 53;

/// What `resolv.conf` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Resolvers, in order.
    pub upstreams: Vec<SocketAddr>,
    /// The cluster domain of the cluster that this process runs in. Its services are the host's business and that of
    /// other tenants, so questions about them are not passed on.
    pub host_domain: Option<Name>,
}

impl ResolvConf {
    /// Reads the text of a `resolv.conf`. What it does not understand it passes over.
    pub fn parse(text: &str) -> ResolvConf {
        let mut found = ResolvConf::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    found.upstreams.extend(address.map(|address| SocketAddr::new(address, PORT)));
                }
                // kubelet writes NAMESPACE.svc.DOMAIN, svc.DOMAIN and DOMAIN.
                Some("search") => {
                    found.host_domain = words.find_map(|word| domain(word.strip_prefix("svc.")?))
                }
                _ => {}
            }
        }
        found.upstreams.truncate(UPSTREAMS_MAX);
        found
    }
}

/// A domain name as people write it, made absolute and lower case; `None` for what is none.
pub fn domain(text: &str) -> Option<Name> {
    let labels = text.trim_end_matches('.').split('.').map(str::as_bytes);
    Some(Name::from_labels(labels).ok()?.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_the_c_library_does() {
        let cases: &[(&str, &[&str], Option<&str>)] = &[
            ("", &[], None),
            ("nameserver 10.96.0.10\n", &["10.96.0.10:53"], None),
            (
                "# by kubelet\nsearch team.svc.cluster.local svc.cluster.local cluster.local\nnameserver\t10.96.0.10\n\
                 options ndots:5\n",
                &["10.96.0.10:53"],
                Some("cluster.local."),
            ),
            ("search svc.Host.Example. example.com", &[], Some("host.example.")),
            ("search example.com\nnameserver fd00::10\nnameserver what", &["[fd00::10]:53"], None),
            (
                "nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4",
                &["1.1.1.1:53", "1.1.1.2:53", "1.1.1.3:53"],
                None,
            ),
            ("nameserver fe80::1%eth0\nsearch svc.\nsearch svc..a", &[], None),
        ];
        for (text, upstreams, domain) in cases {
            let found = ResolvConf::parse(text);
            let addresses: Vec<String> = found.upstreams.iter().map(ToString::to_string).collect();
            assert_eq!(addresses, *upstreams, "{text}");
            assert_eq!(found.host_domain.map(|name| name.to_string()).as_deref(), *domain, "{text}");
        }
    }
}
