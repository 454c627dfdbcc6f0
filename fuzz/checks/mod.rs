//! What must hold for any input whatever: one function per way in. Each is given bytes, gives them to the room that
//! reads such input, and panics when something does not hold. That nothing panics is the least; the rest is what
//! follows from reading: what was read and written again reads the same.
//!
//! The fuzzer and the replay of the corpora share these; neither has anything of its own.

mod bodies;
mod custom;
mod expressions;
mod patches;
mod requests;
mod selectors;

/// One way in.
pub type Check = fn(&[u8]);

const CHECKS: [(&str, Check); 11] = [
    ("json", bodies::json),
    ("yaml", bodies::yaml),
    ("protobuf", bodies::protobuf),
    ("patch", patches::patch),
    ("apply", patches::apply),
    ("selector", selectors::selector),
    ("cel", expressions::cel),
    ("custom", custom::custom),
    ("continue", requests::token),
    ("path", requests::path),
    ("options", requests::options),
];

/// The check of this name.
pub fn named(name: &str) -> Option<Check> {
    CHECKS.iter().find(|(known, _)| *known == name).map(|(_, check)| *check)
}

/// The names of all checks.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|(name, _)| *name)
}

/// Parts of an input that is made of several: its lines, of which the last has all that is left. What is not there is
/// empty.
fn parts<const N: usize>(input: &[u8]) -> [&[u8]; N] {
    let mut lines = input.splitn(N, |byte| *byte == b'\n');
    [(); N].map(|()| lines.next().unwrap_or_default())
}
