//! Pods and their queue, as a policy meets them: [`QueueModel`].

use std::collections::VecDeque;

use scaling_core::{RuleConfig, WorkloadFacts};

use super::policy::Policy;
use crate::forecast::{DAY, Forecaster, Past, QUANTILES, STEP_MS};

/// Length of the past that is played through: four days, beyond which the half-life leaves little.
const PLAYED: usize = 4 * DAY;
/// Steps after which it counts half: three days, so that a change of the pattern changes the policy within the week.
const HALF_LIFE: f64 = 3.0 * DAY as f64;
/// A request waits too long if it meets a longer queue than this, in seconds of what the pods carry.
const LATE_S: f64 = 1.0;
/// Requests beyond this queue give up, in seconds of what the pods carry.
const GIVE_UP_S: f64 = 30.0;
const STEP_S: f64 = STEP_MS / 1000.0;

/// A model of pods and their queue. Times in steps of 15 s.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueModel {
    /// Load that one pod should carry.
    capacity: f64,
    /// Time since the newest load that is known to the decision.
    lag: usize,
    start_up: usize,
    /// Time from the end of a queue to its being seen.
    queue_lag: usize,
    drain_s: f64,
    shrink_below: f64,
}

impl QueueModel {
    pub(super) fn of(past: &Past, facts: &WorkloadFacts, rules: &RuleConfig) -> Self {
        let start_up_s = facts.start_up.as_secs_f64();
        let queue_age_s = facts.metrics_lag.as_secs_f64() + facts.metrics_window.as_secs_f64() / 2.0;
        Self {
            capacity: past.pod_size() * rules.learnt_target_percent / 100.0,
            lag: steps((past.ahead_ms / 1000.0 - start_up_s) / STEP_S),
            start_up: steps(start_up_s / STEP_S),
            queue_lag: steps(queue_age_s / STEP_S).max(1),
            drain_s: rules.drain.as_secs_f64(),
            shrink_below: rules.shrink_below,
        }
    }
}

/// A number of steps, rounded; four hours at most.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // limited
fn steps(number: f64) -> usize {
    number.round().clamp(0.0, 960.0) as usize
}

/// Cost of a policy. Old times count less.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Pods × steps.
    pub(super) pods: f64,
    /// Requests that met too long a queue, in the unit of `arrived`.
    pub(super) late: f64,
    pub(super) arrived: f64,
}

/// The past with the forecasts that would have been made.
#[derive(Debug)]
pub(super) struct Play<'a> {
    rates: &'a [f64],
    uppers: Vec<[f64; QUANTILES.len()]>,
    fades: Vec<f64>,
}

impl<'a> Play<'a> {
    pub(super) fn of(past: &'a Past, forecaster: &Forecaster) -> Self {
        let end = past.track.len();
        let places = end.saturating_sub(PLAYED)..end;
        Self {
            rates: past.rates.get(places.clone()).unwrap_or_default(),
            uppers: places.clone().map(|place| forecaster.uppers(past, place).unwrap_or_default()).collect(),
            fades: places.map(|place| (-((end - place) as f64) / HALF_LIFE).exp2()).collect(),
        }
    }

    pub(super) fn through(&self, policy: Policy, model: &QueueModel) -> Tally {
        let mut tally = Tally::default();
        let mut wanted = Extreme::largest(policy.hold);
        // The youngest go first, so what is ready is the smallest size since a start-up ago.
        let mut ready = Extreme::smallest(model.start_up);
        let mut queues: VecDeque<f64> = std::iter::repeat_n(0.0, model.queue_lag).collect();
        let (mut queue, mut size) = (0.0, 0.0);
        // The decision that sees a load acts from `lag` steps later on.
        let arriving = self.rates.iter().skip(model.lag);
        for (((upper, seen), fade), arriving) in self.uppers.iter().zip(self.rates).zip(&self.fades).zip(arriving) {
            let load = wanted.with(policy.quantile.of(upper).max(*seen));
            let waiting = queues.pop_front().unwrap_or_default();
            let need = ((load + waiting / model.drain_s) / model.capacity).max(1.0);
            if need > size || need <= model.shrink_below * size {
                size = need.ceil();
            }
            let carried = ready.with(size) * model.capacity;
            let before = queue;
            queue = f64::max(queue + (arriving - carried) * STEP_S, 0.0);
            tally.pods += fade * size;
            tally.arrived += fade * arriving;
            tally.late += fade * arriving * share_above(before, queue, LATE_S * carried);
            queue = queue.min(GIVE_UP_S * carried.max(model.capacity));
            queues.push_back(queue);
        }
        tally
    }
}

/// The share of the way from one value to another that lies above a limit.
fn share_above(from: f64, to: f64, limit: f64) -> f64 {
    match (from > limit, to > limit) {
        (true, true) => 1.0,
        (false, false) => 0.0,
        (true, false) => (from - limit) / (from - to),
        (false, true) => (to - limit) / (to - from),
    }
}

/// The largest or smallest of the newest values.
#[derive(Debug)]
struct Extreme {
    /// Values that may become it, with when they came; the first is it.
    candidates: VecDeque<(usize, f64)>,
    sign: f64,
    back: usize,
    now: usize,
}

impl Extreme {
    fn largest(back: usize) -> Self {
        Self { candidates: VecDeque::with_capacity(back + 1), sign: 1.0, back, now: 0 }
    }

    fn smallest(back: usize) -> Self {
        Self { sign: -1.0, ..Self::largest(back) }
    }

    /// With one more value: the extreme of it and the `back` values before.
    fn with(&mut self, value: f64) -> f64 {
        let signed = self.sign * value;
        while self.candidates.back().is_some_and(|(_, last)| *last <= signed) {
            self.candidates.pop_back();
        }
        self.candidates.push_back((self.now, signed));
        while self.candidates.front().is_some_and(|(came, _)| came + self.back < self.now) {
            self.candidates.pop_front();
        }
        self.now += 1;
        self.candidates.front().map_or(value, |(_, extreme)| self.sign * extreme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extremes_of_the_newest_values() {
        let (mut largest, mut smallest) = (Extreme::largest(2), Extreme::smallest(1));
        let seen: Vec<_> = [3.0, 1.0, 2.0, 0.0, 5.0].map(|value| (largest.with(value), smallest.with(value))).into();
        assert_eq!(seen, [(3.0, 3.0), (3.0, 1.0), (3.0, 1.0), (2.0, 0.0), (5.0, 0.0)]);
    }

    #[test]
    fn a_queue_is_late_for_the_part_of_a_step_that_it_is_long() {
        assert_eq!(share_above(0.0, 10.0, 5.0).to_bits(), 0.5_f64.to_bits());
        assert_eq!(share_above(10.0, 0.0, 2.5).to_bits(), 0.75_f64.to_bits());
        assert_eq!((share_above(6.0, 9.0, 5.0), share_above(5.0, 5.0, 5.0)), (1.0, 0.0));
    }
}
