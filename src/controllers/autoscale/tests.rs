//! The controller on a server in memory.

use super::*;
use alcove_apiserver::options::ListOptions;
use alcove_apiserver::testing::{self, TestEnv};
use alcove_apiserver::{User, kinds};
use alcove_schema::Minor;

struct World {
    client: Client,
    autoscalers: Arc<Autoscalers>,
}

fn deployments() -> Gvr {
    Gvr::new("apps", "v1", "deployments")
}

impl World {
    /// A deployment of so many replicas, and an autoscaler of it that allows two to four.
    async fn new(replicas: i64) -> World {
        let env = Arc::new(TestEnv::new(9));
        let server = testing::server(kinds::resources(Minor::DEFAULT), env.clone());
        alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("tester"), "tester");
        let autoscalers = Autoscalers::new(server, client.clone(), env, Arc::default());
        let labels = json!({ "app": "a" });
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
            "spec": { "replicas": replicas, "selector": { "matchLabels": labels }, "template": {
                "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": "i" }] } } },
        });
        client.create(&deployments(), "default", deployment).await.unwrap();
        let world = World { client, autoscalers: Arc::new(autoscalers) };
        world.autoscaler("web").await;
        world
    }

    async fn autoscaler(&self, target: &str) {
        let autoscaler = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": target },
            "spec": {
                "minReplicas": 2, "maxReplicas": 4,
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": target },
                "metrics": [{ "type": "Resource", "resource": { "name": "cpu",
                    "target": { "type": "Utilization", "averageUtilization": 80 } } }],
            },
        });
        self.client.create(&resource(), "default", autoscaler).await.unwrap();
    }

    async fn sync(&self, name: &str) -> Value {
        self.autoscalers.reconcile(&runtime::join("default", name)).await.unwrap();
        self.client.get(&resource(), "default", name).unwrap().parse()["status"].clone()
    }

    fn replicas(&self) -> Value {
        self.client.get(&deployments(), "default", "web").unwrap().parse()["spec"]["replicas"].clone()
    }

    fn told(&self) -> Vec<String> {
        let events = self.client.list(&Gvr::new("", "v1", "events"), "default", &ListOptions::default());
        let events = events.unwrap().items.into_iter().map(|event| event.parse());
        let mut told: Vec<String> =
            events.map(|e| format!("{} {}", e["reason"].as_str().unwrap(), e["count"])).collect();
        told.sort();
        told
    }
}

#[tokio::test]
async fn targets_are_kept_within_bounds() {
    for (replicas, expected, why) in
        [(1, 2, "below Spec.MinReplicas"), (9, 4, "above Spec.MaxReplicas"), (0, 0, ""), (3, 3, "")]
    {
        let world = World::new(replicas).await;
        let status = world.sync("web").await;
        assert_eq!(world.replicas(), expected, "{replicas}");
        assert_eq!(status["currentReplicas"].as_i64().unwrap_or(0), replicas);
        assert_eq!(world.sync("web").await == status, why.is_empty(), "nothing is written twice");
        let able = condition(&status, "AbleToScale");
        assert_eq!(able["reason"] == "SucceededRescale", !why.is_empty(), "{able}");
        if replicas == 0 {
            assert_eq!(condition(&status, "ScalingActive")["reason"], "ScalingDisabled");
        }
    }
}

#[tokio::test]
async fn metrics_that_nobody_serves_are_told_once() {
    let world = World::new(3).await;
    let status = world.sync("web").await;
    let active = condition(&status, "ScalingActive");
    let why = "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for \
        resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested \
        resource (get pods.metrics.k8s.io)";
    assert_eq!((&active["reason"], &active["message"]), (&json!("FailedGetResourceMetric"), &json!(why)));
    assert_eq!(world.sync("web").await, status, "nothing is written twice");
    assert_eq!(world.told(), ["FailedComputeMetricsReplicas 1", "FailedGetResourceMetric 1"]);
}

#[tokio::test]
async fn a_target_that_is_not_there_is_told_of() {
    let world = World::new(3).await;
    world.autoscaler("gone").await;
    let able = condition(&world.sync("gone").await, "AbleToScale");
    let why = "the HPA controller was unable to get the target's current scale: deployments.apps \"gone\" not found";
    assert_eq!((&able["reason"], &able["message"]), (&json!("FailedGetScale"), &json!(why)));
}

#[tokio::test]
async fn a_change_of_the_target_brings_its_autoscaler() {
    let world = World::new(3).await;
    let autoscaler = world.client.get(&resource(), "default", "web").unwrap();
    world.autoscalers.learn(&autoscaler);
    let watched = world.autoscalers.watched();
    assert_eq!(watched.values().collect::<Vec<_>>(), [&deployments()]);
    let mapper = world.autoscalers.mapper(watched.keys().next().unwrap().clone());
    let mut keys = Vec::new();
    for key in ["default/web", "default/other", "elsewhere/web"] {
        let object = Object { revision: 1, key: key.into(), bytes: "{}".into() };
        mapper(&Event::Modified(object), &mut |key| keys.push(key.to_string()));
    }
    assert_eq!(keys, ["default/web"]);
}
