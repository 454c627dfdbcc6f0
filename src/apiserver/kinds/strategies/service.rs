//! Services. Addresses and node ports are given out by the admission step
//! [`crate::admission::ServiceIp`]; here stands what an update keeps of them, and what a service must look like.

use crate::kinds::defaults::kinds;
use crate::kinds::tree::{int, list, some, text};
use crate::kinds::validation::{block, by, items, port_number, port_or_name};
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, name, validate};
use serde_json::{Map, json};
use std::collections::BTreeSet;

/// Services.
pub(crate) struct Service;

impl Strategy for Service {
    fn default(&self, object: &mut Value) {
        kinds::service(object);
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        if let Some(map) = object.as_object_mut() {
            map.insert("status".into(), json!({"loadBalancer": {}}));
        }
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        carry_over(object, old);
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let Some(spec) = object.get("spec") else { return Vec::new() };
        service_spec(spec, &Path::new("spec"))
    }

    fn validate_subresource(&self, _: &Context<'_>, _: &str, object: &Value, _: &Value) -> Vec<Error> {
        balancer_status(object)
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let mut errors = address_change(object, old);
        errors.extend(self.validate(context, object));
        errors
    }
}

/// Addresses of a load balancer, which only a Service of that type has.
fn balancer_status(service: &Value) -> Vec<Error> {
    let mut errors = Vec::new();
    let path = Path::new("status").child("loadBalancer").child("ingress");
    let entries = list(service, "/status/loadBalancer/ingress");
    if kind(service) != "LoadBalancer" && !entries.is_empty() {
        return vec![Error::forbidden(&path, "may only be used when `spec.type` is 'LoadBalancer'")];
    }
    for (i, entry) in entries.iter().enumerate() {
        let path = path.index(i);
        let (ip, mode, host) = (text(entry, "/ip"), text(entry, "/ipMode"), text(entry, "/hostname"));
        if !ip.is_empty() && ip.parse::<std::net::IpAddr>().is_err() {
            errors.push(Error::invalid(&path.child("ip"), ip, IP_RULE));
        }
        let at = path.child("ipMode");
        errors.extend(match (ip.is_empty(), mode) {
            (true, "") | (false, "Proxy" | "VIP") => None,
            (true, _) => Some(Error::forbidden(&at, "may not be specified when `ip` is not set")),
            (false, "") => Some(Error::required(&at, "must be specified when `ip` is set")),
            (false, other) => Some(Error::not_supported(&at, other, &["Proxy", "VIP"])),
        });
        if !host.is_empty() {
            errors.extend(by(name::is_dns1123_subdomain, host, &path.child("hostname")));
        }
    }
    errors
}

fn kind(service: &Value) -> &str {
    text(service, "/spec/type")
}

fn is_headless(service: &Value) -> bool {
    text(service, "/spec/clusterIPs/0") == "None"
}

/// Whether services of this type have an address in the cluster, headless ones included.
pub(crate) fn needs_cluster_ip(service: &Value) -> bool {
    matches!(kind(service), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// Whether the service's ports have node ports.
pub(crate) fn needs_node_ports(service: &Value) -> bool {
    match kind(service) {
        "NodePort" => true,
        "LoadBalancer" => some(service, "/spec/allocateLoadBalancerNodePorts").is_none_or(|v| *v == true),
        _ => false,
    }
}

/// Whether the load balancer asks each node whether it has pods.
pub(crate) fn needs_health_check_port(service: &Value) -> bool {
    kind(service) == "LoadBalancer" && text(service, "/spec/externalTrafficPolicy") == "Local"
}

/// What a new object leaves out and the old one had, and what no longer fits the type: clients send a service back
/// without knowing all fields (k8s.io/kubernetes/pkg/registry/core/service: normalizeClusterIPs, patchAllocatedValues,
/// dropTypeDependentFields). Idempotent.
pub(crate) fn carry_over(object: &mut Value, old: &Value) {
    single_and_list(object, Some(old));
    if needs_cluster_ip(object) && needs_cluster_ip(old) {
        keep(object, old, "clusterIP");
        keep(object, old, "clusterIPs");
        keep(object, old, "ipFamilies");
        keep(object, old, "ipFamilyPolicy");
    }
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
    let old_ips = old.map_or(&[][..], |o| list(o, "/spec/clusterIPs"));
    let is_changed = old.is_some_and(|o| text(o, "/spec/clusterIP") != ip);
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if !ip.is_empty()
        && (ips.is_empty() || (is_changed && ips == old_ips))
        && old_ips.first() != Some(&json!(ip))
    {
        spec.insert("clusterIPs".into(), json!([ip]));
    } else if ip.is_empty() && is_changed && ips == old_ips {
        spec.remove("clusterIPs");
    }
}

fn spec_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.get_mut("spec")?.as_object_mut()
}

fn is_unset(value: Option<&Value>) -> bool {
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
    let same = |object: &Value, field: &str| {
        let pointer = format!("/spec/{field}");
        some(object, &pointer) == some(old, &pointer)
    };
    let mut gone: Vec<&str> = Vec::new();
    if needs_cluster_ip(old) && !needs_cluster_ip(object) {
        gone.extend(["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]);
    }
    if needs_health_check_port(old) && !needs_health_check_port(object) {
        gone.push("healthCheckNodePort");
    }
    if kind(old) == "LoadBalancer" && kind(object) != "LoadBalancer" {
        gone.extend(["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
    }
    if is_external(old) && !is_external(object) {
        gone.push("externalTrafficPolicy");
    }
    gone.retain(|field| same(object, field));
    let loses_ports = needs_node_ports(old) && !needs_node_ports(object) && same_node_ports(object, old);
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

fn same_node_ports(a: &Value, b: &Value) -> bool {
    let numbers =
        |s: &Value| -> BTreeSet<i64> { list(s, "/spec/ports").iter().map(|p| int(p, "/nodePort")).collect() };
    numbers(a) == numbers(b)
}

fn is_external(service: &Value) -> bool {
    match kind(service) {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => !list(service, "/spec/externalIPs").is_empty(),
        _ => false,
    }
}

/// Addresses stay what they were once they are set.
fn address_change(object: &Value, old: &Value) -> Vec<Error> {
    if kind(object) == "ExternalName" || kind(old) == "ExternalName" {
        return Vec::new();
    }
    if is_headless(object) && is_headless(old) {
        return Vec::new();
    }
    let path = Path::new("spec").child("clusterIPs");
    let (new, was) = (list(object, "/spec/clusterIPs"), list(old, "/spec/clusterIPs"));
    let mut errors = Vec::new();
    if new.is_empty() && !was.is_empty() {
        errors.push(Error::invalid(&path.index(0), new.to_vec(), "primary clusterIP can not be unset"));
    }
    for (i, _) in was.iter().zip(new).enumerate().filter(|(_, (was, new))| was != new) {
        errors.push(Error::invalid(&path.index(i), new.to_vec(), "may not change once set"));
    }
    let path = Path::new("spec").child("ipFamilies");
    let (new, was) = (list(object, "/spec/ipFamilies"), list(old, "/spec/ipFamilies"));
    if is_headless(object) == is_headless(old) && was.iter().zip(new).any(|(was, new)| was != new) {
        errors.push(Error::invalid(&path.index(0), new.to_vec(), "may not change once set"));
    }
    errors
}

fn service_spec(spec: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let kind = text(spec, "/type");
    let is_headless = text(spec, "/clusterIPs/0") == "None";
    let ports = list(spec, "/ports");
    if ports.is_empty() && !is_headless && kind != "ExternalName" {
        errors.push(Error::required(&path.child("ports"), ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if is_headless => {
            let why = format!("may not be set to 'None' for {kind} services");
            errors.push(Error::invalid(&path.child("clusterIPs").index(0), "None", why));
        }
        "ExternalName" => errors.extend(external_name(spec, path)),
        _ => {}
    }
    errors.extend(service_ports(spec, path));
    errors.extend(validate::validate_labels(spec.get("selector"), &path.child("selector")));
    if kind != "ExternalName" {
        errors.extend(cluster_ips(spec, path));
    }
    for (i, ip) in list(spec, "/externalIPs").iter().enumerate() {
        let ip = ip.as_str().unwrap_or_default();
        if ip.parse::<std::net::IpAddr>().is_err() {
            errors.push(Error::invalid(&path.child("externalIPs").index(i), ip, IP_RULE));
        }
    }
    // Upstream misspells this place.
    let ranges = path.child("LoadBalancerSourceRanges");
    for (i, range) in list(spec, "/loadBalancerSourceRanges").iter().filter_map(Value::as_str).enumerate() {
        errors.extend(block(range.trim(), &ranges.index(i)));
    }
    for (field, allowed) in CLOSED {
        let given = text(spec, &format!("/{field}"));
        if !given.is_empty() && !allowed.contains(&given) {
            errors.push(Error::not_supported(&path.child(field), given, allowed));
        }
    }
    errors.extend(traffic(spec, kind, path));
    errors
}

/// Fields with a closed set of values.
const CLOSED: &[(&str, &[&str])] = &[
    ("type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]),
    ("sessionAffinity", &["ClientIP", "None"]),
    ("internalTrafficPolicy", &["Cluster", "Local"]),
    ("trafficDistribution", &["PreferClose", "PreferSameZone", "PreferSameNode"]),
];

const IP_RULE: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

fn external_name(spec: &Value, path: &Path) -> Vec<Error> {
    const WHY: &str = "may not be set for ExternalName services";
    let mut errors = Vec::new();
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if !is_unset(spec.get(field)) {
            errors.push(Error::forbidden(&path.child(field), WHY));
        }
    }
    let at = path.child("externalName");
    let given = text(spec, "/externalName");
    match given.strip_suffix('.').unwrap_or(given) {
        "" => errors.push(Error::required(&at, "")),
        host => errors.extend(by(name::is_dns1123_subdomain, host, &at)),
    }
    errors
}

fn service_ports(spec: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let needs_names = list(spec, "/ports").len() > 1;
    let (mut names, mut numbers, mut node_ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (at, port) in items(spec, "ports", path) {
        let (name, protocol) = (text(port, "/name"), text(port, "/protocol"));
        match name {
            "" if needs_names => errors.push(Error::required(&at.child("name"), "")),
            "" => {}
            name => {
                errors.extend(by(name::is_dns1123_label, name, &at.child("name")));
                if !names.insert(name) {
                    errors.push(Error::duplicate(&at.child("name"), name));
                }
            }
        }
        errors.extend(port_number(port, "port", &at));
        if !["SCTP", "TCP", "UDP"].contains(&protocol) {
            errors.push(Error::not_supported(&at.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]));
        }
        errors.extend(port_or_name(port.get("targetPort"), &at.child("targetPort")));
        let node_port = int(port, "/nodePort");
        if node_port != 0 && text(spec, "/type") == "ClusterIP" {
            errors
                .push(Error::forbidden(&at.child("nodePort"), "may not be used when `type` is 'ClusterIP'"));
        }
        if node_port != 0 && !node_ports.insert((protocol, node_port)) {
            errors.push(Error::duplicate(&at.child("nodePort"), node_port));
        }
        if !numbers.insert((protocol, int(port, "/port"))) {
            errors.push(Error::duplicate(&at, json!({"port": int(port, "/port"), "protocol": protocol})));
        }
    }
    errors
}

fn cluster_ips(spec: &Value, path: &Path) -> Vec<Error> {
    let path = path.child("clusterIPs");
    let (ip, ips) = (text(spec, "/clusterIP"), list(spec, "/clusterIPs"));
    let mut errors = Vec::new();
    match (ip, ips.first()) {
        ("", Some(_)) => {
            errors.push(Error::invalid(
                &path,
                ips.to_vec(),
                "must be empty when `clusterIP` is not specified",
            ));
        }
        ("", None) => {}
        (_, None) => errors.push(Error::required(&path, "")),
        (ip, Some(first)) if first != ip => {
            errors.push(Error::invalid(&path, ips.to_vec(), "first value must match `clusterIP`"));
        }
        _ => {}
    }
    for (i, ip) in ips.iter().enumerate() {
        let ip = ip.as_str().unwrap_or_default();
        if ip == "None" && i == 0 {
            if ips.len() > 1 {
                errors.push(Error::invalid(&path, ips.to_vec(), "'None' must be the first and only value"));
            }
        } else if ip.parse::<std::net::IpAddr>().is_err() {
            errors.push(Error::invalid(&path.index(i), ip, IP_RULE));
        }
    }
    if ips.len() > 2 {
        errors.push(Error::invalid(&path, ips.to_vec(), "may only hold up to 2 values"));
    }
    errors
}

fn traffic(spec: &Value, kind: &str, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let service = json!({"spec": {
        "type": kind, "externalIPs": spec.get("externalIPs"), "externalTrafficPolicy": spec.get("externalTrafficPolicy"),
    }});
    let policy = text(spec, "/externalTrafficPolicy");
    if !policy.is_empty() && !is_external(&service) {
        let why = "may only be set for externally-accessible services";
        errors.push(Error::invalid(&path.child("externalTrafficPolicy"), policy, why));
    }
    let port = int(spec, "/healthCheckNodePort");
    if port != 0 && !needs_health_check_port(&service) {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(Error::invalid(&path.child("healthCheckNodePort"), port, why));
    }
    if kind != "LoadBalancer" {
        let why = "may only be used when `type` is 'LoadBalancer'";
        if some(spec, "/allocateLoadBalancerNodePorts").is_some() {
            errors.push(Error::forbidden(&path.child("allocateLoadBalancerNodePorts"), why));
        }
        if !list(spec, "/loadBalancerSourceRanges").is_empty() {
            errors.push(Error::forbidden(&path.child("LoadBalancerSourceRanges"), why));
        }
        if some(spec, "/loadBalancerClass").is_some() {
            let why = "may only be used when `type` is 'LoadBalancer'";
            errors.push(Error::forbidden(&path.child("loadBalancerClass"), why));
        }
    }
    errors
}
