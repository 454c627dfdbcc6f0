//! Pods' tokens on the host: asked of the tenant's API server once the pod has its node, so that they name both, kept
//! in a Secret that belongs to the host's pod, and renewed before they end.
//!
//! The kubelet starts no container before the Secret is there. The Secret is never there without the pod: it is made
//! after the host's pod and names it as its owner, so the host deletes it with the pod, whatever happens to us between.
//! When tokens are due stands in an annotation, so a restart asks for no token that is still good; one due time per pod
//! waits in the queue, nothing polls.

use crate::engine::Syncer;
use crate::error::Error;
use crate::features::State;
use crate::host::{FIELD_MANAGER, Facts, Pauses, tree};
use crate::translate::{self, TOKENS, TokenSource};
use crate::watch::denied;
use crate::write::ONLY_CREATE;
use alcove_controllers::events::Kind;
use alcove_controllers::runtime::{Key, Next, join};
use alcove_object::{Gvr, Status, Value, meta, time};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// A token is renewed when so many hundredths of its life are over, as kubelets do.
const RENEWED_AFTER_PERCENT: i64 = 80;
/// A token is renewed at this age, however long it is good.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(24);
/// How soon a token that the tenant's API server refused is asked for again: its service account may come back.
const REFUSED_DELAY: Duration = Duration::from_secs(10);

/// What is known of the Secrets with tokens, by name: never a token.
#[derive(Debug, Default)]
pub struct Tokens(Mutex<HashMap<String, Held>>);

#[derive(Clone, Debug)]
struct Held {
    uid: String,
    revision: u64,
    renew: Timestamp,
    pod: Key,
}

impl Tokens {
    /// Notes a Secret as the host's watch tells it. Gives its pod's key if somebody else changed it.
    fn observe(&self, name: &str, seen: Held) -> Option<Key> {
        let mut all = self.0.lock();
        let known = all.get(name).filter(|known| known.uid == seen.uid);
        if known.is_some_and(|known| known.revision >= seen.revision) {
            return None;
        }
        // Each write of ours has a due time of its own: a change that keeps it is somebody else's.
        let is_theirs = known.is_some_and(|known| known.renew == seen.renew);
        let (pod, mut seen) = (seen.pod.clone(), seen);
        if is_theirs {
            seen.renew = Timestamp::MIN;
        }
        all.insert(name.to_owned(), seen);
        is_theirs.then_some(pod)
    }

    /// Forgets a Secret that went. Gives its pod's key.
    fn forget(&self, name: &str, uid: &str) -> Option<Key> {
        let mut all = self.0.lock();
        all.get(name).filter(|known| known.uid == uid)?;
        all.remove(name).map(|known| known.pod)
    }

    fn get(&self, name: &str) -> Option<Held> {
        self.0.lock().get(name).cloned()
    }

    fn note(&self, name: String, held: Held) {
        self.0.lock().insert(name, held);
    }

    fn names(&self) -> HashMap<String, String> {
        self.0.lock().iter().map(|(name, held)| (name.clone(), held.uid.clone())).collect()
    }
}

/// Until when a token may be used without being renewed.
fn renewal(issued: Timestamp, ends: Timestamp) -> Timestamp {
    let life = ends.duration_since(issued);
    let seconds = life.as_secs().saturating_mul(RENEWED_AFTER_PERCENT) / 100;
    issued.saturating_add(SignedDuration::from_secs(seconds).min(AGE_MAX)).unwrap_or(issued)
}

fn time_left(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO)
}

fn secrets() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Secret"), "secrets")
}

/// What pods wait for at the start: that all Secrets with tokens are known.
pub const FEATURE: &str = "tokens";

/// Watches the Secrets with tokens, their metadata alone.
pub async fn follow(syncer: Arc<Syncer>) {
    let only = format!("{}={},{TOKENS}", translate::CLUSTER, syncer.tenant.cluster);
    let api: Api<PartialObjectMeta<Secret>> =
        Api::namespaced(syncer.host_client.clone(), &syncer.tenant.host_namespace);
    let mut events =
        watcher(api, watcher::Config::default().labels(&only)).backoff(Pauses::default()).boxed();
    let mut unseen = HashMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => unseen = syncer.tokens.names(),
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                let object = json!({ "metadata": object.metadata });
                unseen.remove(meta::name(&object));
                syncer.saw_tokens(&object).into_iter().for_each(|pod| syncer.queue.add(pod));
            }
            Ok(watcher::Event::InitDone) => {
                for (name, uid) in unseen.drain() {
                    syncer.tokens.forget(&name, &uid).into_iter().for_each(|pod| syncer.queue.add(pod));
                }
                if syncer.features.set(FEATURE, State::On) {
                    syncer.ask_for(FEATURE);
                }
            }
            Ok(watcher::Event::Delete(object)) => {
                let name = object.metadata.name.unwrap_or_default();
                let uid = object.metadata.uid.unwrap_or_default();
                syncer.tokens.forget(&name, &uid).into_iter().for_each(|pod| syncer.queue.add(pod));
            }
            Err(error) => {
                // Pods without tokens need not wait for a right that may never come.
                if let Some(why) = denied(&secrets(), &error)
                    && syncer.features.set(FEATURE, State::Off(why))
                {
                    syncer.ask_for(FEATURE);
                }
                tracing::warn!(%error, "the host watch of tokens failed and will be opened again")
            }
        }
    }
}

impl Syncer {
    fn tokens_api(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.host_client.clone(), &self.tenant.host_namespace, &secrets())
    }

    fn saw_tokens(&self, secret: &Value) -> Option<Key> {
        let (owner, renew) = translate::tokens_owner(&self.tenant, secret)?;
        let pod = format!("pods|{}", join(&owner.namespace, &owner.name)).into();
        let seen = Held { uid: meta::uid(secret).into(), revision: meta::revision(secret), renew, pod };
        self.tokens.observe(meta::name(secret), seen)
    }

    /// Sees to it that the host has the tokens that a pod on a node asks for, and says when it is to be seen to again.
    pub async fn keep_tokens(&self, key: &Key, pod: &Value, host_pod: &Facts) -> Result<Next, Error> {
        let sources = translate::token_sources(pod);
        let is_bound = pod.pointer("/spec/nodeName").and_then(Value::as_str).is_some_and(|n| !n.is_empty());
        if sources.is_empty() || !is_bound {
            return Ok(Next::Done);
        }
        let (name, now) = (translate::tokens_name(&self.tenant, pod), self.env.now());
        let known = self.tokens.get(&name);
        if let Some(renew) = known.as_ref().map(|held| held.renew).filter(|renew| *renew > now) {
            return Ok(Next::After(time_left(now, renew)));
        }
        let (mut tokens, mut renew) = (BTreeMap::new(), Timestamp::MAX);
        for source in sources {
            match self.request_token(pod, &source).await {
                Ok((token, ends)) => {
                    renew = renew.min(renewal(now, ends));
                    tokens.insert(source.key, token);
                }
                Err(status) if (400..500).contains(&status.code) => {
                    let message = format!("Cannot get a token for this pod: {}", status.message);
                    self.events.tell(pod, Kind::Warning, "FailedToken", &message).await;
                    return Ok(Next::After(REFUSED_DELAY));
                }
                Err(status) => return Err(status.into()),
            }
        }
        let secret = translate::tokens(&self.tenant, pod, &host_pod.uid, &tokens, renew);
        let written = self.write_tokens(secret, known.as_ref()).await?;
        let held = Held {
            uid: meta::uid(&written).into(),
            revision: meta::revision(&written),
            renew,
            pod: key.clone(),
        };
        self.tokens.note(name, held);
        Ok(Next::After(time_left(now, renew)))
    }

    async fn write_tokens(&self, mut secret: Value, known: Option<&Held>) -> Result<Value, Error> {
        match known {
            Some(held) => meta::set(&mut secret, "uid", held.uid.clone()),
            None => meta::set(&mut secret, "resourceVersion", ONLY_CREATE),
        }
        let (api, params) = (self.tokens_api(), PatchParams::apply(FIELD_MANAGER).force());
        let written = self.ask(api.patch(meta::name(&secret), &params, &Patch::Apply(&secret))).await?;
        Ok(tree(written).unwrap_or_default())
    }

    /// A token of the tenant, and when it ends.
    async fn request_token(&self, pod: &Value, source: &TokenSource) -> Result<(String, Timestamp), Status> {
        let account = pod.pointer("/spec/serviceAccountName").and_then(Value::as_str).unwrap_or("default");
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {
                "audiences": source.audience.iter().collect::<Vec<_>>(),
                "expirationSeconds": source.seconds,
                "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": meta::uid(pod) },
            },
        });
        let accounts = Gvr::new("", "v1", "serviceaccounts");
        let namespace = meta::namespace(pod);
        let answer = self.client.create_subresource(&accounts, "token", namespace, account, request).await?;
        let text = |field: &str| answer["status"][field].as_str().unwrap_or_default();
        let ends = time::parse(text("expirationTimestamp"))
            .ok_or_else(|| Status::internal("a token without an end".to_owned()))?;
        Ok((text("token").to_owned(), ends))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        time::parse(text).unwrap()
    }

    #[test]
    fn tokens_are_renewed_at_four_fifths_of_their_life_or_after_a_day() {
        let issued = "2026-11-21T10:00:00Z";
        for (ends, expected) in [
            ("2026-11-21T11:00:00Z", "2026-11-21T10:48:00Z"),
            ("2026-11-21T10:10:00Z", "2026-11-21T10:08:00Z"),
            ("2027-11-21T10:00:00Z", "2026-11-22T10:00:00Z"),
        ] {
            assert_eq!(renewal(at(issued), at(ends)), at(expected));
        }
    }

    #[test]
    fn a_change_that_is_not_ours_is_noticed() {
        let tokens = Tokens::default();
        let held = |revision, renew: &str| Held {
            uid: "u".into(),
            revision,
            renew: at(renew),
            pod: "pods|d/a".into(),
        };
        let (first, second) = ("2026-11-21T10:48:00Z", "2026-11-21T11:36:00Z");
        assert_eq!(tokens.observe("a", held(1, first)), None, "what was there before us");
        assert_eq!(tokens.observe("a", held(2, second)), None, "our renewal, seen before its answer");
        tokens.note("a".into(), held(2, second));
        assert_eq!(tokens.observe("a", held(2, second)), None);
        assert_eq!(tokens.observe("a", held(3, second)), Some("pods|d/a".into()), "somebody's edit");
        assert_eq!(tokens.get("a").unwrap().renew, Timestamp::MIN);
        assert_eq!(tokens.forget("a", "other"), None);
        assert_eq!(tokens.forget("a", "u"), Some("pods|d/a".into()));
    }
}
