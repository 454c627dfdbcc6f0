//! Admission: steps between a decoded write and the store that may change it or refuse it.
//!
//! Steps run in a fixed order (the chain is built where the server is put together), mutating ones before validation,
//! validating ones after it, as in kube-apiserver. A step reads the same [`Attributes`] whatever the verb.

mod certificates;
mod escalation;
mod limit_ranger;
mod namespace;
mod pods;
mod runtime_class;
mod service_account;
mod service_ip;
mod store_quota;
#[cfg(test)]
mod tests;

pub use certificates::Certificates;
pub use escalation::Escalation;
pub use limit_ranger::LimitRanger;
pub use namespace::NamespaceLifecycle;
pub use pods::{DefaultTolerationSeconds, Priority, TOLERATION_SECONDS};
pub use runtime_class::RuntimeClass;
pub use service_account::ServiceAccount;
pub use service_ip::{AddressConfig, Answer, Asker, LocalAddresses, Refused, ServiceAddresses, ServiceIp};
pub use store_quota::{StoreLimits, StoreQuota};

use crate::registry::Resource;
use crate::request::Verb;
use crate::user::User;
use alcove_object::{Status, Value};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What is being done, by whom, to what.
pub struct Attributes<'a> {
    /// Create, Update (also for patch), Delete or Connect.
    pub verb: Verb,
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
    /// The object as it would be stored; null on delete.
    pub object: &'a mut Value,
    /// The object as it is stored; `None` on create.
    pub old: Option<&'a Value>,
    /// Nothing will be written.
    pub dry_run: bool,
    /// Texts for `Warning` headers.
    pub warnings: &'a mut Vec<String>,
}

/// A boxed future that borrows from its step and its attributes.
pub type Admitting<'a> = Pin<Box<dyn Future<Output = Result<(), Status>> + Send + 'a>>;

/// One admission step.
pub trait Admission: Send + Sync {
    /// Name for metrics, audit and error texts, upstream's where there is one.
    fn name(&self) -> &'static str;

    /// May change the object, before validation.
    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        let _ = attributes;
        Box::pin(std::future::ready(Ok(())))
    }

    /// The last step before a new object is stored, when nothing of ours refuses it any more and its name and UID stand:
    /// may take from elsewhere what the object needs, and fill that in. What was taken for an object that is then not
    /// stored after all is the step's own to give back.
    fn reserve<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        let _ = attributes;
        Box::pin(std::future::ready(Ok(())))
    }

    /// May only refuse, after validation.
    fn validate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        let _ = attributes;
        Box::pin(std::future::ready(Ok(())))
    }
}
