//! One sync of the controller, from the scale it reads to the scale it writes.

use chrono::{DateTime, TimeDelta, Utc};

use super::calculator::{Calculator, MetricError, MetricSamples, Proposal, Scale, Tolerances};
use super::condition::{self, Conditions, LimitReason};
use super::config::ControllerConfig;
use super::limits::{Events, Limited, behavior_limit, legacy_limit};
use super::memory::{Recommendation, Recommendations, ScaleEvents};
use super::pods::Pod;
use crate::hpa::api::{Behavior, Hpa, Metric, MetricKind};

/// What an autoscaler looks at and changes in one sync. The live cluster, a simulated one and a written-down case differ here and
/// nowhere else.
pub trait ScaledObject {
    /// The sizes that the scale subresource reports; none if it cannot be read.
    fn scale(&self) -> Option<Scale>;

    /// Whether the selector that it reports can be used. Default: it can.
    fn selector(&self) -> Selector {
        Selector::Usable
    }

    /// What the metric at `index` asks for.
    ///
    /// # Errors
    /// [`MetricError`] if it asks for nothing.
    fn propose(&self, index: usize, metric: &Metric, calculator: &Calculator<'_>) -> Result<Proposal, MetricError>;

    /// Writes a size to the scale subresource; whether that succeeded.
    fn write_scale(&mut self, replicas: i32) -> bool;
}

/// The selector of a scale subresource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selector {
    /// It selects pods of this workload alone.
    #[default]
    Usable,
    /// There is none, or it cannot be parsed.
    Invalid,
    /// Another autoscaler's pods match it as well.
    Ambiguous,
}

/// A workload as the APIs report it: pods, and an answer of the metrics backend for each metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// The scale subresource; none if it cannot be read.
    pub scale: Option<Scale>,
    /// Its selector.
    pub selector: Selector,
    /// The pods that it matches.
    pub pods: Vec<Pod>,
    /// For each metric, in order. One that is not there has failed.
    pub samples: Vec<MetricSamples>,
    /// Whether the scale can be written.
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

/// What is kept of one autoscaler between syncs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HpaMemory {
    /// What was asked for; none before the first sync.
    pub recommendations: Option<Recommendations>,
    /// Growth, while `behavior` was set.
    pub scale_up_events: ScaleEvents,
    /// Shrinkage, while `behavior` was set.
    pub scale_down_events: ScaleEvents,
    /// The conditions of its status, which outlives a restart of the controller.
    pub conditions: Conditions,
    /// What each metric said in the last sync, in order; empty where none was asked. The status reports its figures.
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

    /// What a restart of the controller leaves: the status.
    #[must_use]
    pub fn after_restart(self) -> Self {
        Self { conditions: self.conditions, metrics: self.metrics, ..Self::default() }
    }
}

/// The outcome of one sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncResult {
    /// The size found.
    pub current: i32,
    /// The size that is asked for afterwards.
    pub desired: i32,
    /// What the metrics asked for, before any limit; none where they were not asked or said nothing.
    pub raw_desired: Option<i32>,
    /// Whether a size was written.
    pub rescaled: bool,
    /// Whether the sync ended with an error. Some metric may have failed and the change been made all the same.
    pub failed: bool,
    /// What limited the size, where metrics were asked.
    pub limit: Option<LimitReason>,
}

/// The controller: settings, and the sync of one autoscaler. Pure: time comes in, and what must be remembered is the caller's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HpaController {
    /// Its settings.
    pub config: ControllerConfig,
}

impl HpaController {
    /// A controller with these settings.
    pub fn new(config: ControllerConfig) -> Self {
        Self { config }
    }

    /// One sync. Several instants are taken during a real one; here they are the same.
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
        // Nothing is known of the past: without this seed the first sync could shrink at once.
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

    /// Whether a workload without pods is looked at.
    fn wakes(&self, hpa: &Hpa, woken: bool) -> bool {
        if self.config.release.scale_from_zero_requires_condition {
            woken && (hpa.min_replicas != 0 || hpa.metrics.iter().any(Metric::can_wake))
        } else {
            hpa.min_replicas == 0
        }
    }

    /// The largest proposal and whether some have failed, or the reason why there is none: all have failed, or some have and the
    /// others would shrink.
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

    /// The tolerances of an autoscaler: each direction's own, where it has one, in place of the controller's.
    pub fn tolerances(&self, behavior: Option<&Behavior>) -> Tolerances {
        let behavior = behavior.filter(|_| self.config.release.configurable_tolerance);
        let of = |own: Option<f64>| own.unwrap_or(self.config.tolerance);
        Tolerances {
            up: of(behavior.and_then(|behavior| behavior.scale_up.tolerance)),
            down: of(behavior.and_then(|behavior| behavior.scale_down.tolerance)),
        }
    }

    /// Stabilizes what the metrics ask for and limits its speed and range.
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
                // The controller's own counts in whole seconds here.
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

/// Why AbleToScale says that a wish was held, with `behavior`.
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
