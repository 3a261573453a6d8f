//! Old metrics decide nothing.

use std::time::Duration;

use chrono::TimeDelta;

use super::{Guard, Situation, Verdict};
use crate::ScalingDecision;

/// Refuses any change made from metrics that are too old, or from the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The oldest that metrics may be. Default 5 min.
    pub max_age: Duration,
    /// How far ahead a clock may be. Default 1 min.
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

    fn check(&self, _: &ScalingDecision, _: u32, situation: &Situation<'_>) -> Verdict {
        let age = situation.now.signed_duration_since(situation.observation.current.timestamp);
        let max_age = TimeDelta::from_std(self.max_age).unwrap_or(TimeDelta::MAX);
        let max_skew = TimeDelta::from_std(self.max_skew).unwrap_or(TimeDelta::MAX);
        if age > max_age {
            Verdict::Refuse { why: format!("the metrics are {} s old", age.num_seconds()).into() }
        } else if -age > max_skew {
            Verdict::Refuse { why: format!("the metrics are {} s ahead of the clock", -age.num_seconds()).into() }
        } else {
            Verdict::Pass
        }
    }
}
