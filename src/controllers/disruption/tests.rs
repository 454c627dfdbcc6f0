//! The controller and the eviction subresource together, on a server in memory.

use super::*;
use alcove_apiserver::options::{PatchType, WriteOptions};
use alcove_apiserver::testing::{self, TestEnv};
use alcove_apiserver::{User, kinds};
use alcove_schema::Minor;
use serde_json::json;

struct World {
    env: Arc<TestEnv>,
    client: Client,
    disruptions: Arc<Disruptions>,
}

impl World {
    async fn new() -> World {
        let env = Arc::new(TestEnv::new(5));
        let server = testing::server(kinds::resources(Minor::DEFAULT), env.clone());
        alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("tester"), "tester");
        let disruptions = Arc::new(Disruptions::new(server, client.clone(), env.clone()));
        World { env, client, disruptions }
    }

    /// A running pod of this owner, ready or not.
    async fn pod(&self, name: &str, owner: Option<&Value>, ready: bool) {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": "a" } },
            "spec": { "containers": [{ "name": "c", "image": "i" }], "nodeName": "n" },
        });
        if let Some(owner) = owner {
            pod["metadata"]["ownerReferences"] = json!([crate::pods::owner_reference(owner)]);
        }
        self.client.create(&pods::resource(), "default", pod).await.unwrap();
        let ready = if ready { "True" } else { "False" };
        let status = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] });
        self.patch_status(&pods::resource(), name, status).await;
    }

    async fn patch_status(&self, resource: &Gvr, name: &str, status: Value) {
        let (kind, options, patch) = (PatchType::Merge, WriteOptions::default(), json!({ "status": status }));
        self.client.patch(resource, "status", "default", name, kind, patch, &options).await.unwrap();
    }

    async fn budget(&self, spec: Value) {
        let mut budget = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "b" }, "spec": spec,
        });
        budget["spec"]["selector"] = json!({ "matchLabels": { "app": "a" } });
        self.client.create(&resource(), "default", budget).await.unwrap();
    }

    async fn count(&self) -> Value {
        self.disruptions.reconcile(&"default/b".into()).await.unwrap();
        self.client.get(&resource(), "default", "b").unwrap().parse()["status"].clone()
    }

    async fn evict(&self, pod: &str) -> Result<(), Status> {
        let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod } });
        let pods = pods::resource();
        self.client.create_subresource(&pods, "eviction", "default", pod, eviction).await.map(drop)
    }

    async fn set(&self, replicas: i64) -> Value {
        let set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "s" },
            "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "a" } }, "template": {
                "metadata": { "labels": { "app": "a" } },
                "spec": { "containers": [{ "name": "c", "image": "i" }] } } },
        });
        self.client.create(&Gvr::new("apps", "v1", "replicasets"), "default", set).await.unwrap().parse()
    }
}

fn cause(status: &Status) -> (&str, &str) {
    let cause = &status.details.as_ref().unwrap().causes[0];
    (&cause.reason, &cause.message)
}

#[tokio::test]
async fn evictions_spend_what_was_counted() {
    let world = World::new().await;
    for name in ["p1", "p2", "p3"] {
        world.pod(name, None, true).await;
    }
    world.budget(json!({ "minAvailable": 2 })).await;
    let early = world.evict("p1").await.unwrap_err();
    assert_eq!(
        (early.code, &*early.message),
        (429, "Cannot evict pod as it would violate the pod's disruption budget.")
    );
    assert_eq!(
        cause(&early),
        ("DisruptionBudget", "The disruption budget b is still being processed by the server.")
    );

    let status = world.count().await;
    assert_eq!((&status["expectedPods"], &status["disruptionsAllowed"]), (&json!(3), &json!(1)));
    world.evict("p1").await.unwrap();
    let spent = world.client.get(&resource(), "default", "b").unwrap().parse()["status"].clone();
    assert_eq!(spent["disruptionsAllowed"], 0);
    assert_eq!(spent["conditions"][0]["reason"], "InsufficientPods");
    assert!(spent["disruptedPods"]["p1"].is_string());
    let refused = world.evict("p2").await.unwrap_err();
    assert_eq!(cause(&refused).1, "The disruption budget b does not allow evicting pods currently");

    let status = world.count().await;
    assert_eq!((&status["currentHealthy"], status.get("disruptedPods")), (&json!(2), None));
    let refused = world.evict("p2").await.unwrap_err();
    assert_eq!(cause(&refused).1, "The disruption budget b needs 2 healthy pods and has 2 currently");
}

#[tokio::test]
async fn shares_are_of_what_controllers_ask_for() {
    let world = World::new().await;
    let set = world.set(4).await;
    for name in ["p1", "p2", "p3"] {
        world.pod(name, Some(&set), true).await;
    }
    world.budget(json!({ "maxUnavailable": "50%" })).await;
    let status = world.count().await;
    let numbers = ["expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"];
    assert_eq!(numbers.map(|field| status[field].as_i64().unwrap()), [4, 2, 3, 1]);
}

#[tokio::test]
async fn nothing_may_go_where_nobody_knows_how_many_there_should_be() {
    let world = World::new().await;
    let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j", "uid": "u" } });
    world.pod("p1", Some(&job), true).await;
    world.budget(json!({ "maxUnavailable": 1 })).await;
    let status = world.count().await;
    assert_eq!(status["disruptionsAllowed"], 0);
    assert_eq!(status["conditions"][0]["reason"], "SyncFailed");
    assert_eq!(status["conditions"][0]["message"], "jobs.batch does not implement the scale subresource");
}

#[tokio::test]
async fn an_eviction_that_came_to_nothing_is_given_back() {
    let world = World::new().await;
    for name in ["p1", "p2"] {
        world.pod(name, None, true).await;
    }
    world.budget(json!({ "minAvailable": 1 })).await;
    world.count().await;
    let now = alcove_object::time::format(world.env.now());
    world
        .patch_status(&resource(), "b", json!({ "disruptionsAllowed": 0, "disruptedPods": { "p1": now } }))
        .await;
    let next = world.disruptions.reconcile(&"default/b".into()).await.unwrap();
    assert_eq!(next, Next::After(std::time::Duration::from_secs(120)));
    assert_eq!(world.count().await["disruptionsAllowed"], 0);
    world.env.advance(121);
    assert_eq!(world.count().await["disruptionsAllowed"], 1);
}

#[tokio::test]
async fn unhealthy_pods_go_at_no_cost_as_the_policy_says() {
    for (policy, min_available, goes) in
        [("AlwaysAllow", 5, true), ("IfHealthyBudget", 5, false), ("IfHealthyBudget", 1, true)]
    {
        let world = World::new().await;
        world.pod("sick", None, false).await;
        world.pod("well", None, true).await;
        world.budget(json!({ "minAvailable": min_available, "unhealthyPodEvictionPolicy": policy })).await;
        world.count().await;
        assert_eq!(world.evict("sick").await.is_ok(), goes, "{policy} {min_available}");
    }
}

#[test]
fn selectors_are_told_as_go_prints_them() {
    let budget = json!({ "spec": { "selector": {
        "matchLabels": { "a": "1", "b": "2" },
        "matchExpressions": [{ "key": "k", "operator": "In", "values": ["x", "y"] }] } } });
    let expected = "(selector: &LabelSelector{MatchLabels:map[string]string{a: 1, b: 2,},MatchExpressions:\
        []LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},})";
    assert!(unmanaged(&budget).contains(expected), "{}", unmanaged(&budget));
}
