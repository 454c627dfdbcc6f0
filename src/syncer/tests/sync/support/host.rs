//! The host of a test, with hands that do what its scheduler and kubelets would.

use super::proxy::Proxy;
use super::rights::Rights;
use super::{Changes, get, gvr, list, missing};
use alcove_apiserver::admission::{Admission, Admitting, Attributes, NamespaceLifecycle};
use alcove_apiserver::options::{DeleteOptions, PatchType, WriteOptions};
use alcove_apiserver::request::Verb;
use alcove_apiserver::rest::Connector;
use alcove_apiserver::testing::front::Https;
use alcove_apiserver::testing::{TestEnv, authority, memory_store};
use alcove_apiserver::{Client, Server, User};
use alcove_object::{Reason, Status, Value, meta, settled};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The namespace that holds all tenants of a test.
pub const NAMESPACE: &str = "team-a";

type Hook = Box<dyn Fn(&mut Attributes<'_>) -> Result<(), Status> + Send + Sync>;

/// A step of the host's admission that a test fills: what mutating webhooks, quotas and limits do. It counts writes.
#[derive(Default)]
pub struct Webhook {
    hook: Mutex<Option<Hook>>,
    writes: Mutex<BTreeMap<String, usize>>,
}

impl Admission for Webhook {
    fn name(&self) -> &'static str {
        "TestWebhook"
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        let is_tenants = attributes.user.name.starts_with("kubernetes-admin");
        if is_tenants {
            let verb = format!("{:?} {}", attributes.verb, attributes.resource.gvr.resource);
            *self.writes.lock().entry(verb).or_default() += 1;
        }
        let answer = match &*self.hook.lock() {
            Some(hook) if is_tenants => hook(attributes),
            _ => Ok(()),
        };
        Box::pin(std::future::ready(answer))
    }
}

pub struct Host {
    pub server: Server,
    pub client: Client,
    pub proxy: Proxy,
    pub changes: Changes,
    pub webhook: Arc<Webhook>,
    rights: Arc<Rights>,
    front: Https,
    env: Arc<TestEnv>,
    tasks: JoinSet<()>,
}

impl Host {
    pub async fn start() -> Host {
        Host::made(None).await
    }

    /// A host whose pods are reached through this.
    pub async fn start_with_connector(connector: Arc<dyn Connector>) -> Host {
        Host::made(Some(connector)).await
    }

    async fn made(connector: Option<Arc<dyn Connector>>) -> Host {
        let webhook: Arc<Webhook> = Arc::default();
        let (env, store) = (Arc::new(TestEnv::new(1)), memory_store());
        let steps: Vec<Arc<dyn Admission>> =
            vec![Arc::new(NamespaceLifecycle::new(store.clone())), webhook.clone()];
        let rights: Arc<Rights> = Arc::default();
        let server = super::server_of(env.clone(), store, steps, rights.clone(), connector);
        Host::with(webhook, server, rights, env).await
    }

    /// A host that gives services addresses, as hosts do.
    pub async fn start_with_addresses() -> Host {
        let webhook: Arc<Webhook> = Arc::default();
        let (rights, env): (Arc<Rights>, _) = (Arc::default(), Arc::new(TestEnv::new(1)));
        let server = server_with_addresses(webhook.clone(), rights.clone(), env.clone());
        Host::with(webhook, server, rights, env).await
    }

    async fn with(webhook: Arc<Webhook>, server: Server, rights: Arc<Rights>, env: Arc<TestEnv>) -> Host {
        alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("platform-team"), "kubectl");
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        client.create(&gvr("namespaces"), "", namespace).await.unwrap();
        let front = Https::start(server.clone()).await;
        let proxy = Proxy::start(front.address).await;
        let (changes, mut tasks) = (Changes::new(), JoinSet::new());
        changes.follow(&client, &mut tasks);
        Host { server, client, proxy, changes, webhook, rights, front, env, tasks }
    }

    /// Starts the host's controllers: its garbage collector among them.
    pub fn start_controllers(&mut self) {
        let env: Arc<dyn alcove_object::Env> = self.env.clone();
        let mut controllers = alcove_controllers::start(&self.server, &env, &authority());
        self.tasks.spawn(async move { while controllers.join_next().await.is_some() {} });
    }

    /// A client as the syncer has it.
    pub async fn kube(&self) -> kube::Client {
        let config = alcove_syncer::host_config(Some(&self.kubeconfig())).await.unwrap();
        alcove_syncer::host_client(config).unwrap()
    }

    /// How the syncer reaches it.
    pub fn kubeconfig(&self) -> String {
        let kubeconfig = self.front.admin_kubeconfig();
        kubeconfig.replace(&self.front.address.to_string(), &self.proxy.address.to_string())
    }

    /// What tenants' writes meet from now on.
    pub fn admit(&self, hook: impl Fn(&mut Attributes<'_>) -> Result<(), Status> + Send + Sync + 'static) {
        *self.webhook.hook.lock() = Some(Box::new(hook));
    }

    /// The host does not let tenants list or watch this resource from now on.
    pub fn deny(&self, resource: Option<&str>) {
        self.rights.deny(resource);
    }

    /// The host does not let tenants write this resource from now on.
    pub fn deny_writes(&self, resource: Option<&str>) {
        self.rights.deny_writes(resource);
    }

    /// How many writes the syncer sent so far, such as `Create pods`.
    pub fn writes(&self, what: &str) -> usize {
        self.webhook.writes.lock().get(what).copied().unwrap_or(0)
    }

    /// How many requests for this the syncer sent so far, such as `patch pods/status`.
    pub fn requests(&self, what: &str) -> usize {
        self.rights.asked(what)
    }

    pub fn get(&self, resource: &str, name: &str) -> Option<Value> {
        get(&self.client, resource, NAMESPACE, name)
    }

    pub fn list(&self, resource: &str) -> Vec<Value> {
        list(&self.client, resource, NAMESPACE)
    }

    /// Waits until an object is there and as asked.
    pub async fn until(&self, resource: &str, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        let check = || {
            let object = self.get(resource, name);
            object.clone().filter(|o| is(o)).ok_or_else(|| missing(&format!("host {name}"), object.as_ref()))
        };
        self.changes.until(check).await
    }

    pub async fn until_gone(&self, resource: &str, name: &str) {
        let check = || self.get(resource, name).map_or(Ok(()), |o| Err(format!("still on the host: {o}")));
        self.changes.until(check).await
    }

    pub async fn create(&self, resource: &str, object: Value) -> Value {
        self.client.create(&gvr(resource), NAMESPACE, object).await.unwrap().parse()
    }

    pub async fn patch(&self, resource: &str, name: &str, patch: Value) -> Value {
        self.patch_part(resource, "", name, patch).await
    }

    async fn patch_part(&self, resource: &str, part: &str, name: &str, patch: Value) -> Value {
        let (resource, options) = (gvr(resource), WriteOptions::default());
        let kind = PatchType::Strategic;
        let patched = self.client.patch(&resource, part, NAMESPACE, name, kind, patch, &options).await;
        patched.unwrap().parse()
    }

    /// Lets the host's time pass.
    pub fn advance(&self, seconds: i64) {
        self.env.advance(seconds);
    }

    /// Deletes with this grace; `None`: the default.
    pub async fn delete(&self, resource: &str, name: &str, grace: Option<i64>) {
        let options = DeleteOptions { grace_period_seconds: grace, ..DeleteOptions::default() };
        self.client.delete(&gvr(resource), NAMESPACE, name, &options).await.unwrap();
    }

    /// What a kubelet does last with a pod that shall go. One that never came to a node may be gone already.
    pub async fn end(&self, pod: &str) {
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        let ended = self.client.delete(&gvr("pods"), NAMESPACE, pod, &options).await;
        settled(ended, &[Reason::NOT_FOUND]).unwrap();
    }

    /// What the scheduler does.
    pub async fn bind(&self, pod: &str, node: &str) {
        let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": pod },
                              "target": { "kind": "Node", "name": node } });
        self.client.create_subresource(&gvr("pods"), "binding", NAMESPACE, pod, binding).await.unwrap();
    }

    /// What a controller of the host reports about an object.
    pub async fn status(&self, resource: &str, name: &str, status: Value) {
        self.patch_part(resource, "status", name, json!({ "status": status })).await;
    }

    /// Creates an object that belongs to no namespace.
    pub async fn create_cluster_wide(&self, resource: &str, object: Value) -> Value {
        self.client.create(&gvr(resource), "", object).await.unwrap().parse()
    }

    /// What a kubelet reports.
    pub async fn report(&self, pod: &str, status: Value) {
        self.patch_part("pods", "status", pod, json!({ "status": status })).await;
    }

    /// Scheduler and kubelet: the pod runs on a node.
    pub async fn run(&self, pod: &str, node: &str) {
        self.bind(pod, node).await;
        self.report(pod, running()).await;
    }

    /// What is there of a tenant, of all kinds: `resource/name`.
    pub fn objects_of(&self, cluster: &str) -> Vec<String> {
        let all = super::KINDS.iter().flat_map(|resource| {
            let of_kind = self.list(resource).into_iter();
            let ours = of_kind.filter(|o| meta::label(o, alcove_syncer::translate::CLUSTER) == Some(cluster));
            ours.map(move |o| format!("{resource}/{}", meta::name(&o)))
        });
        all.collect()
    }
}

pub fn running() -> Value {
    json!({
        "phase": "Running", "startTime": "2026-11-21T09:30:00Z", "podIP": "10.244.0.9", "podIPs": [{ "ip": "10.244.0.9" }],
        "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T09:30:00Z" }],
    })
}

fn server_with_addresses(webhook: Arc<Webhook>, rights: Arc<Rights>, env: Arc<TestEnv>) -> Server {
    use alcove_apiserver::admission::{AddressConfig, LocalAddresses, ServiceIp};
    let store = memory_store();
    let addresses = LocalAddresses::new(AddressConfig::default(), store.clone(), env.clone());
    let admission: Vec<Arc<dyn Admission>> = vec![
        Arc::new(NamespaceLifecycle::new(store.clone())),
        webhook,
        Arc::new(ServiceIp::new(Arc::new(addresses))),
    ];
    super::server_of(env, store, admission, rights, None)
}

/// Whether a write is a create of this resource: for webhooks.
pub fn creates(attributes: &Attributes<'_>, resource: &str) -> bool {
    attributes.verb == Verb::Create && attributes.resource.gvr.resource == resource
}
