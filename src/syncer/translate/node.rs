//! Nodes of the host as the tenant sees them: those that the platform team selects, with their sizes and the labels that
//! it lets through, under the host's names or under names that tell nothing.

use super::metadata::MIRROR;
use super::{Context, Tenant, names};
use alcove_config::{NodeNames, Sync};
use alcove_controllers::nodes::tolerates;
use alcove_object::gather::Gather;
use alcove_object::{Value, meta};
use serde_json::{Map, json};
use sha2::{Digest, Sha256};

/// Labels that every node has, whatever is let through.
const PLAIN_LABELS: [&str; 2] = ["kubernetes.io/arch", "kubernetes.io/os"];
/// The label that holds a node's name.
const HOSTNAME: &str = "kubernetes.io/hostname";
/// What of a node's information says nothing about its machine.
const PLAIN_INFO: [&str; 3] = ["architecture", "operatingSystem", "kubeletVersion"];
/// The rest, which clients expect to be there.
const HIDDEN_INFO: [&str; 7] = [
    "osImage",
    "kernelVersion",
    "containerRuntimeVersion",
    "kubeProxyVersion",
    "bootID",
    "machineID",
    "systemUUID",
];
/// Addresses of nodes that are shown where the platform team says so. The others are names of machines.
const ADDRESSES: [&str; 2] = ["InternalIP", "ExternalIP"];
/// Hexadecimal digits of a name that tells nothing.
const NAME_DIGITS: usize = 12;

/// What the tenant calls a node of the host. Hidden names are always the same for the same node and tenant.
pub fn node_name(tenant: &Tenant, allowed: &Sync, host: &str) -> String {
    if allowed.nodes.names == NodeNames::Shown {
        return host.to_owned();
    }
    let digest = Sha256::digest([&tenant.host_namespace, &tenant.cluster, host].join("\0"));
    let digits: String = digest.iter().take(NAME_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect();
    format!("node-{digits}")
}

/// The tenant's node for a selected one of the host's.
pub fn node(context: &Context<'_>, host: &Value) -> Option<Value> {
    let nodes = &context.allowed.nodes;
    let is_selected = nodes.selector.iter().all(|(key, value)| meta::label(host, key) == Some(value));
    if nodes.selector.is_empty() || !is_selected || meta::is_deleting(host) {
        return None;
    }
    let name = node_name(context.tenant, context.allowed, meta::name(host));
    let shown = meta::labels(host).filter(|(key, _)| PLAIN_LABELS.contains(key) || names(&nodes.labels, key));
    let mut labels: Map<String, Value> = shown.map(|(key, value)| (key.to_owned(), value.into())).gather();
    labels.insert(HOSTNAME.into(), name.clone().into());
    labels.insert(MIRROR.into(), "true".into());
    let host_status = &host["status"];
    let mut info = json!({});
    for field in PLAIN_INFO {
        info[field] = host_status["nodeInfo"][field].as_str().unwrap_or_default().into();
    }
    for field in HIDDEN_INFO {
        info[field] = "".into();
    }
    let mut addresses = vec![json!({ "type": "Hostname", "address": name })];
    if nodes.addresses {
        let theirs = host_status["addresses"].as_array().into_iter().flatten();
        addresses
            .extend(theirs.filter(|address| ADDRESSES.iter().any(|kind| address["type"] == *kind)).cloned());
    }
    let mut status = json!({
        "addresses": addresses, "nodeInfo": info,
        "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
    });
    for field in ["capacity", "allocatable"] {
        if let Some(value) = host_status.get(field) {
            status[field] = value.clone();
        }
    }
    status["conditions"] =
        host_status["conditions"].as_array().into_iter().flatten().map(condition).collect();
    let mut out = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": labels }, "status": status,
    });
    if host.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        out["spec"]["unschedulable"] = true.into();
    }
    let taints = taints(&context.allowed.pods.tolerations, host);
    if !taints.is_empty() {
        out["spec"]["taints"] = taints.into();
    }
    Some(out)
}

/// The taints of a node that keep the tenant's pods away unless they say something about it: a DaemonSet makes none for
/// a node that would not take them.
fn taints(tolerated: &[Value], host: &Value) -> Vec<Value> {
    let spec = json!({ "tolerations": tolerated });
    let taints = host.pointer("/spec/taints").and_then(Value::as_array).into_iter().flatten();
    let shown = taints.filter(|taint| !tolerates(&spec, taint)).cloned();
    let without_time = shown.map(|mut taint| {
        if let Some(taint) = taint.as_object_mut() {
            taint.remove("timeAdded");
        }
        taint
    });
    without_time.collect()
}

/// A condition without the time of the last heartbeat, which alone would make every node be written all the time, and
/// without the message, which may name the host's machines.
fn condition(condition: &Value) -> Value {
    let mut out = json!({});
    for field in ["type", "status", "reason", "lastTransitionTime"] {
        if let Some(value) = condition.get(field) {
            out[field] = value.clone();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::Nothing;

    #[test]
    fn taints_that_all_pods_tolerate_are_not_shown() {
        let tenant = Tenant { cluster: "demo".into(), host_namespace: "h".into() };
        let ours = json!({ "key": "team", "value": "red", "effect": "NoSchedule", "timeAdded": "t" });
        let gpu = json!({ "key": "gpu", "effect": "NoSchedule" });
        let host = json!({ "metadata": { "name": "n", "labels": { "pool": "red" } }, "spec": { "taints": [ours, gpu] } });
        let mut allowed = Sync::default();
        allowed.nodes.selector = [("pool".to_owned(), "red".to_owned())].into();
        let taints = |allowed: &Sync| {
            node(&Context { tenant: &tenant, allowed, known: &Nothing }, &host).unwrap()["spec"]["taints"]
                .clone()
        };
        let bare = json!({ "key": "team", "value": "red", "effect": "NoSchedule" });
        assert_eq!(taints(&allowed), json!([bare, gpu]));
        allowed.pods.tolerations = vec![json!({ "key": "team", "operator": "Exists" })];
        assert_eq!(taints(&allowed), json!([gpu]));
    }

    #[test]
    fn a_selected_node_shows_its_size_and_what_is_let_through() {
        let tenant = Tenant { cluster: "demo".into(), host_namespace: "h".into() };
        let host = json!({
            "metadata": { "name": "ip-10-0-0-7", "labels": { "pool": "red", "kubernetes.io/arch": "arm64",
                "kubernetes.io/hostname": "ip-10-0-0-7", "topology.kubernetes.io/zone": "a", "secret": "x" } },
            "spec": { "podCIDR": "10.1.0.0/24", "providerID": "aws:///i-1" },
            "status": { "capacity": { "cpu": "4" }, "addresses": [{ "type": "InternalIP", "address": "10.0.0.7" }],
                "images": [{ "names": ["private"] }], "nodeInfo": { "architecture": "arm64", "osImage": "Debian" },
                "conditions": [{ "type": "Ready", "status": "True", "lastHeartbeatTime": "t", "message": "m" }] },
        });
        let mut allowed = Sync::default();
        let shown = |allowed: &Sync| node(&Context { tenant: &tenant, allowed, known: &Nothing }, &host);
        assert_eq!(shown(&allowed), None, "without a selector none is shown");
        allowed.nodes.selector = [("pool".to_owned(), "blue".to_owned())].into();
        assert_eq!(shown(&allowed), None);
        allowed.nodes.selector = [("pool".to_owned(), "red".to_owned())].into();
        allowed.nodes.labels = vec!["topology.kubernetes.io/*".into()];
        allowed.nodes.names = NodeNames::Hidden;
        let seen = shown(&allowed).unwrap();
        let name = meta::name(&seen).to_owned();
        assert_eq!(
            seen["metadata"]["labels"],
            json!({ MIRROR: "true", "kubernetes.io/arch": "arm64",
            "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": "a" })
        );
        assert_eq!(seen["status"]["conditions"], json!([{ "type": "Ready", "status": "True" }]));
        for hidden in ["10-0-0-7", "10.0.0.7", "private", "i-1", "Debian", "red"] {
            assert!(!seen.to_string().contains(hidden), "{hidden} in {seen}");
        }
        allowed.nodes.addresses = true;
        let addresses = shown(&allowed).unwrap()["status"]["addresses"].clone();
        assert_eq!(addresses[1], json!({ "type": "InternalIP", "address": "10.0.0.7" }));
        let other = Tenant { cluster: "other".into(), ..tenant.clone() };
        assert_ne!(node_name(&other, &allowed, "ip-10-0-0-7"), name);
        assert_eq!(node_name(&tenant, &Sync::default(), "n"), "n");
    }
}
