//! How connections to the host are made: HTTP/1.1 over TLS, with the syncer's own credentials. What is written goes out at
//! once: a request in two small writes would wait for the host's kernel to acknowledge the first one (Nagle), which takes
//! 40 ms.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use serde_json::json;
use std::time::Duration;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

/// How long a connection may take to be made, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle time after which the kernel asks whether the host is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// How long a host may say nothing on a connection that it owes something on: a watch tells something once in a minute, and
/// ends after 290 s (crate kube: watcher::Config).
const SILENCE: Duration = Duration::from_secs(300);

/// Makes connections to the host.
pub fn connector(
    config: &kube::Config,
) -> Result<
    impl Service<
        Uri,
        Response = impl Read + Write + Connection + Send + Unpin + 'static,
        Error = BoxError,
        Future = impl Send + Unpin + 'static,
    > + Clone
    + Send
    + Sync
    + 'static,
    kube::Error,
> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    let tls = config.rustls_https_connector_with_connector(tcp)?;
    Ok(ServiceExt::<Uri>::map_future(tls, |connecting| {
        Box::pin(async {
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(made) => made,
                Err(late) => Err(BoxError::from(late)),
            }
        })
    }))
}

/// How the syncer talks to a host that is reached so. Waiting and trying again is the syncer's own business, for all
/// objects at once, so the client does not. A host that falls silent has lost the connection, even if
/// nobody closed it. Errors: credentials
/// that cannot be used.
pub fn client(mut config: kube::Config) -> Result<kube::Client, kube::Error> {
    if config.proxy_url.is_some() {
        // It knows which proxies there are, or says that there are none.
        config.default_retry = false;
        return kube::Client::try_from(config);
    }
    let mut connector = TimeoutConnector::new(connector(&config)?);
    connector.set_read_timeout(Some(config.read_timeout.unwrap_or(SILENCE)));
    connector.set_reset_reader_on_write(true);
    let http = Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_response(|answer: Response<Incoming>| with_patience(answer.map(whole)))
        .map_err(BoxError::from)
        .service(http);
    Ok(kube::Client::new(service, config.default_namespace))
}

/// An answer by which a host, or what stands before it, asks for patience in a header and not in a `Status`: as a `Status`
/// that says it, since that alone is read (k8s.io/apiserver/pkg/server/filters: tooManyRequests writes plain text).
fn with_patience(answer: Response<Answer>) -> Response<Answer> {
    let is_busy = matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let text = |headers: &HeaderMap, name| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let is_status = text(answer.headers(), CONTENT_TYPE).starts_with("application/json");
    let seconds = text(answer.headers(), RETRY_AFTER).trim().parse::<u32>().ok();
    let Some(seconds) = seconds.filter(|_| is_busy && !is_status) else { return answer };
    let (head, _) = answer.into_parts();
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": head.status.as_u16(),
        "reason": "TooManyRequests", "message": "the host asks for patience",
        "details": { "retryAfterSeconds": seconds },
    });
    Response::from_parts(head, whole(Full::from(status.to_string())))
}

/// The body of an answer.
type Answer = UnsyncBoxBody<Bytes, BoxError>;

fn whole<B>(body: B) -> Answer
where
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    body.map_err(Into::into).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// What comes of a request to a host that answers with these bytes and then says nothing more.
    async fn asked(answer: &'static str) -> Error {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let host = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(socket.read_u8().await.unwrap());
            }
            socket.write_all(answer.as_bytes()).await.unwrap();
            // Until the other side hangs up.
            let _ = socket.read(&mut [0]).await;
        });
        let mut config = kube::Config::new(format!("http://{address}").parse().unwrap());
        config.read_timeout = Some(Duration::from_millis(200));
        let request = http::Request::get("/api/v1/pods").body(Vec::new()).unwrap();
        let error = client(config).unwrap().request::<serde_json::Value>(request).await.unwrap_err();
        host.await.unwrap();
        Error::of(error)
    }

    #[tokio::test]
    async fn a_host_asks_for_patience_in_a_status_or_in_a_header() {
        const PLAIN: &str = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy";
        const BARE: &str =
            "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbusy";
        const PROXY: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n";
        const STATUS: &str = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\nContent-Length: 94\r\n\r\n{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"code\":429,\"message\":\"m\",\"details\":{\"retryAfterSeconds\":3}}";
        for (answer, expected, seconds) in
            [(PLAIN, 429, Some(7)), (BARE, 429, None), (PROXY, 503, Some(9)), (STATUS, 429, Some(3))]
        {
            let error = asked(answer).await;
            let Error::Unavailable { retry_after, code, .. } = error else { panic!("{answer}: {error}") };
            assert_eq!((code, retry_after), (expected, seconds.map(Duration::from_secs)), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_host_that_falls_silent_is_noticed() {
        const HALF: &str =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
        for answer in ["", HALF] {
            let error = asked(answer).await;
            assert!(matches!(error, Error::Unavailable { .. }), "{answer}: {error:?}");
        }
    }
}
