//! The few metadata fields that mappers need, read without building a tree of the whole object, and once for all
//! mappers that are told of it one after the other.

use alcove_apiserver::Object;
use bytes::Bytes;
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Metadata of an object. What is missing is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// `uid`.
    pub uid: String,
    /// `labels`.
    pub labels: BTreeMap<String, String>,
    /// `finalizers`.
    pub finalizers: Vec<String>,
    /// `ownerReferences`.
    pub owner_references: Vec<OwnerReference>,
    /// `deletionTimestamp`.
    pub deletion_timestamp: Option<String>,
}

/// One owner reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// `apiVersion` of the owner.
    pub api_version: String,
    /// `kind` of the owner.
    pub kind: String,
    /// `name` of the owner.
    pub name: String,
    /// `uid` of the owner.
    pub uid: String,
    /// Whether the owner is the managing controller.
    pub controller: bool,
    /// Whether the owner's foreground deletion waits for this object.
    pub block_owner_deletion: bool,
}

thread_local! {
    /// The object that this thread read last. Its bytes are held, so that no other object comes to lie where it is.
    static LAST: RefCell<Option<(Bytes, Arc<Facts>)>> = const { RefCell::new(None) };
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    metadata: Facts,
}

impl OwnerReference {
    /// The API group of the owner, empty for core.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl Facts {
    /// The metadata of an object; empty for one that was deleted unseen.
    pub fn of(object: &Object) -> Arc<Facts> {
        LAST.with_borrow_mut(|last| match last {
            Some((bytes, facts)) if std::ptr::eq(&bytes[..], &object.bytes[..]) => facts.clone(),
            _ => {
                let head = serde_json::from_slice::<Head>(&object.bytes).unwrap_or_default();
                let facts = Arc::new(head.metadata);
                *last = Some((object.bytes.clone(), facts.clone()));
                facts
            }
        })
    }

    /// Lets go of the object that was read last.
    pub fn forget() {
        LAST.take();
    }

    /// The reference to the managing controller.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller)
    }
}
