//! Admission policies: rules in CEL about any request, without a webhook (k8s.io/apiserver/pkg/admission/plugin/policy).
//!
//! One mechanism under both kinds: [`source`] keeps policies and bindings compiled and as new as the store,
//! [`definition`] is what all policies have: constraints, parameters, conditions, variables. [`validating`] judges with
//! them, [`mutating`] changes objects, by the patches of [`patch`]. [`status`] tells of wrong types. A policy without a binding says nothing.

mod definition;
mod mutating;
mod patch;
mod source;
mod status;
#[cfg(test)]
mod tests;
mod validating;

pub use self::mutating::MutatingPolicies;
pub(crate) use self::mutating::{Mutations, PATCH_TYPES, variable_errors};
pub use self::status::TypeChecks;
pub use self::validating::ValidatingPolicies;
pub(crate) use self::validating::Validations;

use super::Attributes;
use alcove_object::status::{Cause, Details};
use alcove_object::{Status, meta};

/// A refusal with a message that stands for itself, and all reasons as causes.
fn refused(attributes: &Attributes<'_>, message: &str, causes: Vec<String>) -> Status {
    let gvr = &attributes.resource.gvr;
    let name = match attributes.name {
        "" => meta::name(attributes.object),
        name => name,
    };
    let mut status = Status::forbidden(&gvr.group, &gvr.resource, name, message);
    let causes = causes.into_iter().map(|message| Cause { message, ..Cause::default() });
    status.details.get_or_insert_with(Details::default).causes.extend(causes);
    status
}
