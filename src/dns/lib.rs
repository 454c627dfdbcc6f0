//! The tenant's DNS server, in process: it answers for the cluster's Services, pods and nodes after the Kubernetes DNS
//! specification 1.1 and asks other resolvers about the rest of the world.
//!
//! What it knows of the cluster is an index of keys and a few facts ([`index`]), kept from watches of the API server's
//! in-process client ([`follow`]). [`zone`] is one pure function from index and question to answer; [`wire`] reads
//! packets and writes them; [`forward`] and [`cache`] are the rest of the world.
//!
//! **Invariants.** A Service answers from the moment in which its creation was acknowledged. No object is held. Nothing
//! polls: an idle server waits on its sockets. Questions about the cluster's own domain, about the host's, and about
//! addresses that we own never leave. No packet makes it panic, and whatever a client can make large has a limit. This
//! room must not know HTTP, storage or that a host cluster has an API.

mod answer;
mod cache;
mod facts;
mod follow;
mod forward;
mod index;
mod metrics;
mod resolve;
mod serve;
mod upstream;
mod wire;
mod zone;

use crate::follow::Follower;
use crate::forward::Forwarder;
use crate::metrics::Metrics;
use crate::resolve::Resolver;
use crate::upstream::ResolvConf;
use crate::zone::Zones;
use alcove_apiserver::Server;
use futures_util::FutureExt;
use ipnet::IpNet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// Ranges that are private or have no names (RFC 6303): what they are called in the world around us is not told, since
/// host and other tenants use them too.
const PRIVATE: [&str; 10] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
    "::/128",
];
/// How often a pair of UDP and TCP ports is drawn when any port will do.
const PORTS_DRAWN_MAX: usize = 16;

/// How the server is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on, with UDP and TCP on the same port; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// The cluster's domain, `cluster.local` as a rule.
    pub domain: String,
    /// Resolvers for the rest of the world; `None`: those in `resolv_conf`; empty: the rest of the world is refused.
    pub upstreams: Option<Vec<SocketAddr>>,
    /// Where this process' own resolvers stand. The domain of the cluster that it runs in is read from there in any case,
    /// and questions about it are not passed on. A file that is not there is an empty one.
    pub resolv_conf: PathBuf,
    /// Further domains about which questions are not passed on.
    pub hidden_domains: Vec<String>,
    /// Ranges of addresses of which only the cluster's own names are told; `None`: all private ranges.
    pub reverse: Option<Vec<IpNet>>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: Vec::new(),
            domain: "cluster.local".to_owned(),
            upstreams: None,
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            hidden_domains: Vec::new(),
            reverse: None,
        }
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address could not be listened on.
    #[error("cannot serve DNS on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A domain that is none.
    #[error("{domain:?} is not a domain name")]
    Domain {
        /// What was given.
        domain: String,
    },
    /// A resolver that is this server itself.
    #[error("DNS would ask itself: {address} is one of its own addresses")]
    Loop {
        /// The address.
        address: SocketAddr,
    },
    /// The cluster could not be read.
    #[error("DNS cannot follow the cluster: {0}")]
    Follow(#[from] alcove_object::Status),
}

/// A running server. It ends when its tasks are dropped.
pub struct Dns {
    /// Where it listens, in the order of the configuration.
    pub addresses: Vec<SocketAddr>,
    /// What it counts.
    pub numbers: Numbers,
    /// What runs.
    pub tasks: JoinSet<()>,
}

/// What a server counts. Cheap to clone.
#[derive(Clone)]
pub struct Numbers {
    metrics: Arc<Metrics>,
    forwarder: Arc<Forwarder>,
}

impl Numbers {
    /// All numbers in Prometheus' text form.
    pub fn text(&self) -> String {
        self.metrics.text(self.forwarder.cache.size())
    }
}

/// Starts the server for the cluster behind this API server, whose metrics tell its numbers from now on. It answers when
/// this returns.
pub async fn start(server: &Server, config: Config) -> Result<Dns, Error> {
    let resolv_conf = match tokio::fs::read_to_string(&config.resolv_conf).await {
        Ok(text) => ResolvConf::parse(&text),
        Err(error) => {
            tracing::warn!(%error, file = %config.resolv_conf.display(), "no resolvers are known");
            ResolvConf::default()
        }
    };
    let mut sockets = Vec::with_capacity(config.listen.len());
    for address in &config.listen {
        sockets.push(bind(*address).await?);
    }
    let addresses: Vec<SocketAddr> = sockets.iter().map(|(address, ..)| *address).collect();
    let upstreams = config.upstreams.clone().unwrap_or(resolv_conf.upstreams);
    for address in &upstreams {
        let own = |listen: &SocketAddr| {
            listen.port() == address.port() && (listen.ip() == address.ip() || address.ip().is_unspecified())
        };
        if addresses.iter().any(own) {
            return Err(Error::Loop { address: *address });
        }
    }
    let metrics = Arc::new(Metrics::default());
    let forwarder = Forwarder::new(upstreams, server.env.clone(), metrics.clone());
    let resolver = Arc::new(Resolver {
        zones: zones(&config, resolv_conf.host_domain)?,
        follower: Follower::new(server)?,
        forwarder: forwarder.clone(),
        metrics: metrics.clone(),
        turn: AtomicUsize::new(0),
    });
    let mut tasks = JoinSet::new();
    for (_, udp, tcp) in sockets {
        tasks.spawn(serve::udp(udp, resolver.clone()).boxed());
        tasks.spawn(serve::tcp(tcp, resolver.clone()).boxed());
    }
    let numbers = Numbers { metrics, forwarder };
    let told = numbers.clone();
    server.add_metrics(move |out| out.push_str(&told.text()));
    Ok(Dns { addresses, numbers, tasks })
}

fn zones(config: &Config, host: Option<hickory_proto::rr::Name>) -> Result<Zones, Error> {
    let domain = |text: &String| upstream::domain(text).ok_or_else(|| Error::Domain { domain: text.clone() });
    let mut hidden = config.hidden_domains.iter().map(domain).collect::<Result<Vec<_>, _>>()?;
    hidden.extend(host);
    let private = || PRIVATE.iter().filter_map(|range| range.parse().ok()).collect();
    Ok(Zones {
        domain: domain(&config.domain)?,
        hidden,
        reverse: config.reverse.clone().unwrap_or_else(private),
    })
}

/// Both sockets of an address. A port that is free for one may be taken for the other, so another is drawn.
async fn bind(address: SocketAddr) -> Result<(SocketAddr, UdpSocket, TcpListener), Error> {
    let failed = |source| Error::Listen { address, source };
    let mut drawn = 0;
    loop {
        drawn += 1;
        let udp = UdpSocket::bind(address).await.map_err(failed)?;
        let bound = udp.local_addr().map_err(failed)?;
        match TcpListener::bind(bound).await {
            Ok(tcp) => return Ok((bound, udp, tcp)),
            Err(_) if address.port() == 0 && drawn < PORTS_DRAWN_MAX => {}
            Err(source) => return Err(failed(source)),
        }
    }
}
