//! The input of an engine: [`Observation`].

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Absence, LoadForecast, MetricsHistory, NoForecast, PlannedEvent, Provenance, Repairs, ScalingMetrics, SignalKind,
    SignalSet,
};
use crate::target::Target;

/// Everything an engine may look at to decide once.
///
/// `history` ends before `current`; samples at or after `current.timestamp` are not looked at. It is behind an `Arc` so that
/// a source hands it out without copying and, once the tick is over, appends to it in place ([`Arc::make_mut`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The workload. State that an engine keeps is kept by it.
    pub target: Arc<Target>,
    /// The time at which somebody asked: what schedules go by, and what the age of the metrics is measured from.
    pub now: DateTime<Utc>,
    /// The newest metrics.
    pub current: ScalingMetrics,
    /// The signals that the source says it delivers; `None` if it does not say ([`Observation::declared`]).
    pub declared: Option<SignalSet>,
    /// Samples before the current one.
    pub history: Arc<MetricsHistory>,
    /// Facts about the workload.
    pub facts: WorkloadFacts,
    /// Declared events, past and coming.
    pub events: Arc<[PlannedEvent]>,
    /// The load that is expected, or why it is not known; `None` if nobody forecasts.
    pub forecast: Option<Result<LoadForecast, NoForecast>>,
    /// Which source measured what, where several contribute; `None` with one source.
    pub provenance: Option<Arc<Provenance>>,
}

impl Observation {
    /// An observation at the instant of its metrics, without history, facts, events or forecast.
    pub fn new(target: impl Into<Arc<Target>>, current: ScalingMetrics) -> Self {
        Self {
            target: target.into(),
            now: current.timestamp,
            current,
            declared: None,
            history: Arc::new(MetricsHistory::new()),
            facts: WorkloadFacts::default(),
            events: Arc::new([]),
            forecast: None,
            provenance: None,
        }
    }

    /// The newest of some samples as the present and the others as its history, with what had to be mended. `None` without any.
    pub fn from_samples(target: impl Into<Arc<Target>>, samples: Vec<ScalingMetrics>) -> Option<(Self, Repairs)> {
        let newest = samples.iter().map(|sample| sample.timestamp.timestamp_millis()).max()?;
        // Of several with that instant the last counts, as in the history.
        let current = samples.iter().rfind(|sample| sample.timestamp.timestamp_millis() == newest)?.clone();
        let (mut history, repairs) = MetricsHistory::from_unordered(samples);
        let before = current.timestamp.checked_sub_signed(TimeDelta::milliseconds(1)).unwrap_or(current.timestamp);
        history.truncate_after(before);
        Some((Self::new(target, current).with_history(history), repairs))
    }

    /// Sets the time at which it was asked for, where that is not the instant of the metrics.
    #[must_use]
    pub fn at(mut self, now: DateTime<Utc>) -> Self {
        self.now = now;
        self
    }

    /// Sets the signals that the source delivers.
    #[must_use]
    pub fn declaring(mut self, signals: SignalSet) -> Self {
        self.declared = Some(signals);
        self
    }

    /// Sets the history.
    #[must_use]
    pub fn with_history(mut self, history: impl Into<Arc<MetricsHistory>>) -> Self {
        self.history = history.into();
        self
    }

    /// Sets the facts about the workload.
    #[must_use]
    pub fn with_facts(mut self, facts: WorkloadFacts) -> Self {
        self.facts = facts;
        self
    }

    /// Sets the declared events.
    #[must_use]
    pub fn with_events(mut self, events: impl Into<Arc<[PlannedEvent]>>) -> Self {
        self.events = events.into();
        self
    }

    /// Sets the forecast of load, or the reason why there is none.
    #[must_use]
    pub fn with_forecast(mut self, forecast: Result<LoadForecast, NoForecast>) -> Self {
        self.forecast = Some(forecast);
        self
    }

    /// The signals that should be there: those that the source declares or, if it does not say, every one that ever came.
    ///
    /// There is no window of time in it: a signal lost for a week is as absent as one lost a minute ago, until it returns or the
    /// source declares that it no longer delivers it.
    pub fn declared(&self) -> SignalSet {
        self.declared.unwrap_or_else(|| self.history.signals().union(self.current.delivered()))
    }

    /// The declared signals without a usable value now, each with its cause.
    ///
    /// Response time and error rate are not among them while the request rate is measured as 0: without requests there is nothing
    /// to measure. A signal that not every source which delivers it has measured is among them as partial, though it has a value
    /// ([`Provenance`]).
    ///
    /// ```
    /// use scaling_core::chrono::DateTime;
    /// use scaling_core::{Absence, Observation, ScalingMetrics, SignalKind, SignalSet, Target};
    ///
    /// let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    /// let idle = ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, 0.0).with(SignalKind::ErrorRate, f64::NAN);
    /// let declared = SignalSet::of([SignalKind::RequestRate, SignalKind::ErrorRate, SignalKind::CpuUtilization]);
    /// let observation = Observation::new(Target::deployment("shop", "web"), idle).declaring(declared);
    /// let absences: Vec<_> = observation.absences().collect();
    /// assert_eq!(absences, [(SignalKind::CpuUtilization, Absence::NotMeasured)]);
    /// ```
    pub fn absences(&self) -> impl Iterator<Item = (SignalKind, Absence)> + '_ {
        let expected = self.current.expected_of(self.declared());
        expected
            .filter_map(|kind| Some((kind, self.current.signal(kind).absence().or_else(|| self.unconfirmed(kind))?)))
    }

    fn unconfirmed(&self, kind: SignalKind) -> Option<Absence> {
        let provenance = self.provenance.as_ref()?;
        // Who measured it is one of two at least; how many there are more does not matter.
        provenance.unconfirmed.contains(kind).then_some(Absence::Partial { covered_percent: 50 })
    }
}

/// Facts about a workload, besides its metrics. Every field has a default that is safe where nothing is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct WorkloadFacts {
    /// CPU request of one pod in thousandths of a core.
    pub cpu_request_millicores: Option<u64>,
    /// CPU limit of one pod in thousandths of a core.
    pub cpu_limit_millicores: Option<u64>,
    /// Memory request of one pod in bytes.
    pub memory_request_bytes: Option<u64>,
    /// Memory limit of one pod in bytes.
    pub memory_limit_bytes: Option<u64>,
    /// From the creation of a pod to its first request. Default 60 s.
    #[serde(with = "crate::serde_seconds")]
    pub start_up: Duration,
    /// From a change in load to its being seen. Default 30 s.
    #[serde(with = "crate::serde_seconds")]
    pub metrics_lag: Duration,
    /// Length of the window that rates are means over. Default 60 s.
    #[serde(with = "crate::serde_seconds")]
    pub metrics_window: Duration,
    /// Time between two decisions. Default 15 s, the HPA's sync period.
    #[serde(with = "crate::serde_seconds")]
    pub sync_period: Duration,
    /// Requests per second that one pod serves at full utilization, where the host knows it (from a load test, say).
    /// Otherwise the engine learns it from history.
    pub pod_capacity: Option<f64>,
    /// Seconds east of UTC, for what depends on the day: weekends and daily patterns. Default 0. One offset and no zone: where clocks
    /// are put forward and back, the host states the offset of now.
    pub utc_offset_seconds: i32,
    /// Waiting times that matter to the users of the workload.
    pub objective: Objective,
}

impl Default for WorkloadFacts {
    fn default() -> Self {
        Self {
            cpu_request_millicores: None,
            cpu_limit_millicores: None,
            memory_request_bytes: None,
            memory_limit_bytes: None,
            start_up: Duration::from_secs(60),
            metrics_lag: Duration::from_secs(30),
            metrics_window: Duration::from_secs(60),
            sync_period: Duration::from_secs(15),
            pod_capacity: None,
            utc_offset_seconds: 0,
            objective: Objective::default(),
        }
    }
}

impl WorkloadFacts {
    /// These facts and, of each that has its default here, what the others say.
    pub(crate) fn or(self, others: &Self) -> Self {
        fn stated<T: PartialEq>(one: T, other: T, default: &T) -> T {
            if one == *default { other } else { one }
        }
        // Taken apart, so that none is forgotten.
        let Self {
            cpu_request_millicores,
            cpu_limit_millicores,
            memory_request_bytes,
            memory_limit_bytes,
            start_up,
            metrics_lag,
            metrics_window,
            sync_period,
            pod_capacity,
            utc_offset_seconds,
            objective: Objective { wait, patience },
        } = self;
        let default = Self::default();
        Self {
            cpu_request_millicores: cpu_request_millicores.or(others.cpu_request_millicores),
            cpu_limit_millicores: cpu_limit_millicores.or(others.cpu_limit_millicores),
            memory_request_bytes: memory_request_bytes.or(others.memory_request_bytes),
            memory_limit_bytes: memory_limit_bytes.or(others.memory_limit_bytes),
            start_up: stated(start_up, others.start_up, &default.start_up),
            metrics_lag: stated(metrics_lag, others.metrics_lag, &default.metrics_lag),
            metrics_window: stated(metrics_window, others.metrics_window, &default.metrics_window),
            sync_period: stated(sync_period, others.sync_period, &default.sync_period),
            pod_capacity: pod_capacity.or(others.pod_capacity),
            utc_offset_seconds: stated(utc_offset_seconds, others.utc_offset_seconds, &default.utc_offset_seconds),
            objective: Objective {
                wait: stated(wait, others.objective.wait, &default.objective.wait),
                patience: stated(patience, others.objective.patience, &default.objective.patience),
            },
        }
    }
}

/// Waiting times that matter to the users of a workload: what an engine sizes for and a backtest scores by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objective {
    /// A request that waits longer violates. Default 1 s.
    #[serde(with = "crate::serde_seconds")]
    pub wait: Duration,
    /// A request that would wait longer gives up. Default 30 s.
    #[serde(with = "crate::serde_seconds")]
    pub patience: Duration,
}

impl Default for Objective {
    fn default() -> Self {
        Self { wait: Duration::from_secs(1), patience: Duration::from_secs(30) }
    }
}

impl WorkloadFacts {
    /// Returns the time that a decision must look ahead: until a pod created now is ready and the next decision can act.
    pub fn horizon(&self) -> Duration {
        self.start_up.saturating_add(self.sync_period)
    }

    /// Returns the time between the load that a decision sees and the load that it is for: the horizon and the metrics' lag.
    pub fn look_ahead(&self) -> Duration {
        self.horizon().saturating_add(self.metrics_lag)
    }
}
