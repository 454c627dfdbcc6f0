//! From an Endpoints object to the slices that mirror it. Pure.

use super::CONTROLLER;
use crate::endpoint_slices::{MANAGED_BY, SERVICE_NAME};
use alcove_object::{Value, meta};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Addresses of one subset that are mirrored at most (upstream's default for --mirroring-max-endpoints-per-subset). Past
/// it: they are left out, and an event says so.
const ADDRESSES_PER_SUBSET_MAX: usize = 1000;
/// Annotations that say something about the Endpoints object alone.
const OWN_ANNOTATIONS: [&str; 2] =
    ["endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration"];

/// What becomes of an Endpoints object.
#[derive(Debug, Default)]
pub struct Mirror {
    /// The slices, without names.
    pub slices: Vec<Value>,
    /// Reasons and messages of events.
    pub complaints: Vec<(&'static str, String)>,
}

/// The slices that say what an Endpoints object says: one for each family and each set of ports.
pub fn mirror(endpoints: &Value) -> Mirror {
    let mut groups: BTreeMap<(bool, String), (Vec<Value>, Vec<Value>)> = BTreeMap::new();
    let (mut invalid, mut skipped) = (0, 0);
    for subset in endpoints["subsets"].as_array().into_iter().flatten() {
        let ports = ports(subset);
        let key = serde_json::to_string(&ports).unwrap_or_default();
        let lists = [("addresses", true), ("notReadyAddresses", false)];
        let all = lists.iter().flat_map(|(list, ready)| {
            subset[*list].as_array().into_iter().flatten().map(move |address| (address, *ready))
        });
        let mut added = 0;
        for (address, ready) in all {
            if added == ADDRESSES_PER_SUBSET_MAX {
                skipped += 1;
                continue;
            }
            let Ok(ip) = address["ip"].as_str().unwrap_or_default().parse::<IpAddr>() else {
                invalid += 1;
                continue;
            };
            let group =
                groups.entry((ip.is_ipv6(), key.clone())).or_insert_with(|| (ports.clone(), Vec::new()));
            let endpoint = endpoint(address, ip, ready);
            if !group.1.contains(&endpoint) {
                group.1.push(endpoint);
            }
            added += 1;
        }
    }
    let mut complaints = Vec::new();
    if invalid > 0 {
        let why = format!("Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices");
        complaints.push(("InvalidIPAddress", why));
    }
    if skipped > 0 {
        let why = format!(
            "A max of {ADDRESSES_PER_SUBSET_MAX} addresses can be mirrored to EndpointSlices per Endpoints subset. \
             {} addresses were skipped",
            skipped + invalid
        );
        complaints.push(("TooManyAddressesToMirror", why));
    }
    let slices = groups.into_iter().flat_map(|((is_v6, _), (ports, found))| {
        let kind = if is_v6 { "IPv6" } else { "IPv4" };
        let slice = |chunk: &[Value]| slice(endpoints, kind, &ports, chunk);
        found.chunks(ADDRESSES_PER_SUBSET_MAX).map(slice).collect::<Vec<_>>()
    });
    Mirror { slices: slices.collect(), complaints }
}

fn ports(subset: &Value) -> Vec<Value> {
    let ports = subset["ports"].as_array().into_iter().flatten();
    let port = |port: &Value| {
        let mut out = json!({
            "name": port["name"].as_str().unwrap_or_default(), "port": port["port"],
            "protocol": port["protocol"].as_str().unwrap_or("TCP"),
        });
        if let Some(app) = port.get("appProtocol").filter(|app| !app.is_null()) {
            out["appProtocol"] = app.clone();
        }
        out
    };
    ports.map(port).collect()
}

fn endpoint(address: &Value, ip: IpAddr, ready: bool) -> Value {
    let mut out = json!({ "addresses": [ip.to_string()], "conditions": { "ready": ready } });
    for field in ["nodeName", "hostname", "targetRef"] {
        if let Some(value) = address.get(field).filter(|value| !value.is_null() && **value != "") {
            out[field] = value.clone();
        }
    }
    out
}

fn slice(endpoints: &Value, kind: &str, ports: &[Value], found: &[Value]) -> Value {
    let mut labels = endpoints.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    labels[SERVICE_NAME] = meta::name(endpoints).into();
    labels[MANAGED_BY] = CONTROLLER.into();
    let mut out = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "generateName": format!("{}-", meta::name(endpoints)), "namespace": meta::namespace(endpoints),
            "labels": labels,
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Endpoints", "name": meta::name(endpoints),
                "uid": meta::uid(endpoints), "controller": true, "blockOwnerDeletion": true }],
        },
        "addressType": kind,
        "ports": if ports.is_empty() { Value::Null } else { ports.to_vec().into() },
        "endpoints": found,
    });
    let annotations = meta::entries(endpoints.pointer("/metadata/annotations"));
    let annotations: serde_json::Map<String, Value> = annotations
        .filter(|(key, _)| !OWN_ANNOTATIONS.contains(key))
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    if !annotations.is_empty() {
        meta::set(&mut out, "annotations", annotations);
    }
    out
}

/// Whether a slice already says what is wanted.
pub fn is_same(found: &Value, wanted: &Value) -> bool {
    let metadata = ["labels", "annotations", "ownerReferences"];
    ["addressType", "ports", "endpoints"].iter().all(|field| found[field] == wanted[field])
        && metadata.iter().all(|field| found["metadata"].get(field) == wanted["metadata"].get(field))
}

/// A slice under the name of one that is there; one with the same ports says nothing any more of how the name was made.
pub fn reused(found: Value, mut wanted: Value) -> Value {
    if found["ports"] == wanted["ports"] {
        meta::unset(&mut wanted, "generateName");
    }
    meta::set(&mut wanted, "name", meta::name(&found));
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(subsets: Value) -> Value {
        json!({ "metadata": { "name": "db", "namespace": "d", "uid": "u",
            "annotations": { "x": "y", OWN_ANNOTATIONS[1]: "{}" } }, "subsets": subsets })
    }

    /// Family, ports and addresses of each slice.
    fn shape(mirror: &Mirror) -> Vec<(String, usize, Vec<String>)> {
        let shape = |slice: &Value| {
            let endpoints = slice["endpoints"].as_array().unwrap().iter();
            let ip = |e: &Value| {
                let ready = if e["conditions"]["ready"] == true { "" } else { "!" };
                format!("{ready}{}", e["addresses"][0].as_str().unwrap())
            };
            let ports = slice["ports"].as_array().map_or(0, Vec::len);
            (slice["addressType"].as_str().unwrap().to_owned(), ports, endpoints.map(ip).collect())
        };
        mirror.slices.iter().map(shape).collect()
    }

    #[test]
    fn families_and_ports_have_slices_of_their_own() {
        let mirror = mirror(&endpoints(json!([
            { "addresses": [{ "ip": "192.0.2.1" }, { "ip": "fd00::1" }, { "ip": "x" }],
              "notReadyAddresses": [{ "ip": "192.0.2.2" }], "ports": [{ "port": 80 }] },
            { "addresses": [{ "ip": "192.0.2.3" }], "ports": [{ "port": 81 }, { "port": 82, "name": "b" }] },
            { "addresses": [{ "ip": "192.0.2.4" }], "ports": [{ "port": 80 }] },
        ])));
        let ips = |ips: &[&str]| ips.iter().map(|ip| (*ip).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            shape(&mirror),
            [
                ("IPv4".into(), 1, ips(&["192.0.2.1", "!192.0.2.2", "192.0.2.4"])),
                ("IPv4".into(), 2, ips(&["192.0.2.3"])),
                ("IPv6".into(), 1, ips(&["fd00::1"])),
            ]
        );
        assert_eq!(mirror.slices[0]["metadata"]["annotations"], json!({ "x": "y" }));
        let why = "Skipped 1 invalid IP addresses when mirroring to EndpointSlices".to_owned();
        assert_eq!(mirror.complaints, [("InvalidIPAddress", why)]);
        let mut old = mirror.slices[0].clone();
        meta::set(&mut old, "name", "db-x");
        let again = reused(old, mirror.slices[0].clone());
        assert!(is_same(&again, &mirror.slices[0]) && meta::name(&again) == "db-x");
        assert!(!is_same(&mirror.slices[1], &mirror.slices[0]));
    }

    #[test]
    fn what_is_too_much_is_left_out_and_told() {
        let all: Vec<Value> = (0..ADDRESSES_PER_SUBSET_MAX + 2)
            .map(|i| json!({ "ip": format!("10.0.{}.{}", i / 256, i % 256) }))
            .collect();
        let mirror = mirror(&endpoints(json!([{ "addresses": all, "ports": [{ "port": 80 }] }])));
        assert_eq!(mirror.slices[0]["endpoints"].as_array().unwrap().len(), ADDRESSES_PER_SUBSET_MAX);
        assert_eq!(mirror.complaints[0].0, "TooManyAddressesToMirror");
    }

    #[test]
    fn nothing_becomes_nothing() {
        assert!(mirror(&endpoints(Value::Null)).slices.is_empty());
        assert!(mirror(&endpoints(json!([{ "ports": [{ "port": 1 }] }]))).slices.is_empty());
    }
}
