//! [`FleetSource`]: workloads of which a service is asked in as few queries as it takes.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::assemble;
use super::series::{Backend, Lines, QueryError, Window};
use super::state::States;
use super::term::Workload;
use crate::metrics::Observation;
use crate::setting::InvalidSetting;
use crate::source::mapping::{MappingError, Unit};
use crate::source::{MetricsSource, SampleCounts, SourceError};
use crate::target::Target;

/// Most buckets of all series together that one backfill query asks for: some tens of megabytes of text.
const BUDGET: usize = 500_000;

/// How time is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetConfig {
    /// Length of a step: a sample stands at the end of each. Default 60 s.
    pub step: TimeDelta,
    /// Time that a bucket is given to be complete at the service after its end. What is read earlier may still be missing or too
    /// small, and is never corrected. Default 60 s.
    pub settle: TimeDelta,
    /// The oldest that the present may be, and how far a query reaches back for what was missed. Default 10 min.
    pub lookback: TimeDelta,
    /// Samples of history that are kept of each workload at least; twice as many at most. Default 20,160: 14 days of minutes.
    pub limit: usize,
}

impl Default for FleetConfig {
    fn default() -> Self {
        let minutes = TimeDelta::minutes;
        Self { step: minutes(1), settle: minutes(1), lookback: minutes(10), limit: 20_160 }
    }
}

impl FleetConfig {
    /// Sets the length of a step.
    #[must_use]
    pub fn with_step(mut self, step: TimeDelta) -> Self {
        self.step = step;
        self
    }

    /// Sets the time that a bucket is given to be complete.
    #[must_use]
    pub fn with_settle(mut self, settle: TimeDelta) -> Self {
        self.settle = settle;
        self
    }

    /// Sets the oldest that the present may be.
    #[must_use]
    pub fn with_lookback(mut self, lookback: TimeDelta) -> Self {
        self.lookback = lookback;
        self
    }

    /// Sets how many samples of history are kept.
    #[must_use]
    pub fn with_limit(mut self, samples: usize) -> Self {
        self.limit = samples;
        self
    }

    fn check(self, longest: i32) -> Result<Self, InvalidSetting> {
        let seconds = |field, value: TimeDelta, at_least: i64, at_most: i64, must| {
            let within = (at_least..=at_most).contains(&value.num_seconds()) && value.subsec_nanos() == 0;
            if within { Ok(()) } else { Err(InvalidSetting { field, value: value.num_seconds() as f64, must }) }
        };
        seconds("step", self.step, 10, 3600, "10 to 3600 s, whole seconds")?;
        seconds("settle", self.settle, 0, 3600, "0 to 3600 s, whole seconds")?;
        let longest = self.step.num_seconds().saturating_mul(longest.into());
        let expected = "at least settle and two steps, at most what one query spans";
        seconds("lookback", self.lookback, (self.settle + self.step * 2).num_seconds(), longest, expected)?;
        InvalidSetting::check(&[("limit", self.limit as f64)], "at least 1", |limit| limit >= 1.0)?;
        Ok(self)
    }

    /// End of the last step that has settled.
    pub(super) fn newest(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let settled = before(now, self.settle);
        settled.duration_trunc(self.step).unwrap_or(settled)
    }

    /// The steps that a tick asks for.
    pub(super) fn window(&self, now: DateTime<Utc>) -> Window {
        let to = self.newest(now);
        let from = before(to, self.lookback);
        Window { from: from.duration_trunc(self.step).unwrap_or(from), to, step: self.step }
    }
}

/// `now` less a time, or `now` where no calendar reaches that far.
pub(super) fn before(now: DateTime<Utc>, time: TimeDelta) -> DateTime<Utc> {
    now.checked_sub_signed(time).unwrap_or(now)
}

/// A source that cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFleet {
    /// A setting is out of range.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// A measure of a workload cannot be made of its query.
    #[error("{target}: {source}")]
    Mapping {
        /// The workload.
        target: Box<Target>,
        /// Cause.
        source: MappingError,
    },
    /// A workload is given twice.
    #[error("{0}: the workload is given twice")]
    Twice(Box<Target>),
}

/// What a backfill brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backfilled {
    /// Windows that were asked for.
    pub windows: usize,
    /// Samples that were taken.
    pub samples: usize,
    /// Workloads that were left out, because they had samples already.
    pub left_out: usize,
}

/// A source over the series of a service: each series is asked for once a step for all workloads together, each workload keeps its
/// own samples.
///
/// Asked again within a step, it answers from what it knows. After an outage it asks for what it missed, as far as
/// [`FleetConfig::lookback`] reaches; the learning history before that is brought by [`backfill`](Self::backfill).
#[derive(Debug)]
pub struct FleetSource<B: Backend> {
    backend: B,
    workloads: HashMap<Target, Workload<B::Series>>,
    config: FleetConfig,
    states: States,
}

impl<B: Backend> FleetSource<B> {
    /// Creates a source of these workloads.
    ///
    /// # Errors
    /// [`InvalidFleet`] if a setting or a mapping cannot be used, or a workload comes twice.
    pub fn new(
        backend: B,
        workloads: impl IntoIterator<Item = Workload<B::Series>>,
        config: FleetConfig,
    ) -> Result<Self, InvalidFleet> {
        let config = config.check(backend.longest())?;
        let step = config.step.to_std().unwrap_or_default();
        let mut known = HashMap::new();
        for workload in workloads {
            let target = workload.target.clone();
            if let Err(source) = workload.mapping.conversions(&workload.facts, step) {
                return Err(InvalidFleet::Mapping { target: Box::new(target), source });
            }
            if known.insert(target.clone(), workload).is_some() {
                return Err(InvalidFleet::Twice(Box::new(target)));
            }
        }
        Ok(Self { backend, workloads: known, config, states: States::new(config.limit) })
    }

    /// The workloads, in no order.
    pub fn workloads(&self) -> impl Iterator<Item = &Workload<B::Series>> {
        self.workloads.values()
    }

    /// Counts the samples of a workload by what became of them; `None` before the first answer.
    pub fn counts(&self, target: &Target) -> Option<SampleCounts> {
        self.states.counts(target)
    }

    /// Brings the history of a time span before `now` of every workload of which nothing is known yet, oldest first, in windows of bounded
    /// size. Call it before the first tick: afterwards the past is not rewritten.
    ///
    /// # Errors
    /// [`QueryError`] of the first window that failed. What came before it is kept, and a workload with samples is not asked again:
    /// what is missing then stays a gap.
    pub async fn backfill(&self, now: DateTime<Utc>, span: TimeDelta) -> Result<Backfilled, QueryError> {
        let (step, newest) = (self.config.step, self.config.newest(now));
        let (new, old): (Vec<_>, Vec<_>) =
            self.workloads.values().partition(|workload| self.states.newest(&workload.target).is_none());
        let mut brought = Backfilled { left_out: old.len(), ..Backfilled::default() };
        let wanted = wanted(new.iter().copied());
        let room = i32::try_from(BUDGET / wanted.len().max(1)).unwrap_or(i32::MAX);
        let length = step * room.clamp(1, self.backend.longest());
        // No more than history holds.
        let kept = step * i32::try_from(self.config.limit).unwrap_or(i32::MAX);
        let mut from = before(newest, span.clamp(TimeDelta::zero(), kept));
        from = from.duration_trunc(step).unwrap_or(from);
        while from < newest && !wanted.is_empty() {
            let to = from.checked_add_signed(length).map_or(newest, |to| to.min(newest));
            let window = Window { from, to, step };
            let lines = self.backend.fetch(&wanted, window, now).await?;
            brought.windows += 1;
            for workload in &new {
                // A window without an answer for this one is a gap in its history, and no reason to give the others up.
                let samples = assemble::samples(workload, &lines, window).unwrap_or_default();
                brought.samples += self.states.take(&workload.target, samples, window.to);
            }
            from = window.to;
        }
        Ok(brought)
    }

    /// Asks for what is new of these workloads.
    async fn refresh(&self, targets: &[Target], now: DateTime<Utc>) -> HashMap<Target, QueryError> {
        let newest = self.config.newest(now);
        let known = targets.iter().filter_map(|target| self.workloads.get(target));
        let due: Vec<_> = known.filter(|known| self.states.asked(&known.target) < Some(newest)).collect();
        if due.is_empty() {
            return HashMap::new();
        }
        // As far back as is looked, whatever is known already: a signal that is not there now is told to be stale by its past.
        let window = self.config.window(now);
        let wanted = wanted(due.iter().copied());
        let lines = match self.backend.fetch(&wanted, window, now).await {
            Ok(lines) => lines,
            Err(error) => return due.iter().map(|workload| (workload.target.clone(), error.clone())).collect(),
        };
        say_faults(&lines);
        let mut failed = HashMap::new();
        for workload in due {
            match assemble::samples(workload, &lines, window) {
                Ok(samples) => drop(self.states.take(&workload.target, samples, newest)),
                Err(error) => drop(failed.insert(workload.target.clone(), error)),
            }
        }
        failed
    }

    pub(super) fn parts(&self) -> (&B, &FleetConfig) {
        (&self.backend, &self.config)
    }
}

/// Every series of these workloads once.
pub(super) fn wanted<'a, S: Clone + Eq + std::hash::Hash + 'a>(
    workloads: impl IntoIterator<Item = &'a Workload<S>>,
) -> Vec<(S, Unit)> {
    let mut seen = HashSet::new();
    let queries = workloads.into_iter().flat_map(|workload| workload.mapping.queries());
    let series = queries.flat_map(|query| query.query.series(query.unit));
    series.filter(|(series, _)| seen.insert(*series)).map(|(series, unit)| (series.clone(), unit)).collect()
}

fn say_faults<S: std::fmt::Display>(lines: &Lines<S>) {
    for (series, line) in lines {
        if let Err(fault) = line {
            tracing::warn!(%series, %fault, "a series cannot be used");
        }
    }
}

#[async_trait]
impl<B: Backend> MetricsSource for FleetSource<B> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        match self.observe_all(std::slice::from_ref(target), now).await.pop() {
            Some(seen) => seen,
            None => Err(SourceError::NoData { target: Box::new(target.clone()), at: now }),
        }
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let failed = self.refresh(targets, now).await;
        let mut seen = Vec::with_capacity(targets.len());
        for target in targets {
            let (target, workload) = (target.clone(), self.workloads.get(target));
            let known = workload.and_then(|workload| self.states.observation(workload, &self.config, now));
            seen.push(match (workload, failed.get(&target), known) {
                (None, ..) => Err(SourceError::UnknownTarget { target: Box::new(target) }),
                (_, Some(error), _) => {
                    let (transient, source) = (error.transient, Box::new(error.clone()));
                    Err(SourceError::Backend { target: Box::new(target), transient, source })
                }
                (_, None, Some(observation)) => Ok(observation),
                (_, None, None) => Err(SourceError::NoData { target: Box::new(target), at: now }),
            });
        }
        seen
    }
}
