//! Endpoints and their slices (k8s.io/kubernetes/pkg/apis/{core,discovery}/validation).

use super::rules::Check::{By, NamedIfAny, OneOf, RequiredOneOf, Unique};
use super::rules::{Rule, below, check};
use super::{address, by, items, port_number};
use crate::kinds::tree::{list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, name};

/// Endpoints of one slice. Past it: 422.
const ENDPOINTS_MAX: usize = 1000;
/// Addresses of one endpoint. Past it: 422.
const ADDRESSES_MAX: usize = 100;
/// Ports of one slice. Past it: 422.
const PORTS_MAX: usize = 20_000;
/// Zones, and nodes, that one endpoint is meant for. Past it: 422.
const HINTS_MAX: usize = 8;

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

pub(crate) const ENDPOINTS: &[Rule] = &[("subsets/*", By(subset))];

fn subset(subset: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    if list(subset, "/addresses").is_empty() && list(subset, "/notReadyAddresses").is_empty() {
        errors.push(Error::required(path, "must specify `addresses` or `notReadyAddresses`"));
    }
    for field in ["addresses", "notReadyAddresses"] {
        errors.extend(items(subset, field, path).flat_map(|(at, address)| subset_address(address, &at)));
    }
    let is_named = list(subset, "/ports").len() > 1;
    for (at, port) in items(subset, "ports", path) {
        match text(port, "/name") {
            "" if is_named => errors.push(Error::required(&at.child("name"), "")),
            "" => {}
            name => errors.extend(by(name::is_dns1123_label, name, &at.child("name"))),
        }
        errors.extend(port_number(port, "port", &at));
        errors.extend(below(
            port,
            &[("protocol", RequiredOneOf(PROTOCOLS)), ("appProtocol", By(app_protocol))],
            &at,
        ));
    }
    errors
}

fn app_protocol(value: &Value, path: &Path) -> Vec<Error> {
    value.as_str().map_or_else(Vec::new, |text| by(name::is_qualified_name, text, path).collect())
}

fn node_name(value: &Value, path: &Path) -> Vec<Error> {
    value.as_str().map_or_else(Vec::new, |text| by(name::is_dns1123_subdomain, text, path).collect())
}

fn subset_address(value: &Value, path: &Path) -> Vec<Error> {
    let (ip, at) = (text(value, "/ip"), path.child("ip"));
    let mut errors: Vec<Error> = address::address(ip, &at).into_iter().collect();
    errors.extend(below(
        value,
        &[("hostname", NamedIfAny(name::is_dns1123_label)), ("nodeName", By(node_name))],
        path,
    ));
    errors.extend(address::endpoint(ip, &at));
    errors
}

pub(crate) const ENDPOINT_SLICE: &[Rule] = &[
    ("addressType", RequiredOneOf(&["FQDN", "IPv4", "IPv6"])),
    ("ports", By(port_count)),
    ("ports/*/name", NamedIfAny(name::is_dns1123_label)),
    ("ports", By(port_names)),
    ("ports/*/protocol", OneOf(PROTOCOLS)),
    ("ports/*/appProtocol", By(app_protocol)),
    ("", By(endpoints)),
];

fn port_count(value: &Value, path: &Path) -> Vec<Error> {
    let count = value.as_array().map_or(0, Vec::len);
    if count > PORTS_MAX { vec![Error::too_many(path, count, PORTS_MAX)] } else { Vec::new() }
}

/// Ports without a name have one too: the empty one.
fn port_names(value: &Value, path: &Path) -> Vec<Error> {
    let names: Vec<&str> = value.as_array().into_iter().flatten().map(|port| text(port, "/name")).collect();
    let doubles = names.iter().enumerate().filter(|(i, name)| names[..*i].contains(name));
    doubles.map(|(i, name)| Error::duplicate(&path.index(i).child("name"), *name)).collect()
}

fn endpoints(slice: &Value, _: &Path) -> Vec<Error> {
    let path = Path::new("endpoints");
    let count = list(slice, "/endpoints").len();
    if count > ENDPOINTS_MAX {
        return vec![Error::too_many(&path, count, ENDPOINTS_MAX)];
    }
    let kind = text(slice, "/addressType");
    items(slice, "endpoints", &Path::default()).flat_map(|(at, point)| endpoint(point, kind, &at)).collect()
}

fn endpoint(point: &Value, kind: &str, path: &Path) -> Vec<Error> {
    let list_path = path.child("addresses");
    let count = list(point, "/addresses").len();
    let mut errors = Vec::new();
    if count == 0 {
        errors.push(Error::required(&list_path, "must contain at least 1 address"));
    } else if count > ADDRESSES_MAX {
        errors.push(Error::too_many(&list_path, count, ADDRESSES_MAX));
    }
    for (at, value) in items(point, "addresses", path) {
        errors.extend(endpoint_address(value.as_str().unwrap_or_default(), kind, &at, &list_path));
    }
    errors.extend(below(point, ENDPOINT, path));
    errors
}

const ENDPOINT: &[Rule] = &[
    ("nodeName", By(node_name)),
    ("hostname", By(hostname)),
    ("hints/forZones", By(hint_count)),
    ("hints/forZones", Unique("name")),
    ("hints/forZones/*/name", NamedIfAny(name::is_valid_label_value)),
    ("hints/forNodes", By(hint_count)),
    ("hints/forNodes", Unique("name")),
    ("hints/forNodes/*/name", super::rules::Check::Named(name::is_dns1123_subdomain)),
];

fn hostname(value: &Value, path: &Path) -> Vec<Error> {
    value.as_str().map_or_else(Vec::new, |text| by(name::is_dns1123_label, text, path).collect())
}

fn hint_count(value: &Value, path: &Path) -> Vec<Error> {
    let count = value.as_array().map_or(0, Vec::len);
    if count > HINTS_MAX { vec![Error::too_many(path, count, HINTS_MAX)] } else { Vec::new() }
}

fn endpoint_address(text: &str, kind: &str, path: &Path, list: &Path) -> Vec<Error> {
    let family = match kind {
        "IPv4" => true,
        "IPv6" => false,
        "FQDN" => return domain(text, path),
        _ => return Vec::new(),
    };
    let wrong = if family { address::address(text, path) } else { address::canonical_address(text, path) };
    if let Some(wrong) = wrong {
        return vec![wrong];
    }
    let mut errors = Vec::new();
    if text.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_ipv4() != family) {
        // Upstream blames the list.
        errors.push(Error::invalid(list, text, format!("must be an {kind} address")));
    }
    errors.extend(address::endpoint(text, path));
    errors
}

fn domain(text: &str, path: &Path) -> Vec<Error> {
    if text.is_empty() {
        return vec![Error::required(path, "")];
    }
    let bare = text.strip_suffix('.').unwrap_or(text);
    let errors: Vec<Error> = by(name::is_dns1123_subdomain, bare, path).collect();
    if errors.is_empty() && !bare.contains('.') {
        let why = "should be a domain with at least two segments separated by dots";
        return vec![Error::invalid(path, text, why)];
    }
    errors
}

/// What was there before is not judged anew.
pub(crate) fn slice_change(object: &Value, old: &Value) -> Vec<Error> {
    let errors = check(object, ENDPOINT_SLICE);
    let is_same = some(object, "/endpoints") == some(old, "/endpoints");
    errors.into_iter().filter(|error| !is_same || !error.field.starts_with("endpoints")).collect()
}
