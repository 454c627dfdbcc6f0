//! One request, from its head to its answer: who is it, may they, do it.
//!
//! The order is upstream's: request info, authentication, limits, authorization, and only then whether there is
//! anything at the path, so that a refusal tells nothing about what exists.

use super::body::Body;
use super::limits::{BODY_BYTES_MAX, REFUSED_BYTES_MAX, WAIT_MAX, WAIT_PART};
use super::negotiate::{self, Media, Offer};
use super::request::Query;
use super::respond::{self, Answer};
use super::{Front, impersonation, plain, resource};
use crate::aggregation::proxy;
use crate::authn::Identity;
use crate::authorization::Action;
use crate::flow;
use crate::metrics::{Labels, Metrics};
use crate::request::{RequestInfo, Verb};
use crate::rest::Held;
use crate::user::User;
use alcove_object::time::Duration as GoDuration;
use alcove_object::{Env, Status};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};
use hyper::body::Incoming;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A request that passed all gates.
pub struct Call {
    /// The front that takes it.
    pub front: Arc<Front>,
    /// What it is about.
    pub info: RequestInfo,
    /// Its parameters.
    pub query: Query,
    /// Who sends it.
    pub user: User,
    /// Method, URL and headers as sent.
    pub head: http::request::Parts,
    /// The body, until it is read.
    pub body: Option<Incoming>,
}

impl Call {
    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Reads the body; 413 when it is too large. Empty when it was read already.
    pub async fn read_body(&mut self) -> Result<Bytes, Status> {
        use http_body_util::{BodyExt, LengthLimitError, Limited};
        let Some(mut body) = self.body.take() else { return Ok(Bytes::new()) };
        match Limited::new(&mut body, BODY_BYTES_MAX).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                drain(&mut body).await;
                Err(Status::too_large(format!("Request entity too large: limit is {BODY_BYTES_MAX}")))
            }
            Err(error) => Err(Status::bad_request(format!("cannot read the body of the request: {error}"))),
        }
    }
}

/// Reads on for a while what a client sends in vain. Who is cut off in the middle of a body does not read why.
async fn drain(body: &mut Incoming) {
    use http_body_util::BodyExt;
    let mut room = REFUSED_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        match room.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(left) => room = left,
            None => return,
        }
    }
}

impl Front {
    /// Answers a request. Never fails: what goes wrong is an answer too.
    pub async fn answer(self: Arc<Front>, identity: Arc<Identity>, request: Request<Incoming>) -> Answer {
        let started = Instant::now();
        let audit_id = audit_id(request.headers(), &*self.server.env);
        let takes_gzip = negotiate::takes_gzip(request.headers());
        let is_head = request.method() == Method::HEAD;
        let asks_for_upgrade =
            request.version() == Version::HTTP_11 && request.headers().contains_key(header::UPGRADE);
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let info = RequestInfo::parse(request.method(), request.uri(), &query);
        let (mut answer, labels) = match info {
            Err(status) => (respond::failure(&status, Media::PLAIN), None),
            Ok(info) => {
                let labels = labels(&self, &info);
                (self.clone().gates(&identity, request, info, query).await, Some(labels))
            }
        };
        finish(&mut answer, &audit_id);
        if asks_for_upgrade && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            // What the client sent after its request, sure of being understood, is no request.
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if takes_gzip && !answer.headers().contains_key(header::CONTENT_ENCODING) {
            answer = answer.map(Body::whole_if_small);
            if answer.body().is_large() {
                answer = compress(answer);
            }
        }
        if let Some(labels) = labels {
            let is_timed = !matches!(labels.verb, "WATCH" | "CONNECT");
            let labels = Labels { code: answer.status().as_u16(), ..labels };
            self.metrics.request(labels, is_timed.then(|| started.elapsed()));
        }
        if is_head { answer.map(|_| Body::empty()) } else { answer }
    }

    async fn gates(
        self: Arc<Front>,
        identity: &Identity,
        request: Request<Incoming>,
        info: RequestInfo,
        query: Query,
    ) -> Answer {
        let media = negotiate::answer(request.headers(), &query, Offer::PLAIN).unwrap_or(Media::PLAIN);
        let mut flow = None;
        let mut answer = match self.admitted(identity, request, info, query, &mut flow).await {
            Ok(answer) => answer,
            Err(status) => respond::failure(&status, media),
        };
        if let Some(flow) = flow {
            let headers = answer.headers_mut();
            headers.insert("x-kubernetes-pf-flowschema-uid", flow.uid.clone());
            headers.insert("x-kubernetes-pf-prioritylevel-uid", flow.level_uid.clone());
        }
        answer
    }

    async fn admitted(
        self: Arc<Front>,
        identity: &Identity,
        mut request: Request<Incoming>,
        info: RequestInfo,
        query: Query,
        flow: &mut Option<Arc<flow::Schema>>,
    ) -> Result<Answer, Status> {
        let user = self.authenticator.authenticate(identity, request.headers()).await?;
        let user = impersonation::acting(&self.server, user, request.headers())?;
        let deadline = match is_long_running(&info) {
            true => None,
            false => Some(time_allowed(&query, self.limits.request)?),
        };
        let mut permit = None;
        if deadline.is_some() || info.verb == Verb::Watch {
            let schema = flow.insert(self.gate.classify(&info, &user));
            let seats =
                if schema.is_exempt() { 1 } else { self.seats(&info, &query).min(schema.seats_max()) };
            let patience = (deadline.unwrap_or(self.limits.request) / WAIT_PART).min(WAIT_MAX);
            match self.gate.seat(schema, (&info, &user), seats, patience).await {
                Ok(given) => permit = Some(given),
                Err(_) => {
                    self.metrics.rejected.fetch_add(1, Relaxed);
                    return Ok(respond::too_many_requests());
                }
            }
        }
        let place = Arc::new(Place::take(&self.metrics, &info));
        if request.headers().contains_key(header::UPGRADE) {
            Held::keep(&mut request, place.clone());
        }
        self.server.authorize(&user, &Action::of(&info))?;
        let metrics = self.metrics.clone();
        let (head, body) = request.into_parts();
        let call = Box::new(Call { front: self, info, query, user, head, body: Some(body) });
        let answering = pin!(AssertUnwindSafe(dispatch(call)).catch_unwind());
        let answered = match deadline {
            None => answering.await,
            Some(deadline) => match tokio::time::timeout(deadline, answering).await {
                Ok(answered) => answered,
                Err(_) => {
                    return Err(Status::timeout("request did not complete within the allotted timeout", 0));
                }
            },
        };
        let answer = answered.unwrap_or_else(|panic| {
            metrics.panics.fetch_add(1, Relaxed);
            Err(panicked(&*panic))
        })?;
        // A watch is cheap once it has begun.
        let held = permit.filter(|_| deadline.is_some());
        Ok(answer.map(|body| body.guarded(Box::new((place, held)))))
    }

    /// Seats that a request needs: those that read a whole kind need more of them
    /// (k8s.io/apiserver/pkg/util/flowcontrol/request/list_work_estimator.go).
    fn seats(&self, info: &RequestInfo, query: &Query) -> u32 {
        const OBJECTS_PER_SEAT: usize = 100;
        let is_wide = match info.verb {
            Verb::List => true,
            Verb::Watch => {
                matches!(query.get("resourceVersion"), None | Some("" | "0"))
                    || query.flag("sendInitialEvents") == Some(true)
            }
            _ => false,
        };
        if !info.is_resource || !is_wide || !info.name.is_empty() {
            return 1;
        }
        let registry = self.server.registry();
        let Some(resource) = registry.resource(&info.group, &info.version, &info.resource) else { return 1 };
        let seats = self.server.store.count(&resource.table).div_ceil(OBJECTS_PER_SEAT);
        u32::try_from(seats).unwrap_or(u32::MAX).max(1)
    }
}

/// What is not about objects here is in boxes: every request keeps room for the largest of all ways that it could take.
async fn dispatch(call: Box<Call>) -> Result<Answer, Status> {
    if let Some(remote) = call.front.server.registry().remote(&call.info) {
        return Box::pin(proxy::forward(*call, remote)).await;
    }
    if call.info.is_resource { resource::answer(call).await } else { Box::pin(plain::answer(*call)).await }
}

/// A panic is our fault, and this one request's end: it is logged, and the client learns that it was not them.
pub fn panicked(panic: &(dyn std::any::Any + Send)) -> Status {
    let what = panic.downcast_ref::<&str>().copied();
    let what = what.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    tracing::error!(panic = what, "a request panicked");
    Status::internal("This request caused apiserver to panic. Look in the logs for details.")
}

/// Whether a request may take as long as it likes.
pub fn is_long_running(info: &RequestInfo) -> bool {
    info.is_resource
        && (matches!(info.verb, Verb::Watch | Verb::Connect)
            || matches!(info.subresource.as_str(), "attach" | "exec" | "proxy" | "log" | "portforward"))
}

/// The time for a request: the limit, or less if `?timeout=` asks for less.
fn time_allowed(query: &Query, limit: Duration) -> Result<Duration, Status> {
    let Some(text) = query.get("timeout").filter(|text| !text.is_empty()) else { return Ok(limit) };
    let asked = GoDuration::parse(text).map_err(|why| {
        Status::bad_request(format!("invalid timeout specified in the request URL - {why}"))
    })?;
    match u64::try_from(asked.seconds()) {
        Ok(0) | Err(_) => Ok(limit),
        Ok(seconds) => Ok(limit.min(Duration::from_secs(seconds))),
    }
}

/// A place among the requests being answered, given back when the body has been sent.
struct Place {
    metrics: Arc<Metrics>,
    kind: PlaceKind,
}

#[derive(Clone, Copy)]
enum PlaceKind {
    LongRunning,
    Mutating,
    ReadOnly,
}

impl PlaceKind {
    fn gauge(self, metrics: &Metrics) -> &std::sync::atomic::AtomicI64 {
        match self {
            PlaceKind::LongRunning => &metrics.long_running,
            PlaceKind::Mutating => &metrics.mutating,
            PlaceKind::ReadOnly => &metrics.read_only,
        }
    }
}

impl Place {
    fn take(metrics: &Arc<Metrics>, info: &RequestInfo) -> Place {
        let kind = match info.method.as_str() {
            _ if is_long_running(info) => PlaceKind::LongRunning,
            "get" | "head" => PlaceKind::ReadOnly,
            _ => PlaceKind::Mutating,
        };
        kind.gauge(metrics).fetch_add(1, Relaxed);
        Place { metrics: metrics.clone(), kind }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.kind.gauge(&self.metrics).fetch_sub(1, Relaxed);
    }
}

/// The client's own audit ID if it is one, otherwise a new one.
fn audit_id(headers: &HeaderMap, env: &dyn Env) -> HeaderValue {
    const CHARACTERS_MAX: usize = 64;
    let own = headers.get("audit-id").filter(|id| !id.is_empty() && id.len() <= CHARACTERS_MAX);
    own.cloned().unwrap_or_else(|| {
        HeaderValue::try_from(env.uid()).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    })
}

/// Headers that every answer has.
fn finish(answer: &mut Answer, audit_id: &HeaderValue) {
    let headers = answer.headers_mut();
    headers.insert("audit-id", audit_id.clone());
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
}

fn compress(answer: Answer) -> Answer {
    let mut answer = answer.map(Body::gzipped);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    answer
}

/// What a request is counted under; empty names for what is not served.
fn labels(front: &Front, info: &RequestInfo) -> Labels {
    let empty = Labels {
        verb: "OTHER",
        group: String::new(),
        version: String::new(),
        resource: String::new(),
        subresource: String::new(),
        scope: "",
        code: 0,
    };
    if !info.is_resource {
        let verb = match info.method.as_str() {
            "get" | "head" => "GET",
            "post" => "POST",
            _ => "OTHER",
        };
        return Labels { verb, subresource: plain::label(&info.path).to_owned(), ..empty };
    }
    let verb = match info.verb {
        Verb::Get => "GET",
        Verb::List => "LIST",
        Verb::Watch => "WATCH",
        Verb::Create => "POST",
        Verb::Update => "PUT",
        Verb::Patch => "PATCH",
        Verb::Delete => "DELETE",
        Verb::DeleteCollection => "DELETECOLLECTION",
        Verb::Connect => "CONNECT",
        Verb::Unnamed => "other",
    };
    let registry = front.server.registry();
    let Some(resource) = registry.resource(&info.group, &info.version, &info.resource) else {
        return Labels { verb, ..empty };
    };
    let subresource = resource.subresource(&info.subresource).map_or("", |sub| sub.name);
    let scope = match (info.name.is_empty(), info.namespace.is_empty()) {
        (false, _) => "resource",
        (true, false) => "namespace",
        (true, true) => "cluster",
    };
    let verb = if is_long_running(info) && verb != "WATCH" { "CONNECT" } else { verb };
    Labels {
        verb,
        group: info.group.clone(),
        version: info.version.clone(),
        resource: info.resource.clone(),
        subresource: subresource.to_owned(),
        scope,
        code: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// Every request moves through this room and keeps it while it waits, a GET as well as the largest write.
    #[test]
    fn a_request_waits_in_little_room() {
        const ROOM_BYTES: usize = 7 * 1024;
        assert!(room(Front::answer) <= ROOM_BYTES, "{} bytes", room(Front::answer));
    }
}
