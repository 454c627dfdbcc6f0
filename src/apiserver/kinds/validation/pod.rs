//! Pods and templates of pods (k8s.io/kubernetes/pkg/apis/core/validation: ValidatePodSpec).

use super::container::{self, Surroundings, padded_image};
use super::{Rule, address, by, items, resources, scheduling, security, volume};
use crate::kinds::tree::{CONTAINER_LISTS, field, field_text, flag, int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, name, validate};
use std::collections::BTreeSet;

/// Closed sets of values, in the order in which upstream names them.
const POLICIES: [(&str, &[&str]); 3] = [
    ("restartPolicy", &["Always", "OnFailure", "Never"]),
    ("dnsPolicy", &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]),
    ("preemptionPolicy", &["PreemptLowerPriority", "Never"]),
];
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_LIST_BYTES_MAX: usize = 2048;
const HOSTNAME_BYTES_MAX: usize = 64;

/// A pod's metadata and spec. What only a new pod is asked for is the business of its strategy.
pub(crate) fn pod(pod: &Value) -> Vec<Error> {
    let (spec, path) = (pod.get("spec").unwrap_or(&Value::Null), Path::new("spec"));
    let mut errors = pod_annotations(pod);
    errors.extend(pod_spec(spec, Some(pod), &path));
    if field_text(spec, "serviceAccountName").is_empty() {
        let why = "must not be specified when serviceAccountName is not set";
        for (at, volume) in items(spec, "volumes", &path) {
            let projected = volume.get("projected").unwrap_or(&Value::Null);
            let sources = items(projected, "sources", &at.child("projected"));
            let tokens = sources.filter(|(_, source)| field(source, "serviceAccountToken").is_some());
            errors.extend(tokens.map(|(at, _)| Error::forbidden(&at.child("serviceAccountToken"), why)));
        }
    }
    for name in ["containers", "initContainers"] {
        errors.extend(items(spec, name, &path).filter_map(|(at, container)| padded_image(container, &at)));
    }
    errors
}

/// What a pod's annotations say about its spec.
pub(super) fn pod_annotations(pod: &Value) -> Vec<Error> {
    let part = |name: &str| pod.get(name).unwrap_or(&Value::Null);
    annotations(part("metadata"), part("spec"), &Path::new("metadata").child("annotations"))
}

/// Annotations that mean something for pods.
fn annotations(metadata: &Value, spec: &Value, path: &Path) -> Vec<Error> {
    let annotation = |key: &str| metadata.get("annotations")?.get(key)?.as_str();
    let mut errors = Vec::new();
    const MIRROR: &str = "kubernetes.io/config.mirror";
    if let Some(value) = annotation(MIRROR).filter(|_| field_text(spec, "nodeName").is_empty()) {
        let why = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(Error::invalid(&path.key(MIRROR), value, why));
    }
    const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
    if let Some(cost) = annotation(COST).filter(|cost| !is_cost(cost)) {
        errors.push(Error::invalid(&path.key(COST), cost, "must be a 32bit integer"));
    }
    errors.extend(security::annotations(metadata, spec, path));
    errors
}

/// A number without a plus or a zero before it.
fn is_cost(cost: &str) -> bool {
    let is_plain = cost == "0" || !cost.starts_with(['+', '0']);
    is_plain && cost.parse::<i32>().is_ok()
}

/// All containers of a pod, as upstream visits them.
pub(super) fn each_container<'a>(
    spec: &'a Value,
    path: &Path,
) -> impl Iterator<Item = (Path, &'a Value)> + use<'a> {
    let path = path.clone();
    CONTAINER_LISTS.into_iter().flat_map(move |name| items(spec, name, &path))
}

/// The spec of a pod or, without one, of a template.
pub(crate) fn pod_spec(spec: &Value, pod: Option<&Value>, path: &Path) -> Vec<Error> {
    let (volumes, mut errors) = volume::volumes(spec, pod, path);
    let claims = list(spec, "/resourceClaims").iter().map(|claim| text(claim, "/name"));
    let surroundings = Surroundings {
        spec,
        volumes,
        claims: claims.filter(|name| !name.is_empty()).collect(),
        host_users: some(spec, "/hostUsers").is_none_or(|users| *users != false),
    };
    errors.extend(resource_claims(spec, pod, path));
    errors.extend(container::containers(&surroundings, path));
    errors.extend(resources::of_pod(spec, &surroundings.claims, path));
    errors.extend(container::host_network_ports(spec, pod.is_some(), path));
    for (name, allowed) in POLICIES {
        let given = field_text(spec, name);
        if !given.is_empty() && !allowed.contains(&given) {
            errors.push(Error::not_supported(&path.child(name), given, allowed));
        }
    }
    if field(spec, "preemptionPolicy").is_some_and(|policy| policy == "") {
        errors.push(Error::required(&path.child("preemptionPolicy"), ""));
    }
    errors.extend(validate::validate_labels(spec.get("nodeSelector"), &path.child("nodeSelector")));
    errors.extend(security::of_pod(spec, path));
    errors.extend(scheduling::affinity(spec, path));
    errors.extend(dns(spec, &path.child("dnsConfig")));
    errors.extend(scheduling::gates(spec, path));
    errors.extend(scheduling::spread(spec, path));
    errors.extend(security::host_processes(spec, path));
    errors.extend(security::host_users(spec, path));
    errors.extend(names(spec, path));
    errors.extend(scheduling::tolerations(spec, path));
    errors.extend(host_aliases(spec, path));
    errors.extend(overhead(spec, path));
    errors.extend(security::system(spec, path));
    errors.extend(file_variables(spec, path));
    errors
}

fn names(spec: &Value, path: &Path) -> Vec<Error> {
    let judge = |name: &str, rule: Rule| -> Vec<Error> {
        match field_text(spec, name) {
            "" => Vec::new(),
            given => by(rule, given, &path.child(name)).collect(),
        }
    };
    let mut errors = hostname(spec, path);
    errors.extend(judge("serviceAccountName", name::is_dns1123_subdomain));
    errors.extend(judge("nodeName", name::is_dns1123_subdomain));
    if some(spec, "/activeDeadlineSeconds").is_some() {
        let seconds = int(spec, "/activeDeadlineSeconds");
        let wrong = name::is_in_range(seconds, 1, i32::MAX.into()).into_iter();
        let at = path.child("activeDeadlineSeconds");
        errors.extend(wrong.map(|why| Error::invalid(&at, seconds, why)));
    }
    errors.extend(judge("hostname", name::is_dns1123_label));
    errors.extend(judge("subdomain", name::is_dns1123_label));
    errors.extend(judge("priorityClassName", name::is_dns1123_subdomain));
    if let Some(class) = field(spec, "runtimeClassName").and_then(Value::as_str) {
        errors.extend(by(name::is_dns1123_subdomain, class, &path.child("runtimeClassName")));
    }
    errors
}

/// A hostname that stands in the place of all others.
fn hostname(spec: &Value, path: &Path) -> Vec<Error> {
    let Some(given) = field(spec, "hostnameOverride").and_then(Value::as_str) else { return Vec::new() };
    let at = path.child("hostnameOverride");
    let mut errors = Vec::new();
    for switch in ["setHostnameAsFQDN", "hostNetwork"] {
        if flag(spec, &format!("/{switch}")) {
            errors.push(Error::forbidden(&at, format!("may not be specified when {switch} is true")));
        }
    }
    if given.len() > HOSTNAME_BYTES_MAX {
        errors.push(Error::too_long(&at, HOSTNAME_BYTES_MAX));
    }
    errors.extend(by(name::is_dns1123_subdomain, given, &at));
    errors
}

/// Claims of devices, each by one name, of one claim or template.
fn resource_claims(spec: &Value, pod: Option<&Value>, path: &Path) -> Vec<Error> {
    let is_mirror = pod.is_some_and(|pod| meta::annotation(pod, "kubernetes.io/config.mirror").is_some());
    if is_mirror && !list(spec, "/resourceClaims").is_empty() {
        return vec![Error::forbidden(&Path::default(), "static pods do not support resource claims")];
    }
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, claim) in items(spec, "resourceClaims", path) {
        let (given, place) = (text(claim, "/name"), at.child("name"));
        if given.is_empty() {
            errors.push(Error::required(&place, ""));
        } else if !seen.insert(given) {
            errors.push(Error::duplicate(&place, given));
        } else {
            errors.extend(by(name::is_dns1123_label, given, &place));
        }
        let sources = ["resourceClaimName", "resourceClaimTemplateName"];
        let given: Vec<(&str, &str)> = sources
            .into_iter()
            .filter_map(|source| Some((source, field(claim, source)?.as_str()?)))
            .collect();
        let why = match given.len() {
            0 => Some("must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
            1 => None,
            _ => Some("at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"),
        };
        errors.extend(why.map(|why| Error::invalid(&at, claim.clone(), why)));
        for (source, name) in given {
            errors.extend(by(name::is_dns1123_subdomain, name, &at.child(source)));
        }
    }
    errors
}

/// Where a pod looks for names.
fn dns(spec: &Value, path: &Path) -> Vec<Error> {
    let config = field(spec, "dnsConfig");
    let servers = config.map_or(&[][..], |config| list(config, "/nameservers"));
    if field_text(spec, "dnsPolicy") == "None" {
        if config.is_none() {
            return vec![Error::required(path, "must provide `dnsConfig` when `dnsPolicy` is None")];
        }
        if servers.is_empty() {
            let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return vec![Error::required(&path.child("nameservers"), why)];
        }
    }
    let Some(config) = config else { return Vec::new() };
    let mut errors = Vec::new();
    if servers.len() > NAMESERVERS_MAX {
        let why = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        errors.push(Error::invalid(&path.child("nameservers"), servers.to_vec(), why));
    }
    for (at, server) in items(config, "nameservers", path) {
        errors.extend(address::address(server.as_str().unwrap_or_default(), &at));
    }
    let searches: Vec<&str> = list(config, "/searches").iter().filter_map(Value::as_str).collect();
    let at = path.child("searches");
    let mut too_much = |is_so: bool, why: String| {
        if is_so {
            errors.push(Error::invalid(&at, list(config, "/searches").to_vec(), why));
        }
    };
    too_much(searches.len() > SEARCHES_MAX, format!("must not have more than {SEARCHES_MAX} search paths"));
    too_much(
        searches.join(" ").len() > SEARCH_LIST_BYTES_MAX,
        format!(
            "must not have more than {SEARCH_LIST_BYTES_MAX} characters (including spaces) in the search list"
        ),
    );
    for (i, search) in searches.iter().enumerate().filter(|(_, search)| **search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        errors.extend(by(name::is_dns1123_subdomain_with_underscore, search, &at.index(i)));
    }
    for (at, option) in items(config, "options", path) {
        if text(option, "/name").is_empty() {
            errors.push(Error::required(&at, "must not be empty"));
        }
    }
    errors
}

fn host_aliases(spec: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (at, alias) in items(spec, "hostAliases", path) {
        errors.extend(address::address(text(alias, "/ip"), &at.child("ip")));
        for (at, host) in items(alias, "hostnames", &at) {
            errors.extend(by(name::is_dns1123_subdomain, host.as_str().unwrap_or_default(), &at));
        }
    }
    errors
}

/// What a pod needs beyond its containers.
fn overhead(spec: &Value, path: &Path) -> Vec<Error> {
    let Some(given) = field(spec, "overhead") else { return Vec::new() };
    let none = BTreeSet::new();
    // Judged as if it were a container's limits.
    let limits = serde_json::json!({ "limits": given });
    resources::of_container(Some(&limits), &none, &path.child("overhead"))
}

/// Variables that are read from files come from volumes that are empty at first.
fn file_variables(spec: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (at, container) in each_container(spec, path) {
        for (at, variable) in items(container, "env", &at) {
            let Some(reference) = some(variable, "/valueFrom/fileKeyRef") else { continue };
            let given = text(reference, "/volumeName");
            let at = at.child("valueFrom").child("fileKeyRef").child("volumeName");
            match list(spec, "/volumes").iter().rfind(|volume| text(volume, "/name") == given) {
                None => errors.push(Error::not_found(&at, given)),
                Some(volume) if field(volume, "emptyDir").is_none() => {
                    let why = "referenced volume must be of type emptyDir";
                    errors.push(Error::invalid(&at, given, why));
                }
                Some(_) => {}
            }
        }
    }
    errors
}

/// A template: labels, annotations and spec.
pub(crate) fn template(template: &Value, path: &Path) -> Vec<Error> {
    let metadata = template.get("metadata").unwrap_or(&Value::Null);
    let (spec, spec_path) = (template.get("spec").unwrap_or(&Value::Null), path.child("spec"));
    // Upstream leaves `metadata` out of these paths.
    let mut errors = validate::validate_labels(metadata.get("labels"), &path.child("labels"));
    errors.extend(validate::validate_annotations(metadata.get("annotations"), &path.child("annotations")));
    errors.extend(annotations(metadata, spec, &path.child("annotations")));
    errors.extend(pod_spec(spec, None, &spec_path));
    errors.extend(security::profiles_match(metadata, spec, false, &spec_path));
    if !list(spec, "/ephemeralContainers").is_empty() {
        let why = "ephemeral containers not allowed in pod template";
        errors.push(Error::forbidden(&spec_path.child("ephemeralContainers"), why));
    }
    errors
}

/// What only a new pod is asked for.
pub(crate) fn new_pod(pod: &Value) -> Vec<Error> {
    let (spec, path) = (pod.get("spec").unwrap_or(&Value::Null), Path::new("spec"));
    let mut errors = self::pod(pod);
    if !list(spec, "/ephemeralContainers").is_empty() {
        errors.push(Error::forbidden(&path.child("ephemeralContainers"), "cannot be set on create"));
    }
    if !field_text(spec, "nodeName").is_empty() && !list(spec, "/schedulingGates").is_empty() {
        let why = "cannot be set until all schedulingGates have been cleared";
        errors.push(Error::forbidden(&path.child("nodeName"), why));
    }
    let metadata = pod.get("metadata").unwrap_or(&Value::Null);
    errors.extend(security::profiles_match(metadata, spec, true, &path));
    errors
}
