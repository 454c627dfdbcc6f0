//! Defaults of pods and pod templates.

use super::Fill::{Bool, Count, Empty, Inside, Int, Text, Word};
use super::kinds::same_first;
use super::{Rule, fill, requests_from_limits};
use crate::kinds::tree::{flag, text};
use crate::kinds::validation::aggregate;
use alcove_object::Value;
use serde_json::json;

const PROBE: &[Rule] = &[
    ("timeoutSeconds", Count(1)),
    ("periodSeconds", Count(10)),
    ("successThreshold", Count(1)),
    ("failureThreshold", Count(3)),
    ("httpGet", Inside(HTTP_GET)),
    ("grpc/service", Text("")),
];

const HTTP_GET: &[Rule] = &[("path", Text("/")), ("scheme", Text("HTTP"))];

const CONTAINER: &[Rule] = &[
    ("terminationMessagePath", Text("/dev/termination-log")),
    ("terminationMessagePolicy", Text("File")),
    ("resources", Empty),
    ("ports/*/protocol", Text("TCP")),
    ("env/*/valueFrom/fieldRef/apiVersion", Text("v1")),
    ("env/*/valueFrom/fileKeyRef/optional", Bool(false)),
    ("livenessProbe", Inside(PROBE)),
    ("readinessProbe", Inside(PROBE)),
    ("startupProbe", Inside(PROBE)),
    ("lifecycle/postStart/httpGet", Inside(HTTP_GET)),
    ("lifecycle/preStop/httpGet", Inside(HTTP_GET)),
];

const VOLUME: &[Rule] = &[
    ("hostPath/type", Text("")),
    ("secret/defaultMode", Int(0o644)),
    ("configMap/defaultMode", Int(0o644)),
    ("downwardAPI/defaultMode", Int(0o644)),
    ("downwardAPI/items/*/fieldRef/apiVersion", Text("v1")),
    ("projected/defaultMode", Int(0o644)),
    ("projected/sources/*/downwardAPI/items/*/fieldRef/apiVersion", Text("v1")),
    ("projected/sources/*/serviceAccountToken/expirationSeconds", Int(3600)),
    ("ephemeral/volumeClaimTemplate/spec/volumeMode", Word("Filesystem")),
    ("iscsi/iscsiInterface", Text("default")),
    ("rbd/pool", Text("rbd")),
    ("rbd/user", Text("admin")),
    ("rbd/keyring", Text("/etc/ceph/keyring")),
    ("azureDisk/cachingMode", Word("ReadWrite")),
    ("azureDisk/fsType", Word("ext4")),
    ("azureDisk/readOnly", Bool(false)),
    ("azureDisk/kind", Word("Shared")),
    ("scaleIO/storageMode", Text("ThinProvisioned")),
    ("scaleIO/fsType", Text("xfs")),
];

const POD_SPEC: &[Rule] = &[
    ("dnsPolicy", Text("ClusterFirst")),
    ("restartPolicy", Text("Always")),
    ("securityContext", Empty),
    ("terminationGracePeriodSeconds", Int(30)),
    ("schedulerName", Text("default-scheduler")),
    ("volumes/*", Inside(VOLUME)),
    ("initContainers/*", Inside(CONTAINER)),
    ("containers/*", Inside(CONTAINER)),
    ("ephemeralContainers/*", Inside(CONTAINER)),
];

/// The lists of a pod spec that hold containers.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// The spec of a pod or of a template.
pub(crate) fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    fill(spec, POD_SPEC);
    alias_account(spec);
    for volume in items(spec, "volumes") {
        default_volume(volume);
    }
    for list in CONTAINERS {
        for container in items(spec, list) {
            let policy = pull_policy(text(container, "/image"));
            fill(container, &[("imagePullPolicy", Text(policy))]);
        }
    }
}

/// `serviceAccount` is what `serviceAccountName` was called once; both are served, and the newer name counts.
fn alias_account(spec: &mut Value) {
    let (name, alias) = (text(spec, "/serviceAccountName"), text(spec, "/serviceAccount"));
    let account = if name.is_empty() { alias.to_owned() } else { name.to_owned() };
    if let (false, Some(spec)) = (account.is_empty(), spec.as_object_mut()) {
        spec.insert("serviceAccountName".into(), account.clone().into());
        spec.insert("serviceAccount".into(), account.into());
    }
}

/// A template: only its spec has defaults.
pub(crate) fn template(template: &mut Value) {
    if let Some(spec) = template.get_mut("spec") {
        pod_spec(spec);
    }
}

/// A pod: its spec, and what templates do not get.
pub(crate) fn pod(pod: &mut Value) {
    let status = pod.get_mut("status");
    status.into_iter().for_each(|status| same_first(status, "podIP", "podIPs", |ip| json!({"ip": ip})));
    let Some(spec) = pod.get_mut("spec").filter(|s| s.is_object()) else { return };
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            if let Some(resources) = container.get_mut("resources") {
                requests_from_limits(resources);
            }
        }
    }
    whole_resources(spec);
    fill(spec, &[("enableServiceLinks", Bool(true))]);
    pod_spec(spec);
    // Nobody ends before now.
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        spec["terminationGracePeriodSeconds"] = 1.into();
    }
    if flag(spec, "/hostNetwork") {
        default_host_ports(spec);
    }
}

/// A pod that limits itself as a whole asks for what its containers do, or else for as much as it may have.
fn whole_resources(spec: &mut Value) {
    let Some(whole) = spec.get("resources").filter(|whole| whole.is_object()).cloned() else { return };
    let given = |kind: &str| whole.get(kind).and_then(Value::as_object).cloned().unwrap_or_default();
    let (mut limits, mut requests) = (given("limits"), given("requests"));
    if limits.is_empty() && requests.is_empty() {
        return;
    }
    let is_huge = |resource: &str| resource.starts_with("hugepages-");
    for (resource, sum) in aggregate(spec, "limits").into_iter().filter(|(resource, _)| is_huge(resource)) {
        if !requests.contains_key(&resource) {
            limits.entry(resource).or_insert_with(|| sum.to_string().into());
        }
    }
    if !limits.is_empty() {
        for (resource, sum) in aggregate(spec, "requests") {
            if matches!(resource.as_str(), "cpu" | "memory") {
                requests.entry(resource).or_insert_with(|| sum.to_string().into());
            }
        }
        let known =
            limits.iter().filter(|(name, _)| matches!(name.as_str(), "cpu" | "memory") || is_huge(name));
        let known: Vec<(String, Value)> = known.map(|(name, limit)| (name.clone(), limit.clone())).collect();
        for (name, limit) in known {
            requests.entry(name).or_insert(limit);
        }
    }
    for (kind, amounts) in [("limits", limits), ("requests", requests)] {
        if !amounts.is_empty() {
            spec["resources"][kind] = amounts.into();
        }
    }
}

fn items<'a>(value: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

/// A volume without a source is an empty directory; an image is pulled as a container's would be.
fn default_volume(volume: &mut Value) {
    let Some(map) = volume.as_object_mut() else { return };
    if map.iter().all(|(key, value)| key == "name" || value.is_null()) {
        map.insert("emptyDir".into(), Value::Object(serde_json::Map::new()));
    }
    if let Some(image) = map.get_mut("image") {
        let policy = pull_policy(text(image, "/reference"));
        fill(image, &[("pullPolicy", Text(policy))]);
    }
}

fn default_host_ports(spec: &mut Value) {
    for list in ["containers", "initContainers"] {
        for port in items(spec, list).flat_map(|c| items(c, "ports")) {
            let number = port.get("containerPort").and_then(Value::as_i64).unwrap_or(0);
            if number != 0 {
                fill(port, &[("hostPort", Count(number))]);
            }
        }
    }
}

/// Whether an image is asked for again at every start: only when its tag moves by intention.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let path = name.rsplit_once('/').map_or(name, |(_, last)| last);
    let tag = path.split_once(':').map(|(_, tag)| tag);
    let repository = tag.map_or(name, |tag| &name[..name.len() - tag.len() - 1]);
    let moves = match (tag, digest) {
        (Some(tag), _) => tag == "latest",
        (None, digest) => digest.is_none(),
    };
    if moves && is_repository(repository) { "Always" } else { "IfNotPresent" }
}

/// Whether the name has the form of a repository; upstream does not look at tags of what does not parse.
fn is_repository(name: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_component = |part: &str| {
        let bytes = part.as_bytes();
        let ends = bytes.first().is_some_and(|b| is_word(*b)) && bytes.last().is_some_and(|b| is_word(*b));
        ends && bytes.iter().all(|&b| is_word(b) || matches!(b, b'.' | b'_' | b'-'))
    };
    match name.split_once('/') {
        // The first part may be a host, with a port and capital letters.
        Some((host, rest))
            if host.contains(['.', ':']) || host == "localhost" || host != host.to_lowercase() =>
        {
            rest.split('/').all(is_component)
        }
        _ => name.split('/').all(is_component),
    }
}
