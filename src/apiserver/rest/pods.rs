//! What is posted to pods: bindings and evictions.

use super::update::{Change, Part};
use super::write::Write;
use super::{Answered, Body, Caller, Target, stored};
use crate::errors;
use crate::options::{DeleteOptions, WriteOptions};
use crate::server::ApiServer;
use alcove_object::status::{Cause, Details};
use alcove_object::{Gvk, Status, Value, meta, selector};
use serde_json::json;

impl ApiServer {
    /// Puts a pod on a node and writes its status with it: the pod as it is then. `target` is the pod's `binding`.
    pub(crate) async fn bind_with_status(
        &self,
        caller: &Caller,
        target: &Target,
        binding: Body,
        status: Value,
    ) -> Result<Answered, Status> {
        let options = WriteOptions::default();
        Write::new(self, caller, target, &options).put_on_node(binding, Some(status)).await
    }
}

impl Write<'_> {
    /// Puts a pod on a node (k8s.io/kubernetes/pkg/registry/core/pod/storage/storage.go: BindingREST).
    pub(super) async fn bind(&mut self, body: Body) -> Result<Answered, Status> {
        let answered = self.put_on_node(body, None).await?;
        Ok(self.succeeded(answered))
    }

    /// `status`: what the pod's becomes, instead of only saying that it was scheduled.
    async fn put_on_node(&mut self, body: Body, status: Option<Value>) -> Result<Answered, Status> {
        let binding = self.decode(body)?;
        let text = |path: &str| binding.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let given = meta::name(&binding);
        if !given.is_empty() && given != self.target.name {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        let node = text("/target/name").to_owned();
        if node.is_empty() || !matches!(text("/target/kind"), "" | "Node" | "Minion") {
            return Err(Status::bad_request("the target of a binding is a Node with a name"));
        }
        let (resource, name) = (self.resource().clone(), self.target.name.clone());
        let now = self.now.clone();
        let edit = |pod: &mut Value| -> Result<(), Status> {
            let conflict = |why: String| Err(errors::conflict(&resource, &name, &why));
            for (what, field) in [("UID", "uid"), ("ResourceVersion", "resourceVersion")] {
                let (wanted, found) = (meta::text(&binding, field), meta::text(pod, field));
                if !wanted.is_empty() && wanted != found {
                    return conflict(format!(
                        "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
                    ));
                }
            }
            if meta::is_deleting(pod) {
                return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
            }
            let bound = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
            if !bound.is_empty() {
                return conflict(format!("pod {name} is already assigned to node {bound:?}"));
            }
            let gates = pod.pointer("/spec/schedulingGates").and_then(Value::as_array);
            if gates.is_some_and(|gates| !gates.is_empty()) {
                return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
            }
            pod["spec"]["nodeName"] = node.clone().into();
            for field in ["annotations", "labels"] {
                add_entries(pod, field, &binding);
            }
            match &status {
                Some(status) => pod["status"] = status.clone(),
                None => {
                    set_condition(pod, "PodScheduled", json!({"status": "True", "lastTransitionTime": now}))
                }
            }
            Ok(())
        };
        let part = if status.is_some() { Part::AnyWithStatus } else { Part::Any };
        self.change(part, Change::Edit(&edit), false).await
    }

    /// Deletes a pod if the disruption budgets allow it
    /// (k8s.io/kubernetes/pkg/registry/core/pod/storage/eviction.go).
    pub(super) async fn evict(&mut self, body: Body) -> Result<Answered, Status> {
        let eviction = self.decode(body)?;
        let given = meta::name(&eviction);
        if !given.is_empty() && given != self.target.name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let options = delete_options(eviction.get("deleteOptions"), self.options.dry_run);
        let entry = self.server.store.get(&self.resource().table, &self.target.key());
        let pod = entry.map(|entry| stored::tree(self.resource(), &entry)).ok_or_else(|| self.not_found())?;
        if !is_outside_budgets(&pod) {
            self.spend_budget(&pod).await?;
            if !options.dry_run {
                self.announce_disruption().await?;
            }
        }
        let parent = Target { subresource: None, ..self.target.clone() };
        self.server.delete(self.caller, &parent, &options).await?;
        let success =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        let object = stored::unstored(self.target.key().into(), 0, &success);
        Ok(self.answered(object, true))
    }

    /// Takes one disruption out of the pod's budget. 429 when there is none left, 500 for more budgets than one.
    async fn spend_budget(&mut self, pod: &Value) -> Result<(), Status> {
        let registry = self.registry.clone();
        let Some(resource) = registry.kind(&Gvk::new("policy", "v1", "PodDisruptionBudget")) else {
            return Ok(());
        };
        let prefix = format!("{}/", self.target.namespace);
        let range = alcove_store::Range { prefix: &prefix, ..Default::default() };
        let budgets = self.server.store.list(&resource.table, &range, &|_| true).map_err(errors::read)?;
        let mut matching =
            budgets.entries.iter().map(|e| stored::tree(resource, e)).filter(|b| selects(b, pod));
        let Some(budget) = matching.next() else { return Ok(()) };
        if matching.next().is_some() {
            let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Status::internal(why));
        }
        if !is_ready(pod) && spares_unhealthy(&budget) {
            return Ok(());
        }
        let target = Target::new(resource, "status", &self.target.namespace, meta::name(&budget))?;
        let (name, now) = (self.target.name.clone(), self.now.clone());
        let edit = |budget: &mut Value| spend(budget, &name, &now);
        let mut write = Write::new(self.server, self.caller, &target, self.options);
        write.change(Part::Any, Change::Edit(&edit), false).await.map(drop)
    }

    async fn announce_disruption(&mut self) -> Result<(), Status> {
        let now = self.now.clone();
        let edit = |pod: &mut Value| -> Result<(), Status> {
            let condition = json!({
                "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
                "lastTransitionTime": now,
            });
            set_condition(pod, "DisruptionTarget", condition);
            Ok(())
        };
        self.change(Part::Any, Change::Edit(&edit), false).await.map(drop)
    }

    /// A `Status` of success, as posts to subresources answer.
    fn succeeded(&mut self, answered: Answered) -> Answered {
        let success =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        let object = stored::unstored(answered.object.key, answered.object.revision, &success);
        Answered { object, created: true, warnings: answered.warnings }
    }
}

/// Pods that ended, are ending or never started cost no budget.
fn is_outside_budgets(pod: &Value) -> bool {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    matches!(phase, "Succeeded" | "Failed" | "Pending") || meta::is_deleting(pod)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// Whether pods that are not ready may go at no cost: always, or while enough others are healthy.
fn spares_unhealthy(budget: &Value) -> bool {
    let number = |path: &str| budget.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let desired = number("/status/desiredHealthy");
    budget.pointer("/spec/unhealthyPodEvictionPolicy").is_some_and(|policy| policy == "AlwaysAllow")
        || desired > 0 && number("/status/currentHealthy") >= desired
}

fn selects(budget: &Value, pod: &Value) -> bool {
    let labels = selector::Labels::from_object(budget.pointer("/spec/selector")).ok().flatten();
    labels.is_some_and(|labels| labels.matches(|key| meta::label(pod, key)))
}

/// Takes one disruption out of a budget and writes down for whom.
fn spend(budget: &mut Value, pod: &str, now: &str) -> Result<(), Status> {
    let number = |path: &str| budget.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let refuse = |message: String, wait_seconds: u32, cause: Option<Cause>| {
        let mut status = Status::too_many_requests(message, wait_seconds);
        status.details.get_or_insert_with(Details::default).causes.extend(cause);
        Err(status)
    };
    if number("/status/observedGeneration") < meta::generation(budget) {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        let why =
            format!("The disruption budget {} is still being processed by the server.", meta::name(budget));
        let cause = Cause { reason: "DisruptionBudget".into(), message: why, field: String::new() };
        return refuse(message.into(), 10, Some(cause));
    }
    let allowed = number("/status/disruptionsAllowed");
    if allowed <= 0 {
        let why = format!(
            "The disruption budget {} needs {} healthy pods and has {} currently",
            meta::name(budget),
            number("/status/desiredHealthy"),
            number("/status/currentHealthy")
        );
        let cause = Cause { reason: "DisruptionBudget".into(), message: why, field: String::new() };
        return refuse(
            "Cannot evict pod as it would violate the pod's disruption budget.".into(),
            0,
            Some(cause),
        );
    }
    if let Some(map) = budget.as_object_mut() {
        let status = meta::child_mut(map, "status");
        status.insert("disruptionsAllowed".into(), (allowed - 1).into());
        meta::child_mut(status, "disruptedPods").insert(pod.to_owned(), now.into());
    }
    Ok(())
}

/// Adds a condition, or replaces the one of its type.
fn set_condition(pod: &mut Value, kind: &str, mut condition: Value) {
    condition["type"] = kind.into();
    let Some(map) = pod.as_object_mut() else { return };
    let status = meta::child_mut(map, "status");
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(list) = conditions.as_array_mut() else { return };
    match list.iter_mut().find(|c| c.get("type").and_then(Value::as_str) == Some(kind)) {
        Some(found) => *found = condition,
        None => list.push(condition),
    }
}

fn add_entries(pod: &mut Value, field: &str, from: &Value) {
    let entries = from.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_object);
    let Some(entries) = entries.filter(|entries| !entries.is_empty()) else { return };
    meta::child_mut(meta::metadata_mut(pod), field).extend(entries.clone());
}

/// The options that an eviction carries.
fn delete_options(tree: Option<&Value>, dry_run: bool) -> DeleteOptions {
    let text = |path: &str| tree.and_then(|t| t.pointer(path)).and_then(Value::as_str).map(str::to_owned);
    DeleteOptions {
        dry_run: dry_run || tree.and_then(|t| t.pointer("/dryRun/0")).is_some(),
        grace_period_seconds: tree.and_then(|t| t.get("gracePeriodSeconds")).and_then(Value::as_i64),
        uid: text("/preconditions/uid"),
        resource_version: text("/preconditions/resourceVersion"),
        propagation: None,
        orphan_dependents: None,
    }
}
