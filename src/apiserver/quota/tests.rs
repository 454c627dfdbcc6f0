//! What is counted, as tables; the cases are those of upstream's evaluators.

use super::*;
use serde_json::json;

fn now() -> Timestamp {
    "2026-01-01T00:01:00Z".parse().unwrap()
}

fn used(group: &str, resource: &str, object: &Value) -> String {
    amounts::text(&counted(group, resource).unwrap().usage(group, resource, object, now()))
}

fn container(name: &str, requests: Value, limits: Value) -> Value {
    json!({ "name": name, "resources": { "requests": requests, "limits": limits } })
}

#[test]
fn pods_use_what_their_containers_ask_for() {
    let some = |name: &str| container(name, json!({"cpu": "100m", "memory": "1Gi"}), json!({"cpu": "200m"}));
    let one = "count/pods=1,cpu=100m,limits.cpu=200m,memory=1Gi,pods=1,requests.cpu=100m,requests.memory=1Gi";
    let spec = json!({ "containers": [some("a")] });
    let cases = [
        (json!({ "spec": spec }), one),
        (json!({ "spec": spec, "status": { "phase": "Succeeded" } }), "count/pods=1"),
        (json!({ "spec": spec, "status": { "phase": "Failed" } }), "count/pods=1"),
        (
            json!({ "spec": spec, "metadata": {
                "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30 } }),
            "count/pods=1",
        ),
        (
            json!({ "spec": spec, "metadata": {
                "deletionTimestamp": "2026-01-01T00:00:45Z", "deletionGracePeriodSeconds": 30 } }),
            one,
        ),
        (
            json!({ "spec": {
                "containers": [some("a"), some("b")],
                "initContainers": [container("i", json!({"cpu": "1"}), json!({}))],
                "overhead": { "cpu": "10m", "memory": "1Mi" },
            } }),
            "count/pods=1,cpu=1010m,limits.cpu=410m,memory=2049Mi,pods=1,requests.cpu=1010m,requests.memory=2049Mi",
        ),
        (
            json!({ "spec": { "containers": [container("a",
                json!({"example.com/gpu": "2", "hugepages-2Mi": "4Mi", "ephemeral-storage": "1Gi"}),
                json!({"example.com/gpu": "2", "hugepages-2Mi": "4Mi", "ephemeral-storage": "2Gi"}))] } }),
            "count/pods=1,ephemeral-storage=1Gi,hugepages-2Mi=4Mi,limits.ephemeral-storage=2Gi,pods=1,\
             requests.ephemeral-storage=1Gi,requests.example.com/gpu=2,requests.hugepages-2Mi=4Mi",
        ),
        (
            json!({ "spec": { "containers": [some("a")], "resources": { "requests": { "cpu": "3" } } } }),
            "count/pods=1,cpu=3,limits.cpu=200m,memory=1Gi,pods=1,requests.cpu=3,requests.memory=1Gi",
        ),
        (
            json!({ "spec": spec, "status": { "containerStatuses": [{ "name": "a",
                "resources": { "requests": { "cpu": "400m" }, "limits": { "cpu": "400m" } },
                "allocatedResources": { "cpu": "300m" } }] } }),
            "count/pods=1,cpu=400m,limits.cpu=400m,memory=1Gi,pods=1,requests.cpu=400m,requests.memory=1Gi",
        ),
    ];
    for (pod, expected) in cases {
        assert_eq!(used("", "pods", &pod), expected, "{pod}");
    }
}

#[test]
fn other_kinds_use_their_number_ports_and_size() {
    let service = |kind: &str, allocates: bool| {
        json!({ "spec": { "type": kind, "allocateLoadBalancerNodePorts": allocates,
            "ports": [{ "port": 1 }, { "port": 2, "nodePort": 30001 }] } })
    };
    let ports = |ports: i64, balancers: i64| {
        format!("count/services=1,services=1,services.loadbalancers={balancers},services.nodeports={ports}")
    };
    let claim = |class: Value| json!({ "spec": { "storageClassName": class, "resources": { "requests": { "storage": "1500m" } } } });
    let cases = [
        ("", "services", service("ClusterIP", true), ports(0, 0)),
        ("", "services", service("NodePort", true), ports(2, 0)),
        ("", "services", service("LoadBalancer", true), ports(2, 1)),
        ("", "services", service("LoadBalancer", false), ports(1, 1)),
        (
            "",
            "persistentvolumeclaims",
            claim(Value::Null),
            "count/persistentvolumeclaims=1,persistentvolumeclaims=1,requests.storage=2".into(),
        ),
        (
            "",
            "persistentvolumeclaims",
            claim("gold".into()),
            "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,\
             gold.storageclass.storage.k8s.io/requests.storage=2,persistentvolumeclaims=1,requests.storage=2"
                .into(),
        ),
        ("", "secrets", json!({}), "count/secrets=1,secrets=1".into()),
        ("apps", "deployments", json!({}), "count/deployments.apps=1".into()),
        ("example.com", "things", json!({}), "count/things.example.com=1".into()),
    ];
    for (group, resource, object, expected) in cases {
        assert_eq!(used(group, resource, &object), expected, "{object}");
    }
    assert_eq!(counted("", "events"), None);
    assert_eq!(counted("authorization.k8s.io", "localsubjectaccessreviews"), None);
}

#[test]
fn names_are_about_one_resource_each() {
    let cases = [
        (
            "",
            "pods",
            &["pods", "cpu", "limits.memory", "requests.example.com/gpu", "hugepages-2Mi", "count/pods"][..],
        ),
        ("", "services", &["services", "services.nodeports", "services.loadbalancers", "count/services"]),
        (
            "",
            "persistentvolumeclaims",
            &["persistentvolumeclaims", "requests.storage", "a.storageclass.storage.k8s.io/requests.storage"],
        ),
        ("", "configmaps", &["configmaps", "count/configmaps"]),
        ("apps", "deployments", &["count/deployments.apps"]),
    ];
    for (group, resource, own) in cases {
        for (_, _, names) in cases {
            for name in names {
                let is_about = counted(group, resource).unwrap().is_about(group, resource, name);
                assert_eq!(is_about, own.contains(name), "{resource} {name}");
            }
        }
    }
}

#[test]
fn scopes_leave_pods_in() {
    let listed = |scope: &str| json!({ "spec": { "scopes": [scope] } });
    let selected = |scope: &str, operator: &str, values: Value| {
        json!({ "spec": { "scopeSelector": { "matchExpressions": [
            { "scopeName": scope, "operator": operator, "values": values }] } } })
    };
    let plain = json!({ "spec": { "containers": [{ "name": "c" }] } });
    let ends = json!({ "spec": { "activeDeadlineSeconds": 5, "containers": [container("c", json!({"cpu": "1"}), json!({}))] } });
    let high = json!({ "spec": { "priorityClassName": "high", "affinity": { "podAntiAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [{ "podAffinityTerm": { "namespaces": ["x"] } }] } } } });
    let cases = [
        (listed("Terminating"), [false, true, false]),
        (listed("NotTerminating"), [true, false, true]),
        (listed("BestEffort"), [true, false, true]),
        (listed("NotBestEffort"), [false, true, false]),
        (listed("PriorityClass"), [false, false, true]),
        (listed("CrossNamespacePodAffinity"), [false, false, true]),
        (listed("VolumeAttributesClass"), [false, false, false]),
        (selected("PriorityClass", "In", json!(["high", "low"])), [false, false, true]),
        (selected("PriorityClass", "In", json!(["low"])), [false, false, false]),
        (selected("PriorityClass", "NotIn", json!(["low"])), [true, true, true]),
        (selected("PriorityClass", "DoesNotExist", json!([])), [true, true, false]),
        (json!({ "spec": { "scopes": ["Terminating", "BestEffort"] } }), [false, false, false]),
        (json!({ "spec": {} }), [true, true, true]),
    ];
    for (quota, expected) in cases {
        let scopes = Scope::of(&quota);
        let found = [&plain, &ends, &high].map(|pod| Counted::Pods.is_in(&scopes, pod));
        assert_eq!(found, expected, "{quota}");
    }
}

#[test]
fn quotas_of_compute_make_every_container_say_what_it_needs() {
    let pod = |resources: Value| {
        json!({ "spec": { "resources": resources, "containers": [
            container("b", json!({"cpu": "1"}), json!({"memory": "1"})), { "name": "a" }] } })
    };
    let names = ["limits.cpu", "pods", "requests.cpu", "requests.ephemeral-storage"];
    let why = "must specify limits.cpu for: a,b; requests.cpu for: a";
    assert_eq!(Counted::Pods.unsaid(&pod(Value::Null), &names).as_deref(), Some(why));
    assert_eq!(Counted::Pods.unsaid(&pod(json!({"limits": {"cpu": "1"}})), &names), None);
    assert_eq!(Counted::Pods.unsaid(&pod(Value::Null), &["pods"]), None);
}
