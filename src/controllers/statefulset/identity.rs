//! Who a pod of a StatefulSet is: its name and number, its hostname, and the claims that are its own. Pure.

use crate::{history, pods};
use alcove_object::gather::Gather;
use alcove_object::{Value, meta};
use serde_json::{Map, json};

const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The number of a pod among those of a set, by its name; `None` for a pod that cannot be the set's.
pub(super) fn ordinal(set: &Value, pod: &Value) -> Option<i64> {
    let (parent, number) = meta::name(pod).rsplit_once('-')?;
    let ordinal: i32 = number.parse().ok()?;
    let is_exact = parent == meta::name(set) && ordinal >= 0 && ordinal.to_string() == number;
    is_exact.then_some(ordinal.into())
}

/// The first number of the set's pods.
pub(super) fn start(set: &Value) -> i64 {
    set.pointer("/spec/ordinals/start").and_then(Value::as_i64).unwrap_or(0)
}

/// How many pods the set has.
pub(super) fn replicas(set: &Value) -> i64 {
    set.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1).max(0)
}

fn templates(set: &Value) -> impl Iterator<Item = &Value> {
    set.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array).into_iter().flatten()
}

fn claim_name(set: &Value, template: &Value, ordinal: i64) -> String {
    format!("{}-{}-{ordinal}", meta::name(template), meta::name(set))
}

/// The names of the claims of a pod.
pub(super) fn claim_names(set: &Value, ordinal: i64) -> impl Iterator<Item = String> {
    templates(set).map(move |template| claim_name(set, template, ordinal))
}

/// The claims of a pod, as the templates say, with the labels that the set selects by.
pub(super) fn claims(set: &Value, ordinal: i64) -> Vec<Value> {
    let selected = set.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let claim = |template: &Value| {
        let mut claim = template.clone();
        claim["apiVersion"] = "v1".into();
        claim["kind"] = "PersistentVolumeClaim".into();
        if let Some(claim) = claim.as_object_mut() {
            claim.remove("status");
        }
        meta::set(&mut claim, "name", claim_name(set, template, ordinal));
        meta::set(&mut claim, "namespace", meta::namespace(set));
        let labels = meta::child_mut(meta::metadata_mut(&mut claim), "labels");
        labels.extend(selected.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
        claim
    };
    templates(set).map(claim).collect()
}

/// The volumes of a pod: its claims, and those of the template that no claim replaces.
fn volumes(set: &Value, ordinal: i64, own: Option<&Value>) -> Vec<Value> {
    let claims = templates(set).map(|template| {
        json!({ "name": meta::name(template),
            "persistentVolumeClaim": { "claimName": claim_name(set, template, ordinal) } })
    });
    let own = own.and_then(Value::as_array).into_iter().flatten();
    let kept = own.filter(|volume| templates(set).all(|t| volume["name"] != meta::name(t)));
    claims.chain(kept.cloned()).collect()
}

/// The pod of a number. `set` has the template of the revision that is named.
pub(super) fn pod(set: &Value, ordinal: i64, revision: &str) -> Value {
    let name = format!("{}-{ordinal}", meta::name(set));
    let mut pod = pods::from_template(&set["spec"]["template"], set, &format!("{}-", meta::name(set)));
    meta::set(&mut pod, "name", name.clone());
    meta::set(&mut pod, "namespace", meta::namespace(set));
    let labels = meta::child_mut(meta::metadata_mut(&mut pod), "labels");
    labels.extend(labels_of(&name, ordinal));
    labels.insert(history::REVISION.into(), revision.into());
    let volumes = volumes(set, ordinal, pod.pointer("/spec/volumes"));
    let spec = &mut pod["spec"];
    spec["hostname"] = name.into();
    match set["spec"]["serviceName"].as_str().filter(|service| !service.is_empty()) {
        Some(service) => spec["subdomain"] = service.into(),
        None => drop(spec.as_object_mut().map(|spec| spec.remove("subdomain"))),
    }
    if !volumes.is_empty() {
        spec["volumes"] = volumes.into();
    }
    pod
}

fn labels_of(name: &str, ordinal: i64) -> Map<String, Value> {
    [(POD_NAME, name.to_owned()), (POD_INDEX, ordinal.to_string())]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .gather()
}

/// What must change about a pod so that it is who its name says: a strategic merge patch, or nothing.
pub(super) fn correction(set: &Value, pod: &Value) -> Option<Value> {
    let ordinal = ordinal(set, pod)?;
    let mut patch = json!({});
    if meta::label(pod, POD_NAME) != Some(meta::name(pod)) {
        patch["metadata"]["labels"] = labels_of(meta::name(pod), ordinal).into();
    }
    if !has_claims(set, pod, ordinal) {
        patch["spec"]["volumes"] = volumes(set, ordinal, pod.pointer("/spec/volumes")).into();
    }
    patch.as_object().is_some_and(|patch| !patch.is_empty()).then_some(patch)
}

/// Whether a pod mounts the claims that are its own.
fn has_claims(set: &Value, pod: &Value, ordinal: i64) -> bool {
    let mounted = pod.pointer("/spec/volumes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    templates(set).all(|template| {
        let claim = claim_name(set, template, ordinal);
        mounted.iter().any(|volume| {
            volume["name"] == meta::name(template)
                && volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str) == Some(&claim)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "web", "namespace": "d", "uid": "u" },
            "spec": { "serviceName": "www", "selector": { "matchLabels": { "app": "web" } },
                "template": { "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [], "volumes": [{ "name": "data", "emptyDir": {} }, { "name": "tmp" }] } },
                "volumeClaimTemplates": [{ "metadata": { "name": "data", "labels": { "a": "b" } }, "spec": {},
                    "status": { "phase": "Pending" } }] },
        })
    }

    #[test]
    fn a_pod_is_known_by_its_name() {
        for (name, expected) in [
            ("web-0", Some(0)),
            ("web-17", Some(17)),
            ("web-", None),
            ("web", None),
            ("web-07", None),
            ("web--1", None),
            ("web-+1", None),
            ("web-99999999999", None),
            ("other-0", None),
            ("web-a-0", None),
        ] {
            assert_eq!(ordinal(&set(), &json!({ "metadata": { "name": name } })), expected, "{name}");
        }
    }

    #[test]
    fn a_pod_has_its_name_its_number_its_host_name_and_its_claims() {
        let pod = pod(&set(), 3, "web-abc");
        assert_eq!(meta::name(&pod), "web-3");
        assert_eq!(meta::text(&pod, "generateName"), "web-");
        assert_eq!(
            pod["metadata"]["labels"],
            json!({ "app": "web", POD_NAME: "web-3", POD_INDEX: "3", history::REVISION: "web-abc" })
        );
        assert_eq!((&pod["spec"]["hostname"], &pod["spec"]["subdomain"]), (&json!("web-3"), &json!("www")));
        let data = json!({ "name": "data", "persistentVolumeClaim": { "claimName": "data-web-3" } });
        assert_eq!(pod["spec"]["volumes"], json!([data, { "name": "tmp" }]));
        assert_eq!(meta::controller_of(&pod).unwrap()["uid"], "u");
        assert_eq!(correction(&set(), &pod), None);
    }

    #[test]
    fn claims_have_the_labels_of_template_and_selector() {
        let claims = claims(&set(), 3);
        assert_eq!(claims.len(), 1);
        assert_eq!(
            claims[0]["metadata"],
            json!({ "name": "data-web-3", "namespace": "d", "labels": { "a": "b", "app": "web" } })
        );
        assert!(claims[0].get("status").is_none());
    }

    #[test]
    fn an_adopted_pod_gets_its_labels_and_its_claims() {
        let mut adopted = pod(&set(), 1, "web-abc");
        adopted["metadata"]["labels"] = json!({ "app": "web" });
        assert_eq!(
            correction(&set(), &adopted),
            Some(json!({ "metadata": { "labels": { POD_NAME: "web-1", POD_INDEX: "1" } } }))
        );
        let mut bare = pod(&set(), 1, "web-abc");
        bare["spec"]["volumes"] = json!([]);
        assert_eq!(correction(&set(), &bare).unwrap()["spec"]["volumes"][0]["name"], "data");
    }
}
