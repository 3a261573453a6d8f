//! Identity of a question: what an answer is kept under.

use std::hash::{DefaultHasher, Hash, Hasher};

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{Observation, PlannedEvent, Signal, SignalKind};

use super::Asks;
use crate::{ModelId, prompt, reply};

/// Place of a number that is not there.
const ABSENT: i32 = i32::MIN;

/// Declared events that are looked at, of those that are not over: the first ones to start.
const EVENTS_AT_MOST: usize = 8;

/// Everything that an answer is about: who is asked how, the pods and limits to the number, and the measured inputs in steps of about
/// five percent. Kept under its target, so an answer never crosses workloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QuestionKey {
    /// Model, system text and schema.
    asker: u64,
    /// Inputs that must be equal to the number.
    exact: Box<[i64]>,
    /// Inputs that may differ by one step: noise on the edge of a step would otherwise make a new question of each sample.
    steps: Box<[i32]>,
}

impl QuestionKey {
    pub(crate) fn new(model: &ModelId, asks: &Asks<'_>) -> Self {
        let Asks { observation, baseline, allowed, limits, .. } = *asks;
        let floor = baseline.floor.as_ref().map_or(-1, |floor| i64::from(floor.replicas));
        let resources = baseline.resources.as_ref();
        let mut exact = vec![
            i64::from(baseline.current_replicas),
            i64::from(baseline.desired_replicas),
            i64::from(allowed.replicas.lowest),
            i64::from(allowed.replicas.highest),
            floor,
            limits.hard.map_or(-1, |hard| i64::from(hard.bounds().min())),
            limits.hard.map_or(-1, |hard| i64::from(hard.bounds().max())),
            limits.bounds.map_or(-1, |bounds| i64::from(bounds.min())),
            limits.bounds.map_or(-1, |bounds| i64::from(bounds.max())),
            baseline.urgency as i64,
            baseline.timing as i64,
            resources.map_or(i64::MIN, |change| i64::from(change.cpu_percent)),
            resources.map_or(i64::MIN, |change| i64::from(change.memory_percent)),
        ];
        let current = &observation.current;
        let mut steps: Vec<i32> = SignalKind::ALL
            .into_iter()
            .map(|kind| match current.signal(kind) {
                Signal::Present(value) => step(value),
                Signal::Absent(_) => ABSENT,
            })
            .collect();
        steps.push(current.current_pod_count.map_or(ABSENT, |pods| step(f64::from(pods))));
        steps.push(match &observation.forecast {
            Some(Ok(forecast)) => step(forecast.expected),
            Some(Err(_)) | None => ABSENT,
        });
        for event in ahead(&observation.events, observation.now) {
            exact.push(fingerprint(event.name()).cast_signed());
            exact.push(event.kind() as i64);
            let seconds = (event.start() - observation.now).num_seconds();
            exact.push(i64::from(seconds <= 0));
            steps.push(step(seconds.max(0) as f64 / 60.0));
            steps.push(step(event.factor()));
        }
        let asker = fingerprint(&(model, prompt::SYSTEM, reply::SCHEMA));
        Self { asker, exact: exact.into(), steps: steps.into() }
    }

    /// True for the same question: the same asker, the same pods and limits, and no measured input more than a step away.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let near = |(a, b): (&i32, &i32)| a == b || (*a != ABSENT && *b != ABSENT && a.abs_diff(*b) <= 1);
        (self.asker, &self.exact, self.steps.len()) == (other.asker, &other.exact, other.steps.len())
            && self.steps.iter().zip(&other.steps).all(near)
    }
}

/// Fingerprint of what a workload is, as against what it does: facts and declared signals. With another one, every answer is dropped.
pub(crate) fn spec(observation: &Observation) -> u64 {
    let facts = serde_json::to_string(&observation.facts).unwrap_or_default();
    fingerprint(&(facts, observation.declared))
}

/// Good within one process; never written down.
fn fingerprint<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Number of the step that a value lies in: each is about 5 % wide, and 0.05 near 0.
// ln(f64::MAX) is 710, so a step is below 15,000; NaN becomes 0.
#[allow(clippy::cast_possible_truncation)]
fn step(value: f64) -> i32 {
    let steps = (value.abs().ln_1p() * 20.0).round().min(20_000.0) as i32;
    if value < 0.0 { -steps } else { steps }
}

/// Events that are not over, by their start.
fn ahead(events: &[PlannedEvent], now: DateTime<Utc>) -> Vec<&PlannedEvent> {
    let mut ahead: Vec<&PlannedEvent> = events.iter().filter(|event| now < event.end()).collect();
    ahead.sort_by(|a, b| (a.start(), a.end(), a.name()).cmp(&(b.start(), b.end(), b.name())));
    ahead.truncate(EVENTS_AT_MOST);
    ahead
}
