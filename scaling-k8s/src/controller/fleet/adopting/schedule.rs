//! Instants of the trials: each target has its own, spread over the time between two of its trials. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use scaling_core::Target;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};

use crate::controller::cache::FleetTarget;
use crate::controller::lease::shard_of;

/// Part of the time between two trials for which one that nobody has made is still made.
const LATE: i32 = 24;

/// The targets by their instants, and when each was tried last.
#[derive(Debug)]
pub(super) struct Schedule {
    every_ms: i64,
    list: Arc<[Arc<FleetTarget>]>,
    /// Of each of the list.
    offsets_ms: Vec<i64>,
    tried: HashMap<Target, DateTime<Utc>>,
}

impl Schedule {
    pub(super) fn new(every: Duration) -> Self {
        let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1);
        Self { every_ms, list: Arc::default(), offsets_ms: Vec::new(), tried: HashMap::new() }
    }

    /// Takes in the targets. Returns false if they are those of before.
    pub(super) fn renew(&mut self, list: &Arc<[Arc<FleetTarget>]>) -> bool {
        if Arc::ptr_eq(list, &self.list) {
            return false;
        }
        self.list = Arc::clone(list);
        self.offsets_ms = list.iter().map(|listed| offset_ms(&listed.target, self.every_ms)).collect();
        let present: HashSet<&Target> = list.iter().map(|listed| &listed.target).collect();
        self.tried.retain(|target, _| present.contains(target));
        true
    }

    /// The instant from which on trials are owed by who begins, or takes over, at `at`: those that were due shortly before may have ended with
    /// who was there then.
    pub(super) fn owed_since(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        at.checked_sub_signed(TimeDelta::milliseconds(self.every_ms) / LATE).unwrap_or(at)
    }

    /// The instant at which something that failed is tried again.
    pub(super) fn later(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        at.checked_add_signed(TimeDelta::milliseconds(self.every_ms) / LATE).unwrap_or(at)
    }

    /// The target to be tried now: of those that are due, one that was tried longest ago. `since` says from when on a target is ours; none if
    /// it is not.
    pub(super) fn next(
        &self,
        at: DateTime<Utc>,
        since: impl Fn(&Target) -> Option<DateTime<Utc>>,
    ) -> Option<Arc<FleetTarget>> {
        let due = self.list.iter().zip(&self.offsets_ms).filter_map(|(listed, offset_ms)| {
            let due = latest(at, self.every_ms, *offset_ms)?;
            let tried = self.tried.get(&listed.target);
            // A clock that was ahead holds nothing up.
            let is_open = tried.is_none_or(|tried| *tried < due || *tried > at);
            (is_open && since(&listed.target)? < due).then_some((tried, due, listed))
        });
        due.min_by_key(|(tried, due, listed)| (*tried, *due, &listed.target)).map(|(_, _, listed)| Arc::clone(listed))
    }

    /// Notes that a target was tried.
    pub(super) fn tried(&mut self, target: &Target, at: DateTime<Utc>) {
        self.tried.insert(target.clone(), at);
    }
}

/// The last instant of a target that is not after `at`.
fn latest(at: DateTime<Utc>, every_ms: i64, offset_ms: i64) -> Option<DateTime<Utc>> {
    let before = at.timestamp_millis().checked_sub(offset_ms)?.div_euclid(every_ms);
    DateTime::from_timestamp_millis(before.checked_mul(every_ms)?.checked_add(offset_ms)?)
}

/// Where in the time between two trials the instant of a target lies: always the same, whoever asks, and independent of its shard.
fn offset_ms(target: &Target, every_ms: i64) -> i64 {
    let apart = Target { hpa: format!("{} adoption", target.hpa), ..target.clone() };
    let share = f64::from(shard_of(&apart, u32::MAX)) / f64::from(u32::MAX);
    #[allow(clippy::cast_possible_truncation)] // a share of a number of milliseconds
    let offset = (share * every_ms as f64) as i64;
    offset.clamp(0, every_ms - 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::controller::settings::Settings;

    const DAY_MS: i64 = 86_400_000;

    fn list(targets: usize) -> Arc<[Arc<FleetTarget>]> {
        let target = |nth| Target::deployment("shop", format!("web-{nth}"));
        let listed =
            |nth| FleetTarget { target: target(nth), uid: None, settings: Ok(Settings::default()), reached: Ok(None) };
        (0..targets).map(|nth| Arc::new(listed(nth))).collect()
    }

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap()
    }

    fn schedule(targets: usize) -> Schedule {
        let mut schedule = Schedule::new(Duration::from_secs(86_400));
        assert!(schedule.renew(&list(targets)));
        schedule
    }

    #[test]
    fn targets_are_spread_over_the_day_and_over_that_of_each_shard() {
        let all = list(8000);
        for shard in [None, Some(0), Some(5)] {
            let of_it = all.iter().filter(|listed| shard.is_none_or(|shard| shard_of(&listed.target, 8) == shard));
            let mut hours = [0_usize; 24];
            of_it
                .for_each(|listed| hours[usize::try_from(offset_ms(&listed.target, DAY_MS) / 3_600_000).unwrap()] += 1);
            let even = hours.iter().sum::<usize>() / 24;
            assert!(hours.iter().all(|hour| hour.abs_diff(even) < even / 2 + 5), "{shard:?}: {hours:?}");
        }
        assert_eq!(offset_ms(&Target::deployment("shop", "web"), DAY_MS), 66_188_225, "a restart must not move it");
    }

    #[test]
    fn each_is_tried_once_a_day_and_one_after_the_other() {
        let mut schedule = schedule(50);
        let since = |_: &Target| Some(at(0));
        let mut tried: Vec<(Target, i64)> = Vec::new();
        for minute in 0..2 * 1440 {
            while let Some(listed) = schedule.next(at(minute * 60_000), since) {
                schedule.tried(&listed.target, at(minute * 60_000));
                tried.push((listed.target.clone(), minute));
            }
        }
        assert_eq!(tried.len(), 100, "fifty targets, two days");
        for listed in list(50).iter() {
            let minutes: Vec<_> =
                tried.iter().filter(|(target, _)| *target == listed.target).map(|(_, at)| *at).collect();
            assert_eq!(minutes[1] - minutes[0], 1440);
        }
    }

    #[test]
    fn who_falls_behind_goes_on_with_those_that_wait_longest() {
        let mut schedule = schedule(10);
        let mut counts: HashMap<Target, usize> = HashMap::new();
        // One trial takes a quarter of a day: ten targets need two and a half days.
        for nth in 0..400 {
            let now = at(DAY_MS + nth * DAY_MS / 4);
            if let Some(listed) = schedule.next(now, |_| Some(at(0))) {
                schedule.tried(&listed.target, now);
                *counts.entry(listed.target.clone()).or_default() += 1;
            }
        }
        assert!(counts.len() == 10 && counts.values().all(|tried| tried.abs_diff(40) <= 1), "{counts:?}");
    }

    #[test]
    fn what_is_not_ours_is_left_and_what_was_due_shortly_before_a_take_over_is_made_up_for() {
        let schedule = schedule(2000);
        assert_eq!(schedule.next(at(DAY_MS), |_| None), None);
        let since = schedule.owed_since(at(0));
        let mut owed = 0;
        let mut work = Schedule { tried: HashMap::new(), ..schedule };
        while let Some(listed) = work.next(at(0), |_| Some(since)) {
            work.tried(&listed.target, at(0));
            owed += 1;
        }
        assert!((50..120).contains(&owed), "an hour's: {owed}");
        work.tried.values_mut().for_each(|tried| *tried = at(400 * DAY_MS));
        assert!(work.next(at(0), |_| Some(since)).is_some(), "a clock that was ahead");
    }
}
