//! Answers of other resolvers, kept for as long as they allow and no longer than our limits, as the bytes that they came
//! in: what a thousand names cost is known to the byte.
//!
//! An answer is found by exactly the question that it was given to. Nothing that came along with one name is ever used
//! for another.

use crate::answer::Answer;
use crate::wire::Flags;
use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{RData, Record};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Answers kept at once.
pub const ENTRIES_MAX: usize = 10_000;
/// Bytes of all answers kept, with what keeping them costs.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;
/// A larger answer is not kept.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// No answer is kept for less, in seconds, even if it says so: a burst of equal questions is asked once.
const TTL_SECONDS_MIN: u32 = 1;
/// No record is kept or given out for longer, in seconds.
const TTL_SECONDS_MAX: u32 = 300;
/// The same for the word that something does not exist.
const NEGATIVE_TTL_SECONDS_MAX: u32 = 30;
/// How long it is remembered that nobody answered (RFC 9520 wants at least a second).
const FAILURE_SECONDS: u32 = 1;
/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 160;

/// A question, as the cache knows it: name in lower case, type, flags.
pub type Question = Arc<[u8]>;

/// The answers that are kept.
#[derive(Default)]
pub struct Cache {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Question, Entry>,
    /// Every entry in the order in which they came, with its number; entries that were replaced stand here twice.
    order: VecDeque<(u64, Question)>,
    number: u64,
    bytes: usize,
}

struct Entry {
    number: u64,
    from: Instant,
    until: Instant,
    message: Box<[u8]>,
}

/// How a question is found.
pub fn question(query: &Query, flags: Flags) -> Question {
    let mut key = Vec::with_capacity(query.name.len() + 4);
    for label in query.name.iter() {
        key.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        key.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    key.extend(u16::from(query.query_type).to_be_bytes());
    key.push(u8::from(flags.signatures) | (u8::from(flags.unchecked) << 1));
    key.into()
}

/// Cuts the lives of records to what we allow.
pub fn limit_lives(answer: &mut Answer) {
    for record in &mut answer.answers {
        record.ttl = record.ttl.clamp(TTL_SECONDS_MIN, TTL_SECONDS_MAX);
    }
    for record in &mut answer.authorities {
        record.ttl = record.ttl.clamp(TTL_SECONDS_MIN, NEGATIVE_TTL_SECONDS_MAX);
    }
}

/// For how many seconds an answer may be kept; `None`: not at all.
fn life(answer: &Answer) -> Option<u32> {
    match answer.code {
        ResponseCode::NoError if !answer.answers.is_empty() => {
            answer.answers.iter().map(|record| record.ttl).min()
        }
        ResponseCode::NoError | ResponseCode::NXDomain => answer.authorities.iter().find_map(negative_life),
        ResponseCode::ServFail => Some(FAILURE_SECONDS),
        _ => None,
    }
}

/// RFC 2308: the smaller of the SOA's own life and its last field.
fn negative_life(record: &Record) -> Option<u32> {
    match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum).clamp(TTL_SECONDS_MIN, NEGATIVE_TTL_SECONDS_MAX)),
        _ => None,
    }
}

impl Cache {
    /// The answer to a question, with what remains of its life.
    pub fn get(&self, question: &Question) -> Option<Answer> {
        let now = Instant::now();
        let kept = self.kept.lock();
        let entry = kept.entries.get(question).filter(|entry| entry.until > now)?;
        let age = u32::try_from(now.duration_since(entry.from).as_secs()).unwrap_or(u32::MAX);
        let message = Message::from_vec(&entry.message).ok()?;
        drop(kept);
        let mut answer = Answer {
            authentic: message.metadata.authentic_data,
            answers: message.answers,
            authorities: message.authorities,
            ..Answer::empty(message.metadata.response_code)
        };
        for record in answer.answers.iter_mut().chain(&mut answer.authorities) {
            record.decrement_ttl(age);
        }
        Some(answer)
    }

    /// Keeps an answer, if it may be kept.
    pub fn put(&self, question: &Question, answer: &Answer) {
        let Some(seconds) = life(answer) else { return };
        let mut message = Message::response(0, OpCode::Query);
        message.metadata.response_code = answer.code;
        message.metadata.authentic_data = answer.authentic;
        message.answers.clone_from(&answer.answers);
        message.authorities.clone_from(&answer.authorities);
        let Ok(message) = message.to_vec() else { return };
        if message.len() > ANSWER_BYTES_MAX {
            return;
        }
        let from = Instant::now();
        let until = from + Duration::from_secs(seconds.into());
        self.kept.lock().put(question, Entry { number: 0, from, until, message: message.into() });
    }

    /// How many answers are kept, and how many bytes they take.
    pub fn size(&self) -> (usize, usize) {
        let kept = self.kept.lock();
        (kept.entries.len(), kept.bytes)
    }
}

impl Kept {
    fn put(&mut self, question: &Question, entry: Entry) {
        self.number += 1;
        let now = entry.from;
        self.bytes += cost(question, &entry);
        let entry = Entry { number: self.number, ..entry };
        if let Some(old) = self.entries.insert(question.clone(), entry) {
            self.bytes -= cost(question, &old);
        }
        self.order.push_back((self.number, question.clone()));
        while let Some((number, question)) = self.order.front() {
            let current = self.entries.get(question).filter(|entry| entry.number == *number);
            let full = self.entries.len() > ENTRIES_MAX || self.bytes > BYTES_MAX;
            if current.is_some_and(|entry| entry.until > now) && !full {
                break;
            }
            let superseded = current.is_none();
            let Some((_, question)) = self.order.pop_front() else { break };
            if !superseded && let Some(old) = self.entries.remove(&question) {
                self.bytes -= cost(&question, &old);
            }
        }
    }
}

fn cost(question: &Question, entry: &Entry) -> usize {
    question.len() + entry.message.len() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::address;
    use hickory_proto::rr::rdata::SOA;
    use hickory_proto::rr::{Name, RecordType};

    fn asked(number: usize) -> Question {
        let name = Name::from_ascii(format!("n{number}.example.org.")).unwrap();
        question(&Query::query(name, RecordType::A), Flags::default())
    }

    fn found(ttl: u32, records: usize) -> Answer {
        let name = Name::from_ascii("a.example.org.").unwrap();
        let data = address("192.0.2.1".parse().unwrap());
        let mut answer = Answer::empty(ResponseCode::NoError);
        answer.answers = vec![Record::from_rdata(name, ttl, data); records];
        limit_lives(&mut answer);
        answer
    }

    fn missing(ttl: u32, minimum: u32) -> Answer {
        let zone = Name::from_ascii("example.org.").unwrap();
        let soa = SOA::new(zone.clone(), zone.clone(), 1, 1, 1, 1, minimum);
        let mut answer = Answer::empty(ResponseCode::NXDomain);
        answer.authorities = vec![Record::from_rdata(zone, ttl, RData::SOA(soa))];
        limit_lives(&mut answer);
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_lives_as_long_as_it_may() {
        let cases = [
            ("its own life", found(20, 1), 20_u32),
            ("no life", found(0, 1), 1),
            ("a long life", found(86_400, 1), 300),
            ("missing, by the SOA's life", missing(7, 60), 7),
            ("missing, by the SOA's last field", missing(60, 9), 9),
            ("missing for long", missing(86_400, 86_400), 30),
            ("failed", Answer::empty(ResponseCode::ServFail), 1),
            ("missing without SOA", Answer::empty(ResponseCode::NXDomain), 0),
            ("refused", Answer::empty(ResponseCode::Refused), 0),
            ("too large", found(20, 1_100), 0),
        ];
        for (what, answer, seconds) in cases {
            let cache = Cache::default();
            cache.put(&asked(1), &answer);
            assert_eq!(cache.get(&asked(1)), (seconds > 0).then(|| answer.clone()), "{what}");
            assert_eq!(cache.get(&asked(2)), None, "{what}");
            if seconds == 0 {
                continue;
            }
            tokio::time::advance(Duration::from_millis(u64::from(seconds) * 1000 - 1)).await;
            let old = cache.get(&asked(1)).unwrap_or_else(|| panic!("{what} must still be there"));
            let left = old.answers.first().map_or(1, |record| record.ttl);
            assert_eq!(left, 1, "{what}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert_eq!(cache.get(&asked(1)), None, "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_kept_than_allowed_and_the_oldest_goes_first() {
        let cache = Cache::default();
        for number in 0..ENTRIES_MAX + 5 {
            cache.put(&asked(number), &found(60, 1));
        }
        assert_eq!(cache.size().0, ENTRIES_MAX);
        assert!(cache.get(&asked(4)).is_none() && cache.get(&asked(5)).is_some());

        let cache = Cache::default();
        for number in 0..2_000 {
            cache.put(&asked(number), &found(60, 500));
            assert!(cache.size().1 <= BYTES_MAX);
        }
        assert!(cache.get(&asked(0)).is_none() && cache.get(&asked(1_999)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_makes_room_and_sizes_stay_true() {
        let cache = Cache::default();
        for round in 0..50 {
            for number in 0..20 {
                cache.put(&asked(number), &found(1 + number as u32 % 5, 1 + round % 3));
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        cache.put(&asked(99), &found(5, 1));
        assert_eq!(cache.size().0, 1);
        let kept = cache.kept.lock();
        assert_eq!(kept.order.len(), 1);
        assert_eq!(kept.bytes, kept.entries.iter().map(|(q, e)| cost(q, e)).sum::<usize>());
    }

    #[test]
    fn case_does_not_matter_and_all_else_does() {
        let key = |name: &str, kind, signatures, unchecked| {
            let name = Name::from_ascii(name).unwrap();
            question(&Query::query(name, kind), Flags { signatures, unchecked })
        };
        let one = key("a.example.org.", RecordType::A, false, false);
        assert_eq!(one, key("A.eXample.org.", RecordType::A, false, false));
        for other in [
            key("aexample.org.", RecordType::A, false, false),
            key("a.example.org.", RecordType::AAAA, false, false),
            key("a.example.org.", RecordType::A, true, false),
            key("a.example.org.", RecordType::A, false, true),
        ] {
            assert_ne!(one, other);
        }
    }
}
