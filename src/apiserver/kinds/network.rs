//! `networking.k8s.io` and `discovery.k8s.io`.

use super::columns::network as columns;
use super::row::{Row, row};
use super::strategies::ruled;
use super::warnings;
use crate::registry::{Generation, NameRule};

pub(super) fn networking() -> Vec<Row> {
    let api = "networking.k8s.io/v1";
    vec![
        row(api, "ingressclasses", "IngressClass", columns::ingress_class)
            .strategy(&ruled::INGRESS_CLASS)
            .cluster()
            .counts_spec(),
        row(api, "ingresses", "Ingress", columns::ingress)
            .strategy(&ruled::INGRESS)
            .warns(warnings::ingress)
            .short(&["ing"])
            .status()
            .counts_spec(),
        row(api, "ipaddresses", "IPAddress", columns::ip_address)
            .also(&["v1beta1"])
            .strategy(&ruled::IP_ADDRESS)
            .cluster()
            .short(&["ip"])
            .names(NameRule::IpAddress),
        row(api, "networkpolicies", "NetworkPolicy", columns::network_policy)
            .strategy(&ruled::NETWORK_POLICY)
            .warns(warnings::network_policy)
            .short(&["netpol"])
            .counts_spec(),
        row(api, "servicecidrs", "ServiceCIDR", columns::service_cidr)
            .also(&["v1beta1"])
            .strategy(&ruled::SERVICE_CIDR)
            .cluster()
            .status_but(&["metadata"]),
    ]
}

pub(super) fn discovery() -> Vec<Row> {
    vec![
        row("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", columns::endpoint_slice)
            .strategy(&ruled::ENDPOINT_SLICE)
            .warns(warnings::endpoint_slice)
            .counts(Generation::LabelsAndAll),
    ]
}
