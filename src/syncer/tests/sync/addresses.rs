//! Addresses of services come from the host, and are in the answer to the create.

use crate::support::host::{NAMESPACE, creates};
use crate::support::tenant::service;
use crate::support::{Host, Side, gvr, list};
use alcove_apiserver::admission::Attributes;
use alcove_object::{Reason, Status, meta};
use alcove_syncer::translate::{CLUSTER, KIND, NAME, NAMESPACE as NAMESPACE_MARK, UID};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn a_new_service_has_its_address_in_the_answer() {
    let host = Host::start_with_addresses().await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    let mut wanted = service("web");
    wanted["spec"]["type"] = "NodePort".into();
    let made = side.create("services", wanted).await;
    let on_host = host.get("services", "web-x-default-x-demo").unwrap();
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        assert_eq!(made["spec"][field], on_host["spec"][field], "{field}");
    }
    assert!(made["spec"]["clusterIP"].as_str().unwrap().starts_with("10."), "{made}");
    assert_eq!(made["spec"]["ports"][0]["nodePort"], on_host["spec"]["ports"][0]["nodePort"]);
    assert_eq!(meta::annotation(&on_host, UID), Some(meta::uid(&made)));
    side.settled(&host).await;
    side.patch("services", "web", json!({ "metadata": { "labels": { "a": "b" } } })).await;
    let is_labelled = |s: &serde_json::Value| meta::label(s, "labels.alcove.dev/a") == Some("b");
    let after = host.until("services", "web-x-default-x-demo", is_labelled).await;
    assert_eq!(after["spec"]["clusterIP"], on_host["spec"]["clusterIP"]);
    assert_eq!(
        (host.writes("Create services"), host.writes("Update services")),
        (1, 1),
        "no request too many"
    );
    side.delete("services", "web", None).await;
    host.until_gone("services", "web-x-default-x-demo").await;
}

#[tokio::test]
async fn a_service_made_again_at_once_has_an_address_at_once() {
    let host = Host::start_with_addresses().await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    side.create("services", service("web")).await;
    side.delete("services", "web", None).await;
    let made = side.create("services", service("web")).await;
    assert!(made["spec"]["clusterIP"].as_str().is_some_and(|ip| ip.starts_with("10.")), "{made}");
    let is_the_new_ones = |s: &serde_json::Value| meta::annotation(s, UID) == Some(meta::uid(&made));
    host.until("services", "web-x-default-x-demo", is_the_new_ones).await;
    side.settled(&host).await;
}

#[tokio::test]
async fn an_address_asked_for_is_given_or_refused_by_the_host() {
    let host = Host::start_with_addresses().await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    let mut asking = service("dns");
    asking["spec"]["clusterIP"] = "10.96.0.10".into();
    let made = side.create("services", asking.clone()).await;
    assert_eq!(made["spec"]["clusterIP"], "10.96.0.10");
    asking["metadata"]["name"] = "second".into();
    let refused = side.client.create(&gvr("services"), "default", asking).await.unwrap_err();
    assert!(refused.message.contains("provided IP is already allocated"), "{refused}");
    side.settled(&host).await;
}

#[tokio::test]
async fn a_dry_run_writes_nothing_to_the_host() {
    let host = Host::start_with_addresses().await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    let options = alcove_apiserver::options::WriteOptions {
        dry_run: true,
        force: true,
        field_manager: "test".into(),
        ..Default::default()
    };
    let (services, kind) = (gvr("services"), alcove_apiserver::options::PatchType::Apply);
    let shown = side.client.patch(&services, "", "default", "web", kind, service("web"), &options).await;
    assert!(shown.unwrap().parse()["spec"]["clusterIP"].as_str().is_some_and(|ip| !ip.is_empty()));
    assert!(host.list("services").is_empty());
    assert!(side.get("services", "web").is_none());
}

#[tokio::test]
async fn a_host_that_is_away_gives_no_address_and_says_so() {
    let host = Host::start_with_addresses().await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    side.create("services", service("before")).await;
    host.proxy.shut();
    let refused = side.client.create(&gvr("services"), "default", service("web")).await.unwrap_err();
    assert_eq!((refused.code, refused.reason.clone()), (503, Reason::SERVICE_UNAVAILABLE));
    assert!(refused.message.contains("host"), "{refused}");
    host.proxy.open();
    side.settled(&host).await;
}

#[tokio::test]
async fn what_was_made_for_a_service_that_was_never_stored_goes() {
    let host = Host::start_with_addresses().await;
    // As it is left by a process that ended between the two writes.
    let mut left = service("lost-x-default-x-demo");
    left["metadata"]["labels"] = json!({ CLUSTER: "demo", NAMESPACE_MARK: "default" });
    left["metadata"]["annotations"] =
        json!({ NAMESPACE_MARK: "default", NAME: "lost", UID: "never", KIND: "Service" });
    host.create("services", left).await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    host.until_gone("services", "lost-x-default-x-demo").await;
    side.settled(&host).await;
}

#[tokio::test]
async fn the_tenants_own_address_is_that_of_the_hosts_service_named_like_it() {
    let host = Host::start_with_addresses().await;
    let front = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "demo", "namespace": NAMESPACE },
                        "spec": { "ports": [{ "name": "https", "port": 443, "targetPort": 8443 }] } });
    let front = host.create("services", front).await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    let shown = |ip: serde_json::Value| {
        let client = side.client.clone();
        move || {
            let services = list(&client, "services", "default");
            let found =
                services.iter().find(|s| meta::name(s) == "kubernetes" && s["spec"]["clusterIP"] == ip);
            found.cloned().ok_or_else(|| format!("{services:?}"))
        }
    };
    let service = side.changes.until(shown(front["spec"]["clusterIP"].clone())).await;
    assert_eq!(service["spec"]["ports"][0]["port"], 443);
    // The host's service was made anew, with another address.
    host.delete("services", "demo", None).await;
    let other = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "demo" },
                        "spec": { "clusterIP": "10.96.7.7", "ports": [{ "name": "https", "port": 443 }] } });
    host.create("services", other).await;
    side.changes.until(shown("10.96.7.7".into())).await;
    let is_its_block = |block: &serde_json::Value| block["spec"]["cidrs"] == json!(["10.96.7.7/32"]);
    side.until_cluster_wide("servicecidrs", "kubernetes", is_its_block).await;
    assert!(host.objects_of("demo").is_empty(), "the tenant's own service does not go to the host");
}

#[tokio::test]
async fn a_service_deleted_on_the_host_comes_back_with_its_address_unless_another_has_it() {
    let host = Host::start_with_addresses().await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    let made = side.create("services", service("web")).await;
    let before = host.until("services", "web-x-default-x-demo", |_| true).await;
    side.settled(&host).await;
    host.delete("services", "web-x-default-x-demo", None).await;
    let is_new = |s: &serde_json::Value| meta::uid(s) != meta::uid(&before);
    let again = host.until("services", "web-x-default-x-demo", is_new).await;
    assert_eq!(again["spec"]["clusterIP"], made["spec"]["clusterIP"]);
    side.settled(&host).await;
    assert_eq!(
        host.get("services", "web-x-default-x-demo").unwrap()["spec"]["clusterIP"],
        made["spec"]["clusterIP"]
    );

    host.proxy.shut();
    host.delete("services", "web-x-default-x-demo", None).await;
    // An address that was just given back is kept for a while for whoever is about to store it.
    host.advance(600);
    let mut thief = service("thief");
    thief["spec"]["clusterIP"] = made["spec"]["clusterIP"].clone();
    host.client.create(&gvr("services"), NAMESPACE, thief).await.unwrap();
    // It is asked for until nobody can be about to give it free any more.
    let (asked, env, ip) = (AtomicUsize::new(0), side.env.clone(), made["spec"]["clusterIP"].clone());
    host.admit(move |write| {
        if creates(write, "services") && write.object["spec"]["clusterIP"] == ip {
            match asked.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => {}
                _ => env.advance(10),
            }
        }
        Ok(())
    });
    host.proxy.open();
    let other = host.until("services", "web-x-default-x-demo", |s| meta::uid(s) != meta::uid(&again)).await;
    assert_ne!(other["spec"]["clusterIP"], made["spec"]["clusterIP"]);
}

#[tokio::test]
async fn what_the_host_gives_free_late_is_waited_for() {
    let host = Host::start_with_addresses().await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    let mut wanted = service("web");
    wanted["spec"]["type"] = "NodePort".into();
    let made = side.create("services", wanted.clone()).await;
    let before = host.until("services", "web-x-default-x-demo", |_| true).await;
    side.settled(&host).await;
    let asked = Arc::new(AtomicUsize::new(0));
    // As kube-apiserver answers between the end of a service and that of its address.
    let given = |asked: &Arc<AtomicUsize>| {
        let asked = asked.clone();
        move |write: &mut Attributes<'_>| {
            let asks = creates(write, "services") && write.object["spec"]["clusterIP"].is_string();
            match asks && asked.fetch_add(1, Ordering::SeqCst) % 4 < 3 {
                true => {
                    let why = "failed to allocate IP: provided IP is already allocated";
                    Err(Status::new(422, Reason::INVALID, why))
                }
                false => Ok(()),
            }
        }
    };
    host.admit(given(&asked));
    host.delete("services", "web-x-default-x-demo", None).await;
    let is_new = |s: &serde_json::Value| meta::uid(s) != meta::uid(&before);
    let again = host.until("services", "web-x-default-x-demo", is_new).await;
    for field in ["/spec/clusterIP", "/spec/ports"] {
        assert_eq!(again.pointer(field), made.pointer(field), "{field}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    side.settled(&host).await;
    // A client that replaces a service gets what it had, too.
    wanted["spec"] = made["spec"].clone();
    side.delete("services", "web", None).await;
    let replaced = side.create("services", wanted).await;
    assert_eq!(replaced["spec"]["clusterIP"], made["spec"]["clusterIP"]);
    side.settled(&host).await;
    let again = host.get("services", "web-x-default-x-demo").unwrap();
    assert_eq!(again["spec"]["clusterIP"], made["spec"]["clusterIP"]);
    assert_eq!(asked.load(Ordering::SeqCst), 8);
}

fn leads_to(name: &str) -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "type": "ExternalName", "externalName": "db.example.com" } })
}

#[tokio::test]
async fn a_service_that_becomes_one_with_an_address_has_it_in_the_answer() {
    let host = Host::start_with_addresses().await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    side.create("services", leads_to("web")).await;
    let plain = host.until("services", "web-x-default-x-demo", |_| true).await;
    side.settled(&host).await;
    // No service of these states is without what its type has.
    let to_address = json!({ "spec": { "type": "ClusterIP", "externalName": null, "selector": { "app": "web" },
                                       "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }] } });
    let with_address = side.patch("services", "web", to_address).await;
    let on_host = host.get("services", "web-x-default-x-demo").unwrap();
    assert_eq!(meta::uid(&on_host), meta::uid(&plain), "it is changed, not made anew");
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        assert_eq!(with_address["spec"][field], on_host["spec"][field], "{field}");
    }
    assert!(with_address["spec"]["clusterIP"].as_str().unwrap().starts_with("10."), "{with_address}");
    let to_port = json!({ "spec": { "type": "NodePort" } });
    let with_port = side.patch("services", "web", to_port).await;
    let on_host = host.get("services", "web-x-default-x-demo").unwrap();
    assert!(with_port["spec"]["ports"][0]["nodePort"].as_u64().is_some_and(|port| port > 0), "{with_port}");
    assert_eq!(with_port["spec"]["ports"][0]["nodePort"], on_host["spec"]["ports"][0]["nodePort"]);
    assert_eq!(with_port["spec"]["clusterIP"], with_address["spec"]["clusterIP"]);
    side.settled(&host).await;
    let writes = host.writes("Update services");
    side.patch("services", "web", json!({ "metadata": { "labels": { "a": "b" } } })).await;
    let is_labelled = |s: &serde_json::Value| meta::label(s, "labels.alcove.dev/a") == Some("b");
    host.until("services", "web-x-default-x-demo", is_labelled).await;
    assert_eq!((writes, host.writes("Update services")), (2, 3), "no request too many");
    // And back: what it does not need any more goes.
    let to_name = json!({ "spec": { "type": "ExternalName", "externalName": "db.example.com" } });
    let back = side.patch("services", "web", to_name).await;
    assert!(back["spec"].get("clusterIP").is_none(), "{back}");
    host.until("services", "web-x-default-x-demo", |s| s["spec"]["type"] == "ExternalName").await;
    side.settled(&host).await;
}

#[tokio::test]
async fn a_change_that_needs_an_address_is_refused_while_the_host_gives_none() {
    let host = Host::start_with_addresses().await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    side.create("services", leads_to("web")).await;
    side.create("services", service("other")).await;
    side.settled(&host).await;
    let change = |spec: serde_json::Value| {
        let (services, options) = (gvr("services"), Default::default());
        let kind = alcove_apiserver::options::PatchType::Merge;
        let patch = json!({ "spec": spec });
        let client = side.client.clone();
        async move { client.patch(&services, "", "default", "web", kind, patch, &options).await }
    };
    let taken = side.get("services", "other").unwrap()["spec"]["clusterIP"].clone();
    let ports = json!([{ "port": 80 }]);
    let wanted = json!({ "type": "ClusterIP", "externalName": null, "clusterIP": taken, "ports": ports });
    let refused = change(wanted).await.unwrap_err();
    assert!(refused.message.contains("provided IP is already allocated"), "{refused}");
    host.proxy.shut();
    let wanted = json!({ "type": "ClusterIP", "externalName": null, "ports": ports });
    let refused = change(wanted.clone()).await.unwrap_err();
    assert_eq!((refused.code, refused.reason.clone()), (503, Reason::SERVICE_UNAVAILABLE));
    assert_eq!(side.get("services", "web").unwrap()["spec"]["type"], "ExternalName");
    // What needs nothing of the host is stored all the same.
    change(json!({ "externalName": "other.example.com" })).await.unwrap();
    host.proxy.open();
    host.until("services", "web-x-default-x-demo", |s| s["spec"]["externalName"] == "other.example.com")
        .await;
    let made = change(wanted).await.unwrap().parse();
    assert!(made["spec"]["clusterIP"].as_str().is_some_and(|ip| ip.starts_with("10.")), "{made}");
    side.settled(&host).await;
}

#[tokio::test]
async fn a_new_service_has_the_annotations_that_the_platform_team_lets_pass() {
    let host = Host::start_with_addresses().await;
    let mut allowed = alcove_config::Sync::default();
    allowed.services.annotations = vec!["example.com/*".into()];
    let side = Side::start_with_addresses_and(&host, "demo", 2, allowed).await;
    let mut annotated = service("web");
    annotated["metadata"]["annotations"] = json!({ "example.com/pool": "a", "other.example.org/b": "c" });
    side.create("services", annotated).await;
    let on_host = host.until("services", "web-x-default-x-demo", |_| true).await;
    assert_eq!(meta::annotation(&on_host, "example.com/pool"), Some("a"));
    assert_eq!(meta::annotation(&on_host, "other.example.org/b"), None);
}
