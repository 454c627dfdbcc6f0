//! The recorded answers of robfig/cron v3.0.1: a schedule, a zone, a time, and the two times after it; or `!` and why the
//! schedule is none.

use super::*;
use jiff::Timestamp;

fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    include_str!("testdata/robfig.tsv").lines().map(|line| line.split('\t').collect())
}

#[test]
fn schedules_come_when_upstream_says() {
    let mut count = 0;
    for row in rows().filter(|row| row[1] != "!") {
        let (schedule, zone) = (Schedule::parse(row[0]).unwrap(), time::zone(row[1]).unwrap());
        let mut at: Timestamp = row[2].parse().unwrap();
        for expected in &row[3..] {
            let found = schedule.next(at, &zone);
            assert_eq!(found.map_or("never".into(), |t| t.to_string()), *expected, "{row:?}");
            at = found.unwrap_or(at);
        }
        count += 1;
    }
    assert_eq!(count, 700);
}

#[test]
fn what_is_no_schedule_is_refused_in_upstreams_words() {
    for row in rows().filter(|row| row[1] == "!") {
        assert_eq!(Schedule::parse(row[0]).unwrap_err().to_string(), row[2]);
    }
}

#[test]
fn zones_have_one_spelling() {
    for (name, is_zone) in [
        ("Europe/Berlin", true),
        ("US/Eastern", true),
        ("UTC", true),
        ("Etc/UTC", true),
        ("", true),
        ("europe/berlin", false),
        ("Nowhere/Land", false),
        ("../etc/passwd", false),
    ] {
        assert_eq!(time::zone(name).is_some(), is_zone, "{name}");
    }
}
