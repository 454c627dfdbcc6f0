//! An index of keys by owner: which pods belong to a ReplicaSet, without holding a pod.

use super::Key;
use alcove_apiserver::Event;
use alcove_object::meta;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Keys of objects by the UID of their controller.
#[derive(Debug, Default)]
pub struct OwnerIndex {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_owner: HashMap<Arc<str>, BTreeSet<Key>>,
    owner_of: HashMap<Key, Arc<str>>,
}

impl OwnerIndex {
    /// Takes an event in. Deleted objects and objects that lost their controller leave the index.
    pub fn observe(&self, event: &Event) {
        match event {
            Event::Added(o) | Event::Modified(o) => {
                let object = o.parse();
                let owner = meta::controller_of(&object).and_then(|c| c.get("uid")).and_then(|u| u.as_str());
                self.put(&o.key, owner);
            }
            Event::Deleted(o) => self.put(&o.key, None),
            Event::Bookmark { .. } => {}
        }
    }

    /// Sets or clears the owner of a key.
    pub fn put(&self, key: &Key, owner: Option<&str>) {
        let state = &mut *self.state.lock();
        if let Some(before) = state.owner_of.get(key).cloned() {
            if owner == Some(&*before) {
                return;
            }
            if let Some(keys) = state.by_owner.get_mut(&before) {
                keys.remove(key);
                if keys.is_empty() {
                    state.by_owner.remove(&before);
                }
            }
            state.owner_of.remove(key);
        }
        if let Some(owner) = owner {
            let owner: Arc<str> = owner.into();
            state.by_owner.entry(owner.clone()).or_default().insert(key.clone());
            state.owner_of.insert(key.clone(), owner);
        }
    }

    /// The keys of what this owner controls, in order.
    pub fn owned(&self, uid: &str) -> Vec<Key> {
        self.state.lock().by_owner.get(uid).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_moves_between_owners_and_leaves() {
        let index = OwnerIndex::default();
        let pod: Key = "default/a".into();
        index.put(&pod, Some("u1"));
        assert_eq!(index.owned("u1"), vec![pod.clone()]);
        index.put(&pod, Some("u2"));
        assert!(index.owned("u1").is_empty());
        index.put(&pod, None);
        assert!(index.owned("u2").is_empty());
    }
}
