//! [`BudgetShare`]: one removal budget over a fleet that several replicas share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::{Change, Guard, GuardContext, RemovalBudget, Verdict};
use crate::moment::Moment;

/// The share of a [`RemovalBudget`] that goes with the shards that a replica holds, so that all replicas together let no more pods go in a
/// window than the budget has, whoever holds what.
///
/// Each shard has an equal part of the pods. A shard that is taken over brings its part one window later, because its last holder may have
/// spent it (law 12); one that is given up takes its part along at once. It stands in the chain in the place of the budget.
///
/// Clones are one and the same.
///
/// ```
/// use std::time::Duration;
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::guard::BudgetShare;
/// use scaling_core::{Guards, RemovalBudget};
///
/// let share = BudgetShare::new(RemovalBudget::new(100, Duration::from_secs(600))?, 4);
/// let guards = Guards::default().with(share.clone());
/// let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
/// share.hold([0, 3], start);
/// assert_eq!(share.pods(start), 0);
/// assert_eq!(share.pods(start + TimeDelta::minutes(10)), 50);
/// # Ok::<(), scaling_core::InvalidSetting>(())
/// ```
#[derive(Clone, Debug)]
pub struct BudgetShare {
    budget: RemovalBudget,
    shards: u32,
    /// Shards that are held, and since when. Short locks.
    held: Arc<Mutex<BTreeMap<u32, Moment>>>,
}

impl BudgetShare {
    /// Creates the share of a fleet of so many shards, at least one, of which none is held yet.
    pub fn new(budget: RemovalBudget, shards: u32) -> Self {
        Self { budget, shards: shards.max(1), held: Arc::default() }
    }

    /// Says which shards are held now: all of them. Numbers beyond the last are no shards.
    pub fn hold(&self, shards: impl IntoIterator<Item = u32>, now: DateTime<Utc>) {
        let mut held = self.held();
        // A clock that was ahead when a shard was taken is not waited for, and one that is behind for a look makes no shard older.
        let since = |shard: u32| {
            let mut since = held.get(&shard).copied().unwrap_or(Moment::new(now));
            since.look(now);
            since
        };
        let present: BTreeMap<u32, Moment> =
            shards.into_iter().filter(|shard| *shard < self.shards).map(|shard| (shard, since(shard))).collect();
        *held = present;
    }

    /// Pods that may be let go in a window that ends now.
    pub fn pods(&self, now: DateTime<Utc>) -> u32 {
        let window = self.budget.window();
        let held = self.held();
        let usable = held.iter().filter(|(_, since)| now.signed_duration_since(since.instant()) >= window);
        // The parts of all shards sum up to the pods.
        usable.map(|(shard, _)| self.up_to(shard + 1) - self.up_to(*shard)).sum()
    }

    /// Pods of the shards before this one.
    fn up_to(&self, shard: u32) -> u32 {
        let pods = u64::from(self.budget.pods()) * u64::from(shard) / u64::from(self.shards);
        u32::try_from(pods).unwrap_or(u32::MAX)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<u32, Moment>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard for BudgetShare {
    fn name(&self) -> &'static str {
        self.budget.name()
    }

    fn check(&self, change: &Change<'_>, context: &GuardContext<'_>) -> Verdict {
        self.budget.of_pods(self.pods(context.now)).check(change, context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_clock_that_was_ahead_is_not_waited_for() {
        let share = BudgetShare::new(RemovalBudget::default(), 1);
        share.hold([0], at(86_400));
        share.hold([0], at(0));
        assert_eq!((share.pods(at(599)), share.pods(at(600))), (0, 100));
        // One that is behind for a look brings the part no sooner.
        let behind = BudgetShare::new(RemovalBudget::default(), 1);
        for second in [0, -300, 100] {
            behind.hold([0], at(second));
        }
        assert_eq!((behind.pods(at(599)), behind.pods(at(600))), (0, 100));
        share.hold([1, 7], at(700));
        assert_eq!(share.pods(at(9000)), 0, "given up, and none that is not there");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Three replicas that hand shards over to each other, each of which lets go of as many pods as it may, by its own count.
        #[test]
        fn all_replicas_together_let_go_of_no_more_than_the_budget_in_any_window(
            pods in 0_u32..60, shards in 1_u32..7, window in 1_u64..40,
            steps in prop::collection::vec((1_i64..20, 0_usize..3, 0_u32..7, 0_usize..3), 1..80),
        ) {
            let budget = RemovalBudget::new(pods, Duration::from_secs(window)).unwrap();
            let replicas: Vec<BudgetShare> = (0..3).map(|_| BudgetShare::new(budget, shards)).collect();
            let mut holders = vec![0_usize; shards as usize];
            let mut spent: Vec<(i64, usize, u32)> = Vec::new();
            let (mut now, length) = (0, i64::try_from(window).unwrap());
            for (step, spender, shard, taker) in steps {
                now += step;
                holders[(shard % shards) as usize] = taker;
                for (nth, replica) in replicas.iter().enumerate() {
                    let held = (0..shards).filter(|shard| holders[*shard as usize] == nth);
                    replica.hold(held, at(now));
                }
                let recent = |of: Option<usize>| -> u32 {
                    let counts = |(when, who, _): &&(i64, usize, u32)| now - when < length && of.is_none_or(|of| of == *who);
                    spent.iter().filter(counts).map(|(_, _, pods)| pods).sum()
                };
                let left = replicas[spender].pods(at(now)).saturating_sub(recent(Some(spender)));
                let all = recent(None) + left;
                prop_assert!(all <= pods, "{all} of {pods} within {window} s");
                spent.push((now, spender, left));
            }
        }

        #[test]
        fn who_holds_all_for_long_has_the_whole_budget(pods in any::<u32>(), shards in 1_u32..300) {
            let share = BudgetShare::new(RemovalBudget::new(pods, Duration::from_secs(60)).unwrap(), shards);
            share.hold(0..shards, at(0));
            prop_assert_eq!(share.pods(at(0) + TimeDelta::seconds(60)), pods);
        }
    }
}
