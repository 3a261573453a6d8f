//! [`PrometheusSource`]: a fleet in a few queries a tick.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use futures::stream;
use tokio::time::{Instant, timeout_at};

use super::answer;
use super::client::{Client, QueryError, QueryFault, Reply};
use super::index::{Index, covered_percent, is_coverage};
use super::query::{self, Query};
use super::query_set::QuerySet;
use super::report::{QueryBudget, Report};
use super::template::{Measure, QueryTemplate};
use crate::http::{Endpoint, HttpClient};
use crate::metrics::{Absence, MetricsHistory, Observation, ScalingMetrics, Signal, SignalKind, WorkloadFacts};
use crate::source::{Accumulator, DEFAULT_LIMIT, MetricsSource, SourceError};
use crate::stats::MAX_REPLICAS;
use crate::target::Target;

/// Difference of clocks that is told: within it, windows of rates still hold enough samples.
const SKEW: TimeDelta = TimeDelta::seconds(60);
/// Longest tick: instants cannot be counted for ever.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Most entries of a kind in a [`Report`].
const LISTED: usize = 100;

/// Observes workloads through the Prometheus HTTP API.
///
/// Each tick asks each query of the set once for all targets (in a few pieces, if names are many), as of `now`. The sample joins the
/// history of its target, which grows tick by tick and starts with what [`backfill`](Self::backfill) brought.
#[derive(Debug)]
pub struct PrometheusSource {
    pub(super) client: Client,
    pub(super) set: QuerySet,
    pub(super) budget: QueryBudget,
    pub(super) limit: usize,
    facts: HashMap<Target, WorkloadFacts>,
    default_facts: WorkloadFacts,
    pub(super) known: Mutex<HashMap<Target, Known>>,
    report: Mutex<Report>,
}

/// What is kept of a target.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) samples: Accumulator,
    /// When each signal had a value last.
    pub(super) seen: [Option<DateTime<Utc>>; SignalKind::ALL.len()],
}

impl Known {
    pub(super) fn continuing(history: MetricsHistory) -> Self {
        let mut seen = [None; SignalKind::ALL.len()];
        for (kind, seen) in SignalKind::ALL.into_iter().zip(&mut seen) {
            let columns = history.before(i64::MAX);
            let last = columns.times().iter().zip(columns.column(kind)).rfind(|(_, value)| !value.is_nan());
            *seen = last.and_then(|(ms, _)| DateTime::from_timestamp_millis(*ms));
        }
        Self { samples: Accumulator::continuing(Arc::new(history)), seen }
    }
}

/// What one measure of one target came out as.
#[derive(Clone, Copy, Debug, Default)]
enum Found {
    #[default]
    Nothing,
    One(answer::Sample),
    Several(usize),
    /// Only so many percent of what should have answered did.
    Partial(u8),
    Failed(usize),
}

impl PrometheusSource {
    /// Creates a source over a server. Nothing is asked yet.
    pub fn new(http: HttpClient, endpoint: Endpoint, set: QuerySet) -> Self {
        let default_facts = WorkloadFacts { metrics_window: set.window, ..WorkloadFacts::default() };
        let (facts, known, report) = (HashMap::new(), Mutex::default(), Mutex::default());
        let client = Client::new(http, endpoint);
        Self { client, set, budget: QueryBudget::default(), limit: DEFAULT_LIMIT, facts, default_facts, known, report }
    }

    /// Sets what may be asked of the server. A tick may take a day at most.
    #[must_use]
    pub fn with_budget(mut self, budget: QueryBudget) -> Self {
        self.budget = QueryBudget { tick: budget.tick.min(LONGEST), ..budget };
        self
    }

    /// Sets how many samples of history are kept of a workload at least; twice as many at most. Default: [`DEFAULT_LIMIT`].
    #[must_use]
    pub fn with_limit(mut self, samples: usize) -> Self {
        self.limit = samples.max(1);
        self
    }

    /// Sets the facts about a workload. Without them only the window of rates is known.
    #[must_use]
    pub fn with_facts(mut self, target: Target, facts: WorkloadFacts) -> Self {
        self.facts.insert(target, facts);
        self
    }

    /// Sets the time between two decisions, where no facts are stated: what looks ahead, looks at least that far. Default: as in
    /// [`WorkloadFacts`].
    #[must_use]
    pub fn with_sync_period(mut self, period: Duration) -> Self {
        self.default_facts.sync_period = period;
        self
    }

    /// The queries.
    pub fn queries(&self) -> &QuerySet {
        &self.set
    }

    /// What happened in the last tick.
    pub fn report(&self) -> Report {
        locked(&self.report).clone()
    }

    /// Forgets a workload, its history included.
    pub fn forget(&self, target: &Target) -> bool {
        locked(&self.known).remove(target).is_some()
    }

    /// Asks all queries for some targets; what came back lies by query.
    async fn ask(&self, queries: &[Query], now: DateTime<Utc>) -> Vec<Result<Reply, QueryFault>> {
        let (within, over) = (self.budget.tick, Instant::now() + self.budget.tick);
        let mut asked = Vec::with_capacity(queries.len());
        for query in queries {
            let answer = self.client.instant(&query.promql, now);
            asked.push(async move { timeout_at(over, answer).await.unwrap_or(Err(QueryFault::TickOver { within })) });
        }
        stream::iter(asked).buffered(self.budget.concurrent.max(1)).collect().await
    }

    /// Sorts the answers by target and template.
    fn sort(
        &self,
        targets: &[Target],
        queries: &[Query],
        answers: &[Result<Reply, QueryFault>],
    ) -> (Vec<Vec<Found>>, Vec<QueryError>) {
        let templates: Vec<&QueryTemplate> = self.set.templates().collect();
        let mut found = vec![vec![Found::default(); templates.len()]; targets.len()];
        let mut errors = Vec::new();
        for (query, reply) in queries.iter().zip(answers) {
            let Some(template) = templates.get(query.template) else { continue };
            let answer = match reply.as_ref().map_err(Clone::clone).and_then(Reply::read) {
                Ok(answer) => answer,
                Err(fault) => {
                    let is_partial = matches!(fault, QueryFault::Partial(_));
                    let outcome = if is_partial { Found::Partial(0) } else { Found::Failed(errors.len()) };
                    errors.push(QueryError { measure: query.measure, fault });
                    for (target, row) in targets.iter().zip(&mut found) {
                        if query.covers(target)
                            && let Some(place) = row.get_mut(query.template)
                        {
                            *place = outcome;
                        }
                    }
                    continue;
                }
            };
            let index = Index::new(&self.set, template, targets);
            for series in &answer.series {
                let Some(sample) = series.samples.last() else { continue };
                let says_coverage = is_coverage(series);
                for target in index.targets(series) {
                    let place = found.get_mut(target).and_then(|row| row.get_mut(query.template));
                    if let Some(place) = place {
                        *place = match place {
                            _ if says_coverage => Found::Partial(covered_percent(*sample)),
                            Found::Partial(percent) => Found::Partial(*percent),
                            Found::Nothing => Found::One(*sample),
                            Found::Several(number) => Found::Several(*number + 1),
                            _ => Found::Several(2),
                        };
                    }
                }
            }
        }
        (found, errors)
    }

    /// Makes one target's sample of what was found.
    fn sample(&self, known: &Known, row: &[Found], now: DateTime<Utc>) -> ScalingMetrics {
        let mut sample = ScalingMetrics::new(now, 0);
        sample.current_pod_count = None;
        for (template, found) in self.set.templates().zip(row) {
            let signal = self.signal(template, *found, now);
            match template.measure() {
                Measure::Signal(kind) => {
                    let signal = match signal {
                        Ok(value) => kind.check(value),
                        Err(Absence::NotMeasured) => Signal::Absent(since(known, kind, now)),
                        Err(absence) => Signal::Absent(absence),
                    };
                    sample.set(kind, signal);
                    if template.says_quantile() && signal.value().is_some() {
                        sample.response_time_quantile = Some(self.set.quantile);
                    }
                }
                Measure::ReadyPods => sample.current_pod_count = signal.ok().and_then(pods),
                Measure::DesiredPods => sample.desired_pod_count = signal.ok().and_then(pods),
            }
        }
        sample
    }

    fn signal(&self, template: &QueryTemplate, found: Found, now: DateTime<Utc>) -> Result<f64, Absence> {
        match found {
            Found::One(answer::Sample { at_ms, value }) => {
                let age_ms = now.timestamp_millis().saturating_sub(at_ms);
                let fresh_ms = i64::try_from(self.set.fresh.as_millis()).unwrap_or(i64::MAX);
                if age_ms > fresh_ms {
                    return Err(Absence::Stale { age_s: u32::try_from(age_ms / 1000).unwrap_or(u32::MAX) });
                }
                // Of the future: no server answers so for a query at `now`.
                if age_ms < 0 { Err(Absence::NotMeasured) } else { Ok(template.unit.convert(value)) }
            }
            Found::Partial(covered_percent) => Err(Absence::Partial { covered_percent }),
            Found::Nothing | Found::Several(_) | Found::Failed(_) => Err(Absence::NotMeasured),
        }
    }

    fn observation(
        &self,
        known: &mut Known,
        target: &Target,
        row: &[Found],
        errors: &[QueryError],
        now: DateTime<Utc>,
    ) -> Result<Observation, SourceError> {
        let failed = |found: &Found| matches!(found, Found::Failed(_));
        if let Some(Found::Failed(first)) = row.first()
            && row.iter().all(failed)
        {
            let transient = errors.iter().any(|error| error.fault.is_transient());
            let error = errors.get(*first).cloned();
            let source = error.map_or_else(|| "no query succeeded".into(), Into::into);
            return Err(SourceError::Backend { target: Box::new(target.clone()), transient, source });
        }
        if row.iter().all(|found| failed(found) || matches!(found, Found::Nothing)) {
            return Err(SourceError::NoData { target: Box::new(target.clone()), at: now });
        }
        let sample = self.sample(known, row, now);
        if known.samples.newest().is_none_or(|newest| newest < now) {
            for kind in SignalKind::ALL {
                if let (Some(seen), Some(_)) = (known.seen.get_mut(kind.index()), sample.value(kind)) {
                    *seen = Some(now);
                }
            }
            // It is the newest and of now, so it is taken.
            known.samples.push(sample.clone(), now).ok();
        }
        // Shared after it has grown: a history that is held elsewhere would be copied to grow.
        let mut history = known.samples.history().clone();
        if history.newest().is_some_and(|newest| newest >= now) {
            // An instant that has passed: its past ended before it.
            let before = now.checked_sub_signed(TimeDelta::milliseconds(1)).unwrap_or(now);
            Arc::make_mut(&mut history).truncate_after(before);
        }
        let facts = self.facts.get(target).unwrap_or(&self.default_facts).clone();
        let observation = Observation::new(target.clone(), sample).at(now).declaring(self.set.declared());
        Ok(observation.with_history(history).with_facts(facts))
    }

    fn conclude(&self, targets: &[Target], found: &[Vec<Found>], mut report: Report) {
        let templates: Vec<&QueryTemplate> = self.set.templates().collect();
        for (target, row) in targets.iter().zip(found) {
            for (template, found) in templates.iter().zip(row) {
                if let Found::Several(number) = found
                    && report.ambiguous.len() < LISTED
                {
                    report.ambiguous.push((target.clone(), template.measure(), *number));
                }
            }
        }
        report.failed.truncate(LISTED);
        report.skew = self.client.skew().filter(|skew| skew.abs() > SKEW);
        let mut last = locked(&self.report);
        log_news(&last, &report);
        *last = report;
    }
}

#[async_trait]
impl MetricsSource for PrometheusSource {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let mut seen = self.observe_all(std::slice::from_ref(target), now).await;
        seen.pop().unwrap_or_else(|| Err(SourceError::UnknownTarget { target: Box::new(target.clone()) }))
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let refused: Vec<_> = targets.iter().map(|target| self.set.foreign(target)).collect();
        if refused.iter().all(Option::is_none) {
            return self.observe_ours(targets, now).await;
        }
        let is_ours = |(target, refused): (&Target, &Option<QueryFault>)| refused.is_none().then(|| target.clone());
        let ours: Vec<_> = targets.iter().zip(&refused).filter_map(is_ours).collect();
        let mut seen = self.observe_ours(&ours, now).await.into_iter();
        let merge = |(target, refused): (&Target, Option<QueryFault>)| match refused {
            Some(fault) => {
                let (target, source) = (Box::new(target.clone()), fault.into());
                Some(Err(SourceError::Backend { target, transient: false, source }))
            }
            None => seen.next(),
        };
        targets.iter().zip(refused).filter_map(merge).collect()
    }
}

impl PrometheusSource {
    /// Observes targets of this cluster.
    async fn observe_ours(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let queries = query::plan(&self.set, targets, self.budget.query_bytes, self.budget.per_tick);
        let (needed, most) = (queries.len(), self.budget.per_tick);
        if needed > most {
            let fault = QueryFault::OverBudget { needed, most };
            let refused = |target: &Target| {
                let (target, source) = (target.clone(), fault.clone().into());
                Err(SourceError::Backend { target: Box::new(target), transient: false, source })
            };
            return targets.iter().map(refused).collect();
        }
        let answers = self.ask(&queries, now).await;
        let (found, errors) = self.sort(targets, &queries, &answers);
        drop(answers);
        let mut known = locked(&self.known);
        let observe = |(target, row): (&Target, &Vec<Found>)| {
            let fresh = || Known::continuing(MetricsHistory::with_limit(self.limit));
            // A workload of which nothing ever came is not kept.
            let mut new = None;
            let entry = match known.get_mut(target) {
                Some(entry) => entry,
                None => new.insert(fresh()),
            };
            let seen = self.observation(entry, target, row, &errors, now);
            if let (Some(new), Ok(_)) = (new, &seen) {
                known.insert(target.clone(), new);
            }
            seen
        };
        let seen = targets.iter().zip(&found).map(observe).collect();
        drop(known);
        self.conclude(targets, &found, Report { queries: needed, failed: errors, ..Report::default() });
        seen
    }
}

/// Logs what is wrong when it begins and when it ends: an outage of hours is no line a tick.
fn log_news(last: &Report, report: &Report) {
    match (last.skew, report.skew) {
        (None, Some(skew)) => tracing::warn!(
            seconds = skew.num_seconds(),
            "the clock of the metrics server is ahead (behind, if negative)"
        ),
        (Some(_), None) => tracing::info!("the clock of the metrics server agrees again"),
        _ => {}
    }
    let fails = |report: &Report, measure| report.failed.iter().any(|error| error.measure == measure);
    for error in report.failed.iter().filter(|error| !fails(last, error.measure)) {
        tracing::warn!(%error, "a query brings nothing");
    }
    for error in last.failed.iter().filter(|error| !fails(report, error.measure)) {
        tracing::info!(measure = %error.measure, "a query is answered again");
    }
}

/// Cause for a signal without a series: stale, if it was seen before.
fn since(known: &Known, kind: SignalKind, now: DateTime<Utc>) -> Absence {
    let seen = known.seen.get(kind.index()).copied().flatten().filter(|seen| *seen < now);
    seen.map_or(Absence::NotMeasured, |seen| Absence::Stale {
        age_s: u32::try_from((now - seen).num_seconds()).unwrap_or(u32::MAX),
    })
}

/// A number of pods, if it can be one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked
pub(super) fn pods(value: f64) -> Option<u32> {
    (value >= 0.0 && value <= f64::from(MAX_REPLICAS) && value.fract() == 0.0).then_some(value as u32)
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
