//! The objects that a cluster has from its first moment beside the system's namespaces: the service through which pods
//! reach the server, the range that service addresses come from, and the system's priority classes
//! (k8s.io/kubernetes/pkg/controlplane, pkg/apis/scheduling/helpers.go).

use crate::admission::AddressConfig;
use alcove_object::Value;
use serde_json::json;
use std::net::IpAddr;

/// The objects. `server` is where pods reach this server behind the service; without it the service has no endpoints yet.
pub fn objects(addresses: &AddressConfig, server: Option<(IpAddr, u16)>) -> Vec<Value> {
    let mut objects = vec![
        priority_class(
            "system-cluster-critical",
            2_000_000_000,
            "For pods that the cluster needs and that may run on any node.",
        ),
        priority_class(
            "system-node-critical",
            2_000_001_000,
            "For pods that a node needs and that must stay on it.",
        ),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": [addresses.cidr()]},
        }),
        kubernetes_service(addresses, server.map_or(6443, |(_, port)| port)),
    ];
    objects.extend(server.into_iter().flat_map(|(ip, port)| endpoints(ip, port)));
    objects
}

fn priority_class(name: &str, value: i64, description: &str) -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": value, "description": description,
    })
}

fn kubernetes_service(addresses: &AddressConfig, port: u16) -> Value {
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {
            "clusterIP": addresses.first().to_string(),
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    })
}

fn endpoints(ip: IpAddr, port: u16) -> [Value; 2] {
    let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    let skip = json!({"endpointslice.kubernetes.io/skip-mirror": "true"});
    [
        json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": skip},
            "subsets": [{"addresses": [{"ip": ip.to_string()}], "ports": ports}],
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "kubernetes", "namespace": "default",
                "labels": {"kubernetes.io/service-name": "kubernetes"},
            },
            "addressType": family,
            "endpoints": [{"addresses": [ip.to_string()], "conditions": {"ready": true}}],
            "ports": ports,
        }),
    ]
}
