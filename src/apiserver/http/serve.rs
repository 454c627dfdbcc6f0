//! Connections: accepting, TLS, HTTP/1.1 and HTTP/2 on one port, and an orderly end.

use super::Front;
use super::activity::{Activity, Noted};
use super::coalesce::Coalesced;
use super::limits::{
    CONNECTION_WINDOW_BYTES, FAREWELL, HANDSHAKE, HEADER_BYTES_MAX, KEEPALIVE, REQUEST_HEAD,
    SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES, STREAMS_MAX,
};
use crate::authn::{DeferredVerifier, Identity};
use crate::metrics::Metrics;
use crate::rest::Held;
use http::{Request, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::ResolvesServerCert;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// TLS for the API: HTTP/2 before HTTP/1.1, client certificates welcome and judged later (see
/// [`DeferredVerifier`]). `authorities` are those of client certificates.
pub fn tls_config(
    serving: Arc<dyn ResolvesServerCert>,
    authorities: &[CertificateDer<'static>],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
    let verifier = Arc::new(DeferredVerifier::new(authorities, &provider));
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(serving);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The cryptography of all our TLS.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Serves until `shutdown` is ready; then takes no more connections, ends watches, finishes what is under way, and
/// returns, at the latest after [`Limits::drain`](super::Limits::drain).
pub async fn serve(
    front: Arc<Front>,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let acceptor = TlsAcceptor::from(tls);
    let protocols = Arc::new(Protocols::new());
    // Nothing is sent: the channel closes when the last connection has dropped its end.
    let (serving, mut served) = mpsc::channel::<Infallible>(1);
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of files, mostly: connections that end make room.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(open) = Open::new(&front.metrics, front.limits.connections_max) else { continue };
        let connection = Connection {
            front: front.clone(),
            acceptor: acceptor.clone(),
            protocols: protocols.clone(),
            held: Arc::new(Kept { _open: open, _serving: serving.clone() }),
        };
        tokio::spawn(connection.serve(stream));
    }
    drop((listener, serving));
    front.closing.send_replace(true);
    if tokio::time::timeout(front.limits.drain, served.recv()).await.is_err() {
        tracing::warn!("some requests did not finish before the end of the shutdown");
    }
}

/// How each of the two protocols is spoken. Which one it is TLS has settled: nothing is guessed from the first bytes.
struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Protocols {
    fn new() -> Protocols {
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(REQUEST_HEAD).half_close(false);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES);
        Protocols { http1, http2 }
    }
}

/// A counted connection.
struct Open(Arc<Metrics>);

impl Open {
    fn new(metrics: &Arc<Metrics>, max: i64) -> Option<Open> {
        let before = metrics.connections.fetch_add(1, Relaxed);
        let open = Open(metrics.clone());
        (before < max).then_some(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

struct Connection {
    front: Arc<Front>,
    acceptor: TlsAcceptor,
    protocols: Arc<Protocols>,
    held: Arc<Kept>,
}

/// What ends with a connection, also when it became something else than HTTP.
struct Kept {
    _open: Open,
    _serving: mpsc::Sender<Infallible>,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        keep_alive(&stream);
        let handshake = async {
            if !speaks_tls(&stream).await? {
                refuse_plain_text(stream).await?;
                return Ok(None);
            }
            self.acceptor.accept(stream).await.map(Some)
        };
        match tokio::time::timeout(HANDSHAKE, handshake).await {
            Ok(Ok(Some(stream))) => self.serve_http(stream).await,
            Ok(Ok(None)) | Err(_) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                self.front.metrics.handshake_errors.fetch_add(1, Relaxed);
            }
        }
    }

    /// Answers requests until the client leaves; sends it away when it is idle or reads nothing for too long, or the
    /// server shuts down.
    async fn serve_http(&self, stream: TlsStream<TcpStream>) {
        let identity = Arc::new(Identity::of(stream.get_ref().1.peer_certificates().unwrap_or_default()));
        let activity = Arc::new(Activity::default());
        let service = service_fn(|mut request: Request<Incoming>| {
            if request.headers().contains_key(header::UPGRADE) {
                Held::keep(&mut request, self.held.clone());
            }
            // In a box, since the connection keeps this future's room for as long as the body lasts: hours, for a watch.
            let answer = Box::pin(self.front.clone().answer(identity.clone(), request));
            let busy = activity.begin();
            async move { Ok::<_, Infallible>(answer.await.map(|body| body.with_guard(Box::new(busy)))) }
        });
        // Connections of HTTP/1.1 may become something else that does not read whenever it is polled.
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = Noted::new(stream, activity.clone());
        let stream = TokioIo::new(Coalesced::new(stream, is_http2));
        if is_http2 {
            let connection = self.protocols.http2.serve_connection(stream, service);
            self.attend(connection, |connection| connection.graceful_shutdown(), &activity).await;
        } else {
            let connection = self.protocols.http1.serve_connection(stream, service).with_upgrades();
            self.attend(connection, |connection| connection.graceful_shutdown(), &activity).await;
        }
    }

    /// Drives a connection until its end; `take_leave` makes it end after what is under way.
    async fn attend<C: Future<Output = hyper::Result<()>>>(
        &self,
        connection: C,
        take_leave: impl Fn(Pin<&mut C>),
        activity: &Activity,
    ) {
        let mut connection = pin!(connection);
        let mut closing = self.front.closing.subscribe();
        let closed = async move { drop(closing.wait_for(|closing| *closing).await) };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = activity.abandoned(self.front.limits.idle, self.front.limits.stalled) => {
                take_leave(connection.as_mut());
                // A client that does not take leave is left alone with its connection.
                tokio::time::timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
            }
            () = closed => {
                take_leave(connection.as_mut());
                connection.await
            }
        };
        if let Err(error) = ended {
            // Clients that go away in the middle of a watch are everyday.
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// Small writes leave at once, and the kernel notices clients that vanished.
fn keep_alive(stream: &TcpStream) {
    use rustix::net::sockopt;
    let set = || {
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
        sockopt::set_tcp_keepintvl(stream, KEEPALIVE / 6)?;
        std::io::Result::Ok(())
    };
    if let Err(error) = set() {
        tracing::debug!(%error, "cannot set socket options");
    }
}

/// Whether the client's first byte starts a TLS handshake record.
async fn speaks_tls(stream: &TcpStream) -> std::io::Result<bool> {
    const HANDSHAKE_RECORD: u8 = 22;
    let mut first = [0];
    let read = stream.peek(&mut first).await?;
    // Nothing at all is TLS's business to complain about.
    Ok(read == 0 || first[0] == HANDSHAKE_RECORD || !first[0].is_ascii_alphabetic())
}

/// What Go's server says to plain HTTP on a TLS port.
async fn refuse_plain_text(mut stream: TcpStream) -> std::io::Result<()> {
    const ANSWER: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Connection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    // What the client has sent is read first: closing with unread bytes would reset the connection under the answer.
    let mut request = [0; 4096];
    let _ = stream.try_read(&mut request);
    stream.write_all(ANSWER).await?;
    stream.shutdown().await
}
