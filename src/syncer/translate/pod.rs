//! Pods: the spec is the tenant's, with names, selectors and identity in the host's terms.

use super::metadata::{KIND, NAME, NAMESPACE, UID};
use super::pod_refs::{CONTAINER_LISTS, items};
use super::pod_tokens::rewrite_tokens;
use super::{Refusal, Tenant, host_name, labels, metadata, pod_refs};
use alcove_object::{Value, meta};
use serde_json::{Map, json};

/// Annotation with the tenant's labels in the format of the downward API.
const LABELS: &str = "alcove.dev/labels";
/// Annotation with the tenant's annotations in the format of the downward API.
const ANNOTATIONS: &str = "alcove.dev/annotations";
/// Annotation with the tenant's service account.
const SERVICE_ACCOUNT: &str = "alcove.dev/service-account";

/// Fields of `spec` that mean something else on the host, or nothing: they are left out.
const DROPPED_FIELDS: [&str; 6] =
    ["serviceAccountName", "serviceAccount", "nodeName", "priority", "priorityClassName", "preemptionPolicy"];

/// The host's pod.
pub fn pod(tenant: &Tenant, object: &Value) -> Result<Value, Refusal> {
    let namespace = meta::namespace(object);
    let mut spec = object["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        for field in DROPPED_FIELDS {
            spec.remove(field);
        }
    }
    // Nothing of the host's identity or neighbourhood reaches the tenant's containers.
    spec["automountServiceAccountToken"] = false.into();
    spec["enableServiceLinks"] = false.into();
    if spec.get("hostname").is_none() && spec["hostNetwork"] != true {
        spec["hostname"] = hostname(meta::name(object)).into();
    }
    pod_refs::visit(&mut spec, &mut |_, name| *name = host_name(tenant, namespace, name));
    rewrite_tokens(tenant, object, &mut spec);
    rewrite_field_refs(&mut spec);
    rewrite_claims(tenant, namespace, object, &mut spec);
    rewrite_affinity(tenant, namespace, &mut spec);
    for constraint in items(spec.get_mut("topologySpreadConstraints")) {
        let selector = constraint.get("labelSelector").cloned().unwrap_or_else(|| json!({}));
        constraint["labelSelector"] = labels::selector(tenant, Some(namespace), &selector);
        rewrite_keys(constraint, "matchLabelKeys");
    }
    let mut metadata = metadata(tenant, object);
    annotate(&mut metadata, object);
    Ok(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }))
}

/// A pod's name as a host name: dots become dashes, at most 63 characters.
fn hostname(name: &str) -> String {
    let short: String = name.chars().take(63).map(|c| if c == '.' { '-' } else { c }).collect();
    short.trim_end_matches('-').to_owned()
}

/// What the downward API calls a field of the tenant's pod, and where it stands on the host's.
fn host_field_path(path: &str) -> Option<String> {
    let annotation = |key: &str| Some(format!("metadata.annotations['{key}']"));
    match path {
        "metadata.name" => annotation(NAME),
        "metadata.namespace" => annotation(NAMESPACE),
        "metadata.uid" => annotation(UID),
        "metadata.labels" => annotation(LABELS),
        "metadata.annotations" => annotation(ANNOTATIONS),
        "spec.serviceAccountName" => annotation(SERVICE_ACCOUNT),
        _ => {
            let key = path.strip_prefix("metadata.labels['")?.strip_suffix("']")?;
            Some(format!("metadata.labels['{}']", labels::Map::key(key)))
        }
    }
}

fn rewrite_field_refs(spec: &mut Value) {
    let rewrite = |entry: &mut Value, pointer: &str| {
        let Some(Value::String(path)) = entry.pointer_mut(pointer) else { return };
        if let Some(host) = host_field_path(path) {
            *path = host;
        }
    };
    for list in CONTAINER_LISTS {
        for container in items(spec.get_mut(list)) {
            items(container.get_mut("env")).for_each(|entry| rewrite(entry, "/valueFrom/fieldRef/fieldPath"));
        }
    }
    for volume in items(spec.get_mut("volumes")) {
        items(volume.pointer_mut("/downwardAPI/items")).for_each(|item| rewrite(item, "/fieldRef/fieldPath"));
        for source in items(volume.pointer_mut("/projected/sources")) {
            items(source.pointer_mut("/downwardAPI/items"))
                .for_each(|item| rewrite(item, "/fieldRef/fieldPath"));
        }
    }
}

/// Claims by name, and claims that come and go with the pod, which the tenant's controllers name after it.
fn rewrite_claims(tenant: &Tenant, namespace: &str, object: &Value, spec: &mut Value) {
    for volume in items(spec.get_mut("volumes")) {
        if let Some(Value::String(claim)) = volume.pointer_mut("/persistentVolumeClaim/claimName") {
            *claim = host_name(tenant, namespace, claim);
        }
        if volume.get("ephemeral").is_some() {
            let claim = format!("{}-{}", meta::name(object), volume["name"].as_str().unwrap_or_default());
            *volume = json!({ "name": volume["name"],
                "persistentVolumeClaim": { "claimName": host_name(tenant, namespace, &claim) } });
        }
    }
}

fn rewrite_affinity(tenant: &Tenant, namespace: &str, spec: &mut Value) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec.pointer_mut(&format!("/affinity/{kind}")) else { continue };
        for term in items(affinity.get_mut("requiredDuringSchedulingIgnoredDuringExecution")) {
            rewrite_term(tenant, namespace, term);
        }
        for weighted in items(affinity.get_mut("preferredDuringSchedulingIgnoredDuringExecution")) {
            if let Some(term) = weighted.get_mut("podAffinityTerm") {
                rewrite_term(tenant, namespace, term);
            }
        }
    }
}

/// One affinity term. All tenant namespaces share one on the host, so a list of namespaces becomes a requirement on the
/// namespace label, and an empty namespace selector the whole tenant.
fn rewrite_term(tenant: &Tenant, namespace: &str, term: &mut Value) {
    let asked = term.get("labelSelector").cloned().unwrap_or_else(|| json!({}));
    let namespaces: Vec<Value> = term["namespaces"].as_array().cloned().unwrap_or_default();
    let is_everywhere =
        term.get("namespaceSelector").is_some_and(|s| s.as_object().is_some_and(Map::is_empty));
    let mut host = match (&namespaces[..], is_everywhere) {
        (_, true) => labels::selector(tenant, None, &asked),
        ([], false) => labels::selector(tenant, Some(namespace), &asked),
        (_, false) => labels::selector(tenant, None, &asked),
    };
    if !namespaces.is_empty() && !is_everywhere {
        let requirement = json!({ "key": NAMESPACE, "operator": "In", "values": namespaces });
        match host.get_mut("matchExpressions").and_then(Value::as_array_mut) {
            Some(expressions) => expressions.push(requirement),
            None => host["matchExpressions"] = json!([requirement]),
        }
    }
    term["labelSelector"] = host;
    rewrite_keys(term, "matchLabelKeys");
    rewrite_keys(term, "mismatchLabelKeys");
    if let Some(term) = term.as_object_mut() {
        term.remove("namespaces");
        term.remove("namespaceSelector");
    }
}

fn rewrite_keys(holder: &mut Value, field: &str) {
    for key in items(holder.get_mut(field)) {
        if let Value::String(key) = key {
            *key = labels::Map::key(key);
        }
    }
}

/// Annotations that the downward API of the host's pod reads.
fn annotate(host: &mut Value, object: &Value) {
    let format = |map: Option<&Value>| {
        let lines = meta::entries(map).map(|(k, v)| format!("{k}={}\n", Value::from(v)));
        lines.collect::<String>()
    };
    let account = object.pointer("/spec/serviceAccountName").and_then(Value::as_str).unwrap_or("default");
    host["annotations"][LABELS] = format(object.pointer("/metadata/labels")).into();
    host["annotations"][SERVICE_ACCOUNT] = account.into();
    host["annotations"][KIND] = "Pod".into();
    // A tenant's annotations may hold anything, secrets too; only a pod that asks for them takes them along.
    if object["spec"].to_string().contains("\"metadata.annotations\"") {
        host["annotations"][ANNOTATIONS] = format(object.pointer("/metadata/annotations")).into();
    }
}
