//! What a tenant is made of, on a host: an API server takes all of it, helm takes over what the CLI made, and a second
//! tenant in a namespace is refused. The host is that of `alcove dev`.

use super::harness::session::Session;
use super::harness::shared;
use alcove_operator::provision::{Release, objects};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Kinds of others, which this host does not have.
const FOREIGN: [&str; 2] = ["ServiceMonitor", "TLSRoute"];

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A session whose `helm` and `kubectl` speak to the host, in a new namespace there.
fn on_host(namespace: &str, helm: &str) -> Session {
    let session = Session::new(shared(), namespace, &[("kubectl", "kubectl-1.35"), ("helm", helm)]);
    shared().host().namespace(namespace);
    session.ok("cp $HOST kubeconfig && kubectl config set-context --current --namespace=$NS");
    session
}

fn apply(session: &Session, options: &str, objects: &[Value]) {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    let file = session.kubeconfig().with_file_name("objects.json");
    fs::write(file, list.to_string()).expect("a file in the session's home");
    session.ok(&format!("kubectl apply {options} -f objects.json"));
}

#[test]
fn an_api_server_takes_every_object() {
    let session = on_host("provision-dry", "helm-3");
    let mut count = 0;
    for entry in fs::read_dir(project("src/operator/tests/values")).expect("cases") {
        let path = entry.expect("a case").path();
        let text = fs::read_to_string(&path).expect("a case");
        let is_empty = text.lines().all(|line| line.starts_with('#') || line.is_empty());
        let values = match is_empty {
            true => Value::Null,
            false => alcove_schema::decode::parse_yaml(text.as_bytes()).expect("values").value,
        };
        let release = Release::new("red", "provision-dry", "0.1.0", values).expect("a release");
        let mut all = objects(&release);
        all.retain(|object| !FOREIGN.iter().any(|kind| object["kind"] == *kind));
        apply(&session, "--dry-run=server --validate=strict", &all);
        count += 1;
    }
    assert!(count >= 25, "{count}");
}

fn helm_takes_over(helm: &str) {
    let namespace = format!("provision-{helm}");
    let session = on_host(&namespace, helm);
    let chart = project("manifests/chart");
    let release = Release::new("red", &namespace, env!("CARGO_PKG_VERSION"), Value::Null).expect("a release");
    apply(&session, "--server-side --field-manager alcove", &objects(&release));
    let generation = "kubectl get statefulset red -o jsonpath='{.metadata.uid} {.metadata.generation}'";
    let before = session.ok(generation);
    session.ok(&format!("helm upgrade --install red {} -n $NS", chart.display()));
    assert_eq!(session.ok(generation), before, "{helm} changed what was there already");
    session.ok("helm uninstall red -n $NS --no-hooks");
    assert_eq!(
        session.ok("kubectl get all,secrets,roles,networkpolicies -l alcove.dev/tenant=red -o name"),
        ""
    );
}

#[test]
fn helm_3_takes_over_what_the_cli_made() {
    helm_takes_over("helm-3");
}

#[test]
fn helm_4_takes_over_what_the_cli_made() {
    helm_takes_over("helm-4");
}

#[test]
fn a_second_tenant_in_a_namespace_is_refused_unless_it_is_named() {
    let session = on_host("provision-two", "helm-3");
    let chart = project("manifests/chart").display().to_string();
    session.ok(&format!("helm install red {chart} -n $NS"));
    let refused = session.run(&format!("helm install blue {chart} -n $NS"));
    assert_ne!(refused.code, 0);
    let expected = "the tenant \"red\" lives in namespace \"provision-two\" already; choose another namespace, or name \
        it in isolation.sharedWith of both";
    assert!(refused.output.contains(expected), "{}", refused.output);
    session.ok(&format!("helm install blue {chart} -n $NS --set 'isolation.sharedWith={{red}}'"));
    session.ok(&format!("helm upgrade blue {chart} -n $NS --set 'isolation.sharedWith={{red}}'"));
    session.ok("helm uninstall red blue -n $NS --no-hooks");
}
