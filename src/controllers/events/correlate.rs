//! Which events are worth writing, after what was told before: the rules of client-go's recorder
//! (k8s.io/client-go/tools/record: `EventCorrelator`). The same event again is counted; many that differ in their words
//! alone become one; an object about which there is no end of news is heard less often. Pure.

use super::Kind;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};

/// How many objects, groups and events are remembered, each. What is forgotten is told anew.
const REMEMBERED_MAX: usize = 1024;
/// From so many different messages of one reason on, they are one event.
const MESSAGES_MAX: usize = 10;
/// What is told again after this time begins a new group.
const GROUP_SECONDS_MAX: i64 = 600;
/// How many events about one object are told at once, and how long it takes until one more may be.
const BURST_EVENTS_MAX: f64 = 25.0;
const SECONDS_PER_EVENT: f64 = 300.0;

/// What somebody wants to tell.
#[derive(Clone, Copy)]
pub(super) struct News<'a> {
    /// What tells the object from all others.
    pub object: &'a str,
    pub kind: Kind,
    pub reason: &'a str,
    pub message: &'a str,
}

/// What is to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Under which the event is remembered.
    pub identity: String,
    pub message: String,
    /// The event as it was written the last time.
    pub before: Option<Written>,
}

/// An event that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub name: String,
    pub count: u64,
    pub first: Timestamp,
}

/// What was told so far.
#[derive(Default)]
pub(super) struct Correlator {
    groups: HashMap<String, Group>,
    written: HashMap<String, Written>,
    patience: HashMap<String, Patience>,
}

/// The events of one object and one reason.
struct Group {
    messages: BTreeSet<String>,
    last: Timestamp,
}

/// How many events about an object may still be told.
struct Patience {
    events: f64,
    since: Timestamp,
}

impl Correlator {
    /// What to write now; none if this object was in the news too often.
    pub fn told(&mut self, news: News<'_>, now: Timestamp) -> Option<Told> {
        let (identity, message) = self.grouped(news, now);
        let before = self.written.get(&identity).cloned();
        self.may_tell(news.object, now).then_some(Told { identity, message, before })
    }

    /// Remembers what was written.
    pub fn remember(&mut self, identity: String, event: Written) {
        make_room(&mut self.written, &identity);
        self.written.insert(identity, event);
    }

    /// The event's identity and message, or those of its group when it has too many.
    fn grouped(&mut self, news: News<'_>, now: Timestamp) -> (String, String) {
        let of = format!("{}/{:?}/{}", news.object, news.kind, news.reason);
        let empty = || Group { messages: BTreeSet::new(), last: now };
        let group = entry(&mut self.groups, of.clone(), empty);
        if seconds(group.last, now) > GROUP_SECONDS_MAX as f64 {
            group.messages.clear();
        }
        group.last = now;
        group.messages.insert(news.message.to_owned());
        if group.messages.len() < MESSAGES_MAX {
            return (format!("{of}/{}", news.message), news.message.to_owned());
        }
        group.messages.pop_first();
        (of, format!("(combined from similar events): {}", news.message))
    }

    fn may_tell(&mut self, object: &str, now: Timestamp) -> bool {
        let full = || Patience { events: BURST_EVENTS_MAX, since: now };
        let patience = entry(&mut self.patience, object.to_owned(), full);
        let gained = seconds(patience.since, now).max(0.0) / SECONDS_PER_EVENT;
        *patience = Patience { events: (patience.events + gained).min(BURST_EVENTS_MAX), since: now };
        let may = patience.events >= 1.0;
        if may {
            patience.events -= 1.0;
        }
        may
    }
}

/// What is remembered under a key, which is made room for when it is new.
fn entry<T>(map: &mut HashMap<String, T>, key: String, new: impl FnOnce() -> T) -> &mut T {
    make_room(map, &key);
    map.entry(key).or_insert_with(new)
}

/// Forgets all when there are as many as may be, and none under this key.
fn make_room<T>(map: &mut HashMap<String, T>, key: &str) {
    if map.len() >= REMEMBERED_MAX && !map.contains_key(key) {
        map.clear();
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn news(message: &str) -> News<'_> {
        News { object: "Pod/a", kind: Kind::Warning, reason: "Failed", message }
    }

    #[test]
    fn an_event_that_repeats_is_the_same_one() {
        let mut known = Correlator::default();
        let first = known.told(news("no"), at(0)).unwrap();
        assert_eq!((first.message.as_str(), &first.before), ("no", &None));
        let event = Written { name: "a.1".to_owned(), count: 1, first: at(0) };
        known.remember(first.identity.clone(), event.clone());
        let again = known.told(news("no"), at(5)).unwrap();
        assert_eq!((again.identity, again.before), (first.identity, Some(event)));
        assert_eq!(known.told(news("yes"), at(6)).unwrap().before, None);
    }

    #[test]
    fn the_tenth_message_of_a_reason_begins_a_summary() {
        let mut known = Correlator::default();
        let told = |known: &mut Correlator, i: i64, second| {
            known.told(news(&format!("no {i}")), at(second)).unwrap()
        };
        for i in 0..9 {
            assert_eq!(told(&mut known, i, i).message, format!("no {i}"));
        }
        let tenth = told(&mut known, 9, 9);
        assert_eq!(tenth.message, "(combined from similar events): no 9");
        let next = told(&mut known, 10, 10);
        assert_eq!(
            (next.message.as_str(), next.identity),
            ("(combined from similar events): no 10", tenth.identity)
        );
        assert_eq!(told(&mut known, 11, 611).message, "no 11", "after a time of rest");
    }

    #[test]
    fn an_object_is_in_the_news_only_so_often() {
        let mut known = Correlator::default();
        assert_eq!((0..30).filter(|_| known.told(news("no"), at(0)).is_some()).count(), 25);
        let other = News { object: "Pod/b", ..news("no") };
        assert!(known.told(other, at(0)).is_some());
        assert!(known.told(news("no"), at(299)).is_none());
        assert!(known.told(news("no"), at(301)).is_some());
        assert!(known.told(news("no"), at(302)).is_none());
    }
}
