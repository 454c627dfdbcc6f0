//! Requests in, paths on the host out.

use super::*;
use crate::translate::Tenant;
use alcove_apiserver::registry::Registry;
use alcove_object::Gvr;
use alcove_schema::Minor;
use serde_json::json;

fn registry() -> Registry {
    Registry::new(alcove_apiserver::kinds::resources(Minor::DEFAULT))
}

fn target(resource: &str, subresource: &str, name: &str) -> Target {
    Target::named(&registry(), &Gvr::new("", "v1", resource), subresource, "default", name).unwrap()
}

fn pod() -> Value {
    json!({ "metadata": { "namespace": "default", "name": "web" }, "spec": {
        "nodeName": "node-1",
        "initContainers": [{ "name": "init" }],
        "containers": [{ "name": "main", "ports": [{ "containerPort": 8080 }] }],
        "ephemeralContainers": [{ "name": "debug" }],
    } })
}

fn service() -> Value {
    json!({ "metadata": { "namespace": "default", "name": "web" }, "spec": { "selector": { "app": "web" } } })
}

/// The host's URL for a request about the pod or service `web`.
fn asked(
    resource: &str,
    subresource: &str,
    name: &str,
    tail: &str,
    query: &str,
    object: &Value,
) -> Result<String, Status> {
    let target = target(resource, subresource, name);
    let ask = Kind::of(&target)?.ask(&target, tail, query)?;
    let tenant = Tenant { cluster: "vc".into(), host_namespace: "team".into() };
    let terms = Terms::new(&tenant, object);
    let Some(query) = ask.of(object)? else { return Ok("nothing".into()) };
    ask.uri(&terms, object, &query).map(|uri| uri.to_string())
}

#[test]
fn streams_are_asked_for_in_our_words() {
    let cases = [
        (
            "exec",
            "command=sh&command=-c&command=a%26b&stdin=true&tty=1",
            "exec?container=main&command=sh&command=-c&command=a%26b&stdin=true&tty=1",
        ),
        ("exec", "container=debug&command=id&evil=1&x%2Fy=2", "exec?container=debug&command=id"),
        ("exec", "command=id&container=init", "exec?container=init&command=id"),
        ("attach", "stdout=1&command=id&container=main", "attach?container=main&stdout=1"),
        ("portforward", "ports=80&ports=90&container=no", "portforward?ports=80&ports=90"),
        ("portforward", "", "portforward"),
        ("log", "", "log?container=main"),
        (
            "log",
            "follow=true&previous=1&tailLines=5&limitBytes=9&timestamps=true&sinceSeconds=3&insecureSkipTLSVerifyBackend=true",
            "log?container=main&follow=true&previous=1&tailLines=5&limitBytes=9&timestamps=true&sinceSeconds=3",
        ),
        // What is spelled otherwise is not ours to guess: the container stands once, and it is the one that was judged.
        ("exec", "c%6Fntainer=init&container=main&command=id", "exec?container=init&command=id"),
    ];
    for (subresource, query, expected) in cases {
        let url = asked("pods", subresource, "web", "", query, &pod()).unwrap();
        assert_eq!(url, format!("/api/v1/namespaces/team/pods/web-x-default-x-vc/{expected}"), "{query}");
    }
}

#[test]
fn only_the_tenants_containers_are_reached() {
    let refused = |query: &str, pod: &Value| {
        let status = asked("pods", "exec", "web", "", query, pod).unwrap_err();
        (status.code, status.message.clone())
    };
    let bad = (400, "container istio-proxy is not valid for pod web".to_owned());
    assert_eq!(refused("container=istio-proxy&command=id", &pod()), bad);
    let mut two = pod();
    two["spec"]["containers"] = json!([{ "name": "a" }, { "name": "b" }]);
    let which = "a container name must be specified for pod web, choose one of: [init a b debug]";
    assert_eq!(refused("command=id", &two), (400, which.to_owned()));
    let mut waiting = pod();
    waiting["spec"]["nodeName"] = "".into();
    assert_eq!(refused("", &waiting), (400, "pod web does not have a host assigned".to_owned()));
    assert_eq!(asked("pods", "log", "web", "", "", &waiting).unwrap(), "nothing");
}

#[test]
fn proxies_keep_path_and_query() {
    let cases = [
        ("pods", "web", "", "", "pods/web-x-default-x-vc:8080/proxy"),
        ("pods", "web", "/", "", "pods/web-x-default-x-vc:8080/proxy/"),
        (
            "pods",
            "web:81",
            "a b/c%d/",
            "q=1&r=%20",
            "pods/web-x-default-x-vc:81/proxy/a%20b/c%25d/?q=1&r=%20",
        ),
        ("pods", "https:web:443", "x", "", "pods/https:web-x-default-x-vc:443/proxy/x"),
        ("services", "web", "x", "", "services/web-x-default-x-vc/proxy/x"),
        ("services", "web:http", "x/?", "", "services/web-x-default-x-vc:http/proxy/x/%3F"),
        ("services", "https:web:", "x", "", "services/https:web-x-default-x-vc:/proxy/x"),
    ];
    for (resource, name, tail, query, expected) in cases {
        let object = if resource == "pods" { pod() } else { service() };
        let url = asked(resource, "proxy", name, tail, query, &object).unwrap();
        assert_eq!(url, format!("/api/v1/namespaces/team/{expected}"), "{name} {tail}");
    }
}

#[test]
fn proxies_lead_nowhere_else() {
    let refused = |resource: &str, name: &str, tail: &str| {
        let object = if resource == "pods" { pod() } else { service() };
        asked(resource, "proxy", name, tail, "", &object).unwrap_err().code
    };
    for tail in ["..", "../../../secrets", "a/./b", "a/../b"] {
        assert_eq!(refused("pods", "web", tail), 400, "{tail}");
    }
    for name in ["ftp:web:80", "a:b:c:d", ":80", "web:8/0", "web:a%2Fb", "web:80@evil"] {
        assert_eq!(refused("pods", name, ""), 400, "{name}");
        assert_eq!(refused("services", name, ""), 400, "{name}");
    }
    assert_eq!(refused("nodes", "node-1", ""), 403);
    let mut bare = service();
    bare["spec"] = json!({});
    assert_eq!(asked("services", "proxy", "web", "", "", &bare).unwrap_err().code, 403);
}

#[test]
fn the_tenants_path_takes_the_place_of_the_hosts() {
    let tenant = Tenant { cluster: "vc".into(), host_namespace: "team".into() };
    for (name, host, own) in [
        ("web", "web-x-default-x-vc:8080", "web"),
        ("web:81", "web-x-default-x-vc:81", "web:81"),
        ("http:web:", "http:web-x-default-x-vc:8080", "http:web:"),
    ] {
        let target = target("pods", "proxy", name);
        let ask = Kind::Proxy.ask(&target, "", "").unwrap();
        let bases = ask.bases(&Terms::new(&tenant, &pod()), &pod());
        assert_eq!(bases.0, format!("/api/v1/namespaces/team/pods/{host}/proxy"));
        assert_eq!(bases.1, format!("/api/v1/namespaces/default/pods/{own}/proxy"));
    }
}
