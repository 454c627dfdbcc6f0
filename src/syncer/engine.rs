//! The engine: one reconciler for all rules. A key is `resource|namespace/name` in the tenant's terms, whichever side
//! changed; it is worked on by looking at both sides and writing whatever is missing on either.

use crate::host::{Facts, Host};
use crate::rules::{Life, RULES, Rule, When, rule};
use crate::translate::{Tenant, host_name};
use crate::uses::Uses;
use crate::{nodes, translate::Refusal};
use alcove_apiserver::options::{DeleteOptions, ListOptions, PatchType, WriteOptions};
use alcove_apiserver::{Client, Event};
use alcove_controllers::events::{Kind, Recorder};
use alcove_controllers::runtime::{self, Failure, Key, Mapper, Next, Queue, Reconciler, Source};
use alcove_object::{Env, Gvr, Reason, Status, Value, meta, time};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use serde_json::json;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// The owner of every field that we write on the host.
const FIELD_MANAGER: &str = "alcove";
/// How soon an object that was refused is looked at again; a change brings it back at once.
const REFUSED_DELAY: Duration = Duration::from_secs(60);
/// Keys worked on at once: enough to keep the host busy over its latency.
const WORKERS: usize = 16;

/// The syncer of one tenant.
pub struct Syncer {
    /// Which tenant, and where on the host.
    pub tenant: Tenant,
    /// The tenant's API.
    pub client: Client,
    /// The host's API.
    pub host_client: kube::Client,
    /// What is known of the host.
    pub host: Arc<Host>,
    /// Clock and randomness.
    pub env: Arc<dyn Env>,
    /// What virtual nodes report as their kubelet's version.
    pub kubelet_version: String,
    /// What pods use.
    pub uses: Uses,
    /// Tells the tenant what was refused.
    pub events: Recorder,
}

fn node_resource() -> Gvr {
    Gvr::new("", "v1", "nodes")
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
        sources.push(Source::new(node_resource(), nodes));
        sources
    }

    fn mapper(self: &Arc<Self>, rule: &'static Rule) -> Mapper {
        let this = self.clone();
        Box::new(move |event, add| {
            let (Event::Added(o) | Event::Modified(o) | Event::Deleted(o)) = event else { return };
            if rule.life == Life::Runs {
                let is_gone = matches!(event, Event::Deleted(_));
                // What a pod uses goes to the host before the pod.
                this.uses.put(&o.key, (!is_gone).then(|| o.parse()).as_ref()).into_iter().for_each(&mut *add);
            }
            add(format!("{}|{}", rule.resource, o.key).into());
        })
    }

    fn api(&self, rule: &Rule) -> Api<DynamicObject> {
        Api::namespaced_with(self.host_client.clone(), &self.tenant.host_namespace, &rule.host_resource())
    }

    /// Applies what the tenant wants to the host, unless that was applied before. Gives the host's object if it was
    /// written.
    async fn apply(
        &self,
        rule: &'static Rule,
        wanted: &Value,
        known: Option<&Facts>,
    ) -> Result<Option<Value>, Failure> {
        let digest = digest(wanted);
        if known.is_some_and(|facts| facts.applied == Some(digest)) {
            return Ok(None);
        }
        let mut body = wanted.clone();
        let mut params = PatchParams::apply(FIELD_MANAGER);
        if let Some(facts) = known {
            // It must still be the object that we looked at; then our fields are ours, whoever changed them.
            body["metadata"]["uid"] = facts.uid.clone().into();
            params = params.force();
        }
        let name = meta::name(wanted);
        let applied = self.api(rule).patch(name, &params, &Patch::Apply(&body)).await?;
        let applied = serde_json::to_value(applied)?;
        self.host.observe(&self.tenant, rule, &applied, Some(digest));
        Ok(Some(applied))
    }

    async fn delete_on_host(
        &self,
        rule: &'static Rule,
        name: &str,
        facts: &Facts,
        grace: Option<u32>,
    ) -> Result<(), Failure> {
        let params = DeleteParams {
            grace_period_seconds: grace,
            preconditions: Some(Preconditions { uid: Some(facts.uid.clone()), resource_version: None }),
            ..DeleteParams::default()
        };
        match self.api(rule).delete(name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.host.forget(rule, name, Some(&facts.uid));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn refuse(&self, object: &Value, refusal: &Refusal) -> Next {
        self.events
            .tell(object, Kind::Warning, "SyncRefused", &format!("Not synced to the host: {refusal}"))
            .await;
        Next::After(REFUSED_DELAY)
    }

    /// Both sides of one object.
    async fn sync(
        &self,
        rule: &'static Rule,
        key: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Next, Failure> {
        let object = match self.client.get(&rule.gvr(), namespace, name) {
            Ok(object) => Some(object.parse()),
            Err(status) if status.is(Reason::NOT_FOUND) => None,
            Err(status) => return Err(status.into()),
        };
        let host_name = host_name(&self.tenant, namespace, name);
        let facts = self.host.facts(rule, &host_name);
        let ours = facts.clone().filter(|f| f.owner.is_some());
        let is_wanted =
            |object: &Value| !rule.is_exempt(object) && (rule.when == When::Always || self.uses.is_used(key));
        let Some(object) = object.filter(is_wanted) else {
            return match ours {
                Some(facts) => self.delete_on_host(rule, &host_name, &facts, None).await.map(|()| Next::Done),
                None => Ok(Next::Done),
            };
        };
        match (&facts, &ours) {
            (Some(_), None) => {
                let why = format!(
                    "the host has another object named {host_name} that is not this cluster's; rename yours, or ask the platform team"
                );
                return Ok(self.refuse(&object, &Refusal::of("metadata.name", why)).await);
            }
            // An earlier object of the same name: it goes first, and its end brings the key back.
            (_, Some(f)) if f.owner.as_ref().is_some_and(|o| o.uid != meta::uid(&object)) => {
                if !f.is_deleting {
                    self.delete_on_host(rule, &host_name, f, None).await?;
                }
                return Ok(Next::Done);
            }
            _ => {}
        }
        match rule.life {
            Life::Follows => self.follow(rule, &object, &host_name, ours.as_ref()).await,
            Life::Runs => self.run(rule, &object, &host_name, ours.as_ref()).await,
        }
    }

    /// An object whose host object follows it.
    async fn follow(
        &self,
        rule: &'static Rule,
        object: &Value,
        host_name: &str,
        known: Option<&Facts>,
    ) -> Result<Next, Failure> {
        let wanted = match (rule.to_host)(&self.tenant, object) {
            Ok(wanted) => wanted,
            Err(refusal) => return Ok(self.refuse(object, &refusal).await),
        };
        let applied = self.apply(rule, &wanted, known).await?;
        let seen = self.host.take_seen(rule, host_name);
        match applied.or(seen) {
            Some(host) => self.take_back(rule, object, host_name, host).await.map(|()| Next::Done),
            None => Ok(Next::Done),
        }
    }

    /// A pod: created once, then its status flows back until one side ends it.
    async fn run(
        &self,
        rule: &'static Rule,
        pod: &Value,
        host_name: &str,
        known: Option<&Facts>,
    ) -> Result<Next, Failure> {
        let seen = self.host.take_seen(rule, host_name);
        let is_finished = alcove_controllers::pods::is_finished(pod);
        if let (Some(host), false) = (seen, is_finished && known.is_none())
            && let Err(failure) = self.take_back(rule, pod, host_name, host.clone()).await
        {
            self.host.put_back(rule, host_name, host);
            return Err(failure);
        }
        match (known, meta::is_deleting(pod)) {
            (Some(facts), true) if !facts.is_deleting => {
                let grace = pod.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_u64);
                let grace = grace.and_then(|g| u32::try_from(g).ok());
                self.delete_on_host(rule, host_name, facts, grace).await.map(|()| Next::Done)
            }
            (Some(_), true) => Ok(Next::Done),
            (None, true) => Ok(self.remove(pod).await.map(|()| Next::Done)?),
            (None, false) if is_finished => Ok(Next::Done),
            (None, false) if has_run(pod) => Ok(self.end_as_evicted(pod).await.map(|()| Next::Done)?),
            (known, false) => match (rule.to_host)(&self.tenant, pod) {
                Ok(wanted) => {
                    if let Some(host) = self.apply(rule, &wanted, known).await? {
                        self.take_back(rule, pod, host_name, host).await?;
                    }
                    Ok(Next::Done)
                }
                Err(refusal) => Ok(self.refuse(pod, &refusal).await),
            },
        }
    }

    /// Writes to the tenant what the host says.
    async fn take_back(
        &self,
        rule: &'static Rule,
        object: &Value,
        host_name: &str,
        host: Value,
    ) -> Result<(), Failure> {
        let object = match rule.life {
            Life::Follows => object.clone(),
            Life::Runs => self.bind(object, &host).await?,
        };
        let wanted = (rule.to_tenant)(&object, &host);
        let namespace = meta::namespace(&object);
        let result = async {
            let mut current = object.clone();
            if wanted.get("spec") != current.get("spec") {
                current["spec"] = wanted["spec"].clone();
                current = self.client.update(&rule.gvr(), namespace, current).await?.parse();
            }
            if wanted.get("status") != current.get("status") {
                current["status"] = wanted["status"].clone();
                self.client.update_subresource(&rule.gvr(), "status", namespace, current).await?;
            }
            Ok::<(), Status>(())
        };
        match result.await {
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(()),
            Err(status) => {
                self.host.put_back(rule, host_name, host);
                Err(status.into())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Binds the tenant's pod to the node that the host chose. Gives the pod as it is after.
    async fn bind(&self, pod: &Value, host: &Value) -> Result<Value, Failure> {
        let node = |pod: &Value| {
            pod.pointer("/spec/nodeName").and_then(Value::as_str).filter(|n| !n.is_empty()).map(str::to_owned)
        };
        let (None, Some(chosen)) = (node(pod), node(host)) else { return Ok(pod.clone()) };
        self.ensure_node(&chosen).await?;
        let (namespace, name) = (meta::namespace(pod), meta::name(pod));
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": { "name": name, "namespace": namespace, "uid": meta::uid(pod) },
            "target": { "apiVersion": "v1", "kind": "Node", "name": chosen },
        });
        let pods = Gvr::new("", "v1", "pods");
        match self.client.create_subresource(&pods, "binding", namespace, name, binding).await {
            // Deleted or bound meanwhile: what it is now decides.
            Err(status) if !status.is(Reason::NOT_FOUND) && !status.is(Reason::CONFLICT) => {
                return Err(status.into());
            }
            _ => {}
        }
        match self.client.get(&pods, namespace, name) {
            Ok(bound) => Ok(bound.parse()),
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(pod.clone()),
            Err(status) => Err(status.into()),
        }
    }

    async fn ensure_node(&self, name: &str) -> Result<(), Status> {
        match self.client.get(&node_resource(), "", name) {
            Ok(_) => return Ok(()),
            Err(status) if status.is(Reason::NOT_FOUND) => {}
            Err(status) => return Err(status),
        }
        let node = nodes::node(name, &self.kubelet_version, self.env.as_ref());
        let made = match self.client.create(&node_resource(), "", node.clone()).await {
            Err(status) if status.is(Reason::ALREADY_EXISTS) => return Ok(()),
            made => made?,
        };
        let mut made = made.parse();
        made["status"] = node["status"].clone();
        self.client.update_subresource(&node_resource(), "status", "", made).await.map(drop)
    }

    /// A virtual node is there exactly while pods are on it.
    async fn sync_node(&self, key: &str, name: &str) -> Result<Next, Failure> {
        if self.uses.is_used(key) {
            self.ensure_node(name).await?;
            return Ok(Next::Done);
        }
        let node = match self.client.get(&node_resource(), "", name) {
            Ok(node) => node.parse(),
            Err(status) if status.is(Reason::NOT_FOUND) => return Ok(Next::Done),
            Err(status) => return Err(status.into()),
        };
        if meta::label(&node, nodes::VIRTUAL).is_some() {
            let options =
                DeleteOptions { uid: Some(meta::uid(&node).to_owned()), ..DeleteOptions::default() };
            self.client.delete(&node_resource(), "", name, &options).await?;
        }
        Ok(Next::Done)
    }

    /// The host's pod is gone, so the tenant's may go.
    async fn remove(&self, pod: &Value) -> Result<(), Status> {
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            uid: Some(meta::uid(pod).to_owned()),
            ..DeleteOptions::default()
        };
        let (namespace, name) = (meta::namespace(pod), meta::name(pod));
        match self.client.delete(&Gvr::new("", "v1", "pods"), namespace, name, &options).await {
            Err(status) if !status.is(Reason::NOT_FOUND) && !status.is(Reason::CONFLICT) => Err(status),
            _ => Ok(()),
        }
    }

    /// A pod that ran and vanished on the host cannot come back: it ends as evicted pods end, and its controller makes
    /// another.
    async fn end_as_evicted(&self, pod: &Value) -> Result<(), Status> {
        let message = "The pod was removed from the host cluster.";
        let status = json!({ "status": {
            "phase": "Failed", "reason": "Evicted", "message": message,
            "conditions": [
                { "type": "DisruptionTarget", "status": "True", "reason": "DeletedOnHost", "message": message,
                  "lastTransitionTime": time::format(self.env.now()) },
                { "type": "Ready", "status": "False", "reason": "PodFailed" },
            ],
        } });
        let (namespace, name, options) = (meta::namespace(pod), meta::name(pod), WriteOptions::default());
        let pods = Gvr::new("", "v1", "pods");
        match self
            .client
            .patch(&pods, "status", namespace, name, PatchType::Strategic, status, &options)
            .await
        {
            Err(status) if !status.is(Reason::NOT_FOUND) => Err(status),
            _ => Ok(()),
        }
    }

    /// Notes what all pods use, so that nothing in use is taken for unused while watches start.
    pub fn learn_uses(&self) -> Result<(), Status> {
        let pods = Gvr::new("", "v1", "pods");
        for pod in self.client.list(&pods, "", &ListOptions::default())?.items {
            self.uses.put(&pod.key, Some(&pod.parse()));
        }
        Ok(())
    }

    /// Asks for all host objects of this tenant and all virtual nodes, since their tenant objects may have gone while
    /// nobody watched.
    pub fn ask_for_all(&self, queue: &Queue) {
        self.host.owners().into_iter().for_each(|owner| queue.add(owner));
        let nodes = self.client.list(&node_resource(), "", &ListOptions::default());
        for node in nodes.map(|l| l.items).unwrap_or_default() {
            queue.add(format!("nodes|{}", node.key).into());
        }
    }
}

/// Whether the host took the pod once.
fn has_run(pod: &Value) -> bool {
    let is_set = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).is_some_and(|v| !v.is_empty());
    is_set("/spec/nodeName") || is_set("/status/startTime")
}

fn digest(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
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
        let (namespace, name) = runtime::split(object);
        match rule(resource) {
            Some(rule) => self.sync(rule, key, namespace, name).await,
            None => self.sync_node(key, name).await,
        }
    }
}
