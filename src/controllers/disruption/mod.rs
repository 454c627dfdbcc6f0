//! Disruption budgets: how many of an application's pods may go at once (k8s.io/kubernetes/pkg/controller/disruption).
//!
//! This controller counts; the eviction subresource spends what it counted. An eviction that was allowed and did not come
//! about is given back after its time. [`status`] decides and is pure.

mod stale;
mod status;

pub use stale::StaleDisruptions;

use crate::claims::UNREAD_OF_PODS;
use crate::events::{Kind, Recorder};
use crate::pods;
use crate::runtime::{self, Facts, Failure, Key, Mapper, Next, Reconciler, Source, skim};
use alcove_apiserver::options::ListOptions;
use alcove_apiserver::{Client, Event, Object, Server};
use alcove_object::selector::Labels;
use alcove_object::{Env, Gvk, Gvr, Reason, Status, Value, meta, tree};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The disruption controller.
pub struct Disruptions {
    server: Server,
    client: Client,
    env: Arc<dyn Env>,
    events: Recorder,
}

fn resource() -> Gvr {
    Gvr::new("policy", "v1", "poddisruptionbudgets")
}

/// Which pods a budget is about: none for no selector, all for an empty one.
fn selector(budget: &Value) -> Option<Labels> {
    Labels::from_object(tree::at(budget, "/spec/selector")).ok().flatten()
}

impl Disruptions {
    /// A controller that acts as this client's user and asks this server which kinds have a scale.
    pub fn new(server: Server, client: Client, env: Arc<dyn Env>) -> Disruptions {
        let events = Recorder::new(client.clone(), env.clone(), "controllermanager");
        Disruptions { server, client, env, events }
    }

    /// Budgets, and the pods that they are about.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let this = self.clone();
        let pods: Mapper = Box::new(move |event, add| {
            if let Event::Added(pod) | Event::Modified(pod) | Event::Deleted(pod) = event {
                this.budgets_of(pod, add);
            }
        });
        vec![Source::new(resource(), runtime::by_key()), Source::new(pods::resource(), pods)]
    }

    fn budgets_of(&self, pod: &Object, add: &mut dyn FnMut(Key)) {
        #[derive(Deserialize)]
        struct Budget {
            spec: Spec,
        }
        #[derive(Deserialize)]
        struct Spec {
            selector: Option<Value>,
        }
        let budgets = self.client.list(&resource(), pod.namespace(), &ListOptions::default());
        let budgets = budgets.map(|list| list.items).unwrap_or_default();
        if budgets.is_empty() {
            return;
        }
        let pod = Facts::of(pod);
        for budget in budgets {
            let parsed = serde_json::from_slice::<Budget>(&budget.bytes).ok();
            let selector = parsed.and_then(|b| Labels::from_object(b.spec.selector.as_ref()).ok().flatten());
            // A pod that was deleted unseen may have been anybody's.
            let may_be_its = |labels: Labels| {
                pod.uid.is_empty() || labels.matches(|key| pod.labels.get(key).map(String::as_str))
            };
            if selector.is_some_and(may_be_its) {
                add(budget.key.clone());
            }
        }
    }

    fn pods_of(&self, budget: &Value) -> Result<Vec<Value>, Status> {
        let Some(labels) = selector(budget) else { return Ok(Vec::new()) };
        let options = ListOptions { labels, ..ListOptions::default() };
        let list = self.client.list(&pods::resource(), meta::namespace(budget), &options)?;
        Ok(list.items.iter().map(|pod| skim(pod, UNREAD_OF_PODS)).collect())
    }

    /// How many pods the controllers of these ask for in all, and whether some have none.
    fn scale(&self, pods: &[Value]) -> Result<(i64, bool), String> {
        let mut scales: BTreeMap<String, i64> = BTreeMap::new();
        let mut is_unmanaged = false;
        for pod in pods {
            let Some(owner) = meta::controller_of(pod) else {
                is_unmanaged = true;
                continue;
            };
            if scales.contains_key(text(owner, "uid")) {
                continue;
            }
            let found = self.scale_of(owner, meta::namespace(pod))?;
            let (uid, replicas) =
                found.ok_or_else(|| format!("found no controllers for pod {:?}", meta::name(pod)))?;
            scales.insert(uid, replicas);
        }
        Ok((scales.values().sum(), is_unmanaged))
    }

    /// The replicas that a pod's controller asks for, by its UID; of a Deployment if that is behind it.
    fn scale_of(&self, owner: &Value, namespace: &str) -> Result<Option<(String, i64)>, String> {
        let (api_version, kind) = (text(owner, "apiVersion"), text(owner, "kind"));
        let registry = self.server.registry();
        let resource = registry
            .kind(&Gvk::from_api_version(api_version, kind))
            .ok_or_else(|| format!("no matches for kind {kind:?} in version {api_version:?}"))?;
        if resource.subresource("scale").is_none() {
            let (group, plural) = (&resource.gvr.group, &resource.gvr.resource);
            let name = if group.is_empty() { plural.clone() } else { format!("{plural}.{group}") };
            return Err(format!("{name} does not implement the scale subresource"));
        }
        let found = self.client.find(&resource.gvr, namespace, text(owner, "name"));
        let Some(found) = found.map_err(|status| status.to_string())? else { return Ok(None) };
        let found = found.parse();
        if meta::uid(&found) != text(owner, "uid") {
            return Ok(None);
        }
        let behind =
            meta::controller_of(&found).filter(|o| kind == "ReplicaSet" && o["kind"] == "Deployment");
        if let Some(behind) = behind
            && let Some(scale) = self.scale_of(behind, namespace)?
        {
            return Ok(Some(scale));
        }
        let replicas = tree::at(&found, &resource.scale.replicas).and_then(Value::as_i64).unwrap_or(0);
        Ok(Some((meta::uid(&found).to_owned(), replicas)))
    }

    /// What the budget demands of its pods. The error says why nobody can know.
    async fn demand(&self, budget: &Value, pods: &[Value]) -> Result<status::Demand, String> {
        let mut scale = 0;
        if status::needs_scale(budget) {
            let is_unmanaged;
            (scale, is_unmanaged) = self.scale(pods)?;
            if is_unmanaged {
                self.events.tell(budget, Kind::Warning, "UnmanagedPods", &unmanaged(budget)).await;
            }
        }
        status::demand(budget, pods.len(), scale)
    }

    async fn sync(&self, budget: Value) -> Result<Next, Status> {
        let pods = self.pods_of(&budget)?;
        if pods.is_empty() {
            self.events.tell(&budget, Kind::Normal, "NoPods", "No matching pods found").await;
        }
        let now = self.env.now();
        let demand = match self.demand(&budget, &pods).await {
            Ok(demand) => demand,
            Err(why) => {
                let message = format!("Failed to calculate the number of expected pods: {why}");
                self.events.tell(&budget, Kind::Warning, "CalculateExpectedPodCountFailed", &message).await;
                self.write(&budget, status::failed(&budget, &why, now)).await?;
                return Ok(Next::Done);
            }
        };
        let outcome = status::of(&budget, &pods, demand, now);
        for pod in pods.iter().filter(|pod| outcome.spared.iter().any(|name| name == meta::name(pod))) {
            // Upstream names the namespace twice.
            let namespace = meta::namespace(&budget);
            let message =
                format!("Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't");
            self.events.tell(pod, Kind::Warning, "NotDeleted", &message).await;
        }
        self.write(&budget, outcome.status).await?;
        Ok(outcome.recheck.map_or(Next::Done, Next::After))
    }

    async fn write(&self, budget: &Value, wanted: Value) -> Result<(), Status> {
        if budget.get("status") == Some(&wanted) {
            return Ok(());
        }
        let mut changed = budget.clone();
        changed["status"] = wanted;
        self.client
            .update_subresource(&resource(), "status", meta::namespace(budget), changed)
            .await
            .map(drop)
    }
}

fn text<'a>(reference: &'a Value, field: &str) -> &'a str {
    reference[field].as_str().unwrap_or_default()
}

/// Upstream's text, with the selector as Go prints one.
fn unmanaged(budget: &Value) -> String {
    let selector = &budget["spec"]["selector"];
    let labels: Vec<String> =
        meta::entries(selector.get("matchLabels")).map(|(key, value)| format!("{key}: {value},")).collect();
    let labels = format!("map[string]string{{{}}}", labels.join(" "));
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    let expressions: Vec<String> = expressions
        .map(|e| {
            let values = e["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let values = values.collect::<Vec<_>>().join(" ");
            let (key, operator) = (text(e, "key"), text(e, "operator"));
            format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
        })
        .collect();
    let expressions = format!("[]LabelSelectorRequirement{{{}}}", expressions.concat());
    format!(
        "Pods selected by this PodDisruptionBudget (selector: &LabelSelector{{MatchLabels:{labels},MatchExpressions:\
         {expressions},}}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated \
         correctly, which may result in undefined behavior. To account for these pods please set \
         \".spec.minAvailable\" field of the PDB to an integer value."
    )
}

impl Reconciler for Disruptions {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(budget) = self.client.find(&resource(), namespace, name)? else { return Ok(Next::Done) };
        match self.sync(budget.parse()).await {
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(Next::Done),
            result => Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests;
