//! Doubtful decisions do nothing.

use super::{Guard, Situation, Verdict};
use crate::ScalingDecision;

/// Refuses decisions below a confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfidenceGate {
    /// The least confidence. Default 0.75.
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

    fn check(&self, decision: &ScalingDecision, _: u32, _: &Situation<'_>) -> Verdict {
        let confidence = decision.confidence.value();
        if confidence >= self.min {
            Verdict::Pass
        } else {
            Verdict::Refuse { why: format!("confidence {confidence:.2} is below {:.2}", self.min).into() }
        }
    }
}
