//! ValidatingAdmissionPolicy: rules in CEL about any request, without a webhook
//! (k8s.io/apiserver/pkg/admission/plugin/policy/validating).
//!
//! [`ValidatingPolicies`] keeps policies and bindings compiled and as new as the store; [`policy`] is one of them and
//! what it says of a request. A policy without a binding says nothing.
//!
//! Missing: the `authorizer` variable, audit annotations (there is no audit log), `status.typeChecking`.

mod policy;
#[cfg(test)]
mod tests;

pub(crate) use self::policy::policy_errors;

use self::policy::{Binding, Policy, Refusal};
use super::{Admission, Admitting, Attributes};
use alcove_object::status::{Cause, Details};
use alcove_object::{Reason, Status, Value, meta};
use alcove_store::{Range, Store, Watch};
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::sync::Arc;

const POLICIES: &str = "validatingadmissionpolicies.admissionregistration.k8s.io";
const BINDINGS: &str = "validatingadmissionpolicybindings.admissionregistration.k8s.io";
/// Changes of policies taken in at once; any number makes them all be read again.
const CHANGES_AT_ONCE: usize = 256;

/// A policy and its bindings.
type Bound = (Policy, Vec<Binding>);

#[derive(Default)]
struct State {
    /// Of policies and bindings; empty before the first question and after history was lost.
    watches: Vec<Watch>,
    policies: Arc<[Bound]>,
}

/// Judges requests by policies.
pub struct ValidatingPolicies {
    store: Store,
    state: Mutex<State>,
}

impl ValidatingPolicies {
    /// A step over the policies of this store.
    pub fn new(store: Store) -> ValidatingPolicies {
        ValidatingPolicies { store, state: Mutex::default() }
    }

    fn current(&self) -> Arc<[Bound]> {
        let mut state = self.state.lock();
        // What is there is given at once; a watch that would wait has told everything.
        let mut is_old = state.watches.len() < 2;
        for watch in &mut state.watches {
            is_old |= watch.next(CHANGES_AT_ONCE).now_or_never().is_some();
        }
        if is_old {
            *state = self.load();
        }
        state.policies.clone()
    }

    fn load(&self) -> State {
        let mut watches = Vec::new();
        let mut read = |table: &str| {
            let Ok(listing) = self.store.list(table, &Range::default(), &|_| true) else { return Vec::new() };
            watches.extend(self.store.watch(table, listing.revision));
            let objects = listing.entries.iter().filter_map(|entry| serde_json::from_slice(&entry.json).ok());
            objects.collect::<Vec<Value>>()
        };
        let (policies, bindings) = (read(POLICIES), read(BINDINGS));
        let of = |policy: &Value| {
            let name = meta::name(policy);
            let own = bindings.iter().filter(|binding| binding["spec"]["policyName"] == name);
            own.map(Binding::read).collect::<Vec<Binding>>()
        };
        let bound = policies.iter().map(|policy| (Policy::read(policy), of(policy)));
        let policies = bound.filter(|(_, bindings)| !bindings.is_empty()).collect();
        State { watches, policies }
    }

    fn judge(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let policies = self.current();
        if policies.is_empty() || is_policy(attributes) {
            return Ok(());
        }
        let mut refused: Option<(String, Refusal)> = None;
        for (policy, bindings) in &*policies {
            let Some(found) = policy.constraints.find(attributes, &self.store) else { continue };
            for binding in bindings {
                if binding.constraints.as_ref().is_some_and(|c| c.find(attributes, &self.store).is_none()) {
                    continue;
                }
                let (policy_name, name) = (&policy.name, &binding.name);
                for refusal in policy.judge(binding, attributes, &found, &self.store) {
                    if binding.warns && !refusal.is_configuration {
                        attributes.warnings.push(format!(
                            "Validation failed for ValidatingAdmissionPolicy '{policy_name}' with binding '{name}': {}",
                            refusal.message
                        ));
                    }
                    if binding.denies || refusal.is_configuration {
                        let message = format!(
                            "ValidatingAdmissionPolicy '{policy_name}' with binding '{name}' denied request: {}",
                            refusal.message
                        );
                        refused.get_or_insert((message, refusal));
                    }
                }
            }
        }
        match refused {
            Some((message, refusal)) => Err(forbidden(attributes, message, &refusal.reason)),
            None => Ok(()),
        }
    }
}

/// Policies are not judged by policies.
fn is_policy(attributes: &Attributes<'_>) -> bool {
    let gvr = &attributes.resource.gvr;
    gvr.group == "admissionregistration.k8s.io" && gvr.resource.contains("admissionpolic")
}

fn forbidden(attributes: &Attributes<'_>, message: String, reason: &str) -> Status {
    let gvr = &attributes.resource.gvr;
    let name = match attributes.name {
        "" => meta::name(attributes.object),
        name => name,
    };
    let mut status = Status::forbidden(&gvr.group, &gvr.resource, name, &message);
    (status.code, status.reason) = match reason {
        "Unauthorized" => (401, Reason::UNAUTHORIZED),
        "Forbidden" => (403, Reason::FORBIDDEN),
        "RequestEntityTooLarge" => (413, Reason::REQUEST_ENTITY_TOO_LARGE),
        _ => (422, Reason::INVALID),
    };
    let cause = Cause { message, ..Cause::default() };
    status.details.get_or_insert_with(Details::default).causes.push(cause);
    status
}

impl Admission for ValidatingPolicies {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    fn validate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.judge(attributes)))
    }
}
