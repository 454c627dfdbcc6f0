//! `networking.k8s.io/v1` and `discovery.k8s.io/v1`.

use super::columns::network as columns;
use super::row::{Row, row};

pub(super) fn networking() -> Vec<Row> {
    let api = "networking.k8s.io/v1";
    vec![
        row(api, "ingressclasses", "IngressClass", columns::ingress_class).cluster().counts_spec(),
        row(api, "ingresses", "Ingress", columns::ingress).short(&["ing"]).status().counts_spec(),
        row(api, "ipaddresses", "IPAddress", columns::ip_address).cluster().short(&["ip"]),
        row(api, "networkpolicies", "NetworkPolicy", columns::network_policy)
            .short(&["netpol"])
            .counts_spec(),
        row(api, "servicecidrs", "ServiceCIDR", columns::service_cidr).cluster().status(),
    ]
}

pub(super) fn discovery() -> Vec<Row> {
    vec![row("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", columns::endpoint_slice).counts_all()]
}
