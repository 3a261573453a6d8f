//! What a model may pick from.

use scaling_core::{MAX_REPLICAS, ScalingDecision};

/// The sizes a model may pick from, given what the baseline wants (law 8).
///
/// Never below the baseline's wish: a model neither shrinks more nor grows less. Above it, a share of the wish; where the
/// baseline shrinks, up to the present size, so that a model can keep pods but not turn a shrink into growth.
///
/// ```
/// use scaling_core::{ScalingDecision, chrono::DateTime};
/// use scaling_llm::Allowed;
///
/// let wants = |current, desired| ScalingDecision::replicas("rules", DateTime::UNIX_EPOCH, current, desired);
/// assert_eq!(Allowed::around(&wants(4, 6), 0.5), Allowed { lowest: 6, highest: 9 });
/// assert_eq!(Allowed::around(&wants(4, 4), 0.5), Allowed { lowest: 4, highest: 6 });
/// assert_eq!(Allowed::around(&wants(8, 3), 0.5), Allowed { lowest: 3, highest: 8 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The smallest size.
    pub lowest: u32,
    /// The largest size.
    pub highest: u32,
}

impl Allowed {
    /// The range around a baseline's decision, `share_above` of its wish upward.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn around(baseline: &ScalingDecision, share_above: f64) -> Self {
        let lowest = baseline.desired_replicas;
        let highest = if baseline.shrinks() {
            baseline.current_replicas
        } else {
            // A float becomes the nearest integer that there is, NaN becomes 0.
            let extra = (f64::from(lowest) * share_above).ceil() as u32;
            lowest.saturating_add(extra).min(MAX_REPLICAS).max(lowest)
        };
        Self { lowest, highest }
    }

    /// Whether a size lies in the range.
    pub fn contains(self, replicas: u32) -> bool {
        (self.lowest..=self.highest).contains(&replicas)
    }

    /// Whether there is nothing to pick: the baseline's wish is the only size.
    pub fn is_single(self) -> bool {
        self.lowest == self.highest
    }
}
