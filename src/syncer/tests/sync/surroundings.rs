//! What a pod finds around it: service variables, DNS, its namespace's labels.

use crate::support::host::NAMESPACE;
use crate::support::tenant::{pod, service};
use crate::support::{Host, Side, gvr, phase};
use alcove_object::Value;
use serde_json::json;

const POD: &str = "web-x-default-x-demo";
const VARIABLES: &str = "default-x-demo.services";

fn with_address(name: &str, address: &str) -> Value {
    let mut service = service(name);
    service["spec"]["clusterIP"] = address.into();
    service["spec"]["clusterIPs"] = json!([address]);
    service
}

#[tokio::test]
async fn a_pod_finds_the_services_of_its_namespace_when_it_comes() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("services", with_address("first-db", "10.96.0.1")).await;
    side.create("pods", pod("web")).await;
    let on_host = host.until("pods", POD, |_| true).await;
    let source = &on_host["spec"]["containers"][0]["envFrom"][0];
    assert_eq!(source, &json!({ "configMapRef": { "name": VARIABLES } }));
    let variables = host.get("configmaps", VARIABLES).expect("variables are there before the pod");
    assert_eq!(variables["data"]["FIRST_DB_SERVICE_HOST"], "10.96.0.1");
    assert_eq!(variables["data"]["FIRST_DB_PORT_80_TCP"], "tcp://10.96.0.1:80");
    assert_eq!(variables["data"]["KUBERNETES_SERVICE_HOST"], "", "the host's own never shows");

    // A later pod finds what came meanwhile, and what the host makes of it comes back.
    side.create("services", with_address("late", "10.96.0.2")).await;
    side.create("pods", pod("later")).await;
    host.until("pods", "later-x-default-x-demo", |_| true).await;
    assert_eq!(host.get("configmaps", VARIABLES).unwrap()["data"]["LATE_SERVICE_HOST"], "10.96.0.2");
    host.patch("configmaps", VARIABLES, json!({ "data": { "LATE_SERVICE_HOST": "6.6.6.6" } })).await;
    host.until("configmaps", VARIABLES, |c| c["data"]["LATE_SERVICE_HOST"] == "10.96.0.2").await;
    host.delete("configmaps", VARIABLES, None).await;
    host.until("configmaps", VARIABLES, |_| true).await;
    side.settled(&host).await;

    // Without pods nobody needs them.
    for name in ["web", "later"] {
        side.delete("pods", name, Some(0)).await;
        host.end(&side.host_name("default", name)).await;
    }
    host.until_gone("configmaps", VARIABLES).await;
}

#[tokio::test]
async fn a_pod_without_service_links_is_told_of_the_api_server_alone() {
    let host = Host::start().await;
    let front = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "demo" },
        "spec": { "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": [{ "name": "https", "port": 443 }] } });
    host.create("services", front).await;
    let side = Side::start(&host, "demo", 2).await;
    side.until("services", "kubernetes", |s| s["spec"]["clusterIP"] == "10.96.0.9").await;
    side.create("services", with_address("db", "10.96.0.1")).await;
    let mut alone = pod("web");
    alone["spec"]["enableServiceLinks"] = false.into();
    side.create("pods", alone).await;
    host.until("pods", POD, |_| true).await;
    let variables = host.get("configmaps", "demo.kubernetes").unwrap();
    assert_eq!(variables["data"]["KUBERNETES_SERVICE_HOST"], "10.96.0.9");
    assert_eq!(variables["data"]["KUBERNETES_SERVICE_PORT_HTTPS"], "443");
    assert!(variables["data"].get("DB_SERVICE_HOST").is_none());
    side.settled(&host).await;
}

#[tokio::test]
async fn pods_wait_for_the_address_of_dns_and_use_it() {
    let host = Host::start().await;
    let mut side = Side::without_syncer(&host, "demo", 2).await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "kube-system" } });
    let _ = side.client.create(&gvr("namespaces"), "", namespace).await;
    side.dns = Some("demo-dns".into());
    side.start_syncer(&host).await;
    side.create("services", service("web")).await;
    side.create("pods", pod("web")).await;
    host.until("services", POD, |_| true).await;
    assert!(host.get("pods", POD).is_none(), "no pod before DNS has an address");
    let dns = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "demo-dns", "namespace": NAMESPACE },
        "spec": { "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "ports": [
            { "name": "dns", "port": 53, "protocol": "UDP" }, { "name": "dns-tcp", "port": 53, "protocol": "TCP" }] } });
    host.create("services", dns).await;
    let on_host = host.until("pods", POD, |_| true).await;
    assert_eq!(on_host["spec"]["dnsPolicy"], "None");
    assert_eq!(on_host["spec"]["dnsConfig"]["nameservers"], json!(["10.96.0.10"]));
    assert_eq!(on_host["spec"]["dnsConfig"]["searches"][0], "default.svc.cluster.local");
    let shown = || {
        let service = crate::support::get(&side.client, "services", "kube-system", "kube-dns");
        service.ok_or_else(|| "the tenant has no service kube-dns yet".to_owned())
    };
    let shown = side.changes.until(shown).await;
    assert_eq!(shown["spec"]["clusterIP"], "10.96.0.10");
    assert!(
        host.get("services", "kube-dns-x-kube-system-x-demo").is_none(),
        "a door is not made on the host"
    );
    side.settled(&host).await;
}

#[tokio::test]
async fn pods_carry_the_labels_of_their_namespace() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("web")).await;
    host.until("pods", POD, |_| true).await;
    host.run(POD, "node-1").await;
    side.until("pods", "web", |p| phase(p) == "Running").await;
    let patch = async |labels: Value| {
        let options = alcove_apiserver::options::WriteOptions::default();
        let (kind, patch) =
            (alcove_apiserver::options::PatchType::Merge, json!({ "metadata": { "labels": labels } }));
        side.client.patch(&gvr("namespaces"), "", "", "default", kind, patch, &options).await.unwrap();
    };
    patch(json!({ "team": "red" })).await;
    host.until("pods", POD, |p| p["metadata"]["labels"]["namespace.alcove.dev/team"] == "red").await;
    patch(json!({ "team": null })).await;
    host.until("pods", POD, |p| p["metadata"]["labels"].get("namespace.alcove.dev/team").is_none()).await;
    side.settled(&host).await;
}
