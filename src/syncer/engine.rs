//! The engine: one reconciler for all rules. A key is `resource|namespace/name` in the tenant's terms, whichever side
//! changed; it is worked on by looking at both sides and writing whatever is missing on either.

use crate::error::Error;
use crate::host::{Facts, Host};
use crate::nodes;
use crate::pressure::Pressure;
use crate::rules::{Life, RULES, Rule, When, rule};
use crate::services::Reserved;
use crate::tokens::Tokens;
use crate::translate::{Policy, Refusal, Tenant, host_name};
use crate::uses::Uses;
use alcove_apiserver::options::ListOptions;
use alcove_apiserver::{Client, Event};
use alcove_controllers::events::{Kind, Recorder};
use alcove_controllers::runtime::{self, Failure, Key, Mapper, Next, Queue, Reconciler, Source};
use alcove_object::{Env, Gvr, Reason, Status, Value, meta};
use std::sync::Arc;
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
    /// What pods may ask for.
    pub policy: Policy,
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
    /// What pods use.
    pub uses: Uses,
    /// Services that are just being made.
    pub reserved: Reserved,
    /// Pods' tokens on the host.
    pub tokens: Tokens,
    /// Keys to be worked on.
    pub queue: Arc<Queue>,
    /// Tells the tenant what was refused.
    pub events: Recorder,
}

impl Syncer {
    /// All synced kinds of the tenant, and its virtual nodes.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let nodes: Mapper = Box::new(|event, add| {
            if let Event::Added(o) | Event::Deleted(o) = event {
                add(format!("nodes|{}", o.key).into());
            }
        });
        let mut sources: Vec<Source> =
            RULES.iter().map(|rule| Source::new(rule.gvr(), self.mapper(rule))).collect();
        sources.push(Source::new(nodes::resource(), nodes));
        sources
    }

    fn mapper(self: &Arc<Self>, rule: &'static Rule) -> Mapper {
        let this = self.clone();
        Box::new(move |event, add| {
            let (Event::Added(o) | Event::Modified(o) | Event::Deleted(o)) = event else { return };
            if rule.life == Life::Runs {
                // What a pod uses goes to the host before the pod.
                let is_gone = matches!(event, Event::Deleted(_));
                this.uses.see(&o.key, (!is_gone).then_some(&*o.bytes)).into_iter().for_each(&mut *add);
            }
            add(format!("{}|{}", rule.resource, o.key).into());
        })
    }

    /// Tells the tenant why an object is not on the host.
    pub async fn refuse(&self, object: &Value, refusal: &Refusal) -> Next {
        self.events
            .tell(object, Kind::Warning, "SyncRefused", &format!("Not synced to the host: {refusal}"))
            .await;
        Next::After(REFUSED_DELAY)
    }

    /// Tells the tenant that the host would not have an object.
    async fn refused_by_host(&self, object: &Value, why: &str) -> Next {
        let message = format!("The host refuses it: {}", self.in_tenant_terms(object, why));
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

    /// The tenant's object as it is.
    pub fn tenant_object(&self, rule: &Rule, namespace: &str, name: &str) -> Result<Option<Value>, Status> {
        match self.client.get(&rule.gvr(), namespace, name) {
            Ok(object) => Ok(Some(object.parse())),
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Both sides of one object.
    async fn sync(&self, rule: &'static Rule, key: &Key) -> Result<Next, Error> {
        let (namespace, name) = runtime::split(key.split_once('|').map_or(key, |(_, object)| object));
        let object = self.tenant_object(rule, namespace, name)?;
        let host_name = host_name(&self.tenant, namespace, name);
        let facts = self.host.facts(rule, &host_name);
        let ours = facts.clone().filter(|f| f.owner.is_some());
        let is_wanted =
            |object: &Value| !rule.is_exempt(object) && (rule.when == When::Always || self.uses.is_used(key));
        if let (None, Some(left)) = (&object, self.reserved.time_left(key)) {
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
                let done = match rule.life {
                    Life::Follows => self.follow(rule, &object, &host_name, ours.as_ref()).await,
                    Life::Runs => self.run(rule, key, object.clone(), &host_name, ours.as_ref()).await,
                };
                match done {
                    Err(Error::Refused(why)) => Ok(self.refused_by_host(&object, &why).await),
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
        let wanted = match (rule.to_host)(&self.tenant, object) {
            Ok(wanted) => wanted,
            Err(refusal) => return Ok(self.refuse(object, &refusal).await),
        };
        let seen = self.host.take_seen(rule, host_name, meta::uid(object));
        let applied = match self.apply(rule, wanted, known).await {
            Ok(applied) => applied,
            Err(error) => {
                seen.into_iter().for_each(|host| self.host.put_back(rule, host_name, host));
                return Err(error);
            }
        };
        if let Some(host) = applied.or(seen) {
            self.take_back(rule, object.clone(), host_name, host).await?;
        }
        Ok(Next::Done)
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
        let Some(to_tenant) = rule.to_tenant else { return Ok(object) };
        let mut current = match rule.life {
            Life::Follows => object,
            Life::Runs => self.bind(object, host).await?,
        };
        let wanted = to_tenant(&current, host);
        let namespace = meta::namespace(&current).to_owned();
        for (part, subresource) in [("spec", ""), ("status", "status")] {
            if wanted.get(part) == current.get(part) {
                continue;
            }
            let mut changed = current.clone();
            changed[part] = wanted[part].clone();
            match self.client.update_subresource(&rule.gvr(), subresource, &namespace, changed).await {
                Ok(written) => current = written.parse(),
                // Gone: its deletion brings the key.
                Err(status) if status.is(Reason::NOT_FOUND) => return Ok(current),
                Err(status) => return Err(status.into()),
            }
        }
        Ok(current)
    }

    /// Notes what all pods use, so that nothing in use is taken for unused while watches start.
    pub fn learn_uses(&self) -> Result<(), Status> {
        let pods = Gvr::new("", "v1", "pods");
        for pod in self.client.list(&pods, "", &ListOptions::default())?.items {
            self.uses.see(&pod.key, Some(&pod.bytes));
        }
        Ok(())
    }

    /// Asks for all host objects of this tenant and all virtual nodes, since their tenant objects may have gone while
    /// nobody watched.
    pub fn ask_for_all(&self) {
        self.host.keys().into_iter().for_each(|key| self.queue.add(key));
        let nodes = self.client.list(&nodes::resource(), "", &ListOptions::default());
        for node in nodes.map(|l| l.items).unwrap_or_default() {
            self.queue.add(format!("nodes|{}", node.key).into());
        }
    }
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
        let Some(rule) = rule(resource) else {
            return Ok(self.sync_node(key, object).await.map(|()| Next::Done)?);
        };
        let done = self.sync(rule, key).await;
        if rule.when == When::InUse {
            self.uses.woken(key).into_iter().for_each(|pod| self.queue.add(pod));
        }
        match done {
            // The gate holds the key back as long as the host needs.
            Err(Error::Unavailable { why, .. }) => {
                tracing::debug!(%key, why, "the host cannot be asked now");
                Ok(Next::After(Duration::ZERO))
            }
            done => Ok(done?),
        }
    }
}
