//! Ingresses: hosts, classes and annotations that the platform team allows, with the host's names of services and
//! secrets. A host that was not allowed could be another tenant's.

use super::{Context, Refusal, Wanted, annotations, host_name, metadata};
use alcove_object::{Value, meta};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// The annotation that named the class before there was a field.
const CLASS: &str = "kubernetes.io/ingress.class";
/// Annotations whose value names a Secret, as `name` or `namespace/name`.
const SECRETS: [&str; 3] = [
    "nginx.ingress.kubernetes.io/auth-secret",
    "nginx.ingress.kubernetes.io/auth-tls-secret",
    "nginx.ingress.kubernetes.io/proxy-ssl-secret",
];

/// The host's Ingress.
pub fn ingress(context: &Context<'_>, object: &Value) -> Result<Wanted, Refusal> {
    let (tenant, namespace, spec) = (context.tenant, meta::namespace(object), &object["spec"]);
    let mut out = json!({});
    if let Some(class) = class(context, object)? {
        out["ingressClassName"] = class.into();
    }
    if spec.get("defaultBackend").is_some() {
        let why = "a default backend takes requests for all hosts; name hosts in rules";
        return Err(Refusal::of("spec.defaultBackend", why));
    }
    let mut rules = spec["rules"].clone();
    for (at, rule) in items(&mut rules).enumerate() {
        let place = format!("spec.rules[{at}]");
        check_host(context, &format!("{place}.host"), rule["host"].as_str().unwrap_or_default())?;
        for path in rule.pointer_mut("/http/paths").map(items).into_iter().flatten() {
            let Some(Json::String(name)) = path.pointer_mut("/backend/service/name") else {
                let why = "only services can be backends";
                return Err(Refusal::of(&format!("{place}.http.paths"), why));
            };
            *name = host_name(tenant, namespace, name);
        }
    }
    if rules.is_array() {
        out["rules"] = rules;
    }
    let mut tls = spec["tls"].clone();
    for (at, entry) in items(&mut tls).enumerate() {
        for host in entry["hosts"].as_array().into_iter().flatten() {
            check_host(context, &format!("spec.tls[{at}].hosts"), host.as_str().unwrap_or_default())?;
        }
        if let Some(Json::String(name)) = entry.get_mut("secretName") {
            *name = host_name(tenant, namespace, name);
        }
    }
    if tls.is_array() {
        out["tls"] = tls;
    }
    let mut metadata = metadata(tenant, object);
    annotations(&mut metadata, object, &context.allowed.ingresses.annotations);
    for key in SECRETS {
        if let Some(Json::String(value)) = metadata["annotations"].get_mut(key) {
            let name = secret_name(namespace, value).unwrap_or_default().to_owned();
            *value = format!("{}/{}", tenant.host_namespace, host_name(tenant, namespace, &name));
        }
    }
    Ok(json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": out })
        .into())
}

/// A tenant's ingress with the addresses that the host's controller serves it on.
pub fn ingress_back(tenant: &Value, host: &Value) -> Value {
    let mut out = tenant.clone();
    let balancer = host.pointer("/status/loadBalancer").cloned().unwrap_or_else(|| json!({}));
    out["status"] = json!({ "loadBalancer": balancer });
    out
}

/// The Secrets that an ingress uses.
pub fn ingress_secrets(object: &Value) -> BTreeSet<String> {
    let tls = object.pointer("/spec/tls").and_then(Value::as_array).into_iter().flatten();
    let tls = tls.filter_map(|entry| entry["secretName"].as_str());
    let named = SECRETS.iter().filter_map(|key| meta::annotation(object, key));
    let named = named.filter_map(|value| secret_name(meta::namespace(object), value));
    tls.chain(named).map(str::to_owned).collect()
}

/// The name of a Secret of this namespace that an annotation names.
fn secret_name<'a>(namespace: &str, value: &'a str) -> Option<&'a str> {
    match value.split_once('/') {
        Some((other, name)) => (other == namespace).then_some(name),
        None => Some(value),
    }
}

fn class(context: &Context<'_>, object: &Value) -> Result<Option<String>, Refusal> {
    const FIELD: &str = "spec.ingressClassName";
    let allowed = &context.allowed.ingresses.classes;
    let asked = object.pointer("/spec/ingressClassName").and_then(Value::as_str);
    let asked = asked.or_else(|| meta::annotation(object, CLASS)).filter(|class| !class.is_empty());
    let Some(class) = asked.or(allowed.first().map(String::as_str)) else { return Ok(None) };
    if !allowed.is_empty() && !allowed.iter().any(|name| name == class) {
        let list = allowed.join(", ");
        return Err(Refusal::of(FIELD, format!("allowed are {list}; for another one ask the platform team")));
    }
    if context.known.has_class("ingressclasses", class) == Some(false) {
        return Err(Refusal::of(
            FIELD,
            "the host has no such class; kubectl get ingressclasses shows those there are",
        ));
    }
    Ok(Some(class.to_owned()))
}

fn check_host(context: &Context<'_>, field: &str, host: &str) -> Result<(), Refusal> {
    let allowed = &context.allowed.ingresses.hosts;
    let is_allowed = |entry: &String| match entry.strip_prefix('*') {
        // A suffix needs a name before it.
        Some(suffix) => host.strip_suffix(suffix).is_some_and(|name| !name.is_empty()),
        None => entry == host,
    };
    if allowed.iter().any(is_allowed) {
        return Ok(());
    }
    let told = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
    let what = if host.is_empty() {
        "a rule without a host takes requests for all hosts"
    } else {
        "this host is not allowed"
    };
    Err(Refusal::of(
        field,
        format!("{what}; allowed are {told}; for another one ask the platform team for sync.ingresses.hosts"),
    ))
}

fn items(list: &mut Value) -> impl Iterator<Item = &mut Value> {
    list.as_array_mut().into_iter().flatten()
}
