//! One control plane: store, API server, controllers and HTTP front, put together and started.

use crate::error::Error;
use crate::files;
use alcove_apiserver::admission::{
    AddressConfig, AddressObjects, Admission, Certificates, DefaultClass, DefaultTolerationSeconds,
    Escalation, LimitRanger, LocalAddresses, MutatingPolicies, MutatingWebhooks, NamespaceLifecycle,
    PodSecurity, Priority, ResourceQuota, RuntimeClass, ServiceAccount, ServiceIp, StorageProtection,
    StoreLimits, StoreQuota, TypeChecks, ValidatingPolicies, ValidatingWebhooks,
};
use alcove_apiserver::aggregation::{Aggregation, FrontProxy};
use alcove_apiserver::authn::{Authenticator, ClientCertificates, ServiceAccountTokens, SigningKeys};
use alcove_apiserver::authorization::{self, Rbac};
use alcove_apiserver::certs::{Authority, Credentials, Serving, kubeconfig};
use alcove_apiserver::custom::Definitions;
use alcove_apiserver::flow::Flows;
use alcove_apiserver::health::{Check, Health};
use alcove_apiserver::http::limits::REQUESTS_MAX;
use alcove_apiserver::http::{Front, FrontConfig, Limits, provider, serve, tls_config};
use alcove_apiserver::options::ListOptions;
use alcove_apiserver::outbound::{ResolveService, StoreServices};
use alcove_apiserver::registry::Resource;
use alcove_apiserver::rest::Connector;
use alcove_apiserver::{ApiServer, Event, Server, ServerConfig, SystemEnv, User, bootstrap, kinds};
use alcove_controllers::kept;
use alcove_object::selector::Fields;
use alcove_object::{Env, Gvk, Gvr, Value};
use alcove_schema::Minor;
use alcove_schema::builtin::Enabled;
use alcove_store::{Medium, Store};
use futures_util::FutureExt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// How long a shutdown waits for requests under way.
const DRAIN: Duration = Duration::from_secs(5);
/// How long watches and exact lists reach back: upstream's default.
const HISTORY: Duration = Duration::from_secs(5 * 60);
/// Bytes of replaced object states kept per kind at most.
const HISTORY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long the first service account may take to appear.
const READY_SECONDS_MAX: u64 = 30;
/// How long an admin's client certificate is valid; a start writes a new one when two thirds are over.
const ADMIN_VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What a control plane is made from.
pub struct Options {
    /// What its kubeconfigs call it.
    pub name: String,
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
    /// More names and addresses that the serving certificate is for.
    pub names: Vec<String>,
    /// Who gives services their addresses; `None`: this control plane itself.
    pub services: Option<Arc<dyn Admission>>,
    /// How much its store may hold.
    pub limits: StoreLimits,
    /// Who answers exec, logs and what else goes to pods; `None`: 503.
    pub connector: Option<Arc<dyn Connector>>,
}

/// A control plane that serves.
pub struct ControlPlane {
    /// The API, in process.
    pub server: Server,
    /// Clock and randomness.
    pub env: Arc<dyn Env>,
    /// Where it serves.
    pub address: SocketAddr,
    /// Signs certificates of clients.
    pub authority: Arc<Authority>,
    /// The serving certificate in use.
    pub serving: Arc<Serving>,
    name: String,
    data: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    front: JoinHandle<()>,
    tasks: JoinSet<()>,
}

impl ControlPlane {
    /// Starts a control plane; returns when it is ready.
    pub async fn start(options: Options) -> Result<ControlPlane, Error> {
        files::private_dir(&options.data)?;
        let env: Arc<dyn Env> = Arc::new(SystemEnv);
        let now = env.now();
        let store = Store::open(alcove_store::Config {
            medium: Medium::Sqlite { dir: options.data.clone() },
            history: HISTORY,
            history_bytes_max: HISTORY_BYTES_MAX,
        })?;
        let listener = listen(&options).await?;
        let address = listener
            .local_addr()
            .map_err(|source| Error::Listen { address: (options.address, options.port).into(), source })?;
        files::remember_port(&options.data, address.port())?;
        let authority = Arc::new(Authority::open(&options.data, now)?);
        let front_proxy = FrontProxy::open(&options.data.join("front-proxy"), now)?;
        let keys = SigningKeys::open(&options.data)?;
        let tokens = Arc::new(ServiceAccountTokens::new(keys, store.clone(), env.clone()));
        let server = server(&options, store, env.clone(), tokens.clone());
        let objects = objects(&options, address);
        bootstrap(&server, &objects).await?;
        authorization::bootstrap::reconcile(&server).await?;

        let flows = Flows::load(&server, REQUESTS_MAX).await?;
        let gate = flows.gate();
        server.add_metrics({
            let gate = gate.clone();
            move |out| gate.render(out)
        });
        // Nobody can ask for a custom resource before it is served again.
        let definitions = Definitions::load(&server)?;

        let authorities = [authority.der().clone()];
        let serving = Arc::new(Serving::new(authority.clone(), names(&options), provider(), now)?);
        let tls =
            tls_config(serving.clone(), &authorities, provider()).map_err(|e| Error::Tls(e.to_string()))?;
        let certificates =
            ClientCertificates::new(&authorities, &provider()).map_err(|e| Error::Tls(e.to_string()))?;
        let ready = Arc::new(AtomicBool::new(false));
        let front = Front::new(FrontConfig {
            server: server.clone(),
            authenticator: Authenticator {
                certificates: Some(Arc::new(certificates)),
                tokens: Some(tokens),
                anonymous: true,
            },
            health: health(ready.clone(), server.store.clone()),
            limits: Limits { drain: DRAIN, ..Limits::default() },
            gate,
            address: address.to_string(),
        });
        let (stop, stopped) = oneshot::channel();
        let front = tokio::spawn(serve(front, listener, tls, async {
            let _ = stopped.await;
        }));
        let mut tasks = alcove_controllers::start(&server, &env, &authority);
        if options.services.is_none() {
            keep(&mut tasks, &server, objects);
        }
        tasks.spawn(definitions.run().boxed());
        tasks.spawn(flows.run().boxed());
        tasks.spawn(TypeChecks::new(&server).run().boxed());
        tasks.spawn(Aggregation::new(&server, front_proxy, authority.pem()).run().boxed());
        let clock = env.clone();
        let renewed = serving.clone();
        tasks.spawn(async move { renewed.renew(clock).await }.boxed());
        let Options { name, data, .. } = options;
        let plane = ControlPlane {
            server,
            env,
            address,
            authority,
            serving,
            name,
            data,
            stop: Some(stop),
            front,
            tasks,
        };
        plane.first_service_account().await?;
        ready.store(true, Ordering::Release);
        Ok(plane)
    }

    /// Pods need the service account `default`, so a cluster without it is not ready.
    async fn first_service_account(&self) -> Result<(), Error> {
        let client = self.server.client(User::component("system:apiserver"), "kube-apiserver");
        let accounts = Gvr::new("", "v1", "serviceaccounts");
        let options = ListOptions {
            fields: Fields::parse("metadata.name=default").unwrap_or_default(),
            send_initial_events: Some(true),
            version_match: Some(alcove_apiserver::options::VersionMatch::NotOlderThan),
            ..ListOptions::default()
        };
        let mut watch = client.watch(&accounts, "default", &options)?;
        let appears = async {
            while let Some(Ok(events)) = watch.next().await {
                if events.iter().any(|event| matches!(event, Event::Added(_))) {
                    return true;
                }
            }
            false
        };
        match tokio::time::timeout(Duration::from_secs(READY_SECONDS_MAX), appears).await {
            Ok(true) => Ok(()),
            _ => Err(Error::NotReady { what: format!("cluster {}", self.name), seconds: READY_SECONDS_MAX }),
        }
    }

    /// Runs something beside the controllers until the control plane ends.
    pub fn attach(&mut self, mut tasks: JoinSet<()>) {
        self.tasks.spawn(async move { while tasks.join_next().await.is_some() {} }.boxed());
    }

    /// `https://host:port`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// A kubeconfig for a user with all rights.
    pub fn kubeconfig(&self, user: &str) -> Result<String, Error> {
        let (now, groups) = (self.env.now(), ["system:masters"]);
        let issued = self.authority.kept_client(&self.data, user, user, &groups, now, ADMIN_VALIDITY)?;
        let credentials = Credentials::Certificate { certificate: &issued.certificate, key: &issued.key };
        Ok(kubeconfig(&self.name, &self.url(), self.authority.pem(), credentials, ""))
    }

    /// Ends it in order: no new connections, watches end, requests finish, then the store closes.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        drop(self.stop.take());
        if let Err(error) = (&mut self.front).await {
            tracing::error!(%error, "the front did not end in order");
        }
        self.server.store.close().await;
    }
}

async fn listen(options: &Options) -> Result<TcpListener, Error> {
    let remembered = files::remembered_port(&options.data).filter(|_| options.port == 0);
    if let Some(port) = remembered
        && let Ok(listener) = TcpListener::bind((options.address, port)).await
    {
        return Ok(listener);
    }
    let address = SocketAddr::from((options.address, options.port));
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => Error::PortTaken { port: options.port },
        _ => Error::Listen { address, source },
    })
}

fn server(options: &Options, store: Store, env: Arc<dyn Env>, tokens: Arc<ServiceAccountTokens>) -> Server {
    let services = match &options.services {
        Some(services) => services.clone(),
        None => {
            let addresses = LocalAddresses::new(AddressConfig::default(), store.clone(), env.clone());
            Arc::new(ServiceIp::new(Arc::new(addresses))) as Arc<dyn Admission>
        }
    };
    let rbac = Rbac::new(store.clone());
    let outside: Arc<dyn ResolveService> = Arc::new(StoreServices::new(store.clone()));
    // kube-apiserver's order.
    let admission: Vec<Arc<dyn Admission>> = vec![
        Arc::new(NamespaceLifecycle::new(store.clone())),
        Arc::new(LimitRanger::new(store.clone())),
        Arc::new(ServiceAccount::new(store.clone(), env.clone())),
        Arc::new(PodSecurity::new(store.clone(), options.minor.0.into())),
        Arc::new(Priority::new(store.clone())),
        Arc::new(DefaultTolerationSeconds),
        Arc::new(DefaultClass::new(store.clone())),
        Arc::new(StorageProtection),
        Arc::new(RuntimeClass::new(store.clone())),
        Arc::new(Certificates::new(rbac.clone())),
        Arc::new(Escalation::new(rbac.clone())),
        Arc::new(MutatingPolicies::new(store.clone())),
        Arc::new(MutatingWebhooks::new(store.clone(), outside.clone(), env.clone())),
        // Upstream's storage does this, so that webhooks see what the client sent.
        services,
        Arc::new(AddressObjects::new(store.clone(), options.services.is_some())),
        Arc::new(ValidatingPolicies::new(store.clone())),
        Arc::new(ValidatingWebhooks::new(store.clone(), outside, env.clone())),
        Arc::new(StoreQuota::new(store.clone(), options.limits)),
        Arc::new(ResourceQuota::new(store.clone(), env.clone())),
    ];
    ApiServer::new(ServerConfig {
        minor: options.minor,
        env,
        store,
        resources: resources(options),
        admission,
        authorizer: rbac,
        connector: options.connector.clone(),
        tokens: Some(tokens),
    })
}

/// What is served. Whoever switches on what this minor does not have is told so, and no more: the next one may have moved
/// on.
fn resources(options: &Options) -> Vec<Arc<Resource>> {
    let resources = kinds::enabled_resources(options.minor, &options.enabled);
    for key in options.enabled.switched_on() {
        let is_meant = |resource: &Resource| {
            let gvr = &resource.gvr;
            let version = format!("{}/{}", gvr.group, gvr.version);
            key == version
                || key.strip_prefix(&version).and_then(|k| k.strip_prefix('/')) == Some(&gvr.resource)
        };
        if !resources.iter().any(|resource| is_meant(resource)) {
            tracing::warn!(%key, minor = %options.minor, "runtimeConfig switches on what this version does not have");
        }
    }
    resources
}

/// What this control plane begins with. Pods can be told where it is if it listens on one address that others can use.
fn objects(options: &Options, address: SocketAddr) -> Vec<Value> {
    let ip = address.ip();
    let is_alone = options.services.is_none();
    let is_reachable = is_alone && !ip.is_loopback() && !ip.is_unspecified();
    let server = is_reachable.then_some((ip, address.port()));
    let mut objects = kinds::bootstrap::objects(&AddressConfig::default(), server);
    // Whoever gives the addresses says where they lie.
    objects.retain(|object| is_alone || object["kind"] != "ServiceCIDR");
    objects
}

/// Has those of the objects come back that a cluster cannot be without.
fn keep(tasks: &mut JoinSet<()>, server: &Server, objects: Vec<Value>) {
    let client = server.client(User::component("system:apiserver"), "kube-apiserver");
    let registry = server.registry();
    let kept = objects.into_iter().filter_map(|object| {
        let (version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
        let resource = registry.kind(&Gvk::from_api_version(version, kind))?;
        (kind != "PriorityClass").then(|| (resource.gvr.clone(), object))
    });
    kept::start(tasks, &client, kept.collect());
}

/// Names and addresses that the serving certificate is for.
fn names(options: &Options) -> Vec<String> {
    let fixed = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let local = ["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()];
    let mut names: Vec<String> = fixed.map(str::to_owned).into_iter().chain(local).collect();
    names.extend([options.name.clone(), options.address.to_string()]);
    names.extend(options.names.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// The store is asked after under upstream's name for it, which probes leave out or ask for alone.
fn health(ready: Arc<AtomicBool>, store: Store) -> Health {
    let started =
        Check::new("poststarthook/start-controllers", move || match ready.load(Ordering::Acquire) {
            true => Ok(()),
            false => Err("the service account default/default is not there yet".into()),
        });
    let etcd = Check::new("etcd", move || match store.is_open() {
        true => Ok(()),
        false => Err("the store takes no writes any more".into()),
    });
    Health { live: vec![Check::ping(), etcd], ready: vec![started] }
}
