//! The running process's clock and randomness.

use alcove_object::Env;
use jiff::Timestamp;

/// The system's clock, and randomness from the kernel.
#[derive(Clone, Copy, Debug)]
pub struct SystemEnv;

impl Env for SystemEnv {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("the kernel gives randomness once it has booted");
        u64::from_ne_bytes(bytes)
    }
}
