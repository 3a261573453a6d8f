//! [`MemorySource`]: observations that the host puts in.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::accumulate::{Accumulator, DEFAULT_LIMIT, SampleCounts, SampleError};
use super::{MetricsSource, SourceError};
use crate::{MetricsHistory, Observation, ScalingMetrics, SignalSet, Target};

/// Metrics of each workload as the host puts them in: for hosts that collect metrics themselves, and for tests.
///
/// Keeps 14 days of samples each 15 s of every workload ([`DEFAULT_LIMIT`]; see [`with_limit`](MemorySource::with_limit)), about 6 to
/// 12 MB. Workloads that are gone are [forgotten](MemorySource::forget) when the host says so.
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::{MemorySource, MetricsSource, ScalingMetrics, SignalKind, Target};
///
/// let target = Target::deployment("shop", "checkout");
/// let source = MemorySource::new();
/// let mut now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
/// for cpu in [40.0, 41.0, 62.0] {
///     now += TimeDelta::seconds(15);
///     source.advance(&target, ScalingMetrics::new(now, 3).with(SignalKind::CpuUtilization, cpu), now)?;
/// }
/// let seen = futures::executor::block_on(source.observe(&target, now)).unwrap();
/// assert_eq!(seen.current.value(SignalKind::CpuUtilization), Some(62.0));
/// assert_eq!(seen.history.len(), 2);
/// # Ok::<(), scaling_core::source::SampleError>(())
/// ```
#[derive(Debug)]
pub struct MemorySource {
    workloads: Mutex<HashMap<Target, Workload>>,
    limit: usize,
}

#[derive(Debug)]
struct Workload {
    samples: Accumulator,
    /// Facts, events and all else that does not change with the samples. Its history is empty: the one that grows has one owner.
    observation: Observation,
}

impl Default for MemorySource {
    fn default() -> Self {
        Self::new()
    }
}

impl MemorySource {
    /// Creates a source that knows no workload yet.
    pub fn new() -> Self {
        Self { workloads: Mutex::default(), limit: DEFAULT_LIMIT }
    }

    /// Sets how many samples of history are kept of a workload at least; twice as many at most. Default: [`DEFAULT_LIMIT`]. Acts on
    /// workloads that are put in or advanced for the first time from now on.
    #[must_use]
    pub fn with_limit(mut self, samples: usize) -> Self {
        self.limit = samples.max(1);
        self
    }

    /// Puts an observation of a workload in place of all that was known of it.
    ///
    /// History that does not lie before the current sample is dropped.
    pub fn put(&self, target: Target, mut observation: Observation) {
        observation.target = Arc::new(target.clone());
        let history = std::mem::take(&mut observation.history);
        let mut history = Arc::unwrap_or_clone(history).limited(self.limit);
        let at = observation.current.timestamp;
        history.truncate_after(at.checked_sub_signed(TimeDelta::milliseconds(1)).unwrap_or(at));
        let mut samples = Accumulator::continuing(Arc::new(history));
        // The host vouches for the instant; until it is reached there is nothing to observe.
        samples.push(observation.current.clone(), at).ok();
        self.locked().insert(target, Workload { samples, observation });
    }

    /// Takes the newest sample of a workload, which came at `now`. The sample before becomes history; facts and events stay.
    ///
    /// # Errors
    /// [`SampleError`] if it lies too far ahead of `now` or is not the newest; nothing is stored then.
    pub fn advance(&self, target: &Target, sample: ScalingMetrics, now: DateTime<Utc>) -> Result<(), SampleError> {
        match self.locked().entry(target.clone()) {
            Entry::Occupied(mut known) => known.get_mut().samples.push(sample, now),
            Entry::Vacant(place) => {
                let observation = Observation::new(target.clone(), sample.clone());
                let history = Arc::new(MetricsHistory::with_limit(self.limit));
                let mut samples = Accumulator::continuing(history);
                samples.push(sample, now)?;
                place.insert(Workload { samples, observation });
                Ok(())
            }
        }
    }

    /// States the signals that are delivered of a workload (law 2), or that nobody says, which makes every signal that ever came
    /// count. Nothing happens if the workload is not known yet.
    pub fn declare(&self, target: &Target, signals: Option<SignalSet>) {
        if let Some(workload) = self.locked().get_mut(target) {
            workload.observation.declared = signals;
        }
    }

    /// Forgets a workload and returns whether it was known.
    pub fn forget(&self, target: &Target) -> bool {
        self.locked().remove(target).is_some()
    }

    /// Counts the samples of a workload since it was put in, by what became of them; `None` if it is not known.
    pub fn counts(&self, target: &Target) -> Option<SampleCounts> {
        self.locked().get(target).map(|workload| workload.samples.counts())
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Target, Workload>> {
        self.workloads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MetricsSource for MemorySource {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let mut workloads = self.locked();
        let workload = workloads.get_mut(target);
        let Workload { samples, observation } =
            workload.ok_or_else(|| SourceError::UnknownTarget { target: Box::new(target.clone()) })?;
        let current = samples.at(now).cloned();
        let current = current.ok_or_else(|| SourceError::NoData { target: Box::new(target.clone()), at: now })?;
        Ok(Observation { current, now, history: samples.history().clone(), ..observation.clone() })
    }
}
