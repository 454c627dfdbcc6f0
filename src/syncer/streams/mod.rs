//! exec, attach, port-forward, logs and the proxies of a tenant's pods: relayed to the host byte by byte, so that what
//! client and kubelet say to each other (SPDY or WebSocket, whatever version) is theirs alone.
//!
//! **Invariants.** Only what the host has for this very object of the tenant is reached, and of a pod only containers
//! that its tenant wrote. Nothing of what the client sent goes on unless it is named: path and query are built anew, no
//! credentials, cookies or hop-by-hop headers pass, and the host sees the syncer's own credentials. A connection to the
//! host serves one request and is closed after it; no redirect is followed. Who hangs up on either side frees all of it.

mod answer;
mod ask;
mod headers;
mod host;
mod rebase;
mod relay;
mod terms;

use crate::engine::Syncer;
use crate::rules::{Rule, rule};
use crate::translate::host_name;
use alcove_apiserver::rest::{Connection, Connector, HttpBody, no_body};
use alcove_object::{Status, Value, meta};
use ask::{Ask, Kind};
use host::HostConnections;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use terms::Terms;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// Connections of one tenant to the host at a time, followed logs and running proxy requests included. Each holds two
/// sockets and 32 KiB. Past it: 429.
const STREAMS_MAX: usize = 256;
/// How long the host may take to begin its answer; for proxies it is as long as a stream may be silent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Relays what clients have to say to pods. It goes into the tenant's server before there is a syncer; until one is
/// started with it, connections are answered with 503.
#[derive(Clone)]
pub struct HostStreams(Arc<Shared>);

struct Shared {
    host: HostConnections,
    places: Arc<Semaphore>,
    attached: OnceLock<Attached>,
}

struct Attached {
    syncer: Weak<Syncer>,
    /// Closed when the syncer ends, and with it every stream.
    ended: watch::Receiver<()>,
}

/// What a stream holds as long as it lasts: its place, and the end of the syncer that it must not outlive.
struct Lease {
    _place: OwnedSemaphorePermit,
    ended: watch::Receiver<()>,
}

impl HostStreams {
    /// Connects nothing yet. `config`: how the host is reached; its credentials are renewed as those of a
    /// [`kube::Client`] are. Errors: credentials or certificates that cannot be used.
    pub fn new(config: &kube::Config) -> Result<HostStreams, kube::Error> {
        let (host, attached) = (HostConnections::new(config)?, OnceLock::new());
        Ok(HostStreams(Arc::new(Shared { host, places: Arc::new(Semaphore::new(STREAMS_MAX)), attached })))
    }

    /// How many streams are open.
    pub fn open(&self) -> usize {
        STREAMS_MAX - self.0.places.available_permits()
    }

    /// Waits until no stream is open.
    pub async fn all_ended(&self) {
        let all = u32::try_from(STREAMS_MAX).unwrap_or(u32::MAX);
        drop(self.0.places.acquire_many(all).await);
    }

    /// From now on this syncer knows what is whose. Streams end with `tasks`.
    pub(crate) fn attach(&self, syncer: &Arc<Syncer>, tasks: &mut JoinSet<()>) {
        let (alive, ended) = watch::channel(());
        tasks.spawn(async move {
            std::future::pending::<()>().await;
            drop(alive);
        });
        if self.0.attached.set(Attached { syncer: Arc::downgrade(syncer), ended }).is_err() {
            tracing::error!("a tenant's server has one syncer in its life; the second one relays nothing");
        }
    }

    async fn answer(self, connection: Connection) -> Result<Response<HttpBody>, Status> {
        let attached = self.0.attached.get();
        let syncer = attached.and_then(|a| Some((a.syncer.upgrade()?, a.ended.clone())));
        let (syncer, ended) =
            syncer.ok_or_else(|| Status::unavailable("this cluster has not found its host yet"))?;
        let Connection { target, tail, request, .. } = connection;
        let kind = Kind::of(&target)?;
        let ask = kind.ask(&target, &tail, request.uri().query().unwrap_or_default())?;
        let rule = rule(&target.resource.gvr.resource).ok_or_else(Status::no_such_resource)?;
        let object = syncer.tenant_object(rule, &target.namespace, &ask.name)?;
        let object = object.ok_or_else(|| Status::not_found("", rule.resource, &ask.name))?;
        let Some(query) = ask.of(&object)? else { return Ok(empty_log()) };
        syncer.is_on_host(rule, &object)?;
        let terms = Terms::new(&syncer.tenant, &object);
        drop(syncer);
        let place = self.0.places.clone().try_acquire_owned().map_err(|_| {
            Status::too_many_requests(
                format!("this cluster has {STREAMS_MAX} streams to its pods already"),
                1,
            )
        })?;
        let lease = Lease { _place: place, ended };
        self.pass_on(&ask, &query, &object, request, terms, lease).await
    }

    /// Sends the request as ours and gives the host's answer, as the tenant may see it.
    async fn pass_on(
        &self,
        ask: &Ask,
        query: &str,
        object: &Value,
        request: Request<HttpBody>,
        terms: Terms,
        lease: Lease,
    ) -> Result<Response<HttpBody>, Status> {
        let is_upgrade = headers::asks_for_upgrade(request.headers());
        if ask.kind.needs_upgrade() && !is_upgrade {
            return Err(Status::bad_request("Upgrade request required"));
        }
        let mut ours = Request::new(no_body());
        *ours.method_mut() = request.method().clone();
        *ours.headers_mut() = headers::to_host(ask.kind, request.headers())?;
        *ours.uri_mut() = ask.uri(&terms, object, query)?;
        let (head, body) = request.into_parts();
        if ask.kind == Kind::Proxy && !is_upgrade {
            *ours.body_mut() = body;
        }
        let answer = self.send(ask.kind, ours).await?;
        match answer.status() {
            StatusCode::SWITCHING_PROTOCOLS if is_upgrade => Ok(relay::upgraded(head, answer, lease)),
            _ if ask.kind == Kind::Proxy => {
                answer::proxied(answer, &ask.bases(&terms, object), &terms, lease).await
            }
            StatusCode::OK if ask.kind == Kind::Log => Ok(answer::log(answer, lease)),
            _ => Err(answer::refusal(answer, &terms).await),
        }
    }

    async fn send(&self, kind: Kind, request: Request<HttpBody>) -> Result<Response<Incoming>, Status> {
        let patience = if kind == Kind::Proxy { relay::SILENCE_MAX } else { ANSWER_TIMEOUT };
        match tokio::time::timeout(patience, self.0.host.send(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::warn!(error = &*error, "the host cannot be reached for a stream");
                Err(Status::unavailable("the host cluster cannot be reached now; try again"))
            }
            Err(_) => {
                let why = format!("the host cluster did not answer within {} s", patience.as_secs());
                Err(Status::timeout(why, 0))
            }
        }
    }
}

impl Connector for HostStreams {
    fn connect(
        &self,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = Result<Response<HttpBody>, Status>> + Send + '_>> {
        Box::pin(self.clone().answer(connection))
    }
}

impl Lease {
    /// Waits for the end of the syncer.
    async fn ended(&mut self) {
        while self.ended.changed().await.is_ok() {}
    }
}

impl Syncer {
    /// 404 unless the host's object of this name is known to be this very object's.
    fn is_on_host(&self, rule: &'static Rule, object: &Value) -> Result<(), Status> {
        let (namespace, name) = (meta::namespace(object), meta::name(object));
        let facts = self.host.facts(rule, &host_name(&self.tenant, namespace, name));
        let owner = facts.and_then(|facts| facts.owner);
        if owner.is_some_and(|owner| owner.uid == meta::uid(object)) {
            return Ok(());
        }
        let why = format!("{} {name:?} is not on the host cluster, or no longer", rule.kind.to_lowercase());
        let mut status = Status::not_found("", rule.resource, name);
        status.message = why;
        Err(status)
    }
}

/// What a pod that is on no node yet has logged.
fn empty_log() -> Response<HttpBody> {
    let mut answer = Response::new(no_body());
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
    answer
}
