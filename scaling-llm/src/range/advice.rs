//! Everything that a model may pick from: [`AdviceRange`].

use scaling_core::{Observation, ScalingDecision, SignalKind};

use super::ReplicaRange;
use crate::advice::{Action, Advice, Resize, SuggestedWindow};

/// Largest request of a pod that may be picked, in percent of the present one: what
/// [`ResourceLimits`](scaling_core::ResourceLimits) lets pass at once.
const MOST_PERCENT: u32 = 200;

/// Pods of a suggested window at most, in multiples of the largest size that may be picked now. A sale of ten times the load is
/// known; what is beyond is a slip of the pen.
const WINDOW_AT_MOST: u32 = 10;

/// The requests of a pod that a model may pick from, in percent of the present request, both ends included.
///
/// As with pods, it is measured from the baseline's own wish and from use, never from the present request, because that may be
/// there by earlier advice (law 8):
///
/// - It never begins below what the baseline wants.
/// - A baseline that wants more leaves room above what it wants, as a share of it.
/// - Where the request is kept or raised, there is also room up to the measured use and a share of that: bytes in use do not
///   grow with what is requested.
/// - A baseline that wants less leaves room up to the present request.
/// - More than double is never within it, unless the baseline itself wants that; guards limit both.
/// - Without a known request, there is nothing to pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PercentRange {
    /// The smallest request, in percent of the present one.
    pub lowest: u32,
    /// The largest request, in percent of the present one.
    pub highest: u32,
}

impl PercentRange {
    /// The range of one request: what the baseline wants.
    pub fn only(percent: u32) -> Self {
        Self { lowest: percent, highest: percent }
    }

    /// The range above what the baseline wants, where `used_percent` of the present request is in use.
    fn around(wanted: u32, used_percent: Option<f64>, share_above: f64) -> Self {
        if wanted < 100 {
            return Self { lowest: wanted, highest: 100 };
        }
        // Rounded down, so that the share is never exceeded.
        let with_share = |percent: f64| whole(percent * (1.0 + share_above));
        let by_wish = if wanted > 100 { with_share(f64::from(wanted)) } else { 0 };
        let by_use = used_percent.map_or(0, with_share);
        Self { lowest: wanted, highest: by_wish.max(by_use).min(MOST_PERCENT).max(wanted) }
    }

    /// Returns true for a request in the range.
    pub fn contains(self, percent: u32) -> bool {
        (self.lowest..=self.highest).contains(&percent)
    }

    /// Returns true if there is nothing to pick.
    pub fn is_single(self) -> bool {
        self.lowest == self.highest
    }
}

// A float becomes the nearest integer that there is, NaN becomes 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(percent: f64) -> u32 {
    percent.floor() as u32
}

/// The sizes and the requests that a model may pick from.
///
/// ```
/// use scaling_core::{Observation, ResourceChange, ScalingDecision, ScalingMetrics, Target, WorkloadFacts, chrono::DateTime};
/// use scaling_llm::{AdviceRange, PercentRange, ReplicaRange};
///
/// let at = DateTime::UNIX_EPOCH;
/// let mut facts = WorkloadFacts::default();
/// facts.memory_request_bytes = Some(512 << 20);
/// let observation =
///     Observation::new(Target::deployment("shop", "web"), ScalingMetrics::new(at, 4)).with_facts(facts);
/// let baseline = ScalingDecision::replicas("rules", at, 4, 4)
///     .with_resources(Some(ResourceChange { cpu_percent: 0, memory_percent: 30 }));
///
/// let range = AdviceRange::new(ReplicaRange::around(&baseline, 0.5), &observation, &baseline, 0.5);
/// assert_eq!(range.memory_percent, PercentRange { lowest: 130, highest: 195 });
/// assert_eq!(range.cpu_percent, PercentRange::only(100), "its request is not known");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdviceRange {
    /// The sizes.
    pub replicas: ReplicaRange,
    /// The CPU requests.
    pub cpu_percent: PercentRange,
    /// The memory requests.
    pub memory_percent: PercentRange,
}

impl AdviceRange {
    /// The range of sizes, and the ranges of requests around a baseline's decision.
    pub fn new(
        replicas: ReplicaRange,
        observation: &Observation,
        baseline: &ScalingDecision,
        share_above: f64,
    ) -> Self {
        let Resize { cpu_percent, memory_percent } = Resize::of(baseline);
        let facts = &observation.facts;
        let around = |wanted, request: Option<u64>, usage| {
            // A request of 0 has no percentages.
            match request.filter(|request| *request > 0) {
                Some(_) => PercentRange::around(wanted, observation.current.value(usage), share_above),
                None => PercentRange::only(wanted),
            }
        };
        Self {
            replicas,
            cpu_percent: around(cpu_percent, facts.cpu_request_millicores, SignalKind::CpuUtilization),
            memory_percent: around(memory_percent, facts.memory_request_bytes, SignalKind::MemoryUtilization),
        }
    }

    /// The range of sizes alone: what a pod requests stays as the baseline wants it.
    pub fn pods_only(replicas: ReplicaRange, baseline: &ScalingDecision) -> Self {
        let Resize { cpu_percent, memory_percent } = Resize::of(baseline);
        let only = PercentRange::only;
        Self { replicas, cpu_percent: only(cpu_percent), memory_percent: only(memory_percent) }
    }

    /// Returns true if there is nothing to pick.
    pub fn is_single(&self) -> bool {
        self.replicas.is_single() && self.cpu_percent.is_single() && self.memory_percent.is_single()
    }

    /// Checks advice.
    ///
    /// # Errors
    /// [`OutOfRange`] with the first number that lies outside.
    pub fn check(&self, advice: &Advice) -> Result<(), OutOfRange> {
        if let Some(SuggestedWindow { min_replicas: asked, .. }) = advice.suggested_window {
            let most = self.replicas.highest.max(1).saturating_mul(WINDOW_AT_MOST);
            if asked > most {
                return Err(OutOfRange::Window { asked, most });
            }
        }
        match advice.action {
            Action::Hold => Ok(()),
            Action::Scale if self.replicas.contains(advice.target_replicas) => Ok(()),
            Action::Scale => Err(OutOfRange::Replicas { asked: advice.target_replicas, range: self.replicas }),
            Action::Resize(Resize { cpu_percent, memory_percent }) => {
                let requests =
                    [("CPU", cpu_percent, self.cpu_percent), ("memory", memory_percent, self.memory_percent)];
                match requests.into_iter().find(|(_, asked, range)| !range.contains(*asked)) {
                    Some((resource, asked, range)) => Err(OutOfRange::Request { resource, asked, range }),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A number of an answer outside what may be picked. The answer is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutOfRange {
    /// A size.
    #[error("{asked} pods are not within {} to {}", range.lowest, range.highest)]
    Replicas {
        /// Size that was picked, in pods.
        asked: u32,
        /// Sizes that may be picked.
        range: ReplicaRange,
    },
    /// A request of a pod.
    #[error("{asked} % of the present {resource} request is not within {} to {}", range.lowest, range.highest)]
    Request {
        /// CPU or memory.
        resource: &'static str,
        /// Request that was picked, in percent of the present one.
        asked: u32,
        /// Requests that may be picked.
        range: PercentRange,
    },
    /// The pods of a suggested window.
    #[error("a window of {asked} pods is suggested, more than {most}")]
    Window {
        /// Pods of the window.
        asked: u32,
        /// Pods that may be suggested.
        most: u32,
    },
}
