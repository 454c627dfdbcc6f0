//! A queue of keys that holds each key once, never hands out a key that somebody works on, and brings failed keys
//! back after growing delays (the contract of client-go's workqueue).
//!
//! A key that comes back at once rests first, longer the more work it was: a set of thousands of pods whose pods all
//! change is looked at a few times, not once for every handful of them.

use super::{Key, Next};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Delay before the first repetition of a failed key; doubles with each further failure.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(5);
/// The longest delay before a failed key is tried again.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);
/// The longest time until a key comes back. What is due later than that is looked at once more in between, so that
/// no delay that users can write down (they count in 64 bits) is beyond what a clock can hold.
const DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Work on a key that takes less processor time than this needs no rest.
const BUSY_WITHOUT_REST: Duration = Duration::from_millis(2);
/// How much longer than the work the rest after it is: one key takes a third of a processor at most.
const REST_FACTOR: u32 = 2;
/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(1);

/// A queue of keys.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Key>,
    /// Keys in `ready`, and keys that came while they were worked on.
    waiting: HashSet<Key>,
    working: HashSet<Key>,
    /// Keys that were asked for again while they were worked on, and whose rest is not over. All are in `later`.
    resting: HashSet<Key>,
    later: BTreeSet<(Instant, Key)>,
    /// When a key in `later` is due: each is there once, at the soonest time that it was asked for.
    due: HashMap<Key, Instant>,
    failures: HashMap<Key, u32>,
}

impl State {
    fn add(&mut self, key: Key) -> bool {
        if self.resting.contains(&key) || !self.waiting.insert(key.clone()) {
            return false;
        }
        if self.working.contains(&key) {
            return false;
        }
        self.ready.push_back(key);
        true
    }

    fn add_at(&mut self, key: Key, at: Instant) {
        match self.due.get(&key) {
            Some(due) if *due <= at => return,
            Some(due) => drop(self.later.remove(&(*due, key.clone()))),
            None => {}
        }
        self.due.insert(key.clone(), at);
        self.later.insert((at, key));
    }

    /// Moves due keys to `ready`; gives the next key, or the time when the next one is due.
    fn take(&mut self, now: Instant) -> Result<Key, Option<Instant>> {
        while self.later.first().is_some_and(|(due, _)| *due <= now) {
            let Some((_, key)) = self.later.pop_first() else { break };
            self.due.remove(&key);
            self.resting.remove(&key);
            self.add(key);
        }
        let Some(key) = self.ready.pop_front() else {
            return Err(self.later.first().map(|(due, _)| *due));
        };
        self.waiting.remove(&key);
        self.working.insert(key.clone());
        Ok(key)
    }

    /// The work on a key is done; if it was asked for meanwhile, it comes back after its rest.
    fn release(&mut self, key: &Key, now: Instant, rest: Duration) {
        self.working.remove(key);
        if !self.waiting.contains(key) {
            return;
        }
        if rest.is_zero() {
            self.ready.push_back(key.clone());
            return;
        }
        self.waiting.remove(key);
        self.resting.insert(key.clone());
        self.add_at(key.clone(), now + rest);
    }
}

/// How long a key rests after work that took so much processor time.
fn rest_after(busy: Duration) -> Duration {
    if busy < BUSY_WITHOUT_REST { Duration::ZERO } else { (busy * REST_FACTOR).min(REST_MAX) }
}

impl Queue {
    /// Puts a key into the queue, if it is not there yet.
    pub fn add(&self, key: Key) {
        if self.state.lock().add(key) {
            self.changed.notify_one();
        }
    }

    /// Puts a key into the queue after a time, a day at most.
    pub fn add_after(&self, key: Key, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.state.lock().add_at(key, Instant::now() + delay.min(DELAY_MAX));
        self.changed.notify_one();
    }

    /// Waits for a key and marks it as worked on. Cancel-safe.
    pub async fn next(&self) -> Key {
        loop {
            let changed = self.changed.notified();
            let due = match self.state.lock().take(Instant::now()) {
                Ok(key) => {
                    // Others may be waiting for what else became ready or due.
                    self.changed.notify_one();
                    return key;
                }
                Err(due) => due,
            };
            match due {
                Some(due) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                None => changed.await,
            }
        }
    }

    /// The key is done, after so much processor time; its failures are forgotten.
    pub fn finish(&self, key: &Key, next: Next, busy: Duration) {
        let now = Instant::now();
        {
            let mut state = self.state.lock();
            state.failures.remove(key);
            if let Next::After(delay) = next {
                state.add_at(key.clone(), now + delay.min(DELAY_MAX));
            }
            state.release(key, now, rest_after(busy));
        }
        self.changed.notify_one();
    }

    /// The key failed and comes back after the delay given.
    pub fn fail(&self, key: &Key) -> Duration {
        let now = Instant::now();
        let delay = {
            let mut state = self.state.lock();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            *failures = failures.saturating_add(1);
            let delay = RETRY_DELAY_MIN.saturating_mul(1 << (*failures - 1).min(20)).min(RETRY_DELAY_MAX);
            state.add_at(key.clone(), now + delay);
            state.release(key, now, Duration::ZERO);
            delay
        };
        self.changed.notify_one();
        delay
    }

    /// How many keys are ready to be taken.
    pub fn depth(&self) -> usize {
        self.state.lock().ready.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        text.into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_once_and_is_not_handed_out_while_worked_on() {
        let queue = Queue::default();
        queue.add(key("a"));
        queue.add(key("a"));
        assert_eq!(&*queue.next().await, "a");
        queue.add(key("a"));
        assert_eq!(queue.depth(), 0, "a is worked on and must not be ready");
        queue.finish(&key("a"), Next::Done, Duration::ZERO);
        assert_eq!(&*queue.next().await, "a");
        queue.finish(&key("a"), Next::Done, Duration::ZERO);
        assert_eq!(queue.depth(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_keys_come_back_after_growing_delays() {
        let queue = Queue::default();
        queue.add(key("a"));
        let mut delays = Vec::new();
        for _ in 0..20 {
            let taken = queue.next().await;
            delays.push(queue.fail(&taken));
        }
        assert_eq!(delays[0], RETRY_DELAY_MIN);
        assert!(delays.windows(2).all(|w| w[0] <= w[1]));
        assert_eq!(*delays.last().unwrap(), RETRY_DELAY_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_key_does_not_hide_a_ready_one() {
        let queue = Queue::default();
        queue.add_after(key("late"), Duration::from_secs(10));
        queue.add(key("now"));
        assert_eq!(&*queue.next().await, "now");
        let begin = Instant::now();
        assert_eq!(&*queue.next().await, "late");
        assert_eq!(Instant::now() - begin, Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_was_much_work_rests_before_it_comes_back() {
        let queue = Queue::default();
        queue.add(key("a"));
        let taken = queue.next().await;
        queue.add(key("a"));
        let begin = Instant::now();
        queue.finish(&taken, Next::Done, Duration::from_millis(100));
        queue.add(key("a"));
        queue.add(key("b"));
        assert_eq!(&*queue.next().await, "b", "a rests, whoever asks for it");
        assert_eq!(&*queue.next().await, "a");
        assert_eq!(Instant::now() - begin, Duration::from_millis(200));
        queue.finish(&key("a"), Next::Done, Duration::from_secs(60));
        queue.add(key("a"));
        assert_eq!(&*queue.next().await, "a", "what was not asked for during the work does not rest");
        assert_eq!(Instant::now() - begin, Duration::from_millis(200));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_due_once_and_within_a_day() {
        let queue = Queue::default();
        queue.add_after(key("a"), Duration::from_secs(u64::MAX));
        queue.add_after(key("a"), Duration::MAX);
        assert_eq!(queue.state.lock().later.len(), 1);
        let begin = Instant::now();
        assert_eq!(&*queue.next().await, "a");
        assert_eq!(Instant::now() - begin, DELAY_MAX);
    }
}
