//! `alcove connect`: a context for a tenant, and a forwarded port where it is not exposed.

use super::create::Until;
use super::session::{self, Session, Way};
use super::{Error, pause};
use crate::contexts::Files;
use crate::host::{Host, HostArguments};
use crate::output::{self, Progress};
use crate::tenants::{self, Tenant};
use crate::{files, serve};
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// `alcove connect`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The tenant.
    pub name: String,
    /// Runs this command in the tenant's context, and ends with it; no kubeconfig is changed.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Prints a kubeconfig and changes nothing.
    #[arg(long, conflicts_with_all = ["command", "local_port"])]
    pub print: bool,
    /// The address to use instead of the exposed one or a forwarded port.
    #[arg(long, value_name = "URL", conflicts_with = "local_port")]
    pub server: Option<String>,
    /// The port of this machine that is forwarded to the tenant; a free one unless given.
    #[arg(long, value_name = "PORT")]
    pub local_port: Option<u16>,
    /// Whether the tenant's context becomes the current one.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub update_current: bool,
    #[command(flatten)]
    pub host: HostArguments,
}

pub const EXAMPLES: &str = "\
Examples:
  alcove connect red                         a context for red; stays while a port is forwarded, Ctrl-C disconnects
  alcove connect red -- kubectl get pods     one command in red
  alcove connect red -- bash                 a shell in red
  alcove connect red --print > red.yaml      a kubeconfig for somebody else
  alcove connect red --server https://red.example.com --print

A tenant that is exposed outside the host is reached there. Another one is reached over a port of this machine, which is
forwarded through the host's API server as long as the command runs, also over restarts of the tenant's pod. A paused
tenant is resumed. The kubeconfig gets the context alcove_NAME_NAMESPACE_CONTEXT; `alcove disconnect` takes it out again.";

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, crate::Error> {
    let host = Host::find(&arguments.host).await?;
    let mut tenant = tenants::find(&host, &arguments.name).await?;
    if arguments.print {
        return print(&host, &tenant, arguments.server.as_deref()).await;
    }
    if tenant.replicas() == 0 {
        tenant =
            pause::resume_tenant(&host, &tenant, Until::Serving, pause::TIMEOUT, &Progress::start()).await?;
    }
    let way = Way { server: arguments.server.clone(), local_port: arguments.local_port };
    let session = session::open(&host, &tenant, &way).await?;
    if !arguments.command.is_empty() {
        return command(&session, &arguments.command).await;
    }
    stay(&host, &tenant, session, arguments.update_current).await
}

async fn print(host: &Host, tenant: &Tenant, server: Option<&str>) -> Result<ExitCode, crate::Error> {
    let mut tree = session::kubeconfig(host, tenant).await?;
    if let Some(server) = server {
        tree["clusters"][0]["cluster"]["server"] = server.into();
    }
    let server = tree["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default();
    if !session::is_outside(server) && !server.contains("://localhost") && !server.contains("://127.") {
        eprintln!(
            "note: {server} is reached from within the host cluster alone; name another address with --server"
        );
    }
    output::print(&output::yaml(&tree));
    Ok(ExitCode::SUCCESS)
}

/// Writes the context and, where a port is forwarded, stays until asked to end.
pub async fn stay(
    host: &Host,
    tenant: &Tenant,
    session: Session,
    make_current: bool,
) -> Result<ExitCode, crate::Error> {
    let asked_to_end = serve::asked_to_end();
    let files = match &host.files {
        Some(files) => files.clone(),
        // From inside a pod there may be no kubeconfig yet.
        None => Files::find(None)?,
    };
    files.add(&session.entry, make_current)?;
    let context = &session.entry.name;
    match make_current {
        true => eprintln!("connected to {}: the current context is {context}", tenant.name),
        false => eprintln!("connected to {}: use --context {context}", tenant.name),
    }
    if session.forward.is_none() {
        eprintln!("  {} is reached at {}; `alcove disconnect` goes back", tenant.name, session.server);
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("  {} is forwarded to {}; Ctrl-C disconnects", session.server, tenant.name);
    asked_to_end.await;
    let current = files.remove(context)?;
    match current {
        Some(current) if make_current => eprintln!("disconnected; the current context is {current}"),
        _ => eprintln!("disconnected"),
    }
    Ok(ExitCode::SUCCESS)
}

/// A private directory that goes when this is dropped.
struct Private(PathBuf);

impl Private {
    fn make() -> Result<Private, crate::Error> {
        let name = format!("alcove-{}-{:x}", std::process::id(), jiff::Timestamp::now().as_nanosecond());
        let path = std::env::temp_dir().join(name);
        files::private_dir(&path)?;
        Ok(Private(path))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a command with a kubeconfig of its own; ends as it ends.
async fn command(session: &Session, words: &[String]) -> Result<ExitCode, crate::Error> {
    use tokio::signal::unix::{SignalKind, signal};
    // The terminal sends Ctrl-C to the command, too; whether it ends by that is its own decision.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|source| crate::Error::Runtime { source })?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|source| crate::Error::Runtime { source })?;
    let folder = Private::make()?;
    let kubeconfig = folder.0.join("config");
    files::write_private(&kubeconfig, &output::yaml(&session.kubeconfig()))?;
    let failed = |source| Error::Command { command: words[0].clone(), source };
    let mut child = tokio::process::Command::new(&words[0])
        .args(&words[1..])
        .env("KUBECONFIG", &kubeconfig)
        .spawn()
        .map_err(failed)?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(failed)?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
                if let Some(pid) = pid {
                    let _ = kill_process(pid, Signal::TERM);
                }
            }
        }
    };
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// How long a command waits for a tenant, as people write it: `90s`, `5m`.
pub fn timeout(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time such as 90s or 5m");
    let parsed = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let span = alcove_object::time::Duration::parse(text).map_err(|_| wrong())?;
            Duration::from_nanos(u64::try_from(span.nanoseconds).map_err(|_| wrong())?)
        }
    };
    if parsed.is_zero() { Err(wrong()) } else { Ok(parsed) }
}
