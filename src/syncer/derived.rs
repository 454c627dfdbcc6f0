//! Host objects that are no tenant object's counterpart but follow from one: the tokens of a pod, the service variables
//! of a namespace. All that is known of them is their metadata and a mark that says what they hold, never the content;
//! the mark stands in an annotation, so a restart writes nothing that stands already.

use crate::engine::Syncer;
use crate::environment;
use crate::error::Error;
use crate::features::State;
use crate::gone::Gone;
use crate::host::Pauses;
use crate::host_object::HostObject;
use crate::tokens;
use crate::translate::{self, DIGEST, ENVIRONMENT, RENEW, TOKENS, Tenant};
use crate::uses::used;
use crate::watch::denied;
use crate::write::{ONLY_CREATE, applying};
use alcove_controllers::runtime::Key;
use alcove_object::{Value, meta};
use futures_util::StreamExt;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

/// A kind of derived objects.
pub struct Derivation {
    /// What pods wait for at the start: that all of them are known.
    pub feature: &'static str,
    kind: &'static str,
    resource: &'static str,
    /// The label that they have.
    label: &'static str,
    /// The annotation that says what one holds.
    mark: &'static str,
    /// The key of what one follows from; `None` unless it is one that we would make.
    key: fn(&Tenant, &Value) -> Option<Key>,
}

/// Pods' tokens.
pub static POD_TOKENS: Derivation = Derivation {
    feature: "tokens",
    kind: "Secret",
    resource: "secrets",
    label: TOKENS,
    mark: RENEW,
    key: |tenant, secret| {
        translate::tokens_owner(tenant, secret)
            .map(|owner| used(tokens::TOKENS, &owner.namespace, &owner.name))
    },
};

/// Service variables.
pub static VARIABLES: Derivation = Derivation {
    feature: "service variables",
    kind: "ConfigMap",
    resource: "configmaps",
    label: ENVIRONMENT,
    mark: DIGEST,
    key: |tenant, config_map| {
        translate::environment_scope(tenant, config_map)
            .map(|scope| used(environment::ENVIRONMENT, "", &scope))
    },
};

/// All kinds of derived objects.
pub static DERIVATIONS: [&Derivation; 2] = [&POD_TOKENS, &VARIABLES];

impl Derivation {
    fn host_resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", self.kind), self.resource)
    }
}

/// What is known of one derived object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    uid: String,
    revision: u64,
    /// What it holds; `None` when somebody else changed it.
    pub mark: Option<String>,
    key: Key,
}

type At = (&'static str, String);

/// The derived objects on the host.
#[derive(Debug, Default)]
pub struct Derived(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    held: HashMap<At, Held>,
    gone: Gone,
}

impl Derived {
    /// What is known of an object.
    pub fn get(&self, of: &Derivation, name: &str) -> Option<Held> {
        self.0.lock().held.get(&(of.feature, name.to_owned())).cloned()
    }

    /// Notes an object as the host's watch tells it. Gives the key of what it follows from if somebody else changed it.
    fn observe(&self, of: &Derivation, name: &str, mut seen: Held) -> Option<Key> {
        let mut all = self.0.lock();
        let at = (of.feature, name.to_owned());
        let known = all.held.get(&at).filter(|known| known.uid == seen.uid);
        if known.is_some_and(|known| known.revision >= seen.revision) {
            return None;
        }
        // Each write of ours has a mark of its own: a change that keeps it is somebody else's.
        let is_theirs = known.is_some_and(|known| known.mark == seen.mark) || seen.mark.is_none();
        let key = seen.key.clone();
        if is_theirs {
            seen.mark = None;
        }
        all.held.insert(at, seen);
        is_theirs.then_some(key)
    }

    /// Notes an object as the host answered a write. Gives the key of what it follows from if it went already.
    fn answered(&self, of: &Derivation, name: &str, held: Held) -> Option<Key> {
        let mut all = self.0.lock();
        if all.gone.has(&held.uid) {
            return Some(held.key);
        }
        all.held.insert((of.feature, name.to_owned()), held);
        None
    }

    /// Forgets an object that went. Gives the key of what it follows from.
    fn forget(&self, of: &Derivation, name: &str, uid: &str) -> Option<Key> {
        let mut all = self.0.lock();
        all.gone.note(uid);
        let at = (of.feature, name.to_owned());
        all.held.get(&at).filter(|known| known.uid == uid)?;
        all.held.remove(&at).map(|known| known.key)
    }

    fn known(&self, of: &Derivation) -> HashMap<String, String> {
        let all = self.0.lock();
        let of_kind = all.held.iter().filter(|((feature, _), _)| *feature == of.feature);
        of_kind.map(|((_, name), held)| (name.clone(), held.uid.clone())).collect()
    }
}

/// Watches one kind of derived objects, their metadata alone.
pub async fn follow(syncer: Arc<Syncer>, of: &'static Derivation) {
    let only = format!("{}={},{}", translate::CLUSTER, syncer.tenant.cluster, of.label);
    let namespace = &syncer.tenant.host_namespace;
    let api: Api<PartialObjectMeta<HostObject>> =
        Api::namespaced_with(syncer.host_client.clone(), namespace, &of.host_resource());
    let config = watcher::Config::default().labels(&only);
    let mut events = watcher(api, config).backoff(Pauses::default()).boxed();
    let mut unseen = syncer.derived.known(of);
    let gone = |name: &str, uid: &str| {
        syncer.derived.forget(of, name, uid).into_iter().for_each(|key| syncer.queue.add(key));
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => unseen = syncer.derived.known(of),
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                let object = json!({ "metadata": object.metadata });
                let name = meta::name(&object);
                unseen.remove(name);
                if let Some(held) = syncer.held(of, &object) {
                    let changed = syncer.derived.observe(of, name, held);
                    changed.into_iter().for_each(|key| syncer.queue.add(key));
                }
            }
            Ok(watcher::Event::InitDone) => {
                unseen.drain().for_each(|(name, uid)| gone(&name, &uid));
                if syncer.features.set(of.feature, State::On) {
                    syncer.ask_for(of.feature);
                }
            }
            Ok(watcher::Event::Delete(object)) => {
                let object = json!({ "metadata": object.metadata });
                gone(meta::name(&object), meta::uid(&object));
            }
            Err(error) => {
                // Who does not need it need not wait for a right that may never come.
                if let Some(why) = denied(&of.host_resource(), &error)
                    && syncer.features.set(of.feature, State::Off(why))
                {
                    syncer.ask_for(of.feature);
                }
                tracing::warn!(what = of.feature, %error, "a host watch failed and will be opened again")
            }
        }
    }
}

impl Syncer {
    fn held(&self, of: &Derivation, object: &Value) -> Option<Held> {
        let key = (of.key)(&self.tenant, object)?;
        let mark = meta::annotation(object, of.mark).map(str::to_owned);
        Some(Held { uid: meta::uid(object).into(), revision: meta::revision(object), mark, key })
    }

    fn derived_api(&self, of: &Derivation) -> Api<HostObject> {
        let namespace = &self.tenant.host_namespace;
        Api::namespaced_with(self.host_client.clone(), namespace, &of.host_resource())
    }

    /// Writes a derived object, which is one that we know or is not there yet.
    pub async fn put_derived(&self, of: &Derivation, mut object: Value) -> Result<(), Error> {
        let name = meta::name(&object).to_owned();
        match self.derived.get(of, &name) {
            Some(held) => meta::set(&mut object, "uid", held.uid),
            None => meta::set(&mut object, "resourceVersion", ONLY_CREATE),
        }
        let written = self.ask(self.make(&of.host_resource(), &applying().force(), &object)).await?;
        if let Some(held) = self.held(of, &written.into_tree()) {
            let gone = self.derived.answered(of, &name, held);
            gone.into_iter().for_each(|key| self.queue.add(key));
        }
        Ok(())
    }

    /// Deletes a derived object, if it is there.
    pub async fn drop_derived(&self, of: &Derivation, name: &str) -> Result<(), Error> {
        let Some(held) = self.derived.get(of, name) else { return Ok(()) };
        let only = Preconditions { uid: Some(held.uid.clone()), resource_version: None };
        let params = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
        let api = self.derived_api(of);
        match self.ask(api.delete(name, &params)).await {
            Err(Error::Host(kube::Error::Api(status))) if status.code == 404 => {}
            answer => drop(answer?),
        }
        self.derived.forget(of, name, &held.uid);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_not_ours_is_noticed() {
        let derived = Derived::default();
        let of = &POD_TOKENS;
        let held = |revision, mark: &str| Held {
            uid: "u".into(),
            revision,
            mark: Some(mark.to_owned()),
            key: "pods|d/a".into(),
        };
        assert_eq!(derived.observe(of, "a", held(1, "first")), None, "what was there before us");
        assert_eq!(derived.observe(of, "a", held(2, "second")), None, "our write, seen before its answer");
        assert_eq!(derived.answered(of, "a", held(2, "second")), None);
        assert_eq!(derived.observe(of, "a", held(2, "second")), None);
        assert_eq!(derived.observe(of, "a", held(3, "second")), Some("pods|d/a".into()), "somebody's edit");
        assert_eq!(derived.get(of, "a").unwrap().mark, None);
        assert_eq!(derived.get(&VARIABLES, "a"), None);
        assert_eq!(derived.forget(of, "a", "other"), None);
        assert_eq!(derived.forget(of, "a", "u"), Some("pods|d/a".into()));
        assert_eq!(
            derived.answered(of, "a", held(4, "third")),
            Some("pods|d/a".into()),
            "an answer too late"
        );
        assert_eq!(derived.get(of, "a"), None);
    }
}
