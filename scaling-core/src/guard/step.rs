//! [`StepLimit`]: not too much at once.

use super::{Change, Guard, GuardContext, Limit, Verdict};
use crate::bounds::MAX_REPLICAS;

/// Limits a request to a multiple of the pods that run or start, and what is let go to a part of them. A floor is not limited: a
/// host declared it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLimit {
    /// At most this many times the present size; below 1 counts as 1. Default 2.
    pub up: f64,
    /// At least this share of the present size is kept, rounded up; within 0..=1. Default 0.5.
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
    fn check(&self, change: &Change<'_>, _: &GuardContext<'_>) -> Verdict {
        let current = change.current;
        let size = f64::from(current);
        // From none at all, one pod is a step. `max` and `min` take a NaN factor for no factor.
        let top = (size * self.up.max(1.0)).floor().min(f64::from(MAX_REPLICAS)).max(size.max(1.0)) as u32;
        if change.request > top && change.grows() {
            let why = format!("at most {} times {current} at once", self.up).into();
            return Verdict::Limit { limit: Limit::Replicas(top), why };
        }
        let kept = (size * self.down.max(0.0)).ceil().min(size) as u32;
        let most = current - kept;
        if change.released > most {
            let why = format!("at least {} of {current} are kept at once", self.down).into();
            return Verdict::Limit { limit: Limit::Released(most), why };
        }
        Verdict::Pass
    }
}
