//! The simulated cluster's properties.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{HardLimits, WorkloadFacts};

/// What a simulated cluster is like. Start-up, periods, lag and window are whole seconds, and the simulation's step is the largest
/// that divides them all; objective, patience and service time are any times, solved exactly within a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterModel {
    /// Requests per second of one pod at full utilization (1 where demand is in pods' worth of work). Default 50.
    pub pod_capacity: f64,
    /// From the creation of a pod, from which on it is paid for, to its first request. Default 60 s.
    #[serde(with = "crate::serde_seconds")]
    pub start_up: Duration,
    /// Time between two decisions, and between two syncs of the simulated HPA. Default 15 s.
    #[serde(with = "crate::serde_seconds")]
    pub sync_period: Duration,
    /// Time between two measurements. Default 15 s.
    #[serde(with = "crate::serde_seconds")]
    pub scrape_period: Duration,
    /// How old the newest measurement is when it is seen. Default 30 s.
    #[serde(with = "crate::serde_seconds")]
    pub metrics_lag: Duration,
    /// How long a measurement is the mean over. Default 60 s.
    #[serde(with = "crate::serde_seconds")]
    pub metrics_window: Duration,
    /// The objective: how long a request may wait before it is served. Default 1 s. One that arrives to a longer queue violates
    /// it.
    #[serde(with = "crate::serde_seconds")]
    pub objective: Duration,
    /// How long a request waits before it gives up; what would wait longer is dropped on arrival. When pods go, what waits beyond
    /// the patience of those left is dropped from the end of the line. Dropped is violated; whoever waits longer than was to be
    /// expected on arrival is not. Default 30 s.
    #[serde(with = "crate::serde_seconds")]
    pub patience: Duration,
    /// What a request takes without waiting. Default 50 ms.
    #[serde(with = "crate::serde_seconds")]
    pub service_time: Duration,
    /// The sizes allowed at all. Default 1 to 1000.
    pub limits: HardLimits,
    /// How many pods the nodes hold; more stay pending, unpaid. Default: any number.
    pub node_limit: Option<u32>,
    /// How often a pod fails, in times a day; it is replaced, and the new one starts up. Default 0.
    pub pod_failures_per_day: f64,
    /// Draws the number of requests in each step from a Poisson distribution, and pods' failures, from this seed. Default: no
    /// noise; failures are then drawn from seed 0.
    pub noise_seed: Option<u64>,
}

impl Default for ClusterModel {
    fn default() -> Self {
        Self {
            pod_capacity: 50.0,
            start_up: Duration::from_secs(60),
            sync_period: Duration::from_secs(15),
            scrape_period: Duration::from_secs(15),
            metrics_lag: Duration::from_secs(30),
            metrics_window: Duration::from_secs(60),
            objective: Duration::from_secs(1),
            patience: Duration::from_secs(30),
            service_time: Duration::from_millis(50),
            limits: HardLimits::default(),
            node_limit: None,
            pod_failures_per_day: 0.0,
            noise_seed: None,
        }
    }
}

/// A model that cannot be simulated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field} is {value}; it must be {must}")]
pub struct InvalidModel {
    /// The field.
    pub field: &'static str,
    /// Its value, in the field's unit.
    pub value: f64,
    /// What it must be.
    pub must: &'static str,
}

/// The longest of the durations: a day.
const LONGEST_S: u64 = 86_400;

impl ClusterModel {
    /// Checks that it can be simulated.
    ///
    /// # Errors
    /// [`InvalidModel`] with the first field that cannot be.
    pub fn validate(&self) -> Result<(), InvalidModel> {
        let fault = |field, value, must| Err(InvalidModel { field, value, must });
        if !(self.pod_capacity.is_finite() && self.pod_capacity > 0.0) {
            return fault("pod_capacity", self.pod_capacity, "a finite number above 0");
        }
        if !(self.pod_failures_per_day >= 0.0 && self.pod_failures_per_day <= 10_000.0) {
            return fault("pod_failures_per_day", self.pod_failures_per_day, "within 0..=10000");
        }
        if self.node_limit == Some(0) {
            return fault("node_limit", 0.0, "at least 1");
        }
        for (field, duration, least) in [
            ("start_up", self.start_up, 0),
            ("metrics_lag", self.metrics_lag, 0),
            ("sync_period", self.sync_period, 1),
            ("scrape_period", self.scrape_period, 1),
            ("metrics_window", self.metrics_window, 1),
        ] {
            let whole = duration.subsec_nanos() == 0 && (least..=LONGEST_S).contains(&duration.as_secs());
            if !whole {
                let must = if least == 0 { "whole seconds, 0 to 86400" } else { "whole seconds, 1 to 86400" };
                return fault(field, duration.as_secs_f64(), must);
            }
        }
        for (field, duration) in
            [("objective", self.objective), ("patience", self.patience), ("service_time", self.service_time)]
        {
            if duration.as_secs() > LONGEST_S {
                return fault(field, duration.as_secs_f64(), "at most a day");
            }
        }
        if self.patience < self.objective {
            return fault("patience", self.patience.as_secs_f64(), "at least the objective");
        }
        Ok(())
    }

    /// The simulation's step: the largest number of seconds that divides every period.
    pub fn step(&self) -> Duration {
        let periods = [self.start_up, self.sync_period, self.scrape_period, self.metrics_lag, self.metrics_window];
        Duration::from_secs(periods.into_iter().map(|period| period.as_secs()).fold(0, common_divisor).max(1))
    }

    /// How long it takes until a change of load is seen, decided about and met, in steps.
    pub(super) fn reaction_steps(&self) -> usize {
        let periods = [self.metrics_lag, self.metrics_window, self.sync_period, self.start_up];
        periods.into_iter().map(|period| self.steps(period)).sum()
    }

    /// A duration in steps.
    pub(super) fn steps(&self, duration: Duration) -> usize {
        usize::try_from(duration.as_secs() / self.step().as_secs()).unwrap_or(usize::MAX)
    }

    /// What an engine is told of the workload, besides what the host knows.
    pub fn facts(&self, known: WorkloadFacts) -> WorkloadFacts {
        WorkloadFacts {
            start_up: self.start_up,
            metrics_lag: self.metrics_lag,
            metrics_window: self.metrics_window,
            sync_period: self.sync_period,
            ..known
        }
    }

    /// The largest number of pods that can exist.
    pub fn most_pods(&self) -> u32 {
        self.limits.bounds().max().min(self.node_limit.unwrap_or(u32::MAX))
    }
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_divides_every_period() {
        let step = |start_up: u64, sync: u64| {
            let model = ClusterModel {
                start_up: Duration::from_secs(start_up),
                sync_period: Duration::from_secs(sync),
                ..ClusterModel::default()
            };
            model.step().as_secs()
        };
        assert_eq!((step(60, 15), step(40, 15), step(0, 30), step(61, 15)), (15, 5, 15, 1));
    }

    #[test]
    fn what_cannot_be_simulated_is_refused_by_name() {
        let said = |change: fn(&mut ClusterModel)| {
            let mut model = ClusterModel::default();
            change(&mut model);
            model.validate().map_err(|error| error.field)
        };
        assert_eq!(said(|_| ()), Ok(()));
        assert_eq!(said(|model| model.pod_capacity = f64::NAN), Err("pod_capacity"));
        assert_eq!(said(|model| model.pod_capacity = 0.0), Err("pod_capacity"));
        assert_eq!(said(|model| model.pod_failures_per_day = -1.0), Err("pod_failures_per_day"));
        assert_eq!(said(|model| model.node_limit = Some(0)), Err("node_limit"));
        assert_eq!(said(|model| model.start_up = Duration::from_millis(1500)), Err("start_up"));
        assert_eq!(said(|model| model.sync_period = Duration::ZERO), Err("sync_period"));
        assert_eq!(said(|model| model.metrics_lag = Duration::MAX), Err("metrics_lag"));
        assert_eq!(said(|model| model.patience = Duration::ZERO), Err("patience"));
        assert_eq!(said(|model| model.objective = Duration::MAX), Err("objective"));
    }
}
