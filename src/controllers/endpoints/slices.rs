//! From a service and its pods to Endpoints and EndpointSlices. Pure.

use super::CONTROLLER;
use crate::endpoint_slices::{MANAGED_BY, SERVICE_NAME};
use crate::pods;
use alcove_object::{Value, meta};
use serde_json::json;
use std::collections::BTreeMap;

/// Endpoints in one slice at most (upstream's default for --max-endpoints-per-slice).
const ENDPOINTS_PER_SLICE_MAX: usize = 100;
/// Addresses in one Endpoints object at most; beyond it is truncated and says so.
const ADDRESSES_MAX: usize = 1000;
/// Annotation of an Endpoints object that does not have all addresses.
pub const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// One pod as a backend.
struct Backend<'a> {
    pod: &'a Value,
    address: &'a str,
    ready: bool,
    terminating: bool,
}

fn backends<'a>(service: &Value, pods: &'a [Value]) -> Vec<Backend<'a>> {
    let publish_all = service.pointer("/spec/publishNotReadyAddresses") == Some(&Value::Bool(true));
    let mut out: Vec<Backend<'a>> = pods
        .iter()
        .filter(|p| !pods::is_finished(p))
        .filter_map(|pod| {
            let address = pod.pointer("/status/podIP")?.as_str().filter(|ip| !ip.is_empty())?;
            let terminating = meta::is_deleting(pod);
            let ready = publish_all || (pods::is_ready(pod) && !terminating);
            Some(Backend { pod, address, ready, terminating })
        })
        .collect();
    out.sort_by(|a, b| a.address.cmp(b.address));
    out
}

/// The service's ports as this pod has them: named target ports are looked up in its containers.
fn ports_of(service: &Value, pod: &Value) -> Vec<Value> {
    let ports = service.pointer("/spec/ports").and_then(Value::as_array);
    ports
        .into_iter()
        .flatten()
        .filter_map(|port| {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            let number = match &port["targetPort"] {
                Value::String(name) => named_port(pod, name, protocol)?,
                Value::Number(n) if n.as_u64() != Some(0) => n.as_u64()?,
                _ => port["port"].as_u64()?,
            };
            let mut out = json!({ "port": number, "protocol": protocol, "name": port["name"].as_str().unwrap_or_default() });
            if let Some(app) = port.get("appProtocol").filter(|a| !a.is_null()) {
                out["appProtocol"] = app.clone();
            }
            Some(out)
        })
        .collect()
}

fn named_port(pod: &Value, name: &str, protocol: &str) -> Option<u64> {
    let lists = ["containers", "initContainers"].map(|l| pod["spec"][l].as_array());
    let ports = lists.into_iter().flatten().flatten().filter_map(|c| c["ports"].as_array()).flatten();
    let mut matching =
        ports.filter(|p| p["name"] == name && p["protocol"].as_str().unwrap_or("TCP") == protocol);
    matching.next()?["containerPort"].as_u64()
}

fn target(pod: &Value) -> Value {
    json!({ "kind": "Pod", "namespace": meta::namespace(pod), "name": meta::name(pod), "uid": meta::uid(pod) })
}

fn hostname<'a>(service: &Value, pod: &'a Value) -> Option<&'a str> {
    let subdomain = pod.pointer("/spec/subdomain").and_then(Value::as_str)?;
    let hostname = pod.pointer("/spec/hostname").and_then(Value::as_str).filter(|h| !h.is_empty())?;
    (subdomain == meta::name(service)).then_some(hostname)
}

fn is_headless(service: &Value) -> bool {
    service.pointer("/spec/clusterIP").and_then(Value::as_str) == Some("None")
}

/// Addresses with the same ports.
#[derive(Default)]
struct Subset {
    ready: Vec<Value>,
    not_ready: Vec<Value>,
    ports: Vec<Value>,
}

/// The Endpoints object of a service.
pub fn endpoints(service: &Value, pods: &[Value]) -> Value {
    // Addresses with the same ports share a subset.
    let mut subsets: BTreeMap<String, Subset> = BTreeMap::new();
    let mut backends = backends(service, pods);
    backends.retain(|backend| !backend.terminating || backend.ready);
    for backend in backends.iter().take(ADDRESSES_MAX) {
        let mut ports = ports_of(service, backend.pod);
        if ports.is_empty() && !is_headless(service) {
            continue;
        }
        for port in &mut ports {
            if let Some(port) = port.as_object_mut().filter(|p| p["name"] == "") {
                port.remove("name");
            }
        }
        let mut address = json!({ "ip": backend.address, "targetRef": target(backend.pod) });
        if let Some(node) = backend.pod.pointer("/spec/nodeName") {
            address["nodeName"] = node.clone();
        }
        if let Some(hostname) = hostname(service, backend.pod) {
            address["hostname"] = hostname.into();
        }
        let key = serde_json::to_string(&ports).unwrap_or_default();
        let subset = subsets.entry(key).or_insert_with(|| Subset { ports, ..Subset::default() });
        if backend.ready { subset.ready.push(address) } else { subset.not_ready.push(address) }
    }
    let subsets: Vec<Value> = subsets
        .into_values()
        .map(|Subset { ready, not_ready, ports }| {
            let fields = [("addresses", ready), ("notReadyAddresses", not_ready), ("ports", ports)];
            fields.into_iter().filter(|(_, list)| !list.is_empty()).collect()
        })
        .collect();
    let mut labels = service.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    labels["endpoints.kubernetes.io/managed-by"] = "endpoint-controller".into();
    if is_headless(service) {
        labels[HEADLESS] = "".into();
    }
    let mut out = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": { "name": meta::name(service), "namespace": meta::namespace(service), "labels": labels },
    });
    if backends.len() > ADDRESSES_MAX {
        meta::set(&mut out, "annotations", json!({ OVER_CAPACITY: "truncated" }));
    }
    if !subsets.is_empty() {
        out["subsets"] = subsets.into();
    }
    out
}

/// The EndpointSlices of a service: one at least per address family, split by ports and by size.
pub fn slices(service: &Value, pods: &[Value]) -> Vec<Value> {
    let families = service.pointer("/spec/ipFamilies").and_then(Value::as_array).cloned().unwrap_or_default();
    let families = if families.is_empty() { vec![json!("IPv4")] } else { families };
    let mut out = Vec::new();
    for family in families {
        let kind = family.as_str().unwrap_or("IPv4");
        let mut groups: BTreeMap<String, (Vec<Value>, Vec<Value>)> = BTreeMap::new();
        for backend in backends(service, pods) {
            let Some(address) = address_of(backend.pod, kind) else { continue };
            let ports = ports_of(service, backend.pod);
            let key = serde_json::to_string(&ports).unwrap_or_default();
            groups
                .entry(key)
                .or_insert_with(|| (ports, Vec::new()))
                .1
                .push(endpoint(service, &backend, address));
        }
        if groups.is_empty() {
            groups.insert(String::new(), (Vec::new(), Vec::new()));
        }
        for (ports, endpoints) in groups.into_values() {
            if endpoints.is_empty() {
                out.push(slice(service, kind, &ports, &[]));
            }
            out.extend(
                endpoints.chunks(ENDPOINTS_PER_SLICE_MAX).map(|chunk| slice(service, kind, &ports, chunk)),
            );
        }
    }
    out
}

fn address_of<'a>(pod: &'a Value, kind: &str) -> Option<&'a str> {
    let all = pod.pointer("/status/podIPs").and_then(Value::as_array);
    let listed = all.into_iter().flatten().filter_map(|ip| ip["ip"].as_str());
    let first = pod.pointer("/status/podIP").and_then(Value::as_str);
    listed.chain(first).find(|ip| ip.contains(':') == (kind == "IPv6"))
}

fn endpoint(service: &Value, backend: &Backend<'_>, address: &str) -> Value {
    let serving = pods::is_ready(backend.pod) || backend.ready;
    let mut out = json!({
        "addresses": [address],
        "conditions": { "ready": backend.ready, "serving": serving, "terminating": backend.terminating },
        "targetRef": target(backend.pod),
    });
    if let Some(node) = backend.pod.pointer("/spec/nodeName") {
        out["nodeName"] = node.clone();
    }
    if let Some(hostname) = hostname(service, backend.pod) {
        out["hostname"] = hostname.into();
    }
    out
}

fn slice(service: &Value, kind: &str, ports: &[Value], endpoints: &[Value]) -> Value {
    let mut labels = service.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    labels[SERVICE_NAME] = meta::name(service).into();
    labels[MANAGED_BY] = CONTROLLER.into();
    if is_headless(service) {
        labels[HEADLESS] = "".into();
    }
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "generateName": format!("{}-", meta::name(service)), "namespace": meta::namespace(service),
            "labels": labels,
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Service", "name": meta::name(service),
                "uid": meta::uid(service), "controller": true, "blockOwnerDeletion": true }],
        },
        "addressType": kind,
        // Without ports the list is null, as upstream has it.
        "ports": if ports.is_empty() { Value::Null } else { ports.to_vec().into() },
        "endpoints": endpoints,
    })
}

/// What [`is_same`] compares and [`overwrite`] copies.
const OWN_FIELDS: [&str; 3] = ["addressType", "ports", "endpoints"];

/// Whether a slice already says what is wanted.
pub fn is_same(found: &Value, wanted: &Value) -> bool {
    OWN_FIELDS.iter().all(|field| found[field] == wanted[field])
        && found.pointer("/metadata/labels") == wanted.pointer("/metadata/labels")
}

/// A slice that is there, saying what is wanted.
pub fn reused(mut found: Value, mut wanted: Value) -> Value {
    for field in OWN_FIELDS {
        found[field] = wanted[field].take();
    }
    found["metadata"]["labels"] = wanted["metadata"]["labels"].take();
    found
}

/// Whether an Endpoints object names this pod.
pub fn names_pod(endpoints: &Value, pod: &str) -> bool {
    let subsets = endpoints["subsets"].as_array();
    let lists = subsets.into_iter().flatten().flat_map(|s| [&s["addresses"], &s["notReadyAddresses"]]);
    lists
        .filter_map(Value::as_array)
        .flatten()
        .any(|a| a.pointer("/targetRef/name").is_some_and(|n| n == pod))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(target: Value) -> Value {
        json!({ "metadata": { "name": "web", "namespace": "d", "uid": "s", "labels": { "app": "web" } },
            "spec": { "clusterIP": "10.96.0.9", "selector": { "app": "web" },
                      "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": target }] } })
    }

    fn pod(name: &str, ip: &str, ready: &str) -> Value {
        json!({ "metadata": { "name": name, "namespace": "d", "uid": name },
            "spec": { "nodeName": "n", "containers": [{ "name": "c", "ports": [{ "name": "web", "containerPort": 8080 }] }] },
            "status": { "phase": "Running", "podIP": ip, "conditions": [{ "type": "Ready", "status": ready }] } })
    }

    #[test]
    fn ready_and_unready_pods_stand_apart() {
        let pods = [pod("b", "10.0.0.2", "False"), pod("a", "10.0.0.1", "True")];
        let endpoints = endpoints(&service(json!("web")), &pods);
        let subset = &endpoints["subsets"][0];
        assert_eq!(subset["addresses"][0]["ip"], "10.0.0.1");
        assert_eq!(subset["notReadyAddresses"][0]["targetRef"]["name"], "b");
        assert_eq!(subset["ports"], json!([{ "name": "http", "port": 8080, "protocol": "TCP" }]));
        assert!(names_pod(&endpoints, "b") && !names_pod(&endpoints, "c"));
    }

    #[test]
    fn slices_are_split_by_size_and_name_their_service() {
        let pods: Vec<Value> =
            (0..150).map(|i| pod(&format!("p{i}"), &format!("10.0.1.{i}"), "True")).collect();
        let slices = slices(&service(json!(9090)), &pods);
        let sizes: Vec<usize> = slices.iter().map(|s| s["endpoints"].as_array().unwrap().len()).collect();
        assert_eq!(sizes, [100, 50]);
        assert_eq!(slices[0]["metadata"]["labels"][SERVICE_NAME], "web");
        assert_eq!(slices[0]["ports"][0]["port"], 9090);
        assert!(is_same(&slices[0], &slices[0].clone()) && !is_same(&slices[0], &slices[1]));
    }

    #[test]
    fn endpoints_that_are_cut_say_so() {
        for (count, says) in [(ADDRESSES_MAX, None), (ADDRESSES_MAX + 1, Some("truncated"))] {
            let pods: Vec<Value> = (0..count)
                .map(|i| pod(&format!("p{i}"), &format!("10.{}.0.{}", i / 256, i % 256), "True"))
                .collect();
            let endpoints = endpoints(&service(json!(80)), &pods);
            assert_eq!(endpoints["subsets"][0]["addresses"].as_array().unwrap().len(), ADDRESSES_MAX);
            assert_eq!(meta::annotation(&endpoints, OVER_CAPACITY), says);
        }
    }

    #[test]
    fn a_service_without_pods_has_one_empty_slice() {
        let slices = slices(&service(json!(80)), &[]);
        assert_eq!(slices.len(), 1);
        assert_eq!(slices[0]["endpoints"], json!([]));
        assert!(endpoints(&service(json!(80)), &[]).get("subsets").is_none());
    }
}
