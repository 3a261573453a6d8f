//! The engine that a target names: [`Engines`].

use std::collections::BTreeMap;

use async_trait::async_trait;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{DecisionEngine, EngineError, Floor, Observation, ScalingDecision, Target};

use super::roster::Roster;

/// The engine that the settings of a target name, or the first.
pub(super) struct Engines {
    pub(super) first: Box<dyn DecisionEngine>,
    pub(super) named: BTreeMap<String, Box<dyn DecisionEngine>>,
    pub(super) roster: Roster,
}

impl Engines {
    fn of(&self, target: &Target) -> &dyn DecisionEngine {
        // A name that nobody knows is a fault of the settings, with which a target is observed by the first.
        let named = self.roster.of(target, |settings| self.named.get(settings.engine.as_deref()?)).flatten();
        named.map_or(&*self.first, |engine| &**engine)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DecisionEngine for Engines {
    fn name(&self) -> &str {
        self.first.name()
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        self.of(target).floor(target, now)
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        self.of(&observation.target).decide(observation).await
    }
}
