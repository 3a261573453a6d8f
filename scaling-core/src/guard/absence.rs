//! What is not seen does not shrink.

use super::{Guard, Situation, Verdict};
use crate::{Absence, ScalingDecision, SignalKind};

/// How long a signal is missed after it was last seen.
const WINDOW_MS: i64 = 3_600_000;

/// Refuses fewer or smaller pods while a signal that was there is gone or broken (law 2), whatever the engine made of it.
///
/// A signal counts as there if the newest sample of the history has it, or any of the last hour. One that nobody ever measured does not block.
#[derive(Clone, Copy, Debug, Default)]
pub struct AbsenceGuard;

impl Guard for AbsenceGuard {
    fn name(&self) -> &'static str {
        "absence"
    }

    fn check(&self, decision: &ScalingDecision, replicas: u32, situation: &Situation<'_>) -> Verdict {
        if replicas >= decision.current_replicas && !decision.shrinks_pods() {
            return Verdict::Pass;
        }
        let seen = situation.observation;
        let now_ms = seen.current.timestamp.timestamp_millis();
        let before = seen.history.before(now_ms);
        for kind in SignalKind::ALL {
            let Some(absence) = seen.current.signal(kind).absence() else { continue };
            let was_there = before.seen_since(kind, now_ms.saturating_sub(WINDOW_MS));
            if absence != Absence::NotMeasured || was_there {
                return Verdict::Refuse { why: format!("{kind} is missing now: {absence}").into() };
            }
        }
        Verdict::Pass
    }
}
