//! The command line: commands, flags, and the help that people read.

use crate::commands::{connect, create, delete, describe, disconnect, doctor, list, pause};
use alcove_config::KubernetesVersion;
use alcove_schema::Minor;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A Kubernetes of its own for every team, inside one namespace of a cluster they share.
#[derive(Debug, Parser)]
#[command(name = "alcove", version = crate::version::VERSION, propagate_version = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a host with simulated nodes and tenant clusters on it, all in this process.
    #[command(after_help = DEV_EXAMPLES)]
    Dev(DevArguments),
    /// Serve one control plane: API server, store and controllers.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArguments),
    /// Make a tenant on a host cluster, or change one.
    #[command(after_help = create::EXAMPLES)]
    Create(Box<create::Arguments>),
    /// Go to a tenant: a context in your kubeconfig, or one command.
    #[command(after_help = connect::EXAMPLES)]
    Connect(connect::Arguments),
    /// Leave a tenant: back to the context from before.
    #[command(after_help = disconnect::EXAMPLES)]
    Disconnect(disconnect::Arguments),
    /// List the tenants of a host cluster.
    #[command(visible_alias = "ls", after_help = list::EXAMPLES)]
    List(list::Arguments),
    /// Show all about one tenant.
    #[command(after_help = describe::EXAMPLES)]
    Describe(describe::Arguments),
    /// Delete a tenant and all that it has on the host.
    #[command(after_help = delete::EXAMPLES)]
    Delete(delete::Arguments),
    /// End all processes of a tenant, and keep the rest.
    #[command(after_help = pause::PAUSE_EXAMPLES)]
    Pause(pause::Arguments),
    /// Start a paused tenant again.
    #[command(after_help = pause::RESUME_EXAMPLES)]
    Resume(pause::Arguments),
    /// Find out what is wrong, and what to do.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Arguments),
    /// Print a completion script for a shell.
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the version of alcove, of the Kubernetes that it serves, and of the clusters that it is pointed at.
    #[command(after_help = "Examples:\n  alcove version\n  alcove version --client -o json")]
    Version(crate::version::Arguments),
}

const COMPLETION_EXAMPLES: &str = "\
Examples:
  source <(alcove completion bash)
  alcove completion zsh > \"${fpath[1]}/_alcove\"

As a plugin of kubectl: a link named kubectl-alcove in the PATH makes `kubectl alcove` of it.";

const DEV_EXAMPLES: &str = "\
Examples:
  alcove dev                       a host and the tenant `demo`
  alcove dev red blue --nodes 5    two tenants that share a host of five nodes
  alcove dev --data /tmp/try       keep everything in /tmp/try; start again to go on

Then, in another terminal:
  export KUBECONFIG=$HOME/.local/share/alcove/dev/demo.kubeconfig
  kubectl create deployment web --image=nginx --replicas=3
  kubectl get pods -o wide";

const SERVE_EXAMPLES: &str = "\
Examples:
  alcove serve --data ./data --port 8443
  alcove serve --config config.yaml

The admin's kubeconfig is written to DATA/admin.kubeconfig.";

#[derive(Debug, Args)]
pub struct DevArguments {
    /// Names of the tenants.
    #[arg(value_name = "NAME", default_value = "demo", value_parser = cluster_name)]
    pub names: Vec<String>,
    /// Directory that keeps everything; $XDG_DATA_HOME/alcove/dev unless given.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Port of the first tenant; the host and further tenants take those that follow. 0 takes free ports and keeps
    /// them over restarts.
    #[arg(long, default_value_t = 8443, value_name = "PORT")]
    pub port: u16,
    /// How many nodes the host simulates.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=i64::from(alcove_sandbox::NODES_MAX)))]
    pub nodes: u16,
    /// Kubernetes version of host and tenants.
    #[arg(long, value_name = "MINOR", default_value_t = Minor::DEFAULT, value_parser = minor)]
    pub kubernetes_version: Minor,
    /// API versions to switch on or off, as kube-apiserver's flag of this name has them: api/all, api/ga, api/beta,
    /// api/alpha, GROUP/VERSION or GROUP/VERSION/RESOURCE.
    #[arg(long, value_name = "KEY=BOOL", value_delimiter = ',', value_parser = switch)]
    pub runtime_config: Vec<(String, bool)>,
    #[command(flatten)]
    pub log: LogArguments,
}

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Configuration file; flags win over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory that keeps everything.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Port to serve on; 0 takes a free one and keeps it over restarts.
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Address to serve on.
    #[arg(long, value_name = "IP")]
    pub address: Option<std::net::IpAddr>,
    /// Kubernetes version to serve.
    #[arg(long, value_name = "MINOR", value_parser = minor)]
    pub kubernetes_version: Option<Minor>,
    /// API versions to switch on or off, as kube-apiserver's flag of this name has them: api/all, api/ga, api/beta,
    /// api/alpha, GROUP/VERSION or GROUP/VERSION/RESOURCE.
    #[arg(long, value_name = "KEY=BOOL", value_delimiter = ',', value_parser = switch)]
    pub runtime_config: Vec<(String, bool)>,
    /// The UID of the pod that this runs in; the Secret with the kubeconfig tells it as soon as the tenant serves.
    #[arg(long, env = "ALCOVE_POD_UID", value_name = "UID", hide = true)]
    pub pod_uid: Option<String>,
    #[command(flatten)]
    pub log: LogArguments,
}

#[derive(Debug, Args)]
pub struct LogArguments {
    /// What to log, such as `info` or `alcove_syncer=debug`.
    #[arg(long, env = "ALCOVE_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

/// Reads a Kubernetes version as people write it.
pub fn minor(text: &str) -> Result<Minor, String> {
    text.parse().map(|KubernetesVersion(minor)| minor)
}

/// Reads a switch; without a value it is on.
fn switch(text: &str) -> Result<(String, bool), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, "true"));
    let on = value.trim().to_lowercase().parse();
    let on = on.map_err(|_| format!("{key} must be true or false, not {value:?}"))?;
    Ok((key.trim().to_owned(), on))
}

/// Names of virtual clusters are DNS labels, since they stand in names on the host.
fn cluster_name(text: &str) -> Result<String, String> {
    let errors = alcove_object::name::is_dns1123_label(text);
    match errors.first() {
        None if text == "host" => Err("`host` is the name of the host".into()),
        None => Ok(text.to_owned()),
        Some(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clusters_are_labels() {
        assert!(cluster_name("demo").is_ok());
        for bad in ["", "Demo", "a.b", "host", "-a"] {
            assert!(cluster_name(bad).is_err(), "{bad}");
        }
    }
}
