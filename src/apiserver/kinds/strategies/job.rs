//! Jobs: the selector that is made for them, and what of them may change.

use crate::kinds::defaults::workload;
use crate::kinds::tree::{flag, int, list, some, text};
use crate::kinds::validation::{immutable, job_status, jobs, matches_template};
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::selector::Labels;
use alcove_object::{Value, meta};

/// Jobs.
pub(crate) struct Job;

const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];
const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];

/// (k8s.io/kubernetes/pkg/registry/batch/job/storage/storage.go: deleteOptionWarnings)
const PODS_STAY: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

impl Strategy for Job {
    fn default(&self, object: &mut Value) {
        workload::job(object);
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        if !flag(object, "/spec/manualSelector") {
            generate_selector(object);
        }
        // The labels of the template are the job's too, where it has none.
        workload::job(object);
    }

    fn warning_without_policy(&self) -> Option<&'static str> {
        Some(PODS_STAY)
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let path = Path::new("spec");
        let Some(spec) = object.get("spec") else { return Vec::new() };
        let mut errors = generated_selector(object, &path);
        errors.extend(job_spec(spec, &path));
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let path = Path::new("spec");
        let Some(spec) = object.get("spec") else { return Vec::new() };
        let mut errors = generated_selector(object, &path);
        errors.extend(job_spec(spec, &path));
        errors.extend(completions_change(object, old, &path));
        errors.extend(immutable(object, old, "/spec/selector", &path.child("selector")));
        errors.extend(template_change(object, old, &path));
        for field in
            ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
        {
            errors.extend(immutable(object, old, &format!("/spec/{field}"), &path.child(field)));
        }
        errors
    }

    fn validate_subresource(&self, _: &Context<'_>, part: &str, object: &Value, old: &Value) -> Vec<Error> {
        if part == "status" { job_status::job_status_change(object, old) } else { Vec::new() }
    }
}

/// Only indexed jobs may change how many of their pods are to succeed, together with how many run at once.
fn completions_change(object: &Value, old: &Value, path: &Path) -> Option<Error> {
    let path = path.child("completions");
    if text(object, "/spec/completionMode") != "Indexed" {
        return immutable(object, old, "/spec/completions", &path);
    }
    let given = some(object, "/spec/completions")?;
    let is_kept = Some(given) == some(old, "/spec/completions");
    let is_alike = Some(given) == some(object, "/spec/parallelism");
    let why = "can only be modified in tandem with spec.parallelism";
    (!is_kept && !is_alike).then(|| Error::invalid(&path, given.clone(), why))
}

/// Labels the pods with the job's name and UID, and selects by the latter. What is there already stays, for
/// validation to refuse.
fn generate_selector(object: &mut Value) {
    let (name, uid) = (meta::name(object).to_owned(), meta::uid(object).to_owned());
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let metadata = meta::child_mut(meta::child_mut(spec, "template"), "metadata");
    let labels = meta::child_mut(metadata, "labels");
    for (keys, value) in [(NAME_LABELS, &name), (UID_LABELS, &uid)] {
        for key in keys {
            labels.entry(key).or_insert_with(|| value.clone().into());
        }
    }
    let wanted = meta::child_mut(meta::child_mut(spec, "selector"), "matchLabels");
    wanted.entry(UID_LABELS[1]).or_insert_with(|| uid.into());
}

/// A job that has its selector made for it must not bring labels of its own that say otherwise.
fn generated_selector(object: &Value, path: &Path) -> Vec<Error> {
    if flag(object, "/spec/manualSelector") {
        return Vec::new();
    }
    let Some(selector) = some(object, "/spec/selector") else { return Vec::new() };
    let uid = meta::uid(object);
    if uid.is_empty() {
        return vec![Error::required(&Path::new("metadata").child("uid"), "")];
    }
    let labels = object.pointer("/spec/template/metadata/labels");
    let label = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
    let mut errors = Vec::new();
    let labels_path = path.child("template").child("metadata").child("labels");
    for (keys, wanted) in [(NAME_LABELS, meta::name(object)), (UID_LABELS, uid)] {
        for key in keys {
            match label(key) {
                Some(found) if found == wanted => {}
                Some(_) => {
                    let given = labels.cloned().unwrap_or(Value::Null);
                    errors.push(Error::invalid(&labels_path.key(key), given, format!("must be '{wanted}'")));
                }
                None => errors.push(Error::required(&labels_path.key(key), format!("must be '{wanted}'"))),
            }
        }
    }
    let selects = selector.get("matchLabels").and_then(|l| l.get(UID_LABELS[1])).and_then(Value::as_str);
    if selects != Some(uid) {
        let why = "`selector` not auto-generated";
        errors.push(Error::invalid(&path.child("selector"), selector.clone(), why));
    }
    errors
}

fn job_spec(spec: &Value, path: &Path) -> Vec<Error> {
    let mut errors = jobs::job_spec(spec, path);
    let selector_path = path.child("selector");
    match some(spec, "/selector") {
        None => {
            errors.push(Error::required(&selector_path, ""));
            errors.extend(matches_template(spec, None, path));
        }
        Some(selector) => {
            errors.extend(alcove_object::validate::validate_label_selector(
                Some(selector),
                false,
                &selector_path,
            ));
            if let Ok(Some(labels)) = Labels::from_object(Some(selector)) {
                errors.extend(matches_template(spec, Some(&labels), path));
            }
        }
    }
    errors
}

/// The template of a job that waits may say anew where its pods go and what they need.
fn template_change(object: &Value, old: &Value, path: &Path) -> Option<Error> {
    let was_suspended = {
        let conditions = list(old, "/status/conditions").iter();
        { conditions }.any(|c| text(c, "/type") == "Suspended" && text(c, "/status") == "True")
    };
    let has_no_pods = some(old, "/status/startTime").is_none() || was_suspended;
    let is_waiting = flag(old, "/spec/suspend") && has_no_pods && int(old, "/status/active") == 0;
    let mut at = path.child("template");
    let fixed = |object: &Value| {
        let mut template = object.pointer("/spec/template").cloned().unwrap_or(Value::Null);
        if !is_waiting {
            return template;
        }
        template = template.get("spec").cloned().unwrap_or(Value::Null);
        let Some(spec) = template.as_object_mut() else { return template };
        for field in ["nodeSelector", "tolerations", "schedulingGates"] {
            spec.remove(field);
        }
        let affinity = spec.get_mut("affinity").and_then(Value::as_object_mut);
        let is_empty = affinity.is_some_and(|affinity| {
            affinity.remove("nodeAffinity");
            affinity.is_empty()
        });
        if is_empty {
            spec.remove("affinity");
        }
        for containers in ["containers", "initContainers"] {
            let containers = spec.get_mut(containers).and_then(Value::as_array_mut).into_iter().flatten();
            containers.filter_map(Value::as_object_mut).for_each(|container| {
                container.remove("resources");
            });
        }
        template
    };
    if is_waiting {
        at = at.child("spec");
    }
    let (new, old) = (fixed(object), fixed(old));
    (new != old).then(|| Error::invalid(&at, new, alcove_object::validate::FIELD_IMMUTABLE))
}
