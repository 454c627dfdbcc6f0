//! Watches on the host: one per kind, for ever. A kind that the host does not have, or does not let us watch, is off
//! until it does.

use crate::engine::Syncer;
use crate::features::State;
use crate::host::Pauses;
use crate::rules::Rule;
use alcove_object::tree::at;
use alcove_object::{Value, meta};
use futures_util::StreamExt;
use kube::core::ApiResource;
use kube::runtime::{WatchStreamExt, watcher};
use std::sync::Arc;
use std::time::Duration;

/// The first pause before a kind that the host refused is asked for again; doubles each time.
const DENIED_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest such pause: how long a right may be there before it is noticed.
const DENIED_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Watches one kind on the host.
pub async fn follow(syncer: Arc<Syncer>, rule: &'static Rule) {
    let mut pause = DENIED_PAUSE_MIN;
    loop {
        let why = follow_while_allowed(&syncer, rule, &mut pause).await;
        if syncer.features.set(rule.resource, State::Off(why.clone())) {
            tracing::warn!(kind = rule.kind, why, "this kind is not synced");
        }
        // Who waited for it is told.
        syncer.ask_for(rule.resource);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(DENIED_PAUSE_MAX);
    }
}

/// Gives why the host does not let us.
async fn follow_while_allowed(syncer: &Arc<Syncer>, rule: &'static Rule, pause: &mut Duration) -> String {
    let (host, queue) = (&syncer.host, &syncer.queue);
    let mut events = watcher(syncer.api(rule), watcher::Config::default()).backoff(Pauses::default()).boxed();
    let mut unseen = host.known(rule);
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => unseen = host.known(rule),
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                unseen.remove(object.name());
                if host.is_known(rule, &object) {
                    continue;
                }
                let told = object.read();
                let object = &told.object;
                let owner = syncer.owner(rule, object);
                // What the tenant calls the nodes that it hears of.
                let node = match rule.kind {
                    "Node" => Some(meta::name(object)),
                    _ => at(object, "/spec/nodeName").and_then(Value::as_str),
                };
                let node = node.filter(|node| owner.is_some() && !node.is_empty());
                node.map(|node| syncer.node_name(node));
                let addresses = host.addresses(rule, meta::name(object));
                if host.observe(rule, owner.clone(), &told) {
                    syncer.addresses_moved(&addresses, &host.addresses(rule, meta::name(object)));
                    let key = owner.map(|owner| rule.key(&owner.namespace, &owner.name));
                    if let Some(key) = key.filter(|key| !host.passes_over(rule, key, object)) {
                        host.hand_on(rule, told.object);
                        queue.add(key);
                    }
                }
            }
            Ok(watcher::Event::InitDone) => {
                for (name, uid) in unseen.drain() {
                    syncer.host_object_gone(rule, &name, &uid);
                }
                *pause = DENIED_PAUSE_MIN;
                if syncer.features.set(rule.resource, State::On) {
                    tracing::debug!(kind = rule.kind, "the host told all there is");
                    syncer.ask_for(rule.resource);
                }
            }
            Ok(watcher::Event::Delete(object)) => {
                let object = object.into_tree();
                if let Some(key) = syncer.host_object_gone(rule, meta::name(&object), meta::uid(&object)) {
                    host.hand_on(rule, object);
                    queue.add(key);
                }
            }
            Err(error) => {
                if let Some(why) = denied(&rule.host_resource(), &error) {
                    return why;
                }
                tracing::warn!(kind = rule.kind, %error, "the host watch failed and will be opened again")
            }
        }
    }
    "the host's watch ended".to_owned()
}

/// Why a watch cannot be, if the host says that it cannot.
pub fn denied(resource: &ApiResource, error: &watcher::Error) -> Option<String> {
    let (watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) = error else {
        return None;
    };
    let kube::Error::Api(status) = error else { return None };
    let what = &resource.plural;
    match status.code {
        403 => Some(format!(
            "the host does not let this cluster's service account list and watch {what}; ask the platform team for that right ({})",
            status.message
        )),
        404 => Some(format!("the host does not serve {what} in {}", resource.api_version)),
        _ => None,
    }
}
