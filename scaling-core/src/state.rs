//! The HPA as it stands, and how far a change of it may go.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bounds::Bounds;

/// Extent to which a plan is carried out. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplyMode {
    /// Nothing leaves the process.
    #[default]
    Plan,
    /// The API server validates it; nothing persists.
    ServerDryRun,
    /// The change is stored in the cluster.
    Apply,
}

/// How far a workload is handed over, in the order of trust.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adoption {
    /// Planned and recorded, whatever the mode of the autoscaler; nothing is written.
    Observe,
    /// Floors alone are held: of schedules, forecasts and events ([`BoundsPolicy::floors_only`](crate::BoundsPolicy::floors_only)).
    Floors,
    /// Everything that the guards leave, as far as the mode of the autoscaler goes.
    #[default]
    Full,
}

impl fmt::Display for Adoption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observe => "observe",
            Self::Floors => "floors",
            Self::Full => "full",
        })
    }
}

/// The HPA as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HpaState {
    /// Bounds. An HPA without `minReplicas` has a min of 1.
    pub bounds: Bounds,
    /// The bounds that its owner set, before our first change or since: what every floor is given back to. An applier that cannot
    /// tell says what is there; the [`ChangeLog`](crate::ChangeLog) knows better once something was changed.
    pub resting: Bounds,
    /// True if the applier knows the resting bounds, and they are not just what is there.
    #[serde(default)]
    pub resting_is_known: bool,
    /// Pods that run or start, as the cluster counts them now; none if the applier does not know. The max is lowered below neither
    /// these nor those of the metrics, which may be minutes old (law 11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<u32>,
    /// True if the applier can change what a pod requests. One that cannot is asked for bounds alone.
    #[serde(default = "yes")]
    pub resizes_pods: bool,
}

fn yes() -> bool {
    true
}

impl HpaState {
    /// An HPA with these bounds, set by its owner.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, resting: bounds, resting_is_known: false, pods: None, resizes_pods: true }
    }

    /// Sets the resting bounds, which the applier knows.
    #[must_use]
    pub fn with_resting(mut self, resting: Bounds) -> Self {
        (self.resting, self.resting_is_known) = (resting, true);
        self
    }

    /// Sets the pods that run or start, as the cluster counts them now.
    #[must_use]
    pub fn with_pods(mut self, pods: u32) -> Self {
        self.pods = Some(pods);
        self
    }

    /// Says that the applier moves bounds alone, and cannot change what a pod requests.
    #[must_use]
    pub fn bounds_only(mut self) -> Self {
        self.resizes_pods = false;
        self
    }
}

impl fmt::Display for ApplyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plan => "plan",
            Self::ServerDryRun => "server dry-run",
            Self::Apply => "apply",
        })
    }
}
