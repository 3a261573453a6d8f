//! [`Hold`]: one size, held from a moment on, while a given load arrives.
//!
//! A [`Cluster`](super::Cluster) replays a policy over a whole trace. The question here is smaller and asked thousands of times: what
//! would follow from this size, and what from that one, until the next decision can take effect? So it is the same queue and the same
//! pods, without measurements, decisions and records.

use super::pods::Pods;
use super::queue::{Queue, Service};

/// Longest path that is replayed, in steps.
const STEPS_AT_MOST: usize = 100_000;

/// Replays of sizes that are held. Times in steps; what the load is measured in, requests or pods' worth of work, is the caller's choice.
///
/// ```
/// use scaling_core::backtest::{Hold, HoldStart};
///
/// // Ten pods that serve 50 requests per second each; from the second step on there are as many as were decided on.
/// let hold = Hold { step_s: 15.0, start_up: 4, decided: 2, pod_capacity: 50.0, objective_s: 1.0, patience_s: 30.0 };
/// let start = HoldStart { pods: 10, ready: 10, backlog: 0.0 };
/// let load = [400.0; 12];
/// let (keep, fewer) = (hold.replay(start, 10, load), hold.replay(start, 7, load));
/// assert_eq!((keep.violating, fewer.violating > 0.0), (0.0, true));
/// assert!(fewer.pod_hours < keep.pod_hours);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hold {
    /// Length of a step, in seconds.
    pub step_s: f64,
    /// Steps from the creation of a pod to its first request.
    pub start_up: usize,
    /// Step at which the size is decided on; until then the pods stay as they were. Only what follows is paid for in
    /// [`HeldScore::pod_hours`].
    pub decided: usize,
    /// Load per second of one pod at full utilization.
    pub pod_capacity: f64,
    /// Longest wait that is no violation, in seconds.
    pub objective_s: f64,
    /// Wait after which a request gives up, in seconds; at least the objective.
    pub patience_s: f64,
}

/// The workload at the beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HoldStart {
    /// Pods that exist.
    pub pods: u32,
    /// Pods of those that serve; the others are created at the first step.
    pub ready: u32,
    /// Load that waits.
    pub backlog: f64,
}

/// Outcome of a size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HeldScore {
    /// Load that arrived, or waited at the beginning.
    pub arrived: f64,
    /// Load that arrived to a wait longer than the objective, or was dropped.
    pub violating: f64,
    /// Hours of pods from the decision on.
    pub pod_hours: f64,
}

impl HeldScore {
    /// Returns the share of what arrived that violated; 0 of nothing.
    pub fn violating_share(&self) -> f64 {
        if self.arrived > 0.0 { (self.violating / self.arrived).min(1.0) } else { 0.0 }
    }

    /// Adds another outcome.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            arrived: self.arrived + other.arrived,
            violating: self.violating + other.violating,
            pod_hours: self.pod_hours + other.pod_hours,
        }
    }
}

impl Hold {
    /// Replays `size` pods under a load per second in each step. A load that is no number at all counts as none.
    pub fn replay(&self, start: HoldStart, size: u32, load: impl IntoIterator<Item = f64>) -> HeldScore {
        let ready = start.ready.min(start.pods);
        let mut pods = Pods::ready_from_the_start(ready);
        pods.ready(0);
        pods.resize(start.pods, self.start_up);
        let mut queue = Queue::waiting(usable(start.backlog));
        let mut score = HeldScore { arrived: queue.backlog, ..HeldScore::default() };
        let mut paid = 0_u64;
        for (step, load) in load.into_iter().take(STEPS_AT_MOST).enumerate() {
            // Ready pods are counted first: removal must tell them from those that start.
            let mut serving = pods.ready(step);
            if step == self.decided {
                pods.resize(size, step.saturating_add(self.start_up));
                serving = pods.ready(step);
            }
            if step >= self.decided {
                paid += u64::from(pods.total());
            }
            let arriving = usable(load) * self.step_s;
            let service = Service {
                capacity: f64::from(serving) * self.pod_capacity,
                objective_s: self.objective_s,
                patience_s: self.patience_s,
            };
            score.arrived += arriving;
            score.violating += queue.pass(arriving, self.step_s, service).violating;
        }
        score.pod_hours = paid as f64 * self.step_s / 3600.0;
        score
    }
}

/// The load, where it is one: 0 for NaN and what is below 0. What is endless is as large as any queue can tell.
fn usable(load: f64) -> f64 {
    if load > 0.0 { load.min(1e15) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold() -> Hold {
        Hold { step_s: 15.0, start_up: 4, decided: 2, pod_capacity: 50.0, objective_s: 1.0, patience_s: 30.0 }
    }

    fn all_ready(pods: u32) -> HoldStart {
        HoldStart { pods, ready: pods, backlog: 0.0 }
    }

    #[test]
    fn a_growth_serves_once_its_pods_have_started() {
        // 600 a second meet 10 pods that serve 500; four more are ready in the seventh step, and serve those who wait as well.
        let grown = hold().replay(all_ready(10), 14, [600.0; 20]);
        let later = Hold { start_up: 8, ..hold() }.replay(all_ready(10), 14, [600.0; 20]);
        assert!(grown.violating > 0.0 && later.violating > grown.violating);
        assert!((grown.pod_hours - 18.0 * 14.0 * 15.0 / 3600.0).abs() < 1e-12);
    }

    #[test]
    fn a_shrink_acts_at_once_and_not_before_it_is_decided() {
        let load = [450.0, 450.0, 0.0, 0.0];
        assert!(hold().replay(all_ready(10), 1, load).violating.abs() < 1e-12);
        let load = [0.0, 0.0, 450.0, 450.0];
        assert!(hold().replay(all_ready(10), 1, load).violating > 0.0);
    }

    #[test]
    fn pods_on_their_way_come_and_go_before_those_that_serve() {
        let start = HoldStart { pods: 10, ready: 8, backlog: 0.0 };
        let load = [400.0; 12];
        assert!(hold().replay(start, 8, load).violating.abs() < 1e-12, "those that start were removed first");
        assert!(hold().replay(start, 10, [500.0; 4]).violating > 0.0, "and serve nobody yet");
    }

    #[test]
    fn what_is_no_load_is_none_and_what_is_endless_violates() {
        let nothing = hold().replay(all_ready(3), 3, [f64::NAN, -5.0, f64::NEG_INFINITY]);
        assert_eq!((nothing.arrived.to_bits(), nothing.violating_share().to_bits()), (0, 0));
        let endless = hold().replay(HoldStart { backlog: f64::INFINITY, ..all_ready(3) }, 3, [f64::INFINITY; 4]);
        assert!(endless.violating_share() > 0.99 && endless.violating.is_finite());
        assert_eq!(hold().replay(all_ready(3), u32::MAX, []), HeldScore::default());
    }

    proptest::proptest! {
        /// Of two sizes the larger never violates more, where nobody gives up, and is never cheaper.
        #[test]
        fn more_pods_never_violate_more(
            load in proptest::collection::vec(0.0..2000.0_f64, 1..30),
            pods in 0..30_u32, starting in 0..10_u32, size in 0..40_u32, more in 0..20_u32, backlog in 0.0..1000.0_f64,
        ) {
            let hold = Hold { patience_s: 1e9, ..hold() };
            let start = HoldStart { pods: pods + starting, ready: pods, backlog };
            let [few, many] = [size, size + more].map(|size| hold.replay(start, size, load.iter().copied()));
            proptest::prop_assert!(many.violating <= few.violating + 1e-6 * few.violating.max(1.0));
            proptest::prop_assert!(many.pod_hours >= few.pod_hours);
            proptest::prop_assert_eq!(few.arrived.to_bits(), many.arrived.to_bits());
            proptest::prop_assert!((0.0..=1.0).contains(&few.violating_share()));
        }
    }
}
