//! Real controllers on a server in memory: who owns which pod, after labels and references have changed.

use alcove_apiserver::options::{ListOptions, PatchType, WriteOptions};
use alcove_apiserver::testing::{self, TestEnv};
use alcove_apiserver::{Client, User, kinds};
use alcove_object::{Env, Gvr, Value, meta};
use alcove_schema::Minor;
use serde_json::json;
use std::sync::Arc;
use tokio::task::JoinSet;

fn pods() -> Gvr {
    Gvr::new("", "v1", "pods")
}

/// A client of a server on which all controllers run until the set is dropped.
async fn world() -> (Client, JoinSet<()>) {
    let env = Arc::new(TestEnv::new(7));
    let server = testing::server(kinds::resources(Minor::DEFAULT), env.clone());
    alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
    let env: Arc<dyn Env> = env;
    let tasks = crate::start(&server, &env, &testing::authority());
    (server.client(User::component("tester"), "tester"), tasks)
}

/// The pods of the namespace `default`, once they are as expected.
async fn pods_once(client: &Client, expected: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut watch = client.watch(&pods(), "default", &ListOptions::default()).unwrap();
    loop {
        let list = client.list(&pods(), "default", &ListOptions::default()).unwrap();
        let found: Vec<Value> = list.items.iter().map(alcove_apiserver::Object::parse).collect();
        if expected(&found) {
            return found;
        }
        watch.next().await.unwrap().unwrap();
    }
}

async fn patch(client: &Client, pod: &Value, patch: Value) {
    let (name, options) = (meta::name(pod), WriteOptions::default());
    client.patch(&pods(), "", "default", name, PatchType::Merge, patch, &options).await.unwrap();
}

fn is_owned(pod: &Value) -> bool {
    meta::controller_of(pod).is_some()
}

fn template() -> Value {
    json!({
        "metadata": { "labels": { "app": "a" } },
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i" }] },
    })
}

#[tokio::test]
async fn a_set_lets_go_of_pods_without_its_labels_and_adopts_those_with_them() {
    let (client, _tasks) = world().await;
    let mut template = template();
    template["spec"].as_object_mut().unwrap().remove("restartPolicy");
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "s" },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "a" } }, "template": template },
    });
    let sets = Gvr::new("apps", "v1", "replicasets");
    client.create(&sets, "default", set).await.unwrap();
    let first = pods_once(&client, |pods| pods.len() == 2).await;
    assert!(first.iter().all(is_owned));

    patch(&client, &first[0], json!({ "metadata": { "labels": { "app": "b" } } })).await;
    let after = pods_once(&client, |pods| pods.len() == 3 && pods.iter().any(|p| !is_owned(p))).await;
    let free: Vec<&Value> = after.iter().filter(|p| !is_owned(p)).collect();
    assert_eq!(free.iter().map(|p| meta::uid(p)).collect::<Vec<_>>(), [meta::uid(&first[0])]);

    patch(&client, &first[0], json!({ "metadata": { "labels": { "app": "a" } } })).await;
    let last = pods_once(&client, |pods| pods.len() == 2 && pods.iter().all(is_owned)).await;
    assert!(last.iter().all(|pod| meta::label(pod, "app") == Some("a")), "one too many was deleted");
}

#[tokio::test]
async fn a_job_counts_the_pods_that_it_adopts() {
    let (client, _tasks) = world().await;
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j" },
        "spec": { "parallelism": 1, "completions": 1, "template": template() },
    });
    client.create(&Gvr::new("batch", "v1", "jobs"), "default", job).await.unwrap();
    let pod = pods_once(&client, |pods| pods.len() == 1).await.remove(0);

    patch(&client, &pod, json!({ "metadata": { "ownerReferences": null, "finalizers": null } })).await;
    let again =
        pods_once(&client, |pods| pods.iter().any(|p| meta::uid(p) == meta::uid(&pod) && is_owned(p))).await;
    let adopted = again.iter().find(|p| meta::uid(p) == meta::uid(&pod)).unwrap();
    assert_eq!(meta::finalizers(adopted).collect::<Vec<_>>(), [crate::job::TRACKING]);

    patch(&client, &pod, json!({ "metadata": { "labels": null } })).await;
    let free =
        pods_once(&client, |pods| pods.iter().any(|p| meta::uid(p) == meta::uid(&pod) && !is_owned(p))).await;
    let free = free.iter().find(|p| meta::uid(p) == meta::uid(&pod)).unwrap();
    assert_eq!(meta::finalizers(free).count(), 0, "nobody would take the finalizer away");
}
