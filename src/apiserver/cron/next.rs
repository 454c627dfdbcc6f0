//! When a schedule's next time is.
//!
//! The walk is robfig/cron's: month, day, hour and minute are each stepped forward until they fit, and whatever carries
//! over begins anew. Where summer time takes an hour away or gives one twice, that walk decides whether a job runs, so it
//! is followed step by step, down to how Go makes a time of a wall clock's.

use super::{Fields, STAR, Schedule};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// How far ahead a time is looked for: 30 February never comes.
const YEARS_AHEAD_MAX: i16 = 5;

impl Schedule {
    /// The first time after this one. `None`: there is none in the next years.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Schedule::Fields(fields) => fields.next(after, zone),
            Schedule::Every(span) => {
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                whole.checked_add(*span).ok()
            }
        }
    }
}

fn has(set: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| set & (1 << value) != 0)
}

fn midnight(date: Date) -> DateTime {
    date.to_datetime(Time::midnight())
}

/// The time at which a wall clock in a zone shows this, as Go's time.Date chooses it: by the offset at the wall clock's
/// time read as UTC, and then by the offset at what comes of that.
fn at(wall: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let naive = TimeZone::UTC.to_timestamp(wall).ok()?;
    let offset = |at: Timestamp| SignedDuration::from_secs(zone.to_offset(at).seconds().into());
    let first = offset(naive);
    if first.is_zero() {
        return Some(naive);
    }
    let guess = naive.checked_sub(first).ok()?;
    naive.checked_sub(offset(guess)).ok()
}

impl Fields {
    /// Both days must fit; if both are limited, one of them.
    fn has_day(&self, date: Date) -> bool {
        let day = has(self.day, date.day());
        let weekday = has(self.weekday, date.weekday().to_sunday_zero_offset());
        if (self.day | self.weekday) & STAR != 0 { day && weekday } else { day || weekday }
    }

    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let shows = |t: Timestamp| zone.to_datetime(t);
        let hours = |count: i8| SignedDuration::from_hours(count.into());
        let last_year = shows(after).year().checked_add(YEARS_AHEAD_MAX)?;
        let minutes = after.as_second().div_euclid(60).checked_add(1)?;
        let mut t = Timestamp::from_second(minutes.checked_mul(60)?).ok()?;
        let mut has_moved = false;
        'carry: while shows(t).year() <= last_year {
            while !has(self.month, shows(t).month()) {
                let first = shows(t).date().first_of_month();
                has_moved = true;
                t = at(midnight(first.checked_add(1.month()).ok()?), zone)?;
                if shows(t).month() == 1 {
                    continue 'carry;
                }
            }
            while !self.has_day(shows(t).date()) {
                let clock = if has_moved { shows(t).time() } else { Time::midnight() };
                has_moved = true;
                t = at(shows(t).date().tomorrow().ok()?.to_datetime(clock), zone)?;
                // Midnight may be one of the hours that summer time moves.
                t += match shows(t).hour() {
                    hour @ 13.. => hours(24 - hour),
                    hour => hours(-hour),
                };
                if shows(t).day() == 1 {
                    continue 'carry;
                }
            }
            while !has(self.hour, shows(t).hour()) {
                if !has_moved {
                    has_moved = true;
                    let wall = shows(t);
                    t = at(wall.date().at(wall.hour(), 0, 0, 0), zone)?;
                }
                t += hours(1);
                if shows(t).hour() == 0 {
                    continue 'carry;
                }
            }
            while !has(self.minute, shows(t).minute()) {
                has_moved = true;
                t += SignedDuration::from_mins(1);
                if shows(t).minute() == 0 {
                    continue 'carry;
                }
            }
            return Some(t);
        }
        None
    }
}
