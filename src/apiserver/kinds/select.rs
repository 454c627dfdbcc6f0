//! Field selectors of the kinds that have more than `metadata.name` and `metadata.namespace`. What a selector may ask
//! is what upstream's field label conversions let through (k8s.io/kubernetes/pkg/apis/*/v1/conversion.go), its value
//! what ToSelectableFields of the kind's strategy gives.
//!
//! Values are read from objects of the stored kind, so events.k8s.io reads core events.

use crate::registry::{FieldValue, Selectable};
use alcove_object::Value;
use alcove_object::tree::at;
use std::borrow::Cow;

/// A field that is a text at a JSON pointer.
macro_rules! text {
    ($label:literal, $pointer:literal) => {
        text!($label, $label, $pointer)
    };
    ($label:literal, $index:literal, $pointer:literal) => {
        Selectable {
            label: Cow::Borrowed($label),
            index: $index,
            value: FieldValue::Indexed(|object| text(object, $pointer)),
        }
    };
}

fn text(object: &Value, pointer: &str) -> String {
    at(object, pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(object: &Value, pointer: &str) -> String {
    at(object, pointer).and_then(Value::as_i64).unwrap_or(0).to_string()
}

fn flag(object: &Value, pointer: &str) -> String {
    at(object, pointer).and_then(Value::as_bool).unwrap_or(false).to_string()
}

/// A field whose label is also its name in the index.
const fn field(label: &'static str, value: fn(&Value) -> String) -> Selectable {
    Selectable { label: Cow::Borrowed(label), index: label, value: FieldValue::Indexed(value) }
}

pub(super) const POD: &[Selectable] = &[
    text!("spec.nodeName", "/spec/nodeName"),
    text!("spec.restartPolicy", "/spec/restartPolicy"),
    text!("spec.schedulerName", "/spec/schedulerName"),
    text!("spec.serviceAccountName", "/spec/serviceAccountName"),
    field("spec.hostNetwork", |pod| flag(pod, "/spec/hostNetwork")),
    text!("status.phase", "/status/phase"),
    text!("status.podIP", "/status/podIPs/0/ip"),
    // Upstream lets this one through and never fills it in.
    field("status.podIPs", |_| String::new()),
    text!("status.nominatedNodeName", "/status/nominatedNodeName"),
    // What spec.nodeName was called before v1 was final.
    text!("spec.host", "spec.nodeName", "/spec/nodeName"),
];

pub(super) const NODE: &[Selectable] =
    &[field("spec.unschedulable", |node| flag(node, "/spec/unschedulable"))];

pub(super) const NAMESPACE: &[Selectable] = &[text!("status.phase", "/status/phase")];

pub(super) const SECRET: &[Selectable] = &[text!("type", "/type")];

pub(super) const SERVICE: &[Selectable] =
    &[text!("spec.clusterIP", "/spec/clusterIP"), text!("spec.type", "/spec/type")];

pub(super) const REPLICATION_CONTROLLER: &[Selectable] =
    &[field("status.replicas", |object| number(object, "/status/replicas"))];

pub(super) const JOB: &[Selectable] = &[field("status.successful", |job| number(job, "/status/succeeded"))];

pub(super) const CERTIFICATE_SIGNING_REQUEST: &[Selectable] = &[text!("spec.signerName", "/spec/signerName")];

pub(super) const POD_CERTIFICATE_REQUEST: &[Selectable] = &[
    text!("spec.signerName", "/spec/signerName"),
    text!("spec.podName", "/spec/podName"),
    text!("spec.nodeName", "/spec/nodeName"),
];

pub(super) const CLUSTER_TRUST_BUNDLE: &[Selectable] = &[text!("spec.signerName", "/spec/signerName")];

pub(super) const RESOURCE_SLICE: &[Selectable] =
    &[text!("spec.nodeName", "/spec/nodeName"), text!("spec.driver", "/spec/driver")];

pub(super) const EVENT: &[Selectable] = &[
    text!("involvedObject.kind", "/involvedObject/kind"),
    text!("involvedObject.namespace", "/involvedObject/namespace"),
    text!("involvedObject.name", "/involvedObject/name"),
    text!("involvedObject.uid", "/involvedObject/uid"),
    text!("involvedObject.apiVersion", "/involvedObject/apiVersion"),
    text!("involvedObject.resourceVersion", "/involvedObject/resourceVersion"),
    text!("involvedObject.fieldPath", "/involvedObject/fieldPath"),
    text!("reason", "/reason"),
    text!("reportingComponent", "/reportingComponent"),
    field("source", source),
    text!("type", "/type"),
];

/// The same as events.k8s.io spells it; `source` cannot be asked there, but is kept in the shared index.
pub(super) const EVENTS_EVENT: &[Selectable] = &[
    text!("regarding.kind", "involvedObject.kind", "/involvedObject/kind"),
    text!("regarding.namespace", "involvedObject.namespace", "/involvedObject/namespace"),
    text!("regarding.name", "involvedObject.name", "/involvedObject/name"),
    text!("regarding.uid", "involvedObject.uid", "/involvedObject/uid"),
    text!("regarding.apiVersion", "involvedObject.apiVersion", "/involvedObject/apiVersion"),
    text!("regarding.resourceVersion", "involvedObject.resourceVersion", "/involvedObject/resourceVersion"),
    text!("regarding.fieldPath", "involvedObject.fieldPath", "/involvedObject/fieldPath"),
    text!("reason", "/reason"),
    text!("reportingController", "reportingComponent", "/reportingComponent"),
    field("source", source),
    text!("type", "/type"),
];

fn source(event: &Value) -> String {
    let component = text(event, "/source/component");
    if component.is_empty() { text(event, "/reportingComponent") } else { component }
}
