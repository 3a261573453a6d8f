//! One observation of a workload.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Absence, Signal, SignalKind, SignalSet};
use crate::stats::MAX_REPLICAS;

/// Measurements of a workload at one instant.
///
/// ```
/// use scaling_core::{ScalingMetrics, SignalKind, chrono::DateTime};
/// let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
/// let metrics = ScalingMetrics::new(at, 3)
///     .with(SignalKind::CpuUtilization, 62.0)
///     .with(SignalKind::ErrorRate, f64::NAN);
/// assert_eq!(metrics.value(SignalKind::CpuUtilization), Some(62.0));
/// assert_eq!(metrics.value(SignalKind::ErrorRate), None, "NaN is absent, not a number");
/// assert_eq!(metrics.value(SignalKind::QueueDepth), None, "not measured is absent, not 0");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct ScalingMetrics {
    /// When.
    pub timestamp: DateTime<Utc>,
    /// Pods that were ready; `None` if nobody knows.
    pub current_pod_count: Option<u32>,
    /// Pods that the scale subresource asks for; `None` if nobody knows.
    pub desired_pod_count: Option<u32>,
    /// Which quantile the response time is (0.95 for p95); `None` for a mean, or if the source does not say.
    pub response_time_quantile: Option<f64>,
    signals: [Signal; SignalKind::ALL.len()],
}

impl ScalingMetrics {
    /// Nothing measured yet but the number of ready pods.
    pub fn new(timestamp: DateTime<Utc>, current_pod_count: u32) -> Self {
        Self {
            timestamp,
            current_pod_count: Some(current_pod_count),
            desired_pod_count: None,
            response_time_quantile: None,
            signals: [Signal::NOT_MEASURED; SignalKind::ALL.len()],
        }
    }

    /// Adds a value; one that cannot be true becomes an absence ([`SignalKind::check`]).
    #[must_use]
    pub fn with(mut self, kind: SignalKind, value: f64) -> Self {
        self.set(kind, kind.check(value));
        self
    }

    /// Marks a signal as absent for a stated cause.
    #[must_use]
    pub fn without(mut self, kind: SignalKind, absence: Absence) -> Self {
        self.set(kind, Signal::Absent(absence));
        self
    }

    /// Puts a signal in place.
    pub fn set(&mut self, kind: SignalKind, signal: Signal) {
        let checked = match signal {
            Signal::Present(value) => kind.check(value),
            absent @ Signal::Absent(_) => absent,
        };
        if let Some(place) = self.signals.get_mut(kind.index()) {
            *place = checked;
        }
    }

    /// The size asked for now, in the HPA's sense: what the scale subresource says or, if nobody knows, the ready pods.
    pub fn replicas(&self) -> Option<u32> {
        self.desired_pod_count.or(self.current_pod_count)
    }

    /// The signal of this kind. A mean over pods is absent ([`Absence::NoPods`]) while the ready pods are known to be none: the 0
    /// that some sources then deliver is no measurement.
    pub fn signal(&self, kind: SignalKind) -> Signal {
        match self.stored(kind) {
            Signal::Present(_) if kind.is_mean_over_pods() && self.current_pod_count == Some(0) => {
                Signal::Absent(Absence::NoPods)
            }
            signal => signal,
        }
    }

    /// The signal as it was put in place: what is written, so that it reads back equal whatever the pod count.
    fn stored(&self, kind: SignalKind) -> Signal {
        self.signals.get(kind.index()).copied().unwrap_or_default()
    }

    /// The signals with a value, or with a cause of absence that shows that the source delivers them: anything but
    /// [`Absence::NotMeasured`].
    pub fn delivered(&self) -> SignalSet {
        SignalSet::of(SignalKind::ALL.into_iter().filter(|kind| self.stored(*kind) != Signal::NOT_MEASURED))
    }

    /// The signals of a declaration without a usable value, each with its cause ([`Observation::absences`](crate::Observation::absences)).
    pub fn absent_of(&self, declared: SignalSet) -> impl Iterator<Item = (SignalKind, Absence)> + '_ {
        // Without requests there is nothing to measure.
        let idle = self.value(SignalKind::RequestRate) == Some(0.0);
        let moot = move |kind| idle && matches!(kind, SignalKind::ResponseTime | SignalKind::ErrorRate);
        let expected = declared.iter().filter(move |kind| !moot(*kind));
        expected.filter_map(|kind| Some((kind, self.signal(kind).absence()?)))
    }

    /// The value of this kind, if present.
    pub fn value(&self, kind: SignalKind) -> Option<f64> {
        self.signal(kind).value()
    }
}

/// The written form. Rates and counts are numbers; a pod count must be a whole number that Kubernetes can store.
#[derive(Serialize, Deserialize)]
struct Raw {
    timestamp: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current_pod_count: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    desired_pod_count: Option<u32>,
    #[serde(default)]
    cpu_utilization_percent: Signal,
    #[serde(default)]
    memory_utilization_percent: Signal,
    #[serde(default)]
    request_rate_per_second: Signal,
    #[serde(default)]
    response_time_ms: Signal,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_time_quantile: Option<f64>,
    #[serde(default)]
    error_rate_percent: Signal,
    #[serde(default)]
    active_connections: Signal,
    #[serde(default)]
    queue_depth: Signal,
}

impl TryFrom<Raw> for ScalingMetrics {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        for (field, count) in
            [("current_pod_count", raw.current_pod_count), ("desired_pod_count", raw.desired_pod_count)]
        {
            if let Some(count) = count.filter(|count| *count > MAX_REPLICAS) {
                return Err(format!("{field} {count} is above {MAX_REPLICAS}, more than Kubernetes can store"));
            }
        }
        let mut metrics = Self {
            timestamp: raw.timestamp,
            current_pod_count: raw.current_pod_count,
            desired_pod_count: raw.desired_pod_count,
            response_time_quantile: raw.response_time_quantile,
            signals: [Signal::NOT_MEASURED; SignalKind::ALL.len()],
        };
        let signals = [
            raw.cpu_utilization_percent,
            raw.memory_utilization_percent,
            raw.request_rate_per_second,
            raw.response_time_ms,
            raw.error_rate_percent,
            raw.active_connections,
            raw.queue_depth,
        ];
        for (kind, signal) in SignalKind::ALL.into_iter().zip(signals) {
            metrics.set(kind, signal);
        }
        Ok(metrics)
    }
}

impl From<ScalingMetrics> for Raw {
    fn from(metrics: ScalingMetrics) -> Self {
        Self {
            timestamp: metrics.timestamp,
            // What reading would refuse is not written.
            current_pod_count: metrics.current_pod_count.map(|pods| pods.min(MAX_REPLICAS)),
            desired_pod_count: metrics.desired_pod_count.map(|pods| pods.min(MAX_REPLICAS)),
            cpu_utilization_percent: metrics.stored(SignalKind::CpuUtilization),
            memory_utilization_percent: metrics.stored(SignalKind::MemoryUtilization),
            request_rate_per_second: metrics.stored(SignalKind::RequestRate),
            response_time_ms: metrics.stored(SignalKind::ResponseTime),
            response_time_quantile: metrics.response_time_quantile.filter(|quantile| quantile.is_finite()),
            error_rate_percent: metrics.stored(SignalKind::ErrorRate),
            active_connections: metrics.stored(SignalKind::ActiveConnections),
            queue_depth: metrics.stored(SignalKind::QueueDepth),
        }
    }
}
