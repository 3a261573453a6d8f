//! [`RemovalBudget`]: a fleet does not shrink all at once.

use std::time::Duration;

use chrono::TimeDelta;

use super::{Change, Guard, GuardContext, Limit, Verdict};
use crate::setting::InvalidSetting;

/// Limits how many pods of all workloads together may be let go in a window: a wrong metric seen by many shrinks few.
///
/// Pods count when a bound that held them is lowered, once, whether or not the HPA then removes them.
///
/// Default: 100 pods in 10 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalBudget {
    pods: u32,
    window: Duration,
}

impl Default for RemovalBudget {
    fn default() -> Self {
        Self { pods: 100, window: Duration::from_secs(600) }
    }
}

impl RemovalBudget {
    /// Longest window of a budget: the time for which a [`ChangeLog`](crate::ChangeLog) remembers removals in any case.
    pub const LONGEST_WINDOW: Duration = Duration::from_secs(3600);

    /// Creates a budget of so many pods, fleet-wide, in each window.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the window is longer than [`LONGEST_WINDOW`](Self::LONGEST_WINDOW): what is forgotten cannot be
    /// counted, and pods would be let go that the budget promised to keep.
    ///
    /// ```
    /// use std::time::Duration;
    /// use scaling_core::{Guards, RemovalBudget};
    ///
    /// let guards = Guards::default().with(RemovalBudget::new(30, Duration::from_secs(900))?);
    /// assert!(RemovalBudget::new(30, Duration::from_secs(7200)).is_err());
    /// # Ok::<(), scaling_core::InvalidSetting>(())
    /// ```
    pub fn new(pods: u32, window: Duration) -> Result<Self, InvalidSetting> {
        if window > Self::LONGEST_WINDOW {
            let value = window.as_secs_f64();
            return Err(InvalidSetting {
                field: "window",
                value,
                must: "at most 3600 s, the memory of the change log",
            });
        }
        Ok(Self { pods, window })
    }

    pub(super) fn pods(&self) -> u32 {
        self.pods
    }

    pub(super) fn window(&self) -> TimeDelta {
        TimeDelta::from_std(self.window).unwrap_or(TimeDelta::MAX)
    }

    /// The same with another number of pods.
    pub(super) fn of_pods(&self, pods: u32) -> Self {
        Self { pods, ..*self }
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
        let window = self.window();
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
