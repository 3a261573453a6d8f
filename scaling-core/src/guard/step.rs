//! Not too much at once.

use super::{Guard, Situation, Verdict};
use crate::{MAX_REPLICAS, ScalingDecision};

/// Limits one decision to a multiple and a fraction of the present size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLimit {
    /// At most this many times the present size; below 1 counts as 1. Default 2.
    pub up: f64,
    /// At least this share of the present size, rounded up; within 0..=1. Default 0.5.
    pub down: f64,
}

impl Default for StepLimit {
    fn default() -> Self {
        Self { up: 2.0, down: 0.5 }
    }
}

impl Guard for StepLimit {
    fn name(&self) -> &'static str {
        "step"
    }

    // Both lie within what a u32 holds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn check(&self, decision: &ScalingDecision, replicas: u32, _: &Situation<'_>) -> Verdict {
        let current = decision.current_replicas;
        let size = f64::from(current);
        // From none at all, one pod is a step. `max` and `min` take a NaN factor for no factor.
        let top = (size * self.up.max(1.0)).floor().min(f64::from(MAX_REPLICAS)).max(size.max(1.0));
        let bottom = (size * self.down.max(0.0)).ceil().min(size);
        let (top, bottom) = (top as u32, bottom as u32);
        if replicas > top && replicas > current {
            Verdict::Limit { replicas: top, why: format!("at most {} times {current} at once", self.up).into() }
        } else if replicas < bottom {
            Verdict::Limit {
                replicas: bottom,
                why: format!("at least {} of {current} are kept at once", self.down).into(),
            }
        } else {
            Verdict::Pass
        }
    }
}
