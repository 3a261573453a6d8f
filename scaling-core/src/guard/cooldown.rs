//! A change is given time to work.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Guard, Situation, Verdict};
use crate::{ScalingDecision, Urgency};

/// Refuses to grow again too soon after growing, and to shrink too soon after any change. Critical urgency bypasses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooldown {
    /// Between two growths. Default 60 s: the first one's pods have not started yet.
    pub up: Duration,
    /// Between any change and a shrink. Default 300 s, the HPA's stabilization window.
    pub down: Duration,
}

impl Default for Cooldown {
    fn default() -> Self {
        Self { up: Duration::from_secs(60), down: Duration::from_secs(300) }
    }
}

impl Guard for Cooldown {
    fn name(&self) -> &'static str {
        "cooldown"
    }

    fn check(&self, decision: &ScalingDecision, replicas: u32, situation: &Situation<'_>) -> Verdict {
        if decision.urgency == Urgency::Critical {
            return Verdict::Pass;
        }
        let (since, pause) = if replicas < decision.current_replicas {
            (situation.last.grown.max(situation.last.shrunk), self.down)
        } else {
            (situation.last.grown, self.up)
        };
        match since.map(|since| left(since, pause, situation.now)) {
            Some(left) if left > TimeDelta::zero() => {
                Verdict::Refuse { why: format!("the last change needs {} s more", left.num_seconds()).into() }
            }
            _ => Verdict::Pass,
        }
    }
}

fn left(since: DateTime<Utc>, pause: Duration, now: DateTime<Utc>) -> TimeDelta {
    let pause = TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX);
    pause.checked_sub(&now.signed_duration_since(since)).unwrap_or(TimeDelta::MAX)
}
