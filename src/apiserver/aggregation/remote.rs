//! A group-version that another server serves: the way there, and what it last said of itself.

use crate::certs::{Authority, Error, Issued};
use crate::outbound::{self, Peer, Place, ResolveService, Tls};
use crate::rest::HttpBody;
use crate::user::User;
use alcove_object::{Value, meta};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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
#[derive(Clone, Default, PartialEq)]
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
    /// `NAME.NAMESPACE.svc:PORT`.
    host: String,
    peer: Result<Peer, String>,
}

/// The server that an APIService names, with the connections that are open to it; or why it cannot be one. `None`: it
/// names no service.
pub fn peer(
    object: &Value,
    proxy: &FrontProxy,
    services: Arc<dyn ResolveService>,
) -> Option<Result<Peer, String>> {
    let (name, namespace, port) = service(object)?;
    let place = Place::Service { namespace: namespace.to_owned(), name: name.to_owned(), port };
    let server_name = format!("{name}.{namespace}.svc");
    let peer = tls(&object["spec"], proxy).and_then(|tls| Peer::new(place, &server_name, tls, services));
    Some(peer.map_err(|why| format!("{}: {why}", meta::name(object))))
}

/// Name, namespace and port of the service that an APIService names.
fn service(object: &Value) -> Option<(&str, &str, u16)> {
    let service = object.pointer("/spec/service").filter(|service| service.is_object())?;
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
    Some((text("name"), text("namespace"), port))
}

impl Remote {
    /// Reads an APIService whose server is this [`peer`]. `None`: it names no service.
    pub fn read(object: &Value, known: Known, peer: Result<Peer, String>) -> Option<Remote> {
        let (name, namespace, port) = service(object)?;
        let spec = &object["spec"];
        let text = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
        Some(Remote {
            group: text("group"),
            version: text("version"),
            group_priority: spec["groupPriorityMinimum"].as_i64().unwrap_or(0),
            version_priority: spec["versionPriority"].as_i64().unwrap_or(0),
            known,
            host: format!("{name}.{namespace}.svc:{port}"),
            peer,
        })
    }

    /// The path below which it serves.
    pub fn path(&self) -> String {
        format!("/apis/{}/{}", self.group, self.version)
    }

    /// Where a new connection would lead, as `host:port`; what it is called while nobody knows.
    pub async fn address(&self) -> String {
        let address = async { self.peer.as_ref().ok()?.address().await.ok() };
        address.await.unwrap_or_else(|| self.host.clone())
    }

    /// Sends a request in somebody's name. `path` may have a query. Gives the answer as soon as its head is there; fails
    /// with a sentence.
    pub async fn send(
        &self,
        user: &User,
        path: &str,
        mut request: Request<HttpBody>,
    ) -> Result<Response<Incoming>, String> {
        let peer = self.peer.as_ref().map_err(Clone::clone)?;
        let url = format!("https://{}{path}", self.host);
        *request.uri_mut() = url.parse().map_err(|error| format!("parse {url:?}: {error}"))?;
        name_user(request.headers_mut(), user).ok_or("the user cannot be named in headers")?;
        peer.send(request).await
    }
}

fn tls(spec: &Value, proxy: &FrontProxy) -> Result<Tls, String> {
    let builder = outbound::builder()?;
    let builder = if spec["insecureSkipTLSVerify"] == true {
        let provider = builder.crypto_provider().clone();
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        let roots = outbound::bundle(spec["caBundle"].as_str().unwrap_or_default())?;
        builder.with_root_certificates(roots)
    };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(proxy.issued.certificate.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(proxy.issued.key.as_bytes());
    let (chain, key) = (chain.map_err(|e| e.to_string())?, key.map_err(|e| e.to_string())?);
    builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())
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
fn name_user(headers: &mut HeaderMap, user: &User) -> Option<()> {
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
