//! Questions about the rest of the world.

use crate::support::*;
use alcove_dns::{Config, Error};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, RecordType};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpStream, UdpSocket};

const TYPE: RecordType = RecordType::A;

#[tokio::test]
async fn an_answer_is_passed_on_and_kept() {
    let upstream = Upstream::new(|asked, _| vec![bytes(&addresses(asked, 60, &[[192, 0, 2, 1]]))]).await;
    let world = World::new(&[upstream.address]).await;
    for name in ["www.example.org.", "WWW.example.ORG.", "www.example.org."] {
        let found = world.ask(name, TYPE).await;
        assert_eq!(found.metadata.response_code, ResponseCode::NoError);
        assert!(found.metadata.recursion_available && !found.metadata.authoritative);
        assert_eq!(told(&found)[0].to_lowercase(), "www.example.org. a 192.0.2.1");
    }
    assert_eq!(upstream.asked(), ["udp www.example.org. A"]);
    assert_eq!(
        (world.number("alcove_dns_cache_hits_total"), world.number("alcove_dns_cache_entries")),
        (2, 1)
    );
}

#[tokio::test]
async fn what_does_not_exist_is_kept_too() {
    let upstream = Upstream::new(|asked, _| {
        let code =
            if asked.queries[0].query_type == TYPE { ResponseCode::NXDomain } else { ResponseCode::NoError };
        let mut message = answer(asked, code);
        message.authorities.push(soa("example.org."));
        vec![bytes(&message)]
    })
    .await;
    let world = World::new(&[upstream.address]).await;
    for _ in 0..3 {
        let none = world.ask("none.example.org.", TYPE).await;
        assert_eq!((none.metadata.response_code, none.authorities.len()), (ResponseCode::NXDomain, 1));
        let nothing = world.ask("none.example.org.", RecordType::TXT).await;
        assert_eq!((nothing.metadata.response_code, nothing.authorities.len()), (ResponseCode::NoError, 1));
    }
    assert_eq!(upstream.asked(), ["udp none.example.org. A", "udp none.example.org. TXT"]);
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_again_over_tcp() {
    let many: Vec<[u8; 4]> = (0..=255).flat_map(|i| (0..6).map(move |j| [192, 0, j, i])).collect();
    let upstream = Upstream::new(move |asked, by_tcp| {
        let mut message = addresses(asked, 60, if by_tcp { &many } else { &many[..3] });
        message.metadata.truncation = !by_tcp;
        let mut cut = bytes(&message);
        if !by_tcp {
            cut.truncate(cut.len() - 5);
        }
        vec![cut]
    })
    .await;
    let world = World::new(&[upstream.address]).await;
    let by_udp = world.ask("many.example.org.", TYPE).await;
    assert!(by_udp.metadata.truncation && by_udp.answers.len() > 70, "{}", by_udp.answers.len());
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let by_tcp = tcp(&mut stream, &question("many.example.org.", TYPE)).await;
    assert!(!by_tcp.metadata.truncation);
    assert_eq!(by_tcp.answers.len(), 6 * 256);
    assert_eq!(upstream.asked()[..2], ["udp many.example.org. A", "tcp many.example.org. A"]);
}

/// Turns a true answer into a false one.
type Forgery = fn(&mut Message);

#[tokio::test]
async fn what_answers_something_else_is_passed_over() {
    let forgeries: [Forgery; 5] = [
        |message| message.metadata.id ^= 1,
        |message| message.queries[0].name = name("other.example.org."),
        |message| message.queries[0].query_type = RecordType::AAAA,
        |message| message.metadata.message_type = hickory_proto::op::MessageType::Query,
        |message| message.queries.clear(),
    ];
    let upstream = Upstream::new(move |asked, _| {
        let forged = forgeries.iter().map(|forge| {
            let mut message = addresses(asked, 60, &[[203, 0, 113, 66]]);
            forge(&mut message);
            bytes(&message)
        });
        let garbage = [vec![], vec![0; 3], vec![0xff; 80]];
        let right = bytes(&addresses(asked, 60, &[[192, 0, 2, 1]]));
        forged.take(4).chain(garbage).chain([right]).collect()
    })
    .await;
    let world = World::new(&[upstream.address]).await;
    let found = world.ask("www.example.org.", TYPE).await;
    assert_eq!(told(&found), ["www.example.org. A 192.0.2.1"]);
    assert_eq!(upstream.asked(), ["udp www.example.org. A"]);
    assert_eq!(world.number("alcove_dns_forward_mismatches_total"), 7);
}

#[tokio::test]
async fn who_guesses_too_often_makes_us_ask_over_tcp() {
    let upstream = Upstream::new(|asked, by_tcp| match by_tcp {
        true => vec![bytes(&addresses(asked, 60, &[[192, 0, 2, 1]]))],
        false => (1..20)
            .map(|guess| {
                let mut message = addresses(asked, 60, &[[203, 0, 113, 66]]);
                message.metadata.id = asked.metadata.id.wrapping_add(guess);
                bytes(&message)
            })
            .collect(),
    })
    .await;
    let world = World::new(&[upstream.address]).await;
    assert_eq!(told(&world.ask("www.example.org.", TYPE).await), ["www.example.org. A 192.0.2.1"]);
    assert_eq!(upstream.asked(), ["udp www.example.org. A", "tcp www.example.org. A"]);
}

#[tokio::test]
async fn what_comes_along_with_a_name_says_nothing_of_another() {
    let bank = |address| record(&name("bank.example."), 60, RData::A(A(address)));
    let upstream = Upstream::new(move |asked, _| {
        let mut message = answer(asked, ResponseCode::NoError);
        if asked.queries[0].name == name("www.example.org.") {
            message.answers = vec![
                bank([203, 0, 113, 66].into()),
                record(&name("b.example.net."), 60, RData::A(A([192, 0, 2, 2].into()))),
                alias("a.example.net.", "b.example.net."),
                alias("www.example.org.", "a.example.net."),
                alias("b.example.net.", "www.example.org."),
            ];
            message.authorities = vec![soa("bank.example."), bank([203, 0, 113, 66].into())];
            message.additionals = vec![bank([203, 0, 113, 66].into())];
        } else {
            message.answers = vec![bank([192, 0, 2, 9].into())];
        }
        vec![bytes(&message)]
    })
    .await;
    let world = World::new(&[upstream.address]).await;
    let mut found = told(&world.ask("www.example.org.", TYPE).await);
    found.sort();
    assert_eq!(
        found,
        [
            "a.example.net. CNAME b.example.net.",
            "b.example.net. A 192.0.2.2",
            "b.example.net. CNAME www.example.org.",
            "www.example.org. CNAME a.example.net.",
        ]
    );
    assert_eq!(told(&world.ask("bank.example.", TYPE).await), ["bank.example. A 192.0.2.9"]);
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn an_old_resolver_is_asked_in_the_old_way() {
    let upstream = Upstream::new(|asked, _| match asked.edns {
        Some(_) => vec![bytes(&answer(asked, ResponseCode::FormErr))],
        None => vec![bytes(&addresses(asked, 60, &[[192, 0, 2, 1]]))],
    })
    .await;
    let world = World::new(&[upstream.address]).await;
    assert_eq!(world.ask("www.example.org.", TYPE).await.answers.len(), 1);
    assert_eq!(upstream.asked(), ["udp www.example.org. A", "udp www.example.org. A plain"]);
}

#[tokio::test]
async fn the_next_resolver_is_asked_when_one_fails_and_then_stays_the_first() {
    let bad = Upstream::new(|asked, _| vec![bytes(&answer(asked, ResponseCode::ServFail))]).await;
    let good = Upstream::new(|asked, _| vec![bytes(&addresses(asked, 60, &[[192, 0, 2, 1]]))]).await;
    let closed = UdpSocket::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    let world = World::new(&[closed, bad.address, good.address]).await;
    assert_eq!(world.ask("a.example.org.", TYPE).await.answers.len(), 1);
    assert_eq!(world.ask("b.example.org.", TYPE).await.answers.len(), 1);
    assert_eq!((bad.asked().len(), good.asked().len()), (1, 2));
    let refused = World::new(&[bad.address]).await;
    assert_eq!(refused.ask("a.example.org.", TYPE).await.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(bad.asked().len(), 2);
}

// The clock runs ahead as soon as everybody waits.
#[tokio::test(start_paused = true)]
async fn silence_is_a_failure_that_is_remembered_for_a_moment() {
    let upstream = Upstream::new(|_, _| Vec::new()).await;
    let world = World::new(&[upstream.address]).await;
    let begin = tokio::time::Instant::now();
    let nobody = world.ask("www.example.org.", TYPE).await;
    assert_eq!((nobody.metadata.response_code, nobody.answers.len()), (ResponseCode::ServFail, 0));
    assert!(begin.elapsed() <= std::time::Duration::from_secs(4));
    assert_eq!(world.number("alcove_dns_forward_failures_total"), 1);
    let asked = upstream.asked().len();
    assert_eq!(world.ask("www.example.org.", TYPE).await.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(upstream.asked().len(), asked);
}

#[tokio::test]
async fn without_resolvers_the_world_is_refused() {
    let world = World::new(&[]).await;
    assert_eq!(world.ask("www.example.org.", TYPE).await.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn equal_questions_at_once_are_asked_once() {
    let upstream = Upstream::new(|asked, by_tcp| {
        let mut message = addresses(asked, 60, &[[192, 0, 2, 1]]);
        // The answer takes a while: it comes over TCP.
        message.metadata.truncation = !by_tcp;
        vec![bytes(&message)]
    })
    .await;
    let world = World::new(&[upstream.address]).await;
    let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
    socket.connect(world.address()).await.unwrap();
    for _ in 0..40 {
        socket.send(&bytes(&question("www.example.org.", TYPE))).await.unwrap();
    }
    let mut buffer = [0; 2048];
    for _ in 0..40 {
        let length = socket.recv(&mut buffer).await.unwrap();
        assert_eq!(Message::from_vec(&buffer[..length]).unwrap().answers.len(), 1);
    }
    assert_eq!(upstream.asked(), ["udp www.example.org. A", "tcp www.example.org. A"]);
}

#[tokio::test]
async fn what_is_the_clusters_or_the_hosts_never_leaves() {
    let upstream = Upstream::new(|asked, _| vec![bytes(&addresses(asked, 60, &[[192, 0, 2, 1]]))]).await;
    let folder = tempfile::tempdir().unwrap();
    let resolv_conf = folder.path().join("resolv.conf");
    let (ip, port) = (upstream.address.ip(), upstream.address.port());
    std::fs::write(&resolv_conf, format!("search a.svc.host.example svc.host.example\nnameserver {ip}\n"))
        .unwrap();
    let server = server();
    let config = Config {
        listen: vec![LOOPBACK.into()],
        upstreams: Some(vec![(ip, port).into()]),
        resolv_conf,
        hidden_domains: vec!["Corp.Example".to_owned()],
        ..Config::default()
    };
    let dns = alcove_dns::start(&server, config).await.unwrap();
    for (text, kind) in [
        ("none.default.svc.cluster.local.", TYPE),
        ("cluster.local.", RecordType::MX),
        ("db.team.svc.HOST.example.", TYPE),
        ("x.corp.example.", TYPE),
        ("5.0.96.10.in-addr.arpa.", RecordType::PTR),
        ("1.1.168.192.in-addr.arpa.", RecordType::PTR),
        ("1.0.0.127.in-addr.arpa.", RecordType::PTR),
        ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.", RecordType::PTR),
        ("localhost.", TYPE),
        ("www.example.org.", RecordType::ANY),
        ("www.example.org.", RecordType::AXFR),
    ] {
        udp(dns.addresses[0], &question(text, kind)).await;
    }
    assert_eq!(upstream.asked(), Vec::<String>::new());
    udp(dns.addresses[0], &question("8.8.8.8.in-addr.arpa.", RecordType::PTR)).await;
    assert_eq!(upstream.asked(), ["udp 8.8.8.8.in-addr.arpa. PTR"]);
}

#[tokio::test]
async fn a_service_may_be_another_name_for_what_is_outside() {
    let upstream = Upstream::new(|asked, _| {
        let mut message = addresses(asked, 60, &[[192, 0, 2, 1]]);
        if asked.queries[0].name != name("www.example.org.") {
            message = answer(asked, ResponseCode::NXDomain);
            message.authorities.push(soa("example.org."));
        }
        vec![bytes(&message)]
    })
    .await;
    let world = World::new(&[upstream.address]).await;
    let external = |target: &str| json!({ "type": "ExternalName", "externalName": target });
    world.service("far", external("www.example.org")).await;
    world.service("via", external("far.default.svc.cluster.local")).await;
    world.service("lost", external("none.example.org")).await;
    world.service("ring", external("ring.default.svc.cluster.local")).await;
    for _ in 0..2 {
        let far = world.ask("far.default.svc.cluster.local.", TYPE).await;
        assert!(far.metadata.authoritative);
        let chain = ["far.default.svc.cluster.local. CNAME www.example.org.", "www.example.org. A 192.0.2.1"];
        assert_eq!(told(&far), chain);
        let via = told(&world.ask("via.default.svc.cluster.local.", TYPE).await);
        assert_eq!(via[0], "via.default.svc.cluster.local. CNAME far.default.svc.cluster.local.");
        assert_eq!(via[1..], chain);
    }
    let lost = world.ask("lost.default.svc.cluster.local.", TYPE).await;
    assert_eq!((lost.metadata.response_code, lost.answers.len()), (ResponseCode::NXDomain, 1));
    let ring = world.ask("ring.default.svc.cluster.local.", TYPE).await;
    assert_eq!(ring.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(upstream.asked(), ["udp www.example.org. A", "udp none.example.org. A"]);
}

#[tokio::test]
async fn a_question_that_comes_back_is_refused() {
    // A resolver that knows nobody but us.
    let middle = Arc::new(UdpSocket::bind(LOOPBACK).await.unwrap());
    let world = World::new(&[middle.local_addr().unwrap()]).await;
    let (server, rounds) = (world.address(), Arc::new(AtomicUsize::new(0)));
    let counted = rounds.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = middle.recv_from(&mut buffer).await {
            counted.fetch_add(1, Ordering::Relaxed);
            let (packet, middle) = (buffer[..length].to_vec(), middle.clone());
            tokio::spawn(async move { middle.send_to(&udp_bytes(server, &packet).await, from).await });
        }
    });
    let found = world.ask("www.example.org.", TYPE).await;
    assert_eq!(found.metadata.response_code, ResponseCode::Refused);
    assert_eq!(rounds.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_said() {
    let server = server();
    let taken = UdpSocket::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    let base = Config { listen: vec![taken], resolv_conf: "/nowhere".into(), ..Config::default() };
    let itself = Config { upstreams: Some(vec![taken]), ..base.clone() };
    assert!(matches!(alcove_dns::start(&server, itself).await.err(), Some(Error::Loop { .. })));
    let unnamed = Config { domain: "a..b".into(), ..base.clone() };
    assert!(matches!(alcove_dns::start(&server, unnamed).await.err(), Some(Error::Domain { .. })));
    let held = UdpSocket::bind(taken).await.unwrap();
    let error = alcove_dns::start(&server, base).await.err().unwrap();
    assert!(error.to_string().starts_with(&format!("cannot serve DNS on {taken}: ")), "{error}");
    drop(held);
}
