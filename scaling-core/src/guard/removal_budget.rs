//! A fleet does not shrink all at once.

use std::time::Duration;

use chrono::TimeDelta;

use super::{Guard, Situation, Verdict};
use crate::ScalingDecision;

/// Limits how many pods all workloads together may lose in a window: a wrong metric seen by many shrinks few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalBudget {
    /// Pods per window, fleet-wide. Default 100.
    pub pods: u32,
    /// The window. Default 10 min; removals are remembered for an hour, so no longer than that.
    pub window: Duration,
}

impl Default for RemovalBudget {
    fn default() -> Self {
        Self { pods: 100, window: Duration::from_secs(600) }
    }
}

impl Guard for RemovalBudget {
    fn name(&self) -> &'static str {
        "removal_budget"
    }

    fn check(&self, decision: &ScalingDecision, replicas: u32, situation: &Situation<'_>) -> Verdict {
        let current = decision.current_replicas;
        if replicas >= current {
            return Verdict::Pass;
        }
        let window = TimeDelta::from_std(self.window).unwrap_or(TimeDelta::MAX);
        let spent = situation
            .removals
            .iter()
            .filter(|(at, _)| situation.now.signed_duration_since(*at) < window)
            .fold(0_u32, |sum, (_, pods)| sum.saturating_add(*pods));
        let left = self.pods.saturating_sub(spent);
        if current - replicas <= left {
            Verdict::Pass
        } else if left == 0 {
            Verdict::Refuse {
                why: format!("{spent} pods of all workloads were removed within {} s", self.window.as_secs()).into(),
            }
        } else {
            Verdict::Limit { replicas: current - left, why: format!("{left} more pods may go for now").into() }
        }
    }
}
