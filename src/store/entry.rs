//! One stored object: its bytes, and the little that selectors read without parsing them.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Distinct selectable-field labels that one process interns at most. A label is kept for the life of the process,
/// so what users can name (selectable fields of custom resources) has to have an end.
pub const FIELD_LABELS_MAX: usize = 16_384;

const STAMP_HEAD: &[u8] = b"\"resourceVersion\":\"";
const STAMP_TAIL: &[u8] = b"\",";

/// What a writer hands in: an object's JSON without `metadata.resourceVersion`, and where that belongs.
#[derive(Clone)]
pub struct Body {
    /// The object in JSON, without a resourceVersion.
    pub json: Vec<u8>,
    /// Where in `json` the text `"resourceVersion":"N",` goes. Must be within `json`, and another member must
    /// follow there.
    pub revision_at: usize,
    /// What selectors read.
    pub index: Index,
}

/// What selectors read: labels and selectable fields, each sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// `metadata.labels`.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// Selectable fields by label; absent means empty. A label that is not a literal comes from [`field_label`].
    pub fields: Box<[(&'static str, Box<str>)]>,
}

/// One object at one revision.
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
        let digits_at = (self.revision_at + STAMP_HEAD.len()).min(self.json.len());
        let digits = self.json[digits_at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let text = revision.to_string();
        let mut json = Vec::with_capacity(self.json.len() - digits + text.len());
        json.extend_from_slice(&self.json[..digits_at]);
        json.extend_from_slice(text.as_bytes());
        json.extend_from_slice(&self.json[digits_at + digits..]);
        Entry {
            key: self.key.clone(),
            revision,
            json: json.into(),
            revision_at: self.revision_at,
            index: self.index.clone(),
        }
    }
}

// Objects may be secrets: what is printed of them, in logs and panics, tells their size alone.

impl fmt::Debug for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Entry({}@{}, {} bytes)", self.key, self.revision, self.json.len())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Body({} bytes)", self.json.len())
    }
}

impl Body {
    /// The entry that this body becomes at a revision. Its bytes are copied once, into a buffer of just their size.
    pub(crate) fn stamped(self, key: Arc<str>, revision: u64) -> Entry {
        debug_assert!(self.revision_at <= self.json.len(), "the resourceVersion belongs inside the object");
        let at = self.revision_at.min(self.json.len());
        let digits = revision.to_string();
        let mut json =
            Vec::with_capacity(self.json.len() + STAMP_HEAD.len() + digits.len() + STAMP_TAIL.len());
        json.extend_from_slice(&self.json[..at]);
        json.extend_from_slice(STAMP_HEAD);
        json.extend_from_slice(digits.as_bytes());
        json.extend_from_slice(STAMP_TAIL);
        json.extend_from_slice(&self.json[at..]);
        Entry { key, revision, json: json.into(), revision_at: at, index: self.index }
    }
}

static FIELD_LABELS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The one `'static` copy of a selectable field's label, for [`Index::fields`]. `None` when the process has
/// interned [`FIELD_LABELS_MAX`] labels and this is not one of them: refuse the definition that asks for it.
pub fn field_label(label: &str) -> Option<&'static str> {
    let mut labels = FIELD_LABELS.lock();
    if let Some(known) = labels.get(label) {
        return Some(known);
    }
    if labels.len() >= FIELD_LABELS_MAX {
        return None;
    }
    let kept: &'static str = Box::leak(label.into());
    labels.insert(kept);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> Body {
        let at = json.find("\"uid\"").expect("the object has a uid");
        Body { json: json.into(), revision_at: at, index: Index::default() }
    }

    #[test]
    fn a_revision_is_spliced_in_and_replaced() {
        let entry = body(r#"{"metadata":{"name":"a","uid":"1"}}"#).stamped("a".into(), 99);
        assert_eq!(&entry.json[..], br#"{"metadata":{"name":"a","resourceVersion":"99","uid":"1"}}"#);
        let deleted = entry.restamped(100);
        assert_eq!(&deleted.json[..], br#"{"metadata":{"name":"a","resourceVersion":"100","uid":"1"}}"#);
        assert_eq!((deleted.revision, deleted.revision_at), (100, entry.revision_at));
        assert_eq!(
            &deleted.restamped(7).json[..],
            br#"{"metadata":{"name":"a","resourceVersion":"7","uid":"1"}}"#
        );
    }

    #[test]
    fn labels_and_fields_are_found() {
        let index = Index {
            labels: [("app".into(), "web".into()), ("tier".into(), "front".into())].into(),
            fields: [("metadata.name", "a".into()), ("spec.nodeName", "n1".into())].into(),
        };
        assert_eq!((index.label("tier"), index.label("x")), (Some("front"), None));
        assert_eq!((index.field("spec.nodeName"), index.field("status.phase")), ("n1", ""));
    }

    #[test]
    fn a_field_label_has_one_copy() {
        let first = field_label("spec.color").expect("there is room");
        let second = field_label(&String::from("spec.color")).expect("there is room");
        assert!(std::ptr::eq(first, second));
    }
}
