//! `alcove version`: of this binary, and of the clusters that it is pointed at, where these answer.

use crate::arguments::Output;
use crate::contexts::Files;
use crate::error::Error;
use crate::host::{Host, HostArguments};
use alcove_schema::Minor;
use serde_json::{Value, json};
use std::time::Duration;

/// The version of this binary.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long a cluster may take to say its version: nobody waits long for that.
const PATIENCE: Duration = Duration::from_secs(3);

/// `alcove version`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Asks no cluster.
    #[arg(long)]
    pub client: bool,
    #[command(flatten)]
    pub host: HostArguments,
}

fn minors() -> Vec<String> {
    (Minor::OLDEST.0..=Minor::NEWEST.0).map(|minor| Minor(minor).to_string()).collect()
}

/// The version, and the Kubernetes versions served, on one line.
fn line() -> String {
    format!("alcove {VERSION} (serves Kubernetes {})", minors().join(", "))
}

/// Prints the versions.
pub async fn run(arguments: Arguments) -> Result<(), Error> {
    let (host, tenant) = match arguments.client {
        true => (None, None),
        false => (host(&arguments.host).await, tenant(&arguments.host).await),
    };
    match arguments.output {
        Output::Text => {
            println!("{}", line());
            for (what, found) in [("host  ", &host), ("tenant", &tenant)] {
                if let Some((name, version)) = found {
                    println!("{what} {version} (context {name})");
                }
            }
        }
        Output::Json => {
            let shown = |found: Option<(String, String)>| {
                found.map(|(context, version)| json!({ "context": context, "version": version }))
            };
            let default = Minor::DEFAULT.to_string();
            println!(
                "{}",
                json!({ "version": VERSION, "kubernetesVersions": minors(), "default": default,
                    "host": shown(host), "tenant": shown(tenant) })
            );
        }
    }
    Ok(())
}

/// Context and version of the host, if it answers.
async fn host(arguments: &HostArguments) -> Option<(String, String)> {
    let host = Host::find(arguments).await.ok()?;
    ask(&host).await
}

/// The same of the tenant whose context is the current one.
async fn tenant(arguments: &HostArguments) -> Option<(String, String)> {
    let files = Files::find(arguments.kubeconfig.as_deref()).ok()?;
    let current = arguments.context.clone().or(files.current().ok()?)?;
    files.mark(&current).ok()??;
    let there = HostArguments { context: Some(current), ..arguments.clone() };
    ask(&Host::find(&there).await.ok()?).await
}

async fn ask(host: &Host) -> Option<(String, String)> {
    let (version, _) = tokio::time::timeout(PATIENCE, host.version()).await.ok()?.ok()?;
    let version = version.get("gitVersion").and_then(Value::as_str)?.to_owned();
    Some((host.context.clone().unwrap_or_else(|| "in-cluster".into()), version))
}
