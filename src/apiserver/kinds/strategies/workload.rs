//! Deployments, ReplicaSets, StatefulSets and DaemonSets.

use crate::kinds::defaults::workload;
use crate::kinds::tree::{int, some, text};
use crate::kinds::validation::{
    at_most_all, immutable, int_or_percent, is_zero, lasting_template, non_negative, selects_template,
};
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta};
use serde_json::json;
use std::collections::BTreeSet;

/// Deployments.
pub(crate) struct Deployment;

impl Strategy for Deployment {
    fn default(&self, object: &mut Value) {
        workload::deployment(object);
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let (spec, path) = (spec_of(object), Path::new("spec"));
        let mut errors = replicas(spec, &path, "deployment");
        errors.extend(strategy(spec, &path.child("strategy")));
        errors.extend(non_negative(spec, "revisionHistoryLimit", &path));
        errors.extend(non_negative(spec, "progressDeadlineSeconds", &path));
        let deadline = some(spec, "/progressDeadlineSeconds").and_then(Value::as_i64);
        if deadline.is_some_and(|seconds| seconds <= int(spec, "/minReadySeconds")) {
            let why = "must be greater than minReadySeconds";
            errors.push(Error::invalid(&path.child("progressDeadlineSeconds"), deadline.unwrap_or(0), why));
        }
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        keeping_selector(self, context, object, old)
    }
}

/// ReplicaSets.
pub(crate) struct ReplicaSet;

impl Strategy for ReplicaSet {
    fn default(&self, object: &mut Value) {
        workload::replica_set(object);
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        // Upstream's text names the deployment here too.
        replicas(spec_of(object), &Path::new("spec"), "deployment")
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        keeping_selector(self, context, object, old)
    }
}

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

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let (spec, path) = (spec_of(object), Path::new("spec"));
        let mut errors: Vec<Error> =
            ["replicas", "minReadySeconds"].iter().filter_map(|f| non_negative(spec, f, &path)).collect();
        errors.extend(selects_template(spec, "statefulset", &path));
        errors.extend(lasting_template(&as_in_pods(spec), "StatefulSet", &path));
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let mut errors = self.validate(context, object);
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
}

/// A StatefulSet's spec as its pods will have it: claims made from templates are volumes, in the place of those of the
/// same name; hostname and subdomain are the controller's (upstream's pkg/apis/apps/validation).
fn as_in_pods(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let templates = spec.get("volumeClaimTemplates").and_then(Value::as_array).cloned().unwrap_or_default();
    let claims: Vec<Value> = templates
        .iter()
        .map(meta::name)
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
        errors
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

fn spec_of(object: &Value) -> &Value {
    object.get("spec").unwrap_or(&Value::Null)
}

/// What kinds with replicas share.
fn replicas(spec: &Value, path: &Path, kind: &str) -> Vec<Error> {
    let mut errors: Vec<Error> =
        ["replicas", "minReadySeconds"].iter().filter_map(|f| non_negative(spec, f, path)).collect();
    errors.extend(selects_template(spec, kind, path));
    errors.extend(lasting_template(spec, "ReplicaSet", path));
    errors
}

fn keeping_selector(
    strategy: &dyn Strategy,
    context: &Context<'_>,
    object: &Value,
    old: &Value,
) -> Vec<Error> {
    let mut errors = strategy.validate(context, object);
    errors.extend(immutable(object, old, "/spec/selector", &Path::new("spec").child("selector")));
    errors
}

/// How a deployment replaces its pods.
fn strategy(spec: &Value, path: &Path) -> Vec<Error> {
    let rolling_path = path.child("rollingUpdate");
    let rolling = some(spec, "/strategy/rollingUpdate");
    match (text(spec, "/strategy/type"), rolling) {
        ("Recreate", Some(_)) => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            vec![Error::forbidden(&rolling_path, why)]
        }
        ("RollingUpdate", Some(rolling)) => {
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            let path = rolling_path.child("maxUnavailable");
            let mut errors = int_or_percent(unavailable, &path);
            errors.extend(int_or_percent(surge, &rolling_path.child("maxSurge")));
            if is_zero(unavailable) && is_zero(surge) {
                let given = unavailable.cloned().unwrap_or(Value::Null);
                errors.push(Error::invalid(&path, given, "may not be 0 when `maxSurge` is 0"));
            }
            errors.extend(at_most_all(unavailable, &path));
            errors
        }
        _ => Vec::new(),
    }
}
