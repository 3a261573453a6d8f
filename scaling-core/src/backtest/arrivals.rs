//! [`Arrivals`]: the requests of a scenario, step by step, equal for every candidate.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::noise::Noise;
use super::trace::MOST_STEPS;
use super::{ClusterModel, Trace};
use crate::InvalidSetting;
use crate::stats::whole_pods;

/// Requests that arrive in each step of a simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrivals {
    start: DateTime<Utc>,
    step: TimeDelta,
    requests: Vec<f64>,
    censored: Vec<bool>,
}

impl Arrivals {
    /// Cuts the demand of a trace into steps of the model and, if that has a seed, adds the scatter of independent requests.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the model cannot be simulated, or its step is too short for so long a trace.
    pub fn new(trace: &Trace, model: &ClusterModel) -> Result<Self, InvalidSetting> {
        model.validate()?;
        if trace.steps(model.step()) > MOST_STEPS {
            let value = model.step().as_secs_f64();
            return Err(InvalidSetting {
                field: "step",
                value,
                must: "long enough for a trace of at most 16000000 steps",
            });
        }
        let stepped = trace.resample(model.step());
        let step_s = model.step().as_secs_f64();
        let requests = stepped.demand().iter().enumerate().map(|(index, demand)| {
            let mean = demand * step_s;
            match model.noise_seed {
                Some(seed) if mean.is_finite() => Noise::at(seed, index).poisson(mean),
                _ => mean,
            }
        });
        Ok(Self {
            start: stepped.start(),
            step: stepped.step(),
            requests: requests.collect(),
            censored: stepped.censored().to_vec(),
        })
    }

    /// Returns the requests of each step; NaN in a gap.
    pub fn requests(&self) -> &[f64] {
        &self.requests
    }

    /// Returns of each step whether demand may have been higher than what was recorded.
    pub fn censored(&self) -> &[bool] {
        &self.censored
    }

    /// Returns the length of a step.
    pub fn step(&self) -> TimeDelta {
        self.step
    }

    /// Returns the number of steps.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Returns whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Returns of each step whether it counts: steps from `from` on, with data, and not in the time in which pods cannot yet fit the
    /// load that came back after a gap.
    ///
    /// That time is as long as the gap was, but at least `reaction` steps and at most `settle`: no candidate chose the size that a gap
    /// left behind.
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

    /// Returns the pods that serve the last load before a step at 70 % utilization, the size to begin with. Where nothing came before,
    /// it is the first load from the step on.
    pub fn enough_pods(&self, step: usize, model: &ClusterModel) -> u32 {
        let (before, from) = self.requests.split_at(step.min(self.requests.len()));
        let known = |requests: &&f64| !requests.is_nan();
        let requests = before.iter().rev().find(known).or_else(|| from.iter().find(known)).copied().unwrap_or(0.0);
        whole_pods(requests / model.step().as_secs_f64() / model.pod_capacity / 0.7)
    }

    /// Returns the beginning of a step.
    pub fn instant(&self, step: usize) -> DateTime<Utc> {
        let steps = i32::try_from(step).unwrap_or(i32::MAX);
        self.start.checked_add_signed(self.step * steps).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Returns the step that an instant lies in; none before the first.
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
