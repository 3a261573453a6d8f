//! [`ModelBreaker`]: stops asking a model that keeps failing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scaling_core::InvalidSetting;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};

use crate::{ModelError, ModelId};

/// Models that are kept at most; beyond it one that does not fail is forgotten first.
const MODELS_AT_MOST: usize = 64;

/// When a [`ModelBreaker`] opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelBreakerConfig {
    /// Failures in a row that open it. At least 1; default 5.
    pub failures_in_a_row: u32,
    /// Newest answers of which half must have failed to open it. At least 2; default 10.
    pub window: u32,
    /// Time for which it is open at first. Above 0; default 60 s. A probe that fails doubles it.
    pub open_for: Duration,
    /// Longest time for which it is open, and the one after a lasting failure (wrong key, spent account). Default 15 min.
    pub open_at_most: Duration,
}

impl Default for ModelBreakerConfig {
    fn default() -> Self {
        Self {
            failures_in_a_row: 5,
            window: 10,
            open_for: Duration::from_secs(60),
            open_at_most: Duration::from_secs(900),
        }
    }
}

impl ModelBreakerConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`InvalidSetting`] with the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let failures = [("failures_in_a_row", f64::from(self.failures_in_a_row))];
        InvalidSetting::check(&failures, "at least 1", |failures| failures >= 1.0)?;
        InvalidSetting::check(&[("window", f64::from(self.window))], "from 2 to 1000", |window| {
            (2.0..=1000.0).contains(&window)
        })?;
        let times = [
            ("open_for (seconds)", self.open_for.as_secs_f64()),
            ("open_at_most (seconds)", self.open_at_most.as_secs_f64()),
        ];
        InvalidSetting::check(&times, "above 0", |seconds| seconds > 0.0)
    }
}

/// State of one model: it is the server that fails, not a workload, so all workloads share it.
#[derive(Debug, Default)]
struct State {
    in_a_row: u32,
    /// Newest outcomes, true for a failure.
    newest: VecDeque<bool>,
    open: Option<Open>,
    /// Number of times that it opened or closed: answers to questions from before do not count.
    turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    until: DateTime<Utc>,
    length: Duration,
    probing: bool,
}

/// Stops asking a model that keeps failing, for all workloads at once.
///
/// Five failures in a row, or half of the last ten answers, open it for a minute; a key that is denied and a spent account for a quarter
/// of an hour at once. Then one question is let through as a probe: an answer closes it, a failure opens it for twice as long. Answers
/// that cannot be used (refused, malformed, out of range) are no failures: the server works.
///
/// Clones share their state, which is kept by [`ModelId`]. Time is that of the observations, so a replay opens and closes alike; a
/// clock that jumps back keeps it open for its time once more at most.
#[derive(Clone, Debug, Default)]
pub struct ModelBreaker {
    config: ModelBreakerConfig,
    models: Arc<Mutex<BTreeMap<ModelId, State>>>,
}

impl ModelBreaker {
    /// Creates a breaker that is closed for every model.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a setting cannot work.
    pub fn new(config: ModelBreakerConfig) -> Result<Self, InvalidSetting> {
        config.validate()?;
        Ok(Self { config, models: Arc::default() })
    }

    /// Models that were asked, each with true if it is not asked at present, or only to probe it.
    pub fn models(&self) -> Vec<(ModelId, bool)> {
        self.lock().iter().map(|(model, state)| (model.clone(), state.open.is_some())).collect()
    }

    /// Lets a question through, or says until when none is.
    pub(crate) fn permit(&self, model: &ModelId, now: DateTime<Utc>) -> Result<Permit, DateTime<Utc>> {
        let mut models = self.lock();
        if models.len() >= MODELS_AT_MOST && !models.contains_key(model) {
            let first = models.iter().find(|(_, state)| state.open.is_none()).or_else(|| models.iter().next());
            let first = first.map(|(model, _)| model.clone());
            first.map(|model| models.remove(&model));
        }
        let state = models.entry(model.clone()).or_default();
        if let Some(open) = &mut state.open {
            // An end that lies farther ahead was set by a clock that has jumped back since.
            open.until = open.until.min(after(now, open.length));
            if now < open.until || open.probing {
                return Err(open.until);
            }
            open.probing = true;
        }
        let (is_probe, turn) = (state.open.is_some(), state.turn);
        drop(models);
        Ok(Permit { breaker: self.clone(), model: model.clone(), at: now, is_probe, turn, outcome: None })
    }

    fn settle(&self, permit: &Permit) {
        let mut models = self.lock();
        let Some(state) = models.get_mut(&permit.model).filter(|state| state.turn == permit.turn) else { return };
        match permit.outcome {
            Some(Health::Works) if permit.is_probe => *state = State { turn: state.turn + 1, ..State::default() },
            Some(Health::Works) => state.note(false, self.config.window),
            Some(Health::Denied) => state.open(permit.at, self.config.open_at_most),
            Some(Health::Fails) => state.fail(permit.at, &self.config),
            Some(Health::Unused) => {
                if let Some(open) = &mut state.open {
                    open.probing = false;
                }
            }
            // Nobody knows. A probe is made again when the same time has passed.
            None => {
                if let Some(open) = state.open {
                    state.open(permit.at, open.length);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ModelId, State>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, failed: bool, window: u32) {
        self.in_a_row = if failed { self.in_a_row.saturating_add(1) } else { 0 };
        while self.newest.len() >= window as usize {
            self.newest.pop_front();
        }
        self.newest.push_back(failed);
    }

    /// Notes a failure, and opens where there are too many; one of a probe opens for twice as long.
    fn fail(&mut self, at: DateTime<Utc>, config: &ModelBreakerConfig) {
        if let Some(open) = self.open {
            self.open(at, open.length.saturating_mul(2).min(config.open_at_most));
            return;
        }
        self.note(true, config.window);
        let failed = self.newest.iter().filter(|failed| **failed).count();
        let is_full = self.newest.len() >= config.window as usize;
        if self.in_a_row >= config.failures_in_a_row || (is_full && failed * 2 >= self.newest.len()) {
            self.open(at, config.open_for.min(config.open_at_most));
        }
    }

    fn open(&mut self, now: DateTime<Utc>, length: Duration) {
        let open = Open { until: after(now, length), length, probing: false };
        *self = Self { open: Some(open), turn: self.turn + 1, ..Self::default() };
    }
}

fn after(now: DateTime<Utc>, length: Duration) -> DateTime<Utc> {
    let length = TimeDelta::from_std(length).unwrap_or(TimeDelta::MAX);
    now.checked_add_signed(length).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Works,
    Fails,
    Denied,
    Unused,
}

/// Leave to put one question. What becomes of it is told before it goes; dropped without, nothing is known.
#[derive(Debug)]
pub(crate) struct Permit {
    breaker: ModelBreaker,
    model: ModelId,
    at: DateTime<Utc>,
    is_probe: bool,
    turn: u64,
    outcome: Option<Health>,
}

impl Permit {
    /// Gives it back: the question was not put.
    pub(crate) fn unused(mut self) {
        self.outcome = Some(Health::Unused);
    }

    /// Tells how the question ended.
    pub(crate) fn settle(mut self, error: Option<&ModelError>) {
        self.outcome = match error {
            Some(error) if error.is_lasting() => Some(Health::Denied),
            Some(ModelError::Unavailable(_) | ModelError::Late | ModelError::Rejected(_)) => Some(Health::Fails),
            _ => Some(Health::Works),
        };
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.breaker.settle(self);
    }
}

#[cfg(test)]
mod tests;
