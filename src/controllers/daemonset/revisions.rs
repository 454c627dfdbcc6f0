//! A DaemonSet's revisions: the one of its template, found by what it holds or made, and the older ones.

use super::{DaemonSets, resource};
use crate::history;
use crate::pods;
use alcove_apiserver::options::{PatchType, WriteOptions};
use alcove_object::selector::Labels;
use alcove_object::{Reason, Status, Value, meta};
use serde_json::json;

impl DaemonSets {
    /// The hash that pods of the current template are labelled with, and the older revisions, the oldest first.
    pub(super) async fn revise(
        &self,
        set: &Value,
        selector: &Labels,
        pods: &[Value],
    ) -> Result<(String, Vec<Value>), Status> {
        let mut revisions = self.revisions.of(set, selector).await?;
        for revision in &mut revisions {
            if meta::label(revision, history::REVISION).is_none() {
                let labels = json!({ "metadata": { "labels": { history::REVISION: meta::name(revision) } } });
                *revision = history::patch(&self.client, revision, labels).await?;
            }
        }
        history::sort(&mut revisions);
        let wanted = history::snapshot(set);
        let (mut current, old): (Vec<Value>, Vec<Value>) =
            revisions.into_iter().partition(|revision| revision["data"] == wanted);
        let number = history::next_number(&old);
        let newest = match current.pop() {
            None => self.create_revision(set, number).await?,
            Some(newest) => {
                self.merge(&newest, &current, pods).await?;
                match history::number(&newest) < number {
                    true => history::patch(&self.client, &newest, json!({ "revision": number })).await?,
                    false => newest,
                }
            }
        };
        Ok((meta::label(&newest, history::REVISION).unwrap_or_default().to_owned(), old))
    }

    async fn create_revision(&self, set: &Value, number: i64) -> Result<Value, Status> {
        let collisions = set.pointer("/status/collisionCount").and_then(Value::as_i64).unwrap_or(0);
        let hash = history::hash(&set["spec"]["template"], collisions);
        let revision = history::revision(set, history::REVISION, &hash, number);
        let (namespace, name) = (meta::namespace(set), meta::name(&revision).to_owned());
        let taken = match self.client.create(&history::resource(), namespace, revision).await {
            Ok(made) => return Ok(made.parse()),
            Err(status) if status.is(Reason::ALREADY_EXISTS) => status,
            Err(status) => return Err(status),
        };
        let found = self.client.get(&history::resource(), namespace, &name)?.parse();
        if found["data"] == history::snapshot(set) {
            return Ok(found);
        }
        // Another template has the name; the next hash will differ.
        let mut changed = set.clone();
        changed["status"]["collisionCount"] = (collisions + 1).into();
        self.client.update_subresource(&resource(), "status", namespace, changed).await?;
        Err(taken)
    }

    /// Of several revisions that hold the same, one stays, and all pods are labelled as its own.
    async fn merge(&self, newest: &Value, same: &[Value], pods: &[Value]) -> Result<(), Status> {
        if same.is_empty() {
            return Ok(());
        }
        let hash = meta::label(newest, history::REVISION).unwrap_or_default();
        for pod in pods.iter().filter(|pod| meta::label(pod, history::REVISION) != Some(hash)) {
            let patch = json!({ "metadata": { "labels": { history::REVISION: hash } } });
            let (namespace, name, options) = (meta::namespace(pod), meta::name(pod), WriteOptions::default());
            self.client
                .patch(&pods::resource(), "", namespace, name, PatchType::Merge, patch, &options)
                .await?;
        }
        for revision in same {
            history::delete(&self.client, revision).await?;
        }
        Ok(())
    }

    /// Deletes the oldest revisions beyond the limit, but for those that a pod is of.
    pub(super) async fn forget(&self, set: &Value, old: &[Value], used: &[String]) -> Result<(), Status> {
        let Some(limit) = history::limit(set) else { return Ok(()) };
        let is_used = |revision: &Value| {
            let hash = meta::label(revision, history::REVISION);
            used.iter().any(|used| hash == Some(used))
        };
        for revision in history::expendable(old, is_used, old.len().saturating_sub(limit)) {
            history::delete(&self.client, revision).await?;
        }
        Ok(())
    }
}
