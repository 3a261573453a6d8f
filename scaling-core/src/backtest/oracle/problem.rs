//! [`Problem`]: the problem in pod-steps, with all that a search needs to know about the future.

use super::queue::{ROUNDING, flow};
use crate::stats::whole_pods_within;

/// A problem whose amounts are in pod-steps and whose times are in steps.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// Work that arrives in each step; NaN in a gap.
    pub(super) demand: Vec<f64>,
    /// Longest wait that is no violation.
    pub(super) objective: f64,
    /// Steps from creation to ready, at most as many as there are steps.
    pub(super) start_up: usize,
    pub(super) min: u32,
    pub(super) max: u32,
    /// All that arrives.
    pub(super) total: f64,
    /// Of each step: more ready pods than this are never of use.
    useful: Vec<u32>,
    /// Of each step and the end: what max pods reject from there on, starting with nothing waiting.
    least: Vec<f64>,
    /// Of each step and the end: what waits beyond this pushes out as much later, even with max pods.
    harmless: Vec<f64>,
}

impl Problem {
    pub(super) fn new(demand: Vec<f64>, objective: f64, start_up: usize, min: u32, max: u32) -> Self {
        let mut problem = Self {
            objective,
            start_up: start_up.min(demand.len()),
            min,
            max,
            total: demand.iter().filter(|demand| !demand.is_nan()).sum(),
            useful: Vec::with_capacity(demand.len()),
            least: Vec::with_capacity(demand.len() + 1),
            harmless: Vec::with_capacity(demand.len() + 1),
            demand,
        };
        problem.look_forward();
        problem.look_back();
        problem
    }

    /// Enlarges pods so much that they serve at once what they could serve and queue within a step. All that can be done with the
    /// smaller ones can be done with these. Work counts in units of such a pod.
    pub(super) fn without_queue(&self) -> Self {
        let larger = 1.0 + self.objective;
        let demand = self.demand.iter().map(|demand| demand / larger).collect();
        Self::new(demand, 0.0, self.start_up, self.min, self.max)
    }

    /// Fills `useful` along the longest queue that any choice can leave.
    fn look_forward(&mut self) {
        let (min, limit) = (f64::from(self.min), self.objective * f64::from(self.max));
        let mut queue = 0.0_f64;
        for &demand in &self.demand {
            if demand.is_nan() {
                queue = 0.0;
                self.useful.push(0);
                continue;
            }
            self.useful.push(self.enough(queue, demand));
            // Either the queue was too long to admit anything, or it ends within the limit of the pods that leave it.
            let left = self.objective * (queue + demand) / (1.0 + self.objective);
            queue = left.min(limit).max(queue - min).max(0.0);
        }
    }

    /// Fills `least` and `harmless`, from the end.
    fn look_back(&mut self) {
        let max = f64::from(self.max);
        let (mut least, mut harmless) = (0.0_f64, f64::INFINITY);
        self.least.push(least);
        self.harmless.push(harmless);
        for &demand in self.demand.iter().rev() {
            if demand.is_nan() {
                harmless = f64::INFINITY;
            } else {
                let step = flow(0.0, demand, max, self.objective);
                least += step.lost + (step.queue - harmless).max(0.0);
                let limit = if demand > 0.0 { self.objective * max } else { f64::INFINITY };
                harmless = (harmless.min(limit) - (demand - max)).max(0.0);
            }
            self.least.push(least);
            self.harmless.push(harmless);
        }
        self.least.reverse();
        self.harmless.reverse();
    }

    /// Returns the work that arrives in a step; NaN in a gap and after the end.
    pub(super) fn demand(&self, step: usize) -> f64 {
        self.demand.get(step).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn steps(&self) -> usize {
        self.demand.len()
    }

    /// Ready pods that clear the queue within the step and reject none, as far as the bounds allow.
    pub(super) fn enough(&self, queue: f64, demand: f64) -> u32 {
        let clear = at_least(queue + demand);
        // With a queue left by more pods, newcomers are admitted only by pods that work it off in time.
        let admit = if demand > 0.0 && queue > 0.0 { at_least(queue / self.objective) } else { 0 };
        clear.max(admit).clamp(self.min, self.max)
    }

    /// Ready pods up to which a queue is too long for anything to be admitted within the step.
    pub(super) fn shut(&self, queue: f64) -> u32 {
        whole((queue / (1.0 + self.objective)).floor())
    }

    /// Returns the least work rejected from step `step` on.
    pub(super) fn least(&self, step: usize, queue: f64) -> f64 {
        let least = self.least.get(step).copied().unwrap_or(0.0);
        least + (queue - self.harmless.get(step).copied().unwrap_or(f64::INFINITY)).max(0.0)
    }

    /// The most ready pods that can be of use in any step.
    pub(super) fn peak(&self) -> u32 {
        self.useful.iter().copied().max().unwrap_or(0)
    }

    /// Pod-steps that all schedules cost that reject so much: a pod serves its own work and no more. Only what waits at the end, or
    /// before a gap, has cost none.
    pub(super) fn area(&self, lost: f64) -> f64 {
        let ends =
            (0..self.steps()).filter(|&step| !self.demand(step).is_nan() && self.demand(step + 1).is_nan()).count();
        let waiting = self.objective * f64::from(self.peak()) * ends as f64;
        // A sum of so many numbers is off by so much at most; a bound must not be above what it bounds.
        let rounding = (self.steps() as f64 * f64::EPSILON).max(ROUNDING) * self.total;
        (self.total - lost - waiting - rounding).max(0.0)
    }

    /// Pods paid for in the last steps before `step`, the last one first: how many of them can still matter.
    pub(super) fn caps(&self, step: usize, caps: &mut Vec<u32>) {
        caps.clear();
        caps.resize(self.start_up, 0);
        let mut most = 0;
        let ahead = self.useful.get(step..).unwrap_or_default();
        let demand = self.demand.get(step..).unwrap_or_default();
        let mut ahead = ahead.iter().zip(demand).take_while(|(_, demand)| !demand.is_nan()).fuse();
        // Pods paid for j steps ago can be ready in this and the next d - j steps.
        for cap in caps.iter_mut().rev() {
            most = ahead.next().map_or(most, |(&useful, _)| most.max(useful));
            *cap = most;
        }
    }
}

/// The least whole number of pods for so many pods' work.
fn at_least(work: f64) -> u32 {
    // Forgives no more than `flow` does: what is enough here must leave nothing waiting there.
    whole_pods_within(work, ROUNDING)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, and is clamped to the bounds
fn whole(pods: f64) -> u32 {
    pods as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::oracle::queue::turned_away;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_least_is_what_max_pods_turn_away(
            demand in prop::collection::vec(
                prop_oneof![6 => 0.0..5.0, 2 => Just(0.0), 1 => Just(f64::NAN), 3 => (0_u8..6).prop_map(f64::from)], 0..9),
            objective in prop_oneof![Just(0.0), 0.0..2.0], max in 1_u32..4, queue in 0.0..6.0,
        ) {
            let problem = Problem::new(demand.clone(), objective, 2, 0, max);
            let most = vec![max; demand.len()];
            let expected = turned_away(&demand, &most, objective, 2);
            prop_assert!((problem.least(0, 0.0) - expected).abs() < 1e-9);

            let queue = queue * objective * f64::from(max) / 6.0;
            let (mut left, mut lost) = (queue, 0.0);
            for &demand in &demand {
                if demand.is_nan() {
                    left = 0.0;
                    continue;
                }
                let step = flow(left, demand, f64::from(max), objective);
                (left, lost) = (step.queue, lost + step.lost);
            }
            prop_assert!((problem.least(0, queue) - lost).abs() < 1e-9, "{} {lost}", problem.least(0, queue));
        }

        #[test]
        fn no_schedule_costs_less_than_the_work_it_serves(
            steps in prop::collection::vec(
                (prop_oneof![6 => 0.0..9.0, 2 => (0_u8..9).prop_map(f64::from), 1 => Just(f64::NAN)], 0_u32..10), 0..30),
            objective in prop_oneof![Just(0.0), 0.0..2.0], start_up in 0_usize..4,
        ) {
            let (demand, pods): (Vec<f64>, Vec<u32>) = steps.into_iter().unzip();
            let problem = Problem::new(demand.clone(), objective, start_up, 0, 9);
            let paid = demand.iter().zip(&pods).filter(|(demand, _)| !demand.is_nan()).map(|(_, pods)| f64::from(*pods));
            let lost = turned_away(&demand, &pods, objective, start_up);
            prop_assert!(problem.area(lost) <= paid.sum::<f64>() + 1e-9);
        }

        #[test]
        fn more_than_useful_is_of_no_use(
            steps in prop::collection::vec((prop_oneof![3 => 0.0..9.0, 1 => Just(0.0)], 0_u32..6), 1..9),
            objective in prop_oneof![Just(0.0), 0.0..2.0],
        ) {
            let demand: Vec<f64> = steps.iter().map(|step| step.0).collect();
            let problem = Problem::new(demand.clone(), objective, 2, 0, 9);
            let mut queue = 0.0;
            for ((demand, ready), &useful) in steps.into_iter().zip(&problem.useful) {
                let enough = problem.enough(queue, demand);
                prop_assert!(enough <= useful);
                if enough < 9 {
                    let step = flow(queue, demand, f64::from(enough), objective);
                    prop_assert_eq!((step.queue, step.lost), (0.0, 0.0));
                }
                queue = flow(queue, demand, f64::from(ready.min(useful)), objective).queue;
            }
        }
    }

    #[test]
    fn what_was_paid_for_matters_as_far_as_it_can_be_ready() {
        let problem = Problem::new(vec![3.0, 1.0, 2.0, f64::NAN, 9.0], 0.0, 3, 0, 5);
        let mut caps = Vec::new();
        problem.caps(1, &mut caps);
        assert_eq!(caps, [2, 2, 1]);
        problem.caps(4, &mut caps);
        assert_eq!(caps, [5, 5, 5]);
        problem.caps(5, &mut caps);
        assert_eq!(caps, [0, 0, 0]);
    }
}
