//! The answer of an engine: [`ScalingDecision`], with its [`Reason`]s and its [`Floor`].

mod floor;
mod reason;
mod replayed;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use floor::Floor;
pub use reason::{CapacityModel, NeedDriver, Reason, WindowDays};
pub use replayed::{ReplayVerdict, ReplayedSize};

use crate::cost::CostImpact;
use crate::resources::ResourceChange;

/// A change of size, by its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScalingAction {
    /// Leave everything as it is.
    Maintain,
    /// More pods.
    ScaleUpHorizontal,
    /// Fewer pods.
    ScaleDownHorizontal,
    /// Bigger pods.
    ScaleUpVertical,
    /// Smaller pods.
    ScaleDownVertical,
}

impl ScalingAction {
    /// Returns a short, constant name, for metrics and traces: that of the written form.
    pub fn label(self) -> &'static str {
        match self {
            Self::Maintain => "maintain",
            Self::ScaleUpHorizontal => "scale_up_horizontal",
            Self::ScaleDownHorizontal => "scale_down_horizontal",
            Self::ScaleUpVertical => "scale_up_vertical",
            Self::ScaleDownVertical => "scale_down_vertical",
        }
    }

    /// The action that a change of pods and of what a pod requests amounts to. Pods come first; of a change of requests alone
    /// the largest growth counts.
    pub fn of(current: u32, desired: u32, resources: Option<ResourceChange>) -> Self {
        match (desired.cmp(&current), resources) {
            (std::cmp::Ordering::Greater, _) => Self::ScaleUpHorizontal,
            (std::cmp::Ordering::Less, _) => Self::ScaleDownHorizontal,
            (_, Some(change)) if change.grows() => Self::ScaleUpVertical,
            (_, Some(change)) if change.shrinks() => Self::ScaleDownVertical,
            _ => Self::Maintain,
        }
    }
}

/// Explanation of the moment of a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// Nothing but the present explains it.
    #[default]
    Now,
    /// A recurring pattern or a long trend explains it: a schedule would serve better.
    Scheduled,
    /// A declared event explains it.
    Event,
}

/// Urgency of a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Savings: any convenient time will do.
    Low,
    /// In the usual order.
    #[default]
    Normal,
    /// Users will notice soon.
    High,
    /// Users notice now. Bypasses cooldown, never hard limits.
    Critical,
}

/// A share of certainty, 0..=1. Cannot hold anything else; NaN becomes 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Confidence(f64);

impl Confidence {
    /// `value`, moved into 0..=1.
    pub fn new(value: f64) -> Self {
        Self(if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) })
    }

    /// The share.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl From<f64> for Confidence {
    fn from(value: f64) -> Self {
        Self::new(value)
    }
}

impl From<Confidence> for f64 {
    fn from(confidence: Confidence) -> Self {
        confidence.0
    }
}

/// The answer of an engine whose decision is recorded and not acted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShadowDecision {
    /// The engine.
    pub engine: String,
    /// Answer, or the failure.
    pub outcome: ShadowOutcome,
    /// The answer of the next engine that only looks on, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Box<ShadowDecision>>,
}

/// The answer of an engine that only looks on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowOutcome {
    /// A decision.
    Decided(Box<ScalingDecision>),
    /// A failure, in words.
    Failed(String),
}

/// The nearest number that JSON can carry; 0 for NaN.
fn finite(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(f64::MIN, f64::MAX) }
}

/// One answer of one engine about one workload, before guards.
///
/// [`desired_replicas`](Self::desired_replicas) is the engine's request; [`floor`](Self::floor) is what must be there whatever the
/// request says. The [`action`](Self::action) follows from the numbers and is not stored.
///
/// ```
/// use scaling_core::{Floor, Reason, ScalingAction, ScalingDecision, Urgency, chrono::DateTime};
///
/// let at = DateTime::UNIX_EPOCH;
/// let decision = ScalingDecision::replicas("mine", at, 4, 3).with_confidence(0.9).with_urgency(Urgency::Low);
/// assert_eq!(decision.action(), ScalingAction::ScaleDownHorizontal);
///
/// let window = Reason::Schedule { window: "morning".into(), replicas: 8 };
/// let floored = decision.with_floor(Floor::new(8, window));
/// assert_eq!((floored.desired_replicas, floored.wanted()), (3, 8));
/// assert_eq!(floored.action(), ScalingAction::ScaleUpHorizontal);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalingDecision {
    /// Pods asked for when it was decided ([`ScalingMetrics::replicas`](crate::ScalingMetrics::replicas)).
    pub current_replicas: u32,
    /// Pods requested.
    pub desired_replicas: u32,
    /// True if the request is for the load that comes when a new pod is ready, so that nobody who only reacts can know it. Such a
    /// request becomes the floor of an HPA as a whole ([`BoundsPolicy`](crate::BoundsPolicy)).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreseen: bool,
    /// Pods that must be there, if a schedule or an event says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// Change of what a pod requests.
    pub resources: Option<ResourceChange>,
    /// Explanation of the moment.
    pub timing: Timing,
    /// Certainty, from the evidence.
    pub confidence: Confidence,
    /// Urgency.
    pub urgency: Urgency,
    /// Reasons, most important first. Prose comes from `to_string()` on each, when asked for.
    pub reasons: Vec<Reason>,
    /// Cost or saving, if a price is known.
    pub cost: Option<CostImpact>,
    /// The instant it speaks of: that of the metrics.
    pub at: DateTime<Utc>,
    /// Name of the engine.
    pub engine: Cow<'static, str>,
    /// Answer of an engine that only looks on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Box<ShadowDecision>>,
}

impl ScalingDecision {
    /// A request for `desired` pods where `current` are asked for, with nothing else said: confidence 0, normal urgency, no reasons.
    pub fn replicas(engine: impl Into<Cow<'static, str>>, at: DateTime<Utc>, current: u32, desired: u32) -> Self {
        Self {
            current_replicas: current,
            desired_replicas: desired,
            foreseen: false,
            floor: None,
            resources: None,
            timing: Timing::Now,
            confidence: Confidence::default(),
            urgency: Urgency::default(),
            reasons: Vec::new(),
            cost: None,
            at,
            engine: engine.into(),
            shadow: None,
        }
    }

    /// The action that the numbers amount to.
    pub fn action(&self) -> ScalingAction {
        ScalingAction::of(self.current_replicas, self.wanted(), self.resources)
    }

    /// Pods wanted in all: the request, or the floor if that is more.
    pub fn wanted(&self) -> u32 {
        self.floor.as_ref().map_or(0, |floor| floor.replicas).max(self.desired_replicas)
    }

    /// Requests another size. The cost of the old one is dropped.
    #[must_use]
    pub fn resized(mut self, desired: u32) -> Self {
        if desired != self.desired_replicas {
            self.desired_replicas = desired;
            self.cost = None;
        }
        self
    }

    /// Sets a floor, unless it has a higher one.
    #[must_use]
    pub fn with_floor(mut self, floor: Floor) -> Self {
        self.floor = Floor::highest([self.floor.take(), Some(floor)]);
        self
    }

    /// Sets the confidence.
    #[must_use]
    pub fn with_confidence(mut self, confidence: f64) -> Self {
        self.confidence = Confidence::new(confidence);
        self
    }

    /// Sets the urgency.
    #[must_use]
    pub fn with_urgency(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self
    }

    /// Sets the timing.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Sets the change of what a pod requests.
    #[must_use]
    pub fn with_resources(mut self, resources: Option<ResourceChange>) -> Self {
        self.resources = resources;
        self
    }

    /// Marks the request as [foreseen](Self::foreseen).
    #[must_use]
    pub fn with_foresight(mut self) -> Self {
        self.foreseen = true;
        self
    }

    /// Adds a reason.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        self.reasons.push(reason);
        self
    }

    /// Makes every number finite: JSON knows no other, and a record must read back as it was written.
    #[must_use]
    #[inline]
    pub fn finite(mut self) -> Self {
        self.reasons.iter_mut().for_each(Reason::make_finite);
        if let Some(floor) = &mut self.floor {
            floor.reason.make_finite();
        }
        if let Some(cost) = &mut self.cost {
            for amount in [&mut cost.per_hour, &mut cost.per_month, &mut cost.per_year] {
                *amount = finite(*amount);
            }
        }
        self
    }

    /// Returns true if it requests fewer pods; a floor does not count.
    pub fn shrinks(&self) -> bool {
        self.desired_replicas < self.current_replicas
    }

    /// Returns true if it requests more pods; a floor does not count.
    pub fn grows(&self) -> bool {
        self.desired_replicas > self.current_replicas
    }
}
