//! Policies of one kind and their bindings, compiled and as new as the store.

use super::definition::{Binding, Definition};
use crate::admission::Attributes;
use crate::admission::matching::Match;
use alcove_object::{Value, meta};
use alcove_store::{Range, Store, Watch};
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::sync::Arc;

/// Changes of policies taken in at once; any number makes them all be read again.
const CHANGES_AT_ONCE: usize = 256;

/// A kind of policy.
pub(super) trait Policy: Sized + Send + Sync {
    /// The tables of policies and of their bindings.
    const TABLES: [&'static str; 2];

    /// Reads a policy.
    fn read(policy: &Value) -> Self;

    /// What it has in common with other kinds.
    fn definition(&self) -> &Definition;
}

/// A policy and its bindings.
pub(super) struct Bound<P> {
    pub policy: P,
    bindings: Vec<Binding>,
}

struct State<P> {
    /// Of policies and bindings; empty before the first question and after history was lost.
    watches: Vec<Watch>,
    policies: Arc<[Bound<P>]>,
}

/// All policies of a kind that are bound.
pub(super) struct Source<P> {
    pub store: Store,
    state: Mutex<State<P>>,
}

impl<P: Policy> Source<P> {
    pub fn new(store: Store) -> Source<P> {
        Source { store, state: Mutex::new(State { watches: Vec::new(), policies: Arc::new([]) }) }
    }

    /// The policies that a request may concern, by their names.
    pub fn current(&self, attributes: &Attributes<'_>) -> Arc<[Bound<P>]> {
        if is_policy(attributes) { Arc::new([]) } else { self.all() }
    }

    /// All policies by their names.
    pub fn all(&self) -> Arc<[Bound<P>]> {
        let mut state = self.state.lock();
        // What is there is given at once; a watch that would wait has told everything.
        let mut is_old = state.watches.len() < P::TABLES.len();
        for watch in &mut state.watches {
            is_old |= watch.next(CHANGES_AT_ONCE).now_or_never().is_some();
        }
        if is_old {
            *state = self.load();
        }
        state.policies.clone()
    }

    fn load(&self) -> State<P> {
        let mut watches = Vec::new();
        let [policies, bindings] = P::TABLES.map(|table| {
            let Ok(listing) = self.store.list(table, &Range::default(), &|_| true) else { return Vec::new() };
            watches.extend(self.store.watch(table, listing.revision));
            let objects = listing.entries.iter().filter_map(|entry| serde_json::from_slice(&entry.json).ok());
            objects.collect::<Vec<Value>>()
        });
        let of = |policy: &Value| {
            let name = meta::name(policy);
            let own = bindings.iter().filter(|binding| binding["spec"]["policyName"] == name);
            own.map(Binding::read).collect::<Vec<Binding>>()
        };
        let bound = policies.iter().map(|policy| Bound { bindings: of(policy), policy: P::read(policy) });
        let policies = bound.filter(|bound| !bound.bindings.is_empty()).collect();
        State { watches, policies }
    }
}

impl<P: Policy> Bound<P> {
    /// How the policy sees a request, and the bindings that mean it. `None`: it has nothing to say.
    pub fn find<'b>(
        &'b self,
        attributes: &Attributes<'_>,
        store: &Store,
    ) -> Option<(Match, Vec<&'b Binding>)> {
        let found = self.policy.definition().constraints.find(attributes, store)?;
        let means = |binding: &&Binding| {
            binding.constraints.as_ref().is_none_or(|c| c.find(attributes, store).is_some())
        };
        Some((found, self.bindings.iter().filter(means).collect()))
    }
}

/// Policies are not judged by policies.
fn is_policy(attributes: &Attributes<'_>) -> bool {
    let gvr = &attributes.resource.gvr;
    gvr.group == "admissionregistration.k8s.io" && gvr.resource.contains("admissionpolic")
}
