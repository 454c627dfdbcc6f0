//! `clientConfig` of a webhook: where it is, and whom to trust there.

use crate::outbound::{self, Peer, Place, ResolveService, Tls};
use alcove_object::Value;
use http::Uri;
use std::sync::Arc;

/// A webhook's address and authority, read once, with the connections that are open to it.
#[derive(Clone)]
pub struct Webhook {
    pub(super) peer: Peer,
    /// The name that its certificate must have.
    pub(super) server_name: String,
    /// Scheme, host, path and query, as errors show it.
    pub(super) url: String,
}

impl Webhook {
    /// Reads a `WebhookClientConfig`. Fails with a sentence on what is no place or no authority.
    pub fn read(config: &Value, services: &Arc<dyn ResolveService>) -> Result<Webhook, String> {
        let tls = tls(config["caBundle"].as_str().unwrap_or_default())?;
        let (place, server_name, url) = place(config)?;
        let peer = Peer::new(place, &server_name, tls, services.clone())?;
        Ok(Webhook { peer, server_name, url })
    }

    /// The URL with the time that the caller has.
    pub(super) fn with_timeout(url: &str, seconds: u64) -> String {
        let joint = if url.contains('?') { '&' } else { '?' };
        format!("{url}{joint}timeout={seconds}s")
    }
}

/// Where a `WebhookClientConfig` leads, the name that the server must have, and the URL.
fn place(config: &Value) -> Result<(Place, String, String), String> {
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if config.get("service").is_some_and(Value::is_object) {
        let port = config.pointer("/service/port").and_then(Value::as_u64).unwrap_or(443);
        let port = u16::try_from(port).map_err(|_| format!("{port} is no port"))?;
        let (namespace, name) = (text("/service/namespace").to_owned(), text("/service/name").to_owned());
        let path = match text("/service/path") {
            "" => "/".to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("/{path}"),
        };
        let server_name = format!("{name}.{namespace}.svc");
        let url = format!("https://{server_name}:{port}{path}");
        return Ok((Place::Service { namespace, name, port }, server_name, url));
    }
    let given = text("/url");
    let uri: Uri = given.parse().map_err(|error| format!("parse {given:?}: {error}"))?;
    let host = uri.host().ok_or("the URL names no host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if uri.scheme_str() != Some("https") {
        return Err("the URL's scheme must be https".to_owned());
    }
    let place = Place::Url { host: host.clone(), port: uri.port_u16().unwrap_or(443) };
    Ok((place, host, given.to_owned()))
}

/// Trust in this bundle alone.
fn tls(bundle: &str) -> Result<Tls, String> {
    Ok(outbound::builder()?.with_root_certificates(outbound::bundle(bundle)?).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_read() {
        let service = |namespace: &str, name: &str, port| Place::Service {
            namespace: namespace.into(),
            name: name.into(),
            port,
        };
        let url = |host: &str, port| Place::Url { host: host.into(), port };
        for (config, place, shown) in [
            (
                json!({"service": {"namespace": "a", "name": "b"}}),
                service("a", "b", 443),
                "https://b.a.svc:443/",
            ),
            (
                json!({"service": {"namespace": "a", "name": "b", "path": "/c", "port": 8443}}),
                service("a", "b", 8443),
                "https://b.a.svc:8443/c",
            ),
            (json!({"url": "https://x.org/y?z=1"}), url("x.org", 443), "https://x.org/y?z=1"),
            (json!({"url": "https://[::1]:9443"}), url("::1", 9443), "https://[::1]:9443"),
        ] {
            let (read, _, url) = super::place(&config).unwrap();
            assert_eq!((read, &*url), (place, shown));
        }
        for wrong in [json!({}), json!({"url": "http://x.org"})] {
            assert!(super::place(&wrong).is_err(), "{wrong}");
        }
        assert!(tls("?").is_err());
        assert_eq!(Webhook::with_timeout("/a?b=c", 5), "/a?b=c&timeout=5s");
    }
}
