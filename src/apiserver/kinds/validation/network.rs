//! Ingresses and their classes, network policies, and the kinds that give out service addresses
//! (k8s.io/kubernetes/pkg/apis/networking/validation).

use super::rules::Check::{By, Inside, NamedIfAny, OneOf, Required, RequiredNamed, Selector};
use super::rules::{Rule, below, domain_prefixed_path, path_segment};
use super::{address, by, items, port_or_name};
use crate::kinds::tree::{field, int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, name};

/// What the controller of an ingress class may be called, in bytes. Past it: 422.
const CONTROLLER_BYTES_MAX: usize = 250;

pub(crate) const INGRESS: &[Rule] = &[
    ("spec", By(ingress_rules_or_backend)),
    ("spec/defaultBackend", By(backend)),
    ("spec/rules/*/host", By(host)),
    ("spec/rules/*/http/paths", Required("")),
    ("spec/rules/*/http/paths/*", By(ingress_path)),
    ("spec/tls/*/hosts/*", By(tls_host)),
    ("spec/tls/*/secretName", NamedIfAny(name::is_dns1123_subdomain)),
    ("spec/ingressClassName", By(class_name)),
];

fn ingress_rules_or_backend(spec: &Value, path: &Path) -> Vec<Error> {
    if !list(spec, "/rules").is_empty() || some(spec, "/defaultBackend").is_some() {
        return Vec::new();
    }
    let why = "either `defaultBackend` or `rules` must be specified";
    vec![Error::invalid(path, spec.get("rules").cloned().unwrap_or_default(), why)]
}

fn class_name(value: &Value, path: &Path) -> Vec<Error> {
    value.as_str().map_or_else(Vec::new, |class| by(name::is_dns1123_subdomain, class, path).collect())
}

fn tls_host(value: &Value, path: &Path) -> Vec<Error> {
    let host = value.as_str().unwrap_or_default();
    let rule =
        if host.contains('*') { name::is_wildcard_dns1123_subdomain } else { name::is_dns1123_subdomain };
    by(rule, host, path).collect()
}

fn host(value: &Value, path: &Path) -> Vec<Error> {
    let host = value.as_str().unwrap_or_default();
    if host.is_empty() {
        return Vec::new();
    }
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let mut errors: Vec<Error> = Vec::new();
    if is_address {
        errors.push(Error::invalid(path, host, "must be a DNS name, not an IP address"));
    }
    errors.extend(tls_host(value, path));
    errors
}

fn ingress_path(value: &Value, path: &Path) -> Vec<Error> {
    let kind_path = path.child("pathType");
    let Some(kind) = some(value, "/pathType").and_then(Value::as_str) else {
        return vec![Error::required(&kind_path, "pathType must be specified")];
    };
    let (given, at) = (text(value, "/path"), path.child("path"));
    let mut errors = Vec::new();
    let is_strict = matches!(kind, "Exact" | "Prefix");
    if !is_strict && kind != "ImplementationSpecific" {
        errors.push(Error::not_supported(&kind_path, kind, &["Exact", "ImplementationSpecific", "Prefix"]));
    } else if !given.starts_with('/') && (is_strict || !given.is_empty()) {
        errors.push(Error::invalid(&at, given, "must be an absolute path"));
    }
    if is_strict {
        let parts = ["//", "/./", "/../", "%2f", "%2F"].into_iter().filter(|part| given.contains(part));
        errors.extend(parts.map(|part| Error::invalid(&at, given, format!("must not contain '{part}'"))));
        let ends = ["/..", "/."].into_iter().filter(|end| given.ends_with(end));
        errors.extend(ends.map(|end| Error::invalid(&at, given, format!("cannot end with '{end}'"))));
    }
    errors.extend(backend(
        value.get("backend").unwrap_or(&Value::Object(Default::default())),
        &path.child("backend"),
    ));
    errors
}

fn backend(value: &Value, path: &Path) -> Vec<Error> {
    if value.is_null() {
        return Vec::new();
    }
    match (field(value, "resource"), field(value, "service")) {
        (Some(_), Some(_)) => vec![Error::invalid(path, "", "cannot set both resource and service backends")],
        (Some(resource), None) => below(resource, TYPED_REFERENCE, &path.child("resource")),
        (None, Some(service)) => service_backend(service, path),
        (None, None) => vec![Error::invalid(path, "", "resource or service backend is required")],
    }
}

fn service_backend(service: &Value, path: &Path) -> Vec<Error> {
    let (at, port_path) = (path.child("service").child("name"), path.child("service").child("port"));
    let mut errors = match text(service, "/name") {
        "" => vec![Error::required(&at, "")],
        name => by(name::is_dns1123_label, name, &at).collect(),
    };
    match (text(service, "/port/name"), int(service, "/port/number")) {
        ("", 0) => errors.push(Error::required(path, "port name or number is required")),
        ("", number) => {
            let wrong = name::is_valid_port_number(number).into_iter();
            errors.extend(wrong.map(|why| Error::invalid(&port_path.child("number"), number, why)));
        }
        (name, 0) => errors.extend(by(name::is_valid_port_name, name, &port_path.child("name"))),
        _ => errors.push(Error::invalid(path, "", "cannot set both port name & port number")),
    }
    errors
}

const TYPED_REFERENCE: &[Rule] = &[
    ("apiGroup", By(class_name)),
    ("kind", RequiredNamed(path_segment)),
    ("name", RequiredNamed(path_segment)),
];

pub(crate) const INGRESS_CLASS: &[Rule] = &[
    ("spec/controller", By(controller)),
    ("spec/parameters", Inside(TYPED_REFERENCE)),
    ("spec/parameters/scope", OneOf(&["Cluster", "Namespace"])),
    ("spec/parameters", By(class_scope)),
];

fn controller(value: &Value, path: &Path) -> Vec<Error> {
    let is_long = value.as_str().is_some_and(|text| text.len() > CONTROLLER_BYTES_MAX);
    let mut errors: Vec<Error> =
        is_long.then(|| Error::too_long(path, CONTROLLER_BYTES_MAX)).into_iter().collect();
    errors.extend(domain_prefixed_path(value, path));
    errors
}

fn class_scope(parameters: &Value, path: &Path) -> Vec<Error> {
    let path = path.child("namespace");
    match (text(parameters, "/scope"), some(parameters, "/namespace").and_then(Value::as_str)) {
        ("Namespace", None) => vec![Error::required(&path, "`parameters.scope` is set to 'Namespace'")],
        ("Namespace", Some(namespace)) => by(name::is_dns1123_label, namespace, &path).collect(),
        ("Cluster", Some(_)) => vec![Error::forbidden(&path, "`parameters.scope` is set to 'Cluster'")],
        _ => Vec::new(),
    }
}

pub(crate) const NETWORK_POLICY: &[Rule] = &[
    ("spec/podSelector", Selector),
    ("spec/ingress/*/ports/*", By(policy_port)),
    ("spec/ingress/*/from/*", By(peer)),
    ("spec/egress/*/ports/*", By(policy_port)),
    ("spec/egress/*/to/*", By(peer)),
    ("spec/policyTypes", By(policy_types)),
];

fn policy_types(value: &Value, path: &Path) -> Vec<Error> {
    let types = value.as_array().map_or(&[][..], Vec::as_slice);
    if types.len() > 2 {
        return vec![Error::invalid(path, types.to_vec(), "may not specify more than two policyTypes")];
    }
    let allowed = ["Ingress", "Egress"];
    let wrong = types.iter().enumerate().filter(|(_, kind)| !allowed.iter().any(|known| kind == known));
    let unsupported =
        |(i, kind): (usize, &Value)| Error::not_supported(&path.index(i), kind.clone(), &allowed);
    wrong.map(unsupported).collect()
}

fn policy_port(port: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let protocol = some(port, "/protocol").and_then(Value::as_str);
    if let Some(protocol) = protocol.filter(|protocol| !["TCP", "UDP", "SCTP"].contains(protocol)) {
        errors.push(Error::not_supported(&path.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]));
    }
    let end_path = path.child("endPort");
    let end = some(port, "/endPort").and_then(Value::as_i64);
    let number = some(port, "/port").cloned();
    let why = match (&number, end) {
        (Some(Value::Number(first)), Some(end)) => {
            let first = first.as_i64().unwrap_or(0);
            if end < first {
                errors.push(Error::invalid(&end_path, first, "must be greater than or equal to `port`"));
            }
            let wrong = name::is_valid_port_number(end).into_iter();
            errors.extend(wrong.map(|why| Error::invalid(&end_path, end, why)));
            None
        }
        (Some(_), Some(_)) => Some("may not be specified when `port` is non-numeric"),
        (None, Some(_)) => Some("may not be specified when `port` is not specified"),
        (_, None) => None,
    };
    errors.extend(why.map(|why| Error::invalid(&end_path, end.unwrap_or(0), why)));
    errors.extend(number.iter().flat_map(|port| port_or_name(Some(port), &path.child("port"))));
    errors
}

fn peer(peer: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for selector in ["podSelector", "namespaceSelector"] {
        let value = field(peer, selector);
        errors.extend(alcove_object::validate::validate_label_selector(value, false, &path.child(selector)));
    }
    let block = field(peer, "ipBlock");
    errors.extend(block.iter().flat_map(|block| ip_block(block, &path.child("ipBlock"))));
    let selectors =
        ["podSelector", "namespaceSelector"].iter().filter(|name| field(peer, name).is_some()).count();
    match (selectors, block) {
        (0, None) => errors.push(Error::required(path, "must specify a peer")),
        (1.., Some(_)) => {
            errors.push(Error::forbidden(path, "may not specify both ipBlock and another peer"))
        }
        _ => {}
    }
    errors
}

fn ip_block(block: &Value, path: &Path) -> Vec<Error> {
    let (outer, at) = (text(block, "/cidr"), path.child("cidr"));
    if outer.is_empty() {
        return vec![Error::required(&at, "")];
    }
    let mut errors: Vec<Error> = address::block(outer, &at).into_iter().collect();
    let Some(outer) = address::parse_block(outer) else { return errors };
    for (at, inner) in items(block, "except", path) {
        let inner = inner.as_str().unwrap_or_default();
        errors.extend(address::block(inner, &at));
        let parsed = address::parse_block(inner);
        if parsed.is_some_and(|inner| !address::is_strictly_inside(inner, outer)) {
            errors.push(Error::invalid(&at, inner, "must be a strict subset of `cidr`"));
        }
    }
    errors
}

pub(crate) const IP_ADDRESS: &[Rule] = &[
    ("spec/parentRef", Required("")),
    ("spec/parentRef/group", NamedIfAny(name::is_dns1123_subdomain)),
    ("spec/parentRef/resource", RequiredNamed(path_segment)),
    ("spec/parentRef/name", RequiredNamed(path_segment)),
    ("spec/parentRef/namespace", NamedIfAny(path_segment)),
];

pub(crate) const SERVICE_CIDR: &[Rule] = &[("spec/cidrs", By(service_blocks))];

fn service_blocks(value: &Value, path: &Path) -> Vec<Error> {
    let blocks: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match blocks.len() {
        0 => return vec![Error::required(path, "at least one CIDR required")],
        1 | 2 => {}
        _ => return vec![Error::invalid(path, value.clone(), "may only hold up to 2 values")],
    }
    let each = blocks.iter().enumerate().filter_map(|(i, block)| address::block(block, &path.index(i)));
    let mut errors: Vec<Error> = each.collect();
    let families: Vec<bool> =
        blocks.iter().filter_map(|block| address::parse_block(block)).map(|(ip, _)| ip.is_ipv4()).collect();
    if families.len() == 2 && families[0] == families[1] {
        let why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.push(Error::invalid(path, value.clone(), why));
    }
    errors
}

/// Blocks of service addresses stay; one of the other family may be added.
pub(crate) fn service_cidr_change(object: &Value, old: &Value) -> Vec<Error> {
    const WHY: &str = alcove_object::validate::FIELD_IMMUTABLE;
    let path = Path::new("spec").child("cidrs");
    let (new, was) = (list(object, "/spec/cidrs"), list(old, "/spec/cidrs"));
    if new.len() != was.len() && (was.len(), new.len()) != (1, 2) {
        return vec![Error::invalid(&path, new.to_vec(), WHY)];
    }
    let changed = was.iter().zip(new).enumerate().filter(|(_, (was, new))| was != new);
    let mut errors: Vec<Error> =
        changed.map(|(i, (_, new))| Error::invalid(&path.index(i), new.clone(), WHY)).collect();
    if new.len() != was.len() {
        errors.extend(super::rules::check(object, SERVICE_CIDR));
    }
    errors
}
