//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long anything may take before it counts as not happening. Generous: the machine may be busy; a test that
/// passes never waits for it.
pub const DEADLINE: Duration = Duration::from_secs(600);
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// Looks until `look` gives a value; its error says what is still missing. Panics with the last one at the deadline.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(missing) if started.elapsed() > DEADLINE => panic!("{what} did not happen: {missing}"),
            Err(_) => std::thread::sleep(BETWEEN_LOOKS),
        }
    }
}
