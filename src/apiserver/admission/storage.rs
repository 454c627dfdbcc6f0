//! Storage: claims are protected while pods use them
//! (k8s.io/kubernetes/plugin/pkg/admission/storage/storageobjectinuseprotection). Volumes are not: who made them for a
//! tenant's claims takes them away again.

use super::{Admission, Admitting, Attributes};
use crate::request::Verb;
use alcove_object::{Value, meta};

/// Gives new claims the finalizer that the controllers take away when nobody uses them any more.
pub struct StorageProtection;

impl StorageProtection {
    /// The finalizer of claims.
    pub const CLAIM: &str = "kubernetes.io/pvc-protection";

    fn protect(attributes: &mut Attributes<'_>) {
        let gvr = &attributes.resource.gvr;
        let is_claim = gvr.group.is_empty() && gvr.resource == "persistentvolumeclaims";
        if !is_claim || !attributes.subresource.is_empty() || attributes.verb != Verb::Create {
            return;
        }
        let mut finalizers: Vec<Value> = meta::finalizers(attributes.object).map(Value::from).collect();
        if !finalizers.iter().any(|finalizer| finalizer == Self::CLAIM) {
            finalizers.push(Self::CLAIM.into());
            meta::set(attributes.object, "finalizers", finalizers);
        }
    }
}

impl Admission for StorageProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Self::protect(attributes);
        Box::pin(std::future::ready(Ok(())))
    }
}
