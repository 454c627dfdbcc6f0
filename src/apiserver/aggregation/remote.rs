//! A group-version that another server serves: where it is, whom to trust there, and what it last said of itself.

use crate::certs::{Authority, Error, Issued};
use crate::user::User;
use crate::webhook::{ResolveService, cause, tls_cause};
use alcove_object::{Value, meta};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name in our certificate.
pub const PROXY_NAME: &str = "front-proxy-client";
/// How long our certificate is good; a start makes a new one.
const PROXY_VALIDITY: Duration = Duration::from_secs(5 * 365 * 24 * 60 * 60);
/// Where the headers stand that tell who asks. None of a client's passes.
const REMOTE_PREFIX: &str = "x-remote-";

/// Who we are to other servers: a certificate, and the authority by which they know it.
pub struct FrontProxy {
    /// The authority's certificate in PEM.
    pub authority: String,
    issued: Issued,
}

impl FrontProxy {
    /// The authority of a directory, made when there is none, and a new certificate of it.
    pub fn open(dir: &Path, now: Timestamp) -> Result<FrontProxy, Error> {
        FrontProxy::of(&Authority::open(dir, now)?, now)
    }

    /// One that lasts as long as the process.
    pub fn generate(now: Timestamp) -> Result<FrontProxy, Error> {
        FrontProxy::of(&Authority::generate(now)?, now)
    }

    fn of(authority: &Authority, now: Timestamp) -> Result<FrontProxy, Error> {
        let issued = authority.client(PROXY_NAME, &[], now, PROXY_VALIDITY)?;
        Ok(FrontProxy { authority: authority.pem().to_owned(), issued })
    }
}

/// What a server last said of itself.
#[derive(Clone, Default)]
pub struct Known {
    /// Whether requests are passed on.
    pub is_available: bool,
    /// `resources` of its APIResourceList.
    pub resources: Vec<Value>,
    /// Its OpenAPI document of version 3 in gzipped JSON, and what its index calls it.
    pub v3: Option<(String, Bytes)>,
    /// Its part of its OpenAPI document of version 2.
    pub v2: Option<Arc<Value>>,
}

/// A group-version of another server. Never changes: a new one takes its place.
pub struct Remote {
    /// Group.
    pub group: String,
    /// Version.
    pub version: String,
    /// `groupPriorityMinimum`.
    pub group_priority: i64,
    /// `versionPriority`.
    pub version_priority: i64,
    /// What it last said.
    pub known: Known,
    pub(super) namespace: String,
    pub(super) service: String,
    pub(super) port: u16,
    /// Whom to trust; or why nobody.
    tls: Result<Arc<ClientConfig>, String>,
    services: Arc<dyn ResolveService>,
}

impl Remote {
    /// Reads an APIService. `None`: it names no service.
    pub fn read(
        object: &Value,
        known: Known,
        proxy: &FrontProxy,
        services: Arc<dyn ResolveService>,
    ) -> Option<Remote> {
        let spec = object.get("spec")?;
        let service = spec.get("service").filter(|service| service.is_object())?;
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        Some(Remote {
            group: text(spec, "group"),
            version: text(spec, "version"),
            group_priority: spec["groupPriorityMinimum"].as_i64().unwrap_or(0),
            version_priority: spec["versionPriority"].as_i64().unwrap_or(0),
            known,
            namespace: text(service, "namespace"),
            service: text(service, "name"),
            port: service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443),
            tls: tls(spec, proxy).map_err(|why| format!("{}: {why}", meta::name(object))),
            services,
        })
    }

    /// The path below which it serves.
    pub fn path(&self) -> String {
        format!("/apis/{}/{}", self.group, self.version)
    }

    /// A connection, and the `host:port` that it leads to. Errors read as Go's.
    pub async fn connect(&self) -> Result<(TlsStream<TcpStream>, String), String> {
        let tls = self.tls.clone()?;
        let address = self.services.resolve(&self.namespace, &self.service, self.port).await?;
        let dial = |error: std::io::Error| format!("dial tcp {address}: connect: {}", cause(&error));
        let tcp = TcpStream::connect(address).await.map_err(dial)?;
        tcp.set_nodelay(true).map_err(dial)?;
        let name = format!("{}.{}.svc", self.service, self.namespace);
        let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(|error| tls_cause(&error))?;
        Ok((stream, address.to_string()))
    }
}

fn tls(spec: &Value, proxy: &FrontProxy) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let builder = if spec["insecureSkipTLSVerify"] == true {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        let mut roots = RootCertStore::empty();
        let bundle = BASE64_STANDARD.decode(spec["caBundle"].as_str().unwrap_or_default());
        let bundle = bundle.map_err(|error| format!("caBundle: {error}"))?;
        for certificate in CertificateDer::pem_slice_iter(&bundle) {
            let certificate = certificate.map_err(|error| format!("caBundle: {error}"))?;
            roots.add(certificate).map_err(|error| format!("caBundle: {error}"))?;
        }
        builder.with_root_certificates(roots)
    };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(proxy.issued.certificate.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(proxy.issued.key.as_bytes());
    let (chain, key) = (chain.map_err(|e| e.to_string())?, key.map_err(|e| e.to_string())?);
    builder.with_client_auth_cert(chain, key).map(Arc::new).map_err(|error| error.to_string())
}

/// Trust in whoever holds the key of the certificate that they show: what `insecureSkipTLSVerify` asks for.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Says who asks (k8s.io/client-go/transport.SetAuthProxyHeaders). Whatever a client said of the kind goes. `None`: the
/// user cannot be named in a header.
pub fn name_user(headers: &mut HeaderMap, user: &User) -> Option<()> {
    let sent: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(REMOTE_PREFIX)).cloned().collect();
    for name in sent {
        headers.remove(name);
    }
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).ok();
    headers.insert("x-remote-user", value(&user.name)?);
    if !user.uid.is_empty() {
        headers.insert("x-remote-uid", value(&user.uid)?);
    }
    for group in &user.groups {
        headers.append("x-remote-group", value(group)?);
    }
    for (key, values) in &user.extra {
        let name = format!("x-remote-extra-{}", escaped(key).to_ascii_lowercase());
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        for text in values {
            headers.append(name.clone(), value(text)?);
        }
    }
    Some(())
}

/// A key as a part of a header's name: what may not stand there, and `%` itself, as `%XX`.
fn escaped(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        let is_token = byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
        if is_token {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_named_and_nobody_names_themselves() {
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", HeaderValue::from_static("root"));
        headers.insert("x-remote-extra-a", HeaderValue::from_static("b"));
        let user = User {
            name: "ada".into(),
            uid: "1".into(),
            groups: vec!["x".into(), "y".into()],
            extra: vec![("example.com/K%".into(), vec!["v".into(), "w".into()])],
        };
        name_user(&mut headers, &user).unwrap();
        let all: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        let expected = [
            ("x-remote-extra-example.com%2fk%25", "v"),
            ("x-remote-extra-example.com%2fk%25", "w"),
            ("x-remote-group", "x"),
            ("x-remote-group", "y"),
            ("x-remote-uid", "1"),
            ("x-remote-user", "ada"),
        ];
        assert_eq!(sorted, expected);
        let nameless = User { name: "a\nb".into(), ..User::default() };
        assert_eq!(name_user(&mut HeaderMap::new(), &nameless), None);
    }
}
