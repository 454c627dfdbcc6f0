//! The running process's clock and randomness.

use alcove_object::Env;
use jiff::Timestamp;
use std::cell::RefCell;

/// The system's clock, and randomness from the kernel.
#[derive(Clone, Copy, Debug)]
pub struct SystemEnv;

/// Bytes that a thread draws from the kernel at once. Every request needs a few words for its audit ID and its UIDs, and
/// to ask for each of them costs more than all else that is done with them.
const DRAWN_BYTES: usize = 256;

thread_local! {
    /// What is left of the last draw. Nothing is given twice: whoever takes a word cuts it off.
    static DRAWN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Env for SystemEnv {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> u64 {
        DRAWN.with_borrow_mut(|drawn| {
            if let Some((_, word)) = drawn.split_last_chunk() {
                let word = u64::from_ne_bytes(*word);
                drawn.truncate(drawn.len() - size_of::<u64>());
                return word;
            }
            let mut fresh = [0; DRAWN_BYTES];
            getrandom::fill(&mut fresh).expect("the kernel gives randomness once it has booted");
            let (rest, word) = fresh.split_last_chunk().expect("a word is shorter than what was drawn");
            drawn.clear();
            drawn.extend_from_slice(rest);
            u64::from_ne_bytes(*word)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_word_is_given_twice() {
        let draw = || (0..1_000).map(|_| SystemEnv.random()).collect::<Vec<u64>>();
        let other = std::thread::spawn(draw);
        let mut words: BTreeSet<u64> = draw().into_iter().collect();
        words.extend(other.join().unwrap());
        // Two of 2,000 random words are equal once in 10 trillion runs.
        assert_eq!(words.len(), 2_000);
    }
}
