//! One table over every kind of record in the DNS specification 1.1, and over what lies between.

use super::*;
use crate::index::Part;
use serde_json::{Value, json};

fn service(name: &str, spec: Value) -> (Part, String, Value) {
    (Part::Services, name.to_owned(), json!({ "metadata": { "labels": null }, "spec": spec }))
}

fn slice(name: &str, service: &str, ports: Value, endpoints: Value) -> (Part, String, Value) {
    let metadata = json!({ "labels": { "kubernetes.io/service-name": service } });
    (Part::Slices, name.to_owned(), json!({ "metadata": metadata, "ports": ports, "endpoints": endpoints }))
}

fn pod(name: &str, ips: &[&str], phase: &str) -> (Part, String, Value) {
    let ips: Vec<Value> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
    (
        Part::Pods,
        name.to_owned(),
        json!({ "status": { "phase": phase, "podIP": ips[0]["ip"], "podIPs": ips } }),
    )
}

fn objects() -> Vec<(Part, String, Value)> {
    let http = json!([{ "name": "http", "port": 80, "protocol": "TCP" }, { "name": "dns", "port": 53, "protocol": "UDP" }]);
    vec![
        (Part::Namespaces, "default".into(), json!({})),
        (Part::Namespaces, "other".into(), json!({})),
        (Part::Namespaces, "kube-system".into(), json!({})),
        service(
            "default/web",
            json!({ "type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ports": http }),
        ),
        service(
            "default/dual",
            json!({
                "clusterIP": "10.96.0.2", "clusterIPs": ["10.96.0.2", "2001:db8::2"],
                "ports": [{ "name": "https", "port": 443 }],
            }),
        ),
        service(
            "default/six",
            json!({ "clusterIP": "2001:db8::6", "clusterIPs": ["2001:db8::6"], "ports": [{ "port": 1 }] }),
        ),
        service("default/waiting", json!({ "type": "ClusterIP", "ports": [{ "name": "http", "port": 80 }] })),
        service(
            "kube-system/kube-dns",
            json!({ "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "ports": [{ "port": 53 }] }),
        ),
        slice(
            "default/web-1",
            "web",
            http.clone(),
            json!([{ "addresses": ["10.1.0.9"], "conditions": { "ready": true } }]),
        ),
        service("default/pets", json!({ "clusterIP": "None", "clusterIPs": ["None"], "ports": http })),
        slice(
            "default/pets-1",
            "pets",
            http.clone(),
            json!([
                { "addresses": ["10.1.0.1"], "hostname": "cat", "conditions": { "ready": true, "serving": true } },
                { "addresses": ["10.1.0.2"], "hostname": "dog", "conditions": {} },
                { "addresses": ["10.1.0.3"], "conditions": { "ready": true } },
                { "addresses": ["10.1.0.4"], "hostname": "sick", "conditions": { "ready": false } },
            ]),
        ),
        slice(
            "default/pets-2",
            "pets",
            http.clone(),
            json!([
                { "addresses": ["2001:db8::11"], "hostname": "cat" }, { "addresses": ["2001:db8::"] },
                { "addresses": ["10.1.0.1"], "hostname": "cat" },
            ]),
        ),
        service("default/early", json!({ "clusterIP": "None", "publishNotReadyAddresses": true })),
        slice(
            "default/early-1",
            "early",
            Value::Null,
            json!([{ "addresses": ["10.1.1.1"], "conditions": { "ready": false } }]),
        ),
        service("default/empty", json!({ "clusterIP": "None", "ports": http })),
        slice(
            "default/empty-1",
            "empty",
            http.clone(),
            json!([{ "addresses": ["10.1.2.1"], "conditions": { "ready": false } }]),
        ),
        slice("default/orphan-1", "gone", http, json!([{ "addresses": ["10.1.3.1"] }])),
        service("default/far", json!({ "type": "ExternalName", "externalName": "www.Example.com" })),
        service(
            "default/near",
            json!({ "type": "ExternalName", "externalName": "web.default.svc.cluster.local." }),
        ),
        service("default/bad", json!({ "type": "ExternalName", "externalName": "a..b" })),
        pod("default/one", &["10.1.0.1", "2001:db8::11"], "Running"),
        pod("default/done", &["10.1.0.7"], "Succeeded"),
        (
            Part::Pods,
            "default/going".into(),
            json!({
            "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" }, "status": { "podIP": "10.1.0.8" } }),
        ),
        (
            Part::Nodes,
            "node-1".into(),
            json!({ "status": { "addresses": [
            { "type": "Hostname", "address": "node-1" }, { "type": "InternalIP", "address": "192.0.2.1" },
            { "type": "InternalIP", "address": "2001:db8:1::1" }, { "type": "ExternalIP", "address": "203.0.113.1" }] } }),
        ),
        (Part::Nodes, "node-2.example.org".into(), json!({ "status": {} })),
    ]
}

fn index() -> Index {
    let mut index = Index::default();
    for (part, key, object) in objects() {
        index.put(part, &key.as_str().into(), Some(object.to_string().as_bytes()));
    }
    index
}

fn zones() -> Zones {
    let name = |text| Name::from_ascii(text).unwrap();
    Zones {
        domain: name("cluster.local."),
        hidden: vec![name("host.example.")],
        reverse: ["10.0.0.0/8", "172.16.0.0/12", "fd00::/7"].map(|range| range.parse().unwrap()).to_vec(),
    }
}

/// An answer as lines: the code, the answers, then `+` and what comes along, then `!` and the zone that says no.
fn lines(answer: Option<Answer>) -> String {
    let Some(answer) = answer else { return "forward".to_owned() };
    assert!(answer.authoritative || answer.code == ResponseCode::ServFail);
    let code = match answer.code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        code => format!("{code:?}"),
    };
    let text = |record: &Record| {
        assert_eq!(record.ttl, TTL_SECONDS);
        format!("{} {} {}", record.name, record.record_type(), record.data)
    };
    let mut answers: Vec<String> = answer.answers.iter().map(text).collect();
    answers.sort();
    let mut out: Vec<String> = [code].into_iter().chain(answers).collect();
    out.extend(answer.additionals.iter().map(|record| format!("+ {}", text(record))));
    out.extend(answer.authorities.iter().map(|record| format!("! {} {}", record.name, record.record_type())));
    out.extend(answer.chase.map(|name| format!("> {name}")));
    out.join("\n")
}

fn ask(index: &Index, name: &str, kind: &str) -> Option<Answer> {
    let question = Query::query(Name::from_ascii(name).unwrap(), kind.parse().unwrap());
    View { zones: &zones(), index, serial: 7, turn: 0 }.answer(&question)
}

fn assert_table(table: &str) {
    let index = index();
    let cases: Vec<&str> = table.trim().split("\n\n").collect();
    for case in cases {
        let (asked, expected) = case.split_once('\n').unwrap();
        let (kind, name) = asked.trim().split_once(' ').unwrap();
        let expected: Vec<&str> = expected.lines().collect();
        assert_eq!(lines(ask(&index, name, kind)), expected.join("\n"), "{asked}");
    }
}

#[test]
fn every_record_of_the_specification() {
    assert_table(include_str!("specification.txt"));
}

#[test]
fn what_lies_between() {
    assert_table(include_str!("beyond.txt"));
}

#[test]
fn addresses_take_turns_and_keep_the_case_of_the_question() {
    let index = index();
    let zones = zones();
    let question = Query::query(Name::from_ascii("Pets.Default.svc.cluster.LOCAL.").unwrap(), RecordType::A);
    let mut firsts = Vec::new();
    for turn in 0..6 {
        let answer = View { zones: &zones, index: &index, serial: 7, turn }.answer(&question).unwrap();
        assert_eq!(answer.answers.len(), 3);
        assert_eq!(answer.answers[0].name.to_string(), "Pets.Default.svc.cluster.LOCAL.");
        firsts.push(answer.answers[0].data.to_string());
    }
    assert_eq!(firsts, ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.1", "10.1.0.2", "10.1.0.3"]);
}

#[test]
fn the_name_that_somebody_chose_comes_first() {
    let mut index = index();
    let endpoints = json!([{ "addresses": ["10.1.0.1"] }]);
    let (part, key, object) = slice("default/a-1", "web", json!([]), endpoints);
    index.put(part, &key.as_str().into(), Some(object.to_string().as_bytes()));
    let answer = ask(&index, "1.0.1.10.in-addr.arpa.", "PTR").unwrap();
    let names: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(names, ["cat.pets.default.svc.cluster.local.", "10-1-0-1.web.default.svc.cluster.local."]);
}

#[test]
fn nothing_is_left_of_what_was_deleted() {
    let mut index = index();
    for (part, key, _) in objects() {
        index.put(part, &key.as_str().into(), None);
    }
    assert_eq!(format!("{index:?}"), format!("{:?}", Index::default()));
}

#[test]
fn a_change_takes_the_place_of_what_was_there() {
    let mut index = index();
    let (part, key, object) =
        service("default/web", json!({ "clusterIPs": ["10.96.0.99"], "clusterIP": "10.96.0.99" }));
    index.put(part, &key.as_str().into(), Some(object.to_string().as_bytes()));
    assert!(lines(ask(&index, "web.default.svc.cluster.local.", "A")).ends_with(" 10.96.0.99"));
    assert!(lines(ask(&index, "1.0.96.10.in-addr.arpa.", "PTR")).starts_with("NXDOMAIN"));
    assert!(lines(ask(&index, "99.0.96.10.in-addr.arpa.", "PTR")).starts_with("NOERROR"));
    let (part, key, object) = pod("default/one", &["10.1.0.77"], "Running");
    index.put(part, &key.as_str().into(), Some(object.to_string().as_bytes()));
    assert!(lines(ask(&index, "10-1-0-1.default.pod.cluster.local.", "A")).starts_with("NXDOMAIN"));
    assert!(lines(ask(&index, "10-1-0-77.default.pod.cluster.local.", "A")).starts_with("NOERROR"));
    index.clear(Part::Slices);
    assert!(lines(ask(&index, "pets.default.svc.cluster.local.", "A")).starts_with("NXDOMAIN"));
    assert!(lines(ask(&index, "1.0.1.10.in-addr.arpa.", "PTR")).starts_with("NXDOMAIN"));
}
