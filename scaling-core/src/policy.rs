//! From a request and a floor to the HPA's new bounds: [`BoundsPolicy`].
//!
//! The HPA keeps reacting between the bounds; we move them, and whatever we raised is given back to the bounds that its owner
//! set. No bound makes a pod leave (law 11): the max is never set below the pods that run, and the min is lowered by no more pods
//! than the guards let go.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bounds::{Bounds, HardLimits, MAX_REPLICAS};
use crate::resources::ResourceChange;
use crate::state::HpaState;

/// The max of an HPA while less is needed than its owner allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ceiling {
    /// Rests at the owner's max, and is raised above it while more is needed.
    #[default]
    Rest,
    /// Follows the request with its headroom, below the owner's max too: a cap on spending.
    Follow,
}

/// The mapping from a request to bounds. The HPA keeps reacting between them.
///
/// With a request of `w` pods, `c` pods that run, the highest floor `f` and the owner's bounds `r`: the min aims at the largest of
/// `r.min`, `f` and a share of `w`; the max at the larger of `r.max` and `w` with its headroom, and never below `c`. A request for
/// more pods lowers no bound, one for fewer raises none, unless it is [foreseen](crate::ScalingDecision::foreseen); a floor moves
/// the min alone. A floor above the max lifts the max to itself and no further, because a floor must be there (law 7) and no HPA
/// has a min above its max; the hard limits cut both, and the max comes back with the next request once the floor has ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoundsPolicy {
    /// Share of a request that becomes the min, where the engine only reacts. Default 0.5: the HPA does the rest. A foreseen
    /// request counts as a whole, since nobody else can know it.
    pub floor_share: f64,
    /// Room above the request for the HPA, at least this many pods. Default 5.
    pub headroom_pods: u32,
    /// Room above the request for the HPA, at least this share. Default 0.25.
    pub headroom_share: f64,
    /// The max while less is needed than the owner allows. Default: [`Ceiling::Rest`].
    pub ceiling: Ceiling,
    /// Min and max both become the number of pods wanted, for a target that is driven directly (no HPA, or one that shall not
    /// react). Default false.
    ///
    /// From a number comes a number: bounds that are one ([`Bounds::number`]) stay one, whatever is asked for, refused or given back. A
    /// max that comes down to the number takes pods away, so that those count as let go, for every guard that limits them.
    pub exact: bool,
    /// Floors alone are held: the min moves for them and goes back to the owner's, the max is never raised, not even for a floor above it,
    /// which is cut to it; what the engine asks for is refused. For a workload that is being handed over, between being observed and
    /// being scaled. Default false.
    pub floors_only: bool,
}

impl Default for BoundsPolicy {
    fn default() -> Self {
        let (floor_share, headroom_pods, headroom_share) = (0.5, 5, 0.25);
        Self { floor_share, headroom_pods, headroom_share, ceiling: Ceiling::Rest, exact: false, floors_only: false }
    }
}

/// The input of the mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapping {
    /// The HPA as it stands.
    pub(crate) state: HpaState,
    pub(crate) limits: HardLimits,
    /// Pods that run or start, as the metrics say: what a request is measured from.
    pub(crate) current: u32,
    /// Pods that run or start, as whoever counts more of them says: what the max is not lowered below.
    pub(crate) running: u32,
    /// Pods that the old min holds.
    pub(crate) held: u32,
    /// The request, as far as it is allowed; `None` if there is none, or it was refused.
    pub(crate) request: Option<u32>,
    /// True if more was requested, even if nothing of it is allowed: then nothing is lowered.
    pub(crate) grows: bool,
    pub(crate) foreseen: bool,
    /// Everything goes back to these bounds: the owner's, or those of an earlier time.
    pub(crate) restore: Option<Bounds>,
    /// The highest floor that is due; 0 for none.
    pub(crate) floor: u32,
    /// The min as it would be without floors.
    pub(crate) min_without_floor: u32,
    /// Pods that may newly be let go at most; with 0 nothing is lowered at all.
    pub(crate) release_at_most: Option<u32>,
}

/// The output of the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) bounds: Bounds,
    /// The min as it would be without floors.
    pub(crate) min_without_floor: u32,
    /// Pods that the old min held and the new one does not.
    pub(crate) released: u32,
}

impl BoundsPolicy {
    /// The policy of a host that drives the number of pods itself.
    pub fn exact() -> Self {
        Self { exact: true, ..Self::default() }
    }

    /// Returns true if a floor above the max of these bounds is cut to it. Where there is a number and no max, a floor raises it.
    pub(crate) fn cuts_floors(&self, bounds: Bounds) -> bool {
        self.floors_only && !(self.exact && bounds.number().is_some())
    }

    pub(crate) fn map(&self, mapping: &Mapping) -> Mapped {
        let (min, min_without_floor) = self.min(mapping);
        let Mapping { state: HpaState { bounds: old, .. }, limits, .. } = *mapping;
        let hard = limits.bounds();
        let min = hard.clamp(min);
        let max = match mapping {
            _ if !self.exact => self.max(mapping),
            _ if old.number().is_some() => min,
            // Nothing is asked for, or nothing may leave: the max lets go of no pod.
            Mapping { request: None, .. } | Mapping { release_at_most: Some(0), .. } => old.max(),
            Mapping { grows: true, running, .. } => min.max(*running),
            _ => min,
        };
        let max = hard.clamp(max.max(min)).max(1);
        // min ≤ max in each arm, so this cannot fail; if it did, nothing would change.
        let bounds = Bounds::new(min, max).unwrap_or(old);
        Mapped { bounds, min_without_floor, released: self.released(mapping, bounds) }
    }

    /// Pods that the old bounds held and the new ones do not.
    fn released(&self, mapping: &Mapping, new: Bounds) -> u32 {
        let old = mapping.state.bounds;
        match (self.exact, old.number()) {
            (false, _) => mapping.held.saturating_sub(new.min()),
            // The number is what was asked for, whatever the metrics say that runs.
            (true, Some(pods)) => pods.saturating_sub(new.min()),
            (true, None) => {
                let by_max = mapping.running.min(old.max()).saturating_sub(new.max());
                mapping.held.saturating_sub(new.min()).max(by_max)
            }
        }
    }

    /// Pods that guards count from when they limit those let go, and that may not be held higher.
    fn held(&self, mapping: &Mapping) -> (u32, u32) {
        let old = mapping.state.bounds;
        match (self.exact, old.number()) {
            (false, _) => (mapping.held, old.min()),
            (true, Some(pods)) => (pods, pods),
            (true, None) => (mapping.running.min(old.max()), old.max()),
        }
    }

    /// The min, with and without floors.
    fn min(&self, mapping: &Mapping) -> (u32, u32) {
        let Mapping { state: HpaState { bounds: old, resting, .. }, request, foreseen, floor, .. } = *mapping;
        let share = if foreseen || self.exact { 1.0 } else { self.floor_share.clamp(0.0, 1.0) };
        let base = mapping.min_without_floor.min(old.min());
        let rest = if self.exact { 0 } else { resting.min() };
        let own = match (request, mapping.restore) {
            (_, Some(to)) if !self.exact => to.min(),
            // What a decision raised before floors alone were to be held is not held any longer.
            (None, _) if self.floors_only && !self.exact => rest.min(old.max()),
            (None, _) => base.max(rest),
            (Some(request), _) => {
                let aim = scaled(request, share);
                let own = if mapping.grows {
                    base.max(aim)
                } else if self.exact && old.number().is_some() {
                    // The metrics may be older than the number: a size that they still show is not gone back to.
                    let aim = aim.min(old.min());
                    if request < mapping.current { aim } else { base.max(aim) }
                } else if foreseen || self.exact {
                    aim
                } else {
                    base.min(aim)
                };
                own.max(rest)
            }
        };
        let floor = if self.cuts_floors(old) { floor.min(old.max()) } else { floor };
        let min = own.max(floor);
        let (from, highest) = self.held(mapping);
        let held = match mapping.release_at_most {
            // A request for more lowers nothing, not even for a floor that has ended.
            _ if mapping.grows => old.min(),
            Some(0) => old.min(),
            Some(pods) => from.saturating_sub(pods),
            None => 0,
        };
        // A guard that holds the min back holds back what it is without floors as well.
        let own = if min < held { own.max(held.min(base)) } else { own };
        (min.max(held.min(highest)), own)
    }

    fn max(&self, mapping: &Mapping) -> u32 {
        let Mapping { state: HpaState { bounds: old, resting, .. }, current, running, request, .. } = *mapping;
        let with_headroom = |request: u32| {
            let room = scaled(request, self.headroom_share.max(0.0)).max(self.headroom_pods);
            request.saturating_add(room)
        };
        if let Some(to) = mapping.restore {
            let held = if mapping.release_at_most == Some(0) { old.max() } else { running.min(old.max()) };
            return to.max().max(held);
        }
        let aim = match (request, self.ceiling) {
            // Law 11 holds for what a decision raised before.
            (None, _) if self.floors_only && mapping.release_at_most != Some(0) => {
                return old.max().min(resting.max().max(running));
            }
            (None, _) => return old.max(),
            (Some(request), Ceiling::Rest) => resting.max().max(with_headroom(request)),
            (Some(request), Ceiling::Follow) => with_headroom(request),
        };
        if request.is_some_and(|request| request > current) {
            old.max().max(aim)
        } else if mapping.grows || mapping.release_at_most == Some(0) {
            old.max()
        } else {
            // Law 11: no pod leaves for the sake of the max.
            let lower = aim.max(running);
            let room = with_headroom(lower) - lower;
            // A max that follows a request up and down by less than its headroom would be written at every turn for nothing.
            if lower > resting.max() && old.max().saturating_sub(lower) <= room {
                old.max()
            } else {
                old.max().min(lower)
            }
        }
    }
}

// `replicas` is at most 2³² and a share a small number: far inside f64, and the cast saturates.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn scaled(replicas: u32, share: f64) -> u32 {
    ((f64::from(replicas) * share).ceil() as u32).min(MAX_REPLICAS)
}

/// A change of bounds and resources, as plain data: what records keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundsChange {
    /// Bounds before.
    pub old: Bounds,
    /// Bounds after.
    pub new: Bounds,
    /// Pods that the old min held and the new one does not: those that the HPA may now remove. Removal budgets count them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub released: u32,
    /// The min after, as it would be without a floor, where that is lower: what it is given back to when the floor ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_without_floor: Option<u32>,
    /// Change of what a pod requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceChange>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants a reference
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl BoundsChange {
    /// Returns true if it raises a bound or a request.
    pub fn grows(&self) -> bool {
        self.new.min() > self.old.min()
            || self.new.max() > self.old.max()
            || self.resources.is_some_and(ResourceChange::grows)
    }

    /// Returns true if it lowers a bound or a request.
    pub fn shrinks(&self) -> bool {
        self.new.min() < self.old.min()
            || self.new.max() < self.old.max()
            || self.resources.is_some_and(ResourceChange::shrinks)
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
