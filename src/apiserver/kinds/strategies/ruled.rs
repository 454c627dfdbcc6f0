//! Kinds whose defaults and rules are data, and the table of them.

use super::forms::{self, Flat};
use crate::kinds::defaults::{self, kinds, workload};
use crate::kinds::validation::rules::{Rule, check};
use crate::kinds::validation::{
    autoscaling, claims, claims_of_devices, control, devices, early, endpoints, immutable, limits, network,
    policies, statuses, storage, templates, webhooks,
};
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::{Gvk, Value, time};
use serde_json::json;

/// A kind as data.
pub(crate) struct Ruled {
    fill: Fill,
    rules: &'static [Rule],
    /// Dotted paths of what may not change.
    fixed: &'static [&'static str],
    change: fn(&Value, &Value) -> Vec<Error>,
    /// Whether a changed object is judged as a new one would be.
    judges_change: bool,
    /// The status that a new object begins with.
    begins: Option<fn(&Context<'_>) -> Value>,
    /// What happens to a new or changed object before it is judged.
    prepare: fn(&mut Value),
    /// What happens to a status before it is judged.
    prepare_status: fn(&Context<'_>, &mut Value, &Value),
    /// What is wrong with a change of the status.
    status: fn(&Value, &Value) -> Vec<Error>,
    /// What differs between versions beside their names.
    convert: fn(&mut Value, &Gvk),
}

enum Fill {
    Nothing,
    Rules(&'static [defaults::Rule]),
    By(fn(&mut Value)),
}

impl Ruled {
    const fn of(rules: &'static [Rule]) -> Ruled {
        Ruled {
            fill: Fill::Nothing,
            rules,
            fixed: &[],
            change: |_, _| Vec::new(),
            judges_change: true,
            begins: None,
            prepare: |_| {},
            prepare_status: |_, _, _| {},
            status: |_, _| Vec::new(),
            convert: |_, _| {},
        }
    }

    const fn converted(mut self, convert: fn(&mut Value, &Gvk)) -> Ruled {
        self.convert = convert;
        self
    }

    const fn filled(mut self, rules: &'static [defaults::Rule]) -> Ruled {
        self.fill = Fill::Rules(rules);
        self
    }

    const fn filled_by(mut self, fill: fn(&mut Value)) -> Ruled {
        self.fill = Fill::By(fill);
        self
    }

    const fn fixed(mut self, places: &'static [&'static str]) -> Ruled {
        self.fixed = places;
        self
    }

    const fn change(mut self, change: fn(&Value, &Value) -> Vec<Error>) -> Ruled {
        self.change = change;
        self
    }

    /// A changed object is judged by what changed alone.
    const fn judged_once(mut self) -> Ruled {
        self.judges_change = false;
        self
    }

    const fn prepared(mut self, prepare: fn(&mut Value)) -> Ruled {
        self.prepare = prepare;
        self
    }

    const fn status(mut self, change: fn(&Value, &Value) -> Vec<Error>) -> Ruled {
        self.status = change;
        self
    }

    const fn prepared_status(mut self, prepare: fn(&Context<'_>, &mut Value, &Value)) -> Ruled {
        self.prepare_status = prepare;
        self
    }

    const fn begins(mut self, status: fn(&Context<'_>) -> Value) -> Ruled {
        self.begins = Some(status);
        self
    }
}

impl Strategy for Ruled {
    fn default(&self, object: &mut Value) {
        match self.fill {
            Fill::Nothing => {}
            Fill::Rules(rules) => defaults::fill(object, rules),
            Fill::By(fill) => fill(object),
        }
    }

    // Some defaults stand in the status, which a new object has just lost.
    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        if let (Some(begins), Some(map)) = (self.begins, object.as_object_mut()) {
            map.insert("status".into(), begins(context));
        }
        self.default(object);
        (self.prepare)(object);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, _: &Value) {
        (self.prepare)(object);
    }

    fn prepare_subresource(&self, context: &Context<'_>, subresource: &str, object: &mut Value, old: &Value) {
        if subresource == "status" {
            (self.prepare_status)(context, object, old);
        }
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        check(object, self.rules)
    }

    fn validate_subresource(
        &self,
        _: &Context<'_>,
        subresource: &str,
        object: &Value,
        old: &Value,
    ) -> Vec<Error> {
        if subresource == "status" { (self.status)(object, old) } else { Vec::new() }
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let mut errors = if self.judges_change { self.validate(context, object) } else { Vec::new() };
        errors.extend(self.fixed.iter().filter_map(|place| {
            let pointer = format!("/{}", place.replace('.', "/"));
            let path = place.split('.').fold(Path::default(), |path, step| path.child(step));
            let error = immutable(object, old, &pointer, &path)?;
            // What Go holds as a plain text is never missing.
            let was_text = old.pointer(&pointer).is_some_and(Value::is_string);
            Some(if error.value.as_ref().is_none_or(Value::is_null) && was_text {
                Error { value: Some("".into()), ..error }
            } else {
                error
            })
        }));
        errors.extend((self.change)(object, old));
        errors
    }

    fn convert(&self, object: &mut Value, to: &Gvk) {
        (self.convert)(object, to);
    }
}

/// When a volume's phase changed last is the server's to say, unless somebody does.
fn stamp_phase(context: &Context<'_>, volume: &mut Value, old: &Value) {
    const CHANGED: &str = "lastPhaseTransitionTime";
    let now = &volume["status"];
    let is_new = now["phase"] != old["status"]["phase"];
    if is_new && (now[CHANGED].is_null() || now[CHANGED] == old["status"][CHANGED]) {
        let stamp = time::format(context.env.now());
        if let Some(status) = volume.get_mut("status").and_then(Value::as_object_mut) {
            status.insert(CHANGED.into(), stamp.into());
        }
    }
}

fn volume_status(context: &Context<'_>) -> Value {
    json!({"phase": "Pending", "lastPhaseTransitionTime": time::format(context.env.now())})
}

pub(crate) static PERSISTENT_VOLUME: Ruled = Ruled::of(claims::VOLUME)
    .filled(kinds::PERSISTENT_VOLUME)
    .change(claims::volume_change)
    .prepared_status(stamp_phase)
    .begins(volume_status);
pub(crate) static PERSISTENT_VOLUME_CLAIM: Ruled = Ruled::of(claims::CLAIM)
    .filled(kinds::PERSISTENT_VOLUME_CLAIM)
    .prepared(claims::same_sources)
    .change(claims::claim_change)
    .status(statuses::claim);
pub(crate) static POD_TEMPLATE: Ruled = Ruled::of(templates::POD_TEMPLATE).filled_by(workload::pod_template);
pub(crate) static REPLICATION_CONTROLLER: Ruled = Ruled::of(templates::REPLICATION_CONTROLLER)
    .filled_by(workload::replication_controller)
    .status(statuses::replication_controller);
pub(crate) static ENDPOINTS: Ruled = Ruled::of(endpoints::ENDPOINTS).filled(kinds::ENDPOINTS);
pub(crate) static LIMIT_RANGE: Ruled = Ruled::of(limits::LIMIT_RANGE).filled_by(kinds::limit_range);
pub(crate) static ENDPOINT_SLICE: Ruled = Ruled::of(endpoints::ENDPOINT_SLICE)
    .filled(kinds::ENDPOINT_SLICE)
    .judged_once()
    .change(endpoints::slice_change)
    .fixed(&["addressType"]);
pub(crate) static INGRESS: Ruled = Ruled::of(network::INGRESS).status(statuses::ingress);
pub(crate) static INGRESS_CLASS: Ruled =
    Ruled::of(network::INGRESS_CLASS).filled(kinds::INGRESS_CLASS).fixed(&["spec.controller"]);
pub(crate) static NETWORK_POLICY: Ruled = Ruled::of(network::NETWORK_POLICY).filled_by(kinds::network_policy);
pub(crate) static IP_ADDRESS: Ruled = Ruled::of(network::IP_ADDRESS).fixed(&["spec.parentRef"]);
pub(crate) static SERVICE_CIDR: Ruled =
    Ruled::of(network::SERVICE_CIDR).judged_once().change(network::service_cidr_change);
pub(crate) static RUNTIME_CLASS: Ruled = Ruled::of(control::RUNTIME_CLASS).fixed(&["handler"]);
pub(crate) static API_SERVICE: Ruled =
    Ruled::of(control::API_SERVICE).filled(kinds::API_SERVICE).status(statuses::api_service);
pub(crate) static FLOW_SCHEMA: Ruled =
    Ruled::of(control::FLOW_SCHEMA).filled(kinds::FLOW_SCHEMA).status(statuses::flow);
pub(crate) static PRIORITY_LEVEL: Ruled =
    Ruled::of(control::PRIORITY_LEVEL).filled(kinds::PRIORITY_LEVEL).status(statuses::flow);
pub(crate) static DISRUPTION_BUDGET: Ruled =
    Ruled::of(control::DISRUPTION_BUDGET).status(statuses::disruption_budget);
pub(crate) static CSI_DRIVER: Ruled =
    Ruled::of(storage::CSI_DRIVER).filled(kinds::CSI_DRIVER).change(storage::csi_driver_change);
pub(crate) static CSI_NODE: Ruled = Ruled::of(storage::CSI_NODE).change(storage::csi_node_change);
pub(crate) static CSI_STORAGE_CAPACITY: Ruled =
    Ruled::of(storage::CSI_STORAGE_CAPACITY).fixed(&["nodeTopology", "storageClassName"]);
pub(crate) static STORAGE_CLASS: Ruled =
    Ruled::of(storage::STORAGE_CLASS).filled(kinds::STORAGE_CLASS).fixed(storage::STORAGE_CLASS_FIXED);
pub(crate) static VOLUME_ATTACHMENT: Ruled = Ruled::of(storage::VOLUME_ATTACHMENT)
    .filled(kinds::VOLUME_ATTACHMENT)
    .fixed(&["spec"])
    .status(storage::attachment_status);
pub(crate) static VOLUME_ATTRIBUTES_CLASS: Ruled =
    Ruled::of(storage::VOLUME_ATTRIBUTES_CLASS).change(storage::volume_attributes_class_change);
pub(crate) static DEVICE_CLASS: Ruled = Ruled::of(devices::CLASS);
pub(crate) static RESOURCE_CLAIM: Ruled = Ruled::of(devices::CLAIM)
    .filled_by(kinds::resource_claim)
    .converted(forms::claim)
    .judged_once()
    .fixed(&["spec"])
    .prepared_status(|_, claim, old| claims_of_devices::forget_devices(claim, old))
    .status(claims_of_devices::claim_status_change);
pub(crate) static FLAT_CLAIM: Flat = Flat(&RESOURCE_CLAIM);
pub(crate) static FLAT_CLAIM_TEMPLATE: Flat = Flat(&RESOURCE_CLAIM_TEMPLATE);
pub(crate) static FLAT_SLICE: Flat = Flat(&RESOURCE_SLICE);
pub(crate) static RESOURCE_CLAIM_TEMPLATE: Ruled = Ruled::of(devices::CLAIM_TEMPLATE)
    .filled_by(kinds::resource_claim_template)
    .converted(forms::claim)
    .fixed(&["spec"]);
pub(crate) static RESOURCE_SLICE: Ruled = Ruled::of(devices::SLICE)
    .filled(kinds::RESOURCE_SLICE)
    .converted(forms::slice)
    .fixed(&["spec.pool.name", "spec.driver", "spec.nodeName"]);
pub(crate) static RESOURCE_POOL_STATUS_REQUEST: Ruled = Ruled::of(early::RESOURCE_POOL_STATUS_REQUEST)
    .filled(kinds::RESOURCE_POOL_STATUS_REQUEST)
    .fixed(&["spec"])
    .status(early::conditions_change);
pub(crate) static STORAGE_VERSION_MIGRATION: Ruled = Ruled::of(early::STORAGE_VERSION_MIGRATION)
    .converted(forms::migration)
    .fixed(&["spec"])
    .status(early::conditions_change);
pub(crate) static STORAGE_VERSION: Ruled = Ruled::of(early::STORAGE_VERSION).status(early::storage_version);
pub(crate) static CLUSTER_TRUST_BUNDLE: Ruled =
    Ruled::of(early::CLUSTER_TRUST_BUNDLE).fixed(&["spec.signerName"]);
pub(crate) static POD_CERTIFICATE_REQUEST: Ruled = Ruled::of(early::POD_CERTIFICATE_REQUEST).fixed(&["spec"]);
pub(crate) static LEASE_CANDIDATE: Ruled = Ruled::of(early::LEASE_CANDIDATE).fixed(&["spec.leaseName"]);
pub(crate) static WORKLOAD: Ruled =
    Ruled::of(early::WORKLOAD).fixed(&["spec.controllerRef", "spec.podGroupTemplates"]);
pub(crate) static POD_GROUP: Ruled = Ruled::of(&[]).status(early::conditions_change);
pub(crate) static MUTATING_WEBHOOKS: Ruled =
    Ruled::of(webhooks::MUTATING_WEBHOOKS).filled(kinds::MUTATING_WEBHOOKS);
pub(crate) static VALIDATING_WEBHOOKS: Ruled =
    Ruled::of(webhooks::VALIDATING_WEBHOOKS).filled(kinds::VALIDATING_WEBHOOKS);
pub(crate) static VALIDATING_POLICY: Ruled = Ruled::of(policies::VALIDATING_POLICY)
    .filled(kinds::ADMISSION_POLICY)
    .status(statuses::validating_policy);
pub(crate) static MUTATING_POLICY: Ruled =
    Ruled::of(policies::MUTATING_POLICY).filled(kinds::ADMISSION_POLICY);
pub(crate) static VALIDATING_BINDING: Ruled =
    Ruled::of(policies::VALIDATING_BINDING).filled(kinds::ADMISSION_POLICY_BINDING);
pub(crate) static MUTATING_BINDING: Ruled =
    Ruled::of(policies::MUTATING_BINDING).filled(kinds::ADMISSION_POLICY_BINDING);

/// Rules of autoscalers, whose strategy also converts.
pub(crate) fn autoscaler(object: &Value) -> Vec<Error> {
    check(object, autoscaling::AUTOSCALER)
}
