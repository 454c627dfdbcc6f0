//! Formats of texts (k8s.io/kube-openapi/pkg/validation/strfmt). What is not known here is no rule.

use alcove_object::name;
use alcove_object::time::Duration;
use regex::Regex;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// A known format.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format(fn(&str) -> bool);

/// Whether upstream knows a format of texts under this name.
pub fn is_known(name: &str) -> bool {
    Format::of(name).is_some()
}

macro_rules! matches_pattern {
    ($pattern:expr) => {{
        fn check(text: &str) -> bool {
            static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
                Regex::new($pattern).expect("the pattern is a constant that a test compiles")
            });
            PATTERN.is_match(text)
        }
        check
    }};
}

impl Format {
    /// The format of a name; dashes do not count.
    pub fn of(name: &str) -> Option<Format> {
        Some(Format(match name.replace('-', "").as_str() {
            "bsonobjectid" => matches_pattern!("^[0-9a-fA-F]{24}$"),
            "byte" => matches_pattern!(
                "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$"
            ),
            "cidr" => is_cidr,
            "creditcard" => is_credit_card,
            "date" => is_date,
            "datetime" => is_date_time,
            "duration" => is_duration,
            "email" => matches_pattern!(r"^[^\s@<>(),;:]+@[^\s@<>(),;:]+$"),
            "hexcolor" => matches_pattern!("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
            "hostname" => is_host_name,
            "ipv4" => |text| sloppy_v4(text).is_some(),
            "ipv6" => |text| text.parse::<Ipv6Addr>().is_ok(),
            "isbn" => |text| is_isbn_10(text) || is_isbn_13(text),
            "isbn10" => is_isbn_10,
            "isbn13" => is_isbn_13,
            "k8sshortname" => |text| name::dns_label(text, false).is_empty(),
            "k8slongname" => |text| name::dns_subdomain(text, false).is_empty(),
            "mac" => is_mac,
            "password" => |_| true,
            "rgbcolor" => matches_pattern!(
                r"^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$"
            ),
            "ssn" => matches_pattern!(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$"),
            "uri" => matches_pattern!(r"^(/|[A-Za-z][A-Za-z0-9+.-]*:)[^\x00-\x20\x7f]*$"),
            "uuid" => {
                matches_pattern!("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$")
            }
            "uuid3" => {
                matches_pattern!("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$")
            }
            "uuid4" => {
                matches_pattern!(
                    "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"
                )
            }
            "uuid5" => {
                matches_pattern!(
                    "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"
                )
            }
            _ => return None,
        }))
    }

    /// Whether a text has the format.
    pub fn takes(self, text: &str) -> bool {
        self.0(text)
    }
}

fn is_date(text: &str) -> bool {
    let has_shape = text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| match i {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    has_shape && text.parse::<jiff::civil::Date>().is_ok()
}

fn is_date_time(text: &str) -> bool {
    let time =
        matches_pattern!("^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$");
    let text = text.to_ascii_lowercase();
    text.split_once('t').is_some_and(|(date, rest)| is_date(date) && time(rest))
}

fn is_duration(text: &str) -> bool {
    let scala = matches_pattern!(
        r"^\s*[+-]?(\d+\s*(ns|nano|nanosecond|nanoseconds|us|µs|micro|microsecond|microseconds|ms|milli|millisecond|milliseconds|s|sec|second|seconds|m|min|minute|minutes|h|hr|hour|hours|d|day|days|w|wk|week|weeks)\s*)+$"
    );
    Duration::parse(text).is_ok() || scala(text)
}

fn is_host_name(text: &str) -> bool {
    let shape = matches_pattern!(
        r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
    );
    text.len() <= 255 && text.split('.').all(|part| part.len() <= 63) && shape(text)
}

/// An IPv4 address, in which numbers may begin with zeros.
fn sloppy_v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part =
            parts.next().filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))?;
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let address = sloppy_v4(address).map(IpAddr::V4).or_else(|| address.parse().ok());
    let max = match address {
        Some(IpAddr::V4(_)) => 32,
        Some(IpAddr::V6(_)) => 128,
        None => return false,
    };
    bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|bits| bits <= max)
}

fn is_mac(text: &str) -> bool {
    let octets =
        matches_pattern!("(?i)^[0-9a-f]{2}((:[0-9a-f]{2}){5}|(:[0-9a-f]{2}){7}|(:[0-9a-f]{2}){19})$");
    let dots =
        matches_pattern!(r"(?i)^[0-9a-f]{4}((\.[0-9a-f]{4}){2}|(\.[0-9a-f]{4}){3}|(\.[0-9a-f]{4}){9})$");
    octets(&text.replace('-', ":")) || dots(text)
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter(|c| !matches!(c, ' ' | '-')).map(|c| c.to_digit(10).unwrap_or(u32::MAX)).collect()
}

fn is_isbn_10(text: &str) -> bool {
    let mut found = digits(text);
    if found.len() != 10 {
        return false;
    }
    if text.ends_with(['X', 'x']) {
        found[9] = 10;
    }
    let weighed = found.iter().zip(1u64..).map(|(digit, weight)| u64::from(*digit) * weight);
    found.iter().take(9).all(|digit| *digit < 10) && found[9] <= 10 && weighed.sum::<u64>() % 11 == 0
}

fn is_isbn_13(text: &str) -> bool {
    let found = digits(text);
    let weighed =
        found.iter().enumerate().map(|(i, digit)| u64::from(*digit) * if i % 2 == 0 { 1 } else { 3 });
    found.len() == 13 && found.iter().all(|digit| *digit < 10) && weighed.sum::<u64>() % 10 == 0
}

/// Luhn's check over what looks like the number of a card.
fn is_credit_card(text: &str) -> bool {
    let found: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = found
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| match (i % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    (13..=19).contains(&found.len()) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_their_formats() {
        for (format, good, bad) in [
            ("byte", "aGk=", "a"),
            ("bsonobjectid", "507f1f77bcf86cd799439011", "507f"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("creditcard", "4111-1111-1111-1111", "4111-1111-1111-1112"),
            ("date", "2026-02-28", "2026-02-30"),
            ("date-time", "2026-02-28T23:59:59.5Z", "2026-02-28 23:59:59Z"),
            ("duration", "1h30m", "soon"),
            ("duration", "22 ns", "22"),
            ("email", "a@b.c", "a"),
            ("hexcolor", "#ff00AA", "#ff"),
            ("hostname", "a.example.com", "-a"),
            ("ipv4", "010.0.0.1", "10.0.0"),
            ("ipv6", "fe80::1", "10.0.0.1"),
            ("isbn", "978-0321751041", "978-0321751042"),
            ("isbn10", "0321751043", "0321751044"),
            ("k8s-short-name", "a-b", "a.b"),
            ("k8s-long-name", "a.b", "a..b"),
            ("mac", "01:02:03:04:05:ab", "01:02"),
            ("rgbcolor", "rgb(255, 0, 1)", "rgb(256,0,1)"),
            ("ssn", "111-22-3333", "111"),
            ("uri", "https://example.com/a", "example"),
            ("uuid", "123E4567-e89b-12d3-a456-426614174000", "123"),
            ("uuid4", "123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
        ] {
            let known = Format::of(format).unwrap();
            assert!(known.takes(good), "{format} {good}");
            assert!(!known.takes(bad), "{format} {bad}");
        }
        assert!(Format::of("int32").is_none());
    }
}
