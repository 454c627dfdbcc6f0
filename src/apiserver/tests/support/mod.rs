//! A raw HTTPS client: one connection, one protocol, whatever certificate.

#![allow(clippy::unwrap_used, missing_docs)] // a helper of tests, where a panic is the failure
#![allow(dead_code)] // every test program uses a part of it

use alcove_apiserver::admission::Admission;
use alcove_apiserver::authorization::AlwaysAllow;
use alcove_apiserver::certs::{Authority, Issued};
use alcove_apiserver::http::provider;
use alcove_apiserver::testing::front::Https;
use alcove_apiserver::testing::{self, TestEnv};
use alcove_apiserver::{ApiServer, Server, ServerConfig, kinds};
use alcove_schema::Minor;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// All built-in kinds over memory.
pub async fn server() -> Server {
    let server = testing::server(kinds::resources(Minor::DEFAULT), Arc::new(TestEnv::new(1)));
    alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
    server
}

/// The same with one more admission step.
pub async fn server_with(step: Arc<dyn Admission>) -> Server {
    let plain = server().await;
    ApiServer::new(ServerConfig {
        minor: plain.minor,
        env: plain.env.clone(),
        store: plain.store.clone(),
        resources: plain.registry().resources().to_vec(),
        admission: vec![step],
        authorizer: Arc::new(AlwaysAllow),
        connector: None,
        tokens: None,
    })
}

/// A certificate for an administrator, valid from `now` for a day.
pub fn admin(authority: &Authority, now: Timestamp) -> Issued {
    authority.client("kubernetes-admin", &["system:masters"], now, DAY).unwrap()
}

/// An answer with its whole body.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// One connection.
pub struct Connection {
    sender: Sender,
    pub http2: bool,
}

/// Connects over TLS. `client`: the certificate to show; `protocols`: what to offer by ALPN.
pub async fn tls(https: &Https, client: Option<&Issued>, protocols: &[&str]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(https.authority.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client {
        Some(issued) => {
            let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(https.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

impl Connection {
    /// A connection with this certificate and these protocols.
    pub async fn open(https: &Https, client: Option<&Issued>, protocols: &[&str]) -> Connection {
        let stream = tls(https, client, protocols).await;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        let sender = if http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Sender::Http1(sender)
        };
        Connection { sender, http2 }
    }

    /// An administrator's connection over HTTP/1.1.
    pub async fn admin(https: &Https) -> Connection {
        let issued = admin(&https.authority, Timestamp::now());
        Connection::open(https, Some(&issued), &["http/1.1"]).await
    }

    /// Sends a request and gives the answer as soon as its head is there.
    pub async fn start(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        let authority = if self.http2 { "https://localhost" } else { "" };
        let mut request = Request::builder().method(method).uri(format!("{authority}{path}"));
        if !self.http2 {
            request = request.header("host", "localhost");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        match &mut self.sender {
            Sender::Http1(sender) => sender.send_request(request).await.unwrap(),
            Sender::Http2(sender) => sender.send_request(request).await.unwrap(),
        }
    }

    /// Sends a request and waits for the whole answer.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let response = self.start(method, path, headers, body).await;
        let (head, body) = response.into_parts();
        Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    /// GET with an Accept header.
    pub async fn get(&mut self, path: &str, accept: &str) -> Answer {
        self.send(Method::GET, path, &[("accept", accept)], "").await
    }

    /// POST of a JSON tree.
    pub async fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.to_string()).await
    }
}

/// Reads a watch line by line.
pub struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    pub fn of(response: Response<Incoming>) -> Lines {
        Lines { body: response.into_body(), rest: Vec::new() }
    }

    /// The next event; `None` when the stream ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.unwrap();
            self.rest.extend_from_slice(&frame.into_data().unwrap());
        }
    }
}
