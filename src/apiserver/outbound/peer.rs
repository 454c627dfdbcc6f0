//! One server outside: connections to it are made when a request needs one, and used again.

use super::{ResolveService, Tls};
use crate::rest::HttpBody;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;

/// Time to reach a server, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection waits for its next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Connections that wait for their next request, to one server; another is closed after its answer.
const IDLE_CONNECTIONS_MAX: usize = 4;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere.
    Url {
        /// A name or an address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A Service of the cluster.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port, not that of an endpoint.
        port: u16,
    },
}

/// A server, and the connections that are open to it. Clones share them.
#[derive(Clone)]
pub struct Peer {
    way: Way,
    client: Client<TimeoutConnector<HttpsConnector<Way>>, HttpBody>,
}

impl Peer {
    /// Connects to nobody yet. `name` is what the server's certificate must be for.
    pub fn new(
        place: Place,
        name: &str,
        tls: Tls,
        services: Arc<dyn ResolveService>,
    ) -> Result<Peer, String> {
        let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        let way = Way { place, services };
        let name = Arc::new(FixedServerNameResolver::new(name));
        let https = HttpsConnector::new(way.clone(), tls, true, name);
        let mut connector = TimeoutConnector::new(https);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector);
        Ok(Peer { way, client })
    }

    /// Where a new connection would lead, as `host:port`. Fails with a sentence.
    pub async fn address(&self) -> Result<String, String> {
        match &self.way.place {
            Place::Url { host, port } => Ok(format!("{host}:{port}")),
            Place::Service { namespace, name, port } => {
                Ok(self.way.services.resolve(namespace, name, *port).await?.to_string())
            }
        }
    }

    /// Sends a request, whose URL is absolute, and gives the answer as soon as its head is there. Fails with a sentence.
    pub async fn send(&self, request: Request<HttpBody>) -> Result<Response<Incoming>, String> {
        self.client.request(request).await.map_err(|error| why(&error))
    }
}

/// An answer's code and whole body. Fails with a sentence, also on a body of more than `bytes_max`.
pub async fn collect(answer: Response<Incoming>, bytes_max: usize) -> Result<(StatusCode, Bytes), String> {
    let code = answer.status();
    let body = Limited::new(answer.into_body(), bytes_max).collect().await;
    Ok((code, body.map_err(|error| error.to_string())?.to_bytes()))
}

/// How a connection is made: to where the server is at that time.
#[derive(Clone)]
struct Way {
    place: Place,
    services: Arc<dyn ResolveService>,
}

/// Why there is no connection, in a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unreachable(String);

impl Way {
    async fn connect(self) -> Result<TokioIo<TcpStream>, Unreachable> {
        let dial = |to: &str, error: &std::io::Error| {
            Unreachable(format!("dial tcp {to}: connect: {}", cause(error)))
        };
        let (tcp, to) = match &self.place {
            Place::Service { namespace, name, port } => {
                let address = self.services.resolve(namespace, name, *port).await.map_err(Unreachable)?;
                (TcpStream::connect(address).await, address.to_string())
            }
            Place::Url { host, port } => {
                (TcpStream::connect((&**host, *port)).await, format!("{host}:{port}"))
            }
        };
        let tcp = tcp.map_err(|error| dial(&to, &error))?;
        tcp.set_nodelay(true).map_err(|error| dial(&to, &error))?;
        Ok(TokioIo::new(tcp))
    }
}

impl tower::Service<Uri> for Way {
    type Response = TokioIo<TcpStream>;
    type Error = Unreachable;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unreachable>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unreachable>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

/// The innermost cause that says something, in Go's words where people know them.
fn why(error: &Error) -> String {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(unreachable) = cause.downcast_ref::<Unreachable>() {
            return unreachable.to_string();
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return tls_cause(tls);
        }
        let io = cause.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
            return "i/o timeout".to_owned();
        }
        let inner: Option<&(dyn std::error::Error + 'static)> = match io.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
        match inner {
            Some(inner) => cause = inner,
            None => return cause.to_string(),
        }
    }
}

fn cause(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        _ => error.to_string(),
    }
}

fn tls_cause(error: &rustls::Error) -> String {
    use rustls::CertificateError::{BadSignature, UnknownIssuer};
    match error {
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned()
        }
        rustls::Error::InvalidCertificate(why) => {
            format!("tls: failed to verify certificate: x509: {why}")
        }
        _ => error.to_string(),
    }
}
