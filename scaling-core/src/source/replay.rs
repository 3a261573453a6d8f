//! [`Replay`]: recorded samples, seen again at their time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::accumulate::{Accumulator, SampleError};
use super::{MetricsSource, SourceError};
use crate::{MetricsHistory, Observation, PlannedEvent, Repairs, ScalingMetrics, Target, WorkloadFacts};

/// Samples of one workload, each with the instant from which on it is known.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// In order of the instant. `None` where nothing could be measured.
    seen: Vec<(DateTime<Utc>, Option<ScalingMetrics>)>,
    repairs: Repairs,
    facts: WorkloadFacts,
    events: Arc<[PlannedEvent]>,
    history: Arc<MetricsHistory>,
}

impl Recording {
    /// Records samples in any order, each of them known from its own instant on. Of several of the same millisecond the last counts.
    pub fn of_samples(mut samples: Vec<ScalingMetrics>) -> Self {
        let reordered = samples.windows(2).filter(|pair| matches!(pair, [a, b] if b.timestamp < a.timestamp)).count();
        let before = samples.len();
        samples.sort_by_key(|sample| sample.timestamp.timestamp_millis());
        // Of equal neighbours `dedup_by` keeps the first, in whose place the later one goes.
        samples.dedup_by(|later, kept| {
            let same = later.timestamp.timestamp_millis() == kept.timestamp.timestamp_millis();
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        let repairs = Repairs { reordered, duplicates: before - samples.len() };
        let seen = samples.into_iter().map(|sample| (sample.timestamp, Some(sample))).collect();
        Self { seen, repairs, ..Self::default() }
    }

    /// Records what a source answered at each of some instants; `None` where it had nothing.
    ///
    /// A sample is never known before its own instant.
    pub fn of_answers(answers: impl IntoIterator<Item = (DateTime<Utc>, Option<ScalingMetrics>)>) -> Self {
        let known = |(at, sample): (DateTime<Utc>, Option<ScalingMetrics>)| {
            (sample.as_ref().map_or(at, |sample| sample.timestamp.max(at)), sample)
        };
        let mut seen: Vec<_> = answers.into_iter().map(known).collect();
        seen.sort_by_key(|(at, _)| *at);
        Self { seen, ..Self::default() }
    }

    /// Makes everything known later by so much: the lag of the metrics.
    #[must_use]
    pub fn known_after(mut self, lag: TimeDelta) -> Self {
        for (at, _) in &mut self.seen {
            *at = at.checked_add_signed(lag.max(TimeDelta::zero())).unwrap_or(DateTime::<Utc>::MAX_UTC);
        }
        self
    }

    /// Adds what is known of the workload besides its metrics.
    #[must_use]
    pub fn with_facts(mut self, facts: WorkloadFacts) -> Self {
        self.facts = facts;
        self
    }

    /// Adds what was known before the first sample. Its limit holds for the samples that follow as well.
    #[must_use]
    pub fn with_history(mut self, history: impl Into<Arc<MetricsHistory>>) -> Self {
        self.history = history.into();
        self
    }

    /// Adds declared events.
    #[must_use]
    pub fn with_events(mut self, events: impl Into<Arc<[PlannedEvent]>>) -> Self {
        self.events = events.into();
        self
    }

    /// Samples that had to be put in order or were replaced.
    pub fn repairs(&self) -> Repairs {
        self.repairs
    }

    /// Instants at which something becomes known, oldest first.
    pub fn instants(&self) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        self.seen.iter().map(|(at, _)| *at)
    }

    /// The place of the newest entry that is known at an instant.
    fn place(&self, now: DateTime<Utc>) -> Option<usize> {
        self.seen.partition_point(|(at, _)| *at <= now).checked_sub(1)
    }
}

/// Recordings of workloads as a source: at each instant it shows the newest sample that is known then, with those before it as history.
///
/// The samples are those of the recording, whatever is decided meanwhile; pods that follow our decisions are simulated by
/// [`backtest::Cluster`](crate::backtest::Cluster). Old samples are shown as what they are: judging their age is the guards' task.
///
/// Asking in the order of time costs the new samples only; going back starts from the beginning.
///
/// ```
/// use scaling_core::source::{Recording, Replay, parse};
/// use scaling_core::{MetricsSource, SignalKind, Target};
///
/// let text = br#"[{"timestamp": 0, "pods": 3, "rps": 120}, {"timestamp": 60, "pods": 3, "rps": 180}]"#;
/// let recording = Recording::of_samples(parse::metrics(text, None).unwrap());
/// let target = Target::deployment("shop", "checkout");
/// let source = Replay::new().with(target.clone(), recording);
///
/// let now = parse::instant("75").unwrap();
/// let seen = futures::executor::block_on(source.observe(&target, now)).unwrap();
/// assert_eq!(seen.current.value(SignalKind::RequestRate), Some(180.0));
/// assert_eq!(seen.history.len(), 1);
/// ```
#[derive(Debug, Default)]
pub struct Replay {
    tapes: HashMap<Target, (Recording, Mutex<Cursor>)>,
}

/// Everything up to some place of a recording, as it came.
#[derive(Debug)]
struct Cursor {
    next: usize,
    samples: Accumulator,
}

impl Cursor {
    fn beginning(recording: &Recording) -> Self {
        // A recording is bounded, and so is its past.
        Self { next: 0, samples: Accumulator::continuing(Arc::clone(&recording.history)) }
    }

    fn go_to(&mut self, place: usize, recording: &Recording) {
        if place + 1 < self.next {
            *self = Self::beginning(recording);
        }
        for (at, sample) in recording.seen.get(self.next..=place).unwrap_or_default() {
            let Some(sample) = sample else { continue };
            // The same instant again may come with newer pod counts.
            if let Err(SampleError::Duplicate { .. }) = self.samples.push(sample.clone(), *at) {
                self.samples.revise(sample.clone()).ok();
            }
        }
        self.next = self.next.max(place + 1);
    }

    /// History before an instant, which a source that was recorded may have answered with again.
    fn history_before(&self, at: DateTime<Utc>) -> Arc<MetricsHistory> {
        let history = self.samples.history();
        if history.newest().is_none_or(|newest| newest.timestamp_millis() < at.timestamp_millis()) {
            return history.clone();
        }
        let mut history = MetricsHistory::clone(history);
        history.truncate_after(at.checked_sub_signed(TimeDelta::milliseconds(1)).unwrap_or(at));
        Arc::new(history)
    }
}

impl Replay {
    /// Creates a source that knows no workload yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a workload, in place of what was recorded of it before.
    #[must_use]
    pub fn with(mut self, target: Target, recording: Recording) -> Self {
        let cursor = Mutex::new(Cursor::beginning(&recording));
        self.tapes.insert(target, (recording, cursor));
        self
    }
}

#[async_trait]
impl MetricsSource for Replay {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let tape =
            self.tapes.get(target).ok_or_else(|| SourceError::UnknownTarget { target: Box::new(target.clone()) })?;
        let (recording, cursor) = tape;
        let nothing = || SourceError::NoData { target: Box::new(target.clone()), at: now };
        let place = recording.place(now).ok_or_else(nothing)?;
        let (_, current) = recording.seen.get(place).ok_or_else(nothing)?;
        let current = current.clone().ok_or_else(nothing)?;
        let mut cursor = cursor.lock().unwrap_or_else(PoisonError::into_inner);
        cursor.go_to(place, recording);
        let history = cursor.history_before(current.timestamp);
        let mut observation = Observation::new(target.clone(), current).at(now);
        (observation.history, observation.facts) = (history, recording.facts.clone());
        observation.events = recording.events.clone();
        Ok(observation)
    }
}
