//! One call: connect, TLS, one POST over HTTP/1.1, one answer. Errors read as Go's client writes them, since people
//! see them in the answers to their requests.

use super::config::Place;
use super::{ANSWER_BYTES_MAX, ClientConfig, ResolveService};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Sends reviews to webhooks.
#[derive(Clone)]
pub struct Webhooks {
    services: Arc<dyn ResolveService>,
}

impl Webhooks {
    /// A caller that finds services this way.
    pub fn new(services: Arc<dyn ResolveService>) -> Webhooks {
        Webhooks { services }
    }

    /// Posts JSON and gives the answer's body. Fails with a sentence after `timeout` at the latest.
    pub async fn post(
        &self,
        config: &ClientConfig,
        timeout: Duration,
        body: Vec<u8>,
    ) -> Result<Bytes, String> {
        let seconds = timeout.as_secs().max(1);
        let shown = ClientConfig::with_timeout(&config.url, seconds);
        match tokio::time::timeout(timeout, self.exchange(config, seconds, body)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Failed::Transport(why))) => Err(format!("Post {shown:?}: {why}")),
            Ok(Err(Failed::Answer(why))) => Err(why),
            Err(_) => Err(format!("Post {shown:?}: context deadline exceeded")),
        }
    }

    async fn connect(&self, config: &ClientConfig) -> Result<TcpStream, String> {
        let dial =
            |to: String| move |error: std::io::Error| format!("dial tcp {to}: connect: {}", cause(&error));
        match &config.place {
            Place::Service { namespace, name, port } => {
                let address = self.services.resolve(namespace, name, *port).await?;
                TcpStream::connect(address).await.map_err(dial(address.to_string()))
            }
            Place::Url { host, port } => {
                let to = format!("{host}:{port}");
                TcpStream::connect((&**host, *port)).await.map_err(dial(to))
            }
        }
    }

    async fn exchange(&self, config: &ClientConfig, seconds: u64, body: Vec<u8>) -> Result<Bytes, Failed> {
        let tcp = self.connect(config).await.map_err(Failed::Transport)?;
        let name = ServerName::try_from(config.server_name.clone());
        let name = name.map_err(|error| Failed::Transport(error.to_string()))?;
        let tls = TlsConnector::from(config.tls.clone()).connect(name, tcp).await;
        let tls = tls.map_err(|error| Failed::Transport(tls_cause(&error)))?;
        let transport = |error: hyper::Error| Failed::Transport(error.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.map_err(transport)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(ClientConfig::with_timeout(&config.path, seconds))
            .header(header::HOST, &config.server_name)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, "kube-apiserver-admission")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failed::Transport(error.to_string()))?;
        let answered = async {
            let response = sender.send_request(request).await.map_err(transport)?;
            let status = response.status();
            let limited = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
            let collected = limited.collect().await.map_err(|error| Failed::Transport(error.to_string()))?;
            Ok((status, collected.to_bytes()))
        };
        tokio::pin!(answered);
        // The connection does the work, and ends with this call.
        let (status, answer) = tokio::select! {
            biased;
            answered = &mut answered => answered,
            _ = connection => answered.await,
        }?;
        match status.as_u16() {
            200..=299 => Ok(answer),
            404 => Err(Failed::Answer("the server could not find the requested resource".to_owned())),
            500..=599 => {
                let text = String::from_utf8_lossy(&answer[..answer.len().min(2048)]).trim().to_owned();
                Err(Failed::Answer(format!(
                    "an error on the server ({text:?}) has prevented the request from succeeding"
                )))
            }
            code => Err(Failed::Answer(format!(
                "the server responded with the status code {code} but did not return more information"
            ))),
        }
    }
}

/// Why there is no answer, or none that can be used.
enum Failed {
    Transport(String),
    Answer(String),
}

pub(crate) fn cause(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        _ => error.to_string(),
    }
}

/// What is wrong with a TLS connection, in Go's words where people know them.
pub(crate) fn tls_cause(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature,
        )) => "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned(),
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("tls: failed to verify certificate: x509: {why}")
        }
        _ => error.to_string(),
    }
}
