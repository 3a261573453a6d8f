//! What is remembered of each workload between two ticks.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::config::{Times, before};
use super::series::Window;
use super::term::Workload;
use crate::metrics::{MetricsHistory, Observation, ScalingMetrics};
use crate::source::{Accumulator, SampleCounts};
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
    /// Spans of the past that a backfill is to bring, from their start up to their end.
    missing: Vec<(DateTime<Utc>, DateTime<Utc>)>,
}

impl State {
    fn new(limit: usize) -> Self {
        let history = Arc::new(MetricsHistory::with_limit(limit));
        Self { samples: Accumulator::continuing(history), asked: None, missing: Vec::new() }
    }

    /// Takes a span out of what is missing.
    fn has(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) {
        let rests = |(start, end): (DateTime<Utc>, DateTime<Utc>)| [(start, end.min(from)), (start.max(to), end)];
        let missing = std::mem::take(&mut self.missing).into_iter().flat_map(rests);
        self.missing = missing.filter(|(start, end)| start < end).collect();
    }
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
        let known = self.locked();
        known.get(target).filter(|state| state.asked.is_some()).map(|state| state.samples.counts())
    }

    /// Takes samples in the order of time, those that are known already left out; returns how many were new.
    pub(super) fn take(&self, target: &Target, samples: Vec<ScalingMetrics>, until: DateTime<Utc>) -> usize {
        let mut known = self.locked();
        let state = known.entry(target.clone()).or_insert_with(|| State::new(self.limit));
        let newest = state.samples.newest();
        let new = samples.into_iter().filter(|sample| newest.is_none_or(|newest| sample.timestamp > newest));
        let taken = new.filter(|sample| state.samples.push(sample.clone(), until).is_ok()).count();
        state.asked = state.asked.max(Some(until));
        taken
    }

    /// Says that a span of the past is to be brought.
    pub(super) fn miss(&self, target: &Target, from: DateTime<Utc>, to: DateTime<Utc>) {
        let mut known = self.locked();
        let state = known.entry(target.clone()).or_insert_with(|| State::new(self.limit));
        state.has(from, to);
        state.missing.push((from, to));
    }

    /// True if anything of a span is to be brought.
    pub(super) fn misses(&self, target: &Target, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
        let known = self.locked();
        let missing = known.get(target).map(|state| state.missing.iter());
        missing.into_iter().flatten().any(|(start, end)| *start < to && from < *end)
    }

    /// Takes the samples of a window of the past, which is missing no more, and returns how many were new. Where there are samples
    /// already, they stay.
    pub(super) fn fill(&self, target: &Target, samples: Vec<ScalingMetrics>, window: Window) -> usize {
        let newest = self.newest(target);
        let (past, coming): (Vec<_>, Vec<_>) =
            samples.into_iter().partition(|sample| newest.is_some_and(|newest| sample.timestamp <= newest));
        let taken = self.take(target, coming, window.to);
        let mut known = self.locked();
        let Some(state) = known.get_mut(target) else { return taken };
        state.has(window.from, window.to);
        taken + state.samples.fill(past, self.limit)
    }

    /// What is known of a workload at `now`, if anything.
    pub(super) fn observation<S: Eq + Hash>(
        &self,
        workload: &Workload<S>,
        times: &Times,
        now: DateTime<Utc>,
    ) -> Option<Observation> {
        let mut known = self.locked();
        let state = known.get_mut(&workload.target)?;
        let oldest = before(now, times.lookback);
        if state.samples.newest().is_some_and(|newest| newest < oldest) {
            // Lost for longer than anybody looks back: a gap, until it returns.
            state.samples.lapse();
        }
        let current = state.samples.at(now).cloned()?;
        let observation = Observation::new(workload.target.clone(), current).at(now);
        Some(
            observation
                .declaring(workload.mapping.declared())
                .with_history(state.samples.history().clone())
                .with_facts(workload.facts.clone()),
        )
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Target, State>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
