//! What claims to devices ask for, and what they were given (k8s.io/kubernetes/pkg/apis/resource/validation).

use super::conditions::conditions;
use super::devices::{binding_conditions, doubles, limited, pool_name, qualified_name};
use super::pod_change::is_same;
use super::storage::driver_name;
use super::{by, immutable, items, scheduling};
use crate::kinds::tree::{field, int, list, some, text};
use alcove_cel::{Decl, Field, Program, Shape, Type, Variable};
use alcove_object::field::{Error, Path};
use alcove_object::validate::validate_label_name;
use alcove_object::{Value, meta, name};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

const REQUESTS_MAX: usize = 32;
const SUBREQUESTS_MAX: usize = 8;
const SELECTORS_MAX: usize = 32;
const CONSTRAINTS_MAX: usize = 32;
const CONFIGS_MAX: usize = 32;
const RESERVATIONS_MAX: usize = 256;
const CONDITIONS_MAX: usize = 8;
const ADDRESSES_MAX: usize = 16;
const EXPRESSION_BYTES_MAX: usize = 10 * 1024;
const EXPRESSION_COST_MAX: u64 = 1_000_000;
const DATA_BYTES_MAX: usize = 10 * 1024;
const INTERFACE_BYTES_MAX: usize = 256;
const HARDWARE_BYTES_MAX: usize = 128;

/// Which requests a claim has, each with the parts of which one will do.
type Names<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

fn request_names(devices: &Value) -> Names<'_> {
    let parts = |request| list(request, "/firstAvailable").iter().map(|part| text(part, "/name")).collect();
    list(devices, "/requests").iter().map(|request| (text(request, "/name"), parts(request))).collect()
}

/// What a claim or a template for claims asks for.
pub(super) fn device_claim(devices: &Value, path: &Path) -> Vec<Error> {
    let names = request_names(devices);
    let name = |value: &Value| text(value, "/name").to_owned();
    let mut errors = limited(devices, "requests", REQUESTS_MAX, path, request);
    errors.extend(doubles(devices, "requests", REQUESTS_MAX, path, name));
    errors.extend(limited(devices, "constraints", CONSTRAINTS_MAX, path, |given, at| {
        constraint(given, &names, at)
    }));
    errors.extend(limited(devices, "config", CONFIGS_MAX, path, |given, at| {
        let mut errors = references(given, &names, at);
        errors.extend(configuration(given, at));
        errors
    }));
    errors
}

fn request(request: &Value, path: &Path) -> Vec<Error> {
    const ONE: &str = "exactly one of `exactly` or `firstAvailable` is required";
    let mut errors: Vec<Error> =
        by(name::is_dns1123_label, text(request, "/name"), &path.child("name")).collect();
    let has_parts = !list(request, "/firstAvailable").is_empty();
    match (field(request, "exactly"), has_parts) {
        (None, false) => errors.push(Error::required(path, ONE)),
        (Some(_), true) => {
            let why = format!("{ONE}, but multiple fields are set");
            errors.push(Error::invalid(path, Value::Null, why));
        }
        (None, true) => {
            errors.extend(limited(request, "firstAvailable", SUBREQUESTS_MAX, path, |part, at| {
                let given = text(part, "/name");
                let mut errors: Vec<Error> = by(name::is_dns1123_label, given, &at.child("name")).collect();
                errors.extend(asked(part, at));
                errors
            }));
            let name = |part: &Value| text(part, "/name").to_owned();
            errors.extend(doubles(request, "firstAvailable", SUBREQUESTS_MAX, path, name));
        }
        (Some(exactly), false) => errors.extend(asked(exactly, &path.child("exactly"))),
    }
    errors
}

/// Of what class, how many, and which of them.
fn asked(request: &Value, path: &Path) -> Vec<Error> {
    let mut errors = match text(request, "/deviceClassName") {
        "" => vec![Error::required(&path.child("deviceClassName"), "")],
        class => by(name::is_dns1123_subdomain, class, &path.child("deviceClassName")).collect(),
    };
    errors.extend(selectors(request, path));
    let (count, at) = (int(request, "/count"), path.child("count"));
    match text(request, "/allocationMode") {
        "All" if count != 0 => {
            errors.push(Error::invalid(&at, count, "must not be specified when allocationMode is 'All'"));
        }
        "ExactCount" if count <= 0 => {
            errors.push(Error::invalid(&at, count, "must be greater than zero"));
        }
        "All" | "ExactCount" => {}
        other => {
            let at = path.child("allocationMode");
            errors.push(Error::not_supported(&at, other, &["All", "ExactCount"]));
        }
    }
    errors.extend(items(request, "tolerations", path).flat_map(|(at, one)| toleration(one, &at)));
    errors
}

fn toleration(toleration: &Value, path: &Path) -> Vec<Error> {
    const OPERATORS: [&str; 2] = ["Equal", "Exists"];
    const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];
    let (key, value) = (text(toleration, "/key"), text(toleration, "/value"));
    let mut errors = Vec::new();
    if !key.is_empty() {
        errors.extend(validate_label_name(key, &path.child("key")));
    }
    match text(toleration, "/operator") {
        "Exists" if !value.is_empty() => {
            errors.push(Error::invalid(&path.child("value"), value, "must be empty for operator `Exists`"));
        }
        "Exists" => {}
        "Equal" => errors.extend(by(name::is_valid_label_value, value, &path.child("value"))),
        "" => errors.push(Error::required(&path.child("operator"), "")),
        other => errors.push(Error::not_supported(&path.child("operator"), other, &OPERATORS)),
    }
    let effect = text(toleration, "/effect");
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        errors.push(Error::not_supported(&path.child("effect"), effect, &EFFECTS));
    }
    errors
}

/// Expressions that a device must fulfil.
pub(super) fn selectors(value: &Value, path: &Path) -> Vec<Error> {
    limited(value, "selectors", SELECTORS_MAX, path, |selector, at| {
        let at = at.child("cel");
        match field(selector, "cel") {
            Some(cel) => expression(text(cel, "/expression"), &at.child("expression")).into_iter().collect(),
            None => vec![Error::required(&at, "")],
        }
    })
}

fn expression(source: &str, path: &Path) -> Option<Error> {
    if source.len() > EXPRESSION_BYTES_MAX {
        return Some(Error::too_long(path, EXPRESSION_BYTES_MAX));
    }
    let program = match Program::compile(source, std::slice::from_ref(&*DEVICE)) {
        Ok(program) => program,
        Err(issues) => return Some(Error::invalid(path, source, format!("compilation failed: {issues}"))),
    };
    match program.result() {
        Type::Bool | Type::Dyn => {}
        other => {
            let why = format!("must evaluate to bool or the unknown type, not {other}");
            return Some(Error::invalid(path, source, why));
        }
    }
    let is_expensive = program.cost_max() > EXPRESSION_COST_MAX;
    is_expensive.then(|| Error::forbidden(path, "too complex, exceeds cost limit"))
}

/// A device as expressions see it (k8s.io/dynamic-resource-allocation/cel).
static DEVICE: LazyLock<Variable> = LazyLock::new(|| {
    const MAPS_MAX: u64 = 32;
    let map =
        |inner: Arc<Decl>| Arc::new(Decl { shape: Shape::Map(inner), elements_max: MAPS_MAX, bytes_min: 2 });
    let field = |name: &str, decl| (name.into(), Field { json: name.into(), decl });
    let fields = BTreeMap::from([
        field("driver", Decl::scalar(Type::String, 2, 63)),
        field("allowMultipleAllocations", Decl::scalar(Type::Bool, 4, 1)),
        field("attributes", map(map(Decl::scalar(Type::Dyn, 1, 64)))),
        field("capacity", map(map(Decl::scalar(Type::Opaque("kubernetes.Quantity"), 1, 0)))),
    ]);
    let device = Arc::new(Decl { shape: Shape::Object(fields), elements_max: 0, bytes_min: 2 });
    Variable::declared("device", &device)
});

fn constraint(constraint: &Value, names: &Names<'_>, path: &Path) -> Vec<Error> {
    let mut errors = references(constraint, names, path);
    let attribute = ["matchAttribute", "distinctAttribute"]
        .into_iter()
        .find_map(|f| Some((path.child(f), field(constraint, f)?.as_str()?)));
    match attribute {
        Some((at, given)) => {
            errors.extend(qualified_name(given, &at));
            if !given.contains('/') {
                let why = "a fully qualified name must be a domain and a name separated by a slash";
                errors.push(Error::invalid(&at, given, why));
            }
        }
        None => {
            let why = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
            errors.push(Error::required(path, why));
        }
    }
    errors
}

/// Names of requests, each once.
fn references(value: &Value, names: &Names<'_>, path: &Path) -> Vec<Error> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut errors =
        limited(value, "requests", REQUESTS_MAX, path, |given, at| reference(&word(given), names, at));
    errors.extend(doubles(value, "requests", REQUESTS_MAX, path, word));
    errors
}

/// The name of a request, or of a part of one.
fn reference(given: &str, names: &Names<'_>, path: &Path) -> Vec<Error> {
    let why = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    let steps: Vec<&str> = given.split('/').collect();
    if steps.len() > 2 {
        return vec![Error::invalid(path, given, why)];
    }
    let mut errors: Vec<Error> =
        steps.iter().flat_map(|step| by(name::is_dns1123_label, step, path)).collect();
    let is_known =
        names.get(steps[0]).is_some_and(|parts| steps.get(1).is_none_or(|part| parts.contains(part)));
    if !is_known {
        errors.push(Error::invalid(path, given, why));
    }
    errors
}

/// What is handed to a driver as it is.
pub(super) fn configuration(config: &Value, path: &Path) -> Vec<Error> {
    let at = path.child("opaque");
    let Some(opaque) = field(config, "opaque") else { return vec![Error::required(&at, "")] };
    let mut errors = driver_name(opaque.get("driver").unwrap_or(&Value::Null), &at.child("driver"));
    errors.extend(raw(opaque.get("parameters"), &at.child("parameters")));
    errors
}

/// An object of which nothing is known.
fn raw(data: Option<&Value>, path: &Path) -> Option<Error> {
    match data {
        None | Some(Value::Null) => Some(Error::required(path, "")),
        Some(data) if data.to_string().len() > DATA_BYTES_MAX => Some(Error::too_long(path, DATA_BYTES_MAX)),
        Some(Value::Object(_)) => None,
        Some(_) => Some(Error::invalid(path, "<value omitted>", "must be a valid JSON object")),
    }
}

/// Whom a device belongs to: a driver's pool, its name there, and which share of it.
fn device_id(value: &Value) -> String {
    let id = ["/driver", "/pool", "/device"].map(|pointer| text(value, pointer)).join("/");
    match text(value, "/shareID") {
        "" => id,
        share => format!("{id}/{share}"),
    }
}

fn given_devices(claim: &Value) -> BTreeSet<String> {
    list(claim, "/status/allocation/devices/results").iter().map(device_id).collect()
}

/// A claim that gave up devices says nothing more of how they do.
pub(crate) fn forget_devices(claim: &mut Value, old: &Value) {
    let gone: BTreeSet<String> = given_devices(old).difference(&given_devices(claim)).cloned().collect();
    let Some(status) = claim.get_mut("status").and_then(Value::as_object_mut) else { return };
    if let Some(devices) = status.get_mut("devices").and_then(Value::as_array_mut) {
        devices.retain(|device| !gone.contains(&device_id(device)));
        if devices.is_empty() {
            status.remove("devices");
        }
    }
}

/// A change of what a claim was given and who uses it.
pub(crate) fn claim_status_change(claim: &Value, old: &Value) -> Vec<Error> {
    let none = json!({});
    let path = Path::new("status");
    let status = field(claim, "status").unwrap_or(&none);
    let devices = claim.pointer("/spec/devices").unwrap_or(&none);
    let names = request_names(devices);
    let mut errors = limited(status, "reservedFor", RESERVATIONS_MAX, &path, |user, at| {
        let missing = ["resource", "name", "uid"].into_iter();
        let missing = missing.filter(|f| text(user, &format!("/{f}")).is_empty());
        missing.map(|f| Error::required(&at.child(f), "")).collect()
    });
    let uid = |user: &Value| text(user, "/uid").to_owned();
    errors.extend(doubles(status, "reservedFor", RESERVATIONS_MAX, &path, uid));
    let given = given_devices(claim);
    errors.extend(items(status, "devices", &path).flat_map(|(at, one)| device_status(one, &given, &at)));
    errors.extend(doubles(status, "devices", usize::MAX, &path, device_id));
    errors.extend(reservations(claim, old, &path));
    match (some(claim, "/status/allocation"), some(old, "/status/allocation")) {
        (Some(new), Some(was)) if !is_same(Some(new), Some(was)) => {
            errors.extend(immutable(claim, old, "/status/allocation", &path.child("allocation")));
        }
        (Some(_), Some(_)) => {}
        (Some(allocation), None) => {
            errors.extend(allocated(allocation, &names, &path.child("allocation")));
        }
        (None, _) => {}
    }
    errors
}

fn reservations(claim: &Value, old: &Value, path: &Path) -> Option<Error> {
    let (users, before) = (list(claim, "/status/reservedFor"), list(old, "/status/reservedFor"));
    let at = path.child("reservedFor");
    if users.is_empty() {
        return None;
    }
    if some(claim, "/status/allocation").is_none() {
        return Some(Error::forbidden(&at, "may not be specified when `allocated` is not set"));
    }
    let is_new = meta::is_deleting(claim) && users.iter().any(|user| !before.contains(user));
    let why = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
    is_new.then(|| Error::forbidden(&at, why))
}

fn allocated(allocation: &Value, names: &Names<'_>, path: &Path) -> Vec<Error> {
    let none = json!({});
    let (devices, at) = (field(allocation, "devices").unwrap_or(&none), path.child("devices"));
    let mut errors = limited(devices, "results", REQUESTS_MAX, &at, |result, at| {
        let mut errors = reference(text(result, "/request"), names, &at.child("request"));
        errors.extend(identity(result, at));
        errors.extend(binding_conditions(result, at));
        errors.extend(share(result, at));
        errors
    });
    errors.extend(limited(devices, "config", 2 * CONFIGS_MAX, &at, |config, at| {
        const SOURCES: [&str; 2] = ["FromClaim", "FromClass"];
        let mut errors = match text(config, "/source") {
            "" => vec![Error::required(&at.child("source"), "")],
            source if !SOURCES.contains(&source) => {
                vec![Error::not_supported(&at.child("source"), source, &SOURCES)]
            }
            _ => Vec::new(),
        };
        errors.extend(references(config, names, at));
        errors.extend(configuration(config, at));
        errors
    }));
    if let Some(selector) = field(allocation, "nodeSelector") {
        errors.extend(scheduling::node_selector(selector, &path.child("nodeSelector")));
    }
    errors
}

fn identity(value: &Value, path: &Path) -> Vec<Error> {
    let mut errors = driver_name(value.get("driver").unwrap_or(&Value::Null), &path.child("driver"));
    errors.extend(pool_name(text(value, "/pool"), &path.child("pool")));
    errors.extend(by(name::is_dns1123_label, text(value, "/device"), &path.child("device")));
    errors
}

/// A share of a device has a UUID.
fn share(value: &Value, path: &Path) -> Option<Error> {
    let (given, at) = (field(value, "shareID")?.as_str()?, path.child("shareID"));
    let is_plain = given.len() == 36
        && given.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
    let why = match (is_plain, given.len()) {
        (true, _) if !given.contains(|c: char| c.is_ascii_uppercase()) => return None,
        (true, _) => {
            "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters".to_owned()
        }
        (false, 32 | 36 | 38 | 45) => "error validating uid: invalid UUID format".to_owned(),
        (false, length) => format!("error validating uid: invalid UUID length: {length}"),
    };
    Some(Error::invalid(&at, given, why))
}

fn device_status(device: &Value, given: &BTreeSet<String>, path: &Path) -> Vec<Error> {
    let mut errors = identity(device, path);
    errors.extend(share(device, path));
    let id = device_id(device);
    if !given.contains(&id) {
        errors.push(Error::invalid(path, id, "must be an allocated device in the claim"));
    }
    let count = list(device, "/conditions").len();
    if count > CONDITIONS_MAX {
        errors.push(Error::too_many(&path.child("conditions"), count, CONDITIONS_MAX));
    }
    errors.extend(conditions(device, path));
    if field(device, "data").is_some() {
        errors.extend(raw(device.get("data"), &path.child("data")));
    }
    let Some(network) = field(device, "networkData") else { return errors };
    let at = path.child("networkData");
    for (field, max) in [("interfaceName", INTERFACE_BYTES_MAX), ("hardwareAddress", HARDWARE_BYTES_MAX)] {
        if text(network, &format!("/{field}")).len() > max {
            errors.push(Error::too_long(&at.child(field), max));
        }
    }
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    errors.extend(limited(network, "ips", ADDRESSES_MAX, &at, |ip, at| {
        super::address::interface(&word(ip), at).into_iter().collect()
    }));
    errors.extend(doubles(network, "ips", ADDRESSES_MAX, &at, word));
    errors
}
