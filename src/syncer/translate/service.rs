//! Services: what they ask for belongs to the tenant, addresses and node ports to the host.

use super::labels::Map;
use super::metadata::{CLUSTER, NAMESPACE};
use super::{Refusal, Tenant, metadata};
use alcove_object::{Value, meta};
use serde_json::json;

/// Fields of `spec` that are the tenant's. Addresses, IP families and node ports are not among them.
const TENANT_FIELDS: [&str; 12] = [
    "type",
    "externalName",
    "publishNotReadyAddresses",
    "sessionAffinity",
    "sessionAffinityConfig",
    "externalTrafficPolicy",
    "internalTrafficPolicy",
    "loadBalancerClass",
    "loadBalancerSourceRanges",
    "allocateLoadBalancerNodePorts",
    "trafficDistribution",
    "ipFamilyPolicy",
];
/// Fields of `spec` that the host decides.
const HOST_FIELDS: [&str; 5] =
    ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"];

/// The host's Service.
pub fn service(tenant: &Tenant, object: &Value) -> Result<Value, Refusal> {
    let spec = &object["spec"];
    if spec["externalIPs"].as_array().is_some_and(|ips| !ips.is_empty()) {
        let why = "external IPs take over traffic of others on the host, so they are not synced; use a LoadBalancer";
        return Err(Refusal::of("spec.externalIPs", why));
    }
    let mut out = json!({});
    for field in TENANT_FIELDS {
        if let Some(value) = spec.get(field) {
            out[field] = value.clone();
        }
    }
    if spec["clusterIP"] == "None" {
        out["clusterIP"] = "None".into();
    }
    if let Some(selector) = spec.get("selector").filter(|s| s.as_object().is_some_and(|s| !s.is_empty())) {
        let mut labels = Map::labels(Some(selector));
        labels.insert(CLUSTER.into(), tenant.cluster.clone().into());
        labels.insert(NAMESPACE.into(), meta::namespace(object).into());
        out["selector"] = labels.into();
    }
    let ports: Vec<Value> = spec["ports"].as_array().into_iter().flatten().map(port).collect();
    if !ports.is_empty() {
        out["ports"] = ports.into();
    }
    Ok(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata(tenant, object), "spec": out }))
}

/// The host's Service for one that is not there yet: the same, with the address and node ports that the tenant asks for.
/// Whether it gets them is the host's to say, this once; from then on they are the host's.
pub fn new_service(tenant: &Tenant, object: &Value) -> Result<Value, Refusal> {
    let mut out = service(tenant, object)?;
    let asked = &object["spec"];
    if let Some(ip) = asked.get("clusterIP").filter(|ip| ip.as_str().is_some_and(|ip| !ip.is_empty())) {
        out["spec"]["clusterIP"] = ip.clone();
    }
    if let Some(ports) = asked.get("ports") {
        out["spec"]["ports"] = ports.clone();
    }
    Ok(out)
}

fn port(port: &Value) -> Value {
    let mut port = port.clone();
    if let Some(port) = port.as_object_mut() {
        port.remove("nodePort");
    }
    port
}

/// A tenant's `spec` with the addresses and node ports that the host gave. Ports are matched by number and protocol.
pub fn service_addresses(spec: &Value, host: &Value) -> Value {
    let mut out = spec.clone();
    for field in HOST_FIELDS {
        if let Some(value) = host.pointer(&format!("/spec/{field}")) {
            out[field] = value.clone();
        }
    }
    let given: Vec<Value> =
        host.pointer("/spec/ports").and_then(Value::as_array).cloned().unwrap_or_default();
    for port in out.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let same = given.iter().find(|h| h["port"] == port["port"] && h["protocol"] == port["protocol"]);
        match (same.and_then(|h| h.get("nodePort")), port.as_object_mut()) {
            (Some(node_port), Some(port)) => drop(port.insert("nodePort".into(), node_port.clone())),
            (None, Some(port)) => drop(port.remove("nodePort")),
            _ => {}
        }
    }
    out
}

/// A tenant's `status` as the host has it: load balancer addresses, and conditions where the host has any.
pub fn service_status(tenant: &Value, host: &Value) -> Value {
    let balancer = host.pointer("/status/loadBalancer").cloned().unwrap_or_else(|| json!({}));
    let mut status = json!({ "loadBalancer": balancer });
    let conditions = [host, tenant].into_iter().find_map(|side| side.pointer("/status/conditions"));
    if let Some(conditions) = conditions {
        status["conditions"] = conditions.clone();
    }
    status
}
