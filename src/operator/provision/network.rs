//! How the control plane is reached: Services, Ingress, route.

use super::{Release, SERVICE_PORT, put};
use alcove_config::{ExposeType, ParentRef};
use alcove_object::Value;
use serde_json::json;

/// Label: what a Service is for.
const COMPONENT: &str = "app.kubernetes.io/component";
/// The port at which pods look for DNS.
const DNS_PORT: u16 = 53;

impl Release {
    /// What selects one of the release's Services.
    pub(super) fn part_selector(&self, component: &str) -> Value {
        let mut labels = self.selector();
        labels[COMPONENT] = component.into();
        labels
    }

    fn service(&self, name: &str, component: &str, spec: Value) -> Value {
        let mut service = self.object("v1", "Service", name);
        service["metadata"]["labels"][COMPONENT] = component.into();
        service["spec"] = spec;
        service["spec"]["selector"] = self.selector();
        // There is one pod: whoever asks too early is better answered by it than by nobody.
        service["spec"]["publishNotReadyAddresses"] = true.into();
        service
    }
}

/// All Services, and what stands before them.
pub fn objects(release: &Release) -> Vec<Value> {
    let mut all = vec![api(release), headless(release)];
    if release.config.dns.enabled {
        all.push(dns(release));
    }
    if release.config.expose.ingress.enabled {
        all.push(ingress(release));
    }
    if release.config.expose.tls_route.enabled {
        all.push(tls_route(release));
    }
    all
}

fn api(release: &Release) -> Value {
    let expose = &release.config.expose;
    let mut port = json!({ "name": "https", "port": SERVICE_PORT, "targetPort": "https", "protocol": "TCP" });
    let mut spec = json!({ "type": expose.service_type });
    if expose.service_type != ExposeType::ClusterIP {
        put(&mut port, "nodePort", json!(expose.node_port));
    }
    if expose.service_type == ExposeType::LoadBalancer {
        put(&mut spec, "loadBalancerSourceRanges", json!(expose.load_balancer_source_ranges));
    }
    spec["ports"] = json!([port]);
    let mut service = release.service(&release.name, "api", spec);
    for (key, value) in &expose.annotations {
        service["metadata"]["annotations"][key] = value.clone().into();
    }
    service
}

fn headless(release: &Release) -> Value {
    let port = json!({ "name": "https", "port": SERVICE_PORT, "targetPort": "https", "protocol": "TCP" });
    let spec = json!({ "type": "ClusterIP", "clusterIP": "None", "ports": [port] });
    release.service(&release.part("headless"), "headless", spec)
}

/// Its address is there before the first pod of the tenant, and stays.
fn dns(release: &Release) -> Value {
    let port = |name: &str, protocol: &str| json!({ "name": name, "port": DNS_PORT, "targetPort": name, "protocol": protocol });
    let spec = json!({ "type": "ClusterIP", "ports": [port("dns", "UDP"), port("dns-tcp", "TCP")] });
    release.service(&release.part("dns"), "dns", spec)
}

fn ingress(release: &Release) -> Value {
    let settings = &release.config.expose.ingress;
    let mut ingress = release.object("networking.k8s.io/v1", "Ingress", &release.name);
    let annotations = &mut ingress["metadata"]["annotations"];
    annotations["nginx.ingress.kubernetes.io/backend-protocol"] = "HTTPS".into();
    annotations["nginx.ingress.kubernetes.io/ssl-passthrough"] = "true".into();
    for (key, value) in &settings.annotations {
        annotations[key] = value.clone().into();
    }
    let backend = json!({ "service": { "name": release.name, "port": { "name": "https" } } });
    let path = json!({ "path": "/", "pathType": "Prefix", "backend": backend });
    ingress["spec"] = json!({ "rules": [{ "host": settings.host, "http": { "paths": [path] } }] });
    put(&mut ingress["spec"], "ingressClassName", settings.class.clone());
    ingress
}

fn tls_route(release: &Release) -> Value {
    let settings = &release.config.expose.tls_route;
    let mut route = release.object("gateway.networking.k8s.io/v1", "TLSRoute", &release.name);
    route["spec"] = json!({
        "hostnames": settings.hosts,
        "rules": [{ "backendRefs": [{ "name": release.name, "port": SERVICE_PORT }] }],
    });
    put(&mut route["spec"], "parentRefs", settings.parent_refs.iter().map(parent).collect::<Vec<_>>());
    route
}

fn parent(gateway: &ParentRef) -> Value {
    let mut parent = json!({ "name": gateway.name });
    put(&mut parent, "namespace", gateway.namespace.clone());
    put(&mut parent, "sectionName", gateway.section_name.clone());
    parent
}
