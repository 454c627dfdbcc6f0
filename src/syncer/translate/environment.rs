//! Service variables of containers. The host's kubelet would tell of the host's services; so a tenant's namespace has a
//! ConfigMap on the host with the variables of its services, and every container reads it first. That puts them where
//! the kubelet's own would be: below what `envFrom` and `env` say, and there for `$(VAR)`. A container that starts later
//! sees the services of then, and a pod stays the same size with a thousand services.
//!
//! Names and values are those of k8s.io/kubernetes/pkg/kubelet/envvars.

use super::Tenant;
use super::metadata::{CLUSTER, NAMESPACE};
use super::pod_refs::items;
use alcove_apiserver::kinds::CONTAINER_LISTS;
use alcove_object::gather::Gather;
use alcove_object::tree::at;
use alcove_object::{Value, meta};
use serde_json::{Map, json};
use sha2::{Digest, Sha256};

/// Label of the ConfigMaps that hold service variables.
pub const ENVIRONMENT: &str = "alcove.dev/service-variables";
/// Annotation: what such a ConfigMap holds, as a digest.
pub const DIGEST: &str = "alcove.dev/digest";
/// The service that all containers are told of, whatever they ask for.
pub const KUBERNETES: (&str, &str) = ("default", "kubernetes");
/// What the host's kubelet tells every container of its own API server.
const HOST_VARIABLES: [&str; 8] = [
    "KUBERNETES_PORT",
    "KUBERNETES_PORT_443_TCP",
    "KUBERNETES_PORT_443_TCP_ADDR",
    "KUBERNETES_PORT_443_TCP_PORT",
    "KUBERNETES_PORT_443_TCP_PROTO",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "KUBERNETES_SERVICE_PORT_HTTPS",
];
/// Bytes of variables in one namespace at most. A ConfigMap holds 1 MiB, and a process takes little more.
pub const VARIABLES_BYTES_MAX: usize = 768 * 1024;

/// Whose services a container is told of: those of a namespace and `kubernetes`, or `kubernetes` alone (empty).
pub fn scope(pod: &Value) -> &str {
    if at(pod, "/spec/enableServiceLinks") == Some(&Value::Bool(false)) { "" } else { meta::namespace(pod) }
}

/// The ConfigMap of a scope. No tenant's object has a host name that ends like this.
pub fn environment_name(tenant: &Tenant, scope: &str) -> String {
    match scope {
        "" => format!("{}.kubernetes", tenant.cluster),
        namespace => format!("{namespace}-x-{}.services", tenant.cluster),
    }
}

/// The scope of such a ConfigMap: `None` unless it is one that we would make.
pub fn environment_scope(tenant: &Tenant, config_map: &Value) -> Option<String> {
    if meta::label(config_map, CLUSTER) != Some(&tenant.cluster) {
        return None;
    }
    meta::label(config_map, ENVIRONMENT)?;
    let scope = meta::label(config_map, NAMESPACE).unwrap_or_default();
    (environment_name(tenant, scope) == meta::name(config_map)).then(|| scope.to_owned())
}

/// The ConfigMap of a scope with these services, in order of name, and the names of those for which there is no room.
pub fn environment(tenant: &Tenant, scope: &str, services: &[Value]) -> (Value, Vec<String>) {
    let (mut left_out, mut bytes) = (Vec::new(), 0);
    // What the host's kubelet says of its own API server is hidden, whatever the tenant has.
    let mut data: Map<String, Value> =
        HOST_VARIABLES.iter().map(|name| ((*name).to_owned(), "".into())).gather();
    for service in services {
        let variables = variables(service);
        let size: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes + size > VARIABLES_BYTES_MAX {
            left_out.push(meta::name(service).to_owned());
            continue;
        }
        bytes += size;
        data.extend(variables.into_iter().map(|(name, value)| (name, value.into())));
    }
    let hash = Sha256::digest(Value::Object(data.clone()).to_string());
    let digest: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut labels = json!({ CLUSTER: tenant.cluster, ENVIRONMENT: "true" });
    if !scope.is_empty() {
        labels[NAMESPACE] = scope.into();
    }
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": environment_name(tenant, scope), "namespace": tenant.host_namespace,
                      "labels": labels, "annotations": { DIGEST: digest } },
        "data": data,
    });
    (object, left_out)
}

/// Lets every container read its scope's ConfigMap before anything else.
pub fn rewrite_environment(tenant: &Tenant, pod: &Value, spec: &mut Value) {
    let source = json!({ "configMapRef": { "name": environment_name(tenant, scope(pod)) } });
    for list in CONTAINER_LISTS {
        for container in items(spec.get_mut(list)) {
            match container.get_mut("envFrom").and_then(Value::as_array_mut) {
                Some(sources) => sources.insert(0, source.clone()),
                None => container["envFrom"] = json!([source]),
            }
        }
    }
}

/// What containers are told of a service: nothing if it has no address.
pub fn variables(service: &Value) -> Vec<(String, String)> {
    let spec = &service["spec"];
    let address = spec["clusterIP"].as_str().filter(|ip| !ip.is_empty() && *ip != "None");
    let (Some(address), Some(ports)) = (address, spec["ports"].as_array().filter(|ports| !ports.is_empty()))
    else {
        return Vec::new();
    };
    let upper = |text: &str| text.replace('-', "_").to_uppercase();
    let number = |port: &Value| port["port"].as_u64().unwrap_or_default();
    let prefix = upper(meta::name(service));
    let mut out = vec![
        (format!("{prefix}_SERVICE_HOST"), address.to_owned()),
        (format!("{prefix}_SERVICE_PORT"), number(&ports[0]).to_string()),
    ];
    for port in ports {
        if let Some(name) = port["name"].as_str().filter(|name| !name.is_empty()) {
            out.push((format!("{prefix}_SERVICE_PORT_{}", upper(name)), number(port).to_string()));
        }
    }
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    for (at, port) in ports.iter().enumerate() {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let (lower, number) = (protocol.to_lowercase(), number(port));
        let url = format!("{lower}://{host}:{number}");
        if at == 0 {
            out.push((format!("{prefix}_PORT"), url.clone()));
        }
        let port = format!("{prefix}_PORT_{number}_{}", protocol.to_uppercase());
        out.push((port.clone(), url));
        out.push((format!("{port}_PROTO"), lower));
        out.push((format!("{port}_PORT"), number.to_string()));
        out.push((format!("{port}_ADDR"), address.to_owned()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        Tenant { cluster: "demo".into(), host_namespace: "team-a".into() }
    }

    fn service(name: &str, address: &str, ports: Value) -> Value {
        json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": { "clusterIP": address, "ports": ports } })
    }

    #[test]
    fn variables_are_upstreams() {
        let two = service(
            "my-db",
            "10.0.0.9",
            json!([{ "name": "sql-main", "port": 5432 }, { "name": "dns", "port": 53, "protocol": "UDP" }]),
        );
        let lines: Vec<String> =
            variables(&two).iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = [
            "MY_DB_SERVICE_HOST=10.0.0.9",
            "MY_DB_SERVICE_PORT=5432",
            "MY_DB_SERVICE_PORT_SQL_MAIN=5432",
            "MY_DB_SERVICE_PORT_DNS=53",
            "MY_DB_PORT=tcp://10.0.0.9:5432",
            "MY_DB_PORT_5432_TCP=tcp://10.0.0.9:5432",
            "MY_DB_PORT_5432_TCP_PROTO=tcp",
            "MY_DB_PORT_5432_TCP_PORT=5432",
            "MY_DB_PORT_5432_TCP_ADDR=10.0.0.9",
            "MY_DB_PORT_53_UDP=udp://10.0.0.9:53",
            "MY_DB_PORT_53_UDP_PROTO=udp",
            "MY_DB_PORT_53_UDP_PORT=53",
            "MY_DB_PORT_53_UDP_ADDR=10.0.0.9",
        ];
        assert_eq!(lines, expected);
        let six = service("a", "fd00::9", json!([{ "port": 80 }]));
        assert!(variables(&six).contains(&("A_PORT".into(), "tcp://[fd00::9]:80".into())));
        for address in ["", "None"] {
            assert!(variables(&service("a", address, json!([{ "port": 80 }]))).is_empty());
        }
    }

    #[test]
    fn a_thousand_services_fit_and_what_does_not_is_named() {
        let services = |count: usize| -> Vec<Value> {
            (0..count)
                .map(|n| service(&format!("service-{n:05}"), "10.0.0.9", json!([{ "port": 80 }])))
                .collect()
        };
        let (config_map, left_out) = environment(&tenant(), "shop", &services(1000));
        assert_eq!(config_map["data"].as_object().unwrap().len(), 8 + 7000);
        assert!(left_out.is_empty());
        let (config_map, left_out) = environment(&tenant(), "shop", &services(5000));
        assert!(config_map.to_string().len() < 1024 * 1024);
        assert_eq!(config_map["data"].as_object().unwrap().len() / 7 - 1 + left_out.len(), 5000);
    }

    #[test]
    fn scopes_can_be_read_off() {
        for scope in ["", "shop"] {
            let (config_map, _) = environment(&tenant(), scope, &[]);
            assert_eq!(environment_scope(&tenant(), &config_map).as_deref(), Some(scope));
            assert_eq!(super::super::owner(&tenant(), &config_map), None, "it is no tenant object's");
        }
    }
}
