//! Classes of storage and what CSI drivers say of themselves (k8s.io/kubernetes/pkg/apis/storage/validation).

use super::by;
use super::claims::volume_spec;
use super::rules::Check::{
    By, Named, NonNegative, NonNegativeQuantity, OneOf, Required, Selector, Unique, Within,
};
use super::rules::{Rule, below, lowered_name};
use crate::kinds::tree::{list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, name};
use std::collections::BTreeMap;

/// Parameters of a class. Past it: 422.
const PARAMETERS_MAX: usize = 512;
/// Keys and values of a class's parameters together, in bytes. Past it: 422.
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;
/// A driver's name, in bytes. Past it: 422.
const DRIVER_BYTES_MAX: usize = 63;
/// What a driver calls a node, in bytes. Past it: 422.
const NODE_ID_BYTES_MAX: usize = 256;

pub(crate) const STORAGE_CLASS: &[Rule] = &[
    ("provisioner", By(lowered_name)),
    ("parameters", By(parameters)),
    ("reclaimPolicy", By(reclaim_policy)),
    ("volumeBindingMode", OneOf(&["Immediate", "WaitForFirstConsumer"])),
    ("allowedTopologies", By(topologies)),
];

/// What may not change of a storage class.
pub(crate) const STORAGE_CLASS_FIXED: &[&str] =
    &["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"];

pub(crate) const VOLUME_ATTRIBUTES_CLASS: &[Rule] =
    &[("driverName", By(lowered_name)), ("parameters", By(some_parameters))];

pub(crate) fn volume_attributes_class_change(object: &Value, old: &Value) -> Vec<Error> {
    let changed =
        ["driverName", "parameters"].into_iter().filter(|field| object.get(field) != old.get(field));
    changed
        .map(|field| Error::forbidden(&Path::new(field), format!("updates to {field} are forbidden.")))
        .collect()
}

fn reclaim_policy(value: &Value, path: &Path) -> Vec<Error> {
    match value.as_str().unwrap_or_default() {
        "" | "Delete" | "Retain" => Vec::new(),
        other => vec![Error::not_supported(path, other, &["Delete", "Retain"])],
    }
}

fn parameters(value: &Value, path: &Path) -> Vec<Error> {
    let count = value.as_object().map_or(0, |map| map.len());
    if count > PARAMETERS_MAX {
        return vec![Error::too_long(path, PARAMETERS_MAX)];
    }
    let has_nameless = meta::entries(Some(value)).any(|(key, _)| key.is_empty());
    let size: usize = meta::entries(Some(value)).map(|(key, value)| key.len() + value.len()).sum();
    let nameless = has_nameless.then(|| Error::invalid(path, "", "field can not be empty."));
    let large = (size > PARAMETERS_BYTES_MAX).then(|| Error::too_long(path, PARAMETERS_BYTES_MAX));
    nameless.into_iter().chain(large).collect()
}

fn some_parameters(value: &Value, path: &Path) -> Vec<Error> {
    let mut errors = parameters(value, path);
    if value.as_object().is_none_or(|map| map.is_empty()) {
        errors.push(Error::required(path, "must contain at least one key/value pair"));
    }
    errors
}

fn topologies(value: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut seen: Vec<BTreeMap<&str, Vec<&str>>> =
        vec![BTreeMap::new(); value.as_array().map_or(0, Vec::len)];
    for (i, term) in value.as_array().into_iter().flatten().enumerate() {
        let at = path.index(i).child("matchLabelExpressions");
        let mut asked = BTreeMap::new();
        for (i, expression) in list(term, "/matchLabelExpressions").iter().enumerate() {
            let (at, key) = (at.index(i), text(expression, "/key"));
            let values: Vec<&str> = list(expression, "/values").iter().filter_map(Value::as_str).collect();
            errors.extend(topology_values(&values, &at.child("values")));
            errors.extend(alcove_object::validate::validate_label_name(key, &at.child("key")));
            let mut sorted = values;
            sorted.sort_unstable();
            if asked.insert(key, sorted).is_some() {
                errors.push(Error::duplicate(&at.child("key"), key));
            }
        }
        errors.extend(seen.iter().filter(|other| **other == asked).map(|_| Error::duplicate(&at, "")));
        seen.push(asked);
    }
    errors
}

fn topology_values(values: &[&str], path: &Path) -> Vec<Error> {
    if values.is_empty() {
        return vec![Error::required(path, "")];
    }
    let doubles = values.iter().enumerate().filter(|(i, value)| values[..*i].contains(value));
    doubles.map(|(i, value)| Error::duplicate(&path.index(i), *value)).collect()
}

/// The name of a driver.
pub(super) fn driver_name(value: &Value, path: &Path) -> Vec<Error> {
    let driver = value.as_str().unwrap_or_default();
    if driver.is_empty() {
        return vec![Error::required(path, "")];
    }
    let is_long = driver.len() > DRIVER_BYTES_MAX;
    let long = is_long.then(|| Error::too_long(path, DRIVER_BYTES_MAX));
    let wrong = name::is_dns1123_subdomain(&driver.to_lowercase());
    long.into_iter().chain(wrong.into_iter().map(|why| Error::invalid(path, driver, why))).collect()
}

pub(crate) const CSI_DRIVER: &[Rule] = &[
    ("spec/fsGroupPolicy", OneOf(&["File", "None", "ReadWriteOnceWithFSType"])),
    ("spec/tokenRequests", Unique("audience")),
    (
        "spec/tokenRequests/*/expirationSeconds",
        Within(600, i64::MAX, "may not specify a duration less than 10 minutes"),
    ),
    (
        "spec/tokenRequests/*/expirationSeconds",
        Within(i64::MIN, 1 << 32, "may not specify a duration larger than 2^32 seconds"),
    ),
    ("spec/volumeLifecycleModes", By(lifecycle_modes)),
    (
        "spec/nodeAllocatableUpdatePeriodSeconds",
        Within(10, i64::MAX, "must be greater than or equal to 10 seconds"),
    ),
    ("spec", By(tokens_in_secrets)),
];

fn lifecycle_modes(value: &Value, path: &Path) -> Vec<Error> {
    const MODES: [&str; 2] = ["Persistent", "Ephemeral"];
    let modes = value.as_array().into_iter().flatten();
    let wrong = modes.filter(|mode| !MODES.iter().any(|known| mode == known));
    wrong.map(|mode| Error::not_supported(path, mode.clone(), &MODES)).collect()
}

fn tokens_in_secrets(spec: &Value, path: &Path) -> Vec<Error> {
    let Some(given) = some(spec, "/serviceAccountTokenInSecrets") else { return Vec::new() };
    if !list(spec, "/tokenRequests").is_empty() {
        return Vec::new();
    }
    let why = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
    vec![Error::invalid(&path.child("serviceAccountTokenInSecrets"), given.clone(), why)]
}

/// Upstream misspells one of the places.
pub(crate) fn csi_driver_change(object: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("spec");
    let fields = [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")];
    let errors = fields.into_iter().filter_map(|(field, shown)| {
        super::immutable(object, old, &format!("/spec/{field}"), &path.child(shown))
    });
    errors.collect()
}

pub(crate) const CSI_NODE: &[Rule] = &[
    ("spec/drivers/*/name", By(driver_name)),
    ("spec/drivers/*/nodeID", Required("")),
    ("spec/drivers/*/nodeID", By(node_id)),
    ("spec/drivers/*/allocatable/count", NonNegative),
    ("spec/drivers", By(driver_twice)),
    ("spec/drivers/*", By(topology_keys)),
];

fn node_id(value: &Value, path: &Path) -> Vec<Error> {
    let id = value.as_str().unwrap_or_default();
    let why = format!("must be {NODE_ID_BYTES_MAX} characters or less");
    let long = (id.len() > NODE_ID_BYTES_MAX).then(|| Error::invalid(path, id, why));
    long.into_iter().collect()
}

fn driver_twice(value: &Value, path: &Path) -> Vec<Error> {
    let names: Vec<&str> =
        value.as_array().into_iter().flatten().map(|driver| text(driver, "/name")).collect();
    let doubles = names.iter().enumerate().filter(|(i, name)| names[..*i].contains(name));
    doubles.map(|(i, name)| Error::duplicate(&path.index(i).child("name"), *name)).collect()
}

/// Upstream blames the driver for its keys.
fn topology_keys(driver: &Value, path: &Path) -> Vec<Error> {
    let keys: Vec<&str> = list(driver, "/topologyKeys").iter().filter_map(Value::as_str).collect();
    let mut errors = Vec::new();
    for (i, key) in keys.iter().enumerate() {
        if key.is_empty() {
            errors.push(Error::required(path, ""));
        }
        if keys[..i].contains(key) {
            errors.push(Error::duplicate(path, *key));
        }
        errors.extend(by(name::is_qualified_name, key, path));
    }
    errors
}

/// Drivers that are there stay what they are, but for how much they take.
pub(crate) fn csi_node_change(object: &Value, old: &Value) -> Vec<Error> {
    let without_count = |driver: &Value| {
        let mut driver = driver.clone();
        driver.as_object_mut().map(|map| map.remove("allocatable"));
        driver
    };
    let path = Path::new("spec").child("drivers");
    let mut errors = Vec::new();
    for was in list(old, "/spec/drivers") {
        let same =
            list(object, "/spec/drivers").iter().filter(|new| text(new, "/name") == text(was, "/name"));
        errors.extend(same.filter_map(|new| {
            alcove_object::validate::validate_immutable(&without_count(new), &without_count(was), &path)
        }));
    }
    errors
}

pub(crate) const CSI_STORAGE_CAPACITY: &[Rule] = &[
    ("nodeTopology", Selector),
    ("storageClassName", Named(name::is_dns1123_subdomain)),
    ("capacity", NonNegativeQuantity),
];

pub(crate) const VOLUME_ATTACHMENT: &[Rule] = &[
    ("spec/attacher", By(driver_name)),
    ("spec/source", By(attachment_source)),
    ("spec/nodeName", Named(name::is_dns1123_subdomain)),
];

/// Bytes of all that a driver says about an attachment. Past it: 422.
const METADATA_BYTES_MAX: usize = 256 << 10;
/// Bytes of what a driver says about an error. Past it: 422.
const MESSAGE_BYTES_MAX: usize = 1024;

/// What a driver says of an attachment.
pub(crate) fn attachment_status(object: &Value, _: &Value) -> Vec<Error> {
    let (path, none) = (Path::new("status"), Value::Null);
    let status = object.get("status").unwrap_or(&none);
    let said = status.get("attachmentMetadata").and_then(Value::as_object).into_iter().flatten();
    let bytes: usize = said.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    let mut errors = Vec::new();
    if bytes > METADATA_BYTES_MAX {
        errors.push(Error::too_long(&path.child("attachmentMetadata"), METADATA_BYTES_MAX));
    }
    for field in ["attachError", "detachError"] {
        let (error, at) = (status.get(field).unwrap_or(&none), path.child(field));
        if text(error, "/message").len() > MESSAGE_BYTES_MAX {
            // Upstream names the other limit.
            errors.push(Error::too_long(&at.child("message"), METADATA_BYTES_MAX));
        }
        errors.extend(below(error, &[("errorCode", Within(0, i32::MAX.into(), ERROR_CODE))], &at));
    }
    errors
}

const ERROR_CODE: &str = "must be between 0 and 2147483647, inclusive";

fn attachment_source(source: &Value, path: &Path) -> Vec<Error> {
    const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    let (inline, volume) = (some(source, "/inlineVolumeSpec"), some(source, "/persistentVolumeName"));
    match (inline, volume.and_then(Value::as_str)) {
        (None, None) => vec![Error::required(path, ONE)],
        (Some(_), Some(_)) => vec![Error::forbidden(path, ONE)],
        (None, Some(volume)) => {
            let at = path.child("persistentVolumeName");
            let mut errors = Vec::new();
            if volume.is_empty() {
                errors.push(Error::required(&at, "must specify non empty persistentVolumeName"));
            }
            errors.extend(by(name::is_dns1123_subdomain, volume, &at));
            errors
        }
        (Some(inline), None) => volume_spec(inline, "", true, &path.child("inlineVolumeSpec")),
    }
}
