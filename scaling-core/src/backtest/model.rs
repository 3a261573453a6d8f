//! [`ClusterModel`]: the properties of the simulated cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{HardLimits, InvalidSetting, Objective, SignalKind, WorkloadFacts};

/// Properties of a simulated cluster.
///
/// Start-up, periods, lag and window are whole seconds, and the simulation's step is the largest number of seconds that divides
/// them all. Objective, patience and service time are any durations, solved exactly within a step.
///
/// ```
/// use std::time::Duration;
/// use scaling_core::SignalKind;
/// use scaling_core::backtest::ClusterModel;
///
/// // Pods that take long to start, behind a load balancer that reports no queue:
/// let model = ClusterModel { start_up: Duration::from_secs(180), ..ClusterModel::default() }
///     .without(SignalKind::QueueDepth);
/// assert_eq!(model.step(), Duration::from_secs(15));
/// assert!(!model.measures(SignalKind::QueueDepth) && model.measures(SignalKind::CpuUtilization));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterModel {
    /// Requests per second of one pod at full utilization (1 where demand is in pods' worth of work). Default 50.
    pub pod_capacity: f64,
    /// Time from the creation of a pod, from which on it is paid for, to its first request. Default 60 s.
    #[serde(with = "crate::serde_seconds")]
    pub start_up: Duration,
    /// Time between two decisions, and between two syncs of the simulated HPA. Default 15 s, as the controller manager has it.
    #[serde(with = "crate::serde_seconds")]
    pub sync_period: Duration,
    /// Time between two measurements. Default 15 s, as metrics-server has it.
    #[serde(with = "crate::serde_seconds")]
    pub scrape_period: Duration,
    /// Age of the newest measurement when it is seen. Default 30 s.
    #[serde(with = "crate::serde_seconds")]
    pub metrics_lag: Duration,
    /// Time over which a measurement is the mean. Default 60 s.
    #[serde(with = "crate::serde_seconds")]
    pub metrics_window: Duration,
    /// Longest wait before service that is no violation. Default 1 s. A request that arrives to a longer queue violates it.
    #[serde(with = "crate::serde_seconds")]
    pub objective: Duration,
    /// Longest wait before a request gives up. Default 30 s. A request that would wait longer is dropped on arrival; when pods go,
    /// requests that wait beyond the patience of those left are dropped from the end of the line. A dropped request has
    /// violated; one that waits longer than was to be expected on its arrival has not.
    #[serde(with = "crate::serde_seconds")]
    pub patience: Duration,
    /// Duration of a request without waiting. Default 50 ms.
    #[serde(with = "crate::serde_seconds")]
    pub service_time: Duration,
    /// Sizes that are allowed at all, for every candidate and for the oracle. Default 1 to 1000 pods.
    pub limits: HardLimits,
    /// Pods that the nodes hold; more stay pending, unpaid. Default: any number.
    pub node_limit: Option<u32>,
    /// Failures of a pod per day; a failed pod is replaced, and the new one starts up. Default 0.
    pub pod_failures_per_day: f64,
    /// Seed from which the number of requests of each step is drawn as from a Poisson distribution, and pods' failures. Default: no
    /// noise; failures are then drawn from seed 0.
    pub noise_seed: Option<u64>,
    /// Signals that are measured, as far as they exist: request rate and queue need a trace of requests, memory and connections a
    /// recording of them. Default: all. Without the queue, CPU, response time and errors are what shows saturation.
    pub measured: BTreeSet<SignalKind>,
    /// The request rate is that of the requests served, as a service counts them itself, instead of that of the requests that
    /// arrive, as a load balancer in front counts them. Default false. At saturation the served rate says nothing of the demand.
    pub rate_as_served: bool,
    /// Metrics of HPAs by name, each as what it measures. Default: none besides the names that speak for themselves, such as
    /// `requests_per_second` and `queue_length`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, MappedMetric>,
}

/// Meaning of an HPA's metric: a signal, times a factor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappedMetric {
    /// Signal that is recorded or simulated.
    pub signal: SignalKind,
    /// Value of the metric where the signal is 1.
    pub factor: f64,
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
            measured: SignalKind::ALL.into(),
            rate_as_served: false,
            metrics: BTreeMap::new(),
        }
    }
}

/// Longest of the durations, in seconds: a day. What is longer is a wrong unit.
const LONGEST_S: u64 = 86_400;

impl ClusterModel {
    /// Stops measuring a signal.
    #[must_use]
    pub fn without(mut self, signal: SignalKind) -> Self {
        self.measured.remove(&signal);
        self
    }

    /// Returns whether a signal is measured.
    pub fn measures(&self, signal: SignalKind) -> bool {
        self.measured.contains(&signal)
    }

    /// Returns what a metric of this name measures, if it is known.
    pub fn metric(&self, name: &str) -> Option<MappedMetric> {
        let known = || crate::baseline::signal(name).map(|signal| MappedMetric { signal, factor: 1.0 });
        self.metrics.get(name).copied().or_else(known)
    }

    /// Checks that the model can be simulated.
    ///
    /// # Errors
    /// [`InvalidSetting`] with the first field that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let fault = |field, value, must| Err(InvalidSetting { field, value, must });
        if !(self.pod_capacity.is_finite() && self.pod_capacity > 0.0) {
            return fault("pod_capacity", self.pod_capacity, "a finite number above 0");
        }
        if !(self.pod_failures_per_day >= 0.0 && self.pod_failures_per_day <= 10_000.0) {
            return fault("pod_failures_per_day", self.pod_failures_per_day, "within 0..=10000");
        }
        if let Some(mapped) = self.metrics.values().find(|mapped| !(mapped.factor.is_finite() && mapped.factor > 0.0)) {
            return fault("metrics", mapped.factor, "a finite factor above 0");
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

    /// Returns the simulation's step: the largest number of whole seconds that divides every period.
    pub fn step(&self) -> Duration {
        let periods = [self.start_up, self.sync_period, self.scrape_period, self.metrics_lag, self.metrics_window];
        Duration::from_secs(periods.into_iter().map(|period| period.as_secs()).fold(0, common_divisor).max(1))
    }

    /// Returns the time until a change of load is seen, decided about and met, in steps.
    pub(super) fn reaction_steps(&self) -> usize {
        let periods = [self.metrics_lag, self.metrics_window, self.sync_period, self.start_up];
        periods.into_iter().map(|period| self.steps(period)).sum()
    }

    /// Converts a duration into steps.
    pub(super) fn steps(&self, duration: Duration) -> usize {
        usize::try_from(duration.as_secs() / self.step().as_secs()).unwrap_or(usize::MAX)
    }

    /// Completes the facts that a host knows of the workload by those that the model says.
    #[allow(clippy::needless_pass_by_value)] // a host makes the facts for this call
    pub fn facts(&self, known: WorkloadFacts) -> WorkloadFacts {
        WorkloadFacts {
            start_up: self.start_up,
            metrics_lag: self.metrics_lag,
            metrics_window: self.metrics_window,
            sync_period: self.sync_period,
            objective: Objective { wait: self.objective, patience: self.patience },
            ..known
        }
    }

    /// Returns the largest number of pods that can exist.
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
