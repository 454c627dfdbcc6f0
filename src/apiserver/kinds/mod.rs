//! The built-in kinds: one row of data per resource, and a strategy for the kinds that need one.
//!
//! The rows stand in the files of their groups. A row says what the pipeline, discovery and tables must know; what is
//! special beyond data (defaults, immutability, rules of one kind) stands in a strategy file that the row names. No
//! handler lives here.
//!
//! **Invariants.** Everything here is pure: values in, values out. A kind that no row names does not exist. Defaults
//! are idempotent and take whatever the schema takes.

mod access;
mod apps;
pub mod bootstrap;
mod columns;
mod control;
mod core;
mod defaults;
mod gates;
mod network;
mod row;
mod select;
mod storage;
pub(crate) mod strategies;
#[cfg(test)]
mod tests;
mod tree;
mod validation;
mod warnings;

use crate::registry::{Gates, Resource};
use alcove_schema::Minor;
use alcove_schema::builtin::{self, Enabled};
use row::Row;
use std::sync::Arc;

pub use columns::scale as scale_columns;
pub use tree::CONTAINER_LISTS;
pub(crate) use validation::quality_of_service;

/// What the admission step for services needs of their strategy.
pub(crate) mod services {
    pub(crate) use super::strategies::service::addresses::fill_families;
    pub(crate) use super::strategies::service::carried::{carry_over, single_and_list};
    pub(crate) use super::strategies::service::{
        kind, needs_cluster_ip, needs_health_check_port, needs_node_ports,
    };
}

/// Where a built-in group stands in discovery: the order in which clients look for a bare resource name.
pub struct Group {
    /// The group's name, empty for core.
    pub name: &'static str,
    /// `groupPriorityMinimum` of its API services.
    pub priority: i32,
    /// Its versions with their `versionPriority`, preferred first.
    pub versions: &'static [(&'static str, i32)],
    rows: fn() -> Vec<Row>,
}

const V1: &[(&str, i32)] = &[("v1", 15)];

/// The built-in groups in the order of discovery (k8s.io/kubernetes/pkg/controlplane/apiserver/aggregator.go and
/// cmd/kube-apiserver/app/aggregator.go; equal priorities by name; lifecycle.k8s.io, which 1.37 brought, where new groups
/// are put).
pub const GROUPS: &[Group] = &[
    Group { name: "", priority: 18000, versions: &[("v1", 1)], rows: core::rows },
    Group { name: "apiregistration.k8s.io", priority: 18000, versions: V1, rows: control::api_registration },
    Group { name: "apps", priority: 17800, versions: V1, rows: apps::apps },
    Group { name: "events.k8s.io", priority: 17750, versions: V1, rows: control::events },
    Group { name: "authentication.k8s.io", priority: 17700, versions: V1, rows: access::authentication },
    Group { name: "authorization.k8s.io", priority: 17600, versions: V1, rows: access::authorization },
    Group {
        name: "autoscaling",
        priority: 17500,
        versions: &[("v2", 30), ("v1", 15)],
        rows: apps::autoscaling,
    },
    Group { name: "batch", priority: 17400, versions: V1, rows: apps::batch },
    Group {
        name: "certificates.k8s.io",
        priority: 17300,
        versions: &[("v1", 15), ("v1beta1", 9), ("v1alpha1", 1)],
        rows: access::certificates,
    },
    Group {
        name: "networking.k8s.io",
        priority: 17200,
        versions: &[("v1", 15), ("v1beta1", 9)],
        rows: network::networking,
    },
    Group { name: "policy", priority: 17100, versions: V1, rows: control::policy },
    Group { name: "rbac.authorization.k8s.io", priority: 17000, versions: V1, rows: access::rbac },
    Group {
        name: "storage.k8s.io",
        priority: 16800,
        versions: &[("v1", 15), ("v1beta1", 9), ("v1alpha1", 1)],
        rows: storage::storage,
    },
    Group {
        name: "admissionregistration.k8s.io",
        priority: 16700,
        versions: &[("v1", 15), ("v1beta1", 12), ("v1alpha1", 9)],
        rows: control::admission_registration,
    },
    Group { name: "apiextensions.k8s.io", priority: 16700, versions: V1, rows: control::api_extensions },
    Group {
        name: "scheduling.k8s.io",
        priority: 16600,
        versions: &[("v1", 15), ("v1beta1", 9), ("v1alpha3", 3), ("v1alpha2", 2), ("v1alpha1", 1)],
        rows: control::scheduling,
    },
    Group {
        name: "coordination.k8s.io",
        priority: 16500,
        versions: &[("v1", 15), ("v1beta1", 13), ("v1alpha2", 12)],
        rows: control::coordination,
    },
    Group { name: "node.k8s.io", priority: 16300, versions: V1, rows: control::node },
    Group { name: "discovery.k8s.io", priority: 16200, versions: V1, rows: network::discovery },
    Group {
        name: "resource.k8s.io",
        priority: 16200,
        versions: &[("v1", 21), ("v1beta2", 15), ("v1beta1", 9), ("v1alpha3", 1)],
        rows: storage::resource,
    },
    Group {
        name: "flowcontrol.apiserver.k8s.io",
        priority: 16100,
        versions: &[("v1", 21)],
        rows: control::flow_control,
    },
    Group {
        name: "internal.apiserver.k8s.io",
        priority: 16000,
        versions: &[("v1alpha1", 9)],
        rows: control::internal,
    },
    Group {
        name: "storagemigration.k8s.io",
        priority: 15800,
        versions: &[("v1", 15), ("v1beta1", 9), ("v1alpha1", 9)],
        rows: storage::storage_migration,
    },
    Group {
        name: "lifecycle.k8s.io",
        priority: 15700,
        versions: &[("v1alpha1", 9)],
        rows: control::lifecycle,
    },
];

/// The descriptors of all built-in resources that a minor serves unless told otherwise, in the order of discovery, over
/// that minor's types.
pub fn resources(minor: Minor) -> Vec<Arc<Resource>> {
    enabled_resources(minor, &Enabled::default())
}

/// The same with some switched on or off. What is generally available and off is among them, marked as not served, since
/// the server's own parts need it.
pub fn enabled_resources(minor: Minor, enabled: &Enabled) -> Vec<Arc<Resource>> {
    let types = builtin::types(minor);
    let gates = Arc::new(Gates::new(&types, gates::off(minor)));
    let mut resources = Vec::new();
    for group in GROUPS {
        let rows = (group.rows)();
        for (version, _) in group.versions {
            for row in &rows {
                let is_served = enabled.has(group.name, version, row.plural());
                if !is_served && !Enabled::default().has(group.name, version, row.plural()) {
                    continue;
                }
                let resource = row.resource(version, minor, &types, &gates);
                resources.extend(resource.map(|resource| Arc::new(Resource { is_served, ..resource })));
            }
        }
    }
    resources
}
