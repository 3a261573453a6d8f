//! The size that the baseline would have asked for without advice.
//!
//! Most engines keep a size until a much smaller one would do. So pods that advice has brought, or taken, would go on to decide what the
//! baseline asks for hours later, and what advice costs could neither be known nor bounded. As long as the size differs from the one
//! that the baseline asked for, because advice was taken, the baseline is therefore asked as if its own were in force. What was
//! measured, ready pods included, it sees as it is.

use std::time::Duration;

use scaling_core::{Observation, ScalingDecision};

/// Time for which the size may differ both from what was asked for and from the baseline's own: then somebody else sets it, and the
/// baseline has to see what is there.
const STRAYED_AT_MOST: Duration = Duration::from_secs(600);

/// Size of the baseline alone, since advice was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Alone {
    /// Pods that the baseline asked for last.
    pub(super) pods: u32,
    /// Pods that were asked for last in all.
    asked: u32,
    strayed: Duration,
}

impl Alone {
    /// Begins with advice that is taken instead of the baseline's request.
    pub(super) fn new(baseline: &ScalingDecision, asked: u32) -> Self {
        Self { pods: baseline.desired_replicas, asked, strayed: Duration::ZERO }
    }

    /// The observation with this size in force.
    pub(super) fn seen(self, observation: &Observation) -> Observation {
        let mut seen = observation.clone();
        seen.current.desired_pod_count = Some(self.pods);
        seen
    }

    /// Enters what the baseline asks for now. Returns false once the size was the baseline's own again, or somebody else's.
    pub(super) fn goes_on(&mut self, observation: &Observation, baseline: &ScalingDecision, since: Duration) -> bool {
        let there = observation.current.replicas();
        let is_own = there == Some(self.pods);
        self.strayed = if there == Some(self.asked) { Duration::ZERO } else { self.strayed.saturating_add(since) };
        self.pods = baseline.desired_replicas;
        self.asked = baseline.desired_replicas;
        !is_own && self.strayed <= STRAYED_AT_MOST
    }

    /// Enters advice that is taken instead.
    pub(super) fn ask(&mut self, replicas: u32) {
        self.asked = replicas;
    }
}
