//! A measured number or the reason why there is none.

use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Cause for which a signal has no usable value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "absent", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Absence {
    /// No measurement: it is not taken, or the source had nothing.
    NotMeasured,
    /// The newest value is too old to speak of now.
    Stale {
        /// Age, in seconds.
        age_s: u32,
    },
    /// Only some of the pods or series answered.
    Partial {
        /// Percent of what should have answered.
        covered_percent: u8,
    },
    /// NaN or infinite.
    NotFinite,
    /// Negative, or beyond what the quantity can be (see [`SignalKind::limit`]): a wrong unit or a broken exporter.
    OutOfRange,
    /// A mean over pods while no pod is ready, whatever number came.
    NoPods,
    /// A share of the request while a pod that counts states none, whatever it uses.
    NoRequest,
}

impl Absence {
    /// True if a measurement was there and is lost or corrupted, as against one that nobody takes.
    pub fn is_loss(self) -> bool {
        self != Self::NotMeasured
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMeasured => f.write_str("not measured"),
            Self::Stale { age_s } => write!(f, "stale for {age_s} s"),
            Self::Partial { covered_percent } => write!(f, "only {covered_percent} % answered"),
            Self::NotFinite => f.write_str("not a finite number"),
            Self::OutOfRange => f.write_str("out of range"),
            Self::NoPods => f.write_str("a mean over no pods"),
            Self::NoRequest => f.write_str("a pod states no request"),
        }
    }
}

/// The seven signals of a workload, besides its pod counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// CPU utilization, percent of request, mean over ready pods.
    CpuUtilization,
    /// Memory utilization, percent of request, mean over ready pods.
    MemoryUtilization,
    /// Requests per second arriving at the workload, all pods together.
    RequestRate,
    /// Response time in milliseconds, at the quantile that [`ScalingMetrics::response_time_quantile`](super::ScalingMetrics::response_time_quantile) says.
    ResponseTime,
    /// Failed requests, percent of all requests.
    ErrorRate,
    /// Open connections, all pods together.
    ActiveConnections,
    /// Requests or messages waiting, all pods together.
    QueueDepth,
}

impl SignalKind {
    /// Every kind, in storage order.
    pub const ALL: [Self; 7] = [
        Self::CpuUtilization,
        Self::MemoryUtilization,
        Self::RequestRate,
        Self::ResponseTime,
        Self::ErrorRate,
        Self::ActiveConnections,
        Self::QueueDepth,
    ];

    /// The name of the field in JSON and CSV.
    pub fn field(self) -> &'static str {
        match self {
            Self::CpuUtilization => "cpu_utilization_percent",
            Self::MemoryUtilization => "memory_utilization_percent",
            Self::RequestRate => "request_rate_per_second",
            Self::ResponseTime => "response_time_ms",
            Self::ErrorRate => "error_rate_percent",
            Self::ActiveConnections => "active_connections",
            Self::QueueDepth => "queue_depth",
        }
    }

    /// The largest value that can be true. Beyond it the unit is wrong or the exporter broken.
    ///
    /// Utilization may exceed 100 (usage above the request), but not a hundredfold; counts and rates end at 10¹².
    pub fn limit(self) -> f64 {
        match self {
            Self::CpuUtilization | Self::MemoryUtilization => 10_000.0,
            Self::ErrorRate => 100.0,
            Self::RequestRate | Self::ResponseTime | Self::ActiveConnections | Self::QueueDepth => 1e12,
        }
    }

    /// True for a mean over the ready pods: without a pod there is nothing to take it over.
    pub fn is_mean_over_pods(self) -> bool {
        matches!(self, Self::CpuUtilization | Self::MemoryUtilization)
    }

    /// True if the signal grows with the size of the workload (rates and counts) rather than being a ratio or a time.
    pub fn is_extensive(self) -> bool {
        matches!(self, Self::RequestRate | Self::ActiveConnections | Self::QueueDepth)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// `value` as a signal of this kind: absent with its cause if it is not finite or cannot be true.
    pub fn check(self, value: f64) -> Signal {
        if !value.is_finite() {
            Signal::Absent(Absence::NotFinite)
        } else if value < 0.0 || value > self.limit() {
            Signal::Absent(Absence::OutOfRange)
        } else {
            // -0.0 and 0.0 would print, and so record, differently.
            Signal::Present(value + 0.0)
        }
    }
}

impl fmt::Display for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CpuUtilization => "CPU utilization",
            Self::MemoryUtilization => "memory utilization",
            Self::RequestRate => "request rate",
            Self::ResponseTime => "response time",
            Self::ErrorRate => "error rate",
            Self::ActiveConnections => "active connections",
            Self::QueueDepth => "queue depth",
        })
    }
}

/// One measured number, or why there is none.
///
/// In JSON a present signal is a number, one that is not measured is `null`, any other absence is an object such as
/// `{"absent":"stale","age_s":90}`. The strings `"NaN"`, `"+Inf"` and `"-Inf"`, which Prometheus answers, read as not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Signal {
    /// The value: finite, not negative.
    Present(f64),
    /// No value.
    Absent(Absence),
}

impl Signal {
    /// Never measured.
    pub const NOT_MEASURED: Self = Self::Absent(Absence::NotMeasured);

    /// The value, if there is one.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent(_) => None,
        }
    }

    /// Cause of the absence, if there is no value.
    pub fn absence(self) -> Option<Absence> {
        match self {
            Self::Present(_) => None,
            Self::Absent(absence) => Some(absence),
        }
    }
}

impl Default for Signal {
    fn default() -> Self {
        Self::NOT_MEASURED
    }
}

impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Present(value) => serializer.serialize_f64(*value),
            Self::Absent(Absence::NotMeasured) => serializer.serialize_none(),
            Self::Absent(absence) => absence.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Signal {
    /// Reads the number as it stands; [`SignalKind::check`] decides whether it can be true.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SignalVisitor;

        impl<'de> Visitor<'de> for SignalVisitor {
            type Value = Signal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, null, or an object that says why it is absent")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Signal, E> {
                Ok(if value.is_finite() { Signal::Present(value) } else { Signal::Absent(Absence::NotFinite) })
            }

            fn visit_i64<E>(self, value: i64) -> Result<Signal, E> {
                Ok(Signal::Present(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Signal, E> {
                Ok(Signal::Present(value as f64))
            }

            fn visit_unit<E>(self) -> Result<Signal, E> {
                Ok(Signal::NOT_MEASURED)
            }

            fn visit_none<E>(self) -> Result<Signal, E> {
                Ok(Signal::NOT_MEASURED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Signal, E> {
                match text.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str() {
                    "nan" | "inf" | "infinity" => Ok(Signal::Absent(Absence::NotFinite)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Signal, A::Error> {
                Absence::deserialize(de::value::MapAccessDeserializer::new(map)).map(Signal::Absent)
            }
        }

        deserializer.deserialize_any(SignalVisitor)
    }
}
