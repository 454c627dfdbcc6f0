//! Horizontal pod autoscalers (k8s.io/kubernetes/pkg/controller/podautoscaler).
//!
//! Metrics are read from whoever serves `metrics.k8s.io`, `custom.metrics.k8s.io` and `external.metrics.k8s.io`
//! ([`sources`]). Where nobody does, an autoscaler keeps its target within bounds and says of every metric why it cannot be
//! read, as upstream does. [`plan`], [`metrics`], [`amount`] and [`history`] decide and are pure.
//!
//! Upstream looks every fifteen seconds. So does this while there are metrics to look at; otherwise the targets are
//! watched, since nothing else can change what there is to do. People are told when something changes, not each time anew.

mod amount;
mod history;
mod metrics;
mod plan;
mod sources;

use crate::events::{Kind, Recorder};
use crate::pods;
use crate::runtime::{self, Failure, Feeds, Key, Mapper, Next, Queue, Reconciler, Source};
use alcove_apiserver::options::{ListOptions, PatchType, WriteOptions};
use alcove_apiserver::registry::Resource;
use alcove_apiserver::{Client, Event, Object, Server};
use alcove_object::selector::Labels;
use alcove_object::{Env, Gvk, Gvr, Reason, Status, Value, meta, tree};
use amount::Amount;
use history::{History, Wish};
use metrics::{Proposal, Question};
use parking_lot::Mutex;
use plan::{Bounds, Reading, Unread};
use serde::Deserialize;
use serde_json::json;
use sources::Sources;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const NAME: &str = "horizontal-pod-autoscaler";
/// How often metrics are looked at (kube-controller-manager's --horizontal-pod-autoscaler-sync-period).
const SYNC: Duration = Duration::from_secs(15);

/// The autoscaler.
pub struct Autoscalers {
    server: Server,
    client: Client,
    env: Arc<dyn Env>,
    events: Recorder,
    queue: Arc<Queue>,
    /// What each autoscaler scales.
    targets: Mutex<HashMap<Key, Target>>,
    /// What each autoscaler wanted and did lately. A start forgets it, as upstream's does.
    histories: Mutex<HashMap<Key, History>>,
    changed: Notify,
}

/// What is scaled: `spec.scaleTargetRef`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Target {
    api_version: String,
    kind: String,
    name: String,
}

fn resource() -> Gvr {
    Gvr::new("autoscaling", "v2", "horizontalpodautoscalers")
}

impl Autoscalers {
    /// A controller that acts as this client's user and asks this server which kinds have a scale.
    pub fn new(server: Server, client: Client, env: Arc<dyn Env>, queue: Arc<Queue>) -> Autoscalers {
        let events = Recorder::new(client.clone(), env.clone(), NAME);
        let (targets, histories, changed) = (Mutex::default(), Mutex::default(), Notify::new());
        Autoscalers { server, client, env, events, queue, targets, histories, changed }
    }

    /// Autoscalers; what they scale is followed by [`Autoscalers::follow`].
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let this = self.clone();
        let mapper: Mapper = Box::new(move |event, add| match event {
            Event::Added(autoscaler) | Event::Modified(autoscaler) => {
                this.learn(autoscaler);
                add(autoscaler.key.clone());
            }
            Event::Deleted(autoscaler) => {
                this.targets.lock().remove(&autoscaler.key);
                this.histories.lock().remove(&autoscaler.key);
                this.changed.notify_one();
            }
            Event::Bookmark { .. } => {}
        });
        vec![Source::new(resource(), mapper)]
    }

    fn learn(&self, autoscaler: &Object) {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Autoscaler {
            spec: Spec,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Spec {
            scale_target_ref: Target,
        }
        let spec = serde_json::from_slice::<Autoscaler>(&autoscaler.bytes).unwrap_or_default().spec;
        let target = spec.scale_target_ref;
        if self.targets.lock().insert(autoscaler.key.clone(), target.clone()) != Some(target) {
            self.changed.notify_one();
        }
    }

    /// Watches the kinds that are scaled, for ever: autoscalers and custom resources come and go.
    pub async fn follow(self: Arc<Self>) {
        let mut registry = self.server.registry_changes();
        let mut feeds = Feeds::new(NAME, self.client.clone(), self.queue.clone());
        loop {
            registry.borrow_and_update();
            feeds.set(self.watched(), |table, _| self.mapper(table.clone()));
            tokio::select! {
                () = self.changed.notified() => {}
                changed = registry.changed() => match changed {
                    // Metrics may be served by now.
                    Ok(()) => self.targets.lock().keys().for_each(|key| self.queue.add(key.clone())),
                    Err(_) => return,
                },
            }
        }
    }

    fn watched(&self) -> HashMap<Arc<str>, Gvr> {
        let targets: Vec<Target> = self.targets.lock().values().cloned().collect();
        let resources = targets.iter().filter_map(|target| self.scalable(target).ok());
        resources.map(|resource| (resource.table.clone(), resource.gvr.clone())).collect()
    }

    /// The autoscalers of a changed target.
    fn mapper(self: &Arc<Self>, table: Arc<str>) -> Mapper {
        let this = self.clone();
        Box::new(move |event, add| {
            let (Event::Added(object) | Event::Modified(object) | Event::Deleted(object)) = event else {
                return;
            };
            let is_its = |key: &Key, target: &Target| {
                target.name == object.name() && runtime::split(key).0 == object.namespace()
            };
            let targets: Vec<(Key, Target)> = {
                let targets = this.targets.lock();
                targets.iter().filter(|(k, t)| is_its(k, t)).map(|(k, t)| (k.clone(), t.clone())).collect()
            };
            for (key, target) in targets {
                if this.scalable(&target).is_ok_and(|resource| resource.table == table) {
                    add(key);
                }
            }
        })
    }

    /// The resource of a target, in its version or in any. The error is upstream's.
    fn scalable(&self, target: &Target) -> Result<Arc<Resource>, String> {
        let registry = self.server.registry();
        let named = Gvk::from_api_version(&target.api_version, &target.kind);
        let mut others = registry.resources().iter();
        let found = registry
            .kind(&named)
            .or_else(|| others.find(|r| r.gvk.group == named.group && r.gvk.kind == named.kind))
            .ok_or_else(|| format!("no matches for kind {:?} in group {:?}", named.kind, named.group))?;
        match found.subresource("scale") {
            Some(_) => Ok(found.clone()),
            None => Err("the server could not find the requested resource".to_owned()),
        }
    }

    fn find(&self, autoscaler: &Value) -> Result<(Arc<Resource>, Value), String> {
        let reference = autoscaler["spec"]["scaleTargetRef"].clone();
        let target: Target = serde_json::from_value(reference).map_err(|error| error.to_string())?;
        let resource = self.scalable(&target)?;
        let found = self.client.get(&resource.gvr, meta::namespace(autoscaler), &target.name);
        Ok((resource, found.map_err(|status| status.message.clone())?.parse()))
    }

    async fn scale(&self, resource: &Resource, target: &Value, replicas: i64) -> Result<(), Status> {
        let patch = json!({ "spec": { "replicas": replicas } });
        let (namespace, name) = (meta::namespace(target), meta::name(target));
        let (kind, options) = (PatchType::Merge, WriteOptions::default());
        self.client.patch(&resource.gvr, "scale", namespace, name, kind, patch, &options).await.map(drop)
    }

    async fn sync(&self, mut autoscaler: Value) -> Result<Next, Status> {
        let before = autoscaler["status"].clone();
        if !autoscaler["status"].is_object() {
            autoscaler["status"] = json!({});
        }
        let result = match self.find(&autoscaler) {
            Ok((resource, target)) => self.judge(&mut autoscaler, &before, &resource, &target).await,
            Err(why) => {
                let message =
                    format!("the HPA controller was unable to get the target's current scale: {why}");
                let changes = condition(&before, "AbleToScale")["message"] != *message;
                self.set(&mut autoscaler, "AbleToScale", false, "FailedGetScale", &message);
                if changes {
                    self.events.tell(&autoscaler, Kind::Warning, "FailedGetScale", &why).await;
                }
                Ok(Next::Done)
            }
        };
        if autoscaler["status"] != before {
            let namespace = meta::namespace(&autoscaler).to_owned();
            self.client.update_subresource(&resource(), "status", &namespace, autoscaler).await?;
        }
        result
    }

    fn set(&self, autoscaler: &mut Value, kind: &str, holds: bool, reason: &str, message: &str) {
        plan::set_condition(&mut autoscaler["status"], kind, holds, reason, message, self.env.now());
    }

    async fn judge(
        &self,
        autoscaler: &mut Value,
        before: &Value,
        resource: &Resource,
        target: &Value,
    ) -> Result<Next, Status> {
        let current = tree::at(target, &resource.scale.replicas).and_then(Value::as_i64).unwrap_or(0);
        let able = "the HPA controller was able to get the target's current scale";
        self.set(autoscaler, "AbleToScale", true, "SucceededGetScale", able);
        plan::set_current(&mut autoscaler["status"], current);
        if !autoscaler["status"]["desiredReplicas"].is_i64() {
            autoscaler["status"]["desiredReplicas"] = 0.into();
        }
        match plan::bounds(autoscaler, current) {
            Bounds::Off => {
                let why = "scaling is disabled since the replica count of the target is zero";
                self.set(autoscaler, "ScalingActive", false, "ScalingDisabled", why);
                autoscaler["status"]["desiredReplicas"] = 0.into();
                Ok(Next::Done)
            }
            Bounds::Outside(wanted, why) => {
                self.rescale(autoscaler, resource, target, (current, wanted), why).await?;
                Ok(Next::Done)
            }
            Bounds::Within => self.measure(autoscaler, before, resource, target, current).await,
        }
    }

    /// Lets the metrics decide.
    async fn measure(
        &self,
        autoscaler: &mut Value,
        before: &Value,
        resource: &Resource,
        target: &Value,
        current: i64,
    ) -> Result<Next, Status> {
        let selector = resource.scale.selector.as_ref().and_then(|path| tree::at(target, path));
        let Some(labels) = labels_of(selector) else {
            let why = "the HPA target's scale is missing a selector";
            if condition(before, "ScalingActive")["message"] != why {
                self.events.tell(autoscaler, Kind::Warning, "SelectorRequired", "selector is required").await;
            }
            self.set(autoscaler, "ScalingActive", false, "InvalidSelector", why);
            return Ok(Next::Done);
        };
        let running = tree::at(target, &resource.scale.current).and_then(Value::as_i64).unwrap_or(0);
        let (readings, next) = self.read(autoscaler, labels, (current, running)).await?;
        autoscaler["status"]["currentMetrics"] = plan::current_metrics(&readings);
        let wanted = match plan::decide(&readings, current) {
            Ok((desired, metric)) => {
                let message =
                    format!("the HPA was able to successfully calculate a replica count from {metric}");
                self.set(autoscaler, "ScalingActive", true, "ValidMetricFound", &message);
                Some((self.grant(autoscaler, current, desired), metric))
            }
            Err(unread) => {
                self.complain(autoscaler, before, &unread, readings.len()).await;
                None
            }
        };
        match wanted {
            Some((wanted, metric)) if wanted != current => {
                let why = if wanted > current {
                    format!("{metric} above target")
                } else {
                    "All metrics below target".into()
                };
                self.rescale(autoscaler, resource, target, (current, wanted), &why).await?;
            }
            Some(_) => autoscaler["status"]["desiredReplicas"] = current.into(),
            None => {}
        }
        Ok(next)
    }

    /// What each metric of an autoscaler says, and when to ask again. There are so many replicas, of which so many run.
    async fn read(
        &self,
        autoscaler: &Value,
        labels: Labels,
        replicas: (i64, i64),
    ) -> Result<(Vec<Reading>, Next), Status> {
        let namespace = meta::namespace(autoscaler);
        let sources = Sources { server: &self.server, client: &self.client, namespace };
        let metrics = autoscaler["spec"]["metrics"].as_array().map_or(&[][..], Vec::as_slice);
        let is_served = metrics.iter().any(|metric| sources.is_served(metric));
        let options = ListOptions { labels: labels.clone(), ..ListOptions::default() };
        let pods = match is_served {
            true => self.client.list(&pods::resource(), namespace, &options)?.items,
            false => Vec::new(),
        };
        let pods: Vec<Value> = pods.iter().map(Object::parse).collect();
        let behavior = &autoscaler["spec"]["behavior"];
        let mut readings = Vec::with_capacity(metrics.len());
        for metric in metrics {
            let answer = self.ask(&sources, metric, behavior, &labels, &pods, replicas).await;
            let answer = answer.map(|proposal| plan::proposed(metric, proposal));
            readings.push(answer.map_err(|why| plan::unread(metric, &why)));
        }
        Ok((readings, if is_served { Next::After(SYNC) } else { Next::Done }))
    }

    /// How many replicas a metric asks for.
    async fn ask(
        &self,
        sources: &Sources<'_>,
        metric: &Value,
        behavior: &Value,
        labels: &Labels,
        pods: &[Value],
        (current, running): (i64, i64),
    ) -> Result<Proposal, String> {
        let source = plan::source(metric);
        let (target, now) = (&source["target"], self.env.now());
        let resource = source["name"].as_str().unwrap_or_default();
        let question = Question { resource, container: None, target, behavior, current, now };
        let amount = |value| Amount { value, target, behavior, current, running };
        let without_target = |kind: &str| {
            format!(
                "invalid {kind} metric source: neither a value target nor an average value target was set"
            )
        };
        match metric["type"].as_str().unwrap_or_default() {
            "Resource" | "ContainerResource" => {
                let question = Question { container: source["container"].as_str(), ..question };
                let found = sources.of_resource(resource, labels).await?;
                question.answer(pods, &metrics::of_resource(&found, resource, question.container))
            }
            "Pods" => question.answer(pods, &metrics::of_pods(&sources.of_pods(metric, labels).await?)),
            "Object" => {
                let value = metrics::milli(&sources.of_object(metric).await?).unwrap_or(0);
                amount(value).answer(pods).unwrap_or_else(|| Err(without_target("object")))
            }
            "External" => {
                let found = sources.of_external(metric).await?;
                let values = found.iter().filter_map(metrics::milli);
                let value = values.fold(0, i64::saturating_add);
                amount(value).answer(pods).unwrap_or_else(|| Err(without_target("external")))
            }
            _ => Err(String::new()),
        }
    }

    /// So many replicas as may be wanted now.
    fn grant(&self, autoscaler: &mut Value, current: i64, desired: i64) -> i64 {
        let now = self.env.now();
        let key = runtime::join(meta::namespace(autoscaler), meta::name(autoscaler));
        let number = |field: &str| autoscaler["spec"][field].as_i64();
        let (min, max) = (number("minReplicas").unwrap_or(1), number("maxReplicas").unwrap_or(i64::MAX));
        let wish = Wish { current, desired, min, max, behavior: &autoscaler["spec"]["behavior"], now };
        let granted = {
            let mut histories = self.histories.lock();
            histories.entry(key).or_insert_with(|| History::new(current, now)).grant(&wish)
        };
        for (kind, (holds, reason, message)) in
            [("AbleToScale", granted.able), ("ScalingLimited", granted.limited)]
        {
            self.set(autoscaler, kind, holds, reason, message);
        }
        granted.replicas
    }

    async fn rescale(
        &self,
        autoscaler: &mut Value,
        resource: &Resource,
        target: &Value,
        (current, wanted): (i64, i64),
        why: &str,
    ) -> Result<(), Status> {
        if let Err(status) = self.scale(resource, target, wanted).await {
            let message = format!("New size: {wanted}; reason: {why}; error: {status}");
            self.events.tell(autoscaler, Kind::Warning, "FailedRescale", &message).await;
            let message = format!("the HPA controller was unable to update the target scale: {status}");
            self.set(autoscaler, "AbleToScale", false, "FailedUpdateScale", &message);
            return Err(status);
        }
        let message = format!("the HPA controller was able to update the target scale to {wanted}");
        self.set(autoscaler, "AbleToScale", true, "SucceededRescale", &message);
        let message = format!("New size: {wanted}; reason: {why}");
        self.events.tell(autoscaler, Kind::Normal, "SuccessfulRescale", &message).await;
        let now = self.env.now();
        let key = runtime::join(meta::namespace(autoscaler), meta::name(autoscaler));
        if let Some(history) = self.histories.lock().get_mut(&key) {
            history.note(current, wanted, now);
        }
        autoscaler["status"]["desiredReplicas"] = wanted.into();
        autoscaler["status"]["lastScaleTime"] = alcove_object::time::format(now).into();
        Ok(())
    }

    /// Says why the metrics decide nothing.
    async fn complain(&self, autoscaler: &mut Value, before: &Value, unread: &[&Unread], count: usize) {
        let Some(first) = unread.first() else { return };
        let message = format!("the HPA was unable to compute the replica count: {}", first.why);
        self.set(autoscaler, "ScalingActive", false, first.reason, &message);
        if condition(before, "ScalingActive")["message"] == *message {
            return;
        }
        for metric in unread {
            self.events.tell(autoscaler, Kind::Warning, metric.reason, &metric.why).await;
        }
        let all = plan::summary(unread, count);
        self.events.tell(autoscaler, Kind::Warning, "FailedComputeMetricsReplicas", &all).await;
    }
}

/// The selector of a scale: its text, a LabelSelector, or a plain map. `None`: it selects nothing.
fn labels_of(selector: Option<&Value>) -> Option<Labels> {
    let selector = selector?;
    let labels = match selector {
        Value::String(text) => Labels::parse(text).ok()?,
        _ if ["matchLabels", "matchExpressions"].iter().any(|field| selector.get(field).is_some()) => {
            Labels::from_object(Some(selector)).ok().flatten()?
        }
        _ => Labels::from_map(Some(selector)),
    };
    (!labels.is_empty()).then_some(labels)
}

fn condition(status: &Value, kind: &str) -> Value {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}

impl Reconciler for Autoscalers {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(autoscaler) = self.client.find(&resource(), namespace, name)? else { return Ok(Next::Done) };
        let autoscaler = autoscaler.parse();
        if meta::is_deleting(&autoscaler) {
            return Ok(Next::Done);
        }
        match self.sync(autoscaler).await {
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(Next::Done),
            result => Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests;
