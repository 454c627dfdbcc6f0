//! Random packets: no bytes make the server fall over, from clients or from resolvers.

use crate::support::*;
use hickory_proto::rr::RecordType;
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::runtime::Runtime;

/// A packet that is nearly a message: some bytes of one are others, and it may be cut.
fn nearly(of: &[u8]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let (of, length) = (of.to_vec(), of.len());
    (vec((0..length, any::<u8>()), 0..6), 0..=length, vec(any::<u8>(), 0..12)).prop_map(
        move |(changes, end, more)| {
            let mut packet = of.clone();
            changes.into_iter().for_each(|(at, byte)| packet[at] = byte);
            packet.truncate(end);
            packet.extend(more);
            packet
        },
    )
}

fn packets() -> impl Strategy<Value = Vec<u8>> {
    let asked = bytes(&question("_http._tcp.web.default.svc.cluster.local.", RecordType::SRV));
    prop_oneof![vec(any::<u8>(), 0..600), nearly(&asked)]
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The server still answers.
async fn alive(world: &World) {
    assert_eq!(world.ask("cluster.local.", RecordType::SOA).await.answers.len(), 1);
    assert_eq!(world.number("alcove_dns_panics_total"), 0);
}

// A failing case is shown in its smallest form, and its seed is kept in proptest-regressions.
#[test]
fn no_packet_of_a_client_hurts() {
    let runtime = runtime();
    let world = runtime.block_on(World::new(&[]));
    let socket = runtime.block_on(UdpSocket::bind(LOOPBACK)).unwrap();
    proptest!(ProptestConfig::with_cases(4_000), |(packet in packets())| {
        runtime.block_on(async {
            socket.send_to(&packet, world.address()).await.unwrap();
            // Answers to garbage are let go; the queue of this socket may overflow.
            let mut buffer = [0; 2048];
            tokio::task::yield_now().await;
            while socket.try_recv(&mut buffer).is_ok() {}
        });
    });
    runtime.block_on(alive(&world));
}

#[test]
fn no_stream_of_a_client_hurts() {
    let runtime = runtime();
    let world = runtime.block_on(World::new(&[]));
    proptest!(ProptestConfig::with_cases(300), |(packets in vec(packets(), 1..4), framed in any::<bool>())| {
        runtime.block_on(async {
            let mut stream = TcpStream::connect(world.address()).await.unwrap();
            for packet in packets {
                let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
                let head: &[u8] = if framed { &length } else { &[] };
                // It may be closed already.
                let _ = stream.write_all(&[head, &packet].concat()).await;
            }
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
    });
    runtime.block_on(alive(&world));
}

#[test]
fn no_packet_of_a_resolver_hurts() {
    let runtime = runtime();
    let next: Arc<Mutex<Vec<u8>>> = Arc::default();
    let said = next.clone();
    let upstream = runtime.block_on(Upstream::new(move |asked, by_tcp| {
        let said = said.lock().expect("no panic").clone();
        // The number and the first label are right, so that the rest is read.
        let (mut packet, asked_bytes) = (said, bytes(asked));
        for place in [0..2, 13..19] {
            if let Some(part) = packet.get_mut(place.clone()) {
                part.copy_from_slice(&asked_bytes[place]);
            }
        }
        match by_tcp {
            true => vec![packet],
            // And then an answer that ends the question.
            false => vec![packet, bytes(&addresses(asked, 0, &[[192, 0, 2, 1]]))],
        }
    }));
    let world = runtime.block_on(World::new(&[upstream.address]));
    let asked = question("n00000.example.org.", RecordType::A);
    let mut right = addresses(&asked, 0, &[[192, 0, 2, 7]; 3]);
    right.answers.push(alias("n00000.example.org.", "a.example.org."));
    right.authorities.push(soa("example.org."));
    let replies = prop_oneof![vec(any::<u8>(), 0..600), nearly(&bytes(&right))];
    let number = std::cell::Cell::new(0);
    proptest!(ProptestConfig::with_cases(1_000), |(reply in replies)| {
        number.set(number.get() + 1);
        *next.lock().unwrap() = reply;
        // Whatever it is, it is an answer to the question. Each is asked once, or it would be kept.
        runtime.block_on(world.ask(&format!("n{:05}.example.org.", number.get()), RecordType::A));
    });
    runtime.block_on(alive(&world));
}
