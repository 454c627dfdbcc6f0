//! Services: what they ask for belongs to the tenant, addresses to the host. Node ports are the host's to give and the
//! tenant's to keep or change.

use super::labels::Map;
use super::metadata::{CLUSTER, NAMESPACE};
use super::{Context, Refusal, Tenant, Wanted, address, annotations, metadata};
use alcove_object::{Value, meta};
use serde_json::json;

/// Fields of `spec` that are the tenant's, besides its selector and ports.
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
const HOST_FIELDS: [&str; 4] = ["clusterIP", "clusterIPs", "ipFamilies", "healthCheckNodePort"];

/// Names that mean the host's own machines or services to whoever resolves them there: ends of them, whole names, and
/// names without a dot, which are looked for next to who asks.
const HOST_NAMES: [&str; 7] =
    ["localhost", "local", "internal", "svc", "cluster.local", "localdomain", "arpa"];

/// The host's Service, if the platform team allows it.
pub fn allowed_service(context: &Context<'_>, object: &Value) -> Result<Wanted, Refusal> {
    judge_service(context, object)?;
    let mut out = service(context.tenant, object)?;
    annotations(&mut out["metadata"], object, &context.allowed.services.annotations);
    Ok(out.into())
}

/// Whether the platform team allows what a service asks for.
fn judge_service(context: &Context<'_>, object: &Value) -> Result<(), Refusal> {
    let (allowed, spec) = (&context.allowed.services, &object["spec"]);
    match spec["type"].as_str() {
        Some("NodePort") if !allowed.node_ports => Err(Refusal::of(
            "spec.type",
            "services of type NodePort are off; ask the platform team for sync.services.nodePorts",
        )),
        Some("LoadBalancer") if !allowed.load_balancers => Err(Refusal::of(
            "spec.type",
            "services of type LoadBalancer are off; ask the platform team for sync.services.loadBalancers",
        )),
        Some("ExternalName") => external_name(spec["externalName"].as_str().unwrap_or_default()),
        _ => Ok(()),
    }
}

/// A name outside the cluster. On the host, controllers follow it with rights and routes that the tenant has not.
fn external_name(name: &str) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal::of("spec.externalName", why));
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if address::address(&name).is_some() || name.split('.').next_back().is_some_and(is_number) {
        return refuse("addresses are no names; use a service without a selector and Endpoints");
    }
    let is_hosts = |end: &&str| name == **end || name.ends_with(&format!(".{end}"));
    match !name.contains('.') || HOST_NAMES.iter().any(is_hosts) {
        true => refuse("names inside the host's cluster or network are not synced"),
        false => Ok(()),
    }
}

/// What resolvers may take for a part of an address.
fn is_number(part: &str) -> bool {
    !part.is_empty() && (part.bytes().all(|byte| byte.is_ascii_digit()) || part.starts_with("0x"))
}

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
    if spec["clusterIP"] == "None" && spec["type"] != "ExternalName" {
        out["clusterIP"] = "None".into();
    }
    if let Some(selector) = spec.get("selector").filter(|s| s.as_object().is_some_and(|s| !s.is_empty())) {
        let mut labels = Map::labels(Some(selector));
        labels.insert(CLUSTER.into(), tenant.cluster.clone().into());
        labels.insert(NAMESPACE.into(), meta::namespace(object).into());
        out["selector"] = labels.into();
    }
    let has_node_ports = matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer"));
    let ports = spec["ports"].as_array().into_iter().flatten();
    let ports: Vec<Value> =
        ports.map(|port| if has_node_ports { port.clone() } else { plain(port) }).collect();
    if !ports.is_empty() {
        out["ports"] = ports.into();
    }
    Ok(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata(tenant, object), "spec": out }))
}

/// Lets a host's Service that is made, or gets addresses for the first time, ask for those that the tenant's names.
/// Whether it gets them is the host's to say, this once; from then on they are the host's.
pub fn ask_for_addresses(object: &Value, out: &mut Value) {
    let asked = &object["spec"];
    if let Some(ip) = asked.get("clusterIP").filter(|ip| ip.as_str().is_some_and(|ip| !ip.is_empty())) {
        out["spec"]["clusterIP"] = ip.clone();
    }
    for field in ["clusterIPs", "ipFamilies"] {
        if let Some(value) = asked.get(field).filter(|value| value.as_array().is_some_and(|v| !v.is_empty()))
        {
            out["spec"][field] = value.clone();
        }
    }
}

/// A port without a node port, which only some types have.
fn plain(port: &Value) -> Value {
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
        match (host.pointer(&format!("/spec/{field}")), out.as_object_mut()) {
            (Some(value), Some(out)) => drop(out.insert(field.into(), value.clone())),
            // A service that became an ExternalName has no address any more.
            (None, Some(out)) => drop(out.remove(field)),
            _ => {}
        }
    }
    if out.get("ipFamilyPolicy").is_none()
        && let Some(policy) = host.pointer("/spec/ipFamilyPolicy")
    {
        out["ipFamilyPolicy"] = policy.clone();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_names_lead_out_of_the_host() {
        for name in ["example.com", "db.example.org.", "svc.example.com", "local.example.com"] {
            assert_eq!(external_name(name), Ok(()), "{name}");
        }
        for name in [
            "kubernetes.default.svc",
            "web.other.svc.cluster.local.",
            "metadata.google.internal",
            "localhost",
            "a.localhost",
            "kubernetes",
            "169.254.169.254",
            "2130706433",
            "0x7f.1",
            "10.0.0.1",
            "::1",
            "printer.local",
            "KUBERNETES.DEFAULT.SVC",
            "",
        ] {
            assert!(external_name(name).is_err(), "{name}");
        }
    }
}
