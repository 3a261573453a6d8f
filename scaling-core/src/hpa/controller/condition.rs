//! What the controller says of itself in the status.

use std::fmt;

use chrono::{DateTime, Utc};

use super::pods::ConditionStatus;

/// Why a size is what it is: the reason of ScalingLimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitReason {
    /// Nothing limited it.
    DesiredWithinRange,
    /// `minReplicas`.
    TooFewReplicas,
    /// `maxReplicas`.
    TooManyReplicas,
    /// The speed of growth.
    ScaleUpLimit,
    /// The speed of shrinking.
    ScaleDownLimit,
}

impl LimitReason {
    /// The reason as the API spells it.
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

/// One condition of an HPA's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, as the API spells it.
    pub reason: &'static str,
    /// Since when the status, not the reason, is what it is.
    pub since: DateTime<Utc>,
}

/// The conditions of an HPA's status. What a sync does not touch stays as it was, however stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Whether the target's scale can be read and written, and what holds it back.
    pub able_to_scale: Option<Condition>,
    /// Whether a size can be computed.
    pub scaling_active: Option<Condition>,
    /// Whether the size is limited by bounds or speed.
    pub scaling_limited: Option<Condition>,
    /// Whether the autoscaler itself took the target to zero.
    pub scaled_to_zero: Option<Condition>,
}

impl Conditions {
    /// Whether the autoscaler itself took the target to zero.
    pub fn was_scaled_to_zero(&self) -> bool {
        self.scaled_to_zero.is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    /// Each that is set, under the name that the API has for it.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Condition)> {
        let named = [
            ("AbleToScale", self.able_to_scale),
            ("ScalingActive", self.scaling_active),
            ("ScalingLimited", self.scaling_limited),
            ("ScaledToZero", self.scaled_to_zero),
        ];
        named.into_iter().filter_map(|(name, condition)| Some((name, condition?)))
    }

    pub(super) fn no_later_than(&mut self, now: DateTime<Utc>) {
        let Self { able_to_scale, scaling_active, scaling_limited, scaled_to_zero } = self;
        for condition in [able_to_scale, scaling_active, scaling_limited, scaled_to_zero].into_iter().flatten() {
            condition.since = condition.since.min(now);
        }
    }
}

pub(super) fn set(place: &mut Option<Condition>, holds: bool, reason: &'static str, now: DateTime<Utc>) {
    let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
    let since = place.filter(|condition| condition.status == status).map_or(now, |condition| condition.since);
    *place = Some(Condition { status, reason, since });
}
