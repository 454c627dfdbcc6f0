//! The syncer's own numbers. Labels are kinds of [`RULES`](crate::rules::RULES), words of ours and status codes, never
//! what a tenant wrote.

use alcove_apiserver::metrics::head;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was worked on; nothing is left to be done.
    Done,
    /// The host could not be asked.
    Unavailable,
    /// It failed and is tried again.
    Failed,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Unavailable => "host_unavailable",
            Outcome::Failed => "failed",
        }
    }
}

/// Counters of one syncer.
#[derive(Debug, Default)]
pub struct Metrics {
    syncs: Mutex<BTreeMap<(&'static str, Outcome), u64>>,
    refusals: Mutex<BTreeMap<(&'static str, String), u64>>,
    host_requests: Mutex<BTreeMap<u16, u64>>,
    /// Host objects looked at again by the safety resync.
    pub resynced: AtomicU64,
}

impl Metrics {
    /// A key of this kind was worked on.
    pub fn synced(&self, kind: &'static str, outcome: Outcome) {
        *self.syncs.lock().entry((kind, outcome)).or_default() += 1;
    }

    /// An object was not synced, or in part, because of this field; `host`: the host said so.
    pub fn refused(&self, kind: &'static str, field: &str) {
        // Places in lists are not told apart.
        let rule: String = field.chars().filter(|c| !c.is_ascii_digit()).collect();
        *self.refusals.lock().entry((kind, rule)).or_default() += 1;
    }

    /// The host answered a request with this code; 0: not at all.
    pub fn asked_host(&self, code: u16) {
        *self.host_requests.lock().entry(code).or_default() += 1;
    }

    /// All numbers in Prometheus' text form. `depth`: keys that wait.
    pub fn render(&self, out: &mut String, depth: usize) {
        head(out, "alcove_sync_queue_depth", "gauge", "Keys that wait to be synced.");
        let _ = writeln!(out, "alcove_sync_queue_depth {depth}");
        head(out, "alcove_syncs_total", "counter", "Keys worked on, by kind and what became of them.");
        for ((kind, outcome), count) in self.syncs.lock().iter() {
            let result = outcome.word();
            let _ = writeln!(out, "alcove_syncs_total{{kind=\"{kind}\",result=\"{result}\"}} {count}");
        }
        head(
            out,
            "alcove_sync_refusals_total",
            "counter",
            "Refusals, by kind and by rule: the field, or `host`.",
        );
        for ((kind, rule), count) in self.refusals.lock().iter() {
            let _ = writeln!(out, "alcove_sync_refusals_total{{kind=\"{kind}\",rule=\"{rule}\"}} {count}");
        }
        head(
            out,
            "alcove_host_requests_total",
            "counter",
            "Requests to the host, by status code; 0: no answer.",
        );
        for (code, count) in self.host_requests.lock().iter() {
            let _ = writeln!(out, "alcove_host_requests_total{{code=\"{code}\"}} {count}");
        }
        head(out, "alcove_resynced_objects_total", "counter", "Host objects looked at by the safety resync.");
        let _ = writeln!(out, "alcove_resynced_objects_total {}", self.resynced.load(Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_by_kind_and_result() {
        let metrics = Metrics::default();
        metrics.synced("Pod", Outcome::Done);
        metrics.synced("Pod", Outcome::Done);
        metrics.refused("Pod", "spec.volumes[0].hostPath");
        metrics.refused("Pod", "spec.volumes[17].hostPath");
        metrics.asked_host(200);
        metrics.asked_host(0);
        let mut text = String::new();
        metrics.render(&mut text, 3);
        for line in [
            "alcove_sync_queue_depth 3\n",
            "alcove_syncs_total{kind=\"Pod\",result=\"done\"} 2\n",
            "alcove_sync_refusals_total{kind=\"Pod\",rule=\"spec.volumes[].hostPath\"} 2\n",
            "alcove_host_requests_total{code=\"0\"} 1\n",
            "alcove_host_requests_total{code=\"200\"} 1\n",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
