//! How a workload's load moves, learnt from a longer past.

use serde::{Deserialize, Serialize};

use crate::Observation;

/// How a workload's load moves, learnt from a longer past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadProfile {}

impl LoadProfile {
    /// Load to expect.
    #[allow(clippy::unused_self)]
    pub(super) fn expected_load(&self, _: &Observation, observed: f64) -> f64 {
        observed
    }
}
