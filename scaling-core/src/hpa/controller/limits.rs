//! Limits on the size within one sync: speed and bounds, without `behavior` and with it.

use chrono::{DateTime, Utc};

use super::condition::LimitReason;
use super::memory::ScaleEvents;
use crate::hpa::api::{Behavior, PolicyKind, Rules, SelectPolicy};

/// Largest growth of an HPA without `behavior` in one sync, as a multiple of the size. Source: `scaleUpLimitFactor` upstream.
const GROWTH_FACTOR: i32 = 2;
/// Size to which it may always grow in one sync. Source: `scaleUpLimitMinimum` upstream.
const GROWTH_MINIMUM: i32 = 4;

/// Size after the limits, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Number of replicas.
    pub replicas: i32,
    /// Limit that was reached, if any.
    pub reason: LimitReason,
}

impl Limited {
    fn new(replicas: i32, reason: LimitReason) -> Self {
        Self { replicas, reason }
    }
}

/// Limits a size without `behavior`: at most double or 4, whichever is more, and within min and max.
pub fn legacy_limit(current: i32, desired: i32, min: i32, max: i32) -> Limited {
    let cap = current.saturating_mul(GROWTH_FACTOR).max(GROWTH_MINIMUM);
    let (top, reason) = if max > cap { (cap, LimitReason::ScaleUpLimit) } else { (max, LimitReason::TooManyReplicas) };
    if desired < min {
        Limited::new(min, LimitReason::TooFewReplicas)
    } else if desired > top {
        Limited::new(top, reason)
    } else {
        Limited::new(desired, LimitReason::DesiredWithinRange)
    }
}

/// Limits a size with `behavior`: by its policies, and by min or max in the direction of the change.
pub fn behavior_limit(
    current: i32,
    desired: i32,
    (min, max): (i32, i32),
    behavior: &Behavior,
    events: Events<'_>,
    now: DateTime<Utc>,
) -> Limited {
    if desired > current {
        let limit = scale_up_limit(current, events, &behavior.scale_up, now).max(current);
        let (top, reason) =
            if max > limit { (limit, LimitReason::ScaleUpLimit) } else { (max, LimitReason::TooManyReplicas) };
        if desired > top {
            return Limited::new(top, reason);
        }
    } else if desired < current {
        let limit = scale_down_limit(current, events, &behavior.scale_down, now).min(current);
        let (bottom, reason) =
            if min < limit { (limit, LimitReason::ScaleDownLimit) } else { (min, LimitReason::TooFewReplicas) };
        if desired < bottom {
            return Limited::new(bottom, reason);
        }
    }
    Limited::new(desired, LimitReason::DesiredWithinRange)
}

/// Recent changes in both directions. Each limit needs both, to find the size at the beginning of its period.
#[derive(Clone, Copy, Debug)]
pub struct Events<'a> {
    /// Changes that added replicas.
    pub up: &'a ScaleEvents,
    /// Changes that removed replicas.
    pub down: &'a ScaleEvents,
}

impl Events<'_> {
    /// Returns the size at the beginning of a period that ends now.
    fn size_at_start(self, current: i32, period_s: i32, now: DateTime<Utc>) -> i32 {
        let (up, down) = (self.up.change_within(period_s, now), self.down.change_within(period_s, now));
        current.saturating_sub(up).saturating_add(down)
    }
}

/// Returns the most replicas that the policies allow, before the present size, min and max are considered.
pub fn scale_up_limit(current: i32, events: Events<'_>, rules: &Rules, now: DateTime<Utc>) -> i32 {
    let allowed = rules.policies.iter().map(|policy| {
        let base = events.size_at_start(current, policy.period_s, now);
        match policy.kind {
            PolicyKind::Pods => base.saturating_add(policy.value),
            // In this order and in doubles, as upstream: 10 % on 100 is 111.
            PolicyKind::Percent => whole((f64::from(base) * (1.0 + f64::from(policy.value) / 100.0)).ceil()),
        }
    });
    match rules.select {
        SelectPolicy::Disabled => current,
        SelectPolicy::Min => allowed.min().unwrap_or(i32::MAX),
        SelectPolicy::Max => allowed.max().unwrap_or(i32::MIN),
    }
}

/// Returns the fewest replicas that the policies allow, before the present size, min and max are considered; may be below 0.
pub fn scale_down_limit(current: i32, events: Events<'_>, rules: &Rules, now: DateTime<Utc>) -> i32 {
    let allowed = rules.policies.iter().map(|policy| {
        let base = events.size_at_start(current, policy.period_s, now);
        match policy.kind {
            PolicyKind::Pods => base.saturating_sub(policy.value),
            PolicyKind::Percent => whole((f64::from(base) * (1.0 - f64::from(policy.value) / 100.0)).trunc()),
        }
    });
    match rules.select {
        SelectPolicy::Disabled => current,
        SelectPolicy::Min => allowed.max().unwrap_or(i32::MIN),
        SelectPolicy::Max => allowed.min().unwrap_or(i32::MAX),
    }
}

/// Converts a whole number to a count, limited to 32 bits.
#[allow(clippy::cast_possible_truncation)] // the cast saturates
pub(super) fn whole(value: f64) -> i32 {
    value as i32
}
