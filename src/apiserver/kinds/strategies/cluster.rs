//! Namespaces, nodes, leases, storage and priority classes: kinds with one or two rules each.

use crate::kinds::defaults::{fill, kinds};
use crate::kinds::tree::{int, list, some};
use crate::kinds::validation::{early, immutable, node, rules, statuses};
use crate::registry::{Context, Strategy};
use crate::rest::standard_finalizer;
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, time};
use serde_json::json;

/// Namespaces: held by the finalizer of the server itself, whose removal goes through `finalize`.
pub(crate) struct Namespace;

impl Strategy for Namespace {
    fn default(&self, object: &mut Value) {
        kinds::namespace(object);
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        // Once more, for a name that the server made.
        kinds::namespace(object);
        let has_finalizer = list(object, "/spec/finalizers").iter().any(|f| f == "kubernetes");
        let Some(map) = object.as_object_mut() else { return };
        map.insert("status".into(), json!({"phase": "Active"}));
        if !has_finalizer {
            let finalizers = meta::child_mut(map, "spec").entry("finalizers").or_insert_with(|| json!([]));
            finalizers.as_array_mut().into_iter().for_each(|list| list.push("kubernetes".into()));
        }
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        carry(object, old, &["spec", "status"]);
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let path = Path::new("spec").child("finalizers");
        finalizers(object, |_| path.clone())
    }

    fn prepare_subresource(&self, _: &Context<'_>, subresource: &str, object: &mut Value, old: &Value) {
        if subresource == "finalize" {
            carry(object, old, &["status"]);
        }
    }

    fn validate_subresource(
        &self,
        _: &Context<'_>,
        subresource: &str,
        object: &Value,
        _: &Value,
    ) -> Vec<Error> {
        match subresource {
            "status" => statuses::namespace(object).into_iter().collect(),
            _ => finalizers(object, |i| Path::new("spec").child("finalizers").index(i)),
        }
    }
}

/// Upstream says which finalizer it means only of those that are there already.
fn finalizers(object: &Value, path: impl Fn(usize) -> Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (i, finalizer) in list(object, "/spec/finalizers").iter().filter_map(Value::as_str).enumerate() {
        errors.extend(alcove_object::validate::validate_finalizer_name(finalizer, &path(i)));
        errors.extend(standard_finalizer(finalizer, &path(i)));
    }
    errors
}

fn carry(object: &mut Value, old: &Value, fields: &[&str]) {
    let Some(map) = object.as_object_mut() else { return };
    for &field in fields {
        match old.get(field) {
            Some(value) => map.insert(field.into(), value.clone()),
            None => map.remove(field),
        };
    }
}

/// Nodes, which kubelets register together with their status.
pub(crate) struct Node;

impl Strategy for Node {
    fn default(&self, object: &mut Value) {
        kinds::node(object);
    }

    fn keeps_status(&self) -> bool {
        true
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let mut errors = node::node(object);
        errors.extend(node::blocks(object));
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let mut errors = node::node(object);
        errors.extend(node::blocks(object));
        errors.extend(node::change(object, old));
        errors
    }

    fn validate_subresource(
        &self,
        context: &Context<'_>,
        _: &str,
        object: &Value,
        old: &Value,
    ) -> Vec<Error> {
        self.validate_update(context, object, old)
    }
}

/// Leases.
pub(crate) struct Lease;

impl Strategy for Lease {
    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        if let Some(seconds) = some(object, "/spec/leaseDurationSeconds").and_then(Value::as_i64)
            && seconds <= 0
        {
            errors.push(Error::invalid(
                &path.child("leaseDurationSeconds"),
                seconds,
                "must be greater than 0",
            ));
        }
        let transitions = int(object, "/spec/leaseTransitions");
        if transitions < 0 {
            let why = "must be greater than or equal to 0";
            errors.push(Error::invalid(&path.child("leaseTransitions"), transitions, why));
        }
        errors
    }
}

/// Priority classes: the number stays, names with `system-` are the server's own.
pub(crate) struct PriorityClass;

/// The highest priority that people can give; above it are the system's own classes.
const PRIORITY_MAX: i64 = 1_000_000_000;

impl Strategy for PriorityClass {
    fn default(&self, object: &mut Value) {
        fill(object, kinds::PRIORITY_CLASS);
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let (name, value) = (meta::name(object), int(object, "/value"));
        let mut errors = Vec::new();
        let is_known = matches!(
            (name, value),
            ("system-node-critical", 2_000_001_000) | ("system-cluster-critical", 2_000_000_000)
        );
        if name.starts_with("system-") && !is_known {
            let why = "priority class names with 'system-' prefix are reserved for system use only. error: ";
            let detail = format!("{why}{name} is not a known system priority class");
            errors.push(Error::forbidden(&Path::new("metadata").child("name"), detail));
        } else if value > PRIORITY_MAX && !is_known {
            let why = format!("maximum allowed value of a user defined priority is {PRIORITY_MAX}");
            errors.push(Error::forbidden(&Path::new("value"), why));
        }
        let policy = some(object, "/preemptionPolicy").and_then(Value::as_str);
        let path = Path::new("preemptionPolicy");
        match policy {
            None | Some("PreemptLowerPriority" | "Never") => {}
            Some("") => errors.push(Error::required(&path, "")),
            Some(other) => {
                errors.push(Error::not_supported(&path, other, &["PreemptLowerPriority", "Never"]));
            }
        }
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let mut errors = Vec::new();
        if int(object, "/value") != int(old, "/value") {
            errors.push(Error::forbidden(&Path::new("value"), "may not be changed in an update."));
        }
        errors.extend(immutable(object, old, "/preemptionPolicy", &Path::new("preemptionPolicy")));
        errors
    }
}

/// Rules that taint devices: a taint says since when it has its effect.
pub(crate) struct DeviceTaintRule;

impl Strategy for DeviceTaintRule {
    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        if some(object, ADDED).is_none() {
            stamp(context, object);
        }
    }

    fn prepare_update(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        let has_other = |pointer: &str| object.pointer(pointer) != old.pointer(pointer);
        if some(object, ADDED).is_none() || has_other("/spec/taint/effect") && !has_other(ADDED) {
            stamp(context, object);
        }
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        rules::check(object, early::DEVICE_TAINT_RULE)
    }

    fn validate_subresource(&self, _: &Context<'_>, _: &str, object: &Value, old: &Value) -> Vec<Error> {
        early::conditions_change(object, old)
    }
}

const ADDED: &str = "/spec/taint/timeAdded";

fn stamp(context: &Context<'_>, rule: &mut Value) {
    if let Some(taint) = rule.pointer_mut("/spec/taint").and_then(Value::as_object_mut) {
        taint.insert("timeAdded".into(), time::format(context.env.now()).into());
    }
}
