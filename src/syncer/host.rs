//! What the syncer knows of the host: for every object in the namespace whose it is and what was last applied, never
//! the object itself. What a host object says (status, addresses) is handed through once and forgotten.

use crate::rules::{RULES, Rule};
use crate::translate::{self, Owner, Tenant};
use alcove_controllers::runtime::{Key, Queue};
use alcove_object::{Value, meta};
use futures_util::StreamExt;
use kube::api::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::watch;

/// What is known of one host object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// UID on the host.
    pub uid: String,
    /// Whose it is; `None` for objects that are not this tenant's.
    pub owner: Option<Owner>,
    /// Whether the host is deleting it.
    pub is_deleting: bool,
    /// Digest of what was last applied; `None` if that is not known (after a restart).
    pub applied: Option<u64>,
}

type At = (&'static str, String);

/// The host namespace as the syncer knows it.
#[derive(Default)]
pub struct Host {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    facts: HashMap<At, Facts>,
    /// Host objects that were seen and not yet looked at; the newest of each.
    seen: HashMap<At, Value>,
}

impl Host {
    /// What is known of a host object.
    pub fn facts(&self, rule: &'static Rule, name: &str) -> Option<Facts> {
        self.state.lock().facts.get(&(rule.resource, name.to_owned())).cloned()
    }

    /// Takes the host object that waits to be looked at.
    pub fn take_seen(&self, rule: &'static Rule, name: &str) -> Option<Value> {
        self.state.lock().seen.remove(&(rule.resource, name.to_owned()))
    }

    /// Puts a host object back that could not be dealt with, unless a newer one came.
    pub fn put_back(&self, rule: &'static Rule, name: &str, object: Value) {
        self.state.lock().seen.entry((rule.resource, name.to_owned())).or_insert(object);
    }

    /// Notes an object as the host answered or told. `applied` is the digest, where we wrote it.
    pub fn observe(
        &self,
        tenant: &Tenant,
        rule: &'static Rule,
        object: &Value,
        applied: Option<u64>,
    ) -> Facts {
        let at = (rule.resource, meta::name(object).to_owned());
        let mut state = self.state.lock();
        let uid = meta::uid(object).to_owned();
        let kept = state.facts.get(&at).filter(|f| f.uid == uid).and_then(|f| f.applied);
        let facts = Facts {
            uid,
            owner: translate::owner(tenant, object),
            is_deleting: meta::is_deleting(object),
            applied: applied.or(kept),
        };
        state.facts.insert(at, facts.clone());
        facts
    }

    fn tell(&self, rule: &'static Rule, object: Value) {
        self.state.lock().seen.insert((rule.resource, meta::name(&object).to_owned()), object);
    }

    /// Forgets an object. `uid`: only if it is still that one. Gives whose it was.
    pub fn forget(&self, rule: &'static Rule, name: &str, uid: Option<&str>) -> Option<Owner> {
        let at = (rule.resource, name.to_owned());
        let mut state = self.state.lock();
        let same = state.facts.get(&at).is_some_and(|f| uid.is_none_or(|uid| uid == f.uid));
        if !same {
            return None;
        }
        state.seen.remove(&at);
        state.facts.remove(&at).and_then(|f| f.owner)
    }

    fn names(&self, rule: &'static Rule) -> HashSet<String> {
        let state = self.state.lock();
        state
            .facts
            .keys()
            .filter(|(resource, _)| *resource == rule.resource)
            .map(|(_, name)| name.clone())
            .collect()
    }

    /// The keys, `resource|namespace/name`, of all tenant objects that have a host object.
    pub fn owners(&self) -> Vec<Key> {
        let state = self.state.lock();
        let owned =
            state.facts.iter().filter_map(|((resource, _), facts)| Some((resource, facts.owner.as_ref()?)));
        owned
            .map(|(resource, owner)| format!("{resource}|{}/{}", owner.namespace, owner.name).into())
            .collect()
    }

    /// Whose the object of any synced kind with this name is: for events, which name it.
    pub fn owner_of(&self, kind: &str, name: &str) -> Option<Owner> {
        let rule = RULES.iter().find(|rule| rule.kind == kind)?;
        self.facts(rule, name)?.owner
    }
}

/// Watches one kind on the host for ever. `ready` turns true when the whole state is known for the first time.
pub async fn follow(
    host: Arc<Host>,
    client: Client,
    tenant: Tenant,
    rule: &'static Rule,
    queue: Arc<Queue>,
    ready: watch::Sender<bool>,
) {
    let api: Api<DynamicObject> = Api::namespaced_with(client, &tenant.host_namespace, &rule.host_resource());
    let mut events = watcher(api, watcher::Config::default()).boxed();
    let ask =
        |owner: &Owner| queue.add(format!("{}|{}/{}", rule.resource, owner.namespace, owner.name).into());
    let mut unseen = HashSet::new();
    // The watcher backs off and lists again by itself; its errors are for the log.
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => unseen = host.names(rule),
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                let Ok(object) = serde_json::to_value(&object) else { continue };
                unseen.remove(meta::name(&object));
                if let Some(owner) = host.observe(&tenant, rule, &object, None).owner {
                    host.tell(rule, object);
                    ask(&owner);
                }
            }
            Ok(watcher::Event::InitDone) => {
                for name in unseen.drain() {
                    if let Some(owner) = host.forget(rule, &name, None) {
                        ask(&owner);
                    }
                }
                ready.send_replace(true);
            }
            Ok(watcher::Event::Delete(object)) => {
                let uid = object.metadata.uid.as_deref();
                let name = object.metadata.name.as_deref().unwrap_or_default();
                if let Some(owner) = host.forget(rule, name, uid) {
                    ask(&owner);
                }
            }
            Err(error) => {
                tracing::warn!(kind = rule.kind, %error, "the host watch failed and will be opened again")
            }
        }
    }
}
