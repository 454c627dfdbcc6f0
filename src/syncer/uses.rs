//! What uses what: a key of a tenant's object, and the keys of others that it needs on the host or on which its
//! translation depends. So it is known which ConfigMaps and Secrets are in use, which nodes carry pods, which volumes
//! belong to a claim, and who is to be looked at again when an address comes or goes.

use crate::environment::ENVIRONMENT;
use crate::rules::rule;
use crate::translate::{References, references, scope};
use alcove_controllers::pods::node;
use alcove_controllers::runtime::{Key, join, split};
use alcove_object::lean::Wanted;
use alcove_object::tree::at;
use alcove_object::{Value, condition, meta};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

/// What uses what.
#[derive(Debug, Default)]
pub struct Uses {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Sorted. The texts are those that `users` has, since thousands of pods use the same few things.
    used: HashMap<Key, Box<[Key]>>,
    users: HashMap<Key, BTreeSet<Key>>,
    /// Keys that wait for something to be on the host, by what they wait for.
    waiting: HashMap<Key, BTreeSet<Key>>,
}

impl State {
    fn is_on_node(&self, user: &Key) -> bool {
        self.used.get(user).is_some_and(|used| used.iter().any(|key| key.starts_with(NODE)))
    }
}

const NODE: &str = "nodes|";
/// All that [`of_pod`] reads of a pod: every state of every pod is asked what it uses, and most of it says nothing of that.
static READ_OF_PODS: LazyLock<Wanted> = LazyLock::new(|| {
    Wanted::of(&[
        "metadata/name",
        "metadata/namespace",
        "metadata/ownerReferences",
        "spec/containers/*/env",
        "spec/containers/*/envFrom",
        "spec/enableServiceLinks",
        "spec/ephemeralContainers/*/env",
        "spec/ephemeralContainers/*/envFrom",
        "spec/imagePullSecrets",
        "spec/initContainers/*/env",
        "spec/initContainers/*/envFrom",
        "spec/nodeName",
        "spec/serviceAccountName",
        "spec/volumes",
        "status/conditions",
    ])
});
/// What makes the names in a pod's spec change after it got its node.
const EPHEMERAL: &[u8] = b"\"ephemeralContainers\":[";

impl Uses {
    /// Notes what an object (`resource|namespace/name`) uses now, from its JSON; `None` when it is gone. Gives the keys
    /// (such as `configmaps|ns/name`, `nodes|name`) that came into use or fell out of it.
    pub fn see(&self, user: &Key, json: Option<&[u8]>) -> Vec<Key> {
        let Some(of) = user.split_once('|').and_then(|(resource, _)| rule(resource)?.uses) else {
            return Vec::new();
        };
        let Some(json) = json else {
            let mut changed = self.put(user, BTreeSet::new());
            changed.extend(self.binds_no_more(user));
            return changed;
        };
        // Names in a pod's spec stand once it has a node, so most of its events need not be read.
        let may_differ = || json.windows(EPHEMERAL.len()).any(|window| window == EPHEMERAL);
        if self.state.lock().is_on_node(user) && !may_differ() {
            return Vec::new();
        }
        let (namespace, _) = split(user.split_once('|').map_or(user, |(_, object)| object));
        let lean = if user.starts_with("pods|") { READ_OF_PODS.read(json).ok() } else { None };
        let tree: Value = lean.unwrap_or_else(|| serde_json::from_slice(json).unwrap_or_default());
        let mut changed = self.put(user, of(namespace, &tree));
        if node(&tree).is_some() {
            changed.extend(self.binds_no_more(user));
        }
        changed
    }

    /// A pod is about to be bound to a node, which is in use from now on; the bound pod's event takes over.
    pub fn binds(&self, pod: &Key, node: Key) {
        self.put(&binding(pod), BTreeSet::from([node]));
    }

    /// A pod was not bound after all, or its event came. Gives the keys that fell out of use.
    pub fn binds_no_more(&self, pod: &Key) -> Vec<Key> {
        self.put(&binding(pod), BTreeSet::new())
    }

    fn put(&self, user: &Key, wanted: BTreeSet<Key>) -> Vec<Key> {
        let state = &mut *self.state.lock();
        let before = state.used.remove(user).unwrap_or_default();
        let mut changed = Vec::new();
        let mut now = Vec::with_capacity(wanted.len());
        for key in wanted {
            let known = state.users.get_key_value(&key).map(|(known, _)| known.clone());
            let key = known.unwrap_or_else(|| {
                changed.push(key.clone());
                key
            });
            state.users.entry(key.clone()).or_default().insert(user.clone());
            now.push(key);
        }
        for key in before.iter().filter(|key| now.binary_search(key).is_err()) {
            if let Some(users) = state.users.get_mut(key) {
                users.remove(user);
                if users.is_empty() {
                    state.users.remove(key);
                    changed.push(key.clone());
                }
            }
        }
        if !now.is_empty() {
            state.used.insert(user.clone(), now.into());
        }
        changed
    }

    /// Whether anything uses this.
    pub fn is_used(&self, key: &str) -> bool {
        self.state.lock().users.contains_key(key)
    }

    /// What uses this.
    pub fn users(&self, key: &str) -> BTreeSet<Key> {
        self.state.lock().users.get(key).cloned().unwrap_or_default()
    }

    /// What an object uses.
    pub fn of(&self, user: &str) -> Box<[Key]> {
        self.state.lock().used.get(user).cloned().unwrap_or_default()
    }

    /// A key waits until something was worked on.
    pub fn wait(&self, used: &Key, user: &Key) {
        self.state.lock().waiting.entry(used.clone()).or_default().insert(user.clone());
    }

    /// A key waits for it no longer.
    pub fn wait_no_more(&self, used: &Key, user: &Key) {
        let mut state = self.state.lock();
        let Some(waiting) = state.waiting.get_mut(used) else { return };
        waiting.remove(user);
        if waiting.is_empty() {
            state.waiting.remove(used);
        }
    }

    /// The keys that waited for something that now was worked on.
    pub fn woken(&self, used: &Key) -> BTreeSet<Key> {
        self.state.lock().waiting.remove(used).unwrap_or_default()
    }
}

/// A key of an object that is used.
pub fn used(resource: &str, namespace: &str, name: &str) -> Key {
    format!("{resource}|{}", join(namespace, name)).into()
}

/// A key of something on which a translation depends, and that need not go to the host for it.
pub fn depends(resource: &str, namespace: &str, name: &str) -> Key {
    format!("={resource}|{}", join(namespace, name)).into()
}

/// Who uses a node while a pod is being bound to it.
fn binding(pod: &Key) -> Key {
    format!("binding|{pod}").into()
}

/// The claims that a pod mounts. One that comes and goes with the pod is named after it by the tenant's controllers.
fn claims(pod: &Value) -> impl Iterator<Item = String> {
    let volumes = at(pod, "/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    volumes.filter_map(|volume| match volume.get("ephemeral") {
        Some(_) => Some(format!("{}-{}", meta::name(pod), volume["name"].as_str()?)),
        None => at(volume, "/persistentVolumeClaim/claimName")?.as_str().map(str::to_owned),
    })
}

/// Whether a pod is there for its node's sake, so that it must not be what keeps a virtual node.
fn is_daemon(pod: &Value) -> bool {
    meta::controller_of(pod)
        .is_some_and(|owner| owner["kind"] == "DaemonSet" && owner["apiVersion"] == "apps/v1")
}

/// What a pod uses.
pub fn of_pod(namespace: &str, pod: &Value) -> BTreeSet<Key> {
    let References { config_maps, secrets } = references(pod);
    let claims = claims(pod).map(|name| used("persistentvolumeclaims", namespace, &name));
    let account = at(pod, "/spec/serviceAccountName").and_then(Value::as_str);
    let account = account.map(|name| used("serviceaccounts", namespace, name));
    let more: Vec<Key> = claims.chain(account).collect();
    // A pod that names its node itself says nothing of whether there is one; it is looked at again when there is.
    let is_placed = condition::is_true(pod, "PodScheduled");
    let node = node(pod).and_then(|node| match is_placed {
        false => Some(depends("nodes", "", node)),
        true => (!is_daemon(pod)).then(|| used("nodes", "", node)),
    });
    let maps = config_maps.iter().map(|name| used("configmaps", namespace, name));
    let secrets = secrets.iter().map(|name| used("secrets", namespace, name));
    maps.chain(secrets).chain(node).chain(more).chain([used(ENVIRONMENT, "", scope(pod))]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn things_are_in_use_as_long_as_one_pod_uses_them() {
        let uses = Uses::default();
        let pod = json!({ "spec": { "volumes": [{ "configMap": { "name": "files" } }] } }).to_string();
        let (a, b): (Key, Key) = ("pods|d/a".into(), "pods|d/b".into());
        let both = || vec![Key::from("configmaps|d/files"), Key::from("environment|")];
        assert_eq!(uses.see(&a, Some(pod.as_bytes())), both());
        assert!(uses.see(&b, Some(pod.as_bytes())).is_empty());
        assert!(uses.see(&a, None).is_empty());
        assert!(uses.is_used("configmaps|d/files"));
        assert_eq!(uses.see(&b, None), both());
        assert!(!uses.is_used("configmaps|d/files"));
    }

    #[test]
    fn all_is_read_of_a_pod_that_says_what_it_uses() {
        let reference =
            |name: &str| json!([{ "name": "v", "valueFrom": { "secretKeyRef": { "name": name } } }]);
        let container = |name: &str| {
            let from = json!([{ "configMapRef": { "name": format!("{name}-from") } }]);
            json!([{ "name": name, "image": "i", "env": reference(name), "envFrom": from }])
        };
        let pod = json!({
            "metadata": { "name": "p", "namespace": "d", "managedFields": [{}],
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "DaemonSet", "controller": true }] },
            "spec": { "nodeName": "n", "serviceAccountName": "a", "enableServiceLinks": false,
                "containers": container("c"), "initContainers": container("i"), "ephemeralContainers": container("e"),
                "imagePullSecrets": [{ "name": "pull" }],
                "volumes": [{ "name": "own", "ephemeral": {} }, { "persistentVolumeClaim": { "claimName": "claim" } },
                    { "projected": { "sources": [{ "secret": { "name": "projected" } }] } }] },
            "status": { "conditions": [{ "type": "PodScheduled", "status": "True" }] },
        });
        let mut kept = pod.clone();
        for owner in [true, false] {
            let lean = READ_OF_PODS.read(kept.to_string().as_bytes()).unwrap();
            assert_eq!(of_pod("d", &lean), of_pod("d", &kept), "{owner}");
            assert!(of_pod("d", &kept).len() > 10);
            meta::unset(&mut kept, "ownerReferences");
        }
    }

    #[test]
    fn a_pod_on_a_node_is_read_again_only_for_ephemeral_containers() {
        let uses = Uses::default();
        let pod: Key = "pods|d/a".into();
        let see = |spec: Value| {
            let status = json!({ "conditions": [{ "type": "PodScheduled", "status": "True" }] });
            uses.see(&pod, Some(json!({ "spec": spec, "status": status }).to_string().as_bytes()))
        };
        assert_eq!(see(json!({ "nodeName": "n" })), vec![Key::from("environment|"), Key::from("nodes|n")]);
        let env = json!([{ "secretRef": { "name": "s" } }]);
        let debug = json!({ "nodeName": "n", "ephemeralContainers": [{ "name": "d", "envFrom": env }] });
        assert_eq!(see(debug), vec![Key::from("secrets|d/s")]);
        assert_eq!(uses.see(&pod, None).len(), 3);
    }

    #[test]
    fn what_is_there_for_its_node_does_not_keep_it() {
        let uses = Uses::default();
        let pod = |kind: &str| {
            let owner = json!([{ "apiVersion": "apps/v1", "kind": kind, "name": "a", "controller": true }]);
            let status = json!({ "conditions": [{ "type": "PodScheduled", "status": "True" }] });
            json!({ "metadata": { "ownerReferences": owner }, "spec": { "nodeName": "n" }, "status": status })
        };
        uses.see(&"pods|d/a".into(), Some(pod("DaemonSet").to_string().as_bytes()));
        assert!(!uses.is_used("nodes|n"));
        uses.see(&"pods|d/b".into(), Some(pod("ReplicaSet").to_string().as_bytes()));
        assert!(uses.is_used("nodes|n"));
    }

    #[test]
    fn a_node_is_in_use_from_before_a_pod_is_bound_to_it() {
        let uses = Uses::default();
        let (pod, node): (Key, Key) = ("pods|d/a".into(), "nodes|n".into());
        uses.binds(&pod, node.clone());
        uses.see(&pod, Some(b"{}"));
        assert!(uses.is_used(&node), "what it was before says nothing");
        let bound = json!({ "spec": { "nodeName": "n" },
            "status": { "conditions": [{ "type": "PodScheduled", "status": "True" }] } });
        uses.see(&pod, Some(bound.to_string().as_bytes()));
        assert!(uses.is_used(&node));
        assert!(uses.see(&pod, None).contains(&node));
        uses.binds(&pod, node.clone());
        assert_eq!(uses.binds_no_more(&pod), [node]);
    }

    #[test]
    fn who_waits_is_woken_once() {
        let uses = Uses::default();
        let (used, pod, other): (Key, Key, Key) =
            ("secrets|d/s".into(), "pods|d/a".into(), "pods|d/b".into());
        uses.wait(&used, &pod);
        uses.wait(&used, &other);
        uses.wait_no_more(&used, &other);
        assert_eq!(uses.woken(&used), BTreeSet::from([pod]));
        assert!(uses.woken(&used).is_empty());
    }
}
