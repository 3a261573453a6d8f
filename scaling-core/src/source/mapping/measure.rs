//! [`Measure`]: a signal, or a pod count beside the signals.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::metrics::SignalKind;

const READY: &str = "current_pod_count";
const DESIRED: &str = "desired_pod_count";

/// What a query can deliver of a workload. Written by the name of its field in [`ScalingMetrics`](crate::ScalingMetrics), such as
/// `cpu_utilization_percent` or `current_pod_count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Measure {
    /// One of the seven signals.
    Signal(SignalKind),
    /// Pods that are ready.
    ReadyPods,
    /// Pods that the scale subresource asks for.
    DesiredPods,
}

impl Measure {
    pub(super) const RESPONSE_TIME: Self = Self::Signal(SignalKind::ResponseTime);

    /// Every measure: the signals in their order, then the pod counts.
    pub fn all() -> impl Iterator<Item = Self> {
        SignalKind::ALL.into_iter().map(Self::Signal).chain([Self::ReadyPods, Self::DesiredPods])
    }

    /// The signal, if it is one.
    pub fn signal(self) -> Option<SignalKind> {
        match self {
            Self::Signal(kind) => Some(kind),
            Self::ReadyPods | Self::DesiredPods => None,
        }
    }

    /// The name of its field in JSON and CSV.
    pub fn field(self) -> &'static str {
        match self {
            Self::Signal(kind) => kind.field(),
            Self::ReadyPods => READY,
            Self::DesiredPods => DESIRED,
        }
    }
}

impl From<SignalKind> for Measure {
    fn from(kind: SignalKind) -> Self {
        Self::Signal(kind)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field())
    }
}

impl Serialize for Measure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.field())
    }
}

impl<'de> Deserialize<'de> for Measure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::all().find(|measure| measure.field() == name).ok_or_else(|| {
            let known: Vec<_> = Self::all().map(Self::field).collect();
            serde::de::Error::custom(format!("there is no measure {name:?}; there are: {}", known.join(", ")))
        })
    }
}
