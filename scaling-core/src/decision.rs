//! What an engine wants: [`ScalingDecision`], with the [`Reason`]s for it.

mod reason;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use reason::{CapacityModel, NeedDriver, Reason};

use crate::CostImpact;

/// What to do.
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
    /// The action that a change of pods and of what a pod requests amounts to. Pods come first; of a change of requests alone
    /// the largest growth counts.
    pub fn of(current: u32, desired: u32, resources: Option<ResourceChange>) -> Self {
        match (desired.cmp(&current), resources) {
            (std::cmp::Ordering::Greater, _) => Self::ScaleUpHorizontal,
            (std::cmp::Ordering::Less, _) => Self::ScaleDownHorizontal,
            (_, Some(change)) if change.cpu_percent.max(change.memory_percent) > 0 => Self::ScaleUpVertical,
            (_, Some(_)) => Self::ScaleDownVertical,
            (_, None) => Self::Maintain,
        }
    }
}

/// Whether the moment is a surprise.
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

/// How soon it must happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Whenever convenient: savings.
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

/// A change of what each pod requests, in percent of the present request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceChange {
    /// Change of the CPU request; 0 leaves it.
    pub cpu_percent: i32,
    /// Change of the memory request; 0 leaves it.
    pub memory_percent: i32,
}

/// What another engine, which only looks on, would have done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShadowDecision {
    /// The engine.
    pub engine: String,
    /// Its answer, or why there was none.
    pub outcome: ShadowOutcome,
    /// Another engine that only looks on as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Box<ShadowDecision>>,
}

/// The answer of an engine that only looks on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowOutcome {
    /// It decided.
    Decided(Box<ScalingDecision>),
    /// It failed.
    Failed(String),
}

/// The nearest number that JSON can carry; 0 for NaN.
fn finite(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(f64::MIN, f64::MAX) }
}

/// One answer of one engine about one workload.
///
/// `desired_replicas` is what the engine wants, before guards; a decision may ask for pods and for resources at once, then
/// `action` names the horizontal part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalingDecision {
    /// What to do.
    pub action: ScalingAction,
    /// Pods asked for when it was decided ([`ScalingMetrics::replicas`](crate::ScalingMetrics::replicas)).
    pub current_replicas: u32,
    /// Pods wanted.
    pub desired_replicas: u32,
    /// Change of what a pod requests.
    pub resources: Option<ResourceChange>,
    /// Whether the moment is a surprise.
    pub timing: Timing,
    /// How certain, from the evidence.
    pub confidence: Confidence,
    /// How soon.
    pub urgency: Urgency,
    /// Why, most important first. Prose comes from `to_string()` on each, when asked for.
    pub reasons: Vec<Reason>,
    /// What it costs or saves, if a price is known.
    pub cost: Option<CostImpact>,
    /// The instant it speaks of: that of the metrics.
    pub at: DateTime<Utc>,
    /// Who decided.
    pub engine: Cow<'static, str>,
    /// What an engine that only looks on wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Box<ShadowDecision>>,
}

impl ScalingDecision {
    /// The size wanted, everything else at rest: `action` follows from the two counts.
    pub fn replicas(engine: impl Into<Cow<'static, str>>, at: DateTime<Utc>, current: u32, desired: u32) -> Self {
        Self {
            action: ScalingAction::of(current, desired, None),
            current_replicas: current,
            desired_replicas: desired,
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

    /// The same with this confidence.
    #[must_use]
    pub fn with_confidence(mut self, confidence: f64) -> Self {
        self.confidence = Confidence::new(confidence);
        self
    }

    /// The same with one more reason.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        self.reasons.push(reason);
        self
    }

    /// The same with every number finite: JSON knows no other, and a record must read back as it was written.
    #[must_use]
    #[inline]
    pub fn finite(mut self) -> Self {
        self.reasons.iter_mut().for_each(Reason::make_finite);
        if let Some(cost) = &mut self.cost {
            for amount in [&mut cost.per_hour, &mut cost.per_month, &mut cost.per_year] {
                *amount = finite(*amount);
            }
        }
        self
    }

    /// Whether it asks for smaller pods.
    pub fn shrinks_pods(&self) -> bool {
        self.resources.is_some_and(|change| change.cpu_percent.min(change.memory_percent) < 0)
    }

    /// Whether it asks for fewer pods.
    pub fn shrinks(&self) -> bool {
        self.desired_replicas < self.current_replicas
    }

    /// Whether it asks for more pods.
    pub fn grows(&self) -> bool {
        self.desired_replicas > self.current_replicas
    }
}
