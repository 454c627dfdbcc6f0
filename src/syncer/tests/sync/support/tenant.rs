//! One tenant of a test: its API server, its syncer, and what must hold of both sides in the end.

use super::host::NAMESPACE;
use super::{Changes, Host, covers, get, gvr, list, missing, server};
use alcove_apiserver::admission::Admission;
use alcove_apiserver::options::{DeleteOptions, PatchType, WriteOptions};
use alcove_apiserver::rest::Connector;
use alcove_apiserver::testing::{TestEnv, authority};
use alcove_apiserver::{Client, Server, User};
use alcove_config::Sync;
use alcove_object::{Env, Value, meta};
use alcove_syncer::translate::{self, Context, Known, Resolver, Tenant};
use alcove_syncer::{Features, HostServices, HostStreams};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;

pub struct Side {
    pub server: Server,
    pub client: Client,
    pub tenant: Tenant,
    pub changes: Changes,
    pub env: Arc<TestEnv>,
    /// The host's Service of the tenant's DNS.
    pub dns: Option<String>,
    /// What the platform team allows; what is set here counts from the next start of the syncer.
    pub allowed: Sync,
    pub features: Features,
    services: Option<HostServices>,
    streams: Option<HostStreams>,
    syncer: Option<JoinSet<()>>,
    tasks: JoinSet<()>,
}

impl Side {
    /// A tenant with its syncer. `seed` must differ between tenants.
    pub async fn start(host: &Host, cluster: &str, seed: u64) -> Side {
        let mut side = Side::without_syncer(host, cluster, seed).await;
        side.start_syncer(host).await;
        side
    }

    /// A tenant whose services get their addresses from the host before they are stored.
    pub async fn start_with_addresses(host: &Host, cluster: &str, seed: u64) -> Side {
        Side::start_with_addresses_and(host, cluster, seed, Sync::default()).await
    }

    /// The same, where the platform team allows this.
    pub async fn start_with_addresses_and(host: &Host, cluster: &str, seed: u64, allowed: Sync) -> Side {
        let mut side = Side::new(host, cluster, seed, Some(HostServices::default()), None).await;
        side.allowed = allowed;
        side.start_syncer(host).await;
        side
    }

    /// A tenant whose pods are reached through the host.
    pub async fn start_with_streams(host: &Host, cluster: &str, seed: u64) -> (Side, HostStreams) {
        let config = alcove_syncer::host_config(Some(&host.kubeconfig())).await.unwrap();
        let streams = HostStreams::new(&config).unwrap();
        let mut side = Side::new(host, cluster, seed, None, Some(streams.clone())).await;
        side.start_syncer(host).await;
        (side, streams)
    }

    pub async fn without_syncer(host: &Host, cluster: &str, seed: u64) -> Side {
        Side::new(host, cluster, seed, None, None).await
    }

    async fn new(
        host: &Host,
        cluster: &str,
        seed: u64,
        services: Option<HostServices>,
        streams: Option<HostStreams>,
    ) -> Side {
        let steps = services.iter().map(|step| Arc::new(step.clone()) as Arc<dyn Admission>);
        let connector = streams.clone().map(|streams| Arc::new(streams) as Arc<dyn Connector>);
        let (server, env) = server(seed, steps.collect(), connector);
        alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("tenant-admin"), "kubectl");
        let mut tasks = JoinSet::new();
        host.changes.follow(&client, &mut tasks);
        let tenant = Tenant { cluster: cluster.into(), host_namespace: NAMESPACE.into() };
        let (allowed, features) = (Default::default(), Features::default());
        let changes = host.changes.clone();
        Side {
            server,
            client,
            tenant,
            changes,
            allowed,
            dns: None,
            features,
            env,
            services,
            streams,
            syncer: None,
            tasks,
        }
    }

    pub async fn start_syncer(&mut self, host: &Host) {
        let mut config = alcove_syncer::Config::new(self.tenant.clone(), "v1.36.3".into());
        config.services = self.services.clone();
        config.streams = self.streams.clone();
        config.sync = self.allowed.clone();
        config.features = self.features.clone();
        config.dns = self.dns.clone();
        let env: Arc<dyn Env> = self.env.clone();
        self.syncer = Some(alcove_syncer::start(&self.server, host.kube().await, &env, config));
    }

    /// Waits until an object that belongs to no namespace is there and as asked.
    pub async fn until_cluster_wide(&self, resource: &str, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        let check = || {
            let object = get(&self.client, resource, "", name);
            object.clone().filter(|o| is(o)).ok_or_else(|| missing(name, object.as_ref()))
        };
        self.changes.until(check).await
    }

    pub async fn stop_syncer(&mut self) {
        if let Some(mut syncer) = self.syncer.take() {
            syncer.shutdown().await;
        }
    }

    /// Starts the tenant's controllers too.
    pub fn start_controllers(&mut self) {
        let env: Arc<dyn Env> = self.env.clone();
        let mut controllers = alcove_controllers::start(&self.server, &env, &authority());
        self.tasks.spawn(async move { while controllers.join_next().await.is_some() {} });
    }

    pub fn host_name(&self, namespace: &str, name: &str) -> String {
        translate::host_name(&self.tenant, namespace, name)
    }

    pub fn get(&self, resource: &str, name: &str) -> Option<Value> {
        get(&self.client, resource, "default", name)
    }

    pub async fn create(&self, resource: &str, object: Value) -> Value {
        let namespace =
            Some(meta::namespace(&object)).filter(|n| !n.is_empty()).unwrap_or("default").to_owned();
        self.client.create(&gvr(resource), &namespace, object).await.unwrap().parse()
    }

    pub async fn patch(&self, resource: &str, name: &str, patch: Value) -> Value {
        self.patch_part(resource, "", name, patch).await
    }

    pub async fn patch_part(&self, resource: &str, part: &str, name: &str, patch: Value) -> Value {
        let (resource, options) = (gvr(resource), WriteOptions::default());
        let kind = PatchType::Strategic;
        let patched = self.client.patch(&resource, part, "default", name, kind, patch, &options).await;
        patched.unwrap().parse()
    }

    pub async fn delete(&self, resource: &str, name: &str, grace: Option<i64>) {
        let options = DeleteOptions { grace_period_seconds: grace, ..DeleteOptions::default() };
        self.client.delete(&gvr(resource), "default", name, &options).await.unwrap();
    }

    pub async fn until(&self, resource: &str, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        let check = || {
            let object = self.get(resource, name);
            object
                .clone()
                .filter(|o| is(o))
                .ok_or_else(|| missing(&format!("tenant {name}"), object.as_ref()))
        };
        self.changes.until(check).await
    }

    pub async fn until_gone(&self, resource: &str, name: &str) {
        let check = || self.get(resource, name).map_or(Ok(()), |o| Err(format!("still in the tenant: {o}")));
        self.changes.until(check).await
    }

    /// Waits for an event about an object.
    pub async fn until_event(&self, name: &str, reason: &str) -> Value {
        let check = || {
            let events = list(&self.client, "events", "default");
            let found = events.iter().find(|e| e["involvedObject"]["name"] == name && e["reason"] == reason);
            found.cloned().ok_or_else(|| format!("no event {reason} of {name} in {events:?}"))
        };
        self.changes.until(check).await
    }

    /// Waits until the host holds exactly the translation of this tenant's objects.
    pub async fn settled(&self, host: &Host) {
        self.changes.until(|| self.is_settled(host)).await;
    }

    /// Whether the host holds exactly the translation of this tenant's objects, but for those named in `but`.
    pub fn is_settled(&self, host: &Host) -> Result<(), String> {
        let mut expected = BTreeSet::new();
        for (resource, wanted) in self.wanted(host) {
            let name = meta::name(&wanted).to_owned();
            let found =
                host.get(resource, &name).ok_or_else(|| format!("not on the host: {resource}/{name}"))?;
            if !covers(&found, &wanted) {
                return Err(format!("{resource}/{name}: the tenant wants {wanted}, the host has {found}"));
            }
            expected.insert(format!("{resource}/{name}"));
        }
        expected.extend(self.derived(host));
        let found: BTreeSet<String> = host.objects_of(&self.tenant.cluster).into_iter().collect();
        if found != expected {
            return Err(format!("on the host: {found:?}, expected: {expected:?}"));
        }
        Ok(())
    }

    /// What follows from pods on the host.
    fn derived(&self, host: &Host) -> Vec<String> {
        let pods = list(&self.client, "pods", "").into_iter();
        let pods = pods.filter(|pod| {
            let name = self.host_name(meta::namespace(pod), meta::name(pod));
            let is_bound = pod.pointer("/spec/nodeName").is_some();
            is_bound && !translate::token_sources(pod).is_empty() && host.get("pods", &name).is_some()
        });
        let tokens = pods.map(|pod| format!("secrets/{}", translate::tokens_name(&self.tenant, &pod)));
        let all = list(&self.client, "pods", "");
        let scopes = all.iter().map(|pod| translate::environment_name(&self.tenant, translate::scope(pod)));
        tokens.chain(scopes.map(|name| format!("configmaps/{name}"))).collect()
    }

    /// A pod as it was before the host chose its node.
    fn unbound(&self, host: &Host, mut pod: Value) -> Value {
        if host.get("pods", &self.host_name(meta::namespace(&pod), meta::name(&pod))).is_some() {
            pod["spec"].as_object_mut().unwrap().remove("nodeName");
        }
        pod
    }

    fn context(&self) -> Context<'_> {
        Context { tenant: &self.tenant, allowed: &self.allowed, known: self }
    }

    fn wanted(&self, host: &Host) -> Vec<(&'static str, Value)> {
        let pods = list(&self.client, "pods", "");
        let uses: BTreeSet<(String, String)> = pods.iter().flat_map(used).collect();
        let mut wanted = Vec::new();
        for resource in super::KINDS {
            for object in list(&self.client, resource, "") {
                let at =
                    (resource.to_owned(), format!("{}/{}", meta::namespace(&object), meta::name(&object)));
                let host = match resource {
                    "pods" if has_ended(&object) => continue,
                    "pods" => translate::pod(&self.context(), &self.unbound(host, object))
                        .map(|wanted| wanted.object),
                    "services" if at.1 == "default/kubernetes" => continue,
                    "services" if meta::label(&object, "alcove.dev/door").is_some() => continue,
                    "services" => translate::service(&self.tenant, &object),
                    _ if !uses.contains(&at) => continue,
                    "configmaps" => Ok(translate::config_map(&self.tenant, &object)),
                    _ => Ok(translate::secret(&self.tenant, &object)),
                };
                wanted.extend(host.ok().map(|host| (resource, host)));
            }
        }
        wanted
    }
}

/// What translations know, read from the tenant's store.
impl Known for Side {
    fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        get(&self.client, resource, namespace, name)
    }

    fn is_pod_address(&self, _: std::net::IpAddr) -> bool {
        false
    }

    fn has_class(&self, _: &str, _: &str) -> Option<bool> {
        None
    }

    fn namespace_labels(&self, namespace: &str) -> Value {
        let namespace = get(&self.client, "namespaces", "", namespace);
        namespace.and_then(|found| found.pointer("/metadata/labels").cloned()).unwrap_or_default()
    }

    fn namespaces(&self, _: &Value) -> Vec<String> {
        Vec::new()
    }

    fn host_node(&self, node: &str) -> Option<String> {
        get(&self.client, "nodes", "", node).map(|_| node.to_owned())
    }

    fn domain(&self) -> String {
        "cluster.local".into()
    }

    fn resolver(&self) -> Option<Resolver> {
        let dns = get(&self.client, "services", "kube-system", "kube-dns")?;
        Some(Resolver { addresses: vec![dns["spec"]["clusterIP"].as_str()?.to_owned()] })
    }

    fn account(&self) -> Option<String> {
        None
    }
}

fn used(pod: &Value) -> Vec<(String, String)> {
    let references = translate::references(pod);
    let at =
        |resource: &str, name: &String| (resource.to_owned(), format!("{}/{name}", meta::namespace(pod)));
    let maps = references.config_maps.iter().map(|name| at("configmaps", name));
    maps.chain(references.secrets.iter().map(|name| at("secrets", name))).collect()
}

/// A pod that ended because its host pod went.
fn has_ended(pod: &Value) -> bool {
    pod.pointer("/status/reason").is_some_and(|reason| reason == "Evicted")
}

pub fn config_map(name: &str, value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "key": value } })
}

pub fn secret(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "data": { "key": "djE=" } })
}

pub fn service(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "labels": { "app": name } },
            "spec": { "selector": { "app": name }, "ports": [{ "name": "http", "port": 80 }] } })
}

pub fn pod(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": name } },
            "spec": { "automountServiceAccountToken": false, "containers": [{ "name": "main", "image": "nginx" }] } })
}

/// A pod that takes its environment from a ConfigMap and a Secret of this name.
pub fn pod_with(name: &str, config: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["containers"][0]["envFrom"] = json!([
        { "configMapRef": { "name": config, "optional": true } }, { "secretRef": { "name": config, "optional": true } }]);
    pod
}
