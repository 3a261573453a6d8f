//! [`Unit`], and the [`Conversion`] from it to the unit of a measure.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{MappingError, Measure, Statistic};
use crate::bounds::MAX_REPLICAS;
use crate::metrics::{ScalingMetrics, SignalKind, WorkloadFacts};

/// Unit of the numbers that a query brings back. Written in snake case: `per_period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unit {
    /// 0 to 100, or above where usage exceeds the request.
    Percent,
    /// 0 to 1.
    Ratio,
    /// Processor cores, of one pod.
    Cores,
    /// Thousandths of a core, of one pod.
    Millicores,
    /// Billionths of a core, of one pod.
    Nanocores,
    /// Bytes, of one pod.
    Bytes,
    /// Events a second.
    PerSecond,
    /// Events a minute, whatever the period of the answer.
    PerMinute,
    /// Events counted in each period of the answer.
    PerPeriod,
    /// Seconds.
    Seconds,
    /// Thousandths of a second.
    Milliseconds,
    /// Millionths of a second.
    Microseconds,
    /// Billionths of a second.
    Nanoseconds,
    /// A number of things that are there: pods, connections, messages.
    Count,
}

impl Unit {
    const ALL: [Self; 14] = [
        Self::Percent,
        Self::Ratio,
        Self::Cores,
        Self::Millicores,
        Self::Nanocores,
        Self::Bytes,
        Self::PerSecond,
        Self::PerMinute,
        Self::PerPeriod,
        Self::Seconds,
        Self::Milliseconds,
        Self::Microseconds,
        Self::Nanoseconds,
        Self::Count,
    ];

    /// Returns true if it is a unit of this measure.
    pub fn measures(self, measure: Measure) -> bool {
        let share = matches!(self, Self::Percent | Self::Ratio);
        match measure {
            Measure::Signal(SignalKind::CpuUtilization) => {
                share || matches!(self, Self::Cores | Self::Millicores | Self::Nanocores)
            }
            Measure::Signal(SignalKind::MemoryUtilization) => share || self == Self::Bytes,
            Measure::Signal(SignalKind::ErrorRate) => share,
            Measure::Signal(SignalKind::RequestRate) => {
                matches!(self, Self::PerSecond | Self::PerMinute | Self::PerPeriod)
            }
            Measure::Signal(SignalKind::ResponseTime) => {
                matches!(self, Self::Seconds | Self::Milliseconds | Self::Microseconds | Self::Nanoseconds)
            }
            Measure::Signal(SignalKind::ActiveConnections | SignalKind::QueueDepth)
            | Measure::ReadyPods
            | Measure::DesiredPods => self == Self::Count,
        }
    }

    /// The statistics that would make sense, if this one does not.
    pub(super) fn refuses(self, statistic: Statistic) -> Option<&'static str> {
        match self {
            Self::PerPeriod => (!statistic.is_total()).then_some("sum or sample_count"),
            // Totals of what is there at a moment are left to the service: some count each node or zone for itself.
            Self::Count => None,
            _ => statistic.is_total().then_some("average, minimum, maximum or a percentile"),
        }
    }

    /// The units of a measure, for messages.
    pub(super) fn names(measure: Measure) -> String {
        let names: Vec<_> =
            Self::ALL.into_iter().filter(|unit| unit.measures(measure)).map(|unit| unit.to_string()).collect();
        names.join(", ")
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Percent => "percent",
            Self::Ratio => "ratio",
            Self::Cores => "cores",
            Self::Millicores => "millicores",
            Self::Nanocores => "nanocores",
            Self::Bytes => "bytes",
            Self::PerSecond => "per_second",
            Self::PerMinute => "per_minute",
            Self::PerPeriod => "per_period",
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
            Self::Count => "count",
        })
    }
}

/// A checked conversion: the factor from the unit of an answer to the unit of a measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conversion {
    measure: Measure,
    factor: f64,
}

impl Conversion {
    /// The caller has checked that it is a unit of the measure.
    pub(super) fn of(
        measure: Measure,
        unit: Unit,
        facts: &WorkloadFacts,
        period: Duration,
    ) -> Result<Self, MappingError> {
        let of_request = |request: Option<u64>, field: &'static str, units_in_request: f64| match request {
            Some(request) if request > 0 => Ok(100.0 * units_in_request / request as f64),
            _ => Err(MappingError::RequestUnknown { measure, unit, field }),
        };
        let of_cpu = |millicores: f64| of_request(facts.cpu_request_millicores, "cpu_request_millicores", millicores);
        let factor = match unit {
            Unit::Percent | Unit::PerSecond | Unit::Milliseconds | Unit::Count => 1.0,
            Unit::Ratio => 100.0,
            Unit::Cores => of_cpu(1e3)?,
            Unit::Millicores => of_cpu(1.0)?,
            Unit::Nanocores => of_cpu(1e-6)?,
            Unit::Bytes => of_request(facts.memory_request_bytes, "memory_request_bytes", 1.0)?,
            Unit::PerMinute => 1.0 / 60.0,
            Unit::PerPeriod if period.is_zero() => return Err(MappingError::NoPeriod { measure }),
            Unit::PerPeriod => 1.0 / period.as_secs_f64(),
            Unit::Seconds => 1e3,
            Unit::Microseconds => 1e-3,
            Unit::Nanoseconds => 1e-6,
        };
        Ok(Self { measure, factor })
    }

    /// What the answer measures.
    pub fn measure(self) -> Measure {
        self.measure
    }

    /// The number in the unit of the measure. Whether it can be true is decided where it is put in place ([`put`](Self::put)).
    pub fn convert(self, value: f64) -> f64 {
        value * self.factor
    }

    /// Puts a number of the answer into a sample. One that cannot be true becomes an absence with its cause
    /// ([`SignalKind::check`]), and a pod count that cannot be true stays unknown.
    ///
    /// A pod count that is a mean over a period is rounded up: what is there counts as there, and a size that is overstated shrinks
    /// nothing.
    pub fn put(self, value: f64, sample: &mut ScalingMetrics) {
        let value = self.convert(value);
        match self.measure {
            Measure::Signal(kind) => sample.set(kind, kind.check(value)),
            Measure::ReadyPods => sample.current_pod_count = whole_pods(value),
            Measure::DesiredPods => sample.desired_pod_count = whole_pods(value),
        }
    }
}

/// Rounded up but for the error of a mean: 3.0000001 is 3.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole_pods(value: f64) -> Option<u32> {
    let pods = (value - 1e-6).ceil().max(0.0);
    (value >= 0.0 && pods <= f64::from(MAX_REPLICAS)).then_some(pods as u32)
}
