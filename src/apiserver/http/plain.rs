//! Paths that are no objects: discovery, version, health, metrics.

use super::body::Body;
use super::handle::Call;
use super::negotiate::{self, Clause, Media};
use super::respond::{self, Answer};
use crate::registry::Registry;
use crate::version;
use alcove_object::Status;
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;
use std::sync::Arc;

/// Media type of aggregated discovery: clients test for its parameters.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The endpoints by their first path segment, as metrics name them.
const ENDPOINTS: [&str; 10] =
    ["api", "apis", "healthz", "livez", "readyz", "metrics", "openapi", "version", ".well-known", "openid"];

/// The name under which a path is counted, empty if nobody serves it.
pub fn label(path: &str) -> &'static str {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    ENDPOINTS.iter().find(|endpoint| **endpoint == first).copied().unwrap_or_default()
}

/// Answers a request that is not about objects.
pub async fn answer(call: Call) -> Result<Answer, Status> {
    let path = call.info.path.clone();
    let answer = match label(&path) {
        "api" | "apis" => discovery(&call, &path)?,
        "openapi" => super::openapi::answer(&call, &path).await?,
        "version" if without_slash(&path) == "/version" => {
            negotiate::check_json(call.headers())?;
            Some(document(version::info(call.front.server.minor)))
        }
        ".well-known" | "openid" => issuer(&call, without_slash(&path)),
        "metrics" if path == "/metrics" => Some(metrics(&call)),
        "healthz" | "livez" | "readyz" => {
            let health = call.front.health.answer(&path, &call.query);
            health.map(|health| respond::text(health.code, health.text))
        }
        _ if matches!(&*path, "/" | "/index.html") => Some(document(json!({"paths": paths(&call)}))),
        _ => None,
    };
    match answer {
        None => unserved(&call.front.server.registry(), &path),
        Some(_) if is_routed(&path) && !matches!(call.info.method.as_str(), "get" | "head") => {
            Err(Status::unrouted_method())
        }
        Some(answer) => Ok(answer),
    }
}

/// Whether upstream routes a path by its method. Groups, health, metrics and schemas are told whatever the method is.
fn is_routed(path: &str) -> bool {
    match label(path) {
        "apis" => without_slash(path).matches('/').count() > 2,
        endpoint => matches!(endpoint, "api" | "version" | ".well-known" | "openid"),
    }
}

/// What a path that nobody serves gets: below the groups that are built in a Status, elsewhere text. Upstream has a
/// router of its own for each of those groups (k8s.io/apiserver/pkg/server/handler.go).
pub fn unserved(registry: &Registry, path: &str) -> Result<Answer, Status> {
    let mut parts = path.strip_prefix('/').unwrap_or(path).split('/');
    let is_routed = match (parts.next(), parts.next()) {
        (Some("api" | "version"), Some(_)) => true,
        (Some("apis"), Some(group)) if !group.is_empty() => {
            registry.resources().iter().any(|r| r.custom.is_none() && r.gvr.group == group)
        }
        _ => false,
    };
    if is_routed { Err(Status::no_such_resource()) } else { Ok(respond::page_not_found()) }
}

/// A path without the slash at its end, where upstream forgives one.
fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// JSON, which upstream indents for everybody.
fn document(value: serde_json::Value) -> Answer {
    respond::json(200, Media { pretty: true, ..Media::PLAIN }, Body::full(format!("{value}\n")))
}

/// Who issues service-account tokens, and by which keys they are verified (OpenID Connect Discovery 1.0).
fn issuer(call: &Call, path: &str) -> Option<Answer> {
    let tokens = call.front.server.tokens.as_ref()?;
    let (content_type, document) = match path {
        "/.well-known/openid-configuration" => ("application/json", tokens.configuration()),
        "/openid/v1/jwks" => ("application/jwk-set+json", tokens.key_set()),
        _ => return None,
    };
    let mut answer = respond::answer(200, content_type, Body::full(document.to_string()));
    let cached = HeaderValue::from_static("public, max-age=3600");
    answer.headers_mut().insert(header::CACHE_CONTROL, cached);
    Some(answer)
}

fn documents(call: &Call) -> Arc<crate::discovery::Documents> {
    call.front.discovery.documents(call.front.server.registry(), &call.front.address)
}

fn discovery(call: &Call, path: &str) -> Result<Option<Answer>, Status> {
    let documents = documents(call);
    if let Some(aggregated) = documents.aggregated(path).filter(|_| wants_aggregated(call.headers())) {
        return Ok(Some(cached(call.headers(), &aggregated.etag, AGGREGATED, aggregated.json.clone())));
    }
    let Some(json) = documents.legacy(path) else { return Ok(None) };
    let media = negotiate::plain_answer(call.headers(), &call.query)?;
    Ok(Some(respond::json(200, media, Body::full(json))))
}

/// Whether the aggregated form is wanted before any plain one.
fn wants_aggregated(headers: &HeaderMap) -> bool {
    let is_aggregated = |clause: &Clause<'_>| {
        let parameters = ["g", "v", "as"].map(|key| clause.parameter(key));
        parameters == ["apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList"]
    };
    let is_plain = |clause: &Clause<'_>| clause.parameter("as").is_empty();
    let accept = negotiate::accept(headers);
    let clauses = negotiate::clauses(accept);
    let mut fitting = clauses.iter().filter(|clause| clause.takes(Media::PLAIN.format.media_type()));
    fitting.find(|clause| is_aggregated(clause) || is_plain(clause)).is_some_and(is_aggregated)
}

/// Whether the client has the document with this entity tag.
pub fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    known.is_some_and(|known| known.split(',').any(|tag| tag.trim() == etag))
}

/// A document that clients keep: 304 when their copy is the same.
pub fn cached(headers: &HeaderMap, etag: &str, media_type: &'static str, bytes: bytes::Bytes) -> Answer {
    let mut answer = match is_known(headers, etag) {
        true => respond::not_modified(),
        false => respond::answer(200, media_type, Body::full(bytes)),
    };
    let headers = answer.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    answer
}

fn paths(call: &Call) -> Vec<String> {
    let documents = documents(call);
    let mut paths: Vec<String> = documents.paths().into_iter().map(str::to_owned).collect();
    let health = &call.front.health;
    for (endpoint, extra) in [("healthz", true), ("livez", false), ("readyz", true)] {
        paths.push(format!("/{endpoint}"));
        let ready = health.ready.iter().filter(|_| extra);
        paths.extend(health.live.iter().chain(ready).map(|check| format!("/{endpoint}/{}", check.name)));
    }
    paths.extend(["/metrics", "/openapi/v2", "/openapi/v3", "/version"].map(str::to_owned));
    if call.front.server.tokens.is_some() {
        paths.extend(["/.well-known/openid-configuration", "/openid/v1/jwks"].map(str::to_owned));
    }
    paths.sort_unstable();
    paths
}

fn metrics(call: &Call) -> Answer {
    let server = &call.front.server;
    let registry = server.registry();
    let mut objects: Vec<(String, String, usize)> = Vec::new();
    let mut tables: Vec<&str> = Vec::new();
    for resource in registry.resources() {
        if !tables.contains(&&*resource.table) && resource.verbs.has(crate::request::Verb::List) {
            tables.push(&resource.table);
            let gvr = &resource.gvr;
            objects.push((gvr.group.clone(), gvr.resource.clone(), server.store.count(&resource.table)));
        }
    }
    let mut text = call.front.metrics.render(&version::git_version(server.minor), &objects);
    server.render_more_metrics(&mut text);
    respond::answer(200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", Body::full(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregated_discovery_when_it_is_wanted_most() {
        let wants = |accept: &str| {
            let headers = [(header::ACCEPT, accept.parse().unwrap())].into_iter().collect();
            wants_aggregated(&headers)
        };
        assert!(wants(&format!("{AGGREGATED},application/json")));
        assert!(wants(
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
             application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer,application/json"
        ));
        assert!(!wants("application/json"));
        assert!(!wants("*/*"));
        assert!(!wants(&format!("application/json,{AGGREGATED};q=0.5")));
        assert!(!wants(
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
        ));
    }

    #[test]
    fn labels_are_bounded() {
        assert_eq!(label("/readyz/ping"), "readyz");
        assert_eq!(label("/apis/apps"), "apis");
        assert_eq!(label("/../../etc"), "");
    }
}
