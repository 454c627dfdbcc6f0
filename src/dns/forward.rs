//! Questions about the rest of the world: asked of other resolvers over UDP, over TCP when the answer was cut or when
//! somebody guesses at answers, each from a fresh port with a number that cannot be foreseen.
//!
//! **Invariant.** Only what answers the question is taken from an answer: the records of the asked name and of the
//! names that it is an alias of. Equal questions that are under way at once are asked once.

use crate::answer::Answer;
use crate::cache::{self, Cache, Question};
use crate::metrics::Metrics;
use crate::wire::{self, Flags};
use alcove_object::Env;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};

/// How long one resolver may take.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long an answer may take in all: less than the 5 s after which the C library asks again.
pub const FORWARD_TIMEOUT: Duration = Duration::from_secs(4);
/// Rounds over all resolvers.
const ROUNDS: usize = 2;
/// Questions under way at once; more are answered SERVFAIL.
pub const IN_FLIGHT_MAX: usize = 1_024;
/// Of these, questions of one client.
pub const IN_FLIGHT_PER_CLIENT_MAX: usize = 256;
/// Packets that are no answer to the question, after which it is asked over TCP: somebody may be guessing.
const MISMATCHES_MAX: usize = 8;
/// Other names for a name, one after the other, in one answer.
const ALIASES_MAX: usize = 16;

/// Asks others.
pub struct Forwarder {
    upstreams: Vec<SocketAddr>,
    /// The one that answered last is asked first.
    preferred: AtomicUsize,
    env: Arc<dyn Env>,
    mark: Vec<u8>,
    metrics: Arc<Metrics>,
    /// Answers that are kept.
    pub cache: Cache,
    flights: Mutex<HashMap<Question, Shared<BoxFuture<'static, Arc<Answer>>>>>,
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    all: usize,
    each: HashMap<IpAddr, usize>,
}

/// A place among the questions under way; given back when dropped.
pub struct Place {
    forwarder: Arc<Forwarder>,
    client: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.forwarder.clients.lock();
        clients.all -= 1;
        if let Some(count) = clients.each.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.each.remove(&self.client);
            }
        }
    }
}

/// Why a resolver's answer was not taken.
enum Failure {
    /// It could not be asked, or said nothing in time.
    Silent,
    /// It answered that it cannot answer.
    Code(Answer),
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Failure {
        Failure::Silent
    }
}

impl Forwarder {
    /// Asks these resolvers, in this order until one of them answers.
    pub fn new(upstreams: Vec<SocketAddr>, env: Arc<dyn Env>, metrics: Arc<Metrics>) -> Arc<Forwarder> {
        let mark = [env.random(), env.random()].map(u64::to_be_bytes).concat();
        Arc::new(Forwarder {
            upstreams,
            preferred: AtomicUsize::new(0),
            env,
            mark,
            metrics,
            cache: Cache::default(),
            flights: Mutex::default(),
            clients: Mutex::default(),
        })
    }

    /// Whether there is anybody to ask.
    pub fn is_empty(&self) -> bool {
        self.upstreams.is_empty()
    }

    /// What marks our own questions.
    pub fn mark(&self) -> &[u8] {
        &self.mark
    }

    /// A place for a question of this client; `None` when too many are under way.
    pub fn place(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let client = wire::client(client);
        let mut clients = self.clients.lock();
        let clients = &mut *clients;
        let count = clients.each.get(&client).copied().unwrap_or(0);
        if clients.all >= IN_FLIGHT_MAX || count >= IN_FLIGHT_PER_CLIENT_MAX {
            self.metrics.forward_rejected.fetch_add(1, Relaxed);
            return None;
        }
        clients.all += 1;
        clients.each.insert(client, count + 1);
        Some(Place { forwarder: self.clone(), client })
    }

    /// Asks others, or waits for whoever asked the same a moment ago.
    pub async fn ask(self: &Arc<Self>, question: Query, flags: Flags) -> Arc<Answer> {
        let key = cache::question(&question, flags);
        let flight = {
            let mut flights = self.flights.lock();
            match flights.get(&key) {
                Some(flight) => flight.clone(),
                None => {
                    let flight = self.clone().fly(key.clone(), question, flags).boxed().shared();
                    flights.insert(key, flight.clone());
                    flight
                }
            }
        };
        flight.await
    }

    async fn fly(self: Arc<Self>, key: Question, question: Query, flags: Flags) -> Arc<Answer> {
        let begin = Instant::now();
        // A panic must not leave the flight behind, for others to wait on.
        let asked = AssertUnwindSafe(self.round(&question, flags)).catch_unwind();
        let mut answer = match timeout(FORWARD_TIMEOUT, asked).await {
            Ok(Ok(Some(answer))) => {
                self.metrics.forward(begin.elapsed());
                answer
            }
            failed => {
                if matches!(failed, Ok(Err(_))) {
                    self.metrics.panics.fetch_add(1, Relaxed);
                }
                self.metrics.forward_failures.fetch_add(1, Relaxed);
                Answer::empty(ResponseCode::ServFail)
            }
        };
        cache::limit_lives(&mut answer);
        self.cache.put(&key, &answer);
        self.flights.lock().remove(&key);
        Arc::new(answer)
    }

    /// Asks one after the other. A resolver that says that it failed is believed if no other says better.
    async fn round(&self, question: &Query, flags: Flags) -> Option<Answer> {
        let (count, first) = (self.upstreams.len(), self.preferred.load(Relaxed));
        let mut said = None;
        for attempt in 0..count * ROUNDS {
            let which = (first + attempt) % count;
            let asked = self.ask_one(self.upstreams[which], question, flags);
            match timeout(ATTEMPT_TIMEOUT, asked).await {
                Ok(Ok(answer)) => {
                    self.preferred.store(which, Relaxed);
                    return Some(answer);
                }
                Ok(Err(Failure::Code(answer))) => said = Some(answer),
                Ok(Err(Failure::Silent)) | Err(_) => {}
            }
            if attempt + 1 >= count && said.is_some() {
                return said;
            }
        }
        said
    }

    async fn ask_one(&self, upstream: SocketAddr, question: &Query, flags: Flags) -> Result<Answer, Failure> {
        let modern = self.exchange(upstream, question, flags, Some(&self.mark)).await?;
        let code = modern.metadata.response_code;
        let message = match code {
            // It may be too old for EDNS (RFC 6891, 7).
            ResponseCode::FormErr | ResponseCode::NotImp => {
                self.exchange(upstream, question, flags, None).await?
            }
            _ => modern,
        };
        let answer = relevant(message, question);
        match answer.code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(answer),
            _ => Err(Failure::Code(answer)),
        }
    }

    async fn exchange(
        &self,
        upstream: SocketAddr,
        question: &Query,
        flags: Flags,
        mark: Option<&[u8]>,
    ) -> Result<Message, Failure> {
        let id = self.env.random().to_be_bytes();
        let id = u16::from_be_bytes([id[0], id[1]]);
        let packet = wire::query(id, question, flags, mark).map_err(|_| Failure::Silent)?;
        match self.over_udp(upstream, id, question, &packet).await? {
            Some(message) if !message.metadata.truncation => Ok(message),
            _ => over_tcp(upstream, id, question, &packet).await,
        }
    }

    /// `None`: too many packets came that were no answer.
    async fn over_udp(
        &self,
        upstream: SocketAddr,
        id: u16,
        question: &Query,
        packet: &[u8],
    ) -> io::Result<Option<Message>> {
        let any: IpAddr =
            if upstream.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        // Port 0: the kernel draws one. Connected: what comes from elsewhere is not even seen.
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(upstream).await?;
        socket.send(packet).await?;
        let mut buffer = vec![0; usize::from(wire::UDP_BYTES_MAX) + 1];
        for _ in 0..MISMATCHES_MAX {
            let length = socket.recv(&mut buffer).await?;
            if let Some(message) = matching(&buffer[..length], id, question) {
                return Ok(Some(message));
            }
            self.metrics.forward_mismatches.fetch_add(1, Relaxed);
        }
        Ok(None)
    }
}

async fn over_tcp(
    upstream: SocketAddr,
    id: u16,
    question: &Query,
    packet: &[u8],
) -> Result<Message, Failure> {
    let mut stream = TcpStream::connect(upstream).await?;
    let length = u16::try_from(packet.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), packet].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    matching(&answer, id, question).ok_or(Failure::Silent)
}

/// The message in a packet, if it answers this question.
fn matching(packet: &[u8], id: u16, question: &Query) -> Option<Message> {
    let asked = packet.get(..2)? == id.to_be_bytes() && packet.get(4..6)? == 1_u16.to_be_bytes();
    let message = asked.then(|| read(packet))??;
    let metadata = &message.metadata;
    let answers = metadata.message_type == MessageType::Response && metadata.op_code == OpCode::Query;
    (answers && message.queries.as_slice() == std::slice::from_ref(question)).then_some(message)
}

/// Reads an answer. One that is cut in the middle of a record is as good as its head: it is asked for again anyway.
fn read(packet: &[u8]) -> Option<Message> {
    if let Ok(message) = Message::from_vec(packet) {
        return Some(message);
    }
    let cut = packet[2] & 0x02 != 0;
    let mut head = packet.get(..packet.len()).filter(|_| cut)?.to_vec();
    head.get_mut(6..12)?.fill(0);
    Message::from_vec(&head).ok()
}

/// What of a message answers the question.
fn relevant(message: Message, question: &Query) -> Answer {
    let mut answer = Answer {
        authentic: message.metadata.authentic_data,
        ..Answer::empty(message.metadata.response_code)
    };
    let mut names: Vec<Name> = vec![question.name.clone()];
    // Aliases may stand in any order.
    while let Some(next) = message.answers.iter().find_map(|record| alias(record, &names))
        && names.len() <= ALIASES_MAX
    {
        names.push(next);
    }
    let about = |record: &Record| {
        let generated = record.record_type() == RecordType::DNAME;
        names.iter().any(|name| record.name == *name || (generated && record.name.zone_of(name)))
    };
    answer.answers = message.answers.into_iter().filter(about).collect();
    let last = names.last().unwrap_or(&question.name);
    let proofs = [RecordType::SOA, RecordType::NSEC, RecordType::NSEC3, RecordType::RRSIG];
    let zone =
        message.authorities.iter().find(|r| r.record_type() == RecordType::SOA).map(|r| r.name.clone());
    if let Some(zone) = zone.filter(|zone| zone.zone_of(last)) {
        let authorities = message.authorities.into_iter();
        answer.authorities = authorities
            .filter(|record| proofs.contains(&record.record_type()) && zone.zone_of(&record.name))
            .collect();
    }
    answer
}

/// The name that a record says one of these names is an alias of, if it is new.
fn alias(record: &Record, names: &[Name]) -> Option<Name> {
    match &record.data {
        RData::CNAME(target) if names.contains(&record.name) && !names.contains(&target.0) => {
            Some(target.0.clone())
        }
        _ => None,
    }
}
