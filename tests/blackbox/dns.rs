//! DNS from outside: a tenant's Services, asked with dig over UDP and TCP, from the moment in which they are there.

use crate::harness::{Server, eventually};
use serde_json::json;
use std::process::Command;

/// A tenant and the address of its DNS server, which the log tells.
fn tenant() -> (Server, String) {
    let server = Server::dev(&["--nodes", "1", "--log", "info"]);
    let output = server.output();
    let line =
        output.lines().find(|line| line.contains("DNS is served")).unwrap_or_else(|| panic!("{output}"));
    let address = line.split_once("127.0.0.1:").expect("a loopback address").1;
    let port = address.chars().take_while(char::is_ascii_digit).collect();
    (server, port)
}

/// What dig prints to a question: its answers, or the code when there are none.
fn dig(port: &str, question: &[&str]) -> String {
    let mut command = Command::new("dig");
    command
        .args(["@127.0.0.1", "-p", port, "+noall", "+answer", "+comments", "+tries=1", "+time=5"])
        .args(question);
    let output = command.output().expect("dig is installed (Debian: bind9-dnsutils)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let answers: Vec<String> =
        text.lines().filter(|l| !l.starts_with(';') && !l.is_empty()).map(words).collect();
    if !answers.is_empty() {
        return answers.join("\n");
    }
    let code = text.split_once("status: ").and_then(|(_, rest)| rest.split_once(','));
    code.map_or(text.clone(), |(code, _)| code.to_owned())
}

#[test]
fn services_are_found_by_name_from_the_moment_they_exist() {
    let (server, port) = tenant();
    let api = server.api();
    let name = "web.default.svc.cluster.local";
    for (question, expected) in [
        (vec![name], "NXDOMAIN"),
        (vec!["default.svc.cluster.local"], "NOERROR"),
        (vec!["dns-version.cluster.local", "TXT"], "dns-version.cluster.local. 5 IN TXT \"1.1.0\""),
        (vec!["cluster.local", "AXFR"], "REFUSED"),
    ] {
        assert_eq!(dig(&port, &question), expected, "{question:?}");
    }
    let metrics = api.get("/metrics").text();
    assert!(metrics.contains("alcove_dns_requests_total{type=\"TXT\"} 1\n"), "{metrics}");
    for turn in 0..20 {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
            "spec": { "selector": { "app": "web" }, "ports": [{ "name": "http", "port": 80 }] },
        });
        let made = api.post("/api/v1/namespaces/default/services", &service).expect(201);
        let address = made["spec"]["clusterIP"].as_str().expect("an address").to_owned();
        let by_tcp: &[&str] = if turn % 2 == 0 { &[name, "+tcp"] } else { &[name] };
        assert_eq!(dig(&port, by_tcp), format!("{name}. 5 IN A {address}"));
        assert_eq!(
            dig(&port, &["-x", &address]).split_whitespace().last(),
            Some("web.default.svc.cluster.local.")
        );
        api.delete("/api/v1/namespaces/default/services/web").expect(200);
        assert_eq!(dig(&port, by_tcp), "NXDOMAIN");
    }
}

#[test]
fn pods_of_headless_services_are_found_one_by_one() {
    let (server, port) = tenant();
    let api = server.api();
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "pets" },
        "spec": { "clusterIP": "None", "selector": { "app": "pets" }, "ports": [{ "name": "http", "port": 8080 }] },
    });
    api.post("/api/v1/namespaces/default/services", &service).expect(201);
    assert_eq!(dig(&port, &["pets.default.svc.cluster.local"]), "NXDOMAIN");
    for name in ["cat", "dog"] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": "pets" } },
            "spec": { "hostname": name, "subdomain": "pets", "containers": [{ "name": "c", "image": "i" }] },
        });
        api.post("/api/v1/namespaces/default/pods", &pod).expect(201);
    }
    eventually("both pods are endpoints", || {
        let found = dig(&port, &["pets.default.svc.cluster.local"]);
        (found.lines().count() == 2).then_some(()).ok_or(found)
    });
    let pod = api.get("/api/v1/namespaces/default/pods/cat").expect(200);
    let address = pod["status"]["podIP"].as_str().expect("an address");
    let cat = "cat.pets.default.svc.cluster.local.";
    assert_eq!(dig(&port, &[cat]), format!("{cat} 5 IN A {address}"));
    assert_eq!(dig(&port, &["-x", address]).split_whitespace().last(), Some(cat));
    let dashed = format!("{}.default.pod.cluster.local.", address.replace('.', "-"));
    assert_eq!(dig(&port, &[&dashed]), format!("{dashed} 5 IN A {address}"));
    let mut ports: Vec<String> = dig(&port, &["_http._tcp.pets.default.svc.cluster.local", "SRV"])
        .lines()
        .map(str::to_owned)
        .collect();
    ports.sort();
    let srv = |name: &str| {
        format!(
            "_http._tcp.pets.default.svc.cluster.local. 5 IN SRV 0 100 8080 {name}.pets.default.svc.cluster.local."
        )
    };
    assert_eq!(ports, [srv("cat"), srv("dog")]);
}
