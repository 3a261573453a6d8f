//! [`Ensemble`]: several engines, the largest request counts.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{DecisionEngine, EngineError};
use crate::decision::{Floor, Reason, ScalingDecision};
use crate::metrics::Observation;
use crate::resources::ResourceChange;
use crate::target::Target;

/// Asks every member and takes the answer that wants the most pods, so that growing needs one member and shrinking needs all.
/// The same holds for what a pod requests. A member without an answer does not stop growth, but nothing shrinks without it; it
/// is named with its failure. The highest floor of all is held.
///
/// ```
/// use scaling_core::{DecisionEngine, Ensemble, RuleBasedEngine};
/// let engine = Ensemble::of(RuleBasedEngine::default()).with(RuleBasedEngine::default());
/// assert_eq!(engine.name(), "ensemble of rules and rules");
/// ```
pub struct Ensemble {
    members: Vec<Box<dyn DecisionEngine>>,
    name: String,
}

impl std::fmt::Debug for Ensemble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.members.iter().map(|member| member.name().to_owned())).finish()
    }
}

impl Ensemble {
    /// At least one member, then [`Ensemble::with`] more.
    pub fn of(first: impl DecisionEngine + 'static) -> Self {
        Self { name: format!("ensemble of {}", first.name()), members: vec![Box::new(first)] }
    }

    /// The same with one more member.
    #[must_use]
    pub fn with(mut self, member: impl DecisionEngine + 'static) -> Self {
        self.name = format!("{} and {}", self.name, member.name());
        self.members.push(Box::new(member));
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DecisionEngine for Ensemble {
    fn name(&self) -> &str {
        &self.name
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
        let floor = Floor::highest(answers.iter().map(|answer| answer.floor.clone()));
        let foreseen =
            answers.iter().map(|answer| (answer.desired_replicas, answer.foreseen)).max().is_some_and(|most| most.1);
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
            let held = decision.current_replicas;
            decision = decision.resized(held).because(Reason::HeldForAbsence { replicas: held });
        }
        (decision.resources, decision.floor, decision.foreseen) = (resources, floor, foreseen);
        let chosen = decision.engine.clone().into_owned();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        decision
            .reasons
            .extend(failures.into_iter().map(|(engine, error)| Reason::FellBack { engine: engine.to_owned(), error }));
        Ok(decision.because(Reason::Ensemble { chosen, answered: count(answered), asked: count(asked) }))
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        Floor::highest(self.members.iter().map(|member| member.floor(target, now)))
    }
}

/// The largest request for each resource; no request counts as 0, and so, upward only, does a member that did not answer.
fn largest(requests: impl Iterator<Item = Option<ResourceChange>>, all_answered: bool) -> Option<ResourceChange> {
    let none = ResourceChange::NONE;
    let floor = (!all_answered).then_some(none);
    let largest = requests.map(Option::unwrap_or_default).chain(floor).reduce(|a, b| ResourceChange {
        cpu_percent: a.cpu_percent.max(b.cpu_percent),
        memory_percent: a.memory_percent.max(b.memory_percent),
    });
    largest.and_then(ResourceChange::filled)
}
