//! Names on the host: `NAME-x-NAMESPACE-x-CLUSTER`, or a cut and hashed form where that is too long or not unique.

use super::Tenant;
use sha2::{Digest, Sha256};

/// The longest name: what a DNS label and a label value may have.
const NAME_MAX: usize = 63;
/// Hexadecimal digits of the hash that ends a cut name.
const HASH_DIGITS: usize = 10;
const SEPARATOR: &str = "-x-";

/// The host name of a tenant's namespaced object.
///
/// Two different objects never get the same plain name: one whose own parts hold the separator, so that it could be
/// read in two ways, takes the hashed form, and hashes cover the parts with a byte between them that no name can hold.
pub fn host_name(tenant: &Tenant, namespace: &str, name: &str) -> String {
    let full = [name, namespace, &tenant.cluster].join(SEPARATOR);
    let is_ambiguous = [name, namespace]
        .iter()
        .any(|part| part.contains(SEPARATOR) || part.ends_with("-x") || part.starts_with("x-"));
    if full.len() <= NAME_MAX && !is_ambiguous {
        return full;
    }
    let digest = Sha256::digest([name, namespace, &tenant.cluster].join("\0"));
    let hash: String = digest.iter().take(HASH_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect();
    let room = NAME_MAX - HASH_DIGITS - 1;
    let head: String = full.chars().take(room).collect();
    // A name part must not end in a dot or a dash before the dash that follows.
    format!("{}-{hash}", head.trim_end_matches(['.', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(namespace: &str, name: &str) -> String {
        let tenant = Tenant { cluster: "demo".into(), host_namespace: "team-a".into() };
        host_name(&tenant, namespace, name)
    }

    #[test]
    fn short_names_are_readable() {
        assert_eq!(name("default", "web"), "web-x-default-x-demo");
        assert_eq!(name("kube-system", "kube-dns"), "kube-dns-x-kube-system-x-demo");
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let (a, b) = (name("default", &"a".repeat(63)), name("default", &format!("{}b", "a".repeat(62))));
        assert_eq!((a.len(), b.len()), (63, 63));
        assert_ne!(a, b);
        let dotted = name("default", &format!("{}.b.example", "a".repeat(51)));
        assert!(!dotted.contains(".-"), "{dotted}");
    }

    #[test]
    fn names_that_could_be_read_in_two_ways_stay_apart() {
        let pairs =
            [(("c", "a-x-b"), ("b-x-c", "a")), (("x-c", "a"), ("c", "a-x")), (("c", "a-x"), ("x-c", "a"))];
        for ((ns1, n1), (ns2, n2)) in pairs {
            assert_ne!(name(ns1, n1), name(ns2, n2));
        }
    }
}
