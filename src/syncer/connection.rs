//! How connections to the host are made: HTTP/1.1 over TLS, with the syncer's own credentials. What is written goes out at
//! once: a request in two small writes would wait for the host's kernel to acknowledge the first one (Nagle), which takes
//! 40 ms.

use http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use std::time::Duration;
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// How long a connection may take to be made, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle time after which the kernel asks whether the host is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Makes connections to the host.
pub fn connector(config: &kube::Config) -> Result<impl Connect + Clone + Send + Sync + 'static, kube::Error> {
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
/// objects at once, so the client does not. Errors: credentials that cannot be used.
pub fn client(mut config: kube::Config) -> Result<kube::Client, kube::Error> {
    if config.proxy_url.is_some() {
        // It knows which proxies there are, or says that there are none.
        config.default_retry = false;
        return kube::Client::try_from(config);
    }
    let http = Client::builder(TokioExecutor::new()).build::<_, Body>(connector(&config)?);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(kube::Client::new(service, config.default_namespace))
}
