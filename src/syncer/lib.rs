//! Tenant objects to host objects and back.
//!
//! [`translate`] says what belongs where; it is pure. The engine around it watches both sides, holds each key once, and
//! writes to the host by server-side apply with field manager `alcove`.
//!
//! **Invariants.** Every synced field has one owner, the tenant or the host. A host object is written or deleted only if
//! its ownership annotations name this tenant's object; nothing else in the host namespace is ever touched, and nothing
//! is left behind. A host object deleted by hand comes back. From the host only pruned metadata and digests are kept.
//! This room must not know HTTP serving or storage; it speaks to the tenant through the in-process client and to the
//! host through the crate `kube`.

mod engine;
mod error;
mod events;
mod host;
mod kubernetes;
mod nodes;
mod pods;
mod pressure;
mod rules;
mod services;
mod tokens;
pub mod translate;
mod uses;
mod write;

pub use host::client as host_client;
pub use services::HostServices;

use alcove_apiserver::{Server, User};
use alcove_controllers::events::Recorder;
use alcove_controllers::runtime;
use alcove_object::Env;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a syncer needs to know.
#[derive(Clone)]
pub struct Config {
    /// Which tenant, and where on the host.
    pub tenant: translate::Tenant,
    /// What pods may ask of the host.
    pub policy: translate::Policy,
    /// The step of the tenant's admission that asks the host for addresses, if the tenant's server has it.
    pub services: Option<HostServices>,
    /// What virtual nodes report as their kubelet's version, such as `v1.36.3`.
    pub kubelet_version: String,
}

/// Starts the syncer of a tenant; `host` is best made by [`host_client`]. It ends when the returned set is dropped; the
/// host keeps what is there, and the next start goes on from both sides.
pub fn start(server: &Server, host: kube::Client, env: &Arc<dyn Env>, config: Config) -> JoinSet<()> {
    let client = server.client(User::component("system:alcove:syncer"), "alcove");
    let syncer = Arc::new(engine::Syncer {
        tenant: config.tenant,
        policy: config.policy,
        client: client.clone(),
        host_client: host.clone(),
        pressure: pressure::Pressure::default(),
        host: Arc::default(),
        env: env.clone(),
        kubelet_version: config.kubelet_version,
        uses: uses::Uses::default(),
        reserved: services::Reserved::default(),
        tokens: tokens::Tokens::default(),
        queue: Arc::default(),
        events: Recorder::new(client.clone(), env.clone(), "alcove-syncer"),
    });
    if let Some(services) = &config.services {
        services.attach(&syncer);
    }
    let mut tasks = JoinSet::new();
    let mut ready = Vec::new();
    for rule in &rules::RULES {
        let (sender, receiver) = watch::channel(false);
        ready.push(receiver);
        let (known, tenant) = (syncer.host.clone(), syncer.tenant.clone());
        tasks.spawn(host::follow(known, host.clone(), tenant, rule, syncer.queue.clone(), sender));
    }
    let (sender, receiver) = watch::channel(false);
    ready.push(receiver);
    tasks.spawn(tokens::follow(syncer.clone(), sender));
    // Work begins when the whole host namespace is known: what is not known must not be taken for gone.
    tasks.spawn(async move {
        for mut known in ready {
            if known.wait_for(|known| *known).await.is_err() {
                return;
            }
        }
        if let Err(status) = syncer.learn_uses() {
            tracing::error!(error = %status, "cannot list the tenant's pods, so nothing is synced");
            return;
        }
        let mut workers = JoinSet::new();
        let sources = syncer.sources();
        workers.spawn(events::follow_events(syncer.clone()));
        workers.spawn(kubernetes::follow(syncer.clone()));
        runtime::start(&mut workers, syncer.clone(), &client, &syncer.queue, sources);
        syncer.ask_for_all();
        while workers.join_next().await.is_some() {}
    });
    tasks
}
