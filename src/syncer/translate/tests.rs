//! Golden tests: a tenant's object in `golden/NAME.in.json`, the host's in `golden/NAME.out.json`. Run with
//! `UPDATE_GOLDEN=1` to write the second from the first, and read the diff.

use super::*;
use alcove_config::{Pods, Sync};
use serde_json::Value;
use std::path::Path;

fn tenant() -> Tenant {
    Tenant { cluster: "demo".into(), host_namespace: "team-a".into() }
}

fn check(name: &str, translate: impl Fn(&Value) -> Value) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("translate/golden");
    let input = std::fs::read(dir.join(format!("{name}.in.json"))).unwrap();
    let actual = translate(&serde_json::from_slice(&input).unwrap());
    let path = dir.join(format!("{name}.out.json"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = serde_json::to_string_pretty(&actual).unwrap() + "\n";
        std::fs::write(&path, text).unwrap();
    }
    let expected: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(actual, expected, "{name}: run with UPDATE_GOLDEN=1 and read the diff");
}

fn outcome(result: Result<Value, Refusal>) -> Value {
    result.unwrap_or_else(|refusal| serde_json::json!({ "refused": refusal.to_string() }))
}

#[test]
fn pods() {
    for name in ["pod-plain", "pod-references", "pod-affinity", "pod-downward", "pod-token"] {
        check(name, |object| outcome(on_host(&Sync::default(), object)));
    }
    let allowed = Sync { pods: allowed_pods(), ..Sync::default() };
    for name in ["pod-rules", "pod-placed", "pod-refused", "pod-daemon"] {
        check(name, |object| outcome(on_host(&allowed, object)));
    }
}

fn on_host(allowed: &Sync, object: &Value) -> Result<Value, Refusal> {
    let context = Context { tenant: &tenant(), allowed, known: &World };
    pod(&context, object).map(|wanted| wanted.object)
}

fn allowed_pods() -> Pods {
    let table = |entries: &[(&str, &str)]| -> std::collections::BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Pods {
        node_selector: table(&[("pool", "tenants")]),
        tolerations: vec![serde_json::json!({ "key": "tenants", "operator": "Exists" })],
        runtime_class_name: Some("gvisor".into()),
        priority_class_name: Some("tenants".into()),
        annotations: vec!["example.com/*".into()],
        images: table(&[("docker.io/", "mirror.example/hub/")]),
        ..Pods::default()
    }
}

/// What a tenant of these tests is: two namespaces, one node, a DNS server and a service account on the host.
struct World;

impl Known for World {
    fn object(&self, resource: &str, _: &str, name: &str) -> Option<Value> {
        let node = serde_json::json!({ "metadata": { "name": name, "labels": { "color": "blue" } } });
        ((resource, name) == ("nodes", "node-a")).then_some(node)
    }

    fn is_pod_address(&self, _: std::net::IpAddr) -> bool {
        false
    }

    fn has_class(&self, _: &str, _: &str) -> Option<bool> {
        None
    }

    fn namespace_labels(&self, namespace: &str) -> Value {
        serde_json::json!({ "kubernetes.io/metadata.name": namespace, "team": "red" })
    }

    fn namespaces(&self, _: &Value) -> Vec<String> {
        vec!["blue".into(), "green".into()]
    }

    fn host_node(&self, node: &str) -> Option<String> {
        (node == "node-a").then(|| "host-1".into())
    }

    fn domain(&self) -> String {
        "cluster.local".into()
    }

    fn resolver(&self) -> Option<Resolver> {
        Some(Resolver { addresses: vec!["10.0.0.10".into()] })
    }

    fn account(&self) -> Option<String> {
        Some("demo-workload".into())
    }
}

#[test]
fn services() {
    for name in ["service-cluster-ip", "service-headless", "service-external-ips"] {
        check(name, |object| outcome(service(&tenant(), object)));
    }
}

#[test]
fn config() {
    check("config-map", |object| config_map(&tenant(), object));
    check("secret-token", |object| secret(&tenant(), object));
}

#[test]
fn a_host_object_is_ours_only_if_marks_and_name_agree() {
    let object = serde_json::json!({ "kind": "ConfigMap",
        "metadata": { "namespace": "default", "name": "a", "uid": "u" } });
    let mut host = config_map(&tenant(), &object);
    let expected = Owner { namespace: "default".into(), name: "a".into(), uid: "u".into() };
    assert_eq!(owner(&tenant(), &host), Some(expected));
    let other = Tenant { cluster: "other".into(), ..tenant() };
    assert_eq!(owner(&other, &host), None, "another tenant's");
    host["metadata"]["name"] = "copy".into();
    assert_eq!(owner(&tenant(), &host), None, "a copy under another name");
}

#[test]
fn events_speak_the_tenants_names() {
    let owner = Owner { namespace: "default".into(), name: "web-1".into(), uid: "u".into() };
    let host = serde_json::json!({
        "metadata": { "name": "web-1-x-default-x-demo.18a", "namespace": "team-a" },
        "involvedObject": { "kind": "Pod", "apiVersion": "v1", "name": "web-1-x-default-x-demo", "uid": "h",
                            "namespace": "team-a" },
        "reason": "Scheduled", "type": "Normal", "count": 1,
        "message": "Successfully assigned team-a/web-1-x-default-x-demo to node-1",
    });
    let event = event(&tenant(), &owner, &host);
    assert_eq!(event["message"], "Successfully assigned default/web-1 to node-1");
    assert_eq!(event["metadata"]["name"], "web-1.18a");
    assert_eq!(event["involvedObject"]["uid"], "u");
    assert!(!event.to_string().contains("team-a"));
}

/// Those of the scheduler: an API server refuses one that has `eventTime` and lacks any of the others.
#[test]
fn events_of_the_newer_form_keep_what_makes_them_valid() {
    let owner = Owner { namespace: "default".into(), name: "web-1".into(), uid: "u".into() };
    let host = serde_json::json!({
        "metadata": { "name": "web-1-x-default-x-demo.18a", "namespace": "team-a" },
        "involvedObject": { "kind": "Pod", "apiVersion": "v1", "name": "web-1-x-default-x-demo", "uid": "h" },
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingComponent": "default-scheduler",
        "reportingInstance": "default-scheduler-1", "action": "Binding", "reason": "Scheduled", "type": "Normal",
    });
    let event = event(&tenant(), &owner, &host);
    for field in ["eventTime", "reportingComponent", "reportingInstance", "action", "reason"] {
        assert_eq!(event[field], host[field], "{field}");
    }
}

#[test]
fn what_the_host_says_is_told_in_the_tenants_names() {
    let long = "a".repeat(60);
    let cut = host_name(&tenant(), "default", &long);
    let cases = [
        ("web", "secret \"db-x-default-x-demo\" not found", "secret \"db\" not found"),
        ("web", "pods team-a/web-x-default-x-demo. Retry", "pods default/web. Retry"),
        (
            "web",
            "pull registry/team-a/app: web-x-default-x-other",
            "pull registry/team-a/app: web-x-default-x-other",
        ),
        (&*long, &*format!("no {cut}!"), &*format!("no {long}!")),
        ("web", "ümlaut -x-default-x-demo", "ümlaut -x-default-x-demo"),
    ];
    for (name, host, expected) in cases {
        let owner = Owner { namespace: "default".into(), name: name.into(), uid: "u".into() };
        assert_eq!(in_tenant_terms(&tenant(), &owner, host), expected);
    }
}

#[test]
fn gates_are_the_tenants_conditions_that_a_pod_waits_for() {
    let pod = |gates: Value| {
        serde_json::json!({ "spec": { "readinessGates": gates }, "status": { "conditions": [
        { "type": "Ready", "status": "True" }, { "type": "g", "status": "True", "observedGeneration": 2 },
        { "type": "other", "status": "True" }] } })
    };
    assert_eq!(gate_conditions(&pod(serde_json::json!([]))), None);
    let gates = serde_json::json!([{ "conditionType": "g" }]);
    assert_eq!(gate_conditions(&pod(gates)), Some(serde_json::json!([{ "type": "g", "status": "True" }])));
}

#[test]
fn status_tells_of_the_tenants_containers_alone() {
    let tenant = serde_json::json!({ "spec": { "containers": [{ "name": "web" }] } });
    let host = serde_json::json!({ "status": {
        "containerStatuses": [{ "name": "injected", "ready": false }, { "name": "web", "ready": true }],
        "initContainerStatuses": [{ "name": "injected-before" }],
    } });
    let status = pod_status(&tenant, &host);
    assert_eq!(status["containerStatuses"], serde_json::json!([{ "name": "web", "ready": true }]));
    assert_eq!(status.get("initContainerStatuses"), None);
}

#[test]
fn status_keeps_what_only_the_tenant_knows() {
    let tenant = serde_json::json!({ "metadata": { "generation": 3 }, "status": { "qosClass": "Burstable",
        "conditions": [{ "type": "example.com/gate", "status": "True" }, { "type": "Ready", "status": "False" }] } });
    let host = serde_json::json!({ "metadata": { "generation": 7, "annotations": { "alcove.dev/generation": "3" } }, "status": { "qosClass": "BestEffort",
        "phase": "Running", "observedGeneration": 7,
        "conditions": [{ "type": "Ready", "status": "True", "observedGeneration": 7 }] } });
    let status = pod_status(&tenant, &host);
    assert_eq!(status["qosClass"], "Burstable");
    assert_eq!(status["observedGeneration"], 3);
    assert_eq!(
        status["conditions"],
        serde_json::json!([
        { "type": "Ready", "status": "True", "observedGeneration": 3 },
        { "type": "example.com/gate", "status": "True" } ])
    );
}

#[test]
fn what_was_observed_is_the_generation_that_the_host_pod_was_made_from() {
    let tenant =
        serde_json::json!({ "metadata": { "generation": 3 }, "status": { "observedGeneration": 1 } });
    let host = |made_from: &str, status: Value| {
        let annotations = serde_json::json!({ "alcove.dev/generation": made_from });
        serde_json::json!({ "metadata": { "generation": 7, "annotations": annotations }, "status": status })
    };
    let started = "2026-11-21T09:30:00Z";
    for (host, expected) in [
        (host("2", serde_json::json!({ "observedGeneration": 7 })), 2),
        (host("2", serde_json::json!({ "observedGeneration": 6 })), 1),
        (host("3", serde_json::json!({})), 1),
        (host("3", serde_json::json!({ "startTime": started })), 3),
    ] {
        assert_eq!(pod_status(&tenant, &host)["observedGeneration"], expected, "{host}");
    }
}

#[test]
fn addresses_come_from_the_host_port_by_port() {
    let spec = serde_json::json!({ "type": "NodePort", "ports": [
        { "port": 80, "protocol": "TCP", "nodePort": 31000 }, { "port": 53, "protocol": "UDP" }] });
    let host = serde_json::json!({ "spec": { "clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"], "ports": [
        { "port": 53, "protocol": "UDP", "nodePort": 30053 }, { "port": 80, "protocol": "TCP", "nodePort": 30080 }] } });
    let spec = service_addresses(&spec, &host);
    assert_eq!(spec["clusterIP"], "10.0.0.9");
    assert_eq!(
        (&spec["ports"][0]["nodePort"], &spec["ports"][1]["nodePort"]),
        (&30080.into(), &30053.into())
    );
}
