//! Sync of the controller, from the scale that it reads to the scale that it writes.

use chrono::{DateTime, TimeDelta, Utc};

use super::calculator::{Calculator, MetricError, MetricSamples, Proposal, Scale, Tolerances};
use super::condition::{self, Conditions, LimitReason};
use super::config::ControllerConfig;
use super::limits::{Events, Limited, behavior_limit, legacy_limit};
use super::memory::{Recommendation, Recommendations, ScaleEvents};
use super::pods::Pod;
use crate::hpa::api::{Behavior, Hpa, Metric, MetricKind};

/// Object that an autoscaler reads and changes in one sync.
///
/// A live cluster, a simulated one and a recorded case differ only in their implementation of this trait.
pub trait ScaledObject {
    /// Returns the sizes that the scale subresource reports; none if it cannot be read.
    fn scale(&self) -> Option<Scale>;

    /// Returns the state of the selector that the scale subresource reports. Default [`Selector::Usable`].
    fn selector(&self) -> Selector {
        Selector::Usable
    }

    /// Returns the proposal of the metric at `index` of the HPA's list.
    ///
    /// # Errors
    /// [`MetricError`] if there is none.
    fn propose(&self, index: usize, metric: &Metric, calculator: &Calculator<'_>) -> Result<Proposal, MetricError>;

    /// Writes a size to the scale subresource and returns true on success.
    fn write_scale(&mut self, replicas: i32) -> bool;
}

/// State of the selector of a scale subresource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selector {
    /// The selector matches pods of this workload only.
    #[default]
    Usable,
    /// The selector is missing or cannot be parsed.
    Invalid,
    /// The selector matches pods of another autoscaler as well.
    Ambiguous,
}

/// Workload as the APIs report it: pods, and an answer of the metrics backend for each metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// Scale subresource; none if it cannot be read.
    pub scale: Option<Scale>,
    /// State of its selector.
    pub selector: Selector,
    /// Pods that the selector matches.
    pub pods: Vec<Pod>,
    /// Answer for each metric, in the order of the HPA's list. A missing one counts as [`MetricSamples::Failed`].
    pub samples: Vec<MetricSamples>,
    /// True if writing the scale succeeds.
    pub writable: bool,
}

impl ScaledObject for Reported {
    fn scale(&self) -> Option<Scale> {
        self.scale
    }

    fn selector(&self) -> Selector {
        self.selector
    }

    fn propose(&self, index: usize, metric: &Metric, calculator: &Calculator<'_>) -> Result<Proposal, MetricError> {
        calculator.propose(metric, &self.pods, self.samples.get(index).unwrap_or(&MetricSamples::Failed))
    }

    fn write_scale(&mut self, _: i32) -> bool {
        self.writable
    }
}

/// Memory of one autoscaler between syncs.
///
/// Default: that of an autoscaler that was not synced yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HpaMemory {
    /// Recommendations within the stabilization windows; none before the first sync.
    pub recommendations: Option<Recommendations>,
    /// Changes that added replicas while `behavior` was set.
    pub scale_up_events: ScaleEvents,
    /// Changes that removed replicas while `behavior` was set.
    pub scale_down_events: ScaleEvents,
    /// Conditions of the status, which outlives a restart of the controller.
    pub conditions: Conditions,
    /// Outcome of each metric in the last sync, in the order of the HPA's list; empty if none was evaluated.
    pub metrics: Vec<Result<Proposal, MetricError>>,
}

impl HpaMemory {
    /// Treats everything that is remembered of an instant later than `now` as of now.
    ///
    /// The controller itself does not: where its clock was ahead, a recommendation holds until the clock has caught up and its
    /// window has passed. Called before each [`HpaController::sync`], this limits it to the window.
    pub fn no_later_than(&mut self, now: DateTime<Utc>) {
        if let Some(recommendations) = &mut self.recommendations {
            recommendations.no_later_than(now);
        }
        self.scale_up_events.no_later_than(now);
        self.scale_down_events.no_later_than(now);
        self.conditions.no_later_than(now);
    }

    /// Returns what remains after a restart of the controller: the status.
    #[must_use]
    pub fn after_restart(self) -> Self {
        Self { conditions: self.conditions, metrics: self.metrics, ..Self::default() }
    }
}

/// Outcome of one sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncResult {
    /// Replicas asked for before the sync.
    pub current: i32,
    /// Replicas asked for after the sync.
    pub desired: i32,
    /// Largest proposal of the metrics, before any limit; none if they were not evaluated or failed.
    pub raw_desired: Option<i32>,
    /// True if a size was written.
    pub rescaled: bool,
    /// True if the sync ended with an error. The size may have changed even so, if only some metrics failed.
    pub failed: bool,
    /// Limit on the size; none if the metrics were not evaluated or failed.
    pub limit: Option<LimitReason>,
}

/// Controller of the HPA: its settings, and the sync of one autoscaler.
///
/// It is pure: time is an argument, and the caller keeps the [`HpaMemory`] of each autoscaler. Size, conditions and memory follow
/// Kubernetes 1.37 sync by sync; [`Release`](super::config::Release) holds the switches for other releases.
///
/// ```
/// use scaling_core::hpa::{
///     CrossVersionObjectReference, Hpa, HpaController, HpaMemory, HpaSpec, MetricSamples, MetricSpec, Quantity, Reported,
///     Scale, Selector,
/// };
/// use scaling_core::{Bounds, chrono::{DateTime, TimeDelta}};
///
/// let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("worker"), Bounds::new(1, 20)?);
/// spec.metrics = Some(vec![MetricSpec::external("queue_depth", Quantity::from_milli(10_000))]); // 10 for each replica
/// let hpa = Hpa::try_from(&spec)?;
///
/// let (controller, mut memory) = (HpaController::default(), HpaMemory::default());
/// let mut sync = |replicas, waiting: i64, second| {
///     let mut reported = Reported {
///         scale: Some(Scale { spec_replicas: replicas, status_replicas: replicas }),
///         selector: Selector::Usable,
///         pods: vec![],
///         samples: vec![MetricSamples::External(vec![waiting * 1000])],
///         writable: true,
///     };
///     let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
///     controller.sync(&hpa, &mut memory, &mut reported, now).desired
/// };
/// assert_eq!(sync(3, 48, 0), 5);
/// assert_eq!(sync(5, 20, 15), 5, "five were recommended within the last 300 s");
/// assert_eq!(sync(5, 20, 316), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HpaController {
    /// Settings of the controller.
    pub config: ControllerConfig,
}

impl HpaController {
    /// Creates a controller.
    pub fn new(config: ControllerConfig) -> Self {
        Self { config }
    }

    /// Runs one sync: reads the scale, evaluates the metrics, limits the size, and writes it if it differs.
    ///
    /// A failed metric never shrinks: if some fail, the others can only raise the size. The real controller takes several instants
    /// during a sync; here all of them are `now`.
    pub fn sync(
        &self,
        hpa: &Hpa,
        memory: &mut HpaMemory,
        object: &mut impl ScaledObject,
        now: DateTime<Utc>,
    ) -> SyncResult {
        memory.metrics.clear();
        let Some(scale) = object.scale() else {
            condition::set(&mut memory.conditions.able_to_scale, false, "FailedGetScale", now);
            return SyncResult { failed: true, ..SyncResult::hold(0) };
        };
        condition::set(&mut memory.conditions.able_to_scale, true, "SucceededGetScale", now);
        let current = scale.spec_replicas;
        // Without this seed the first sync after a restart could shrink at once, because the past is unknown.
        memory
            .recommendations
            .get_or_insert_with(|| Recommendations::new(vec![Recommendation { replicas: current, at: now }]));

        let release = self.config.release;
        let min = hpa.min_replicas;
        let woken = release.scale_to_zero && memory.conditions.was_scaled_to_zero();
        if current == 0 && !self.wakes(hpa, woken) {
            condition::set(&mut memory.conditions.scaling_active, false, "ScalingDisabled", now);
            if !release.scale_to_zero {
                memory.conditions.scaled_to_zero = None;
            }
            return SyncResult::hold(0);
        }
        let mut sync = SyncResult::hold(current);
        if current > hpa.max_replicas && current != 0 {
            sync.desired = hpa.max_replicas;
        } else if current < min && current != 0 {
            sync.desired = min;
        } else {
            let raw = match self.combine(hpa, &mut memory.metrics, object, scale, now) {
                Ok((raw, some_failed)) => {
                    sync.failed = some_failed;
                    raw
                }
                Err(reason) => {
                    condition::set(&mut memory.conditions.scaling_active, false, reason, now);
                    return SyncResult { failed: true, ..sync };
                }
            };
            condition::set(&mut memory.conditions.scaling_active, true, "ValidMetricFound", now);
            sync.raw_desired = Some(raw);
            let limited = self.limit(hpa, memory, current, raw, now);
            sync.limit = Some(limited.reason);
            sync.desired = limited.replicas;
            if current == 0 && min != 0 && woken {
                sync.desired = sync.desired.max(min);
            }
        }
        if sync.desired == current {
            return sync;
        }
        self.rescale(hpa, memory, object, sync, now)
    }

    /// Returns true if a workload that was scaled to zero is evaluated.
    fn wakes(&self, hpa: &Hpa, woken: bool) -> bool {
        if self.config.release.scale_from_zero_requires_condition {
            woken && (hpa.min_replicas != 0 || hpa.metrics.iter().any(Metric::can_wake))
        } else {
            hpa.min_replicas == 0
        }
    }

    /// Returns the largest proposal, and true if some metrics failed.
    ///
    /// # Errors
    /// Reason of the condition ScalingActive, if all metrics failed, or some failed and the others would shrink.
    fn combine(
        &self,
        hpa: &Hpa,
        said: &mut Vec<Result<Proposal, MetricError>>,
        object: &impl ScaledObject,
        scale: Scale,
        now: DateTime<Utc>,
    ) -> Result<(i32, bool), &'static str> {
        match object.selector() {
            Selector::Usable => {}
            Selector::Invalid => return Err("InvalidSelector"),
            Selector::Ambiguous => return Err("AmbiguousSelector"),
        }
        let tolerances = self.tolerances(hpa.behavior.as_ref());
        let calculator = Calculator { config: &self.config, tolerances, scale, now };
        let mut raw = 0;
        let mut first_failure = None;
        for (index, metric) in hpa.metrics.iter().enumerate() {
            let proposal = object.propose(index, metric, &calculator);
            match &proposal {
                Ok(proposal) => raw = raw.max(proposal.replicas),
                Err(_) => first_failure = first_failure.or(Some(failure_reason(&metric.source))),
            }
            said.push(proposal);
        }
        let all_failed = said.iter().all(Result::is_err);
        match first_failure {
            Some(reason) if all_failed || raw < scale.spec_replicas => Err(reason),
            None if all_failed => Err("InvalidMetricSourceType"),
            failure => Ok((raw, failure.is_some())),
        }
    }

    /// Returns the tolerances of an autoscaler: for each direction its own or, without one, the controller's.
    pub fn tolerances(&self, behavior: Option<&Behavior>) -> Tolerances {
        let behavior = behavior.filter(|_| self.config.release.configurable_tolerance);
        let of = |own: Option<f64>| own.unwrap_or(self.config.tolerance);
        Tolerances {
            up: of(behavior.and_then(|behavior| behavior.scale_up.tolerance)),
            down: of(behavior.and_then(|behavior| behavior.scale_down.tolerance)),
        }
    }

    /// Stabilizes the largest proposal and limits it by speed and bounds.
    fn limit(&self, hpa: &Hpa, memory: &mut HpaMemory, current: i32, raw: i32, now: DateTime<Utc>) -> Limited {
        let HpaMemory { recommendations, scale_up_events, scale_down_events, conditions, .. } = memory;
        let recommendations = recommendations.get_or_insert_default();
        let own_window = TimeDelta::from_std(self.config.downscale_stabilization).unwrap_or(TimeDelta::MAX);
        let (min, max) = (hpa.min_replicas, hpa.max_replicas);
        let (stable, limited, held) = match &hpa.behavior {
            None => {
                let stable = recommendations.stabilize(raw, own_window, now);
                (stable, legacy_limit(current, stable, min, max), "ScaleDownStabilized")
            }
            Some(behavior) => {
                let seconds = |seconds: i32| TimeDelta::seconds(seconds.into());
                let up = behavior.scale_up.window_s.map_or(TimeDelta::zero(), seconds);
                // With `behavior` the controller counts its own window in whole seconds.
                let down = behavior.scale_down.window_s.map_or(TimeDelta::seconds(own_window.num_seconds()), seconds);
                let stable = recommendations.stabilize_with_behavior(current, raw, up, down, now);
                let events = Events { up: scale_up_events, down: scale_down_events };
                let limited = behavior_limit(current, stable, (min, max), behavior, events, now);
                (stable, limited, stabilized_reason(current, raw))
            }
        };
        let able = if stable == raw { "ReadyForNewScale" } else { held };
        condition::set(&mut conditions.able_to_scale, true, able, now);
        let is_limited = limited.replicas != stable;
        condition::set(&mut conditions.scaling_limited, is_limited, limited.reason.as_str(), now);
        limited
    }

    /// Writes the size and remembers the change.
    fn rescale(
        &self,
        hpa: &Hpa,
        memory: &mut HpaMemory,
        object: &mut impl ScaledObject,
        sync: SyncResult,
        now: DateTime<Utc>,
    ) -> SyncResult {
        let SyncResult { current, desired, .. } = sync;
        if !object.write_scale(desired) {
            condition::set(&mut memory.conditions.able_to_scale, false, "FailedUpdateScale", now);
            return SyncResult { desired: current, failed: true, ..sync };
        }
        condition::set(&mut memory.conditions.able_to_scale, true, "SucceededRescale", now);
        if let Some(behavior) = &hpa.behavior {
            if desired > current {
                memory.scale_up_events.remember(desired.saturating_sub(current), &behavior.scale_up, now);
            } else {
                memory.scale_down_events.remember(current.saturating_sub(desired), &behavior.scale_down, now);
            }
        }
        let conditions = &mut memory.conditions;
        if self.config.release.scale_to_zero {
            let to_zero =
                current > 0 && desired == 0 && hpa.min_replicas == 0 && hpa.metrics.iter().any(Metric::can_wake);
            let reason = if to_zero { "ScaledToZero" } else { "NotScaledToZero" };
            condition::set(&mut conditions.scaled_to_zero, to_zero, reason, now);
        } else {
            conditions.scaled_to_zero = None;
        }
        SyncResult { rescaled: true, ..sync }
    }
}

impl SyncResult {
    fn hold(current: i32) -> Self {
        Self { current, desired: current, raw_desired: None, rescaled: false, failed: false, limit: None }
    }
}

/// Returns the reason of the condition AbleToScale for a stabilized size, with `behavior`.
pub fn stabilized_reason(current: i32, desired: i32) -> &'static str {
    if desired >= current { "ScaleUpStabilized" } else { "ScaleDownStabilized" }
}

fn failure_reason(source: &MetricKind) -> &'static str {
    match source {
        MetricKind::Resource { .. } => "FailedGetResourceMetric",
        MetricKind::ContainerResource { .. } => "FailedGetContainerResourceMetric",
        MetricKind::Pods { .. } => "FailedGetPodsMetric",
        MetricKind::Object { .. } => "FailedGetObjectMetric",
        MetricKind::External { .. } => "FailedGetExternalMetric",
        MetricKind::Unknown => "InvalidMetricSourceType",
    }
}
