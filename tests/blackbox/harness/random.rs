//! Random numbers that can be had again: a failing test prints its seed, and `ALCOVE_SEED` sets it.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64: small, and good enough to choose when to pull the plug.
pub struct Random(u64);

impl Random {
    /// A generator from `ALCOVE_SEED`, or else from the clock. Says on stderr which seed it is.
    pub fn seeded(test: &str) -> Random {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
        let given =
            std::env::var("ALCOVE_SEED").ok().map(|text| text.parse().expect("ALCOVE_SEED is a number"));
        let seed = given.unwrap_or_else(clock);
        eprintln!("{test}: run it again with ALCOVE_SEED={seed}");
        Random(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
