//! What the controller remembers between syncs. All of it is lost when it restarts.

use chrono::{DateTime, TimeDelta, Utc};

use crate::hpa::api::Rules;

/// A raw desired size and when it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recommendation {
    /// The size, before any limit.
    pub replicas: i32,
    /// When.
    pub at: DateTime<Utc>,
}

/// The recommendations of one autoscaler, in the order in which the controller stores them: an expired one is overwritten where
/// it stands, and counts again if a window is lengthened before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recommendations(Vec<Recommendation>);

impl Recommendations {
    /// These, in storage order.
    pub fn new(recommendations: Vec<Recommendation>) -> Self {
        Self(recommendations)
    }

    /// In storage order.
    pub fn as_slice(&self) -> &[Recommendation] {
        &self.0
    }

    /// Without `behavior`: the largest of `desired` and what was recommended within the window, its edge included. Remembers
    /// `desired`.
    pub fn stabilize(&mut self, desired: i32, window: TimeDelta, now: DateTime<Utc>) -> i32 {
        let cutoff = before(now, window);
        let recent = self.0.iter().filter(|one| one.at >= cutoff).map(|one| one.replicas);
        let stable = recent.fold(desired, i32::max);
        self.remember(desired, now, |one| one.at < cutoff);
        stable
    }

    /// With `behavior`: `current`, raised to the smallest wish of the growth window if below, lowered to the largest of the shrink
    /// window if above; the edges of the windows are outside. Remembers `desired`.
    pub fn stabilize_with_behavior(
        &mut self,
        current: i32,
        desired: i32,
        scale_up_window: TimeDelta,
        scale_down_window: TimeDelta,
        now: DateTime<Utc>,
    ) -> i32 {
        let (up, down) = (before(now, scale_up_window), before(now, scale_down_window));
        let (mut floor, mut ceiling) = (desired, desired);
        for one in &self.0 {
            if one.at > up {
                floor = floor.min(one.replicas);
            }
            if one.at > down {
                ceiling = ceiling.max(one.replicas);
            }
        }
        self.remember(desired, now, |one| one.at < up && one.at < down);
        current.max(floor).min(ceiling)
    }

    fn remember(&mut self, replicas: i32, at: DateTime<Utc>, is_expired: impl Fn(&Recommendation) -> bool) {
        let new = Recommendation { replicas, at };
        match self.0.iter_mut().rfind(|one| is_expired(one)) {
            Some(place) => *place = new,
            None => self.0.push(new),
        }
    }
}

/// A change that the controller itself made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleEvent {
    /// Pods added or removed; positive either way.
    pub change: i32,
    /// When.
    pub at: DateTime<Utc>,
    /// Whether it was found expired once: its place may be reused, even if a longer period is set later.
    pub outdated: bool,
}

/// The changes of one direction, in the order in which the controller stores them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScaleEvents(Vec<ScaleEvent>);

impl ScaleEvents {
    /// These, in storage order.
    pub fn new(events: Vec<ScaleEvent>) -> Self {
        Self(events)
    }

    /// In storage order.
    pub fn as_slice(&self) -> &[ScaleEvent] {
        &self.0
    }

    /// Pods changed within the last `period_s` seconds; the edge is outside.
    pub fn change_within(&self, period_s: i32, now: DateTime<Utc>) -> i32 {
        let cutoff = before(now, TimeDelta::seconds(period_s.into()));
        self.0.iter().filter(|event| event.at > cutoff).fold(0_i32, |sum, event| sum.saturating_add(event.change))
    }

    /// Remembers a change. What is older than every period of `rules` is marked, and the last of the marked is overwritten.
    pub fn remember(&mut self, change: i32, rules: &Rules, now: DateTime<Utc>) {
        let longest = rules.policies.iter().map(|policy| policy.period_s).max().unwrap_or(0);
        let cutoff = before(now, TimeDelta::seconds(longest.into()));
        for event in &mut self.0 {
            event.outdated |= event.at < cutoff;
        }
        let new = ScaleEvent { change, at: now, outdated: false };
        match self.0.iter_mut().rfind(|event| event.outdated) {
            Some(place) => *place = new,
            None => self.0.push(new),
        }
    }
}

fn before(now: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    now.checked_sub_signed(by).unwrap_or(DateTime::<Utc>::MIN_UTC)
}
