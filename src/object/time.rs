//! The two ways Kubernetes writes points in time: `Time` with seconds, `MicroTime` with six digits, both UTC.

use jiff::Timestamp;

/// `metav1.Time`: RFC 3339 with seconds, such as `2026-11-21T09:30:00Z`.
pub fn format(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.MicroTime`: RFC 3339 with exactly six digits of a second.
pub fn format_micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Reads either form, in any offset.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}
