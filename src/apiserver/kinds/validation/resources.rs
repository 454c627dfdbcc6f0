//! Resource requirements of containers and pods, and the quality of service that follows from them.

use super::{by, items};
use crate::kinds::tree::{field, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::quantity::Quantity;
use alcove_object::{Value, name};
use std::collections::{BTreeMap, BTreeSet};

/// Resources of containers that have no domain in their name.
const STANDARD: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];
/// Resources that a pod can have as a whole.
const OF_PODS: [&str; 2] = ["cpu", "memory"];

/// What one container asks for. `claims`: what of devices its pod has.
pub(super) fn of_container(resources: Option<&Value>, claims: &BTreeSet<&str>, path: &Path) -> Vec<Error> {
    let Some(resources) = resources.filter(|r| !r.is_null()) else { return Vec::new() };
    let mut errors = requirements(resources, container_resource_name, path);
    errors.extend(claimed(resources, claims, path));
    errors
}

/// What a pod asks for as a whole: at least what its containers do, and no container may have more.
pub(super) fn of_pod(spec: &Value, claims: &BTreeSet<&str>, path: &Path) -> Vec<Error> {
    let Some(resources) = field(spec, "resources") else { return Vec::new() };
    let path = path.child("resources");
    if text(spec, "/os/name") == "windows" {
        return vec![Error::forbidden(&path, "may not be set for a windows pod")];
    }
    let mut errors = Vec::new();
    if some(resources, "/claims").is_some() {
        let why = "claims may not be set for Resources at pod-level";
        errors.push(Error::forbidden(&path.child("claims"), why));
    }
    errors.extend(requirements(resources, pod_resource_name, &path));
    errors.extend(claimed(resources, claims, &path));
    let whole = |kind: &str, resource: &str| amount(resources, kind, resource);
    for (kind, what) in [("requests", "requests"), ("limits", "limits")] {
        for (resource, sum) in aggregate(spec, kind) {
            let is_asked = kind == "requests" || resource.starts_with("hugepages-");
            let Some(given) = whole(kind, &resource).filter(|given| is_asked && sum > *given) else {
                continue;
            };
            let why = format!("must be greater than or equal to aggregate container {what} of {sum}");
            errors.push(Error::invalid(&path.child(kind).key(&resource), given.to_string(), why));
        }
    }
    for (i, container) in list(spec, "/containers").iter().enumerate() {
        for (resource, limit) in amounts(container.get("resources"), "limits") {
            let Some(given) = whole("limits", resource).filter(|given| limit > *given) else { continue };
            let at = path.child("containers").index(i).key(resource).child("limits");
            let why = format!("must be less than or equal to pod limits of {given}");
            errors.push(Error::invalid(&at, limit.to_string(), why));
        }
    }
    errors
}

/// What the containers of a pod need together (k8s.io/component-helpers/resource).
pub(crate) fn aggregate(spec: &Value, kind: &str) -> BTreeMap<String, Quantity> {
    let add = |sum: &mut BTreeMap<String, Quantity>, more: &BTreeMap<String, Quantity>| {
        for (resource, amount) in more {
            let total = sum.get(resource).map_or_else(|| amount.clone(), |sum| sum.add(amount));
            sum.insert(resource.clone(), total);
        }
    };
    let most = |sum: &mut BTreeMap<String, Quantity>, other: &BTreeMap<String, Quantity>| {
        for (resource, amount) in other {
            if sum.get(resource).is_none_or(|sum| amount > sum) {
                sum.insert(resource.clone(), amount.clone());
            }
        }
    };
    let of = |container: &Value| -> BTreeMap<String, Quantity> {
        amounts(container.get("resources"), kind).map(|(name, amount)| (name.to_owned(), amount)).collect()
    };
    let (mut sum, mut sidecars, mut starting) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    list(spec, "/containers").iter().for_each(|container| add(&mut sum, &of(container)));
    for container in list(spec, "/initContainers") {
        let mut needed = of(container);
        if text(container, "/restartPolicy") == "Always" {
            add(&mut sum, &needed);
            add(&mut sidecars, &needed);
            needed = sidecars.clone();
        } else {
            add(&mut needed, &sidecars);
        }
        most(&mut starting, &needed);
    }
    most(&mut sum, &starting);
    sum
}

fn amounts<'a>(resources: Option<&'a Value>, kind: &str) -> impl Iterator<Item = (&'a str, Quantity)> {
    let given = resources.and_then(|r| r.get(kind)).and_then(Value::as_object).into_iter().flatten();
    given.filter_map(|(name, amount)| Some((name.as_str(), Quantity::from_value(amount).ok()?)))
}

/// `limits` and `requests`.
fn requirements(resources: &Value, names: fn(&str, &Path) -> Vec<Error>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let (mut has_basics, mut has_pages) = (false, false);
    for kind in ["limits", "requests"] {
        let at = path.child(kind);
        for (resource, amount) in amounts(Some(resources), kind) {
            let place = at.key(resource);
            errors.extend(names(resource, &place));
            errors.extend(quantity(resource, &amount, &place));
            has_basics |= matches!(resource, "cpu" | "memory");
            if kind == "requests" {
                errors.extend(within_limit(resource, &amount, resources, path));
            }
            if let Some(size) = resource.strip_prefix("hugepages-") {
                has_pages = true;
                errors.extend(whole_pages(resource, size, &amount, &place));
            }
        }
    }
    if has_pages && !has_basics {
        errors.push(Error::forbidden(path, "HugePages require cpu or memory"));
    }
    errors
}

fn whole_pages(resource: &str, size: &str, amount: &Quantity, path: &Path) -> Option<Error> {
    let size = Quantity::parse(size).ok().filter(|size| size.signum() > 0 && size.whole().is_some());
    let is_whole = size.is_some_and(|size| amount.value() % size.value() == 0);
    let why = format!("{amount} is not positive integer multiple of {resource}");
    (!is_whole).then(|| Error::invalid(path, amount.to_string(), why))
}

/// Claims of a container: of those of its pod, each once, whole or some requests of it.
fn claimed(resources: &Value, claims: &BTreeSet<&str>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (at, claim) in items(resources, "claims", path) {
        let (name, request) = (text(claim, "/name"), text(claim, "/request"));
        if name.is_empty() {
            errors.push(Error::required(&at, ""));
            continue;
        }
        if seen.contains(name) {
            errors.push(Error::duplicate(&at, name));
        } else {
            let mut key = name.to_owned();
            if !request.is_empty() {
                errors.extend(by(name::is_dns1123_label, request, &at.child("request")));
                key = format!("{name}/{request}");
            }
            let is_part = |seen: &&String| seen.split_once('/').is_some_and(|(claim, _)| claim == name);
            if seen.contains(&key) {
                errors.push(Error::duplicate(&at, key.as_str()));
            } else if request.is_empty() {
                errors.extend(seen.iter().filter(is_part).map(|_| Error::duplicate(&at, name)));
            }
            seen.insert(key);
        }
        if !claims.contains(name) {
            let known = match claims.is_empty() {
                true => " which is empty".to_owned(),
                false => format!(": {}", claims.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            let detail = format!("must be one of the names in pod.spec.resourceClaims{known}");
            errors.push(Error { detail, ..Error::not_found(&at, name) });
        }
    }
    errors
}

fn resource_name(resource: &str, path: &Path) -> Vec<Error> {
    let wrong: Vec<Error> = by(name::is_qualified_name, resource, path).collect();
    let is_known = resource == "storage" || super::quota::is_standard(resource);
    if wrong.is_empty() && !resource.contains('/') && !is_known {
        return vec![Error::invalid(path, resource, "must be a standard resource type or fully qualified")];
    }
    wrong
}

/// The name of a resource that a container can ask for.
pub(super) fn container_resource_name(resource: &str, path: &Path) -> Vec<Error> {
    let mut errors = resource_name(resource, path);
    if !resource.contains('/') {
        if !STANDARD.contains(&resource) && !resource.starts_with("hugepages-") {
            errors.push(Error::invalid(path, resource, "must be a standard resource for containers"));
        }
    } else if !is_native(resource) && !is_extended(resource) {
        errors.push(Error::invalid(path, resource, "doesn't follow extended resource name standard"));
    }
    errors
}

fn pod_resource_name(resource: &str, path: &Path) -> Vec<Error> {
    let errors = resource_name(resource, path);
    let is_known = OF_PODS.contains(&resource) || resource.starts_with("hugepages-");
    if errors.is_empty() && !is_known {
        return vec![Error::not_supported(path, resource, &["cpu", "hugepages-", "memory"])];
    }
    errors
}

fn quantity(resource: &str, amount: &Quantity, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    if amount.signum() < 0 {
        errors.push(Error::invalid(path, amount.to_string(), "must be greater than or equal to 0"));
    }
    if super::quota::is_counted(resource) && amount.whole().is_none() {
        errors.push(Error::invalid(path, amount.to_string(), "must be an integer"));
    }
    errors
}

fn is_native(resource: &str) -> bool {
    !resource.contains('/') || resource.contains("kubernetes.io/")
}

/// Resources of other domains are given out whole and never twice, as huge pages are.
pub(super) fn is_extended(resource: &str) -> bool {
    !is_native(resource)
        && !resource.starts_with("requests.")
        && name::is_qualified_name(&format!("requests.{resource}")).is_empty()
}

/// Whether as much as is requested is taken: of other domains' resources and of huge pages nobody can promise more.
pub(super) fn is_whole(resource: &str) -> bool {
    !is_native(resource) || resource.starts_with("hugepages-")
}

fn within_limit(resource: &str, request: &Quantity, resources: &Value, path: &Path) -> Option<Error> {
    let is_whole = is_whole(resource);
    let limit = resources.get("limits").and_then(|limits| limits.get(resource));
    let Some(limit) = limit.and_then(|limit| Quantity::from_value(limit).ok()) else {
        let why = "Limit must be set for non overcommitable resources";
        return is_whole.then(|| Error::required(&path.child("limits"), why));
    };
    let why = match is_whole {
        true if *request != limit => format!("must be equal to {resource} limit of {limit}"),
        false if *request > limit => format!("must be less than or equal to {resource} limit of {limit}"),
        _ => return None,
    };
    Some(Error::invalid(&path.child("requests"), request.to_string(), why))
}
/// Guaranteed when every container has limits of cpu and memory that its requests equal, BestEffort when none asks for
/// anything, else Burstable (k8s.io/kubernetes/pkg/apis/core/helper/qos). Resources of the whole pod count before
/// those of its containers.
pub(crate) fn quality_of_service(spec: &Value) -> &'static str {
    let whole = some(spec, "/resources").filter(|r| has_amounts(r));
    let root = Path::default();
    let containers = items(spec, "containers", &root).chain(items(spec, "initContainers", &root));
    let of_containers = || containers.map(|(_, c)| c.get("resources").unwrap_or(&Value::Null));
    let all: Vec<&Value> = match whole {
        Some(whole) => vec![whole],
        None => of_containers().collect(),
    };
    if all.iter().all(|r| !has_amounts(r)) {
        return "BestEffort";
    }
    if all.iter().all(|r| is_guaranteed(r)) { "Guaranteed" } else { "Burstable" }
}

fn amount(resources: &Value, field: &str, resource: &str) -> Option<Quantity> {
    let amount = Quantity::from_value(resources.get(field)?.get(resource)?).ok()?;
    (amount.signum() > 0).then_some(amount)
}

fn has_amounts(resources: &Value) -> bool {
    ["limits", "requests"].iter().any(|f| ["cpu", "memory"].iter().any(|r| amount(resources, f, r).is_some()))
}

fn is_guaranteed(resources: &Value) -> bool {
    ["cpu", "memory"].iter().all(|resource| {
        let limit = amount(resources, "limits", resource);
        let request = amount(resources, "requests", resource);
        limit.is_some() && (request.is_none() || request == limit)
    })
}
