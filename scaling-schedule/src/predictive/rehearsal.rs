//! All policies side by side on the workload's own past: [`Rehearsal`].
//!
//! Every policy sizes for the forecasts that were made at the time, before their outcome was known, and a model of pods and their
//! queue says what would have come of it. One price for requests that wait, the same for all workloads, spends pods where they help
//! most (compare Rzadca et al., *Autopilot: workload autoscaling at Google*, EuroSys 2020).

use std::collections::VecDeque;

use scaling_core::stats::{FluidStep, SlidingMax, whole_pods};
use scaling_core::{RuleConfig, WorkloadFacts};
use serde::{Deserialize, Serialize};

use super::policy::{Aim, BANDS, HOLDS, POLICIES, Policy, Tally};
use crate::forecast::{BACK_AT_MOST, DAY, Forecaster, QUANTILES, STEP_S};

/// Steps after which the past counts half: three days, so that a change of the pattern changes the policy within the week.
const HALF_LIFE: f64 = 3.0 * DAY as f64;
/// Steps that are played before a policy is chosen by them: three hours.
const ENOUGH: f64 = 720.0;
/// Steps between two choices: five minutes.
const CHOOSE_EVERY: u64 = 20;

/// A model of pods and their queue. Times in steps of 15 s.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueModel {
    /// Load that one pod should carry.
    capacity: f64,
    /// Time since the newest load that is known to the decision.
    lag: usize,
    /// Time from the end of a queue to its being seen.
    queue_lag: usize,
    /// A request waits too long if it meets a longer queue than this, in seconds of what the pods carry. At most `patience_s`.
    wait_s: f64,
    /// Requests beyond this queue give up, in seconds of what the pods carry.
    patience_s: f64,
    drain_s: f64,
}

impl QueueModel {
    pub(super) fn of(capacity: f64, ahead_ms: f64, facts: &WorkloadFacts, rules: &RuleConfig) -> Self {
        let start_up_s = facts.start_up.as_secs_f64();
        let queue_age_s = facts.metrics_lag.as_secs_f64() + facts.metrics_window.as_secs_f64() / 2.0;
        let patience_s = facts.objective.patience.as_secs_f64();
        Self {
            capacity: capacity * rules.learnt_target_percent / 100.0,
            lag: steps(ahead_ms / 1000.0 - start_up_s),
            queue_lag: steps(queue_age_s).max(1),
            // Whoever gives up has waited too long.
            wait_s: facts.objective.wait.as_secs_f64().min(patience_s),
            patience_s,
            drain_s: rules.drain.as_secs_f64(),
        }
    }
}

/// A number of steps, rounded; as many as forecasts are kept for at most.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // limited
fn steps(seconds: f64) -> usize {
    (seconds / STEP_S).round().clamp(0.0, BACK_AT_MOST as f64) as usize
}

/// One policy with its pods and its queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Play {
    size: u32,
    /// The youngest go first, so what is ready is the smallest size since a start-up ago: the largest with its sign changed.
    ready: SlidingMax<i64>,
    queue: f32,
    /// Queues that are not seen yet, oldest first.
    queues: VecDeque<f32>,
    tally: Tally,
}

/// All policies as they would have done, step by step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rehearsal {
    /// In the order of [`Policy::all`].
    plays: Vec<Play>,
    arrived: f64,
    steps: f64,
    played: u64,
    chosen: Option<Policy>,
}

impl Rehearsal {
    pub(super) fn new(facts: &WorkloadFacts) -> Self {
        let play = Play {
            size: 0,
            ready: SlidingMax::new(steps(facts.start_up.as_secs_f64())),
            queue: 0.0,
            queues: VecDeque::new(),
            tally: Tally::default(),
        };
        Self { plays: vec![play; POLICIES], arrived: 0.0, steps: 0.0, played: 0, chosen: None }
    }

    /// True if one that was read back can be used.
    pub(super) fn is_sound(&self) -> bool {
        let numbers = |play: &Play| {
            [play.tally.pods, play.tally.late, play.tally.changes, f64::from(play.queue)].iter().all(|n| n.is_finite())
        };
        self.plays.len() == POLICIES
            && self.plays.iter().all(numbers)
            && self.arrived.is_finite()
            && self.steps.is_finite()
    }

    /// The policy that would have cost least; `None` before enough was played.
    pub(super) fn chosen(&self) -> Option<Policy> {
        self.chosen
    }

    /// After a gap nothing waits, and sizes begin anew.
    pub(super) fn interrupt(&mut self) {
        for play in &mut self.plays {
            play.size = 0;
            play.ready.clear();
            play.queue = 0.0;
            play.queues.clear();
        }
    }

    /// Plays a step in which so much load came, which the forecaster knows already.
    pub(super) fn play(&mut self, load: f64, forecaster: &Forecaster, model: &QueueModel, aim: Aim) {
        let Some(wanted) = wanted(forecaster, model.lag) else { return };
        let kept = (-1.0 / HALF_LIFE).exp2();
        self.arrived = kept * self.arrived + load;
        self.steps = kept * self.steps + 1.0;
        self.played += 1;
        let mut plays = self.plays.iter_mut();
        for quantile in 0..QUANTILES.len() {
            for wanted in &wanted {
                let wanted = f64::from(wanted.get(quantile).copied().unwrap_or_default());
                for (band, play) in BANDS.into_iter().zip(plays.by_ref()) {
                    play.step(wanted, load, band, model, kept);
                }
            }
        }
        if self.steps >= ENOUGH && self.played.is_multiple_of(CHOOSE_EVERY) {
            let costs = self.plays.iter().map(|play| aim.cost(&play.tally, self.arrived, self.steps));
            let best = Policy::all().zip(costs).min_by(|(_, a), (_, b)| a.total_cmp(b));
            self.chosen = best.map(|(policy, _)| policy);
        }
    }
}

/// For each hold the largest forecast by quantile, as known `lag` steps ago. `None` if there was none then.
fn wanted(forecaster: &Forecaster, lag: usize) -> Option<[[f32; QUANTILES.len()]; HOLDS.len()]> {
    let mut uppers = forecaster.uppers(lag);
    let mut largest = *uppers.next()?;
    let mut seen = 0;
    Some(HOLDS.map(|hold| {
        for uppers in uppers.by_ref().take(hold - seen) {
            for (largest, upper) in largest.iter_mut().zip(uppers) {
                *largest = largest.max(*upper);
            }
        }
        seen = hold;
        largest
    }))
}

impl Play {
    #[allow(clippy::cast_possible_truncation)] // queues in single precision
    fn step(&mut self, wanted: f64, load: f64, band: f64, model: &QueueModel, kept: f64) {
        let waiting = if self.queues.len() >= model.queue_lag { self.queues.pop_front() } else { None };
        let need = ((wanted + f64::from(waiting.unwrap_or_default()) / model.drain_s) / model.capacity).max(1.0);
        let present = f64::from(self.size);
        let changes = need > present || need <= band * present;
        if changes {
            self.size = whole_pods(need);
        }
        let service_rate = -self.ready.push(-i64::from(self.size)) as f64 * model.capacity;
        let limit = model.patience_s * service_rate;
        let step = FluidStep {
            start: f64::from(self.queue).min(limit),
            arrival_rate: load,
            service_rate,
            limit,
            duration: STEP_S,
        };
        let late = load * step.time_above(model.wait_s * service_rate) / STEP_S;
        self.tally.pods = kept * self.tally.pods + f64::from(self.size);
        self.tally.late = kept * self.tally.late + late;
        self.tally.changes = kept * self.tally.changes + if changes && present > 0.0 { 1.0 } else { 0.0 };
        self.queue = step.end() as f32;
        self.queues.push_back(self.queue);
    }
}
