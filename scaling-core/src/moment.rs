//! [`Moment`]: an instant that is remembered, by a clock that may jump.

use chrono::{DateTime, TimeDelta, Utc};

/// Time for which an instant ahead of the clock is remembered all the same.
const BELIEVED: TimeDelta = TimeDelta::hours(1);

/// An instant that something is counted from: a pause, a window, a hold.
///
/// One that lies ahead of the clock counts as the instant at which that was found, so that a clock that was a day ahead for one look holds
/// nothing back for a day. The instant itself is kept, since it may be the present clock that is behind for a look: it counts again if the clock
/// jumps to it or beyond. It is believed no longer once the clock has gone on to it without a jump, or after an hour.
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::moment::Moment;
///
/// let noon = DateTime::from_timestamp(1_700_006_400, 0).unwrap();
/// let mut since = Moment::new(noon + TimeDelta::days(1));
/// assert_eq!(since.look(noon), noon, "a window from here on ends when it should");
/// assert_eq!(since.look(noon + TimeDelta::minutes(10)), noon);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    at: DateTime<Utc>,
    ahead: Option<Ahead>,
}

/// Looks that have found an instant ahead of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ahead {
    /// The earliest of them, and the newest.
    found: DateTime<Utc>,
    last: DateTime<Utc>,
}

impl Moment {
    /// The present instant, by the clock as it is now.
    pub fn new(at: DateTime<Utc>) -> Self {
        Self { at, ahead: None }
    }

    /// The present instant, in place of one that was noted before. Where that lies ahead of the clock, it is kept: if it is the present clock that
    /// is behind, it counts again once the clock is right.
    #[must_use]
    pub fn again(self, now: DateTime<Utc>) -> Self {
        if self.at > now { Self { at: self.at, ahead: Some(Ahead { found: now, last: now }) } } else { Self::new(now) }
    }

    /// Looks at it again, and returns the [instant](Self::instant) that it counts as: never one after `now`.
    pub fn look(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        let found = self.ahead.map_or(now, |ahead| ahead.found.min(now));
        if self.at <= now {
            // A clock that was behind jumps by more than it went on for until then.
            let went_on =
                |ahead: &Ahead| now.signed_duration_since(ahead.last) <= ahead.last.signed_duration_since(found);
            *self = Self::new(if self.ahead.as_ref().is_some_and(went_on) { found } else { self.at });
        } else if now.signed_duration_since(found) >= BELIEVED {
            *self = Self::new(found);
        } else {
            self.ahead = Some(Ahead { found, last: now });
        }
        self.instant()
    }

    /// Instant that it counts as since the last look.
    pub fn instant(&self) -> DateTime<Utc> {
        self.ahead.map_or(self.at, |ahead| ahead.found)
    }

    /// The instant as it was noted, whatever was found since.
    pub(crate) fn noted(&self) -> DateTime<Utc> {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn a_clock_that_is_behind_for_one_look_moves_nothing() {
        let mut moment = Moment::new(at(10_000));
        assert_eq!(moment.look(at(6_000)), at(6_000));
        assert_eq!(moment.look(at(10_010)), at(10_000));
    }

    #[test]
    fn what_comes_again_under_a_clock_that_is_behind_leaves_the_instant_before() {
        let mut moment = Moment::new(at(10_000)).again(at(6_000));
        assert_eq!(moment.instant(), at(6_000));
        assert_eq!(moment.look(at(10_010)), at(10_000));
        assert_eq!(moment.again(at(10_020)), Moment::new(at(10_020)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the clock has said before, a window lasts for its own length of a clock that goes as it should, but for some looks.
        #[test]
        fn an_instant_holds_nothing_back_for_longer_than_its_window(
            noted in -20_000_i64..20_000, looks in prop::collection::vec(-20_000_i64..20_000, 0..20),
            window in 1_i64..7_200, step in 1_i64..600,
        ) {
            let mut moment = Moment::new(at(noted));
            for look in looks {
                prop_assert!(moment.look(at(look)) <= at(look));
                prop_assert_eq!(moment.instant(), moment.look(at(look)));
            }
            let holds = |second| at(second).signed_duration_since(moment.look(at(second))) < TimeDelta::seconds(window);
            let held = (0..40_000).step_by(usize::try_from(step).unwrap_or(1)).map(holds).filter(|holds| *holds).count();
            let most = window / step + 4;
            prop_assert!(i64::try_from(held).unwrap_or(i64::MAX) <= most, "{held} looks, of {most}");
        }
    }
}
