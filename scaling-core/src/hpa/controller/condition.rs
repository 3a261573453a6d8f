//! Conditions in the status of an HPA.

use std::fmt;

use chrono::{DateTime, Utc};

use super::pods::ConditionStatus;

/// Reason of the condition ScalingLimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitReason {
    /// Nothing limited the size.
    DesiredWithinRange,
    /// Limited by `minReplicas`.
    TooFewReplicas,
    /// Limited by `maxReplicas`.
    TooManyReplicas,
    /// Limited by the speed of growth.
    ScaleUpLimit,
    /// Limited by the speed of shrinkage.
    ScaleDownLimit,
}

impl LimitReason {
    /// Returns the reason as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DesiredWithinRange => "DesiredWithinRange",
            Self::TooFewReplicas => "TooFewReplicas",
            Self::TooManyReplicas => "TooManyReplicas",
            Self::ScaleUpLimit => "ScaleUpLimit",
            Self::ScaleDownLimit => "ScaleDownLimit",
        }
    }
}

impl fmt::Display for LimitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Condition in the status of an HPA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Status of the condition.
    pub status: ConditionStatus,
    /// Reason, as the API spells it.
    pub reason: &'static str,
    /// Instant at which the status changed last; a new reason alone does not move it.
    pub since: DateTime<Utc>,
}

/// Conditions in the status of an HPA.
///
/// A condition that a sync does not touch stays as it was, however stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// AbleToScale: the scale of the target can be read and written.
    pub able_to_scale: Option<Condition>,
    /// ScalingActive: a size can be computed.
    pub scaling_active: Option<Condition>,
    /// ScalingLimited: bounds or speed limit the size.
    pub scaling_limited: Option<Condition>,
    /// ScaledToZero: the autoscaler itself took the target to zero.
    pub scaled_to_zero: Option<Condition>,
}

impl Conditions {
    /// Returns true if the autoscaler itself took the target to zero.
    pub fn was_scaled_to_zero(&self) -> bool {
        self.scaled_to_zero.is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    /// Remembers that the autoscaler itself took the target to zero, for who begins to watch a target that is there already. A target
    /// at zero without this was paused by somebody else, and stays so.
    pub fn take_to_zero(&mut self, at: DateTime<Utc>) {
        set(&mut self.scaled_to_zero, true, "ScaledToZero", at);
    }

    /// Iterates over the conditions that are set, each with the name that the API has for it.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Condition)> {
        let named = [
            ("AbleToScale", self.able_to_scale),
            ("ScalingActive", self.scaling_active),
            ("ScalingLimited", self.scaling_limited),
            ("ScaledToZero", self.scaled_to_zero),
        ];
        named.into_iter().filter_map(|(name, condition)| Some((name, condition?)))
    }

    /// Treats a change of status later than `now` as one of now.
    pub(super) fn no_later_than(&mut self, now: DateTime<Utc>) {
        let Self { able_to_scale, scaling_active, scaling_limited, scaled_to_zero } = self;
        for condition in [able_to_scale, scaling_active, scaling_limited, scaled_to_zero].into_iter().flatten() {
            condition.since = condition.since.min(now);
        }
    }
}

/// Sets a condition and, if the status changes, the instant of the change.
pub(super) fn set(place: &mut Option<Condition>, holds: bool, reason: &'static str, now: DateTime<Utc>) {
    let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
    let since = place.filter(|condition| condition.status == status).map_or(now, |condition| condition.since);
    *place = Some(Condition { status, reason, since });
}
