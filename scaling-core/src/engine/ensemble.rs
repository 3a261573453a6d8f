//! [`Ensemble`]: several engines, the largest wish counts.

use async_trait::async_trait;

use super::{DecisionEngine, EngineError};
use crate::{Observation, Reason, ScalingDecision};

/// Asks every member and takes the answer that wants the most pods, so that growing needs one member and shrinking needs all.
/// A member without an answer does not stop growth, but nothing shrinks without it.
pub struct Ensemble {
    members: Vec<Box<dyn DecisionEngine>>,
}

impl std::fmt::Debug for Ensemble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.members.iter().map(|member| member.name().to_owned())).finish()
    }
}

impl Ensemble {
    /// At least one member, then [`Ensemble::with`] more.
    pub fn of(first: impl DecisionEngine + 'static) -> Self {
        Self { members: vec![Box::new(first)] }
    }

    /// The same with one more member.
    #[must_use]
    pub fn with(mut self, member: impl DecisionEngine + 'static) -> Self {
        self.members.push(Box::new(member));
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DecisionEngine for Ensemble {
    fn name(&self) -> &'static str {
        "ensemble"
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let mut chosen: Option<ScalingDecision> = None;
        let mut answered = 0_u32;
        let mut last_error = None;
        for member in &self.members {
            match member.decide(observation).await {
                Ok(decision) => {
                    answered += 1;
                    // Bigger pods wanted by one member are not lost because another wants more pods.
                    let resources = chosen.as_ref().and_then(|best| best.resources).or(decision.resources);
                    let best = match chosen.take() {
                        Some(best) if best.desired_replicas >= decision.desired_replicas => best,
                        _ => decision,
                    };
                    chosen = Some(ScalingDecision { resources, ..best });
                }
                Err(error) => last_error = Some(error.to_string()),
            }
        }
        let asked = self.members.len();
        let Some(decision) = chosen else {
            return Err(EngineError::NoneAnswered { asked, last: last_error.unwrap_or_default() });
        };
        let engine = decision.engine.clone().into_owned();
        let mut decision = decision;
        if decision.shrinks() && last_error.is_some() {
            let held = ScalingDecision::replicas(
                decision.engine.clone(),
                decision.at,
                decision.current_replicas,
                decision.current_replicas,
            );
            decision = ScalingDecision {
                confidence: decision.confidence,
                reasons: vec![Reason::HeldForAbsence { replicas: decision.current_replicas }],
                ..held
            };
        }
        Ok(decision.because(Reason::Ensemble {
            chosen: engine,
            answered,
            asked: u32::try_from(asked).unwrap_or(u32::MAX),
        }))
    }
}
