//! The sizes that a model may pick from: [`ReplicaRange`].

mod advice;

use scaling_core::{MAX_REPLICAS, NeedDriver, Reason, ScalingDecision};

pub use advice::{AdviceRange, OutOfRange, PercentRange};

/// The sizes that a model may pick from, in pods, both ends included.
///
/// The range is measured from the baseline's request and never from the present size, because the pods that are there may be there
/// by earlier advice (law 8):
///
/// - It never begins below the request: a model neither shrinks more nor grows less. Only an engine that
///   [proves](crate::Proof) proposals before it takes them lets it begin lower.
/// - A baseline that asks for more than there is leaves room above its request, as a share of it.
/// - A baseline that keeps what is there leaves room above what it *needs*, as far as it says so in its reasons
///   ([`Reason::Need`]): a share of the need, or of the size that it keeps if that is less. A need for overload does not count,
///   since it is a multiple of the pods there are. A baseline that keeps what is there and says no need leaves no room: the
///   pods may all be there by earlier advice.
/// - A baseline that asks for fewer pods leaves room up to the present size: a model can keep pods, not turn a shrink into growth.
///
/// An [`LlmEngine`](crate::LlmEngine) narrows it further by what it remembers of its own advice.
///
/// ```
/// use scaling_core::{NeedDriver, Reason, ScalingDecision, chrono::DateTime};
/// use scaling_llm::ReplicaRange;
///
/// let asks = |current, desired| ScalingDecision::replicas("rules", DateTime::UNIX_EPOCH, current, desired);
/// assert_eq!(ReplicaRange::around(&asks(4, 6), 0.5), ReplicaRange { lowest: 6, highest: 9 });
/// assert_eq!(ReplicaRange::around(&asks(8, 3), 0.5), ReplicaRange { lowest: 3, highest: 8 });
///
/// let need = Reason::Need { driver: NeedDriver::Demand, replicas: 6.3 };
/// assert_eq!(ReplicaRange::around(&asks(8, 8).because(need), 0.5), ReplicaRange { lowest: 8, highest: 11 });
/// assert_eq!(ReplicaRange::around(&asks(8, 8), 0.5), ReplicaRange { lowest: 8, highest: 8 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaRange {
    /// The smallest size, in pods.
    pub lowest: u32,
    /// The largest size, in pods.
    pub highest: u32,
}

impl ReplicaRange {
    /// The range around a baseline's decision, with `share_above` of its own request as the room above.
    pub fn around(baseline: &ScalingDecision, share_above: f64) -> Self {
        Self::remembering(baseline, share_above, None)
    }

    /// The range, where `remembered` is the baseline's own request that the last growth by advice was measured from.
    pub(crate) fn remembering(baseline: &ScalingDecision, share_above: f64, remembered: Option<u32>) -> Self {
        let (current, lowest) = (baseline.current_replicas, baseline.desired_replicas);
        let highest = if baseline.shrinks() {
            // Pods that only advice has brought are kept within the share, pods that the baseline had asked for in any case.
            let kept = remembered.map_or(current, |own| own.max(with_share(lowest, share_above)));
            kept.min(current)
        } else {
            own_request(baseline, remembered).map_or(0, |own| with_share(own, share_above))
        };
        Self { lowest, highest: highest.max(lowest) }
    }

    /// The range with sizes below the request, from `replicas` on: for proposals that are proved before they are taken.
    pub(crate) fn at_least(self, replicas: u32) -> Self {
        Self { lowest: self.lowest.min(replicas), ..self }
    }

    /// The range without the sizes above `replicas`; the request itself stays in it.
    pub(crate) fn at_most(self, replicas: u32) -> Self {
        Self { highest: self.highest.min(replicas).max(self.lowest), ..self }
    }

    /// Returns true for a size in the range.
    pub fn contains(self, replicas: u32) -> bool {
        (self.lowest..=self.highest).contains(&replicas)
    }

    /// Returns true if there is nothing to pick: the baseline's request is the only size.
    pub fn is_single(self) -> bool {
        self.lowest == self.highest
    }
}

/// The size that the baseline asks for by itself; `None` if it keeps what is there and nothing tells why.
///
/// Of several things known the least counts, because each alone can grow with the pods: a share of CPU or memory that every pod has
/// makes a need follow the pods, and the request of a baseline that keeps what is there does so altogether.
pub(crate) fn own_request(baseline: &ScalingDecision, remembered: Option<u32>) -> Option<u32> {
    if baseline.desired_replicas != baseline.current_replicas {
        return Some(baseline.desired_replicas);
    }
    let known = [need(&baseline.reasons), remembered];
    known.into_iter().flatten().min().map(|known| known.min(baseline.desired_replicas))
}

/// The largest need that does not follow from the number of pods, in whole pods.
// A float becomes the nearest integer that there is, NaN becomes 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn need(reasons: &[Reason]) -> Option<u32> {
    let needs = reasons.iter().filter_map(|reason| match reason {
        Reason::Need { driver, replicas } if *driver != NeedDriver::Overload => Some(replicas.ceil() as u32),
        _ => None,
    });
    needs.max()
}

// As above.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn with_share(replicas: u32, share: f64) -> u32 {
    let extra = (f64::from(replicas) * share).ceil() as u32;
    replicas.saturating_add(extra).min(MAX_REPLICAS).max(replicas)
}
