//! A world to sync in: a host and tenants, API servers of our own in this process, the host behind TLS and behind a
//! proxy that can be cut. Tests wait for conditions over what both sides store, woken by watches.
#![allow(dead_code)] // each test binary uses a part

pub mod host;
pub mod proxy;
pub mod rights;
pub mod tenant;

use alcove_apiserver::authorization::AlwaysAllow;
use alcove_apiserver::{Client, Server};
use alcove_object::{Gvr, Reason, Value, meta};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use host::Host;
pub use tenant::Side;

/// A condition that does not hold by then fails its test, instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn gvr(resource: &str) -> Gvr {
    let group = match resource {
        "endpointslices" => "discovery.k8s.io",
        "ingresses" | "ingressclasses" | "networkpolicies" | "servicecidrs" => "networking.k8s.io",
        "poddisruptionbudgets" => "policy",
        "storageclasses" => "storage.k8s.io",
        _ => "",
    };
    Gvr::new(group, "v1", resource)
}

/// What is synced.
pub const KINDS: [&str; 4] = ["configmaps", "secrets", "services", "pods"];
const WATCHED: [&str; 18] = [
    "configmaps",
    "secrets",
    "services",
    "pods",
    "events",
    "nodes",
    "namespaces",
    "persistentvolumeclaims",
    "persistentvolumes",
    "storageclasses",
    "endpoints",
    "endpointslices",
    "servicecidrs",
    "ingresses",
    "ingressclasses",
    "networkpolicies",
    "poddisruptionbudgets",
    "serviceaccounts",
];

/// Tells that anything was written anywhere.
#[derive(Clone)]
pub struct Changes(Arc<watch::Sender<u64>>);

impl Changes {
    pub fn new() -> Changes {
        Changes(Arc::new(watch::Sender::new(0)))
    }

    /// Follows everything that a server stores and tests look at.
    pub fn follow(&self, client: &Client, tasks: &mut JoinSet<()>) {
        for resource in WATCHED {
            let (client, told) = (client.clone(), self.0.clone());
            tasks.spawn(async move {
                // A watch that falls behind a compaction ends; the next one begins with all that is there.
                loop {
                    let mut events = client.watch(&gvr(resource), "", &Default::default()).unwrap();
                    while let Some(Ok(_)) = events.next().await {
                        told.send_modify(|count| *count += 1);
                    }
                }
            });
        }
    }

    /// Waits until something holds.
    pub async fn until<T>(&self, holds: impl Fn() -> Result<T, String>) -> T {
        let mut changes = self.0.subscribe();
        let mut why = String::new();
        let held = async {
            loop {
                match holds() {
                    Ok(held) => return held,
                    Err(not_yet) => why = not_yet,
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, held).await {
            Ok(held) => held,
            Err(_) => panic!("this never became true: {why}"),
        }
    }
}

/// An object, if it is there.
pub fn get(client: &Client, resource: &str, namespace: &str, name: &str) -> Option<Value> {
    match client.get(&gvr(resource), namespace, name) {
        Ok(object) => Some(object.parse()),
        Err(status) if status.is(Reason::NOT_FOUND) => None,
        Err(status) => panic!("{status}"),
    }
}

/// All objects of a resource.
pub fn list(client: &Client, resource: &str, namespace: &str) -> Vec<Value> {
    let items = client.list(&gvr(resource), namespace, &Default::default()).unwrap().items;
    items.iter().map(|object| object.parse()).collect()
}

/// Whether everything in `part` is in `whole` with the same value: maps by key, lists of named things by name, other
/// lists as they are.
pub fn covers(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| covers(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            let key =
                ["name", "port", "key"].into_iter().find(|key| part.iter().all(|p| p.get(*key).is_some()));
            match key {
                Some(key) => part.iter().all(|p| whole.iter().any(|w| w[key] == p[key] && covers(w, p))),
                None => whole == part,
            }
        }
        (whole, part) => whole == part,
    }
}

/// Whether a condition of a pod holds.
pub fn holds(pod: &Value, condition: &str) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c["type"] == condition && c["status"] == "True")
}

pub fn phase(pod: &Value) -> &str {
    pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default()
}

/// A reason for `until`.
pub fn missing(what: &str, object: Option<&Value>) -> String {
    format!("{what}: {}", object.map_or_else(|| "no object".to_owned(), Value::to_string))
}

pub fn server_uid(object: &Value) -> String {
    meta::uid(object).to_owned()
}

/// A server over memory with all built-in kinds and these admission steps after the namespace's.
pub fn server(
    seed: u64,
    more: Vec<Arc<dyn alcove_apiserver::admission::Admission>>,
    connector: Option<Arc<dyn alcove_apiserver::rest::Connector>>,
) -> (Server, Arc<alcove_apiserver::testing::TestEnv>) {
    use alcove_apiserver::admission::{Admission, NamespaceLifecycle};
    use alcove_apiserver::testing;
    let env = Arc::new(testing::TestEnv::new(seed));
    let store = testing::memory_store();
    let mut admission: Vec<Arc<dyn Admission>> = vec![Arc::new(NamespaceLifecycle::new(store.clone()))];
    admission.extend(more);
    (server_of(env.clone(), store, admission, Arc::new(AlwaysAllow), connector), env)
}

pub fn server_of(
    env: Arc<alcove_apiserver::testing::TestEnv>,
    store: alcove_store::Store,
    admission: Vec<Arc<dyn alcove_apiserver::admission::Admission>>,
    rights: Arc<dyn alcove_apiserver::authorization::Authorizer>,
    connector: Option<Arc<dyn alcove_apiserver::rest::Connector>>,
) -> Server {
    use alcove_apiserver::authn::{ServiceAccountTokens, SigningKeys};
    let keys = SigningKeys::generate().unwrap();
    let tokens = ServiceAccountTokens::new(keys, store.clone(), env.clone());
    alcove_apiserver::ApiServer::new(alcove_apiserver::ServerConfig {
        minor: alcove_schema::Minor::DEFAULT,
        env,
        store,
        resources: alcove_apiserver::kinds::resources(alcove_schema::Minor::DEFAULT),
        admission,
        authorizer: rights,
        connector,
        tokens: Some(Arc::new(tokens)),
    })
}
