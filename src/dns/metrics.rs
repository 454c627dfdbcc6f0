//! Numbers about the server. Labels are from fixed lists, never from a question.

use crate::wire::Transport;
use alcove_apiserver::metrics::head;
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
        for (name, help, label, numbers) in [
            ("alcove_dns_requests_total", "Questions by type.", "type", counted(&self.requests, types)),
            (
                "alcove_dns_requests_by_transport_total",
                "Questions by the way they came.",
                "transport",
                counted(&self.transports, transports),
            ),
            ("alcove_dns_responses_total", "Answers by code.", "rcode", counted(&self.responses, codes)),
        ] {
            head(&mut out, name, "counter", help);
            for (value, number) in numbers.into_iter().filter(|(_, number)| *number > 0) {
                let _ = writeln!(out, "{name}{{{label}=\"{value}\"}} {number}");
            }
        }
        for (name, help, number) in [
            ("panics", "Packets that made the server panic.", &self.panics),
            ("dropped", "Packets that were thrown away unanswered.", &self.dropped),
            ("cache_hits", "Questions about the world answered from what is kept.", &self.cache_hits),
            ("cache_misses", "Questions about the world that others were asked.", &self.cache_misses),
            ("forward_failures", "Questions that no resolver answered.", &self.forward_failures),
            (
                "forward_rejected",
                "Questions not passed on since too many were under way.",
                &self.forward_rejected,
            ),
            (
                "forward_mismatches",
                "Packets of resolvers that answered something else.",
                &self.forward_mismatches,
            ),
            (
                "connections_rejected",
                "Connections closed since too many were open.",
                &self.connections_rejected,
            ),
        ] {
            let name = format!("alcove_dns_{name}_total");
            head(&mut out, &name, "counter", help);
            let _ = writeln!(out, "{name} {}", number.load(Relaxed));
        }
        for (name, help, number) in [
            ("alcove_dns_cache_entries", "Answers that are kept.", kept.0),
            ("alcove_dns_cache_bytes", "Bytes of answers that are kept.", kept.1),
        ] {
            head(&mut out, name, "gauge", help);
            let _ = writeln!(out, "{name} {number}");
        }
        self.latency(&mut out);
        out
    }

    fn latency(&self, out: &mut String) {
        const NAME: &str = "alcove_dns_forward_duration_seconds";
        head(out, NAME, "histogram", "How long resolvers took to answer.");
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
