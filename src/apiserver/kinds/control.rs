//! The groups of one or two kinds each that steer the server, the scheduler and their peers: events, coordination,
//! policy, scheduling, node, flow control, and what extends the API.

use super::columns::control as columns;
use super::columns::created;
use super::row::{Row, row};
use super::select;
use super::strategies::definition::CustomResourceDefinition;
use super::strategies::{cluster, ruled};
use crate::registry::NameRule;

/// What `kubectl get api-extensions` lists.
const EXTENSIONS: &[&str] = &["api-extensions"];

pub(super) fn events() -> Vec<Row> {
    vec![super::core::event("events.k8s.io/v1").selectable(select::EVENTS_EVENT)]
}

pub(super) fn coordination() -> Vec<Row> {
    vec![
        row("coordination.k8s.io/v1", "leases", "Lease", columns::lease)
            .strategy(&cluster::Lease)
            .creates_on_update()
            .conditional(),
    ]
}

pub(super) fn policy() -> Vec<Row> {
    vec![
        row("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", columns::pod_disruption_budget)
            .strategy(&ruled::DISRUPTION_BUDGET)
            .short(&["pdb"])
            .status()
            .counts_spec()
            .conditional(),
    ]
}

pub(super) fn scheduling() -> Vec<Row> {
    vec![
        row("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", columns::priority_class)
            .strategy(&cluster::PriorityClass)
            .cluster()
            .short(&["pc"])
            .counts_spec(),
    ]
}

pub(super) fn node() -> Vec<Row> {
    vec![
        row("node.k8s.io/v1", "runtimeclasses", "RuntimeClass", columns::runtime_class)
            .strategy(&ruled::RUNTIME_CLASS)
            .cluster()
            .creates_on_update()
            .conditional(),
    ]
}

pub(super) fn flow_control() -> Vec<Row> {
    let api = "flowcontrol.apiserver.k8s.io/v1";
    vec![
        row(api, "flowschemas", "FlowSchema", columns::flow_schema)
            .strategy(&ruled::FLOW_SCHEMA)
            .cluster()
            .status_but(&["metadata"])
            .counts_spec(),
        row(
            api,
            "prioritylevelconfigurations",
            "PriorityLevelConfiguration",
            columns::priority_level_configuration,
        )
        .strategy(&ruled::PRIORITY_LEVEL)
        .cluster()
        .status_but(&["metadata"])
        .counts_spec(),
    ]
}

pub(super) fn admission_registration() -> Vec<Row> {
    let cluster = |plural, kind, columns| {
        row("admissionregistration.k8s.io/v1", plural, kind, columns)
            .cluster()
            .categories(EXTENSIONS)
            .conditional()
    };
    vec![
        cluster("mutatingadmissionpolicies", "MutatingAdmissionPolicy", columns::mutating_admission_policy)
            .strategy(&ruled::MUTATING_POLICY)
            .counts_spec()
            .since(36),
        cluster(
            "mutatingadmissionpolicybindings",
            "MutatingAdmissionPolicyBinding",
            columns::admission_policy_binding,
        )
        .strategy(&ruled::MUTATING_BINDING)
        .counts_spec()
        .since(36),
        cluster(
            "mutatingwebhookconfigurations",
            "MutatingWebhookConfiguration",
            columns::webhook_configuration,
        )
        .strategy(&ruled::MUTATING_WEBHOOKS)
        .counts_all(),
        cluster(
            "validatingadmissionpolicies",
            "ValidatingAdmissionPolicy",
            columns::validating_admission_policy,
        )
        .strategy(&ruled::VALIDATING_POLICY)
        .status_but(&["metadata"])
        .counts_spec(),
        cluster(
            "validatingadmissionpolicybindings",
            "ValidatingAdmissionPolicyBinding",
            columns::admission_policy_binding,
        )
        .strategy(&ruled::VALIDATING_BINDING)
        .counts_spec(),
        cluster(
            "validatingwebhookconfigurations",
            "ValidatingWebhookConfiguration",
            columns::webhook_configuration,
        )
        .strategy(&ruled::VALIDATING_WEBHOOKS)
        .counts_all(),
    ]
}

pub(super) fn api_extensions() -> Vec<Row> {
    vec![
        row("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", created)
            .strategy(&CustomResourceDefinition)
            .cluster()
            .short(&["crd", "crds"])
            .categories(EXTENSIONS)
            .status()
            .counts_spec()
            .conditional(),
    ]
}

pub(super) fn api_registration() -> Vec<Row> {
    vec![
        row("apiregistration.k8s.io/v1", "apiservices", "APIService", columns::api_service)
            .strategy(&ruled::API_SERVICE)
            .cluster()
            .names(NameRule::PathSegment)
            .categories(EXTENSIONS)
            .status()
            .conditional(),
    ]
}
