//! The kubeconfigs that a tenant writes to Secrets on its host, and keeps true: when the address changes, and before
//! what is in them ends. Who read one before is not disturbed, since what it holds stays good until its own end.

use crate::control_plane::ControlPlane;
use crate::tenant::Place;
use alcove_apiserver::certs::{Authority, Credentials, Serving, kubeconfig};
use alcove_apiserver::{Client, User};
use alcove_config::{Config, ExposeType, Host, KubeconfigSecret};
use alcove_object::{Env, Value};
use alcove_operator::provision::{SERVED_BY, TENANT};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The owner of every field of these Secrets.
const FIELD_MANAGER: &str = "alcove";
/// The administrator in `NAME-kubeconfig`.
const ADMIN: &str = "kubernetes-admin";
const ADMIN_GROUP: &str = "system:masters";
/// Who reads metrics, and the group whose role lets it do that and no more.
const MONITOR: (&str, &str) = ("alcove:metrics", "system:monitoring");
/// How long a token in a kubeconfig is good, in seconds. It is renewed after four fifths of that.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;
/// How soon a Secret that the host refused is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// The longest sleep before everything is looked at again: timers do not count time in which the machine slept.
const SLEEP_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// Writes the Secrets and keeps them true until the set is dropped.
pub fn publish(
    plane: &ControlPlane,
    config: &Config,
    host: &Host,
    host_client: kube::Client,
    place: Place,
) -> JoinSet<()> {
    let publisher = Publisher {
        authority: plane.authority.clone(),
        serving: plane.serving.clone(),
        client: plane.server.client(User::component("system:alcove:kubeconfigs"), "alcove"),
        env: plane.env.clone(),
        host_client,
        config: config.clone(),
        host: host.clone(),
        data: place.data,
        pod_uid: place.pod_uid,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(publisher.run().boxed());
    tasks
}

struct Publisher {
    authority: Arc<Authority>,
    serving: Arc<Serving>,
    client: Client,
    env: Arc<dyn Env>,
    host_client: kube::Client,
    config: Config,
    host: Host,
    data: PathBuf,
    pod_uid: Option<String>,
}

/// Why a Secret could not be written.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the host refuses it: {0}")]
    Host(#[from] kube::Error),
    #[error(transparent)]
    Certificate(#[from] alcove_apiserver::certs::Error),
    #[error("no token can be had: {0}")]
    Token(#[from] alcove_object::Status),
}

/// What a kubeconfig proves its user with, and until when.
enum Proof {
    Certificate(alcove_apiserver::certs::Issued),
    Token { token: String, until: Timestamp },
}

impl Proof {
    fn credentials(&self) -> Credentials<'_> {
        match self {
            Proof::Certificate(issued) => {
                Credentials::Certificate { certificate: &issued.certificate, key: &issued.key }
            }
            Proof::Token { token, .. } => Credentials::Token(token),
        }
    }

    /// When it is to be replaced.
    fn renewal(&self, certificate_days: u32) -> Timestamp {
        let (until, spare) = match self {
            Proof::Certificate(issued) => (issued.until, i64::from(certificate_days) * 24 * 60 * 60 / 3),
            Proof::Token { until, .. } => (*until, TOKEN_SECONDS / 5),
        };
        Timestamp::from_second(until.as_second() - spare).unwrap_or(until)
    }
}

impl Publisher {
    async fn run(self) {
        let services: Api<Service> = Api::namespaced(self.host_client.clone(), &self.host.namespace);
        let only = watcher::Config::default().fields(&format!("metadata.name={}", self.host.name));
        let mut changes = watcher(services, only).default_backoff().applied_objects().boxed();
        let mut service = Service::default();
        let mut due = Duration::ZERO;
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(Ok(changed)) => service = changed,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "cannot watch the tenant's own Service");
                        continue;
                    }
                    None => return,
                },
                () = tokio::time::sleep(due) => {}
            }
            due = self.write_all(&service).await;
        }
    }

    /// Writes every Secret as it should be now. Gives the time until one is to be renewed or tried again.
    async fn write_all(&self, service: &Service) -> Duration {
        if let Err(error) = self.serving.add_names(&addresses(service), self.env.now()) {
            tracing::error!(%error, "cannot serve under the addresses of the Service");
        }
        let mut due = SLEEP_MAX;
        for wanted in self.wanted() {
            match self.write(&wanted, service).await {
                Ok(renewal) => {
                    let left = renewal.as_second() - self.env.now().as_second();
                    due = due.min(Duration::from_secs(left.max(0).unsigned_abs()).max(RETRY));
                }
                Err(failure) => {
                    let secret = &wanted.secret.name;
                    tracing::warn!(secret, error = %failure, "cannot write a kubeconfig; trying again");
                    due = due.min(RETRY);
                }
            }
        }
        due
    }

    fn wanted(&self) -> Vec<Wanted> {
        let config = &self.config.kubeconfig;
        let name = format!("{}-kubeconfig", self.host.name);
        let secret = |name: String, namespace| KubeconfigSecret {
            name,
            namespace,
            server: config.server.clone(),
            service_account: None,
        };
        let mut wanted = vec![Wanted { secret: secret(name, None), form: Form::ClusterApi }];
        wanted.extend(config.additional.iter().cloned().map(|secret| Wanted { secret, form: Form::Plain }));
        if config.argo_cd.enabled {
            let name = format!("alcove-{}-{}", self.host.namespace, self.host.name);
            let secret = secret(name, Some(config.argo_cd.namespace.clone()));
            wanted.push(Wanted { secret, form: Form::ArgoCd });
        }
        if self.config.control_plane.service_monitor.enabled {
            let secret = secret(format!("{}-metrics", self.host.name), None);
            wanted.push(Wanted { secret, form: Form::Metrics });
        }
        wanted
    }

    async fn write(&self, wanted: &Wanted, service: &Service) -> Result<Timestamp, Failure> {
        let server = wanted.secret.server.clone().or_else(|| self.config.kubeconfig.server.clone());
        let server = server.unwrap_or_else(|| self.server(service));
        let proof = self.proof(wanted).await?;
        let namespace = wanted.secret.namespace.as_deref().unwrap_or(&self.host.namespace);
        let secrets: Api<Secret> = Api::namespaced(self.host_client.clone(), namespace);
        let mut secret = self.secret(wanted, &server, &proof);
        secret["metadata"]["namespace"] = namespace.into();
        if namespace == self.host.namespace
            && let Some(config) = secrets.get_metadata_opt(&format!("{}-config", self.host.name)).await?
        {
            // It goes when the tenant is uninstalled, whoever does it.
            secret["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "v1", "kind": "Secret",
                "name": config.metadata.name, "uid": config.metadata.uid,
            }]);
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        secrets.patch(&wanted.secret.name, &params, &Patch::Apply(&secret)).await?;
        Ok(proof.renewal(self.config.kubeconfig.certificate_days))
    }

    async fn proof(&self, wanted: &Wanted) -> Result<Proof, Failure> {
        let account = wanted.secret.service_account.as_deref();
        let Some((namespace, name)) = account.and_then(|account| account.split_once('/')) else {
            let days = self.config.kubeconfig.certificate_days;
            let (now, validity) = (self.env.now(), Duration::from_secs(u64::from(days) * 24 * 60 * 60));
            let (file, user, group) = match wanted.form {
                Form::Metrics => ("metrics", MONITOR.0, MONITOR.1),
                _ => (ADMIN, ADMIN, ADMIN_GROUP),
            };
            let issued = self.authority.kept_client(&self.data, file, user, &[group], now, validity)?;
            return Ok(Proof::Certificate(issued));
        };
        let spec = json!({ "expirationSeconds": TOKEN_SECONDS });
        let (token, until) = self.client.request_token(namespace, name, spec).await?;
        Ok(Proof::Token { token, until })
    }

    /// The address that clients outside the pod reach the tenant at.
    fn server(&self, service: &Service) -> String {
        let expose = &self.config.expose;
        if let Some(host) = expose.hosts().first() {
            return format!("https://{host}");
        }
        if expose.service_type == ExposeType::LoadBalancer
            && let Some(address) = balancer_addresses(service).first()
        {
            return format!("https://{}", bracketed(address));
        }
        format!("https://{}.{}.svc", self.host.name, self.host.namespace)
    }

    fn secret(&self, wanted: &Wanted, server: &str, proof: &Proof) -> Value {
        let name = self.config.kubeconfig.context.as_ref().unwrap_or(&self.host.name);
        let encoded = |text: &str| BASE64_STANDARD.encode(text);
        let mut labels = json!({ (TENANT): self.host.name });
        let (kind, data) = match wanted.form {
            Form::ArgoCd => {
                let argo = &self.config.kubeconfig.argo_cd;
                labels["argocd.argoproj.io/secret-type"] = "cluster".into();
                for (key, value) in &argo.labels {
                    labels[key] = value.clone().into();
                }
                let mut data = json!({
                    "name": encoded(name), "server": encoded(server),
                    "config": encoded(&argo_config(self.authority.pem(), proof).to_string()),
                });
                if let Some(project) = &argo.project {
                    data["project"] = encoded(project).into();
                }
                ("Opaque", data)
            }
            Form::Metrics => ("Opaque", metrics_data(self.authority.pem(), proof)),
            form => {
                let text = kubeconfig(name, server, self.authority.pem(), proof.credentials(), "");
                let is_main = form == Form::ClusterApi;
                if is_main {
                    labels["cluster.x-k8s.io/cluster-name"] = self.host.name.clone().into();
                }
                let kind = if is_main { "cluster.x-k8s.io/secret" } else { "Opaque" };
                (kind, json!({ "value": encoded(&text) }))
            }
        };
        let mut secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind,
            "metadata": { "name": wanted.secret.name, "labels": labels }, "data": data,
        });
        if let (Form::ClusterApi, Some(uid)) = (wanted.form, &self.pod_uid) {
            secret["metadata"]["annotations"] = json!({ (SERVED_BY): uid });
        }
        secret
    }
}

/// One Secret that should be there.
struct Wanted {
    secret: KubeconfigSecret,
    form: Form,
}

/// Whom a Secret is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Cluster API and Flux: key `value`, and a type and label of their own.
    ClusterApi,
    /// Anybody: key `value`.
    Plain,
    /// Argo CD: name, server and config.
    ArgoCd,
    /// Prometheus, by the ServiceMonitor: authority, certificate and key.
    Metrics,
}

/// How Argo CD wants credentials (argo-cd docs/operator-manual/declarative-setup.md).
fn argo_config(authority: &str, proof: &Proof) -> Value {
    let encoded = |pem: &str| BASE64_STANDARD.encode(pem);
    match proof {
        Proof::Certificate(issued) => json!({ "tlsClientConfig": {
            "caData": encoded(authority), "certData": encoded(&issued.certificate), "keyData": encoded(&issued.key),
        } }),
        Proof::Token { token, .. } => {
            json!({ "bearerToken": token, "tlsClientConfig": { "caData": encoded(authority) } })
        }
    }
}

/// The keys that the ServiceMonitor names.
fn metrics_data(authority: &str, proof: &Proof) -> Value {
    let Proof::Certificate(issued) = proof else { return json!({}) };
    let encoded = |pem: &str| BASE64_STANDARD.encode(pem);
    json!({
        "ca.crt": encoded(authority), "tls.crt": encoded(&issued.certificate), "tls.key": encoded(&issued.key),
    })
}

/// All addresses of the tenant's Service.
fn addresses(service: &Service) -> Vec<String> {
    let spec = service.spec.clone().unwrap_or_default();
    let own = spec.cluster_ips.unwrap_or_default().into_iter().filter(|ip| ip != "None" && !ip.is_empty());
    own.chain(spec.external_ips.unwrap_or_default()).chain(balancer_addresses(service)).collect()
}

fn balancer_addresses(service: &Service) -> Vec<String> {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let entries = balancer.and_then(|balancer| balancer.ingress.clone()).unwrap_or_default();
    entries.into_iter().filter_map(|entry| entry.hostname.or(entry.ip)).collect()
}

/// An IPv6 address needs brackets in a URL.
fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}
