//! The embedded host for `alcove dev`: simulated nodes for a control plane of our own.
//!
//! A host cluster is our own API server and controllers plus this room: a scheduler that binds pods, and nodes whose
//! pods become Running and Ready at once and, when they are meant to end, Succeeded soon after, or when they have slept
//! as long as their command says. Nothing is run; what clients see of pods, and the order in which they see it, is what
//! a kubelet would tell.
//!
//! **Invariants.** Speaks to the host through the Kubernetes API alone, as a scheduler and kubelets do. Keeps keys and
//! addresses, no objects. Everything it knows is rebuilt from the API at a start.

mod addresses;
mod kubelet;
mod nodes;
mod pod_status;
mod scheduler;
mod silence;

pub use silence::Silence;

use alcove_apiserver::{Client, User};
use alcove_controllers::runtime::{self, Failure, Source};
use alcove_object::{Env, Gvr};
use std::sync::Arc;
use tokio::task::JoinSet;

/// The most nodes that can be simulated; each has an address of its own in one /24.
pub const NODES_MAX: u16 = 250;

/// How the simulated part of a host looks.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many nodes there are, at most [`NODES_MAX`].
    pub nodes: u16,
    /// What the nodes report as their kubelet's version, such as `v1.36.3`.
    pub kubelet_version: String,
}

/// Registers the nodes and starts scheduler and kubelets. They end when the returned set is dropped.
pub async fn start(client: &Client, env: Arc<dyn Env>, config: &Config) -> Result<JoinSet<()>, Failure> {
    let kubelet_client = client.as_user(User::component("system:node:sandbox"));
    nodes::register(&kubelet_client, env.as_ref(), config).await?;
    let mut tasks = JoinSet::new();

    let scheduler_client = client.as_user(User::component("system:kube-scheduler"));
    let scheduler = Arc::new(scheduler::Scheduler::new(scheduler_client.clone(), env.clone()));
    let queue = Arc::default();
    let source = Source::new(pods(), scheduler.clone().mapper());
    runtime::start(&mut tasks, scheduler, &scheduler_client, &queue, vec![source]);

    let kubelet = Arc::new(kubelet::Kubelet::new(kubelet_client.clone(), env));
    let queue = Arc::default();
    let source = Source::new(pods(), kubelet.clone().mapper());
    runtime::start(&mut tasks, kubelet, &kubelet_client, &queue, vec![source]);
    Ok(tasks)
}

fn pods() -> Gvr {
    Gvr::new("", "v1", "pods")
}

fn node_resource() -> Gvr {
    Gvr::new("", "v1", "nodes")
}
