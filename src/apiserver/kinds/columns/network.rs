//! The columns of networking.k8s.io and discovery.k8s.io.

use super::core::ingress_points;
use super::{age, column, computed, name, show, string, text_at};
use crate::kinds::tree::{int, list, some, text};
use crate::registry::Column;
use alcove_object::{Value, meta};

/// Hosts shown before the rest is only counted.
const HOSTS_SHOWN: usize = 3;

pub(crate) fn ingress() -> Vec<Column> {
    vec![
        name(),
        string("Class", "The ingress class that handles it.", |ingress, _| {
            some(ingress, "/spec/ingressClassName").cloned().unwrap_or_else(|| "<none>".into())
        }),
        string("Hosts", "Hosts that its rules name.", |ingress, _| hosts(ingress).into()),
        string("Address", "Addresses of its load balancer.", |ingress, _| {
            ingress_points(ingress).join(",").into()
        }),
        string("Ports", "Ports that it opens.", |ingress, _| match list(ingress, "/spec/tls") {
            [] => "80".into(),
            _ => "80, 443".into(),
        }),
        age(),
    ]
}

/// Up to three hosts. Rules are counted, not hosts, as upstream does.
fn hosts(ingress: &Value) -> String {
    let rules = list(ingress, "/spec/rules");
    let mut hosts =
        rules.iter().map(|rule| text(rule, "/host")).enumerate().filter(|(_, host)| !host.is_empty());
    let shown: Vec<(usize, &str)> = hosts.by_ref().take(HOSTS_SHOWN).collect();
    let joined = shown.iter().map(|(_, host)| *host).collect::<Vec<_>>().join(",");
    let is_cut = shown.len() == HOSTS_SHOWN && shown[HOSTS_SHOWN - 1].0 + 1 < rules.len();
    match shown.len() {
        0 => "*".into(),
        _ if is_cut => format!("{joined} + {} more...", rules.len() - HOSTS_SHOWN),
        _ => joined,
    }
}

pub(crate) fn ingress_class() -> Vec<Column> {
    let name = column(
        "Name",
        "string",
        "Name of the object.",
        computed(|class, _| show_default(class, &["ingressclass.kubernetes.io/is-default-class"]).into()),
    );
    vec![
        Column { format: "name", ..name },
        string("Controller", "The controller that handles the class.", text_at!("/spec/controller")),
        string("Parameters", "An object with further parameters.", |class, _| parameters(class).into()),
        age(),
    ]
}

/// The name, marked when an annotation says that this is the default.
pub(super) fn show_default(object: &Value, annotations: &[&str]) -> String {
    let is_default = annotations.iter().any(|a| meta::annotation(object, a) == Some("true"));
    let name = meta::name(object);
    if is_default { format!("{name} (default)") } else { name.into() }
}

fn parameters(class: &Value) -> String {
    let Some(parameters) = some(class, "/spec/parameters") else { return "<none>".into() };
    let (kind, name) = (text(parameters, "/kind"), text(parameters, "/name"));
    match some(parameters, "/apiGroup").and_then(Value::as_str) {
        Some(group) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

pub(crate) fn network_policy() -> Vec<Column> {
    let selector = string("Pod-Selector", "The pods that it is about.", |policy, _| {
        show::selector_or_none(policy.pointer("/spec/podSelector")).into()
    });
    vec![name(), selector, age()]
}

pub(crate) fn service_cidr() -> Vec<Column> {
    let cidrs = string("CIDRs", "Ranges that service addresses come from.", |object, _| {
        let cidrs: Vec<&str> = list(object, "/spec/cidrs").iter().filter_map(Value::as_str).collect();
        cidrs.join(",").into()
    });
    vec![name(), cidrs, age()]
}

pub(crate) fn ip_address() -> Vec<Column> {
    vec![
        name(),
        string("ParentRef", "The object that uses the address.", |address, _| parent(address).into()),
    ]
}

fn parent(address: &Value) -> String {
    let Some(parent) = some(address, "/spec/parentRef") else { return "<none>".into() };
    let resource = match text(parent, "/group") {
        "" => text(parent, "/resource").to_lowercase(),
        group => format!("{}.{group}", text(parent, "/resource")).to_lowercase(),
    };
    match text(parent, "/namespace") {
        "" => format!("{resource}/{}", text(parent, "/name")),
        namespace => format!("{resource}/{namespace}/{}", text(parent, "/name")),
    }
}

pub(crate) fn endpoint_slice() -> Vec<Column> {
    vec![
        name(),
        string("AddressType", "IPv4, IPv6 or FQDN.", text_at!("/addressType")),
        string("Ports", "Ports of every endpoint.", |slice, _| slice_ports(slice).into()),
        string("Endpoints", "Addresses.", |slice, _| slice_addresses(slice).into()),
        age(),
    ]
}

fn slice_ports(slice: &Value) -> String {
    let shown = list(slice, "/ports").iter().map(|port| match (some(port, "/port"), some(port, "/name")) {
        (Some(_), _) => int(port, "/port").to_string(),
        (None, Some(name)) => show::plain(name),
        (None, None) => "*".into(),
    });
    or_unset(&shown.collect::<Vec<_>>())
}

fn slice_addresses(slice: &Value) -> String {
    let addresses =
        list(slice, "/endpoints").iter().flat_map(|e| list(e, "/addresses")).filter_map(Value::as_str);
    or_unset(&addresses.map(str::to_owned).collect::<Vec<_>>())
}

fn or_unset(items: &[String]) -> String {
    match show::some_of(items, 3) {
        shown if shown.is_empty() => "<unset>".into(),
        shown => shown,
    }
}
