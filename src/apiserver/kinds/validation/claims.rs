//! Persistent volumes and claims (k8s.io/kubernetes/pkg/apis/core/validation).

use super::rules::Check::{By, OneOf, Required, RequiredNamed, Selector};
use super::rules::{Rule, below};
use super::storage::driver_name;
use super::{by, immutable, scheduling, sources, volume};
use crate::kinds::tree::{field, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::quantity::Quantity;
use alcove_object::{Value, meta, name};
use serde_json::json;

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];

/// Fields of a volume's spec that say where it comes from, as upstream tries them.
const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

pub(crate) const CLAIM: &[Rule] = &[("spec", By(claim_spec))];

/// The spec of a claim, also of those in templates.
pub(crate) fn claim_spec(spec: &Value, path: &Path) -> Vec<Error> {
    let mut errors = access_modes(spec, "at least 1 access mode is required", path);
    errors.extend(below(spec, &[("selector", Selector)], path));
    errors.extend(requested(spec, &path.child("resources").key("storage")));
    errors.extend(class_if_any(text(spec, "/storageClassName"), &path.child("storageClassName")));
    errors.extend(below(spec, &[("volumeMode", OneOf(VOLUME_MODES))], path));
    let (source, reference) = (field(spec, "dataSource"), field(spec, "dataSourceRef"));
    errors.extend(source.iter().flat_map(|s| data_source(s, &path.child("dataSource"))));
    errors.extend(reference.iter().flat_map(|r| data_source(r, &path.child("dataSourceRef"))));
    let namespace = text(spec, "/dataSourceRef/namespace");
    if !namespace.is_empty() {
        errors.extend(by(name::is_dns1123_label, namespace, &path.child("dataSourceRef").child("namespace")));
    }
    if let (Some(source), Some(reference)) = (source, reference) {
        let is_same = ["apiGroup", "kind", "name"].iter().all(|f| field(source, f) == field(reference, f));
        let why = match (namespace.is_empty(), is_same) {
            (false, _) => Some("may not be specified when dataSourceRef.namespace is specified"),
            (true, false) => Some("must match dataSourceRef"),
            (true, true) => None,
        };
        errors.extend(why.map(|why| Error::invalid(path, json!({}), why)));
    }
    let attributes = text(spec, "/volumeAttributesClassName");
    errors.extend(class_if_any(attributes, &path.child("volumeAttributesClassName")));
    errors
}

fn access_modes(spec: &Value, missing: &str, path: &Path) -> Vec<Error> {
    let path = path.child("accessModes");
    let modes = list(spec, "/accessModes");
    if modes.is_empty() {
        return vec![Error::required(&path, missing)];
    }
    let is_known = |mode: &&Value| ACCESS_MODES.iter().any(|known| *mode == known);
    let wrong = modes.iter().filter(|mode| !is_known(mode));
    let mut errors: Vec<Error> =
        wrong.map(|mode| Error::not_supported(&path, mode.clone(), &ACCESS_MODES)).collect();
    let (alone, others): (Vec<&Value>, Vec<&Value>) =
        modes.iter().filter(is_known).partition(|mode| **mode == "ReadWriteOncePod");
    if !alone.is_empty() && !others.is_empty() {
        errors.push(Error::forbidden(&path, "may not use ReadWriteOncePod with other access modes"));
    }
    errors
}

fn requested(spec: &Value, path: &Path) -> Option<Error> {
    let Some(amount) = some(spec, "/resources/requests/storage") else {
        return Some(Error::required(path, ""));
    };
    let amount = Quantity::from_value(amount).ok()?;
    (amount.signum() <= 0).then(|| Error::invalid(path, amount.to_string(), "must be greater than zero"))
}

fn class_if_any(class: &str, path: &Path) -> Vec<Error> {
    if class.is_empty() { Vec::new() } else { by(name::is_dns1123_subdomain, class, path).collect() }
}

fn data_source(source: &Value, path: &Path) -> Vec<Error> {
    let (group, kind) = (text(source, "/apiGroup"), text(source, "/kind"));
    let mut errors = Vec::new();
    for field in ["name", "kind"] {
        if text(source, &format!("/{field}")).is_empty() {
            errors.push(Error::required(&path.child(field), ""));
        }
    }
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(Error::invalid(path, kind, why));
    }
    if !group.is_empty() {
        errors.extend(by(name::is_dns1123_subdomain, group, &path.child("apiGroup")));
    }
    errors
}

/// What of a claim may change: its volume and its class once, and when it is bound its size and the class of its
/// attributes.
pub(crate) fn claim_change(object: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("spec");
    let is_bound = text(object, "/status/phase") == "Bound";
    let mut was = old["spec"].clone();
    let new = &object["spec"];
    let take = |was: &mut Value, field: &str| match (was.as_object_mut(), new.get(field)) {
        (Some(map), Some(value)) => drop(map.insert(field.to_owned(), value.clone())),
        (Some(map), None) => drop(map.remove(field)),
        (None, _) => {}
    };
    if text(old, "/spec/volumeName").is_empty() {
        take(&mut was, "volumeName");
    }
    // Who names no class gets the default one, as soon as there is one. The annotation is the name of old.
    let annotated = text(old, "/metadata/annotations/volume.beta.kubernetes.io~1storage-class");
    let class = some(new, "/storageClassName").and_then(Value::as_str);
    if some(&was, "/storageClassName").is_none()
        && class.is_some_and(|class| ["", class].contains(&annotated))
    {
        take(&mut was, "storageClassName");
    }
    if is_bound {
        take(&mut was, "volumeAttributesClassName");
        if some(new, "/resources/requests").is_some() {
            let size = some(new, "/resources/requests/storage").cloned().unwrap_or_default();
            was["resources"]["requests"]["storage"] = size;
        }
    }
    let mut errors = Vec::new();
    if was != *new {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.push(Error::forbidden(&path, why));
    }
    let amount = |value: &Value, pointer: &str| {
        let given = some(value, pointer).and_then(|amount| Quantity::from_value(amount).ok());
        given.unwrap_or_else(|| Quantity::new(0, alcove_object::quantity::Format::DecimalSi))
    };
    let asked = |value: &Value| amount(value, "/spec/resources/requests/storage");
    if asked(object) < asked(old) && asked(object) <= amount(old, "/status/capacity/storage") {
        let at = path.child("resources").child("requests").child("storage");
        errors.push(Error::forbidden(&at, "field can not be less than status.capacity"));
    }
    errors.extend(immutable(object, old, "/spec/volumeMode", &Path::new("volumeMode")));
    errors
}

/// A claim names its source twice, in an old field and a new one (k8s.io/kubernetes/pkg/api/persistentvolumeclaim).
pub(crate) fn same_sources(claim: &mut Value) {
    let Some(spec) = claim.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let there = |name: &str| spec.get(name).filter(|value| !value.is_null()).cloned();
    match (there("dataSource"), there("dataSourceRef")) {
        // Other sources were ignored once, and are where only the old field names them.
        (Some(source), None) if !was_known(&source) => {
            spec.remove("dataSource");
        }
        (Some(mut source), None) => {
            if source.get("apiGroup").is_none() {
                source["apiGroup"] = Value::Null;
            }
            spec.insert("dataSourceRef".into(), source);
        }
        (None, Some(reference)) if text(&reference, "/namespace").is_empty() && was_known(&reference) => {
            let group = reference.get("apiGroup").cloned().unwrap_or_default();
            let source = json!({"apiGroup": group, "kind": reference["kind"], "name": reference["name"]});
            spec.insert("dataSource".into(), source);
        }
        _ => {}
    }
}

/// Whether the old field can name this source.
fn was_known(source: &Value) -> bool {
    const KNOWN: [(&str, &str); 2] =
        [("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot")];
    KNOWN.contains(&(text(source, "/apiGroup"), text(source, "/kind")))
}

pub(crate) const VOLUME: &[Rule] = &[("", By(whole_volume))];

fn whole_volume(object: &Value, _: &Path) -> Vec<Error> {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let mut errors = volume_spec(spec, text(object, "/metadata/name"), false, &Path::new("spec"));
    errors.extend(old_mount_options(object, spec));
    errors
}

/// Options for mounting in an annotation, which not every source knows (pkg/volume/validation).
fn old_mount_options(object: &Value, spec: &Value) -> Option<Error> {
    const OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";
    const TAKE_THEM: [&str; 13] = [
        "gcePersistentDisk",
        "awsElasticBlockStore",
        "glusterfs",
        "nfs",
        "rbd",
        "quobyte",
        "iscsi",
        "cinder",
        "cephfs",
        "azureFile",
        "vsphereVolume",
        "azureDisk",
        "photonPersistentDisk",
    ];
    let takes_them = TAKE_THEM.iter().any(|source| field(spec, source).is_some());
    let path = Path::new("metadata").child("annotations").child(OPTIONS);
    (!takes_them && meta::annotation(object, OPTIONS).is_some())
        .then(|| Error::forbidden(&path, "may not specify mount options for this volume type"))
}

/// The spec of a volume, of its own or inside an attachment.
pub(super) fn volume_spec(spec: &Value, _name: &str, inline: bool, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let in_line = |field: &str| {
        Error::forbidden(&path.child(field), "may not be specified in the context of inline volumes")
    };
    if inline {
        errors.extend(["claimRef", "capacity"].into_iter().filter(|f| field(spec, f).is_some()).map(in_line));
        if field(spec, "csi").is_none() {
            let why = "has to be specified in the context of inline volumes";
            errors.push(Error::required(&path.child("csi"), why));
        }
    }
    errors.extend(access_modes(spec, "", path));
    if !inline {
        errors.extend(capacity(spec, &path.child("capacity")));
    }
    if !inline
        && !matches!(text(spec, "/persistentVolumeReclaimPolicy"), "" | "Delete" | "Recycle" | "Retain")
    {
        let given = text(spec, "/persistentVolumeReclaimPolicy");
        let at = path.child("persistentVolumeReclaimPolicy");
        errors.push(Error::not_supported(&at, given, &["Delete", "Recycle", "Retain"]));
    }
    errors.extend(node_affinity(spec, path));
    errors.extend(one_of_sources(spec, path));
    let class = text(spec, "/storageClassName");
    match inline {
        true if !class.is_empty() => errors.push(in_line("storageClassName")),
        true => {}
        false => {
            errors.extend(class_if_any(class, &path.child("storageClassName")));
            errors.extend(below(spec, &[("volumeMode", OneOf(VOLUME_MODES))], path));
        }
    }
    if let Some(class) = some(spec, "/volumeAttributesClassName").and_then(Value::as_str) {
        let at = path.child("volumeAttributesClassName");
        match class {
            "" => errors.push(Error::required(&at, "an empty string is disallowed")),
            class => errors.extend(by(name::is_dns1123_subdomain, class, &at)),
        }
        if field(spec, "csi").is_none() {
            let why = "has to be specified when using volumeAttributesClassName";
            errors.push(Error::required(&path.child("csi"), why));
        }
    }
    errors
}

fn capacity(spec: &Value, path: &Path) -> Vec<Error> {
    let none = serde_json::Map::new();
    let given = some(spec, "/capacity").and_then(Value::as_object).unwrap_or(&none);
    let mut errors = Vec::new();
    if given.is_empty() {
        errors.push(Error::required(path, ""));
    }
    if !given.contains_key("storage") || given.len() > 1 {
        let value = some(spec, "/capacity").cloned().unwrap_or_default();
        errors.push(Error::not_supported(path, value, &["storage"]));
    }
    for (resource, amount) in given {
        let amount = Quantity::from_value(amount).ok().filter(|amount| amount.signum() <= 0);
        let at = path.key(resource);
        errors.extend(amount.map(|a| Error::invalid(&at, a.to_string(), "must be greater than zero")));
    }
    errors
}

fn node_affinity(spec: &Value, path: &Path) -> Vec<Error> {
    let Some(affinity) = field(spec, "nodeAffinity") else { return Vec::new() };
    let path = path.child("nodeAffinity").child("required");
    let Some(required) = field(affinity, "required") else {
        return vec![Error::required(&path, "must specify required node constraints")];
    };
    scheduling::node_selector(required, &path)
}

fn one_of_sources(spec: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let given = SOURCES.into_iter().filter_map(|kind| Some((kind, field(spec, kind)?)));
    let mut count = 0;
    for (kind, source) in given {
        count += 1;
        // Upstream spells some of them in its own way, and forgets one.
        let (judged_at, refused_at) = match kind {
            "cephfs" => (kind, "cephFS"),
            "gcePersistentDisk" => ("persistentDisk", kind),
            plain => (plain, plain),
        };
        if count == 1 || kind == "flexVolume" {
            errors.extend(one_source(kind, source, &path.child(judged_at)));
        } else {
            let why = "may not specify more than 1 volume type";
            errors.push(Error::forbidden(&path.child(refused_at), why));
        }
    }
    if count == 0 {
        errors.push(Error::required(path, "must specify a volume type"));
    }
    errors
}

fn one_source(kind: &str, source: &Value, path: &Path) -> Vec<Error> {
    match kind {
        "csi" => {
            const SECRETS: [&str; 5] = [
                "controllerPublishSecretRef",
                "controllerExpandSecretRef",
                "nodePublishSecretRef",
                "nodeExpandSecretRef",
                "nodeStageSecretRef",
            ];
            let mut errors = driver_name(source.get("driver").unwrap_or(&Value::Null), &path.child("driver"));
            if text(source, "/volumeHandle").is_empty() {
                errors.push(Error::required(&path.child("volumeHandle"), ""));
            }
            for secret in SECRETS.into_iter().filter(|secret| field(source, secret).is_some()) {
                let rules = [
                    ("name", RequiredNamed(name::is_dns1123_subdomain)),
                    ("namespace", RequiredNamed(name::is_dns1123_label)),
                ];
                errors.extend(below(&source[secret], &rules, &path.child(secret)));
            }
            errors
        }
        "local" => match text(source, "/path") {
            "" => vec![Error::required(&path.child("path"), "")],
            given => volume::backsteps(given, &path.child("path")).into_iter().collect(),
        },
        "cinder" | "storageos" if field(source, "secretRef").is_some() => {
            let mut errors = sources::source(kind, source, path);
            let needs = [("name", Required("")), ("namespace", Required(""))];
            errors.extend(below(&source["secretRef"], &needs, &path.child("secretRef")));
            errors
        }
        "azureFile" if some(source, "/secretNamespace").is_some_and(|namespace| namespace == "") => {
            vec![Error::required(&path.child("secretNamespace"), "")]
        }
        _ => sources::source(kind, source, path),
    }
}

/// Where a volume comes from stays, and how it is used.
pub(crate) fn volume_change(object: &Value, old: &Value) -> Vec<Error> {
    let mut errors = Vec::new();
    let source = |object: &Value, lenient: bool| -> Vec<Option<Value>> {
        let mut source: Vec<Option<Value>> =
            SOURCES.iter().map(|kind| field(object.get("spec")?, kind).cloned()).collect();
        if let (true, Some(Some(csi))) = (lenient, source.last_mut()) {
            csi.as_object_mut().map(|csi| csi.remove("controllerExpandSecretRef"));
        }
        source
    };
    let lenient = some(old, "/spec/csi/controllerExpandSecretRef").is_none();
    if source(object, lenient) != source(old, lenient) {
        let path = Path::new("spec").child("persistentvolumesource");
        errors.push(Error::forbidden(&path, "spec.persistentvolumesource is immutable after creation"));
    }
    errors.extend(immutable(object, old, "/spec/volumeMode", &Path::new("volumeMode")));
    let (new, was) = (some(object, "/spec/nodeAffinity"), some(old, "/spec/nodeAffinity"));
    if was.is_some() && new != was {
        let why = "field is immutable, except for updating from beta label to GA";
        errors.push(Error::invalid(&Path::new("nodeAffinity"), new.cloned().unwrap_or_default(), why));
    }
    let class = "/spec/volumeAttributesClassName";
    if some(old, class).is_some() && some(object, class).is_none() {
        let path = Path::new("spec").child("volumeAttributesClassName");
        errors.push(Error::forbidden(&path, "update from non-nil value to nil is forbidden"));
    }
    errors
}
