//! What tests of whole controllers share: a server in memory with all of them, and pods that become ready by themselves.

use alcove_apiserver::options::{ListOptions, PatchType, WriteOptions};
use alcove_apiserver::testing::{self, TestEnv};
use alcove_apiserver::{Client, Event, Object, User, kinds};
use alcove_object::{Env, Gvr, Value, meta};
use alcove_schema::Minor;
use serde_json::json;
use std::sync::Arc;
use tokio::task::JoinSet;

/// A client of a server on which all controllers run, until the set is dropped.
pub(crate) struct World {
    pub client: Client,
    pub env: Arc<TestEnv>,
    tasks: JoinSet<()>,
}

/// A resource of a group.
pub(crate) fn of(group: &str, resource: &str) -> Gvr {
    Gvr::new(group, "v1", resource)
}

impl World {
    pub async fn new() -> World {
        let env = Arc::new(TestEnv::new(7));
        let server = testing::server(kinds::resources(Minor::DEFAULT), env.clone());
        alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
        let clock: Arc<dyn Env> = env.clone();
        let tasks = crate::start(&server, &clock, &testing::authority());
        World { client: server.client(User::component("tester"), "tester"), env, tasks }
    }

    /// From now on, pods whose image is not `broken` run and are ready at once.
    pub fn run_pods(&mut self) {
        let client = self.client.clone();
        self.tasks.spawn(async move {
            loop {
                let mut watch = client.watch(&of("", "pods"), "", &ListOptions::default()).unwrap();
                // A paused clock may end a watch while the store's thread works.
                while let Some(Ok(events)) = watch.next().await {
                    for event in events {
                        let Event::Added(pod) = event else { continue };
                        let pod = pod.parse();
                        let waits = pod["status"]["phase"] == "Pending";
                        if waits && pod["spec"]["containers"][0]["image"] != "broken" {
                            let ready = json!({ "type": "Ready", "status": "True",
                                "lastTransitionTime": pod["metadata"]["creationTimestamp"] });
                            let running = json!({ "phase": "Running", "conditions": [ready] });
                            set_status(&client, &pod, running).await;
                        }
                    }
                }
            }
        });
    }

    pub async fn create(&self, resource: &Gvr, object: Value) -> Value {
        self.client.create(resource, meta::namespace(&object), object.clone()).await.unwrap().parse()
    }

    pub async fn patch(&self, resource: &Gvr, name: &str, patch: Value) {
        let options = WriteOptions::default();
        let namespace = if resource.resource == "nodes" { "" } else { "default" };
        self.client.patch(resource, "", namespace, name, PatchType::Merge, patch, &options).await.unwrap();
    }

    /// All objects of a resource.
    pub fn list(&self, resource: &Gvr) -> Vec<Value> {
        let list = self.client.list(resource, "", &ListOptions::default()).unwrap();
        list.items.iter().map(Object::parse).collect()
    }

    /// The objects of a resource, as soon as they are as expected.
    pub async fn until(&self, resource: &Gvr, expected: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut watch = self.client.watch(resource, "", &ListOptions::default()).unwrap();
        loop {
            let found = self.list(resource);
            if expected(&found) {
                return found;
            }
            match watch.next().await {
                Some(events) => drop(events.unwrap()),
                // A paused clock may end a watch while the store's thread works.
                None => watch = self.client.watch(resource, "", &ListOptions::default()).unwrap(),
            }
        }
    }
}

/// Sets a pod's status, if the pod is still there.
pub(crate) async fn set_status(client: &Client, pod: &Value, status: Value) {
    let (namespace, name, options) = (meta::namespace(pod), meta::name(pod), WriteOptions::default());
    let (kind, patch) = (PatchType::Strategic, json!({ "status": status }));
    drop(client.patch(&of("", "pods"), "status", namespace, name, kind, patch, &options).await);
}

/// The names of objects.
pub(crate) fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(meta::name).collect()
}
