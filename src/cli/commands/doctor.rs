//! `alcove doctor`: what is wrong with a tenant, in plain words, from both of its sides.
//!
//! It only reads. Each finding says what is wrong, where, and what to do; a cluster without findings is well.

mod on_host;
mod tenant;

use super::findings::Finding;
use crate::host::{Host, HostArguments};
use crate::output::{self, Format, FormatArguments};
use crate::tenants::{self, Tenant};
use alcove_config::KubernetesVersion;
use serde_json::{Value, json};
use std::process::ExitCode;

/// How far clocks may differ, in seconds: certificates and tokens begin at the moment that they are made.
const SKEW_SECONDS: i64 = 30;

/// `alcove doctor`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The tenant; all of them unless given.
    pub name: Option<String>,
    #[command(flatten)]
    pub format: FormatArguments,
    #[command(flatten)]
    pub host: HostArguments,
}

pub const EXAMPLES: &str = "\
Examples:
  alcove doctor              the host, and all tenants
  alcove doctor red
  alcove doctor red -o json

Looks at pods that wait and why, objects that are not synced, rights, quota, DNS, certificates and clocks. The exit code is
1 if something is wrong.";

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, crate::Error> {
    let host = Host::find(&arguments.host).await?;
    let mut checked = vec![("host".to_owned(), Value::Null, cluster(&host).await?)];
    let tenants = match &arguments.name {
        Some(name) => vec![tenants::find(&host, name).await?],
        None => tenants::list(&host, host.namespace.as_deref()).await?.0,
    };
    for tenant in &tenants {
        let found = examine(&host, tenant).await?;
        checked.push((format!("tenant {}", tenant.name), json!(tenant.namespace), found));
    }
    let paused = tenants.iter().filter(|tenant| tenant.replicas() == 0);
    let paused: Vec<String> =
        paused.map(|tenant| format!("tenant {} (namespace {})", tenant.name, tenant.namespace)).collect();
    tell(arguments.format.output, &checked, &paused);
    let is_well = checked.iter().all(|(_, _, findings)| findings.is_empty());
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(format: Format, checked: &[(String, Value, Vec<Finding>)], paused: &[String]) {
    let items: Vec<Value> = checked
        .iter()
        .flat_map(|(of, namespace, findings)| {
            findings.iter().map(move |finding| {
                let mut tree = finding.tree();
                tree["of"] = of.clone().into();
                tree["namespace"] = namespace.clone();
                tree
            })
        })
        .collect();
    let tree = json!({ "apiVersion": "alcove.dev/v1alpha1", "kind": "FindingList", "items": items });
    if output::print_tree(format, &tree) {
        return;
    }
    for (of, namespace, findings) in checked {
        let of = namespace.as_str().map_or(of.clone(), |namespace| format!("{of} (namespace {namespace})"));
        if findings.is_empty() {
            output::print(&format!(
                "{of}: all is well{}",
                if paused.contains(&of) { "; it is paused" } else { "" }
            ));
            continue;
        }
        output::print(&format!("{of}:"));
        for finding in findings {
            output::print(&format!(
                "  {}\n    is:  {}\n    do:  {}",
                finding.place, finding.what, finding.advice
            ));
        }
    }
}

/// What is wrong with the host as a host.
async fn cluster(host: &Host) -> Result<Vec<Finding>, crate::Error> {
    let (version, skew) = host.version().await?;
    let mut findings = Vec::new();
    let text = version["gitVersion"].as_str().unwrap_or_default();
    if text.parse::<KubernetesVersion>().is_err() {
        let served: Vec<String> = KubernetesVersion::all().map(|version| version.to_string()).collect();
        findings.push(Finding::new(
            "the host cluster",
            format!("it is Kubernetes {text}, which this alcove is not tested on"),
            format!("use a host of {}", served.join(", ")),
        ));
    }
    if let Some(skew) = skew.filter(|skew| skew.abs() > SKEW_SECONDS) {
        let which = if skew > 0 { "behind" } else { "ahead of" };
        findings.push(Finding::new(
            "the clock of this machine",
            format!("it is {} s {which} the host's", skew.abs()),
            "set both clocks by NTP, since certificates and tokens are valid by the clock",
        ));
    }
    Ok(findings)
}

async fn examine(host: &Host, tenant: &Tenant) -> Result<Vec<Finding>, crate::Error> {
    let (mut findings, serves) = on_host::examine(host, tenant).await?;
    if serves {
        findings.extend(tenant::examine(host, tenant).await);
    }
    Ok(findings)
}
