//! Slots of local time: where on the wall clock's calendar an instant lies, without asking the zone for every sample.

use chrono::{DateTime, NaiveDate, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// A stretch of time that lies in one slot of one local date. Within it an instant needs no more than two comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// First instant, in ms since the epoch.
    pub(crate) from_ms: i64,
    /// First instant after it.
    pub(crate) until_ms: i64,
    /// Local date, in days since the epoch.
    pub(crate) day: i64,
    /// Slot of that date, from midnight on.
    pub(crate) slot: usize,
}

impl Place {
    /// Holds no instant.
    pub(crate) const NOWHERE: Self = Self { from_ms: i64::MAX, until_ms: i64::MIN, day: 0, slot: 0 };

    #[inline]
    pub(crate) fn holds(&self, at_ms: i64) -> bool {
        self.from_ms <= at_ms && at_ms < self.until_ms
    }
}

/// Finds places. The zone is asked twice a day of UTC, and some times more on days on which the clock changes.
#[derive(Clone, Debug)]
pub(crate) struct LocalClock {
    time_zone: Tz,
    slot_ms: i64,
    /// Stretch in which the offset is known, and the offset, in ms.
    known: (i64, i64),
    offset_ms: i64,
}

impl LocalClock {
    /// Slots of so many minutes, which divide a day.
    pub(crate) fn new(time_zone: Tz, slot_minutes: u32) -> Self {
        let slot_ms = i64::from(slot_minutes.max(1)) * 60_000;
        Self { time_zone, slot_ms, known: (i64::MAX, i64::MIN), offset_ms: 0 }
    }

    /// The place of an instant; `None` beyond the calendar.
    pub(crate) fn place(&mut self, at_ms: i64) -> Option<Place> {
        if !(self.known.0 <= at_ms && at_ms < self.known.1) {
            self.look_up(at_ms)?;
        }
        let local = at_ms.checked_add(self.offset_ms)?;
        let start = local.div_euclid(self.slot_ms) * self.slot_ms;
        let from = start - self.offset_ms;
        let slot = usize::try_from(local.rem_euclid(DAY_MS) / self.slot_ms).ok()?;
        Some(Place {
            from_ms: from.max(self.known.0),
            until_ms: (from + self.slot_ms).min(self.known.1),
            day: local.div_euclid(DAY_MS),
            slot,
        })
    }

    /// Finds the stretch of one offset around an instant, within its day of UTC. A clock that is put forward and back within one such
    /// day is not known to any zone.
    fn look_up(&mut self, at_ms: i64) -> Option<()> {
        let day = at_ms.div_euclid(DAY_MS).checked_mul(DAY_MS)?;
        let (mut from, mut until) = (day, day.checked_add(DAY_MS)?);
        let offset = self.offset(at_ms)?;
        let (first, last) = (self.offset(from)?, self.offset(until - 1)?);
        if first != offset {
            from = self.change(from, at_ms, offset)?;
        }
        if last != offset {
            until = self.change(at_ms, until - 1, last)?;
        }
        self.known = (from, until);
        self.offset_ms = offset;
        Some(())
    }

    /// The first instant with an offset, after one with another. Clocks change at whole seconds.
    fn change(&self, before_ms: i64, after_ms: i64, offset: i64) -> Option<i64> {
        let (mut before, mut after) = (before_ms.div_euclid(1000), after_ms.div_euclid(1000));
        while after - before > 1 {
            let middle = i64::midpoint(before, after);
            if self.offset(middle * 1000)? == offset { after = middle } else { before = middle }
        }
        Some(after * 1000)
    }

    /// Offset of the local time from UTC, in ms; `None` where the calendar ends.
    fn offset(&self, at_ms: i64) -> Option<i64> {
        let utc = DateTime::from_timestamp_millis(at_ms)?.naive_utc();
        // chrono panics where the local time is beyond the calendar.
        let margin = TimeDelta::days(2);
        utc.checked_add_signed(margin)?;
        utc.checked_sub_signed(margin)?;
        let offset = self.time_zone.offset_from_utc_datetime(&utc).fix();
        Some(i64::from(offset.local_minus_utc()) * 1000)
    }
}

/// The date of a number of days since the epoch.
pub(crate) fn date(day: i64) -> Option<NaiveDate> {
    NaiveDate::from_epoch_days(i32::try_from(day).ok()?)
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDateTime, Timelike};
    use chrono_tz::TZ_VARIANTS;

    use super::*;

    fn plainly(zone: Tz, at_ms: i64, slot_minutes: u32) -> Option<(i64, usize)> {
        let local: NaiveDateTime = DateTime::from_timestamp_millis(at_ms)?.with_timezone(&zone).naive_local();
        let slot = local.num_seconds_from_midnight() / (slot_minutes * 60);
        Some((i64::from(local.date().to_epoch_days()), usize::try_from(slot).ok()?))
    }

    /// Every zone over a year, and some that changed their clocks in odd ways: the same as asking the zone for every instant.
    #[test]
    fn every_instant_has_the_place_that_its_zone_says() {
        let years = |from: &str, hours: i64| {
            let start: DateTime<chrono::Utc> = from.parse().unwrap_or_default();
            (start.timestamp_millis(), hours)
        };
        let recent = years("2024-01-01T00:00:00Z", 8766);
        let odd = [
            (Tz::America__Sao_Paulo, years("2018-01-01T00:00:00Z", 8766)),
            (Tz::Pacific__Apia, years("2011-12-01T00:00:00Z", 1500)),
            (Tz::Europe__Amsterdam, years("1936-01-01T00:00:00Z", 2 * 8766)),
            (Tz::Africa__Monrovia, years("1971-06-01T00:00:00Z", 8766)),
        ];
        for (zone, (start, hours)) in TZ_VARIANTS.into_iter().map(|zone| (zone, recent)).chain(odd) {
            let mut clock = LocalClock::new(zone, 15);
            let mut place = Place::NOWHERE;
            for step in 0..hours {
                let at_ms = start + step * HOUR_MS + step % 1000;
                if !place.holds(at_ms) {
                    place = clock.place(at_ms).unwrap_or(Place::NOWHERE);
                }
                assert!(place.holds(at_ms), "{zone} {at_ms}");
                assert_eq!(Some((place.day, place.slot)), plainly(zone, at_ms, 15), "{zone} {at_ms}");
            }
        }
    }

    #[test]
    fn the_ends_of_the_calendar_have_no_place() {
        let mut clock = LocalClock::new(Tz::Pacific__Apia, 60);
        for at_ms in [i64::MIN, i64::MAX, DateTime::<chrono::Utc>::MAX_UTC.timestamp_millis()] {
            assert_eq!(clock.place(at_ms), None);
        }
        assert!(clock.place(0).is_some());
    }
}
