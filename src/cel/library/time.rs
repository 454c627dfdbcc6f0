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

/// The zone that a text means: a name such as `Europe/Berlin`, or an offset such as `-02:30`. Else what is wrong, in
/// upstream's words (cel-go: common/types/timestamp.go).
fn zone(text: &str) -> Result<TimeZone, String> {
    let unknown = || format!("unknown time zone {text}");
    let Some((hours, minutes)) = text.split_once(':') else {
        return alcove_object::time::zone(text).ok_or_else(unknown);
    };
    let number = |digits: &str| {
        digits.parse::<i32>().map_err(|_| format!("strconv.Atoi: parsing {digits:?}: invalid syntax"))
    };
    let (hours, minutes) = (i64::from(number(hours)?), i64::from(number(minutes)?));
    let minutes = if text.starts_with('-') { hours * 60 - minutes } else { hours * 60 + minutes };
    let seconds = i32::try_from(minutes * 60).map_err(|_| unknown())?;
    Ok(Offset::from_seconds(seconds).map_err(|_| unknown())?.to_time_zone())
}

fn read<'a>(args: &[Value<'a>], clock: fn(&Zoned) -> i64, length: Option<i64>) -> Eval<'a> {
    match (&args[0], length) {
        (Value::Timestamp(t), _) => match args.get(1) {
            None => Ok(Value::Int(clock(&t.to_zoned(TimeZone::UTC)))),
            Some(Value::String(text)) => match zone(text) {
                Ok(zone) => Ok(Value::Int(clock(&t.to_zoned(zone)))),
                Err(why) => failed(why),
            },
            Some(_) => no_overload(),
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
