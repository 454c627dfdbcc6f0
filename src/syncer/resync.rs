//! The slow safety net under the watches: every host object of ours is read again once in an hour, one at a time and
//! spread over it, and every tenant object is looked at again. A syncer with nothing to do asks the host next to nothing.

use crate::engine::Syncer;
use crate::error::Error;
use crate::rules::{Rule, rule};
use crate::translate::host_name;
use alcove_controllers::runtime::{Key, split};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long one round over all objects takes.
const ROUND: Duration = Duration::from_secs(60 * 60);

/// Goes over all objects, for ever.
pub async fn resync(syncer: Arc<Syncer>) {
    loop {
        let keys = keys(&syncer);
        // A round without objects takes as long as one with a single one.
        let pause = ROUND / u32::try_from(keys.len().max(1)).unwrap_or(u32::MAX);
        tokio::time::sleep(pause).await;
        for key in keys {
            match syncer.look_again(&key).await {
                Ok(()) => syncer.queue.add(key),
                Err(error) => tracing::debug!(%key, %error, "not looked at again this time"),
            }
            tokio::time::sleep(pause).await;
        }
    }
}

fn keys(syncer: &Syncer) -> BTreeSet<Key> {
    let of_rule = |rule: &'static Rule| syncer.host.keys(rule).into_iter().chain(syncer.tenant_keys(rule));
    syncer.features.wanted().flat_map(of_rule).collect()
}

impl Syncer {
    /// Reads the host object of a key, as if its watch had told of it.
    async fn look_again(&self, key: &Key) -> Result<(), Error> {
        let Some((rule, object)) = key.split_once('|').and_then(|(r, object)| Some((rule(r)?, object)))
        else {
            return Ok(());
        };
        let (namespace, name) = split(object);
        let on_host = match rule.is_cluster_wide() {
            true => self.host.name_of(rule, name).unwrap_or_default(),
            false => host_name(&self.tenant, namespace, name),
        };
        let Some(facts) = self.host.facts(rule, &on_host) else { return Ok(()) };
        self.metrics.resynced.fetch_add(1, Relaxed);
        let api = self.api(rule);
        match self.ask(api.get_opt(&on_host)).await?.map(|found| found.read()) {
            Some(found) => {
                let owner = self.owner(rule, &found.object);
                if self.host.observe(rule, owner, &found) {
                    self.host.hand_on(rule, found.object);
                }
            }
            None => drop(self.host_object_gone(rule, &on_host, &facts.uid)),
        }
        Ok(())
    }
}
