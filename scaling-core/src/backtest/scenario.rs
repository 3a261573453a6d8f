//! [`Scenario`]: a trace, and the circumstances under which every candidate is replayed over it.

use std::sync::Arc;
use std::time::Duration;

use super::{ClusterModel, Trace};
use crate::{PlannedEvent, Price, Target, WorkloadFacts};

/// A trace, and the circumstances under which every candidate, and the oracle, meets it.
///
/// ```
/// use scaling_core::HardLimits;
/// use scaling_core::backtest::{ClusterModel, SampleTime, Scenario, Trace};
/// use scaling_core::{ScalingMetrics, SignalKind, chrono::DateTime};
///
/// let sample = |minute: i64| {
///     let at = DateTime::from_timestamp(minute * 60, 0).unwrap_or_default();
///     ScalingMetrics::new(at, 1).with(SignalKind::RequestRate, 100.0)
/// };
/// let trace = Trace::from_samples("steady", (0..240).map(sample).collect(), SampleTime::Starts)?;
/// let model = ClusterModel { limits: HardLimits::new(2, 50)?, ..ClusterModel::default() };
/// // All of it is scored, after the settling time; nothing is history.
/// let scenario = Scenario { history_share: 0.0, ..Scenario::new(trace, model) };
/// # assert_eq!(scenario.trace.name(), "steady");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Load that arrives.
    pub trace: Arc<Trace>,
    /// Cluster that it meets. Its limits hold for every candidate and for the oracle.
    pub model: ClusterModel,
    /// Workload that engines are told of, and that records name. Default: none, so that it is called after the trace.
    pub target: Option<Target>,
    /// Facts that engines are told of the workload, besides what the model says.
    pub facts: WorkloadFacts,
    /// Declared events that engines are told of.
    pub events: Vec<PlannedEvent>,
    /// Price of a pod-hour. Default: none, so that there is no cost in the report.
    pub price: Option<Price>,
    /// Share of the trace that comes before the replay, as history to learn from, cut to whole sync periods. Default a half.
    pub history_share: f64,
    /// Time at the beginning of the replay that does not count, because no candidate chose the size that it begins with. Default an
    /// hour, but at most a tenth of what comes after the history.
    pub settle: Duration,
    /// Longest time that counts, from the settling on. Default 14 days.
    pub longest: Duration,
}

impl Scenario {
    /// Puts a trace into a cluster, half of it as history.
    pub fn new(trace: impl Into<Arc<Trace>>, model: ClusterModel) -> Self {
        Self {
            trace: trace.into(),
            model,
            target: None,
            facts: WorkloadFacts::default(),
            events: Vec::new(),
            price: None,
            history_share: 0.5,
            settle: Duration::from_secs(3600),
            longest: Duration::from_secs(14 * 86_400),
        }
    }
}
