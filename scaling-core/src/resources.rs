//! [`Requests`] of a pod, and a [`ResourceChange`] of them.

use serde::{Deserialize, Serialize};

use crate::metrics::WorkloadFacts;

/// A change of what each pod requests, in percent of the present request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceChange {
    /// Change of the CPU request; 0 leaves it.
    pub cpu_percent: i32,
    /// Change of the memory request; 0 leaves it.
    pub memory_percent: i32,
}

impl ResourceChange {
    /// Nothing changes.
    pub const NONE: Self = Self { cpu_percent: 0, memory_percent: 0 };

    /// Returns true if any request becomes smaller.
    pub fn shrinks(self) -> bool {
        self.cpu_percent.min(self.memory_percent) < 0
    }

    /// Returns true if any request becomes larger.
    pub fn grows(self) -> bool {
        self.cpu_percent.max(self.memory_percent) > 0
    }

    /// The change, or none if it changes nothing.
    pub fn filled(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }
}

/// Requests of one pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// CPU in thousandths of a core, if known.
    pub cpu_millicores: Option<u64>,
    /// Memory in bytes, if known.
    pub memory_bytes: Option<u64>,
}

impl Requests {
    /// Adds the requests that are known to the facts of a workload; those that are not known stay as they are.
    #[must_use]
    pub fn added_to(self, mut facts: WorkloadFacts) -> WorkloadFacts {
        facts.cpu_request_millicores = self.cpu_millicores.or(facts.cpu_request_millicores);
        facts.memory_request_bytes = self.memory_bytes.or(facts.memory_request_bytes);
        facts
    }

    pub(crate) fn of(facts: &WorkloadFacts) -> Self {
        Self { cpu_millicores: facts.cpu_request_millicores, memory_bytes: facts.memory_request_bytes }
    }

    pub(crate) fn changed(self, change: ResourceChange) -> (Self, Self) {
        let by = |value: Option<u64>, percent: i32| {
            let factor = u64::try_from(100_i64.saturating_add(i64::from(percent))).unwrap_or(0);
            value.map(|value| (value / 100).saturating_mul(factor).saturating_add(value % 100 * factor / 100))
        };
        let new = Self {
            cpu_millicores: by(self.cpu_millicores, change.cpu_percent),
            memory_bytes: by(self.memory_bytes, change.memory_percent),
        };
        (self, new)
    }
}
