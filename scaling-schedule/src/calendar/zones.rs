//! Offsets of time zones and their changes.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// Distance between an instant and its time on a wall clock that no zone reaches: more than a day.
pub(super) const FAR: TimeDelta = TimeDelta::hours(26);

/// Seconds that the wall clock is ahead of UTC.
pub(super) fn offset_s(zone: Tz, at: DateTime<Utc>) -> i64 {
    i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
}

/// First instant after `after` and not after `until` at which the offset is another one. No zone changes its clock twice within a day.
pub(super) fn clock_change(zone: Tz, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let old = offset_s(zone, after);
    let mut from = after.timestamp();
    while from < until.timestamp() {
        let to = until.timestamp().min(from + TimeDelta::days(1).num_seconds());
        if offset_s(zone, DateTime::from_timestamp(to, 0)?) == old {
            from = to;
            continue;
        }
        let (mut before, mut change) = (from, to);
        while change - before > 1 {
            let middle = i64::midpoint(before, change);
            if offset_s(zone, DateTime::from_timestamp(middle, 0)?) == old { before = middle } else { change = middle }
        }
        return DateTime::from_timestamp(change, 0);
    }
    None
}

/// First instant at which the wall clock shows a time: where it shows it twice the earlier one, and where it skips it the end of the gap.
pub(super) fn first_instant(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(one) => Some(one.to_utc()),
        MappedLocalTime::Ambiguous(one, other) => Some(one.to_utc().min(other.to_utc())),
        MappedLocalTime::None => end_of_gap(zone, local),
    }
}

/// As [`first_instant`], but where the clock shows the time twice the later one.
pub(super) fn last_instant(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Ambiguous(one, other) => Some(one.to_utc().max(other.to_utc())),
        _ => first_instant(zone, local),
    }
}

/// The clock change that skips a time. The wall clock is at most a day away from UTC, on both sides of the change.
fn end_of_gap(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    let mut after = local.checked_sub_signed(FAR)?.and_utc();
    let until = local.checked_add_signed(FAR)?.and_utc();
    loop {
        let change = clock_change(zone, after, until)?;
        let shown = change.naive_utc().checked_add_signed(TimeDelta::seconds(offset_s(zone, change)))?;
        if shown > local {
            return Some(change);
        }
        after = change;
    }
}
