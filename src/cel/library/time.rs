//! Times and durations (cel-go, common/types/{timestamp,duration}.go).

use super::Run;
use crate::eval::{Eval, failed, no_overload};
use crate::value::Value;
use alcove_object::time::Duration as GoDuration;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};
use regex::Regex;

type Args<'v, 'a> = &'v mut Vec<Value<'a>>;

/// Nanoseconds of Go's text of a duration.
pub fn read_duration(text: &str) -> Option<i64> {
    GoDuration::parse(text).ok().map(|duration| duration.nanoseconds)
}

/// A time in RFC 3339, or a date.
pub fn read_timestamp(text: &str) -> Option<Timestamp> {
    if let Ok(date) = text.parse::<Date>()
        && text.len() == 10
    {
        return date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    }
    if !text.contains(['T', 't']) {
        return None;
    }
    text.parse().ok()
}

/// Whether a literal is one that `duration()` or `timestamp()` takes.
pub fn is_time(function: &str, text: &str) -> bool {
    match function {
        "duration" => read_duration(text).is_some(),
        _ => read_timestamp(text).filter(|_| text.len() > 10).is_some(),
    }
}

pub fn to_duration<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match &args[0] {
        Value::Duration(n) | Value::Int(n) => Ok(Value::Duration(*n)),
        Value::String(text) => match read_duration(text) {
            Some(n) => Ok(Value::Duration(n)),
            None => failed("type conversion error from 'string' to 'google.protobuf.Duration'"),
        },
        _ => no_overload(),
    }
}

pub fn to_timestamp<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match &args[0] {
        Value::Timestamp(t) => Ok(Value::Timestamp(*t)),
        Value::Int(n) => match Timestamp::from_second(*n) {
            Ok(t) => Ok(Value::Timestamp(t)),
            Err(_) => failed("timestamp overflow"),
        },
        Value::String(text) => match read_timestamp(text).filter(|_| text.len() > 10) {
            Some(t) => Ok(Value::Timestamp(t)),
            None => failed("type conversion error from 'string' to 'google.protobuf.Timestamp'"),
        },
        _ => no_overload(),
    }
}

/// A time, so much later or earlier.
pub fn shift<'a>(time: Timestamp, nanos: i64, back: bool) -> Eval<'a> {
    let by = SignedDuration::from_nanos(nanos);
    let moved = if back { time.checked_sub(by) } else { time.checked_add(by) };
    moved.map_or_else(|_| failed("timestamp overflow"), |t| Ok(Value::Timestamp(t)))
}

pub fn timestamp_text(time: Timestamp) -> String {
    time.to_string()
}

/// Seconds with as many digits as they need.
pub fn duration_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let (seconds, rest) = (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
    match rest {
        0 => format!("{sign}{seconds}s"),
        rest => format!("{sign}{seconds}.{}s", format!("{rest:09}").trim_end_matches('0')),
    }
}

/// The time as a clock in a zone shows it: UTC, or an offset such as `-02:30`. There is no database of zones.
fn zoned(time: Timestamp, zone: Option<&Value<'_>>) -> Option<Zoned> {
    let zone = match zone {
        None => TimeZone::UTC,
        Some(Value::String(name)) if matches!(&**name, "" | "UTC") => TimeZone::UTC,
        Some(Value::String(name)) => {
            let (sign, digits) = match name.strip_prefix('-') {
                Some(rest) => (-1, rest),
                None => (1, name.strip_prefix('+').unwrap_or(name)),
            };
            let (hours, minutes) = digits.split_once(':')?;
            let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
            Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?.to_time_zone()
        }
        Some(_) => return None,
    };
    Some(time.to_zoned(zone))
}

fn read<'a>(args: &[Value<'a>], clock: fn(&Zoned) -> i64, length: Option<i64>) -> Eval<'a> {
    match (&args[0], length) {
        (Value::Timestamp(t), _) => match zoned(*t, args.get(1)) {
            Some(zoned) => Ok(Value::Int(clock(&zoned))),
            None => failed("unknown time zone: only UTC and offsets are known"),
        },
        (Value::Duration(n), Some(unit)) => Ok(Value::Int(n / unit)),
        _ => no_overload(),
    }
}

/// The function that reads one part of a time or a duration.
pub fn part(function: &str) -> Option<Run> {
    Some(match function {
        "getFullYear" => |args, _| read(args, |t| i64::from(t.year()), None),
        "getMonth" => |args, _| read(args, |t| i64::from(t.month()) - 1, None),
        "getDayOfYear" => |args, _| read(args, |t| i64::from(t.day_of_year()) - 1, None),
        "getDayOfMonth" => |args, _| read(args, |t| i64::from(t.day()) - 1, None),
        "getDate" => |args, _| read(args, |t| i64::from(t.day()), None),
        "getDayOfWeek" => |args, _| read(args, |t| i64::from(t.weekday().to_sunday_zero_offset()), None),
        "getHours" => |args, _| read(args, |t| i64::from(t.hour()), Some(3_600_000_000_000)),
        "getMinutes" => |args, _| read(args, |t| i64::from(t.minute()), Some(60_000_000_000)),
        "getSeconds" => |args, _| read(args, |t| i64::from(t.second()), Some(1_000_000_000)),
        "getMilliseconds" => |args, _| match &args[0] {
            Value::Duration(n) => Ok(Value::Int(n / 1_000_000 % 1000)),
            _ => read(args, |t| i64::from(t.millisecond()), None),
        },
        _ => return None,
    })
}
