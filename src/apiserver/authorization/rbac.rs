//! The RBAC authorizer: a [`Policy`] that is as new as the store whenever it is asked.
//!
//! There is no task that follows the store. Whoever asks after something was written first takes in what changed among
//! roles and bindings, which costs a look at four tables; so a right that was given or taken holds from the very next
//! request on, and an idle cluster does nothing. Members of `system:masters` are never looked up.

use super::policy::{Part, Policy, RoleRef};
use super::rule::Rule;
use super::{Action, Authorizer, RuleList};
use crate::user::User;
use alcove_store::{Range, Store, Watch};
use futures_util::FutureExt;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Who is in this group may do everything; nothing can take that away.
pub const MASTERS: &str = "system:masters";

/// The tables that the policy is made of.
const TABLES: [(&str, Part); 4] = [
    ("clusterroles.rbac.authorization.k8s.io", Part::Role),
    ("roles.rbac.authorization.k8s.io", Part::Role),
    ("clusterrolebindings.rbac.authorization.k8s.io", Part::Binding),
    ("rolebindings.rbac.authorization.k8s.io", Part::Binding),
];
/// Changes taken in at once.
const CHANGES_MAX: usize = 256;

/// Allows what roles allow.
#[derive(Debug)]
pub struct Rbac {
    store: Store,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The store's revision up to which the policy is complete.
    revision: u64,
    policy: Policy,
    /// One per table; empty before the first question and after history was lost.
    watches: Vec<Watch>,
}

impl State {
    /// Takes in what was published until now.
    fn catch_up(&mut self, store: &Store) {
        let revision = store.revision();
        if self.watches.is_empty() || !self.follow() {
            *self = State::load(store);
        }
        self.revision = self.revision.max(revision);
    }

    /// False when a watch lost its place.
    fn follow(&mut self) -> bool {
        for (watch, (_, part)) in self.watches.iter_mut().zip(TABLES) {
            // What is there is given at once; a watch that would wait has told everything.
            while let Some(Some(news)) = watch.next(CHANGES_MAX).now_or_never() {
                let Ok(changes) = news else { return false };
                for change in changes {
                    let entry = change.entry();
                    let json = (!change.is_delete()).then_some(&entry.json[..]);
                    self.policy.put(part, &entry.key, json);
                }
            }
        }
        true
    }

    fn load(store: &Store) -> State {
        let mut state = State::default();
        for (table, part) in TABLES {
            let Ok(listing) = store.list(table, &Range::default(), &|_| true) else { continue };
            for entry in listing.entries {
                state.policy.put(part, &entry.key, Some(&entry.json));
            }
            state.watches.extend(store.watch(table, listing.revision));
        }
        if state.watches.len() < TABLES.len() {
            // History ended between list and watch. What was read holds; the next question reads again.
            state.watches.clear();
        }
        state
    }
}

impl Rbac {
    /// An authorizer over this store's roles and bindings.
    pub fn new(store: Store) -> Arc<Rbac> {
        Arc::new(Rbac { store, state: RwLock::default() })
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        let state = self.state.read();
        if state.revision >= self.store.revision() && !state.watches.is_empty() {
            return state;
        }
        drop(state);
        let mut state = self.state.write();
        state.catch_up(&self.store);
        RwLockWriteGuard::downgrade(state)
    }

    /// All rules that hold for a user in a namespace, and what could not be resolved.
    pub fn held(&self, user: &User, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        self.state().policy.rules(user, namespace)
    }

    /// The rules of a role, as a binding of this namespace names it.
    pub fn role(&self, role: &RoleRef, namespace: &str) -> Result<Arc<[Rule]>, String> {
        self.state().policy.role(role, namespace).cloned()
    }
}

/// Whether a user may do everything whatever the roles say.
pub fn is_master(user: &User) -> bool {
    user.groups.iter().any(|group| group == MASTERS)
}

/// Several causes as one text, as k8s.io/apimachinery/pkg/util/errors joins them.
pub fn joined(causes: &[String]) -> String {
    match causes {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, user: &User, action: &Action<'_>) -> Result<(), String> {
        if is_master(user) {
            return Ok(());
        }
        let found = self.state().policy.visit(user, action.namespace, |_, rule| match rule.allows(action) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
        match found {
            Ok(()) => Ok(()),
            Err(unresolved) if unresolved.is_empty() => Err(String::new()),
            Err(unresolved) => Err(format!("RBAC: {}", joined(&unresolved))),
        }
    }

    fn why(&self, user: &User, action: &Action<'_>) -> String {
        let found =
            self.state().policy.visit(user, action.namespace, |source, rule| match rule.allows(action) {
                true => ControlFlow::Break(format!("RBAC: allowed by {source}")),
                false => ControlFlow::Continue(()),
            });
        if is_master(user) { String::new() } else { found.unwrap_or_default() }
    }

    fn rules(&self, user: &User, namespace: &str) -> RuleList {
        let (rules, unresolved) = self.held(user, namespace);
        let mut list = RuleList::default();
        for rule in rules {
            if !rule.resources.is_empty() {
                list.resource.push(Rule { non_resource_urls: Box::default(), ..rule.clone() }.to_value());
            }
            if !rule.non_resource_urls.is_empty() {
                let rule =
                    Rule { verbs: rule.verbs, non_resource_urls: rule.non_resource_urls, ..Rule::default() };
                list.non_resource.push(rule.to_value());
            }
        }
        if !unresolved.is_empty() {
            list.error = joined(&unresolved);
        }
        list
    }
}

#[cfg(test)]
mod tests;
