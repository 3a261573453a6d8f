//! The sizes the host allows at all.

use super::{Guard, Situation, Verdict};
use crate::ScalingDecision;

/// Moves the wish into the hard limits. Refuses to touch an HPA whose bounds lie outside them: bringing it in would raise a
/// bound while shrinking or lower one while growing, and somebody should look at it first.
#[derive(Clone, Copy, Debug, Default)]
pub struct HardLimitsGuard;

impl Guard for HardLimitsGuard {
    fn name(&self) -> &'static str {
        "hard_limits"
    }

    fn check(&self, _: &ScalingDecision, replicas: u32, situation: &Situation<'_>) -> Verdict {
        let limits = situation.limits.bounds();
        if !limits.contains(situation.state.bounds) {
            return Verdict::Refuse {
                why: format!(
                    "the HPA's bounds {} lie outside the hard limits {limits}; change one of them",
                    situation.state.bounds
                )
                .into(),
            };
        }
        let clamped = limits.clamp(replicas);
        if clamped == replicas {
            Verdict::Pass
        } else {
            Verdict::Limit { replicas: clamped, why: format!("the hard limits are {limits}").into() }
        }
    }
}
