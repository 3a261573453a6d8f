//! What is remembered of each workload between two ticks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::source::{Accumulator, SampleCounts};
use scaling_core::{MetricsHistory, Observation, Target};

use super::config::MetricsApiConfig;
use super::pods::PodView;
use super::start_up::{StartUp, StartUpTimes};
use super::usage::{Look, UseLog};
use crate::InUse;

#[derive(Debug)]
pub(super) struct States(Mutex<HashMap<Target, State>>);

#[derive(Debug)]
struct State {
    samples: Accumulator,
    start_up: StartUp,
    used: UseLog,
    /// The last answer, its history left out: that has one owner.
    last: Option<Observation>,
    /// The last instant before the newest answer that was asked for, and how many there were in a row, each later than the one before.
    behind: Option<(DateTime<Utc>, u32)>,
}

/// Instants in a row, each later than the one before, after which a clock that is behind counts as put right: nobody who looks into the
/// past goes on like that.
const PUT_RIGHT: u32 = 3;

impl States {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// The answer that was given at this instant already.
    pub(super) fn answered(&self, target: &Target, now: DateTime<Utc>) -> Option<Observation> {
        let mut known = self.locked();
        let State { samples, last, .. } = known.get_mut(target)?;
        let current = samples.at(now)?.clone();
        let last = last.as_ref().filter(|last| last.now == now && last.current.timestamp == current.timestamp)?;
        Some(Observation { history: Arc::clone(samples.history()), ..last.clone() })
    }

    /// True at an instant that is not after the newest answer: the API tells the present alone, and the past is not rewritten. No more
    /// once the clock has gone on from there, which was ahead before: what it gave then is withdrawn by the next answer.
    pub(super) fn is_past(&self, target: &Target, now: DateTime<Utc>) -> bool {
        let mut known = self.locked();
        let Some(state) = known.get_mut(target) else { return false };
        if state.samples.newest().is_none_or(|newest| newest < now) {
            state.behind = None;
            return false;
        }
        let before = state.behind.filter(|(last, _)| *last < now).map_or(0, |(_, times)| times);
        state.behind = Some((now, before.saturating_add(1)));
        before < PUT_RIGHT
    }

    /// Looks at the pods of a workload, and returns how long they take to start.
    pub(super) fn look(
        &self,
        target: &Target,
        pods: &[&PodView],
        now: DateTime<Utc>,
        config: &MetricsApiConfig,
    ) -> Option<StartUpTimes> {
        let mut known = self.locked();
        let state = State::of(&mut known, target, config);
        state.start_up.look(pods, now);
        state.start_up.times(config.start_up_quantile, config.starts)
    }

    pub(super) fn start_up(&self, target: &Target, config: &MetricsApiConfig) -> Option<StartUpTimes> {
        self.locked().get(target)?.start_up.times(config.start_up_quantile, config.starts)
    }

    /// Looks at what the containers of a workload use.
    pub(super) fn look_at_use(&self, target: &Target, look: &Look<'_>) {
        let mut known = self.locked();
        State::of(&mut known, target, look.moment.config).used.look(look);
    }

    /// The use of a workload is not known any more, until somebody looks again.
    pub(super) fn lose_use(&self, target: &Target) {
        if let Some(state) = self.locked().get_mut(target) {
            state.used.lose();
        }
    }

    pub(super) fn in_use(&self, target: &Target, container: &str, config: &MetricsApiConfig) -> InUse {
        let known = self.locked();
        let Some(state) = known.get(target) else { return InUse::default() };
        let start_up = state.start_up.times(config.start_up_quantile, config.starts).map(|times| times.from_creation);
        InUse { start_up, ..state.used.in_use(container, config) }
    }

    /// Takes an answer of now, whose past becomes its history. None if there is one of later.
    pub(super) fn take(&self, observation: Observation, config: &MetricsApiConfig) -> Option<Observation> {
        let (target, now) = (Arc::clone(&observation.target), observation.now);
        let mut known = self.locked();
        let state = State::of(&mut known, &target, config);
        let current = observation.current.clone();
        if state.samples.push(current.clone(), now).is_err() && state.samples.revise(current).is_err() {
            return None;
        }
        state.last = Some(observation.clone());
        Some(observation.with_history(Arc::clone(state.samples.history())))
    }

    pub(super) fn forget(&self, target: &Target) -> bool {
        self.locked().remove(target).is_some()
    }

    pub(super) fn counts(&self, target: &Target) -> Option<SampleCounts> {
        self.locked().get(target).map(|state| state.samples.counts())
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Target, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is remembered of a workload. One that is new takes the place of the one that was asked for longest ago if there is no other.
    fn of<'a>(known: &'a mut HashMap<Target, Self>, target: &Target, config: &MetricsApiConfig) -> &'a mut Self {
        if known.len() >= config.workloads && !known.contains_key(target) {
            let oldest = known.iter().min_by_key(|(_, state)| state.samples.newest()).map(|(target, _)| target.clone());
            oldest.map(|target| known.remove(&target));
        }
        known.entry(target.clone()).or_insert_with(|| Self::new(config))
    }

    fn new(config: &MetricsApiConfig) -> Self {
        let history = Arc::new(MetricsHistory::with_limit(config.history));
        Self {
            samples: Accumulator::continuing(history),
            start_up: StartUp::default(),
            used: UseLog::default(),
            last: None,
            behind: None,
        }
    }
}
