//! Devices: classes of them, claims to them, and the parts of pools that drivers publish
//! (k8s.io/kubernetes/pkg/apis/resource/validation).

use super::claims_of_devices::{configuration, device_claim, selectors};
use super::rules::Check::By;
use super::rules::Rule;
use super::storage::driver_name;
use super::{by, items, scheduling, sources};
use crate::kinds::tree::{field, flag, int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::quantity::Quantity;
use alcove_object::validate::validate_label_name;
use alcove_object::{Value, name};
use std::collections::BTreeSet;

const DEVICES_MAX: usize = 128;
/// Devices of a slice in which some device has taints or shares counters.
const SPECIAL_DEVICES_MAX: usize = 64;
const COUNTER_SETS_MAX: usize = 8;
const COUNTERS_MAX: usize = 32;
const CONSUMED_SETS_MAX: usize = 2;
const PROPERTIES_MAX: usize = 32;
const ATTRIBUTES_MAX: usize = 48;
const VALUE_BYTES_MAX: usize = 64;
const IDENTIFIER_BYTES_MAX: usize = 32;
const TAINTS_MAX: usize = 16;
const BINDING_CONDITIONS_MAX: usize = 4;
const OPTIONS_MAX: usize = 10;
const POOL_BYTES_MAX: usize = 253;

pub(crate) const CLASS: &[Rule] = &[("spec", By(class_spec))];
pub(crate) const CLAIM: &[Rule] = &[("spec", By(claim_spec))];
pub(crate) const CLAIM_TEMPLATE: &[Rule] = &[("spec", By(template_spec))];
pub(crate) const SLICE: &[Rule] = &[("spec", By(slice_spec))];

fn class_spec(spec: &Value, path: &Path) -> Vec<Error> {
    let mut errors = selectors(spec, path);
    errors.extend(limited(spec, "config", 32, path, configuration));
    if let Some(resource) = field(spec, "extendedResourceName").and_then(Value::as_str)
        && !super::resources::is_extended(resource)
    {
        let why = "must be a valid extended resource name";
        errors.push(Error::invalid(&path.child("extendedResourceName"), resource, why));
    }
    errors
}

fn claim_spec(spec: &Value, path: &Path) -> Vec<Error> {
    device_claim(spec.get("devices").unwrap_or(&Value::Null), &path.child("devices"))
}

fn template_spec(template: &Value, path: &Path) -> Vec<Error> {
    let mut errors = sources::template_metadata(template, &path.child("metadata"));
    errors.extend(claim_spec(template.get("spec").unwrap_or(&Value::Null), &path.child("spec")));
    errors
}

/// A list of at most so many items, each judged; of a longer one no item is.
pub(super) fn limited(
    value: &Value,
    field: &str,
    max: usize,
    path: &Path,
    mut judge: impl FnMut(&Value, &Path) -> Vec<Error>,
) -> Vec<Error> {
    let count = list(value, &format!("/{field}")).len();
    if count > max {
        return vec![Error::too_many(&path.child(field), count, max)];
    }
    items(value, field, path).flat_map(|(at, item)| judge(item, &at)).collect()
}

/// Items that are there before, by what tells them apart.
pub(super) fn doubles<K: Ord + Clone + Into<Value>>(
    value: &Value,
    field: &str,
    max: usize,
    path: &Path,
    key: impl Fn(&Value) -> K,
) -> Vec<Error> {
    if list(value, &format!("/{field}")).len() > max {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let keys = items(value, field, path).map(|(at, item)| (at, key(item)));
    keys.filter(|(_, key)| !seen.insert(key.clone())).map(|(at, key)| Error::duplicate(&at, key)).collect()
}

/// The name of a pool: subdomains with slashes between them.
pub(super) fn pool_name(pool: &str, path: &Path) -> Vec<Error> {
    if pool.is_empty() {
        return vec![Error::required(path, "")];
    }
    let mut errors = Vec::new();
    if pool.len() > POOL_BYTES_MAX {
        errors.push(Error::too_long(path, POOL_BYTES_MAX));
    }
    errors.extend(pool.split('/').flat_map(|part| by(name::is_dns1123_subdomain, part, path)));
    errors
}

/// A name with or without a domain.
pub(super) fn qualified_name(given: &str, path: &Path) -> Vec<Error> {
    let identifier = |id: &str| {
        let long = (id.len() > IDENTIFIER_BYTES_MAX).then(|| Error::too_long(path, IDENTIFIER_BYTES_MAX));
        long.into_iter().chain(by(name::is_c_identifier, id, path)).collect::<Vec<_>>()
    };
    let parts: Vec<&str> = given.split('/').collect();
    match parts[..] {
        [id] => identifier(id),
        [domain, id] => {
            let mut errors = match domain {
                "" => vec![Error::invalid(path, "", "the domain must not be empty")],
                domain => driver_name(&domain.into(), path),
            };
            errors.extend(match id {
                "" => vec![Error::invalid(path, "", "the name must not be empty")],
                id => identifier(id),
            });
            errors
        }
        // Upstream says nothing of names with more slashes.
        _ => Vec::new(),
    }
}

fn slice_spec(spec: &Value, path: &Path) -> Vec<Error> {
    let mut errors = driver_name(spec.get("driver").unwrap_or(&Value::Null), &path.child("driver"));
    errors.extend(pool(spec.get("pool").unwrap_or(&Value::Null), &path.child("pool")));
    errors.extend(where_devices_are(spec, path));
    if field(spec, "sharedCounters").is_some() && field(spec, "devices").is_some() {
        errors.push(Error::invalid(path, "", "only one of `sharedCounters` or `devices` is allowed"));
    }
    let is_special =
        |device: &Value| !list(device, "/taints").is_empty() || !list(device, "/consumesCounters").is_empty();
    let max = if list(spec, "/devices").iter().any(is_special) { SPECIAL_DEVICES_MAX } else { DEVICES_MAX };
    let per_device = flag(spec, "/perDeviceNodeSelection");
    errors.extend(limited(spec, "devices", max, path, |one, at| device(one, per_device, at)));
    errors.extend(doubles(spec, "devices", max, path, |device| text(device, "/name").to_owned()));
    errors.extend(limited(spec, "sharedCounters", COUNTER_SETS_MAX, path, |set, at| {
        let mut errors = required_label(set, "name", at);
        errors.extend(counters(set, COUNTERS_MAX, at));
        errors
    }));
    let name = |set: &Value| text(set, "/name").to_owned();
    errors.extend(doubles(spec, "sharedCounters", COUNTER_SETS_MAX, path, name));
    errors
}

fn pool(pool: &Value, path: &Path) -> Vec<Error> {
    let mut errors = pool_name(text(pool, "/name"), &path.child("name"));
    let count = int(pool, "/resourceSliceCount");
    if count <= 0 {
        errors.push(Error::invalid(&path.child("resourceSliceCount"), count, "must be greater than zero"));
    }
    let generation = int(pool, "/generation");
    if generation < 0 {
        let why = "must be greater than or equal to zero";
        errors.push(Error::invalid(&path.child("generation"), generation, why));
    }
    errors
}

/// A slice says in exactly one way on which nodes its devices are.
fn where_devices_are(spec: &Value, path: &Path) -> Vec<Error> {
    const ONE: &str =
        "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    let mut errors = Vec::new();
    let mut ways = Vec::new();
    if let Some(node) = field(spec, "nodeName").and_then(Value::as_str) {
        let at = path.child("nodeName");
        if node.is_empty() {
            errors.push(Error::invalid(&at, "", "must be either unset or set to a non-empty string"));
        } else {
            ways.push("`nodeName`");
            errors.extend(by(name::is_dns1123_subdomain, node, &at));
        }
    }
    if let Some(selector) = field(spec, "nodeSelector") {
        ways.push("`nodeSelector`");
        let at = path.child("nodeSelector");
        errors.extend(scheduling::node_selector(selector, &at));
        let terms = list(selector, "/nodeSelectorTerms");
        if terms.len() != 1 {
            let why = "must have exactly one node selector term";
            errors.push(Error::invalid(&at.child("nodeSelectorTerms"), terms.to_vec(), why));
        }
    }
    for (switch, way) in [("allNodes", "`allNodes`"), ("perDeviceNodeSelection", "`perDeviceNodeSelection`")]
    {
        match field(spec, switch).and_then(Value::as_bool) {
            Some(true) => ways.push(way),
            Some(false) => {
                let why = "must be either unset or set to true";
                errors.push(Error::invalid(&path.child(switch), false, why));
            }
            None => {}
        }
    }
    errors.extend(exactly_one(&ways, ONE, ", but multiple fields are set", path));
    errors
}

fn exactly_one(ways: &[&str], why: &str, beyond: &str, path: &Path) -> Option<Error> {
    match ways {
        [] => Some(Error::required(path, why)),
        [_] => None,
        ways => Some(Error::invalid(path, format!("{{{}}}", ways.join(", ")), format!("{why}{beyond}"))),
    }
}

fn required_label(value: &Value, field: &str, path: &Path) -> Vec<Error> {
    match text(value, &format!("/{field}")) {
        "" => vec![Error::required(&path.child(field), "")],
        given => by(name::is_dns1123_label, given, &path.child(field)).collect(),
    }
}

fn counters(set: &Value, max: usize, path: &Path) -> Vec<Error> {
    let path = path.child("counters");
    let given = set.get("counters").and_then(Value::as_object);
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        return vec![Error::required(&path, "")];
    };
    if given.len() > max {
        return vec![Error::too_many(&path, given.len(), max)];
    }
    given.keys().flat_map(|name| by(name::is_dns1123_label, name, &path)).collect()
}

fn device(device: &Value, per_device: bool, path: &Path) -> Vec<Error> {
    let mut errors: Vec<Error> =
        by(name::is_dns1123_label, text(device, "/name"), &path.child("name")).collect();
    let none = serde_json::Map::new();
    let map = |field: &str| device.get(field).and_then(Value::as_object).unwrap_or(&none);
    let (attributes, capacity) = (map("attributes"), map("capacity"));
    let mut too_many = |count: usize, max: usize, what: &str| {
        if count > max {
            let why = format!("the total number of {what} must not exceed {max}");
            errors.push(Error::invalid(path, count, why));
        }
    };
    too_many(attributes.len() + capacity.len(), PROPERTIES_MAX, "attributes and capacities");
    too_many(attributes.len(), ATTRIBUTES_MAX, "attribute values");
    for (key, value) in attributes {
        let at = path.child("attributes");
        errors.extend(qualified_name(key, &at));
        errors.extend(attribute(value, &at.key(&cut(key))));
    }
    let is_shared = flag(device, "/allowMultipleAllocations");
    for (key, value) in capacity {
        let at = path.child("capacity");
        errors.extend(qualified_name(key, &at));
        errors.extend(capacity_errors(value, is_shared, &at.key(&cut(key)).child("requestPolicy")));
    }
    errors.extend(limited(device, "taints", TAINTS_MAX, path, taint));
    errors.extend(limited(device, "consumesCounters", CONSUMED_SETS_MAX, path, |set, at| {
        let mut errors = required_label(set, "counterSet", at);
        errors.extend(counters(set, COUNTERS_MAX, at));
        errors
    }));
    let set = |consumed: &Value| text(consumed, "/counterSet").to_owned();
    errors.extend(doubles(device, "consumesCounters", CONSUMED_SETS_MAX, path, set));
    errors.extend(where_device_is(device, per_device, path));
    errors.extend(binding_conditions(device, path));
    errors
}

/// A key that is too long, as messages show it: without its middle.
fn cut(key: &str) -> String {
    const SHOWN_BYTES_MAX: usize = 63 + 1 + IDENTIFIER_BYTES_MAX;
    if key.len() <= SHOWN_BYTES_MAX || !key.is_ascii() {
        return key.to_owned();
    }
    let kept = SHOWN_BYTES_MAX - 3;
    format!("{}...{}", &key[..kept.div_ceil(2)], &key[key.len() - kept / 2..])
}

/// An attribute has one value.
fn attribute(attribute: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let given = ["bool", "int", "string", "version"].into_iter().filter(|f| field(attribute, f).is_some());
    if let Some(word) = field(attribute, "string").and_then(Value::as_str)
        && word.len() > VALUE_BYTES_MAX
    {
        errors.push(Error::too_long(&path.child("string"), VALUE_BYTES_MAX));
    }
    if let Some(version) = field(attribute, "version").and_then(Value::as_str) {
        let at = path.child("version");
        if !is_version(version) {
            let why = "must be a string compatible with semver.org spec 2.0.0";
            errors.push(Error::invalid(&at, version, why));
        }
        if version.len() > VALUE_BYTES_MAX {
            errors.push(Error::too_long(&at, VALUE_BYTES_MAX));
        }
    }
    match given.count() {
        0 => errors.push(Error::invalid(path, "", "exactly one value must be specified")),
        1 => {}
        _ => errors.push(Error::invalid(path, attribute.clone(), "exactly one value must be specified")),
    }
    errors
}

/// Whether a text is a semantic version.
fn is_version(version: &str) -> bool {
    let (rest, build) = version.split_once('+').map_or((version, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let is_number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_pre = |part: &str| is_word(part) && (!part.bytes().all(|b| b.is_ascii_digit()) || is_number(part));
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && pre.is_none_or(|pre| pre.split('.').all(is_pre))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

/// What of a capacity may be asked for.
fn capacity_errors(capacity: &Value, is_shared: bool, path: &Path) -> Vec<Error> {
    let Some(policy) = field(capacity, "requestPolicy") else { return Vec::new() };
    if !is_shared {
        return vec![Error::forbidden(path, "allowMultipleAllocations must be true")];
    }
    let quantity = |value: Option<&Value>| value.and_then(|value| Quantity::from_value(value).ok());
    let zero = || Quantity::new(0, alcove_object::quantity::Format::DecimalSi);
    let whole = quantity(field(capacity, "value")).unwrap_or_else(zero);
    let default = quantity(field(policy, "default"));
    let (values, range) = (list(policy, "/validValues"), field(policy, "validRange"));
    let needs = |what: &str| {
        vec![Error::required(&path.child("default"), format!("required when {what} is defined"))]
    };
    match (values, range, default) {
        ([_, ..], Some(_), _) => {
            let why = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time";
            vec![Error::forbidden(path, why)]
        }
        ([_, ..], None, None) => needs("validValues"),
        ([_, ..], None, Some(default)) => {
            let values: Vec<Quantity> = values.iter().filter_map(|v| quantity(Some(v))).collect();
            of_values(&values, &default, &whole, &path.child("validValues"))
        }
        ([], Some(_), None) => needs("validRange"),
        ([], Some(range), Some(default)) => {
            let [min, max, step] = ["min", "max", "step"].map(|f| quantity(field(range, f)));
            of_range([min, max, step], &default, &whole, &path.child("validRange"))
        }
        ([], None, _) => Vec::new(),
    }
}

fn of_values(values: &[Quantity], default: &Quantity, whole: &Quantity, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (i, pair) in values.windows(2).enumerate() {
        if pair[0] > pair[1] {
            let why = "values must be sorted in ascending order";
            errors.push(Error::invalid(&path.index(i + 1), pair[1].to_string(), why));
        }
    }
    if values.len() > OPTIONS_MAX {
        errors.push(Error::too_many(path, values.len(), OPTIONS_MAX));
    } else {
        let mut seen = BTreeSet::new();
        for (i, value) in values.iter().enumerate() {
            if value > whole {
                let why = format!("option is larger than capacity value: {whole}");
                errors.push(Error::invalid(&path.index(i), value.to_string(), why));
            }
            if !seen.insert(value.value()) {
                errors.push(Error::duplicate(&path.index(i), value.value().to_string()));
            }
        }
    }
    let is_found = values.len() <= OPTIONS_MAX && values.contains(default);
    if !is_found {
        let why = "default value is not valid according to the requestPolicy";
        errors.push(Error::invalid(path, default.to_string(), why));
    }
    errors
}

fn of_range(
    [min, max, step]: [Option<Quantity>; 3],
    default: &Quantity,
    whole: &Quantity,
    path: &Path,
) -> Vec<Error> {
    let Some(min) = min else {
        return vec![Error::required(&path.child("min"), "required when validRange is defined")];
    };
    let mut errors = Vec::new();
    let mut tell = |is_wrong: bool, field: &str, shown: &Quantity, why: String| {
        if is_wrong {
            errors.push(Error::invalid(&path.child(field), shown.to_string(), why));
        }
    };
    tell(min > *whole, "min", &min, format!("min is larger than capacity value: {whole}"));
    tell(*default < min, "min", default, format!("default is less than min: {min}"));
    if let Some(max) = &max {
        tell(min > *max, "max", &min, format!("min is larger than max: {max}"));
        tell(max > whole, "max", max, format!("max is larger than capacity value: {whole}"));
        tell(default > max, "max", default, format!("default is more than max: {max}"));
    }
    let Some(step) = step else { return errors };
    let next = min.add(&step);
    let why = format!("one step {next} is larger than capacity value: {whole}");
    tell(next > *whole, "step", &step, why);
    for value in [Some(default), max.as_ref()].into_iter().flatten() {
        let is_off = step.value() != 0 && (value.value() - min.value()) % step.value() != 0;
        let why = format!("value is not a multiple of a given step ({step}) from ({min})");
        tell(is_off, "step", value, why);
    }
    errors
}

pub(super) fn taint(taint: &Value, path: &Path) -> Vec<Error> {
    const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];
    let mut errors = validate_label_name(text(taint, "/key"), &path.child("key"));
    let value = text(taint, "/value");
    if !value.is_empty() {
        errors.extend(by(name::is_valid_label_value, value, &path.child("value")));
    }
    match text(taint, "/effect") {
        "" => errors.push(Error::required(&path.child("effect"), "")),
        effect if !EFFECTS.contains(&effect) => {
            errors.push(Error::not_supported(&path.child("effect"), effect, &EFFECTS));
        }
        _ => {}
    }
    errors
}

/// Where a device is, when its slice leaves that to it.
fn where_device_is(device: &Value, per_device: bool, path: &Path) -> Vec<Error> {
    const ONE: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    if !per_device {
        let says = ["nodeName", "nodeSelector", "allNodes"].iter().any(|f| field(device, f).is_some());
        let why = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
        return says.then(|| Error::invalid(path, Value::Null, why)).into_iter().collect();
    }
    let mut errors = Vec::new();
    let mut ways = Vec::new();
    if let Some(node) = field(device, "nodeName").and_then(Value::as_str) {
        let at = path.child("nodeName");
        if node.is_empty() {
            errors.push(Error::invalid(&at, "", "must not be empty"));
        } else {
            ways.push("`nodeName`");
            errors.extend(by(name::is_dns1123_subdomain, node, &at));
        }
    }
    if let Some(selector) = field(device, "nodeSelector") {
        ways.push("`nodeSelector`");
        errors.extend(scheduling::node_selector(selector, &path.child("nodeSelector")));
    }
    match field(device, "allNodes").and_then(Value::as_bool) {
        Some(true) => ways.push("`allNodes`"),
        Some(false) => {
            let why = "must be either unset or set to true";
            errors.push(Error::invalid(&path.child("allNodes"), false, why));
        }
        None => {}
    }
    errors.extend(exactly_one(&ways, ONE, "", path));
    errors
}

/// What must hold before a pod is bound to a device's node, and what means that it never will.
pub(super) fn binding_conditions(value: &Value, path: &Path) -> Vec<Error> {
    let (good, bad) = ("bindingConditions", "bindingFailureConditions");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut errors = Vec::new();
    for field in [good, bad] {
        let label = |value: &Value, at: &Path| validate_label_name(&word(value), at);
        errors.extend(limited(value, field, BINDING_CONDITIONS_MAX, path, label));
        errors.extend(doubles(value, field, usize::MAX, path, word));
    }
    let (wanted, unwanted) = (list(value, "/bindingConditions"), list(value, "/bindingFailureConditions"));
    for (at, condition) in items(value, bad, path).filter(|(_, condition)| wanted.contains(condition)) {
        let why = "bindingFailureConditions must not overlap with bindingConditions";
        errors.push(Error::invalid(&at, condition.clone(), why));
    }
    for (missing, there, [field, other]) in [(wanted, unwanted, [good, bad]), (unwanted, wanted, [bad, good])]
    {
        if missing.is_empty() && !there.is_empty() {
            let why = format!("{field} are required to use {other}");
            let shown = some(value, &format!("/{field}")).cloned().unwrap_or_default();
            errors.push(Error::invalid(&path.child(field), shown, why));
        }
    }
    errors
}
