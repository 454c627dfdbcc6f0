//! Defaults of the kinds that run pods from a template.

use super::Fill::{self, Bool, Int, Text, Word};
use super::{Rule, fill, kinds, labels_from, pod};
use crate::kinds::tree::{some, text};
use alcove_object::{Value, meta};

/// `25%` of a deployment's pods may be missing, and as many be there beside.
const ROLLING_DEPLOYMENT: &[Rule] = &[
    ("strategy/rollingUpdate+/maxUnavailable", Word("25%")),
    ("strategy/rollingUpdate+/maxSurge", Word("25%")),
];

const DEPLOYMENT: &[Rule] = &[
    ("replicas", Int(1)),
    ("strategy+/type", Text("RollingUpdate")),
    ("revisionHistoryLimit", Int(10)),
    ("progressDeadlineSeconds", Int(600)),
];

pub(crate) fn deployment(object: &mut Value) {
    let Some(spec) = spec(object) else { return };
    fill(spec, DEPLOYMENT);
    if text(spec, "/strategy/type") == "RollingUpdate" {
        fill(spec, ROLLING_DEPLOYMENT);
    }
    // Upstream's own form has no way to say nothing here.
    let numbers =
        [("strategy/rollingUpdate/maxUnavailable", Int(0)), ("strategy/rollingUpdate/maxSurge", Int(0))];
    fill(spec, &numbers);
}

pub(crate) fn replica_set(object: &mut Value) {
    if let Some(spec) = spec(object) {
        fill(spec, &[("replicas", Int(1))]);
    }
}

const ROLLING_DAEMON_SET: &[Rule] = &[
    ("updateStrategy/rollingUpdate+/maxUnavailable", Int(1)),
    ("updateStrategy/rollingUpdate+/maxSurge", Int(0)),
];

/// Where apps/v1 has a field of its predecessors, which counts changes of the template.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(crate) fn daemon_set(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        let annotations = meta::child_mut(meta::child_mut(map, "metadata"), "annotations");
        annotations.entry(TEMPLATE_GENERATION).or_insert_with(|| "0".into());
    }
    let Some(spec) = spec(object) else { return };
    fill(spec, &[("updateStrategy+/type", Text("RollingUpdate")), ("revisionHistoryLimit", Int(10))]);
    if text(spec, "/updateStrategy/type") == "RollingUpdate" {
        fill(spec, ROLLING_DAEMON_SET);
    }
    // Upstream's own form has no way to say nothing here.
    let numbers = [
        ("updateStrategy/rollingUpdate/maxUnavailable", Int(0)),
        ("updateStrategy/rollingUpdate/maxSurge", Int(0)),
    ];
    fill(spec, &numbers);
}

const STATEFUL_SET: &[Rule] = &[
    ("podManagementPolicy", Text("OrderedReady")),
    ("persistentVolumeClaimRetentionPolicy+/whenDeleted", Text("Retain")),
    ("persistentVolumeClaimRetentionPolicy+/whenScaled", Text("Retain")),
    ("replicas", Int(1)),
    ("revisionHistoryLimit", Int(10)),
];

pub(crate) fn stateful_set(object: &mut Value) {
    let Some(spec) = spec(object) else { return };
    fill(spec, STATEFUL_SET);
    if text(spec, "/updateStrategy/type").is_empty() {
        fill(
            spec,
            &[("updateStrategy+/type", Text("RollingUpdate")), ("updateStrategy/rollingUpdate", Fill::Empty)],
        );
    }
    fill(spec, &[("updateStrategy/rollingUpdate/partition", Int(0))]);
    let claims = spec.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut);
    for claim in claims.into_iter().flatten().filter(|claim| claim.is_object()) {
        fill(claim, kinds::PERSISTENT_VOLUME_CLAIM);
        claim["apiVersion"] = "v1".into();
        claim["kind"] = "PersistentVolumeClaim".into();
    }
}

/// The selector and the labels are the template's where nothing else is said; no other kind does so any more.
pub(crate) fn replication_controller(object: &mut Value) {
    labels_from(object, "/spec/template/metadata/labels");
    let labels = object.pointer("/spec/template/metadata/labels").filter(|l| l.is_object()).cloned();
    let Some(spec) = spec(object) else { return };
    fill(spec, &[("replicas", Int(1))]);
    let has_selector = spec.get("selector").and_then(Value::as_object).is_some_and(|s| !s.is_empty());
    if let (false, Some(labels)) = (has_selector, labels) {
        spec["selector"] = labels;
    }
}

const JOB: &[Rule] = &[
    ("parallelism", Int(1)),
    ("completionMode", Word("NonIndexed")),
    ("suspend", Bool(false)),
    ("manualSelector", Bool(false)),
    ("podFailurePolicy/rules/*/onPodConditions/*/status", Text("True")),
];

pub(crate) fn job(object: &mut Value) {
    labels_from(object, "/spec/template/metadata/labels");
    let Some(spec) = spec(object) else { return };
    job_spec(spec);
}

fn job_spec(spec: &mut Value) {
    if some(spec, "/completions").is_none() && some(spec, "/parallelism").is_none() {
        fill(spec, &[("completions", Int(1))]);
    }
    let backoff = if some(spec, "/backoffLimitPerIndex").is_some() { i32::MAX.into() } else { 6 };
    let replaced = if some(spec, "/podFailurePolicy").is_some() { "Failed" } else { "TerminatingOrFailed" };
    fill(spec, JOB);
    fill(spec, &[("backoffLimit", Int(backoff)), ("podReplacementPolicy", Word(replaced))]);
}

const CRON_JOB: &[Rule] = &[
    ("concurrencyPolicy", Text("Allow")),
    ("suspend", Bool(false)),
    ("successfulJobsHistoryLimit", Int(3)),
    ("failedJobsHistoryLimit", Int(1)),
    ("jobTemplate/spec/podFailurePolicy/rules/*/onPodConditions/*/status", Text("True")),
];

/// The job of the template gets its own defaults when it is created.
pub(crate) fn cron_job(object: &mut Value) {
    if let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) {
        fill(spec, CRON_JOB);
        if let Some(template) = spec.pointer_mut("/jobTemplate/spec/template") {
            pod::template(template);
        }
    }
}

pub(crate) fn pod_template(object: &mut Value) {
    if let Some(template) = object.get_mut("template") {
        pod::template(template);
    }
}

/// The spec, with the defaults of its template filled in.
fn spec(object: &mut Value) -> Option<&mut Value> {
    let spec = object.get_mut("spec").filter(|s| s.is_object())?;
    if let Some(template) = spec.get_mut("template") {
        pod::template(template);
    }
    Some(spec)
}
