//! The newest measurements, an absent one with its cause.

use scaling_core::{ScalingMetrics, Signal, SignalKind, SignalSet};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::causes::coded;
use super::number::number;

/// Every signal, in storage order. One that nobody delivers is `null`, one that should be there and is not names its cause.
pub(super) struct Signals<'a> {
    pub(super) metrics: &'a ScalingMetrics,
    pub(super) declared: SignalSet,
}

impl Serialize for Signals<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(SignalKind::ALL.len()))?;
        for kind in SignalKind::ALL {
            let value = match self.metrics.signal(kind) {
                Signal::Present(value) => number(value),
                Signal::NOT_MEASURED if !self.declared.contains(kind) => Value::Null,
                Signal::Absent(absence) => coded(&absence),
            };
            map.serialize_entry(kind.field(), &value)?;
        }
        map.end()
    }
}
