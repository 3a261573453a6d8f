//! Growths by advice, remembered per target: what the next one is measured from, and when it may come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{Observation, ScalingDecision, Target};

use crate::ReplicaRange;
use crate::range::own_request;

/// Targets that are remembered at most; beyond it the one whose last growth by advice came first is forgotten. Forgetting is safe:
/// a range without a memory is measured from the baseline alone.
const TARGETS_AT_MOST: usize = 10_000;

/// The last growth of one target by advice.
#[derive(Clone, Copy, Debug)]
struct Growth {
    at: DateTime<Utc>,
    /// Pods that were there when it was advised.
    from: u32,
    /// Pods that were advised.
    to: u32,
    /// True once the pods have moved. Until then a guard may have held the growth back, or its tick was cancelled.
    landed: bool,
    /// The baseline's own request: the one that the advice was measured from, or a later one for more than there was.
    own: u32,
    /// Place in the order of growths, whatever the clocks say.
    nth: u64,
}

impl Growth {
    fn cooldown_left(&self, now: DateTime<Utc>, cooldown: Duration) -> Option<Duration> {
        let since = (now - self.at).to_std().unwrap_or_default();
        cooldown.checked_sub(since).filter(|left| !left.is_zero())
    }
}

#[derive(Debug, Default)]
struct Memory {
    growths: HashMap<Arc<Target>, Growth>,
    nth: u64,
}

/// The growths by advice of one engine.
#[derive(Debug, Default)]
pub(crate) struct Growths {
    memory: Mutex<Memory>,
}

/// The sizes that advice may pick at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Room {
    pub(crate) range: ReplicaRange,
    /// Time until advice may grow again, where the range would be larger without the cooldown.
    pub(crate) wait: Option<Duration>,
}

impl Growths {
    /// The room for advice about a decision of the baseline.
    pub(crate) fn room(
        &self,
        observation: &Observation,
        baseline: &ScalingDecision,
        share_above: f64,
        cooldown: Duration,
    ) -> Room {
        let mut memory = self.memory();
        let Some(growth) = memory.growths.get_mut(&observation.target) else {
            return Room { range: ReplicaRange::around(baseline, share_above), wait: None };
        };
        // An instant that lies ahead was set by a clock that has jumped back since: it costs one cooldown at most.
        growth.at = growth.at.min(observation.now);
        growth.landed |= baseline.current_replicas != growth.from;
        if baseline.grows() {
            growth.own = baseline.desired_replicas;
        }
        let range = ReplicaRange::remembering(baseline, share_above, Some(growth.own));
        let cooling = range.at_most(if growth.landed { baseline.current_replicas } else { growth.to });
        match growth.cooldown_left(observation.now, cooldown) {
            Some(left) if cooling != range => Room { range: cooling, wait: Some(left) },
            _ => Room { range, wait: None },
        }
    }

    /// Remembers advice that is followed, if it is a growth by advice: more pods than there are, and than the baseline asks for.
    pub(crate) fn follow(
        &self,
        observation: &Observation,
        baseline: &ScalingDecision,
        advised: u32,
        cooldown: Duration,
    ) {
        if advised <= baseline.current_replicas.max(baseline.desired_replicas) {
            return;
        }
        let mut memory = self.memory();
        let last = memory.growths.get(&observation.target).copied();
        let repeats = |last: &Growth| {
            !last.landed && advised <= last.to && last.cooldown_left(observation.now, cooldown).is_some()
        };
        // The same growth, advised again before it could be seen, starts no new cooldown.
        if last.as_ref().is_some_and(repeats) {
            return;
        }
        let Some(own) = own_request(baseline, last.map(|last| last.own)) else { return };
        if last.is_none() && memory.growths.len() >= TARGETS_AT_MOST {
            let first =
                memory.growths.iter().min_by_key(|(_, growth)| growth.nth).map(|(target, _)| Arc::clone(target));
            first.map(|target| memory.growths.remove(&target));
        }
        memory.nth += 1;
        let growth = Growth {
            at: observation.now,
            from: baseline.current_replicas,
            to: advised,
            landed: false,
            own,
            nth: memory.nth,
        };
        memory.growths.insert(Arc::clone(&observation.target), growth);
    }

    /// True while the last growth by advice has not shown its effect: the pods have not moved.
    pub(crate) fn is_pending(&self, target: &Target) -> bool {
        self.memory().growths.get(target).is_some_and(|growth| !growth.landed)
    }

    /// Forgets a target.
    pub(crate) fn forget(&self, target: &Target) {
        self.memory().growths.remove(target);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
