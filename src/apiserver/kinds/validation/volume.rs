//! Volumes of a pod.

use super::{by, items};
use crate::kinds::tree::{int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, name};
use std::collections::BTreeSet;

/// All volumes: names, one source each. Gives the names of the good ones beside what is wrong.
pub(super) fn volumes<'a>(spec: &'a Value, path: &Path) -> (BTreeSet<&'a str>, Vec<Error>) {
    let mut good = BTreeSet::new();
    let mut errors = Vec::new();
    for (at, volume) in items(spec, "volumes", path) {
        let name = text(volume, "/name");
        let name_path = at.child("name");
        let mut wrong = source(volume, &at);
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
    }
    (good, errors)
}

/// The order in which upstream looks for sources; the second one found is too many.
const ORDER: [&str; 29] = [
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
];

/// What sources that are nothing but a few names must say, in pods and in volumes.
const NEEDS: &[(&str, &[&str])] = &[
    ("awsElasticBlockStore", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("azureFile", &["secretName", "shareName"]),
    ("cephfs", &["monitors"]),
    ("cinder", &["volumeID"]),
    ("csi", &["driver"]),
    ("flexVolume", &["driver"]),
    ("gcePersistentDisk", &["pdName"]),
    ("gitRepo", &["repository"]),
    ("glusterfs", &["endpoints", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("nfs", &["server", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("quobyte", &["volume"]),
    ("rbd", &["monitors", "image"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("vsphereVolume", &["volumePath"]),
];

/// A volume has exactly one source.
fn source(volume: &Value, path: &Path) -> Vec<Error> {
    let mut sources: Vec<(&str, &Value)> = volume
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| *key != "name" && !value.is_null())
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    sources.sort_by_key(|(key, _)| ORDER.iter().position(|o| o == key).unwrap_or(ORDER.len()));
    let mut errors = Vec::new();
    let mut count = 0;
    for (kind, source) in sources {
        count += 1;
        // Upstream spells one of them in its own way.
        let at = path.child(if kind == "cephfs" { "cephFS" } else { kind });
        if count > 1 {
            errors.push(Error::forbidden(&at, "may not specify more than 1 volume type"));
            continue;
        }
        errors.extend(one_source(kind, source, &at));
    }
    if count == 0 {
        errors.push(Error::required(path, "must specify a volume type"));
    }
    errors
}

pub(super) fn one_source(kind: &str, source: &Value, path: &Path) -> Vec<Error> {
    let required = |field: &str| {
        let pointer = format!("/{field}");
        let is_missing = text(source, &pointer).is_empty() && list(source, &pointer).is_empty();
        is_missing.then(|| Error::required(&path.child(field), ""))
    };
    let needs = NEEDS.iter().filter(|(needy, _)| *needy == kind).flat_map(|(_, fields)| fields.iter());
    let mut errors: Vec<Error> = needs.filter_map(|field| required(field)).collect();
    match kind {
        "hostPath" => {
            errors.extend(required("path"));
            errors.extend(backsteps(text(source, "/path"), &path.child("path")));
        }
        "secret" => {
            errors.extend(required("secretName"));
            errors.extend(mode(source, "defaultMode", path));
            errors.extend(keys(source, path));
        }
        "configMap" => {
            if text(source, "/name").is_empty() {
                errors.push(Error::required(&path.child("name"), ""));
            }
            errors.extend(mode(source, "defaultMode", path));
            errors.extend(keys(source, path));
        }
        "downwardAPI" | "projected" => errors.extend(mode(source, "defaultMode", path)),
        "ephemeral" if some(source, "/volumeClaimTemplate").is_none() => {
            errors.push(Error::required(&path.child("volumeClaimTemplate"), ""));
        }
        _ => {}
    }
    errors
}

/// Keys that become files.
fn keys(source: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (at, item) in items(source, "items", path) {
        for field in ["key", "path"] {
            if text(item, &format!("/{field}")).is_empty() {
                errors.push(Error::required(&at.child(field), ""));
            }
        }
        errors.extend(descending(text(item, "/path"), &at.child("path")));
        errors.extend(mode(item, "mode", &at));
    }
    errors
}

fn mode(source: &Value, field: &str, path: &Path) -> Option<Error> {
    some(source, &format!("/{field}"))?;
    let mode = int(source, &format!("/{field}"));
    let why = "must be a number between 0 and 0777 (octal), both inclusive";
    (!(0..=0o777).contains(&mode)).then(|| Error::invalid(&path.child(field), mode, why))
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
        let (sub, expression) = (text(mount, "/subPath"), text(mount, "/subPathExpr"));
        // Upstream leaves the index out of these two paths.
        let list_path = path.child("volumeMounts");
        errors.extend(descending(sub, &list_path.child("subPath")));
        if !expression.is_empty() && !sub.is_empty() {
            let why = "subPathExpr and subPath are mutually exclusive";
            errors.push(Error::invalid(&at.child("subPathExpr"), expression, why));
        }
        errors.extend(descending(expression, &list_path.child("subPathExpr")));
    }
    errors
}
