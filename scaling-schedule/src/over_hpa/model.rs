//! A workload under an HPA on CPU with a floor beneath it, in steps: fast enough to be asked hundreds of times.
//!
//! It follows the simulated cluster of `scaling-core`'s backtest, with pods that are all alike: the same measurements (means over a window
//! that ended a while ago), the same algorithm of the HPA without `behavior`, the same fluid queue. A test holds both against each other.

use std::collections::VecDeque;

use scaling_core::stats::{FluidStep, whole_pods};

use super::HpaBeneath;

/// Largest growth of an HPA without `behavior` in one sync, and the size to which it may always grow. Source: upstream's
/// `scaleUpLimitFactor` and `scaleUpLimitMinimum`.
const GROWTH: (u32, u32) = (2, 4);

/// Sums over the steps that count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// Pods, times steps.
    pub(super) pod_steps: f64,
    /// Work that arrived to a wait longer than the objective, in pods' worth of steps.
    pub(super) violating: f64,
    /// Work that arrived, in the same.
    pub(super) arrived: f64,
}

impl Outcome {
    pub(super) fn share(&self) -> f64 {
        if self.arrived > 0.0 { (self.violating / self.arrived).min(1.0) } else { 0.0 }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            pod_steps: self.pod_steps + other.pod_steps,
            violating: self.violating + other.violating,
            arrived: self.arrived + other.arrived,
        }
    }
}

/// The HPA and its pods, with durations in steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    target: f64,
    tolerance: f64,
    min: u32,
    max: u32,
    lag: usize,
    window: usize,
    start_up: usize,
    stabilization: usize,
    /// In steps, too.
    objective: f64,
    patience: f64,
}

impl Model {
    pub(super) fn new(hpa: &HpaBeneath, step_s: f64) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most a day, by validation
        let lasting = |duration: std::time::Duration| (duration.as_secs_f64() / step_s).ceil() as usize;
        Self {
            target: hpa.target_percent / 100.0,
            tolerance: hpa.tolerance,
            min: hpa.bounds.min().max(1),
            max: hpa.bounds.max().max(1),
            lag: lasting(hpa.metrics_lag),
            window: lasting(hpa.metrics_window).max(1),
            start_up: lasting(hpa.start_up),
            stabilization: lasting(hpa.stabilization),
            objective: hpa.objective.wait.as_secs_f64() / step_s,
            patience: hpa.objective.patience.as_secs_f64() / step_s,
        }
    }

    /// Runs over the demand of each step, in pods' worth of work (NaN: not known), and tells of each that counts, from `settle` on: its
    /// place, its pods, and the work in it that violated. `floor` is asked for the floor of each step.
    pub(super) fn run(
        &self,
        demand: &[f64],
        settle: usize,
        floor: impl Fn(usize) -> u32,
        mut seen: impl FnMut(usize, u32, f64),
    ) -> Outcome {
        let first = demand.iter().copied().find(|work| !work.is_nan()).unwrap_or(0.0);
        let start = whole_pods(first / self.target).clamp(self.min, self.max);
        let mut size = start;
        let (mut ready, mut settled) = (Sliding::least(start), Sliding::least(start));
        let mut recommended = Sliding::most(start);
        // Sums of utilization and of steps that are known, up to each step.
        let mut used: Vec<(f64, f64)> = Vec::with_capacity(demand.len() + 1);
        used.push((0.0, 0.0));
        let (mut backlog, mut outcome) = (0.0, Outcome::default());
        for (now, work) in demand.iter().copied().enumerate() {
            let min = floor(now).clamp(self.min, self.max);
            settled.expire((now + 1).saturating_sub(self.lag + self.window + self.start_up));
            if size < min {
                size = min;
            } else if let Some(utilization) = self.measured(&used, demand, now) {
                let raw = self.propose(utilization, settled.value(), size);
                recommended.expire((now + 1).saturating_sub(self.stabilization + 1));
                recommended.push(now + 1, raw);
                size = recommended.value().min(size.saturating_mul(GROWTH.0).max(GROWTH.1)).clamp(min, self.max);
            }
            for pods in [&mut ready, &mut settled] {
                pods.push(now + 1, size);
            }
            ready.expire((now + 1).saturating_sub(self.start_up));
            let (utilization, known) = if work.is_nan() {
                backlog = 0.0;
                (0.0, 0.0)
            } else {
                let (utilization, violating) = self.serve(work, f64::from(ready.value()), &mut backlog);
                if now >= settle {
                    outcome.pod_steps += f64::from(size);
                    outcome.violating += violating;
                    outcome.arrived += work;
                    seen(now, size, violating);
                }
                (utilization, 1.0)
            };
            let (sum, count) = used.last().copied().unwrap_or_default();
            used.push((sum + utilization, count + known));
        }
        outcome
    }

    /// Mean utilization over the newest window that has been measured.
    fn measured(&self, used: &[(f64, f64)], demand: &[f64], now: usize) -> Option<f64> {
        let end = now.checked_sub(self.lag).filter(|end| *end > 0)?;
        if demand.get(end - 1)?.is_nan() {
            return None;
        }
        let (from, to) = (used.get(end.saturating_sub(self.window))?, used.get(end)?);
        Some((to.0 - from.0) / (to.1 - from.1).max(1.0))
    }

    /// The size that the HPA takes from the utilization of the pods that count; others are starting.
    fn propose(&self, utilization: f64, counting: u32, size: u32) -> u32 {
        let counting = counting.min(size);
        if counting == 0 {
            return size;
        }
        let near = |ratio: f64| (ratio - 1.0).abs() <= self.tolerance;
        let ratio = utilization / self.target;
        if counting == size || ratio <= 1.0 {
            return if near(ratio) { size } else { whole_pods(ratio * f64::from(counting)) };
        }
        // Pods without a usable sample are assumed to be idle, so that it grows less.
        let rebalanced = ratio * f64::from(counting) / f64::from(size);
        if near(rebalanced) || rebalanced < 1.0 { size } else { whole_pods(rebalanced * f64::from(size)).max(size) }
    }

    /// Lets a step's work pass: utilization of the ready pods, and the work that violated.
    fn serve(&self, work: f64, ready: f64, backlog: &mut f64) -> (f64, f64) {
        let limit = self.patience * ready;
        let step =
            FluidStep { start: backlog.min(limit), arrival_rate: work, service_rate: ready, limit, duration: 1.0 };
        *backlog = step.end();
        ((step.served() / ready).min(1.0), work * step.time_above(self.objective * ready))
    }
}

/// The least or the most of the last values.
#[derive(Debug)]
struct Sliding {
    /// Values that no later one makes moot, each with its place.
    kept: VecDeque<(usize, u32)>,
    least: bool,
}

impl Sliding {
    fn least(start: u32) -> Self {
        Self { kept: [(0, start)].into(), least: true }
    }

    fn most(start: u32) -> Self {
        Self { kept: [(0, start)].into(), least: false }
    }

    fn push(&mut self, place: usize, value: u32) {
        let least = self.least;
        while self.kept.back().is_some_and(|(_, old)| if least { *old >= value } else { *old <= value }) {
            self.kept.pop_back();
        }
        self.kept.push_back((place, value));
    }

    /// Forgets values before a place, but never the last one.
    fn expire(&mut self, before: usize) {
        while self.kept.len() > 1 && self.kept.front().is_some_and(|(place, _)| *place < before) {
            self.kept.pop_front();
        }
    }

    fn value(&self) -> u32 {
        self.kept.front().map_or(0, |(_, value)| *value)
    }
}
