//! Schedules of CronJobs: what github.com/robfig/cron/v3 takes as standard, with its texts for what it does not take, and
//! the same answer to when the next time is, summer time included.
//!
//! Validation and the CronJob controller read schedules by this one parser. Pure: the time zones come with the program.

mod next;
#[cfg(test)]
mod tests;

use alcove_object::field::quote;
use alcove_object::time;
use jiff::SignedDuration;

/// When something recurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At the minutes that all fields name.
    Fields(Fields),
    /// Again and again after this time, a second at least.
    Every(SignedDuration),
}

/// The fields of a schedule as sets of bits; the highest bit says that the field was not limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
}

/// Why a text is no schedule. The texts are those of robfig/cron.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum Error {
    #[error("empty spec string")]
    Empty,
    #[error("invalid schedule format: runtime error: slice bounds out of range [:-1]")]
    OnlyZone,
    #[error("provided bad location {0}: unknown time zone {0}")]
    Zone(String),
    #[error("expected exactly 5 fields, found {found}: [{fields}]")]
    Count { found: usize, fields: String },
    #[error("failed to parse duration {descriptor}: {why}")]
    Duration { descriptor: String, why: String },
    #[error("unrecognized descriptor: {0}")]
    Descriptor(String),
    #[error("too many hyphens: {0}")]
    Hyphens(String),
    #[error("too many slashes: {0}")]
    Slashes(String),
    #[error("failed to parse int from {text}: strconv.Atoi: parsing {}: {why}", quote(text))]
    Number { text: String, why: &'static str },
    #[error("negative number ({number}) not allowed: {text}")]
    Negative { number: i64, text: String },
    #[error("beginning of range ({start}) below minimum ({min}): {text}")]
    Below { start: u64, min: u64, text: String },
    #[error("end of range ({end}) above maximum ({max}): {text}")]
    Above { end: u64, max: u64, text: String },
    #[error("beginning of range ({start}) beyond end of range ({end}): {text}")]
    Backwards { start: u64, end: u64, text: String },
    #[error("step of range should be a positive number: {0}")]
    Step(String),
}

/// Set in a field that is `*`, `?`, or either with a step of one.
const STAR: u64 = 1 << 63;

/// What a field may hold.
struct Bounds {
    min: u64,
    max: u64,
    /// Names of the values, in order from `min`.
    names: &'static [&'static str],
}

const MINUTE: Bounds = Bounds { min: 0, max: 59, names: &[] };
const HOUR: Bounds = Bounds { min: 0, max: 23, names: &[] };
const DAY: Bounds = Bounds { min: 1, max: 31, names: &[] };
const MONTH: Bounds = Bounds {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Bounds = Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Schedule {
    /// Reads a schedule. A zone before it is checked and left out.
    pub fn parse(text: &str) -> Result<Schedule, Error> {
        if text.is_empty() {
            return Err(Error::Empty);
        }
        let text = without_zone(text)?;
        if text.starts_with('@') {
            return descriptor(text);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(Error::Count { found: fields.len(), fields: fields.join(" ") });
        };
        Ok(Schedule::Fields(Fields {
            minute: field(minute, &MINUTE)?,
            hour: field(hour, &HOUR)?,
            day: field(day, &DAY)?,
            month: field(month, &MONTH)?,
            weekday: field(weekday, &WEEKDAY)?,
        }))
    }
}

fn without_zone(text: &str) -> Result<&str, Error> {
    let Some(rest) = text.strip_prefix("TZ=").or(text.strip_prefix("CRON_TZ=")) else { return Ok(text) };
    let (zone, rest) = rest.split_once(' ').ok_or(Error::OnlyZone)?;
    time::zone(zone).ok_or_else(|| Error::Zone(zone.to_owned()))?;
    Ok(rest.trim())
}

fn descriptor(text: &str) -> Result<Schedule, Error> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return every(text),
    };
    Schedule::parse(fields)
}

fn every(text: &str) -> Result<Schedule, Error> {
    let span = text.strip_prefix("@every ").ok_or_else(|| Error::Descriptor(text.to_owned()))?;
    let span =
        time::Duration::parse(span).map_err(|why| Error::Duration { descriptor: text.to_owned(), why })?;
    Ok(Schedule::Every(SignedDuration::from_secs(span.seconds().max(1))))
}

/// A list of ranges.
fn field(text: &str, bounds: &Bounds) -> Result<u64, Error> {
    let ranges = text.split(',').filter(|range| !range.is_empty());
    ranges.map(|text| range(text, bounds)).try_fold(0, |bits, range| Ok(bits | range?))
}

/// `4`, `4-7`, `*`, each with `/2` behind it. A number with a step goes on to the end.
fn range(text: &str, bounds: &Bounds) -> Result<u64, Error> {
    let owned = || text.to_owned();
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let is_any = matches!(ends[0], "*" | "?");
    let (start, mut end) = match ends[..] {
        _ if is_any => (bounds.min, bounds.max),
        [one] => (value(one, bounds)?, value(one, bounds)?),
        [from, to] => (value(from, bounds)?, value(to, bounds)?),
        _ => return Err(Error::Hyphens(owned())),
    };
    let step = match parts[..] {
        [_] => 1,
        [_, step] => number(step)?,
        _ => return Err(Error::Slashes(owned())),
    };
    if parts.len() == 2 && ends.len() == 1 {
        end = bounds.max;
    }
    if start < bounds.min {
        return Err(Error::Below { start, min: bounds.min, text: owned() });
    }
    if end > bounds.max {
        return Err(Error::Above { end, max: bounds.max, text: owned() });
    }
    if start > end {
        return Err(Error::Backwards { start, end, text: owned() });
    }
    let step_by = usize::try_from(step).unwrap_or(usize::MAX);
    if step == 0 {
        return Err(Error::Step(owned()));
    }
    let bits = (start..=end).step_by(step_by).fold(0, |bits, value| bits | 1 << value);
    Ok(if is_any && step == 1 { bits | STAR } else { bits })
}

fn value(text: &str, bounds: &Bounds) -> Result<u64, Error> {
    let lower = text.to_lowercase();
    match bounds.names.iter().position(|name| *name == lower) {
        Some(position) => Ok(bounds.min + position as u64),
        None => number(text),
    }
}

/// Go's strconv.Atoi, and nothing below zero.
fn number(text: &str) -> Result<u64, Error> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
    let why = if is_number { "value out of range" } else { "invalid syntax" };
    let number: i64 = text.parse().map_err(|_| Error::Number { text: text.to_owned(), why })?;
    u64::try_from(number).map_err(|_| Error::Negative { number, text: text.to_owned() })
}
