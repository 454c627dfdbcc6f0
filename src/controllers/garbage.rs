//! Garbage collection by owner references (k8s.io/kubernetes/pkg/controller/garbagecollector).
//!
//! An object whose owners are all gone is deleted. An owner that waits with the finalizer `foregroundDeletion` takes its
//! dependents with it first; one with `orphan` lets go of them first. The graph holds references and UIDs of objects
//! that have owners or wait for dependents, nothing of any other object; whether an owner lives is asked of the API
//! server at the moment of decision.

use crate::runtime::{self, Facts, Failure, Feeds, Key, Mapper, Next, OwnerReference, Queue, Reconciler};
use alcove_apiserver::options::{DeleteOptions, ListOptions, PatchType, Propagation, WriteOptions};
use alcove_apiserver::request::Verb;
use alcove_apiserver::{Client, Event, Object, Server};
use alcove_object::{Gvk, Gvr, Reason, Status};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

const NAME: &str = "generic-garbage-collector";
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// The garbage collector.
pub struct Garbage {
    server: Server,
    client: Client,
    queue: Arc<Queue>,
    graph: Mutex<Graph>,
}

/// Who depends on whom. Keys are `group/version/resource|namespace/name`.
#[derive(Default)]
struct Graph {
    /// Dependents by their owner's UID.
    dependents: HashMap<Arc<str>, HashSet<Key>>,
    /// Owners' UIDs by dependent.
    owners: HashMap<Key, Vec<Arc<str>>>,
    /// Owners that wait for their dependents, by UID.
    waiting: HashMap<Arc<str>, Key>,
}

impl Graph {
    /// Sets the owners of an object; gives those it had.
    fn put(&mut self, dependent: &Key, owners: Vec<Arc<str>>) -> Vec<Arc<str>> {
        let before = self.owners.remove(dependent).unwrap_or_default();
        for owner in &before {
            if let Some(set) = self.dependents.get_mut(owner) {
                set.remove(dependent);
                if set.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        for owner in &owners {
            self.dependents.entry(owner.clone()).or_default().insert(dependent.clone());
        }
        if !owners.is_empty() {
            self.owners.insert(dependent.clone(), owners);
        }
        before
    }

    /// Notes an object as it is now. Gives the keys that must be looked at because of it.
    fn observe(&mut self, key: &Key, facts: &Facts) -> Vec<Key> {
        let owners = facts.owner_references.iter().map(|owner| Arc::from(&*owner.uid)).collect();
        let before = self.put(key, owners);
        let waits = facts.deletion_timestamp.is_some()
            && facts.finalizers.iter().any(|f| f == FOREGROUND || f == ORPHAN);
        if waits {
            self.waiting.insert(Arc::from(&*facts.uid), key.clone());
        }
        // An owner that waits may have lost this dependent.
        let mut keys: Vec<Key> = before.iter().filter_map(|uid| self.waiting.get(uid).cloned()).collect();
        if waits || !facts.owner_references.is_empty() {
            keys.push(key.clone());
        }
        keys
    }

    /// Forgets a deleted object. Gives the keys that must be looked at because of it.
    fn forget(&mut self, key: &Key, uid: &str) -> Vec<Key> {
        let owners = self.put(key, Vec::new());
        let mut keys: Vec<Key> = owners.iter().filter_map(|uid| self.waiting.get(uid).cloned()).collect();
        if uid.is_empty() {
            // Deleted unseen, so whose owner it was is not known: look at all.
            keys.extend(self.owners.keys().cloned());
        } else {
            self.waiting.remove(uid);
            keys.extend(self.dependents_of(uid));
        }
        keys
    }

    /// Forgets all dependents of a resource that is no longer served.
    fn forget_resource(&mut self, resource: &Gvr) {
        let prefix = graph_key(resource, "");
        let gone: Vec<Key> = self.owners.keys().filter(|key| key.starts_with(&*prefix)).cloned().collect();
        for key in gone {
            self.put(&key, Vec::new());
        }
        self.waiting.retain(|_, key| !key.starts_with(&*prefix));
    }

    fn dependents_of(&self, owner: &str) -> Vec<Key> {
        self.dependents.get(owner).map(|set| set.iter().cloned().collect()).unwrap_or_default()
    }
}

fn graph_key(resource: &Gvr, object: &str) -> Key {
    format!("{}/{}/{}|{object}", resource.group, resource.version, resource.resource).into()
}

fn read_key(key: &str) -> Option<(Gvr, &str, &str)> {
    let (resource, object) = key.split_once('|')?;
    let mut parts = resource.splitn(3, '/');
    let gvr = Gvr::new(parts.next()?, parts.next()?, parts.next()?);
    let (namespace, name) = runtime::split(object);
    Some((gvr, namespace, name))
}

/// What an owner reference leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Lives,
    /// It lives, but waits in the foreground for its dependents to go.
    Waits,
    /// It is gone, or another object has its name.
    Gone,
}

impl Garbage {
    /// A collector that acts as this client's user on all resources that this server serves.
    pub fn new(server: Server, client: Client, queue: Arc<Queue>) -> Garbage {
        Garbage { server, client, queue, graph: Mutex::default() }
    }

    /// Watches whatever the server serves, for ever: custom resources come and go.
    pub async fn follow(self: Arc<Self>) {
        let mut changes = self.server.registry_changes();
        let mut feeds = Feeds::new(NAME, self.client.clone(), self.queue.clone());
        loop {
            changes.borrow_and_update();
            let gone = feeds.set(self.collectable(), |_, resource| self.mapper(resource.clone()));
            for resource in gone {
                self.graph.lock().forget_resource(&resource);
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Every resource that can be listed, watched and deleted, one for each table.
    fn collectable(&self) -> HashMap<Arc<str>, Gvr> {
        let mut tables = HashMap::new();
        let registry = self.server.registry();
        let collectable = registry.resources().iter().filter(|r| {
            let verbs = [Verb::List, Verb::Watch, Verb::Delete];
            // Events neither own nor are owned, and there are many of them.
            verbs.iter().all(|v| r.verbs.has(*v)) && r.gvr.resource != "events"
        });
        for resource in collectable {
            tables.entry(resource.table.clone()).or_insert_with(|| resource.gvr.clone());
        }
        tables
    }

    fn mapper(self: &Arc<Self>, resource: Gvr) -> Mapper {
        let this = self.clone();
        Box::new(move |event, add| {
            let keys = match event {
                Event::Added(o) | Event::Modified(o) => {
                    this.graph.lock().observe(&graph_key(&resource, &o.key), &Facts::of(o))
                }
                Event::Deleted(o) => {
                    this.graph.lock().forget(&graph_key(&resource, &o.key), &Facts::of(o).uid)
                }
                Event::Bookmark { .. } => return,
            };
            keys.into_iter().for_each(add);
        })
    }

    /// Looks where an owner reference of an object in a namespace leads to. References never cross namespaces.
    fn owner(&self, namespace: &str, owner: &OwnerReference) -> Result<Owner, Status> {
        let registry = self.server.registry();
        let Some(resource) = registry.kind(&Gvk::from_api_version(&owner.api_version, &owner.kind)) else {
            // A kind that is not served (yet) must not cost anybody an object.
            return Ok(Owner::Lives);
        };
        if resource.namespaced && namespace.is_empty() {
            // What is in no namespace cannot have an owner in one. Upstream takes such a reference for a mistake that
            // must not cost the object, either.
            return Ok(Owner::Lives);
        }
        let namespace = if resource.namespaced { namespace } else { "" };
        match self.client.find(&resource.gvr, namespace, &owner.name)? {
            Some(found) => {
                let facts = Facts::of(&found);
                Ok(match facts.uid == owner.uid {
                    false => Owner::Gone,
                    true if waits_in_foreground(&facts) => Owner::Waits,
                    true => Owner::Lives,
                })
            }
            None => Ok(Owner::Gone),
        }
    }

    /// Deletes a dependent whose owners are all gone or wait for it; drops references to owners that are gone from
    /// one that still has a living owner.
    async fn judge(&self, resource: &Gvr, object: &Object, facts: &Facts) -> Result<(), Status> {
        let mut owners = Vec::with_capacity(facts.owner_references.len());
        for owner in &facts.owner_references {
            owners.push((owner, self.owner(object.namespace(), owner)?));
        }
        if owners.iter().any(|(_, is)| *is == Owner::Lives) {
            let dangling: Vec<_> =
                owners.iter().filter(|(_, is)| *is != Owner::Lives).map(|(o, _)| &*o.uid).collect();
            return self.let_go(resource, object, facts, &dangling).await;
        }
        let waits = owners.iter().any(|(_, is)| *is == Owner::Waits);
        let has_blocking = self.graph.lock().dependents.contains_key(&*facts.uid);
        let asks_for = |finalizer: &str| facts.finalizers.iter().any(|f| f == finalizer);
        let policy = match () {
            () if asks_for(ORPHAN) => Propagation::Orphan,
            () if asks_for(FOREGROUND) || waits && has_blocking => Propagation::Foreground,
            () => Propagation::Background,
        };
        let blocks = facts.owner_references.iter().any(|owner| owner.block_owner_deletion);
        if waits && blocks && self.dependents(facts)?.iter().any(waits_in_foreground) {
            // A circle: each would wait for the next one. The change brings this object here again.
            return self.unblock(resource, object, facts).await;
        }
        self.delete(resource, object, facts, policy).await
    }

    /// Lets the owners of an object go before it does.
    async fn unblock(&self, resource: &Gvr, object: &Object, facts: &Facts) -> Result<(), Status> {
        let mut owners = alcove_object::meta::owner_references(&object.parse()).to_vec();
        for owner in &mut owners {
            owner["blockOwnerDeletion"] = false.into();
        }
        let patch = json!({ "metadata": {
            "uid": facts.uid, "resourceVersion": object.revision.to_string(), "ownerReferences": owners,
        } });
        self.patch(resource, object, patch).await
    }

    async fn delete(
        &self,
        resource: &Gvr,
        object: &Object,
        facts: &Facts,
        policy: Propagation,
    ) -> Result<(), Status> {
        let options = DeleteOptions {
            uid: Some(facts.uid.clone()),
            // Whoever changed it meanwhile may have given it another owner.
            resource_version: Some(object.revision.to_string()),
            propagation: Some(policy),
            ..DeleteOptions::default()
        };
        self.client.delete(resource, object.namespace(), object.name(), &options).await.map(drop)
    }

    /// Removes owner references from a dependent.
    async fn let_go(
        &self,
        resource: &Gvr,
        object: &Object,
        facts: &Facts,
        owners: &[&str],
    ) -> Result<(), Status> {
        if owners.is_empty() {
            return Ok(());
        }
        let tree = object.parse();
        let kept: Vec<_> = alcove_object::meta::owner_references(&tree)
            .iter()
            .filter(|o| !owners.iter().any(|gone| o["uid"] == *gone))
            .cloned()
            .collect();
        let patch = json!({ "metadata": {
            "uid": facts.uid, "resourceVersion": object.revision.to_string(),
            "ownerReferences": if kept.is_empty() { serde_json::Value::Null } else { kept.into() },
        } });
        self.patch(resource, object, patch).await
    }

    async fn patch(&self, resource: &Gvr, object: &Object, patch: serde_json::Value) -> Result<(), Status> {
        let (namespace, name, options) = (object.namespace(), object.name(), WriteOptions::default());
        self.client.patch(resource, "", namespace, name, PatchType::Merge, patch, &options).await.map(drop)
    }

    /// Lets an owner go once its dependents are deleted (foreground) or let go of (orphan).
    async fn release(
        &self,
        resource: &Gvr,
        object: &Object,
        facts: &Facts,
        finalizer: &str,
    ) -> Result<(), Status> {
        for key in self.graph.lock().dependents_of(&facts.uid) {
            self.queue.add(key);
        }
        match finalizer {
            ORPHAN => self.orphan_dependents(object.namespace(), facts).await?,
            _ if self.has_dependents_in_the_way(facts)? => return Ok(()),
            _ => {}
        }
        let kept: Vec<&String> = facts.finalizers.iter().filter(|f| *f != finalizer).collect();
        let patch = json!({ "metadata": {
            "uid": facts.uid, "resourceVersion": object.revision.to_string(), "finalizers": kept,
        } });
        self.patch(resource, object, patch).await
    }

    /// Takes the owner out of everything that names it. The graph may lag behind, and what it does not know yet would
    /// die with the owner: the objects themselves are looked at.
    async fn orphan_dependents(&self, namespace: &str, owner: &Facts) -> Result<(), Status> {
        for resource in self.collectable().into_values() {
            for object in self.client.list(&resource, namespace, &ListOptions::default())?.items {
                let facts = Facts::of(&object);
                if facts.owner_references.iter().any(|o| o.uid == owner.uid) {
                    self.let_go(&resource, &object, &facts, &[&owner.uid]).await?;
                }
            }
        }
        Ok(())
    }

    fn has_dependents_in_the_way(&self, owner: &Facts) -> Result<bool, Status> {
        let blocks = |dependent: &Arc<Facts>| {
            dependent.owner_references.iter().any(|o| o.uid == owner.uid && o.block_owner_deletion)
        };
        Ok(self.dependents(owner)?.iter().any(blocks))
    }

    /// The dependents of an object as they are now.
    fn dependents(&self, owner: &Facts) -> Result<Vec<Arc<Facts>>, Status> {
        let keys = self.graph.lock().dependents_of(&owner.uid);
        let mut dependents = Vec::with_capacity(keys.len());
        for key in keys {
            let Some((resource, namespace, name)) = read_key(&key) else { continue };
            if let Some(dependent) = self.client.find(&resource, namespace, name)? {
                dependents.push(Facts::of(&dependent));
            }
        }
        Ok(dependents)
    }
}

/// Whether an object waits for its dependents to go before it does.
fn waits_in_foreground(facts: &Arc<Facts>) -> bool {
    facts.deletion_timestamp.is_some() && facts.finalizers.iter().any(|f| f == FOREGROUND)
}

impl Reconciler for Garbage {
    fn name(&self) -> &'static str {
        NAME
    }

    fn workers(&self) -> usize {
        4
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let Some((resource, namespace, name)) = read_key(key) else { return Ok(Next::Done) };
        let Some(object) = self.client.find(&resource, namespace, name)? else { return Ok(Next::Done) };
        let facts = Facts::of(&object);
        let finalizer = facts.finalizers.iter().find(|f| *f == ORPHAN || *f == FOREGROUND);
        let result = match (&facts.deletion_timestamp, finalizer) {
            (Some(_), Some(finalizer)) => self.release(&resource, &object, &facts, finalizer).await,
            (Some(_), None) => Ok(()),
            (None, _) if facts.owner_references.is_empty() => Ok(()),
            (None, _) => self.judge(&resource, &object, &facts).await,
        };
        match result {
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(Next::Done),
            // Changed meanwhile: the watch may have told before this look, so look again.
            Err(status) if status.is(Reason::CONFLICT) => {
                self.queue.add(key.clone());
                Ok(Next::Done)
            }
            result => Ok(result.map(|()| Next::Done)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alcove_apiserver::testing::{self, TestEnv};
    use alcove_apiserver::{User, bootstrap, kinds};
    use alcove_schema::Minor;

    fn facts(uid: &str, owners: &[&str]) -> Facts {
        let owner_references =
            owners.iter().map(|o| OwnerReference { uid: (*o).into(), ..OwnerReference::default() }).collect();
        Facts { uid: uid.into(), owner_references, ..Facts::default() }
    }

    #[tokio::test]
    async fn an_orphaning_owner_lets_go_of_what_the_graph_has_not_seen() {
        let env = Arc::new(TestEnv::new(7));
        let server = testing::server(kinds::resources(Minor::DEFAULT), env);
        bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("tester"), "tester");
        let maps = Gvr::new("", "v1", "configmaps");
        let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        let owner = client.create(&maps, "default", map("owner")).await.unwrap().parse();
        let mut owned = map("owned");
        owned["metadata"]["ownerReferences"] = json!([
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]},
        ]);
        client.create(&maps, "default", owned).await.unwrap();
        let options = DeleteOptions { propagation: Some(Propagation::Orphan), ..DeleteOptions::default() };
        client.delete(&maps, "default", "owner", &options).await.unwrap();

        let garbage = Garbage::new(server, client.clone(), Arc::default());
        garbage.reconcile(&graph_key(&maps, "default/owner")).await.unwrap();
        assert!(client.get(&maps, "default", "owner").unwrap_err().is(Reason::NOT_FOUND));
        let owned = client.get(&maps, "default", "owned").unwrap().parse();
        assert_eq!(owned["metadata"].get("ownerReferences"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_circle_of_owners_goes_as_a_whole() {
        let world = crate::testing::World::new().await;
        let maps = Gvr::new("", "v1", "configmaps");
        let mut uids = HashMap::new();
        for name in ["a", "b", "c"] {
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}});
            uids.insert(name, world.create(&maps, map).await["metadata"]["uid"].clone());
        }
        for (name, owner) in [("a", "c"), ("b", "a"), ("c", "b")] {
            let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uids[owner],
                "controller": true, "blockOwnerDeletion": true});
            world.patch(&maps, name, json!({"metadata": {"ownerReferences": [reference]}})).await;
        }
        let options =
            DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() };
        world.client.delete(&maps, "default", "a", &options).await.unwrap();
        let is_ours = |map: &serde_json::Value| uids.contains_key(alcove_object::meta::name(map));
        world.until(&maps, |all| !all.iter().any(is_ours)).await;
    }

    #[test]
    fn the_end_of_an_owner_brings_up_its_dependents() {
        let mut graph = Graph::default();
        let (set, pod): (Key, Key) = ("apps/v1/replicasets|d/a".into(), "/v1/pods|d/a-1".into());
        assert!(graph.observe(&set, &facts("u-set", &[])).is_empty());
        assert_eq!(graph.observe(&pod, &facts("u-pod", &["u-set"])), vec![pod.clone()]);
        assert_eq!(graph.forget(&set, "u-set"), vec![pod.clone()]);
        assert!(graph.forget(&pod, "u-pod").is_empty());
        assert!(graph.dependents.is_empty() && graph.owners.is_empty());
    }

    #[test]
    fn an_owner_that_waits_is_looked_at_when_a_dependent_goes() {
        let mut graph = Graph::default();
        let (set, pod): (Key, Key) = ("apps/v1/replicasets|d/a".into(), "/v1/pods|d/a-1".into());
        graph.observe(&pod, &facts("u-pod", &["u-set"]));
        let waiting = Facts {
            finalizers: vec![FOREGROUND.into()],
            deletion_timestamp: Some("2026-01-01T00:00:00Z".into()),
            ..facts("u-set", &[])
        };
        assert_eq!(graph.observe(&set, &waiting), vec![set.clone()]);
        assert_eq!(graph.forget(&pod, "u-pod"), vec![set]);
    }

    #[test]
    fn a_resource_that_is_no_longer_served_is_forgotten() {
        let mut graph = Graph::default();
        let (tab, pod): (Key, Key) = ("a.b/v1/tabs|d/a".into(), "/v1/pods|d/a-1".into());
        graph.observe(&tab, &facts("u-tab", &["u-owner"]));
        graph.observe(&pod, &facts("u-pod", &["u-owner"]));
        graph.forget_resource(&Gvr::new("a.b", "v1", "tabs"));
        assert_eq!(graph.dependents_of("u-owner"), vec![pod]);
    }

    #[test]
    fn keys_lead_back_to_objects() {
        let gvr = Gvr::new("apps", "v1", "deployments");
        assert_eq!(read_key(&graph_key(&gvr, "d/a")), Some((gvr, "d", "a")));
        assert_eq!(read_key("/v1/nodes|n"), Some((Gvr::new("", "v1", "nodes"), "", "n")));
    }
}
