//! Follows APIServices: keeps those of what is served here, asks the servers behind the others, and says in each whether
//! it is available.

use super::availability::unreachable;
use super::local;
use super::probe;
use super::remote::{self, FrontProxy, Known, PROXY_NAME, Remote};
use crate::client::{Client, Event, Watch};
use crate::custom::set_condition;
use crate::options::{DeleteOptions, ListOptions};
use crate::outbound::{Peer, ResolveService, StoreServices};
use crate::server::Server;
use crate::user::User;
use alcove_object::selector::{Fields, Labels};
use alcove_object::{Gvr, Reason, Status, Value, meta, settled, time};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long to wait before objects that could not be read or written are tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How soon a server that did not answer is asked again; doubles each time.
const ASK_DELAY_MIN: Duration = Duration::from_millis(200);
/// How often a server is asked whether it still answers.
const ASK_DELAY_MAX: Duration = Duration::from_secs(30);

/// Whatever was made, changed or deleted meanwhile comes as an event.
const PASSING: [Reason; 3] = [Reason::CONFLICT, Reason::NOT_FOUND, Reason::ALREADY_EXISTS];

/// The APIServices of a server.
pub struct Aggregation {
    server: Server,
    client: Client,
    proxy: FrontProxy,
    services: Arc<dyn ResolveService>,
    /// By the name of their APIService.
    known: BTreeMap<String, Tracked>,
    /// With the name of the APIService and the spec that was meant.
    asking: JoinSet<(String, Value, Outcome)>,
    /// The authority of clients, in PEM.
    client_authority: String,
}

/// A server that is asked.
struct Tracked {
    object: Value,
    peer: Result<Peer, String>,
    known: Known,
    /// When to ask again; none while it is asked.
    due: Option<Instant>,
    delay: Duration,
    /// Something changed while it was asked.
    is_changed: bool,
}

impl Tracked {
    fn remote(&self) -> Option<Remote> {
        Remote::read(&self.object, self.known.clone(), self.peer.clone())
    }
}

/// What asking came to: what it serves, or a reason and a message.
type Outcome = Result<Known, (&'static str, String)>;

fn api_services() -> Gvr {
    Gvr::new("apiregistration.k8s.io", "v1", "apiservices")
}

fn services() -> Gvr {
    Gvr::new("", "v1", "services")
}

fn slices() -> Gvr {
    Gvr::new("discovery.k8s.io", "v1", "endpointslices")
}

fn config_maps() -> Gvr {
    Gvr::new("", "v1", "configmaps")
}

/// What may happen.
enum Happened {
    /// An APIService changed, or what is served here, or the published authorities.
    Changed,
    /// Services or endpoints changed: these, as namespace and name of the service.
    Moved(Vec<(String, String)>),
    /// A server answered, or did not.
    Asked(String, Value, Outcome),
    /// It is time to ask.
    Due,
    /// A watch ended.
    Over,
}

impl Aggregation {
    /// Follows nothing yet. `client_authority`: the certificate, in PEM, by which clients are known; it is published
    /// with the one by which other servers know us.
    pub fn new(server: &Server, proxy: FrontProxy, client_authority: &str) -> Aggregation {
        let services = Arc::new(StoreServices::new(server.store.clone()));
        Aggregation {
            server: server.clone(),
            client: server.client(User::component("system:apiserver"), "kube-apiserver"),
            proxy,
            services,
            known: BTreeMap::new(),
            asking: JoinSet::new(),
            client_authority: client_authority.to_owned(),
        }
    }

    /// Follows until it is dropped.
    pub async fn run(mut self) {
        loop {
            if let Err(status) = self.follow().await {
                tracing::warn!(error = %status, "cannot follow API services");
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn follow(&mut self) -> Result<(), Status> {
        let mut registry = self.server.registry_changes();
        let mut watch = self.watch(&api_services(), "", "")?;
        let mut published =
            self.watch(&config_maps(), "kube-system", "metadata.name=extension-apiserver-authentication")?;
        let mut of_services: Option<(Watch, Watch)> = None;
        self.reconcile().await?;
        loop {
            if self.known.is_empty() {
                of_services = None;
            } else if of_services.is_none() {
                of_services = Some((self.watch(&services(), "", "")?, self.watch(&slices(), "", "")?));
                self.ask_again(|_| true);
            }
            self.ask_due();
            let due = self.known.values().filter_map(|tracked| tracked.due).min();
            let happened = tokio::select! {
                _ = registry.changed() => Happened::Changed,
                events = watch.next() => changed(events)?,
                events = published.next() => changed(events)?,
                moved = moved(&mut of_services) => moved?,
                Some(Ok((name, spec, outcome))) = self.asking.join_next() => Happened::Asked(name, spec, outcome),
                () = until(due) => Happened::Due,
            };
            match happened {
                Happened::Changed => self.reconcile().await?,
                Happened::Moved(services) => self.ask_again(|remote| {
                    services.iter().any(|(ns, name)| *ns == remote.0 && *name == remote.1)
                }),
                Happened::Asked(name, spec, outcome) => self.take(&name, &spec, outcome).await?,
                Happened::Due => {}
                Happened::Over => return Ok(()),
            }
        }
    }

    fn watch(&self, kind: &Gvr, namespace: &str, fields: &str) -> Result<Watch, Status> {
        let options = ListOptions {
            resource_version: self.server.store.revision().to_string(),
            fields: Fields::parse(fields).unwrap_or_default(),
            ..ListOptions::default()
        };
        self.client.watch(kind, namespace, &options)
    }

    /// Makes APIServices what they must be, and tells the registry of those that others serve.
    async fn reconcile(&mut self) -> Result<(), Status> {
        self.publish().await?;
        let stored = self.client.list(&api_services(), "", &ListOptions::default())?;
        let stored: Vec<Value> = stored.items.iter().map(|object| object.parse()).collect();
        let wanted = local::wanted(&self.server.registry());
        let missing = wanted.iter().filter(|(name, _)| !stored.iter().any(|o| meta::name(o) == *name));
        let kind = api_services();
        let made = missing.map(|(_, object)| self.client.create(&kind, "", object.clone()));
        let made = futures_util::future::join_all(made).await;
        let kept = stored.iter().map(|object| self.keep(object, wanted.get(meta::name(object))));
        let kept = futures_util::future::join_all(kept).await;
        // One that fails keeps no other from its due.
        for written in made.into_iter().map(|made| made.map(drop)).chain(kept) {
            if let Err(error) = settled(written, &PASSING) {
                tracing::warn!(%error, "cannot keep an API service");
            }
        }
        self.track(&stored);
        Ok(())
    }

    /// Mends, deletes or says that it is available, as one stored APIService needs it.
    async fn keep(&self, object: &Value, wanted: Option<&Value>) -> Result<(), Status> {
        let spec = &object["spec"];
        let (group, version) = (text(spec, "group"), text(spec, "version"));
        let is_ours = local::is_managed(object) || local::built_in(group, version).is_some();
        match wanted {
            Some(wanted) if is_ours && *spec != wanted["spec"] => {
                let mut mended = object.clone();
                mended["spec"] = wanted["spec"].clone();
                mended["metadata"]["labels"][local::MANAGED_LABEL] =
                    wanted["metadata"]["labels"][local::MANAGED_LABEL].clone();
                self.client.update(&api_services(), "", mended).await.map(drop)
            }
            None if local::is_managed(object) => {
                let options = DeleteOptions::of(object);
                self.client.delete(&api_services(), "", meta::name(object), &options).await.map(drop)
            }
            _ if !spec["service"].is_object() => {
                let told = ("Available", true, "Local", "Local APIServices are always available");
                self.tell(object, told).await
            }
            _ => Ok(()),
        }
    }

    async fn tell(&self, object: &Value, condition: (&str, bool, &str, &str)) -> Result<(), Status> {
        let mut told = object.clone();
        set_condition(&mut told, condition, &time::format(self.server.env.now()));
        if told == *object {
            return Ok(());
        }
        self.client.update_subresource(&api_services(), "status", "", told).await.map(drop)
    }

    /// Publishes by which authorities clients and we are known, for other servers to read
    /// (k8s.io/kubernetes/pkg/controlplane/controller/clusterauthenticationtrust).
    async fn publish(&self) -> Result<(), Status> {
        const NAMESPACE: &str = "kube-system";
        const NAME: &str = "extension-apiserver-authentication";
        let list = |text: &str| json!([text]).to_string();
        let data = json!({
            "client-ca-file": self.client_authority,
            "requestheader-client-ca-file": self.proxy.authority,
            "requestheader-allowed-names": list(PROXY_NAME),
            "requestheader-username-headers": list("X-Remote-User"),
            "requestheader-uid-headers": list("X-Remote-Uid"),
            "requestheader-group-headers": list("X-Remote-Group"),
            "requestheader-extra-headers-prefix": list("X-Remote-Extra-"),
        });
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": NAMESPACE, "name": NAME}, "data": data,
        });
        let written = match self.client.find(&config_maps(), NAMESPACE, NAME)? {
            None => self.client.create(&config_maps(), NAMESPACE, object).await,
            Some(stored) => {
                let mut stored = stored.parse();
                if stored["data"] == object["data"] {
                    return Ok(());
                }
                stored["data"] = object["data"].clone();
                self.client.update(&config_maps(), NAMESPACE, stored).await
            }
        };
        settled(written, &PASSING)
    }

    /// Takes up the APIServices that name a service, and forgets those that are gone.
    fn track(&mut self, stored: &[Value]) {
        let is_remote = |object: &&Value| {
            let spec = &object["spec"];
            spec["service"].is_object()
                && local::built_in(text(spec, "group"), text(spec, "version")).is_none()
        };
        let remotes: Vec<&Value> = stored.iter().filter(is_remote).collect();
        let before = self.known.len();
        self.known.retain(|name, _| remotes.iter().any(|object| meta::name(object) == name));
        let mut is_changed = self.known.len() != before;
        for object in remotes {
            let tracked = self.known.get_mut(meta::name(object));
            match tracked {
                Some(tracked) if tracked.object["spec"] == object["spec"] => tracked.object = object.clone(),
                other => {
                    is_changed = true;
                    // What is known stays known until the other server says otherwise.
                    let known = other.map(|tracked| tracked.known.clone()).unwrap_or_default();
                    let delay = ASK_DELAY_MIN;
                    let Some(peer) = remote::peer(object, &self.proxy, self.services.clone()) else {
                        continue;
                    };
                    let tracked = Tracked {
                        object: object.clone(),
                        peer,
                        known: Known { is_available: false, ..known },
                        due: Some(Instant::now()),
                        delay,
                        is_changed: false,
                    };
                    self.known.insert(meta::name(object).to_owned(), tracked);
                }
            }
        }
        if is_changed {
            self.serve();
        }
    }

    /// Tells the registry.
    fn serve(&self) {
        let remotes = self.known.values().filter_map(Tracked::remote).map(Arc::new);
        self.server.replace_remotes(remotes.collect());
    }

    /// Asks servers again, by the namespace and name of their service.
    fn ask_again(&mut self, is_meant: impl Fn((&str, &str)) -> bool) {
        for tracked in self.known.values_mut() {
            let service = &tracked.object["spec"]["service"];
            if is_meant((text(service, "namespace"), text(service, "name"))) {
                tracked.delay = ASK_DELAY_MIN;
                match &mut tracked.due {
                    Some(due) => *due = Instant::now(),
                    None => tracked.is_changed = true,
                }
            }
        }
    }

    /// Asks those whose time it is.
    fn ask_due(&mut self) {
        let now = Instant::now();
        let due: Vec<String> = self
            .known
            .iter()
            .filter(|(_, tracked)| tracked.due.is_some_and(|due| due <= now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            let Some(tracked) = self.known.get_mut(&name) else { continue };
            tracked.due = None;
            let Some(tracked) = self.known.get(&name) else { continue };
            let spec = tracked.object["spec"].clone();
            let (why, remote) = (self.why_not(&spec["service"]), tracked.remote());
            self.asking.spawn(async move {
                let outcome = match (why, remote) {
                    (Some(why), _) => Err(why),
                    (None, Some(remote)) => {
                        probe::ask(&remote).await.map_err(|message| ("FailedDiscoveryCheck", message))
                    }
                    (None, None) => Err(("FailedDiscoveryCheck", "there is no service".to_owned())),
                };
                (name, spec, outcome)
            });
        }
    }

    /// Why the objects of a service tell that it cannot answer.
    fn why_not(&self, reference: &Value) -> Option<(&'static str, String)> {
        let (namespace, name) = (text(reference, "namespace"), text(reference, "name"));
        let port = reference["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
        let service = self.client.find(&services(), namespace, name).ok().flatten();
        let labels = Labels::parse(&format!("kubernetes.io/service-name={name}")).unwrap_or_default();
        let options = ListOptions { labels, ..ListOptions::default() };
        let slices =
            self.client.list(&slices(), namespace, &options).map(|list| list.items).unwrap_or_default();
        let slices: Vec<Value> = slices.iter().map(|slice| slice.parse()).collect();
        unreachable((namespace, name, port), service.map(|service| service.parse()).as_ref(), &slices)
    }

    /// Takes an answer in: says it, serves it, and plans the next question.
    async fn take(&mut self, name: &str, spec: &Value, outcome: Outcome) -> Result<(), Status> {
        let Some(tracked) = self.known.get_mut(name) else { return Ok(()) };
        if tracked.object["spec"] != *spec {
            // It was asked of what is no longer meant; the other question is under way or due.
            return Ok(());
        }
        let (wait, known, condition) = match outcome {
            Ok(known) => {
                tracked.delay = ASK_DELAY_MIN;
                (ASK_DELAY_MAX, known, (true, "Passed", "all checks passed".to_owned()))
            }
            Err((reason, message)) => {
                let wait = tracked.delay;
                tracked.delay = (wait * 2).min(ASK_DELAY_MAX);
                let known = Known { is_available: false, ..tracked.known.clone() };
                (wait, known, (false, reason, message))
            }
        };
        let wait = if std::mem::take(&mut tracked.is_changed) { Duration::ZERO } else { wait };
        tracked.due = Some(Instant::now() + wait);
        let is_other = known != tracked.known;
        tracked.known = known;
        if is_other {
            // First it is served, then it is said.
            self.serve();
        }
        let Some(object) = self.client.find(&api_services(), "", name)? else { return Ok(()) };
        let (holds, reason, message) = condition;
        settled(self.tell(&object.parse(), ("Available", holds, reason, &message)).await, &PASSING)
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn changed(events: Option<Result<Vec<Event>, Status>>) -> Result<Happened, Status> {
    Ok(match events {
        Some(events) => {
            drop(events?);
            Happened::Changed
        }
        None => Happened::Over,
    })
}

async fn moved(watches: &mut Option<(Watch, Watch)>) -> Result<Happened, Status> {
    const SERVICE_NAME: &str = "kubernetes.io/service-name";
    let Some((services, slices)) = watches else { return std::future::pending().await };
    let (events, is_slice) = tokio::select! {
        events = services.next() => (events, false),
        events = slices.next() => (events, true),
    };
    let Some(events) = events else { return Ok(Happened::Over) };
    let mut moved = Vec::new();
    for event in events? {
        let (Event::Added(object) | Event::Modified(object) | Event::Deleted(object)) = event else {
            continue;
        };
        let name = match is_slice {
            true => meta::label(&object.parse(), SERVICE_NAME).unwrap_or_default().to_owned(),
            false => object.name().to_owned(),
        };
        moved.push((object.namespace().to_owned(), name));
    }
    Ok(Happened::Moved(moved))
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
