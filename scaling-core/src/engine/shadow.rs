//! [`Shadow`]: a second engine decides beside the first and is only recorded.

use async_trait::async_trait;

use super::{DecisionEngine, EngineError};
use crate::{Observation, ScalingDecision, ShadowDecision, ShadowOutcome};

/// The primary's answer stands, word for word; the candidate's travels with it in [`ScalingDecision::shadow`] into the
/// record. A candidate that fails is recorded as failed and changes nothing.
#[derive(Debug)]
pub struct Shadow<P, C> {
    primary: P,
    candidate: C,
}

impl<P: DecisionEngine, C: DecisionEngine> Shadow<P, C> {
    /// `primary` decides, `candidate` looks on.
    pub fn new(primary: P, candidate: C) -> Self {
        Self { primary, candidate }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: DecisionEngine, C: DecisionEngine> DecisionEngine for Shadow<P, C> {
    fn name(&self) -> &str {
        self.primary.name()
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let mut decision = self.primary.decide(observation).await?;
        let outcome = match self.candidate.decide(observation).await {
            Ok(answer) => ShadowOutcome::Decided(Box::new(answer)),
            Err(error) => ShadowOutcome::Failed(error.to_string()),
        };
        let beside = decision.shadow.take();
        decision.shadow = Some(Box::new(ShadowDecision { engine: self.candidate.name().to_owned(), outcome, beside }));
        Ok(decision)
    }
}
