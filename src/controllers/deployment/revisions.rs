//! A deployment's revisions: which set has its template, which number each revision has, and the sets' annotations.

use super::{Rollout, reported};
use crate::{history, pods};
use alcove_object::gather::Gather;
use alcove_object::{Value, meta};
use serde_json::json;

/// The number of a revision, on sets and on the deployment.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The deployment's replica count when a set was last scaled, for scaling in proportion.
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";
const HASH: &str = "pod-template-hash";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";

/// Sorts a deployment's sets into the one with its template (the oldest, if there are several) and the others.
pub(super) fn split(deployment: Value, mut sets: Vec<Value>) -> Rollout {
    let template = &deployment["spec"]["template"];
    let new = sets.iter().position(|set| is_same_template(template, &set["spec"]["template"]));
    let new = new.map(|at| sets.remove(at));
    Rollout { deployment, new, old: sets }
}

/// Whether two pod templates are equal but for the hash label that sets get.
pub(super) fn is_same_template(a: &Value, b: &Value) -> bool {
    let bare = |template: &Value| {
        let mut template = template.clone();
        if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove(HASH);
        }
        if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("creationTimestamp");
        }
        template
    };
    bare(a) == bare(b)
}

fn revision_of(set: &Value) -> i64 {
    meta::annotation(set, REVISION).and_then(|r| r.parse().ok()).unwrap_or(0)
}

/// The number that the new set has or gets: one more than the highest of the others.
pub(super) fn next(rollout: &Rollout) -> i64 {
    rollout.old.iter().map(revision_of).max().unwrap_or(0) + 1
}

/// What the deployment's size was, as sets remember it.
pub(super) fn size_annotations(deployment: &Value) -> [(&'static str, String); 2] {
    let wanted = super::replicas(deployment);
    [(DESIRED, wanted.to_string()), (MAX, (wanted + super::rollout::max_surge(deployment)).to_string())]
}

/// The annotations of the set of the current template: the deployment's own, and the set's numbers.
pub(super) fn annotations(deployment: &Value, set: &Value, revision: i64) -> Value {
    let mut out: serde_json::Map<String, Value> =
        meta::entries(set.pointer("/metadata/annotations")).map(|(k, v)| (k.to_owned(), v.into())).gather();
    let copied = meta::entries(deployment.pointer("/metadata/annotations"))
        .filter(|(k, _)| ![LAST_APPLIED, REVISION, REVISION_HISTORY, DESIRED, MAX, ROLLBACK_TO].contains(k));
    for (key, value) in copied {
        out.insert(key.to_owned(), value.into());
    }
    let before = revision_of(set);
    if before < revision {
        if before > 0 {
            let history = meta::annotation(set, REVISION_HISTORY).filter(|h| !h.is_empty());
            let history = history.map_or_else(|| before.to_string(), |h| format!("{h},{before}"));
            out.insert(REVISION_HISTORY.into(), history.into());
        }
        out.insert(REVISION.into(), revision.to_string().into());
    }
    for (key, value) in size_annotations(deployment) {
        out.insert(key.into(), value.into());
    }
    out.into()
}

/// The set for the deployment's current template.
pub(super) fn new_set(deployment: &Value, revision: i64, replicas: i64) -> Value {
    let hash = history::hash(&deployment["spec"]["template"], reported(deployment, "collisionCount"));
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][HASH] = hash.clone().into();
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH] = hash.clone().into();
    let mut set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", meta::name(deployment)), "namespace": meta::namespace(deployment),
            "labels": template["metadata"]["labels"],
            "ownerReferences": [pods::owner_reference(deployment)],
        },
        "spec": { "replicas": replicas, "selector": selector, "template": template },
    });
    if let Some(seconds) = deployment["spec"].get("minReadySeconds") {
        set["spec"]["minReadySeconds"] = seconds.clone();
    }
    set["metadata"]["annotations"] = annotations(deployment, &set, revision);
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "d", "uid": "u", "annotations": { "a": "1", LAST_APPLIED: "{}" } },
            "spec": { "replicas": 4, "selector": { "matchLabels": { "app": "web" } },
                "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } },
                "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [] } } },
        })
    }

    #[test]
    fn a_new_set_carries_hash_owner_and_numbers() {
        let set = new_set(&deployment(), 3, 5);
        let hash = meta::label(&set, HASH).unwrap();
        assert_eq!(meta::name(&set), format!("web-{hash}"));
        assert_eq!(set["spec"]["selector"]["matchLabels"][HASH], hash);
        assert_eq!(set["spec"]["template"]["metadata"]["labels"][HASH], hash);
        let expected = json!({ "a": "1", REVISION: "3", DESIRED: "4", MAX: "5" });
        assert_eq!(set["metadata"]["annotations"], expected);
        assert!(is_same_template(&deployment()["spec"]["template"], &set["spec"]["template"]));
    }

    #[test]
    fn a_set_that_comes_back_remembers_the_numbers_it_had() {
        let set = new_set(&deployment(), 1, 5);
        let annotations = annotations(&deployment(), &set, 4);
        assert_eq!(annotations[REVISION], "4");
        assert_eq!(annotations[REVISION_HISTORY], "1");
    }
}
