//! Pods and their queue, as a policy meets them: [`QueueModel`].

use std::collections::VecDeque;

use scaling_core::stats::{FluidStep, SlidingMax, whole_pods};
use scaling_core::{RuleConfig, WorkloadFacts};

use super::policy::Policy;
use crate::forecast::{DAY, Forecaster, Past, QUANTILES, STEP_MS};

/// Length of the past that is played through: four days, beyond which the half-life leaves little.
const PLAYED: usize = 4 * DAY;
/// Steps after which it counts half: three days, so that a change of the pattern changes the policy within the week.
const HALF_LIFE: f64 = 3.0 * DAY as f64;
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
    /// A request waits too long if it meets a longer queue than this, in seconds of what the pods carry. At most `patience_s`.
    wait_s: f64,
    /// Requests beyond this queue give up, in seconds of what the pods carry.
    patience_s: f64,
    drain_s: f64,
    shrink_below: f64,
}

impl QueueModel {
    pub(super) fn of(past: &Past, facts: &WorkloadFacts, rules: &RuleConfig) -> Self {
        let start_up_s = facts.start_up.as_secs_f64();
        let queue_age_s = facts.metrics_lag.as_secs_f64() + facts.metrics_window.as_secs_f64() / 2.0;
        let patience_s = facts.objective.patience.as_secs_f64();
        Self {
            capacity: past.pod_size() * rules.learnt_target_percent / 100.0,
            lag: steps((past.ahead_ms / 1000.0 - start_up_s) / STEP_S),
            start_up: steps(start_up_s / STEP_S),
            queue_lag: steps(queue_age_s / STEP_S).max(1),
            // Whoever gives up has waited too long.
            wait_s: facts.objective.wait.as_secs_f64().min(patience_s),
            patience_s,
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
        let mut wanted = SlidingMax::new(policy.hold);
        // The youngest go first, so what is ready is the smallest size since a start-up ago: the largest with its sign changed.
        let mut ready = SlidingMax::new(model.start_up);
        let mut queues: VecDeque<f64> = std::iter::repeat_n(0.0, model.queue_lag).collect();
        let (mut queue, mut size) = (0.0, 0.0);
        // The decision that sees a load acts from `lag` steps later on.
        let arriving = self.rates.iter().skip(model.lag);
        for (((upper, seen), fade), arriving) in self.uppers.iter().zip(self.rates).zip(&self.fades).zip(arriving) {
            let load = wanted.push(policy.quantile.of(upper).max(*seen));
            let waiting = queues.pop_front().unwrap_or_default();
            let need = ((load + waiting / model.drain_s) / model.capacity).max(1.0);
            if need > size || need <= model.shrink_below * size {
                size = f64::from(whole_pods(need));
            }
            let service_rate = -ready.push(-size) * model.capacity;
            let limit = model.patience_s * service_rate;
            let step = FluidStep {
                start: f64::min(queue, limit),
                arrival_rate: *arriving,
                service_rate,
                limit,
                duration: STEP_S,
            };
            tally.pods += fade * size;
            tally.arrived += fade * arriving;
            tally.late += fade * arriving * step.time_above(model.wait_s * service_rate) / STEP_S;
            queue = step.end();
            queues.push_back(queue);
        }
        tally
    }
}
