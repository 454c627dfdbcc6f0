//! Tokens of the tenant's service accounts. The host's kubelet would ask the host's API server for them, and get an
//! identity of the host; so a pod's token sources become parts of a host Secret that holds the tenant's own tokens.
//!
//! The Secret belongs to the host's pod and goes with it. Its name holds the tenant pod's UID, so that a pod never reads
//! the tokens of an earlier one of its name, and ends in a way in which no name of a tenant's object ends.

use super::metadata::{CLUSTER, KIND, NAME, NAMESPACE, UID};
use super::pod_refs::items;
use super::{Owner, Tenant, host_name};
use alcove_object::gather::Gather;
use alcove_object::tree::{at, at_mut};
use alcove_object::{Value, meta, time};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// Label of the Secrets that hold pods' tokens.
pub const TOKENS: &str = "alcove.dev/pod-tokens";
/// Annotation: when the tokens in a Secret are to be renewed.
pub const RENEW: &str = "alcove.dev/renew-at";
/// What the names of these Secrets end in.
const SUFFIX: &str = ".tokens";
/// What a source that names no time asks for, in seconds.
const SECONDS_DEFAULT: i64 = 60 * 60;
/// What ServiceAccount admission asks for in the volumes that it adds, in seconds. API servers answer exactly this
/// number with a token that is good for a year, for clients that read it only once.
const SECONDS_EXTENDED: i64 = 60 * 60 + 7;

/// A token that a pod asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSource {
    /// Its key in the Secret.
    pub key: String,
    /// For whom it is; `None`: the tenant's API server.
    pub audience: Option<String>,
    /// How long it is to be good, in seconds.
    pub seconds: i64,
}

/// The tokens that a pod asks for.
pub fn token_sources(pod: &Value) -> Vec<TokenSource> {
    let mut sources = Vec::new();
    for volume in at(pod, "/spec/volumes").and_then(Value::as_array).into_iter().flatten() {
        let projected = at(volume, "/projected/sources").and_then(Value::as_array);
        for (at, source) in projected.into_iter().flatten().enumerate() {
            let Some(token) = source.get("serviceAccountToken") else { continue };
            let audience = token["audience"].as_str().filter(|audience| !audience.is_empty());
            // Tokens lie in Secrets of the host, so none of them is good for a year.
            let seconds = match token["expirationSeconds"].as_i64().unwrap_or(SECONDS_DEFAULT) {
                SECONDS_EXTENDED => SECONDS_EXTENDED - 1,
                seconds => seconds,
            };
            sources.push(TokenSource {
                key: key(volume, at),
                audience: audience.map(str::to_owned),
                seconds,
            });
        }
    }
    sources
}

/// A volume's name holds no dot, so keys are unique within a pod.
fn key(volume: &Value, at: usize) -> String {
    format!("{}.{at}", volume["name"].as_str().unwrap_or_default())
}

/// The name of the Secret with a pod's tokens.
pub fn tokens_name(tenant: &Tenant, pod: &Value) -> String {
    format!("{}.{}{SUFFIX}", host_name(tenant, meta::namespace(pod), meta::name(pod)), meta::uid(pod))
}

/// Puts the Secret in the place of a pod's token sources: same path, same mode, and nothing starts before it is there.
pub fn rewrite_tokens(tenant: &Tenant, pod: &Value, spec: &mut Value) {
    let name = tokens_name(tenant, pod);
    for volume in items(spec.get_mut("volumes")) {
        let keys = volume.clone();
        for (at, source) in items(at_mut(volume, "/projected/sources")).enumerate() {
            let Some(token) = source.get("serviceAccountToken") else { continue };
            let item = json!({ "key": key(&keys, at), "path": token["path"] });
            *source = json!({ "secret": { "name": name, "items": [item] } });
        }
    }
}

/// The Secret with a pod's tokens, by key. `host_pod_uid`: of the host's pod, with which it goes.
pub fn tokens(
    tenant: &Tenant,
    pod: &Value,
    host_pod_uid: &str,
    tokens: &BTreeMap<String, String>,
    renew: Timestamp,
) -> Value {
    let (namespace, name) = (meta::namespace(pod), meta::name(pod));
    let data: Map<String, Value> =
        tokens.iter().map(|(key, token)| (key.clone(), BASE64_STANDARD.encode(token).into())).gather();
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": tokens_name(tenant, pod), "namespace": tenant.host_namespace,
            "labels": { CLUSTER: tenant.cluster, NAMESPACE: namespace, TOKENS: "true" },
            "annotations": { NAMESPACE: namespace, NAME: name, UID: meta::uid(pod), KIND: "Pod",
                             RENEW: time::format(renew) },
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": host_name(tenant, namespace, name),
                                  "uid": host_pod_uid }],
        },
        "data": data,
    })
}

/// Whose tokens a host Secret holds: `None` unless it is one that we would make.
pub fn tokens_owner(tenant: &Tenant, secret: &Value) -> Option<Owner> {
    if meta::label(secret, CLUSTER) != Some(&tenant.cluster) || meta::label(secret, TOKENS).is_none() {
        return None;
    }
    let mark = |key| meta::annotation(secret, key).map(str::to_owned);
    let owner = Owner { namespace: mark(NAMESPACE)?, name: mark(NAME)?, uid: mark(UID)? };
    let pod = json!({ "metadata": { "namespace": owner.namespace, "name": owner.name, "uid": owner.uid } });
    (tokens_name(tenant, &pod) == meta::name(secret)).then_some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        Tenant { cluster: "demo".into(), host_namespace: "team-a".into() }
    }

    #[test]
    fn sources_say_audience_and_time() {
        let pod = json!({ "spec": { "volumes": [
            { "name": "a", "projected": { "sources": [
                { "configMap": { "name": "c" } },
                { "serviceAccountToken": { "path": "t", "expirationSeconds": 3607 } },
                { "serviceAccountToken": { "path": "v", "audience": "vault", "expirationSeconds": 600 } } ] } },
            { "name": "b", "projected": { "sources": [{ "serviceAccountToken": { "path": "t" } }] } },
            { "name": "c", "emptyDir": {} },
        ] } });
        let source = |key: &str, audience: Option<&str>, seconds| TokenSource {
            key: key.into(),
            audience: audience.map(str::to_owned),
            seconds,
        };
        let expected =
            [source("a.1", None, 3606), source("a.2", Some("vault"), 600), source("b.0", None, 3600)];
        assert_eq!(token_sources(&pod), expected);
    }

    #[test]
    fn a_secret_is_ours_only_under_the_name_that_we_would_give_it() {
        let pod = json!({ "metadata": { "namespace": "default", "name": "web", "uid": "u-1" } });
        let renew = time::parse("2026-11-21T10:00:00Z").unwrap();
        let mut secret = tokens(&tenant(), &pod, "h-1", &BTreeMap::from([("a.0".into(), "t".into())]), renew);
        let owner = Owner { namespace: "default".into(), name: "web".into(), uid: "u-1".into() };
        assert_eq!(tokens_owner(&tenant(), &secret), Some(owner));
        assert_eq!(super::super::owner(&tenant(), &secret), None, "it is no tenant object's");
        secret["metadata"]["name"] = "copy".into();
        assert_eq!(tokens_owner(&tenant(), &secret), None);
    }
}
