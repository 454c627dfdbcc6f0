//! What the platform team says about every pod, whatever it asks for: where it runs, what it tolerates, its classes, its
//! images, and which annotations speak to the host.

use super::context::names;
use super::pod_refs::items;
use super::{Context, Refusal};
use alcove_apiserver::kinds::CONTAINER_LISTS;
use alcove_object::gather::Gather;
use alcove_object::tree::{at, at_mut};
use alcove_object::{Value, meta};
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// Prefix of keys that only we write.
const OURS: &str = "alcove.dev/";
/// Taints that Kubernetes itself puts on nodes; admission and controllers let pods tolerate them everywhere.
const NODE_TAINTS: &str = "node.kubernetes.io/";
/// Where images without a registry come from.
const DEFAULT_REGISTRY: &str = "docker.io/";

/// Sets what the platform team says. Gives what of the pod's own is left out for it.
pub fn rewrite_rules(context: &Context<'_>, pod: &Value, spec: &mut Value) -> Result<Vec<Refusal>, Refusal> {
    let rules = &context.allowed.pods;
    for (key, value) in &rules.node_selector {
        let own = at(spec, "/nodeSelector").and_then(|selector| selector.get(key)).and_then(Value::as_str);
        if own.is_some_and(|own| own != value) {
            let why = format!("the platform team runs this cluster's pods on nodes with {key}={value} alone");
            return Err(Refusal::of("spec.nodeSelector", why));
        }
        spec["nodeSelector"][key] = value.as_str().into();
    }
    let left_out = tolerations(&rules.allowed_tolerations, &rules.tolerations, spec);
    set_or_remove(spec, "priorityClassName", rules.priority_class_name.as_deref());
    set_or_remove(spec, "serviceAccountName", account(context, pod).as_deref());
    let class = spec["runtimeClassName"].as_str().filter(|class| !class.is_empty()).map(str::to_owned);
    match (class, &rules.runtime_class_name) {
        (Some(own), None) => {
            let why = format!(
                "the class {own} is not allowed; the platform team chooses the runtime of this cluster's pods"
            );
            return Err(Refusal::of("spec.runtimeClassName", why));
        }
        (_, chosen) => set_or_remove(spec, "runtimeClassName", chosen.as_deref()),
    }
    for list in CONTAINER_LISTS {
        items(spec.get_mut(list))
            .for_each(|container| rewrite_image(&rules.images, container.get_mut("image")));
    }
    for volume in items(spec.get_mut("volumes")) {
        rewrite_image(&rules.images, at_mut(volume, "/image/reference"));
    }
    Ok(left_out)
}

/// The host's service account: the one for the pod's own where those are synced, else the one without rights that all
/// the tenant's pods have.
fn account(context: &Context<'_>, pod: &Value) -> Option<String> {
    if !context.allowed.service_accounts.enabled {
        return context.known.account();
    }
    let own = at(pod, "/spec/serviceAccountName").and_then(Value::as_str).unwrap_or("default");
    Some(super::host_name(context.tenant, meta::namespace(pod), own))
}

fn set_or_remove(spec: &mut Value, field: &str, value: Option<&str>) {
    match value {
        Some(value) => spec[field] = value.into(),
        None => drop(spec.as_object_mut().map(|spec| spec.remove(field))),
    }
}

/// A pod's own tolerations where they are allowed, and those that every pod gets.
fn tolerations(allowed: &[Value], added: &[Value], spec: &mut Value) -> Vec<Refusal> {
    let own = spec["tolerations"].as_array().cloned().unwrap_or_default();
    let (mut kept, left): (Vec<Value>, Vec<Value>) =
        own.into_iter().partition(|own| is_tolerable(allowed, own));
    for added in added {
        if !kept.contains(added) {
            kept.push(added.clone());
        }
    }
    if !kept.is_empty() {
        spec["tolerations"] = kept.into();
    } else if let Some(spec) = spec.as_object_mut() {
        spec.remove("tolerations");
    }
    let left = left.iter().map(|toleration| {
        let why = format!(
            "the platform team does not let this cluster's pods tolerate {toleration}; it is left out"
        );
        Refusal::of("spec.tolerations", why)
    });
    left.collect()
}

/// Whether a pod may tolerate this. Without a list: anything with a name.
fn is_tolerable(allowed: &[Value], own: &Value) -> bool {
    fn text<'a>(toleration: &'a Value, field: &str) -> &'a str {
        toleration[field].as_str().unwrap_or_default()
    }
    let key = text(own, "key");
    if key.starts_with(NODE_TAINTS) {
        return true;
    }
    if allowed.is_empty() {
        return !key.is_empty();
    }
    allowed.iter().any(|allowed| {
        let any_value = text(allowed, "operator") == "Exists";
        let same_key = text(allowed, "key") == key || text(allowed, "key").is_empty() && any_value;
        let same_value =
            any_value || text(own, "operator") != "Exists" && text(allowed, "value") == text(own, "value");
        let same_effect =
            text(allowed, "effect").is_empty() || text(allowed, "effect") == text(own, "effect");
        same_key && same_value && same_effect
    })
}

/// The longest prefix in the table that an image has, as it is written or with the registry that is meant.
fn rewrite_image(table: &BTreeMap<String, String>, image: Option<&mut Value>) {
    let Some(Value::String(image)) = image else { return };
    let full = full_name(image);
    let fits = |name: &str| {
        let fitting = table.iter().filter(|(prefix, _)| name.starts_with(prefix.as_str()));
        fitting
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(prefix, by)| format!("{by}{}", &name[prefix.len()..]))
    };
    if let Some(rewritten) = fits(image).or_else(|| fits(&full)) {
        *image = rewritten;
    }
}

/// An image's name with its registry: `nginx` is `docker.io/library/nginx`.
fn full_name(image: &str) -> String {
    match image.split_once('/') {
        None => format!("{DEFAULT_REGISTRY}library/{image}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => image.to_owned(),
        Some(_) => format!("{DEFAULT_REGISTRY}{image}"),
    }
}

/// The tenant's annotations that go to the host: those that the platform team names, never ours.
pub fn allowed_annotations(allowed: &[String], object: &Value) -> Map<String, Value> {
    let own = meta::entries(at(object, "/metadata/annotations"));
    let passing = own.filter(|(key, _)| !key.starts_with(OURS) && names(allowed, key));
    passing.map(|(key, value)| (key.to_owned(), json!(value))).gather()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_pass_by_the_list_and_never_for_everything() {
        let everything = json!({ "operator": "Exists" });
        let gpu = json!({ "key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule" });
        let any_gpu = json!({ "key": "gpu", "operator": "Exists" });
        let not_ready = json!({ "key": "node.kubernetes.io/not-ready", "operator": "Exists" });
        let master = json!({ "key": "node-role.kubernetes.io/control-plane", "operator": "Exists" });
        let cases: [(&[&Value], &Value, bool); 9] = [
            (&[], &everything, false),
            (&[], &gpu, true),
            (&[&gpu], &gpu, true),
            (&[&gpu], &any_gpu, false),
            (&[&any_gpu], &gpu, true),
            (&[&any_gpu], &master, false),
            (&[&any_gpu], &not_ready, true),
            (&[&any_gpu], &everything, false),
            (&[&everything], &everything, true),
        ];
        for (allowed, own, expected) in cases {
            let allowed: Vec<Value> = allowed.iter().map(|v| (*v).clone()).collect();
            assert_eq!(is_tolerable(&allowed, own), expected, "{allowed:?} {own}");
        }
        let mut spec = json!({ "tolerations": [everything, gpu] });
        let left = tolerations(&[], &[json!({ "key": "team" })], &mut spec);
        assert_eq!(spec["tolerations"], json!([gpu, { "key": "team" }]));
        assert_eq!(left[0].field, "spec.tolerations");
    }

    #[test]
    fn images_come_from_where_the_platform_team_says() {
        let table = BTreeMap::from([
            ("docker.io/".to_owned(), "mirror.example/hub/".to_owned()),
            ("docker.io/library/nginx".to_owned(), "mirror.example/approved/nginx".to_owned()),
            ("quay.io/".to_owned(), "mirror.example/quay/".to_owned()),
        ]);
        for (image, expected) in [
            ("nginx:1.27", "mirror.example/approved/nginx:1.27"),
            ("busybox", "mirror.example/hub/library/busybox"),
            ("team/app@sha256:00", "mirror.example/hub/team/app@sha256:00"),
            ("docker.io/team/app", "mirror.example/hub/team/app"),
            ("quay.io/a/b", "mirror.example/quay/a/b"),
            ("registry.example:5000/a", "registry.example:5000/a"),
            ("localhost/a", "localhost/a"),
        ] {
            let mut value = json!(image);
            rewrite_image(&table, Some(&mut value));
            assert_eq!(value, expected);
        }
    }

    #[test]
    fn no_annotation_goes_to_the_host_unless_it_is_named() {
        let pod = json!({ "metadata": { "annotations": {
            "k8s.v1.cni.cncf.io/networks": "other-tenants", "alcove.dev/uid": "forged", "example.com/scrape": "true" } } });
        let passing = |allowed: &[&str]| {
            let allowed: Vec<String> = allowed.iter().map(|key| (*key).to_owned()).collect();
            Value::Object(allowed_annotations(&allowed, &pod))
        };
        assert_eq!(passing(&[]), json!({}));
        assert_eq!(passing(&["example.com/*", "alcove.dev/*"]), json!({ "example.com/scrape": "true" }));
        assert_eq!(
            passing(&["k8s.v1.cni.cncf.io/networks"]),
            json!({ "k8s.v1.cni.cncf.io/networks": "other-tenants" })
        );
    }
}
