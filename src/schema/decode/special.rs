//! The types that spell themselves: quantities, times, durations, bytes. Each text is checked as Go checks it and
//! spelled as Go would spell it again.

use super::clock;
use alcove_object::field::quote;
use alcove_object::quantity::{Quantity, QuantityError};
use alcove_object::time::{self, Duration};
use base64::Engine;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

/// How a time is to be spelled.
#[derive(Debug, PartialEq)]
pub(super) enum Spelling {
    /// As it is.
    Same,
    /// Like this.
    Text(String),
    /// Not at all: Go's zero time is written as null.
    Zero,
}

/// The error for what is neither text nor number.
pub(super) fn not_a_quantity() -> String {
    QuantityError::Form.to_string()
}

/// Another spelling of a quantity, if the text is not canonical.
pub(super) fn quantity(text: &str) -> Result<Option<String>, String> {
    let canonical = Quantity::parse(text.trim()).map_err(|error| error.to_string())?.to_string();
    Ok((canonical != text).then_some(canonical))
}

/// Base64 as Go reads it: padded, line breaks skipped, spare bits of the last digit ignored.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Another spelling of bytes in base64, if the text is not what Go writes.
pub(super) fn bytes(text: &str) -> Result<Option<String>, String> {
    let joined = text.contains(['\r', '\n']).then(|| text.replace(['\r', '\n'], ""));
    let digits = joined.as_deref().unwrap_or(text);
    let bytes = LENIENT
        .decode(digits)
        .map_err(|error| format!("illegal base64 data at input byte {}", corrupt_at(digits, &error)))?;
    let canonical = STANDARD.encode(bytes);
    Ok((canonical != text).then_some(canonical))
}

fn corrupt_at(text: &str, error: &base64::DecodeError) -> usize {
    match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        // Go names the start of the group that is not whole.
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => text.len() / 4 * 4,
    }
}

/// `metav1.Time`: RFC 3339 in any offset, written in UTC with seconds.
pub(super) fn time(text: &str) -> Result<Spelling, String> {
    let fraction = clock::check(text, "2006-01-02T15:04:05Z07:00", None)?;
    respell(text, fraction.is_empty() && text.ends_with('Z'), time::format)
}

/// `metav1.MicroTime`: RFC 3339 with six digits of a second in any offset, written in UTC.
pub(super) fn micro_time(text: &str) -> Result<Spelling, String> {
    clock::check(text, "2006-01-02T15:04:05.000000Z07:00", Some(6))?;
    respell(text, text.ends_with('Z'), time::format_micro)
}

/// `metav1.Duration`: Go's text form.
pub(super) fn duration(text: &str) -> Result<Option<String>, String> {
    let spelled = Duration::parse(text)?.to_string();
    Ok((spelled != text).then_some(spelled))
}

fn respell(
    text: &str,
    canonical: bool,
    format: impl Fn(jiff::Timestamp) -> String,
) -> Result<Spelling, String> {
    if text.starts_with("0001-01-01T00:00:00") && text.ends_with('Z') {
        return Ok(Spelling::Zero);
    }
    if canonical {
        return Ok(Spelling::Same);
    }
    // What is left are offsets at the very ends of the calendar.
    match time::parse(text) {
        Some(time) => Ok(Spelling::Text(format(time))),
        None => Err(format!("parsing time {}: out of range", quote(text))),
    }
}

/// Go's text for nanoseconds.
pub(super) fn duration_text(nanoseconds: i64) -> String {
    Duration { nanoseconds }.to_string()
}

/// The nanoseconds of Go's text.
pub(super) fn duration_nanoseconds(text: &str) -> Option<i64> {
    Duration::parse(text).ok().map(|duration| duration.nanoseconds)
}
