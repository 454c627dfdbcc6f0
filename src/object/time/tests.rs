//! Times and durations as Go reads and writes them.

use super::*;

#[test]
fn durations_as_go_reads_and_writes_them() {
    type Read = Result<(i64, &'static str), &'static str>;
    let cases: &[(&str, Read)] = &[
        ("", Err("time: invalid duration \"\"")),
        ("0", Ok((0, "0s"))),
        ("-0", Ok((0, "0s"))),
        ("+0", Ok((0, "0s"))),
        ("1", Err("time: missing unit in duration \"1\"")),
        ("1h", Ok((3600000000000, "1h0m0s"))),
        ("1h30m", Ok((5400000000000, "1h30m0s"))),
        ("-1.5s", Ok((-1500000000, "-1.5s"))),
        ("100ms", Ok((100000000, "100ms"))),
        ("1us", Ok((1000, "1µs"))),
        ("1µs", Ok((1000, "1µs"))),
        ("1μs", Ok((1000, "1µs"))),
        ("1ns", Ok((1, "1ns"))),
        (".5s", Ok((500000000, "500ms"))),
        ("1.s", Ok((1000000000, "1s"))),
        (".s", Err("time: invalid duration \".s\"")),
        ("1h1", Err("time: missing unit in duration \"1h1\"")),
        ("1d", Err("time: unknown unit \"d\" in duration \"1d\"")),
        ("9223372036854775807ns", Ok((9223372036854775807, "2562047h47m16.854775807s"))),
        ("9223372036854775808ns", Err("time: invalid duration \"9223372036854775808ns\"")),
        ("-9223372036854775808ns", Ok((i64::MIN, "-2562047h47m16.854775808s"))),
        ("2562047h47m16.854775807s", Ok((9223372036854775807, "2562047h47m16.854775807s"))),
        ("2562048h", Err("time: invalid duration \"2562048h\"")),
        ("1.0000000000000000000001h", Ok((3600000000000, "1h0m0s"))),
        ("0.3333333333333333333h", Ok((1200000000000, "20m0s"))),
        ("1é", Err("time: unknown unit \"\\xc3\\xa9\" in duration \"1\\xc3\\xa9\"")),
        ("3h 2m", Err("time: unknown unit \"h \" in duration \"3h 2m\"")),
    ];
    for (text, expected) in cases {
        let read = Duration::parse(text).map(|d| (d.nanoseconds, d.to_string()));
        assert_eq!(read.as_ref().map(|(n, s)| (*n, s.as_str())).map_err(String::as_str), *expected, "{text}");
    }
    assert_eq!(Duration::from_seconds(3600).to_string(), "1h0m0s");
    assert_eq!(Duration::from_seconds(i64::MAX).nanoseconds, i64::MAX);
}

#[test]
fn ages() {
    // seconds, long form, short form
    let cases = [
        (-100, "<invalid>", "<invalid>"),
        (-2, "<invalid>", "<invalid>"),
        (-1, "0s", "0s"),
        (0, "0s", "0s"),
        (1, "1s", "1s"),
        (59, "59s", "59s"),
        (60, "60s", "1m"),
        (119, "119s", "1m"),
        (120, "2m", "2m"),
        (121, "2m1s", "2m"),
        (180, "3m", "3m"),
        (599, "9m59s", "9m"),
        (600, "10m", "10m"),
        (601, "10m", "10m"),
        (3599, "59m", "59m"),
        (3600, "60m", "1h"),
        (10799, "179m", "2h"),
        (10800, "3h", "3h"),
        (10801, "3h", "3h"),
        (28799, "7h59m", "7h"),
        (28800, "8h", "8h"),
        (172799, "47h", "1d"),
        (172800, "2d", "2d"),
        (172801, "2d", "2d"),
        (176400, "2d1h", "2d"),
        (691199, "7d23h", "7d"),
        (691200, "8d", "8d"),
        (691201, "8d", "8d"),
        (63071999, "729d", "1y"),
        (63072000, "2y", "2y"),
        (63158400, "2y1d", "2y"),
        (94608000, "3y", "3y"),
        (252287999, "7y364d", "7y"),
        (252288000, "8y", "8y"),
        (1000000000, "31y", "31y"),
    ];
    for (seconds, long, short) in cases {
        assert_eq!((&*human_duration(seconds), &*short_human_duration(seconds)), (long, short), "{seconds}");
    }
}

#[test]
fn points_in_time() {
    let cases = [
        ("2026-11-21T09:30:00Z", Some(("2026-11-21T09:30:00Z", "2026-11-21T09:30:00.000000Z"))),
        (
            "2026-11-21T11:30:00.123456789+02:00",
            Some(("2026-11-21T09:30:00Z", "2026-11-21T09:30:00.123456Z")),
        ),
        ("0001-01-01T00:00:00Z", Some(("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"))),
        ("2024-02-29T23:59:59-00:30", Some(("2024-03-01T00:29:59Z", "2024-03-01T00:29:59.000000Z"))),
        ("2023-02-29T00:00:00Z", None),
        ("2026-11-21T09:30:60Z", None),
        ("2026-11-21T24:00:00Z", None),
        ("2026-11-21t09:30:00z", None),
        ("2026-11-21 09:30:00Z", None),
        ("2026-11-21T09:30:00", None),
        ("2026-11-21T09:30:00.Z", None),
        ("2026-11-21T09:30:00+02:00[Europe/Berlin]", None),
        ("2026-11-21", None),
        ("", None),
    ];
    for (text, expected) in cases {
        let read = parse(text).map(|t| (format(t), format_micro(t)));
        assert_eq!(read.as_ref().map(|(a, b)| (a.as_str(), b.as_str())), expected, "{text}");
    }
}
