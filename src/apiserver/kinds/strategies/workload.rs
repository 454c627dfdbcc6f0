//! Deployments and ReplicaSets.

use crate::kinds::defaults::workload;
use crate::kinds::tree::{int, some, text};
use crate::kinds::validation::statuses::{self, counted};
use crate::kinds::validation::{
    at_most_all, immutable, int_or_percent, is_zero, lasting_template, non_negative, selects_template,
};
use crate::registry::{Context, Strategy};
use alcove_object::Value;
use alcove_object::field::{Error, Path};

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

    fn validate_subresource(&self, _: &Context<'_>, part: &str, object: &Value, old: &Value) -> Vec<Error> {
        if part == "status" { counted(&statuses::DEPLOYMENT, object, old) } else { Vec::new() }
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

    fn validate_subresource(&self, _: &Context<'_>, part: &str, object: &Value, old: &Value) -> Vec<Error> {
        if part == "status" { counted(&statuses::REPLICA_SET, object, old) } else { Vec::new() }
    }
}

pub(super) fn spec_of(object: &Value) -> &Value {
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

pub(super) fn keeping_selector(
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
        ("Recreate", None) => Vec::new(),
        ("RollingUpdate", None) => {
            vec![Error::required(&rolling_path, "this should be defaulted and never be nil")]
        }
        _ => {
            let given = spec.get("strategy").cloned().unwrap_or(Value::Null);
            vec![Error::not_supported(path, given, &["Recreate", "RollingUpdate"])]
        }
    }
}
