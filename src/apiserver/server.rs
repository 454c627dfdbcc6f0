//! The API server itself: what all requests share. The operations stand in [`crate::rest`], one file per verb.

use crate::admission::Admission;
use crate::aggregation::Remote;
use crate::authn::ServiceAccountTokens;
use crate::authorization::{Action, Authorizer};
use crate::client::Client;
use crate::registry::{Registry, Resource};
use crate::rest::{Caller, Connector};
use crate::user::User;
use alcove_object::{Env, Status};
use alcove_schema::Minor;
use alcove_store::Store;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// What a server is made of.
pub struct ServerConfig {
    /// The minor version served.
    pub minor: Minor,
    /// Clock and randomness.
    pub env: Arc<dyn Env>,
    /// Where objects live.
    pub store: Store,
    /// The built-in resources, in the order of discovery.
    pub resources: Vec<Arc<Resource>>,
    /// Admission steps, in the order in which they run.
    pub admission: Vec<Arc<dyn Admission>>,
    /// Decides who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    /// Answers exec, logs, port-forward and the proxies; without one they fail with 503.
    pub connector: Option<Arc<dyn Connector>>,
    /// Issues service-account tokens; without it requests for them fail with 503.
    pub tokens: Option<Arc<ServiceAccountTokens>>,
}

/// A shared server: cheap to clone.
pub type Server = Arc<ApiServer>;

/// The Kubernetes API over one store.
pub struct ApiServer {
    /// The minor version served.
    pub minor: Minor,
    /// Clock and randomness.
    pub env: Arc<dyn Env>,
    /// Where objects live.
    pub store: Store,
    registry: ArcSwap<Registry>,
    registry_changed: tokio::sync::watch::Sender<()>,
    pub(crate) admission: Vec<Arc<dyn Admission>>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) connector: Option<Arc<dyn Connector>>,
    pub(crate) tokens: Option<Arc<ServiceAccountTokens>>,
    more_metrics: parking_lot::RwLock<Vec<MoreMetrics>>,
}

/// Writes numbers of another room in Prometheus' text form.
type MoreMetrics = Box<dyn Fn(&mut String) + Send + Sync>;

impl ApiServer {
    /// Puts a server together.
    pub fn new(config: ServerConfig) -> Server {
        Arc::new(ApiServer {
            minor: config.minor,
            env: config.env,
            store: config.store,
            registry: ArcSwap::from_pointee(Registry::new(config.resources)),
            registry_changed: tokio::sync::watch::Sender::new(()),
            admission: config.admission,
            authorizer: config.authorizer,
            connector: config.connector,
            tokens: config.tokens,
            more_metrics: parking_lot::RwLock::default(),
        })
    }

    /// Adds numbers of another room to what `/metrics` tells. Names and labels must be bounded.
    pub fn add_metrics(&self, render: impl Fn(&mut String) + Send + Sync + 'static) {
        self.more_metrics.write().push(Box::new(render));
    }

    /// Writes the numbers of other rooms.
    pub(crate) fn render_more_metrics(&self, out: &mut String) {
        self.more_metrics.read().iter().for_each(|render| render(out));
    }

    /// The resources served right now.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.load_full()
    }

    /// Serves other resources from now on. Requests that are under way finish with what they started with.
    pub fn replace_resources(&self, resources: Vec<Arc<Resource>>) {
        self.registry.rcu(|now| {
            let all = resources.iter().chain(now.unserved()).cloned();
            Registry::new(all.collect()).with_remotes(now.remotes().to_vec())
        });
        self.registry_changed.send_replace(());
    }

    /// Passes on requests to these servers from now on.
    pub fn replace_remotes(&self, remotes: Vec<Arc<Remote>>) {
        self.registry.rcu(|now| {
            let all = now.resources().iter().chain(now.unserved()).cloned();
            Registry::new(all.collect()).with_remotes(remotes.clone())
        });
        self.registry_changed.send_replace(());
    }

    /// Tells of every time that other resources are served.
    pub fn registry_changes(&self) -> tokio::sync::watch::Receiver<()> {
        self.registry_changed.subscribe()
    }

    /// The API as one user sees it, without a socket. `manager` owns the fields that it writes.
    pub fn client(self: &Arc<Self>, user: User, manager: &str) -> Client {
        Client::new(self.clone(), Caller { user, manager: manager.to_owned() })
    }

    /// 403 unless the user may do this.
    pub fn authorize(&self, user: &User, action: &Action<'_>) -> Result<(), Status> {
        self.authorizer.authorize(user, action).map_err(|reason| action.forbidden(user, &reason))
    }
}
