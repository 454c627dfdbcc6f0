//! Answers of the host that are HTTP: logs, what proxies get, and refusals.

use super::rebase::Rebase;
use super::terms::Terms;
use super::{Lease, headers};
use alcove_apiserver::rest::HttpBody;
use alcove_object::{Reason, Status, Value};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Bytes of a refusal that are read. What is longer is cut off: it is no `Status`.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The host's log, as it comes.
pub fn log(host: Response<Incoming>, lease: Lease) -> Response<HttpBody> {
    let (head, body) = host.into_parts();
    let mut answer = Response::new(Relayed::body(body, lease, None));
    let kind = head.headers.get(CONTENT_TYPE).cloned();
    answer.headers_mut().insert(CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("text/plain")));
    answer
}

/// Why there is no stream. Redirects are not followed, and answers that are none of ours are not shown.
pub async fn refusal(host: Response<Incoming>, terms: &Terms) -> Status {
    let code = host.status();
    if !code.is_client_error() && !code.is_server_error() {
        let why = format!("the host cluster answered with {code}, which is no answer to this request");
        return Status::new(502, Reason::INTERNAL_ERROR, why);
    }
    let body = Limited::new(host.into_body(), REFUSAL_BYTES_MAX).collect().await;
    let bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
    let status = status_of(&bytes).unwrap_or_else(|| {
        let said = String::from_utf8_lossy(&bytes).trim().to_owned();
        let said = if said.is_empty() { code.to_string() } else { said };
        Status::new(code.as_u16(), Reason::UNKNOWN, said)
    });
    terms.status(status)
}

/// What an application answered through the host's proxy, or why it did not. `bases`: the proxy's own path on the host,
/// and in the tenant; what is in the answer of the first becomes the second.
pub async fn proxied(
    host: Response<Incoming>,
    bases: &(String, String),
    terms: &Terms,
    lease: Lease,
) -> Result<Response<HttpBody>, Status> {
    let (head, body) = host.into_parts();
    let mut headers = headers::of_answer(&head.headers);
    rebase_location(&mut headers, bases);
    let is_failure = head.status.is_client_error() || head.status.is_server_error();
    let length = body.size_hint().exact().unwrap_or(u64::MAX);
    let body = if is_failure && is(&headers, "application/json") && length <= REFUSAL_BYTES_MAX as u64 {
        let bytes = body.collect().await.map(|body| body.to_bytes()).map_err(|_| broken())?;
        if let Some(status) = status_of(&bytes) {
            return Err(terms.status(status));
        }
        HttpBody::new(Full::new(bytes).map_err(|never| match never {}))
    } else if is(&headers, "text/html") {
        headers.remove(CONTENT_LENGTH);
        Relayed::body(body, lease, Some(Rebase::new(&bases.0, &bases.1)))
    } else {
        Relayed::body(body, lease, None)
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = head.status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

fn broken() -> Status {
    Status::new(
        StatusCode::BAD_GATEWAY.as_u16(),
        Reason::INTERNAL_ERROR,
        "the host cluster broke off its answer",
    )
}

fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    named.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

fn status_of(bytes: &[u8]) -> Option<Status> {
    Status::from_value(&serde_json::from_slice::<Value>(bytes).ok()?)
}

/// The host writes paths below its own proxy into redirects of an application to itself.
fn rebase_location(headers: &mut HeaderMap, (host, tenant): &(String, String)) {
    let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else { return };
    let Some(path) = location.strip_prefix(&**host) else { return };
    if let Ok(rebased) = HeaderValue::from_str(&format!("{tenant}{path}")) {
        headers.insert(LOCATION, rebased);
    }
}

/// A body on its way from the host, which breaks off when the syncer ends.
struct Relayed {
    body: Incoming,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    rebase: Option<Rebase>,
    is_done: bool,
}

impl Relayed {
    fn body(body: Incoming, mut lease: Lease, rebase: Option<Rebase>) -> HttpBody {
        let is_done = body.is_end_stream();
        let ended = Box::pin(async move { lease.ended().await });
        HttpBody::new(Relayed { body, ended, rebase, is_done })
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.is_done {
            return Poll::Ready(None);
        }
        if this.ended.as_mut().poll(cx).is_ready() {
            this.is_done = true;
            return Poll::Ready(Some(Err("this cluster is leaving its host".into())));
        }
        loop {
            let frame = match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(None) => {
                    this.is_done = true;
                    let rest = this.rebase.as_mut().map(Rebase::rest).filter(|rest| !rest.is_empty());
                    return Poll::Ready(rest.map(|rest| Ok(Frame::data(rest))));
                }
            };
            // Trailers end at this hop.
            let Ok(data) = frame.into_data() else { continue };
            let data = match &mut this.rebase {
                Some(rebase) => rebase.push(&data),
                None => data,
            };
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_done
    }

    fn size_hint(&self) -> SizeHint {
        if self.rebase.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}
