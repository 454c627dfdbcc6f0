//! Services: what one must look like. Addresses and node ports are given out by the admission step
//! [`crate::admission::ServiceIp`]; [`addresses`] has the rules for families and addresses, [`carried`] what an update
//! keeps of what was given.

pub(crate) mod addresses;
pub(crate) mod carried;

use crate::kinds::defaults::kinds;
use crate::kinds::tree::{int, list, some, text};
use crate::kinds::validation::statuses;
use crate::kinds::validation::{address, block, by, items, port_number, port_or_name};
use crate::kinds::warnings;
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, name, validate};
use serde_json::json;
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
        carried::carry_over(object, old);
        if kind(object) != "LoadBalancer" {
            object["status"]["loadBalancer"] = json!({});
        }
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        service(object, None)
    }

    fn validate_subresource(&self, _: &Context<'_>, _: &str, object: &Value, old: &Value) -> Vec<Error> {
        statuses::service(object, old)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let mut errors = addresses::changes(object, old);
        errors.extend(class_change(object, old));
        errors.extend(check_port_change(object, old));
        errors.extend(service(object, Some(old)));
        errors
    }

    fn warnings(&self, object: &Value, _: Option<&Value>) -> Vec<String> {
        told(object)
    }
}

pub(crate) fn kind(service: &Value) -> &str {
    text(service, "/spec/type")
}

/// Whether a service has no address of its own on purpose.
pub(crate) fn is_headless(service: &Value) -> bool {
    let ips = list(service, "/spec/clusterIPs");
    ips.len() == 1 && ips[0] == "None"
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

fn is_external(service: &Value) -> bool {
    match kind(service) {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => !list(service, "/spec/externalIPs").is_empty(),
        _ => false,
    }
}

/// The class of a load balancer stays as long as there is one.
fn class_change(object: &Value, old: &Value) -> Option<Error> {
    let (new, was) = (some(object, "/spec/loadBalancerClass"), some(old, "/spec/loadBalancerClass"));
    let are_balancers = kind(object) == "LoadBalancer" && kind(old) == "LoadBalancer";
    let path = Path::new("spec").child("loadBalancerClass");
    let value = new.cloned().unwrap_or_default();
    (are_balancers && new != was).then(|| Error::invalid(&path, value, "may not change once set"))
}

fn check_port_change(object: &Value, old: &Value) -> Option<Error> {
    let port = |service: &Value| int(service, "/spec/healthCheckNodePort");
    let is_kept = needs_health_check_port(object) && needs_health_check_port(old);
    let path = Path::new("spec").child("healthCheckNodePort");
    (is_kept && port(object) != port(old)).then(|| Error::forbidden(&path, "field is immutable"))
}

/// All that is wrong with a service; addresses that the old one had are left alone.
fn service(object: &Value, old: Option<&Value>) -> Vec<Error> {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    const MODE: &str = "service.kubernetes.io/topology-mode";
    let Some(spec) = object.get("spec") else { return Vec::new() };
    let mut errors = Vec::new();
    if let (Some(hints), Some(mode)) = (meta::annotation(object, HINTS), meta::annotation(object, MODE))
        && hints != mode
    {
        let why = format!("must match annotations[{HINTS}] when both are specified");
        errors.push(Error::invalid(&Path::new("metadata").child("annotations").key(MODE), mode, why));
    }
    errors.extend(service_spec(spec, old, &Path::new("spec")));
    errors
}

/// What a client should know although it is not wrong (k8s.io/kubernetes/pkg/api/service/warnings.go).
fn told(service: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let is_headless = kind(service) == "ClusterIP" && text(service, "/spec/clusterIP") == "None";
    let external = list(service, "/spec/externalIPs");
    let is_name = kind(service) == "ExternalName";
    let mut says = |is_said: bool, what: &str| out.extend(is_said.then(|| what.to_owned()));
    let hints = meta::annotation(service, "service.kubernetes.io/topology-aware-hints").is_some();
    says(
        hints,
        "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use \
         service.kubernetes.io/topology-mode instead",
    );
    out.extend(spellings(service, "clusterIPs", warnings::address));
    let mut says = |is_said: bool, what: &str| out.extend(is_said.then(|| what.to_owned()));
    says(
        is_headless && !text(service, "/spec/loadBalancerIP").is_empty(),
        "spec.loadBalancerIP is ignored for headless services",
    );
    says(is_headless && !external.is_empty(), "spec.externalIPs is ignored for headless services");
    says(
        is_headless && text(service, "/spec/sessionAffinity") != "None",
        "spec.SessionAffinity is ignored for headless services",
    );
    out.extend(spellings(service, "externalIPs", warnings::address));
    let mut says = |is_said: bool, what: &str| out.extend(is_said.then(|| what.to_owned()));
    says(
        !external.is_empty() && !is_headless && !is_name,
        "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
    );
    out.extend(warnings::address(text(service, "/spec/loadBalancerIP"), "spec.loadBalancerIP"));
    out.extend(spellings(service, "loadBalancerSourceRanges", warnings::block));
    let mut says = |is_said: bool, what: &str| out.extend(is_said.then(|| what.to_owned()));
    says(is_name && !external.is_empty(), "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
    says(
        !is_name && !text(service, "/spec/externalName").is_empty(),
        "spec.externalName is ignored when spec.type is not \"ExternalName\"",
    );
    says(
        text(service, "/spec/trafficDistribution") == "PreferClose",
        "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
    );
    out
}

/// What is to say about the spelling of a list's items.
fn spellings<'a, W: IntoIterator<Item = String> + 'a>(
    service: &'a Value,
    field: &'a str,
    told: impl Fn(&str, &str) -> W + 'a,
) -> impl Iterator<Item = String> + 'a {
    let items = list(service, &format!("/spec/{field}")).iter().enumerate();
    items.flat_map(move |(i, item)| told(item.as_str().unwrap_or_default(), &format!("spec.{field}[{i}]")))
}

fn service_spec(spec: &Value, old: Option<&Value>, path: &Path) -> Vec<Error> {
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
    errors.extend(affinity(spec, path));
    errors.extend(addresses::fields(spec, old.and_then(|old| old.get("spec"))));
    errors.extend(external_addresses(spec, old, path));
    // Upstream misspells this place.
    let ranges = path.child("LoadBalancerSourceRanges");
    for (i, range) in list(spec, "/loadBalancerSourceRanges").iter().filter_map(Value::as_str).enumerate() {
        errors.extend(block(range.trim(), &ranges.index(i)));
    }
    for (field, allowed) in CLOSED {
        let given = spec.get(*field).and_then(Value::as_str).filter(|given| !allowed.contains(given));
        errors.extend(given.map(|given| Error::not_supported(&path.child(field), given, allowed)));
    }
    errors.extend(traffic(spec, kind, path));
    errors
}

/// Where traffic may go from a node.
const POLICIES: &[&str] = &["Cluster", "Local"];

/// Fields with a closed set of values.
const CLOSED: &[(&str, &[&str])] = &[
    ("type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]),
    ("internalTrafficPolicy", POLICIES),
    ("trafficDistribution", &["PreferClose", "PreferSameZone", "PreferSameNode"]),
];

/// Longest time in which a client keeps its backend, in seconds. Past it: 422.
const AFFINITY_SECONDS_MAX: i64 = 86_400;

fn external_addresses(spec: &Value, old: Option<&Value>, path: &Path) -> Vec<Error> {
    let had = old.map_or(&[][..], |old| list(old, "/spec/externalIPs"));
    let mut errors = Vec::new();
    for (i, ip) in list(spec, "/externalIPs").iter().enumerate() {
        let (text, path) = (ip.as_str().unwrap_or_default(), path.child("externalIPs").index(i));
        match address::address(text, &path).filter(|_| !had.contains(ip)) {
            Some(wrong) => errors.push(wrong),
            None => errors.extend(address::endpoint(text, &path)),
        }
    }
    errors
}

fn affinity(spec: &Value, path: &Path) -> Option<Error> {
    const KINDS: &[&str] = &["ClientIP", "None"];
    let at = path.child("sessionAffinityConfig");
    let config = some(spec, "/sessionAffinityConfig");
    match text(spec, "/sessionAffinity") {
        "None" if config.is_some() => {
            Some(Error::forbidden(&at, "must not be set when session affinity is None"))
        }
        "ClientIP" => {
            let seconds = int(spec, "/sessionAffinityConfig/clientIP/timeoutSeconds");
            let at = at.child("clientIP").child("timeoutSeconds");
            let why = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
            let fits = (1..=AFFINITY_SECONDS_MAX).contains(&seconds);
            (!fits).then(|| Error::invalid(&at, seconds, why))
        }
        "" | "None" => None,
        other => Some(Error::not_supported(&path.child("sessionAffinity"), other, KINDS)),
    }
}

fn external_name(spec: &Value, path: &Path) -> Vec<Error> {
    const WHY: &str = "may not be set for ExternalName services";
    let mut errors = Vec::new();
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if !carried::is_unset(spec.get(field)) {
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
        if let Some(app) = some(port, "/appProtocol").and_then(Value::as_str) {
            errors.extend(by(name::is_qualified_name, app, &at.child("appProtocol")));
        }
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

fn traffic(spec: &Value, kind: &str, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let service = json!({"spec": {
        "type": kind, "externalIPs": spec.get("externalIPs"), "externalTrafficPolicy": spec.get("externalTrafficPolicy"),
    }});
    let (policy, at) = (text(spec, "/externalTrafficPolicy"), path.child("externalTrafficPolicy"));
    if !policy.is_empty() && !is_external(&service) {
        errors.push(Error::invalid(&at, policy, "may only be set for externally-accessible services"));
    } else if is_external(&service) && !POLICIES.contains(&policy) {
        errors.push(Error::not_supported(&at, policy, POLICIES));
    }
    let port = int(spec, "/healthCheckNodePort");
    if port != 0 && !needs_health_check_port(&service) {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(Error::invalid(&path.child("healthCheckNodePort"), port, why));
    }
    if let Some(class) =
        spec.get("loadBalancerClass").and_then(Value::as_str).filter(|_| kind == "LoadBalancer")
    {
        errors.extend(by(name::is_qualified_name, class, &path.child("loadBalancerClass")));
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
