//! The downward API. The host's pod has another name, other labels and other annotations than the tenant's; so what
//! containers may ask about stands in annotations of ours, and every reference points there.

use super::labels::{self, key_in};
use super::metadata::{KIND, NAME, NAMESPACE, UID};
use super::pod_refs::items;
use alcove_apiserver::kinds::CONTAINER_LISTS;
use alcove_object::tree::{at, at_mut};
use alcove_object::{Value, meta};

/// Annotation with the tenant's labels in the format of the downward API.
const LABELS: &str = "alcove.dev/labels";
/// Annotation with the tenant's annotations in the format of the downward API.
const ANNOTATIONS: &str = "alcove.dev/annotations";
/// Annotation with the tenant's service account.
const SERVICE_ACCOUNT: &str = "alcove.dev/service-account";
/// What ends the prefix of a tenant's annotation that a container asks for by name.
const ANNOTATION_DOMAIN: &str = "annotations.alcove.dev";

/// What stands between the brackets of `metadata.annotations['...']`.
fn subscript<'a>(path: &'a str, map: &str) -> Option<&'a str> {
    path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']")
}

/// Where a field of the tenant's pod stands on the host's; `None`: at the same place.
fn host_field_path(path: &str) -> Option<String> {
    let annotation = |key: &str| Some(format!("metadata.annotations['{key}']"));
    match path {
        "metadata.name" => annotation(NAME),
        "metadata.namespace" => annotation(NAMESPACE),
        "metadata.uid" => annotation(UID),
        "metadata.labels" => annotation(LABELS),
        "metadata.annotations" => annotation(ANNOTATIONS),
        "spec.serviceAccountName" => annotation(SERVICE_ACCOUNT),
        _ => match subscript(path, "metadata.labels") {
            Some(key) => Some(format!("metadata.labels['{}']", labels::Map::key(key))),
            None => annotation(&key_in(subscript(path, "metadata.annotations")?, ANNOTATION_DOMAIN)),
        },
    }
}

/// Points all references at where the fields stand on the host, and gives the host's pod the annotations that they need.
/// `annotations` of a tenant may hold anything, secrets too; only what a container asks for goes along.
pub fn rewrite_fields(pod: &Value, spec: &mut Value, annotations: &mut Value) {
    let own = at(pod, "/metadata/annotations");
    let account = at(pod, "/spec/serviceAccountName").and_then(Value::as_str).unwrap_or("default");
    annotations[LABELS] = lines(at(pod, "/metadata/labels")).into();
    annotations[SERVICE_ACCOUNT] = account.into();
    annotations[KIND] = "Pod".into();
    visit(spec, &mut |path| {
        if path == "metadata.annotations" {
            annotations[ANNOTATIONS] = lines(own).into();
        }
        if let Some(key) = subscript(path, "metadata.annotations")
            && let Some(value) = meta::annotation(pod, key)
        {
            annotations[key_in(key, ANNOTATION_DOMAIN)] = value.into();
        }
        if let Some(host) = host_field_path(path) {
            *path = host;
        }
    });
}

/// The format of downward API volumes: one key and quoted value per line.
fn lines(map: Option<&Value>) -> String {
    meta::entries(map).map(|(key, value)| format!("{key}={}\n", Value::from(value))).collect()
}

/// Calls `visit` with every field path in a pod's spec.
fn visit(spec: &mut Value, visit: &mut dyn FnMut(&mut String)) {
    let mut at = |entry: &mut Value, pointer: &str| {
        if let Some(Value::String(path)) = at_mut(entry, pointer) {
            visit(path);
        }
    };
    for list in CONTAINER_LISTS {
        for container in items(spec.get_mut(list)) {
            items(container.get_mut("env")).for_each(|entry| at(entry, "/valueFrom/fieldRef/fieldPath"));
        }
    }
    for volume in items(spec.get_mut("volumes")) {
        items(at_mut(volume, "/downwardAPI/items")).for_each(|item| at(item, "/fieldRef/fieldPath"));
        for source in items(at_mut(volume, "/projected/sources")) {
            items(at_mut(source, "/downwardAPI/items")).for_each(|item| at(item, "/fieldRef/fieldPath"));
        }
    }
}
