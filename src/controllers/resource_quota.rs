//! Counts anew what quotas count (k8s.io/kubernetes/pkg/controller/resourcequota).
//!
//! Admission charges what is created; nobody but this controller gives back what is deleted or ends. It watches only what
//! some quota counts, and nothing at all where there is no quota. A count that was overtaken by a charge is not written:
//! the charge has moved the quota's resourceVersion on.

use crate::runtime::{self, Failure, Feeds, Key, Mapper, Next, Queue, Reconciler, Source, skim};
use alcove_apiserver::options::ListOptions;
use alcove_apiserver::quota::amounts::{self, Amounts};
use alcove_apiserver::quota::{Counted, Scope, counted, number};
use alcove_apiserver::registry::Resource;
use alcove_apiserver::request::Verb;
use alcove_apiserver::{Client, Event, Object, Server};
use alcove_object::{Env, Gvr, Status, Value, meta};
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const NAME: &str = "resourcequota-controller";
/// How often everything is counted anew (kube-controller-manager's --resource-quota-sync-period).
const RESYNC: Duration = Duration::from_secs(5 * 60);
/// How long after a quota began to count it is counted once more: writes that had been let through before it did are
/// stored by then.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// The ResourceQuota controller.
pub struct ResourceQuotas {
    server: Server,
    client: Client,
    env: Arc<dyn Env>,
    queue: Arc<Queue>,
    /// What each quota counts: `spec.hard`.
    known: Mutex<BTreeMap<Key, Hard>>,
    changed: Notify,
}

type Hard = BTreeMap<String, Value>;

impl ResourceQuotas {
    /// A controller that acts as this client's user on all resources that this server serves.
    pub fn new(server: Server, client: Client, env: Arc<dyn Env>, queue: Arc<Queue>) -> ResourceQuotas {
        ResourceQuotas { server, client, env, queue, known: Mutex::default(), changed: Notify::new() }
    }

    /// Quotas whose limits are new. A charge, and what people write into a status, is no reason to count.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let this = self.clone();
        let mapper: Mapper = Box::new(move |event, add| {
            let is_news = match event {
                Event::Added(quota) | Event::Modified(quota) => this.learn(quota),
                Event::Deleted(quota) => this.known.lock().remove(&quota.key).is_some(),
                Event::Bookmark { .. } => false,
            };
            if let (true, Event::Added(quota) | Event::Modified(quota)) = (is_news, event) {
                add(quota.key.clone());
            }
            if is_news {
                this.changed.notify_one();
            }
        });
        vec![Source::new(resource(), mapper)]
    }

    /// Whether a quota's limits are other ones than those known.
    fn learn(&self, quota: &Object) -> bool {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Quota {
            spec: Spec,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Spec {
            hard: Hard,
        }
        let hard = serde_json::from_slice::<Quota>(&quota.bytes).unwrap_or_default().spec.hard;
        let before = self.known.lock().insert(quota.key.clone(), hard.clone());
        before != Some(hard)
    }

    /// Watches what quotas count, for ever: quotas and custom resources come and go.
    pub async fn follow(self: Arc<Self>) {
        let mut registry = self.server.registry_changes();
        let mut feeds = Feeds::new(NAME, self.client.clone(), self.queue.clone());
        loop {
            registry.borrow_and_update();
            feeds.set(self.watched(), |_, resource| self.mapper(resource));
            tokio::select! {
                () = self.changed.notified() => {}
                changed = registry.changed() => if changed.is_err() { return },
            }
        }
    }

    /// The resources that some quota counts, by table.
    fn watched(&self) -> HashMap<Arc<str>, Gvr> {
        let known = self.known.lock();
        let is_counted = |resource: &Resource, counted: Counted| {
            known.values().any(|hard| is_about(counted, &resource.gvr, hard.keys()))
        };
        let tables = self.countable(&is_counted).into_iter();
        tables.map(|(resource, _)| (resource.table.clone(), resource.gvr.clone())).collect()
    }

    /// The resources of which a quota may count something, one for each table.
    fn countable(&self, is_asked: &dyn Fn(&Resource, Counted) -> bool) -> Vec<(Arc<Resource>, Counted)> {
        let registry = self.server.registry();
        let mut found: BTreeMap<Arc<str>, (Arc<Resource>, Counted)> = BTreeMap::new();
        for resource in registry.resources() {
            let can_be = [Verb::List, Verb::Watch].iter().all(|verb| resource.verbs.has(*verb));
            let counted = counted(&resource.gvr.group, &resource.gvr.resource);
            let Some(counted) = counted.filter(|_| resource.namespaced && can_be) else { continue };
            if is_asked(resource, counted) {
                found.entry(resource.table.clone()).or_insert_with(|| (resource.clone(), counted));
            }
        }
        found.into_values().collect()
    }

    /// What may give something back to the quotas of a namespace.
    fn mapper(self: &Arc<Self>, resource: &Gvr) -> Mapper {
        let (this, resource) = (self.clone(), resource.clone());
        Box::new(move |event, add| {
            let Some(counted) = counted(&resource.group, &resource.resource) else { return };
            let object = match event {
                Event::Deleted(object) => object,
                Event::Modified(object) if may_use_less(counted, object) => object,
                _ => return,
            };
            let prefix = format!("{}/", object.namespace());
            let known = this.known.lock();
            let quotas = known.range(Key::from(&*prefix)..).take_while(|(key, _)| key.starts_with(&*prefix));
            let about = quotas.filter(|(_, hard)| is_about(counted, &resource, hard.keys()));
            about.for_each(|(key, _)| add(key.clone()));
        })
    }

    /// What the objects of a quota's namespace use of it. Names that nothing is known about are missing.
    fn count(&self, quota: &Value, hard: &Amounts) -> Result<Amounts, Status> {
        let scopes = Scope::of(quota);
        let mut sum = Amounts::new();
        let is_asked = |resource: &Resource, counted: Counted| is_about(counted, &resource.gvr, hard.keys());
        for (resource, counted) in self.countable(&is_asked) {
            let (group, plural) = (&*resource.gvr.group, &*resource.gvr.resource);
            let names = hard.keys().filter(|name| counted.is_about(group, plural, name));
            sum.extend(names.map(|name| (name.clone(), number(0))));
            let objects = self.client.list(&resource.gvr, meta::namespace(quota), &ListOptions::default())?;
            for object in &objects.items {
                let object = match counted {
                    Counted::Number(_) => Value::Null,
                    _ => skim(object, &["managedFields"]),
                };
                if counted.is_in(&scopes, &object) {
                    amounts::add(&mut sum, &counted.usage(group, plural, &object, self.env.now()));
                }
            }
        }
        sum.retain(|name, _| hard.contains_key(name));
        Ok(sum)
    }
}

fn resource() -> Gvr {
    Gvr::new("", "v1", "resourcequotas")
}

fn is_about<'a>(counted: Counted, resource: &Gvr, mut names: impl Iterator<Item = &'a String>) -> bool {
    names.any(|name| counted.is_about(&resource.group, &resource.resource, name))
}

/// Whether an object that changed may use less than before. A pod's generation tells whether it is more than its status
/// that changed.
fn may_use_less(counted: Counted, object: &Object) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Pod {
        metadata: Metadata,
        status: PodStatus,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Metadata {
        generation: i64,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct PodStatus {
        phase: String,
    }
    match counted {
        Counted::Pods => {
            let pod = serde_json::from_slice::<Pod>(&object.bytes).unwrap_or_default();
            pod.metadata.generation > 1 || matches!(&*pod.status.phase, "Succeeded" | "Failed")
        }
        Counted::Services | Counted::Claims => true,
        Counted::Number(_) => false,
    }
}

/// The status that a quota should have. `None`: it has it.
fn status(quota: &Value, hard: &Amounts, counted: Amounts) -> Option<Value> {
    let before = |field: &str| amounts::read(quota["status"].get(field));
    let mut used = before("used");
    used.extend(counted);
    used.retain(|name, _| hard.contains_key(name));
    let is_same = amounts::equal(&before("hard"), hard) && amounts::equal(&before("used"), &used);
    let is_there = ["hard", "used"].iter().all(|field| quota["status"].get(*field).is_some());
    let status = || serde_json::json!({ "hard": amounts::write(hard), "used": amounts::write(&used) });
    (!is_same || !is_there).then(status)
}

impl Reconciler for ResourceQuotas {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(quota) = self.client.find(&resource(), namespace, name)? else { return Ok(Next::Done) };
        let mut quota = quota.parse();
        let hard = amounts::read(quota.pointer("/spec/hard"));
        let counted = self.count(&quota, &hard)?;
        let Some(wanted) = status(&quota, &hard, counted) else { return Ok(Next::After(RESYNC)) };
        let begins = quota["status"].get("hard") != Some(&wanted["hard"]);
        quota["status"] = wanted;
        self.client.update_subresource(&resource(), "status", namespace, quota).await?;
        Ok(Next::After(if begins { STRAGGLERS } else { RESYNC }))
    }
}

#[cfg(test)]
mod tests;
