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
use crate::translate::{self, TokenSource};
use alcove_controllers::events::Kind;
use alcove_controllers::runtime::Next;
use alcove_object::{Status, Value, meta, time};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

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

impl Syncer {
    /// Sees to it that the host has the tokens that a pod on a node asks for, and says when it is to be seen to again.
    pub async fn keep_tokens(&self, pod: &Value, host_pod: &Facts) -> Result<Next, Error> {
        let sources = translate::token_sources(pod);
        let is_bound = pod.pointer("/spec/nodeName").and_then(Value::as_str).is_some_and(|n| !n.is_empty());
        if sources.is_empty() || !is_bound {
            return Ok(Next::Done);
        }
        let (name, now) = (translate::tokens_name(&self.tenant, pod), self.env.now());
        let known = self.derived.get(&POD_TOKENS, &name).and_then(|held| time::parse(&held.mark?));
        if let Some(renew) = known.filter(|renew| *renew > now) {
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
        self.put_derived(&POD_TOKENS, secret).await?;
        Ok(Next::After(time_left(now, renew)))
    }

    /// A token of the tenant, and when it ends.
    async fn request_token(&self, pod: &Value, source: &TokenSource) -> Result<(String, Timestamp), Status> {
        let account = pod.pointer("/spec/serviceAccountName").and_then(Value::as_str).unwrap_or("default");
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
