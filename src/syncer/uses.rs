//! Which ConfigMaps and Secrets are in use, and which nodes carry pods: keys, counted by the pods behind them.

use crate::translate::{References, references};
use alcove_controllers::runtime::{Key, join, split};
use alcove_object::Value;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};

/// What pods use.
#[derive(Debug, Default)]
pub struct Uses {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_pod: HashMap<Key, BTreeSet<Key>>,
    users: HashMap<Key, usize>,
}

impl Uses {
    /// Notes what a pod uses now; `None` when it is gone. Gives the keys (`configmaps|ns/name`, `secrets|ns/name`,
    /// `nodes|name`) that came into use or fell out of it.
    pub fn put(&self, pod: &Key, tree: Option<&Value>) -> Vec<Key> {
        let wanted = tree.map(|tree| keys(pod, tree)).unwrap_or_default();
        let state = &mut *self.state.lock();
        let before = state.by_pod.remove(pod).unwrap_or_default();
        let mut changed = Vec::new();
        for key in wanted.difference(&before) {
            let users = state.users.entry(key.clone()).or_default();
            *users += 1;
            if *users == 1 {
                changed.push(key.clone());
            }
        }
        for key in before.difference(&wanted) {
            if let Some(users) = state.users.get_mut(key) {
                *users -= 1;
                if *users == 0 {
                    state.users.remove(key);
                    changed.push(key.clone());
                }
            }
        }
        if !wanted.is_empty() {
            state.by_pod.insert(pod.clone(), wanted);
        }
        changed
    }

    /// Whether any pod uses this.
    pub fn is_used(&self, key: &str) -> bool {
        self.state.lock().users.contains_key(key)
    }
}

fn keys(pod: &Key, tree: &Value) -> BTreeSet<Key> {
    let (namespace, _) = split(pod);
    let References { config_maps, secrets } = references(tree);
    let in_namespace =
        |resource: &str, name: &str| -> Key { format!("{resource}|{}", join(namespace, name)).into() };
    let node = tree.pointer("/spec/nodeName").and_then(Value::as_str).filter(|node| !node.is_empty());
    let maps = config_maps.iter().map(|name| in_namespace("configmaps", name));
    let secrets = secrets.iter().map(|name| in_namespace("secrets", name));
    maps.chain(secrets).chain(node.map(|node| format!("nodes|{node}").into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn things_are_in_use_as_long_as_one_pod_uses_them() {
        let uses = Uses::default();
        let pod = json!({ "spec": { "volumes": [{ "configMap": { "name": "files" } }] } });
        let (a, b): (Key, Key) = ("d/a".into(), "d/b".into());
        assert_eq!(uses.put(&a, Some(&pod)), vec![Key::from("configmaps|d/files")]);
        assert!(uses.put(&b, Some(&pod)).is_empty());
        assert!(uses.put(&a, None).is_empty());
        assert!(uses.is_used("configmaps|d/files"));
        assert_eq!(uses.put(&b, None), vec![Key::from("configmaps|d/files")]);
        assert!(!uses.is_used("configmaps|d/files"));
    }
}
