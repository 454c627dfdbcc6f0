//! The groups of one or two kinds each that steer the server, the scheduler and their peers: events, coordination,
//! policy, scheduling, node, flow control, and what extends the API.

use super::columns::control as columns;
use super::columns::created;
use super::row::{Row, row};
use super::select;
use super::strategies::definition::CustomResourceDefinition;
use super::strategies::{cluster, ruled};
use super::warnings;
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
        row("coordination.k8s.io/v1beta1", "leasecandidates", "LeaseCandidate", columns::lease_candidate)
            .also(&["v1alpha2"])
            .strategy(&ruled::LEASE_CANDIDATE)
            .names(NameRule::PathSegment)
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
    const EARLY: &[&str] = &["v1alpha3", "v1alpha2", "v1alpha1"];
    let early = |plural, kind, columns| row("scheduling.k8s.io/v1beta1", plural, kind, columns).also(EARLY);
    vec![
        row("scheduling.k8s.io/v1alpha3", "compositepodgroups", "CompositePodGroup", columns::named)
            .status_but(&["metadata"]),
        early("podgroups", "PodGroup", columns::pod_group)
            .strategy(&ruled::POD_GROUP)
            .status_but(&["metadata"]),
        row("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", columns::priority_class)
            .strategy(&cluster::PriorityClass)
            .cluster()
            .short(&["pc"])
            .counts_spec(),
        early("workloads", "Workload", columns::named).strategy(&ruled::WORKLOAD),
    ]
}

pub(super) fn node() -> Vec<Row> {
    vec![
        row("node.k8s.io/v1", "runtimeclasses", "RuntimeClass", columns::runtime_class)
            .strategy(&ruled::RUNTIME_CLASS)
            .warns(warnings::runtime_class)
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
            .ordered("/spec/matchingPrecedence")
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

/// What API servers tell each other of the versions that they store.
pub(super) fn internal() -> Vec<Row> {
    vec![
        row(
            "internal.apiserver.k8s.io/v1alpha1",
            "storageversions",
            "StorageVersion",
            columns::storage_version,
        )
        .strategy(&ruled::STORAGE_VERSION)
        .cluster()
        .names(NameRule::PathSegment)
        .status_but(&["metadata"])
        .conditional(),
    ]
}

/// Requests that something go, and how far that has come.
pub(super) fn lifecycle() -> Vec<Row> {
    let row =
        |plural, kind| row("lifecycle.k8s.io/v1alpha1", plural, kind, created).status_but(&["metadata"]);
    vec![row("evictionrequests", "EvictionRequest").counts_spec(), row("evictions", "Eviction").counts_spec()]
}

pub(super) fn admission_registration() -> Vec<Row> {
    const EARLY: &[&str] = &["v1beta1", "v1alpha1"];
    let cluster = |plural, kind, columns| {
        row("admissionregistration.k8s.io/v1", plural, kind, columns)
            .cluster()
            .categories(EXTENSIONS)
            .conditional()
    };
    vec![
        cluster("mutatingadmissionpolicies", "MutatingAdmissionPolicy", columns::mutating_admission_policy)
            .strategy(&ruled::MUTATING_POLICY)
            .also(EARLY)
            .counts_spec(),
        cluster(
            "mutatingadmissionpolicybindings",
            "MutatingAdmissionPolicyBinding",
            columns::admission_policy_binding,
        )
        .strategy(&ruled::MUTATING_BINDING)
        .also(EARLY)
        .counts_spec(),
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
