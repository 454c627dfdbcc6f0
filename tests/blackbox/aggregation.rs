//! Groups that another API server serves: APIServices, and what clients see of the server behind one.

use super::harness::session::Session;
use super::harness::wardle::{GROUP_VERSION, Wardle};
use super::harness::{Api, Server, eventually};
use serde_json::{Value, json};

const API_SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const NAME: &str = "v1alpha1.wardle.example.com";
const FLUNDERS: &str = "/apis/wardle.example.com/v1alpha1/namespaces/wardle/flunders";

/// Waits until an APIService has this condition: status and reason. Gives the message.
fn available(api: &Api, name: &str, status: &str, reason: &str) -> String {
    eventually(&format!("{name} is {status} ({reason})"), || {
        let answer = api.get(&format!("{API_SERVICES}/{name}"));
        let condition = answer.json()["status"]["conditions"][0].clone();
        match condition["status"] == status && condition["reason"] == reason {
            true => Ok(condition["message"].as_str().unwrap_or_default().to_owned()),
            false => Err(condition.to_string()),
        }
    })
}

/// The authority by which other servers know this one.
fn authority(api: &Api) -> String {
    let path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let data = eventually("the published authorities", || {
        let answer = api.get(path);
        if answer.status == 200 { Ok(answer.json()["data"].clone()) } else { Err(answer.text()) }
    });
    assert_eq!(data["requestheader-allowed-names"], "[\"front-proxy-client\"]");
    assert_eq!(data["requestheader-username-headers"], "[\"X-Remote-User\"]");
    assert_eq!(data["requestheader-extra-headers-prefix"], "[\"X-Remote-Extra-\"]");
    assert!(
        data["client-ca-file"].as_str().expect("an authority").starts_with("-----BEGIN CERTIFICATE-----")
    );
    data["requestheader-client-ca-file"].as_str().expect("an authority").to_owned()
}

fn discovery(api: &Api) -> Value {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let all = api.send("GET", "/apis", &[("accept", accept)], b"").expect(200);
    let items = all["items"].as_array().expect("groups").iter();
    let found = items.into_iter().find(|group| group["metadata"]["name"] == "wardle.example.com");
    found.cloned().unwrap_or_default()
}

#[test]
fn a_group_of_another_server() {
    let server = Server::dev(&["--nodes", "1"]);
    let api = server.api();
    let session = Session::new(&server, "wardle", &[("kubectl", "kubectl-1.35")]);
    let wardle = Wardle::start("flunder.wardle.svc", &authority(&api));
    let registered = json!({"metadata": {"name": NAME}, "spec": {
        "group": "wardle.example.com", "version": "v1alpha1", "groupPriorityMinimum": 1000, "versionPriority": 15,
        "caBundle": wardle.bundle,
        "service": {"namespace": "wardle", "name": "flunder", "port": wardle.port},
    }});
    api.post(API_SERVICES, &registered).expect(201);
    let message = available(&api, NAME, "False", "ServiceNotFound");
    assert_eq!(message, "service/flunder in \"wardle\" is not present");
    let unavailable = api.get(FLUNDERS);
    assert_eq!((unavailable.status, &*unavailable.text()), (503, "service unavailable\n"));
    assert_eq!(discovery(&api)["versions"][0]["freshness"], "Stale");

    let service = json!({"metadata": {"name": "flunder"}, "spec": {"type": "ExternalName", "externalName": "localhost"}});
    api.post("/api/v1/namespaces/wardle/services", &service).expect(201);
    assert_eq!(available(&api, NAME, "True", "Passed"), "all checks passed");
    clients_use_it(&session);
    it_is_told_who_asks(&api, &wardle);
    documents_tell_of_it(&api);
    it_may_become_something_else(&api);
    it_is_emptied_with_its_namespace(&api);
    let redirected = api.get(&format!("{FLUNDERS}/moved"));
    assert_eq!(redirected.status, 502);
    assert_eq!(redirected.text(), "the backend attempted to redirect this request, which is not permitted\n");

    wardle.stop();
    // Any change of the service makes the server look again.
    api.patch(
        "merge",
        "/api/v1/namespaces/wardle/services/flunder",
        &json!({"metadata": {"labels": {"a": "b"}}}),
    )
    .expect(200);
    let message = available(&api, NAME, "False", "FailedDiscoveryCheck");
    assert!(message.starts_with("failing or missing response from https://"), "{message}");
    assert_eq!(api.get(FLUNDERS).status, 503);
    let stale = discovery(&api);
    assert_eq!(stale["versions"][0]["freshness"], "Stale");
    let told = session.run("kubectl get flunders");
    assert_ne!(told.code, 0, "{}", told.output);
    session.ok("kubectl get pods");
    it_holds_namespaces_while_it_is_silent(&api);

    api.delete(&format!("{API_SERVICES}/{NAME}")).expect(200);
    gone(&api, "/api/v1/namespaces/held");
    eventually("the group is gone", || match api.get(FLUNDERS).status {
        404 => Ok(()),
        other => Err(other.to_string()),
    });
    assert_eq!(discovery(&api), Value::Null);
}

fn clients_use_it(session: &Session) {
    let resources = session.ok("kubectl api-resources --api-group=wardle.example.com --no-headers");
    let words: Vec<&str> = resources.split_whitespace().collect();
    assert_eq!(words, ["flunders", "fl", GROUP_VERSION, "true", "Flunder"]);
    let object = format!(
        r#"{{"apiVersion":"{GROUP_VERSION}","kind":"Flunder","metadata":{{"name":"a"}},"spec":{{}}}}"#
    );
    let made = session.ok(&format!("echo '{object}' | kubectl create -f -"));
    assert_eq!(made, "flunder.wardle.example.com/a created\n");
    let listed = session.ok("kubectl get fl --no-headers");
    assert_eq!(listed.split_whitespace().next(), Some("a"), "{listed}");
    let missing = session.run("kubectl get flunder b");
    assert!(missing.output.contains("flunders.wardle.example.com \"b\" not found"), "{}", missing.output);
    let explained = session.ok("kubectl explain flunder.spec");
    assert!(explained.contains("What it flunders."), "{explained}");
    let row = session.ok(&format!("kubectl get apiservice {NAME} --no-headers"));
    assert_eq!(row.split_whitespace().take(3).collect::<Vec<_>>(), [NAME, "wardle/flunder", "True"]);
}

/// Authorization is ours first; then the other server learns of the user, and of nothing that the user made up.
fn it_is_told_who_asks(api: &Api, wardle: &Wardle) {
    let refused = api.send("GET", FLUNDERS, &[("impersonate-user", "ada")], b"");
    assert_eq!(refused.status, 403);
    let role = json!({"metadata": {"name": "flunders"}, "rules": [
        {"apiGroups": ["wardle.example.com"], "resources": ["flunders"], "verbs": ["*"]},
    ]});
    api.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", &role).expect(201);
    let binding = json!({
        "metadata": {"name": "flunders"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "flunders"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ada"}],
    });
    api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).expect(201);
    let headers = [
        ("impersonate-user", "ada"),
        ("impersonate-group", "friends"),
        ("impersonate-extra-example.com%2fteam", "red"),
        ("x-remote-user", "root"),
        ("x-remote-group", "system:masters"),
        ("x-remote-extra-scopes", "all"),
        ("x-other", "kept"),
    ];
    let path = format!("{FLUNDERS}/a");
    let found = api.send("GET", &format!("{path}?pretty=false"), &headers, b"").expect(200);
    assert_eq!(found["metadata"]["name"], "a");
    assert_eq!(wardle.heard(&path, "x-remote-user"), ["ada"]);
    assert_eq!(wardle.heard(&path, "x-remote-group"), ["friends", "system:authenticated"]);
    assert_eq!(wardle.heard(&path, "x-remote-extra-example.com%2fteam"), ["red"]);
    assert_eq!(wardle.heard(&path, "x-other"), ["kept"]);
    for secret in ["x-remote-extra-scopes", "impersonate-user", "authorization"] {
        assert!(wardle.heard(&path, secret).is_empty(), "{secret}");
    }
}

fn documents_tell_of_it(api: &Api) {
    let group = api.get("/apis/wardle.example.com").expect(200);
    assert_eq!(group["preferredVersion"]["groupVersion"], GROUP_VERSION);
    let list = api.get("/apis/wardle.example.com/v1alpha1").expect(200);
    assert_eq!(list["resources"][0]["name"], "flunders");
    let version = discovery(api)["versions"][0].clone();
    assert_eq!(
        (&version["freshness"], &version["resources"][0]["resource"]),
        (&json!("Current"), &json!("flunders"))
    );
    let index = api.get("/openapi/v3").expect(200);
    let url = &index["paths"]["apis/wardle.example.com/v1alpha1"]["serverRelativeURL"];
    assert_eq!(url, "/openapi/v3/apis/wardle.example.com/v1alpha1?hash=ABC123");
    let v2 = api.get("/openapi/v2").expect(200);
    assert!(v2["paths"]["/apis/wardle.example.com/v1alpha1/"].is_object());
    assert!(v2["definitions"]["wardle.List"].is_object() && v2["definitions"]["wardle.Other"].is_null());
}

fn gone(api: &Api, path: &str) {
    eventually(&format!("{path} is gone"), || match api.get(path) {
        answer if answer.status == 404 => Ok(()),
        answer => Err(answer.text()),
    });
}

/// A namespace takes along what the other server has in it, and nothing of another one.
fn it_is_emptied_with_its_namespace(api: &Api) {
    let flunders = FLUNDERS.replace("/wardle/", "/leaves/");
    api.namespace("leaves");
    for name in ["a", "b"] {
        let flunder =
            json!({"apiVersion": GROUP_VERSION, "kind": "Flunder", "metadata": {"name": name}, "spec": {}});
        api.post(&flunders, &flunder).expect(201);
    }
    api.delete("/api/v1/namespaces/leaves").expect(200);
    gone(api, "/api/v1/namespaces/leaves");
    assert_eq!(api.get(&flunders).expect(200)["items"], json!([]));
    assert_eq!(api.get(&format!("{FLUNDERS}/a")).status, 200);
}

/// Nobody knows what a silent server has in a namespace, so the namespace waits and says for whom.
fn it_holds_namespaces_while_it_is_silent(api: &Api) {
    api.namespace("held");
    api.delete("/api/v1/namespaces/held").expect(200);
    let message = eventually("the namespace says why it stays", || {
        let namespace = api.get("/api/v1/namespaces/held").json();
        let conditions = namespace["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let failure = conditions.iter().find(|c| c["type"] == "NamespaceDeletionDiscoveryFailure");
        match failure.filter(|c| c["status"] == "True" && c["reason"] == "DiscoveryFailed") {
            Some(condition) => Ok(condition["message"].clone()),
            None => Err(namespace.to_string()),
        }
    });
    let expected = format!(
        "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: \
         {GROUP_VERSION}: stale GroupVersion discovery: {GROUP_VERSION}"
    );
    assert_eq!(message, expected);
}

fn it_may_become_something_else(api: &Api) {
    let mut connection = api.connect().expect("the server takes connections");
    let headers = [("connection", "Upgrade"), ("upgrade", "echo")];
    let path = format!("{FLUNDERS}/a/connect");
    let answer = connection.send("GET", &path, &headers, b"").expect("an answer");
    assert_eq!(answer.status, 101, "{}", answer.text());
    for word in ["one", "two"] {
        assert_eq!(connection.say(&format!("{word}\n")).expect("an answer"), format!("back: {word}"));
    }
}

#[test]
fn what_is_served_here_has_api_services_of_its_own() {
    let server = Server::serve(&[]);
    let api = server.api();
    for name in ["v1.", "v1.apps", "v2.autoscaling"] {
        assert_eq!(available(&api, name, "True", "Local"), "Local APIServices are always available");
    }
    let apps = api.get(&format!("{API_SERVICES}/v1.apps")).expect(200);
    assert_eq!(
        apps["spec"],
        json!({"group": "apps", "groupPriorityMinimum": 17800, "version": "v1", "versionPriority": 15})
    );
    assert_eq!(apps["metadata"]["labels"], json!({"kube-aggregator.kubernetes.io/automanaged": "onstart"}));
    // What is served here is served by nobody else.
    let hijacked =
        json!({"spec": {"service": {"namespace": "default", "name": "evil"}, "insecureSkipTLSVerify": true}});
    api.patch("merge", &format!("{API_SERVICES}/v1.apps"), &hijacked).expect(200);
    eventually("it is as before", || {
        let apps = api.get(&format!("{API_SERVICES}/v1.apps")).json();
        if apps["spec"]["service"].is_null() { Ok(()) } else { Err(apps["spec"].to_string()) }
    });
    api.get("/apis/apps/v1/deployments").expect(200);
    api.delete(&format!("{API_SERVICES}/v1.apps")).expect(200);
    available(&api, "v1.apps", "True", "Local");

    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({"metadata": {"name": "toys.example.com"}, "spec": {
        "group": "example.com", "scope": "Cluster",
        "names": {"plural": "toys", "singular": "toy", "kind": "Toy"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
    }});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    api.post(definitions, &definition).expect(201);
    available(&api, "v1.example.com", "True", "Local");
    api.delete(&format!("{definitions}/toys.example.com")).expect(200);
    eventually("its API service is gone", || {
        match api.get(&format!("{API_SERVICES}/v1.example.com")).status {
            404 => Ok(()),
            other => Err(other.to_string()),
        }
    });
}

#[test]
fn autoscalers_read_metrics_of_other_servers() {
    const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/load/deployments/web";
    const QPS: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/load/pods/*/qps";
    const AUTOSCALERS: &str = "/apis/autoscaling/v2/namespaces/load/horizontalpodautoscalers";
    let server = Server::dev(&["--nodes", "1"]);
    let api = server.api();
    api.namespace("load");
    let wardle = Wardle::start("metrics.load.svc", &authority(&api));
    let service = json!({"metadata": {"name": "metrics"}, "spec": {"type": "ExternalName", "externalName": "localhost"}});
    api.post("/api/v1/namespaces/load/services", &service).expect(201);
    for (group, version) in [
        ("metrics.k8s.io", "v1beta1"),
        ("custom.metrics.k8s.io", "v1beta2"),
        ("external.metrics.k8s.io", "v1beta1"),
    ] {
        let group_version = format!("{group}/{version}");
        let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": []});
        wardle.say(&format!("/apis/{group_version}"), list);
        let name = format!("{version}.{group}");
        let registered = json!({"metadata": {"name": name}, "spec": {
            "group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
            "caBundle": wardle.bundle, "service": {"namespace": "load", "name": "metrics", "port": wardle.port},
        }});
        api.post(API_SERVICES, &registered).expect(201);
        available(&api, &name, "True", "Passed");
    }
    let container = json!({"name": "main", "image": "busybox", "resources": {"requests": {"cpu": "100m"}}});
    let deployment = json!({"metadata": {"name": "web"}, "spec": {"replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}}});
    api.post("/apis/apps/v1/namespaces/load/deployments", &deployment).expect(201);
    let pod = eventually("a ready pod", || {
        let ready = api.get(DEPLOYMENT).expect(200)["status"]["readyReplicas"].clone();
        let pods = api.get("/api/v1/namespaces/load/pods").expect(200);
        let pod = pods["items"][0]["metadata"]["name"].as_str().map(str::to_owned);
        pod.filter(|_| ready == 1).ok_or_else(|| ready.to_string())
    });
    // Two, three, four and five replicas are asked for.
    let at = "2999-01-01T00:00:00Z";
    wardle.say(
        "/apis/metrics.k8s.io/v1beta1/namespaces/load/pods",
        json!({"items": [{"metadata": {"name": pod}, "timestamp": at, "window": "30s",
            "containers": [{"name": "main", "usage": {"cpu": "100m"}}]}]}),
    );
    let described = |value: &str, name: &str| json!({"items": [{"describedObject": {"name": name}, "metric": {}, "timestamp": at, "value": value}]});
    wardle.say(QPS, described("30", &pod));
    wardle.say(
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/load/deployments.apps/web/hits",
        described("40", "web"),
    );
    wardle.say(
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/load/queue",
        json!({"items": [{"timestamp": at, "value": "20"}, {"timestamp": at, "value": "30"}]}),
    );
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let average = json!({"type": "AverageValue", "averageValue": "10"});
    let metrics = json!([
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
        {"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": average}},
        {"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": target,
            "target": {"type": "Value", "value": "10"}}},
        {"type": "External", "external": {"metric": {"name": "queue"}, "target": average}},
    ]);
    let spec = json!({"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 10, "metrics": metrics});
    api.post(AUTOSCALERS, &json!({"metadata": {"name": "web"}, "spec": spec})).expect(201);
    eventually("as many replicas as the most that is asked for", || {
        let replicas = api.get(DEPLOYMENT).expect(200)["spec"]["replicas"].clone();
        if replicas == 5 {
            return Ok(());
        }
        Err(format!("{replicas}: {}", api.get(&format!("{AUTOSCALERS}/web")).text()))
    });
    let status = eventually("what was measured", || {
        let status = api.get(&format!("{AUTOSCALERS}/web")).expect(200)["status"].clone();
        if status["currentMetrics"].is_array() { Ok(status) } else { Err(status.to_string()) }
    });
    let kinds: Vec<&Value> =
        status["currentMetrics"].as_array().expect("metrics").iter().map(|metric| &metric["type"]).collect();
    assert_eq!(kinds, ["Resource", "Pods", "Object", "External"], "{status}");
    let who = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
    assert_eq!(wardle.heard(QPS, "x-remote-user"), [who]);
}
