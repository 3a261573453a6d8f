//! [`Timetable`]: which tick is due, whatever the clock does. Pure.

use chrono::{DateTime, Utc};

use super::Cadence;

/// The ticks of a cadence, one after the other.
#[derive(Debug)]
pub(super) struct Timetable {
    cadence: Cadence,
    /// The last instant that was ticked for, or before which nothing is owed. None before the first look at the clock.
    last: Option<DateTime<Utc>>,
}

/// What a look at the clock says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before this instant. Look again then, since the clock may be set in between.
    At(DateTime<Utc>),
    /// A tick, for the newest instant that has passed; and the number of instants since the last tick that have passed without one.
    Now { at: DateTime<Utc>, missed: u64 },
}

impl Timetable {
    pub(super) fn new(cadence: Cadence) -> Self {
        Self { cadence, last: None }
    }

    /// Looks at the clock. A tick that is due counts as begun.
    pub(super) fn look(&mut self, now: DateTime<Utc>) -> Due {
        let (latest, next) = (self.cadence.latest(now), self.cadence.next_after(now));
        let last = match self.last {
            None if latest == now => latest.checked_sub_signed(self.cadence.interval()).unwrap_or(latest),
            None => latest,
            // Set back to just before the instant that was last ticked for, which is not ticked for twice.
            Some(last) if next == last => {
                return Due::At(self.cadence.next_after(last));
            }
            // Set back further. Waiting until the clock has caught up would leave the workloads alone for as long.
            Some(last) if now < last => latest,
            Some(last) => last,
        };
        if latest <= last {
            self.last = Some(last);
            return Due::At(next);
        }
        self.last = Some(latest);
        Due::Now { at: latest, missed: self.cadence.missed(last, latest) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_040 + seconds, 0).unwrap()
    }

    fn minutes() -> Timetable {
        Timetable::new(Cadence::new(Duration::from_secs(60)).unwrap())
    }

    #[test]
    fn the_first_tick_is_for_the_first_instant_that_is_not_over() {
        assert_eq!(minutes().look(at(0)), Due::Now { at: at(0), missed: 0 });
        let mut later = minutes();
        assert_eq!(later.look(at(1)), Due::At(at(60)));
        assert_eq!(later.look(at(60)), Due::Now { at: at(60), missed: 0 });
    }

    #[test]
    fn a_late_tick_is_for_the_newest_instant_and_those_before_are_missed() {
        let mut table = minutes();
        table.look(at(0));
        assert_eq!(table.look(at(59)), Due::At(at(60)));
        assert_eq!(table.look(at(250)), Due::Now { at: at(240), missed: 3 });
        assert_eq!(table.look(at(251)), Due::At(at(300)));
    }

    #[test]
    fn a_clock_that_is_set_back_is_followed_and_by_less_than_an_interval_not_ticked_for_twice() {
        let mut table = minutes();
        table.look(at(300));
        assert_eq!(table.look(at(290)), Due::At(at(360)), "a little");
        assert_eq!(table.look(at(190)), Due::At(at(240)), "two minutes");
        assert_eq!(table.look(at(241)), Due::Now { at: at(240), missed: 0 });
        assert_eq!(table.look(at(300)), Due::Now { at: at(300), missed: 0 });
        assert_eq!(table.look(at(-86_401)), Due::At(at(-86_400)), "a day");
        assert_eq!(table.look(at(-86_400)), Due::Now { at: at(-86_400), missed: 0 });
    }

    proptest! {
        #[test]
        fn every_instant_is_a_tick_or_missed(start in 0..1000_i64, steps in prop::collection::vec(0..400_i64, 1..60)) {
            let mut table = minutes();
            let (mut now, mut ticks, mut ends) = (start, 0, None);
            for step in std::iter::once(0).chain(steps) {
                now += step;
                match table.look(at(now)) {
                    Due::At(next) => prop_assert!(next > at(now) && next - at(now) <= TimeDelta::minutes(1)),
                    Due::Now { at: tick, missed } => {
                        prop_assert!(tick <= at(now) && at(now) - tick < TimeDelta::minutes(1));
                        ticks += 1 + missed;
                        ends = Some(tick);
                    }
                }
            }
            // Instants from the start to the last tick.
            let first = at((start + 59).div_euclid(60) * 60);
            let all = ends.map_or(0, |last| (last - first).num_minutes() + 1);
            prop_assert_eq!(i64::try_from(ticks).unwrap(), all);
        }

        #[test]
        fn whatever_the_clock_does_there_is_a_tick_at_the_instant_that_was_told_or_one_is_due_now(
            steps in prop::collection::vec(-400..400_i64, 1..60),
        ) {
            let mut table = minutes();
            let mut now = 0;
            for step in steps {
                now += step;
                if let Due::At(next) = table.look(at(now)) {
                    prop_assert!(next > at(now) && next - at(now) <= TimeDelta::minutes(2));
                    prop_assert_eq!(table.look(next), Due::Now { at: next, missed: 0 });
                    now = (next - at(0)).num_seconds();
                }
            }
        }
    }
}
