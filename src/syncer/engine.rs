//! The engine: one reconciler for all rules. A key is `resource|namespace/name` in the tenant's terms, whichever side
//! changed; it is worked on by looking at both sides and writing whatever is missing on either.

use crate::derived::Derived;
use crate::environment::{ENVIRONMENT, Environments};
use crate::error::Error;
use crate::features::{Features, State};
use crate::host::{Facts, Host, digest};
use crate::host_object::HostObject;
use crate::metrics::{Metrics, Outcome};
use crate::pressure::Pressure;
use crate::rules::{Flow, Refused, Rule, When, rule};
use crate::services::{RELEASE_PAUSE, Released, Reserved};
use crate::tokens::TOKENS;
use crate::translate::{self, Context, Known, Owner, Refusal, Resolver, Tenant, host_name};
use crate::uses::{Uses, depends};
use crate::virtuals;
use alcove_apiserver::options::ListOptions;
use alcove_apiserver::{Client, Event, Object};
use alcove_config::{NodeNames, Sync};
use alcove_controllers::events::{Kind, Recorder};
use alcove_controllers::runtime::{
    self, Facts as Metadata, Failure, Key, Mapper, Next, Queue, Reconciler, Source,
};
use alcove_object::lean::Wanted;
use alcove_object::selector::Labels;
use alcove_object::{Env, Gvr, Reason, Status, Value, meta, tree};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// How soon an object that was refused is looked at again; a change brings it back at once.
const REFUSED_DELAY: Duration = Duration::from_secs(60);
/// How soon an object that the host refused is tried again: a quota may have room again.
const HOST_REFUSED_DELAY: Duration = Duration::from_secs(5);
/// Keys worked on at once: enough to keep the host busy over its latency.
const WORKERS: usize = 16;

/// The syncer of one tenant.
pub struct Syncer {
    /// Which tenant, and where on the host.
    pub tenant: Tenant,
    /// What the platform team allows.
    pub allowed: Sync,
    /// Which kinds are synced right now.
    pub features: Features,
    /// Numbers about the work.
    pub metrics: Metrics,
    /// The tenant's API.
    pub client: Client,
    /// The host's API.
    pub host_client: kube::Client,
    /// How hard the host may be asked.
    pub pressure: Pressure,
    /// What is known of the host.
    pub host: Arc<Host>,
    /// Clock and randomness.
    pub env: Arc<dyn Env>,
    /// What virtual nodes report as their kubelet's version.
    pub kubelet_version: String,
    /// What uses what.
    pub uses: Uses,
    /// Services that are just being made.
    pub reserved: Reserved,
    /// Services that just went from the host.
    pub released: Released,
    /// Host objects that follow from a tenant's.
    pub derived: Derived,
    /// What service variables were written from.
    pub environments: Environments,
    /// Labels of the tenant's namespaces, which their pods carry.
    pub namespaces: Mutex<HashMap<Key, BTreeMap<String, String>>>,
    /// Where the tenant's DNS is, once that is known.
    pub resolver: Mutex<Option<Resolver>>,
    /// The DNS domain of the tenant.
    pub domain: String,
    /// The host's Service of the tenant's DNS, if pods are to use it.
    pub dns: Option<String>,
    /// The host's service account of the tenant's pods.
    pub account: Option<String>,
    /// Keys to be worked on.
    pub queue: Arc<Queue>,
    /// Tells the tenant what was refused.
    pub events: Recorder,
}

impl Syncer {
    /// All synced kinds of the tenant, and its virtual nodes.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let rules = self.features.wanted();
        let mut sources: Vec<Source> = rules.map(|rule| Source::new(rule.gvr(), self.mapper(rule))).collect();
        sources.extend(self.virtual_sources());
        sources.push(Source::new(namespaces(), self.namespace_mapper()));
        sources
    }

    /// A namespace whose labels changed brings its pods, which carry them on the host.
    fn namespace_mapper(self: &Arc<Self>) -> Mapper {
        let this = self.clone();
        Box::new(move |event, add| {
            let (Event::Added(o) | Event::Modified(o) | Event::Deleted(o)) = event else { return };
            let mut known = this.namespaces.lock();
            if matches!(event, Event::Deleted(_)) {
                known.remove(&o.key);
                return;
            }
            let metadata = Metadata::of(o);
            let before = known.insert(o.key.clone(), metadata.labels.clone());
            let is_changed = before.is_some_and(|before| before != metadata.labels);
            if is_changed {
                let pods = this.client.list(&Gvr::new("", "v1", "pods"), o.name(), &ListOptions::default());
                let pods = pods.map(|list| list.items).unwrap_or_default();
                pods.iter().for_each(|pod| add(format!("pods|{}", pod.key).into()));
            }
        })
    }

    fn mapper(self: &Arc<Self>, rule: &'static Rule) -> Mapper {
        let this = self.clone();
        Box::new(move |event, add| {
            let (Event::Added(o) | Event::Modified(o) | Event::Deleted(o)) = event else { return };
            let key: Key = format!("{}|{}", rule.resource, o.key).into();
            // What an object uses goes to the host before it.
            let is_gone = matches!(event, Event::Deleted(_));
            this.uses.see(&key, (!is_gone).then_some(&*o.bytes)).into_iter().for_each(&mut *add);
            // Who looks at it is looked at again, and what is shown of it follows.
            this.uses.users(&format!("={key}")).into_iter().for_each(&mut *add);
            this.uses.of(&key).into_iter().filter(|used| virtuals::follows(used)).for_each(&mut *add);
            if rule.resource == "services" {
                this.service_moved(&o.key);
            }
            add(key);
        })
    }

    /// What translations may know.
    pub fn context(&self) -> Context<'_> {
        Context { tenant: &self.tenant, allowed: &self.allowed, known: self }
    }

    /// Whose a host object is.
    pub fn owner(&self, rule: &Rule, host: &Value) -> Option<Owner> {
        match rule.flow {
            Flow::Down { .. } => translate::owner(&self.tenant, host),
            Flow::Up { mirror } => mirror(&self.context(), host).map(|shown| Owner {
                namespace: String::new(),
                name: meta::name(&shown).to_owned(),
                uid: meta::uid(host).to_owned(),
            }),
        }
    }

    /// A host object went, or another one took its place. Gives the key that this concerns, which is in the queue.
    pub fn host_object_gone(&self, rule: &'static Rule, name: &str, uid: &str) -> Option<Key> {
        let addresses = self.host.addresses(rule, name);
        let key = self.host.forget(rule, name, uid)?;
        if rule.asks_for.is_some() {
            self.released.put(key.clone(), self.env.now());
        }
        self.addresses_moved(&addresses, &[]);
        self.queue.add(key.clone());
        Some(key)
    }

    /// Who names an address that came or went is looked at again.
    pub fn addresses_moved(&self, before: &[IpAddr], after: &[IpAddr]) {
        let moved = before.iter().chain(after).filter(|a| before.contains(a) != after.contains(a));
        for address in moved {
            let key = depends("addresses", "", &address.to_string());
            self.uses.users(&key).into_iter().for_each(|user| self.queue.add(user));
        }
    }

    /// Tells the tenant why an object is not on the host.
    pub async fn refuse(&self, object: &Value, refusal: &Refusal) -> Next {
        self.refused_for("SyncRefused", "Not synced to the host", object, refusal).await;
        Next::After(REFUSED_DELAY)
    }

    pub async fn refused_for(&self, reason: &str, what: &str, object: &Value, refusal: &Refusal) {
        let kind = object["kind"].as_str().unwrap_or_default();
        if let Some(rule) = crate::rules::RULES.iter().find(|rule| rule.kind == kind) {
            self.metrics.refused(rule.kind, &refusal.field);
        }
        self.events.tell(object, Kind::Warning, reason, &format!("{what}: {refusal}")).await;
    }

    /// Tells the tenant that the host would not have an object.
    pub async fn refused_by_host(&self, object: &Value, why: &str) -> Next {
        let message = format!("The host refuses it: {}", self.in_tenant_terms(object, why));
        if let Some(rule) = crate::rules::RULES.iter().find(|rule| object["kind"] == rule.kind) {
            self.metrics.refused(rule.kind, "host");
        }
        self.events.tell(object, Kind::Warning, "HostRefused", &message).await;
        Next::After(HOST_REFUSED_DELAY)
    }

    /// The name on the host is taken by an object that is not ours, which is never touched.
    async fn blocked(&self, rule: &'static Rule, key: &Key, object: &Value, host_name: &str) -> Next {
        self.host.block(rule, host_name, key.clone());
        let why = format!(
            "the host has another object named {host_name} that is not this cluster's; rename yours, or ask the platform team"
        );
        self.refuse(object, &Refusal::of("metadata.name", why)).await
    }

    /// The tenant's object as it is; who owns which field is read only of what we own ourselves.
    pub fn tenant_object(&self, rule: &Rule, namespace: &str, name: &str) -> Result<Option<Value>, Status> {
        let found = self.client.find(&rule.gvr(), namespace, name)?;
        Ok(found.map(|object| match rule.flow {
            Flow::Down { .. } => unowned(&object),
            Flow::Up { .. } => object.parse(),
        }))
    }

    /// Both sides of one object.
    async fn sync(&self, rule: &'static Rule, key: &Key) -> Result<Next, Error> {
        let (namespace, name) = runtime::split(key.split_once('|').map_or(key, |(_, object)| object));
        match self.features.state(rule.resource) {
            State::On => {}
            State::Off(why) => return self.tell_off(rule, namespace, name, &why).await,
            // All keys come when the host has told what it has.
            State::Starting | State::NotWanted => return Ok(Next::Done),
        }
        if !rule.after.iter().all(|other| self.features.is_answered(other)) {
            return Ok(Next::Done);
        }
        match rule.flow {
            Flow::Down { .. } => self.sync_down(rule, key, namespace, name).await,
            Flow::Up { mirror } => self.sync_up(rule, mirror, name).await,
        }
    }

    /// An object of a kind that the host does not take.
    async fn tell_off(&self, rule: &Rule, namespace: &str, name: &str, why: &str) -> Result<Next, Error> {
        let is_down = matches!(rule.flow, Flow::Down { .. });
        if let Some(object) = self.tenant_object(rule, namespace, name)?.filter(|_| is_down) {
            let message = format!("{} are not synced: {why}", rule.resource);
            self.events.tell(&object, Kind::Warning, "SyncUnavailable", &message).await;
        }
        Ok(Next::Done)
    }

    async fn sync_down(
        &self,
        rule: &'static Rule,
        key: &Key,
        namespace: &str,
        name: &str,
    ) -> Result<Next, Error> {
        let object = self.tenant_object(rule, namespace, name)?;
        let host_name = host_name(&self.tenant, namespace, name);
        let facts = self.host.facts(rule, &host_name);
        let ours = facts.clone().filter(|f| f.owner.is_some());
        let is_wanted = |object: &Value| {
            let is_ours = !rule.is_exempt(object) && !(rule.is_derived)(&self.context(), object);
            is_ours && (rule.when == When::Always || self.uses.is_used(key))
        };
        let revision = object.as_ref().map_or(0, meta::revision);
        if let Some(left) = self.reserved.time_left(key, revision) {
            return Ok(Next::After(left));
        }
        self.reserved.done(key);
        let Some(object) = object.filter(is_wanted) else {
            self.host.take_seen(rule, &host_name, "");
            return self.let_go(rule, &host_name, ours.as_ref()).await;
        };
        match (&facts, ours) {
            (Some(_), None) => Ok(self.blocked(rule, key, &object, &host_name).await),
            // An earlier object of the same name: it goes first, and its end brings the key back.
            (_, Some(f)) if f.owner.as_ref().is_some_and(|o| o.uid != meta::uid(&object)) => {
                self.let_go(rule, &host_name, Some(&f)).await
            }
            (_, ours) => {
                let done = match rule.runs() {
                    false => self.follow(rule, &object, &host_name, ours.as_ref()).await,
                    true => self.run(rule, key, &object, &host_name, ours.as_ref()).await,
                };
                match done {
                    Err(Error::Refused { message: why, .. }) => Ok(self.refused_by_host(&object, &why).await),
                    Err(Error::Held) => Ok(Next::After(RELEASE_PAUSE)),
                    done => done,
                }
            }
        }
    }

    /// The host object of a tenant object that is gone.
    async fn let_go(
        &self,
        rule: &'static Rule,
        host_name: &str,
        facts: Option<&Facts>,
    ) -> Result<Next, Error> {
        let grace = rule.last_grace();
        if let Some(facts) = facts.filter(|facts| facts.should_end(grace)) {
            self.delete_on_host(rule, host_name, facts, grace).await?;
        }
        Ok(Next::Done)
    }

    /// An object whose host object follows it.
    async fn follow(
        &self,
        rule: &'static Rule,
        object: &Value,
        host_name: &str,
        known: Option<&Facts>,
    ) -> Result<Next, Error> {
        let wanted = match rule.to_host(&self.context(), object) {
            Ok(wanted) => wanted,
            Err(refusal) => {
                if matches!(rule.flow, Flow::Down { refused: Refused::Goes, .. }) {
                    self.let_go(rule, host_name, known).await?;
                }
                return Ok(self.refuse(object, &refusal).await);
            }
        };
        let seen = self.to_be_told(rule, object, host_name, known).await?;
        let applied = match self.apply_or_make(rule, object, wanted.object, known).await {
            Ok(applied) => applied,
            Err(error) => {
                seen.into_iter().for_each(|host| self.host.put_back(rule, host_name, host));
                return Err(error);
            }
        };
        if applied.is_some() {
            for refusal in &wanted.left_out {
                self.refused_for("SyncedInPart", "Left out on the host", object, refusal).await;
            }
        }
        if let Some(host) = applied.or(seen) {
            self.take_back(rule, object.clone(), host_name, host).await?;
        }
        Ok(Next::Done)
    }

    /// Applies an object to the host. One that is not there any more asks for what it had: it waits while the host may
    /// hold that for the one that went, and goes without if the host has given it to another.
    async fn apply_or_make(
        &self,
        rule: &'static Rule,
        object: &Value,
        wanted: Value,
        known: Option<&Facts>,
    ) -> Result<Option<Value>, Error> {
        if let (None, Some(ask_for)) = (known, rule.asks_for) {
            let mut asking = wanted.clone();
            ask_for(object, &mut asking);
            match self.apply(rule, asking, None).await {
                Err(Error::Refused { message, .. }) => {
                    let key = rule.key(meta::namespace(object), meta::name(object));
                    if self.is_awaited(&key, &message) {
                        return Err(Error::Held);
                    }
                }
                made => return made,
            }
        }
        self.apply(rule, wanted, known).await
    }

    /// Writes to the tenant what the host says. Gives the tenant's object as it is after.
    pub async fn take_back(
        &self,
        rule: &'static Rule,
        object: Value,
        host_name: &str,
        host: Value,
    ) -> Result<Value, Error> {
        match self.write_back(rule, object, &host).await {
            Ok(object) => Ok(object),
            Err(error) => {
                self.host.put_back(rule, host_name, host);
                Err(error)
            }
        }
    }

    async fn write_back(&self, rule: &'static Rule, object: Value, host: &Value) -> Result<Value, Error> {
        let Flow::Down { to_tenant: Some(to_tenant), .. } = rule.flow else { return Ok(object) };
        let mut current = if rule.runs() { self.bind(object, host).await? } else { object };
        let wanted = to_tenant(&self.context(), &current, host);
        let namespace = meta::namespace(&current).to_owned();
        for (part, subresource) in [("spec", ""), ("status", "status")] {
            if wanted.get(part) == current.get(part) {
                continue;
            }
            let mut changed = current.clone();
            changed[part] = wanted[part].clone();
            match self.client.update_subresource(&rule.gvr(), subresource, &namespace, changed).await {
                Ok(written) => current = unowned(&written),
                // Gone: its deletion brings the key.
                Err(status) if status.is(Reason::NOT_FOUND) => return Ok(current),
                Err(status) => return Err(status.into()),
            }
        }
        self.host.note_told(rule, meta::name(host), meta::uid(host), told(rule, &current));
        Ok(current)
    }

    /// The host's object, if the tenant must hear of it: it changed, or somebody in the tenant wrote over the status that
    /// it was told, which is the host's.
    pub async fn to_be_told(
        &self,
        rule: &'static Rule,
        object: &Value,
        host_name: &str,
        known: Option<&Facts>,
    ) -> Result<Option<Value>, Error> {
        let seen = self.host.take_seen(rule, host_name, meta::uid(object));
        let is_as_told = |facts: &&Facts| facts.told.is_none_or(|digest| digest == told(rule, object));
        match (seen, known) {
            (None, Some(facts)) if !is_as_told(&facts) => {
                let found = self.ask(self.api(rule).get_opt(host_name)).await?.map(HostObject::into_tree);
                Ok(found.filter(|found| meta::uid(found) == facts.uid))
            }
            (seen, _) => Ok(seen),
        }
    }

    /// Notes what all objects use, so that nothing in use is taken for unused while watches start.
    pub fn learn_uses(&self) -> Result<(), Status> {
        for rule in self.features.wanted().filter(|rule| rule.uses.is_some()) {
            for object in self.client.list(&rule.gvr(), "", &ListOptions::default())?.items {
                self.uses.see(&format!("{}|{}", rule.resource, object.key).into(), Some(&object.bytes));
            }
        }
        Ok(())
    }

    /// Asks for all objects of a kind on both sides, and of the kinds that wait for it: the host has answered.
    pub fn ask_for(&self, resource: &'static str) {
        let waiting = |rule: &&'static Rule| rule.resource == resource || rule.after.contains(&resource);
        for rule in self.features.wanted().filter(waiting) {
            self.host.keys(rule).into_iter().for_each(|key| self.queue.add(key));
            self.tenant_keys(rule).into_iter().for_each(|key| self.queue.add(key));
        }
    }

    /// The keys of all tenant objects of a kind.
    pub fn tenant_keys(&self, rule: &Rule) -> Vec<Key> {
        let objects = self.client.list(&rule.gvr(), "", &ListOptions::default());
        let objects = objects.map(|list| list.items).unwrap_or_default();
        objects.iter().map(|object| format!("{}|{}", rule.resource, object.key).into()).collect()
    }
}

impl Known for Syncer {
    fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.tenant_object(rule(resource)?, namespace, name).ok().flatten()
    }

    fn is_pod_address(&self, address: IpAddr) -> bool {
        self.host.is_pod_address(address)
    }

    fn has_class(&self, resource: &str, name: &str) -> Option<bool> {
        let rule = rule(resource)?;
        let is_shown = || self.host.facts(rule, name).is_some_and(|facts| facts.owner.is_some());
        (self.features.state(resource) == State::On).then(is_shown)
    }

    fn namespace_labels(&self, namespace: &str) -> Value {
        static LABELS: LazyLock<Wanted> = LazyLock::new(|| Wanted::of(&["metadata/labels"]));
        let found = self.client.get(&namespaces(), "", namespace).ok();
        let mut found = found.and_then(|found| LABELS.read(&found.bytes).ok()).unwrap_or_default();
        tree::at_mut(&mut found, "/metadata/labels").map(Value::take).unwrap_or_default()
    }

    fn namespaces(&self, selector: &Value) -> Vec<String> {
        let Ok(Some(selector)) = Labels::from_object(Some(selector)) else { return Vec::new() };
        let all = self.client.list(&namespaces(), "", &ListOptions::default()).map(|list| list.items);
        let all = all.unwrap_or_default().into_iter().map(|namespace| namespace.parse());
        let selected = all.filter(|namespace| selector.matches_object(namespace));
        selected.map(|namespace| meta::name(&namespace).to_owned()).collect()
    }

    fn host_node(&self, node: &str) -> Option<String> {
        let is_shown = self.allowed.nodes.names == NodeNames::Shown;
        let known = self.host.node(node).or_else(|| is_shown.then(|| node.to_owned()));
        known.filter(|_| self.client.get(&Gvr::new("", "v1", "nodes"), "", node).is_ok())
    }

    fn domain(&self) -> String {
        self.domain.clone()
    }

    fn resolver(&self) -> Option<Resolver> {
        self.resolver.lock().clone()
    }

    fn account(&self) -> Option<String> {
        self.account.clone()
    }
}

/// A tenant's object without who owns which field: what is written of it leaves that alone.
pub fn unowned(object: &Object) -> Value {
    runtime::skim(object, &["managedFields"])
}

/// A digest of what the host owns of a tenant object's status.
fn told(rule: &Rule, object: &Value) -> u64 {
    match rule.runs() {
        true => digest(&translate::without_own_conditions(&object["status"])),
        false => digest(&object["status"]),
    }
}

fn namespaces() -> Gvr {
    Gvr::new("", "v1", "namespaces")
}

impl Reconciler for Syncer {
    fn name(&self) -> &'static str {
        "syncer"
    }

    fn workers(&self) -> usize {
        WORKERS
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let Some((resource, object)) = key.split_once('|') else { return Ok(Next::Done) };
        let Some(rule) = rule(resource).filter(|rule| self.is_ruled(rule, object)) else {
            return match resource {
                ENVIRONMENT => waiting(key, self.sync_environment(key, object).await),
                TOKENS => waiting(key, self.sync_tokens(object).await),
                _ => Ok(self.sync_virtual(key, resource, object).await.map(|()| Next::Done)?),
            };
        };
        let done = self.sync(rule, key).await;
        self.uses.woken(key).into_iter().for_each(|pod| self.queue.add(pod));
        let outcome = match &done {
            Ok(_) => Outcome::Done,
            Err(Error::Unavailable { .. }) => Outcome::Unavailable,
            Err(_) => Outcome::Failed,
        };
        self.metrics.synced(rule.kind, outcome);
        waiting(key, done)
    }
}

/// What the host cannot be asked now comes back at once: the gate holds it back as long as the host needs.
fn waiting(key: &Key, done: Result<Next, Error>) -> Result<Next, Failure> {
    match done {
        Err(Error::Unavailable { why, .. }) => {
            tracing::debug!(%key, why, "the host cannot be asked now");
            Ok(Next::After(Duration::ZERO))
        }
        done => Ok(done?),
    }
}
