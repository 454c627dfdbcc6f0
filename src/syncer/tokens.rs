//! Pods' tokens on the host: asked of the tenant's API server once the pod has its node, so that they name both, kept
//! in a Secret that belongs to the host's pod, and renewed before they end.
//!
//! The kubelet starts no container before the Secret is there. The Secret is never there without the pod: it is made
//! after the host's pod and names it as its owner, so the host deletes it with the pod, whatever happens to us between.
//! When tokens are due stands in an annotation, so a restart asks for no token that is still good; one due time per pod
//! waits in the queue, nothing polls.

use crate::derived::POD_TOKENS;
use crate::engine::Syncer;
use crate::error::Error;
use crate::host::Facts;
use crate::rules::rule;
use crate::translate::{self, TokenSource};
use crate::uses::used;
use alcove_controllers::events::Kind;
use alcove_controllers::pods::{is_finished, node};
use alcove_controllers::runtime::{Next, split};
use alcove_object::tree::at;
use alcove_object::{Status, Value, meta, time};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// What keys of pods' tokens begin with: `tokens|namespace/name` of the pod.
pub const TOKENS: &str = "tokens";
/// A token is renewed when so many fifths of its life are over, as kubelets do.
const RENEWED_AFTER_FIFTHS: u32 = 4;
/// A token is renewed at this age, however long it is good.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon a token that the tenant's API server refused is asked for again: its service account may come back.
const REFUSED_DELAY: Duration = Duration::from_secs(10);

/// Until when a token may be used without being renewed.
fn renewal(issued: Timestamp, ends: Timestamp) -> Timestamp {
    let life = time_left(issued, ends);
    issued.saturating_add((life / 5 * RENEWED_AFTER_FIFTHS).min(AGE_MAX)).unwrap_or(issued)
}

fn time_left(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// Whether the host needs tokens for a pod.
fn needs_tokens(pod: &Value) -> bool {
    node(pod).is_some() && !is_finished(pod) && !translate::token_sources(pod).is_empty()
}

impl Syncer {
    /// Sees to a pod's tokens as soon as they are due: now, if there are none. They have a key of their own, so that the
    /// pod's state waits neither for the tenant's signature nor for the host to take the Secret.
    pub fn ask_for_tokens(&self, pod: &Value) {
        if needs_tokens(pod) {
            let left = self.tokens_left(pod).unwrap_or_default();
            self.queue.add_after(used(TOKENS, meta::namespace(pod), meta::name(pod)), left);
        }
    }

    /// How long the tokens that the host has for a pod need no renewal; `None`: it has none, or they are due.
    fn tokens_left(&self, pod: &Value) -> Option<Duration> {
        let held = self.derived.get(&POD_TOKENS, &translate::tokens_name(&self.tenant, pod))?;
        let left = time_left(self.env.now(), time::parse(&held.mark?)?);
        Some(left).filter(|left| !left.is_zero())
    }

    /// The tokens of the pod `namespace/name`.
    pub async fn sync_tokens(&self, object: &str) -> Result<Next, Error> {
        let Some(rule) = rule("pods").filter(|_| self.features.is_answered(POD_TOKENS.feature)) else {
            // Pods are asked for when the host has told what it has, and ask for their tokens.
            return Ok(Next::Done);
        };
        let (namespace, name) = split(object);
        let Some(pod) = self.tenant_object(rule, namespace, name)?.filter(needs_tokens) else {
            return Ok(Next::Done);
        };
        let on_host = self.host.facts(rule, &translate::host_name(&self.tenant, namespace, name));
        let is_its = |facts: &Facts| facts.owner.as_ref().is_some_and(|owner| owner.uid == meta::uid(&pod));
        let Some(on_host) = on_host.filter(is_its) else { return Ok(Next::Done) };
        match self.keep_tokens(&pod, &on_host).await {
            Err(Error::Refused { message, .. }) => Ok(self.refused_by_host(&pod, &message).await),
            done => done,
        }
    }

    /// Sees to it that the host has the tokens that a pod on a node asks for, and says when it is to be seen to again.
    async fn keep_tokens(&self, pod: &Value, host_pod: &Facts) -> Result<Next, Error> {
        if let Some(left) = self.tokens_left(pod) {
            return Ok(Next::After(left));
        }
        let now = self.env.now();
        let (mut tokens, mut renew) = (BTreeMap::new(), Timestamp::MAX);
        for source in translate::token_sources(pod) {
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
        self.put_derived(&POD_TOKENS, secret).await?;
        Ok(Next::After(time_left(now, renew)))
    }

    /// A token of the tenant, and when it ends.
    async fn request_token(&self, pod: &Value, source: &TokenSource) -> Result<(String, Timestamp), Status> {
        let account = at(pod, "/spec/serviceAccountName").and_then(Value::as_str).unwrap_or("default");
        let spec = json!({
            "audiences": source.audience.iter().collect::<Vec<_>>(),
            "expirationSeconds": source.seconds,
            "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": meta::uid(pod) },
        });
        self.client.request_token(meta::namespace(pod), account, spec).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_at_four_fifths_of_their_life_or_after_a_day() {
        let at = |text: &str| time::parse(text).unwrap();
        let issued = "2026-11-21T10:00:00Z";
        for (ends, expected) in [
            ("2026-11-21T11:00:00Z", "2026-11-21T10:48:00Z"),
            ("2026-11-21T10:10:00Z", "2026-11-21T10:08:00Z"),
            ("2027-11-21T10:00:00Z", "2026-11-22T10:00:00Z"),
        ] {
            assert_eq!(renewal(at(issued), at(ends)), at(expected));
        }
    }
}
