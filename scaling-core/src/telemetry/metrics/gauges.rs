//! The state of one workload, as its newest record tells it.

use chrono::{DateTime, Utc};

use super::counts::Counts;
use super::forecasts::Forecasts;
use crate::bounds::Bounds;
use crate::cost::Currency;
use crate::decision::ScalingDecision;
use crate::metrics::{ScalingMetrics, SignalSet};
use crate::record::{DecisionRecord, Outcome, Unchanged};

/// What is shown of one workload. What its newest record does not know is not shown: it never becomes 0.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) source_up: bool,
    /// Instant of the newest metrics that ever came: their age grows while the source is down.
    metrics_at: Option<DateTime<Utc>>,
    /// The signals that the source last said it delivers.
    pub(super) declared: Option<SignalSet>,
    pub(super) absent: SignalSet,
    pub(super) current: Option<u32>,
    pub(super) wanted: Option<u32>,
    pub(super) floor: Option<u32>,
    pub(super) bounds: Option<Bounds>,
    pub(super) resting: Option<Bounds>,
    /// Amount an hour, below 0 for what a decision costs more.
    pub(super) savings: Option<(f64, Currency)>,
    pub(super) forecasts: Forecasts,
}

impl Gauges {
    pub(super) fn record(&mut self, record: &DecisionRecord, counts: &mut Counts) {
        let (metrics, decision) = (record.metrics.as_ref(), record.decision.as_ref());
        self.at = Some(record.at);
        self.source_up = metrics.is_some();
        self.metrics_at = metrics.map(|metrics| metrics.timestamp).or(self.metrics_at);
        self.declared = record.declared.or(self.declared);
        // Without an answer every signal is absent.
        let declared = self.declared.unwrap_or_default();
        self.absent = metrics.map_or(declared, |metrics| metrics.absent_of(declared).map(|(kind, _)| kind).collect());
        self.current = metrics.and_then(ScalingMetrics::replicas);
        self.wanted = decision.map(ScalingDecision::wanted);
        self.floor = record.floor.as_ref().map(|floor| floor.replicas);
        self.bounds = bounds_after(record);
        self.resting = record.resting.or(record.bounds);
        self.savings = decision.and_then(|decision| decision.cost).map(|cost| (-cost.per_hour, cost.currency));
        self.forecasts.record(record, counts);
    }

    /// Age of the newest metrics at the newest tick, in seconds; below 0 if their clock is ahead.
    pub(super) fn source_age(&self) -> Option<f64> {
        let age = self.at?.signed_duration_since(self.metrics_at?);
        Some(age.num_milliseconds() as f64 / 1000.0)
    }
}

/// The bounds as the tick left them, as far as it knows.
fn bounds_after(record: &DecisionRecord) -> Option<Bounds> {
    match (&record.outcome, record.change) {
        (Outcome::Applied, Some(change)) => Some(change.new),
        (Outcome::Unchanged { why: Unchanged::AlreadyThere { bounds } }, _) => Some(*bounds),
        _ => record.bounds,
    }
}
