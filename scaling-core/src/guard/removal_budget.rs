//! [`RemovalBudget`]: a fleet does not shrink all at once.

use std::time::Duration;

use chrono::TimeDelta;

use super::{Change, Guard, GuardContext, Limit, Verdict};

/// Limits how many pods of all workloads together may be let go in a window: a wrong metric seen by many shrinks few.
///
/// Pods count when a bound that held them is lowered, once, whether or not the HPA then removes them.
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

    fn check(&self, change: &Change<'_>, context: &GuardContext<'_>) -> Verdict {
        if change.released == 0 {
            return Verdict::Pass;
        }
        let window = TimeDelta::from_std(self.window).unwrap_or(TimeDelta::MAX);
        let spent = context
            .released
            .iter()
            .filter(|(at, _)| context.now.signed_duration_since(*at) < window)
            .fold(0_u32, |sum, (_, pods)| sum.saturating_add(*pods));
        let left = self.pods.saturating_sub(spent);
        if change.released <= left {
            return Verdict::Pass;
        }
        let why = if left == 0 {
            format!("{spent} pods of all workloads were let go within {} s", self.window.as_secs())
        } else {
            format!("{left} more pods may go for now")
        };
        Verdict::Limit { limit: Limit::Released(left), why: why.into() }
    }
}
