//! `alcove describe`: all about one tenant.

use super::session::is_outside;
use super::{delete, list};
use crate::host::{Host, HostArguments, kind};
use crate::output::{self, Format, FormatArguments};
use crate::tenants::{self, Tenant};
use alcove_config::Config;
use alcove_object::gather::Gather;
use alcove_object::{meta, time};
use alcove_schema::decode::yaml_tree;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// `alcove describe`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The tenant.
    pub name: String,
    /// Prints the configuration alone: what differs from the defaults, as `create --values` takes it.
    #[arg(long)]
    pub config_only: bool,
    #[command(flatten)]
    pub format: FormatArguments,
    #[command(flatten)]
    pub host: HostArguments,
}

pub const EXAMPLES: &str = "\
Examples:
  alcove describe red
  alcove describe red -o json
  alcove describe red --config-only > red.yaml";

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, crate::Error> {
    let host = Host::find(&arguments.host).await?;
    let tenant = tenants::find(&host, &arguments.name).await?;
    let format = arguments.format.output;
    if format == Format::Name {
        output::print(&tenant.name);
        return Ok(ExitCode::SUCCESS);
    }
    let config = tenants::config(&host, &tenant).await?;
    if arguments.config_only {
        let config = differences(&config);
        if !output::print_tree(format, &config) {
            output::print(&output::yaml(&config));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let tree = tree(&host, &tenant, &config).await?;
    if !output::print_tree(format, &tree) {
        output::print(&text(&tree));
    }
    Ok(ExitCode::SUCCESS)
}

async fn tree(host: &Host, tenant: &Tenant, config: &Value) -> Result<Value, crate::Error> {
    let (name, namespace) = (&tenant.name, &tenant.namespace);
    let pod = host.get(&kind("v1", "Pod"), namespace, &tenant.pod()).await?;
    let service = host.get(&kind("v1", "Service"), namespace, name).await?.unwrap_or_default();
    let secret = host.get(&kind("v1", "Secret"), namespace, &tenant.kubeconfig_secret()).await?;
    let kubeconfig = secret.as_ref().and_then(|secret| tenants::secret_text(secret, "value"));
    let kubeconfig = kubeconfig.and_then(|text| yaml_tree(&text).ok()).unwrap_or_default();
    let server = kubeconfig.pointer("/clusters/0/cluster/server").cloned().unwrap_or_default();
    let end = |pointer: &str| kubeconfig.pointer(pointer).and_then(Value::as_str).and_then(certificate_end);
    let mut objects: BTreeMap<String, usize> = BTreeMap::new();
    for (kind, _) in delete::synced_objects(host, name, namespace).await? {
        *objects.entry(kind.plural).or_default() += 1;
    }
    let conditions = pod.as_ref().and_then(|pod| pod.pointer("/status/conditions")).cloned();
    Ok(json!({
        "apiVersion": "alcove.dev/v1alpha1", "kind": "Tenant",
        "name": name, "namespace": namespace, "status": format!("{:?}", tenant.state(pod.as_ref())),
        "pausedSince": tenant.paused(), "created": tenant.set.pointer("/metadata/creationTimestamp"),
        "kubernetesVersion": config["kubernetesVersion"], "alcoveVersion": tenant.alcove_version(),
        "image": tenant.image(), "age": list::age(&tenant.set),
        "pod": pod.as_ref().map(|pod| json!({
            "name": meta::name(pod), "node": pod.pointer("/spec/nodeName"), "ip": pod.pointer("/status/podIP"),
            "restarts": pod.pointer("/status/containerStatuses/0/restartCount"), "conditions": conditions,
        })),
        "claim": tenant.claim(),
        "addresses": {
            "server": server, "exposed": server.as_str().is_some_and(is_outside),
            "service": service.pointer("/spec/clusterIP"), "type": service.pointer("/spec/type"),
        },
        "certificates": {
            "authorityEnds": end("/clusters/0/cluster/certificate-authority-data"),
            "administratorEnds": end("/users/0/user/client-certificate-data"),
        },
        "objects": objects,
        "config": differences(config),
    }))
}

/// When a certificate in a kubeconfig ends.
pub fn certificate_end(data: &str) -> Option<String> {
    let pem = BASE64_STANDARD.decode(data).ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let end = certificate.validity().not_after.timestamp();
    jiff::Timestamp::from_second(end).ok().map(time::format)
}

/// What a configuration says that is not the default.
fn differences(config: &Value) -> Value {
    let mut tree = differing(config, &Config::default().to_tree()).unwrap_or_else(|| json!({}));
    if let Some(entries) = tree.as_object_mut() {
        ["host", "data", "port", "address"].iter().for_each(|key| drop(entries.remove(*key)));
    }
    tree
}

fn differing(value: &Value, default: &Value) -> Option<Value> {
    match (value, default) {
        (Value::Object(value), Value::Object(default)) => {
            let entries: Map<String, Value> = value
                .iter()
                .filter_map(|(key, value)| {
                    let default = default.get(key).unwrap_or(&Value::Null);
                    Some((key.clone(), differing(value, default)?))
                })
                .gather();
            (!entries.is_empty()).then(|| entries.into())
        }
        (value, default) => (value != default && !value.is_null()).then(|| value.clone()),
    }
}

fn text(tree: &Value) -> String {
    let shown = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let at = |pointer: &str| tree.pointer(pointer).map_or("-".into(), shown);
    let reached = match tree.pointer("/addresses/exposed") == Some(&Value::Bool(true)) {
        true => at("/addresses/server"),
        false => format!("within the host cluster: {}", at("/addresses/server")),
    };
    let mut rows = vec![("Name", at("/name")), ("Namespace", at("/namespace")), ("Status", at("/status"))];
    if !tree["pausedSince"].is_null() {
        rows.push(("Paused since", at("/pausedSince")));
    }
    rows.extend([
        ("Age", at("/age")),
        ("Kubernetes", at("/kubernetesVersion")),
        ("alcove", at("/alcoveVersion")),
        ("Image", at("/image")),
        (
            "Pod",
            match tree["pod"].is_null() {
                true => "-".into(),
                false => format!(
                    "{} on node {}, {} restarts",
                    at("/pod/name"),
                    at("/pod/node"),
                    at("/pod/restarts")
                ),
            },
        ),
        ("Claim", at("/claim")),
        ("Reached at", reached),
        ("Service", format!("{} ({})", at("/addresses/service"), at("/addresses/type"))),
        ("Authority ends", at("/certificates/authorityEnds")),
        ("Administrator ends", at("/certificates/administratorEnds")),
    ]);
    let mut text = output::fields(&rows);
    let conditions = tree.pointer("/pod/conditions").and_then(Value::as_array);
    if let Some(conditions) = conditions.filter(|conditions| !conditions.is_empty()) {
        let rows: Vec<Vec<String>> = conditions
            .iter()
            .map(|c| vec![shown(&c["type"]), shown(&c["status"]), shown(&c["reason"]), shown(&c["message"])])
            .collect();
        text = format!(
            "{text}\n\nConditions of the pod:\n{}",
            indented(&output::table(&["TYPE", "STATUS", "REASON", "MESSAGE"], &rows))
        );
    }
    let objects: Vec<Vec<String>> = tree["objects"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(kind, count)| vec![kind.clone(), count.to_string()])
        .collect();
    let objects = match objects.is_empty() {
        true => "  none".to_owned(),
        false => indented(&output::table(&["KIND", "COUNT"], &objects)),
    };
    let config = match tree["config"].as_object().is_some_and(Map::is_empty) {
        true => "  all as by default".to_owned(),
        false => indented(&output::yaml(&tree["config"])),
    };
    format!("{text}\n\nObjects on the host:\n{objects}\n\nConfiguration:\n{config}")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_told_by_its_differences() {
        let mut tree = Config::default().to_tree();
        assert_eq!(differences(&tree), json!({}));
        tree["dns"]["port"] = 1054.into();
        tree["host"] = json!({ "name": "red", "namespace": "red" });
        tree["isolation"]["sharedWith"] = json!(["blue"]);
        assert_eq!(
            differences(&tree),
            json!({ "dns": { "port": 1054 }, "isolation": { "sharedWith": ["blue"] } })
        );
    }
}
