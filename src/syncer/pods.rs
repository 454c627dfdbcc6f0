//! Pods: created once on the host, bound to the node that the host chose, their status taken back until one side ends
//! them. Ending is what makes them different from all other objects: a pod that ran cannot come back.

use crate::engine::Syncer;
use crate::error::Error;
use crate::features::State;
use crate::host::Facts;
use crate::rules::Rule;
use crate::translate::{self, Refusal, host_name};
use alcove_apiserver::options::{DeleteOptions, PatchType, WriteOptions};
use alcove_controllers::pods::{condition, is_finished};
use alcove_controllers::runtime::{self, Key, Next};
use alcove_object::{Gvr, Reason, Status, Value, meta, time};
use serde_json::json;

fn resource() -> Gvr {
    Gvr::new("", "v1", "pods")
}

/// What keeps a pod off the host for now.
enum Hold {
    /// What it uses is not there yet; it wakes the pod when it is.
    Waits,
    /// What it uses can never be there.
    Refused(Refusal),
}

impl Syncer {
    /// A pod: created once, then its status flows back until one side ends it.
    pub async fn run(
        &self,
        rule: &'static Rule,
        key: &Key,
        mut pod: Value,
        host_name: &str,
        known: Option<&Facts>,
    ) -> Result<Next, Error> {
        let seen = self.host.take_seen(rule, host_name, meta::uid(&pod));
        if let Some(host) = seen.filter(|_| known.is_some() || !is_finished(&pod)) {
            pod = self.take_back(rule, pod, host_name, host).await?;
        }
        let next = match (known, meta::is_deleting(&pod)) {
            (Some(facts), true) => self.end_on_host(rule, &pod, host_name, facts).await?,
            (None, true) => self.remove(&pod).await?,
            (None, false) if is_finished(&pod) => Next::Done,
            (None, false) if has_run(&pod) => self.end_as_evicted(&pod).await?,
            (Some(facts), false) if facts.is_deleting => Next::Done,
            (known, false) => self.put(rule, key, &pod, host_name, known).await?,
        };
        match known.filter(|_| !is_finished(&pod)) {
            Some(facts) => Ok(sooner(next, self.keep_tokens(key, &pod, facts).await?)),
            None => Ok(next),
        }
    }

    /// The pod as the tenant wants it, on the host.
    async fn put(
        &self,
        rule: &'static Rule,
        key: &Key,
        pod: &Value,
        host_name: &str,
        known: Option<&Facts>,
    ) -> Result<Next, Error> {
        let wanted = translate::judge(self.policy, pod).and_then(|()| rule.to_host(&self.context(), pod));
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(refusal) => return Ok(self.refuse(pod, &refusal).await),
        };
        if known.is_none() {
            match self.hold(key, pod)? {
                Some(Hold::Waits) => return Ok(Next::Done),
                Some(Hold::Refused(refusal)) => return Ok(self.refuse(pod, &refusal).await),
                None => {}
            }
        }
        let applied = self.apply(rule, wanted.object, known).await?;
        // A new pod's first state says nothing that the tenant does not know; its watch tells what comes then.
        if let Some(facts) = known {
            self.apply_conditions(rule, host_name, facts, pod).await?;
            if let Some(host) = applied {
                self.take_back(rule, pod.clone(), host_name, host).await?;
            }
        }
        Ok(Next::Done)
    }

    /// What a new pod waits for: ConfigMaps and Secrets that the tenant has go to the host first, since a container that
    /// finds an optional one missing starts without it. One that the tenant has not is the kubelet's business, as
    /// everywhere; but nothing of the host's may be found under its name.
    fn hold(&self, key: &Key, pod: &Value) -> Result<Option<Hold>, Error> {
        if !pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default().is_empty() {
            let why = "the host's scheduler chooses nodes; use node affinity";
            return Ok(Some(Hold::Refused(Refusal::of("spec.nodeName", why))));
        }
        for used in self.uses.of(key) {
            let Some((resource, object)) = used.split_once('|') else { continue };
            let Some(rule) = crate::rules::rule(resource).filter(|rule| !rule.is_cluster_wide()) else {
                continue;
            };
            match self.features.state(rule.resource) {
                State::Off(why) => return Ok(Some(Hold::Refused(Refusal::of("spec", why)))),
                State::NotWanted => continue,
                State::Starting | State::On => {}
            }
            let (namespace, name) = runtime::split(object);
            let on_host = host_name(&self.tenant, namespace, name);
            self.uses.wait(&used, key);
            match self.host.facts(rule, &on_host) {
                Some(facts) if facts.owner.is_none() => {
                    let why = format!(
                        "the host has another {} named {on_host}, which this pod would see in place of {name}; use another name, or ask the platform team",
                        rule.kind
                    );
                    return Ok(Some(Hold::Refused(Refusal::of("spec", why))));
                }
                Some(_) => self.uses.wait_no_more(&used, key),
                None if self.tenant_object(rule, namespace, name)?.is_some() => return Ok(Some(Hold::Waits)),
                None => self.uses.wait_no_more(&used, key),
            }
        }
        Ok(None)
    }

    /// Ends the host's pod as the tenant's is ended. A later, shorter grace is passed on too.
    async fn end_on_host(
        &self,
        rule: &'static Rule,
        pod: &Value,
        host_name: &str,
        facts: &Facts,
    ) -> Result<Next, Error> {
        let grace = pod.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_u64);
        let grace = grace.and_then(|grace| u32::try_from(grace).ok());
        if facts.should_end(grace) {
            self.delete_on_host(rule, host_name, facts, grace).await?;
        }
        Ok(Next::Done)
    }

    /// Binds the tenant's pod to the node that the host chose. Gives the pod as it is after.
    pub async fn bind(&self, pod: Value, host: &Value) -> Result<Value, Error> {
        let node = |pod: &Value| {
            pod.pointer("/spec/nodeName").and_then(Value::as_str).filter(|n| !n.is_empty()).map(str::to_owned)
        };
        let (None, Some(chosen)) = (node(&pod), node(host)) else { return Ok(pod) };
        self.ensure_node(&chosen).await?;
        let (namespace, name) = (meta::namespace(&pod), meta::name(&pod));
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": { "name": name, "namespace": namespace, "uid": meta::uid(&pod) },
            "target": { "apiVersion": "v1", "kind": "Node", "name": chosen },
        });
        match self.client.create_subresource(&resource(), "binding", namespace, name, binding).await {
            // Deleted or bound meanwhile: what it is now decides.
            Err(status) if !status.is(Reason::NOT_FOUND) && !status.is(Reason::CONFLICT) => {
                return Err(status.into());
            }
            _ => {}
        }
        match self.client.get(&resource(), namespace, name) {
            Ok(bound) => Ok(bound.parse()),
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(pod),
            Err(status) => Err(status.into()),
        }
    }

    /// The host's pod is gone, so the tenant's may go.
    async fn remove(&self, pod: &Value) -> Result<Next, Status> {
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            uid: Some(meta::uid(pod).to_owned()),
            ..DeleteOptions::default()
        };
        let (namespace, name) = (meta::namespace(pod), meta::name(pod));
        gone_is_fine(self.client.delete(&resource(), namespace, name, &options).await.map(drop))?;
        Ok(Next::Done)
    }

    /// A pod that ran and vanished on the host cannot come back: it ends as evicted pods end, and its controller makes
    /// another.
    async fn end_as_evicted(&self, pod: &Value) -> Result<Next, Status> {
        let message = "The pod was removed from the host cluster.";
        let now = time::format(self.env.now());
        let status = json!({ "metadata": { "uid": meta::uid(pod) }, "status": {
            "phase": "Failed", "reason": "Evicted", "message": message,
            "conditions": [
                { "type": "DisruptionTarget", "status": "True", "reason": "DeletedOnHost", "message": message,
                  "lastTransitionTime": now },
                { "type": "Ready", "status": "False", "reason": "PodFailed", "lastTransitionTime": now },
                { "type": "ContainersReady", "status": "False", "reason": "PodFailed", "lastTransitionTime": now },
            ],
        } });
        let (namespace, name, options) = (meta::namespace(pod), meta::name(pod), WriteOptions::default());
        let kind = PatchType::Strategic;
        let patched = self.client.patch(&resource(), "status", namespace, name, kind, status, &options).await;
        gone_is_fine(patched.map(drop))?;
        Ok(Next::Done)
    }
}

/// The sooner of two times to come back.
fn sooner(a: Next, b: Next) -> Next {
    match (a, b) {
        (Next::After(a), Next::After(b)) => Next::After(a.min(b)),
        (Next::Done, next) | (next, Next::Done) => next,
    }
}

/// Gone or replaced meanwhile: the watch tells of what came instead.
fn gone_is_fine(result: Result<(), Status>) -> Result<(), Status> {
    match result {
        Err(status) if status.is(Reason::NOT_FOUND) || status.is(Reason::CONFLICT) => Ok(()),
        result => result,
    }
}

/// Whether the host took the pod once: it was bound, or its kubelet spoke of it.
fn has_run(pod: &Value) -> bool {
    let is_set = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).is_some_and(|v| !v.is_empty());
    let is_scheduled = condition(pod, "PodScheduled").is_some_and(|c| c["status"] == "True");
    is_set("/status/startTime") || is_set("/spec/nodeName") && is_scheduled
}
