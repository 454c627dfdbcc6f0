//! Volumes of a pod, and where containers have them (k8s.io/kubernetes/pkg/apis/core/validation).

use super::container::Surroundings;
use super::{by, items, sources};
use crate::kinds::tree::{field, flag, list, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, name};
use std::collections::BTreeSet;

/// The order in which upstream looks for sources; the second one found is too many.
const ORDER: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// All volumes: names, one source each. Gives the names of the good ones beside what is wrong. `pod`: whose they are,
/// unless they are a template's.
pub(super) fn volumes<'a>(
    spec: &'a Value,
    pod: Option<&Value>,
    path: &Path,
) -> (BTreeSet<&'a str>, Vec<Error>) {
    let pod_name = pod.map(meta::name).unwrap_or_default();
    let made: BTreeSet<String> = list(spec, "/volumes")
        .iter()
        .filter(|volume| !pod_name.is_empty() && field(volume, "ephemeral").is_some())
        .map(|volume| format!("{pod_name}-{}", text(volume, "/name")))
        .collect();
    let mut good = BTreeSet::new();
    let mut errors = Vec::new();
    for (at, volume) in items(spec, "volumes", path) {
        let name = text(volume, "/name");
        let name_path = at.child("name");
        let mut wrong = source(volume, pod_name, pod.is_some(), &at);
        match name {
            "" => wrong.push(Error::required(&name_path, "")),
            name => wrong.extend(by(name::is_dns1123_label, name, &name_path)),
        }
        if good.contains(name) {
            wrong.push(Error::duplicate(&name_path, name));
        }
        if wrong.is_empty() {
            good.insert(name);
        }
        errors.extend(wrong);
        let claim = text(volume, "/persistentVolumeClaim/claimName");
        if made.contains(claim) {
            let why = "must not reference a PVC that gets created for an ephemeral volume";
            let at = at.child("persistentVolumeClaim").child("claimName");
            errors.push(Error::invalid(&at, claim, why));
        }
    }
    (good, errors)
}

/// A volume has exactly one source.
fn source(volume: &Value, pod_name: &str, is_pod: bool, path: &Path) -> Vec<Error> {
    let mut given: Vec<(&str, &Value)> = volume
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| *key != "name" && !value.is_null())
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    given.sort_by_key(|(key, _)| ORDER.iter().position(|o| o == key).unwrap_or(ORDER.len()));
    let mut errors = Vec::new();
    let mut count = 0;
    for (kind, source) in given {
        count += 1;
        // Upstream spells some of them in its own way.
        let (judged_at, refused_at) = match kind {
            "cephfs" => (kind, "cephFS"),
            "downwardAPI" => (kind, "downwarAPI"),
            "gcePersistentDisk" => ("persistentDisk", kind),
            plain => (plain, plain),
        };
        if count > 1 {
            errors.push(Error::forbidden(&path.child(refused_at), "may not specify more than 1 volume type"));
        } else {
            errors.extend(sources::of_pod(kind, source, is_pod, &path.child(judged_at)));
        }
        errors.extend(named_after(
            kind,
            source,
            text(volume, "/name"),
            (count == 1).then_some(pod_name),
            path,
        ));
    }
    if count == 0 {
        errors.push(Error::required(path, "must specify a volume type"));
    }
    errors
}

/// What follows from the name of a volume.
fn named_after(kind: &str, source: &Value, name: &str, pod: Option<&str>, path: &Path) -> Vec<Error> {
    match (kind, pod) {
        ("iscsi", _) => {
            let length = name.len() + 1 + text(source, "/targetPortal").len();
            let is_long = field(source, "initiatorName").is_some() && length > 64;
            let why = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
            is_long.then(|| Error::invalid(&path.child("name"), name, why)).into_iter().collect()
        }
        ("ephemeral", Some(pod)) if !pod.is_empty() && !name.is_empty() => {
            let claim = format!("{pod}-{name}");
            let wrong = name::is_dns1123_subdomain(&claim).into_iter();
            let shown = alcove_object::field::quote(&claim);
            wrong
                .map(|why| Error::invalid(&path.child("name"), name, format!("PVC name {shown}: {why}")))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// A path below another: relative, and never upwards.
pub(super) fn descending(path_text: &str, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    if path_text.starts_with('/') {
        errors.push(Error::invalid(path, path_text, "must be a relative path"));
    }
    errors.extend(backsteps(path_text, path));
    errors
}

pub(super) fn backsteps(path_text: &str, path: &Path) -> Option<Error> {
    path_text
        .split('/')
        .any(|step| step == "..")
        .then(|| Error::invalid(path, path_text, "must not contain '..'"))
}

/// What a container mounts: volumes that are there, each place once.
pub(super) fn mounts(container: &Value, volumes: &BTreeSet<&str>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut places = BTreeSet::new();
    let devices = list(container, "/volumeDevices");
    // Upstream leaves the index out of some paths.
    let list_path = path.child("volumeMounts");
    for (at, mount) in items(container, "volumeMounts", path) {
        let (name, place) = (text(mount, "/name"), text(mount, "/mountPath"));
        if name.is_empty() {
            errors.push(Error::required(&at.child("name"), ""));
        }
        if !volumes.contains(name) {
            errors.push(Error::not_found(&at.child("name"), name));
        }
        if place.is_empty() {
            errors.push(Error::required(&at.child("mountPath"), ""));
        }
        if !places.insert(place) {
            errors.push(Error::invalid(&at.child("mountPath"), place, "must be unique"));
        }
        if devices.iter().any(|d| text(d, "/name") == name) {
            errors.push(Error::invalid(&at.child("name"), name, "must not already exist in volumeDevices"));
        }
        if devices.iter().any(|d| text(d, "/devicePath") == place) {
            let why = "must not already exist as a path in volumeDevices";
            errors.push(Error::invalid(&at.child("mountPath"), place, why));
        }
        let (sub, expression) = (text(mount, "/subPath"), text(mount, "/subPathExpr"));
        errors.extend(descending(sub, &list_path.child("subPath")));
        if !expression.is_empty() && !sub.is_empty() {
            let why = "subPathExpr and subPath are mutually exclusive";
            errors.push(Error::invalid(&at.child("subPathExpr"), expression, why));
        }
        errors.extend(descending(expression, &list_path.child("subPathExpr")));
        errors.extend(propagation(mount, container, &list_path.child("mountPropagation")));
        errors.extend(recursive_read_only(mount, &list_path.child("recursiveReadOnly")));
    }
    errors
}

fn propagation(mount: &Value, container: &Value, path: &Path) -> Vec<Error> {
    const MODES: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
    let Some(mode) = field(mount, "mountPropagation").and_then(Value::as_str) else { return Vec::new() };
    let mut errors = Vec::new();
    if !MODES.contains(&mode) {
        errors.push(Error::not_supported(path, mode, &MODES));
    }
    if mode == "Bidirectional" && !flag(container, "/securityContext/privileged") {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(Error::forbidden(path, why));
    }
    errors
}

fn recursive_read_only(mount: &Value, path: &Path) -> Vec<Error> {
    let Some(mode) = field(mount, "recursiveReadOnly").and_then(Value::as_str) else { return Vec::new() };
    let mut errors = Vec::new();
    match mode {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !flag(mount, "/readOnly") {
                errors.push(Error::forbidden(path, "may only be specified when readOnly is true"));
            }
            if field(mount, "mountPropagation").is_some_and(|mode| *mode != "None") {
                let why = "may only be specified when mountPropagation is None or not specified";
                errors.push(Error::forbidden(path, why));
            }
        }
        other => errors.push(Error::not_supported(path, other, &["Disabled", "Enabled", "IfPossible"])),
    }
    errors
}

/// What a container has as devices: claims, each place once.
pub(super) fn devices(container: &Value, pod: &Surroundings<'_>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
    let mounts = list(container, "/volumeMounts");
    for (at, device) in items(container, "volumeDevices", path) {
        let (name, place) = (text(device, "/name"), text(device, "/devicePath"));
        let (name_path, place_path) = (at.child("name"), at.child("devicePath"));
        let volume = list(pod.spec, "/volumes").iter().find(|v| text(v, "/name") == name);
        let volume = volume.filter(|_| pod.volumes.contains(name));
        let is_claim =
            |v: &Value| ["persistentVolumeClaim", "ephemeral"].iter().any(|k| field(v, k).is_some());
        if name.is_empty() {
            errors.push(Error::required(&name_path, ""));
        }
        if names.contains(name) {
            errors.push(Error::invalid(&name_path, name, "must be unique"));
        }
        match volume {
            Some(volume) if !is_claim(volume) => {
                let why =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(Error::invalid(&name_path, name, why));
            }
            Some(_) => {}
            None => errors.push(Error::not_found(&name_path, name)),
        }
        if place.is_empty() {
            errors.push(Error::required(&place_path, ""));
        }
        if places.contains(place) {
            errors.push(Error::invalid(&place_path, place, "must be unique"));
        }
        if backsteps(place, &place_path).is_some() {
            errors.push(Error::invalid(&place_path, place, "can not contain backsteps ('..')"));
        } else {
            places.insert(place);
        }
        if mounts.iter().any(|m| text(m, "/name") == name) {
            errors.push(Error::invalid(&name_path, name, "must not already exist in volumeMounts"));
        }
        if mounts.iter().any(|m| text(m, "/mountPath") == place) {
            let why = "must not already exist as a path in volumeMounts";
            errors.push(Error::invalid(&place_path, place, why));
        }
        if !name.is_empty() {
            names.insert(name);
        }
    }
    errors
}
