//! [`Floored`]: an engine whose decisions never go below a floor that the clock sets.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{DecisionEngine, EngineError};
use crate::decision::{Floor, ScalingDecision};
use crate::metrics::Observation;
use crate::target::Target;

/// Knows which floor is due: a schedule, a calendar of events.
///
/// **Given:** the workload, and what time it is. **Promised:** the same question gives the same answer; no metrics are needed.
pub trait FloorSource: Send + Sync {
    /// A short, constant name for records and metrics.
    fn name(&self) -> &str;

    /// The highest floor that is due at an instant.
    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor>;
}

impl<F: FloorSource + ?Sized> FloorSource for Arc<F> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        (**self).floor(target, now)
    }
}

/// The decisions of an engine with the floors of a [`FloorSource`] (law 7): the request stays the engine's own, with its own
/// confidence; the floor is held beside it by the time of the tick, not by that of the metrics.
///
/// Without an answer from the engine there is no decision, and the floor is held all the same: the autoscaler asks for it
/// ([`DecisionEngine::floor`]).
///
/// ```
/// use scaling_core::chrono::{DateTime, Utc};
/// use scaling_core::engine::FloorSource;
/// use scaling_core::{EngineExt, Floor, Reason, RuleBasedEngine, DecisionEngine, Target};
///
/// struct Always(u32);
///
/// impl FloorSource for Always {
///     fn name(&self) -> &str {
///         "always"
///     }
///     fn floor(&self, _: &Target, _: DateTime<Utc>) -> Option<Floor> {
///         Some(Floor::new(self.0, Reason::Schedule { window: "always".into(), replicas: self.0 }))
///     }
/// }
///
/// let engine = RuleBasedEngine::default().floored(Always(3));
/// assert_eq!(engine.name(), "rules floored by always");
/// ```
#[derive(Clone, Debug)]
pub struct Floored<E, F> {
    engine: E,
    floors: F,
    name: String,
}

impl<E: DecisionEngine, F: FloorSource> Floored<E, F> {
    /// `engine` over the floors of `floors`.
    pub fn new(engine: E, floors: F) -> Self {
        let name = format!("{} floored by {}", engine.name(), floors.name());
        Self { engine, floors, name }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: DecisionEngine, F: FloorSource> DecisionEngine for Floored<E, F> {
    fn name(&self) -> &str {
        &self.name
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let decision = self.engine.decide(observation).await?;
        Ok(match self.floors.floor(&observation.target, observation.now) {
            Some(floor) => decision.with_floor(floor),
            None => decision,
        })
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        Floor::highest([self.floors.floor(target, now), self.engine.floor(target, now)])
    }
}
