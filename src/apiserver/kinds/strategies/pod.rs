//! Pods.

use crate::kinds::defaults::pod;
use crate::kinds::tree::{CONTAINER_LISTS, field_text, list, some, text};
use crate::kinds::validation::{
    APP_ARMOR_CONTAINER, app_armor_profile, ephemeral_containers_change, new_pod, pod_change,
    pod_status_change, quality_of_service, resize_change,
};
use crate::registry::{Context, Strategy};
use alcove_object::field::Error;
use alcove_object::{Value, meta, time};
use serde_json::json;

/// Pods.
pub(crate) struct Pod;

impl Strategy for Pod {
    fn default(&self, object: &mut Value) {
        pod::pod(object);
    }

    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        let quality = quality_of_service(object.get("spec").unwrap_or(&Value::Null));
        let mut status = json!({"phase": "Pending", "qosClass": quality});
        if !list(object, "/spec/schedulingGates").is_empty() {
            status["conditions"] = json!([gated_condition(&time::format(context.env.now()))]);
        }
        if let Some(map) = object.as_object_mut() {
            map.insert("status".into(), status);
        }
        label_keys_into_selectors(object);
        profiles_into_fields(object);
    }

    fn prepare_subresource(&self, _: &Context<'_>, subresource: &str, object: &mut Value, old: &Value) {
        match subresource {
            "status" => {
                keep_quality(object, old);
                keep_generations(object, old);
            }
            "ephemeralcontainers" => {
                let containers = object.pointer("/spec/ephemeralContainers").cloned();
                restore(object, old);
                set_spec(object, "ephemeralContainers", containers);
            }
            "resize" => keep_resources(object, old),
            _ => {}
        }
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        new_pod(object)
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        pod_change(object, old, context.has_same_spec)
    }

    fn validate_subresource(
        &self,
        _: &Context<'_>,
        subresource: &str,
        object: &Value,
        old: &Value,
    ) -> Vec<Error> {
        match subresource {
            "status" => pod_status_change(object, old),
            "ephemeralcontainers" => ephemeral_containers_change(object, old),
            "resize" => resize_change(object, old),
            _ => Vec::new(),
        }
    }
}

/// What annotations of old say of the AppArmor profiles of containers becomes fields, which nodes read.
fn profiles_into_fields(object: &mut Value) {
    const PROFILE: &str = "/securityContext/appArmorProfile";
    let said = meta::entries(object.pointer("/metadata/annotations"));
    let said = said.filter_map(|(key, said)| Some((key.strip_prefix(APP_ARMOR_CONTAINER)?, said)));
    let profiles: Vec<(String, Value)> =
        said.filter_map(|(name, said)| Some((name.to_owned(), app_armor_profile(said)?))).collect();
    if profiles.is_empty() || text(object, "/spec/os/name") == "windows" {
        return;
    }
    let whole = some(object, &format!("/spec{PROFILE}")).cloned();
    for field in CONTAINER_LISTS {
        let containers = object.pointer_mut(&format!("/spec/{field}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter(|container| container.is_object()) {
            let of_it = profiles.iter().find(|(name, _)| name == field_text(container, "name"));
            let Some((_, profile)) = of_it.filter(|(_, profile)| whole.as_ref() != Some(profile)) else {
                continue;
            };
            let context = container.get("securityContext").is_none_or(|c| c.is_null() || c.is_object());
            if context && some(container, PROFILE).is_none() {
                container["securityContext"]["appArmorProfile"] = profile.clone();
            }
        }
    }
}

/// What a pod has under the keys that its affinities and spreading name becomes part of their selectors.
fn label_keys_into_selectors(object: &mut Value) {
    let labels = object.pointer("/metadata/labels").cloned().unwrap_or_default();
    let Some(spec) = object.get_mut("spec") else { return };
    let constraints = spec.get_mut("topologySpreadConstraints").and_then(Value::as_array_mut);
    constraints.into_iter().flatten().for_each(|constraint| merge_label_keys(constraint, &labels));
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec.pointer_mut(&format!("/affinity/{kind}")) else { continue };
        let mut each = |field: &str, change: &dyn Fn(&mut Value)| {
            affinity.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().for_each(change);
        };
        each("preferredDuringSchedulingIgnoredDuringExecution", &|weighted| {
            weighted.get_mut("podAffinityTerm").into_iter().for_each(|term| merge_label_keys(term, &labels));
        });
        each("requiredDuringSchedulingIgnoredDuringExecution", &|term| merge_label_keys(term, &labels));
    }
}

fn merge_label_keys(term: &mut Value, labels: &Value) {
    let mut added = Vec::new();
    for (keys, operator) in [("/matchLabelKeys", "In"), ("/mismatchLabelKeys", "NotIn")] {
        for key in list(term, keys).iter().filter_map(Value::as_str) {
            if let Some(value) = labels.get(key) {
                added.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    let Some(selector) = term.get_mut("labelSelector").and_then(Value::as_object_mut) else { return };
    if !added.is_empty() {
        let expressions = selector.entry("matchExpressions").or_insert_with(|| json!([]));
        expressions.as_array_mut().into_iter().for_each(|list| list.append(&mut added));
    }
}

fn gated_condition(now: &str) -> Value {
    json!({
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
        "lastProbeTime": null, "lastTransitionTime": now,
    })
}

/// Kubelets of old dropped the class; it never changes.
fn keep_quality(object: &mut Value, old: &Value) {
    let class = text(old, "/status/qosClass");
    if text(object, "/status/qosClass").is_empty()
        && !class.is_empty()
        && let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
    {
        status.insert("qosClass".into(), class.into());
    }
    match old.pointer("/metadata/ownerReferences") {
        Some(owners) => meta::set(object, "ownerReferences", owners.clone()),
        None => meta::unset(object, "ownerReferences"),
    }
}

/// Who does not say what generation was observed leaves what was said before.
fn keep_generations(object: &mut Value, old: &Value) {
    const OBSERVED: &str = "observedGeneration";
    let said = |value: &Value| value.get(OBSERVED).and_then(Value::as_i64).filter(|observed| *observed != 0);
    let keep = |value: &mut Value, before: Option<i64>| {
        if let (None, Some(before), Some(map)) = (said(value), before, value.as_object_mut()) {
            map.insert(OBSERVED.into(), before.into());
        }
    };
    let Some(status) = object.get_mut("status") else { return };
    keep(status, old.get("status").and_then(said));
    let mut before: Vec<&Value> = list(old, "/status/conditions").iter().collect();
    let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        let kind = field_text(condition, "type").to_owned();
        let Some(at) = before.iter().position(|old| field_text(old, "type") == kind) else { continue };
        keep(condition, said(before.remove(at)));
    }
}

/// Spec, status and what clients write of metadata as they were, but for what is set after.
fn restore(object: &mut Value, old: &Value) {
    let Some(map) = object.as_object_mut() else { return };
    for field in ["spec", "status"] {
        match old.get(field) {
            Some(value) => map.insert(field.into(), value.clone()),
            None => map.remove(field),
        };
    }
    for field in ["annotations", "finalizers", "labels", "ownerReferences"] {
        match old.pointer(&format!("/metadata/{field}")) {
            Some(value) => meta::set(object, field, value.clone()),
            None => meta::unset(object, field),
        }
    }
}

fn set_spec(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    match value {
        Some(value) => spec.insert(field.into(), value),
        None => spec.remove(field),
    };
}

/// A resize may change the resources of containers, and nothing else. When containers were added, removed or renamed
/// everything stays as it came, for validation to refuse.
fn keep_resources(object: &mut Value, old: &Value) {
    let mut merged = Vec::new();
    for field in ["containers", "initContainers"] {
        let (new, old) = (list(object, &format!("/spec/{field}")), list(old, &format!("/spec/{field}")));
        if new.len() != old.len() {
            return;
        }
        let is_same = new.iter().zip(old).all(|(n, o)| n.get("name") == o.get("name"));
        let containers = match is_same {
            true => new.iter().zip(old).map(|(new, old)| with_resources(new, old)).collect::<Vec<_>>(),
            false => new.to_vec(),
        };
        merged.push((field, containers));
    }
    let whole = object.pointer("/spec/resources").cloned();
    restore(object, old);
    set_spec(object, "resources", whole);
    for (field, containers) in merged {
        if !containers.is_empty() {
            set_spec(object, field, Some(containers.into()));
        }
    }
}

fn with_resources(new: &Value, old: &Value) -> Value {
    let mut container = old.clone();
    for field in ["resources", "resizePolicy"] {
        let Some(map) = container.as_object_mut() else { continue };
        match new.get(field) {
            Some(value) => map.insert(field.into(), value.clone()),
            None => map.remove(field),
        };
    }
    container
}
