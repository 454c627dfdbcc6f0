//! What the syncer knows of the host: for every object in the namespace whose it is, what was last applied and whether
//! that still stands, never the object itself. What a host object says (status, addresses) is handed through once and
//! forgotten.

use crate::connection;
use crate::gone::Gone;
use crate::host_object::{HostObject, Told};
use crate::rules::Rule;
use crate::translate::{self, Owner};
use alcove_controllers::runtime::Key;
use alcove_object::{Value, meta, tree};
use kube::Client;
use kube::runtime::utils::Backoff;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

/// The owner of every field that we write on the host.
pub const FIELD_MANAGER: &str = "alcove";
/// The first pause before a watch on the host is opened again.
const WATCH_PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause before a watch on the host is opened again.
const WATCH_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What is known of one host object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// UID on the host.
    pub uid: String,
    /// Whose it is; `None` for objects that are not this tenant's.
    pub owner: Option<Owner>,
    /// Whether the host is deleting it.
    pub is_deleting: bool,
    /// The grace in seconds with which it is being deleted.
    pub grace: u64,
    /// `resourceVersion` as a number.
    pub revision: u64,
    /// Digest of the fields that the host says are ours.
    pub owned: u64,
    /// What was last applied; `None` if that is not known (after a restart).
    pub applied: Option<Applied>,
    /// Digest of the conditions last applied to its status.
    pub conditions: Option<u64>,
    /// Digest of the status that the tenant was last told; `None` if it was told none yet.
    pub told: Option<u64>,
    /// Digest of what of the tenant's object was last translated and found to stand on the host.
    pub kept: Option<u64>,
    /// A pod's own addresses; those that it shares with its node are not its own.
    pub addresses: Vec<IpAddr>,
}

/// What was applied, and what the host made ours by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Digest of what was sent.
    pub sent: u64,
    /// Digest of the fields that were ours after it.
    pub owned: u64,
}

impl Facts {
    /// Whether what was last applied is this, and nobody took a field of it since. Whoever changes or removes a field
    /// of ours takes it over in the object's `managedFields`, so those tell without a look at any value; what a
    /// mutating webhook did to our own write is not drift.
    pub fn is_intact(&self, sent: u64) -> bool {
        self.applied == Some(Applied { sent, owned: self.owned })
    }

    /// Whether nobody took a field of what was last applied.
    pub fn is_undisturbed(&self) -> bool {
        self.applied.is_some_and(|applied| applied.owned == self.owned)
    }

    /// Whether this state of the object, or a newer one, is known.
    fn is_as_new_as(&self, uid: &str, revision: u64) -> bool {
        self.revision > revision || self.uid == uid && self.revision == revision
    }

    /// Whether it is still to be deleted with this grace: it is not being deleted yet, or less hastily.
    pub fn should_end(&self, grace: Option<u32>) -> bool {
        !self.is_deleting || grace.is_some_and(|grace| u64::from(grace) < self.grace)
    }
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
    /// Host objects that were seen and not yet looked at: the newest state of each, the last one of those that went.
    seen: HashMap<At, Value>,
    /// Objects that we are making, and the state that a watch told of them before the answer came.
    making: HashMap<At, Option<(Key, u64)>>,
    /// Keys that could not be synced because another's object has their name.
    blocked: HashMap<At, Key>,
    /// Nodes of the host that the tenant knows, by the names that it knows them by.
    nodes: HashMap<String, String>,
    /// How many of the tenant's pods have an address: two for a moment, when one went and the next got its address.
    addresses: HashMap<IpAddr, usize>,
    gone: Gone,
}

impl State {
    /// Notes or forgets what is known of an object, and its addresses with it.
    fn put(&mut self, at: At, facts: Option<Facts>) -> Option<Facts> {
        let ours = facts.iter().filter(|facts| facts.owner.is_some()).flat_map(|facts| &facts.addresses);
        for address in ours {
            *self.addresses.entry(*address).or_default() += 1;
        }
        let before = match facts {
            Some(facts) => self.facts.insert(at, facts),
            None => self.facts.remove(&at),
        };
        let ours = before.iter().filter(|facts| facts.owner.is_some()).flat_map(|facts| &facts.addresses);
        for address in ours {
            if let Some(count) = self.addresses.get_mut(address) {
                *count -= 1;
                if *count == 0 {
                    self.addresses.remove(address);
                }
            }
        }
        before
    }

    /// Notes an object that was told, or that a write with this digest was answered with. Gives whether that is news.
    fn note(&mut self, at: At, owner: Option<Owner>, told: &Told, sent: Option<u64>) -> bool {
        let (object, owned) = (&told.object, told.owned());
        let (uid, revision) = (meta::uid(object), meta::revision(object));
        let before = self.facts.get(&at);
        let same = before.filter(|facts| facts.uid == uid);
        let is_old = before.is_some_and(|facts| match sent {
            None => facts.is_as_new_as(uid, revision),
            Some(_) => facts.revision > revision,
        });
        if is_old {
            // An answer overtaken by its own watch still says what was applied.
            if let (Some(sent), Some(facts)) = (sent, self.facts.get_mut(&at))
                && facts.uid == uid
            {
                facts.applied = Some(Applied { sent, owned });
            }
            return false;
        }
        let grace = tree::at(object, "/metadata/deletionGracePeriodSeconds").and_then(Value::as_u64);
        let facts = Facts {
            owner,
            is_deleting: meta::is_deleting(object),
            grace: grace.unwrap_or(0),
            revision,
            owned,
            applied: sent.map(|sent| Applied { sent, owned }).or(same.and_then(|facts| facts.applied)),
            conditions: same.and_then(|facts| facts.conditions),
            told: same.and_then(|facts| facts.told),
            kept: same.and_then(|facts| facts.kept),
            addresses: own_addresses(object),
            uid: uid.to_owned(),
        };
        self.put(at, Some(facts));
        true
    }
}

/// How a host is reached: with a kubeconfig, or without one as the service account of the pod that this runs in. Errors:
/// a kubeconfig that is none, or no pod around us.
pub async fn config(kubeconfig: Option<&str>) -> Result<kube::Config, String> {
    let Some(text) = kubeconfig else { return kube::Config::incluster().map_err(|e| e.to_string()) };
    let parsed = crate::kubeconfig::parse(text)?;
    let context = kube::config::KubeConfigOptions::default();
    kube::Config::from_custom_kubeconfig(parsed, &context).await.map_err(|e| e.to_string())
}

/// How the syncer talks to a host that is reached so. Errors: credentials that cannot be used.
pub fn client(config: kube::Config) -> Result<Client, String> {
    connection::client(config).map_err(|e| e.to_string())
}

impl Host {
    /// What is known of a host object.
    pub fn facts(&self, rule: &'static Rule, name: &str) -> Option<Facts> {
        self.state.lock().facts.get(&(rule.resource, name.to_owned())).cloned()
    }

    /// Takes the host object that waits to be looked at, if it is this tenant object's; another one is forgotten.
    pub fn take_seen(&self, rule: &'static Rule, name: &str, uid: &str) -> Option<Value> {
        let seen = self.take_any_seen(rule, name)?;
        (meta::annotation(&seen, translate::UID) == Some(uid)).then_some(seen)
    }

    /// Takes the host object that waits to be looked at.
    pub fn take_any_seen(&self, rule: &'static Rule, name: &str) -> Option<Value> {
        self.state.lock().seen.remove(&(rule.resource, name.to_owned()))
    }

    /// Notes what the tenant calls a node of the host.
    pub fn note_node(&self, name: &str, host_name: &str) {
        let mut state = self.state.lock();
        if !state.nodes.contains_key(name) {
            state.nodes.insert(name.to_owned(), host_name.to_owned());
        }
    }

    /// The host's name of a node that the tenant knows as this.
    pub fn node(&self, name: &str) -> Option<String> {
        self.state.lock().nodes.get(name).cloned()
    }

    /// A text with the tenant's names of nodes in place of the host's.
    pub fn hide_nodes(&self, text: &str) -> String {
        let state = self.state.lock();
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        let word = |word: &str| {
            let name = word.trim_end_matches('.');
            let hidden = state.nodes.iter().find(|(_, host)| *host == name).map(|(known, _)| known);
            hidden.map_or_else(|| word.to_owned(), |known| format!("{known}{}", &word[name.len()..]))
        };
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(begin) = rest.find(is_of_name) {
            out.push_str(&rest[..begin]);
            rest = &rest[begin..];
            let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
            out.push_str(&word(&rest[..end]));
            rest = &rest[end..];
        }
        out + rest
    }

    /// The addresses of a host pod.
    pub fn addresses(&self, rule: &'static Rule, name: &str) -> Vec<IpAddr> {
        let state = self.state.lock();
        state.facts.get(&(rule.resource, name.to_owned())).map(|f| f.addresses.clone()).unwrap_or_default()
    }

    /// Whether a pod of the tenant has this address.
    pub fn is_pod_address(&self, address: IpAddr) -> bool {
        self.state.lock().addresses.contains_key(&address)
    }

    /// The name on the host of an object that the tenant knows as this.
    pub fn name_of(&self, rule: &'static Rule, owner_name: &str) -> Option<String> {
        let state = self.state.lock();
        let of_rule = state.facts.iter().filter(|((resource, _), _)| *resource == rule.resource);
        let mut same =
            of_rule.filter(|(_, f)| f.owner.as_ref().is_some_and(|owner| owner.name == owner_name));
        same.next().map(|((_, name), _)| name.clone())
    }

    /// Puts a host object back that could not be dealt with, unless a newer one came.
    pub fn put_back(&self, rule: &'static Rule, name: &str, object: Value) {
        let at = (rule.resource, name.to_owned());
        let mut state = self.state.lock();
        if state.facts.get(&at).is_none_or(|facts| facts.uid == meta::uid(&object)) {
            state.seen.entry(at).or_insert(object);
        }
    }

    /// Notes an object as the host's watch told it. `owner`: whose it is. Gives whether that is news: no, if that state
    /// or a newer one is known already.
    pub fn observe(&self, rule: &'static Rule, owner: Option<Owner>, told: &Told) -> bool {
        self.state.lock().note((rule.resource, meta::name(&told.object).to_owned()), owner, told, None)
    }

    /// Whether the state that the host sent, or a newer one, is known already, so that it need not be read.
    pub fn is_known(&self, rule: &'static Rule, object: &HostObject) -> bool {
        let state = self.state.lock();
        let known = state.facts.get(&(rule.resource, object.name().to_owned()));
        known.is_some_and(|facts| facts.is_as_new_as(object.uid(), object.revision()))
    }

    /// Notes an object as the host answered a write. `owner`: whose it is; `sent`: the digest of what was written. Gives
    /// whether it is still there: no, if the watch has told already that it went.
    pub fn answered(&self, rule: &'static Rule, owner: Option<Owner>, told: &Told, sent: u64) -> bool {
        let (mut state, object) = (self.state.lock(), &told.object);
        if state.gone.has(meta::uid(object)) {
            return false;
        }
        let at = (rule.resource, meta::name(object).to_owned());
        // The watch will not tell of this state again, so it takes the place of an older one that waits.
        let is_older = |seen: &Value| meta::revision(seen) < meta::revision(object);
        match state.seen.get_mut(&at).filter(|seen| is_older(seen)) {
            // Where the metadata alone was asked for, the object is new, and an older state is another's.
            Some(_) if told.is_metadata_alone() => drop(state.seen.remove(&at)),
            Some(seen) => *seen = object.clone(),
            None => {}
        }
        state.note(at, owner, told, Some(sent));
        true
    }

    /// Notes what was written to the tenant for a host object that is shown there.
    pub fn note_applied(&self, rule: &'static Rule, name: &str, applied: Applied) {
        if let Some(facts) = self.state.lock().facts.get_mut(&(rule.resource, name.to_owned())) {
            facts.applied = Some(applied);
        }
    }

    /// An object is about to be made: what the host says of it at first is no news, see [`Host::passes_over`].
    pub fn begin_making(&self, rule: &'static Rule, name: &str) {
        self.state.lock().making.insert((rule.resource, name.to_owned()), None);
    }

    /// The host answered with this revision of the object, or not at all. Gives the key if what was passed over was
    /// something else.
    pub fn end_making(&self, rule: &'static Rule, name: &str, answer: Option<u64>) -> Option<Key> {
        let (key, revision) = self.state.lock().making.remove(&(rule.resource, name.to_owned()))??;
        (answer != Some(revision)).then_some(key)
    }

    /// Whether this is the first state of a pod of which we await the host's answer, and no more than that it is there:
    /// nobody need look at the key for that, since the answer says it too.
    pub fn passes_over(&self, rule: &'static Rule, key: &Key, object: &Value) -> bool {
        let says_more = ["/spec/nodeName", "/status/conditions", "/metadata/deletionTimestamp"];
        if !rule.runs() || says_more.iter().any(|field| tree::at(object, field).is_some()) {
            return false;
        }
        let mut state = self.state.lock();
        let waiting = state.making.get_mut(&(rule.resource, meta::name(object).to_owned()));
        waiting.map(|passed| *passed = Some((key.clone(), meta::revision(object)))).is_some()
    }

    /// Notes what of the tenant's object stands on the host.
    pub fn note_kept(&self, rule: &'static Rule, name: &str, owner: &str, digest: Option<u64>) {
        if let Some(facts) = self.state.lock().facts.get_mut(&(rule.resource, name.to_owned()))
            && facts.owner.as_ref().is_some_and(|known| known.uid == owner)
        {
            facts.kept = digest;
        }
    }

    /// Notes which conditions were applied to the status of an object.
    pub fn note_conditions(&self, rule: &'static Rule, name: &str, uid: &str, digest: u64) {
        if let Some(facts) = self.state.lock().facts.get_mut(&(rule.resource, name.to_owned()))
            && facts.uid == uid
        {
            facts.conditions = Some(digest);
        }
    }

    /// Notes which status the tenant was told of an object.
    pub fn note_told(&self, rule: &'static Rule, name: &str, uid: &str, digest: u64) {
        if let Some(facts) = self.state.lock().facts.get_mut(&(rule.resource, name.to_owned()))
            && facts.uid == uid
        {
            facts.told = Some(digest);
        }
    }

    fn tell(&self, rule: &'static Rule, object: Value) {
        self.state.lock().seen.insert((rule.resource, meta::name(&object).to_owned()), object);
    }

    /// The key waits until the object that has its name goes.
    pub fn block(&self, rule: &'static Rule, name: &str, key: Key) {
        self.state.lock().blocked.insert((rule.resource, name.to_owned()), key);
    }

    /// Forgets an object that went, if it is still the one known. Gives the key that this concerns.
    pub fn forget(&self, rule: &'static Rule, name: &str, uid: &str) -> Option<Key> {
        let at = (rule.resource, name.to_owned());
        let mut state = self.state.lock();
        state.gone.note(uid);
        if state.facts.get(&at).is_none_or(|facts| facts.uid != uid) {
            return None;
        }
        let owner = state.put(at.clone(), None).and_then(|facts| facts.owner);
        let blocked = state.blocked.remove(&at);
        owner.map(|owner| rule.key(&owner.namespace, &owner.name)).or(blocked)
    }

    /// The names and UIDs of all objects of a kind.
    pub fn known(&self, rule: &'static Rule) -> HashMap<String, String> {
        let state = self.state.lock();
        let of_rule = state.facts.iter().filter(|((resource, _), _)| *resource == rule.resource);
        of_rule.map(|((_, name), facts)| (name.clone(), facts.uid.clone())).collect()
    }

    /// The keys of all tenant objects of a kind that have a host object.
    pub fn keys(&self, rule: &'static Rule) -> Vec<Key> {
        let state = self.state.lock();
        let of_rule = state.facts.iter().filter(|((resource, _), _)| *resource == rule.resource);
        let owners = of_rule.filter_map(|(_, facts)| facts.owner.as_ref());
        owners.map(|owner| rule.key(&owner.namespace, &owner.name)).collect()
    }
}

/// A digest of several values.
#[derive(Default)]
pub struct Digest(DefaultHasher);

impl Digest {
    /// Takes one more in.
    pub fn add(&mut self, value: &(impl Hash + ?Sized)) {
        value.hash(&mut self.0);
    }

    /// What all together come to.
    pub fn end(self) -> u64 {
        self.0.finish()
    }
}

/// A digest of any value.
pub fn digest(value: &(impl Hash + ?Sized)) -> u64 {
    let mut digest = Digest::default();
    digest.add(value);
    digest.end()
}

/// The addresses of a pod that it does not share with its node.
fn own_addresses(object: &Value) -> Vec<IpAddr> {
    let list = |pointer: &str, field: &str| -> Vec<IpAddr> {
        let items = tree::at(object, pointer).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| item.get(field)?.as_str()?.parse().ok()).collect()
    };
    let of_node = list("/status/hostIPs", "ip");
    list("/status/podIPs", "ip").into_iter().filter(|address| !of_node.contains(address)).collect()
}

/// Pauses between tries to open a watch again: doubled from the shortest to the longest.
#[derive(Default)]
pub struct Pauses(u32);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0 = self.0.saturating_add(1);
        Some(WATCH_PAUSE_MIN.saturating_mul(1 << (self.0 - 1).min(16)).min(WATCH_PAUSE_MAX))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

impl Host {
    /// Keeps what flows back from an object until its key is worked on.
    pub fn hand_on(&self, rule: &'static Rule, object: Value) {
        if rule.has_way_back() {
            self.tell(rule, object);
        }
    }
}

#[cfg(test)]
mod tests;
