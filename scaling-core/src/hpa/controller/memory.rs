//! Memory of the controller between syncs. All of it is lost when the controller restarts.

use chrono::{DateTime, TimeDelta, Utc};

use crate::hpa::api::Rules;

/// Recommendation: the size that the metrics asked for in one sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recommendation {
    /// Number of replicas, before any limit.
    pub replicas: i32,
    /// Instant of the sync.
    pub at: DateTime<Utc>,
}

/// Recommendations of one autoscaler, in the order in which the controller stores them.
///
/// An expired recommendation is overwritten where it stands. Until then it counts again if the window is lengthened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recommendations(Vec<Recommendation>);

impl Recommendations {
    /// Creates recommendations in storage order.
    pub fn new(recommendations: Vec<Recommendation>) -> Self {
        Self(recommendations)
    }

    /// Returns the recommendations in storage order.
    pub fn as_slice(&self) -> &[Recommendation] {
        &self.0
    }

    /// Treats what was recommended later than `now` as recommended now.
    pub(super) fn no_later_than(&mut self, now: DateTime<Utc>) {
        if self.0.iter().all(|one| one.at <= now) {
            return;
        }
        // Of several at one instant only the extremes count, and a clock that goes to and fro must not pile up the others.
        let moved = self.0.iter().filter(|one| one.at >= now).map(|one| one.replicas);
        let (least, most) = moved.fold((i32::MAX, i32::MIN), |(least, most), one| (least.min(one), most.max(one)));
        self.0.retain(|one| one.at < now);
        self.0.push(Recommendation { replicas: least, at: now });
        if most > least {
            self.0.push(Recommendation { replicas: most, at: now });
        }
    }

    /// Stabilizes a size without `behavior`, and remembers it.
    ///
    /// The result is the largest of `desired` and the recommendations within the window. The edge of the window is inside.
    pub fn stabilize(&mut self, desired: i32, window: TimeDelta, now: DateTime<Utc>) -> i32 {
        let cutoff = before(now, window);
        let recent = self.0.iter().filter(|one| one.at >= cutoff).map(|one| one.replicas);
        let stable = recent.fold(desired, i32::max);
        self.remember(desired, now, |one| one.at < cutoff);
        stable
    }

    /// Stabilizes a size with `behavior`, and remembers it.
    ///
    /// The result is `current`, raised to the smallest recommendation within the window for growth if below it, and lowered to the
    /// largest within the window for shrinkage if above it. Both include `desired`. The edges of the windows are outside.
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

/// Change of the size that the controller itself made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleEvent {
    /// Replicas added or removed; positive either way.
    pub change: i32,
    /// Instant of the sync.
    pub at: DateTime<Utc>,
    /// Set once the event was found expired: its place may be reused, even if a longer period is set later.
    pub outdated: bool,
}

/// Changes in one direction, in the order in which the controller stores them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScaleEvents(Vec<ScaleEvent>);

impl ScaleEvents {
    /// Creates events in storage order.
    pub fn new(events: Vec<ScaleEvent>) -> Self {
        Self(events)
    }

    /// Returns the events in storage order.
    pub fn as_slice(&self) -> &[ScaleEvent] {
        &self.0
    }

    /// Treats changes made later than `now` as made now.
    pub(super) fn no_later_than(&mut self, now: DateTime<Utc>) {
        if self.0.iter().all(|event| event.at <= now) {
            return;
        }
        let moved = self.0.iter().filter(|event| event.at >= now);
        let change = moved.fold(0_i32, |sum, event| sum.saturating_add(event.change));
        self.0.retain(|event| event.at < now);
        self.0.push(ScaleEvent { change, at: now, outdated: false });
    }

    /// Returns the replicas changed within the last `period_s` seconds. The edge of the period is outside.
    pub fn change_within(&self, period_s: i32, now: DateTime<Utc>) -> i32 {
        let cutoff = before(now, TimeDelta::seconds(period_s.into()));
        self.0.iter().filter(|event| event.at > cutoff).fold(0_i32, |sum, event| sum.saturating_add(event.change))
    }

    /// Remembers a change.
    ///
    /// Events older than every period of `rules` are marked as outdated, and the last of these is overwritten.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    fn recommendations(of: &[(i32, i64)]) -> Recommendations {
        Recommendations::new(
            of.iter().map(|(replicas, second)| Recommendation { replicas: *replicas, at: at(*second) }).collect(),
        )
    }

    fn events(of: &[(i32, i64)]) -> ScaleEvents {
        let event = |(change, second): &(i32, i64)| ScaleEvent { change: *change, at: at(*second), outdated: false };
        ScaleEvents::new(of.iter().map(event).collect())
    }

    #[test]
    fn recommendations_of_the_future_become_their_extremes_now() {
        let mut some = recommendations(&[(4, 9), (7, 20), (5, 10), (2, 3), (6, 30)]);
        some.no_later_than(at(10));
        assert_eq!(some, recommendations(&[(4, 9), (2, 3), (5, 10), (7, 10)]));
        some.no_later_than(at(10));
        assert_eq!(some, recommendations(&[(4, 9), (2, 3), (5, 10), (7, 10)]));
        let mut one = recommendations(&[(4, 9)]);
        one.no_later_than(at(0));
        assert_eq!(one, recommendations(&[(4, 0)]));
    }

    #[test]
    fn changes_of_the_future_become_their_sum_now() {
        let mut some = events(&[(4, 9), (7, 20), (1, 10), (i32::MAX, 30)]);
        some.no_later_than(at(10));
        assert_eq!(some, events(&[(4, 9), (i32::MAX, 10)]));
    }

    #[test]
    fn a_memory_without_future_is_left_as_it_is() {
        let (mut some, mut changes) = (recommendations(&[(4, 10), (7, 10), (5, 10)]), events(&[(4, 10), (1, 10)]));
        some.no_later_than(at(10));
        changes.no_later_than(at(10));
        assert_eq!((some.as_slice().len(), changes.as_slice().len()), (3, 2));
    }
}
