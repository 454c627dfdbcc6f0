//! A queue of keys that holds each key once, never hands out a key that somebody works on, and brings failed keys
//! back after growing delays (the contract of client-go's workqueue).

use super::{Key, Next};
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Delay before the first repetition of a failed key; doubles with each further failure.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(5);
/// The longest delay before a failed key is tried again.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);

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
    later: BinaryHeap<Reverse<(Instant, Key)>>,
    failures: HashMap<Key, u32>,
}

impl State {
    fn add(&mut self, key: Key) -> bool {
        if !self.waiting.insert(key.clone()) {
            return false;
        }
        if self.working.contains(&key) {
            return false;
        }
        self.ready.push_back(key);
        true
    }

    /// Moves due keys to `ready`; gives the next key, or the time until the next one is due.
    fn take(&mut self, now: Instant) -> Result<Key, Option<Instant>> {
        while let Some(Reverse((due, _))) = self.later.peek() {
            if *due > now {
                break;
            }
            if let Some(Reverse((_, key))) = self.later.pop() {
                self.add(key);
            }
        }
        let Some(key) = self.ready.pop_front() else {
            return Err(self.later.peek().map(|Reverse((due, _))| *due));
        };
        self.waiting.remove(&key);
        self.working.insert(key.clone());
        Ok(key)
    }

    fn release(&mut self, key: &Key) -> bool {
        self.working.remove(key);
        let again = self.waiting.contains(key);
        if again {
            self.ready.push_back(key.clone());
        }
        again
    }
}

impl Queue {
    /// Puts a key into the queue, if it is not there yet.
    pub fn add(&self, key: Key) {
        if self.state.lock().add(key) {
            self.changed.notify_one();
        }
    }

    /// Puts a key into the queue after a time.
    pub fn add_after(&self, key: Key, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.state.lock().later.push(Reverse((Instant::now() + delay, key)));
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

    /// The key is done; its failures are forgotten.
    pub fn finish(&self, key: &Key, next: Next) {
        let again = {
            let mut state = self.state.lock();
            state.failures.remove(key);
            if let Next::After(delay) = next {
                state.later.push(Reverse((Instant::now() + delay, key.clone())));
            }
            state.release(key) || next != Next::Done
        };
        if again {
            self.changed.notify_one();
        }
    }

    /// The key failed and comes back after the delay given.
    pub fn fail(&self, key: &Key) -> Duration {
        let delay = {
            let mut state = self.state.lock();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            *failures = failures.saturating_add(1);
            let delay = RETRY_DELAY_MIN.saturating_mul(1 << (*failures - 1).min(20)).min(RETRY_DELAY_MAX);
            state.later.push(Reverse((Instant::now() + delay, key.clone())));
            state.release(key);
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
        queue.finish(&key("a"), Next::Done);
        assert_eq!(&*queue.next().await, "a");
        queue.finish(&key("a"), Next::Done);
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
}
