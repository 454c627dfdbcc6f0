//! Reading: keys that are not known, values that cannot be meant, each told with its place.

use crate::keys;
use crate::types::{API_VERSION, Config, KIND};
use alcove_object::name::is_dns1123_label;
use alcove_object::quantity::Quantity;
use alcove_schema::builtin::Enabled;
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// The most that a configuration may hold, in bytes.
const BYTES_MAX: usize = 1024 * 1024;
/// The longest name of a tenant: it stands in names of 63 characters with two others.
pub const NAME_MAX: usize = 40;

/// What is wrong with a configuration: a sentence with the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Problem(pub(crate) String);

/// Reads a file: it must say what it is.
pub fn parse(text: &str) -> Result<Config, Problem> {
    if text.len() > BYTES_MAX {
        return Err(Problem(format!("is larger than {BYTES_MAX} bytes")));
    }
    let document = alcove_schema::decode::parse_yaml(text.as_bytes())
        .map_err(|error| Problem(error.message("Config", text.as_bytes())))?;
    if let Some(error) = &document.strict {
        return Err(Problem(error.to_string()));
    }
    for required in ["apiVersion", "kind"] {
        if document.value.get(required).is_none() {
            return Err(Problem(format!(
                "{required} is missing; start the file with `apiVersion: {API_VERSION}` and `kind: {KIND}`"
            )));
        }
    }
    from_tree(document.value)
}

/// Takes a tree.
pub fn from_tree(tree: Value) -> Result<Config, Problem> {
    let tree = if tree.is_null() { serde_json::json!({}) } else { tree };
    if !tree.is_object() {
        return Err(Problem("must hold keys and values".into()));
    }
    keys::check(&tree)?;
    let mut whole = Config::default().to_tree();
    lay_over(&mut whole, tree);
    let config = Config::deserialize(&whole).map_err(|error| {
        let error = error.to_string();
        Problem(format!("{}: {error}", place(whole, &error)))
    })?;
    sensible(&config).map_err(|(place, why)| Problem(format!("{place} {why}")))?;
    Ok(config)
}

/// Lays what was said over the defaults as helm does with values: maps are merged, `null` takes a default away, all else
/// takes its place. So a file means the same to the process as to the chart.
fn lay_over(whole: &mut Value, said: Value) {
    match (whole, said) {
        (Value::Object(whole), Value::Object(said)) => {
            for (key, value) in said {
                match whole.get_mut(&key) {
                    _ if value.is_null() => drop(whole.remove(&key)),
                    Some(default) => lay_over(default, value),
                    None => drop(whole.insert(key, value)),
                }
            }
        }
        (whole, said) => *whole = said,
    }
}

/// The place of the value that an error is about: the last one without which the error would be another.
fn place(mut whole: Value, error: &str) -> String {
    let (mut place, mut pointer) = (String::new(), String::new());
    while let Some(key) = culprit(&mut whole, &pointer, error) {
        let is_item = whole.pointer(&pointer).is_some_and(Value::is_array);
        let dot = if place.is_empty() { "" } else { "." };
        place += &if is_item { format!("[{key}]") } else { format!("{dot}{key}") };
        pointer += &format!("/{}", key.replace('~', "~0").replace('/', "~1"));
    }
    place
}

/// The first child of what is at a pointer that an error is about. Those after it are gone then.
fn culprit(whole: &mut Value, pointer: &str, error: &str) -> Option<String> {
    const MISSING: &str = "missing field";
    let keys: Vec<String> = match whole.pointer(pointer)? {
        Value::Object(entries) => entries.keys().cloned().collect(),
        Value::Array(items) => (0..items.len()).map(|at| at.to_string()).collect(),
        _ => Vec::new(),
    };
    for key in keys.into_iter().rev() {
        let taken = match whole.pointer_mut(pointer)? {
            Value::Object(entries) => entries.remove(&key),
            parent => parent.as_array_mut().and_then(Vec::pop),
        };
        let now = Config::deserialize(&*whole).map_or_else(|error| error.to_string(), |_| String::new());
        // Without a key that must be there another one is missing, which says nothing.
        if now == error || now.starts_with(MISSING) && error.starts_with(MISSING) {
            continue;
        }
        match whole.pointer_mut(pointer)? {
            Value::Object(entries) => drop(entries.insert(key.clone(), taken?)),
            parent => parent.as_array_mut()?.push(taken?),
        }
        return Some(key);
    }
    None
}

type Found = Result<(), (String, String)>;

fn wrong(place: impl Into<String>, why: impl Into<String>) -> Found {
    Err((place.into(), why.into()))
}

/// What types cannot say.
fn sensible(config: &Config) -> Found {
    if config.api_version != API_VERSION {
        return wrong("apiVersion", format!("must be {API_VERSION:?}, not {:?}", config.api_version));
    }
    if config.kind != KIND {
        return wrong("kind", format!("must be {KIND:?}, not {:?}", config.kind));
    }
    if !config.runtime_config.is_empty() {
        // Types are read for this, which takes a few milliseconds.
        Enabled::new(config.kubernetes_version.0, &config.runtime_config)
            .map_err(|error| ("runtimeConfig:".to_owned(), error.to_string()))?;
    }
    if let Some(host) = &config.host {
        label("host.name", &host.name)?;
        label("host.namespace", &host.namespace)?;
        if host.name.len() > NAME_MAX {
            return wrong("host.name", format!("must have at most {NAME_MAX} characters"));
        }
    }
    for (at, upstream) in config.dns.upstreams.iter().enumerate() {
        if upstream.parse::<IpAddr>().is_err() && upstream.parse::<SocketAddr>().is_err() {
            return wrong(
                format!("dns.upstreams[{at}]"),
                format!("must be an address or address:port, not {upstream:?}"),
            );
        }
    }
    ranges("sync.endpoints.allowed", &config.sync.endpoints.allowed)?;
    ranges("isolation.network.denied", &config.isolation.network.denied)?;
    ranges("expose.loadBalancerSourceRanges", &config.expose.load_balancer_source_ranges)?;
    if Quantity::parse(&config.control_plane.storage.size).is_err() {
        return wrong("controlPlane.storage.size", "must be a quantity such as 2Gi");
    }
    if config.expose.ingress.enabled && config.expose.ingress.host.is_empty() {
        return wrong("expose.ingress.host", "must be set when the Ingress is enabled");
    }
    if config.expose.tls_route.enabled && config.expose.tls_route.hosts.is_empty() {
        return wrong("expose.tlsRoute.hosts", "must be set when the TLSRoute is enabled");
    }
    if config.kubeconfig.certificate_days == 0 {
        return wrong("kubeconfig.certificateDays", "must be at least 1");
    }
    for (at, secret) in config.kubeconfig.additional.iter().enumerate() {
        let account = secret.service_account.as_deref();
        if account.is_some_and(|account| account.split('/').filter(|part| !part.is_empty()).count() != 2) {
            return wrong(format!("kubeconfig.additional[{at}].serviceAccount"), "must be namespace/name");
        }
    }
    Ok(())
}

fn label(place: &str, text: &str) -> Found {
    is_dns1123_label(text).first().map_or(Ok(()), |error| wrong(place, format!("is no name: {error}")))
}

fn ranges(place: &str, ranges: &[String]) -> Found {
    match ranges.iter().enumerate().find(|(_, range)| range.parse::<IpNet>().is_err()) {
        Some((at, range)) => wrong(
            format!("{place}[{at}]"),
            format!("must be an address range such as 10.0.0.0/8, not {range:?}"),
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KubernetesVersion;
    use alcove_schema::Minor;

    const HEAD: &str = "apiVersion: alcove.dev/v1alpha1\nkind: Config\n";

    #[test]
    fn what_is_said_is_read_and_the_rest_is_default() {
        let text = format!(
            "{HEAD}data: /var/lib/alcove\nport: 9443\naddress: 127.0.0.1\nkubernetesVersion: 1.35\nsync:\n  pods:\n    podSecurity: restricted\n"
        );
        let config = parse(&text).unwrap();
        assert_eq!(config.port, Some(9443));
        assert_eq!(config.kubernetes_version, KubernetesVersion(Minor(35)));
        assert_eq!(config.sync.pods.pod_security, crate::PodSecurity::Restricted);
        assert_eq!(config.dns, crate::Dns::default());
        assert_eq!(Config::from_tree(config.to_tree()), Ok(config));
    }

    #[test]
    fn maps_are_merged_as_helm_merges_values() {
        let said = serde_json::json!({
            "sync": null,
            "controlPlane": { "resources": { "limits": { "memory": "2Gi", "cpu": null } } },
            "isolation": { "resourceQuota": { "hard": { "services.nodeports": null, "count/pods": "5" } } },
        });
        let config = from_tree(said).unwrap();
        assert_eq!(config.sync, crate::Sync::default());
        assert_eq!(config.control_plane.resources["limits"], serde_json::json!({ "memory": "2Gi" }));
        assert!(config.control_plane.resources.contains_key("requests"));
        let hard = &config.isolation.resource_quota.hard;
        assert_eq!((hard.get("services.nodeports"), hard["count/pods"].as_str()), (None, Some("5")));
        assert_eq!(hard.len(), 11);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let cases = [
            ("prot: 1", "unknown key \"prot\"; did you mean \"port\"?"),
            (
                "kubernetesversion: 1.36",
                "unknown key \"kubernetesversion\"; did you mean \"kubernetesVersion\"?",
            ),
            ("sync: { podz: {} }", "unknown key \"sync.podz\"; did you mean \"pods\"?"),
            ("dns: { banana: 1 }", "unknown key \"dns.banana\"; known keys are enabled, port, upstreams"),
            (
                "kubeconfig: { additional: [{ name: a, servr: b }] }",
                "unknown key \"kubeconfig.additional[0].servr\"; did you mean \"server\"?",
            ),
            ("port: 70000", "port: invalid value: integer `70000`, expected u16"),
            ("kubernetesVersion: 1.12", "kubernetesVersion: this binary serves 1.34, 1.35, 1.36, 1.37"),
            ("dns: { upstreams: [x] }", "dns.upstreams[0] must be an address or address:port, not \"x\""),
            (
                "sync: { endpoints: { allowed: [10.0.0.0/33] } }",
                "sync.endpoints.allowed[0] must be an address range such as 10.0.0.0/8, not \"10.0.0.0/33\"",
            ),
            (
                "runtimeConfig: { api/beta: 1 }",
                "runtimeConfig.api/beta: invalid type: integer `1`, expected a boolean",
            ),
            (
                "sync: { pods: { annotations: [a, 1] } }",
                "sync.pods.annotations[1]: invalid type: integer `1`, expected a string",
            ),
            (
                "kubeconfig: { additional: [{ name: a }, { name: 1 }, { name: 1 }] }",
                "kubeconfig.additional[1].name: invalid type: integer `1`, expected a string",
            ),
            (
                "runtimeConfig: { batch/v9: true }",
                "runtimeConfig: group version batch/v9 has not been registered: Kubernetes 1.36 knows batch/v1, batch/v1beta1",
            ),
            (
                "expose: { ingress: { enabled: true } }",
                "expose.ingress.host must be set when the Ingress is enabled",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(&format!("{HEAD}{line}\n")).unwrap_err().to_string(), expected);
        }
        assert!(parse("port: 1").unwrap_err().to_string().starts_with("apiVersion is missing"));
        let error = parse("apiVersion: v1\nkind: Config\n").unwrap_err().to_string();
        assert_eq!(error, "apiVersion must be \"alcove.dev/v1alpha1\", not \"v1\"");
    }
}
