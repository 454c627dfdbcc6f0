//! Addresses for a tenant's services come from the host: the host's service is made first, in the last step before the
//! tenant's is stored, so that its client sees the address in the answer, as everywhere. So it is when a service that is
//! there becomes one that needs an address or a node port.
//!
//! What was made for a service that then was not stored is an ordinary host object that is not what the tenant wants, which
//! the reconciler deletes or puts back; it only waits a while with services that are just being stored.

use crate::engine::Syncer;
use crate::error::Error;
use crate::host::{Facts, digest};
use crate::host_object::Told;
use crate::rules::{Rule, rule};
use crate::translate::{self, service_addresses};
use crate::write::applying;
use alcove_apiserver::admission::{Admission, Admitting, Attributes, asks_for_more};
use alcove_apiserver::request::Verb;
use alcove_controllers::runtime::Key;
use alcove_object::{Status, Value, meta};
use jiff::{SignedDuration, Timestamp};
use kube::api::Patch;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How long the tenant's API server may take to store a service after the host has it, before the host's counts as left
/// over.
const STORE_TIMEOUT: Duration = Duration::from_secs(25);
/// How long a client waits for a host that does not answer.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the host may count addresses and ports as given whose service went. kube-apiserver gives them free after it
/// has told that the service went (k8s.io/kubernetes/pkg/registry/core/service/storage/storage.go: afterDelete), and who
/// is quick asks for them before that.
const RELEASE_TIMEOUT: SignedDuration = SignedDuration::from_secs(10);
/// How soon the host is asked again for what it is about to give free.
pub const RELEASE_PAUSE: Duration = Duration::from_millis(100);

/// The admission step that asks the host. It goes into the tenant's server before there is a syncer; until one is
/// started with it, services are answered with 503.
#[derive(Clone, Default)]
pub struct HostServices {
    syncer: Arc<OnceLock<Weak<Syncer>>>,
}

impl HostServices {
    /// From now on this syncer asks.
    pub(crate) fn attach(&self, syncer: &Arc<Syncer>) {
        if self.syncer.set(Arc::downgrade(syncer)).is_err() {
            tracing::error!("a tenant's server has one syncer in its life; the second one is not asked");
        }
    }

    async fn take(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let is_asking = is_service(attributes)
            && match attributes.old {
                None => attributes.verb == Verb::Create,
                Some(old) => asks_for_more(attributes.object, old),
            };
        let Some(rule) = rule("services").filter(|_| is_asking) else { return Ok(()) };
        if rule.is_exempt(attributes.object) {
            return Ok(());
        }
        let syncer = self.syncer.get().and_then(Weak::upgrade);
        let syncer = syncer.ok_or_else(|| Status::unavailable("this cluster has not found its host yet"))?;
        syncer.take_addresses(rule, attributes.object, attributes.old, attributes.dry_run).await
    }
}

impl Admission for HostServices {
    fn name(&self) -> &'static str {
        "HostServices"
    }

    fn is_storage(&self) -> bool {
        true
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        if is_service(attributes) && attributes.verb == Verb::Create {
            list_of_one(attributes.object);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn reserve<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(self.take(attributes))
    }
}

fn is_service(attributes: &Attributes<'_>) -> bool {
    let gvr = &attributes.resource.gvr;
    gvr.group.is_empty() && gvr.resource == "services" && attributes.subresource.is_empty()
}

/// Clients of old know `clusterIP` alone.
fn list_of_one(service: &mut Value) {
    let ip = service.pointer("/spec/clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !ip.is_empty() && service.pointer("/spec/clusterIPs").is_none() {
        service["spec"]["clusterIPs"] = vec![ip].into();
    }
}

/// Services that are being made or changed: the revision that they had before, 0 for none, and the time until which the
/// next one may come.
#[derive(Debug, Default)]
pub struct Reserved(Mutex<HashMap<Key, (u64, Instant)>>);

impl Reserved {
    fn put(&self, key: Key, revision: u64) {
        self.0.lock().insert(key, (revision, Instant::now() + STORE_TIMEOUT));
    }

    /// How much longer a service of this revision may be about to be stored anew.
    pub fn time_left(&self, key: &str, revision: u64) -> Option<Duration> {
        let mut reserved = self.0.lock();
        let (_, until) = reserved.get(key).filter(|(before, _)| *before == revision)?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            reserved.remove(key);
            return None;
        }
        Some(left)
    }

    /// It is stored.
    pub fn done(&self, key: &str) {
        self.0.lock().remove(key);
    }
}

/// Services that went from the host just now, the first first, with the time until which it may hold what they had.
#[derive(Debug, Default)]
pub struct Released(Mutex<VecDeque<(Timestamp, Key)>>);

impl Released {
    /// The host's object of this key went.
    pub fn put(&self, key: Key, now: Timestamp) {
        let mut released = self.0.lock();
        while released.front().is_some_and(|(until, _)| *until <= now) {
            released.pop_front();
        }
        released.push_back((now.saturating_add(RELEASE_TIMEOUT).unwrap_or(now), key));
    }

    /// Whether what is refused as given may be free in a moment, since this key's own object had it.
    pub fn is_awaited(&self, key: &str, refusal: &str, now: Timestamp) -> bool {
        let is_given = refusal.contains("already allocated");
        is_given && self.0.lock().iter().any(|(until, of)| **of == *key && *until > now)
    }
}

impl Syncer {
    /// Makes the host's service for a new one of the tenant, or changes it for one that asks for more than it had (`old`),
    /// and writes its addresses into the tenant's.
    async fn take_addresses(
        &self,
        rule: &'static Rule,
        service: &mut Value,
        old: Option<&Value>,
        dry_run: bool,
    ) -> Result<(), Status> {
        let (namespace, name) = (meta::namespace(service).to_owned(), meta::name(service).to_owned());
        // What the rules refuse is stored as it is, and told by an event, as for all kinds.
        let Ok(wanted) = rule.to_host(&self.context(), service) else {
            return Ok(());
        };
        let mut wanted = wanted.object;
        translate::ask_for_addresses(service, &mut wanted);
        if old.is_none() && self.tenant_object(rule, &namespace, &name)?.is_some() {
            return Ok(());
        }
        let key = rule.key(&namespace, &name);
        if !dry_run {
            self.reserved.put(key.clone(), old.map_or(0, meta::revision));
            // If it is not stored after all, the host's goes back to what it was.
            self.queue.add(key.clone());
        }
        let making = self.make_first(rule, &key, wanted, old, dry_run);
        let made = tokio::time::timeout(ADDRESS_TIMEOUT, making).await;
        let made = made.unwrap_or_else(|_| Err(Error::silence(ADDRESS_TIMEOUT)));
        match made {
            Ok(host) => {
                service["spec"] = service_addresses(&service["spec"], &host.object);
                if let (false, Ok(wanted)) = (dry_run, rule.to_host(&self.context(), service)) {
                    self.answered(rule, &host, digest(&wanted.object));
                }
                Ok(())
            }
            // Something of this name is on the host still: the reconciler deals with it, and the address comes later.
            Err(Error::Changed(_)) => Ok(()),
            Err(Error::Refused { message: why, .. }) => {
                let why = self.in_tenant_terms(service, &why);
                Err(Status::forbidden("", "services", &name, &format!("the host refuses it: {why}")))
            }
            Err(error) => {
                tracing::warn!(%error, service = name, "the host gave no address");
                Err(Status::unavailable("the host cluster cannot be asked for an address now; try again"))
            }
        }
    }

    /// Whether the host is about to give free what it refuses to give to this key's object.
    pub fn is_awaited(&self, key: &Key, refusal: &str) -> bool {
        self.released.is_awaited(key, refusal, self.env.now())
    }

    async fn make_first(
        &self,
        rule: &'static Rule,
        key: &Key,
        mut wanted: Value,
        old: Option<&Value>,
        dry_run: bool,
    ) -> Result<Told, Error> {
        let host_name = meta::name(&wanted).to_owned();
        let ours = self.host.facts(rule, &host_name).filter(|facts| facts.owner.is_some());
        let is_same = |facts: &Facts| {
            let owner = facts.owner.as_ref();
            !facts.is_deleting
                && old.is_some_and(|old| owner.is_some_and(|owner| owner.uid == meta::uid(old)))
        };
        let mut params = applying();
        params.dry_run = dry_run;
        match ours {
            Some(facts) if is_same(&facts) => {
                meta::set(&mut wanted, "uid", facts.uid);
                params = params.force();
            }
            earlier => {
                if let Some(earlier) = earlier.filter(|_| !dry_run) {
                    self.delete_on_host(rule, &host_name, &earlier, None).await?;
                    self.released.put(key.clone(), self.env.now());
                }
                meta::set(&mut wanted, "resourceVersion", crate::write::ONLY_CREATE);
            }
        }
        let api = self.api(rule);
        loop {
            match self.ask(api.patch(&host_name, &params, &Patch::Apply(&wanted))).await {
                Err(Error::Refused { message, .. }) if self.is_awaited(key, &message) => {
                    tokio::time::sleep(RELEASE_PAUSE).await;
                }
                made => return Ok(made?.read()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_service_that_is_being_made_is_waited_for_but_not_for_ever() {
        let reserved = Reserved::default();
        reserved.put("services|d/a".into(), 7);
        assert_eq!(reserved.time_left("services|d/a", 7), Some(STORE_TIMEOUT));
        assert_eq!(reserved.time_left("services|d/a", 8), None, "it is stored");
        assert_eq!(reserved.time_left("services|d/b", 7), None);
        tokio::time::advance(STORE_TIMEOUT).await;
        assert_eq!(reserved.time_left("services|d/a", 7), None);
        reserved.put("services|d/a".into(), 0);
        reserved.done("services|d/a");
        assert_eq!(reserved.time_left("services|d/a", 0), None);
    }

    #[test]
    fn what_the_own_service_had_is_waited_for_but_not_for_ever() {
        let (released, now) = (Released::default(), Timestamp::UNIX_EPOCH);
        released.put("services|d/a".into(), now);
        let later = |seconds| now + SignedDuration::from_secs(seconds);
        let given = "spec.clusterIPs: Invalid value: [\"10.0.0.1\"]: failed to allocate IP 10.0.0.1: provided IP is already allocated";
        for (key, refusal, seconds, expected) in [
            ("services|d/a", given, 0, true),
            (
                "services|d/a",
                "spec.ports[0].nodePort: Invalid value: 30100: provided port is already allocated",
                9,
                true,
            ),
            ("services|d/a", given, 10, false),
            ("services|d/b", given, 0, false),
            ("services|d/a", "exceeded quota: services", 0, false),
        ] {
            assert_eq!(
                released.is_awaited(key, refusal, later(seconds)),
                expected,
                "{key} {refusal} {seconds}"
            );
        }
        released.put("services|d/b".into(), later(10));
        assert_eq!(released.0.lock().len(), 1, "what is over is forgotten");
    }
}
