//! Priority and fairness from outside: who floods is turned away, and nobody else notices.

use super::harness::{Api, eventually, shared};
use serde_json::{Value, json};

const API: &str = "/apis/flowcontrol.apiserver.k8s.io/v1";

/// A priority level with the least share, which neither lends nor borrows, and a schema that gives it one user's requests.
fn narrow(api: &Api, name: &str, response: &Value) {
    let level = json!({
        "metadata": {"name": name},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 1, "borrowingLimitPercent": 0, "limitResponse": response,
        }},
    });
    api.post(&format!("{API}/prioritylevelconfigurations"), &level).expect(201);
    let schema = json!({
        "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": name}, "matchingPrecedence": 50,
            "rules": [{
                "subjects": [{"kind": "User", "user": {"name": name}}],
                "resourceRules": [
                    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true},
                ],
            }],
        },
    });
    api.post(&format!("{API}/flowschemas"), &schema).expect(201);
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
    });
    api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).expect(201);
    eventually("the schema says that its level is there", || {
        let schema = api.get(&format!("{API}/flowschemas/{name}")).json();
        match schema["status"]["conditions"][0]["status"].as_str() {
            Some("False") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

/// Waits until as many requests of a level have this state as metrics tell.
fn counted(api: &Api, state: &str, level: &str, expected: usize) {
    let line =
        format!("apiserver_flowcontrol_current_{state}_requests{{priority_level=\"{level}\"}} {expected}");
    eventually(&line, || {
        let text = api.get("/metrics").text();
        match text.lines().any(|found| found == line) {
            true => Ok(()),
            false => Err(text.lines().filter(|l| l.contains(level)).collect::<Vec<_>>().join("\n")),
        }
    });
}

fn seats(api: &Api, level: &str) -> usize {
    let start = format!("apiserver_flowcontrol_nominal_limit_seats{{priority_level=\"{level}\"}} ");
    let text = api.get("/metrics").text();
    let found = text.lines().find_map(|line| line.strip_prefix(&start));
    found.and_then(|seats| seats.parse().ok()).expect("a number of seats")
}

fn config_map(name: &str) -> Vec<u8> {
    json!({"metadata": {"name": name}}).to_string().into_bytes()
}

/// A request that has a seat, or stands in a queue, until its body is sent.
fn held(api: &Api, user: &str, namespace: &str) -> super::harness::http::Connection {
    let length = config_map("held-00").len().to_string();
    let headers =
        [("impersonate-user", user), ("content-type", "application/json"), ("content-length", &length)];
    let mut connection = api.connect().expect("the server takes connections");
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    connection.begin("POST", &path, &headers).expect("the server takes requests");
    connection
}

#[test]
fn a_level_that_is_full_turns_away_its_own_and_nobody_else() {
    let api = shared().api();
    api.namespace("flood");
    narrow(&api, "flooder", &json!({"type": "Reject"}));
    let seats = seats(&api, "flooder");
    let mut connections: Vec<_> = (0..seats).map(|_| held(&api, "flooder", "flood")).collect();
    counted(&api, "executing", "flooder", seats);
    let path = "/api/v1/namespaces/flood/configmaps";
    let turned_away = api.send("GET", path, &[("impersonate-user", "flooder")], b"");
    assert_eq!(turned_away.status, 429);
    assert_eq!(turned_away.header("retry-after"), "1");
    assert_eq!(turned_away.text(), "Too many requests, please try again later.\n");
    let uid = |kind: &str, name: &str| {
        api.get(&format!("{API}/{kind}/{name}")).json()["metadata"]["uid"].as_str().unwrap().to_owned()
    };
    let marks = |answer: &super::harness::http::Answer| {
        ["flowschema", "prioritylevel"]
            .map(|what| answer.header(&format!("x-kubernetes-pf-{what}-uid")).to_owned())
    };
    let own = [uid("flowschemas", "flooder"), uid("prioritylevelconfigurations", "flooder")];
    assert_eq!(marks(&turned_away), own);
    // Nobody else notices, nor does what may take as long as it likes.
    let other = api.send("GET", path, &[("impersonate-user", "other")], b"");
    assert_eq!(other.status, 403);
    assert_eq!(
        marks(&other),
        [uid("flowschemas", "global-default"), uid("prioritylevelconfigurations", "global-default")]
    );
    assert_eq!(api.get(path).status, 200);
    for (index, connection) in connections.iter_mut().enumerate() {
        let answer = connection.finish(&config_map(&format!("held-{index:02}"))).expect("an answer");
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    counted(&api, "executing", "flooder", 0);
    assert_eq!(api.send("GET", path, &[("impersonate-user", "flooder")], b"").status, 200);
}

#[test]
fn who_waits_in_a_queue_is_served_when_a_seat_is_free() {
    let api = shared().api();
    api.namespace("queue");
    let queuing = json!({"queues": 1, "handSize": 1, "queueLengthLimit": 1});
    narrow(&api, "waiter", &json!({"type": "Queue", "queuing": queuing}));
    let seats = seats(&api, "waiter");
    let mut seated: Vec<_> = (0..seats).map(|_| held(&api, "waiter", "queue")).collect();
    counted(&api, "executing", "waiter", seats);
    let mut waits = held(&api, "waiter", "queue");
    counted(&api, "inqueue", "waiter", 1);
    let path = "/api/v1/namespaces/queue/configmaps";
    assert_eq!(api.send("GET", path, &[("impersonate-user", "waiter")], b"").status, 429);
    let first = seated[0].finish(&config_map("held-00")).expect("an answer");
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(waits.finish(&config_map("held-01")).expect("an answer").status, 201);
    drop(seated);
    counted(&api, "executing", "waiter", 0);
}
