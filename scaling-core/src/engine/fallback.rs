//! [`Fallback`]: one engine, and another for when it has no answer.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{DecisionEngine, EngineError};
use crate::decision::{Floor, Reason, ScalingDecision};
use crate::metrics::Observation;
use crate::target::Target;

/// Asks the first engine; if it has no answer, the second. The answer then says who failed and why. The higher of both floors
/// is held.
///
/// ```
/// use scaling_core::{DecisionEngine, EngineExt, RuleBasedEngine};
/// let engine = RuleBasedEngine::default().or_else(RuleBasedEngine::default());
/// assert_eq!(engine.name(), "rules or rules");
/// ```
#[derive(Debug)]
pub struct Fallback<A, B> {
    first: A,
    second: B,
    name: String,
}

impl<A: DecisionEngine, B: DecisionEngine> Fallback<A, B> {
    /// `first`, or else `second`.
    pub fn new(first: A, second: B) -> Self {
        let name = format!("{} or {}", first.name(), second.name());
        Self { first, second, name }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: DecisionEngine, B: DecisionEngine> DecisionEngine for Fallback<A, B> {
    fn name(&self) -> &str {
        &self.name
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        match self.first.decide(observation).await {
            Ok(decision) => Ok(decision),
            Err(error) => {
                let decision = match self.second.decide(observation).await {
                    Ok(decision) => decision,
                    Err(last) => {
                        let last = format!("{}: {error}; {}: {last}", self.first.name(), self.second.name());
                        return Err(EngineError::NoneAnswered { asked: 2, last });
                    }
                };
                Ok(decision
                    .because(Reason::FellBack { engine: self.first.name().to_owned(), error: error.to_string() }))
            }
        }
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        Floor::highest([self.first.floor(target, now), self.second.floor(target, now)])
    }
}
