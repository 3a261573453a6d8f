//! How fast, and how far: the limits of one sync, without `behavior` and with it.

use chrono::{DateTime, Utc};

use super::condition::LimitReason;
use super::memory::ScaleEvents;
use crate::hpa::api::{Behavior, PolicyKind, Rules, SelectPolicy};

/// Growth of an HPA without `behavior` in one sync: to this multiple …
const GROWTH_FACTOR: i32 = 2;
/// … or to this many, whichever is more.
const GROWTH_MINIMUM: i32 = 4;

/// A size with what limited it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The size.
    pub replicas: i32,
    /// What limited it, if anything.
    pub reason: LimitReason,
}

impl Limited {
    fn new(replicas: i32, reason: LimitReason) -> Self {
        Self { replicas, reason }
    }
}

/// The limits without `behavior`: at most double (or 4) in one sync, and within min and max.
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

/// The limits with `behavior`.
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

/// What the controller did lately, both ways: each limit looks at both.
#[derive(Clone, Copy, Debug)]
pub struct Events<'a> {
    /// Growth.
    pub up: &'a ScaleEvents,
    /// Shrinkage.
    pub down: &'a ScaleEvents,
}

impl Events<'_> {
    /// The size at the beginning of a period that ends now.
    fn size_at_start(self, current: i32, period_s: i32, now: DateTime<Utc>) -> i32 {
        let (up, down) = (self.up.change_within(period_s, now), self.down.change_within(period_s, now));
        current.saturating_sub(up).saturating_add(down)
    }
}

/// How many pods the policies allow at most, before the present size, min and max are looked at.
pub fn scale_up_limit(current: i32, events: Events<'_>, rules: &Rules, now: DateTime<Utc>) -> i32 {
    let allowed = rules.policies.iter().map(|policy| {
        let base = events.size_at_start(current, policy.period_s, now);
        match policy.kind {
            PolicyKind::Pods => base.saturating_add(policy.value),
            // In this order and in doubles: 10 % on 100 is 111.
            PolicyKind::Percent => whole((f64::from(base) * (1.0 + f64::from(policy.value) / 100.0)).ceil()),
        }
    });
    match rules.select {
        SelectPolicy::Disabled => current,
        SelectPolicy::Min => allowed.min().unwrap_or(i32::MAX),
        SelectPolicy::Max => allowed.max().unwrap_or(i32::MIN),
    }
}

/// How few pods the policies allow at least, before the present size, min and max are looked at; may be below 0.
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

/// A whole number as a count, limited to 32 bits.
#[allow(clippy::cast_possible_truncation)] // the cast saturates
pub(super) fn whole(value: f64) -> i32 {
    value as i32
}
