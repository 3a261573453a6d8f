//! Facts that the owner of a target states in its settings.

use async_trait::async_trait;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{MetricsSource, Observation, SourceError, Target};

use super::roster::Roster;

/// A source whose facts are those that the settings of the target state, where they state some.
#[derive(Debug)]
pub(super) struct WithFacts<S> {
    pub(super) source: S,
    pub(super) roster: Roster,
}

impl<S> WithFacts<S> {
    fn stated(&self, target: &Target, seen: Result<Observation, SourceError>) -> Result<Observation, SourceError> {
        let mut seen = seen?;
        let facts = std::mem::take(&mut seen.facts);
        seen.facts = self.roster.of(target, |settings| settings.facts(facts.clone())).unwrap_or(facts);
        Ok(seen)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: MetricsSource> MetricsSource for WithFacts<S> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        self.stated(target, self.source.observe(target, now).await)
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let seen = self.source.observe_all(targets, now).await;
        targets.iter().zip(seen).map(|(target, seen)| self.stated(target, seen)).collect()
    }
}
