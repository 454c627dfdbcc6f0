//! Which kinds are synced right now, and why not where they are not: the host may lack an API or refuse a right, and
//! then that kind alone is off until the host changes its mind. Whoever runs a tenant reads it here and publishes it.

use crate::rules::{RULES, Rule};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// How one kind fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nobody asked for it.
    #[default]
    NotWanted,
    /// The host was not asked yet, or has not answered.
    Starting,
    /// Synced.
    On,
    /// The host does not have it, or does not let us; the text says what and whom to ask.
    Off(String),
}

/// The states of all kinds, shared by who sets and who reads them.
#[derive(Clone, Debug)]
pub struct Features(Arc<watch::Sender<BTreeMap<&'static str, State>>>);

impl Default for Features {
    fn default() -> Features {
        Features(Arc::new(watch::Sender::default()))
    }
}

impl Features {
    /// The state of a resource, such as `ingresses`.
    pub fn state(&self, resource: &str) -> State {
        self.0.borrow().get(resource).cloned().unwrap_or_default()
    }

    /// All wanted kinds by resource, now and whenever one changes.
    pub fn follow(&self) -> watch::Receiver<BTreeMap<&'static str, State>> {
        self.0.subscribe()
    }

    /// Notes a state. Gives whether it is another one.
    pub(crate) fn set(&self, resource: &'static str, state: State) -> bool {
        self.0.send_if_modified(|states| {
            let is_new = states.get(resource) != Some(&state);
            states.insert(resource, state);
            is_new
        })
    }

    /// Whether the host has answered for this resource, with a list or a refusal; what nobody wants needs no answer.
    pub(crate) fn is_answered(&self, resource: &str) -> bool {
        self.0.borrow().get(resource) != Some(&State::Starting)
    }

    /// Waits until the host has answered for all kinds.
    pub(crate) async fn all_answered(&self) {
        let mut states = self.follow();
        let is_starting = |state: &State| *state == State::Starting;
        // The sender is ours, so it is there as long as we are.
        let _ = states.wait_for(|states| !states.values().any(is_starting)).await;
    }

    /// The rules that somebody wants.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &'static Rule> {
        let states = self.0.borrow().clone();
        RULES.iter().filter(move |rule| states.contains_key(rule.resource))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_are_answered_when_each_is_on_or_off() {
        let (features, [a, b]) = (Features::default(), [&RULES[0], &RULES[1]]);
        assert_eq!(features.state(a.resource), State::NotWanted);
        features.set(a.resource, State::Starting);
        features.set(b.resource, State::Starting);
        assert!(features.set(a.resource, State::Off("no right".into())));
        assert!(!features.set(a.resource, State::Off("no right".into())));
        assert!(features.is_answered(a.resource) && !features.is_answered(b.resource));
        let waiting = features.clone();
        let all = tokio::spawn(async move { waiting.all_answered().await });
        features.set(b.resource, State::On);
        all.await.unwrap();
        assert_eq!(features.wanted().count(), 2);
    }
}
