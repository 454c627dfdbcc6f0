//! How tenants come to the host, and how they go.

use crate::harness::server::{Launch, Server, scratch};
use crate::harness::{Api, eventually};
use crate::world::{Process, Running, Tenant};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// The port that a tenant's API server has on its Service.
const SERVICE_PORT: u16 = 443;

/// The values of a tenant that is not protected from, for attacks.
const UNPROTECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/unprotected.yaml");

fn unprotected() -> Value {
    let text = std::fs::read(UNPROTECTED).expect("a file of the project");
    alcove_schema::decode::parse_yaml(&text).expect("YAML").value
}

/// No tenant: the host itself.
pub fn nobody(host_kubeconfig: &Path) -> Tenant {
    Tenant {
        name: "host".into(),
        host_namespace: String::new(),
        kubeconfig: host_kubeconfig.to_owned(),
        running: Running::Host,
    }
}

/// A tenant as a process on this machine, with the Services that its pods reach it by.
pub fn process(host_kubeconfig: &Path, name: &str, is_protected: bool) -> Tenant {
    let host = Api::of(host_kubeconfig).expect("the host's kubeconfig");
    let host_namespace = format!("team-{name}");
    host.namespace(&host_namespace);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": format!("{name}-workload")}});
    create(&host, &host_namespace, "serviceaccounts", &account);
    let ports = json!([{"name": "https", "port": SERVICE_PORT}]);
    service(&host, &host_namespace, name, ports);
    let dns_ports = json!([{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]);
    service(&host, &host_namespace, &format!("{name}-dns"), dns_ports);

    let folder = scratch();
    let dns_port = free_port();
    let mut config = if is_protected { json!({}) } else { unprotected() };
    let own = json!({
        "apiVersion": "alcove.dev/v1alpha1",
        "kind": "Config",
        "host": {"name": name, "namespace": host_namespace, "kubeconfig": host_kubeconfig},
        "dns": {"port": dns_port},
    });
    for (key, value) in own.as_object().expect("an object") {
        config[key] = value.clone();
    }
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, config.to_string()).expect("a new file");
    let launch = Launch::serve(&["--config", &file.display().to_string()]);
    let server = Server::start_in(launch, &folder.path().join("data"));
    let kubeconfig = server.kubeconfig("admin");
    let port = Api::of(&kubeconfig).expect("the kubeconfig of a ready server").address;
    let port: u16 =
        port.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address with a port");
    endpoints(&host, &host_namespace, name, json!([{"name": "https", "port": port}]));
    let dns_ports = json!([{"name": "dns", "port": dns_port, "protocol": "UDP"}, {"name": "dns-tcp", "port": dns_port, "protocol": "TCP"}]);
    endpoints(&host, &host_namespace, &format!("{name}-dns"), dns_ports);
    let process = Process { server: Mutex::new(server), _files: folder };
    let running = Running::Process(Box::new(process));
    Tenant { name: name.to_owned(), host_namespace, kubeconfig, running }
}

/// A tenant as platform teams make it: a pod of the image that the host has, reached on a port of its node.
pub fn pod(host_kubeconfig: &Path, name: &str, is_protected: bool) -> Tenant {
    let host = Api::of(host_kubeconfig).expect("the host's kubeconfig");
    let node_ip = host.address.split(':').next().expect("an address is an IP and a port");
    let host_namespace = format!("team-{name}");
    let create = ["create", name, "-n", &host_namespace, "--connect=false", "--expose=NodePort"];
    let names = format!("expose.names=[{node_ip}]");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/tenants.yaml");
    let mut values = vec!["--values", file, "--set", &names, "--timeout", "600s"];
    if !is_protected {
        values.extend(["--values", UNPROTECTED]);
    }
    alcove(host_kubeconfig, &[&create[..], &values[..]].concat());
    let service = host.get(&format!("/api/v1/namespaces/{host_namespace}/services/{name}")).expect(200);
    let server = format!("https://{node_ip}:{}", service["spec"]["ports"][0]["nodePort"]);
    let connect = ["connect", name, "-n", &host_namespace, "--print", "--server", &server];
    let kubeconfig = alcove(host_kubeconfig, &connect);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("host-{name}.kubeconfig"));
    std::fs::write(&file, kubeconfig).expect("a new file");
    // Its node port leads there as soon as the host's node knows of its pod.
    eventually(&format!("an answer of the tenant {name}"), || {
        let tenant = Api::of(&file).map_err(|error| error.to_string())?;
        let answer = tenant.try_send("GET", "/readyz", &[], b"").map_err(|error| error.to_string())?;
        (answer.status == 200).then_some(()).ok_or_else(|| answer.text())
    });
    Tenant { name: name.to_owned(), host_namespace, kubeconfig: file, running: Running::Pod }
}

/// Runs the product; gives what it printed.
fn alcove(host_kubeconfig: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alcove"));
    let output =
        command.args(arguments).env("KUBECONFIG", host_kubeconfig).output().expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "alcove {arguments:?}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Deletes a tenant; nothing of it may be left, be it in its namespace or beside it.
pub fn remove(host_kubeconfig: &Path, tenant: &Tenant) {
    match &tenant.running {
        Running::Host => {}
        Running::Process(process) => process.server.lock().expect("nobody panics with it").kill(),
        Running::Pod => {
            let (name, namespace) = (tenant.name.as_str(), tenant.host_namespace.as_str());
            alcove(host_kubeconfig, &["delete", name, "-n", namespace, "--yes", "--delete-namespace"]);
            let host = Api::of(host_kubeconfig).expect("the host's kubeconfig");
            let gone = format!("/api/v1/namespaces/{namespace}");
            eventually("the end of the tenant's namespace", || match host.get(&gone).status {
                404 => Ok(()),
                status => Err(format!("it answers {status}")),
            });
            for kind in ["clusterroles", "clusterrolebindings"] {
                let path = format!(
                    "/apis/rbac.authorization.k8s.io/v1/{kind}?labelSelector=alcove.dev%2Ftenant%3D{name}"
                );
                let left = host.get(&path).json();
                assert_eq!(left["items"], json!([]), "{kind} are left");
            }
        }
    }
}

fn create(api: &Api, namespace: &str, kind: &str, object: &Value) {
    let answer = api.post(&format!("/api/v1/namespaces/{namespace}/{kind}"), object);
    assert_eq!(answer.status, 201, "{}", answer.text());
}

fn service(api: &Api, namespace: &str, name: &str, ports: Value) {
    let object =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports}});
    create(api, namespace, "services", &object);
}

fn endpoints(api: &Api, namespace: &str, name: &str, ports: Value) {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4", "ports": ports, "endpoints": [{"addresses": [machine_ip(api)]}],
    });
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    let answer = api.post(&path, &slice);
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// The machine's address as the host's pods see it: the last of the node's network.
fn machine_ip(host: &Api) -> String {
    let (network, _) = host.address.rsplit_once('.').expect("an address is an IP and a port");
    format!("{network}.254")
}

/// A port that is free now.
fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a free port");
    socket.local_addr().expect("a bound socket").port()
}
