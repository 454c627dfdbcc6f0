//! exec, attach, port-forward, logs and the proxies between a client of a tenant and a host: what passes, what does not,
//! and that whoever leaves frees everything.

mod kubelet;
mod world;

use crate::support::host::NAMESPACE;
use crate::support::tenant::{pod, service};
use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{POD, World, refusal, text};

const ON_HOST: &str = "/api/v1/namespaces/team-a/pods/web-x-default-x-demo";

#[tokio::test]
async fn bytes_pass_untouched_whatever_both_sides_speak() {
    let world = World::new().await;
    for (protocol, path) in [
        ("SPDY/3.1", "exec?command=echo&stdin=true"),
        ("websocket", "exec?command=echo"),
        ("websocket", "attach?container=main&stdout=true"),
        ("SPDY/3.1", "portforward?ports=80"),
        ("websocket", "proxy/socket"),
    ] {
        let answer = world.ask(&format!("{POD}/{path}"), protocol).await;
        assert_eq!(answer.status(), 101, "{path}");
        assert_eq!(answer.headers()["upgrade"], protocol);
        assert_eq!(answer.headers()["x-stream-protocol-version"], "v5.channel.k8s.io");
        assert!(!answer.headers().contains_key("x-of-the-host"));
        let mut stream = hyper_util::rt::TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        let all: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        let (mut reads, mut writes) = tokio::io::split(&mut stream);
        let sent = async {
            writes.write_all(&all).await.unwrap();
            writes.shutdown().await.unwrap();
        };
        let mut back = Vec::new();
        let (_, read) = tokio::join!(sent, reads.read_to_end(&mut back));
        read.unwrap();
        assert!(back == all, "{path}: {} bytes came back", back.len());
    }
    world.streams.all_ended().await;
}

#[tokio::test]
async fn nothing_of_the_client_reaches_the_host() {
    let world = World::new().await;
    let path = "exec?command=echo&container=main&evil=1&insecureSkipTLSVerifyBackend=true";
    drop(world.ask(&format!("{POD}/{path}"), "websocket").await);
    world.get(&format!("{POD}/log?tailLines=3&insecureSkipTLSVerifyBackend=true")).await;
    let seen = world.kubelet.seen();
    assert_eq!(seen[0].url, format!("{ON_HOST}/exec?container=main&command=echo"));
    assert_eq!(seen[1].url, format!("{ON_HOST}/log?container=main&tailLines=3"));
    for seen in seen {
        assert_eq!(seen.user, "kubernetes-admin", "the syncer's own credentials");
        for name in ["cookie", "x-forwarded-for", "x-hop", "authorization"] {
            assert!(!seen.headers.contains_key(name), "{name}: {:?}", seen.headers);
        }
        let protocols = seen.headers.get("sec-websocket-protocol").map(|value| value.to_str().unwrap());
        assert!(matches!(protocols, None | Some("v5.channel.k8s.io")), "{protocols:?}");
    }
}

#[tokio::test]
async fn who_stops_writing_may_still_read() {
    let world = World::new().await;
    let mut stream = world.exec("count").await;
    stream.write_all(&[1; 100_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "read 100000");
    world.streams.all_ended().await;
}

#[tokio::test]
async fn refusals_are_told_in_the_tenants_words() {
    let world = World::new().await;
    let answer = world.ask(&format!("{POD}/exec?command=refuse"), "websocket").await;
    assert_eq!(answer.headers()["connection"], "close", "what follows a refused upgrade is no request");
    let why = r#"container "main" in pod "web" is not running"#.to_owned();
    assert_eq!(refusal(answer).await, (400, why));
    let answer = world.ask(&format!("{POD}/exec?command=redirect"), "websocket").await;
    assert!(!answer.headers().contains_key("location"));
    let (code, message) = refusal(answer).await;
    assert_eq!(code, 502);
    assert!(message.contains("302") && !message.contains("169.254"), "{message}");
    let plain = world.get(&format!("{POD}/exec?command=echo")).await;
    assert_eq!(refusal(plain).await, (400, "Upgrade request required".to_owned()));
    assert_eq!(world.streams.open(), 0);
}

#[tokio::test]
async fn only_what_is_the_tenants_own_is_reached() {
    let world = World::new().await;
    let foreign = world.side.host_name("default", "db");
    let mut theirs = pod(&foreign);
    theirs["metadata"]["labels"] = json!({ "alcove.dev/cluster": "demo" });
    world.host.create("pods", theirs).await;
    world.side.create("pods", pod("db")).await;
    world.side.until_event("db", "SyncRefused").await;
    let in_namespace = |name: &str| format!("/api/v1/namespaces/default/pods/{name}");
    let ask = async |path: String| refusal(world.ask(&path, "websocket").await).await;
    for path in ["exec?command=echo", "portforward?ports=80", "attach"] {
        let why = (400, "pod db does not have a host assigned".to_owned());
        assert_eq!(ask(format!("{}/{path}", in_namespace("db"))).await, why);
        // Somebody with rights in the tenant says that it runs.
        assert_eq!(ask(format!("{}/{path}", in_namespace("web-x-default-x-demo"))).await.0, 404);
    }
    let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "db" },
                          "target": { "kind": "Node", "name": "node-1" } });
    let pods = crate::support::gvr("pods");
    world.side.client.create_subresource(&pods, "binding", "default", "db", binding).await.unwrap();
    let why = (404, r#"pod "db" is not on the host cluster, or no longer"#.to_owned());
    assert_eq!(ask(format!("{}/exec?command=echo", in_namespace("db"))).await, why);
    assert_eq!(refusal(world.get(&format!("{}/log", in_namespace("db"))).await).await, why);
    assert_eq!(refusal(world.get(&format!("{}/proxy/", in_namespace("db"))).await).await, why);
    let why = (400, "container sidecar is not valid for pod web".to_owned());
    assert_eq!(ask(format!("{POD}/exec?command=echo&container=sidecar")).await, why);
    assert_eq!(refusal(world.get("/api/v1/nodes/node-1/proxy/metrics").await).await.0, 403);
    assert_eq!(world.kubelet.seen().len(), 0, "{:?}", world.kubelet.seen());
}

#[tokio::test]
async fn a_new_pod_of_the_same_name_waits_for_its_own() {
    let world = World::new().await;
    let on_host = world.side.host_name("default", "web");
    // The host's pod takes its time to end, while the tenant has another already.
    world.host.patch("pods", &on_host, json!({ "metadata": { "finalizers": ["example.com/slow"] } })).await;
    world.side.delete("pods", "web", Some(0)).await;
    let old = world.host.get("pods", &on_host).unwrap();
    world.side.create("pods", pod("web")).await;
    let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "web" },
                          "target": { "kind": "Node", "name": "node-1" } });
    let pods = crate::support::gvr("pods");
    world.side.client.create_subresource(&pods, "binding", "default", "web", binding).await.unwrap();
    let (code, message) = refusal(world.get(&format!("{POD}/log")).await).await;
    assert_eq!((code, &*message), (404, r#"pod "web" is not on the host cluster, or no longer"#));
    assert_eq!(world.host.get("pods", &on_host).unwrap()["metadata"]["uid"], old["metadata"]["uid"]);
    assert!(world.kubelet.seen().is_empty());
}

#[tokio::test]
async fn a_slow_reader_holds_the_pod_back_and_loses_nothing() {
    let world = World::new().await;
    let mut stream = world.exec("flood").await;
    let mut bytes = vec![0; 8 * 1024 * 1024];
    stream.read_exact(&mut bytes).await.unwrap();
    assert!(bytes.iter().all(|byte| *byte == 7));
    let ahead = world.kubelet.0.flooded.load(Ordering::SeqCst) - bytes.len();
    // What sockets of this machine and TLS hold between the pod and a client that does not read.
    assert!(ahead < 32 * 1024 * 1024, "{ahead} bytes are on their way");
    drop(stream);
    world.kubelet.0.gone.notified().await;
    world.streams.all_ended().await;
}

#[tokio::test]
async fn who_hangs_up_frees_everything() {
    let world = World::new().await;
    let stream = world.exec("echo").await;
    assert_eq!(world.streams.open(), 1);
    drop(stream);
    world.kubelet.0.gone.notified().await;
    world.streams.all_ended().await;

    let mut log = world.get(&format!("{POD}/log?follow=true")).await;
    log.frame().await.unwrap().unwrap();
    assert_eq!(world.streams.open(), 1);
    drop(log);
    world.kubelet.0.gone.notified().await;
    world.streams.all_ended().await;

    {
        let path = format!("{POD}/exec?command=never");
        let waiting = world.ask(&path, "websocket");
        tokio::select! {
            _ = waiting => panic!("nobody answers this"),
            () = world.kubelet.0.waits.notified() => {}
        }
    }
    world.kubelet.0.gone.notified().await;
    world.streams.all_ended().await;
}

#[tokio::test]
async fn streams_end_with_the_syncer() {
    let mut world = World::new().await;
    let mut stream = world.exec("echo").await;
    let mut log = world.get(&format!("{POD}/log?follow=true")).await;
    log.frame().await.unwrap().unwrap();
    world.side.stop_syncer().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    assert!(log.frame().await.unwrap().is_err(), "a log that was cut off is no whole one");
    world.streams.all_ended().await;
    let answer = world.get(&format!("{POD}/log")).await;
    assert_eq!(refusal(answer).await, (503, "this cluster has not found its host yet".to_owned()));
}

#[tokio::test]
async fn logs_come_line_by_line() {
    let world = World::new().await;
    let whole = world.get(&format!("{POD}/log")).await;
    assert_eq!(whole.headers()["content-type"], "text/plain");
    assert_eq!(text(whole).await, "first line\n");
    let mut log = world.get(&format!("{POD}/log?follow=true")).await;
    let mut line = async || {
        let frame = log.frame().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    };
    assert_eq!(line().await, "first line\n");
    let sender = world.kubelet.0.logs.lock().pop().unwrap();
    for said in ["second\n", "third\n"] {
        sender.send(said).await.unwrap();
        assert_eq!(line().await, said);
    }
    drop(sender);
    assert!(log.frame().await.is_none());
}

#[tokio::test]
async fn there_is_room_for_so_many_streams() {
    let world = World::new().await;
    let mut open = Vec::new();
    while open.len() < 256 {
        let mut log = world.get(&format!("{POD}/log?follow=true")).await;
        assert_eq!(log.status(), 200);
        log.frame().await.unwrap().unwrap();
        open.push(log);
    }
    let (code, message) = refusal(world.get(&format!("{POD}/log?follow=true")).await).await;
    assert_eq!((code, &*message), (429, "this cluster has 256 streams to its pods already"));
    open.clear();
    world.streams.all_ended().await;
    assert_eq!(world.get(&format!("{POD}/log")).await.status(), 200);
}

#[tokio::test]
async fn proxies_give_the_application_in_the_tenants_place() {
    let world = World::new().await;
    let request = Request::put(format!("{POD}:8080/proxy/a/b?q=1"))
        .header("x-app", "its own")
        .header("authorization", "Bearer tenant")
        .body(Body::from(b"body".to_vec()));
    let answer = world.send(request.unwrap()).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-app"]), (418, &"yes".parse().unwrap()));
    assert!(!answer.headers().contains_key("set-cookie"));
    let said: Value = serde_json::from_str(&text(answer).await).unwrap();
    let expected = json!({ "method": "PUT", "url": format!("{ON_HOST}:8080/proxy/a/b?q=1"), "body": "body" });
    assert_eq!(said, expected);
    let seen = world.kubelet.seen();
    assert_eq!(seen[0].headers["x-app"], "its own");
    assert_eq!(seen[0].user, "kubernetes-admin");

    let moved = world.get(&format!("{POD}:8080/proxy")).await;
    assert_eq!(
        (moved.status().as_u16(), &moved.headers()["location"]),
        (301, &format!("{POD}:8080/proxy/").parse().unwrap())
    );
    let away = world.get(&format!("{POD}/proxy/away")).await;
    assert_eq!(away.headers()["location"], "https://elsewhere.example/");
    let page = world.get(&format!("{POD}/proxy/page")).await;
    assert_eq!(text(page).await, format!(r#"<a href="{POD}/proxy/next">"#));
    let broken = world.get(&format!("{POD}/proxy/broken")).await;
    let why = "error trying to reach service web: connection refused";
    assert_eq!(refusal(broken).await, (503, why.to_owned()));
}

#[tokio::test]
async fn proxies_pass_every_method_that_a_right_can_name() {
    let world = World::new().await;
    let send =
        |method: &str| Request::builder().method(method).uri(format!("{POD}/proxy/a")).body(Body::empty());
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let said = text(world.send(send(method).unwrap()).await).await;
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["method"], method);
    }
    let (code, why) = refusal(world.send(send("OPTIONS").unwrap()).await).await;
    let refused =
        r#"pods "web" is forbidden: this cluster may not do that on its host; ask the platform team"#;
    assert_eq!((code, &*why), (403, refused), "the chart gives no right to everything");
}

#[tokio::test]
async fn services_are_proxied_when_they_select_pods() {
    let world = World::new().await;
    world.side.create("services", service("front")).await;
    world.host.until("services", &world.side.host_name("default", "front"), |_| true).await;
    let answer = world.get("/api/v1/namespaces/default/services/http:front:http/proxy/x").await;
    let said: Value = serde_json::from_str(&text(answer).await).unwrap();
    let url = format!("/api/v1/namespaces/{NAMESPACE}/services/http:front-x-default-x-demo:http/proxy/x");
    assert_eq!(said["url"], url);
    let mut bare = service("bare");
    bare["spec"].as_object_mut().unwrap().remove("selector");
    world.side.create("services", bare).await;
    let answer = world.get("/api/v1/namespaces/default/services/bare/proxy/").await;
    assert_eq!(refusal(answer).await.0, 403, "its endpoints could be anything that the host reaches");
}
