//! Connections to the host that carry one request each: HTTP/1.1 over TLS, with the syncer's own credentials.

use alcove_apiserver::rest::HttpBody;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle time after which the kernel asks whether the host is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A request on its way.
type Sending = Pin<Box<dyn Future<Output = Result<Response<Incoming>, BoxError>> + Send>>;

/// Makes connections.
pub struct HostConnections {
    service: BoxCloneSyncService<Request<HttpBody>, Response<Incoming>, BoxError>,
}

impl HostConnections {
    /// Reaches the host as a [`kube::Client`] of this configuration would, but that it keeps no connection for the next
    /// request, and waits as long as its callers do.
    pub fn new(config: &kube::Config) -> Result<HostConnections, kube::Error> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        http.set_keepalive(Some(KEEPALIVE));
        let https = config.rustls_https_connector_with_connector(http)?;
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build::<_, HttpBody>(https);
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer()?)
            .layer(config.extra_headers_layer()?)
            .map_err(BoxError::from)
            .service(client);
        Ok(HostConnections { service: BoxCloneSyncService::new(service) })
    }

    /// Sends a request and gives the head of its answer.
    pub fn send(&self, request: Request<HttpBody>) -> Sending {
        Box::pin(self.service.clone().oneshot(request))
    }
}
