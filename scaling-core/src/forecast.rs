//! The one way in which an expectation of load reaches an engine: [`Forecast`] and [`LoadForecast`].

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::metrics::{Observation, SignalKind};

/// Forecasts the load that a pod created now will meet when it is ready.
///
/// **Given:** an observation; only what lies before its present may be used. **Promised:** the same observation gives the same
/// forecast; a finite load of at least 0, or the reason why there is none. The models live in `scaling-schedule`; a host's own
/// implements this trait and is given to an engine by [`EngineExt::forecasting`](crate::EngineExt::forecasting).
///
/// ```
/// use scaling_core::{EngineExt, Forecast, LoadForecast, NoForecast, Observation, RuleBasedEngine, SignalKind};
///
/// /// Load doubles while a pod starts.
/// struct Doubling;
///
/// impl Forecast for Doubling {
///     fn name(&self) -> &str {
///         "doubling"
///     }
///     fn forecast(&self, observation: &Observation) -> Result<LoadForecast, NoForecast> {
///         let signal = SignalKind::RequestRate;
///         let observed = observation.current.value(signal).ok_or(NoForecast::NoLoad { signal })?;
///         let ahead_s = observation.facts.look_ahead().as_secs_f64();
///         Ok(LoadForecast { signal, observed, expected: 2.0 * observed, quantile: 0.95, ahead_s })
///     }
/// }
///
/// let engine = RuleBasedEngine::default().forecasting(Doubling);
/// # let _ = engine;
/// ```
pub trait Forecast: Send + Sync {
    /// A short, constant name for records and metrics.
    fn name(&self) -> &str;

    /// Forecasts once.
    ///
    /// # Errors
    /// [`NoForecast`] with the reason why there is none.
    fn forecast(&self, observation: &Observation) -> Result<LoadForecast, NoForecast>;
}

impl<F: Forecast + ?Sized> Forecast for Arc<F> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn forecast(&self, observation: &Observation) -> Result<LoadForecast, NoForecast> {
        (**self).forecast(observation)
    }
}

impl<F: Forecast + ?Sized> Forecast for Box<F> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn forecast(&self, observation: &Observation) -> Result<LoadForecast, NoForecast> {
        (**self).forecast(observation)
    }
}

/// An upper quantile of the load that comes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadForecast {
    /// The signal that measures the load.
    pub signal: SignalKind,
    /// Load as observed, in the unit of its signal.
    pub observed: f64,
    /// Load that is exceeded with the probability 1 − `quantile`, in the same unit.
    pub expected: f64,
    /// The quantile, 0..=1: 0.97 is exceeded three times in a hundred.
    pub quantile: f64,
    /// From the observation to the moment that is forecast, in seconds.
    pub ahead_s: f64,
}

/// Why there is no forecast.
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
