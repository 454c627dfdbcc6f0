//! Whether the service of an APIService can be there, as far as its objects tell
//! (k8s.io/kube-aggregator/pkg/controllers/status/remote).

use alcove_object::Value;

/// Why a service cannot answer: a reason and a message. `service`: it, if it is there; `slices`: those of its endpoints.
pub fn unreachable(
    (namespace, name, port): (&str, &str, u16),
    service: Option<&Value>,
    slices: &[Value],
) -> Option<(&'static str, String)> {
    let of = format!("service/{name} in {namespace:?}");
    let Some(service) = service else {
        return Some(("ServiceNotFound", format!("{of} is not present")));
    };
    if !matches!(service["spec"]["type"].as_str(), None | Some("ClusterIP")) {
        return None;
    }
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let Some(found) = ports.into_iter().find(|known| known["port"].as_u64() == Some(port.into())) else {
        return Some(("ServicePortError", format!("{of} is not listening on port {port}")));
    };
    if slices.is_empty() {
        return Some(("EndpointsNotFound", format!("cannot find endpointslices for {of}")));
    }
    let port_name = found["name"].as_str().unwrap_or_default();
    if slices.iter().any(|slice| has_endpoint(slice, port_name)) {
        return None;
    }
    let message = format!("endpointslices for {of} have no addresses with port name {port_name:?}");
    Some(("MissingEndpoints", message))
}

fn has_endpoint(slice: &Value, port_name: &str) -> bool {
    let mut endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let mut ports = slice["ports"].as_array().into_iter().flatten();
    endpoints.any(|endpoint| endpoint["conditions"]["ready"] != false)
        && ports
            .any(|port| port["name"].as_str().unwrap_or_default() == port_name && port["port"].is_number())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reasons_are_upstreams() {
        let service = |kind: &str| json!({"spec": {"type": kind, "ports": [{"name": "https", "port": 443}]}});
        let slice = |ready: Value, name: &str| {
            json!({
                "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}],
                "ports": [{"name": name, "port": 4443}],
            })
        };
        let good = || vec![slice(json!(true), "https")];
        for (service, port, slices, expected) in [
            (None, 443, good(), Some(("ServiceNotFound", "service/b in \"a\" is not present"))),
            (
                Some(service("ClusterIP")),
                444,
                good(),
                Some(("ServicePortError", "service/b in \"a\" is not listening on port 444")),
            ),
            (
                Some(service("ClusterIP")),
                443,
                vec![],
                Some(("EndpointsNotFound", "cannot find endpointslices for service/b in \"a\"")),
            ),
            (
                Some(service("ClusterIP")),
                443,
                vec![slice(json!(false), "https"), slice(json!(true), "http")],
                Some((
                    "MissingEndpoints",
                    "endpointslices for service/b in \"a\" have no addresses with port name \"https\"",
                )),
            ),
            (Some(service("ClusterIP")), 443, vec![slice(json!(null), "https")], None),
            (Some(service("ExternalName")), 444, vec![], None),
        ] {
            let found = unreachable(("a", "b", port), service.as_ref(), &slices);
            let found = found.as_ref().map(|(reason, message)| (*reason, message.as_str()));
            assert_eq!(found, expected);
        }
    }
}
