//! [`MetricsApi`]: the source.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use kube::Client;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::source::SampleCounts;
use scaling_core::{InvalidSetting, MetricsSource, Observation, SourceError, Target};

use super::client::{Answers, Asker};
use super::config::{InvalidMetrics, MetricsApiConfig, ScaledKind, WorkloadMetrics};
use super::fault::ApiFault;
use super::measure::Moment;
use super::plan;
use super::start_up::StartUpTimes;
use super::state::States;
use super::usage::Look;
use crate::{InUse, PodUsage, fan_out};

/// A source over the metrics that a cluster serves: see [the module](super).
///
/// Knows any workload of the cluster: one that is not [declared](Self::with_workload) is asked for its CPU and memory. Does not look at
/// the cluster that a target names; [`Clusters`](crate::clusters::Clusters) sends each to its own.
pub struct MetricsApi {
    asker: Asker,
    config: MetricsApiConfig,
    default: WorkloadMetrics,
    declared: HashMap<Target, WorkloadMetrics>,
    kinds: HashMap<String, ScaledKind>,
    states: States,
    faults: Mutex<BTreeMap<String, ApiFault>>,
}

impl fmt::Debug for MetricsApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client holds credentials.
        f.debug_struct("MetricsApi").field("config", &self.config).finish_non_exhaustive()
    }
}

impl MetricsApi {
    /// Creates a source over the cluster that `client` talks to.
    ///
    /// A client that tries again by itself what the server was too busy for (kube's `Config::default_retry`) spends the deadline on it:
    /// an API that is not available is then told as late.
    pub fn new(client: Client) -> Self {
        Self {
            asker: Asker::new(client),
            config: MetricsApiConfig::default(),
            default: WorkloadMetrics::default(),
            declared: HashMap::new(),
            kinds: HashMap::new(),
            states: States::new(),
            faults: Mutex::default(),
        }
    }

    /// Sets limits and times.
    ///
    /// # Errors
    /// [`InvalidSetting`] if one cannot be.
    pub fn with_config(mut self, config: MetricsApiConfig) -> Result<Self, InvalidSetting> {
        config.check()?;
        self.config = config;
        Ok(self)
    }

    /// Sets what is asked for of workloads that are not declared. Default: CPU and memory.
    ///
    /// # Errors
    /// [`InvalidMetrics`] if it cannot be asked for.
    pub fn with_default(mut self, metrics: WorkloadMetrics) -> Result<Self, InvalidMetrics> {
        metrics.check()?;
        self.default = metrics;
        Ok(self)
    }

    /// Sets what is asked for of a workload.
    ///
    /// # Errors
    /// [`InvalidMetrics`] if it cannot be asked for.
    pub fn with_workload(mut self, target: Target, metrics: WorkloadMetrics) -> Result<Self, InvalidMetrics> {
        metrics.check()?;
        self.declared.insert(target, metrics);
        Ok(self)
    }

    /// Says where objects of a kind are, such as `Rollout`; pods are then found by its scale subresource.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<String>, at: ScaledKind) -> Self {
        self.kinds.insert(kind.into(), at);
        self
    }

    /// The start-up times of a workload, measured; none before there are [enough](MetricsApiConfig::starts).
    pub fn start_up(&self, target: &Target) -> Option<StartUpTimes> {
        self.states.start_up(target, &self.config)
    }

    /// Counts the samples of a workload by what became of them; none if it was never seen.
    pub fn counts(&self, target: &Target) -> Option<SampleCounts> {
        self.states.counts(target)
    }

    /// Forgets the history of a workload and returns whether there was any.
    pub fn forget(&self, target: &Target) -> bool {
        self.states.forget(target)
    }

    /// Questions of the last tick that have no usable answer.
    pub fn faults(&self) -> Vec<ApiFault> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn metrics(&self, target: &Target) -> &WorkloadMetrics {
        self.declared.get(target).unwrap_or(&self.default)
    }

    /// Asks for workloads of which there is no answer of now.
    async fn ask(&self, targets: &[&Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let until = fan_out::until(self.config.deadline);
        let first = plan::scaled_by(targets, &self.kinds);
        let mut questions: Vec<_> = first.iter().flatten().cloned().collect();
        questions.sort_by_cached_key(|question| question.path(super::query::CustomVersion::V1beta2));
        questions.dedup();
        let workloads = self.asker.ask_all(questions, &self.config, until).await;

        let mut results: Vec<Option<Result<Observation, SourceError>>> = Vec::with_capacity(targets.len());
        let mut places = Vec::new();
        let mut found = Vec::new();
        for (target, question) in targets.iter().zip(first) {
            let one = match question {
                Ok(question) => plan::found(target, self.metrics(target), &question, &workloads),
                Err(invalid) => Err(SourceError::Backend {
                    target: Box::new((*target).clone()),
                    transient: false,
                    source: Box::new(invalid),
                }),
            };
            match one {
                Ok(one) => {
                    places.push(results.len());
                    found.push(one);
                    results.push(None);
                }
                Err(error) => results.push(Some(Err(error))),
            }
        }
        let answers = self.asker.ask_all(plan::questions(&mut found), &self.config, until).await;
        for (place, one) in places.into_iter().zip(&found) {
            let seen = one.its_pods(&answers).and_then(|pods| {
                // Also where no metric was answered for: how long pods take is told by the pods.
                let start_up = self.states.look(one.target, &pods, now, &self.config);
                let moment = Moment { now, config: &self.config };
                let (samples, replicas) = (one.samples(&answers), one.replicas);
                self.states.look_at_use(one.target, &Look { pods: &pods, samples, replicas, moment });
                let mut seen = one.observation(&pods, &answers, now, &self.config)?;
                if let Some(times) = start_up.filter(|_| one.metrics.measure_start_up) {
                    seen.facts.start_up = times.from_creation;
                }
                let no_data = || SourceError::NoData { target: Box::new(one.target.clone()), at: now };
                self.states.take(seen, &self.config).ok_or_else(no_data)
            });
            if let Some(result) = results.get_mut(place) {
                *result = Some(seen);
            }
        }
        self.keep_faults([workloads, answers]);
        for (result, target) in results.iter().zip(targets) {
            if !matches!(result, Some(Ok(_))) {
                self.states.lose_use(target);
            }
        }
        let none = |target: &&Target| SourceError::NoData { target: Box::new((*target).clone()), at: now };
        results.into_iter().zip(targets).map(|(result, target)| result.unwrap_or_else(|| Err(none(target)))).collect()
    }

    /// Keeps what is wrong now, and logs it when it begins and when it ends: an outage of hours is no line a tick.
    fn keep_faults(&self, rounds: [Answers; 2]) {
        let faults = rounds.into_iter().flatten().filter_map(|(_, answer)| answer.err());
        let faults: BTreeMap<String, ApiFault> = faults.map(|fault| (fault.asked.clone(), fault)).collect();
        let mut last = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        for (asked, fault) in faults.iter().filter(|(asked, _)| !last.contains_key(*asked)) {
            tracing::warn!(%asked, cause = %fault.cause, "a question to the cluster has no answer");
        }
        for asked in last.keys().filter(|asked| !faults.contains_key(*asked)) {
            tracing::info!(%asked, "a question to the cluster has an answer again");
        }
        *last = faults;
    }
}

#[async_trait]
impl MetricsSource for MetricsApi {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let seen = self.observe_all(std::slice::from_ref(target), now).await.pop();
        seen.unwrap_or_else(|| Err(SourceError::NoData { target: Box::new(target.clone()), at: now }))
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let mut due: Vec<&Target> = Vec::new();
        let mut seen: HashMap<&Target, Result<Observation, SourceError>> = HashMap::with_capacity(targets.len());
        let none = |target: &Target| SourceError::NoData { target: Box::new(target.clone()), at: now };
        let mut looked = HashSet::with_capacity(targets.len());
        for target in targets.iter().filter(|target| looked.insert(*target)) {
            if let Some(answered) = self.states.answered(target, now) {
                seen.insert(target, Ok(answered));
            } else if self.states.is_past(target, now) {
                seen.insert(target, Err(none(target)));
            } else {
                due.push(target);
            }
        }
        if !due.is_empty() {
            let asked = self.ask(&due, now).await;
            seen.extend(due.into_iter().zip(asked));
        }
        // A workload that is asked for twice is answered for from what is known by then.
        let again = |target: &Target| self.states.answered(target, now).ok_or_else(|| none(target));
        targets.iter().map(|target| seen.remove(target).unwrap_or_else(|| again(target))).collect()
    }
}

impl PodUsage for MetricsApi {
    fn in_use(&self, target: &Target, container: &str) -> InUse {
        self.states.in_use(target, container, &self.config)
    }
}
