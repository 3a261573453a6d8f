//! [`Ensemble`]: several engines, the largest wish counts.

use async_trait::async_trait;

use super::{DecisionEngine, EngineError};
use crate::{Observation, Reason, ResourceChange, ScalingAction, ScalingDecision};

/// Asks every member and takes the answer that wants the most pods, so that growing needs one member and shrinking needs all.
/// The same holds for what a pod requests. A member without an answer does not stop growth, but nothing shrinks without it; it
/// is named with its failure.
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
        let mut answers = Vec::with_capacity(self.members.len());
        let mut failures = Vec::new();
        for member in &self.members {
            match member.decide(observation).await {
                Ok(decision) => answers.push(decision),
                Err(error) => failures.push((member.name(), error.to_string())),
            }
        }
        let asked = self.members.len();
        let answered = answers.len();
        let resources = largest(answers.iter().map(|answer| answer.resources), failures.is_empty());
        // The first of those that want the most.
        let chosen = answers
            .into_iter()
            .reduce(|best, other| if other.desired_replicas > best.desired_replicas { other } else { best });
        let Some(mut decision) = chosen else {
            let last = failures.pop().map_or_else(String::new, |(name, error)| format!("{name}: {error}"));
            return Err(EngineError::NoneAnswered { asked, last });
        };
        if decision.shrinks() && !failures.is_empty() {
            decision.desired_replicas = decision.current_replicas;
            decision.cost = None;
            decision.reasons.push(Reason::HeldForAbsence { replicas: decision.current_replicas });
        }
        decision.resources = resources;
        decision.action = ScalingAction::of(decision.current_replicas, decision.desired_replicas, resources);
        let chosen = decision.engine.clone().into_owned();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        decision
            .reasons
            .extend(failures.into_iter().map(|(engine, error)| Reason::FellBack { engine: engine.to_owned(), error }));
        Ok(decision.because(Reason::Ensemble { chosen, answered: count(answered), asked: count(asked) }))
    }
}

/// The largest wish for each resource; no wish counts as 0, and so, upward only, does a member that did not answer.
fn largest(wishes: impl Iterator<Item = Option<ResourceChange>>, all_answered: bool) -> Option<ResourceChange> {
    let none = ResourceChange { cpu_percent: 0, memory_percent: 0 };
    let floor = (!all_answered).then_some(none);
    let largest = wishes.map(Option::unwrap_or_default).chain(floor).reduce(|a, b| ResourceChange {
        cpu_percent: a.cpu_percent.max(b.cpu_percent),
        memory_percent: a.memory_percent.max(b.memory_percent),
    });
    largest.filter(|change| *change != none)
}
