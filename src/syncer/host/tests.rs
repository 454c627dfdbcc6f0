//! What the host is known to be, told by events one after another.

use super::*;
use crate::host_object::tests::told;
use crate::translate::Tenant;
use serde_json::json;

fn tenant() -> Tenant {
    Tenant { cluster: "demo".into(), host_namespace: "h".into() }
}

fn service() -> &'static Rule {
    crate::rules::rule("services").unwrap()
}

/// Our object on the host, with this UID and revision and with these fields ours.
fn object(uid: &str, revision: u64, ours: &Value) -> Value {
    json!({ "kind": "Service", "metadata": {
        "name": "web-x-default-x-demo", "uid": uid, "resourceVersion": revision.to_string(),
        "labels": { translate::CLUSTER: "demo" },
        "annotations": { translate::NAMESPACE: "default", translate::NAME: "web", translate::UID: "t" },
        "managedFields": [
            { "manager": "other", "operation": "Update", "fieldsV1": { "f:x": {} } },
            { "manager": "alcove", "operation": "Apply", "subresource": "status", "fieldsV1": { "f:y": {} } },
            { "manager": "alcove", "operation": "Apply", "fieldsV1": ours },
        ],
    } })
}

fn see(host: &Host, object: &Value, sent: Option<u64>) -> bool {
    let owner = translate::owner(&tenant(), object);
    match sent {
        Some(sent) => host.answered(service(), owner, &told(object), sent),
        None => host.observe(service(), owner, &told(object)),
    }
}

const NAME: &str = "web-x-default-x-demo";

fn facts(host: &Host) -> Facts {
    host.facts(service(), NAME).unwrap()
}

#[test]
fn a_field_that_somebody_takes_is_drift_and_others_are_not() {
    let (host, ours) = (Host::default(), json!({ "f:spec": { "f:type": {} } }));
    see(&host, &object("u", 5, &ours), Some(42));
    assert!(facts(&host).is_intact(42));
    assert!(!facts(&host).is_intact(43), "the tenant wants something else");
    let mut elsewhere = object("u", 6, &ours);
    elsewhere["spec"] = json!({ "clusterIP": "10.0.0.1" });
    assert!(see(&host, &elsewhere, None));
    assert!(facts(&host).is_intact(42));
    see(&host, &object("u", 7, &json!({})), None);
    assert!(!facts(&host).is_intact(42));
}

#[test]
fn what_is_older_than_what_is_known_is_passed_over() {
    let (host, ours) = (Host::default(), json!({}));
    see(&host, &object("u", 5, &ours), Some(42));
    assert!(!see(&host, &object("u", 4, &json!({"f:a": {}})), None));
    assert!(!see(&host, &object("u", 5, &ours), None), "the echo of our write");
    assert!(!see(&host, &object("before", 3, &ours), None));
    assert!(facts(&host).is_intact(42));
    assert_eq!(host.forget(service(), NAME, "before"), None);
    assert_eq!(host.forget(service(), NAME, "u").as_deref(), Some("services|default/web"));
}

#[test]
fn an_answer_that_comes_after_the_end_is_passed_over() {
    let (host, ours) = (Host::default(), json!({}));
    assert_eq!(host.forget(service(), NAME, "u"), None, "made and deleted before the answer was read");
    assert!(!see(&host, &object("u", 5, &ours), Some(42)));
    assert_eq!(host.facts(service(), NAME), None);
    assert!(see(&host, &object("next", 7, &ours), Some(42)));
}

#[test]
fn a_state_is_handed_on_once_and_to_its_own_object_only() {
    let (host, ours) = (Host::default(), json!({}));
    host.hand_on(service(), object("u", 5, &ours));
    assert_eq!(host.take_seen(service(), NAME, "another"), None);
    assert_eq!(host.take_seen(service(), NAME, "t"), None);
    see(&host, &object("u2", 6, &ours), None);
    host.put_back(service(), NAME, object("u", 5, &ours));
    assert_eq!(host.take_seen(service(), NAME, "t"), None, "the object was replaced meanwhile");
    host.put_back(service(), NAME, object("u2", 6, &ours));
    host.hand_on(service(), object("u2", 7, &ours));
    host.put_back(service(), NAME, object("u2", 6, &ours));
    assert_eq!(host.take_seen(service(), NAME, "t").map(|seen| meta::revision(&seen)), Some(7));
}

#[test]
fn an_answer_takes_the_place_of_an_older_state_that_waits() {
    let (host, ours) = (Host::default(), json!({}));
    let revision = |host: &Host| host.take_seen(service(), NAME, "t").map(|seen| meta::revision(&seen));
    host.hand_on(service(), object("u", 5, &ours));
    see(&host, &object("u", 6, &ours), Some(42));
    assert_eq!(revision(&host), Some(6));
    assert_eq!(revision(&host), None);
    host.hand_on(service(), object("u", 8, &ours));
    see(&host, &object("u", 7, &ours), Some(42));
    assert_eq!(revision(&host), Some(8), "the watch was ahead");
    see(&host, &object("u", 9, &ours), Some(42));
    assert_eq!(revision(&host), None, "nothing waited");
}

#[test]
fn who_was_blocked_is_told_when_the_name_is_free() {
    let host = Host::default();
    let foreign = json!({ "metadata": { "name": NAME, "uid": "f", "resourceVersion": "3" } });
    assert!(see(&host, &foreign, None));
    host.block(service(), NAME, "services|default/web".into());
    assert_eq!(host.forget(service(), NAME, "f").as_deref(), Some("services|default/web"));
}

#[test]
fn pauses_grow_and_start_again() {
    let mut pauses = Pauses::default();
    let first: Vec<Duration> = pauses.by_ref().take(10).collect();
    assert_eq!((first[0], first[9]), (WATCH_PAUSE_MIN, WATCH_PAUSE_MAX));
    pauses.reset();
    assert_eq!(pauses.next(), Some(WATCH_PAUSE_MIN));
}

#[test]
fn an_address_is_the_tenants_while_a_pod_of_its_own_has_it() {
    let pods = crate::rules::rule("pods").unwrap();
    let pod = |revision: u64, ips: Value, node: &str| {
        json!({ "metadata": { "name": "p", "uid": "u", "resourceVersion": revision.to_string() },
                "status": { "podIPs": ips, "hostIPs": [{ "ip": node }] } })
    };
    let ours = || Some(Owner { namespace: "default".into(), name: "p".into(), uid: "t".into() });
    let (host, address) = (Host::default(), "10.0.0.7".parse().unwrap());
    host.observe(pods, ours(), &told(&pod(1, json!([{ "ip": "10.0.0.7" }]), "192.0.2.1")));
    assert!(host.is_pod_address(address));
    host.observe(pods, ours(), &told(&pod(2, json!([{ "ip": "10.0.0.7" }]), "10.0.0.7")));
    assert!(!host.is_pod_address(address), "it is the node's");
    host.observe(pods, ours(), &told(&pod(3, json!([{ "ip": "10.0.0.7" }]), "192.0.2.1")));
    host.forget(pods, "p", "u");
    assert!(!host.is_pod_address(address));
    host.observe(pods, None, &told(&pod(4, json!([{ "ip": "10.0.0.7" }]), "192.0.2.1")));
    assert!(!host.is_pod_address(address), "another's pod");
}

#[test]
fn names_of_nodes_are_hidden_word_by_word() {
    let host = Host::default();
    host.note_node("node-ab", "ip-10");
    let told = host.hide_nodes("Assigned d/web to ip-10. ip-10-b and \"ip-10\" differ");
    assert_eq!(told, "Assigned d/web to node-ab. ip-10-b and \"node-ab\" differ");
    assert_eq!(host.node("node-ab").as_deref(), Some("ip-10"));
}

#[test]
fn what_a_watch_tells_of_a_pod_that_is_being_made_is_no_news() {
    let pods = crate::rules::rule("pods").unwrap();
    let pod = |revision: u64, spec: Value| json!({ "metadata": { "name": "p", "uid": "u", "resourceVersion": revision.to_string() }, "spec": spec });
    let ours = || Some(Owner { namespace: "default".into(), name: "p".into(), uid: "t".into() });
    let (host, key) = (Host::default(), Key::from("pods|default/p"));
    let is_passed_over = |pod: &Value| {
        host.observe(pods, ours(), &told(pod));
        host.passes_over(pods, &key, pod)
    };
    assert!(!is_passed_over(&pod(1, json!({}))), "nobody makes it");
    host.begin_making(pods, "p");
    assert!(!is_passed_over(&pod(2, json!({ "nodeName": "n" }))), "it says where it runs");
    assert_eq!(host.end_making(pods, "p", Some(1)), None);

    host.begin_making(pods, "p");
    assert!(is_passed_over(&pod(3, json!({}))));
    assert_eq!(host.end_making(pods, "p", Some(3)), None, "the answer says the same");
    for answer in [Some(4), None] {
        host.begin_making(pods, "p");
        assert!(is_passed_over(&pod(5, json!({}))));
        assert_eq!(host.end_making(pods, "p", answer), Some(key.clone()), "the answer says something else");
    }
}
