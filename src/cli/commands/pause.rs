//! `alcove pause` and `alcove resume`: a tenant that uses nothing for a while, and then goes on as it was.
//!
//! A pause ends the control plane first and the tenant's pods on the host after it, so that the tenant never sees them
//! go. A note in the Secret with its configuration tells the next start that they did: it puts the tenant's pods back to
//! where they are made, and the syncer makes them on the host again. Whoever scales the StatefulSet up gets the same.

use super::create::{Standing, Until, ready};
use super::{Error, connect, delete};
use crate::host::{Host, HostArguments, kind};
use crate::output::{self, Progress};
use crate::tenants::{self, PAUSED, Tenant};
use alcove_object::{meta, time};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// How long `connect` waits for a tenant that it resumes.
pub const TIMEOUT: Duration = Duration::from_secs(300);

/// `alcove pause` and `alcove resume`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The tenant.
    pub name: String,
    /// How long to wait.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = connect::timeout)]
    pub timeout: Duration,
    #[command(flatten)]
    pub host: HostArguments,
}

pub const PAUSE_EXAMPLES: &str = "\
Example:
  alcove pause red

Ends the control plane and all pods of the tenant on the host. Everything that the tenant has stored stays, and so do its
claims, services and addresses. On resume all of its pods start again, also those that no controller looks after; what
their containers kept outside of volumes with claims is lost, as with any restart of a pod on another node.";

pub const RESUME_EXAMPLES: &str = "\
Example:
  alcove resume red";

/// Runs `alcove pause`.
pub async fn pause(arguments: Arguments) -> Result<ExitCode, crate::Error> {
    let host = Host::find(&arguments.host).await?;
    let tenant = tenants::find(&host, &arguments.name).await?;
    let (name, namespace) = (&tenant.name, &tenant.namespace);
    if tenant.claim().is_none() {
        return Err(Error::NothingKept { name: name.clone() }.into());
    }
    let progress = Progress::start();
    let work = async {
        if tenant.replicas() > 0 {
            let now = time::format(jiff::Timestamp::now());
            let note = tenants::secret_change(crate::rewind::NOTE, Some(&now));
            host.merge(&kind("v1", "Secret"), namespace, &tenant.config_secret(), &note).await?;
            let change = json!({ "metadata": { "annotations": { PAUSED: now } }, "spec": { "replicas": 0 } });
            host.merge(&tenants::stateful_sets(), namespace, name, &change).await?;
        }
        host.until_gone(&kind("v1", "Pod"), &tenant.namespace, &tenant.pod()).await;
        progress.done("the control plane is stopped");
        let pods = kind("v1", "Pod");
        let running = host.list_metadata(&pods, namespace, &tenants::synced(name)).await?;
        for pod in &running {
            host.delete(&pods, namespace, meta::name(pod), Some(meta::uid(pod))).await?;
        }
        let count = running.len();
        let these: Vec<_> = running.into_iter().map(|pod| (pods.clone(), pod)).collect();
        delete::gone(&host, namespace, &these, &tenants::synced(name)).await;
        Ok::<usize, crate::Error>(count)
    };
    let Ok(pods) = tokio::time::timeout(arguments.timeout, work).await else {
        let (what, seconds) = (format!("a pod of {name}"), arguments.timeout.as_secs());
        let detail = format!(" (see kubectl get pods -n {namespace}); pause it again to go on waiting");
        return Err(Error::StillThere { what, seconds, detail }.into());
    };
    let count = pods?;
    progress.done(&format!("{count} of its pods are gone from the host"));
    output::print(&format!("tenant {name} paused"));
    Ok(ExitCode::SUCCESS)
}

/// Runs `alcove resume`.
pub async fn resume(arguments: Arguments) -> Result<ExitCode, crate::Error> {
    let host = Host::find(&arguments.host).await?;
    let tenant = tenants::find(&host, &arguments.name).await?;
    let tenant = resume_tenant(&host, &tenant, Until::Ready, arguments.timeout, &Progress::start()).await?;
    output::print(&format!("tenant {} resumed", tenant.name));
    Ok(ExitCode::SUCCESS)
}

/// Starts a paused tenant and waits for it. Gives it as it is then.
pub async fn resume_tenant(
    host: &Host,
    tenant: &Tenant,
    until: Until,
    timeout: Duration,
    progress: &Progress,
) -> Result<Tenant, crate::Error> {
    let (name, namespace) = (&tenant.name, &tenant.namespace);
    let mut set = tenant.set.clone();
    if tenant.replicas() == 0 {
        eprintln!("resuming the tenant {name}");
        let change =
            json!({ "metadata": { "annotations": { PAUSED: Value::Null } }, "spec": { "replicas": 1 } });
        let written = host.merge(&tenants::stateful_sets(), namespace, name, &change).await?;
        set = written.unwrap_or(set);
    }
    let standing = Standing::new(set.clone(), "", false).until(until);
    ready(host, namespace, standing, timeout, progress).await?;
    Ok(Tenant { name: name.clone(), namespace: namespace.clone(), set })
}
