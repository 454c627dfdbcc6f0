//! Revisions: what the pods of a set were made from, kept so that one can look back and go back
//! (k8s.io/kubernetes/pkg/controller/history). StatefulSets and DaemonSets share them; deployments have their replica
//! sets for that.
//!
//! A revision's `data` is a strategic merge patch that brings its template back, which is what `kubectl rollout undo`
//! sends. Its number says how new it is: a template that comes back gets a new number and keeps its name.

use crate::claims::Claims;
use crate::pods;
use crate::runtime::{Facts, Source};
use alcove_apiserver::options::{DeleteOptions, PatchType, WriteOptions};
use alcove_apiserver::{Client, Event};
use alcove_object::{Gvr, Reason, Status, Value, meta, settled};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;

/// The label that names the revision of a pod.
pub const REVISION: &str = "controller-revision-hash";
/// How many bytes of an owner's name go into the name of a revision, so that its hash has room.
const PREFIX_MAX: usize = 223;

/// The resource.
pub fn resource() -> Gvr {
    Gvr::new("apps", "v1", "controllerrevisions")
}

/// The revisions that belong to owners of a kind of the group `apps`.
pub fn claims(client: Client, owners: Gvr, kind: &'static str) -> Claims {
    Claims {
        client,
        owners,
        kind,
        owned: resource(),
        finalizer: None,
        unread: &["managedFields"],
        astray: Mutex::default(),
    }
}

/// Revisions that change or go, and new ones that nobody owns. One that somebody makes for an owner is let be until the
/// owner changes, as upstream.
pub fn source(claims: &Arc<Claims>) -> Source {
    let mut source = claims.source();
    let all = source.mapper;
    source.mapper = Box::new(move |event, add| match event {
        Event::Added(revision) if Facts::of(revision).controller().is_some() => {}
        event => all(event, add),
    });
    source
}

/// What a revision keeps of its owner: a strategic merge patch that restores the template.
pub fn snapshot(owner: &Value) -> Value {
    let mut template = owner["spec"]["template"].clone();
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
    }
    template["$patch"] = "replace".into();
    json!({ "spec": { "template": template } })
}

/// The owner with the template of a revision.
pub fn restored(owner: &Value, revision: &Value) -> Value {
    let mut restored = owner.clone();
    let mut template = revision["data"]["spec"]["template"].clone();
    if let Some(template) = template.as_object_mut() {
        template.remove("$patch");
    }
    restored["spec"]["template"] = template;
    restored
}

/// How new a revision is; the highest is the newest.
pub fn number(revision: &Value) -> i64 {
    revision["revision"].as_i64().unwrap_or(0)
}

/// Sorts revisions, the newest last.
pub fn sort(revisions: &mut [Value]) {
    revisions.sort_by_cached_key(|revision| {
        let created = meta::text(revision, "creationTimestamp").to_owned();
        (number(revision), created, meta::name(revision).to_owned())
    });
}

/// The number of a revision that comes after all these.
pub fn next_number(revisions: &[Value]) -> i64 {
    revisions.iter().map(number).max().unwrap_or(0) + 1
}

/// A new revision of an owner with the labels of its template and one that holds the hash, which also ends its name.
pub fn revision(owner: &Value, label: &str, hash: &str, number: i64) -> Value {
    let name = meta::name(owner);
    let end = (0..=name.len().min(PREFIX_MAX)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    let mut metadata = json!({
        "name": format!("{}-{hash}", &name[..end]), "namespace": meta::namespace(owner),
        "labels": owner.pointer("/spec/template/metadata/labels").filter(|l| l.is_object()).unwrap_or(&json!({})),
        "ownerReferences": [pods::owner_reference(owner)],
    });
    metadata["labels"][label] = hash.into();
    if let Some(annotations) = owner.pointer("/metadata/annotations").filter(|a| a.is_object()) {
        metadata["annotations"] = annotations.clone();
    }
    json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata,
        "data": snapshot(owner), "revision": number,
    })
}

/// A short name for a tree: FNV-1a over its JSON, in the letters that generated names use. It need not equal upstream's,
/// since nobody computes it again: revisions are found by what they hold. It must only be stable, and differ after a
/// collision.
pub fn hash(tree: &Value, collisions: i64) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash: u32 = 0x811c_9dc5;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    };
    eat(tree.to_string().as_bytes());
    if collisions > 0 {
        eat(&collisions.to_le_bytes());
    }
    hash.to_string().bytes().map(|digit| ALPHABET[usize::from(digit) % ALPHABET.len()] as char).collect()
}

/// The oldest of revisions that are in no use, so many of them.
pub fn expendable(
    revisions: &[Value],
    is_used: impl Fn(&Value) -> bool,
    surplus: usize,
) -> impl Iterator<Item = &Value> {
    revisions.iter().filter(move |revision| !is_used(revision)).take(surplus)
}

/// How many revisions an owner keeps beside those in use; `None`: all of them.
pub fn limit(owner: &Value) -> Option<usize> {
    let limit = owner.pointer("/spec/revisionHistoryLimit").and_then(Value::as_i64).unwrap_or(10);
    usize::try_from(limit).ok()
}

/// Changes metadata or number of a revision; gives it as it is then.
pub async fn patch(client: &Client, revision: &Value, patch: Value) -> Result<Value, Status> {
    let (namespace, name, options) =
        (meta::namespace(revision), meta::name(revision), WriteOptions::default());
    let patched = client.patch(&resource(), "", namespace, name, PatchType::Merge, patch, &options).await?;
    Ok(patched.parse())
}

/// Deletes a revision, if it is still the one that was read.
pub async fn delete(client: &Client, revision: &Value) -> Result<(), Status> {
    let options = DeleteOptions::of(revision);
    let gone = client.delete(&resource(), meta::namespace(revision), meta::name(revision), &options).await;
    settled(gone, &[Reason::NOT_FOUND, Reason::CONFLICT])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": { "name": "web", "namespace": "d", "uid": "u", "annotations": { "why": "because" } },
            "spec": { "replicas": 2, "template": {
                "metadata": { "labels": { "app": "web" }, "creationTimestamp": null }, "spec": { "containers": [] } } },
        })
    }

    #[test]
    fn a_revision_brings_its_template_back_and_nothing_else() {
        let made = revision(&owner(), "hash", "abc", 3);
        assert_eq!((meta::name(&made), number(&made)), ("web-abc", 3));
        assert_eq!(made["metadata"]["labels"], json!({ "app": "web", "hash": "abc" }));
        assert_eq!(made["metadata"]["annotations"], json!({ "why": "because" }));
        assert_eq!(made["data"]["spec"]["template"]["$patch"], "replace");
        let mut later = owner();
        later["spec"]["replicas"] = 9.into();
        later["spec"]["template"]["spec"]["nodeName"] = "n".into();
        let back = restored(&later, &made);
        assert_eq!(back["spec"]["replicas"], 9);
        assert_eq!(snapshot(&back), snapshot(&owner()));
    }

    #[test]
    fn names_of_revisions_have_room_for_their_hash() {
        let mut owner = owner();
        owner["metadata"]["name"] = "n".repeat(253).into();
        assert_eq!(meta::name(&revision(&owner, "hash", "abc", 1)).len(), PREFIX_MAX + 4);
    }

    #[test]
    fn hashes_are_stable_and_differ_after_a_collision() {
        let data = snapshot(&owner());
        assert_eq!(hash(&data, 0), hash(&data, 0));
        assert_ne!(hash(&data, 0), hash(&data, 1));
    }

    #[test]
    fn the_oldest_revisions_go_first_and_those_in_use_stay() {
        let mut revisions: Vec<Value> = [("c", 3), ("a", 1), ("d", 4), ("b", 2)]
            .map(|(name, number)| json!({ "metadata": { "name": name }, "revision": number }))
            .into();
        sort(&mut revisions);
        let gone = |surplus| -> Vec<&str> {
            expendable(&revisions, |r| meta::name(r) == "b", surplus).map(meta::name).collect()
        };
        assert_eq!(gone(0), Vec::<&str>::new());
        assert_eq!(gone(2), ["a", "c"]);
        assert_eq!(next_number(&revisions), 5);
        assert_eq!(limit(&json!({ "spec": { "revisionHistoryLimit": -1 } })), None);
    }
}
