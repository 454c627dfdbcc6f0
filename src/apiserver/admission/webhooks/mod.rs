//! MutatingAdmissionWebhook and ValidatingAdmissionWebhook: tenants' own services have a say in writes
//! (k8s.io/apiserver/pkg/admission/plugin/webhook).
//!
//! [`Hooks`] keeps what the configurations in the store come to ([`hook`]) as new as the store whenever somebody asks,
//! so a webhook holds from the next request on. [`matching`](super::matching) says which of them a request concerns, [`review`] is what
//! goes to them and comes back.
//!
//! **Invariants.** A request that no configuration concerns costs a look at a lock and a list. Configurations of
//! webhooks and policies themselves are never sent to webhooks, so nobody can lock himself out. Mutating webhooks are
//! asked one after the other, by the names of their configurations; validating ones all at once.

mod hook;
mod review;
#[cfg(test)]
mod tests;

use self::hook::Hook;
use self::review::{Review, Verdict};
use super::matching::Match;
use super::reform::reform;
use super::{Admission, Admitting, Attributes};
use crate::outbound::ResolveService;
use crate::request::Verb;
use alcove_object::{Env, Reason, Status, Value};
use alcove_schema::patch::json_patch;
use alcove_store::{Range, Store, Watch};
use futures_util::FutureExt;
use futures_util::future::join_all;
use parking_lot::Mutex;
use std::sync::Arc;

const MUTATING: &str = "MutatingAdmissionWebhook";

/// Changes of configurations taken in at once; any number makes them all be read again.
const CHANGES_AT_ONCE: usize = 256;

/// Configurations of webhooks and policies go past webhooks.
fn is_exempt(attributes: &Attributes<'_>) -> bool {
    const EXEMPT: [&str; 6] = [
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
    ];
    let gvr = &attributes.resource.gvr;
    gvr.group == "admissionregistration.k8s.io" && EXEMPT.contains(&gvr.resource.as_str())
}

/// What the configurations of one table come to.
struct Hooks {
    store: Store,
    services: Arc<dyn ResolveService>,
    table: &'static str,
    state: Mutex<(Option<Watch>, Arc<[Hook]>)>,
}

impl Hooks {
    fn new(store: Store, services: Arc<dyn ResolveService>, table: &'static str) -> Hooks {
        Hooks { store, services, table, state: Mutex::new((None, Arc::new([]))) }
    }

    /// All webhooks in the order in which they are asked, as new as the store.
    fn current(&self) -> Arc<[Hook]> {
        let mut state = self.state.lock();
        let (watch, hooks) = &mut *state;
        // What is there is given at once; a watch that would wait has told everything.
        let is_old = match watch {
            Some(watch) => watch.next(CHANGES_AT_ONCE).now_or_never().is_some(),
            None => true,
        };
        if is_old && let Ok(listing) = self.store.list(self.table, &Range::default(), &|_| true) {
            let mut read: Vec<Hook> = Vec::new();
            for entry in &listing.entries {
                let Ok(configuration) = serde_json::from_slice::<Value>(&entry.json) else { continue };
                read.extend(hook::read(&configuration, &self.services));
            }
            *hooks = read.into();
            *watch = self.store.watch(self.table, listing.revision).ok();
        }
        hooks.clone()
    }
}

/// Asks mutating webhooks.
pub struct MutatingWebhooks {
    hooks: Hooks,
    env: Arc<dyn Env>,
}

/// Asks validating webhooks.
pub struct ValidatingWebhooks {
    hooks: Hooks,
    env: Arc<dyn Env>,
}

impl MutatingWebhooks {
    /// A step over the configurations of this store.
    pub fn new(store: Store, services: Arc<dyn ResolveService>, env: Arc<dyn Env>) -> MutatingWebhooks {
        let hooks = Hooks::new(store, services, "mutatingwebhookconfigurations.admissionregistration.k8s.io");
        MutatingWebhooks { hooks, env }
    }

    async fn ask_all(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let hooks = self.hooks.current();
        if hooks.is_empty() || is_exempt(attributes) {
            return Ok(());
        }
        attributes.reinvocation.begin(MUTATING, attributes.object);
        for hook in hooks.iter() {
            let Some(found) = hook.concerns(attributes, &self.hooks.store)? else { continue };
            if attributes.reinvocation.skips(MUTATING, &hook.key) {
                continue;
            }
            if self.ask(hook, &found, attributes).await? {
                attributes.reinvocation.changed(MUTATING);
            }
            if hook.wants_again {
                attributes.reinvocation.is_willing(MUTATING, &hook.key);
            }
        }
        attributes.reinvocation.end(MUTATING, attributes.object);
        Ok(())
    }

    /// Asks one webhook; whether it changed the object.
    async fn ask(&self, hook: &Hook, found: &Match, attributes: &mut Attributes<'_>) -> Result<bool, Status> {
        let review = Review::new(attributes, found, self.env.uid());
        let verdict = match call(hook, &review, attributes.dry_run, true).await {
            Ok(verdict) => verdict,
            Err(status) => return Err(status),
        };
        let Some(verdict) = verdict else { return Ok(false) };
        attributes.warnings.extend(verdict.warnings);
        if let Some(denied) = verdict.denied {
            return Err(denied);
        }
        let Some(patch) = verdict.patch else { return Ok(false) };
        let before = attributes.object.clone();
        apply(hook, attributes, found, &review, &patch)?;
        Ok(before != *attributes.object)
    }
}

impl ValidatingWebhooks {
    /// A step over the configurations of this store.
    pub fn new(store: Store, services: Arc<dyn ResolveService>, env: Arc<dyn Env>) -> ValidatingWebhooks {
        let hooks =
            Hooks::new(store, services, "validatingwebhookconfigurations.admissionregistration.k8s.io");
        ValidatingWebhooks { hooks, env }
    }

    async fn ask_all(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let hooks = self.hooks.current();
        if hooks.is_empty() || is_exempt(attributes) {
            return Ok(());
        }
        let mut asked = Vec::new();
        for hook in &*hooks {
            if let Some(found) = hook.concerns(attributes, &self.hooks.store)? {
                asked.push((hook, Review::new(attributes, &found, self.env.uid())));
            }
        }
        let dry_run = attributes.dry_run;
        let calls = asked.iter().map(|(hook, review)| call(hook, review, dry_run, false));
        let mut refused = None;
        for answer in join_all(calls).await {
            match answer {
                Ok(Some(verdict)) => {
                    attributes.warnings.extend(verdict.warnings);
                    refused = refused.or(verdict.denied);
                }
                Ok(None) => {}
                Err(status) => refused = refused.or(Some(status)),
            }
        }
        refused.map_or(Ok(()), Err)
    }
}

/// Sends a review. `None`: the call failed, and the webhook lets pass what it cannot judge.
async fn call(
    hook: &Hook,
    review: &Review,
    dry_run: bool,
    is_mutating: bool,
) -> Result<Option<Verdict>, Status> {
    let name = alcove_object::field::quote(&hook.name);
    if dry_run && !hook.takes_dry_runs {
        return Err(Status::bad_request(format!("admission webhook {name} does not support dry run")));
    }
    let answered = async {
        let client = hook.client.as_ref().map_err(|why| format!("could not get REST client: {why}"))?;
        let answer = client.post(hook.timeout, review.body.clone()).await;
        let answer = answer.map_err(|why| format!("failed to call webhook: {why}"))?;
        review::verdict(&answer, &review.uid, &hook.name, is_mutating)
    };
    match answered.await {
        Ok(verdict) => Ok(Some(verdict)),
        Err(why) => match hook.fails_closed {
            true => Err(Status::internal(format!("failed calling webhook {name}: {why}"))),
            false => {
                tracing::warn!(webhook = %hook.name, error = %why, "a webhook could not be asked; it lets pass what it cannot judge");
                Ok(None)
            }
        },
    }
}

/// Applies a webhook's patch, and makes of the result an object of its kind again.
fn apply(
    hook: &Hook,
    attributes: &mut Attributes<'_>,
    found: &Match,
    review: &Review,
    patch: &Value,
) -> Result<(), Status> {
    if patch.as_array().is_some_and(Vec::is_empty) {
        return Ok(());
    }
    if attributes.verb == Verb::Delete || review.object.is_null() {
        let name = alcove_object::field::quote(&hook.name);
        return Err(Status::internal(format!(
            "admission webhook {name} attempted to modify the object, which is not supported for this operation"
        )));
    }
    let mut object = review.object.clone();
    json_patch(&mut object, patch).map_err(|error| Status::internal(error.to_string()))?;
    found.back(attributes, &mut object);
    if matches!(attributes.subresource, "" | "status") {
        let resource = attributes.resource;
        let view = resource.types.view(resource.schema);
        reform(&mut object, view, false).map_err(Status::internal)?;
        resource.strategy.default(&mut object);
    }
    *attributes.object = object;
    Ok(())
}

impl Admission for MutatingWebhooks {
    fn name(&self) -> &'static str {
        MUTATING
    }

    fn reads_owners(&self) -> bool {
        !self.hooks.current().is_empty()
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(self.ask_all(attributes))
    }
}

impl Admission for ValidatingWebhooks {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    fn reads_owners(&self) -> bool {
        !self.hooks.current().is_empty()
    }

    fn validate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(self.ask_all(attributes))
    }
}

/// The answer to a condition that cannot be judged.
fn unjudged(hook: &Hook, why: &str) -> Status {
    let name = alcove_object::field::quote(&hook.name);
    Status::new(
        500,
        Reason::INTERNAL_ERROR,
        format!("Internal error occurred: failed matching webhook {name}: {why}"),
    )
}
