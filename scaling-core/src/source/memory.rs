//! [`MemorySource`]: observations that the host puts in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::{MetricsSource, SourceError};
use crate::{Observation, Target};

/// The newest observation of each workload, as the host put it in. For hosts that collect metrics themselves, and for tests.
#[derive(Debug, Default)]
pub struct MemorySource {
    observations: Mutex<HashMap<Target, Observation>>,
}

impl MemorySource {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts the newest observation of a workload in place of the last one.
    pub fn put(&self, target: Target, observation: Observation) {
        self.locked().insert(target, observation);
    }

    /// Appends the last observation to the history and puts `current` in its place, keeping facts and events.
    ///
    /// # Errors
    /// [`crate::HistoryError`] unless `current` is newer.
    pub fn advance(&self, target: &Target, current: crate::ScalingMetrics) -> Result<(), crate::HistoryError> {
        let mut observations = self.locked();
        let Some(observation) = observations.get_mut(target) else {
            observations.insert(target.clone(), Observation::new(target.clone(), current));
            return Ok(());
        };
        // History counts in milliseconds.
        if current.timestamp.timestamp_millis() <= observation.current.timestamp.timestamp_millis() {
            return Err(crate::HistoryError::NotAfter {
                newest: observation.current.timestamp,
                got: current.timestamp,
            });
        }
        Arc::make_mut(&mut observation.history).push(&observation.current)?;
        observation.current = current;
        Ok(())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<Target, Observation>> {
        self.observations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MetricsSource for MemorySource {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let observation = self.locked().get(target).cloned();
        let mut observation = observation.ok_or_else(|| SourceError::UnknownTarget { target: target.clone() })?;
        observation.now = now;
        if observation.current.timestamp > now {
            return Err(SourceError::NoData { target: target.clone(), at: now });
        }
        // A history that the host put in may run on beyond the present.
        let at = observation.current.timestamp;
        let before = at.checked_sub_signed(TimeDelta::milliseconds(1)).unwrap_or(at);
        if observation.history.newest() > Some(before) {
            Arc::make_mut(&mut observation.history).truncate_after(before);
        }
        Ok(observation)
    }
}
