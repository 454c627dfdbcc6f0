//! The groups of one or two kinds each that steer the server, the scheduler and their peers: events, coordination,
//! policy, scheduling, node, flow control, and what extends the API.

use super::columns::control as columns;
use super::columns::created;
use super::row::{Row, row};
use super::select;

/// What `kubectl get api-extensions` lists.
const EXTENSIONS: &[&str] = &["api-extensions"];

pub(super) fn events() -> Vec<Row> {
    vec![super::core::event("events.k8s.io/v1").selectable(select::EVENTS_EVENT)]
}

pub(super) fn coordination() -> Vec<Row> {
    vec![row("coordination.k8s.io/v1", "leases", "Lease", columns::lease).creates_on_update().conditional()]
}

pub(super) fn policy() -> Vec<Row> {
    vec![
        row("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", columns::pod_disruption_budget)
            .short(&["pdb"])
            .status()
            .counts_spec()
            .conditional(),
    ]
}

pub(super) fn scheduling() -> Vec<Row> {
    vec![
        row("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", columns::priority_class)
            .cluster()
            .short(&["pc"])
            .counts_spec(),
    ]
}

pub(super) fn node() -> Vec<Row> {
    vec![
        row("node.k8s.io/v1", "runtimeclasses", "RuntimeClass", columns::runtime_class)
            .cluster()
            .creates_on_update()
            .conditional(),
    ]
}

pub(super) fn flow_control() -> Vec<Row> {
    let api = "flowcontrol.apiserver.k8s.io/v1";
    vec![
        row(api, "flowschemas", "FlowSchema", columns::flow_schema).cluster().status().counts_spec(),
        row(
            api,
            "prioritylevelconfigurations",
            "PriorityLevelConfiguration",
            columns::priority_level_configuration,
        )
        .cluster()
        .status()
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
            .counts_spec()
            .since(36),
        cluster(
            "mutatingadmissionpolicybindings",
            "MutatingAdmissionPolicyBinding",
            columns::admission_policy_binding,
        )
        .counts_spec()
        .since(36),
        cluster(
            "mutatingwebhookconfigurations",
            "MutatingWebhookConfiguration",
            columns::webhook_configuration,
        )
        .counts_all(),
        cluster(
            "validatingadmissionpolicies",
            "ValidatingAdmissionPolicy",
            columns::validating_admission_policy,
        )
        .status()
        .counts_spec(),
        cluster(
            "validatingadmissionpolicybindings",
            "ValidatingAdmissionPolicyBinding",
            columns::admission_policy_binding,
        )
        .counts_spec(),
        cluster(
            "validatingwebhookconfigurations",
            "ValidatingWebhookConfiguration",
            columns::webhook_configuration,
        )
        .counts_all(),
    ]
}

pub(super) fn api_extensions() -> Vec<Row> {
    vec![
        row("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", created)
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
            .cluster()
            .categories(EXTENSIONS)
            .status()
            .conditional(),
    ]
}
