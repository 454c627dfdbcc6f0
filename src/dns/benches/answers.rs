//! How many questions a second the server answers, what an answer costs, and what it holds for 5,000 Services. Prints;
//! judges nothing. Run: `cargo bench -p alcove-dns --profile quick`.

#![allow(clippy::unwrap_used)]

use alcove_apiserver::testing::{self, TestEnv};
use alcove_apiserver::{Client, Server, User, kinds};
use alcove_dns::Config;
use alcove_object::Gvr;
use alcove_schema::Minor;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::UdpSocket;

const SERVICES: usize = 5_000;
/// Each with one slice of this many endpoints.
const ENDPOINTS: usize = 3;
const CLIENTS: usize = 8;
const QUESTIONS: usize = 20_000;
const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let server = testing::server(kinds::resources(Minor::DEFAULT), Arc::new(TestEnv::new(7)));
    let client = server.client(User::component("system:apiserver"), "bench");
    fill(&client).await;
    let upstream = upstream().await;
    let before = resident_bytes();
    let start = Instant::now();
    let dns = start_dns(&server, upstream).await;
    let address = dns.addresses[0];
    let load = start.elapsed();
    ask(address, "s0.default.svc.cluster.local.", RecordType::A, 1).await;
    println!("{SERVICES} Services with {ENDPOINTS} endpoints each are taken in within {load:.1?}");
    println!("they cost {} bytes each", (resident_bytes().saturating_sub(before)) / SERVICES);
    for (what, name, kind) in [
        ("a Service, A", "s4711.default.svc.cluster.local.", RecordType::A),
        ("a Service, AAAA, nothing", "s4711.default.svc.cluster.local.", RecordType::AAAA),
        ("no such name", "s4711.default.svc.cluster.local.default.svc.cluster.local.", RecordType::A),
        ("a headless Service, A", "h.default.svc.cluster.local.", RecordType::A),
        ("a headless Service, SRV", "_http._tcp.h.default.svc.cluster.local.", RecordType::SRV),
        ("an address, PTR", "71.18.96.10.in-addr.arpa.", RecordType::PTR),
        ("outside, kept", "www.example.org.", RecordType::A),
    ] {
        let cpu = cpu_seconds();
        let start = Instant::now();
        let askers: Vec<_> =
            (0..CLIENTS).map(|_| tokio::spawn(ask(address, name, kind, QUESTIONS))).collect();
        for asker in askers {
            asker.await.unwrap();
        }
        let (questions, seconds) = ((CLIENTS * QUESTIONS) as f64, start.elapsed().as_secs_f64());
        let micros = (cpu_seconds() - cpu) * 1e6 / questions;
        println!("{what:<28} {:>8.0}/s  {micros:>5.1} us of CPU with the asker's part", questions / seconds);
    }
    let questions = {
        let begin = Instant::now();
        for number in 0..5_000 {
            ask(address, &format!("n{number}.example.org."), RecordType::A, 1).await;
        }
        5_000.0 / begin.elapsed().as_secs_f64()
    };
    println!("{:<28} {questions:>8.0}/s  one after the other", "outside, forwarded");
}

async fn start_dns(server: &Server, upstream: SocketAddr) -> alcove_dns::Dns {
    let config = Config {
        listen: vec![LOOPBACK.into()],
        upstreams: Some(vec![upstream]),
        resolv_conf: PathBuf::from("/dev/null"),
        ..Config::default()
    };
    alcove_dns::start(server, config).await.unwrap()
}

async fn fill(client: &Client) {
    let [namespaces, services] = ["namespaces", "services"].map(|resource| Gvr::new("", "v1", resource));
    let slices = Gvr::new("discovery.k8s.io", "v1", "endpointslices");
    let default = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "default" } });
    client.create(&namespaces, "", default).await.unwrap();
    for number in 0..=SERVICES {
        let (high, low) = (number / 256, number % 256);
        let headless = number == SERVICES;
        let name = if headless { "h".to_owned() } else { format!("s{number}") };
        let address = if headless { "None".to_owned() } else { format!("10.96.{high}.{low}") };
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "clusterIP": address, "clusterIPs": [address], "ports": [{ "name": "http", "port": 80 }] },
        });
        client.create(&services, "default", service).await.unwrap();
        let endpoint = |i: usize| json!({ "addresses": [format!("10.{}.{high}.{low}", 128 + i)] });
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": name, "labels": { "kubernetes.io/service-name": name } },
            "ports": [{ "name": "http", "port": 80 }],
            "endpoints": (0..ENDPOINTS).map(endpoint).collect::<Vec<_>>(),
        });
        client.create(&slices, "default", slice).await.unwrap();
    }
}

/// A resolver that answers at once.
async fn upstream() -> SocketAddr {
    let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            let mut answer = Message::response(asked.metadata.id, OpCode::Query);
            answer.metadata.response_code = ResponseCode::NoError;
            let data = RData::A(A(Ipv4Addr::new(192, 0, 2, 1)));
            answer.answers.push(Record::from_rdata(asked.queries[0].name.clone(), 60, data));
            answer.queries = asked.queries;
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}

/// Asks so often, one after the other, without reading the answers but for their code.
fn ask(server: SocketAddr, name: &str, kind: RecordType, times: usize) -> impl Future<Output = ()> + use<> {
    let mut message = Message::new(1, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.queries.push(Query::query(Name::from_ascii(name).unwrap(), kind));
    let packet = message.to_vec().unwrap();
    async move {
        let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
        socket.connect(server).await.unwrap();
        let mut buffer = [0; 2048];
        for _ in 0..times {
            socket.send(&packet).await.unwrap();
            socket.recv(&mut buffer).await.unwrap();
            assert!(matches!(buffer[3] & 0xf, 0 | 3), "an answer that knows");
        }
    }
}

/// What this process holds in memory.
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = text.lines().find(|line| line.starts_with("Rss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// What this process has used of the processors, in steps of 10 ms.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<f64> =
        text.rsplit(") ").next().unwrap().split(' ').filter_map(|n| n.parse().ok()).collect();
    // Fields 14 and 15, after the name and the state.
    (fields[10] + fields[11]) / 100.0
}
