//! Evictions: a pod is deleted if its disruption budget allows it
//! (k8s.io/kubernetes/pkg/registry/core/pod/storage/eviction.go).

use super::pods::set_condition;
use super::update::{Change, Part};
use super::write::Write;
use super::{Answered, Body, stored};
use crate::errors;
use crate::options::{DeleteOptions, WriteOptions};
use crate::registry::Resource;
use alcove_object::status::{Cause, Details};
use alcove_object::{Gvk, Reason, Status, Value, condition, meta, selector};
use alcove_store::Range;
use serde_json::json;
use std::sync::Arc;

/// Evictions under way that a budget remembers (MaxDisruptedPodSize); further ones are refused with 403.
const DISRUPTED_PODS_MAX: usize = 2000;
const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
/// When to ask again while a budget is not counted yet, in seconds.
const RETRY_SECONDS: u32 = 10;
const ALLOWED: &str = "DisruptionAllowed";

/// What an eviction costs.
enum Price {
    /// Nothing that a budget counts, or a disruption that was taken from one.
    Paid,
    /// Nothing, as long as the pod stays as unhealthy as it is; the budget's name.
    FreeWhileUnhealthy(String),
}

impl Write<'_> {
    /// Evicts the target.
    pub(super) async fn evict(&mut self, body: Body) -> Result<Answered, Status> {
        let mut eviction = self.decode(body)?;
        self.check_posted(&eviction)?;
        self.admit_posted(&mut eviction).await?;
        let mut options = match eviction.get("deleteOptions").filter(|options| options.is_object()) {
            Some(options) => DeleteOptions::read(options)?,
            None => DeleteOptions::default(),
        };
        options.dry_run |= self.options.dry_run;
        let names_version = options.resource_version.is_some();
        loop {
            let pod = self.evicted()?;
            // Another pod does not become the right one, however often one looks.
            check_preconditions(&DeleteOptions { resource_version: None, ..options.clone() }, &pod)?;
            let mut exact = options.clone();
            let version = Some(meta::text(&pod, "resourceVersion").to_owned());
            let retries = phase(&pod) == "Pending" && !names_version;
            let price =
                if is_outside_budgets(&pod) { None } else { Some(self.pay(&pod, options.dry_run).await?) };
            // A pod that became healthy since it was looked at would cost something.
            if retries || matches!(price, Some(Price::FreeWhileUnhealthy(_))) {
                exact.resource_version = version;
            }
            match (self.disrupt(&exact).await, price) {
                (Err(status), None) if status.is(Reason::CONFLICT) && retries => {}
                (Err(status), Some(Price::FreeWhileUnhealthy(budget)))
                    if status.is(Reason::CONFLICT) && !names_version =>
                {
                    return Err(uncounted(&budget));
                }
                (result, _) => return result.map(|()| self.evicted_answer()),
            }
        }
    }

    fn evicted(&self) -> Result<Value, Status> {
        let entry = self.server.store.get(&self.resource().table, &self.target.key());
        entry.map(|entry| stored::tree(self.resource(), &entry)).ok_or_else(|| self.not_found())
    }

    fn evicted_answer(&mut self) -> Answered {
        let success =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        let object = stored::unstored(self.target.key().into(), 0, &success);
        self.answered(object, true)
    }

    /// Takes one disruption out of the pod's budget. 429 when there is none left, 500 for more budgets than one.
    async fn pay(&mut self, pod: &Value, dry_run: bool) -> Result<Price, Status> {
        let registry = self.registry.clone();
        let kind = registry.kind(&Gvk::new("policy", "v1", "PodDisruptionBudget"));
        let Some(resource) = kind else { return Ok(Price::Paid) };
        let mut budgets = self.budgets_of(resource, pod)?;
        let Some(budget) = budgets.pop() else { return Ok(Price::Paid) };
        if !budgets.is_empty() {
            let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Status::new(500, Reason::UNKNOWN, why));
        }
        if !condition::is_true(pod, "Ready") && spares_unhealthy(&budget) {
            return Ok(Price::FreeWhileUnhealthy(meta::name(&budget).to_owned()));
        }
        let target = super::Target::new(resource, "status", &self.target.namespace, meta::name(&budget))?;
        let (name, now) = (self.target.name.clone(), self.now.clone());
        let edit = |budget: &mut Value| spend(budget, &name, &now);
        let options = WriteOptions { dry_run, ..self.options.clone() };
        let mut write = Write::new(self.server, self.caller, &target, &options);
        write.change(Part::Any, Change::Edit(&edit), false).await?;
        Ok(Price::Paid)
    }

    fn budgets_of(&self, resource: &Arc<Resource>, pod: &Value) -> Result<Vec<Value>, Status> {
        let prefix = format!("{}/", self.target.namespace);
        let range = Range { prefix: &prefix, ..Range::default() };
        let listing = self.server.store.list(&resource.table, &range, &|_| true).map_err(errors::read)?;
        let budgets = listing.entries.iter().map(|entry| stored::tree(resource, entry));
        Ok(budgets.filter(|budget| selects(budget, pod)).collect())
    }

    /// Says in the pod why it goes, and deletes it.
    async fn disrupt(&mut self, options: &DeleteOptions) -> Result<(), Status> {
        let mut options = options.clone();
        if !options.dry_run {
            let revision = self.announce(&options).await?;
            // It was this write that moved the version on.
            options.resource_version = options.resource_version.map(|_| revision.to_string());
        }
        let parent = super::Target { subresource: None, ..self.target.clone() };
        self.server.delete(self.caller, &parent, &options).await.map(drop)
    }

    /// Writes the condition `DisruptionTarget` and gives the pod's revision.
    async fn announce(&mut self, options: &DeleteOptions) -> Result<u64, Status> {
        let now = self.now.clone();
        let edit = |pod: &mut Value| -> Result<(), Status> {
            check_preconditions(options, pod)?;
            let condition = json!({
                "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
                "lastTransitionTime": now,
            });
            set_condition(pod, "DisruptionTarget", condition);
            Ok(())
        };
        Ok(self.change(Part::Any, Change::Edit(&edit), false).await?.object.revision)
    }
}

/// 409 for another pod, or another state of it, than the options name.
fn check_preconditions(options: &DeleteOptions, pod: &Value) -> Result<(), Status> {
    let (uid, version) = (meta::uid(pod), meta::text(pod, "resourceVersion"));
    for (what, wanted, found, why) in [
        ("UID", &options.uid, uid, "deleted and then recreated"),
        ("ResourceVersion", &options.resource_version, version, "modified"),
    ] {
        if let Some(wanted) = wanted.as_deref().filter(|wanted| !wanted.is_empty() && *wanted != found) {
            let why = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object might have been {why}"
            );
            return Err(Status::conflict("", "Pod", meta::name(pod), &why));
        }
    }
    Ok(())
}

fn phase(pod: &Value) -> &str {
    pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default()
}

/// Pods that ended, are ending or never started cost no budget.
fn is_outside_budgets(pod: &Value) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed" | "Pending") || meta::is_deleting(pod)
}

fn number(budget: &Value, field: &str) -> i64 {
    budget["status"][field].as_i64().unwrap_or(0)
}

/// Whether pods that are not ready may go at no cost: always, or while enough others are healthy.
fn spares_unhealthy(budget: &Value) -> bool {
    let desired = number(budget, "desiredHealthy");
    budget.pointer("/spec/unhealthyPodEvictionPolicy").is_some_and(|policy| policy == "AlwaysAllow")
        || desired > 0 && number(budget, "currentHealthy") >= desired
}

fn selects(budget: &Value, pod: &Value) -> bool {
    let labels = selector::Labels::from_object(budget.pointer("/spec/selector")).ok().flatten();
    labels.is_some_and(|labels| labels.matches(|key| meta::label(pod, key)))
}

/// 429, with the cause that clients look for.
fn refused(why: String, wait_seconds: u32) -> Status {
    let mut status = Status::too_many_requests(REFUSED, wait_seconds);
    let cause = Cause { reason: "DisruptionBudget".into(), message: why, field: String::new() };
    status.details.get_or_insert_with(Details::default).causes.push(cause);
    status
}

fn uncounted(budget: &str) -> Status {
    let why = format!("The disruption budget {budget} is still being processed by the server.");
    refused(why, RETRY_SECONDS)
}

/// Why a budget of which nothing is left allows no eviction.
fn exhausted(budget: &Value) -> String {
    let name = meta::name(budget);
    let (desired, current) = (number(budget, "desiredHealthy"), number(budget, "currentHealthy"));
    let conditions = budget["status"]["conditions"].as_array().into_iter().flatten();
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    let said = conditions
        .into_iter()
        .find(|c| c["type"] == ALLOWED && c["status"] == "False")
        .map(|c| (text(c, "reason"), text(c, "message")))
        .filter(|(_, message)| !message.is_empty());
    match said {
        Some((reason, message)) if reason == "SyncFailed" => {
            format!(
                "The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
            )
        }
        _ if current <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        }
        Some((reason, message)) => {
            format!(
                "The disruption budget {name} does not allow evicting pods currently ({reason}): {message}"
            )
        }
        None => format!("The disruption budget {name} does not allow evicting pods currently"),
    }
}

/// Takes one disruption out of a budget and writes down for whom.
fn spend(budget: &mut Value, pod: &str, now: &str) -> Result<(), Status> {
    let forbidden =
        |why: &str| Err(Status::forbidden("policy", "poddisruptionbudget", meta::name(budget), why));
    if number(budget, "observedGeneration") < meta::generation(budget) {
        return Err(uncounted(meta::name(budget)));
    }
    let allowed = number(budget, "disruptionsAllowed");
    if allowed < 0 {
        return forbidden("pdb disruptions allowed is negative");
    }
    let disrupted = budget["status"]["disruptedPods"].as_object().map_or(0, |pods| pods.len());
    if disrupted > DISRUPTED_PODS_MAX {
        return forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    if allowed == 0 {
        return Err(refused(exhausted(budget), 0));
    }
    if allowed == 1 {
        let condition = json!({
            "status": "False", "reason": "InsufficientPods", "message": "", "lastTransitionTime": now,
            "observedGeneration": number(budget, "observedGeneration"),
        });
        set_condition(budget, ALLOWED, condition);
    }
    if let Some(map) = budget.as_object_mut() {
        let status = meta::child_mut(map, "status");
        status.insert("disruptionsAllowed".into(), (allowed - 1).into());
        meta::child_mut(status, "disruptedPods").insert(pod.to_owned(), now.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_allows_nothing_says_why() {
        let budget = |healthy: i64, condition: Value| {
            json!({ "metadata": { "name": "b" }, "status": {
                "desiredHealthy": 2, "currentHealthy": healthy, "conditions": [condition] } })
        };
        let condition = |reason: &str, message: &str| json!({ "type": ALLOWED, "status": "False", "reason": reason, "message": message });
        let cases = [
            (budget(1, json!({})), "needs 2 healthy pods and has 1 currently"),
            (budget(2, condition("InsufficientPods", "")), "needs 2 healthy pods and has 2 currently"),
            (
                budget(3, condition("SyncFailed", "no scale")),
                "does not allow evicting pods currently because it failed sync: no scale",
            ),
            (budget(3, condition("Other", "why")), "does not allow evicting pods currently (Other): why"),
            (budget(3, condition("InsufficientPods", "")), "does not allow evicting pods currently"),
        ];
        for (budget, expected) in cases {
            assert_eq!(exhausted(&budget), format!("The disruption budget b {expected}"));
        }
    }
}
