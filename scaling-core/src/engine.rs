//! Deciding: the trait [`DecisionEngine`] and the wrappers that combine engines.
//!
//! A wrapper is the thing it wraps. Their order matters: `a.breaker(..).or_else(b)` stops asking `a` when it keeps failing and
//! carries on with `b`; `a.or_else(b).breaker(..)` counts only the times when both failed.

mod breaker;
mod ensemble;
mod error;
mod fallback;
mod shadow;

use std::sync::Arc;

use async_trait::async_trait;

pub use breaker::{Breaker, BreakerConfig};
pub use ensemble::Ensemble;
pub use error::EngineError;
pub use fallback::Fallback;
pub use shadow::Shadow;

use crate::{Observation, ScalingDecision};

/// Decides how big a workload should be.
///
/// **Given:** one [`Observation`]. **Promised:** the same observation gives the same decision, except for engines that ask
/// somebody else, which must be recorded to be replayed; no panic whatever the numbers; `desired_replicas` at or above
/// `current_replicas` when a signal that was there is gone (law 2). Whether the wish is allowed is the guards' business.
/// **An error** means "no answer": nothing is changed, and the record says so.
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
}

#[async_trait]
impl<E: DecisionEngine + ?Sized> DecisionEngine for Box<E> {
    fn name(&self) -> &str {
        (**self).name()
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        (**self).decide(observation).await
    }
}

#[async_trait]
impl<E: DecisionEngine + ?Sized> DecisionEngine for Arc<E> {
    fn name(&self) -> &str {
        (**self).name()
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

    /// Lets `candidate` decide beside this engine; its answer is only recorded.
    fn shadow<E: DecisionEngine>(self, candidate: E) -> Shadow<Self, E> {
        Shadow::new(self, candidate)
    }
}

impl<E: DecisionEngine> EngineExt for E {}
