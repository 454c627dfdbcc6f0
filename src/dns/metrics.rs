//! Numbers about the server. Labels are from fixed lists, never from a question.

use crate::wire::Transport;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const TYPES: [RecordType; 11] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::SRV,
    RecordType::PTR,
    RecordType::CNAME,
    RecordType::TXT,
    RecordType::NS,
    RecordType::SOA,
    RecordType::MX,
    RecordType::HTTPS,
    RecordType::ANY,
];
const CODES: [(&str, ResponseCode); 6] = [
    ("NOERROR", ResponseCode::NoError),
    ("NXDOMAIN", ResponseCode::NXDomain),
    ("SERVFAIL", ResponseCode::ServFail),
    ("REFUSED", ResponseCode::Refused),
    ("FORMERR", ResponseCode::FormErr),
    ("NOTIMP", ResponseCode::NotImp),
];
/// Upper bounds of the latency of forwarded questions, in milliseconds.
const BOUNDS: [u64; 11] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 4_000];

/// What has been counted since the start.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: [AtomicU64; TYPES.len() + 1],
    responses: [AtomicU64; CODES.len() + 1],
    transports: [AtomicU64; 2],
    /// Packets that made us panic. There must be none.
    pub panics: AtomicU64,
    /// Packets that were thrown away unanswered.
    pub dropped: AtomicU64,
    /// Questions to others that were answered from what is kept.
    pub cache_hits: AtomicU64,
    /// Questions to others that were not.
    pub cache_misses: AtomicU64,
    /// Questions that no other resolver answered.
    pub forward_failures: AtomicU64,
    /// Questions that were not forwarded since too many were under way.
    pub forward_rejected: AtomicU64,
    /// Packets from resolvers that were no answer to what they were asked.
    pub forward_mismatches: AtomicU64,
    /// TCP connections that were closed since too many were open.
    pub connections_rejected: AtomicU64,
    forwards: [AtomicU64; BOUNDS.len() + 1],
    forward_microseconds: AtomicU64,
}

impl Metrics {
    /// Counts a question.
    pub fn request(&self, kind: RecordType, transport: Transport) {
        let place = TYPES.iter().position(|known| *known == kind).unwrap_or(TYPES.len());
        self.requests[place].fetch_add(1, Relaxed);
        self.transports[usize::from(transport == Transport::Tcp)].fetch_add(1, Relaxed);
    }

    /// Counts an answer.
    pub fn response(&self, code: ResponseCode) {
        let place = CODES.iter().position(|(_, known)| *known == code).unwrap_or(CODES.len());
        self.responses[place].fetch_add(1, Relaxed);
    }

    /// Counts a forwarded question that was answered.
    pub fn forward(&self, took: Duration) {
        let place = BOUNDS.iter().position(|bound| took.as_millis() <= u128::from(*bound));
        self.forwards[place.unwrap_or(BOUNDS.len())].fetch_add(1, Relaxed);
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.forward_microseconds.fetch_add(microseconds, Relaxed);
    }

    /// All numbers in Prometheus' text form. `kept`: answers and bytes in the cache.
    pub fn text(&self, kept: (usize, usize)) -> String {
        let mut out = String::new();
        let counted = |numbers: &[AtomicU64], names: Vec<String>| -> Vec<(String, u64)> {
            names.into_iter().zip(numbers).map(|(name, number)| (name, number.load(Relaxed))).collect()
        };
        let or_other = |names: Vec<String>| names.into_iter().chain(["other".to_owned()]).collect::<Vec<_>>();
        let types = or_other(TYPES.iter().map(ToString::to_string).collect());
        let codes = or_other(CODES.iter().map(|(name, _)| (*name).to_owned()).collect());
        let transports = vec!["udp".to_owned(), "tcp".to_owned()];
        family(&mut out, "alcove_dns_requests_total", "type", counted(&self.requests, types));
        family(
            &mut out,
            "alcove_dns_requests_by_transport_total",
            "transport",
            counted(&self.transports, transports),
        );
        family(&mut out, "alcove_dns_responses_total", "rcode", counted(&self.responses, codes));
        for (name, number) in [
            ("alcove_dns_panics_total", &self.panics),
            ("alcove_dns_dropped_total", &self.dropped),
            ("alcove_dns_cache_hits_total", &self.cache_hits),
            ("alcove_dns_cache_misses_total", &self.cache_misses),
            ("alcove_dns_forward_failures_total", &self.forward_failures),
            ("alcove_dns_forward_rejected_total", &self.forward_rejected),
            ("alcove_dns_forward_mismatches_total", &self.forward_mismatches),
            ("alcove_dns_connections_rejected_total", &self.connections_rejected),
        ] {
            let _ = writeln!(out, "# TYPE {name} counter\n{name} {}", number.load(Relaxed));
        }
        for (name, number) in [("alcove_dns_cache_entries", kept.0), ("alcove_dns_cache_bytes", kept.1)] {
            let _ = writeln!(out, "# TYPE {name} gauge\n{name} {number}");
        }
        self.latency(&mut out);
        out
    }

    fn latency(&self, out: &mut String) {
        const NAME: &str = "alcove_dns_forward_duration_seconds";
        let _ = writeln!(out, "# TYPE {NAME} histogram");
        let mut total = 0;
        for (place, number) in self.forwards.iter().enumerate() {
            total += number.load(Relaxed);
            let bound =
                BOUNDS.get(place).map_or("+Inf".to_owned(), |bound| (*bound as f64 / 1000.0).to_string());
            let _ = writeln!(out, "{NAME}_bucket{{le=\"{bound}\"}} {total}");
        }
        let seconds = self.forward_microseconds.load(Relaxed) as f64 / 1e6;
        let _ = writeln!(out, "{NAME}_sum {seconds}\n{NAME}_count {total}");
    }
}

fn family(out: &mut String, name: &str, label: &str, numbers: Vec<(String, u64)>) {
    let _ = writeln!(out, "# TYPE {name} counter");
    for (value, number) in numbers.into_iter().filter(|(_, number)| *number > 0) {
        let _ = writeln!(out, "{name}{{{label}=\"{value}\"}} {number}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_under_fixed_names() {
        let metrics = Metrics::default();
        metrics.request(RecordType::A, Transport::Udp);
        metrics.request(RecordType::Unknown(65_280), Transport::Tcp);
        metrics.response(ResponseCode::NXDomain);
        metrics.response(ResponseCode::BADVERS);
        metrics.forward(Duration::from_millis(3));
        metrics.forward(Duration::from_secs(9));
        let text = metrics.text((2, 300));
        for line in [
            "alcove_dns_requests_total{type=\"A\"} 1",
            "alcove_dns_requests_total{type=\"other\"} 1",
            "alcove_dns_requests_by_transport_total{transport=\"tcp\"} 1",
            "alcove_dns_responses_total{rcode=\"NXDOMAIN\"} 1",
            "alcove_dns_responses_total{rcode=\"other\"} 1",
            "alcove_dns_cache_bytes 300",
            "alcove_dns_forward_duration_seconds_bucket{le=\"0.002\"} 0",
            "alcove_dns_forward_duration_seconds_bucket{le=\"0.005\"} 1",
            "alcove_dns_forward_duration_seconds_bucket{le=\"+Inf\"} 2",
            "alcove_dns_forward_duration_seconds_sum 9.003",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
