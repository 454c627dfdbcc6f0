//! How Kubernetes writes time: `Time` with seconds and `MicroTime` with six digits, both UTC; durations in Go's
//! words; the ages that tables show; and zones by their names.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `metav1.Time`: RFC 3339 with seconds, such as `2026-11-21T09:30:00Z`.
pub fn format(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.MicroTime`: RFC 3339 with exactly six digits of a second.
pub fn format_micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Reads either form, in any offset. Nothing but RFC 3339 passes: no spaces, no lower case, no leap seconds.
pub fn parse(text: &str) -> Option<Timestamp> {
    is_rfc3339(text.as_bytes()).then(|| text.parse().ok()).flatten()
}

/// The time zone of this IANA name, written as there; `UTC` and nothing at all are UTC (Go's `time.LoadLocation`).
pub fn zone(name: &str) -> Option<TimeZone> {
    if matches!(name, "" | "UTC") {
        return Some(TimeZone::UTC);
    }
    let zone = jiff::tz::db().get(name).ok()?;
    // The database takes names in any case, Go does not.
    (zone.iana_name() == Some(name)).then_some(zone)
}

/// `YYYY-MM-DDTHH:MM:SS[.DIGITS](Z|+HH:MM|-HH:MM)`; whether the numbers make sense is left to the calendar.
fn is_rfc3339(text: &[u8]) -> bool {
    let fits = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(c, s)| if *s == b'0' { c.is_ascii_digit() } else { c == s })
    };
    let Some((date, mut rest)) = text.split_at_checked(19) else { return false };
    if !fits(date, b"0000-00-00T00:00:00") || &date[17..] > b"59" {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|c| c.is_ascii_digit()).count();
        if digits == 0 {
            return false;
        }
        rest = &fraction[digits..];
    }
    rest == b"Z" || fits(rest, b"+00:00") || fits(rest, b"-00:00")
}

/// A span of time as Go and `metav1.Duration` have it: signed nanoseconds, at most about 292 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration {
    /// The whole span, in nanoseconds.
    pub nanoseconds: i64,
}

const SECOND: u64 = 1_000_000_000;

impl Duration {
    /// A span of whole seconds; past the limit, the longest there is.
    pub fn from_seconds(seconds: i64) -> Duration {
        Duration { nanoseconds: seconds.saturating_mul(SECOND as i64) }
    }

    /// Whole seconds, cut towards zero.
    pub fn seconds(self) -> i64 {
        self.nanoseconds / SECOND as i64
    }

    /// Reads `1h30m`, `-1.5s`, `100ms`: Go's time.ParseDuration. The error is its text.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let invalid = || format!("time: invalid duration {}", quote(text));
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Duration::default());
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (part, after) = first_part(rest).ok_or_else(invalid)?;
            if part.unit.is_empty() {
                return Err(format!("time: missing unit in duration {}", quote(text)));
            }
            let Some(unit) = unit_nanoseconds(part.unit) else {
                return Err(format!("time: unknown unit {} in duration {}", quote(part.unit), quote(text)));
            };
            let nanoseconds = part.nanoseconds(unit).ok_or_else(invalid)?;
            total = total.checked_add(nanoseconds).filter(|n| *n <= 1 << 63).ok_or_else(invalid)?;
            rest = after;
        }
        let nanoseconds = match negative {
            true => 0_i64.checked_sub_unsigned(total),
            false => i64::try_from(total).ok(),
        };
        nanoseconds.map(|nanoseconds| Duration { nanoseconds }).ok_or_else(invalid)
    }
}

/// The quoting of Go's time package, which escapes every byte that is not plain ASCII.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.bytes() {
        match c {
            b'"' | b'\\' => out.extend(['\\', c.into()]),
            b' '..=0x7f => out.push(c.into()),
            _ => out.push_str(&format!("\\x{c:02x}")),
        }
    }
    out.push('"');
    out
}

/// `1.5h` as its pieces.
struct Part<'a> {
    whole: u64,
    fraction: &'a str,
    unit: &'a str,
}

impl Part<'_> {
    fn nanoseconds(&self, unit: u64) -> Option<u64> {
        let whole = self.whole.checked_mul(unit)?;
        let (mut fraction, mut scale) = (0_u64, 1.0);
        for digit in self.fraction.bytes().map(|c| u64::from(c - b'0')) {
            // Go drops the digits past 63 bits; to equal it, the float must be made of the same ones.
            let Some(longer) = fraction.checked_mul(10).map(|n| n + digit).filter(|n| *n <= 1 << 63) else {
                break;
            };
            (fraction, scale) = (longer, scale * 10.0);
        }
        let share = fraction as f64 * (unit as f64 / scale);
        whole.checked_add(share as u64).filter(|n| *n <= 1 << 63)
    }
}

/// Number and unit at the start, and what follows; `None` if there is no number, or one that no duration holds.
fn first_part(text: &str) -> Option<(Part<'_>, &str)> {
    let (whole, mut rest) = digits(text);
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = digits(after);
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok().filter(|n| *n <= 1 << 63)? };
    let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    Some((Part { whole, fraction, unit }, rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn unit_nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        _ => return None,
    })
}

/// Go's text: `1h0m0s`, `1.5s`, `100ms`, `0s`.
impl std::fmt::Display for Duration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.nanoseconds < 0 { "-" } else { "" };
        let n = self.nanoseconds.unsigned_abs();
        let (unit, name) = match n {
            0 => return f.write_str("0s"),
            1..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            1_000_000..SECOND => (1_000_000, "ms"),
            _ => (SECOND, "s"),
        };
        let mut number = decimal(n % (60 * SECOND), unit);
        if n >= 60 * SECOND {
            number = format!("{}m{number}", n / (60 * SECOND) % 60);
        }
        if n >= 3600 * SECOND {
            number = format!("{}h{number}", n / (3600 * SECOND));
        }
        write!(f, "{sign}{number}{name}")
    }
}

/// `n / unit` without trailing zeros; `unit` is a power of ten.
fn decimal(n: u64, unit: u64) -> String {
    let fraction = n % unit;
    if fraction == 0 {
        return (n / unit).to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{}.{}", n / unit, format!("{fraction:0width$}").trim_end_matches('0'))
}

/// An age as tables show it, in two or three figures: `45s`, `5m30s`, `3h`, `2d4h`, `1y20d`
/// (k8s.io/apimachinery/pkg/util/duration: HumanDuration). Two seconds of the future are now, more are `<invalid>`.
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let pair = |large: i64, unit: char, small: i64, small_unit: char| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, 'm', seconds % 60, 's'),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, 'h', minutes % 60, 'm'),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => pair(days, 'd', hours % 24, 'h'),
        _ if days < 365 * 2 => format!("{days}d"),
        _ if days < 365 * 8 => pair(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

/// An age in one figure: `45s`, `5m`, `3h`, `2d`, `1y` (ShortHumanDuration).
pub fn short_human_duration(seconds: i64) -> String {
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        86400..31_536_000 => format!("{}d", seconds / 86400),
        _ => format!("{}y", seconds / 31_536_000),
    }
}

#[cfg(test)]
mod tests;
