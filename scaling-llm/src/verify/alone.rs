//! The pods that the baseline would have had without advice.
//!
//! Most engines keep a size until a much smaller one would do. So pods that advice has brought, or taken, would go on to decide what the
//! baseline asks for hours later, and what advice costs could neither be known nor bounded. As long as the pods differ from those that
//! the baseline asked for, because advice was taken, the baseline is therefore asked as if it had its own.

use std::collections::VecDeque;
use std::time::Duration;

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{Observation, ScalingDecision, SignalKind};

/// Time for which pods may differ both from what was asked for and from the baseline's own: then somebody else sets them, and the
/// baseline has to see what is there.
const STRAYED_AT_MOST: Duration = Duration::from_secs(600);

/// Sizes remembered at most; pods of those before are ready.
const SIZES_AT_MOST: usize = 512;

/// Sizes that the baseline has asked for since advice was taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alone {
    /// Since when, and how many; the oldest first, never empty.
    sizes: VecDeque<(DateTime<Utc>, u32)>,
    /// Ready pods when it began.
    ready: u32,
    /// Size that was last asked for in all.
    asked: u32,
    strayed: Duration,
}

impl Alone {
    /// Begins where pods are as the baseline has them.
    pub(super) fn new(observation: &Observation, baseline: &ScalingDecision, asked: u32) -> Self {
        let ready = observation.current.current_pod_count.unwrap_or(baseline.current_replicas);
        let sizes = [(observation.now, baseline.desired_replicas)].into();
        Self { sizes, ready: ready.min(baseline.desired_replicas), asked, strayed: Duration::ZERO }
    }

    /// Pods that there would be.
    pub(super) fn pods(&self) -> u32 {
        self.sizes.back().map_or(0, |(_, pods)| *pods)
    }

    /// Pods that would be ready: the least of the sizes within a start-up time.
    fn ready(&self, now: DateTime<Utc>, start_up: Duration) -> u32 {
        let is_old = |at: DateTime<Utc>| (now - at).to_std().unwrap_or_default() >= start_up;
        let mut least = self.pods();
        for (at, pods) in self.sizes.iter().rev() {
            least = least.min(*pods);
            if is_old(*at) {
                return least;
            }
        }
        least.min(self.ready)
    }

    /// The observation with these pods; CPU and memory, means over the pods, as they would be with them.
    pub(super) fn seen(&self, observation: &Observation) -> Observation {
        let mut seen = observation.clone();
        let ready = self.ready(observation.now, observation.facts.start_up);
        let there = observation.current.current_pod_count;
        if let Some(cpu) = seen.current.value(SignalKind::CpuUtilization)
            && let Some(there) = there
            && ready > 0
        {
            seen.current = seen.current.with(SignalKind::CpuUtilization, cpu * f64::from(there) / f64::from(ready));
        }
        seen.current.desired_pod_count = Some(self.pods());
        seen.current.current_pod_count = there.map(|_| ready);
        seen
    }

    /// Enters what the baseline asks for now. Returns false once the pods are the baseline's own again, or somebody else's.
    pub(super) fn goes_on(&mut self, observation: &Observation, baseline: &ScalingDecision, since: Duration) -> bool {
        let now = observation.now;
        let there = observation.current.replicas();
        if there == Some(self.asked) {
            self.strayed = Duration::ZERO;
        } else {
            self.strayed = self.strayed.saturating_add(since);
        }
        let ready = self.ready(now, observation.facts.start_up);
        let same = there == Some(self.pods()) && observation.current.current_pod_count.is_none_or(|pods| pods == ready);
        if baseline.desired_replicas != self.pods() {
            if self.sizes.len() >= SIZES_AT_MOST {
                self.sizes.pop_front();
                self.ready = self.sizes.front().map_or(self.ready, |(_, pods)| self.ready.min(*pods));
            }
            self.sizes.push_back((now, baseline.desired_replicas));
        }
        self.asked = baseline.desired_replicas;
        !same && self.strayed <= STRAYED_AT_MOST
    }

    /// Enters advice that is taken instead.
    pub(super) fn asked(&mut self, replicas: u32) {
        self.asked = replicas;
    }
}
