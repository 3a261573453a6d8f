//! From an approved change to an [`HpaPlan`].

use std::fmt;

use serde::Serialize;

use crate::bounds::Bounds;
use crate::guard::Approved;
use crate::policy::BoundsChange;
use crate::resources::{Requests, ResourceChange};
use crate::target::Target;

/// Old and new bounds of one target, as a diff. Made from an [`Approved`] change, and from nothing else: it cannot be built or
/// deserialized (law 4).
///
/// ```compile_fail
/// let plan: scaling_core::HpaPlan = serde_json::from_str("{}").unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use = "a plan changes nothing before it is applied"]
pub struct HpaPlan {
    target: Target,
    #[serde(flatten)]
    change: BoundsChange,
    resting: Bounds,
    /// Requests before and after, where the plan changes resources and they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<(Requests, Requests)>,
}

impl HpaPlan {
    /// The plan of an approved change.
    pub fn of(approved: &Approved) -> Self {
        let change = approved.change();
        Self {
            target: approved.target().clone(),
            change,
            resting: approved.resting(),
            requests: change.resources.map(|resources| approved.requests().changed(resources)),
        }
    }

    /// The workload.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Bounds before.
    pub fn old_bounds(&self) -> Bounds {
        self.change.old
    }

    /// Bounds after.
    pub fn new_bounds(&self) -> Bounds {
        self.change.new
    }

    /// The owner's bounds, as the guards knew them: what is kept at the HPA to be given back to, where the HPA itself does not tell any more.
    pub fn resting(&self) -> Bounds {
        self.resting
    }

    /// Change of what a pod requests.
    pub fn resources(&self) -> Option<ResourceChange> {
        self.change.resources
    }

    /// Requests before and after, where resources change.
    pub fn requests(&self) -> Option<(Requests, Requests)> {
        self.requests
    }

    /// The same without its change of resources: for an applier that writes bounds and leaves what pods request to another. A part of what
    /// was approved is approved.
    pub fn bounds_alone(&self) -> Self {
        Self { change: BoundsChange { resources: None, ..self.change }, requests: None, ..self.clone() }
    }

    /// Both as plain data.
    pub fn change(&self) -> BoundsChange {
        self.change
    }

    /// Returns true if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.change.old == self.change.new && self.change.resources.is_none()
    }
}

impl fmt::Display for HpaPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.change.fmt(f)
    }
}
