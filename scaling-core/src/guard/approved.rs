//! [`Proposal`], the input of the chain of guards, and [`Approved`], its output.

use std::borrow::Cow;
use std::fmt;

use super::{Clamp, GuardContext};
use crate::bounds::{Bounds, HardLimits};
use crate::decision::{Floor, ScalingDecision};
use crate::policy::BoundsChange;
use crate::resources::Requests;
use crate::target::Target;

/// Change that somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    pub(super) decision: Option<ScalingDecision>,
    pub(super) floor: Option<Floor>,
    pub(super) restore: Option<Restore>,
}

/// The bounds that an undo goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restore {
    /// Those of the HPA's owner.
    Resting,
    /// Those of an earlier time.
    To(Bounds),
}

impl Proposal {
    /// The decision of an engine, with its floor.
    pub fn decided(decision: ScalingDecision) -> Self {
        let floor = decision.floor.clone();
        Self { decision: Some(decision), floor, restore: None }
    }

    /// A floor alone, or its end: for a tick without a decision.
    pub fn floor(floor: Option<Floor>) -> Self {
        Self { decision: None, floor, restore: None }
    }

    /// An undo: everything goes back to the bounds that the HPA's owner set, as far as the guards let pods go.
    pub fn restore() -> Self {
        Self { decision: None, floor: None, restore: Some(Restore::Resting) }
    }

    /// An undo that goes back to the bounds of an earlier time, as far as the guards let pods go. The bounds of the HPA's owner stay what they are.
    pub fn restore_to(bounds: Bounds) -> Self {
        Self { decision: None, floor: None, restore: Some(Restore::To(bounds)) }
    }

    /// The floor that is proposed.
    pub fn floor_in_force(&self) -> Option<&Floor> {
        self.floor.as_ref()
    }

    /// Sets a floor, unless it has a higher one.
    #[must_use]
    pub fn with_floor(mut self, floor: Option<Floor>) -> Self {
        self.floor = Floor::highest([self.floor.take(), floor]);
        self
    }
}

/// A refusal of what an engine decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The guard that refused.
    pub guard: &'static str,
    /// Reason, for people.
    pub why: Cow<'static, str>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused: {}", self.guard, self.why)
    }
}

/// A change that passed the guards, for the workload, the bounds and the limits that they judged it by: whatever is planned from
/// it is planned for those.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an approved change changes nothing before it is planned and applied"]
pub struct Approved {
    decision: Option<ScalingDecision>,
    floor: Option<Floor>,
    replicas: u32,
    change: BoundsChange,
    clamps: Vec<Clamp>,
    refusal: Option<Refusal>,
    target: Target,
    resting: Bounds,
    limits: HardLimits,
    requests: Requests,
}

impl Approved {
    pub(super) fn new(
        context: &GuardContext<'_>,
        proposal: Proposal,
        change: BoundsChange,
        replicas: u32,
        clamps: Vec<Clamp>,
        refusal: Option<Refusal>,
    ) -> Self {
        let requests = context.observation.map(|observation| Requests::of(&observation.facts)).unwrap_or_default();
        Self {
            decision: proposal.decision,
            floor: proposal.floor,
            replicas,
            change,
            clamps,
            refusal,
            target: context.target.clone(),
            resting: context.state.resting,
            limits: context.limits,
            requests,
        }
    }

    /// The decision as the engine made it; none for a floor alone and for an undo.
    pub fn decision(&self) -> Option<&ScalingDecision> {
        self.decision.as_ref()
    }

    /// The floor in force.
    pub fn floor(&self) -> Option<&Floor> {
        self.floor.as_ref()
    }

    /// Returns the pods requested, as far as allowed; the present size if nothing is.
    pub fn replicas(&self) -> u32 {
        self.replicas
    }

    /// The bounds and resources that are allowed.
    pub fn change(&self) -> BoundsChange {
        self.change
    }

    /// Returns the changes by the guards, in order.
    pub fn clamps(&self) -> &[Clamp] {
        &self.clamps
    }

    /// The refusal of what the engine decided, if a guard refused it.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// The workload.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The bounds that the HPA's owner set.
    pub fn resting(&self) -> Bounds {
        self.resting
    }

    /// The limits that it was judged by.
    pub fn limits(&self) -> HardLimits {
        self.limits
    }

    pub(crate) fn requests(&self) -> Requests {
        self.requests
    }

    pub(crate) fn into_parts(self) -> (Option<ScalingDecision>, Option<Floor>, Vec<Clamp>, Option<Refusal>) {
        (self.decision, self.floor, self.clamps, self.refusal)
    }
}
