//! Walls around a tenant on its host: who reaches whom, and how much of the host the namespace may take.

use super::{Release, put};
use alcove_object::Value;
use serde_json::json;

/// Where API servers of hosts listen, as their endpoints say: port 443 in clouds, 6443 from kubeadm, kind and k3s, 8443
/// in minikube, 16443 in MicroK8s. Others need `isolation.network.controlPlaneEgress`.
const HOST_API_PORTS: [u16; 4] = [443, 6443, 8443, 16443];
/// Cloud metadata and other services of the node itself.
const LINK_LOCAL: [&str; 2] = ["169.254.0.0/16", "fe80::/10"];
const EVERYWHERE: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// Network policies, quota and limits, as far as they are wanted.
pub fn objects(release: &Release) -> Vec<Value> {
    let isolation = &release.config.isolation;
    let mut all = Vec::new();
    if isolation.network.enabled {
        all.extend([around_control_plane(release), around_tenant(release)]);
    }
    if isolation.resource_quota.enabled {
        let mut quota = release.object("v1", "ResourceQuota", &release.name);
        quota["spec"] = json!({ "hard": isolation.resource_quota.hard });
        all.push(quota);
    }
    if isolation.has_limit_range() {
        let mut container = json!({ "type": "Container" });
        put(&mut container, "default", json!(isolation.limit_range.default));
        put(&mut container, "defaultRequest", json!(isolation.limit_range.default_request));
        let mut range = release.object("v1", "LimitRange", &release.name);
        range["spec"] = json!({ "limits": [container] });
        all.push(range);
    }
    all
}

fn policy(release: &Release, name: &str, selector: Value, ingress: Vec<Value>, egress: Vec<Value>) -> Value {
    let mut policy = release.object("networking.k8s.io/v1", "NetworkPolicy", name);
    policy["spec"] = json!({
        "podSelector": { "matchLabels": selector }, "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress, "egress": egress,
    });
    policy
}

fn port(protocol: &str, port: impl Into<Value>) -> Value {
    json!({ "protocol": protocol, "port": port.into() })
}

fn around_control_plane(release: &Release) -> Value {
    let settings = &release.config.isolation.network;
    let tenant = json!([{ "podSelector": { "matchLabels": release.synced() } }]);
    let mut api = json!({ "ports": [port("TCP", "https")] });
    if !settings.control_plane_from.is_empty() {
        let mut from = settings.control_plane_from.clone();
        from.extend(tenant.as_array().into_iter().flatten().cloned());
        api["from"] = from.into();
    }
    let mut ingress = vec![api];
    if release.config.dns.enabled {
        ingress.push(json!({ "from": tenant, "ports": [port("UDP", "dns"), port("TCP", "dns-tcp")] }));
    }
    let blocks = EVERYWHERE
        .iter()
        .zip(LINK_LOCAL)
        .map(|(cidr, except)| json!({ "ipBlock": { "cidr": cidr, "except": [except] } }));
    let mut egress = vec![
        // The host's API server, whose address is not known here.
        json!({ "to": blocks.collect::<Vec<_>>(), "ports": HOST_API_PORTS.map(|number| port("TCP", number)) }),
        // The host's DNS, which may be an address of the node.
        json!({ "ports": [port("UDP", 53), port("TCP", 53)] }),
        // Webhooks and aggregated API servers that run in the tenant.
        json!({ "to": tenant }),
    ];
    egress.extend(settings.control_plane_egress.iter().cloned());
    policy(release, &release.name, release.selector(), ingress, egress)
}

fn around_tenant(release: &Release) -> Value {
    let settings = &release.config.isolation.network;
    let itself = json!({ "podSelector": { "matchLabels": release.synced() } });
    let control_plane = json!({ "podSelector": { "matchLabels": release.selector() } });
    let mut ingress = vec![json!({ "from": [itself, control_plane] })];
    ingress.extend(settings.extra_ingress.iter().cloned());
    let mut ports = vec![port("TCP", "https")];
    if release.config.dns.enabled {
        ports.extend([port("UDP", "dns"), port("TCP", "dns-tcp")]);
    }
    let mut egress = vec![json!({ "to": [itself] }), json!({ "to": [control_plane], "ports": ports })];
    if !release.config.dns.enabled {
        let kube_system = json!({ "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } });
        egress.push(json!({
            "to": [{ "namespaceSelector": kube_system }], "ports": [port("UDP", 53), port("TCP", 53)],
        }));
    }
    if settings.public_egress {
        egress.push(json!({ "to": public(&settings.denied) }));
    }
    egress.extend(settings.extra_egress.iter().cloned());
    policy(release, &release.part("workload"), release.synced(), ingress, egress)
}

/// Everywhere but the denied ranges. A family none of whose ranges is denied has no public addresses that we could tell
/// from private ones, so it is left out; unless nothing at all is denied.
fn public(denied: &[String]) -> Vec<Value> {
    let mut blocks = Vec::new();
    for (cidr, is_six) in EVERYWHERE.into_iter().zip([false, true]) {
        let except: Vec<&String> = denied.iter().filter(|range| range.contains(':') == is_six).collect();
        if !except.is_empty() || denied.is_empty() {
            let mut block = json!({ "cidr": cidr });
            put(&mut block, "except", json!(except));
            blocks.push(json!({ "ipBlock": block }));
        }
    }
    blocks
}
