//! Ingresses, network policies, disruption budgets and service accounts: what the platform team allows, and no more.

use crate::support::tenant::{pod, secret, service};
use crate::support::{Host, Side};
use alcove_object::{Value, meta};
use alcove_syncer::translate::{CLUSTER, NAMESPACE};
use serde_json::json;

fn ingress(name: &str, host: &str) -> Value {
    let path = json!({ "path": "/", "pathType": "Prefix",
                       "backend": { "service": { "name": "web", "port": { "number": 80 } } } });
    json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": { "name": name, "annotations": { "example.com/timeout": "5", "evil.example/snippet": "x" } },
            "spec": { "rules": [{ "host": host, "http": { "paths": [path] } }],
                      "tls": [{ "hosts": [host], "secretName": "cert" }] } })
}

#[tokio::test]
async fn an_ingress_serves_allowed_hosts_only() {
    let host = Host::start().await;
    let mut side = Side::without_syncer(&host, "demo", 2).await;
    let allowed = &mut side.allowed.ingresses;
    (allowed.enabled, allowed.classes, allowed.hosts) =
        (true, vec!["nginx".into()], vec!["*.demo.example.com".into()]);
    allowed.annotations = vec!["example.com/*".into()];
    let class = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
                        "metadata": { "name": "nginx" }, "spec": { "controller": "k8s.io/ingress-nginx" } });
    host.create_cluster_wide("ingressclasses", class).await;
    side.start_syncer(&host).await;
    side.until_cluster_wide("ingressclasses", "nginx", |_| true).await;
    side.create("secrets", secret("cert")).await;
    side.create("services", service("web")).await;
    side.create("ingresses", ingress("web", "shop.demo.example.com")).await;
    let name = "web-x-default-x-demo";
    let on_host = host.until("ingresses", name, |_| true).await;
    assert_eq!(on_host["spec"]["ingressClassName"], "nginx");
    assert_eq!(on_host["spec"]["tls"][0]["secretName"], "cert-x-default-x-demo");
    let backend = "/spec/rules/0/http/paths/0/backend/service/name";
    assert_eq!(on_host.pointer(backend), Some(&json!("web-x-default-x-demo")));
    assert_eq!(meta::annotation(&on_host, "example.com/timeout"), Some("5"));
    assert_eq!(meta::annotation(&on_host, "evil.example/snippet"), None);
    host.until("secrets", "cert-x-default-x-demo", |_| true).await;
    host.status("ingresses", name, json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.9" }] } })).await;
    side.until("ingresses", "web", |i| i["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.9").await;
    for (name, asked) in [("other", "shop.green.example.com"), ("all", ""), ("parent", "demo.example.com")] {
        let mut asking = ingress(name, asked);
        if asked.is_empty() {
            asking["spec"]["rules"][0].as_object_mut().unwrap().remove("host");
            asking["spec"].as_object_mut().unwrap().remove("tls");
        }
        side.create("ingresses", asking).await;
        let event = side.until_event(name, "SyncRefused").await;
        assert!(event["message"].as_str().unwrap().contains("spec.rules[0].host"), "{event}");
    }
    let mut default = ingress("default", "a.demo.example.com");
    default["spec"]["defaultBackend"] = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    side.create("ingresses", default).await;
    side.until_event("default", "SyncRefused").await;
    let mut class = ingress("class", "a.demo.example.com");
    class["spec"]["ingressClassName"] = "internal".into();
    side.create("ingresses", class).await;
    side.until_event("class", "SyncRefused").await;
    assert_eq!(host.list("ingresses").len(), 1);
    // What is not allowed any more goes from the host.
    let stolen = json!({ "spec": { "rules": [{ "host": "shop.green.example.com" }] } });
    side.patch("ingresses", "web", stolen).await;
    host.until_gone("ingresses", name).await;
}

#[tokio::test]
async fn a_network_policy_reaches_no_further_than_its_cluster() {
    let host = Host::start().await;
    let mut side = Side::without_syncer(&host, "demo", 2).await;
    side.allowed.network_policies.enabled = true;
    side.start_syncer(&host).await;
    let policy = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "p" },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                { "from": [{ "podSelector": { "matchLabels": { "app": "web" } },
                             "namespaceSelector": { "matchLabels": { "team": "red" } } }], "ports": [{ "port": 80 }] },
                { "from": [{ "namespaceSelector": {} }] }],
            "egress": [{}, { "to": [{ "ipBlock": { "cidr": "0.0.0.0/0" } }] },
                       { "to": [{ "ipBlock": { "cidr": "10.0.0.0/8" } }, { "podSelector": {} }] }] } });
    side.create("networkpolicies", policy).await;
    let told = || {
        let events = crate::support::list(&side.client, "events", "default");
        let says = |event: &Value| event["message"].as_str().is_some_and(|m| m.contains("spec.egress[0].to"));
        let is_told = events.iter().any(|event| event["reason"] == "SyncedInPart" && says(event));
        is_told.then_some(()).ok_or_else(|| format!("not told: {events:?}"))
    };
    side.changes.until(told).await;
    let on_host = host.until("networkpolicies", "p-x-default-x-demo", |_| true).await;
    let (spec, here) = (&on_host["spec"], json!({ CLUSTER: "demo", NAMESPACE: "default" }));
    assert_eq!(spec["podSelector"]["matchLabels"], here);
    assert!(!on_host.to_string().contains("ipBlock"), "{on_host}");
    let everybody = json!({ "podSelector": { "matchLabels": { CLUSTER: "demo" } } });
    assert_eq!(spec["ingress"][1]["from"], json!([everybody]));
    let web = &spec["ingress"][0]["from"][0]["podSelector"];
    assert_eq!(web["matchLabels"], json!({ CLUSTER: "demo", "labels.alcove.dev/app": "web" }));
    assert_eq!(web["matchExpressions"][0]["key"], "namespace.alcove.dev/team");
    assert_eq!(spec["egress"].as_array().map(Vec::len), Some(2), "a rule without peers left is no rule");
    assert_eq!(spec["egress"][0]["to"], json!([everybody]));
    assert_eq!(spec["egress"][1]["to"], json!([{ "podSelector": { "matchLabels": here } }]));
}

#[tokio::test]
async fn a_disruption_budget_is_about_the_pods_of_its_namespace() {
    let host = Host::start().await;
    let mut side = Side::without_syncer(&host, "demo", 2).await;
    side.allowed.pod_disruption_budgets.enabled = true;
    side.start_syncer(&host).await;
    let budget = json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "b" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } } } });
    side.create("poddisruptionbudgets", budget).await;
    let name = "b-x-default-x-demo";
    let on_host = host.until("poddisruptionbudgets", name, |_| true).await;
    let labels = json!({ CLUSTER: "demo", NAMESPACE: "default", "labels.alcove.dev/app": "web" });
    assert_eq!(on_host["spec"]["selector"]["matchLabels"], labels);
    side.patch(
        "poddisruptionbudgets",
        "b",
        json!({ "spec": { "unhealthyPodEvictionPolicy": "AlwaysAllow" } }),
    )
    .await;
    host.until("poddisruptionbudgets", name, |b| b["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow")
        .await;
}

#[tokio::test]
async fn a_service_account_is_on_the_host_while_a_pod_uses_it() {
    let host = Host::start().await;
    let mut side = Side::without_syncer(&host, "demo", 2).await;
    side.allowed.service_accounts.enabled = true;
    side.allowed.service_accounts.annotations = vec!["eks.amazonaws.com/role-arn".into()];
    side.start_syncer(&host).await;
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "app",
        "annotations": { "eks.amazonaws.com/role-arn": "arn", "other": "x" } }, "secrets": [{ "name": "s" }] });
    side.create("serviceaccounts", account).await;
    let mut using = pod("web");
    using["spec"]["serviceAccountName"] = "app".into();
    side.create("pods", using).await;
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    let on_host = host.get("serviceaccounts", "app-x-default-x-demo").unwrap();
    assert_eq!(meta::annotation(&on_host, "eks.amazonaws.com/role-arn"), Some("arn"));
    assert_eq!(meta::annotation(&on_host, "other"), None);
    assert_eq!((&on_host["automountServiceAccountToken"], on_host.get("secrets")), (&json!(false), None));
    side.delete("pods", "web", Some(0)).await;
    host.until_gone("serviceaccounts", "app-x-default-x-demo").await;
}
