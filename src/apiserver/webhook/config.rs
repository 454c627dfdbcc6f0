//! `clientConfig` of a webhook: where it is, and whom to trust there.

use alcove_object::Value;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Uri;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig as Tls, RootCertStore};
use std::sync::Arc;

/// Where a webhook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Anywhere.
    Url { host: String, port: u16 },
    /// A Service of the cluster.
    Service { namespace: String, name: String, port: u16 },
}

/// A webhook's address and authority, read once.
#[derive(Clone)]
pub struct ClientConfig {
    pub(super) place: Place,
    /// The name that its certificate must have.
    pub(super) server_name: String,
    /// Scheme, host and path, as errors show it.
    pub(super) url: String,
    /// Path and query.
    pub(super) path: String,
    pub(super) tls: Arc<Tls>,
}

impl ClientConfig {
    /// Reads a `WebhookClientConfig`. Fails with a sentence on what is no place or no authority.
    pub fn read(config: &Value) -> Result<ClientConfig, String> {
        let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let tls = Arc::new(tls(text("/caBundle"))?);
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
            return Ok(ClientConfig {
                place: Place::Service { namespace, name, port },
                server_name,
                url,
                path,
                tls,
            });
        }
        let given = text("/url");
        let uri: Uri = given.parse().map_err(|error| format!("parse {given:?}: {error}"))?;
        let host = uri.host().ok_or("the URL names no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if uri.scheme_str() != Some("https") {
            return Err("the URL's scheme must be https".to_owned());
        }
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let place = Place::Url { host: host.clone(), port: uri.port_u16().unwrap_or(443) };
        Ok(ClientConfig { place, server_name: host, url: given.to_owned(), path, tls })
    }

    /// The path with the time that the caller has.
    pub(super) fn with_timeout(path: &str, seconds: u64) -> String {
        let joint = if path.contains('?') { '&' } else { '?' };
        format!("{path}{joint}timeout={seconds}s")
    }
}

/// Trust in this bundle alone. Without one there is nobody to trust: this process has no authorities of its own.
fn tls(bundle: &str) -> Result<Tls, String> {
    let mut roots = RootCertStore::empty();
    let pem = BASE64_STANDARD.decode(bundle).map_err(|error| format!("caBundle: {error}"))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("caBundle: {error}"))?;
        roots.add(certificate).map_err(|error| format!("caBundle: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = Tls::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
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
            let read = ClientConfig::read(&config).unwrap();
            assert_eq!((read.place, &*read.url), (place, shown));
        }
        for wrong in
            [json!({}), json!({"url": "http://x.org"}), json!({"url": "https://x.org", "caBundle": "?"})]
        {
            assert!(ClientConfig::read(&wrong).is_err(), "{wrong}");
        }
        assert_eq!(ClientConfig::with_timeout("/a?b=c", 5), "/a?b=c&timeout=5s");
    }
}
