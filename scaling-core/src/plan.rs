//! From an approved decision to the HPA's new bounds: [`BoundsPolicy`] makes an [`HpaPlan`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Approved, Bounds, ResourceChange, Target, Timing, WorkloadFacts};

/// How wanted replicas become bounds. The HPA keeps reacting between them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoundsPolicy {
    /// Share of the wanted size that becomes the floor when only the present explains it. Default 0.5: the HPA does the rest.
    pub floor_share_now: f64,
    /// The same when a schedule, a pattern or an event explains it. Default 1: nobody has seen that load yet.
    pub floor_share_planned: f64,
    /// Room above the wanted size for the HPA, at least this many pods. Default 5.
    pub headroom_pods: u32,
    /// Room above the wanted size for the HPA, at least this share. Default 0.25.
    pub headroom_share: f64,
}

impl Default for BoundsPolicy {
    fn default() -> Self {
        Self { floor_share_now: 0.5, floor_share_planned: 1.0, headroom_pods: 5, headroom_share: 0.25 }
    }
}

impl BoundsPolicy {
    /// The plan for an approved decision. It lowers no bound when growing, raises none when shrinking, changes none when
    /// maintaining, and stays within the hard limits for every input (laws 1 and 6).
    pub fn plan(&self, approved: &Approved) -> HpaPlan {
        let decision = approved.decision();
        let old = approved.bounds();
        let hard = approved.limits().bounds();
        let wanted = approved.replicas();
        let share = match decision.timing {
            Timing::Now => self.floor_share_now,
            Timing::Scheduled | Timing::Event => self.floor_share_planned,
        };
        let floor = hard.clamp(scaled(wanted, share.clamp(0.0, 1.0)));
        let room = scaled(wanted, self.headroom_share.max(0.0)).max(self.headroom_pods);
        let ceiling = hard.clamp(wanted.saturating_add(room));
        let (min, max) = match wanted.cmp(&decision.current_replicas) {
            std::cmp::Ordering::Greater => (old.min().max(floor), old.max().max(ceiling)),
            std::cmp::Ordering::Less => (old.min().min(floor), old.max().min(ceiling)),
            std::cmp::Ordering::Equal => (old.min(), old.max()),
        };
        // min ≤ floor ≤ ceiling ≤ max in each arm, so this cannot fail; if it did, nothing would change.
        let new = Bounds::new(min, max).unwrap_or(old);
        HpaPlan {
            target: approved.target().clone(),
            replicas: wanted,
            change: BoundsChange { old, new, resources: decision.resources },
            requests: decision.resources.map(|change| approved.requests().changed(change)),
        }
    }
}

// `wanted` is at most 2³² and a share a small number: far inside f64, and the cast saturates.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn scaled(wanted: u32, share: f64) -> u32 {
    (f64::from(wanted) * share).ceil() as u32
}

/// A change of bounds and resources, as plain data: what records keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundsChange {
    /// Bounds before.
    pub old: Bounds,
    /// Bounds after.
    pub new: Bounds,
    /// Change of what a pod requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceChange>,
}

/// What one pod requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// CPU in thousandths of a core, if known.
    pub cpu_millicores: Option<u64>,
    /// Memory in bytes, if known.
    pub memory_bytes: Option<u64>,
}

impl Requests {
    pub(crate) fn of(facts: &WorkloadFacts) -> Self {
        Self { cpu_millicores: facts.cpu_request_millicores, memory_bytes: facts.memory_request_bytes }
    }

    fn changed(self, change: ResourceChange) -> (Self, Self) {
        let by = |value: Option<u64>, percent: i32| {
            let factor = u64::try_from(100_i64.saturating_add(i64::from(percent))).unwrap_or(0);
            value.map(|value| (value / 100).saturating_mul(factor).saturating_add(value % 100 * factor / 100))
        };
        let new = Self {
            cpu_millicores: by(self.cpu_millicores, change.cpu_percent),
            memory_bytes: by(self.memory_bytes, change.memory_percent),
        };
        (self, new)
    }
}

/// Old and new bounds of one target, as a diff. Made by [`BoundsPolicy::plan`] from an [`Approved`], and by nothing else: it
/// cannot be built or deserialized.
///
/// ```compile_fail
/// let plan: scaling_core::HpaPlan = serde_json::from_str("{}").unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HpaPlan {
    target: Target,
    replicas: u32,
    #[serde(flatten)]
    change: BoundsChange,
    /// Requests before and after, where the plan changes resources and they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<(Requests, Requests)>,
}

impl HpaPlan {
    /// The workload.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The approved number of pods behind the bounds.
    pub fn replicas(&self) -> u32 {
        self.replicas
    }

    /// Bounds before.
    pub fn old_bounds(&self) -> Bounds {
        self.change.old
    }

    /// Bounds after.
    pub fn new_bounds(&self) -> Bounds {
        self.change.new
    }

    /// Change of what a pod requests.
    pub fn resources(&self) -> Option<ResourceChange> {
        self.change.resources
    }

    /// Requests before and after, where resources change.
    pub fn requests(&self) -> Option<(Requests, Requests)> {
        self.requests
    }

    /// Both as plain data.
    pub fn change(&self) -> BoundsChange {
        self.change
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.change.old == self.change.new && self.change.resources.is_none()
    }
}

impl fmt::Display for BoundsChange {
    /// One line for each field that changes; nothing if none does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        if self.old.min() != self.new.min() {
            lines.push(format!("minReplicas: {} -> {}", self.old.min(), self.new.min()));
        }
        if self.old.max() != self.new.max() {
            lines.push(format!("maxReplicas: {} -> {}", self.old.max(), self.new.max()));
        }
        if let Some(ResourceChange { cpu_percent, memory_percent }) = self.resources {
            for (name, percent) in [("cpu", cpu_percent), ("memory", memory_percent)] {
                if percent != 0 {
                    lines.push(format!("requests.{name}: {percent:+} %"));
                }
            }
        }
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for HpaPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.change.fmt(f)
    }
}
