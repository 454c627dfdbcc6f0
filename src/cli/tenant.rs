//! A tenant: a control plane, and what ties it to its host. The syncer turns objects into the host's, DNS answers for
//! its services, and its kubeconfigs go to Secrets.

use crate::control_plane::{ControlPlane, Options};
use crate::error::Error;
use crate::{kubeconfigs, rewind};
use alcove_apiserver::admission::StoreLimits;
use alcove_apiserver::version::git_version;
use alcove_config::{Config, Host};
use alcove_operator::provision::TENANT;
use alcove_schema::Minor;
use alcove_schema::builtin::Enabled;
use alcove_syncer::translate::Tenant;
use alcove_syncer::{HostServices, HostStreams};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a tenant's process serves and keeps its data.
pub struct Place {
    /// Directory that keeps everything.
    pub data: PathBuf,
    /// Address to serve on.
    pub address: IpAddr,
    /// Port to serve on; 0 takes the one used before, or a free one.
    pub port: u16,
    /// Kubernetes version.
    pub minor: Minor,
    /// What of its API is switched on and off.
    pub enabled: Enabled,
    /// The UID of the pod that it runs in, if it does.
    pub pod_uid: Option<String>,
    /// Where a pause is noted.
    pub pause_note: Option<PathBuf>,
}

/// How a tenant reaches its host.
pub struct Reach {
    /// For objects.
    pub client: kube::Client,
    /// For exec, logs and the like.
    pub streams: HostStreams,
}

impl Reach {
    /// With a kubeconfig, or without one as the service account of the pod that this runs in.
    pub async fn new(kubeconfig: Option<&str>) -> Result<Reach, Error> {
        let config = alcove_syncer::host_config(kubeconfig).await.map_err(Error::Host)?;
        let streams = HostStreams::new(&config).map_err(|e| Error::Host(e.to_string()))?;
        Ok(Reach { client: alcove_syncer::host_client(config).map_err(Error::Host)?, streams })
    }
}

/// Starts a tenant. It is ready when its API is; a host that is down is waited for meanwhile, and what needs it works
/// as soon as it is back.
pub async fn start(config: &Config, host: &Host, reach: Reach, place: Place) -> Result<ControlPlane, Error> {
    let Reach { client, streams } = reach;
    let services = HostServices::default();
    let minor = place.minor;
    let mut plane = ControlPlane::start(Options {
        name: host.name.clone(),
        data: place.data.clone(),
        address: place.address,
        port: place.port,
        minor,
        enabled: place.enabled.clone(),
        names: names(config, host),
        limits: StoreLimits { objects: config.quota.objects, bytes: config.quota.bytes },
        services: Some(Arc::new(services.clone())),
        connector: Some(Arc::new(streams.clone())),
    })
    .await?;
    // Before the syncer misses them on the host.
    rewind::after_pause(&plane, place.pause_note.as_deref(), &place.data).await?;
    if config.dns.enabled {
        let dns = alcove_dns::start(&plane.server, dns(config, place.address)).await?;
        tracing::info!(addresses = ?dns.addresses, "DNS is served");
        plane.attach(dns.tasks);
    }
    let whose = Tenant { cluster: host.name.clone(), host_namespace: host.namespace.clone() };
    let mut syncer = alcove_syncer::Config::new(whose, git_version(minor));
    syncer.services = Some(services);
    syncer.sync = config.sync.clone();
    syncer.streams = Some(streams);
    syncer.domain = config.cluster_domain.clone();
    syncer.dns = config.dns.enabled.then(|| format!("{}-dns", host.name));
    syncer.account = Some(format!("{}-workload", host.name));
    plane.attach(alcove_syncer::start(&plane.server, client.clone(), &plane.env, syncer));
    plane.attach(kubeconfigs::publish(&plane, config, host, client, place));
    Ok(plane)
}

/// The tenant's DNS server listens where its API server does.
fn dns(config: &Config, address: IpAddr) -> alcove_dns::Config {
    /// Where resolvers listen unless a port is said.
    const PORT: u16 = 53;
    let read = |text: &String| {
        let address = text.parse().map(|address: IpAddr| SocketAddr::new(address, PORT));
        address.or_else(|_| text.parse()).ok()
    };
    let upstreams: Vec<SocketAddr> = config.dns.upstreams.iter().filter_map(read).collect();
    alcove_dns::Config {
        listen: vec![SocketAddr::new(address, config.dns.port)],
        domain: config.cluster_domain.clone(),
        upstreams: (!upstreams.is_empty()).then_some(upstreams),
        ..alcove_dns::Config::default()
    }
}

/// The names that a tenant's API server has on its host.
fn names(config: &Config, host: &Host) -> Vec<String> {
    let (name, namespace, domain) = (&host.name, &host.namespace, &config.cluster_domain);
    let mut names = vec![
        name.clone(),
        format!("{name}.{namespace}"),
        format!("{name}.{namespace}.svc"),
        format!("{name}.{namespace}.svc.{domain}"),
        format!("kubernetes.default.svc.{domain}"),
    ];
    names.extend(config.expose.names.iter().cloned());
    names.extend(config.expose.hosts());
    names
}

/// Refuses to share a namespace with a tenant that was not named. A host that cannot be asked now does not keep a tenant
/// from starting: both tenants' objects are marked, and neither touches the other's.
pub async fn check_neighbours(config: &Config, host: &Host, client: &kube::Client) -> Result<(), Error> {
    let services: Api<Service> = Api::namespaced(client.clone(), &host.namespace);
    let ours = match services.list_metadata(&ListParams::default().labels(TENANT)).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "cannot see whether another tenant lives in this namespace");
            return Ok(());
        }
    };
    let tenants = ours.items.iter().filter_map(|service| service.metadata.labels.as_ref()?.get(TENANT));
    let allowed = |other: &String| *other == host.name || config.isolation.shared_with.contains(other);
    match tenants.into_iter().find(|other| !allowed(other)) {
        Some(other) => Err(Error::Neighbour {
            name: host.name.clone(),
            other: other.clone(),
            namespace: host.namespace.clone(),
        }),
        None => Ok(()),
    }
}
