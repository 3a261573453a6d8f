//! Treatment of owners.

use scaling_core::Target;
use serde::{Deserialize, Serialize};

use super::{Ownership, OwnershipReport};

/// Kind of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Writes {
    /// `minReplicas` and `maxReplicas` of an HPA.
    Bounds,
    /// `replicas` of a workload, through its scale subresource.
    Replicas,
    /// Requests of the containers of a workload.
    Requests,
}

/// Treatment of an owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnershipPolicy {
    /// Nothing is written while somebody else owns it.
    #[default]
    RefuseIfOwned,
    /// The host has decided that it is ours: it is reported and written.
    Take,
}

/// Somebody else owns what would be written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{target} is owned: {}", joined(.owners))]
pub struct Owned {
    /// The workload.
    pub target: Box<Target>,
    /// The owners that stand in the way; at least one.
    pub owners: Vec<Ownership>,
}

fn joined(owners: &[Ownership]) -> String {
    owners.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl OwnershipPolicy {
    /// Decides about a write.
    ///
    /// # Errors
    /// [`Owned`], with everybody who stands in its way, unless the host takes it.
    pub fn check(self, report: &OwnershipReport, writes: Writes) -> Result<(), Owned> {
        let owners: Vec<Ownership> = report.in_the_way_of(writes).cloned().collect();
        if owners.is_empty() || self == Self::Take {
            return Ok(());
        }
        Err(Owned { target: Box::new(report.target.clone()), owners })
    }
}
