//! [`Zone`]: the clock that times without a zone are read by, over a year in which it is put forward and back.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};

use super::instants::When;

/// Time within which a repeated hour lies: a clock is put back by an hour, in most zones.
const REPEATED: TimeDelta = TimeDelta::hours(2);

type Local = dyn Fn(&NaiveDateTime) -> MappedLocalTime<DateTime<Utc>> + Send + Sync;

/// A time zone, of whatever library.
#[derive(Clone)]
pub(super) struct Zone {
    pub(super) name: String,
    local: Arc<Local>,
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name).finish()
    }
}

/// Counts of local times that were not plain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Folds {
    pub(super) repeated: usize,
    pub(super) skipped: usize,
}

impl Zone {
    pub(super) fn new<Z: TimeZone + Send + Sync + 'static>(name: impl Into<String>, zone: Z) -> Self {
        let local = move |local: &NaiveDateTime| match zone.from_local_datetime(local) {
            MappedLocalTime::None => MappedLocalTime::None,
            mapped => mapped.map(|at| at.to_utc()),
        };
        Self { name: name.into(), local: Arc::new(local) }
    }

    /// Finds the instants of times in the order of a text, which may run backwards.
    ///
    /// Of a time that the clock showed twice the earlier instant is meant, unless the text has been there already. A time that it
    /// never showed is read as if the clock had not been put forward.
    pub(super) fn instants(&self, times: &mut [Option<When>]) -> Folds {
        let mut folds = Folds::default();
        let mut ends = times.iter().flatten().map(naive);
        let descending = ends.next().zip(ends.next_back()).is_some_and(|(first, last)| first > last);
        let mut last = None;
        if descending {
            times.iter_mut().rev().flatten().for_each(|when| self.instant(when, &mut last, &mut folds));
        } else {
            times.iter_mut().flatten().for_each(|when| self.instant(when, &mut last, &mut folds));
        }
        folds
    }

    fn instant(&self, when: &mut When, last: &mut Option<DateTime<Utc>>, folds: &mut Folds) {
        let at = match *when {
            When::At(at) => at,
            When::Local(local) => match (self.local)(&local) {
                MappedLocalTime::Single(at) => at,
                MappedLocalTime::Ambiguous(a, b) => {
                    folds.repeated += 1;
                    let (earlier, later) = (a.min(b), a.max(b));
                    let been_there = last.is_some_and(|last| earlier <= last && last - earlier <= REPEATED);
                    if been_there { later } else { earlier }
                }
                MappedLocalTime::None => {
                    folds.skipped += 1;
                    self.as_before(local)
                }
            },
        };
        *last = Some(at);
        *when = When::At(at);
    }

    /// Reads a time by the offset that the clock had some hours before.
    fn as_before(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let before = local.checked_sub_signed(TimeDelta::hours(3)).unwrap_or(local);
        let offset = (self.local)(&before).earliest().map_or_else(TimeDelta::zero, |at| before - at.naive_utc());
        local.checked_sub_signed(offset).unwrap_or(local).and_utc()
    }
}

fn naive(when: &When) -> NaiveDateTime {
    match when {
        When::At(at) => at.naive_utc(),
        When::Local(local) => *local,
    }
}

/// The zone of UTC, for messages.
pub(super) fn is_utc(zone: &Zone) -> bool {
    zone.name == Utc.fix().to_string() || zone.name == "UTC"
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    /// Berlin in 2026: put forward on 29 March at 02:00, back on 25 October at 03:00.
    fn berlin() -> Zone {
        let local = |local: &NaiveDateTime| {
            let time = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
            let at = |hours: i32| {
                let east = FixedOffset::east_opt(hours * 3600).unwrap();
                east.from_local_datetime(local).unwrap().to_utc()
            };
            let [skip, summer] = ["2026-03-29 02:00", "2026-03-29 03:00"].map(time);
            let [again, winter] = ["2026-10-25 02:00", "2026-10-25 03:00"].map(time);
            match *local {
                local if local < skip || local >= winter => MappedLocalTime::Single(at(1)),
                local if local < summer => MappedLocalTime::None,
                local if local < again => MappedLocalTime::Single(at(2)),
                _ => MappedLocalTime::Ambiguous(at(2), at(1)),
            }
        };
        Zone { name: "Europe/Berlin".into(), local: Arc::new(local) }
    }

    fn instants(texts: &[&str]) -> (Vec<String>, Folds) {
        let local = |text: &&str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
        let mut times: Vec<_> = texts.iter().map(local).map(|local| Some(When::Local(local))).collect();
        let folds = berlin().instants(&mut times);
        (times.iter().flatten().map(|when| naive(when).format("%H:%M").to_string()).collect(), folds)
    }

    #[test]
    fn an_hour_that_comes_twice_is_told_apart_by_its_order_also_backwards() {
        let twice = [
            "2026-10-25 01:30",
            "2026-10-25 02:00",
            "2026-10-25 02:30",
            "2026-10-25 02:00",
            "2026-10-25 02:30",
            "2026-10-25 03:00",
        ];
        let expected = ["23:30", "00:00", "00:30", "01:00", "01:30", "02:00"];
        assert_eq!(instants(&twice), (expected.map(str::to_owned).into(), Folds { repeated: 4, skipped: 0 }));
        let mut backwards = twice;
        backwards.reverse();
        let mut reversed = expected.map(str::to_owned);
        reversed.reverse();
        assert_eq!(instants(&backwards).0, reversed);
        // One series after another, as tables of several series have them.
        let again = [&twice[..], &twice[..]].concat();
        assert_eq!(instants(&again).0, [expected, expected].concat());
    }

    #[test]
    fn an_hour_that_never_was_is_read_as_if_the_clock_had_not_been_put_forward() {
        let (times, folds) = instants(&["2026-03-29 01:30", "2026-03-29 02:30", "2026-03-29 03:30"]);
        assert_eq!(times, ["00:30", "01:30", "01:30"]);
        assert_eq!(folds, Folds { repeated: 0, skipped: 1 });
    }
}
