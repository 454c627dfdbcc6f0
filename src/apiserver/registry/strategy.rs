//! The hooks that a kind may need beyond its descriptor. All pure: values in, values out.

use crate::user::User;
use alcove_object::{Env, Gvk, Value, field};
use alcove_schema::Minor;
use std::ops::Deref;
use std::sync::Arc;

/// What a hook may ask beside the object.
pub struct Context<'a> {
    /// The minor version served.
    pub minor: Minor,
    /// Clock and randomness.
    pub env: &'a dyn Env,
    /// The caller.
    pub user: &'a User,
    /// Whether `spec` is known to be as it is stored.
    pub has_same_spec: bool,
}

/// What is special about a kind. Every method has a default that does nothing, so a strategy file says only what
/// differs (k8s.io/kubernetes/pkg/registry/*/*/strategy.go, pkg/apis/*/v1/defaults.go, pkg/apis/*/validation).
#[allow(unused_variables)]
pub trait Strategy: Send + Sync {
    /// Fills in what upstream's SetDefaults functions fill in. Runs after decoding and after mutating admission, must
    /// be idempotent, and must take anything the schema takes.
    fn default(&self, object: &mut Value) {}

    /// Whether a new object comes with its status, as nodes do. Otherwise the pipeline drops it.
    fn keeps_status(&self) -> bool {
        false
    }

    /// Before a new object is validated: drops what a client may not set (status is dropped by the pipeline).
    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {}

    /// Before a changed object is validated. The pipeline has restored status and system metadata by then, and counts
    /// the generation after.
    fn prepare_update(&self, context: &Context<'_>, object: &mut Value, old: &Value) {}

    /// Before a write through a `Part` subresource is validated: keeps only what the subresource may change.
    fn prepare_subresource(&self, context: &Context<'_>, subresource: &str, object: &mut Value, old: &Value) {
    }

    /// All that is wrong with a new object. Metadata is checked by the pipeline.
    fn validate(&self, context: &Context<'_>, object: &Value) -> Vec<field::Error> {
        Vec::new()
    }

    /// All that is wrong with a change. The default checks the new object alone.
    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<field::Error> {
        self.validate(context, object)
    }

    /// All that is wrong with a change through a subresource.
    fn validate_subresource(
        &self,
        context: &Context<'_>,
        subresource: &str,
        object: &Value,
        old: &Value,
    ) -> Vec<field::Error> {
        Vec::new()
    }

    /// Texts for `Warning` headers about a new or changed object.
    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// The object as its deletion begins, if that changes more than its metadata: definitions hold on to themselves
    /// until their instances are gone. `None`: nothing special.
    fn begin_deletion(&self, context: &Context<'_>, object: &Value) -> Option<Value> {
        None
    }

    /// A text for a `Warning` header about a deletion that does not say what becomes of dependents.
    fn warning_without_policy(&self) -> Option<&'static str> {
        None
    }

    /// Turns an object of one served version into another (HPA v1 and v2, events of both groups). The pipeline has set
    /// apiVersion and kind.
    fn convert(&self, object: &mut Value, to: &Gvk) {}
}

/// A strategy that lives for ever, as those of built-in kinds, or as long as its resource.
#[derive(Clone)]
pub enum Hooks {
    /// Of a built-in kind.
    Static(&'static dyn Strategy),
    /// Of a custom resource.
    Owned(Arc<dyn Strategy>),
}

impl Deref for Hooks {
    type Target = dyn Strategy;

    fn deref(&self) -> &(dyn Strategy + 'static) {
        match self {
            Hooks::Static(strategy) => *strategy,
            Hooks::Owned(strategy) => &**strategy,
        }
    }
}

/// A kind with nothing special about it.
pub struct Plain;

impl Strategy for Plain {}
