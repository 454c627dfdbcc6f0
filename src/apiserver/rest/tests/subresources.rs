//! What is posted to pods, connections, and who may do what.

use super::{World, gvr, object};
use crate::authorization::{Action, Authorizer};
use crate::options::{ListOptions, WriteOptions};
use crate::request::Verb;
use crate::rest::{Body, Caller, Connection, Target};
use crate::server::{ApiServer, ServerConfig};
use crate::testing;
use crate::user::User;
use alcove_object::{Gvr, Status, Value, meta};
use alcove_schema::Minor;
use serde_json::json;
use std::sync::Arc;

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    })
}

impl World {
    async fn with_pod(pod: Value) -> (World, Gvr) {
        let w = World::real().await;
        let pods = Gvr::new("", "v1", "pods");
        w.client.create(&pods, "default", pod).await.unwrap();
        (w, pods)
    }

    async fn post_to(&self, subresource: &str, name: &str, body: Value) -> Result<Value, Status> {
        self.client.create_subresource(&Gvr::new("", "v1", "pods"), subresource, "default", name, body).await
    }

    async fn set_status(&self, pod: &Gvr, name: &str, status: Value) {
        let mut o = self.client.get(pod, "default", name).unwrap().parse();
        o["status"] = status;
        self.client.update_subresource(pod, "status", "default", o).await.unwrap();
    }
}

fn binding(node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a", "annotations": {"k": "v"}},
        "target": {"kind": "Node", "name": node},
    })
}

#[tokio::test]
async fn a_binding_puts_a_pod_on_a_node_once() {
    let (w, pods) = World::with_pod(pod("a")).await;
    let answer = w.post_to("binding", "a", binding("n1")).await.unwrap();
    assert_eq!((&answer["kind"], &answer["status"]), (&json!("Status"), &json!("Success")));
    let bound = w.client.get(&pods, "default", "a").unwrap().parse();
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(meta::annotation(&bound, "k"), Some("v"));
    let condition = &bound["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"]), (&json!("PodScheduled"), &json!("True")));
    let again = w.post_to("binding", "a", binding("n2")).await.unwrap_err();
    assert_eq!(again.code, 409);
    assert!(again.message.contains("pod a is already assigned to node \"n1\""), "{}", again.message);
    assert_eq!(
        w.post_to("binding", "b", binding("n1")).await.unwrap_err().code,
        400,
        "another name in the body"
    );
}

#[tokio::test]
async fn a_binding_with_a_status_is_one_write_to_the_pod_that_was_seen() {
    let (w, pods) = World::with_pod(pod("a")).await;
    let seen = w.client.get(&pods, "default", "a").unwrap();
    let mut binding = binding("n1");
    meta::set(&mut binding, "namespace", "default");
    meta::set(&mut binding, "resourceVersion", "1");
    let status = json!({"phase": "Running", "qosClass": "BestEffort", "podIP": "10.0.0.1"});
    let refused = w.client.bind_with_status(binding.clone(), status.clone()).await.unwrap_err();
    assert_eq!(refused.code, 409);
    let why =
        format!("ResourceVersion in precondition: 1, ResourceVersion in object meta: {}", seen.revision);
    assert!(refused.message.contains(&why), "{}", refused.message);
    meta::set(&mut binding, "resourceVersion", seen.revision.to_string());
    let bound = w.client.bind_with_status(binding.clone(), status).await.unwrap();
    assert_eq!(bound.revision, seen.revision + 1);
    let bound = bound.parse();
    assert_eq!((&bound["spec"]["nodeName"], &bound["status"]["podIP"]), (&json!("n1"), &json!("10.0.0.1")));
    meta::unset(&mut binding, "resourceVersion");
    let wrong = w.client.bind_with_status(binding, json!({})).await.unwrap_err();
    assert!(wrong.message.contains("already assigned"), "{}", wrong.message);
}

#[tokio::test]
async fn a_gated_pod_is_not_bound() {
    let mut gated = pod("a");
    gated["spec"]["schedulingGates"] = json!([{"name": "example.com/wait"}]);
    let (w, _) = World::with_pod(gated).await;
    let status = w.post_to("binding", "a", binding("n1")).await.unwrap_err();
    assert_eq!(status.code, 409);
    assert!(status.message.contains("pod a has non-empty .spec.schedulingGates"));
}

#[tokio::test]
async fn the_old_way_to_bind_works_too() {
    let (w, pods) = World::with_pod(pod("a")).await;
    w.client.create(&Gvr::new("", "v1", "bindings"), "default", binding("n1")).await.unwrap();
    assert_eq!(w.client.get(&pods, "default", "a").unwrap().parse()["spec"]["nodeName"], "n1");
}

fn eviction() -> Value {
    json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}})
}

/// A running pod on a node, and a budget for it with so many disruptions left.
async fn with_budget(allowed: i64, observed: i64) -> (World, Gvr, Gvr) {
    let (w, pods) = World::with_pod(pod("a")).await;
    w.post_to("binding", "a", binding("n1")).await.unwrap();
    let ready = json!([{"type": "Ready", "status": "True"}]);
    w.set_status(&pods, "a", json!({"phase": "Running", "conditions": ready})).await;
    let budgets = Gvr::new("policy", "v1", "poddisruptionbudgets");
    let budget = json!({
        "metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
    });
    w.client.create(&budgets, "default", budget).await.unwrap();
    let status = json!({
        "observedGeneration": observed, "disruptionsAllowed": allowed, "desiredHealthy": 1, "currentHealthy": 1,
        "expectedPods": 1,
    });
    w.set_status(&budgets, "b", status).await;
    (w, pods, budgets)
}

#[tokio::test]
async fn an_eviction_spends_the_budget_and_deletes() {
    let (w, pods, budgets) = with_budget(1, 1).await;
    w.post_to("eviction", "a", eviction()).await.unwrap();
    let going = w.client.get(&pods, "default", "a").unwrap().parse();
    assert!(meta::is_deleting(&going));
    let conditions = going["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|c| c["type"] == "DisruptionTarget"));
    let budget = w.client.get(&budgets, "default", "b").unwrap().parse();
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    assert!(budget["status"]["disruptedPods"]["a"].is_string());
}

#[tokio::test]
async fn a_spent_or_stale_budget_refuses() {
    for (allowed, observed, wait) in [(0, 1, 0), (1, 0, 10)] {
        let (w, pods, _) = with_budget(allowed, observed).await;
        let status = w.post_to("eviction", "a", eviction()).await.unwrap_err();
        assert_eq!(status.code, 429);
        let details = status.details.clone().unwrap();
        assert_eq!((&*details.causes[0].reason, details.retry_after_seconds), ("DisruptionBudget", wait));
        assert!(!meta::is_deleting(&w.client.get(&pods, "default", "a").unwrap().parse()));
    }
}

#[tokio::test]
async fn a_pod_that_is_not_ready_costs_nothing_while_others_are() {
    for (policy, healthy, code) in
        [("IfHealthyBudget", 1, None), ("IfHealthyBudget", 0, Some(429)), ("AlwaysAllow", 0, None)]
    {
        let (w, pods, budgets) = with_budget(0, 2).await;
        w.set_status(&pods, "a", json!({"phase": "Running"})).await;
        let mut budget = w.client.get(&budgets, "default", "b").unwrap().parse();
        budget["spec"]["unhealthyPodEvictionPolicy"] = policy.into();
        w.client.update(&budgets, "default", budget.clone()).await.unwrap();
        budget["status"]["currentHealthy"] = healthy.into();
        w.set_status(&budgets, "b", budget["status"].clone()).await;
        let evicted = w.post_to("eviction", "a", eviction()).await;
        assert_eq!(evicted.err().map(|status| status.code), code, "{policy} with {healthy} healthy");
        let budget = w.client.get(&budgets, "default", "b").unwrap().parse();
        assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    }
}

#[tokio::test]
async fn two_budgets_for_one_pod_are_too_many() {
    let (w, _, budgets) = with_budget(1, 1).await;
    let other = json!({
        "metadata": {"name": "c"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
    });
    w.client.create(&budgets, "default", other).await.unwrap();
    assert_eq!(w.post_to("eviction", "a", eviction()).await.unwrap_err().code, 500);
}

#[tokio::test]
async fn a_pod_that_never_ran_costs_no_budget() {
    let (w, pods) = World::with_pod(pod("a")).await;
    w.post_to("eviction", "a", eviction()).await.unwrap();
    assert_eq!(w.client.get(&pods, "default", "a").unwrap_err().code, 404, "unbound pods go at once");
}

#[tokio::test]
async fn connections_need_somebody_to_answer_them() {
    let (w, _) = World::with_pod(pod("a")).await;
    let connection = |subresource: &str, name: &str| Connection {
        caller: Caller::default(),
        target: w.target("v1", "pods", subresource, name),
        tail: String::new(),
        options: Value::Null,
        request: http::Request::new(crate::rest::no_body()),
    };
    let cases = [("log", "a", 503), ("proxy", "a:80", 503), ("proxy", "https:a:80", 503), ("log", "b", 404)];
    for (subresource, name, code) in cases {
        let answer = w.server.connect(connection(subresource, name)).await;
        assert_eq!(answer.err().map(|s| s.code), Some(code), "{subresource} {name}");
    }
}

#[tokio::test]
async fn subresources_that_are_not_served_are_404_and_verbs_405() {
    let w = World::new().await;
    let registry = w.server.registry();
    let code = |plural: &str, sub: &str, verb| {
        Target::named(&registry, &gvr(plural), sub, "default", "a")
            .and_then(|t| t.supporting(verb))
            .err()
            .map(|s| s.code)
    };
    assert_eq!(code("configs", "status", Verb::Get), Some(404));
    assert_eq!(code("workers", "status", Verb::Create), Some(405));
    assert_eq!(code("workers", "status", Verb::Get), None);
}

/// Lets everybody read and update, and nobody create.
struct NoCreating;

impl Authorizer for NoCreating {
    fn authorize(&self, _: &User, action: &Action<'_>) -> Result<(), String> {
        if action.verb == "create" { Err("not today".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn the_client_is_authorized_and_so_is_a_put_that_creates() {
    let server = ApiServer::new(ServerConfig {
        minor: Minor::DEFAULT,
        env: Arc::new(testing::TestEnv::new(1)),
        store: testing::memory_store(),
        resources: super::resources(),
        admission: Vec::new(),
        authorizer: Arc::new(NoCreating),
        connector: None,
        tokens: None,
    });
    let user = User { name: "eve".into(), ..User::default() };
    let client = server.client(user.clone(), "test");
    client.list(&gvr("configs"), "default", &ListOptions::default()).unwrap();
    let refused = client.create(&gvr("configs"), "default", object("configs", "a")).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (
            403,
            "configs is forbidden: User \"eve\" cannot create resource \"configs\" in API group \"\" in the namespace \
             \"default\": not today"
        )
    );
    let target = Target::named(&server.registry(), &gvr("upserts"), "", "default", "a").unwrap();
    let caller = Caller { user, manager: String::new() };
    let body = Body::Tree(object("upserts", "a"));
    let refused = server.update(&caller, &target, body, &WriteOptions::default()).await.unwrap_err();
    assert_eq!(refused.code, 403);
}
