//! What kube-controller-manager does, in process: reconcilers that make the state asked for true.
//!
//! A reconciler is a function from a key to a set of writes. It watches keys, not objects: when one changes it reads
//! the API server's shared bytes through the in-process client, parses what it needs, compares, writes, and forgets
//! everything again but its index of keys. [`runtime`] is the one engine under all of them, and under the syncer and
//! the simulated nodes too.
//!
//! **Invariants.** No object is held twice. Nothing polls: an idle reconciler waits on its watches and on due times.
//! Every write is safe to repeat, so a reconciler may be cut off anywhere. This room must not know HTTP, storage or a
//! host cluster; it speaks to the API server as any client does.

pub mod aggregation;
pub mod autoscale;
pub mod batch;
pub mod certificates;
pub mod claim_protection;
pub mod claims;
pub mod cron_job;
pub mod daemonset;
pub mod deployment;
pub mod disruption;
pub mod endpoint_slices;
pub mod endpoints;
pub mod ephemeral;
pub mod event_expiry;
pub mod events;
pub mod garbage;
pub mod history;
pub mod job;
pub mod kept;
pub mod mirroring;
pub mod namespace;
pub mod nodes;
pub mod pod_control;
pub mod pod_gc;
pub mod pods;
pub mod presence;
pub mod replica_set;
pub mod resource_quota;
pub mod runtime;
pub mod service_addresses;
pub mod service_cidrs;
pub mod statefulset;
#[cfg(test)]
mod testing;
pub mod token_secrets;

use alcove_apiserver::certs::Authority;
use alcove_apiserver::{Server, User};
use alcove_object::Env;
use futures_util::FutureExt;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Starts all controllers on a server. They end when the returned set is dropped.
///
/// `authority` is whose certificate makes pods trust the API server, and who signs certificates of clients.
pub fn start(server: &Server, env: &Arc<dyn Env>, authority: &Arc<Authority>) -> JoinSet<()> {
    let root_ca = authority.pem();
    let (mut tasks, mut watches) = (JoinSet::new(), runtime::Shared::default());
    let client = |name: &str| {
        server.client(
            User::component(&format!("system:serviceaccount:kube-system:{name}")),
            "kube-controller-manager",
        )
    };
    macro_rules! run {
        ($reconciler:expr, $sources:expr) => {{
            let (reconciler, queue) = (Arc::new($reconciler), Arc::default());
            watches.add(runtime::Reconciler::name(&*reconciler), &queue, $sources(&reconciler));
            runtime::start_workers(&mut tasks, reconciler, &queue);
        }};
    }
    run!(
        namespace::Namespaces::new(server.clone(), client("namespace-controller"), env.clone()),
        |_: &Arc<_>| namespace::Namespaces::sources()
    );
    run!(
        presence::Presence::default_service_account(client("service-account-controller")),
        presence::Presence::sources
    );
    run!(presence::Presence::root_ca(client("root-ca-cert-publisher"), root_ca), presence::Presence::sources);
    run!(
        token_secrets::TokenSecrets::new(client("tokens-controller"), root_ca),
        token_secrets::TokenSecrets::sources
    );
    run!(aggregation::Aggregation::new(client("clusterrole-aggregation-controller")), |_: &Arc<_>| {
        aggregation::Aggregation::sources()
    });
    let (queue, collector) = (Arc::default(), client("generic-garbage-collector"));
    let garbage = Arc::new(garbage::Garbage::new(server.clone(), collector.clone(), Arc::clone(&queue)));
    tasks.spawn(Arc::clone(&garbage).follow().boxed());
    runtime::start_workers(&mut tasks, garbage, &queue);
    let (queue, counter) = (Arc::default(), client("resourcequota-controller"));
    let quotas =
        resource_quota::ResourceQuotas::new(server.clone(), counter.clone(), env.clone(), Arc::clone(&queue));
    let quotas = Arc::new(quotas);
    tasks.spawn(Arc::clone(&quotas).follow().boxed());
    let sources = quotas.sources();
    watches.add(runtime::Reconciler::name(&*quotas), &queue, sources);
    runtime::start_workers(&mut tasks, quotas, &queue);
    run!(
        replica_set::ReplicaSets::new(client("replicaset-controller"), env.clone()),
        replica_set::ReplicaSets::sources
    );
    run!(
        replica_set::ReplicaSets::of_replication_controllers(client("replication-controller"), env.clone()),
        replica_set::ReplicaSets::sources
    );
    run!(
        deployment::Deployments::new(client("deployment-controller"), env.clone()),
        deployment::Deployments::sources
    );
    run!(
        statefulset::StatefulSets::new(client("statefulset-controller"), env.clone()),
        statefulset::StatefulSets::sources
    );
    run!(
        daemonset::DaemonSets::new(client("daemon-set-controller"), env.clone()),
        daemonset::DaemonSets::sources
    );
    run!(job::Jobs::new(client("job-controller"), env.clone()), job::Jobs::sources);
    let (queue, scaler) = (Arc::default(), client("horizontal-pod-autoscaler"));
    let autoscalers =
        autoscale::Autoscalers::new(server.clone(), scaler.clone(), env.clone(), Arc::clone(&queue));
    let autoscalers = Arc::new(autoscalers);
    tasks.spawn(Arc::clone(&autoscalers).follow().boxed());
    let sources = autoscalers.sources();
    watches.add(runtime::Reconciler::name(&*autoscalers), &queue, sources);
    runtime::start_workers(&mut tasks, autoscalers, &queue);
    let (queue, scheduler) = (Arc::default(), client("cronjob-controller"));
    let cron_jobs = Arc::new(cron_job::CronJobs::new(scheduler.clone(), env.clone(), Arc::clone(&queue)));
    let sources = cron_jobs.sources();
    watches.add(runtime::Reconciler::name(&*cron_jobs), &queue, sources);
    runtime::start_workers(&mut tasks, cron_jobs, &queue);
    run!(
        disruption::Disruptions::new(server.clone(), client("disruption-controller"), env.clone()),
        disruption::Disruptions::sources
    );
    run!(disruption::StaleDisruptions::new(client("disruption-controller"), env.clone()), |_: &Arc<_>| {
        disruption::StaleDisruptions::sources()
    });
    run!(ephemeral::EphemeralVolumes::new(client("ephemeral-volume-controller"), env.clone()), |_: &Arc<
        _,
    >| {
        ephemeral::EphemeralVolumes::sources()
    });
    run!(claim_protection::ClaimProtection::new(client("pvc-protection-controller")), |_: &Arc<_>| {
        claim_protection::ClaimProtection::sources()
    });
    run!(
        certificates::Certificates::new(client("certificate-controller"), authority.clone(), env.clone()),
        |_: &Arc<_>| certificates::Certificates::sources()
    );
    run!(
        pod_gc::PodGc::new(client("pod-garbage-collector"), env.clone(), pod_gc::FINISHED_PODS_MAX),
        pod_gc::PodGc::sources
    );
    run!(event_expiry::EventExpiry::new(client("event-ttl-controller"), env.clone()), |_: &Arc<_>| {
        event_expiry::EventExpiry::sources()
    });
    run!(endpoints::Endpoints::new(client("endpointslice-controller")), endpoints::Endpoints::sources);
    run!(
        mirroring::Mirroring::new(client("endpointslicemirroring-controller"), env.clone()),
        mirroring::Mirroring::sources
    );
    run!(
        service_cidrs::ServiceCidrs::new(client("service-cidrs-controller"), env.clone()),
        service_cidrs::ServiceCidrs::sources
    );
    let repairer = server.client(User::component("system:apiserver"), "kube-apiserver");
    run!(service_addresses::ServiceAddressObjects::new(repairer, env.clone()), |_: &Arc<_>| {
        service_addresses::ServiceAddressObjects::sources()
    });
    let watcher = User::component("system:kube-controller-manager");
    watches.start(&mut tasks, &server.client(watcher, "kube-controller-manager"));
    tasks
}
