//! [`FleetSource`]: workloads of which a service is asked in as few queries as it takes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::assemble;
use super::config::{FleetConfig, Times};
use super::series::{Backend, Fault, QueryError};
use super::state::States;
use super::term::{Term, Workload};
use crate::metrics::Observation;
use crate::setting::InvalidSetting;
use crate::source::mapping::{MappingError, Measure, SignalQuery, Unit};
use crate::source::{MetricsSource, SampleCounts, SourceError};
use crate::target::Target;

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
    /// A share is delivered as something else than a ratio: 0.5 would be read as half a percent, or half a core.
    #[error("{target}: {measure}: a share is a ratio, and is stated as {stated}")]
    Share {
        /// The workload.
        target: Box<Target>,
        /// The measure.
        measure: Measure,
        /// The unit that is stated.
        stated: Unit,
    },
    /// A workload is given twice.
    #[error("{0}: the workload is given twice")]
    Twice(Box<Target>),
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
    times: Times,
    states: States,
    /// What could not be used of the last answer, by the text of the series.
    faults: Mutex<BTreeMap<String, Fault>>,
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
        let times = config.times(backend.settle(), backend.longest())?;
        let step = times.step.to_std().unwrap_or_default();
        let mut known = HashMap::new();
        for workload in workloads {
            let target = workload.target.clone();
            let odd =
                |query: &&SignalQuery<Term<B::Series>>| query.query.own_unit().is_some_and(|own| own != query.unit);
            if let Some(query) = workload.mapping.queries().iter().find(odd) {
                let (measure, stated) = (query.measure, query.unit);
                return Err(InvalidFleet::Share { target: Box::new(target), measure, stated });
            }
            if let Err(source) = workload.mapping.conversions(&workload.facts, step) {
                return Err(InvalidFleet::Mapping { target: Box::new(target), source });
            }
            if known.insert(target.clone(), workload).is_some() {
                return Err(InvalidFleet::Twice(Box::new(target)));
            }
        }
        let (states, faults) = (States::new(times.limit), Mutex::default());
        Ok(Self { backend, workloads: known, times, states, faults })
    }

    /// Series of the last answer that cannot be used, and why: queries that failed, other units than stated, several series for one.
    pub fn faults(&self) -> Vec<(String, Fault)> {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.iter().map(|(series, fault)| (series.clone(), fault.clone())).collect()
    }

    /// The workloads, in no order.
    pub fn workloads(&self) -> impl Iterator<Item = &Workload<B::Series>> {
        self.workloads.values()
    }

    /// Counts the samples of a workload by what became of them; `None` before the first answer.
    pub fn counts(&self, target: &Target) -> Option<SampleCounts> {
        self.states.counts(target)
    }

    /// Asks for what is new of these workloads.
    async fn refresh(&self, targets: &[Target], now: DateTime<Utc>) -> HashMap<Target, QueryError> {
        let newest = self.times.newest(now);
        let known = targets.iter().filter_map(|target| self.workloads.get(target));
        let due: Vec<_> = known.filter(|known| self.states.asked(&known.target) < Some(newest)).collect();
        if due.is_empty() {
            return HashMap::new();
        }
        // As far back as is looked, whatever is known already: a signal that is not there now is told to be stale by its past.
        let window = self.times.window(now);
        let wanted = wanted(due.iter().copied());
        let lines = match self.backend.fetch(&wanted, window, now).await {
            Ok(lines) => lines,
            Err(error) => {
                self.keep_faults(BTreeMap::from([(error.query.clone(), Fault::Failed(error.clone()))]));
                return due.iter().map(|workload| (workload.target.clone(), error.clone())).collect();
            }
        };
        let fault =
            |(series, line): (&B::Series, &Result<_, Fault>)| Some((series.to_string(), line.as_ref().err()?.clone()));
        self.keep_faults(lines.iter().filter_map(fault).collect());
        let mut failed = HashMap::new();
        for workload in due {
            match assemble::samples(workload, &lines, window) {
                Ok(samples) => drop(self.states.take(&workload.target, samples, newest)),
                Err(error) => drop(failed.insert(workload.target.clone(), error)),
            }
        }
        failed
    }

    /// Keeps what is wrong now, and logs it when it begins and when it ends: an outage of hours is no line a tick.
    fn keep_faults(&self, faults: BTreeMap<String, Fault>) {
        let mut last = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        for (series, fault) in faults.iter().filter(|(series, _)| !last.contains_key(*series)) {
            tracing::warn!(%series, %fault, "a series cannot be used");
        }
        for series in last.keys().filter(|series| !faults.contains_key(*series)) {
            tracing::info!(%series, "a series can be used again");
        }
        *last = faults;
    }

    pub(super) fn parts(&self) -> (&B, &Times) {
        (&self.backend, &self.times)
    }

    pub(super) fn states(&self) -> &States {
        &self.states
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
            let known = workload.and_then(|workload| self.states.observation(workload, &self.times, now));
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
