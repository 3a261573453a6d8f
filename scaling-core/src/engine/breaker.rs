//! [`Breaker`]: stops asking an engine that keeps failing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::{DecisionEngine, EngineError};
use crate::decision::{Floor, ScalingDecision};
use crate::metrics::Observation;
use crate::target::Target;

/// Failing targets that are remembered at most; beyond it those that are tried again first are forgotten.
const TARGETS_AT_MOST: usize = 10_000;

/// When a [`Breaker`] opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row that open it; 0 counts as 1. Default 3.
    pub failures: u32,
    /// How long it stays open before one attempt is let through. Default 60 s.
    pub cool_off: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 3, cool_off: Duration::from_secs(60) }
    }
}

/// Failures in a row of one target; there is none for a target that does not fail.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<DateTime<Utc>>,
}

/// Passes every question on until the engine has failed too often in a row; then answers with [`EngineError::Open`] until the
/// cool-off is over, and lets one attempt through. Time is that of the observation ([`Observation::now`]), so a replay opens and
/// closes alike; a clock that jumps back keeps it open for one cool-off at most.
///
/// Failures are counted per target: one workload that an engine cannot answer for does not stop the others.
///
/// ```
/// use scaling_core::{BreakerConfig, DecisionEngine, EngineExt, RuleBasedEngine};
/// let engine = RuleBasedEngine::default().breaker(BreakerConfig::default());
/// assert_eq!(engine.name(), "rules behind a breaker");
/// ```
#[derive(Debug)]
pub struct Breaker<E> {
    inner: E,
    config: BreakerConfig,
    watch: BreakerWatch,
    name: String,
}

/// Failing targets and their state.
type States = HashMap<Arc<Target>, State>;

/// The state of a [`Breaker`], for those who watch: it stays at hand when the breaker itself is inside another engine.
///
/// ```
/// use scaling_core::{BreakerConfig, EngineExt, RuleBasedEngine, chrono::DateTime};
/// let breaker = RuleBasedEngine::default().breaker(BreakerConfig::default());
/// let watch = breaker.watch();
/// let engine = breaker.or_else(RuleBasedEngine::default());
/// assert_eq!((watch.failing(), watch.open(DateTime::UNIX_EPOCH)), (0, 0));
/// # let _ = engine;
/// ```
#[derive(Clone, Debug, Default)]
pub struct BreakerWatch(Arc<Mutex<States>>);

impl BreakerWatch {
    /// Number of targets for which the engine failed when it was last asked.
    pub fn failing(&self) -> usize {
        self.with_states(|states| states.len())
    }

    /// Number of targets for which the engine is not asked at an instant.
    pub fn open(&self, now: DateTime<Utc>) -> usize {
        let is_open = |state: &&State| state.open_until.is_some_and(|end| now < end);
        self.with_states(|states| states.values().filter(is_open).count())
    }

    fn with_states<T>(&self, f: impl FnOnce(&mut States) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<E: DecisionEngine> Breaker<E> {
    /// `inner`, with a breaker.
    pub fn new(inner: E, config: BreakerConfig) -> Self {
        let name = format!("{} behind a breaker", inner.name());
        Self { inner, config, watch: BreakerWatch::default(), name }
    }

    /// Forgets the failures of a target.
    pub fn forget(&self, target: &Target) {
        self.watch.with_states(|states| states.remove(target));
    }

    /// Its state, for those who watch.
    pub fn watch(&self) -> BreakerWatch {
        self.watch.clone()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: DecisionEngine> DecisionEngine for Breaker<E> {
    fn name(&self) -> &str {
        &self.name
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let (target, now) = (&observation.target, observation.now);
        let cool_off = TimeDelta::from_std(self.config.cool_off).unwrap_or(TimeDelta::MAX);
        let until = now.checked_add_signed(cool_off).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let refused = self.watch.with_states(|states| {
            let state = states.get_mut(target)?;
            // An end that lies farther ahead than a cool-off was set by a clock that has jumped back since.
            state.open_until = state.open_until.map(|end| end.min(until));
            let refused = state.open_until.filter(|end| now < *end).map(|end| (state.failures, end));
            if refused.is_none() && state.open_until.is_some() {
                // Half open: others are refused while this one attempt is under way.
                state.open_until = Some(until);
            }
            refused
        });
        if let Some((failures, until)) = refused {
            return Err(EngineError::Open { engine: self.inner.name().to_owned(), failures, until });
        }
        let answer = self.inner.decide(observation).await;
        self.watch.with_states(|states| {
            if answer.is_ok() {
                states.remove(target);
                return;
            }
            if states.len() >= TARGETS_AT_MOST && !states.contains_key(target) {
                let first =
                    states.iter().min_by_key(|(_, state)| state.open_until).map(|(target, _)| Arc::clone(target));
                first.map(|target| states.remove(&target));
            }
            let state = states.entry(Arc::clone(target)).or_default();
            state.failures = state.failures.saturating_add(1);
            if state.failures >= self.config.failures.max(1) {
                state.open_until = Some(until);
            }
        });
        answer
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        self.inner.floor(target, now)
    }
}
