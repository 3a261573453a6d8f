//! What is remembered of each workload between two ticks.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::FleetConfig;
use super::source::before;
use super::term::Workload;
use crate::metrics::{MetricsHistory, Observation, ScalingMetrics};
use crate::source::{Accumulator, SampleCounts, SourceError};
use crate::target::Target;

/// Samples of every workload, by target.
#[derive(Debug)]
pub(super) struct States {
    known: Mutex<HashMap<Target, State>>,
    limit: usize,
}

#[derive(Debug)]
struct State {
    samples: Accumulator,
    /// End of the last step that was asked for and answered.
    asked: Option<DateTime<Utc>>,
}

impl States {
    pub(super) fn new(limit: usize) -> Self {
        Self { known: Mutex::default(), limit }
    }

    /// Instant up to which a workload is known: of its newest sample, or asked for without one.
    pub(super) fn asked(&self, target: &Target) -> Option<DateTime<Utc>> {
        self.locked().get(target).and_then(|state| state.asked)
    }

    /// Instant of the newest sample of a workload.
    pub(super) fn newest(&self, target: &Target) -> Option<DateTime<Utc>> {
        self.locked().get(target).and_then(|state| state.samples.newest())
    }

    pub(super) fn counts(&self, target: &Target) -> Option<SampleCounts> {
        self.locked().get(target).map(|state| state.samples.counts())
    }

    /// Takes samples in the order of time, those that are known already left out; returns how many were new.
    pub(super) fn take(&self, target: &Target, samples: Vec<ScalingMetrics>, until: DateTime<Utc>) -> usize {
        let mut known = self.locked();
        let fresh = || Accumulator::continuing(Arc::new(MetricsHistory::with_limit(self.limit)));
        let state = known.entry(target.clone()).or_insert_with(|| State { samples: fresh(), asked: None });
        let newest = state.samples.newest();
        let new = samples.into_iter().filter(|sample| newest.is_none_or(|newest| sample.timestamp > newest));
        let taken = new.filter(|sample| state.samples.push(sample.clone(), until).is_ok()).count();
        state.asked = state.asked.max(Some(until));
        taken
    }

    /// What is known of a workload at `now`.
    pub(super) fn observation<S: Eq + Hash>(
        &self,
        workload: &Workload<S>,
        config: &FleetConfig,
        now: DateTime<Utc>,
    ) -> Result<Observation, SourceError> {
        let nothing = || SourceError::NoData { target: workload.target.clone(), at: now };
        let mut known = self.locked();
        let state = known.get_mut(&workload.target).ok_or_else(nothing)?;
        let oldest = before(now, config.lookback);
        if state.samples.newest().is_some_and(|newest| newest < oldest) {
            // Lost for longer than anybody looks back: a gap, until it returns.
            state.samples.lapse();
        }
        let current = state.samples.at(now).cloned().ok_or_else(nothing)?;
        let observation = Observation::new(workload.target.clone(), current).at(now);
        Ok(observation
            .declaring(workload.mapping.declared())
            .with_history(state.samples.history().clone())
            .with_facts(workload.facts.clone()))
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Target, State>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
