//! A server behind HTTPS on a loopback port, for tests with real clients.

use crate::authn::{Authenticator, ClientCertificates, Tokens};
use crate::certs::{Authority, Credentials, Serving, kubeconfig};
use crate::flow::Gate;
use crate::health::{Check, Health};
use crate::http::limits::REQUESTS_MAX;
use crate::http::{Front, FrontConfig, Limits, provider, serve, tls_config};
use crate::server::Server;
use jiff::Timestamp;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A served server. Dropping it ends it without ceremony; [`Https::shut_down`] ends it in order.
pub struct Https {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its authority.
    pub authority: Arc<Authority>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Https {
    /// Serves on a free loopback port, with an authority of its own and short patience at the end.
    pub async fn start(server: Server) -> Https {
        Https::start_with(server, Limits { drain: Duration::from_secs(5), ..Limits::default() }).await
    }

    /// The same with other limits.
    pub async fn start_with(server: Server, limits: Limits) -> Https {
        Https::start_behind(server, limits, Gate::new(REQUESTS_MAX)).await
    }

    /// The same with another gate.
    pub async fn start_behind(server: Server, limits: Limits, gate: Arc<Gate>) -> Https {
        // Real clients check certificates against the real clock, whatever the server's own is.
        let now = Timestamp::now();
        let authority = Arc::new(Authority::generate(now).expect("an authority can be made"));
        let authorities = [authority.der().clone()];
        let names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
        let serving =
            Serving::new(authority.clone(), names, provider(), now).expect("a certificate can be made");
        let tls = tls_config(Arc::new(serving), &authorities, provider()).expect("ring does TLS");
        let certificates =
            ClientCertificates::new(&authorities, &provider()).expect("the authority can be trusted");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let tokens = server.tokens.clone().map(|tokens| tokens as Arc<dyn Tokens>);
        let front = Front::new(FrontConfig {
            server,
            authenticator: Authenticator {
                certificates: Some(Arc::new(certificates)),
                tokens,
                anonymous: true,
            },
            health: Health { live: vec![Check::ping()], ready: Vec::new() },
            limits,
            gate,
            address: address.to_string(),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve(front, listener, tls, async {
            let _ = stopped.await;
        }));
        Https { address, authority, stop: Some(stop), serving }
    }

    /// A kubeconfig for a member of `system:masters`.
    pub fn admin_kubeconfig(&self) -> String {
        let day = Duration::from_secs(24 * 60 * 60);
        let issued = self
            .authority
            .client("kubernetes-admin", &["system:masters"], Timestamp::now(), day)
            .expect("a certificate can be made");
        let credentials = Credentials::Certificate { certificate: &issued.certificate, key: &issued.key };
        kubeconfig("test", &format!("https://{}", self.address), self.authority.pem(), credentials, "")
    }

    /// Shuts down and waits for the end.
    pub async fn shut_down(mut self) {
        drop(self.stop.take());
        (&mut self.serving).await.expect("serving does not panic");
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
