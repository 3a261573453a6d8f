//! [`Composite`]: several sources as one.

mod join;
mod merge;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use self::merge::{Answer, merged};
use super::accumulate::{Accumulator, DEFAULT_LIMIT};
use super::{MetricsSource, SourceError};
use crate::metrics::{MetricsHistory, Observation, PlannedEvent, SignalSet, WorkloadFacts};
use crate::target::Target;

/// Several sources of metrics as one: requests from the load balancer, CPU from the cluster, the queue from a broker.
///
/// **The present.** Of each signal the value of the freshest source counts, and a value older than 5 minutes
/// ([`fresh_for`](Composite::fresh_for)) is absent as stale. The same holds for pod counts. Which source measured what is in
/// [`Observation::provenance`], and so in every record.
///
/// **A source that fails** makes its signals absent, and not the others. What it delivers is known from its last answer; of one that has
/// not answered yet it may be anything, so everything counts as declared until it does. Where another source measures the same
/// signal, that value gives cause to grow and confirms no shrink ([`Provenance`](crate::Provenance)), because two sources seldom
/// measure alike; [`interchangeable`](Composite::interchangeable) ones are believed alone. A source that does not know a workload has
/// failed for it, unless it is [not asked](Part::only_for). If all fail, the composite does.
///
/// **Facts.** Of each fact the value of the first source that states it counts: one that differs from the default. What one source knows
/// of its window does not hide what another knows of start-up and requests.
///
/// **The past.** The histories of the sources are joined once, when each first answers, by the same rule: at each instant of any of them
/// a row holds the freshest value of every signal up to then. Engines learn from pairs (the rate and the CPU of one moment), which rows of
/// one source alone would not have. From then on what was observed becomes the past.
///
/// ```
/// use scaling_core::chrono::DateTime;
/// use scaling_core::source::Composite;
/// use scaling_core::{MemorySource, MetricsSource, ScalingMetrics, SignalKind, Target};
///
/// let (target, now) = (Target::deployment("shop", "checkout"), DateTime::from_timestamp(1_700_000_000, 0).unwrap());
/// let (cluster, balancer) = (MemorySource::new(), MemorySource::new());
/// cluster.advance(&target, ScalingMetrics::new(now, 3).with(SignalKind::CpuUtilization, 62.0), now)?;
/// balancer.advance(&target, ScalingMetrics::new(now, 3).with(SignalKind::RequestRate, 200.0), now)?;
///
/// let both = Composite::new().with("cluster", cluster).with("balancer", balancer);
/// let seen = futures::executor::block_on(both.observe(&target, now)).unwrap();
/// assert_eq!(seen.current.value(SignalKind::CpuUtilization), Some(62.0));
/// assert_eq!(seen.provenance.unwrap().signals[&SignalKind::RequestRate], "balancer");
/// # Ok::<(), scaling_core::source::SampleError>(())
/// ```
pub struct Composite {
    parts: Vec<Part>,
    fresh_for: TimeDelta,
    interchangeable: bool,
    limit: usize,
    /// Short locks, never held over an await.
    states: Mutex<HashMap<Target, State>>,
}

/// One source of a [`Composite`].
pub struct Part {
    name: String,
    source: Box<dyn MetricsSource>,
    taking: Option<SignalSet>,
    asked_for: Option<Filter>,
}

type Filter = Box<dyn Fn(&Target) -> bool + Send + Sync>;

/// Every source of a [`Composite`] failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all sources failed: {}", .0.iter().map(|(name, error)| format!("{name}: {error}")).collect::<Vec<_>>().join("; "))]
pub struct AllFailed(pub Vec<(String, String)>);

/// What is remembered of a workload.
#[derive(Debug)]
struct State {
    /// By part, since it first answered.
    known: Vec<Option<Known>>,
    samples: Accumulator,
}

/// What a part said of a workload when it last answered.
#[derive(Clone, Debug)]
struct Known {
    declared: SignalSet,
    counts_pods: bool,
    facts: WorkloadFacts,
    events: Arc<[PlannedEvent]>,
}

impl Part {
    /// A source under a name, by which records speak of it.
    pub fn new(name: impl Into<String>, source: impl MetricsSource + 'static) -> Self {
        Self { name: name.into(), source: Box::new(source), taking: None, asked_for: None }
    }

    /// Takes these signals from it and no others, and declares no more than these. Pod counts are always taken.
    #[must_use]
    pub fn taking(mut self, signals: SignalSet) -> Self {
        self.taking = Some(signals);
        self
    }

    /// Asks it only for workloads of which this is true. The others do not miss it.
    #[must_use]
    pub fn only_for(mut self, is_known: impl Fn(&Target) -> bool + Send + Sync + 'static) -> Self {
        self.asked_for = Some(Box::new(is_known));
        self
    }

    fn is_asked_for(&self, target: &Target) -> bool {
        self.asked_for.as_ref().is_none_or(|asked_for| asked_for(target))
    }

    /// The signals that it may deliver at most.
    fn most(&self) -> SignalSet {
        self.taking.unwrap_or(SignalSet::ALL)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).field("taking", &self.taking).finish_non_exhaustive()
    }
}

impl fmt::Debug for Composite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Composite")
            .field("parts", &self.parts)
            .field("fresh_for", &self.fresh_for)
            .finish_non_exhaustive()
    }
}

impl Default for Composite {
    fn default() -> Self {
        Self::new()
    }
}

impl Composite {
    /// Creates a composite without a source, which knows no workload.
    pub fn new() -> Self {
        Self {
            parts: Vec::new(),
            fresh_for: TimeDelta::minutes(5),
            interchangeable: false,
            limit: DEFAULT_LIMIT,
            states: Mutex::default(),
        }
    }

    /// Adds a source under a name, by which records speak of it. Of equally fresh ones the first added counts.
    #[must_use]
    pub fn with(self, name: impl Into<String>, source: impl MetricsSource + 'static) -> Self {
        self.with_part(Part::new(name, source))
    }

    /// Adds a source that is restricted.
    #[must_use]
    pub fn with_part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// Sets the age up to which a value counts. Default: 5 min, as the guard [`Freshness`](crate::Freshness) has it.
    #[must_use]
    pub fn fresh_for(mut self, age: Duration) -> Self {
        self.fresh_for = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        self
    }

    /// States that sources of the same signal measure the same thing, as two replicas of one monitoring system do: while one of them
    /// fails, the other is believed alone, also for a shrink.
    #[must_use]
    pub fn interchangeable(mut self) -> Self {
        self.interchangeable = true;
        self
    }

    /// Sets how many samples of history are kept of a workload at least; twice as many at most. Default: [`DEFAULT_LIMIT`].
    #[must_use]
    pub fn with_limit(mut self, samples: usize) -> Self {
        self.limit = samples.max(1);
        self
    }

    /// Forgets a workload that is gone and returns whether it was known.
    pub fn forget(&self, target: &Target) -> bool {
        self.locked().remove(target).is_some()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Target, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One observation of the answers of all parts; `None` for one that was not asked.
    fn combine(
        &self,
        target: &Target,
        now: DateTime<Utc>,
        answers: Vec<Option<Result<Observation, SourceError>>>,
    ) -> Result<Observation, SourceError> {
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.map(|answer| not_ahead(answer?, now))).collect();
        if !answers.iter().flatten().any(Result::is_ok) {
            return Err(self.failure(target, answers));
        }
        let mut states = self.locked();
        let state = states.entry(target.clone()).or_insert_with(|| State::new(self.parts.len(), self.limit));
        let mut answered: Vec<Answer<'_>> = Vec::new();
        let mut first = Vec::new();
        for ((part, known), answer) in self.parts.iter().zip(&mut state.known).zip(&answers) {
            let seen = match answer {
                None => continue,
                Some(answer) => answer.as_ref(),
            };
            if let Ok(seen) = seen {
                if known.is_none() {
                    first.push((&*seen.history, part.most()));
                }
                *known = Some(Known::of(seen, known.take(), part.most()));
            }
            let signals = known.as_ref().map_or(part.most(), |known| known.declared);
            let counts_pods = known.as_ref().is_some_and(|known| known.counts_pods);
            answered.push(Answer { name: &part.name, most: part.most(), signals, counts_pods, seen });
        }
        let (current, mut provenance) = merged(&answered, now, self.fresh_for);
        if self.interchangeable {
            provenance.unconfirmed = SignalSet::NONE;
        }
        if !first.is_empty() {
            state.join(&first, current.timestamp, self.fresh_for, self.limit);
        }
        let declared = answered.iter().fold(SignalSet::NONE, |declared, answer| declared.union(answer.signals));
        let forecast = answered.iter().find_map(|answer| answer.seen.ok()?.forecast);
        let history = state.remember(&current, now);
        let mut observation = Observation::new(target.clone(), current)
            .at(now)
            .declaring(declared)
            .with_history(history)
            .with_facts(state.facts())
            .with_events(state.events());
        (observation.forecast, observation.provenance) = (forecast, Some(Arc::new(provenance)));
        Ok(observation)
    }

    fn failure(&self, target: &Target, answers: Vec<Option<Result<Observation, SourceError>>>) -> SourceError {
        let named = self.parts.iter().zip(answers);
        let failed: Vec<_> = named.filter_map(|(part, answer)| Some((part.name.clone(), answer?.err()?))).collect();
        if failed.iter().all(|(_, error)| matches!(error, SourceError::UnknownTarget { .. })) {
            return SourceError::UnknownTarget { target: Box::new(target.clone()) };
        }
        let transient = failed.iter().any(|(_, error)| error.is_transient());
        let failed = failed.into_iter().map(|(name, error)| (name, error.to_string())).collect();
        SourceError::Backend { target: Box::new(target.clone()), transient, source: Box::new(AllFailed(failed)) }
    }
}

/// A source whose clock is ahead is not believed: its answer would be of a time that has not come.
fn not_ahead(seen: Observation, now: DateTime<Utc>) -> Result<Observation, SourceError> {
    let at = seen.current.timestamp;
    if at <= now {
        return Ok(seen);
    }
    let target = Target::clone(&seen.target);
    let cause = format!("the metrics are of {at}, later than {now}");
    Err(SourceError::Backend { target: Box::new(target), transient: true, source: cause.into() })
}

impl Known {
    fn of(seen: &Observation, before: Option<Self>, most: SignalSet) -> Self {
        let (declared, counted_pods) =
            before.map_or((SignalSet::NONE, false), |known| (known.declared, known.counts_pods));
        // One that does not say what it delivers delivers whatever ever came.
        let declared = seen.declared.unwrap_or_else(|| seen.declared().union(declared));
        Self {
            declared: SignalSet::of(declared.iter().filter(|kind| most.contains(*kind))),
            counts_pods: counted_pods || seen.current.replicas().is_some(),
            facts: seen.facts.clone(),
            events: Arc::clone(&seen.events),
        }
    }
}

impl State {
    fn new(parts: usize, limit: usize) -> Self {
        let samples = Accumulator::continuing(Arc::new(MetricsHistory::with_limit(limit)));
        Self { known: vec![None; parts], samples }
    }

    /// Joins the histories of sources that answer for the first time with what is remembered.
    fn join(
        &mut self,
        first: &[(&MetricsHistory, SignalSet)],
        until: DateTime<Utc>,
        fresh_for: TimeDelta,
        limit: usize,
    ) {
        self.samples.lapse();
        let own = Arc::clone(self.samples.history());
        let histories: Vec<_> = std::iter::once((&*own, SignalSet::ALL)).chain(first.iter().copied()).collect();
        let joined = join::joined(&histories, until, fresh_for).limited(limit);
        self.samples = Accumulator::continuing(Arc::new(joined));
    }

    /// The samples before this one, which is remembered if it is the newest.
    fn remember(&mut self, current: &crate::ScalingMetrics, now: DateTime<Utc>) -> Arc<MetricsHistory> {
        // Asked of an earlier moment, or the freshest source was lost and the others lag behind it: the past is not rewritten.
        if self.samples.newest().is_some_and(|newest| current.timestamp < newest) {
            let mut history = MetricsHistory::clone(self.samples.history());
            let at = current.timestamp;
            history.truncate_after(at.checked_sub_signed(TimeDelta::milliseconds(1)).unwrap_or(at));
            return Arc::new(history);
        }
        if self.samples.push(current.clone(), now).is_err() {
            // The same moment, which a source may have measured since; in a gap there is no present to revise.
            self.samples.revise(current.clone()).ok();
        }
        Arc::clone(self.samples.history())
    }

    /// Each fact as the first source has it that states it, also while that one fails.
    fn facts(&self) -> WorkloadFacts {
        let stated = self.known.iter().flatten().map(|known| &known.facts);
        stated.fold(WorkloadFacts::default(), WorkloadFacts::or)
    }

    /// The events of all sources, each once.
    fn events(&self) -> Vec<PlannedEvent> {
        let mut events: Vec<PlannedEvent> = Vec::new();
        for event in self.known.iter().flatten().flat_map(|known| known.events.iter()) {
            if !events.contains(event) {
                events.push(event.clone());
            }
        }
        events
    }
}

#[async_trait]
impl MetricsSource for Composite {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let asked = self
            .parts
            .iter()
            .map(|part| Box::pin(single(part, target, now)) as Pin<Box<dyn Future<Output = _> + Send>>);
        let answers = all(asked).await;
        self.combine(target, now, answers)
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let asked = self
            .parts
            .iter()
            .map(|part| Box::pin(batch(part, targets, now)) as Pin<Box<dyn Future<Output = _> + Send>>);
        let mut answers: Vec<_> = all(asked).await.into_iter().map(Vec::into_iter).collect();
        let each = |target: &Target| {
            let answers = answers.iter_mut().map(|answers| answers.next().flatten()).collect();
            self.combine(target, now, answers)
        };
        targets.iter().map(each).collect()
    }
}

/// The answer of one part; `None` where it is not asked.
async fn single(part: &Part, target: &Target, now: DateTime<Utc>) -> Option<Result<Observation, SourceError>> {
    if part.is_asked_for(target) { Some(part.source.observe(target, now).await) } else { None }
}

/// The answers of one part in the order of the targets, asked for at once; `None` where it is not asked.
async fn batch(part: &Part, targets: &[Target], now: DateTime<Utc>) -> Vec<Option<Result<Observation, SourceError>>> {
    let asked: Vec<_> = targets.iter().filter(|target| part.is_asked_for(target)).cloned().collect();
    let mut answers =
        if asked.is_empty() { Vec::new() } else { part.source.observe_all(&asked, now).await }.into_iter();
    let answer = |target: &Target| {
        part.is_asked_for(target).then(|| {
            // A source that answers for fewer than it was asked for has no data for the rest.
            answers.next().unwrap_or_else(|| Err(SourceError::NoData { target: Box::new(target.clone()), at: now }))
        })
    };
    targets.iter().map(answer).collect()
}

/// Waits for all at once, so that the deadlines of several sources do not add up. Their results in order.
async fn all<'a, T: Send>(futures: impl Iterator<Item = Pin<Box<dyn Future<Output = T> + Send + 'a>>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(Some).collect();
    let mut results: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, result) in waiting.iter_mut().zip(&mut results) {
            if let Some(pending) = future
                && let Poll::Ready(value) = pending.as_mut().poll(context)
            {
                *result = Some(value);
                *future = None;
            }
        }
        if waiting.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}
