//! Where volumes come from: the rules of each kind of source, for pods, for persistent volumes and for those inside of
//! attachments (k8s.io/kubernetes/pkg/apis/core/validation).

use super::claims::claim_spec;
use super::storage::driver_name;
use super::volume::{backsteps, descending};
use super::{by, items};
use crate::kinds::tree::{field, field_text, flag, int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::quantity::Quantity;
use alcove_object::validate::{validate_annotations, validate_labels};
use alcove_object::{Value, name};
use std::collections::BTreeSet;

/// What sources must say, in pods and in volumes.
const NEEDS: &[(&str, &[&str])] = &[
    ("awsElasticBlockStore", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("azureFile", &["secretName", "shareName"]),
    ("cephfs", &["monitors"]),
    ("cinder", &["volumeID"]),
    ("configMap", &["name"]),
    ("flexVolume", &["driver"]),
    ("gcePersistentDisk", &["pdName"]),
    ("gitRepo", &["repository"]),
    ("glusterfs", &["endpoints", "path"]),
    ("hostPath", &["path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("nfs", &["server", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("quobyte", &["volume"]),
    ("rbd", &["monitors", "image"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("secret", &["secretName"]),
    ("storageos", &["volumeName"]),
    ("vsphereVolume", &["volumePath"]),
];

/// One source of a kind, by the rules that pods and volumes share.
pub(super) fn source(kind: &str, source: &Value, path: &Path) -> Vec<Error> {
    let is_missing = |f: &&&str| {
        let value = field(source, f);
        value.is_none_or(|v| v == "" || v.as_array().is_some_and(Vec::is_empty))
    };
    let needs = NEEDS.iter().filter(|(needy, _)| *needy == kind).flat_map(|(_, fields)| fields.iter());
    let mut errors: Vec<Error> =
        needs.filter(is_missing).map(|f| Error::required(&path.child(f), "")).collect();
    match kind {
        "hostPath" if errors.is_empty() => {
            errors.extend(backsteps(text(source, "/path"), &path.child("path")));
            errors.extend(host_path_type(source, path));
        }
        "awsElasticBlockStore" | "gcePersistentDisk" => errors.extend(partition(source, path)),
        "azureDisk" => errors.extend(azure_disk(source, path)),
        "fc" => errors.extend(fibre_channel(source, path)),
        "flexVolume" => errors.extend(reserved_options(source, path)),
        "flocker" => errors.extend(flocker(source, path)),
        "iscsi" => errors.extend(iscsi(source, path)),
        "nfs" if !text(source, "/path").starts_with('/') => {
            let given = text(source, "/path");
            errors.push(Error::invalid(&path.child("path"), given, "must be an absolute path"));
        }
        "quobyte" => errors.splice(0..0, registry(source, path)).for_each(drop),
        "storageos" => {
            for name in ["volumeName", "volumeNamespace"] {
                let given = field_text(source, name);
                if !given.is_empty() {
                    errors.extend(by(name::is_dns1123_label, given, &path.child(name)));
                }
            }
        }
        _ => {}
    }
    errors
}

/// One source of a kind as pods have it.
pub(super) fn of_pod(kind: &str, given: &Value, is_pod: bool, path: &Path) -> Vec<Error> {
    let mut errors = source(kind, given, path);
    match kind {
        "emptyDir" => {
            let limit = field(given, "sizeLimit").and_then(|limit| Quantity::from_value(limit).ok());
            if limit.is_some_and(|limit| limit.signum() < 0) {
                let why = "SizeLimit field must be a valid resource quantity";
                errors.push(Error::forbidden(&path.child("sizeLimit"), why));
            }
        }
        "gitRepo" => {
            errors.extend(descending(text(given, "/directory"), &path.child("directory")));
        }
        "secret" | "configMap" => {
            errors.extend(mode(given, "defaultMode", path));
            errors.extend(items(given, "items", path).flat_map(|(at, item)| key_to_path(item, &at)));
        }
        "cinder" | "storageos" if some(given, "/secretRef").is_some() => {
            errors.extend(secret_name(given, "secretRef", path));
        }
        "csi" => {
            errors.extend(driver_name(given.get("driver").unwrap_or(&Value::Null), &path.child("driver")));
            if some(given, "/nodePublishSecretRef").is_some() {
                errors.extend(secret_name(given, "nodePublishSecretRef", path));
                let secret = text(given, "/nodePublishSecretRef/name");
                if !secret.is_empty() {
                    errors.extend(by(name::is_dns1123_subdomain, secret, &path.child("name")));
                }
            }
        }
        "downwardAPI" => {
            errors.extend(mode(given, "defaultMode", path));
            errors.extend(list(given, "/items").iter().flat_map(|file| downward_file(file, path)));
        }
        "projected" => {
            errors.extend(mode(given, "defaultMode", path));
            errors.extend(projections(given, path));
        }
        "ephemeral" => match field(given, "volumeClaimTemplate") {
            None => errors.push(Error::required(&path.child("volumeClaimTemplate"), "")),
            Some(template) => errors.extend(claim_template(template, &path.child("volumeClaimTemplate"))),
        },
        "image" => {
            if is_pod && text(given, "/reference").is_empty() {
                errors.push(Error::required(&path.child("reference"), ""));
            }
            errors.extend(super::container::pull_policy(given, "pullPolicy", path));
        }
        _ => {}
    }
    errors
}

fn secret_name(source: &Value, reference: &str, path: &Path) -> Option<Error> {
    let is_missing = text(source, &format!("/{reference}/name")).is_empty();
    is_missing.then(|| Error::required(&path.child(reference).child("name"), ""))
}

fn claim_template(template: &Value, path: &Path) -> Vec<Error> {
    let mut errors = template_metadata(template, &path.child("metadata"));
    errors.extend(claim_spec(template.get("spec").unwrap_or(&Value::Null), &path.child("spec")));
    errors
}

/// The metadata of a template for objects that get names of their own: labels and annotations.
pub(super) fn template_metadata(template: &Value, path: &Path) -> Vec<Error> {
    let metadata = template.get("metadata").unwrap_or(&Value::Null);
    let mut errors = validate_annotations(metadata.get("annotations"), &path.child("annotations"));
    errors.extend(validate_labels(metadata.get("labels"), &path.child("labels")));
    let fields = metadata.as_object().into_iter().flatten();
    let others = fields.filter(|(key, value)| {
        !matches!(key.as_str(), "annotations" | "labels" | "managedFields")
            && !value.is_null()
            && *value != ""
            && *value != 0
    });
    // Upstream makes places of the names in Go.
    let place = |key: &str| if key == "uid" { path.child("uID") } else { path.child(key) };
    errors.extend(others.map(|(key, _)| Error::forbidden(&place(key), "cannot be set")));
    errors
}

fn host_path_type(source: &Value, path: &Path) -> Option<Error> {
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let given = field(source, "type")?.as_str()?;
    (!TYPES.contains(&given)).then(|| Error::not_supported(&path.child("type"), given, &TYPES))
}

fn partition(source: &Value, path: &Path) -> Option<Error> {
    let given = int(source, "/partition");
    let why = "must be between 1 and 255, inclusive";
    (!(0..=255).contains(&given)).then(|| Error::invalid(&path.child("partition"), given, why))
}

fn azure_disk(source: &Value, path: &Path) -> Vec<Error> {
    const CACHING: [&str; 3] = ["None", "ReadOnly", "ReadWrite"];
    const KINDS: [&str; 3] = ["Dedicated", "Managed", "Shared"];
    let mut errors = Vec::new();
    for (name, allowed) in [("cachingMode", CACHING), ("kind", KINDS)] {
        let given = field(source, name).and_then(Value::as_str);
        let wrong = given.filter(|given| !allowed.contains(given));
        errors.extend(wrong.map(|given| Error::not_supported(&path.child(name), given, &allowed)));
    }
    let (kind, uri) = (field(source, "kind").and_then(Value::as_str), text(source, "/diskURI"));
    let (head, form) = match kind {
        None => return errors,
        Some("Managed") => (
            "/subscriptions/",
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
        ),
        Some(_) => {
            ("https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd")
        }
    };
    if !uri.starts_with(head) {
        errors.push(Error::not_supported(&path.child("diskURI"), uri, &[form]));
    }
    errors
}

fn fibre_channel(source: &Value, path: &Path) -> Vec<Error> {
    let (names, ids) = (list(source, "/targetWWNs"), list(source, "/wwids"));
    let at = path.child("targetWWNs");
    let mut errors = Vec::new();
    if names.is_empty() && ids.is_empty() {
        errors.push(Error::required(&at, "must specify either targetWWNs or wwids, but not both"));
    }
    if !names.is_empty() && !ids.is_empty() {
        let why = "targetWWNs and wwids can not be specified simultaneously";
        errors.push(Error::invalid(&at, names.to_vec(), why));
    }
    if names.is_empty() {
        return errors;
    }
    let at = path.child("lun");
    match field(source, "lun").and_then(Value::as_i64) {
        None => errors.push(Error::required(&at, "lun is required if targetWWNs is specified")),
        Some(lun) => {
            let wrong = name::is_in_range(lun, 0, 255).into_iter();
            errors.extend(wrong.map(|why| Error::invalid(&at, lun, why)));
        }
    }
    errors
}

fn reserved_options(source: &Value, path: &Path) -> Vec<Error> {
    let options = field(source, "options").and_then(Value::as_object).into_iter().flatten();
    let is_reserved = |key: &str| {
        let domain = format!(".{}", key.split_once('/').map_or(key, |(domain, _)| domain).to_lowercase());
        domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io")
    };
    let reserved = options.map(|(key, _)| key).filter(|key| is_reserved(key));
    let why = "kubernetes.io and k8s.io namespaces are reserved";
    reserved.map(|key| Error::invalid(&path.child("options").key(key), key.as_str(), why)).collect()
}

fn flocker(source: &Value, path: &Path) -> Vec<Error> {
    let (name, uuid) = (text(source, "/datasetName"), text(source, "/datasetUUID"));
    let mut errors = Vec::new();
    match (name.is_empty(), uuid.is_empty()) {
        (true, true) => {
            errors.push(Error::required(path, "one of datasetName and datasetUUID is required"));
        }
        (false, false) => {
            let why = "datasetName and datasetUUID can not be specified simultaneously";
            errors.push(Error::invalid(path, "resource", why));
        }
        _ => {}
    }
    if name.contains('/') {
        errors.push(Error::invalid(&path.child("datasetName"), name, "must not contain '/'"));
    }
    errors
}

fn iscsi(source: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let qualified = text(source, "/iqn");
    if !qualified.is_empty() {
        errors.extend(qualified_name(qualified, &path.child("iqn")));
    }
    let lun = int(source, "/lun");
    let wrong = name::is_in_range(lun, 0, 255).into_iter();
    errors.extend(wrong.map(|why| Error::invalid(&path.child("lun"), lun, why)));
    let authenticates = flag(source, "/chapAuthDiscovery") || flag(source, "/chapAuthSession");
    if authenticates && some(source, "/secretRef").is_none() {
        errors.push(Error::required(&path.child("secretRef"), ""));
    }
    if let Some(initiator) = field(source, "initiatorName").and_then(Value::as_str) {
        errors.extend(qualified_name(initiator, &path.child("initiatorname")));
    }
    errors
}

/// A name of iSCSI in one of its three forms.
fn qualified_name(given: &str, path: &Path) -> Option<Error> {
    let is_word =
        |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_right = match given.get(..3) {
        Some("iqn") => is_iqn(given),
        Some("eui") => given.get(4..).is_some_and(|rest| is_word(rest, 16)),
        Some("naa") => given.get(4..).is_some_and(|rest| is_word(rest, 32)),
        _ => {
            let why = "must be valid format starting with iqn, eui, or naa";
            return Some(Error::invalid(path, given, why));
        }
    };
    (!is_right).then(|| Error::invalid(path, given, "must be valid format"))
}

/// `iqn.YEAR-MONTH.NAME:TARGET`.
fn is_iqn(given: &str) -> bool {
    let Some(rest) = given.strip_prefix("iqn.") else { return false };
    let Some((head, target)) = rest.split_once(':') else { return false };
    let digits = |range: std::ops::Range<usize>| {
        head.get(range).is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_dated = digits(0..4) && head.get(4..5) == Some("-") && digits(5..7) && head.get(7..8) == Some(".");
    let name = head.get(8..).unwrap_or_default();
    is_dated
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        && !target.is_empty()
        && !target.contains(|c: char| ",;*&$|".contains(c) || c.is_ascii_whitespace())
}

fn registry(source: &Value, path: &Path) -> Vec<Error> {
    let why = "must be a host:port pair or multiple pairs separated by commas";
    let (registry, at) = (text(source, "/registry"), path.child("registry"));
    if registry.is_empty() {
        return vec![Error::required(&at, why)];
    }
    if text(source, "/tenant").len() >= 65 {
        let why = "must be a UUID and may not exceed a length of 64 characters";
        return vec![Error::required(&path.child("tenant"), why)];
    }
    let wrong = registry.split(',').filter(|pair| !is_host_and_port(pair));
    wrong.map(|_| Error::invalid(&at, registry, why)).collect()
}

/// Whether Go's net.SplitHostPort takes it.
fn is_host_and_port(pair: &str) -> bool {
    match pair.strip_prefix('[') {
        Some(rest) => rest.split_once(']').is_some_and(|(host, port)| {
            !host.contains('[') && port.strip_prefix(':').is_some_and(|port| !port.contains([':', '[', ']']))
        }),
        None => pair.matches(':').count() == 1 && !pair.contains(['[', ']']),
    }
}

pub(super) fn mode(source: &Value, name: &str, path: &Path) -> Option<Error> {
    let mode = field(source, name)?.as_i64()?;
    let why = "must be a number between 0 and 0777 (octal), both inclusive";
    (!(0..=0o777).contains(&mode)).then(|| Error::invalid(&path.child(name), mode, why))
}

/// A key that becomes a file.
fn key_to_path(item: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for name in ["key", "path"] {
        if field_text(item, name).is_empty() {
            errors.push(Error::required(&path.child(name), ""));
        }
    }
    errors.extend(not_reserved(text(item, "/path"), &path.child("path")));
    errors.extend(mode(item, "mode", path));
    errors
}

/// A path below another whose first step is not the kubelet's own.
fn not_reserved(given: &str, path: &Path) -> Vec<Error> {
    let mut errors = descending(given, path);
    if given.starts_with("..") && !given.starts_with("../") {
        errors.push(Error::invalid(path, given, "must not start with '..'"));
    }
    errors
}

/// Fields of a pod that become files.
const FILE_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Upstream says nothing of which file of a volume is meant.
fn downward_file(file: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    if text(file, "/path").is_empty() {
        errors.push(Error::required(&path.child("path"), ""));
    }
    errors.extend(not_reserved(text(file, "/path"), &path.child("path")));
    match (field(file, "fieldRef"), field(file, "resourceFieldRef")) {
        (Some(reference), other) => {
            let at = path.child("fieldRef");
            errors.extend(super::environment::field_ref(reference, &FILE_FIELDS, &at));
            if other.is_some() {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(Error::invalid(path, "resource", why));
            }
        }
        (None, Some(reference)) => {
            let at = path.child("resourceFieldRef");
            errors.extend(super::environment::resource_ref(reference, true, &at));
        }
        (None, None) => {
            errors.push(Error::required(path, "one of fieldRef and resourceFieldRef is required"));
        }
    }
    errors.extend(mode(file, "mode", path));
    errors
}

/// Several sources in one volume, whose files do not cover each other.
fn projections(projected: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut taken = BTreeSet::new();
    for (at, source) in items(projected, "sources", path) {
        let mut count = 0;
        for (kind, source) in source.as_object().into_iter().flatten().filter(|(_, v)| !v.is_null()) {
            count += 1;
            errors.extend(projection(kind, source, &mut taken, &at.child(kind), path));
        }
        if count > 1 {
            let why = "may not specify more than 1 volume type per source";
            errors.push(Error::forbidden(&at, why));
        }
    }
    errors
}

fn projection<'a>(
    kind: &str,
    source: &'a Value,
    taken: &mut BTreeSet<&'a str>,
    at: &Path,
    whole: &Path,
) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut take = |file: &'a str, shown: &str| {
        let is_double = !file.is_empty() && !taken.insert(file);
        is_double.then(|| Error::invalid(whole, shown, "conflicting duplicate paths"))
    };
    match kind {
        "secret" | "configMap" => {
            let name = text(source, "/name");
            if name.is_empty() {
                errors.push(Error::required(&at.child("name"), ""));
            }
            for (at, item) in items(source, "items", at) {
                errors.extend(key_to_path(item, &at));
                errors.extend(take(text(item, "/path"), name));
            }
        }
        "downwardAPI" => {
            for file in list(source, "/items") {
                errors.extend(downward_file(file, at));
                let path = text(file, "/path");
                errors.extend(take(path, path));
            }
        }
        "serviceAccountToken" => errors.extend(token(source, at, whole)),
        "clusterTrustBundle" => {
            let (file, place) = (text(source, "/path"), at.child("path"));
            if file.is_empty() {
                errors.push(Error::required(&place, ""));
            }
            errors.extend(not_reserved(file, &place));
            errors.extend(take(file, file));
        }
        _ => {}
    }
    errors
}

fn token(source: &Value, at: &Path, whole: &Path) -> Vec<Error> {
    let (seconds, place) = (int(source, "/expirationSeconds"), at.child("expirationSeconds"));
    let mut errors = Vec::new();
    if seconds < 600 {
        errors.push(Error::invalid(&place, seconds, "may not specify a duration less than 10 minutes"));
    }
    if seconds > 1 << 32 {
        errors.push(Error::invalid(&place, seconds, "may not specify a duration larger than 2^32 seconds"));
    }
    match text(source, "/path") {
        "" => errors.push(Error::required(&whole.child("path"), "")),
        file => errors.extend(not_reserved(file, &whole.child("path"))),
    }
    errors
}
