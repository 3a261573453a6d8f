//! [`Profiled`]: a source that also learns how the load moves.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::{MetricsSource, SourceError};
use crate::{LoadProfile, Observation, Target};

/// The profile of each workload, and the instant up to which it was learnt.
type Profiles = HashMap<Target, (DateTime<Utc>, Option<LoadProfile>)>;

/// Learn slowly, decide fast: adds a [`LoadProfile`] to the facts of each observation, learnt from what was known at the last
/// full hour. The hour is that of the observation and the profile is kept until the next, so what is learnt depends on the past
/// alone, not on when or how often anybody asked: a replay learns the same.
#[derive(Debug)]
pub struct Profiled<S> {
    source: S,
    every_ms: i64,
    profiles: Mutex<Profiles>,
}

impl<S: MetricsSource> Profiled<S> {
    /// `source`, with the profile of the last full hour.
    pub fn new(source: S) -> Self {
        Self::every(source, TimeDelta::hours(1))
    }

    /// `source`, with the profile of the last full multiple of `every`, at least a second.
    pub fn every(source: S, every: TimeDelta) -> Self {
        Self { source, every_ms: every.num_milliseconds().max(1000), profiles: Mutex::default() }
    }

    fn profiles(&self) -> MutexGuard<'_, Profiles> {
        self.profiles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: MetricsSource> MetricsSource for Profiled<S> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let mut observation = self.source.observe(target, now).await?;
        let at = observation.current.timestamp;
        let into = TimeDelta::milliseconds(at.timestamp_millis().rem_euclid(self.every_ms));
        let full = at.checked_sub_signed(into).unwrap_or(at);
        let known = self.profiles().get(target).filter(|(learnt, _)| *learnt == full).cloned();
        observation.facts.load_profile = if let Some((_, profile)) = known {
            profile
        } else {
            let profile = LoadProfile::learn_until(&observation, full);
            self.profiles().insert(target.clone(), (full, profile.clone()));
            profile
        };
        Ok(observation)
    }
}
