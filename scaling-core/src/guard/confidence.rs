//! [`ConfidenceGate`]: doubtful decisions do nothing.

use super::{Change, Guard, GuardContext, Verdict};

/// Refuses decisions below a confidence. Growth of critical urgency passes: users suffer now, and waiting for certainty costs more than a
/// pod. A floor that is due passes too, since it rests on the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfidenceGate {
    /// The least confidence. Default 0.75: on the labelled scenarios of the dataset, under noise and with signals removed, what
    /// must be done lies above it and what must not be done below.
    pub min: f64,
}

impl Default for ConfidenceGate {
    fn default() -> Self {
        Self { min: 0.75 }
    }
}

impl Guard for ConfidenceGate {
    fn name(&self) -> &'static str {
        "confidence"
    }

    fn check(&self, change: &Change<'_>, _: &GuardContext<'_>) -> Verdict {
        let Some(decision) = change.decision else { return Verdict::Pass };
        let lowers = change.lowers() || change.shrinks() || change.shrinks_pods();
        if (change.is_critical() && !lowers) || !(change.rests_on_the_engine() || change.lowers()) {
            return Verdict::Pass;
        }
        let confidence = decision.confidence.value();
        if confidence >= self.min {
            Verdict::Pass
        } else {
            Verdict::refuse(format!("confidence {confidence:.2} is below {:.2}", self.min))
        }
    }
}
