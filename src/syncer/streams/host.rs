//! Connections to the host that carry one request each: HTTP/1.1 over TLS, with the syncer's own credentials.

use crate::connection::connector;
use alcove_apiserver::rest::HttpBody;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt;
use std::future::Future;
use std::pin::Pin;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

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
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build::<_, HttpBody>(connector(config)?);
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
