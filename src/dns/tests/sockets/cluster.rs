//! Questions about the cluster, while it changes.

use crate::support::*;
use alcove_apiserver::options::DeleteOptions;
use alcove_object::Gvr;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};
use tokio::net::TcpStream;

fn slice(name: &str, endpoints: Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": name, "labels": { "kubernetes.io/service-name": "pets" } },
        "ports": [{ "name": "http", "port": 80 }], "endpoints": endpoints,
    })
}

#[tokio::test]
async fn every_change_is_answered_at_once() {
    let world = World::new(&[]).await;
    let services = Gvr::new("", "v1", "services");
    let ask = async |kind| world.ask("web.default.svc.cluster.local.", kind).await;
    for round in 1..100_u8 {
        assert_eq!(ask(RecordType::A).await.metadata.response_code, ResponseCode::NXDomain);
        let address = format!("10.96.1.{round}");
        let spec = json!({ "clusterIP": address, "clusterIPs": [address], "ports": [{ "name": "http", "port": 80 }] });
        world.service("web", spec).await;
        let found = ask(RecordType::A).await;
        assert!(found.metadata.authoritative && !found.metadata.authentic_data);
        assert_eq!(told(&found), [format!("web.default.svc.cluster.local. A {address}")]);
        let back = world.ask(&format!("{round}.1.96.10.in-addr.arpa."), RecordType::PTR).await;
        assert!(told(&back)[0].ends_with(" PTR web.default.svc.cluster.local."));
        assert_eq!(ask(RecordType::AAAA).await.metadata.response_code, ResponseCode::NoError);
        world.client.delete(&services, "default", "web", &DeleteOptions::default()).await.unwrap();
        let gone = world.ask(&format!("{round}.1.96.10.in-addr.arpa."), RecordType::PTR).await;
        assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain);
    }
}

#[tokio::test]
async fn what_was_there_before_the_start_is_known() {
    let server = server();
    let client = server.client(alcove_apiserver::User::component("system:apiserver"), "test");
    for (resource, namespace, object) in [
        (
            "namespaces",
            "",
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "default" } }),
        ),
        (
            "nodes",
            "",
            json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "node-1" },
            "status": { "addresses": [{ "type": "InternalIP", "address": "192.0.2.7" }] } }),
        ),
        (
            "services",
            "default",
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "far" },
            "spec": { "type": "ExternalName", "externalName": "node-1" } }),
        ),
    ] {
        client.create(&Gvr::new("", "v1", resource), namespace, object).await.unwrap();
    }
    let config = alcove_dns::Config { listen: vec![LOOPBACK.into()], ..alcove_dns::Config::default() };
    let dns = alcove_dns::start(&server, config).await.unwrap();
    let found = udp(dns.addresses[0], &question("far.default.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(told(&found), ["far.default.svc.cluster.local. CNAME node-1.", "node-1. A 192.0.2.7"]);
}

#[tokio::test]
async fn many_endpoints_are_cut_to_what_the_asker_takes() {
    let world = World::new(&[]).await;
    world
        .service(
            "pets",
            json!({ "clusterIP": "None", "clusterIPs": ["None"], "ports": [{ "name": "http", "port": 80 }] }),
        )
        .await;
    for number in 0..6 {
        let endpoint = |i: u8| json!({ "addresses": [format!("10.1.{number}.{i}")], "hostname": format!("pet-{number}-{i}") });
        let endpoints: Vec<Value> = (0..100).map(endpoint).collect();
        world
            .create("discovery.k8s.io", "endpointslices", slice(&format!("pets-{number}"), endpoints.into()))
            .await;
    }
    let all = question("pets.default.svc.cluster.local.", RecordType::A);
    let mut plain = all.clone();
    plain.edns = None;
    let mut large = all.clone();
    large.edns.as_mut().unwrap().set_max_payload(65_535);
    let mut cut = 0;
    for (message, bytes_max) in [(&plain, 512), (&all, 1232), (&large, 1232)] {
        let reply = udp_bytes(world.address(), &bytes(message)).await;
        assert!(reply.len() <= bytes_max && reply.len() > bytes_max * 8 / 10, "{}", reply.len());
        let reply = udp(world.address(), message).await;
        assert!(reply.metadata.truncation && reply.answers.len() >= cut);
        assert_eq!(reply.edns.is_some(), message.edns.is_some());
        cut = reply.answers.len();
    }
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let whole = tcp(&mut stream, &plain).await;
    assert!(!whole.metadata.truncation);
    assert_eq!(whole.answers.len(), 600);
    // On the same connection. The addresses of 600 targets are left out before any of them is.
    let ports =
        tcp(&mut stream, &question("_http._tcp.pets.default.svc.cluster.local.", RecordType::SRV)).await;
    assert_eq!((ports.answers.len(), ports.metadata.truncation), (600, false));
}
