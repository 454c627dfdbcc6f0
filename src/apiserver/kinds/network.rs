//! `networking.k8s.io/v1` and `discovery.k8s.io/v1`.

use super::columns::network as columns;
use super::defaults::kinds as defaults;
use super::row::{Row, row};
use super::strategies::{By, Filled};
use crate::registry::NameRule;

pub(super) fn networking() -> Vec<Row> {
    let api = "networking.k8s.io/v1";
    vec![
        row(api, "ingressclasses", "IngressClass", columns::ingress_class)
            .strategy(&Filled(defaults::INGRESS_CLASS))
            .cluster()
            .counts_spec(),
        row(api, "ingresses", "Ingress", columns::ingress).short(&["ing"]).status().counts_spec(),
        row(api, "ipaddresses", "IPAddress", columns::ip_address)
            .cluster()
            .short(&["ip"])
            .names(NameRule::IpAddress),
        row(api, "networkpolicies", "NetworkPolicy", columns::network_policy)
            .strategy(&By(defaults::network_policy))
            .short(&["netpol"])
            .counts_spec(),
        row(api, "servicecidrs", "ServiceCIDR", columns::service_cidr).cluster().status_but(&["metadata"]),
    ]
}

pub(super) fn discovery() -> Vec<Row> {
    vec![
        row("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", columns::endpoint_slice)
            .strategy(&Filled(defaults::ENDPOINT_SLICE))
            .counts_all(),
    ]
}
