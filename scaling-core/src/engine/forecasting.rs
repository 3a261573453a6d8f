//! [`Forecasting`]: an engine that is told which load to expect.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{DecisionEngine, EngineError};
use crate::decision::{Floor, ScalingDecision};
use crate::forecast::Forecast;
use crate::metrics::Observation;
use crate::target::Target;

/// Asks a [`Forecast`] first and hands its answer, or the reason why there is none, to the engine in
/// [`Observation::forecast`].
///
/// ```
/// use scaling_core::{DecisionEngine, EngineExt, Forecast, LoadForecast, NoForecast, Observation, RuleBasedEngine};
///
/// struct Unknown;
///
/// impl Forecast for Unknown {
///     fn name(&self) -> &str {
///         "unknown"
///     }
///     fn forecast(&self, _: &Observation) -> Result<LoadForecast, NoForecast> {
///         Err(NoForecast::TooShort)
///     }
/// }
///
/// assert_eq!(RuleBasedEngine::default().forecasting(Unknown).name(), "rules forecasting by unknown");
/// ```
#[derive(Clone, Debug)]
pub struct Forecasting<E, F> {
    engine: E,
    forecast: F,
    name: String,
}

impl<E: DecisionEngine, F: Forecast> Forecasting<E, F> {
    /// `engine`, told what `forecast` expects.
    pub fn new(engine: E, forecast: F) -> Self {
        let name = format!("{} forecasting by {}", engine.name(), forecast.name());
        Self { engine, forecast, name }
    }

    /// The engine.
    pub fn engine(&self) -> &E {
        &self.engine
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: DecisionEngine, F: Forecast> DecisionEngine for Forecasting<E, F> {
    fn name(&self) -> &str {
        &self.name
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let told = observation.clone().with_forecast(self.forecast.forecast(observation));
        self.engine.decide(&told).await
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        self.engine.floor(target, now)
    }
}
