//! What an update of a service keeps of what was given to it: clients send a service back without knowing all of its
//! fields, and a change of the type takes with it what only the old type had.

use super::{is_external, kind, needs_cluster_ip, needs_health_check_port, needs_node_ports};
use crate::kinds::tree::{int, list, some, text};
use alcove_object::Value;
use serde_json::{Map, json};
use std::collections::BTreeSet;

/// What a new object leaves out and the old one had, and what no longer fits the type
/// (k8s.io/kubernetes/pkg/registry/core/service: patchAllocatedValues, normalizeClusterIPs, dropTypeDependentFields).
/// Idempotent.
pub(crate) fn carry_over(object: &mut Value, old: &Value) {
    if needs_cluster_ip(object) && needs_cluster_ip(old) {
        keep(object, old, "clusterIP");
        keep(object, old, "clusterIPs");
    }
    single_and_list(object, Some(old));
    if needs_node_ports(object) && needs_node_ports(old) {
        keep_node_ports(object, old);
    }
    if needs_health_check_port(object) && needs_health_check_port(old) {
        keep(object, old, "healthCheckNodePort");
    }
    drop_unneeded(object, old);
}

/// Clients of old know `clusterIP` alone; `clusterIPs` follows it.
pub(crate) fn single_and_list(object: &mut Value, old: Option<&Value>) {
    let ip = text(object, "/spec/clusterIP").to_owned();
    let ips = list(object, "/spec/clusterIPs").to_vec();
    let Some(old) = old else {
        if !ip.is_empty() && ips.is_empty() {
            set(object, "clusterIPs", json!([ip]));
        }
        return;
    };
    let (was, had) = (text(old, "/spec/clusterIP"), list(old, "/spec/clusterIPs"));
    if was == ip {
        if ips.is_empty() && !had.is_empty() {
            set(object, "clusterIPs", had.to_vec().into());
        }
    } else if ips == had {
        match ip.is_empty() {
            true => drop(spec_mut(object).map(|spec| spec.remove("clusterIPs"))),
            false => set(object, "clusterIPs", json!([ip])),
        }
    }
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(spec) = spec_mut(object) {
        spec.insert(field.into(), value);
    }
}

pub(super) fn spec_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.get_mut("spec")?.as_object_mut()
}

pub(super) fn is_unset(value: Option<&Value>) -> bool {
    value.is_none_or(|v| v.is_null() || *v == 0 || *v == "" || *v == json!([]))
}

fn keep(object: &mut Value, old: &Value, field: &str) {
    let Some(value) = old.pointer(&format!("/spec/{field}")).filter(|v| !is_unset(Some(v))) else { return };
    let Some(spec) = spec_mut(object) else { return };
    if is_unset(spec.get(field)) {
        spec.insert(field.into(), value.clone());
    }
}

/// Ports that come without a node port keep the one that the port of their name had.
fn keep_node_ports(object: &mut Value, old: &Value) {
    let used: BTreeSet<i64> = list(object, "/spec/ports").iter().map(|p| int(p, "/nodePort")).collect();
    let ports = spec_mut(object).and_then(|s| s.get_mut("ports")).and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter(|p| int(p, "/nodePort") == 0) {
        let same = list(old, "/spec/ports").iter().find(|o| text(o, "/name") == text(port, "/name"));
        let number = same.map_or(0, |o| int(o, "/nodePort"));
        if let (false, Some(port)) = (number == 0 || used.contains(&number), port.as_object_mut()) {
            port.insert("nodePort".into(), number.into());
        }
    }
}

/// A change of the type takes with it what only the old type had, unless the client asks for it anew.
fn drop_unneeded(object: &mut Value, old: &Value) {
    let same = |fields: &[&str]| {
        fields.iter().all(|field| {
            let pointer = format!("/spec/{field}");
            some(object, &pointer) == some(old, &pointer)
        })
    };
    let mut gone: Vec<&str> = Vec::new();
    if needs_cluster_ip(old) && !needs_cluster_ip(object) {
        if same(&["clusterIP", "clusterIPs"]) {
            gone.extend(["clusterIP", "clusterIPs"]);
        }
        let others = ["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"];
        gone.extend(others.into_iter().filter(|field| same(&[field])));
    }
    if needs_health_check_port(old) && !needs_health_check_port(object) && same(&["healthCheckNodePort"]) {
        gone.push("healthCheckNodePort");
    }
    if kind(old) == "LoadBalancer" && kind(object) != "LoadBalancer" {
        let fields = ["allocateLoadBalancerNodePorts", "loadBalancerClass"];
        gone.extend(fields.into_iter().filter(|field| same(&[field])));
    }
    if is_external(old) && !is_external(object) && same(&["externalTrafficPolicy"]) {
        gone.push("externalTrafficPolicy");
    }
    let has_ports = |service: &Value| matches!(kind(service), "NodePort" | "LoadBalancer");
    let loses_ports = has_ports(old) && !has_ports(object) && node_ports(object).is_subset(&node_ports(old));
    let Some(spec) = spec_mut(object) else { return };
    for field in gone {
        spec.remove(field);
    }
    if loses_ports {
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            port.as_object_mut().map(|p| p.remove("nodePort"));
        }
    }
}

fn node_ports(service: &Value) -> BTreeSet<i64> {
    let numbers = list(service, "/spec/ports").iter().map(|p| int(p, "/nodePort"));
    numbers.filter(|number| *number != 0).collect()
}
