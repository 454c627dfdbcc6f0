//! `alcove dev`: a host with simulated nodes and tenants on it, all in one process.

use crate::arguments::DevArguments;
use crate::control_plane::{ControlPlane, Options};
use crate::error::Error;
use crate::tenant::{self, Place, Reach};
use crate::{files, serve};
use alcove_apiserver::User;
use alcove_apiserver::admission::StoreLimits;
use alcove_config::{Config, Dns, Host};
use alcove_object::{Gvr, Reason, Value, settled};
use alcove_sandbox::Silence;
use alcove_schema::Minor;
use alcove_schema::builtin::Enabled;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The host's name: of its directory, its kubeconfig and its context.
const HOST: &str = "host";

/// Starts everything and runs until the process is asked to end.
pub async fn run(arguments: DevArguments) -> Result<(), Error> {
    let asked_to_end = serve::asked_to_end();
    let data = files::absolute(&arguments.data.clone().map_or_else(default_data, Ok)?)?;
    let ports = ports(&arguments)?;
    let minor = arguments.kubernetes_version;
    let switches = arguments.runtime_config.iter().cloned().collect();
    let serves = Serves { minor, enabled: Enabled::new(minor, &switches)? };
    files::private_dir(&data)?;

    let begin = Instant::now();
    let (host_port, tenant_ports) = ports;
    let mut host = start_host(&data, host_port, &serves).await?;
    let client = host.server.client(User::component("system:apiserver"), "alcove");
    let config = alcove_sandbox::Config { nodes: arguments.nodes, kubelet_version: kubelet_version(minor) };
    let nodes = alcove_sandbox::start(&client, host.env.clone(), &config).await.map_err(Error::Nodes)?;
    host.attach(nodes);
    progress(&format!("host with {}", count(arguments.nodes, "simulated node")), &host, begin);

    let mut planes = Vec::with_capacity(arguments.names.len());
    for (name, port) in arguments.names.iter().zip(tenant_ports) {
        let begin = Instant::now();
        let tenant = start_tenant(name, &data, port, &serves, &host).await?;
        progress(&format!("tenant {name}"), &tenant, begin);
        planes.push(tenant);
    }
    println!("{}", next_steps(&data, &arguments.names));
    asked_to_end.await;
    eprintln!("stopping; start again with the same --data to go on");
    for plane in planes {
        plane.stop().await;
    }
    host.stop().await;
    Ok(())
}

/// What host and tenants serve.
struct Serves {
    minor: Minor,
    enabled: Enabled,
}

async fn start_host(data: &Path, port: u16, serves: &Serves) -> Result<ControlPlane, Error> {
    let plane = ControlPlane::start(Options {
        name: HOST.to_owned(),
        data: data.join(HOST),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port,
        minor: serves.minor,
        enabled: serves.enabled.clone(),
        names: Vec::new(),
        limits: StoreLimits::default(),
        services: None,
        connector: Some(Arc::new(Silence)),
    })
    .await?;
    files::write_private(&kubeconfig_path(data, HOST), &plane.kubeconfig("kubernetes-admin")?)?;
    Ok(plane)
}

/// A tenant, which reaches the host as it would reach any: over TLS with a kubeconfig.
async fn start_tenant(
    name: &str,
    data: &Path,
    port: u16,
    serves: &Serves,
    host: &ControlPlane,
) -> Result<ControlPlane, Error> {
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    let client = host.server.client(User::component("system:apiserver"), "alcove");
    let made = client.create(&Gvr::new("", "v1", "namespaces"), "", namespace).await;
    settled(made, &[Reason::ALREADY_EXISTS])?;
    let kubeconfig = host.kubeconfig(&format!("alcove:{name}"))?;
    let reach = Reach::new(Some(&kubeconfig)).await?;
    let on_host = Host { name: name.to_owned(), namespace: name.to_owned(), kubeconfig: None };
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let place = Place {
        data: data.join(name),
        address,
        port,
        minor: serves.minor,
        enabled: serves.enabled.clone(),
        pod_uid: None,
        pause_note: None,
    };
    // Simulated pods ask nothing. Whoever wants to ask finds the port in the log.
    let config = Config { dns: Dns { port: 0, ..Dns::default() }, ..Config::default() };
    let tenant = tenant::start(&config, &on_host, reach, place).await?;
    for (resource, object) in fixtures(name, tenant.address.port()) {
        let made = client.create(&Gvr::new("", "v1", resource), name, object).await;
        settled(made, &[Reason::ALREADY_EXISTS])?;
    }
    files::write_private(&kubeconfig_path(data, name), &tenant.kubeconfig("kubernetes-admin")?)?;
    Ok(tenant)
}

/// What a tenant is made of on a host, as far as its pods see it: where they would reach its API server and its DNS (what
/// the tenant's `default/kubernetes` and `kube-system/kube-dns` show), and the account that they run as. The services
/// select nothing and have no endpoints, since simulated pods connect nowhere and the servers listen on loopback alone,
/// which endpoints may not name.
fn fixtures(tenant: &str, port: u16) -> [(&'static str, Value); 3] {
    let named = |kind: &str, name: &str| json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name, "namespace": tenant } });
    let mut front = named("Service", tenant);
    front["spec"] = json!({ "ports": [{ "name": "https", "port": 443, "targetPort": port }] });
    let mut dns = named("Service", &format!("{tenant}-dns"));
    dns["spec"] = json!({ "ports": [
        { "name": "dns", "port": 53, "protocol": "UDP" }, { "name": "dns-tcp", "port": 53, "protocol": "TCP" }] });
    let mut account = named("ServiceAccount", &format!("{tenant}-workload"));
    account["automountServiceAccountToken"] = false.into();
    [("serviceaccounts", account), ("services", front), ("services", dns)]
}

fn kubelet_version(minor: Minor) -> String {
    alcove_apiserver::version::git_version(minor)
}

/// The host's port and the tenants': the first tenant's is the one asked for, the host's the next.
fn ports(arguments: &DevArguments) -> Result<(u16, Vec<u16>), Error> {
    let (first, count) = (arguments.port, arguments.names.len());
    if first == 0 {
        return Ok((0, vec![0; count]));
    }
    let all: Option<Vec<u16>> = (0..=count).map(|i| first.checked_add(u16::try_from(i).ok()?)).collect();
    let mut all = all.ok_or(Error::PortsEnd { first, count: count + 1 })?;
    let host = all.remove(1);
    Ok((host, all))
}

fn default_data() -> Result<PathBuf, Error> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
    Ok(base.ok_or(Error::NoDataDirectory)?.join("alcove/dev"))
}

fn kubeconfig_path(data: &Path, name: &str) -> PathBuf {
    data.join(format!("{name}.kubeconfig"))
}

fn count(number: u16, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn progress(what: &str, plane: &ControlPlane, begin: Instant) {
    eprintln!("ready: {what:<28} {}  ({} ms)", plane.url(), begin.elapsed().as_millis());
}

fn next_steps(data: &Path, names: &[String]) -> String {
    let first = &names[0];
    let mut text = format!("\nhost    {}\n", kubeconfig_path(data, HOST).display());
    for name in names {
        text.push_str(&format!("tenant  {}\n", kubeconfig_path(data, name).display()));
    }
    text.push_str(&format!(
        "\nTry in another terminal:\n\n  export KUBECONFIG={}\n  kubectl create deployment web --image=nginx --replicas=3\n  \
         kubectl get pods -o wide\n  kubectl --kubeconfig {} get pods -n {first}\n\nCtrl-C stops it; everything is kept.",
        kubeconfig_path(data, first).display(),
        kubeconfig_path(data, HOST).display(),
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Command};
    use clap::Parser;

    fn arguments(line: &[&str]) -> DevArguments {
        match Arguments::try_parse_from([&["alcove", "dev"], line].concat()).unwrap().command {
            Command::Dev(arguments) => arguments,
            _ => unreachable!("the line says dev"),
        }
    }

    #[test]
    fn the_first_tenant_gets_the_port_asked_for() {
        assert_eq!(ports(&arguments(&[])).unwrap(), (8444, vec![8443]));
        assert_eq!(ports(&arguments(&["a", "b", "--port", "100"])).unwrap(), (101, vec![100, 102]));
        assert_eq!(ports(&arguments(&["a", "b", "--port", "0"])).unwrap(), (0, vec![0, 0]));
        assert!(matches!(ports(&arguments(&["--port", "65535"])), Err(Error::PortsEnd { .. })));
    }
}
