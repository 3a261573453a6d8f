//! What the board shows, as JSON: [`Overview`], [`Row`] and [`TargetView`].

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::kept::{Coverage, Failing, FloorTold, Forecasted, GuardCount, Kept, LoadUnit, Newest, Others, STEPS};
use super::told::{Entry, Kind};
use crate::bounds::Bounds;
use crate::metrics::{Absence, ScalingMetrics, SignalKind};
use crate::record::Step;
use crate::state::ApplyMode;
use crate::target::Target;

/// How a workload stands: the first of these that is true of its last tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// A step failed: no data, no answer, no write.
    Failing,
    /// A declared signal has no usable value.
    Absent,
    /// A guard refused what the engine decided.
    Refused,
    /// A bound or a resource was changed, planned or validated.
    Changed,
    /// There was nothing to change.
    Steady,
}

impl Status {
    fn of(kept: &Kept) -> Self {
        if kept.failing.is_some() {
            return Self::Failing;
        }
        if kept.absent.iter().any(Option::is_some) {
            return Self::Absent;
        }
        match kept.told.last() {
            Some((Kind::Refused, _)) => Self::Refused,
            Some((Kind::Planned | Kind::Validated | Kind::Applied, _)) => Self::Changed,
            _ => Self::Steady,
        }
    }
}

/// All workloads, or a page of them, in the order of [`Target`].
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// Counts the ticks that were taken in.
    pub version: u64,
    /// The newest tick; none before the first.
    pub as_of: Option<DateTime<Utc>>,
    /// Workloads that the board knows.
    pub total: usize,
    /// Ticks of workloads that are not kept, because there were as many as the board has room for already.
    pub unlisted: u64,
    /// One row for each workload.
    pub targets: Vec<Row>,
    /// True if there are more behind the last row.
    pub more: bool,
}

/// One workload in the list. What is not known is not there.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    target: Target,
    /// Its last tick.
    at: DateTime<Utc>,
    mode: ApplyMode,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<LoadUnit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bounds: Option<Bounds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<u32>,
    /// Names of the absent signals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    absent: Vec<SignalKind>,
    /// The step that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing: Option<Step>,
    /// Ticks in which a guard refused, since the board began.
    refused: u64,
    /// Others who set its size.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    owned_by: Vec<String>,
    /// What happened in the last tick.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<String>,
}

impl Row {
    pub(super) fn of(target: &Target, kept: &Kept) -> Self {
        // While the source fails nothing is known of now.
        let seen = kept.metrics.as_ref().filter(|_| !kept.observe_fails());
        let signals = SignalKind::ALL.into_iter().zip(&kept.absent);
        Self {
            target: target.clone(),
            at: kept.last,
            mode: kept.mode,
            status: Status::of(kept),
            unit: kept.unit,
            load: seen.and_then(|metrics| kept.unit?.load(metrics)),
            expected: seen.and(kept.forecast).map(|forecast| forecast.expected),
            pods: seen.and_then(|metrics| metrics.current_pod_count),
            wanted: seen.and(kept.decided.as_ref()).map(|decided| decided.wanted),
            bounds: kept.bounds,
            floor: kept.floor.as_ref().map(|floor| floor.replicas),
            absent: signals.filter_map(|(kind, absent)| absent.map(|_| kind)).collect(),
            failing: kept.failing.as_ref().map(|failing| failing.step),
            refused: kept.guards.iter().map(|count| count.refused).sum(),
            owned_by: kept.others.iter().flat_map(|others| &others.owners).map(|one| one.owner.clone()).collect(),
            words: kept.told.last().map(|(_, words)| words.to_owned()),
        }
    }
}

/// A declared signal without a usable value.
#[derive(Clone, Debug, Serialize)]
struct AbsentSignal {
    signal: SignalKind,
    /// First tick in a row without it, as far as the board has seen.
    since: DateTime<Utc>,
    #[serde(flatten)]
    cause: Absence,
    words: String,
}

/// Failures of one step since the board began.
#[derive(Clone, Debug, Serialize)]
struct StepFailures {
    step: Step,
    ticks: u64,
}

/// Everything that is known of one workload. What is not known is not there.
#[derive(Clone, Debug, Serialize)]
pub struct TargetView {
    #[serde(flatten)]
    row: Row,
    /// First tick that the board saw, and how many since.
    first: DateTime<Utc>,
    ticks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<ScalingMetrics>,
    declared: crate::metrics::SignalSet,
    /// The bounds that the HPA's owner set.
    #[serde(skip_serializing_if = "Option::is_none")]
    resting: Option<Bounds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor_in_force: Option<FloorTold>,
    /// The min that is left when the floor ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_without_floor: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<Newest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast: Option<Forecasted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_forecast: Option<String>,
    coverage: Coverage,
    absent_signals: Vec<AbsentSignal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failing>,
    failures: Vec<StepFailures>,
    /// Others who set its size, and how to live with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    others: Option<Others>,
    guards: Vec<GuardCount>,
    other_guards: u64,
    decisions: Vec<Entry>,
    series: Columns,
}

/// The chart's points by column, oldest first. `null` is not known.
#[derive(Clone, Debug, Default, Serialize)]
struct Columns {
    /// Width of a slot of time, in seconds.
    slot_s: i64,
    /// Beginning of each slot, in seconds since 1970.
    at: Vec<i64>,
    /// Mean and highest load.
    load: Vec<Option<f32>>,
    peak: Vec<Option<f32>>,
    /// The highest forecast that was made in the slot; it is for `ahead_s` later.
    expected: Vec<Option<f32>>,
    pods: Vec<Option<u32>>,
    wanted: Vec<Option<u32>>,
    min: Vec<Option<u32>>,
    max: Vec<Option<u32>>,
    resting_min: Vec<Option<u32>>,
    resting_max: Vec<Option<u32>>,
    floor: Vec<Option<u32>>,
    failed: Vec<bool>,
}

impl Columns {
    fn of(kept: &Kept) -> Self {
        let mut columns = Self { slot_s: kept.series.width_s(), ..Self::default() };
        for (at, point) in kept.series.points() {
            columns.at.push(at);
            columns.load.push(point.load());
            columns.peak.push(point.peak());
            columns.expected.push(point.expected());
            columns.pods.push(point.pods());
            columns.wanted.push(point.wanted());
            columns.min.push(point.min());
            columns.max.push(point.max());
            columns.resting_min.push(point.resting_min());
            columns.resting_max.push(point.resting_max());
            columns.floor.push(point.floor());
            columns.failed.push(point.failed());
        }
        columns
    }
}

impl TargetView {
    pub(super) fn of(target: &Target, kept: &Kept) -> Self {
        let absent = SignalKind::ALL.into_iter().zip(&kept.absent).filter_map(|(signal, absent)| {
            let (since, cause) = (*absent)?;
            Some(AbsentSignal { signal, since, cause, words: cause.to_string() })
        });
        let failures = STEPS.into_iter().zip(kept.failures).filter(|(_, ticks)| *ticks > 0);
        Self {
            row: Row::of(target, kept),
            first: kept.first,
            ticks: kept.ticks,
            metrics: kept.metrics.clone(),
            declared: kept.declared,
            resting: kept.resting,
            floor_in_force: kept.floor.clone(),
            min_without_floor: kept.min_without_floor,
            decided: kept.decided.clone(),
            forecast: kept.forecast,
            no_forecast: kept.no_forecast.clone(),
            coverage: kept.coverage,
            absent_signals: absent.collect(),
            failure: kept.failing.clone(),
            failures: failures.map(|(step, ticks)| StepFailures { step, ticks }).collect(),
            others: kept.others.clone(),
            guards: kept.guards.clone(),
            other_guards: kept.other_guards,
            decisions: kept.told.newest_first(),
            series: Columns::of(kept),
        }
    }
}
