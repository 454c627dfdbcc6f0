//! What too much of something leads to.

use crate::support::*;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};

#[tokio::test]
async fn what_is_no_question_is_answered_as_such() {
    let world = World::new(&[]).await;
    let plain = question("cluster.local.", RecordType::SOA);
    let changed = |change: fn(&mut Message)| {
        let mut message = plain.clone();
        change(&mut message);
        bytes(&message)
    };
    let mut claims = bytes(&plain);
    claims[4..6].copy_from_slice(&u16::MAX.to_be_bytes());
    let mut cut = bytes(&plain);
    cut.truncate(20);
    let cases: Vec<(&str, Vec<u8>, ResponseCode)> = vec![
        ("an update", changed(|m| m.metadata.op_code = OpCode::Update), ResponseCode::NotImp),
        ("no question", changed(|m| m.queries.clear()), ResponseCode::FormErr),
        (
            "two questions",
            changed(|m| m.queries.push(Query::query(name("a."), RecordType::A))),
            ResponseCode::FormErr,
        ),
        ("an answer in it", changed(|m| m.answers.push(soa("a."))), ResponseCode::FormErr),
        ("65,535 questions claimed", claims, ResponseCode::FormErr),
        ("cut", cut, ResponseCode::FormErr),
        (
            "a newer EDNS",
            changed(|m| m.edns.iter_mut().for_each(|edns| _ = edns.set_version(1))),
            ResponseCode::BADVERS,
        ),
        ("another class", changed(|m| m.queries[0].query_class = DNSClass::CH), ResponseCode::Refused),
        ("a zone transfer", changed(|m| m.queries[0].query_type = RecordType::AXFR), ResponseCode::Refused),
    ];
    for (what, packet, code) in cases {
        let reply = Message::from_vec(&udp_bytes(world.address(), &packet).await).unwrap();
        // By number, since 16 has two names.
        assert_eq!(u16::from(reply.metadata.response_code), u16::from(code), "{what}");
        assert_eq!((reply.metadata.id, reply.metadata.message_type), (4711, MessageType::Response), "{what}");
        assert!(reply.answers.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn answers_are_never_answered() {
    let world = World::new(&[]).await;
    let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
    socket.connect(world.address()).await.unwrap();
    let mut answer = question("cluster.local.", RecordType::SOA);
    answer.metadata.message_type = MessageType::Response;
    socket.send(&bytes(&answer)).await.unwrap();
    socket.send(b"short").await.unwrap();
    // What is asked after them is answered first.
    let mut last = question("cluster.local.", RecordType::SOA);
    last.metadata.id = 1;
    socket.send(&bytes(&last)).await.unwrap();
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).await.unwrap();
    assert_eq!(Message::from_vec(&buffer[..length]).unwrap().metadata.id, 1);
    assert_eq!(world.number("alcove_dns_dropped_total"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_has_its_share_of_questions_under_way() {
    // While this is waited for, the clock stands still: no question is given up.
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let standing = tokio::task::spawn_blocking(move || wait.recv());
    let upstream = Upstream::new(|_, _| Vec::new()).await;
    let world = World::new(&[upstream.address]).await;
    let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
    socket.connect(world.address()).await.unwrap();
    let mut buffer = [0; 2048];
    // A question whose answer is kept needs no place, and neither does the cluster.
    for number in 0..256 {
        socket.send(&bytes(&question(&format!("n{number}.example.org."), RecordType::A))).await.unwrap();
        // Taken in one after the other: the next is sent when this one was.
        socket.send(&bytes(&question("cluster.local.", RecordType::SOA))).await.unwrap();
        let length = socket.recv(&mut buffer).await.unwrap();
        assert_eq!(Message::from_vec(&buffer[..length]).unwrap().answers.len(), 1);
    }
    let refused = udp(world.address(), &question("more.example.org.", RecordType::A)).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(world.number("alcove_dns_forward_rejected_total"), 1);
    drop(go_on);
    assert!(standing.await.unwrap().is_err());
}

#[tokio::test]
async fn a_client_has_its_share_of_connections() {
    let world = World::new(&[]).await;
    let ask = question("cluster.local.", RecordType::SOA);
    let mut open = Vec::new();
    for _ in 0..32 {
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        assert_eq!(tcp(&mut stream, &ask).await.answers.len(), 1);
        open.push(stream);
    }
    let mut more = TcpStream::connect(world.address()).await.unwrap();
    assert!(more.read_u8().await.is_err(), "it is closed at once");
    assert_eq!(world.number("alcove_dns_connections_rejected_total"), 1);
    let mut first = open.swap_remove(0);
    assert_eq!(tcp(&mut first, &ask).await.answers.len(), 1);
    // Too long a question ends its connection, which makes room.
    send(&mut first, &vec![0; 5_000]).await;
    assert!(first.read_u8().await.is_err());
    let mut next = TcpStream::connect(world.address()).await.unwrap();
    assert_eq!(tcp(&mut next, &ask).await.answers.len(), 1);
}

#[tokio::test]
async fn edns_is_answered_with_edns() {
    let world = World::new(&[]).await;
    let mut message = question("cluster.local.", RecordType::SOA);
    let mut edns = Edns::new();
    edns.set_max_payload(700).set_dnssec_ok(true);
    message.edns = Some(edns);
    let reply = udp(world.address(), &message).await;
    let edns = reply.edns.unwrap();
    assert_eq!((edns.max_payload(), edns.flags().dnssec_ok, edns.version()), (1232, true, 0));
    message.edns = None;
    assert_eq!(udp(world.address(), &message).await.edns, None);
}
