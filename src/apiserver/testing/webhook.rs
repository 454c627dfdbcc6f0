//! A webhook of the test's own: an HTTPS server on the loopback that answers reviews.

use alcove_object::Value;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A webhook: what it was asked, and how it answers.
#[derive(Clone)]
pub struct Hook {
    pub address: SocketAddr,
    pub bundle: String,
    pub asked: Arc<Mutex<Vec<Value>>>,
    /// How often somebody connected.
    pub connections: Arc<AtomicUsize>,
}

impl Hook {
    /// Serves until the test ends. `answer` makes the response of a request; null: no answer at all.
    pub async fn start(answer: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Hook {
        let key = rcgen::KeyPair::generate().unwrap();
        let params =
            rcgen::CertificateParams::new(vec!["localhost".into(), "hook.default.svc".into()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let bundle = BASE64_STANDARD.encode(certificate.pem());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let count = connections.clone();
        let (acceptor, answer, log) = (TlsAcceptor::from(Arc::new(tls)), Arc::new(answer), asked.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (acceptor, answer, log) = (acceptor.clone(), answer.clone(), log.clone());
                tokio::spawn(async move {
                    let Ok(socket) = acceptor.accept(socket).await else { return };
                    let service = hyper::service::service_fn(
                        move |request: http::Request<hyper::body::Incoming>| {
                            let (answer, log) = (answer.clone(), log.clone());
                            async move {
                                let body = request.into_body().collect().await.unwrap().to_bytes();
                                let review: Value = serde_json::from_slice(&body).unwrap();
                                let mut response = answer(&review["request"]);
                                if response.is_null() {
                                    std::future::pending::<()>().await;
                                }
                                if response.get("uid").is_none() {
                                    response["uid"] = review["request"]["uid"].clone();
                                }
                                log.lock().push(review["request"].clone());
                                let answer = json!({
                                    "apiVersion": review["apiVersion"], "kind": review["kind"], "response": response,
                                });
                                Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(
                                    answer.to_string(),
                                ))))
                            }
                        },
                    );
                    let _ended = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Hook { address, bundle, asked, connections }
    }

    pub fn url(&self) -> Value {
        json!({"url": format!("https://localhost:{}/hook", self.address.port()), "caBundle": self.bundle})
    }
}
