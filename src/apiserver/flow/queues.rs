//! The queues of one priority level. A flow is dealt a hand of queues by its hash and stands in the shortest, so that a
//! flow that floods fills its own hand and most others keep a queue without it (shuffle sharding,
//! k8s.io/apiserver/pkg/util/shufflesharding). Queues are served by start-time fair queueing: each has had so many
//! seats, and who has had least comes first.
//!
//! Only queues in which somebody stands are kept, since an administrator may ask for millions.

use std::collections::{BTreeMap, VecDeque};

/// Cards in a hand at most. Validation allows no more than sixty bits of them, which is fewer.
const HAND_MAX: usize = 32;

/// How a level queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queueing {
    /// How many queues there are.
    pub queues: u64,
    /// How many of them a flow may stand in.
    pub hand: usize,
    /// How many may stand in one.
    pub length_max: usize,
}

/// One who waits.
pub struct Waiter<T> {
    pub id: u64,
    pub seats: u32,
    pub who: T,
}

/// The queues of a level in which somebody stands.
pub struct Queues<T> {
    queues: BTreeMap<u64, Queue<T>>,
    /// The start of who was served last: where a queue begins in which nobody stood.
    now: u64,
    /// How many came, so that equal queues are taken in turn.
    came: usize,
}

struct Queue<T> {
    /// Seats that were given to this queue, counted on from when it began.
    start: u64,
    waiters: VecDeque<Waiter<T>>,
}

impl<T> Default for Queues<T> {
    fn default() -> Queues<T> {
        Queues { queues: BTreeMap::new(), now: 0, came: 0 }
    }
}

impl<T> Queues<T> {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Puts somebody into the shortest queue of the hand that this hash is dealt. Gives back who does not fit.
    pub fn push(&mut self, how: &Queueing, hash: u64, waiter: Waiter<T>) -> Result<(), Waiter<T>> {
        let hand = deal(hash, how);
        let turn = self.came % hand.len();
        self.came = self.came.wrapping_add(1);
        let length = |queue: &u64| self.queues.get(queue).map_or(0, |queue| queue.waiters.len());
        let in_turn = hand[turn..].iter().chain(&hand[..turn]);
        let shortest = *in_turn.min_by_key(|queue| length(queue)).expect("a hand holds a card");
        if length(&shortest) >= how.length_max {
            return Err(waiter);
        }
        let now = self.now;
        let queue = self.queues.entry(shortest);
        let queue = queue.or_insert_with(|| Queue { start: now, waiters: VecDeque::new() });
        queue.waiters.push_back(waiter);
        Ok(())
    }

    fn first(&self) -> Option<u64> {
        self.queues.iter().min_by_key(|(_, queue)| queue.start).map(|(index, _)| *index)
    }

    /// The seats that the next one needs.
    pub fn next_seats(&self) -> Option<u32> {
        self.queues.get(&self.first()?)?.waiters.front().map(|waiter| waiter.seats)
    }

    /// Takes the next one out.
    pub fn pop(&mut self) -> Option<Waiter<T>> {
        let index = self.first()?;
        let queue = self.queues.get_mut(&index)?;
        let waiter = queue.waiters.pop_front()?;
        self.now = queue.start;
        queue.start += u64::from(waiter.seats);
        if queue.waiters.is_empty() {
            self.queues.remove(&index);
        }
        Some(waiter)
    }

    /// Takes out who does not want to wait any more. Whether they were still there.
    pub fn remove(&mut self, id: u64) -> bool {
        for (index, queue) in &mut self.queues {
            if let Some(at) = queue.waiters.iter().position(|waiter| waiter.id == id) {
                queue.waiters.remove(at);
                let (index, is_empty) = (*index, queue.waiters.is_empty());
                if is_empty {
                    self.queues.remove(&index);
                }
                return true;
            }
        }
        false
    }
}

/// The hand of a hash: different cards of the deck, the same ones whenever it is dealt.
fn deal(mut hash: u64, how: &Queueing) -> Vec<u64> {
    let deck = how.queues.max(1);
    let size = how.hand.clamp(1, HAND_MAX).min(usize::try_from(deck).unwrap_or(HAND_MAX));
    let mut hand: Vec<u64> = Vec::with_capacity(size);
    let mut sorted: Vec<u64> = Vec::with_capacity(size);
    for left in (1..=deck).rev().take(size) {
        let mut card = hash % left;
        hash /= left;
        // The card-th of those that are still in the deck.
        let passed = sorted.iter().take_while(|dealt| {
            let is_before = **dealt <= card;
            card += u64::from(is_before);
            is_before
        });
        let at = passed.count();
        sorted.insert(at, card);
        hand.push(card);
    }
    hand
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOW: Queueing = Queueing { queues: 8, hand: 3, length_max: 2 };

    fn waiter(id: u64, seats: u32) -> Waiter<&'static str> {
        Waiter { id, seats, who: "" }
    }

    #[test]
    fn hands_hold_different_cards() {
        for hash in (0..1000).map(|i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            let mut hand = deal(hash, &HOW);
            assert_eq!(hand, deal(hash, &HOW));
            hand.sort_unstable();
            hand.dedup();
            assert_eq!(hand.len(), 3);
            assert!(hand.iter().all(|card| *card < 8));
        }
        let whole = deal(12_345, &Queueing { queues: 4, hand: 4, length_max: 1 });
        assert_eq!(whole.iter().sum::<u64>(), 6);
        assert_eq!(deal(7, &Queueing { queues: 0, hand: 0, length_max: 0 }), [0]);
        assert_eq!(deal(7, &Queueing { queues: 10_000_000, hand: 2, length_max: 0 }).len(), 2);
    }

    #[test]
    fn a_hand_that_is_full_takes_nobody() {
        let mut queues = Queues::default();
        for id in 0..6 {
            assert!(queues.push(&HOW, 1, waiter(id, 1)).is_ok(), "{id}");
        }
        assert_eq!(queues.push(&HOW, 1, waiter(6, 1)).err().map(|waiter| waiter.id), Some(6));
        assert!(queues.remove(3));
        assert!(!queues.remove(3));
        assert!(queues.push(&HOW, 1, waiter(7, 1)).is_ok());
        let mut left: Vec<u64> = std::iter::from_fn(|| queues.pop()).map(|waiter| waiter.id).collect();
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2, 4, 5, 7]);
        assert!(queues.is_empty());
    }

    #[test]
    fn who_has_had_least_comes_first() {
        let one = Queueing { queues: 100, hand: 1, length_max: 100 };
        let mut queues = Queues::default();
        for id in 0..6 {
            assert!(queues.push(&one, 1, waiter(id, 1)).is_ok());
        }
        // A flow of its own that comes later does not stand behind the six, and pays for its width.
        for id in 10..13 {
            assert!(queues.push(&one, 2, waiter(id, 2)).is_ok());
        }
        let order: Vec<u64> = std::iter::from_fn(|| queues.pop()).map(|waiter| waiter.id).collect();
        assert_eq!(order, [0, 10, 1, 2, 11, 3, 4, 12, 5]);
    }
}
