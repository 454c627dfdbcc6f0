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

mod blocks;
mod causes;
mod connection;
mod derived;
mod doors;
mod engine;
mod environment;
mod error;
mod events;
mod features;
mod gone;
mod host;
mod host_object;
pub mod kubeconfig;
mod kubernetes;
mod metrics;
mod mirror;
mod nodes;
mod pod_writes;
mod pods;
mod pressure;
mod resync;
mod rows;
mod rules;
mod services;
mod streams;
mod tokens;
pub mod translate;
mod uses;
mod virtuals;
mod watch;
mod write;

pub use causes::{Certificate, certificate, deepest};
pub use features::{Features, State};
pub use host::{client as host_client, config as host_config};
pub use rules::owners_table;
pub use services::HostServices;
pub use streams::HostStreams;

use alcove_apiserver::{Client, Server, User};
use alcove_config::Sync;
use alcove_controllers::events::Recorder;
use alcove_controllers::runtime;
use alcove_object::Env;
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::task::JoinSet;

/// What a syncer needs to know.
#[derive(Clone)]
pub struct Config {
    /// Which tenant, and where on the host.
    pub tenant: translate::Tenant,
    /// What the platform team allows.
    pub sync: Sync,
    /// The DNS domain of the tenant.
    pub domain: String,
    /// The host's Service of the tenant's DNS, if its pods are to use it. They wait until it has an address.
    pub dns: Option<String>,
    /// The host's service account of the tenant's pods. Without one they run as the namespace's default.
    pub account: Option<String>,
    /// The step of the tenant's admission that asks the host for addresses, if the tenant's server has it.
    pub services: Option<HostServices>,
    /// What relays exec, logs and the like to the host, if the tenant's server has it.
    pub streams: Option<HostStreams>,
    /// What virtual nodes report as their kubelet's version, such as `v1.36.3`.
    pub kubelet_version: String,
    /// Where the syncer notes which kinds it syncs, for whoever publishes that.
    pub features: Features,
}

impl Config {
    /// A syncer of this tenant with safe defaults.
    pub fn new(tenant: translate::Tenant, kubelet_version: String) -> Config {
        Config {
            tenant,
            sync: Sync::default(),
            domain: "cluster.local".into(),
            dns: None,
            account: None,
            services: None,
            streams: None,
            kubelet_version,
            features: Features::default(),
        }
    }
}

/// Starts the syncer of a tenant; `host` is best made by [`host_client`]. It ends when the returned set is dropped; the
/// host keeps what is there, and the next start goes on from both sides.
pub fn start(server: &Server, host: kube::Client, env: &Arc<dyn Env>, config: Config) -> JoinSet<()> {
    let client = server.client(User::component("system:alcove:syncer"), "alcove");
    let syncer = Arc::new(engine::Syncer {
        tenant: config.tenant,
        allowed: config.sync,
        features: config.features,
        metrics: metrics::Metrics::default(),
        client: client.clone(),
        host_client: host,
        pressure: pressure::Pressure::default(),
        host: Arc::default(),
        env: env.clone(),
        kubelet_version: config.kubelet_version,
        uses: uses::Uses::default(),
        reserved: services::Reserved::default(),
        released: services::Released::default(),
        derived: derived::Derived::default(),
        environments: environment::Environments::default(),
        namespaces: Mutex::default(),
        resolver: Mutex::default(),
        domain: config.domain,
        dns: config.dns,
        account: config.account,
        queue: Arc::default(),
        events: Recorder::new(client.clone(), env.clone(), "alcove-syncer"),
    });
    if let Some(services) = &config.services {
        services.attach(&syncer);
    }
    let told = Arc::downgrade(&syncer);
    server.add_metrics(move |out| {
        if let Some(syncer) = told.upgrade() {
            syncer.metrics.render(out, syncer.queue.depth());
        }
    });
    for rule in rules::RULES.iter().filter(|rule| (rule.is_wanted)(&syncer.allowed)) {
        syncer.features.set(rule.resource, State::Starting);
    }
    for of in derived::DERIVATIONS {
        syncer.features.set(of.feature, State::Starting);
    }
    let mut tasks = JoinSet::new();
    if let Some(streams) = &config.streams {
        streams.attach(&syncer, &mut tasks);
    }
    tasks.spawn(run(syncer, client).boxed());
    tasks
}

async fn run(syncer: Arc<engine::Syncer>, client: Client) {
    if let Err(status) = syncer.learn_uses() {
        tracing::error!(error = %status, "cannot list the tenant's objects, so nothing is synced");
        return;
    }
    let mut tasks = JoinSet::new();
    // A kind is worked on as soon as the host has told what it has of it: what is not known must not be taken for gone.
    for rule in syncer.features.wanted() {
        tasks.spawn(watch::follow(syncer.clone(), rule).boxed());
    }
    for of in derived::DERIVATIONS {
        tasks.spawn(derived::follow(syncer.clone(), of).boxed());
    }
    let sources = syncer.sources();
    runtime::start(&mut tasks, syncer.clone(), &client, &syncer.queue, sources);
    let mut doors = vec![(&kubernetes::KUBERNETES, syncer.tenant.cluster.clone())];
    doors.extend(syncer.dns.clone().map(|service| (&kubernetes::DNS, service)));
    for (door, service) in doors {
        tasks.spawn(kubernetes::follow(syncer.clone(), door, service.clone()).boxed());
        tasks.spawn(doors::follow(syncer.clone(), door.namespace, door.name, service).boxed());
    }
    tasks.spawn(resync::resync(syncer.clone()).boxed());
    syncer.ask_for_virtuals();
    syncer.features.all_answered().await;
    tasks.spawn(events::follow_events(syncer).boxed());
    while tasks.join_next().await.is_some() {}
}
