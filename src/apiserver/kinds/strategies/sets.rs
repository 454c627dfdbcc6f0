//! StatefulSets and DaemonSets, and the revisions that both keep of their templates.

use super::workload::{keeping_selector, spec_of};
use crate::kinds::defaults::workload;
use crate::kinds::tree::{some, text};
use crate::kinds::validation::claims::claim_spec;
use crate::kinds::validation::statuses::{self, counted};
use crate::kinds::validation::{
    at_most_all, by, immutable, int_or_percent, is_zero, items, lasting_template, non_negative,
    selects_template,
};
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, name};
use serde_json::json;
use std::collections::BTreeSet;

/// StatefulSets.
pub(crate) struct StatefulSet;

/// What of a StatefulSet's spec may change.
const STATEFUL_CHANGEABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

impl Strategy for StatefulSet {
    fn default(&self, object: &mut Value) {
        workload::stateful_set(object);
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_max_unavailable(object);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        if some(old, "/spec/updateStrategy/rollingUpdate/maxUnavailable").is_none() {
            drop_max_unavailable(object);
        }
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let (spec, path) = (spec_of(object), Path::new("spec"));
        let mut errors = stateful_spec(spec, &path);
        let service = text(spec, "/serviceName");
        if !service.is_empty() {
            errors.extend(by(name::is_dns1123_label, service, &path.child("serviceName")));
        }
        for (at, claim) in items(spec, "volumeClaimTemplates", &path) {
            errors.extend(claim_spec(claim.get("spec").unwrap_or(&Value::Null), &at.child("spec")));
        }
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let mut errors = stateful_spec(spec_of(object), &Path::new("spec"));
        let none = serde_json::Map::new();
        let fields = |object: &Value| spec_of(object).as_object().cloned().unwrap_or_else(|| none.clone());
        let (new, old) = (fields(object), fields(old));
        let keys: BTreeSet<&String> = new.keys().chain(old.keys()).collect();
        let is_fixed = |key: &&&String| !STATEFUL_CHANGEABLE.contains(&key.as_str());
        if keys.iter().filter(is_fixed).any(|key| new.get(*key) != old.get(*key)) {
            let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                'minReadySeconds' are forbidden";
            errors.push(Error::forbidden(&Path::new("spec"), why));
        }
        errors
    }

    fn validate_subresource(&self, _: &Context<'_>, part: &str, object: &Value, old: &Value) -> Vec<Error> {
        if part == "status" { counted(&statuses::STATEFUL_SET, object, old) } else { Vec::new() }
    }
}

/// The field is behind a gate that is off upstream.
fn drop_max_unavailable(object: &mut Value) {
    let rolling = object.pointer_mut("/spec/updateStrategy/rollingUpdate").and_then(Value::as_object_mut);
    rolling.map(|rolling| rolling.remove("maxUnavailable"));
}

fn stateful_spec(spec: &Value, path: &Path) -> Vec<Error> {
    let mut errors: Vec<Error> =
        ["replicas", "minReadySeconds"].iter().filter_map(|f| non_negative(spec, f, path)).collect();
    if !matches!(text(spec, "/podManagementPolicy"), "OrderedReady" | "Parallel") {
        let given = text(spec, "/podManagementPolicy");
        let why = "must be 'OrderedReady' or 'Parallel'";
        errors.push(Error::invalid(&path.child("podManagementPolicy"), given, why));
    }
    errors.extend(stateful_strategy(spec, &path.child("updateStrategy")));
    for field in ["whenDeleted", "whenScaled"] {
        let given = text(&spec["persistentVolumeClaimRetentionPolicy"], &format!("/{field}"));
        if !matches!(given, "Retain" | "Delete") {
            let path = path.child("persistentVolumeClaimRetentionPolicy").child(field);
            errors.push(Error::not_supported(&path, given, &["Retain", "Delete"]));
        }
    }
    errors.extend(non_negative(&spec["ordinals"], "start", &path.child("ordinals")));
    errors.extend(selects_template(spec, "statefulset", path));
    errors.extend(lasting_template(&as_in_pods(spec), "StatefulSet", path));
    errors
}

fn stateful_strategy(spec: &Value, path: &Path) -> Vec<Error> {
    let rolling = some(spec, "/updateStrategy/rollingUpdate");
    let rolling_path = path.child("rollingUpdate");
    match (text(spec, "/updateStrategy/type"), rolling) {
        ("OnDelete", Some(rolling)) => {
            let why = "only allowed for updateStrategy 'RollingUpdate'";
            vec![Error::invalid(&rolling_path, rolling.clone(), why)]
        }
        ("RollingUpdate", Some(rolling)) => {
            let mut errors: Vec<Error> =
                non_negative(rolling, "partition", &rolling_path).into_iter().collect();
            if let Some(unavailable) = some(rolling, "/maxUnavailable") {
                let path = rolling_path.child("maxUnavailable");
                errors.extend(int_or_percent(Some(unavailable), &path));
                if is_zero(Some(unavailable)) {
                    errors.push(Error::invalid(&path, unavailable.clone(), "cannot be 0"));
                }
                errors.extend(at_most_all(Some(unavailable), &path));
            }
            errors
        }
        ("OnDelete" | "RollingUpdate", None) => Vec::new(),
        _ => {
            let given = spec.get("updateStrategy").cloned().unwrap_or(Value::Null);
            vec![Error::invalid(path, given, "must be 'RollingUpdate' or 'OnDelete'")]
        }
    }
}

/// A StatefulSet's spec as its pods will have it: claims made from templates are volumes, in the place of those of the
/// same name; hostname and subdomain are the controller's (upstream's pkg/apis/apps/validation).
fn as_in_pods(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let templates = spec.get("volumeClaimTemplates").and_then(Value::as_array).cloned().unwrap_or_default();
    let names: BTreeSet<&str> = templates.iter().map(meta::name).collect();
    let claims: Vec<Value> = names
        .into_iter()
        .map(|name| json!({ "name": name, "persistentVolumeClaim": { "claimName": name } }))
        .collect();
    if let Some(pod) = spec.pointer_mut("/template/spec").and_then(Value::as_object_mut) {
        pod.remove("hostname");
        pod.remove("subdomain");
        let own = pod.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_replaced = |volume: &Value| claims.iter().any(|claim| claim["name"] == volume["name"]);
        let own = own.into_iter().filter(|volume| !is_replaced(volume)).collect::<Vec<_>>();
        if !claims.is_empty() {
            pod.insert("volumes".into(), claims.into_iter().chain(own).collect::<Vec<_>>().into());
        }
    }
    spec
}

/// DaemonSets, whose annotation counts the templates: what is left of a field of old.
pub(crate) struct DaemonSet;

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

impl Strategy for DaemonSet {
    fn default(&self, object: &mut Value) {
        workload::daemon_set(object);
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        let given = template_generation(object);
        set_template_generation(object, given.max(1));
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        let is_new = object.pointer("/spec/template") != old.pointer("/spec/template");
        set_template_generation(object, template_generation(old) + i64::from(is_new));
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let (spec, path) = (spec_of(object), Path::new("spec"));
        let mut errors = selects_template(spec, "daemonset", &path);
        errors.extend(lasting_template(spec, "DaemonSet", &path));
        errors.extend(
            ["minReadySeconds", "revisionHistoryLimit"].iter().filter_map(|f| non_negative(spec, f, &path)),
        );
        errors.extend(daemon_strategy(spec, &path.child("updateStrategy")));
        errors
    }

    fn validate_subresource(&self, _: &Context<'_>, part: &str, object: &Value, old: &Value) -> Vec<Error> {
        if part == "status" { counted(&statuses::DAEMON_SET, object, old) } else { Vec::new() }
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        keeping_selector(self, context, object, old)
    }
}

fn template_generation(object: &Value) -> i64 {
    meta::annotation(object, TEMPLATE_GENERATION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn set_template_generation(object: &mut Value, generation: i64) {
    let annotations = meta::child_mut(meta::metadata_mut(object), "annotations");
    annotations.insert(TEMPLATE_GENERATION.into(), generation.to_string().into());
}

fn daemon_strategy(spec: &Value, path: &Path) -> Vec<Error> {
    let kind = text(spec, "/updateStrategy/type");
    if kind == "OnDelete" {
        return Vec::new();
    }
    if kind != "RollingUpdate" {
        return vec![Error::not_supported(path, kind, &["RollingUpdate", "OnDelete"])];
    }
    let path = path.child("rollingUpdate");
    let Some(rolling) = some(spec, "/updateStrategy/rollingUpdate") else {
        return vec![Error::required(&path, "")];
    };
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    let (unavailable_path, surge_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
    let mut errors = int_or_percent(unavailable, &unavailable_path);
    errors.extend(int_or_percent(surge, &surge_path));
    errors.extend(at_most_all(unavailable, &unavailable_path));
    errors.extend(at_most_all(surge, &surge_path));
    match (is_zero(unavailable), is_zero(surge)) {
        (false, false) => {
            let given = surge.cloned().unwrap_or(Value::Null);
            errors.push(Error::invalid(&surge_path, given, "may not be set when maxUnavailable is non-zero"));
        }
        (true, true) => errors.push(Error::required(&unavailable_path, "cannot be 0 when maxSurge is 0")),
        _ => {}
    }
    errors
}

/// What a set's template was. What a revision holds never changes; its number does.
pub(crate) struct ControllerRevision;

impl Strategy for ControllerRevision {
    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let path = Path::new("data");
        let mut errors: Vec<Error> = match some(object, "/data") {
            None => vec![Error::required(&path, "data is mandatory")],
            Some(data) if !data.is_object() => {
                vec![Error::required(&path, "data must be a valid JSON object")]
            }
            Some(_) => Vec::new(),
        };
        errors.extend(revision_number(object));
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let changed = immutable(object, old, "/data", &Path::new("data"));
        changed.into_iter().chain(revision_number(object)).collect()
    }
}

fn revision_number(object: &Value) -> Option<Error> {
    let number = object["revision"].as_i64().filter(|number| *number < 0)?;
    Some(Error::invalid(&Path::new("revision"), number, "must be greater than or equal to 0"))
}
