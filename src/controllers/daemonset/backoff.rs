//! How long a node rests before a failed pod on it is replaced again (client-go's flowcontrol.Backoff). A daemon whose
//! pods a kubelet refuses would else come and go without end.

use jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// The rest after the first failure; doubles with each further one.
const REST_MIN: Duration = Duration::from_secs(1);
/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(15 * 60);

/// Which nodes rest, by set, generation and node.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    rests: Mutex<HashMap<String, (Duration, Timestamp)>>,
}

fn passed(since: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(since).try_into().unwrap_or_default()
}

impl Backoff {
    /// How long a node rests from now on; `None` when it does not.
    pub(super) fn left(&self, key: &str, now: Timestamp) -> Option<Duration> {
        let (rest, since) = *self.rests.lock().get(key)?;
        rest.checked_sub(passed(since, now)).filter(|left| !left.is_zero())
    }

    /// A pod failed on a node and is replaced. What did not fail for long is forgotten.
    pub(super) fn note(&self, key: String, now: Timestamp) {
        let mut rests = self.rests.lock();
        rests.retain(|_, (_, since)| passed(*since, now) <= REST_MAX * 2);
        let rest = rests.get(&key).map_or(REST_MIN, |(rest, _)| (*rest * 2).min(REST_MAX));
        rests.insert(key, (rest, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_rests_longer_each_time_and_is_forgotten() {
        let backoff = Backoff::default();
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let at = |seconds: i64| begin + jiff::SignedDuration::from_secs(seconds);
        let seconds = |left: Option<Duration>| left.map(|left| left.as_secs());
        assert_eq!(backoff.left("n", begin), None);
        backoff.note("n".into(), begin);
        assert_eq!(seconds(backoff.left("n", begin)), Some(1));
        assert_eq!(backoff.left("n", at(1)), None);
        backoff.note("n".into(), at(1));
        assert_eq!(seconds(backoff.left("n", at(2))), Some(1));
        for second in 2..20 {
            backoff.note("n".into(), at(second));
        }
        assert_eq!(seconds(backoff.left("n", at(19))), Some(900));
        backoff.note("n".into(), at(19 + 1801));
        assert_eq!(seconds(backoff.left("n", at(19 + 1801))), Some(1));
    }
}
