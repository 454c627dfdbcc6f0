//! Objects of the host that went a short while ago. The host's answer to a write may be read after its watch has told that
//! the object went; who believed the answer would wait for an object that nobody will tell of again.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many are remembered: more than go while one answer is on its way.
const GONE_OBJECTS_MAX: usize = 4_096;

/// Digests of the UIDs of the objects that went last.
#[derive(Debug, Default)]
pub struct Gone(VecDeque<u64>);

impl Gone {
    /// Notes that an object went; the one that went first is forgotten for it.
    pub fn note(&mut self, uid: &str) {
        if self.0.len() == GONE_OBJECTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(digest(uid));
    }

    /// Whether an object is one that went.
    pub fn has(&self, uid: &str) -> bool {
        self.0.contains(&digest(uid))
    }
}

fn digest(uid: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_that_went_are_remembered() {
        let mut gone = Gone::default();
        (0..=GONE_OBJECTS_MAX).for_each(|i| gone.note(&i.to_string()));
        assert!(!gone.has("0"), "the first made room");
        assert!(gone.has("1") && gone.has(&GONE_OBJECTS_MAX.to_string()));
    }
}
