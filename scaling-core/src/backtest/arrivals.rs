//! The requests of a scenario, step by step: the same for every candidate.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::noise::Noise;
use super::trace::MOST_STEPS;
use super::{ClusterModel, InvalidModel, Trace};
use crate::stats::whole_pods;

/// How many requests arrive in each step of a simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrivals {
    start: DateTime<Utc>,
    step: TimeDelta,
    requests: Vec<f64>,
    censored: Vec<bool>,
}

impl Arrivals {
    /// The demand of a trace in steps of the model and, if it has a seed, with the scatter of independent requests.
    ///
    /// # Errors
    /// [`InvalidModel`] if the model cannot be, or its step is too short for so long a trace.
    pub fn new(trace: &Trace, model: &ClusterModel) -> Result<Self, InvalidModel> {
        model.validate()?;
        if trace.steps(model.step()) > MOST_STEPS {
            let value = model.step().as_secs_f64();
            return Err(InvalidModel {
                field: "step",
                value,
                must: "long enough for a trace of at most 16000000 steps",
            });
        }
        let grid = trace.resample(model.step());
        let step_s = model.step().as_secs_f64();
        let requests = grid.demand().iter().enumerate().map(|(index, demand)| {
            let mean = demand * step_s;
            match model.noise_seed {
                Some(seed) if mean.is_finite() => Noise::at(seed, index).poisson(mean),
                _ => mean,
            }
        });
        Ok(Self {
            start: grid.start(),
            step: grid.step(),
            requests: requests.collect(),
            censored: grid.censored().to_vec(),
        })
    }

    /// Requests in each step; NaN in a gap.
    pub fn requests(&self) -> &[f64] {
        &self.requests
    }

    /// Steps in which demand may have been higher than what was recorded.
    pub fn censored(&self) -> &[bool] {
        &self.censored
    }

    /// The length of a step.
    pub fn step(&self) -> TimeDelta {
        self.step
    }

    /// The number of steps.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Which steps count, from one on: those with data, but for the time in which pods cannot yet fit what came back after a gap.
    /// That is as long as the gap was, but at least `reaction` steps and at most `settle`: what the gap did to the size of a workload
    /// is nobody's doing.
    pub fn counted(&self, from: usize, reaction: usize, settle: usize) -> Arc<[bool]> {
        let (mut gap, mut settling) = (0, 0_usize);
        let counts = self.requests.iter().enumerate().map(|(step, requests)| {
            if requests.is_nan() {
                gap += 1;
                settling = gap.max(reaction).min(settle);
                return false;
            }
            gap = 0;
            let settled = settling == 0;
            settling = settling.saturating_sub(1);
            step >= from && settled
        });
        counts.collect()
    }

    /// Pods that serve what comes in a step (or, in a gap, in the first after it) at 70 % utilization: where a simulation may begin.
    pub fn enough_pods(&self, step: usize, model: &ClusterModel) -> u32 {
        let coming = self.requests.get(step..).unwrap_or_default();
        let requests = coming.iter().find(|requests| !requests.is_nan()).copied().unwrap_or(0.0);
        whole_pods(requests / model.step().as_secs_f64() / model.pod_capacity / 0.7)
    }

    /// The beginning of a step.
    pub fn instant(&self, step: usize) -> DateTime<Utc> {
        let steps = i32::try_from(step).unwrap_or(i32::MAX);
        self.start.checked_add_signed(self.step * steps).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The step that an instant lies in; none before the first.
    pub fn step_at(&self, at: DateTime<Utc>) -> Option<usize> {
        let since = (at - self.start).num_milliseconds();
        usize::try_from(since.div_euclid(self.step.num_milliseconds().max(1))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_after_a_gap_is_given_time_to_settle() {
        let arrivals = |text: &str| Arrivals {
            start: DateTime::UNIX_EPOCH,
            step: TimeDelta::seconds(15),
            requests: text.chars().map(|step| if step == '.' { f64::NAN } else { 1.0 }).collect(),
            censored: vec![false; text.len()],
        };
        let counted = |text: &str, from, reaction, settle| -> String {
            let counts = arrivals(text).counted(from, reaction, settle);
            counts.iter().map(|counts| if *counts { 'x' } else { '-' }).collect()
        };
        assert_eq!(counted("11111111", 2, 3, 9), "--xxxxxx");
        assert_eq!(counted("11.11111111", 0, 3, 9), "xx----xxxxx", "a short gap, the reaction time");
        assert_eq!(counted("1.....1111111", 0, 3, 9), "x----------xx", "a long one, as long again");
        assert_eq!(counted("1.....1111111", 0, 3, 4), "x---------xxx", "and never longer than settling takes");
        assert_eq!(counted("1..1111", 0, 0, 0), "x--xxxx");
    }
}
