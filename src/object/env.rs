//! The one door to the world's disorder: clock, randomness, UIDs and generated names.
//!
//! Whatever must know the time or draw a number takes a `&dyn Env`, so that tests replay from a seed.

use jiff::Timestamp;

/// Clock and randomness. The running process has one over the system's; tests have a seeded one.
pub trait Env: Send + Sync + std::fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Sixty-four random bits, unpredictable in production.
    fn random(&self) -> u64;

    /// A random UID in the form of RFC 4122 version 4.
    fn uid(&self) -> String {
        let (a, b) = (self.random(), self.random());
        let a = (a & !0xf000) | 0x4000;
        let b = (b & !(0b11 << 62)) | (0b10 << 62);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xffff,
            b >> 48,
            b & 0xffff_ffff_ffff
        )
    }

    /// The suffix that `generateName` and controllers append: `length` characters of upstream's alphabet
    /// (k8s.io/apimachinery/pkg/util/rand: no vowels and nothing that looks like another letter).
    fn name_suffix(&self, length: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..length).map(|_| ALPHABET[(self.random() % ALPHABET.len() as u64) as usize] as char).collect()
    }
}
