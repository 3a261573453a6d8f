//! [`FleetFreeze`]: when many workloads lose their signals together, nothing is lowered anywhere.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::absence::lowers_nothing;
use super::{Change, Guard, GuardContext, Verdict};
use crate::metrics::{Observation, ScalingMetrics, SignalSet};
use crate::moment::Moment;
use crate::setting::InvalidSetting;
use crate::target::Target;

/// Lowers no bound of any workload once many of them lost declared signals within a while: then the metrics as a whole are not to be
/// trusted, those that still come neither. Growth passes (law 2).
///
/// It begins when more than a share of the workloads, and at least some, have lost a declared signal or their whole observation within the
/// window. It ends when three quarters of those that lost theirs, counted at the worst, have them back, or are no workloads any more; how
/// long that takes does not matter. What never had its signals has not lost them.
///
/// It learns what is seen by [`saw`](Self::saw), which a [`Watched`](crate::source::Watched) source says by itself, and after a restart from
/// [records](Self::replay). Clones are one and the same.
///
/// Default: a fifth of the workloads, at least five, within 10 minutes.
#[derive(Clone, Debug)]
pub struct FleetFreeze {
    share: f64,
    at_least: usize,
    window: TimeDelta,
    /// Short locks.
    fleet: Arc<Mutex<Fleet>>,
}

/// What is seen of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Every declared signal.
    Whole,
    /// Not every declared signal, or nothing.
    Lost,
}

#[derive(Debug, Default)]
struct Fleet {
    workloads: HashMap<Target, Workload>,
    /// Workloads of the freeze that have not got their signals back.
    lost: HashSet<Target>,
    frozen: Option<Frozen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Workload {
    /// Signals ever seen of it, for a source that does not say what it delivers.
    ever: SignalSet,
    /// None while it has its signals, or never had them.
    lost: Option<Moment>,
    was_whole: bool,
    /// Another replica sees it now: it does not count here until it is seen again.
    away: bool,
}

#[derive(Clone, Copy, Debug)]
struct Frozen {
    since: DateTime<Utc>,
    /// Most workloads that were lost at once.
    worst: usize,
    /// Since when nobody is waited for, because all were handed over.
    alone: Option<Moment>,
}

impl Default for FleetFreeze {
    fn default() -> Self {
        Self { share: 0.2, at_least: 5, window: TimeDelta::minutes(10), fleet: Arc::default() }
    }
}

impl FleetFreeze {
    /// Creates one that freezes when more than this share of the workloads, and at least so many, lose signals within the window.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the share is not within 0 to 1.
    ///
    /// ```
    /// use std::time::Duration;
    /// use scaling_core::Guards;
    /// use scaling_core::guard::FleetFreeze;
    ///
    /// let freeze = FleetFreeze::new(0.3, 10, Duration::from_secs(300))?;
    /// let guards = Guards::default().with(freeze.clone());
    /// assert_eq!(freeze.frozen(), None);
    /// # Ok::<(), scaling_core::InvalidSetting>(())
    /// ```
    pub fn new(share: f64, at_least: usize, window: Duration) -> Result<Self, InvalidSetting> {
        InvalidSetting::check(&[("share", share)], "within 0 to 1", |share| (0.0..=1.0).contains(&share))?;
        let window = TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX);
        Ok(Self { share, at_least: at_least.max(1), window, fleet: Arc::default() })
    }

    /// Takes in what is seen of some workloads at one instant.
    pub fn saw<'a>(&self, seen: impl IntoIterator<Item = (&'a Target, Sight)>, now: DateTime<Utc>) {
        let mut fleet = self.fleet();
        for (target, sight) in seen {
            fleet.saw(target, sight, now);
        }
        self.judge(&mut fleet, now);
    }

    /// Takes in the answers of a source. One that does not say what it delivers is held to what it ever delivered.
    pub fn observed<'a, E>(
        &self,
        seen: impl IntoIterator<Item = (&'a Target, &'a Result<Observation, E>)>,
        now: DateTime<Utc>,
    ) where
        E: 'a,
    {
        let mut fleet = self.fleet();
        for (target, seen) in seen {
            let sight = match seen {
                Ok(observation) => fleet.sight(target, observation),
                Err(_) => Sight::Lost,
            };
            fleet.saw(target, sight, now);
        }
        self.judge(&mut fleet, now);
    }

    /// Takes in what a record of an earlier run says, oldest first: its metrics, if there were any, and the signals that were declared.
    pub fn replay(
        &self,
        target: &Target,
        metrics: Option<&ScalingMetrics>,
        declared: Option<SignalSet>,
        at: DateTime<Utc>,
    ) {
        let sight = match (metrics, declared) {
            (Some(metrics), Some(declared)) => {
                let mut expected = metrics.expected_of(declared);
                if expected.any(|kind| metrics.signal(kind).absence().is_some()) { Sight::Lost } else { Sight::Whole }
            }
            _ => Sight::Lost,
        };
        self.saw([(target, sight)], at);
    }

    /// Forgets a workload that is gone. It is waited for no longer.
    pub fn forget(&self, target: &Target) {
        let mut fleet = self.fleet();
        fleet.workloads.remove(target);
        fleet.lost.remove(target);
        fleet.thaw();
    }

    /// Hands a workload over to another replica, which sees it from now on. What is known of it is kept until it is [forgotten](Self::forget) or
    /// seen again. It is waited for no longer, but it has not returned either: a freeze with nobody left to wait for lasts one window more.
    pub fn hand_over(&self, target: &Target) {
        let mut fleet = self.fleet();
        if let Some(workload) = fleet.workloads.get_mut(target) {
            workload.away = true;
        }
        let was_waited_for = fleet.lost.remove(target);
        if let Some(frozen) = fleet.frozen.as_mut().filter(|_| was_waited_for) {
            frozen.worst = frozen.worst.saturating_sub(1);
        }
        // Those that have returned are not the more for it.
        let lost = fleet.lost.len();
        if let Some(frozen) = fleet.frozen.as_mut().filter(|frozen| was_waited_for && lost * 4 <= frozen.worst) {
            frozen.worst = (lost * 4).saturating_sub(1);
        }
    }

    /// Returns since when the fleet is frozen, and how many workloads are waited for; none if it is not.
    pub fn frozen(&self) -> Option<(DateTime<Utc>, usize)> {
        let fleet = self.fleet();
        fleet.frozen.map(|frozen| (frozen.since, fleet.lost.len()))
    }

    fn judge(&self, fleet: &mut Fleet, now: DateTime<Utc>) {
        fleet.workloads.values_mut().filter_map(|workload| workload.lost.as_mut()).for_each(|lost| {
            lost.look(now);
        });
        let lately = |lost: Moment| now.signed_duration_since(lost.instant()) < self.window;
        let lost =
            || fleet.workloads.iter().filter(|(_, workload)| !workload.away && workload.lost.is_some_and(lately));
        if fleet.frozen.is_none() {
            let count = lost().count();
            let here = fleet.workloads.values().filter(|workload| !workload.away).count();
            if count < self.at_least || count as f64 <= self.share * here as f64 {
                return;
            }
            fleet.lost = lost().map(|(target, _)| target.clone()).collect();
            tracing::warn!(workloads = count, %now, "many workloads lost signals together, nothing is lowered");
            fleet.frozen = Some(Frozen { since: now, worst: count, alone: None });
        }
        let count = fleet.lost.len();
        if let Some(frozen) = &mut fleet.frozen {
            frozen.worst = frozen.worst.max(count);
            frozen.alone = (frozen.worst == 0).then(|| frozen.alone.unwrap_or(Moment::new(now)));
            if frozen.alone.as_mut().is_some_and(|alone| now.signed_duration_since(alone.look(now)) >= self.window) {
                fleet.frozen = None;
            }
        }
        fleet.thaw();
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet {
    fn sight(&mut self, target: &Target, observation: &Observation) -> Sight {
        let workload = self.workload(target);
        workload.ever = workload.ever.union(observation.declared());
        let declared = observation.declared.unwrap_or(workload.ever);
        let missing = |kind| observation.current.signal(kind).absence().is_some();
        let absent = observation.absences().next().is_some() || observation.current.expected_of(declared).any(missing);
        if absent { Sight::Lost } else { Sight::Whole }
    }

    fn workload(&mut self, target: &Target) -> &mut Workload {
        if !self.workloads.contains_key(target) {
            self.workloads.insert(target.clone(), Workload::default());
        }
        self.workloads.entry(target.clone()).or_default()
    }

    fn saw(&mut self, target: &Target, sight: Sight, now: DateTime<Utc>) {
        let is_frozen = self.frozen.is_some();
        let workload = self.workload(target);
        let returns = std::mem::take(&mut workload.away);
        match sight {
            Sight::Whole => {
                (workload.was_whole, workload.lost) = (true, None);
                self.lost.remove(target);
            }
            Sight::Lost if workload.was_whole && (returns || workload.lost.is_none()) => {
                workload.lost = workload.lost.or(Some(Moment::new(now)));
                if is_frozen {
                    self.lost.insert(target.clone());
                }
            }
            Sight::Lost => {}
        }
    }

    /// Ends the freeze once most of its workloads are back. After all of one instant were taken in, since some may be lost as others return.
    fn thaw(&mut self) {
        if self.frozen.is_none_or(|frozen| frozen.worst == 0 || self.lost.len() * 4 > frozen.worst) {
            return;
        }
        tracing::info!("most workloads have their signals back, bounds may be lowered again");
        self.frozen = None;
        self.lost.clear();
        // Who is still without is held by itself, and counts as lost no more: the next freeze is for new losses.
        for workload in self.workloads.values_mut().filter(|workload| workload.lost.is_some()) {
            (workload.lost, workload.was_whole) = (None, false);
        }
    }
}

impl Guard for FleetFreeze {
    fn name(&self) -> &'static str {
        "fleet_freeze"
    }

    fn check(&self, change: &Change<'_>, _: &GuardContext<'_>) -> Verdict {
        if !(change.shrinks() || change.lowers() || change.shrinks_pods()) {
            return Verdict::Pass;
        }
        let Some((since, waited_for)) = self.frozen() else { return Verdict::Pass };
        let since = since.format("%F %T");
        let why = format!("many workloads lost signals together since {since} UTC, {waited_for} are waited for");
        lowers_nothing(change, why)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
    }

    fn target(nth: usize) -> Target {
        Target::deployment("shop", format!("web-{nth}"))
    }

    fn see(freeze: &FleetFreeze, fleet: usize, lost: &[usize], minute: i64) {
        let targets: Vec<Target> = (0..fleet).map(target).collect();
        let sight = |nth: usize| if lost.contains(&nth) { Sight::Lost } else { Sight::Whole };
        freeze.saw(targets.iter().enumerate().map(|(nth, target)| (target, sight(nth))), at(minute));
    }

    #[test]
    fn it_begins_with_many_losses_together_and_ends_with_their_return_however_late() {
        let freeze = FleetFreeze::default();
        see(&freeze, 20, &[], 0);
        see(&freeze, 20, &[0, 1, 2, 3], 1);
        assert_eq!(freeze.frozen(), None, "a fifth is not more than a fifth");
        see(&freeze, 20, &[0, 1, 2, 3, 4], 2);
        assert_eq!(freeze.frozen(), Some((at(2), 5)));
        see(&freeze, 20, &[0, 1, 2, 3, 4, 5, 6, 7], 3);
        see(&freeze, 20, &[0, 1, 2], 30 * 24 * 60);
        assert_eq!(freeze.frozen(), Some((at(2), 3)), "a month later, with three of eight still missing");
        see(&freeze, 20, &[0, 1], 30 * 24 * 60 + 1);
        assert_eq!(freeze.frozen(), None);
        see(&freeze, 20, &[0, 1], 30 * 24 * 60 + 2);
        assert_eq!(freeze.frozen(), None, "who is missing still does not begin it anew");
    }

    #[test]
    fn losses_one_by_one_do_not_freeze_and_workloads_that_are_gone_are_not_waited_for() {
        let freeze = FleetFreeze::default();
        see(&freeze, 10, &[], 0);
        let mut lost = Vec::new();
        for nth in 0..10 {
            lost.push(nth);
            see(&freeze, 10, &lost, 6 * (1 + i64::try_from(nth).unwrap()));
            assert_eq!(freeze.frozen(), None, "{nth}");
        }
        let freeze = FleetFreeze::default();
        see(&freeze, 10, &[], 0);
        see(&freeze, 10, &lost, 1);
        (0..7).for_each(|nth| freeze.forget(&target(nth)));
        assert!(freeze.frozen().is_some());
        freeze.forget(&target(7));
        assert_eq!(freeze.frozen(), None);
    }

    #[test]
    fn law_2_a_hand_over_is_no_return_and_what_comes_back_is_known() {
        let freeze = FleetFreeze::default();
        see(&freeze, 10, &[], 0);
        see(&freeze, 10, &(0..8).collect::<Vec<_>>(), 1);
        (0..8).for_each(|nth| freeze.hand_over(&target(nth)));
        freeze.saw([(&target(8), Sight::Whole), (&target(9), Sight::Whole)], at(2));
        assert_eq!(freeze.frozen(), Some((at(1), 0)), "nobody has returned");
        see(&freeze, 10, &(0..8).collect::<Vec<_>>(), 3);
        assert_eq!(freeze.frozen(), Some((at(1), 8)), "they came back without their signals");
        (0..8).for_each(|nth| freeze.hand_over(&target(nth)));
        for (minute, frozen) in [(4, true), (13, true), (14, false)] {
            freeze.saw([(&target(8), Sight::Whole), (&target(9), Sight::Whole)], at(minute));
            assert_eq!(freeze.frozen().is_some(), frozen, "{minute}");
        }
    }

    #[test]
    fn losses_by_a_clock_that_was_ahead_are_of_the_window_in_which_it_is_right_again() {
        let freeze = FleetFreeze::default();
        see(&freeze, 20, &[], 0);
        see(&freeze, 20, &[0, 1, 2, 3], 1000);
        see(&freeze, 20, &[0, 1, 2, 3], 1);
        see(&freeze, 20, &[0, 1, 2, 3], 10);
        see(&freeze, 20, &[0, 1, 2, 3, 4], 11);
        assert_eq!(freeze.frozen(), None, "ten minutes later it is one loss, not five");
        // The end of a freeze with nobody to wait for.
        let freeze = FleetFreeze::default();
        see(&freeze, 10, &[], 0);
        see(&freeze, 10, &(0..8).collect::<Vec<_>>(), 1);
        (0..8).for_each(|nth| freeze.hand_over(&target(nth)));
        for (minute, frozen) in [(1000, true), (2, true), (11, true), (12, false)] {
            freeze.saw([(&target(8), Sight::Whole), (&target(9), Sight::Whole)], at(minute));
            assert_eq!(freeze.frozen().is_some(), frozen, "{minute}");
        }
    }

    #[test]
    fn the_share_is_of_those_that_are_seen_here() {
        let freeze = FleetFreeze::default();
        see(&freeze, 100, &[], 0);
        (10..100).for_each(|nth| freeze.hand_over(&target(nth)));
        see(&freeze, 10, &[0, 1, 2, 3, 4], 1);
        assert_eq!(freeze.frozen(), Some((at(1), 5)));
    }

    #[test]
    fn what_never_had_its_signals_has_not_lost_them() {
        let freeze = FleetFreeze::default();
        let all: Vec<usize> = (0..10).collect();
        for minute in 0..5 {
            see(&freeze, 10, &all, minute);
        }
        assert_eq!(freeze.frozen(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn law_2_it_never_ends_before_half_of_those_it_began_with_are_back_whatever_the_time_and_the_clock_do(
            fleet in 5_usize..40, steps in prop::collection::vec((-2000_i64..2000, prop::collection::vec(0_usize..40, 0..40)), 1..40),
        ) {
            let freeze = FleetFreeze::default();
            see(&freeze, fleet, &[], 0);
            let all: Vec<usize> = (0..fleet).collect();
            see(&freeze, fleet, &all, 1);
            prop_assert!(freeze.frozen().is_some());
            let mut minute = 1;
            for (step, lost) in steps {
                minute += step;
                see(&freeze, fleet, &lost, minute);
                let missing = all.iter().filter(|nth| lost.contains(nth)).count();
                if missing * 2 >= fleet {
                    prop_assert!(freeze.frozen().is_some(), "{} of {} are missing", missing, fleet);
                } else {
                    break;
                }
            }
        }

        #[test]
        fn it_never_begins_with_fewer_than_the_share(
            losses in prop::collection::vec(prop::collection::vec(0_usize..100, 0..20), 1..20),
        ) {
            let freeze = FleetFreeze::new(0.2, 1, Duration::from_secs(600)).unwrap();
            see(&freeze, 100, &[], 0);
            for (nth, lost) in losses.iter().enumerate() {
                // So far apart that no two losses are within one window.
                see(&freeze, 100, lost, 20 * (1 + i64::try_from(nth).unwrap()));
                prop_assert_eq!(freeze.frozen(), None);
            }
        }
    }
}
