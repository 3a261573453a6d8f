//! The one way in which an expectation of load reaches an engine: [`Forecast`] and [`LoadForecast`].

use std::sync::Arc;

pub use crate::metrics::{LoadForecast, NoForecast};

use crate::metrics::Observation;

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
