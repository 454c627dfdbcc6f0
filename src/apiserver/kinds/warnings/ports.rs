//! Ports of containers that are in each other's way.

use super::containers;
use crate::kinds::tree::{int, list, text};
use alcove_object::Value;
use std::collections::{BTreeMap, HashMap};

/// Ports of containers that are in each other's way: first their numbers, then their names.
pub(super) fn ports<'a>(pod: &'a Value, at: &dyn Fn(&str) -> String) -> Vec<String> {
    let all: Vec<(&'a Value, String)> = containers(pod)
        .flat_map(|(container, place)| {
            let ports = list(container, "/ports").iter().enumerate();
            ports.map(move |(i, port)| (port, format!("{place}.ports[{i}]"))).collect::<Vec<_>>()
        })
        .map(|(port, place)| (port, at(&place)))
        .collect();
    let mut warnings = Vec::new();
    let mut known: BTreeMap<(i64, &str), Vec<(&Value, &str)>> = BTreeMap::new();
    for (port, place) in &all {
        if !text(port, "/hostIP").is_empty() && int(port, "/hostPort") == 0 {
            warnings.push(format!("{place}: hostIP set without hostPort: {}", told_port(port)));
        }
        let others = known.entry((int(port, "/containerPort"), text(port, "/protocol"))).or_default();
        for (other, first) in others.iter() {
            warnings.extend(
                overlap(port, other).map(|how| format!("{place}: {how} port definition with {first}")),
            );
        }
        others.push((port, place));
    }
    let mut names: HashMap<&str, &str> = HashMap::new();
    for (port, place) in &all {
        let name = text(port, "/name");
        match names.get(name) {
            _ if name.is_empty() => {}
            Some(first) => warnings.push(format!(
                "{place}: duplicate port name {name:?} with {first}, services and probes that select ports by name will \
                 use {first}"
            )),
            None => {
                names.insert(name, place);
            }
        }
    }
    warnings
}

/// A port as Go writes it.
fn told_port(port: &Value) -> String {
    format!(
        "{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
        text(port, "/name"),
        int(port, "/hostPort"),
        int(port, "/containerPort"),
        text(port, "/protocol"),
        text(port, "/hostIP"),
    )
}

/// How two definitions of one port get into each other's way, if they do.
fn overlap(port: &Value, other: &Value) -> Option<&'static str> {
    let host = |port: &Value| (text(port, "/hostIP").to_owned(), int(port, "/hostPort"));
    let (one, two) = (host(port), host(other));
    if one == two {
        Some("duplicate")
    } else if one.1 == 0 || two.1 == 0 {
        Some("overlapping")
    } else {
        (one.1 == two.1 && (one.0.is_empty() != two.0.is_empty())).then_some("dangerously ambiguous")
    }
}
