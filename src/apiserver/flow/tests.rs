//! The gate as requests see it, and the objects behind it.

use super::{Flows, Gate, Permit, Rejection};
use crate::client::Client;
use crate::kinds;
use crate::options::{DeleteOptions, ListOptions};
use crate::request::RequestInfo;
use crate::server::Server;
use crate::testing::{TestEnv, server};
use crate::user::User;
use alcove_object::{Gvr, Value, meta};
use alcove_schema::Minor;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(3600);

fn somebody(name: &str) -> User {
    User { name: name.into(), groups: vec!["system:authenticated".into()], ..User::default() }
}

fn get() -> RequestInfo {
    let uri: http::Uri = "/api/v1/namespaces/default/pods/a".parse().unwrap();
    RequestInfo::parse(&http::Method::GET, &uri, &crate::http::request::Query::default()).unwrap()
}

fn level(name: &str, limited: Value) -> Value {
    json!({
        "apiVersion": super::bootstrap::API_VERSION, "kind": "PriorityLevelConfiguration",
        "metadata": {"name": name}, "spec": {"type": "Limited", "limited": limited},
    })
}

fn schema(name: &str, level: &str, user: &str) -> Value {
    json!({
        "apiVersion": super::bootstrap::API_VERSION, "kind": "FlowSchema", "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": level}, "matchingPrecedence": 50,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{
                "subjects": [{"kind": "User", "user": {"name": user}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}],
            }],
        },
    })
}

/// A gate with one level of one seat for everybody, with a queue of this length.
fn narrow(queue: Option<u64>) -> Arc<Gate> {
    let response = match queue {
        None => json!({"type": "Reject"}),
        Some(length) => {
            json!({"type": "Queue", "queuing": {"queues": 1, "handSize": 1, "queueLengthLimit": length}})
        }
    };
    let limited =
        json!({"nominalConcurrencyShares": 1, "borrowingLimitPercent": 0, "limitResponse": response});
    let gate = Gate::new(6);
    gate.configure(&[level("narrow", limited)], &[schema("narrow", "narrow", "*")]);
    gate
}

async fn seat(gate: &Arc<Gate>, user: &str, patience: Duration) -> Result<Permit, Rejection> {
    let (info, user) = (get(), somebody(user));
    let schema = gate.classify(&info, &user);
    assert_eq!(schema.name, "narrow");
    gate.seat(&schema, (&info, &user), 1, patience).await
}

#[tokio::test]
async fn a_level_without_queues_turns_away() {
    let gate = narrow(None);
    let permit = seat(&gate, "a", PATIENCE).await.ok().unwrap();
    assert_eq!(seat(&gate, "a", PATIENCE).await.err(), Some(Rejection::ConcurrencyLimit));
    drop(permit);
    assert!(seat(&gate, "a", PATIENCE).await.is_ok());
    let mut text = String::new();
    gate.render(&mut text);
    for line in [
        "apiserver_flowcontrol_nominal_limit_seats{priority_level=\"narrow\"} 1\n",
        "apiserver_flowcontrol_current_executing_requests{priority_level=\"narrow\"} 0\n",
        "apiserver_flowcontrol_dispatched_requests_total{flow_schema=\"narrow\",priority_level=\"narrow\"} 2\n",
        "apiserver_flowcontrol_rejected_requests_total{flow_schema=\"narrow\",priority_level=\"narrow\",reason=\"concurrency-limit\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_turned_away_or_tired() {
    let gate = narrow(Some(1));
    let permit = seat(&gate, "a", PATIENCE).await.ok().unwrap();
    let waits = tokio::spawn({
        let gate = gate.clone();
        async move { seat(&gate, "a", PATIENCE).await.is_ok() }
    });
    tokio::task::yield_now().await;
    assert_eq!(seat(&gate, "a", PATIENCE).await.err(), Some(Rejection::QueueFull));
    drop(permit);
    assert!(waits.await.unwrap());
    let _held = seat(&gate, "a", PATIENCE).await.ok().unwrap();
    assert_eq!(seat(&gate, "a", Duration::from_secs(15)).await.err(), Some(Rejection::TimeOut));
    // Whoever gave up is not in the way of the next.
    assert_eq!(seat(&gate, "a", Duration::from_secs(15)).await.err(), Some(Rejection::TimeOut));
}

#[tokio::test]
async fn no_seat_is_lost_when_many_come_and_go() {
    let gate = narrow(Some(1000));
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..500 {
        let gate = gate.clone();
        tasks.spawn(async move {
            let user = format!("user-{}", i % 7);
            let seated = seat(&gate, &user, PATIENCE);
            if i % 5 == 0 {
                // Gone before there is an answer.
                drop(tokio::time::timeout(Duration::ZERO, seated).await);
            } else {
                let permit = seated.await.ok().unwrap();
                tokio::task::yield_now().await;
                drop(permit);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert!(seat(&gate, "a", PATIENCE).await.is_ok());
}

async fn world() -> (Server, Client) {
    let server = server(kinds::resources(Minor::DEFAULT), Arc::new(TestEnv::new(1)));
    crate::bootstrap(&server, &[]).await.unwrap();
    let client = server.client(User::component("admin"), "tests");
    (server, client)
}

/// Waits until an object is as it should be.
async fn until(client: &Client, kind: &Gvr, name: &str, is_so: impl Fn(Option<&Value>) -> bool) {
    let mut watch = client.watch(kind, "", &ListOptions::default()).unwrap();
    loop {
        let object = client.find(kind, "", name).unwrap().map(|object| object.parse());
        if is_so(object.as_ref()) {
            return;
        }
        watch.next().await.unwrap().unwrap();
    }
}

fn condition(schema: &Value) -> (&str, &str) {
    let text = |field: &str| schema["status"]["conditions"][0][field].as_str().unwrap_or_default();
    (text("status"), text("message"))
}

#[tokio::test]
async fn what_every_cluster_has_is_kept() {
    let (server, client) = world().await;
    let flows = Flows::load(&server, 600).await.unwrap();
    let (levels, schemas) = (super::bootstrap::levels(), super::bootstrap::schemas());
    let stored = client.list(&schemas_kind(), "", &ListOptions::default()).unwrap();
    assert_eq!(stored.items.len(), schemas.len());
    let running = tokio::spawn(flows.run());
    // What is stored is what is suggested, so that nothing is written twice.
    for (kind, object) in
        levels.iter().map(|o| (levels_kind(), o)).chain(schemas.iter().map(|o| (schemas_kind(), o)))
    {
        let stored = client.get(&kind, "", meta::name(object)).unwrap().parse();
        assert_eq!(stored["spec"], object["spec"], "{}", meta::name(object));
        assert_eq!(super::bootstrap::revised(&stored, object), None);
    }
    for name in ["probes", "exempt"] {
        let uid = meta::uid(&client.get(&schemas_kind(), "", name).unwrap().parse()).to_owned();
        client.delete(&schemas_kind(), "", name, &DeleteOptions::default()).await.unwrap();
        until(&client, &schemas_kind(), name, |o| o.is_some_and(|o| meta::uid(o) != uid)).await;
    }
    let mut system = client.get(&levels_kind(), "", "system").unwrap().parse();
    system["spec"]["limited"]["nominalConcurrencyShares"] = 31.into();
    client.update(&levels_kind(), "", system).await.unwrap();
    until(&client, &levels_kind(), "system", |o| {
        o.is_some_and(|o| o["spec"]["limited"]["nominalConcurrencyShares"] == 30)
    })
    .await;
    let mut left = level("left", json!({"limitResponse": {"type": "Reject"}}));
    left["metadata"]["annotations"] = json!({super::bootstrap::AUTO_UPDATE: "true"});
    client.create(&levels_kind(), "", left).await.unwrap();
    until(&client, &levels_kind(), "left", |o| o.is_none()).await;
    running.abort();
}

#[tokio::test]
async fn a_schema_tells_whether_its_level_is_there() {
    let (server, client) = world().await;
    let flows = Flows::load(&server, 600).await.unwrap();
    let gate = flows.gate();
    let running = tokio::spawn(flows.run());
    client.create(&schemas_kind(), "", schema("mine", "mine", "ada")).await.unwrap();
    until(&client, &schemas_kind(), "mine", |o| {
        o.is_some_and(|o| {
            let expected = "This FlowSchema references the PriorityLevelConfiguration object named \"mine\" but there is no such object";
            condition(o) == ("True", expected)
        })
    })
    .await;
    assert_eq!(gate.classify(&get(), &somebody("ada")).name, "global-default");
    let limited = json!({"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}});
    client.create(&levels_kind(), "", level("mine", limited)).await.unwrap();
    until(&client, &schemas_kind(), "mine", |o| o.is_some_and(|o| condition(o).0 == "False")).await;
    assert_eq!(gate.classify(&get(), &somebody("ada")).name, "mine");
    assert_eq!(gate.classify(&get(), &somebody("bob")).name, "global-default");
    assert_eq!(gate.classify(&get(), &User::component("admin")).name, "exempt");
    running.abort();
}

fn schemas_kind() -> Gvr {
    Gvr::new("flowcontrol.apiserver.k8s.io", "v1", "flowschemas")
}

fn levels_kind() -> Gvr {
    Gvr::new("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations")
}
