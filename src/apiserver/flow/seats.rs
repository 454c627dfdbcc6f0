//! Who may have the next seat: the priority levels of a server, their shares of its seats, and those who wait.
//!
//! Every level counts as having what it never lends, used or not; a seat beyond that is given while the sum stays
//! within the server's seats (the part of k8s.io/apiserver/pkg/util/flowcontrol that computes limits).

use super::queues::{Queueing, Queues, Waiter};
use alcove_object::Value;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// Seats of one request at most (upstream's MaximumListSeatsLimit).
const REQUEST_SEATS_MAX: u32 = 10;
/// A request takes no more than this part of its level's seats.
const REQUEST_PERCENT_MAX: u64 = 15;

/// A priority level, as requests see it.
pub struct Level {
    /// Its name.
    pub name: String,
    /// Whether nothing limits it.
    pub is_exempt: bool,
    /// Seats that it never lends: these are taken without asking anybody.
    kept: AtomicU32,
    /// Seats that one request may have.
    request_max: AtomicU32,
    /// Seats that are taken.
    pub(super) taken: AtomicU32,
    /// Requests that have them.
    pub(super) running: AtomicU32,
    /// Requests that wait.
    pub(super) waiting: AtomicU32,
}

impl Level {
    fn new(name: &str, is_exempt: bool) -> Level {
        Level {
            name: name.to_owned(),
            is_exempt,
            kept: AtomicU32::new(0),
            request_max: AtomicU32::new(1),
            taken: AtomicU32::new(0),
            running: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
        }
    }

    /// A level that nothing limits.
    #[cfg(test)]
    pub fn exempt(name: &str) -> Level {
        Level::new(name, true)
    }

    /// Seats that one request may have.
    pub fn seats_max(&self) -> u32 {
        self.request_max.load(SeqCst)
    }

    /// Takes seats of those that are not lent, unless somebody waits already.
    pub fn take_kept(&self, seats: u32) -> bool {
        let kept = self.kept.load(SeqCst);
        let fits = |taken: u32| taken.checked_add(seats).filter(|sum| *sum <= kept);
        let is_taken =
            self.waiting.load(SeqCst) == 0 && self.taken.fetch_update(SeqCst, SeqCst, fits).is_ok();
        if is_taken {
            self.running.fetch_add(1, SeqCst);
        }
        is_taken
    }

    /// Takes seats, whatever the limits.
    pub fn take(&self, seats: u32) {
        self.taken.fetch_add(seats, SeqCst);
        self.running.fetch_add(1, SeqCst);
    }

    /// Gives seats back.
    pub fn give_back(&self, seats: u32) {
        self.running.fetch_sub(1, SeqCst);
        self.taken.fetch_sub(seats, SeqCst);
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    r#type: String,
    exempt: Option<Shares>,
    limited: Option<Shares>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Shares {
    nominal_concurrency_shares: Option<u32>,
    lendable_percent: Option<u32>,
    borrowing_limit_percent: Option<u32>,
    limit_response: Response,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    queuing: Option<Queuing>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Queuing {
    queues: Option<u64>,
    hand_size: Option<usize>,
    queue_length_limit: Option<usize>,
}

/// What a level's object says, beside its name.
pub struct Wanted {
    is_exempt: bool,
    shares: u64,
    lent_percent: u64,
    borrowed_percent: Option<u64>,
    queueing: Option<Queueing>,
}

impl Wanted {
    /// Reads a spec. `None`: it is none, which validation lets nobody store.
    pub fn read(spec: &Value) -> Option<Wanted> {
        let spec = Spec::deserialize(spec).ok()?;
        let is_exempt = spec.r#type == "Exempt";
        let shares = if is_exempt { spec.exempt } else { Some(spec.limited?) }.unwrap_or_default();
        let queueing = shares.limit_response.queuing.map(|queuing| Queueing {
            queues: queuing.queues.unwrap_or(64),
            hand: queuing.hand_size.unwrap_or(8),
            length_max: queuing.queue_length_limit.unwrap_or(50),
        });
        Some(Wanted {
            is_exempt,
            shares: shares.nominal_concurrency_shares.unwrap_or(if is_exempt { 0 } else { 30 }).into(),
            lent_percent: shares.lendable_percent.unwrap_or(0).min(100).into(),
            borrowed_percent: shares.borrowing_limit_percent.map(u64::from),
            queueing,
        })
    }
}

/// All levels, and who waits in them.
pub struct Book<T> {
    /// Seats of the server.
    seats: u32,
    accounts: BTreeMap<String, Account<T>>,
    next_id: u64,
}

/// One level.
pub struct Account<T> {
    /// The level.
    pub level: Arc<Level>,
    /// Its share of the server's seats.
    pub nominal: u32,
    /// What it has when it borrows all it may.
    pub max: u32,
    queueing: Option<Queueing>,
    queues: Queues<T>,
}

impl<T> Account<T> {
    /// What it never lends.
    pub fn kept(&self) -> u32 {
        self.level.kept.load(SeqCst)
    }
}

/// What somebody who asks for seats gets.
pub enum Answer {
    /// Seats, at once.
    Seated,
    /// A place in a queue.
    Queued(u64),
    /// Nothing: the queue is full.
    Full,
    /// Nothing: this level does not queue.
    Busy,
}

/// One who waited and has seats now.
pub struct Seated<T> {
    pub level: Arc<Level>,
    pub seats: u32,
    pub who: T,
}

impl<T> Book<T> {
    /// The book of a server with so many seats, without a level.
    pub fn new(seats: u32) -> Book<T> {
        Book { seats, accounts: BTreeMap::new(), next_id: 0 }
    }

    /// The levels by name.
    pub fn accounts(&self) -> impl Iterator<Item = &Account<T>> {
        self.accounts.values()
    }

    /// The level of a name.
    pub fn level(&self, name: &str) -> Option<&Arc<Level>> {
        self.accounts.get(name).map(|account| &account.level)
    }

    /// Takes other levels, or the same with other shares. Who holds seats or waits in a level that stays goes on; those
    /// who waited in one that goes are given seats beyond all limits.
    pub fn set(&mut self, wanted: &BTreeMap<String, Wanted>) -> Vec<Seated<T>> {
        let mut left = Vec::new();
        let gone: Vec<String> = self.accounts.keys().filter(|n| !wanted.contains_key(*n)).cloned().collect();
        for name in gone {
            if let Some(mut account) = self.accounts.remove(&name) {
                while let Some(waiter) = account.queues.pop() {
                    left.push(account.seat(waiter));
                }
            }
        }
        let sum: u64 = wanted.values().map(|wanted| wanted.shares).sum::<u64>().max(1);
        for (name, wanted) in wanted {
            let is_known = self.accounts.get(name).is_some_and(|a| a.level.is_exempt == wanted.is_exempt);
            if !is_known {
                let level = Arc::new(Level::new(name, wanted.is_exempt));
                let account =
                    Account { level, nominal: 0, max: 0, queueing: None, queues: Queues::default() };
                self.accounts.insert(name.clone(), account);
            }
            let account = self.accounts.get_mut(name).expect("it was put there");
            account.set(wanted, self.seats, sum);
        }
        left
    }

    /// Asks for seats of a level. `who` is kept while it waits.
    pub fn ask(&mut self, level: &str, seats: u32, hash: u64, who: T) -> Answer {
        let in_use = self.in_use();
        let Some(account) = self.accounts.get_mut(level) else { return Answer::Busy };
        if account.queues.is_empty() && account.may_take(seats, in_use, self.seats) {
            account.level.take(seats);
            return Answer::Seated;
        }
        let Some(queueing) = &account.queueing else { return Answer::Busy };
        self.next_id += 1;
        let waiter = Waiter { id: self.next_id, seats, who };
        match account.queues.push(queueing, hash, waiter) {
            Err(_) => Answer::Full,
            Ok(()) => {
                account.level.waiting.fetch_add(1, SeqCst);
                Answer::Queued(self.next_id)
            }
        }
    }

    /// Takes out who does not wait any longer. Whether they were still there.
    pub fn forget(&mut self, level: &str, id: u64) -> bool {
        let Some(account) = self.accounts.get_mut(level) else { return false };
        let was_there = account.queues.remove(id);
        if was_there {
            account.level.waiting.fetch_sub(1, SeqCst);
        }
        was_there
    }

    /// Gives a seat to the next one who may have it: of the level that has least of its share.
    pub fn next(&mut self) -> Option<Seated<T>> {
        let (in_use, all) = (self.in_use(), self.seats);
        let waiting = self.accounts.values_mut().filter(|account| {
            let seats = account.queues.next_seats();
            seats.is_some_and(|seats| account.may_take(seats, in_use, all))
        });
        let used = |account: &&mut Account<T>| {
            u64::from(account.level.taken.load(SeqCst)) * 1000 / u64::from(account.nominal.max(1))
        };
        let account = waiting.min_by_key(used)?;
        let waiter = account.queues.pop()?;
        Some(account.seat(waiter))
    }

    /// Seats that are taken or kept for who may want them.
    fn in_use(&self) -> u64 {
        self.accounts.values().map(|account| u64::from(account.counted(0))).sum()
    }
}

impl<T> Account<T> {
    fn set(&mut self, wanted: &Wanted, seats: u32, sum: u64) {
        let all = u64::from(seats);
        let nominal = (all * wanted.shares).div_ceil(sum);
        let percent = |part: u64| (nominal * part + 50) / 100;
        let kept = nominal - percent(wanted.lent_percent);
        let max = nominal + wanted.borrowed_percent.map_or(all, percent);
        let hand = wanted.queueing.map_or(1, |queueing| queueing.hand.max(1) as u64);
        let request_max = (nominal * REQUEST_PERCENT_MAX).div_ceil(100).min(nominal / hand);
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        self.nominal = small(nominal);
        self.max = small(max);
        self.queueing = wanted.queueing;
        // What nothing limits keeps nothing from others.
        self.level.kept.store(if wanted.is_exempt { 0 } else { small(kept) }, SeqCst);
        self.level.request_max.store(small(request_max).clamp(1, REQUEST_SEATS_MAX), SeqCst);
    }

    /// What the level counts as having, with more seats than it has.
    fn counted(&self, more: u32) -> u32 {
        match self.level.is_exempt {
            true => 0,
            false => (self.level.taken.load(SeqCst) + more).max(self.kept()),
        }
    }

    fn may_take(&self, seats: u32, in_use: u64, all: u32) -> bool {
        let taken = self.level.taken.load(SeqCst);
        if taken + seats <= self.kept() {
            return true;
        }
        // A request that is wider than its level is served alone.
        let fits = taken + seats <= self.max || (taken == 0 && self.max > 0);
        let with_it = in_use - u64::from(self.counted(0)) + u64::from(self.counted(seats));
        fits && with_it <= u64::from(all)
    }

    fn seat(&self, waiter: Waiter<T>) -> Seated<T> {
        self.level.waiting.fetch_sub(1, SeqCst);
        self.level.take(waiter.seats);
        Seated { level: self.level.clone(), seats: waiter.seats, who: waiter.who }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn limited(shares: u64, lent: u64, borrowed: Option<u64>, queue: Option<usize>) -> Wanted {
        let mut limited = json!({"nominalConcurrencyShares": shares, "lendablePercent": lent});
        limited["limitResponse"] = match queue {
            None => json!({"type": "Reject"}),
            Some(length) => {
                json!({"type": "Queue", "queuing": {"queues": 1, "handSize": 1, "queueLengthLimit": length}})
            }
        };
        if let Some(borrowed) = borrowed {
            limited["borrowingLimitPercent"] = borrowed.into();
        }
        Wanted::read(&json!({"type": "Limited", "limited": limited})).unwrap()
    }

    fn book(seats: u32, levels: Vec<(&str, Wanted)>) -> Book<&'static str> {
        let mut book = Book::new(seats);
        book.set(&levels.into_iter().map(|(name, wanted)| (name.to_owned(), wanted)).collect());
        book
    }

    /// How many of the seats asked for one by one are given.
    fn seated(book: &mut Book<&'static str>, level: &str, asks: usize) -> usize {
        (0..asks).filter(|_| matches!(book.ask(level, 1, 0, ""), Answer::Seated)).count()
    }

    #[test]
    fn shares_are_upstreams() {
        let all = crate::flow::bootstrap::levels();
        let wanted = all
            .iter()
            .map(|level| {
                (
                    level["metadata"]["name"].as_str().unwrap().to_owned(),
                    Wanted::read(&level["spec"]).unwrap(),
                )
            })
            .collect();
        let mut book: Book<()> = Book::new(600);
        book.set(&wanted);
        let limits: Vec<(&str, u32, u32, u32)> = book
            .accounts()
            .map(|account| (&*account.level.name, account.nominal, account.kept(), account.max))
            .collect();
        let expected = [
            ("catch-all", 13, 13, 613),
            ("exempt", 0, 0, 600),
            ("global-default", 49, 24, 649),
            ("leader-election", 25, 25, 625),
            ("node-high", 98, 73, 698),
            ("system", 74, 50, 674),
            ("workload-high", 98, 49, 698),
            ("workload-low", 245, 24, 845),
        ];
        assert_eq!(limits, expected);
    }

    #[test]
    fn a_level_borrows_what_others_lend_and_do_not_use() {
        let two = || vec![("a", limited(1, 0, Some(100), None)), ("b", limited(1, 50, None, None))];
        // Of ten seats b keeps two, so a may have three beside its own five, and no more.
        assert_eq!(seated(&mut book(10, two()), "a", 20), 8);
        let mut used = book(10, two());
        assert_eq!(seated(&mut used, "b", 5), 5);
        assert_eq!(seated(&mut used, "a", 20), 5);
        let mut lent = book(10, two());
        assert_eq!(seated(&mut lent, "a", 20), 8);
        assert_eq!(seated(&mut lent, "b", 5), 2);
        let mut jailed =
            book(10, vec![("a", limited(0, 0, Some(0), None)), ("b", limited(1, 100, None, None))]);
        assert_eq!(seated(&mut jailed, "a", 3), 0);
    }

    #[test]
    fn who_waits_comes_in_turn_and_those_with_less_first() {
        let own = || limited(1, 0, Some(0), Some(2));
        let mut book = book(4, vec![("a", own()), ("b", own())]);
        assert_eq!((seated(&mut book, "a", 2), seated(&mut book, "b", 2)), (2, 2));
        assert!(matches!(book.ask("a", 1, 0, "a1"), Answer::Queued(_)));
        let Answer::Queued(impatient) = book.ask("a", 1, 0, "a2") else { panic!("there is room") };
        assert!(matches!(book.ask("a", 1, 0, "a3"), Answer::Full));
        assert!(matches!(book.ask("b", 1, 0, "b1"), Answer::Queued(_)));
        assert!(book.next().is_none());
        assert!(book.forget("a", impatient) && !book.forget("a", impatient));
        let (a, b) = (book.level("a").unwrap().clone(), book.level("b").unwrap().clone());
        a.give_back(1);
        b.give_back(1);
        b.give_back(1);
        let order: Vec<&str> = std::iter::from_fn(|| book.next()).map(|seated| seated.who).collect();
        assert_eq!(order, ["b1", "a1"]);
        assert_eq!(a.waiting.load(SeqCst), 0);
        // Seats that are kept are taken without the book, but not past who waits.
        assert!(b.take_kept(1) && !b.take_kept(1));
    }

    #[test]
    fn nobody_waits_forever_in_a_level_that_goes() {
        let mut book = book(1, vec![("a", limited(1, 0, Some(0), Some(5)))]);
        assert_eq!(seated(&mut book, "a", 1), 1);
        assert!(matches!(book.ask("a", 1, 0, "waits"), Answer::Queued(_)));
        let left = book.set(&BTreeMap::new());
        assert_eq!(left.iter().map(|seated| seated.who).collect::<Vec<_>>(), ["waits"]);
        assert!(matches!(book.ask("a", 1, 0, ""), Answer::Busy));
    }

    #[test]
    fn a_wide_request_is_served_alone() {
        let mut book = book(2, vec![("a", limited(1, 0, Some(0), Some(5)))]);
        assert_eq!(seated(&mut book, "a", 1), 1);
        assert!(matches!(book.ask("a", 2, 0, "wide"), Answer::Queued(_)));
        assert!(book.next().is_none());
        book.level("a").unwrap().give_back(1);
        assert_eq!(book.next().unwrap().seats, 2);
    }
}
