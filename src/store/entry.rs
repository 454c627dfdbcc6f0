//! One stored object: its bytes, and the little that selectors read without parsing them.

use bytes::Bytes;
use std::sync::Arc;

/// What a writer hands in: an object's JSON without `metadata.resourceVersion`, and where that belongs.
#[derive(Clone, Debug)]
pub struct Body {
    /// The object in JSON, without a resourceVersion.
    pub json: Vec<u8>,
    /// Where in `json` the text `"resourceVersion":"N",` goes.
    pub revision_at: usize,
    /// What selectors read.
    pub index: Index,
}

/// What selectors read: labels and selectable fields, each sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// `metadata.labels`.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// Selectable fields by label; absent means empty.
    pub fields: Box<[(&'static str, Box<str>)]>,
}

/// One object at one revision.
#[derive(Debug)]
pub struct Entry {
    /// `namespace/name`, or the name of a cluster-scoped object.
    pub key: Arc<str>,
    /// The revision that wrote it.
    pub revision: u64,
    /// The whole object in JSON, resourceVersion included.
    pub json: Bytes,
    /// Where in `json` the text `"resourceVersion":"N",` stands.
    pub revision_at: usize,
    /// What selectors read.
    pub index: Index,
}

impl Index {
    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.binary_search_by(|(k, _)| (**k).cmp(key)).ok().map(|i| &*self.labels[i].1)
    }

    /// A selectable field's value, empty if absent.
    pub fn field(&self, label: &str) -> &str {
        self.fields.binary_search_by(|(k, _)| (*k).cmp(label)).map_or("", |i| &self.fields[i].1)
    }
}

impl Entry {
    /// The same object with another resourceVersion: what a DELETED event carries.
    pub fn restamped(&self, revision: u64) -> Entry {
        let _ = revision;
        todo!("the store room's own work")
    }
}
