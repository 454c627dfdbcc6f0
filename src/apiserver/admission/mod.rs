//! Admission: steps between a decoded write and the store that may change it or refuse it.
//!
//! Steps run in a fixed order (the chain is built where the server is put together), mutating ones before validation,
//! validating ones after it, as in kube-apiserver. A step reads the same [`Attributes`] whatever the verb.

mod certificates;
mod conditions;
mod default_class;
mod escalation;
mod known;
mod limit_ranger;
mod matching;
mod namespace;
mod pod_security;
mod pods;
mod policies;
mod reform;
mod reinvocation;
mod resource_quota;
mod runtime_class;
mod seen;
mod service_account;
mod service_ip;
mod storage;
mod store_quota;
#[cfg(test)]
mod tests;
mod webhooks;

pub use certificates::Certificates;
pub(crate) use conditions::condition_error;
pub use default_class::DefaultClass;
pub use escalation::Escalation;
pub use limit_ranger::LimitRanger;
pub use namespace::NamespaceLifecycle;
pub use pod_security::PodSecurity;
pub use pods::{DefaultTolerationSeconds, Priority, TOLERATION_SECONDS};
pub use policies::{MutatingPolicies, TypeChecks, ValidatingPolicies};
pub(crate) use policies::{Mutations, PATCH_TYPES, Validations, variable_errors};
pub use reinvocation::Reinvocation;
pub use resource_quota::ResourceQuota;
pub use runtime_class::RuntimeClass;
pub use service_account::ServiceAccount;
pub use service_ip::{
    AddressConfig, AddressObjects, Answer, Asker, LocalAddresses, Refused, ServiceAddresses, ServiceIp,
    asks_for_more,
};
pub use storage::StorageProtection;
pub use store_quota::{StoreLimits, StoreQuota};
pub use webhooks::{MutatingWebhooks, ValidatingWebhooks};

use crate::authorization::Authorizer;
use crate::registry::{Registry, Resource};
use crate::request::Verb;
use crate::user::User;
use alcove_object::{Gvr, Status, Value};
use alcove_store::Entry;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

/// What is being done, by whom, to what.
pub struct Attributes<'a> {
    /// Create, Update (also for patch), Delete or Connect.
    pub verb: Verb,
    /// All that is served.
    pub registry: &'a Registry,
    /// The resource's descriptor.
    pub resource: &'a Arc<Resource>,
    /// Subresource, empty if none.
    pub subresource: &'a str,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: &'a str,
    /// Name of the object.
    pub name: &'a str,
    /// The caller.
    pub user: &'a User,
    /// Says what users may do.
    pub authorizer: &'a dyn Authorizer,
    /// The object as it would be stored; null on delete.
    pub object: &'a mut Value,
    /// The object as it is stored; `None` on create.
    pub old: Option<&'a Value>,
    /// Nothing will be written.
    pub dry_run: bool,
    /// Who of those who may change the object is to be asked again.
    pub reinvocation: &'a mut Reinvocation,
    /// Texts for `Warning` headers.
    pub warnings: &'a mut Vec<String>,
}

/// A boxed future that borrows from its step and its attributes.
pub type Admitting<'a> = Pin<Box<dyn Future<Output = Result<(), Status>> + Send + 'a>>;

/// Another object that comes, changes or goes with the one that is written.
pub struct Edit {
    /// Its resource.
    pub resource: Gvr,
    /// The subresource that the change belongs to, empty for the object itself.
    pub subresource: &'static str,
    /// The object as it is stored, which it must still be when the change is committed; `None`: it must not be there.
    pub entry: Option<Arc<Entry>>,
    /// The object as it shall be; `None`: it goes.
    pub object: Option<Value>,
}

/// What is stored together with an object, or not at all.
pub struct Charge {
    /// The changes.
    pub edits: Vec<Edit>,
    /// Held until the commit is answered, where writers take turns.
    pub turn: Option<OwnedMutexGuard<()>>,
}

/// A boxed future of a charge.
pub type Charging<'a> = Pin<Box<dyn Future<Output = Result<Option<Charge>, Status>> + Send + 'a>>;

/// One admission step.
pub trait Admission: Send + Sync {
    /// Name for metrics, audit and error texts, upstream's where there is one.
    fn name(&self) -> &'static str;

    /// Whether upstream's storage does this: it changes objects once, after all that admission changes.
    fn is_storage(&self) -> bool {
        false
    }

    /// Whether the step may look at `managedFields` now. While none does, applies leave them out of the trees.
    fn reads_owners(&self) -> bool {
        false
    }

    /// May change the object, before validation.
    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        let _ = attributes;
        Box::pin(std::future::ready(Ok(())))
    }

    /// The last step before an object is stored that is new or was changed itself (not a subresource), when nothing of ours
    /// refuses it any more and its name and UID stand: may take from elsewhere what the object needs, and fill that in.
    /// What was taken for an object that is then not stored after all is the step's own to give back.
    fn reserve<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        let _ = attributes;
        Box::pin(std::future::ready(Ok(())))
    }

    /// What must be stored together with the object, or go with it, such as how much of a quota is used. The very last
    /// step; it is asked anew when the change of one of those objects was overtaken.
    fn charge<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Charging<'a> {
        let _ = attributes;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// What [`Self::mutate`] changed is not stored after all: another step refused it, or somebody else was faster. What
    /// was promised for it is free again.
    fn withdraw(&self, attributes: &Attributes<'_>) {
        let _ = attributes;
    }

    /// May only refuse, after validation.
    fn validate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        let _ = attributes;
        Box::pin(std::future::ready(Ok(())))
    }
}
