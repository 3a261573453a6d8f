//! Offsets of time zones and their changes.

use chrono::{DateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

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
