//! Writes through a server whose webhooks are HTTPS servers of the test's own.

use super::{MutatingWebhooks, ValidatingWebhooks};
use crate::admission::Admission;
use crate::client::Client;
use crate::kinds;
use crate::options::{DeleteOptions, WriteOptions};
use crate::outbound::{ResolveService, StoreServices};
use crate::rest::{Body, Caller, Target};
use crate::server::Server;
use crate::testing::webhook::Hook;
use crate::testing::{TestEnv, server_with};
use crate::user::User;
use alcove_object::{Gvr, Value};
use alcove_schema::Minor;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;

fn patch(operations: Value) -> Value {
    let patch = BASE64_STANDARD.encode(operations.to_string());
    json!({"allowed": true, "patchType": "JSONPatch", "patch": patch})
}

struct World {
    server: Server,
    client: Client,
}

impl World {
    fn new() -> World {
        let env = Arc::new(TestEnv::new(7));
        let server = server_with(kinds::resources(Minor::DEFAULT), env.clone(), |store| {
            let services: Arc<dyn ResolveService> = Arc::new(StoreServices::new(store.clone()));
            let mutating: Arc<dyn Admission> =
                Arc::new(MutatingWebhooks::new(store.clone(), services.clone(), env.clone()));
            vec![mutating, Arc::new(ValidatingWebhooks::new(store.clone(), services, env))]
        });
        let client = server.client(User::component("tester"), "tester");
        World { server, client }
    }

    async fn configure(&self, is_mutating: bool, webhook: Value) {
        let (kind, resource) = match is_mutating {
            true => ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
            false => ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        };
        let mut hook = json!({
            "name": "hook.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        });
        for (field, value) in webhook.as_object().unwrap() {
            hook[field] = value.clone();
        }
        let name = format!("conf-{}", self.server.store.revision());
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": name}, "webhooks": [hook],
        });
        let gvr = Gvr::new("admissionregistration.k8s.io", "v1", resource);
        self.client.create(&gvr, "", object).await.unwrap();
    }

    /// Creates a ConfigMap; the object, or the code and message of the refusal.
    async fn create(&self, name: &str) -> Result<Value, (u16, String)> {
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}});
        let created = self.client.create(&config_maps(), "default", object).await;
        created.map(|object| object.parse()).map_err(|status| (status.code, status.message.clone()))
    }

    async fn namespace(&self) {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}});
        self.client.create(&Gvr::new("", "v1", "namespaces"), "", object).await.unwrap();
    }
}

fn config_maps() -> Gvr {
    Gvr::new("", "v1", "configmaps")
}

#[tokio::test]
async fn a_mutating_webhook_changes_and_a_validating_one_refuses() {
    let world = World::new();
    world.namespace().await;
    let adds = Hook::start(|_| patch(json!([{"op": "add", "path": "/data/b", "value": "2"}]))).await;
    let judges = Hook::start(|request| match request["object"]["metadata"]["name"].as_str() {
        Some("bad") => {
            json!({"allowed": false, "status": {"message": "not this one", "code": 418, "reason": "Teapot"}})
        }
        Some("mute") => json!({"allowed": false}),
        _ => json!({"allowed": true, "warnings": ["mind this"]}),
    })
    .await;
    let creates = json!([{"operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["configmaps"]}]);
    world.configure(true, json!({"clientConfig": adds.url(), "rules": creates})).await;
    world.configure(false, json!({"clientConfig": judges.url()})).await;
    let made = world.create("good").await.unwrap();
    assert_eq!(made["data"], json!({"a": "1", "b": "2"}));
    let request = judges.asked.lock()[0].clone();
    assert_eq!(request["object"]["data"], made["data"]);
    assert_eq!(
        (&request["operation"], &request["kind"], &request["namespace"], &request["userInfo"]["username"]),
        (
            &json!("CREATE"),
            &json!({"group": "", "version": "v1", "kind": "ConfigMap"}),
            &json!("default"),
            &json!("tester")
        )
    );
    for (name, code, message) in [
        ("bad", 418, "admission webhook \"hook.example.com\" denied the request: not this one"),
        ("mute", 400, "admission webhook \"hook.example.com\" denied the request without explanation"),
    ] {
        assert_eq!(world.create(name).await.unwrap_err(), (code, message.to_owned()));
    }
    let registry = world.server.registry();
    let target = Target::named(&registry, &config_maps(), "", "default", "").unwrap();
    let body =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dry"}, "data": {"a": "1"}});
    let options = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let dry = world.server.create(&Caller::default(), &target, Body::Tree(body), &options).await.unwrap();
    assert_eq!(dry.warnings, ["mind this"]);
    assert_eq!(judges.asked.lock().last().unwrap()["dryRun"], true);
    world.client.delete(&config_maps(), "default", "good", &DeleteOptions::default()).await.unwrap();
    let last = judges.asked.lock().last().unwrap().clone();
    assert_eq!(
        (&last["operation"], &last["object"], &last["oldObject"]["data"]["b"]),
        (&json!("DELETE"), &Value::Null, &json!("2"))
    );
}

#[tokio::test]
async fn what_a_webhook_is_not_meant_for_goes_past_it() {
    let hook = Hook::start(|_| json!({"allowed": false})).await;
    let rule = |operations: Value, resources: Value| json!([{"operations": operations, "apiGroups": [""], "apiVersions": ["v1"], "resources": resources}]);
    for (field, value, is_asked) in [
        ("rules", rule(json!(["CREATE"]), json!(["*"])), true),
        ("rules", rule(json!(["UPDATE"]), json!(["*"])), false),
        ("rules", rule(json!(["CREATE"]), json!(["configmaps/status"])), false),
        ("rules", rule(json!(["CREATE"]), json!(["*/*"])), true),
        ("objectSelector", json!({"matchLabels": {"a": "b"}}), false),
        ("objectSelector", json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}), true),
        ("namespaceSelector", json!({"matchLabels": {"a": "b"}}), false),
        (
            "matchConditions",
            json!([{"name": "x", "expression": "request.userInfo.username != 'tester'"}]),
            false,
        ),
        ("matchConditions", json!([{"name": "x", "expression": "object.data.a == '1'"}]), true),
    ] {
        let world = World::new();
        world.namespace().await;
        world.configure(false, json!({"clientConfig": hook.url(), field: value.clone()})).await;
        assert_eq!(world.create("x").await.is_err(), is_asked, "{field}: {value}");
    }
    assert_eq!(hook.asked.lock().len(), 4);
}

#[tokio::test]
async fn a_webhook_that_cannot_be_asked_fails_or_lets_pass() {
    let silent = Hook::start(|_| Value::Null).await;
    let wrong = Hook::start(|_| json!({"uid": "another", "allowed": true})).await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        json!({"url": format!("https://localhost:{}/", listener.local_addr().unwrap().port())})
    };
    let mut untrusted = silent.url();
    untrusted["caBundle"] = wrong.bundle.clone().into();
    let service = json!({"service": {"namespace": "default", "name": "hook", "path": "/x"}});
    for (client, expected) in [
        (silent.url(), "?timeout=1s\": context deadline exceeded"),
        (wrong.url(), "received invalid webhook response: expected response.uid="),
        (closed, "connect: connection refused"),
        (untrusted, "tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        (service, "Post \"https://hook.default.svc:443/x?timeout=1s\": service \"hook\" not found"),
    ] {
        for policy in ["Fail", "Ignore"] {
            let world = World::new();
            world.namespace().await;
            let hook = json!({"clientConfig": client, "failurePolicy": policy, "timeoutSeconds": 1});
            world.configure(false, hook).await;
            let answer = world.create("x").await;
            if policy == "Ignore" {
                assert!(answer.is_ok(), "{client}: {answer:?}");
                continue;
            }
            let (code, message) = answer.unwrap_err();
            assert_eq!(code, 500);
            let head = "Internal error occurred: failed calling webhook \"hook.example.com\": ";
            assert!(message.starts_with(head) && message.contains(expected), "{message}");
        }
    }
}

#[tokio::test]
async fn a_service_is_found_by_its_endpoints() {
    let world = World::new();
    world.namespace().await;
    let hook = Hook::start(|_| patch(json!([{"op": "add", "path": "/data/b", "value": "2"}]))).await;
    let put = async |table: &str, key: &str, object: Value, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(k, v)| (Box::from(*k), Box::from(*v))).collect();
        let index = alcove_store::Index { labels, ..alcove_store::Index::default() };
        let body = alcove_store::Body { json: object.to_string().into_bytes(), revision_at: 1, index };
        let op = alcove_store::Op { table: table.into(), key: key.into(), expect: None, put: Some(body) };
        world.server.store.commit(vec![op]).await.unwrap();
    };
    put(
        "services",
        "default/hook",
        json!({"spec": {"ports": [{"name": "web", "port": 443}], "selector": {}}}),
        &[],
    )
    .await;
    let slice = json!({
        "ports": [{"name": "web", "port": hook.address.port()}],
        "endpoints": [
            {"addresses": ["192.0.2.1"], "conditions": {"ready": false}},
            {"addresses": ["127.0.0.1"], "conditions": {"ready": true}},
        ],
    });
    put(
        "endpointslices.discovery.k8s.io",
        "default/hook-1",
        slice,
        &[("kubernetes.io/service-name", "hook")],
    )
    .await;
    let service = json!({"service": {"namespace": "default", "name": "hook"}, "caBundle": hook.bundle});
    world.configure(true, json!({"clientConfig": service})).await;
    assert_eq!(world.create("x").await.unwrap()["data"]["b"], "2");
}

#[tokio::test]
async fn a_webhook_hears_of_later_changes_once() {
    let world = World::new();
    world.namespace().await;
    let first = Hook::start(|_| json!({"allowed": true})).await;
    let second = Hook::start(|_| patch(json!([{"op": "add", "path": "/data/b", "value": "2"}]))).await;
    world.configure(true, json!({"clientConfig": first.url(), "reinvocationPolicy": "IfNeeded"})).await;
    world.configure(true, json!({"clientConfig": second.url()})).await;
    world.create("x").await.unwrap();
    let seen: Vec<bool> = first.asked.lock().iter().map(|r| r["object"]["data"].get("b").is_some()).collect();
    assert_eq!((seen, second.asked.lock().len()), (vec![false, true], 1));
}

#[tokio::test]
async fn a_connection_serves_more_than_one_call() {
    let world = World::new();
    world.namespace().await;
    let hook = Hook::start(|_| json!({"allowed": true})).await;
    world.configure(false, json!({"clientConfig": hook.url()})).await;
    // A connection that is not free again in time is no mistake; that none ever is would be one.
    let is_used_again = || hook.connections.load(Ordering::Relaxed) < hook.asked.lock().len();
    let mut calls = 0;
    while !is_used_again() {
        assert!(calls < 100, "each of {calls} calls made a connection of its own");
        calls += 1;
        world.create(&format!("map-{calls}")).await.unwrap();
    }
}
