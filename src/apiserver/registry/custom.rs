//! What the descriptor of a custom resource has beside what every resource has.

use crate::custom::Conversion;
use alcove_object::{Gvk, Value};
use alcove_store::Entry;
use serde_json::json;
use std::sync::Arc;

/// What only custom resources have.
pub struct Custom {
    /// Kind of lists.
    pub list_kind: String,
    /// `openAPIV3Schema` of this version in JSON as its author wrote it, `null` if there is none. Text, since a tree of
    /// it would be ten times as large and is needed for OpenAPI documents alone.
    pub schema: Arc<str>,
    /// JSON paths that field selectors can use, as the definition has them.
    pub selectable: Vec<String>,
    /// How objects of other versions become ones of this; `None`: by their apiVersion alone.
    pub conversion: Option<Arc<Conversion>>,
    /// The definition is going: nothing can be created any more.
    pub is_terminating: bool,
    /// How stored objects of the served version begin.
    head: Box<[u8]>,
    /// Up to this revision, objects may have been written under another schema.
    since: u64,
}

impl Custom {
    /// The parts of a version of this kind, whose schema is in force since a revision.
    pub fn new(gvk: &Gvk, list_kind: String, schema: &Value, since: u64) -> Custom {
        Custom {
            list_kind,
            schema: schema.to_string().into(),
            selectable: Vec::new(),
            conversion: None,
            is_terminating: false,
            head: head(gvk),
            since,
        }
    }

    /// Whether an entry is what clients of this version read, byte by byte. Otherwise it was written in another version
    /// or under another schema, and is brought into form when it is read.
    pub fn is_in_form(&self, entry: &Entry) -> bool {
        entry.revision > self.since && entry.json.starts_with(&self.head)
    }
}

/// How stored objects of a kind begin: apiVersion and kind sort before everything else.
pub fn head(gvk: &Gvk) -> Box<[u8]> {
    let head = json!({ "apiVersion": gvk.api_version(), "kind": gvk.kind }).to_string();
    head.trim_end_matches('}').as_bytes().into()
}
