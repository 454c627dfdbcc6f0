//! A tenant on its host: what becomes of pods, services and configuration, and what never does.

use super::harness::{Api, Server, assert_fits, eventually, shared};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const HOST_PODS: &str = "/api/v1/namespaces/demo/pods";
const HOST_SERVICES: &str = "/api/v1/namespaces/demo/services";
const HOST_CONFIG_MAPS: &str = "/api/v1/namespaces/demo/configmaps";
const HOST_SECRETS: &str = "/api/v1/namespaces/demo/secrets";

fn items(api: &Api, path: &str) -> Vec<Value> {
    api.get(path).expect(200)["items"].as_array().expect("a list").clone()
}

fn deploy(api: &Api, namespace: &str, name: &str, replicas: u32, pod: Value) {
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": pod});
    let spec =
        json!({"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template});
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    api.post(&path, &json!({"metadata": {"name": name}, "spec": spec})).expect(201);
}

fn plain_pod() -> Value {
    json!({"containers": [{"name": "main", "image": "nginx"}]})
}

/// Waits until a deployment has this many ready pods; gives the pods.
fn ready_pods(api: &Api, namespace: &str, name: &str, count: usize) -> Vec<Value> {
    eventually("ready pods", || {
        let pods = items(api, &format!("/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{name}"));
        let is_ready = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
                && pod["metadata"]["deletionTimestamp"].is_null()
        };
        let ready: Vec<Value> = pods.iter().filter(|pod| is_ready(pod)).cloned().collect();
        if ready.len() == count && pods.len() == count {
            Ok(ready)
        } else {
            Err(format!("{} of {}: {pods:?}", ready.len(), pods.len()))
        }
    })
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn exists(api: &Api, path: &str) -> Result<Value, String> {
    let answer = api.get(path);
    if answer.status == 200 { Ok(answer.json()) } else { Err(answer.text()) }
}

fn gone(api: &Api, path: &str) -> Result<(), String> {
    if api.get(path).status == 404 { Ok(()) } else { Err(format!("{path} is there")) }
}

#[test]
fn pods_run_on_the_host_and_their_status_comes_back() {
    let (tenant, host) = (shared().api(), shared().host());
    tenant.namespace("pods");
    deploy(&tenant, "pods", "web", 2, plain_pod());
    for pod in ready_pods(&tenant, "pods", "web", 2) {
        let name = text(&pod, "/metadata/name");
        let found = host.get(&format!("{HOST_PODS}/{name}-x-pods-x-demo")).expect(200);
        let expected = json!({
            "metadata": {
                "labels": {"alcove.dev/cluster": "demo", "alcove.dev/namespace": "pods"},
                "annotations": {"alcove.dev/name": name, "alcove.dev/namespace": "pods", "alcove.dev/kind": "Pod", "alcove.dev/uid": pod["metadata"]["uid"]},
                "ownerReferences": null,
            },
            "spec": {"nodeName": pod["spec"]["nodeName"], "containers": [{"image": "nginx"}]},
            "status": {"phase": "Running", "podIP": pod["status"]["podIP"]},
        });
        assert_fits("on the host", &expected, &found);
        let node = text(&pod, "/spec/nodeName");
        let virtual_node =
            eventually("the virtual node", || exists(&tenant, &format!("/api/v1/nodes/{node}")));
        assert_ne!(
            virtual_node["metadata"]["uid"],
            host.get(&format!("/api/v1/nodes/{node}")).expect(200)["metadata"]["uid"]
        );
    }
    assert_eq!(
        host.get("/apis/apps/v1/namespaces/demo/deployments").expect(200)["items"],
        json!([]),
        "only pods go to the host"
    );
    let labelled = ready_pods(&tenant, "pods", "web", 2).remove(0);
    let name = text(&labelled, "/metadata/name").to_owned();
    tenant
        .patch(
            "merge",
            &format!("/api/v1/namespaces/pods/pods/{name}"),
            &json!({"metadata": {"labels": {"later": "yes"}}}),
        )
        .expect(200);
    eventually("the later label on the host", || {
        let found = host.get(&format!("{HOST_PODS}/{name}-x-pods-x-demo")).expect(200);
        if found["metadata"]["labels"].to_string().contains("later") {
            Ok(())
        } else {
            Err(found.to_string())
        }
    });
}

#[test]
fn what_is_deleted_on_the_host_by_hand_comes_back() {
    let (tenant, host) = (shared().api(), shared().host());
    tenant.namespace("by-hand");
    let services = "/api/v1/namespaces/by-hand/services";
    tenant.post(services, &json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})).expect(201);
    tenant
        .post(
            "/api/v1/namespaces/by-hand/configmaps",
            &json!({"metadata": {"name": "used"}, "data": {"a": "1"}}),
        )
        .expect(201);
    let pod = json!({"containers": [{"name": "main", "image": "nginx", "envFrom": [{"configMapRef": {"name": "used"}}]}]});
    deploy(&tenant, "by-hand", "web", 1, pod);
    let before = ready_pods(&tenant, "by-hand", "web", 1).remove(0);

    for path in
        [format!("{HOST_SERVICES}/web-x-by-hand-x-demo"), format!("{HOST_CONFIG_MAPS}/used-x-by-hand-x-demo")]
    {
        let first = eventually("the host object", || exists(&host, &path));
        host.delete(&path).expect(200);
        eventually("the object again", || {
            let found = exists(&host, &path)?;
            if found["metadata"]["uid"] == first["metadata"]["uid"] {
                Err("not yet deleted".into())
            } else {
                Ok(())
            }
        });
    }
    let kept = tenant.get(&format!("{services}/web")).expect(200);
    assert!(kept["metadata"]["deletionTimestamp"].is_null(), "the tenant's object is never deleted for it");

    host.delete(&format!(
        "{HOST_PODS}/{}-x-by-hand-x-demo?gracePeriodSeconds=0",
        text(&before, "/metadata/name")
    ))
    .expect(200);
    eventually("another pod in its place", || {
        let pods = items(&tenant, "/api/v1/namespaces/by-hand/pods?labelSelector=app%3Dweb");
        let other = pods.iter().find(|pod| {
            pod["metadata"]["uid"] != before["metadata"]["uid"] && pod["status"]["phase"] == "Running"
        });
        other.map(|_| ()).ok_or_else(|| format!("{pods:?}"))
    });
}

#[test]
fn two_tenants_with_the_same_names_share_a_host() {
    let server = shared();
    let (demo, host) = (server.api(), server.host());
    let other = Api::of(&server.kubeconfig("other")).expect("the other tenant");
    for tenant in [&demo, &other] {
        tenant.namespace("same");
        tenant.post("/api/v1/namespaces/same/services", &json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})).expect(201);
        tenant
            .post(
                "/api/v1/namespaces/same/pods",
                &json!({"metadata": {"name": "one", "labels": {"app": "web"}}, "spec": plain_pod()}),
            )
            .expect(201);
    }
    let path = |tenant: &str| format!("/api/v1/namespaces/{tenant}/pods/one-x-same-x-{tenant}");
    for (tenant, api) in [("demo", &demo), ("other", &other)] {
        let pod = ready_pods(api, "same", "web", 1).remove(0);
        let found = host.get(&path(tenant)).expect(200);
        assert_fits(
            tenant,
            &json!({"labels": {"alcove.dev/cluster": tenant}, "annotations": {"alcove.dev/uid": pod["metadata"]["uid"]}}),
            &found["metadata"],
        );
        eventually("the service", || {
            exists(&host, &format!("/api/v1/namespaces/{tenant}/services/web-x-same-x-{tenant}"))
        });
    }
    let untouched = host.get(&path("other")).expect(200)["metadata"]["uid"].clone();
    demo.delete("/api/v1/namespaces/same").expect(200);
    eventually("the end of the first", || gone(&host, &path("demo")));
    eventually("the end of its namespace", || gone(&demo, "/api/v1/namespaces/same"));
    assert_eq!(host.get(&path("other")).expect(200)["metadata"]["uid"], untouched);
    assert_eq!(ready_pods(&other, "same", "web", 1).len(), 1);
}

#[test]
fn configuration_goes_to_the_host_only_while_used() {
    let (tenant, host) = (shared().api(), shared().host());
    tenant.namespace("uses");
    for (resource, name) in
        [("configmaps", "idle"), ("configmaps", "used"), ("secrets", "idle"), ("secrets", "used")]
    {
        let field = if resource == "secrets" { "stringData" } else { "data" };
        tenant
            .post(
                &format!("/api/v1/namespaces/uses/{resource}"),
                &json!({"metadata": {"name": name}, field: {"key": "first"}}),
            )
            .expect(201);
    }
    let pod = json!({
        "containers": [{"name": "main", "image": "nginx", "env": [{"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "used", "key": "key"}}}]}],
        "volumes": [{"name": "secret", "secret": {"secretName": "used"}}],
    });
    deploy(&tenant, "uses", "app", 1, pod);
    ready_pods(&tenant, "uses", "app", 1);
    for (folder, path) in [(HOST_CONFIG_MAPS, "configmaps"), (HOST_SECRETS, "secrets")] {
        host.get(&format!("{folder}/used-x-uses-x-demo")).expect(200);
        assert_eq!(
            host.get(&format!("{folder}/idle-x-uses-x-demo")).status,
            404,
            "{path} that nobody uses stay"
        );
    }
    tenant
        .patch("merge", "/api/v1/namespaces/uses/configmaps/used", &json!({"data": {"key": "second"}}))
        .expect(200);
    eventually("the change on the host", || {
        let found = host.get(&format!("{HOST_CONFIG_MAPS}/used-x-uses-x-demo")).expect(200);
        if found["data"]["key"] == "second" { Ok(()) } else { Err(found.to_string()) }
    });
    tenant.delete("/apis/apps/v1/namespaces/uses/deployments/app").expect(200);
    for folder in [HOST_CONFIG_MAPS, HOST_SECRETS] {
        eventually("the end of what nobody uses", || gone(&host, &format!("{folder}/used-x-uses-x-demo")));
    }
    tenant.get("/api/v1/namespaces/uses/configmaps/used").expect(200);
}

#[test]
fn jobs_succeed() {
    let tenant = shared().api();
    tenant.namespace("jobs");
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox", "command": ["true"]}]});
    let spec = json!({"completions": 3, "parallelism": 2, "template": {"spec": pod}});
    tenant
        .post("/apis/batch/v1/namespaces/jobs/jobs", &json!({"metadata": {"name": "count"}, "spec": spec}))
        .expect(201);
    let job = eventually("the job's end", || {
        let job = tenant.get("/apis/batch/v1/namespaces/jobs/jobs/count").expect(200);
        if job["status"]["succeeded"] == 3 && !job["status"]["completionTime"].is_null() {
            Ok(job)
        } else {
            Err(job["status"].to_string())
        }
    });
    let conditions = job["status"]["conditions"].as_array().expect("conditions");
    assert!(conditions.iter().any(|c| c["type"] == "Complete" && c["status"] == "True"), "{conditions:?}");
    let pods = items(&tenant, "/api/v1/namespaces/jobs/pods?labelSelector=job-name%3Dcount");
    assert_eq!(pods.len(), 3);
    assert!(pods.iter().all(|pod| pod["status"]["phase"] == "Succeeded"), "{pods:?}");
}

#[test]
fn events_of_the_host_come_back() {
    let (tenant, host) = (shared().api(), shared().host());
    tenant.namespace("host-events");
    deploy(&tenant, "host-events", "app", 1, plain_pod());
    let pod = ready_pods(&tenant, "host-events", "app", 1).remove(0);
    let name = text(&pod, "/metadata/name");
    let host_pod = host.get(&format!("{HOST_PODS}/{name}-x-host-events-x-demo")).expect(200);
    let event = json!({
        "metadata": {"generateName": "pulled-"}, "reason": "Pulled", "message": "the image was there", "type": "Normal", "count": 1,
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "source": {"component": "kubelet"},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "demo", "name": host_pod["metadata"]["name"], "uid": host_pod["metadata"]["uid"]},
    });
    host.post("/api/v1/namespaces/demo/events", &event).expect(201);
    let path = "/api/v1/namespaces/host-events/events?fieldSelector=reason%3DPulled";
    let found =
        eventually("the event", || items(&tenant, path).into_iter().next().ok_or_else(|| "no event".into()));
    let expected = json!({"message": "the image was there", "involvedObject": {"kind": "Pod", "namespace": "host-events", "name": name, "uid": pod["metadata"]["uid"]}});
    assert_fits("the event", &expected, &found);
}

#[test]
fn what_others_have_in_the_host_namespace_is_left_alone() {
    let (tenant, host) = (shared().api(), shared().host());
    tenant.namespace("foreign");
    let theirs =
        host.post(HOST_CONFIG_MAPS, &json!({"metadata": {"name": "theirs"}, "data": {"a": "1"}})).expect(201);
    // It has the very name that the tenant's object would get.
    let taken = host
        .post(
            HOST_SERVICES,
            &json!({"metadata": {"name": "web-x-foreign-x-demo"}, "spec": {"ports": [{"port": 1}]}}),
        )
        .expect(201);
    tenant
        .post(
            "/api/v1/namespaces/foreign/services",
            &json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}),
        )
        .expect(201);
    let path = "/api/v1/namespaces/foreign/events?fieldSelector=involvedObject.name%3Dweb";
    eventually("an event that says why", || {
        items(&tenant, path).into_iter().next().map(|_| ()).ok_or_else(|| "no event".into())
    });
    tenant.delete("/api/v1/namespaces/foreign").expect(200);
    eventually("the namespace's end", || gone(&tenant, "/api/v1/namespaces/foreign"));
    assert_eq!(host.get(&format!("{HOST_CONFIG_MAPS}/theirs")).expect(200), theirs);
    assert_eq!(
        host.get(&format!("{HOST_SERVICES}/web-x-foreign-x-demo")).expect(200)["metadata"]["uid"],
        taken["metadata"]["uid"]
    );
}

/// Everything of a tenant's namespace on the host, by kind and name.
fn of_namespace(host: &Api, namespace: &str) -> Vec<String> {
    let selector = format!("?labelSelector=alcove.dev/namespace%3D{namespace}");
    let paths = [HOST_PODS, HOST_SERVICES, HOST_CONFIG_MAPS, HOST_SECRETS];
    let found = paths.iter().flat_map(|path| items(host, &format!("{path}{selector}")));
    found.map(|object| text(&object, "/metadata/name").to_owned()).collect()
}

#[test]
fn a_namespace_that_ends_leaves_nothing_on_the_host() {
    let (tenant, host) = (shared().api(), shared().host());
    tenant.namespace("leaving");
    tenant.post("/api/v1/namespaces/leaving/configmaps", &json!({"metadata": {"name": "used"}})).expect(201);
    tenant
        .post(
            "/api/v1/namespaces/leaving/services",
            &json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}),
        )
        .expect(201);
    let pod = json!({"containers": [{"name": "main", "image": "nginx"}], "volumes": [{"name": "v", "configMap": {"name": "used"}}]});
    deploy(&tenant, "leaving", "app", 3, pod);
    ready_pods(&tenant, "leaving", "app", 3);
    eventually("the service on the host", || exists(&host, &format!("{HOST_SERVICES}/web-x-leaving-x-demo")));
    assert!(of_namespace(&host, "leaving").len() >= 5);
    tenant.delete("/api/v1/namespaces/leaving").expect(200);
    eventually("the namespace's end", || gone(&tenant, "/api/v1/namespaces/leaving"));
    eventually("an empty host", || match of_namespace(&host, "leaving") {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
}

/// Deletion and eviction in the tenant end the pod on the host, with its grace.
#[test]
fn pods_that_are_deleted_or_evicted_leave_the_host() {
    let (tenant, host) = (shared().api(), shared().host());
    tenant.namespace("evict");
    let path = "/api/v1/namespaces/evict/pods";
    for name in ["deleted", "evicted"] {
        tenant
            .post(path, &json!({"metadata": {"name": name, "labels": {"app": "x"}}, "spec": plain_pod()}))
            .expect(201);
    }
    ready_pods(&tenant, "evict", "x", 2);
    let ending = tenant.delete(&format!("{path}/deleted")).expect(200);
    assert_fits(
        "ending",
        &json!({"kind": "Pod", "metadata": {"deletionGracePeriodSeconds": 30, "deletionTimestamp": "20[..]Z"}}),
        &ending,
    );
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "evicted"}});
    assert_eq!(tenant.post(&format!("{path}/evicted/eviction"), &eviction).expect(201)["status"], "Success");
    for name in ["deleted", "evicted"] {
        eventually("the end in the tenant", || gone(&tenant, &format!("{path}/{name}")));
        eventually("the end on the host", || gone(&host, &format!("{HOST_PODS}/{name}-x-evict-x-demo")));
    }
}

/// Names that are too long for the host are cut and stay apart; their pods run like any.
#[test]
fn long_names_run_too() {
    let (tenant, host) = (shared().api(), shared().host());
    let namespace = "n".repeat(50);
    tenant.namespace(&namespace);
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    for end in ["a", "b"] {
        let name = format!("{}{end}", "p".repeat(52));
        tenant
            .post(&path, &json!({"metadata": {"name": name, "labels": {"app": "long"}}, "spec": plain_pod()}))
            .expect(201);
    }
    let pods = ready_pods(&tenant, &namespace, "long", 2);
    let on_host: BTreeMap<String, String> = items(&host, HOST_PODS)
        .iter()
        .filter(|pod| text(pod, "/metadata/annotations/alcove.dev~1namespace") == namespace)
        .map(|pod| {
            (
                text(pod, "/metadata/annotations/alcove.dev~1uid").to_owned(),
                text(pod, "/metadata/name").to_owned(),
            )
        })
        .collect();
    for pod in &pods {
        let name = &on_host[text(pod, "/metadata/uid")];
        assert!(name.len() <= 63, "{name}");
    }
}

/// kill -9 of host and tenants at once: afterwards the same pods run, and new ones start.
#[test]
fn everything_is_there_after_kill_9() {
    let mut server = Server::dev(&["--nodes", "2"]);
    let tenant = server.api();
    tenant.namespace("kept");
    deploy(&tenant, "kept", "web", 3, plain_pod());
    let uids = |pods: Vec<Value>| {
        let mut uids: Vec<String> = pods.iter().map(|pod| text(pod, "/metadata/uid").to_owned()).collect();
        uids.sort();
        uids
    };
    let before = uids(ready_pods(&tenant, "kept", "web", 3));
    let host_before = items(&server.host(), HOST_PODS).len();
    for _ in 0..2 {
        server.kill();
        server.start_again();
    }
    let (tenant, host) = (server.api(), server.host());
    assert_eq!(uids(ready_pods(&tenant, "kept", "web", 3)), before);
    assert_eq!(items(&host, HOST_PODS).len(), host_before);
    tenant
        .patch("merge", "/apis/apps/v1/namespaces/kept/deployments/web", &json!({"spec": {"replicas": 4}}))
        .expect(200);
    ready_pods(&tenant, "kept", "web", 4);
    // What was deleted while nobody was there to see it goes from the host, too.
    tenant.delete("/apis/apps/v1/namespaces/kept/deployments/web").expect(200);
    server.kill();
    server.start_again();
    let host = server.host();
    eventually("an empty host", || match items(&host, HOST_PODS).len() {
        0 => Ok(()),
        left => Err(format!("{left} pods")),
    });
}
