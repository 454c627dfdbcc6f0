//! `alcove list`: the tenants of a host.

use super::session::{is_outside, kubeconfig};
use crate::host::{Host, HostArguments, kind};
use crate::output::{self, Format, FormatArguments};
use crate::tenants::{self, Tenant};
use alcove_object::{meta, time};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::process::ExitCode;

/// `alcove list`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// All namespaces: what happens anyway, unless a namespace is named.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    #[command(flatten)]
    pub format: FormatArguments,
    #[command(flatten)]
    pub host: HostArguments,
}

pub const EXAMPLES: &str = "\
Examples:
  alcove list
  alcove list -n team-a -o wide
  alcove list -o name | xargs -n 1 alcove pause

STATUS is Running, Pending, Paused, Failed or Terminating; `alcove doctor NAME` tells why.";

/// One tenant as it is shown.
pub struct Row {
    tenant: Tenant,
    pod: Option<Value>,
    version: String,
    exposed: Option<String>,
    pods: Option<usize>,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, crate::Error> {
    let host = Host::find(&arguments.host).await?;
    let (mut tenants, note) = tenants::list(&host, host.namespace.as_deref()).await?;
    tenants.sort_by(|a, b| (&a.name, &a.namespace).cmp(&(&b.name, &b.namespace)));
    if let Some(note) = note {
        eprintln!("note: {note}");
    }
    let format = arguments.format.output;
    if format == Format::Name {
        tenants.iter().for_each(|tenant| output::print(&tenant.name));
        return Ok(ExitCode::SUCCESS);
    }
    let counts = tenants::pod_counts(&host, &tenants).await;
    let rows = join_all(tenants.into_iter().map(|tenant| {
        let pods = counts.get(&(tenant.namespace.clone(), tenant.name.clone())).copied();
        row(&host, tenant, pods)
    }));
    let rows = rows.await;
    let tree = json!({ "apiVersion": "alcove.dev/v1alpha1", "kind": "TenantList",
        "items": rows.iter().map(Row::tree).collect::<Vec<_>>() });
    if output::print_tree(format, &tree) {
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        eprintln!("there are no tenants; `alcove create NAME` makes one");
        return Ok(ExitCode::SUCCESS);
    }
    output::print(&shown(&rows, format == Format::Wide));
    Ok(ExitCode::SUCCESS)
}

async fn row(host: &Host, tenant: Tenant, pods: Option<usize>) -> Row {
    let pod = host.get(&kind("v1", "Pod"), &tenant.namespace, &tenant.pod()).await.unwrap_or_default();
    let config = tenants::config(host, &tenant).await.unwrap_or_default();
    let version = match &config["kubernetesVersion"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let server = kubeconfig(host, &tenant).await.ok();
    let server = server.as_ref().and_then(|tree| tree.pointer("/clusters/0/cluster/server")?.as_str());
    let exposed = server.filter(|server| is_outside(server)).map(str::to_owned);
    Row { tenant, pod, version, exposed, pods }
}

impl Row {
    fn tree(&self) -> Value {
        json!({
            "name": self.tenant.name, "namespace": self.tenant.namespace,
            "status": format!("{:?}", self.tenant.state(self.pod.as_ref())),
            "kubernetesVersion": self.version, "exposed": self.exposed, "pods": self.pods,
            "created": self.tenant.set.pointer("/metadata/creationTimestamp"),
            "alcoveVersion": self.tenant.alcove_version(), "image": self.tenant.image(),
            "pausedSince": self.tenant.paused(),
        })
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let mut cells = vec![
            self.tenant.name.clone(),
            self.tenant.namespace.clone(),
            format!("{:?}", self.tenant.state(self.pod.as_ref())),
            or_dash(&self.version),
            or_dash(self.exposed.as_deref().unwrap_or_default()),
            self.pods.map_or("-".into(), |count| count.to_string()),
            age(&self.tenant.set),
        ];
        if wide {
            let node = self.pod.as_ref().and_then(|pod| pod.pointer("/spec/nodeName")?.as_str());
            cells.extend([
                or_dash(self.tenant.alcove_version()),
                or_dash(self.tenant.image()),
                or_dash(node.unwrap_or_default()),
            ]);
        }
        cells
    }
}

fn shown(rows: &[Row], wide: bool) -> String {
    let mut head = vec!["NAME", "NAMESPACE", "STATUS", "VERSION", "EXPOSED", "PODS", "AGE"];
    if wide {
        head.extend(["ALCOVE", "IMAGE", "NODE"]);
    }
    output::table(&head, &rows.iter().map(|row| row.cells(wide)).collect::<Vec<_>>())
}

/// How long an object has been there.
pub fn age(object: &Value) -> String {
    let created = time::parse(meta::text(object, "creationTimestamp"));
    let seconds = created.map(|created| jiff::Timestamp::now().as_second() - created.as_second());
    seconds.map_or("-".into(), |seconds| time::human_duration(seconds.max(0)))
}
