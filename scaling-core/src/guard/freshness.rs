//! [`Freshness`]: old metrics decide nothing.

use std::time::Duration;

use chrono::TimeDelta;

use super::{Change, Guard, GuardContext, Verdict};

/// Refuses any decision made from metrics that are too old, or from the future, and lowers nothing meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The oldest that metrics may be. Default 5 min.
    pub max_age: Duration,
    /// Most that a clock may be ahead. Default 1 min.
    pub max_skew: Duration,
}

impl Default for Freshness {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(300), max_skew: Duration::from_secs(60) }
    }
}

impl Guard for Freshness {
    fn name(&self) -> &'static str {
        "freshness"
    }

    fn check(&self, change: &Change<'_>, context: &GuardContext<'_>) -> Verdict {
        let Some(observation) = context.observation else { return Verdict::Pass };
        let age = context.now.signed_duration_since(observation.current.timestamp);
        let max_age = TimeDelta::from_std(self.max_age).unwrap_or(TimeDelta::MAX);
        let max_skew = TimeDelta::from_std(self.max_skew).unwrap_or(TimeDelta::MAX);
        let why = if age > max_age {
            format!("the metrics are {} s old", age.num_seconds())
        } else if -age > max_skew {
            format!("the metrics are {} s ahead of the clock", -age.num_seconds())
        } else {
            return Verdict::Pass;
        };
        if change.rests_on_the_engine() {
            Verdict::refuse(why)
        } else if change.lowers() {
            Verdict::lower_nothing(why)
        } else {
            Verdict::Pass
        }
    }
}
