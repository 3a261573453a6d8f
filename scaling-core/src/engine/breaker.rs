//! [`Breaker`]: stops asking an engine that keeps failing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::{DecisionEngine, EngineError};
use crate::{Observation, ScalingDecision};

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

#[derive(Clone, Copy, Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<DateTime<Utc>>,
}

/// Passes every question on until the engine has failed too often in a row; then answers with [`EngineError::Open`] until the
/// cool-off is over, and lets one attempt through. Time is that of the observation, so a replay opens and closes alike.
///
/// One breaker stands for one peer, whatever the workload: share it (in an `Arc`) where the peer is shared.
#[derive(Debug)]
pub struct Breaker<E> {
    inner: E,
    config: BreakerConfig,
    state: Mutex<State>,
}

impl<E: DecisionEngine> Breaker<E> {
    /// `inner`, with a breaker.
    pub fn new(inner: E, config: BreakerConfig) -> Self {
        Self { inner, config, state: Mutex::default() }
    }

    fn with_state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: DecisionEngine> DecisionEngine for Breaker<E> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let now = observation.current.timestamp;
        let cool_off = TimeDelta::from_std(self.config.cool_off).unwrap_or(TimeDelta::MAX);
        let until = now.checked_add_signed(cool_off).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let refused = self.with_state(|state| {
            let refused = state.open_until.filter(|until| now < *until).map(|until| (state.failures, until));
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
        self.with_state(|state| {
            if answer.is_ok() {
                *state = State::default();
            } else {
                state.failures = state.failures.saturating_add(1);
                if state.failures >= self.config.failures.max(1) {
                    state.open_until = Some(until);
                }
            }
        });
        answer
    }
}
