//! The host cluster, as the user of the command line reaches it: with a context of their kubeconfig and their rights.
//!
//! Objects are trees. What fails becomes a sentence in one place, [`Error`], which says what to do.

mod error;
mod rights;

pub use alcove_syncer::{Certificate, certificate, deepest};
pub use error::Error;
pub use rights::{Right, in_words, missing};

use crate::contexts::{self, Files};
use futures_util::{Stream, StreamExt};
use kube::api::{
    DeleteParams, DynamicObject, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions,
};
use kube::config::KubeConfigOptions;
use kube::core::{ApiResource, GroupVersionKind, Request};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Who writes to the host, as `managedFields` tell.
pub const FIELD_MANAGER: &str = "alcove-cli";
/// How long a connection to the host may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the host may take to answer: kube-apiserver itself takes a minute at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How many objects are listed at once.
const PAGE: u32 = 500;
/// Kinds without a namespace, of those that we touch.
const CLUSTER_WIDE: [&str; 8] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "Namespace",
    "Node",
    "SelfSubjectAccessReview",
    "StorageClass",
];

/// Which cluster a command speaks to, and in which namespace.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct HostArguments {
    /// The kubeconfig of the host cluster; $KUBECONFIG or ~/.kube/config unless given.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the host cluster; the current one unless given. In a tenant's context it is the one that the
    /// tenant was reached from.
    #[arg(long, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// The namespace on the host.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

/// The host cluster.
#[derive(Clone)]
pub struct Host {
    /// Its client.
    pub client: Client,
    /// The context that it is reached by; `None` from inside a pod.
    pub context: Option<String>,
    /// The namespace that the user asked for.
    pub namespace: Option<String>,
    /// The namespace of the context.
    pub default_namespace: String,
    /// The user's kubeconfig files; `None` from inside a pod.
    pub files: Option<Files>,
    /// Its address.
    pub server: String,
}

/// A kind by its version and name, such as `apps/v1` and `StatefulSet`.
pub fn kind(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// The kind of an object.
pub fn kind_of(object: &Value) -> ApiResource {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    kind(text("apiVersion"), text("kind"))
}

/// Whether a kind has no namespace.
pub fn is_cluster_wide(kind: &ApiResource) -> bool {
    CLUSTER_WIDE.contains(&kind.kind.as_str())
}

impl Host {
    /// Finds the host of a command. Errors: no kubeconfig, or one that is not understood; nothing is asked of the host.
    pub async fn find(arguments: &HostArguments) -> Result<Host, Error> {
        let files = Files::find(arguments.kubeconfig.as_deref())?;
        if !files.exist()
            && arguments.context.is_none()
            && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        {
            let config = kube::Config::incluster().map_err(|e| contexts::Error::Unusable(e.to_string()))?;
            return Host::of(config, None, None, arguments);
        }
        let merged = files.merged()?;
        let known: Vec<String> = merged.contexts.iter().map(|context| context.name.clone()).collect();
        let context = match &arguments.context {
            Some(context) => context.clone(),
            None => {
                let current = files.current()?.ok_or(contexts::Error::NoContext { known: known.clone() })?;
                match files.mark(&current)? {
                    // A tenant's own context: commands go to the host that it was reached from.
                    Some(mark) => mark.parent.ok_or(contexts::Error::NoContext { known: known.clone() })?,
                    None => current,
                }
            }
        };
        if !known.contains(&context) {
            return Err(contexts::Error::UnknownContext { name: context, known }.into());
        }
        let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
        let config = kube::Config::from_custom_kubeconfig(merged, &options).await;
        let config = config.map_err(|error| contexts::Error::Unusable(error.to_string()))?;
        Host::of(config, Some(context), Some(files), arguments)
    }

    fn of(
        mut config: kube::Config,
        context: Option<String>,
        files: Option<Files>,
        arguments: &HostArguments,
    ) -> Result<Host, Error> {
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let (server, default_namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|e| contexts::Error::Unusable(e.to_string()))?;
        let namespace = arguments.namespace.clone();
        Ok(Host { client, context, namespace, default_namespace, files, server })
    }

    /// How people call this host.
    pub fn called(&self) -> String {
        let server = self.server.trim_end_matches('/');
        match &self.context {
            Some(context) => format!("{server} (context {context})"),
            None => server.to_owned(),
        }
    }

    async fn ask(
        &self,
        doing: &str,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, Error> {
        let request = request.map_err(|error| Error::Request(error.to_string()))?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.client.request::<Value>(request)).await;
        let answer = answer.map_err(|_| Error::Silent { host: self.called(), after: ANSWER_TIMEOUT })?;
        answer.map_err(|error| Error::of(self, doing, error))
    }

    /// One object, if it is there.
    pub async fn get(&self, kind: &ApiResource, namespace: &str, name: &str) -> Result<Option<Value>, Error> {
        let doing = doing("get", kind, namespace);
        absent(self.ask(&doing, at(kind, namespace).get(name, &GetParams::default())).await)
    }

    /// All objects of a kind that labels select; of all namespaces if none is named.
    pub async fn list(&self, kind: &ApiResource, namespace: &str, labels: &str) -> Result<Vec<Value>, Error> {
        self.pages(kind, namespace, labels, false).await
    }

    /// The same with metadata alone.
    pub async fn list_metadata(
        &self,
        kind: &ApiResource,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Value>, Error> {
        self.pages(kind, namespace, labels, true).await
    }

    async fn pages(
        &self,
        kind: &ApiResource,
        namespace: &str,
        labels: &str,
        metadata: bool,
    ) -> Result<Vec<Value>, Error> {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let mut options = ListParams::default().labels(labels).limit(PAGE);
            if !token.is_empty() {
                options = options.continue_token(&token);
            }
            let path = at(kind, namespace);
            let request = if metadata { path.list_metadata(&options) } else { path.list(&options) };
            let mut page = self.ask(&doing("list", kind, namespace), request).await?;
            if let Value::Array(items) = page["items"].take() {
                found.extend(items);
            }
            token = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
            if token.is_empty() {
                break;
            }
        }
        for object in &mut found {
            object["apiVersion"] = kind.api_version.clone().into();
            object["kind"] = kind.kind.clone().into();
        }
        Ok(found)
    }

    /// Writes an object by server-side apply, as field manager `alcove-cli`. `force` takes fields from other managers.
    pub async fn apply(&self, object: &Value, force: bool) -> Result<Value, Error> {
        let (kind, name) = (kind_of(object), alcove_object::meta::name(object));
        let namespace = alcove_object::meta::namespace(object);
        let mut options = PatchParams::apply(FIELD_MANAGER);
        options.force = force;
        let request = at(&kind, namespace).patch(name, &options, &Patch::Apply(object));
        self.ask(&doing("write", &kind, namespace), request).await
    }

    /// Makes an object.
    pub async fn create(&self, object: &Value) -> Result<Value, Error> {
        let (kind, namespace) = (kind_of(object), alcove_object::meta::namespace(object));
        let options = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let request = at(&kind, namespace).create(&options, object.to_string().into_bytes());
        self.ask(&doing("create", &kind, namespace), request).await
    }

    /// Changes an object by a merge patch; `None`: it is not there.
    pub async fn merge(
        &self,
        kind: &ApiResource,
        namespace: &str,
        name: &str,
        change: &Value,
    ) -> Result<Option<Value>, Error> {
        let options = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let request = at(kind, namespace).patch(name, &options, &Patch::Merge(change));
        absent(self.ask(&doing("change", kind, namespace), request).await)
    }

    /// Deletes an object, and by the way what it owns. `uid`: only if it is still that one. Gives whether it was there.
    pub async fn delete(
        &self,
        kind: &ApiResource,
        namespace: &str,
        name: &str,
        uid: Option<&str>,
    ) -> Result<bool, Error> {
        let mut options = DeleteParams::background();
        if let Some(uid) = uid.filter(|uid| !uid.is_empty()) {
            options = options.preconditions(Preconditions { uid: Some(uid.into()), resource_version: None });
        }
        let request = at(kind, namespace).delete(name, &options);
        match self.ask(&doing("delete", kind, namespace), request).await {
            Err(Error::Status { code: 409, .. }) => Ok(false),
            answer => Ok(absent(answer)?.is_some()),
        }
    }

    /// Follows objects of a kind: each as it is now, then each change; `None` for one that went. What fails for a
    /// while is tried again.
    pub fn follow(
        &self,
        kind: &ApiResource,
        namespace: &str,
        only: &Only,
    ) -> impl Stream<Item = Change> + Send + use<> {
        let api: Api<DynamicObject> = match is_cluster_wide(kind) {
            true => Api::all_with(self.client.clone(), kind),
            false => Api::namespaced_with(self.client.clone(), namespace, kind),
        };
        let kind = kind.kind.clone();
        let events = watcher(api, only.config());
        let events = kube::runtime::WatchStreamExt::default_backoff(events);
        events.filter_map(move |event| {
            let change = match event {
                Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                    serde_json::to_value(&object).ok().map(|object| Change::Is(kind.clone(), object))
                }
                Ok(watcher::Event::Delete(object)) => {
                    serde_json::to_value(&object).ok().map(|object| Change::Went(kind.clone(), object))
                }
                Ok(watcher::Event::InitDone) => Some(Change::Known(kind.clone())),
                Ok(watcher::Event::Init) => Some(Change::Anew(kind.clone())),
                Err(error) => Some(Change::Failed(error.to_string())),
            };
            std::future::ready(change)
        })
    }

    /// Waits until an object is gone.
    pub async fn until_gone(&self, kind: &ApiResource, namespace: &str, name: &str) {
        let mut changes = self.follow(kind, namespace, &Only::Named(name.to_owned())).boxed();
        let mut is_there = false;
        while let Some(change) = changes.next().await {
            match change {
                Change::Is(..) => is_there = true,
                Change::Went(..) => return,
                Change::Known(_) if !is_there => return,
                Change::Known(_) => {}
                Change::Anew(_) => is_there = false,
                Change::Failed(_) => {}
            }
        }
    }

    /// The host's version and the difference between its clock and ours in seconds.
    pub async fn version(&self) -> Result<(Value, Option<i64>), Error> {
        let request = http::Request::get("/version").body(kube::client::Body::empty());
        let request = request.map_err(|error| Error::Request(error.to_string()))?;
        let answer =
            self.client.send(request).await.map_err(|error| Error::of(self, "get the version", error))?;
        let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
        let skew = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let skew = skew.map(|theirs| theirs.timestamp().as_second() - jiff::Timestamp::now().as_second());
        let bytes = answer.into_body().collect_bytes().await;
        let bytes = bytes.map_err(|error| Error::of(self, "get the version", error))?;
        Ok((serde_json::from_slice(&bytes).unwrap_or_default(), skew))
    }

    /// The text of an answer to GET of a path.
    pub async fn text(&self, path: &str) -> Result<String, Error> {
        let request = http::Request::get(path).body(Vec::new());
        let request = request.map_err(|error| Error::Request(error.to_string()))?;
        let text = self.client.request_text(request).await;
        text.map_err(|error| Error::of(self, &format!("get {path}"), error))
    }
}

/// Which objects are followed.
#[derive(Clone, Debug)]
pub enum Only {
    /// All.
    All,
    /// The one of this name.
    Named(String),
    /// Those that labels select.
    Labelled(String),
}

impl Only {
    fn config(&self) -> watcher::Config {
        let all = watcher::Config::default();
        match self {
            Only::All => all,
            Only::Named(name) => all.fields(&format!("metadata.name={name}")),
            Only::Labelled(selector) => all.labels(selector),
        }
    }
}

/// What happens to objects that are followed, each with its kind.
#[derive(Clone, Debug)]
pub enum Change {
    /// An object, as it is from now on.
    Is(String, Value),
    /// An object as it was last.
    Went(String, Value),
    /// Those that are there are about to be told, for the first time or anew: what is not told again went meanwhile.
    Anew(String),
    /// All that were there have been told.
    Known(String),
    /// The host did not answer; it is asked again.
    Failed(String),
}

fn at(kind: &ApiResource, namespace: &str) -> Request {
    let namespace = (!is_cluster_wide(kind) && !namespace.is_empty()).then_some(namespace);
    Request::new(<DynamicObject as kube::Resource>::url_path(kind, namespace))
}

fn doing(verb: &str, kind: &ApiResource, namespace: &str) -> String {
    match is_cluster_wide(kind) || namespace.is_empty() {
        true => format!("{verb} {}", kind.plural),
        false => format!("{verb} {} in namespace {namespace}", kind.plural),
    }
}

fn absent(answer: Result<Value, Error>) -> Result<Option<Value>, Error> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(Error::Status { code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::client::Body;

    #[tokio::test(start_paused = true)]
    async fn a_host_that_never_answers_is_told() {
        let never = tower::service_fn(|_: http::Request<Body>| {
            std::future::pending::<Result<http::Response<Body>, std::io::Error>>()
        });
        let host = Host {
            client: Client::new(never, "default"),
            context: Some("work".into()),
            namespace: None,
            default_namespace: "default".into(),
            files: None,
            server: "https://host.example.com/".into(),
        };
        let silent = host.list(&kind("v1", "Pod"), "red", "").await.unwrap_err().to_string();
        for part in ["https://host.example.com (context work)", "did not answer within 60 s", "try again"] {
            assert!(silent.contains(part), "{part:?} is not in: {silent}");
        }
    }
}
