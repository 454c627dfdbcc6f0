//! Resource requirements of containers, and the quality of service that follows from them.

use super::items;
use crate::kinds::tree::some;
use alcove_object::field::{Error, Path};
use alcove_object::quantity::Quantity;
use alcove_object::{Value, name};

/// Resources of containers that have no domain in their name.
const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// `limits` and `requests` of one container.
pub(super) fn requirements(resources: Option<&Value>, path: &Path) -> Vec<Error> {
    let Some(resources) = resources else { return Vec::new() };
    let mut errors = Vec::new();
    let limits = resources.get("limits");
    for field in ["limits", "requests"] {
        let path = path.child(field);
        let amounts = resources.get(field).and_then(Value::as_object);
        for (resource, amount) in amounts.into_iter().flatten() {
            let at = path.key(resource);
            errors.extend(container_resource_name(resource, &at));
            errors.extend(quantity(resource, amount, &at));
            if field == "requests" {
                errors.extend(within_limit(resource, amount, limits, &path));
            }
        }
    }
    errors
}

/// The name of a resource that a container can ask for.
pub(super) fn container_resource_name(resource: &str, path: &Path) -> Vec<Error> {
    let mut errors: Vec<Error> =
        name::is_qualified_name(resource).into_iter().map(|m| Error::invalid(path, resource, m)).collect();
    if !resource.contains('/') && !STANDARD.contains(&resource) && !resource.starts_with("hugepages-") {
        errors.push(Error::invalid(path, resource, "must be a standard resource type or fully qualified"));
        errors.push(Error::invalid(path, resource, "must be a standard resource for containers"));
    }
    errors
}

fn quantity(resource: &str, amount: &Value, path: &Path) -> Option<Error> {
    let Ok(parsed) = Quantity::from_value(amount) else { return None };
    if parsed.signum() < 0 {
        return Some(Error::invalid(path, parsed.to_string(), "must be greater than or equal to 0"));
    }
    let is_whole = parsed.milli_value() % 1000 == 0;
    (is_extended(resource) && !is_whole)
        .then(|| Error::invalid(path, parsed.to_string(), "must be an integer"))
}

/// Extended resources and huge pages are given out whole and never twice.
fn is_extended(resource: &str) -> bool {
    resource.contains('/') && !resource.starts_with("requests.") && !resource.contains("kubernetes.io/")
}

fn within_limit(resource: &str, amount: &Value, limits: Option<&Value>, path: &Path) -> Option<Error> {
    let is_whole = is_extended(resource) || resource.starts_with("hugepages-");
    let Some(limit) = limits.and_then(|l| l.get(resource)) else {
        let limits = Path::new(path.as_str().trim_end_matches("requests")).as_str().to_owned() + "limits";
        let why = "Limit must be set for non overcommitable resources";
        return is_whole.then(|| Error::required(&Path::new(&limits), why));
    };
    let (request, limit) = (Quantity::from_value(amount).ok()?, Quantity::from_value(limit).ok()?);
    if is_whole && request != limit {
        let why = format!("must be equal to {resource} limit of {limit}");
        return Some(Error::invalid(path, request.to_string(), why));
    }
    (request > limit).then(|| {
        let why = format!("must be less than or equal to {resource} limit of {limit}");
        Error::invalid(path, request.to_string(), why)
    })
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
    (!amount.is_zero()).then_some(amount)
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
