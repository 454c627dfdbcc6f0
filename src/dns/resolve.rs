//! From a packet to a packet: what we know is said at once; what others know comes from the cache or is asked for.

use crate::answer::Answer;
use crate::cache;
use crate::follow::Follower;
use crate::forward::{Forwarder, Place};
use crate::metrics::Metrics;
use crate::wire::{Flags, Refused, Request, Transport};
use crate::zone::{View, Zones, limited};
use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::{Record, RecordType};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Services that are other names for Services, one after the other, before the chain counts as a circle.
const ALIASES_MAX: usize = 8;

/// Answers packets.
pub struct Resolver {
    /// The names that are ours.
    pub zones: Zones,
    /// What exists.
    pub follower: Follower,
    /// Who is asked about the rest.
    pub forwarder: Arc<Forwarder>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Grows from question to question.
    pub turn: AtomicUsize,
}

/// What is to be done with a packet.
pub enum Outcome {
    /// Nothing.
    Drop,
    /// This is sent back.
    Reply(Vec<u8>),
    /// Others are asked first.
    Later(Box<Pending>),
}

/// A question that others are asked.
pub struct Pending {
    request: Request,
    transport: Transport,
    /// What we knew ourselves.
    known: Vec<Record>,
    /// What is left to ask.
    rest: Query,
    /// The limit's place that this takes.
    _place: Place,
}

/// How far what we know leads.
enum Reached {
    Answered(Answer),
    /// After these records, this is left to ask of others.
    Beyond(Vec<Record>, Query),
}

impl Resolver {
    /// What is to be done with a packet of this client. Should one make us panic, it alone goes unanswered.
    pub fn receive(&self, packet: &[u8], client: IpAddr, transport: Transport) -> Outcome {
        catch_unwind(AssertUnwindSafe(|| self.take(packet, client, transport))).unwrap_or_else(|_| {
            tracing::error!(%client, "a DNS question was not understood");
            self.metrics.panics.fetch_add(1, Relaxed);
            Outcome::Drop
        })
    }

    fn take(&self, packet: &[u8], client: IpAddr, transport: Transport) -> Outcome {
        let request = match Request::read(packet) {
            Ok(request) => request,
            Err(Refused::Dropped) => {
                self.metrics.dropped.fetch_add(1, Relaxed);
                return Outcome::Drop;
            }
            Err(Refused::Code(code, reply)) => {
                self.metrics.response(code);
                return Outcome::Reply(reply);
            }
        };
        self.metrics.request(request.question.query_type, transport);
        if let Some(code) = request.refusal() {
            return self.reply(&request, Answer::empty(code), transport);
        }
        let (known, rest) = match self.reach(&request) {
            Reached::Answered(answer) => return self.reply(&request, answer, transport),
            Reached::Beyond(known, rest) => (known, rest),
        };
        match self.forwarder.place(client) {
            Some(place) => {
                Outcome::Later(Box::new(Pending { request, transport, known, rest, _place: place }))
            }
            None => self.reply(&request, Answer::empty(ResponseCode::ServFail), transport),
        }
    }

    /// Asks others and gives the packet to send back.
    pub async fn finish(&self, pending: Box<Pending>) -> Vec<u8> {
        let flags = flags(&pending.request);
        let answer = self.forwarder.ask(pending.rest, flags).await;
        let answer = continued(pending.known, (*answer).clone());
        self.metrics.response(answer.code);
        pending.request.reply(answer, pending.transport)
    }

    fn reply(&self, request: &Request, answer: Answer, transport: Transport) -> Outcome {
        self.metrics.response(answer.code);
        Outcome::Reply(request.reply(answer, transport))
    }

    /// Follows what we know, and what is kept of others' answers, as far as it leads.
    fn reach(&self, request: &Request) -> Reached {
        let mut known = Vec::new();
        let mut question = request.question.clone();
        for _ in 0..ALIASES_MAX {
            let answer = match self.own(&question) {
                Some(answer) => answer,
                None => return self.others(request, known, question),
            };
            let Some(next) = answer.chase.clone() else {
                return Reached::Answered(continued(known, answer));
            };
            known.extend(answer.answers);
            question.name = next;
        }
        let circle = Answer { code: ResponseCode::ServFail, ..Answer::own(known) };
        Reached::Answered(circle)
    }

    fn own(&self, question: &Query) -> Option<Answer> {
        let state = match self.follower.state() {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(%error, "DNS cannot follow the cluster");
                return Some(Answer::empty(ResponseCode::ServFail));
            }
        };
        // The last 32 bits are enough: serial numbers are compared modulo 2^32 (RFC 1982).
        let serial = (state.revision & u64::from(u32::MAX)) as u32;
        let turn = self.turn.fetch_add(1, Relaxed);
        View { zones: &self.zones, index: &state.index, serial, turn }.answer(question)
    }

    fn others(&self, request: &Request, known: Vec<Record>, question: Query) -> Reached {
        let answered = |answer| Reached::Answered(continued(known.clone(), answer));
        if request.is_marked(self.forwarder.mark()) {
            tracing::warn!(name = %question.name, "a question came back from a resolver that it was sent to");
            return answered(Answer::empty(ResponseCode::Refused));
        }
        if self.forwarder.is_empty() {
            return answered(Answer::empty(ResponseCode::Refused));
        }
        if question.query_type == RecordType::ANY {
            return answered(Answer { authoritative: false, ..limited(&question) });
        }
        match self.forwarder.cache.get(&cache::question(&question, flags(request))) {
            Some(answer) => {
                self.metrics.cache_hits.fetch_add(1, Relaxed);
                answered(answer)
            }
            None => {
                self.metrics.cache_misses.fetch_add(1, Relaxed);
                Reached::Beyond(known, question)
            }
        }
    }
}

fn flags(request: &Request) -> Flags {
    Flags { signatures: request.wants_signatures(), unchecked: request.unchecked }
}

/// The whole answer: what led to a name, and what was found there.
fn continued(known: Vec<Record>, mut answer: Answer) -> Answer {
    if known.is_empty() {
        return answer;
    }
    answer.authoritative = true;
    answer.authentic = false;
    answer.answers.splice(..0, known);
    answer
}
