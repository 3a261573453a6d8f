//! Deciding: the trait [`DecisionEngine`] and the wrappers that combine engines.
//!
//! A wrapper is the thing it wraps. Their order matters: `a.breaker(..).or_else(b)` stops asking `a` when it keeps failing and
//! carries on with `b`; `a.or_else(b).breaker(..)` counts only the times when both failed.

mod breaker;
mod ensemble;
mod error;
mod fallback;
mod floored;
mod forecasting;
mod shadow;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use breaker::{Breaker, BreakerConfig, BreakerWatch};
pub use ensemble::Ensemble;
pub use error::EngineError;
pub use fallback::Fallback;
pub use floored::{FloorSource, Floored};
pub use forecasting::Forecasting;
pub use shadow::Shadow;

use crate::decision::{Floor, ScalingDecision};
use crate::forecast::Forecast;
use crate::metrics::Observation;
use crate::target::Target;

/// Decides how big a workload should be.
///
/// **Given:** one [`Observation`]. **Promised:** the same observation gives the same decision, except for engines that ask
/// somebody else, which must be recorded to be replayed; state is kept per [target](Observation::target); no panic whatever the
/// numbers; `desired_replicas` at or above `current_replicas` while a declared signal is absent (law 2). Guards decide whether the
/// request is allowed. **An error** means "no answer": nothing is changed but for floors that are due, and the record says so.
///
/// ```
/// use async_trait::async_trait;
/// use scaling_core::{DecisionEngine, EngineError, Observation, ScalingDecision};
///
/// /// Always five.
/// struct Five;
///
/// #[async_trait]
/// impl DecisionEngine for Five {
///     fn name(&self) -> &str {
///         "five"
///     }
///     async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
///         let current = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
///         let at = observation.current.timestamp;
///         Ok(ScalingDecision::replicas("five", at, current, 5).with_confidence(1.0))
///     }
/// }
/// ```
#[async_trait]
pub trait DecisionEngine: Send + Sync {
    /// A short, constant name for records and metrics.
    fn name(&self) -> &str;

    /// Decides once.
    ///
    /// # Errors
    /// [`EngineError`] if there is no answer.
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError>;

    /// The floor that is due at an instant whatever the metrics say: that of a schedule. It is held while a source is down. An
    /// engine without one, the default, answers `None`; a wrapper passes the question on.
    fn floor(&self, _target: &Target, _now: DateTime<Utc>) -> Option<Floor> {
        None
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: DecisionEngine + ?Sized> DecisionEngine for Box<E> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        (**self).floor(target, now)
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        (**self).decide(observation).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: DecisionEngine + ?Sized> DecisionEngine for Arc<E> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        (**self).floor(target, now)
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        (**self).decide(observation).await
    }
}

/// Short forms for combining engines.
pub trait EngineExt: DecisionEngine + Sized {
    /// Asks `other` when this engine has no answer.
    fn or_else<E: DecisionEngine>(self, other: E) -> Fallback<Self, E> {
        Fallback::new(self, other)
    }

    /// Stops asking this engine for a while when it keeps failing.
    fn breaker(self, config: BreakerConfig) -> Breaker<Self> {
        Breaker::new(self, config)
    }

    /// Holds the floors of `floors` under this engine's decisions.
    fn floored<F: FloorSource>(self, floors: F) -> Floored<Self, F> {
        Floored::new(self, floors)
    }

    /// Gives this engine the load that `forecast` expects.
    fn forecasting<F: Forecast>(self, forecast: F) -> Forecasting<Self, F> {
        Forecasting::new(self, forecast)
    }

    /// Lets `candidate` decide beside this engine; its answer is only recorded.
    fn shadow<E: DecisionEngine>(self, candidate: E) -> Shadow<Self, E> {
        Shadow::new(self, candidate)
    }
}

impl<E: DecisionEngine> EngineExt for E {}
