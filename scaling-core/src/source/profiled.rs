//! [`Profiled`]: a source that also learns how the load moves.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::{MetricsSource, SourceError};
use crate::{LoadProfile, Observation, Target};

/// Learn slowly, decide fast: adds a [`LoadProfile`] to the facts of each observation, learnt from its history and learnt again
/// when it is an hour old. Time is that of the observations, so a replay learns the same at the same instants.
#[derive(Debug)]
pub struct Profiled<S> {
    inner: S,
    every: TimeDelta,
    profiles: Mutex<HashMap<Target, (DateTime<Utc>, Option<LoadProfile>)>>,
}

impl<S: MetricsSource> Profiled<S> {
    /// `inner`, with a profile that is at most an hour old.
    pub fn new(inner: S) -> Self {
        Self::every(inner, TimeDelta::hours(1))
    }

    /// `inner`, with a profile that is at most so old.
    pub fn every(inner: S, every: TimeDelta) -> Self {
        Self { inner, every, profiles: Mutex::default() }
    }

    fn profiles(&self) -> MutexGuard<'_, HashMap<Target, (DateTime<Utc>, Option<LoadProfile>)>> {
        self.profiles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: MetricsSource> MetricsSource for Profiled<S> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let mut observation = self.inner.observe(target, now).await?;
        let at = observation.current.timestamp;
        let known = self.profiles().get(target).cloned();
        observation.facts.load_profile = match known {
            Some((learnt, profile)) if at >= learnt && at - learnt < self.every => profile,
            _ => {
                let profile = LoadProfile::learn(&observation);
                self.profiles().insert(target.clone(), (at, profile.clone()));
                profile
            }
        };
        Ok(observation)
    }
}
