//! Whose is it: the objects that a controller knows by its labels and owns by reference
//! (k8s.io/kubernetes/pkg/controller/controller_ref_manager.go).
//!
//! What has the labels and no controller is adopted. What lost the labels is let go, so that one can take a pod out of
//! its set and look at it in peace. [`Claims::source`] tells which owner an event concerns and notes what has strayed,
//! so that nobody has to read all objects of a namespace to find it.

use crate::pods;
use crate::runtime::{self, Facts, Key, Source, skim};
use alcove_apiserver::options::{ListOptions, PatchType, WriteOptions};
use alcove_apiserver::{Client, Event, Object};
use alcove_object::selector::Labels;
use alcove_object::{Gvr, Reason, Status, Value, meta};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What kind owns what kind, and what has strayed.
pub struct Claims {
    /// Adopts and lets go as this client's user.
    pub client: Client,
    /// The resource of the owners.
    pub owners: Gvr,
    /// The kind of the owners.
    pub kind: &'static str,
    /// The resource of what is owned.
    pub owned: Gvr,
    /// What an owned object must have until its owner has counted it.
    pub finalizer: Option<&'static str>,
    /// Members of owned objects that the controller does not read (see [`skim`]).
    pub unread: &'static [&'static str],
    /// Owned objects that do not have the labels, by the owner's key.
    pub astray: Mutex<HashMap<Key, HashSet<Key>>>,
}

/// What no controller reads of a pod.
pub const UNREAD_OF_PODS: &[&str] = &[
    "managedFields",
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
    "tolerations",
    "affinity",
];

/// The one kind whose selector is a plain map of labels.
pub const REPLICATION_CONTROLLER: &str = "ReplicationController";

/// The selector of an owner; none for an empty one, which would select everything.
pub fn selector_of(owner: &Value) -> Option<Labels> {
    selector(owner["kind"].as_str(), owner.pointer("/spec/selector"))
}

fn selector(kind: Option<&str>, tree: Option<&Value>) -> Option<Labels> {
    let labels = match kind {
        Some(REPLICATION_CONTROLLER) => Some(Labels::from_map(tree)),
        _ => Labels::from_object(tree).ok().flatten(),
    };
    labels.filter(|labels| !labels.is_empty())
}

/// The selector of an owner as it is stored, without a tree of the rest.
fn selector_in(owner: &Object) -> Option<Labels> {
    #[derive(Deserialize)]
    struct Owner {
        kind: Option<String>,
        spec: Spec,
    }
    #[derive(Deserialize)]
    struct Spec {
        selector: Option<Value>,
    }
    let owner: Owner = serde_json::from_slice(&owner.bytes).ok()?;
    selector(owner.kind.as_deref(), owner.spec.selector.as_ref())
}

impl Claims {
    /// Owners of pods.
    pub fn of_pods(client: Client, owners: Gvr, kind: &'static str) -> Claims {
        let (owned, unread) = (pods::resource(), UNREAD_OF_PODS);
        Claims { client, owners, kind, owned, finalizer: None, unread, astray: Mutex::default() }
    }

    /// The owned objects, each as the key of its owner, or of those that may adopt it.
    pub fn source(self: &Arc<Claims>) -> Source {
        let this = self.clone();
        let mapper = Box::new(move |event: &Event, add: &mut dyn FnMut(Key)| {
            if let Event::Added(o) | Event::Modified(o) | Event::Deleted(o) = event {
                this.map(o, matches!(event, Event::Deleted(_)), add);
            }
        });
        Source::new(self.owned.clone(), mapper)
    }

    fn map(&self, object: &Object, is_gone: bool, add: &mut dyn FnMut(Key)) {
        let facts = Facts::of(object);
        match facts.controller() {
            Some(owner) if owner.kind == self.kind && owner.group() == self.owners.group => {
                let key = runtime::join(object.namespace(), &owner.name);
                self.note(&key, object, &facts, is_gone);
                add(key);
            }
            Some(_) => {}
            // Deleted unseen: nobody knows whose it was.
            None if facts.uid.is_empty() => self.owners_that(object.namespace(), |_| true, add),
            None if facts.labels.is_empty() => {}
            None => self.selecting(object.namespace(), &facts, add),
        }
    }

    fn owners_that(&self, namespace: &str, fits: impl Fn(&Object) -> bool, add: &mut dyn FnMut(Key)) {
        let owners = self.client.list(&self.owners, namespace, &ListOptions::default());
        let owners = owners.map(|list| list.items).unwrap_or_default();
        owners.into_iter().filter(fits).for_each(|owner| add(owner.key));
    }

    fn note(&self, owner: &Key, object: &Object, facts: &Facts, is_gone: bool) {
        let (namespace, name) = runtime::split(owner);
        let has_strayed =
            || self.client.get(&self.owners, namespace, name).is_ok_and(|owner| !has_labels(facts, &owner));
        if !is_gone && has_strayed() {
            self.astray.lock().entry(owner.clone()).or_default().insert(object.key.clone());
        } else {
            self.found(owner, &object.key);
        }
    }

    fn found(&self, owner: &Key, object: &Key) {
        let mut astray = self.astray.lock();
        if let Some(objects) = astray.get_mut(owner) {
            objects.remove(object);
            if objects.is_empty() {
                astray.remove(owner);
            }
        }
    }

    /// The owners whose labels an object has, whoever owns it.
    pub fn selecting(&self, namespace: &str, facts: &Facts, add: &mut dyn FnMut(Key)) {
        self.owners_that(namespace, |owner| has_labels(facts, owner), add);
    }

    /// The owner's objects. Adopts those that have its labels and no controller, and lets go of those that have strayed,
    /// unless the owner is being deleted.
    pub async fn of(&self, owner: &Value, labels: &Labels) -> Result<Vec<Value>, Status> {
        self.of_those(owner, labels, |_| true).await
    }

    /// The owner's objects, as [`Claims::of`] gives them, but for those that cannot be its own whatever their labels say.
    pub async fn of_those(
        &self,
        owner: &Value,
        labels: &Labels,
        may_be_owned: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Value>, Status> {
        let is_ending = meta::is_deleting(owner);
        if !is_ending {
            self.let_go_of_strays(owner, labels).await?;
        }
        let options = ListOptions { labels: labels.clone(), ..ListOptions::default() };
        let mut claimed = Vec::new();
        for object in self.client.list(&self.owned, meta::namespace(owner), &options)?.items {
            let tree = skim(&object, self.unread);
            if !may_be_owned(&tree) {
                continue;
            }
            match meta::controller_of(&tree) {
                Some(reference) if reference["uid"] == meta::uid(owner) => claimed.push(tree),
                Some(_) => {}
                None if is_ending || meta::is_deleting(&tree) => {}
                // Only who counts ends has a use for a pod that has ended.
                None if self.finalizer.is_none() && pods::is_finished(&tree) => {}
                None => claimed.extend(self.adopt(owner, &tree).await?),
            }
        }
        Ok(claimed)
    }

    async fn adopt(&self, owner: &Value, object: &Value) -> Result<Option<Value>, Status> {
        let mut patch = json!({ "metadata": {
            "uid": meta::uid(object), "ownerReferences": [pods::owner_reference(owner)],
        } });
        if let Some(finalizer) = self.finalizer {
            patch["metadata"]["finalizers"] = json!([finalizer]);
        }
        let adopted = self.patch(object, patch).await?;
        Ok(adopted.map(|object| skim(&object, self.unread)))
    }

    async fn let_go_of_strays(&self, owner: &Value, labels: &Labels) -> Result<(), Status> {
        let key = runtime::join(meta::namespace(owner), meta::name(owner));
        let strays = self.astray.lock().get(&key).cloned().unwrap_or_default();
        for stray in strays {
            let (namespace, name) = runtime::split(&stray);
            if let Some(object) = self.client.find(&self.owned, namespace, name)? {
                self.let_go(owner, labels, &skim(&object, self.unread)).await?;
            }
            self.found(&key, &stray);
        }
        Ok(())
    }

    async fn let_go(&self, owner: &Value, labels: &Labels, object: &Value) -> Result<(), Status> {
        let is_ours = meta::controller_of(object).is_some_and(|o| o["uid"] == meta::uid(owner));
        if !is_ours || labels.matches(|key| meta::label(object, key)) {
            return Ok(());
        }
        let mut patch = json!({ "metadata": {
            "uid": meta::uid(object),
            "ownerReferences": [{ "$patch": "delete", "uid": meta::uid(owner) }],
        } });
        if let Some(finalizer) = self.finalizer {
            patch["metadata"]["$deleteFromPrimitiveList/finalizers"] = json!([finalizer]);
        }
        self.patch(object, patch).await.map(drop)
    }

    /// Patches an owned object. `None`: it is gone, or another one has its name.
    async fn patch(&self, object: &Value, patch: Value) -> Result<Option<Object>, Status> {
        let (namespace, name, options) =
            (meta::namespace(object), meta::name(object), WriteOptions::default());
        let kind = PatchType::Strategic;
        match self.client.patch(&self.owned, "", namespace, name, kind, patch, &options).await {
            Ok(patched) => Ok(Some(patched)),
            Err(status) if status.is(Reason::NOT_FOUND) || status.is(Reason::CONFLICT) => Ok(None),
            Err(status) => Err(status),
        }
    }
}

fn has_labels(facts: &Facts, owner: &Object) -> bool {
    selector_in(owner).is_some_and(|labels| labels.matches(|key| facts.labels.get(key).map(String::as_str)))
}

#[cfg(test)]
mod tests;
