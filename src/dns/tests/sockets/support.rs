//! A DNS server to ask, a client, and resolvers that do what a test says.

use alcove_apiserver::testing::{self, TestEnv};
use alcove_apiserver::{Client, Server, User, kinds};
use alcove_dns::{Config, Dns};
use alcove_object::{Gvr, Value};
use alcove_schema::Minor;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

pub const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A cluster in memory with its DNS.
pub struct World {
    pub dns: Dns,
    pub client: Client,
}

impl World {
    /// DNS that asks these resolvers.
    pub async fn new(upstreams: &[SocketAddr]) -> World {
        World::with(Config { upstreams: Some(upstreams.to_vec()), ..Config::default() }).await
    }

    pub async fn with(config: Config) -> World {
        let server = server();
        let config = Config { listen: vec![LOOPBACK.into()], resolv_conf: PathBuf::new(), ..config };
        let client = server.client(User::component("system:apiserver"), "test");
        let dns = alcove_dns::start(&server, config).await.expect("DNS starts");
        for namespace in ["default", "other"] {
            let object =
                json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
            client.create(&Gvr::new("", "v1", "namespaces"), "", object).await.expect("a namespace");
        }
        World { dns, client }
    }

    pub fn address(&self) -> SocketAddr {
        self.dns.addresses[0]
    }

    pub async fn create(&self, group: &str, resource: &str, object: Value) {
        self.client.create(&Gvr::new(group, "v1", resource), "default", object).await.expect("created");
    }

    /// A service with these members of its spec.
    pub async fn service(&self, name: &str, spec: Value) {
        let object =
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": spec });
        self.create("", "services", object).await;
    }

    pub async fn ask(&self, name: &str, kind: RecordType) -> Message {
        udp(self.address(), &question(name, kind)).await
    }

    /// The value of a metric.
    pub fn number(&self, metric: &str) -> u64 {
        let text = self.dns.numbers.text();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{metric} ")))
            .unwrap_or_else(|| panic!("{text}"));
        line.rsplit(' ').next().expect("a number").parse().expect("a number")
    }
}

pub fn server() -> Server {
    testing::server(kinds::resources(Minor::DEFAULT), Arc::new(TestEnv::new(7)))
}

pub fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

/// A question with EDNS.
pub fn question(text: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.queries.push(Query::query(name(text), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    message.edns = Some(edns);
    message
}

pub async fn udp(server: SocketAddr, message: &Message) -> Message {
    let reply = udp_bytes(server, &message.to_vec().expect("a message")).await;
    let reply = Message::from_vec(&reply).expect("an answer");
    assert_eq!(
        (reply.metadata.id, reply.metadata.message_type),
        (message.metadata.id, MessageType::Response)
    );
    assert_eq!(reply.queries, message.queries);
    reply
}

pub async fn udp_bytes(server: SocketAddr, packet: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind(LOOPBACK).await.expect("a socket");
    socket.connect(server).await.expect("loopback");
    socket.send(packet).await.expect("sent");
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).await.expect("an answer");
    buffer.truncate(length);
    buffer
}

pub async fn tcp(stream: &mut TcpStream, message: &Message) -> Message {
    send(stream, &message.to_vec().expect("a message")).await;
    let length = stream.read_u16().await.expect("a length");
    let mut reply = vec![0; length.into()];
    stream.read_exact(&mut reply).await.expect("an answer");
    Message::from_vec(&reply).expect("an answer")
}

pub async fn send(stream: &mut TcpStream, packet: &[u8]) {
    let length = u16::try_from(packet.len()).expect("it fits").to_be_bytes();
    stream.write_all(&[&length, packet].concat()).await.expect("sent");
}

/// What a resolver does with a question that came over UDP or, `true`, over TCP: the packets that it sends.
pub type Manners = dyn Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync;

/// A resolver on a loopback port, over UDP and TCP.
pub struct Upstream {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    pub async fn new(manners: impl Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Upstream {
        let (socket, listener) = loop {
            let socket = UdpSocket::bind(LOOPBACK).await.expect("a socket");
            let address = socket.local_addr().expect("an address");
            if let Ok(listener) = TcpListener::bind(address).await {
                break (socket, listener);
            }
        };
        let address = socket.local_addr().expect("an address");
        let manners: Arc<Manners> = Arc::new(manners);
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        tokio::spawn(over_udp(socket, manners.clone(), asked.clone()));
        tokio::spawn(over_tcp(listener, manners, asked.clone()));
        Upstream { address, asked }
    }

    /// What it was asked, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn note(asked: &Mutex<Vec<String>>, how: &str, message: &Message) {
    let edns = if message.edns.is_some() { "" } else { " plain" };
    let query = &message.queries[0];
    asked.lock().expect("no panic").push(format!("{how} {} {}{edns}", query.name, query.query_type));
}

async fn over_udp(socket: UdpSocket, manners: Arc<Manners>, asked: Arc<Mutex<Vec<String>>>) {
    let mut buffer = vec![0; 65_535];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let message = Message::from_vec(&buffer[..length]).expect("a question");
        note(&asked, "udp", &message);
        for reply in manners(&message, false) {
            socket.send_to(&reply, from).await.expect("sent");
        }
    }
}

async fn over_tcp(listener: TcpListener, manners: Arc<Manners>, asked: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let Ok(length) = stream.read_u16().await else { continue };
        let mut packet = vec![0; length.into()];
        stream.read_exact(&mut packet).await.expect("a question");
        let message = Message::from_vec(&packet).expect("a question");
        note(&asked, "tcp", &message);
        for reply in manners(&message, true) {
            send(&mut stream, &reply).await;
        }
    }
}

/// An answer to a question, without records.
pub fn answer(asked: &Message, code: ResponseCode) -> Message {
    let mut message = Message::response(asked.metadata.id, OpCode::Query);
    message.metadata.response_code = code;
    message.metadata.recursion_available = true;
    message.queries = asked.queries.clone();
    message
}

/// The same with these addresses.
pub fn addresses(asked: &Message, ttl: u32, found: &[[u8; 4]]) -> Message {
    let mut message = answer(asked, ResponseCode::NoError);
    let of = asked.queries[0].name.clone();
    message.answers = found.iter().map(|a| record(&of, ttl, RData::A(A((*a).into())))).collect();
    message
}

pub fn record(name: &Name, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name.clone(), ttl, data)
}

pub fn alias(of: &str, target: &str) -> Record {
    record(&name(of), 60, RData::CNAME(CNAME(name(target))))
}

pub fn soa(zone: &str) -> Record {
    let zone = name(zone);
    record(&zone, 60, RData::SOA(SOA::new(zone.clone(), zone.clone(), 1, 1, 1, 1, 60)))
}

pub fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("a message")
}

/// The answers of a message, each as `name type data`.
pub fn told(message: &Message) -> Vec<String> {
    let text = |r: &Record| format!("{} {} {}", r.name, r.record_type(), r.data);
    message.answers.iter().map(text).collect()
}
