//! [`Cadence`]: the instants at which a loop ticks. Pure arithmetic, no clock.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{DEADLINE_SHARE, SOURCE_SHARE};
use crate::setting::InvalidSetting;

const SHORTEST_MS: i64 = 1_000;
const LONGEST_MS: i64 = 86_400_000;

/// Instants that are a whole number of intervals, and a phase, after the epoch: whoever asks, and after whatever restart, they are
/// the same. A source that aligns its queries to them gets the same answer for the same tick.
///
/// ```
/// use std::time::Duration;
/// use scaling_core::live::Cadence;
///
/// let cadence = Cadence::new(Duration::from_secs(60))?.with_phase(Duration::from_secs(10));
/// let next = cadence.next_after("2026-11-28T20:44:58Z".parse()?);
/// assert_eq!(next.to_rfc3339(), "2026-11-28T20:45:10+00:00");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    interval_ms: i64,
    /// Within `0..interval_ms`.
    phase_ms: i64,
}

impl Default for Cadence {
    /// Once a minute, at its full.
    fn default() -> Self {
        Self { interval_ms: 60_000, phase_ms: 0 }
    }
}

impl Cadence {
    /// Creates a cadence of one tick an interval, in whole milliseconds, without a phase.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the interval is shorter than a second or longer than a day.
    pub fn new(interval: Duration) -> Result<Self, InvalidSetting> {
        let whole = i64::try_from(interval.as_millis()).ok();
        let Some(interval_ms) = whole.filter(|ms| (SHORTEST_MS..=LONGEST_MS).contains(ms)) else {
            let must = "between a second and a day, in seconds";
            return Err(InvalidSetting { field: "interval", value: interval.as_secs_f64(), must });
        };
        Ok(Self { interval_ms, phase_ms: 0 })
    }

    /// Returns the time that a [`Loop`](super::Loop) with the default deadline waits for its source: 45 % of the interval, so 6.75 s of
    /// 15. What comes later is lost, a whole fleet's answers with one late query. A source with a deadline of its own, after which it
    /// gives what it has, should be given a shorter one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use scaling_core::live::Cadence;
    ///
    /// let cadence = Cadence::new(Duration::from_secs(20))?;
    /// assert_eq!(cadence.source_deadline(), Duration::from_secs(9));
    /// # Ok::<(), scaling_core::InvalidSetting>(())
    /// ```
    #[must_use]
    pub fn source_deadline(&self) -> Duration {
        self.interval().to_std().unwrap_or_default().mul_f64(DEADLINE_SHARE * SOURCE_SHARE)
    }

    /// Sets the time by which ticks follow the whole intervals, as far as it goes beyond whole intervals itself. Several loops with
    /// different phases do not ask one server at one moment.
    #[must_use]
    pub fn with_phase(mut self, phase: Duration) -> Self {
        let within = phase.as_millis() % u128::from(self.interval_ms.unsigned_abs());
        self.phase_ms = i64::try_from(within).unwrap_or(0);
        self
    }

    /// Time between two ticks.
    pub fn interval(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.interval_ms)
    }

    /// The cadence of a part of the interval each, as many as asked for or fewer: parts are whole milliseconds, all alike, and not
    /// shorter than an interval may be. And the number of them.
    pub(super) fn split(self, parts: u32) -> (Self, u32) {
        let fits = |parts: &i64| self.interval_ms % parts == 0 && self.interval_ms / parts >= SHORTEST_MS;
        let parts = (1..=i64::from(parts).min(self.interval_ms / SHORTEST_MS)).rev().find(fits).unwrap_or(1);
        let interval_ms = self.interval_ms / parts;
        let part = Self { interval_ms, phase_ms: self.phase_ms % interval_ms };
        (part, u32::try_from(parts).unwrap_or(1))
    }

    /// Which of so many parts of an interval begins at this instant of the cadence of parts.
    pub(super) fn part(self, at: DateTime<Utc>, parts: u32) -> u32 {
        u32::try_from(self.number(at).rem_euclid(i64::from(parts.max(1)))).unwrap_or(0)
    }

    /// The first instant after `now`. At the end of time, that end.
    pub fn next_after(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.instant(self.number(now).saturating_add(1)).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The last instant that is not after `now`. At the beginning of time, that beginning.
    pub fn latest(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.instant(self.number(now)).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// Number of instants between two ticks: those that were missed. None if the later tick is not the later one.
    pub fn missed(&self, last: DateTime<Utc>, tick: DateTime<Utc>) -> u64 {
        let between = self.number(tick).saturating_sub(self.number(last)).saturating_sub(1);
        u64::try_from(between).unwrap_or(0)
    }

    /// Number of the last instant that is not after `now`, counted from the epoch.
    fn number(&self, now: DateTime<Utc>) -> i64 {
        // Rounded down, before the epoch too: the instants are whole milliseconds, so that fractions of one change nothing.
        now.timestamp_millis().saturating_sub(self.phase_ms).div_euclid(self.interval_ms)
    }

    fn instant(&self, number: i64) -> Option<DateTime<Utc>> {
        let ms = number.checked_mul(self.interval_ms)?.checked_add(self.phase_ms)?;
        DateTime::from_timestamp_millis(ms)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    fn cadence() -> impl Strategy<Value = Cadence> {
        let parts = (SHORTEST_MS.unsigned_abs()..=LONGEST_MS.unsigned_abs(), 0..u64::from(u32::MAX));
        parts.prop_map(|(interval, phase)| {
            Cadence::new(Duration::from_millis(interval)).unwrap().with_phase(Duration::from_millis(phase))
        })
    }

    /// Two centuries about the epoch, in milliseconds.
    const INSTANTS: std::ops::Range<i64> = -3_000_000_000_000..3_000_000_000_000;

    proptest! {
        #[test]
        fn the_next_tick_is_the_first_after_now(cadence in cadence(), now in INSTANTS) {
            let next = cadence.next_after(at(now));
            prop_assert!(next > at(now) && next - at(now) <= cadence.interval());
            prop_assert_eq!((next.timestamp_millis() - cadence.phase_ms).rem_euclid(cadence.interval_ms), 0);
        }

        #[test]
        fn the_latest_is_the_one_before_the_next(cadence in cadence(), now in INSTANTS) {
            let latest = cadence.latest(at(now));
            prop_assert!(latest <= at(now));
            prop_assert_eq!(cadence.next_after(at(now)), latest + cadence.interval());
            prop_assert_eq!(cadence.latest(latest), latest);
        }

        #[test]
        fn every_instant_between_two_ticks_is_counted_once(cadence in cadence(), start in INSTANTS, steps in 1..50_i32) {
            let first = cadence.latest(at(start));
            let last = first + cadence.interval() * steps;
            let walked = std::iter::successors(Some(first), |at| Some(cadence.next_after(*at))).skip(1);
            let between = walked.take_while(|at| *at < last).count() as u64;
            prop_assert_eq!(cadence.missed(first, last), between);
            prop_assert_eq!(cadence.missed(last, first), 0);
        }
    }

    #[test]
    fn an_interval_is_split_into_like_parts_that_come_in_turn() {
        let minute = Cadence::default().with_phase(Duration::from_secs(50));
        for (asked, parts) in [(0, 1), (1, 1), (6, 6), (7, 6), (59, 50), (60, 60), (u32::MAX, 60)] {
            let (part, got) = minute.split(asked);
            assert_eq!((got, part.interval_ms * i64::from(got)), (parts, 60_000), "{asked}");
            let mut now = at(1_700_000_000_000);
            for nth in 0..3 * parts {
                let next = part.next_after(now);
                assert_eq!(part.part(next, parts), (part.part(now, parts) + 1) % parts, "{nth}");
                now = next;
            }
        }
        let (part, parts) = Cadence::new(Duration::from_millis(1_001)).unwrap().split(5);
        assert_eq!((part.interval_ms, parts), (1_001, 1), "too short to be split");
    }

    #[test]
    fn neither_end_of_time_is_beyond_it() {
        let daily = Cadence::new(Duration::from_secs(86_400)).unwrap().with_phase(Duration::from_secs(3));
        assert_eq!(daily.next_after(DateTime::<Utc>::MAX_UTC), DateTime::<Utc>::MAX_UTC);
        assert_eq!(daily.latest(DateTime::<Utc>::MIN_UTC), DateTime::<Utc>::MIN_UTC);
        assert!(daily.missed(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC) > 190_000_000);
    }

    #[test]
    fn an_interval_that_cannot_work_is_refused() {
        for interval in [Duration::ZERO, Duration::from_millis(999), Duration::from_secs(86_401), Duration::MAX] {
            assert_eq!(Cadence::new(interval).unwrap_err().field, "interval");
        }
    }
}
