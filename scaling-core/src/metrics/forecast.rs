//! The load that is expected, or why it is not known.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::SignalKind;

/// An upper quantile of the load that comes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadForecast {
    /// The signal that measures the load.
    pub signal: SignalKind,
    /// Load as observed, in the unit of its signal. For CPU utilization, in pods that it fills: utilization times ready pods.
    pub observed: f64,
    /// Load that is exceeded with the probability 1 − `quantile`, in the same unit.
    pub expected: f64,
    /// The quantile, 0..=1: 0.97 is exceeded three times in a hundred.
    pub quantile: f64,
    /// From the observation to the moment that is forecast, in seconds.
    pub ahead_s: f64,
}

/// Reasons why there is no forecast.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "no_forecast", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoForecast {
    /// The load is not measured now.
    #[error("{signal} is not measured now")]
    NoLoad {
        /// The signal that would measure it.
        signal: SignalKind,
    },
    /// Neither a declared capacity nor pods at work tell what a pod carries.
    #[error("what a pod carries is not known")]
    NoCapacity,
    /// The past is too short, or has too many gaps.
    #[error("too little of the past is known")]
    TooShort,
    /// The model gave a number that is no load.
    #[error("the model gave no finite load")]
    NotFinite,
}

impl fmt::Display for LoadForecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signal, observed, expected, quantile, ahead_s } = self;
        write!(f, "{signal} of {observed:.1} may become {expected:.1} within {ahead_s:.0} s (quantile {quantile:.3})")
    }
}
