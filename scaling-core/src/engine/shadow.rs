//! [`Shadow`]: a second engine decides beside the first and is only recorded.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{DecisionEngine, EngineError};
use crate::decision::{Floor, ScalingDecision, ShadowDecision, ShadowOutcome};
use crate::metrics::Observation;
use crate::target::Target;

/// The primary's answer stands, word for word; the candidate's travels with it in [`ScalingDecision::shadow`] into the
/// record. A candidate that fails is recorded as failed and changes nothing.
///
/// ```
/// use scaling_core::{DecisionEngine, EngineExt, RuleBasedEngine};
/// let engine = RuleBasedEngine::default().shadow(RuleBasedEngine::default());
/// assert_eq!(engine.name(), "rules shadowed by rules");
/// ```
#[derive(Debug)]
pub struct Shadow<P, C> {
    primary: P,
    candidate: C,
    name: String,
}

impl<P: DecisionEngine, C: DecisionEngine> Shadow<P, C> {
    /// `primary` decides, `candidate` looks on.
    pub fn new(primary: P, candidate: C) -> Self {
        let name = format!("{} shadowed by {}", primary.name(), candidate.name());
        Self { primary, candidate, name }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: DecisionEngine, C: DecisionEngine> DecisionEngine for Shadow<P, C> {
    fn name(&self) -> &str {
        &self.name
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let mut decision = self.primary.decide(observation).await?;
        let outcome = match self.candidate.decide(observation).await {
            Ok(answer) => ShadowOutcome::Decided(Box::new(answer)),
            Err(error) => ShadowOutcome::Failed(error.to_string()),
        };
        let next = decision.shadow.take();
        decision.shadow = Some(Box::new(ShadowDecision { engine: self.candidate.name().to_owned(), outcome, next }));
        Ok(decision)
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        self.primary.floor(target, now)
    }
}
