//! Pods: created once on the host, bound to the node that the host chose, their status taken back until one side ends
//! them. Ending is what makes them different from all other objects: a pod that ran cannot come back.

use crate::engine::{Syncer, unowned};
use crate::environment::ENVIRONMENT;
use crate::error::Error;
use crate::features::State;
use crate::host::{Digest, Facts};
use crate::kubernetes::RESOLVER;
use crate::rules::Rule;
use crate::translate::{self, Known, Refusal, host_name};
use crate::uses::used;
use alcove_apiserver::options::{DeleteOptions, PatchType, WriteOptions};
use alcove_controllers::pods::{is_finished, node};
use alcove_controllers::runtime::{self, Key, Next};
use alcove_object::tree::at;
use alcove_object::{Gvr, Reason, Status, Value, condition, meta, settled, time};
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
        pod: &Value,
        host_name: &str,
        known: Option<&Facts>,
    ) -> Result<Next, Error> {
        let seen = self.to_be_told(rule, pod, host_name, known).await?;
        let taken = match seen.filter(|_| known.is_some() || !is_finished(pod)) {
            Some(host) => Some(self.take_back(rule, pod.clone(), host_name, host).await?),
            None => None,
        };
        let pod = taken.as_ref().unwrap_or(pod);
        if known.is_some() {
            self.ask_for_tokens(pod);
        }
        match (known, meta::is_deleting(pod)) {
            (Some(facts), true) => self.end_on_host(rule, pod, host_name, facts).await,
            (None, true) => Ok(self.remove(pod).await?),
            (None, false) if is_finished(pod) => Ok(Next::Done),
            (None, false) if has_run(pod) => Ok(self.end_as_evicted(pod).await?),
            (Some(facts), false) if facts.is_deleting => Ok(Next::Done),
            (None, false) => self.place(rule, key, pod, host_name).await,
            (Some(facts), false) => self.keep(rule, pod, host_name, facts).await,
        }
    }

    /// A pod that the host does not have yet.
    async fn place(
        &self,
        rule: &'static Rule,
        key: &Key,
        pod: &Value,
        host_name: &str,
    ) -> Result<Next, Error> {
        let source = self.source_of(pod);
        let wanted = match rule.to_host(&self.context(), pod) {
            Ok(wanted) => wanted,
            Err(refusal) => return self.not_placed(pod, &refusal).await,
        };
        match self.hold(key, pod)? {
            Some(Hold::Waits) => return Ok(Next::Done),
            Some(Hold::Refused(refusal)) => return self.not_placed(pod, &refusal).await,
            None => {}
        }
        match self.make_pod(rule, wanted.object).await {
            Err(Error::Refused { message, code }) => {
                let told = format!("The host refuses it: {}", self.in_tenant_terms(pod, &message));
                self.note_synced(pod, Some(("HostRefused", &told))).await?;
                return Err(Error::Refused { message, code });
            }
            made => made?,
        }
        tracing::trace!(host_name, "made");
        self.host.note_kept(rule, host_name, meta::uid(pod), source);
        for refusal in &wanted.left_out {
            self.refused_for("SyncedInPart", "Left out on the host", pod, refusal).await;
        }
        // A new pod's first state says nothing that the tenant does not know; its watch tells what comes then.
        self.note_synced(pod, None).await?;
        Ok(Next::Done)
    }

    /// A pod that the host has: what may change of it follows the tenant's.
    async fn keep(
        &self,
        rule: &'static Rule,
        pod: &Value,
        host_name: &str,
        facts: &Facts,
    ) -> Result<Next, Error> {
        let source = self.source_of(pod);
        if source.is_some() && facts.kept == source && facts.is_undisturbed() {
            self.apply_conditions(rule, host_name, facts, pod).await?;
            return Ok(Next::Done);
        }
        // Its node is the host's choice from here on.
        let mut unbound = pod.clone();
        unbound["spec"].as_object_mut().map(|spec| spec.remove("nodeName"));
        let wanted = match rule.to_host(&self.context(), &unbound) {
            Ok(wanted) => wanted,
            Err(refusal) => return Ok(self.refuse(pod, &refusal).await),
        };
        let changed = self.amend_pod(rule, wanted.object, pod, host_name, facts).await?;
        self.host.note_kept(rule, host_name, meta::uid(pod), source);
        self.apply_conditions(rule, host_name, facts, pod).await?;
        if let Some(host) = changed {
            self.take_back(rule, pod.clone(), host_name, host).await?;
        }
        Ok(Next::Done)
    }

    /// A digest of all of a tenant's pod and its namespace that can still change the host's pod: as long as that stays, it
    /// need not be translated again. `None` for one that waits to be placed, where all that its placement depends on may
    /// change it.
    fn source_of(&self, pod: &Value) -> Option<u64> {
        let spec = pod["spec"].as_object()?;
        if spec.get("schedulingGates").is_some() {
            return None;
        }
        let mut digest = Digest::default();
        spec.iter().filter(|(field, _)| *field != "nodeName").for_each(|entry| digest.add(&entry));
        for field in ["labels", "annotations", "generation"] {
            digest.add(&pod["metadata"].get(field));
        }
        digest.add(&self.namespace_labels(meta::namespace(pod)));
        Some(digest.end())
    }

    /// A pod that must not be on the host: its events and its condition say why.
    async fn not_placed(&self, pod: &Value, refusal: &Refusal) -> Result<Next, Error> {
        self.note_synced(pod, Some(("SyncRefused", &refusal.to_string()))).await?;
        Ok(self.refuse(pod, refusal).await)
    }

    /// Notes in a pod's conditions that it is not on the host, and why, or that it is after all.
    async fn note_synced(&self, pod: &Value, why_not: Option<(&str, &str)>) -> Result<(), Status> {
        let known = condition::find(pod, translate::SYNCED);
        let wanted = match (why_not, known) {
            (None, None) => return Ok(()),
            (None, Some(_)) => json!({ "status": "True", "reason": "Synced", "message": "" }),
            (Some((reason, message)), _) => {
                json!({ "status": "False", "reason": reason, "message": message })
            }
        };
        let text = |of: &Value, field: &str| of[field].as_str().unwrap_or_default().to_owned();
        let is_same = |known: &Value| {
            ["status", "reason", "message"].iter().all(|f| text(known, f) == text(&wanted, f))
        };
        if known.is_some_and(is_same) {
            return Ok(());
        }
        let mut condition = wanted;
        condition["type"] = translate::SYNCED.into();
        condition["lastTransitionTime"] = time::format(self.env.now()).into();
        let patch = json!({ "metadata": { "uid": meta::uid(pod) }, "status": { "conditions": [condition] } });
        self.patch_status(pod, patch).await
    }

    async fn patch_status(&self, pod: &Value, patch: Value) -> Result<(), Status> {
        let (namespace, name, options) = (meta::namespace(pod), meta::name(pod), WriteOptions::default());
        let kind = PatchType::Strategic;
        let patched = self.client.patch(&resource(), "status", namespace, name, kind, patch, &options).await;
        settled(patched, &PASSING)
    }

    /// What a new pod waits for: ConfigMaps and Secrets that the tenant has go to the host first, since a container that
    /// finds an optional one missing starts without it. One that the tenant has not is the kubelet's business, as
    /// everywhere; but nothing of the host's may be found under its name.
    fn hold(&self, key: &Key, pod: &Value) -> Result<Option<Hold>, Error> {
        let resolver = Key::from(RESOLVER);
        self.uses.wait(&resolver, key);
        if self.dns.is_some() && translate::is_cluster_first(&pod["spec"]) && self.resolver.lock().is_none() {
            return Ok(Some(Hold::Waits));
        }
        self.uses.wait_no_more(&resolver, key);
        for used in &self.uses.of(key) {
            let Some((resource, object)) = used.split_once('|') else { continue };
            if resource == ENVIRONMENT {
                self.uses.wait(used, key);
                if !self.has_variables(object)? {
                    self.queue.add(used.clone());
                    return Ok(Some(Hold::Waits));
                }
                self.uses.wait_no_more(used, key);
            }
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
            self.uses.wait(used, key);
            match self.host.facts(rule, &on_host) {
                Some(facts) if facts.owner.is_none() => {
                    let why = format!(
                        "the host has another {} named {on_host}, which this pod would see in place of {name}; use another name, or ask the platform team",
                        rule.kind
                    );
                    return Ok(Some(Hold::Refused(Refusal::of("spec", why))));
                }
                Some(_) => self.uses.wait_no_more(used, key),
                None if self.tenant_object(rule, namespace, name)?.is_some() => return Ok(Some(Hold::Waits)),
                None => self.uses.wait_no_more(used, key),
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
        let grace = at(pod, "/metadata/deletionGracePeriodSeconds").and_then(Value::as_u64);
        let grace = grace.and_then(|grace| u32::try_from(grace).ok());
        let grace = grace.map(|grace| grace.max(rule.last_grace().unwrap_or(0)));
        if facts.should_end(grace) {
            self.delete_on_host(rule, host_name, facts, grace).await?;
        }
        Ok(Next::Done)
    }

    /// Binds the tenant's pod to the node that the host chose, and takes over its state with it. Gives the pod as it is
    /// after.
    pub async fn bind(&self, pod: Value, host: &Value) -> Result<Value, Error> {
        let (None, Some(chosen)) = (node(&pod), node(host)) else { return Ok(pod) };
        let chosen = self.node_name(chosen);
        let (namespace, name) = (meta::namespace(&pod), meta::name(&pod));
        let key = used("pods", namespace, name);
        self.uses.binds(&key, used("nodes", "", &chosen));
        let refused = match self.bind_to(&pod, &chosen, host).await {
            Ok(bound) => return Ok(bound),
            Err(status) => status,
        };
        self.uses.binds_no_more(&key).into_iter().for_each(|node| self.queue.add(node));
        if !refused.is(Reason::NOT_FOUND) && !refused.is(Reason::CONFLICT) {
            return Err(refused.into());
        }
        // Deleted or bound meanwhile: what it is now decides. One that only changed is tried again.
        let Some(now) = self.client.find(&resource(), namespace, name)?.map(|now| unowned(&now)) else {
            return Ok(pod);
        };
        let has_changed = meta::uid(&now) == meta::uid(&pod) && meta::revision(&now) != meta::revision(&pod);
        if has_changed && node(&now).is_none() { Err(refused.into()) } else { Ok(now) }
    }

    /// Binds a pod to a node of the tenant, with what the host says of it. Gives the pod as it is then.
    async fn bind_to(&self, pod: &Value, node: &str, host: &Value) -> Result<Value, Status> {
        self.ensure_node(node).await?;
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": { "name": meta::name(pod), "namespace": meta::namespace(pod), "uid": meta::uid(pod),
                          "resourceVersion": meta::text(pod, "resourceVersion") },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node },
        });
        let bound = self.client.bind_with_status(binding, translate::pod_status(pod, host)).await?;
        Ok(unowned(&bound))
    }

    /// The host's pod is gone, so the tenant's may go.
    async fn remove(&self, pod: &Value) -> Result<Next, Status> {
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::of(pod) };
        let (namespace, name) = (meta::namespace(pod), meta::name(pod));
        settled(self.client.delete(&resource(), namespace, name, &options).await, &PASSING)?;
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
        self.patch_status(pod, status).await?;
        Ok(Next::Done)
    }
}

/// Gone or replaced meanwhile: the watch tells of what came instead.
const PASSING: [Reason; 2] = [Reason::NOT_FOUND, Reason::CONFLICT];

/// Whether the host took the pod once: it was bound, or its kubelet spoke of it. A pod with a scheduler of its tenant's
/// own is bound before it comes to the host.
fn has_run(pod: &Value) -> bool {
    let text = |pointer: &str| at(pod, pointer).and_then(Value::as_str).unwrap_or_default();
    let is_scheduled = condition::is_true(pod, "PodScheduled");
    let is_hosts_choice = matches!(text("/spec/schedulerName"), "" | "default-scheduler");
    !text("/status/startTime").is_empty()
        || !text("/spec/nodeName").is_empty() && is_scheduled && is_hosts_choice
}
