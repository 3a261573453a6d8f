//! [`Cooldown`]: a change is given time to work before something is taken away.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Change, Guard, GuardContext, Limit, Verdict};
use crate::resources::ResourceChange;

/// Lowers no bound too soon after any change, and changes what a pod requests too soon after the last such change not at all.
/// Growth of the bounds waits for nothing; of what a pod requests, where it is critical.
///
/// A lowering for a [foreseen](crate::ScalingDecision::foreseen) request waits for as long as it is worth: an engine that foresees
/// holds its own requests already, and a pause costs pods, but each change is a write. Measured over public load traces, these
/// defaults cost less than a pause of 60 s for every lowering, and save more writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cooldown {
    /// Between any change and one that lowers a bound or a request. Default 300 s, the HPA's stabilization window.
    pub down: Duration,
    /// The same for a foreseen request. Default 15 s, one sync period of the HPA.
    pub down_foreseen: Duration,
    /// Share of the min up to which a foreseen lowering is slight, so that it waits for `down`; one pod always is. Default 0.15:
    /// from 0.1 to 0.15 noisy workloads save 7 % of the writes for 0.7 % more pods, and beyond that less.
    pub slight: f64,
    /// The same for a foreseen request that lets no pod go now, because more pods run than the min holds. Default 900 s.
    pub down_idle: Duration,
    /// Between two changes of what a pod requests: each restarts all pods. Default 300 s.
    pub resize: Duration,
}

impl Default for Cooldown {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            down: seconds(300),
            down_foreseen: seconds(15),
            slight: 0.15,
            down_idle: seconds(900),
            resize: seconds(300),
        }
    }
}

impl Cooldown {
    /// The pause before a change that lowers a bound.
    fn pause(&self, change: &Change<'_>) -> Duration {
        let old = change.old.min();
        // 40 × 0.15 may come out below 6.
        let slight = (f64::from(old) * self.slight + 1e-9).max(1.0);
        let foreseen = change.decision.is_some_and(|decision| decision.foreseen);
        if foreseen && change.current > old {
            self.down_idle
        } else if foreseen && f64::from(old.saturating_sub(change.new.min())) > slight {
            self.down_foreseen
        } else {
            self.down
        }
    }
}

impl Guard for Cooldown {
    fn name(&self) -> &'static str {
        "cooldown"
    }

    fn check(&self, change: &Change<'_>, context: &GuardContext<'_>) -> Verdict {
        let now = context.now;
        // Critical is what must grow; what is given back can wait, whatever the engine calls it.
        let waits = change.shrinks_pods() || !change.is_critical();
        if change.resources.is_some()
            && waits
            && let Some(left) = left(context.last.resized, self.resize, now)
        {
            let why = format!("the last change of requests needs {} s more", left.num_seconds()).into();
            return Verdict::Limit { limit: Limit::Resources(ResourceChange::NONE), why };
        }
        if !(change.lowers() || change.shrinks_pods()) {
            return Verdict::Pass;
        }
        match left(context.last.any(), self.pause(change), now) {
            Some(left) => Verdict::lower_nothing(format!("the last change needs {} s more", left.num_seconds())),
            None => Verdict::Pass,
        }
    }
}

/// Rest of a pause, if there is any. A change from the future, by a clock that has jumped back since, counts as one of now.
fn left(since: Option<DateTime<Utc>>, pause: Duration, now: DateTime<Utc>) -> Option<TimeDelta> {
    let passed = now.signed_duration_since(since?).max(TimeDelta::zero());
    let left = TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX).checked_sub(&passed)?;
    (left > TimeDelta::zero()).then_some(left)
}
