//! How hard the host may be asked. A host that is down, or that asks for patience, gets one try per worker and pause;
//! as soon as one succeeds, all go on.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// The first pause after a failure; doubles with each further round of failures.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause that we choose ourselves: how long a host may be back before we notice.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Rounds of failures in a row that are worth a word in the log: about three seconds of them.
const ROUNDS_TOLD: u32 = 6;
/// The longest pause that a host may ask for.
const PAUSE_ASKED_MAX: Duration = Duration::from_secs(60);

/// The gate before every request to the host.
#[derive(Debug, Default)]
pub struct Pressure {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// No request before this.
    until: Option<Instant>,
    /// Rounds of failures without a success between them.
    rounds: u32,
}

impl Pressure {
    /// Waits until the host may be asked.
    pub async fn wait(&self) {
        while let Some(until) = self.closed_until() {
            tokio::time::sleep_until(until).await;
        }
    }

    fn closed_until(&self) -> Option<Instant> {
        self.state.lock().until.filter(|until| *until > Instant::now())
    }

    /// The host answered. Gives whether that ends an outage that was worth a word.
    pub fn eased(&self) -> bool {
        let mut state = self.state.lock();
        let was_told = state.rounds >= ROUNDS_TOLD;
        (state.until, state.rounds) = (None, 0);
        was_told
    }

    /// The host did not answer, or asked for patience (`Retry-After`). Failures of requests that were under way
    /// together count as one. Gives whether it is time for a word, which is once in an outage.
    pub fn pushed(&self, asked: Option<Duration>) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        if state.until.is_some_and(|until| until > now) {
            return false;
        }
        let chosen = PAUSE_MIN.saturating_mul(1 << state.rounds.min(16)).min(PAUSE_MAX);
        state.rounds = state.rounds.saturating_add(1);
        state.until = Some(now + asked.map_or(chosen, |asked| asked.min(PAUSE_ASKED_MAX)));
        state.rounds == ROUNDS_TOLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_by_the_round_and_end_with_a_success() {
        let pressure = Pressure::default();
        let (mut pauses, mut told) = (Vec::new(), 0);
        for _ in 0..10 {
            told += (0..16).filter(|_| pressure.pushed(None)).count();
            let begin = Instant::now();
            pressure.wait().await;
            pauses.push(Instant::now() - begin);
        }
        assert_eq!(pauses[..2], [PAUSE_MIN, PAUSE_MIN * 2]);
        assert_eq!(pauses[9], PAUSE_MAX);
        assert_eq!(told, 1, "an outage is told once");
        assert!(pressure.eased() && !pressure.eased());
        assert_eq!(pressure.closed_until(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_host_may_ask_for_a_time() {
        let pressure = Pressure::default();
        pressure.pushed(Some(Duration::from_secs(7)));
        let begin = Instant::now();
        pressure.wait().await;
        assert_eq!(Instant::now() - begin, Duration::from_secs(7));
    }
}
