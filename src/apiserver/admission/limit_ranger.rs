//! Limit ranges: resources that pods get when they name none, and how much pods and claims may ask for
//! (k8s.io/kubernetes/plugin/pkg/admission/limitranger).

use super::{Admission, Admitting, Attributes};
use crate::quota::amounts::{Amounts, of_containers, read};
use crate::request::Verb;
use alcove_object::quantity::Quantity;
use alcove_object::{Status, Value, meta};
use alcove_store::{Range, Store};

/// Tells which resources came from a limit range.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Applies the limit ranges of a namespace to what is created in it.
pub struct LimitRanger {
    store: Store,
}

impl LimitRanger {
    /// A step that looks limit ranges up in this store.
    pub fn new(store: Store) -> LimitRanger {
        LimitRanger { store }
    }

    /// The limits of the object's namespace.
    fn limits(&self, namespace: &str) -> Vec<Value> {
        let prefix = format!("{namespace}/");
        let range = Range { prefix: &prefix, ..Range::default() };
        let Ok(listing) = self.store.list("limitranges", &range, &|_| true) else { return Vec::new() };
        let ranges = listing.entries.iter().filter_map(|e| serde_json::from_slice::<Value>(&e.json).ok());
        ranges.flat_map(|range| range["spec"]["limits"].as_array().cloned().unwrap_or_default()).collect()
    }

    fn judge(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let Some(plural) = subject(attributes) else { return Ok(()) };
        let limits = self.limits(attributes.namespace);
        let wrong: Vec<String> =
            limits.iter().flat_map(|limit| broken(limit, plural, attributes.object)).collect();
        let why = match wrong.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        Err(Status::forbidden("", plural, attributes.name, &why))
    }
}

/// The plural of what is being created, if limits are about it.
fn subject(attributes: &Attributes<'_>) -> Option<&'static str> {
    let gvr = &attributes.resource.gvr;
    let is_created = attributes.verb == Verb::Create && attributes.subresource.is_empty();
    match gvr.resource.as_str() {
        "pods" if is_created && gvr.group.is_empty() => Some("pods"),
        "persistentvolumeclaims" if is_created && gvr.group.is_empty() => Some("persistentvolumeclaims"),
        _ => None,
    }
}

impl Admission for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        if subject(attributes) == Some("pods") {
            for limit in self.limits(attributes.namespace).iter().filter(|limit| limit["type"] == "Container")
            {
                complete(attributes.object, limit);
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn validate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.judge(attributes)))
    }
}

/// Gives a pod's containers the resources that they do not name.
fn complete(pod: &mut Value, limit: &Value) {
    let mut told = Vec::new();
    for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
        let containers = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            for (field, defaults) in [("requests", "defaultRequest"), ("limits", "default")] {
                let added = add_missing(container, field, &limit[defaults]);
                if !added.is_empty() {
                    let singular = field.trim_end_matches('s');
                    told.push(format!("{} {singular} for {what} {name}", added.join(", ")));
                }
            }
        }
    }
    if !told.is_empty() {
        let text = format!("LimitRanger plugin set: {}", told.join("; "));
        meta::child_mut(meta::metadata_mut(pod), "annotations").insert(ANNOTATION.into(), text.into());
    }
}

/// Adds defaults to a container's requests or limits and gives the names of those that were missing, sorted.
fn add_missing(container: &mut Value, field: &str, defaults: &Value) -> Vec<String> {
    let (Some(defaults), Some(container)) = (defaults.as_object(), container.as_object_mut()) else {
        return Vec::new();
    };
    if defaults.is_empty() {
        return Vec::new();
    }
    let amounts = meta::child_mut(meta::child_mut(container, "resources"), field);
    let missing: Vec<(&String, &Value)> =
        defaults.iter().filter(|(name, _)| !amounts.contains_key(*name)).collect();
    for (name, value) in &missing {
        amounts.insert((*name).clone(), (*value).clone());
    }
    missing.into_iter().map(|(name, _)| name.clone()).collect()
}

/// All that an object does against a limit, in upstream's words.
fn broken(limit: &Value, plural: &str, object: &Value) -> Vec<String> {
    let kind = limit["type"].as_str().unwrap_or_default();
    match (kind, plural) {
        ("Container", "pods") => {
            let lists = ["containers", "initContainers"].into_iter();
            let containers = lists.flat_map(|list| object["spec"][list].as_array().into_iter().flatten());
            containers
                .flat_map(|c| {
                    let (requests, limits) =
                        (amounts(&c["resources"]["requests"]), amounts(&c["resources"]["limits"]));
                    Check { kind, requests, limits: Some(limits) }.all(limit)
                })
                .collect()
        }
        ("Pod", "pods") => {
            let (requests, limits) = (of_pod(object, "requests"), of_pod(object, "limits"));
            Check { kind, requests, limits: Some(limits) }.all(limit)
        }
        ("PersistentVolumeClaim", "persistentvolumeclaims") => {
            let requests = amounts(&object["spec"]["resources"]["requests"]);
            Check { kind, requests, limits: None }.all(limit)
        }
        _ => Vec::new(),
    }
}

fn amounts(value: &Value) -> Amounts {
    read(Some(value))
}

/// What a pod asks for in all.
fn of_pod(pod: &Value, field: &str) -> Amounts {
    of_containers(pod, &|container| amounts(&container["resources"][field]))
}

/// What is asked for, and what kind of limit it is held against.
struct Check<'a> {
    kind: &'a str,
    requests: Amounts,
    /// Claims have none.
    limits: Option<Amounts>,
}

impl Check<'_> {
    fn all(&self, limit: &Value) -> Vec<String> {
        let each = |field: &str, judge: &dyn Fn(&str, &Quantity) -> Option<String>| -> Vec<String> {
            amounts(&limit[field]).iter().filter_map(|(name, bound)| judge(name, bound)).collect()
        };
        let mut wrong = each("min", &|name, bound| self.min(name, bound));
        wrong.extend(each("max", &|name, bound| self.max(name, bound)));
        wrong.extend(each("maxLimitRequestRatio", &|name, bound| self.ratio(name, bound)));
        wrong
    }

    fn limit(&self, name: &str) -> Option<&Quantity> {
        self.limits.as_ref().and_then(|limits| limits.get(name))
    }

    fn min(&self, name: &str, bound: &Quantity) -> Option<String> {
        let what = format!("minimum {name} usage per {} is {bound}", self.kind);
        match (self.requests.get(name), self.limit(name)) {
            (None, _) => Some(format!("{what}.  No request is specified")),
            (Some(request), _) if request < bound => Some(format!("{what}, but request is {request}")),
            (_, Some(limit)) if limit < bound => Some(format!("{what}, but limit is {limit}")),
            _ => None,
        }
    }

    fn max(&self, name: &str, bound: &Quantity) -> Option<String> {
        let what = format!("maximum {name} usage per {} is {bound}", self.kind);
        let request = self.requests.get(name);
        match (self.limit(name), request) {
            (None, None) if self.limits.is_none() => Some(format!("{what}.  No request is specified")),
            (None, _) if self.limits.is_some() => Some(format!("{what}.  No limit is specified")),
            (Some(limit), _) if limit > bound => Some(format!("{what}, but limit is {limit}")),
            (_, Some(request)) if request > bound => Some(format!("{what}, but request is {request}")),
            _ => None,
        }
    }

    fn ratio(&self, name: &str, bound: &Quantity) -> Option<String> {
        self.limits.as_ref()?;
        let what = format!("{name} max limit to request ratio per {} is {bound}", self.kind);
        let some = |amount: Option<&Quantity>| amount.filter(|amount| !amount.is_zero()).map(milli);
        let Some(request) = some(self.requests.get(name)) else {
            return Some(format!("{what}, but no request is specified or request is 0"));
        };
        let Some(limit) = some(self.limit(name)) else {
            return Some(format!("{what}, but no limit is specified or limit is 0"));
        };
        let ratio = limit / request;
        (ratio * 1000.0 > milli(bound)).then(|| format!("{what}, but provided ratio is {ratio:.6}"))
    }
}

fn milli(amount: &Quantity) -> f64 {
    amount.milli_value() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(containers: Value, init: Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"containers": containers, "initContainers": init}})
    }

    #[test]
    fn containers_get_what_they_do_not_name() {
        let limit = json!({
            "type": "Container", "default": {"cpu": "500m", "memory": "1Gi"},
            "defaultRequest": {"cpu": "100m", "memory": "200Mi"},
        });
        let mut some = pod(
            json!([{"name": "a"}, {"name": "b", "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}}]),
            json!([{"name": "i", "resources": {"requests": {"cpu": "1", "memory": "1"}}}]),
        );
        complete(&mut some, &limit);
        let resources = |list: &str, at: usize| some["spec"][list][at]["resources"].clone();
        assert_eq!(
            resources("containers", 0),
            json!({"requests": limit["defaultRequest"], "limits": limit["default"]})
        );
        assert_eq!(
            resources("containers", 1),
            json!({"requests": {"cpu": "1", "memory": "200Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}})
        );
        assert_eq!(
            some["metadata"]["annotations"][ANNOTATION],
            "LimitRanger plugin set: cpu, memory request for container a; cpu, memory limit for container a; \
             memory request for container b; memory limit for container b; cpu, memory limit for init container i"
        );
        let before = some.clone();
        complete(&mut some, &limit);
        assert_eq!(some, before, "nothing is missing any more");
    }

    #[test]
    fn limits_are_judged_in_upstreams_words() {
        let container = |resources: Value| json!([{"name": "a", "resources": resources}]);
        for (limit, resources, expected) in [
            (
                json!({"min": {"cpu": "100m"}}),
                json!({}),
                "minimum cpu usage per Container is 100m.  No request is specified",
            ),
            (
                json!({"min": {"cpu": "100m"}}),
                json!({"requests": {"cpu": "50m"}}),
                "minimum cpu usage per Container is 100m, but request is 50m",
            ),
            (
                json!({"max": {"memory": "1Gi"}}),
                json!({"requests": {"memory": "1Gi"}}),
                "maximum memory usage per Container is 1Gi.  No limit is specified",
            ),
            (
                json!({"max": {"memory": "1Gi"}}),
                json!({"limits": {"memory": "2Gi"}}),
                "maximum memory usage per Container is 1Gi, but limit is 2Gi",
            ),
            (json!({"max": {"memory": "1Gi"}}), json!({"limits": {"memory": "1Gi"}}), ""),
            (
                json!({"maxLimitRequestRatio": {"cpu": "2"}}),
                json!({"requests": {"cpu": "1"}, "limits": {"cpu": "3"}}),
                "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
            ),
            (
                json!({"maxLimitRequestRatio": {"cpu": "2"}}),
                json!({"limits": {"cpu": "3"}}),
                "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
            ),
        ] {
            let mut limit = limit;
            limit["type"] = "Container".into();
            let wrong = broken(&limit, "pods", &pod(container(resources), json!([])));
            assert_eq!(wrong.join("|"), expected);
        }
    }

    #[test]
    fn pods_count_as_a_whole_and_claims_by_requests() {
        let cpu = |amount: &str| json!({"name": "c", "resources": {"requests": {"cpu": amount}, "limits": {"cpu": amount}}});
        let mut sidecar = cpu("1");
        sidecar["restartPolicy"] = "Always".into();
        let some = pod(json!([cpu("1"), cpu("500m")]), json!([sidecar, cpu("3")]));
        assert_eq!(of_pod(&some, "requests")["cpu"].to_string(), "4");
        let limit = json!({"type": "Pod", "max": {"cpu": "3"}});
        assert_eq!(broken(&limit, "pods", &some), ["maximum cpu usage per Pod is 3, but limit is 4"]);

        let claim = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
        let limit =
            json!({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}, "min": {"storage": "1Mi"}});
        assert_eq!(
            broken(&limit, "persistentvolumeclaims", &claim),
            ["maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi"]
        );
        assert!(broken(&limit, "pods", &some).is_empty());
    }
}
