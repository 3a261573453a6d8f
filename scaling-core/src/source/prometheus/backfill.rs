//! The past that engines learn from, fetched without hurting the server: [`Backfill`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, sleep};

use super::answer;
use super::client::{QueryError, QueryFault};
use super::index::{Index, is_coverage};
use super::query::{self, Query};
use super::source::{Known, PrometheusSource, locked, pods};
use super::template::{Measure, QueryTemplate};
use crate::metrics::{MetricsHistory, ScalingMetrics, SignalKind};
use crate::source::{PastSource, SourceError};
use crate::target::Target;

/// Points that a server returns of one series at most (Prometheus refuses more than 11,000).
const POINTS: i64 = 10_000;

/// Samples of one answer at most: some 6 MB of JSON, and 40 MB while they are sorted.
const SAMPLES: i64 = 200_000;

/// Queries in a row that fail before the rest is left alone.
const FAILURES: usize = 3;

/// How much of the past is fetched, and how gently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// Length of the past. Default 14 days: a forecast looks for weekly patterns and needs two weeks.
    pub span: Duration,
    /// Time between two samples, in whole seconds. Default 60 s.
    pub step: Duration,
    /// Shortest pause between two queries. Default 50 ms. The pause is at least as long as the query before it took, so that the
    /// server is never busy for this for more than half of the time.
    pub pause: Duration,
}

impl Default for Backfill {
    fn default() -> Self {
        Self { span: Duration::from_secs(14 * 86_400), step: Duration::from_secs(60), pause: Duration::from_millis(50) }
    }
}

/// What came of a backfill.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BackfillReport {
    /// Queries asked.
    pub queries: usize,
    /// Samples taken into histories, each with one signal at least.
    pub samples: usize,
    /// Workloads of which there was nothing.
    pub empty: Vec<Target>,
    /// Pieces of the past that are missing, with their causes. Where they are, histories have gaps.
    pub failed: Vec<QueryError>,
    /// True if it ended early, since query after query failed.
    pub stopped: bool,
    /// Samples that came before an older one of their series.
    pub reordered: usize,
    /// Samples of an instant at which their series had one already; the later one counts.
    pub duplicates: usize,
    /// Series left aside since there were several for one workload.
    pub ambiguous: usize,
    /// Values left aside since not all pods answered. Where they are, histories have gaps.
    pub partial: usize,
    /// Workloads of another cluster ([`QuerySet::of_cluster`](super::QuerySet::of_cluster)), which were not asked for.
    pub foreign: Vec<Target>,
}

/// Samples of one target by instant, in milliseconds.
type Samples = BTreeMap<i64, ScalingMetrics>;

impl PrometheusSource {
    /// Fetches the past of some targets up to `now`, in pieces that start on multiples of the step, and puts it before what is known of
    /// them. It runs until all is fetched: minutes for a thousand workloads. Ticks may go on beside it.
    ///
    /// Of a longer past than histories keep ([`with_limit`](Self::with_limit)), the newest part is fetched.
    ///
    /// Samples stand on multiples of the step, so that the same past fetched again is the same.
    pub async fn backfill(&self, targets: &[Target], now: DateTime<Utc>, backfill: Backfill) -> BackfillReport {
        let (ours, past, mut report) = self.fetched(targets, now, backfill).await;
        self.take(&ours, past, &mut report);
        report
    }

    /// The pasts of those targets that are not another cluster's.
    async fn fetched(
        &self,
        targets: &[Target],
        now: DateTime<Utc>,
        backfill: Backfill,
    ) -> (Vec<Target>, Vec<MetricsHistory>, BackfillReport) {
        let is_foreign = |target: &&Target| self.set.foreign(target).is_some();
        let (foreign, ours): (Vec<_>, Vec<_>) = targets.iter().partition(is_foreign);
        let (foreign, ours): (Vec<_>, Vec<_>) =
            (foreign.into_iter().cloned().collect(), ours.into_iter().cloned().collect());
        let (targets, mut report) = (&ours[..], BackfillReport { foreign, ..BackfillReport::default() });
        let step_s = i64::try_from(backfill.step.as_secs()).unwrap_or(i64::MAX).max(1);
        let count = i64::try_from(backfill.span.as_secs()).unwrap_or(i64::MAX) / step_s;
        // More than histories keep would be fetched for nothing.
        let count = count.min(i64::try_from(self.limit).unwrap_or(i64::MAX));
        let queries = query::plan(&self.set, targets, self.budget.query_bytes, self.budget.per_tick);
        let per_piece = (SAMPLES / i64::try_from(targets.len()).unwrap_or(i64::MAX).max(1)).clamp(1, POINTS);
        // The last step lies before `now`, at which the next tick samples.
        let end = (now.timestamp() - 1).div_euclid(step_s);
        let mut from = end.saturating_sub(count.saturating_sub(1));
        let mut past: Vec<MetricsHistory> = targets.iter().map(|_| MetricsHistory::with_limit(self.limit)).collect();
        let mut failures = 0;
        while from <= end && !report.stopped {
            let to = end.min(from + per_piece - 1);
            let mut samples: Vec<Samples> = targets.iter().map(|_| Samples::new()).collect();
            for query in &queries {
                let began = Instant::now();
                match self.piece(query, targets, (from, to), backfill.step, &mut samples, &mut report).await {
                    Ok(()) => failures = 0,
                    Err(fault) => {
                        failures += 1;
                        report.failed.push(QueryError { measure: query.measure, fault });
                    }
                }
                report.queries += 1;
                if failures >= FAILURES {
                    report.stopped = true;
                    break;
                }
                sleep(backfill.pause.max(began.elapsed())).await;
            }
            for (past, samples) in past.iter_mut().zip(samples) {
                // In the order of time, each later than those of the piece before.
                report.samples += samples.into_values().filter(|sample| past.push(sample).is_ok()).count();
            }
            from = to + 1;
        }
        (ours, past, report)
    }

    /// Fetches one query over one piece of time.
    async fn piece(
        &self,
        query: &Query,
        targets: &[Target],
        (from, to): (i64, i64),
        step: Duration,
        samples: &mut [Samples],
        report: &mut BackfillReport,
    ) -> Result<(), QueryFault> {
        let step_s = i64::try_from(step.as_secs()).unwrap_or(i64::MAX).max(1);
        let instant = |steps: i64| {
            let seconds = steps.saturating_mul(step_s);
            DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::UNIX_EPOCH)
        };
        let reply = self.client.range(&query.promql, (instant(from), instant(to)), step).await?;
        let answer = reply.read()?;
        let Some(template) = self.set.templates().nth(query.template) else { return Ok(()) };
        let index = Index::new(&self.set, template, targets);
        let mut series_of: BTreeMap<usize, Vec<&answer::Series<'_>>> = BTreeMap::new();
        let mut parts: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
        for series in &answer.series {
            for target in index.targets(series) {
                if is_coverage(series) {
                    parts.entry(target).or_default().extend(series.samples.iter().map(|sample| sample.at_ms));
                } else {
                    series_of.entry(target).or_default().push(series);
                }
            }
        }
        for (target, all) in series_of {
            let ([series], Some(samples)) = (all.as_slice(), samples.get_mut(target)) else {
                report.ambiguous += all.len();
                continue;
            };
            let mut before = i64::MIN;
            for sample in &series.samples {
                report.reordered += usize::from(sample.at_ms < before);
                report.duplicates += usize::from(sample.at_ms == before);
                before = before.max(sample.at_ms);
                if parts.get(&target).is_some_and(|parts| parts.contains(&sample.at_ms)) {
                    report.partial += 1;
                    continue;
                }
                place(samples, template, *sample, self.set.quantile);
            }
        }
        Ok(())
    }

    /// Puts the past before what is known.
    fn take(&self, targets: &[Target], past: Vec<MetricsHistory>, report: &mut BackfillReport) {
        let mut known = locked(&self.known);
        for (target, mut past) in targets.iter().zip(past) {
            if past.is_empty() {
                report.empty.push(target.clone());
                continue;
            }
            let mut newer = Vec::new();
            let mut present = None;
            if let Some(before) = known.get_mut(target) {
                newer = before.samples.history().iter().collect();
                present = before.samples.newest().and_then(|newest| before.samples.at(newest).cloned());
            }
            let oldest = newer.first().or(present.as_ref()).map(|sample| sample.timestamp);
            if let Some(oldest) = oldest {
                past.truncate_after(oldest - TimeDelta::milliseconds(1));
            }
            for sample in &newer {
                past.push(sample).ok();
            }
            let mut joined = Known::continuing(past);
            if let Some(present) = present {
                let at = present.timestamp;
                for kind in SignalKind::ALL {
                    if let (Some(seen), Some(_)) = (joined.seen.get_mut(kind.index()), present.value(kind)) {
                        *seen = Some(at);
                    }
                }
                joined.samples.push(present, at).ok();
            }
            known.insert(target.clone(), joined);
        }
    }
}

/// A piece of the past is missing.
#[derive(Debug, thiserror::Error)]
#[error("{pieces} pieces of the past are missing; the first: {first}")]
struct Missing {
    pieces: usize,
    #[source]
    first: QueryError,
}

#[async_trait]
impl PastSource for PrometheusSource {
    /// One sample a minute, asked for as gently as a [`backfill`](PrometheusSource::backfill) does. Nothing of it is kept.
    async fn past(
        &self,
        target: &Target,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<ScalingMetrics>, SourceError> {
        let span = until.signed_duration_since(since).to_std().unwrap_or_default();
        let backfill = Backfill { span, ..Backfill::default() };
        let (_, past, report) = self.fetched(std::slice::from_ref(target), until, backfill).await;
        let pieces = report.failed.len();
        if let Some(first) = report.failed.into_iter().next() {
            let source = Box::new(Missing { pieces, first });
            return Err(SourceError::Backend { target: Box::new(target.clone()), transient: true, source });
        }
        let samples: Vec<ScalingMetrics> = past.iter().flat_map(MetricsHistory::iter).collect();
        if samples.is_empty() {
            return Err(SourceError::NoData { target: Box::new(target.clone()), at: until });
        }
        Ok(samples)
    }
}

/// Puts one value into the sample of its instant.
fn place(
    samples: &mut Samples,
    template: &QueryTemplate,
    answer::Sample { at_ms, value }: answer::Sample,
    quantile: f64,
) {
    let Some(at) = DateTime::from_timestamp_millis(at_ms) else { return };
    let value = template.unit.convert(value);
    if !value.is_finite() {
        // A gap, not a sample: nothing was measured.
        return;
    }
    let sample = samples.entry(at_ms).or_insert_with(|| {
        let mut sample = ScalingMetrics::new(at, 0);
        sample.current_pod_count = None;
        sample
    });
    match template.measure() {
        Measure::Signal(kind) => {
            sample.set(kind, kind.check(value));
            if template.says_quantile() {
                sample.response_time_quantile = Some(quantile);
            }
        }
        Measure::ReadyPods => sample.current_pod_count = pods(value),
        Measure::DesiredPods => sample.desired_pod_count = pods(value),
    }
}
