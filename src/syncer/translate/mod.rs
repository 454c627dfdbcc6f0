//! From tenant objects to host objects and back. Pure: no clock, no I/O, no host, no tenant; a [`Tenant`] and trees go
//! in, trees or a [`Refusal`] come out.
//!
//! **Who owns what.** Every field of a host object that is named here belongs to the tenant (through us, field manager
//! `alcove`); whatever is not named belongs to the host and is left alone. Status and the choice of a node belong to
//! the host and flow back. No field has two owners, so nobody ever guesses who changed it last.

mod account;
mod address;
mod claim;
mod class;
mod config;
mod context;
mod disruption;
mod endpoint;
mod environment;
mod event;
mod ingress;
mod labels;
mod metadata;
mod name;
mod network_policy;
mod node;
mod pod;
mod pod_affinity;
mod pod_amend;
mod pod_dns;
mod pod_fields;
mod pod_refs;
mod pod_rules;
mod pod_status;
mod pod_tokens;
mod policy;
mod service;

pub use account::service_account;
pub use address::is_local_address;
pub use claim::{CLAIM_FIELDS, CLAIM_STATUS_FIELDS, claim, claim_back, volume, volume_name};
pub use class::{STORAGE_CLASS_FIELDS, ingress_class, storage_class};
pub use config::{config_map, secret};
pub use context::{Context, Known, Nothing, Wanted, names};
pub use disruption::{BUDGET_FIELDS, disruption_budget};
pub use endpoint::{SERVICE_NAME, addresses, endpoint_slice, endpoints, follows_from_selector, service_of};
pub use environment::{
    DIGEST, ENVIRONMENT, KUBERNETES, environment, environment_name, environment_scope, scope, variables,
};
pub use event::{event, in_tenant_terms};
pub use ingress::{ingress, ingress_back, ingress_secrets};
pub use labels::{Map as LabelMap, selector};
pub use metadata::{CLUSTER, KIND, MIRROR, NAME, NAMESPACE, Owner, UID, annotations, metadata, owner};
pub use name::host_name;
pub use network_policy::network_policy;
pub use node::{node, node_name};
pub use pod::pod;
pub use pod_amend::{Amended, amended, without_ephemeral};
pub use pod_dns::{Resolver, is_cluster_first};
pub use pod_refs::{References, references};
pub use pod_status::{SYNCED, condition_owners, gate_conditions, pod_status, without_own_conditions};
pub use pod_tokens::{RENEW, TOKENS, TokenSource, token_sources, tokens, tokens_name, tokens_owner};
pub use policy::judge;
pub use service::{allowed_service, ask_for_addresses, service, service_addresses, service_status};

/// Which tenant is being translated, and where it lives on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The virtual cluster's name.
    pub cluster: String,
    /// The host namespace that holds its objects.
    pub host_namespace: String,
}

/// Why an object is not synced: which rule, which field, and what to do about it. Shown to the tenant as an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Refusal {
    /// The field that is refused.
    pub field: String,
    /// The rule, and whom to ask.
    pub why: String,
}

impl Refusal {
    /// A refusal of one field.
    pub fn of(field: &str, why: impl Into<String>) -> Refusal {
        Refusal { field: field.to_owned(), why: why.into() }
    }
}

#[cfg(test)]
mod tests;
