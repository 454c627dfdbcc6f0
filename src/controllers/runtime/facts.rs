//! The few metadata fields that mappers need, read without building a tree of the whole object, and once for all
//! mappers that are told of it one after the other.

use alcove_apiserver::Object;
use alcove_object::scan::{Malformed, Scanner};
use bytes::Bytes;
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Metadata of an object. What is missing is empty.
#[derive(Debug, Default)]
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
                let facts = Arc::new(Facts::read(&object.bytes).unwrap_or_default());
                *last = Some((object.bytes.clone(), facts.clone()));
                facts
            }
        })
    }

    /// Reads the metadata and no further: most of an object comes after it, or is who owns its fields.
    fn read(json: &[u8]) -> Result<Facts, Malformed> {
        let mut facts = Facts::default();
        let mut json = Scanner::new(json);
        if !json.find("metadata")? {
            return Ok(facts);
        }
        json.object(|json, key| {
            if key.is("uid") {
                facts.uid = json.string()?.text()?.into_owned();
            } else if key.is("labels") {
                facts.labels = typed(json)?;
            } else if key.is("finalizers") {
                facts.finalizers = typed(json)?;
            } else if key.is("ownerReferences") {
                facts.owner_references = typed(json)?;
            } else if key.is("deletionTimestamp") {
                facts.deletion_timestamp = typed(json)?;
            } else {
                json.value()?;
            }
            Ok::<(), Malformed>(())
        })?;
        Ok(facts)
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

fn typed<'a, T: Deserialize<'a>>(json: &mut Scanner<'a>) -> Result<T, Malformed> {
    serde_json::from_slice(json.value()?).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read_wherever_it_stands() {
        let facts = |text: &'static str| {
            Facts::of(&Object { revision: 1, key: "d/a".into(), bytes: Bytes::from_static(text.as_bytes()) })
        };
        for text in [
            r#"{"kind":"K","metadata":{"labels":{"a":"b"},"managedFields":[{"uid":1}],"uid":"u"},"spec":{"uid":"x"}}"#,
            r#"{"spec":{"metadata":{"uid":"x"}},"a\n":1,"metadata":{"uid":"u","labels":{"a":"b"}}}"#,
        ] {
            let found = facts(text);
            assert_eq!((found.uid.as_str(), found.labels["a"].as_str()), ("u", "b"), "{text}");
        }
        for text in ["{}", r#"{"metadata":null}"#, "[]"] {
            assert_eq!(facts(text).uid, "", "{text}");
        }
    }
}
