//! Acting: the trait [`HpaApplier`] and an applier over memory.

mod memory;

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use memory::MemoryApplier;

use crate::bounds::Bounds;
use crate::plan::HpaPlan;
use crate::size_owner::{OwnerSetting, SizeOwner};
use crate::state::{ApplyMode, HpaState};
use crate::target::Target;

/// Answer of an applier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Mode that was carried out.
    pub mode: ApplyMode,
    /// True if anything is, or with a dry run would be, different.
    pub changed: bool,
}

/// Reasons why a plan was not applied. Nothing was changed, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// There is no such HPA; for an applier that drives workloads directly, no such workload.
    #[error("{target}: there is no HPA {:?} in namespace {:?}, or no such workload", target.hpa, target.namespace)]
    NotFound {
        /// The workload.
        target: Target,
    },
    /// The HPA is not what the plan was made for: its bounds have changed in between. Plan again.
    #[error("{target}: the HPA's bounds are {found}, the plan was made for {expected}; plan again")]
    Changed {
        /// The workload.
        target: Target,
        /// The bounds that the plan starts from.
        expected: Bounds,
        /// The bounds that are there.
        found: Bounds,
    },
    /// Another field manager owns what would be written, and the host did not force it.
    #[error(
        "{target}: {field} is owned by {owner}{}; force it or let {owner} give it up",
        since.map(|since| format!(" since {since}")).unwrap_or_default()
    )]
    Conflict {
        /// The workload.
        target: Target,
        /// The field.
        field: String,
        /// Field manager that owns it.
        owner: String,
        /// Time of the last write of the owner, where that is known.
        since: Option<DateTime<Utc>>,
        /// The setting by which the owner leaves the field alone, where there is one.
        setting: Option<Box<OwnerSetting>>,
    },
    /// Others set the size of the workload, and the host did not say to write all the same. Nothing was sent.
    #[error("{target}: refused: {source}")]
    Owned {
        /// The workload.
        target: Target,
        /// The others, at least one.
        owners: Vec<SizeOwner>,
        /// All of it in words.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The API server refused it.
    #[error("{target}: refused: {detail}")]
    Refused {
        /// The workload.
        target: Target,
        /// Answer of the API server.
        detail: String,
        /// True if it does not know who asks, or does not allow it: nothing like it will be answered, whatever it is about.
        denied: bool,
    },
    /// Another process decides about the target, or may soon: this one is not sure to be the only one. Nothing was sent.
    #[error("{target}: not written: {source}")]
    NotHeld {
        /// The workload.
        target: Target,
        /// What is held instead.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The bounds of a plan are written, and its change of what pods request is not, or may be for a part of the pods.
    #[error("{target}: the bounds are {bounds} now, but the change of what its pods request failed: {source}")]
    BoundsAlone {
        /// The workload.
        target: Target,
        /// The bounds as they are now.
        bounds: Bounds,
        /// Reason why the requests were not changed.
        #[source]
        source: Box<Self>,
    },
    /// The API server, or the way to it, failed before the change was sent, or while it was only validated. Nothing was changed.
    #[error("{target}: the API server failed, and nothing was changed: {source}")]
    Unapplied {
        /// The workload.
        target: Target,
        /// True if trying again can help.
        transient: bool,
        /// Cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The API server, or the way to it, failed after the change was sent. It may or may not have happened.
    #[error("{target}: the API server failed: {source}")]
    Backend {
        /// The workload.
        target: Target,
        /// True if trying again can help.
        transient: bool,
        /// Cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl ApplyError {
    /// Returns true if the change, or a part of it, may have happened all the same: an answer that got lost says nothing (law 12).
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Backend { .. } | Self::BoundsAlone { .. })
    }

    /// The others who set the size of the workload, where that is why nothing was written.
    pub fn size_owners(&self) -> Vec<SizeOwner> {
        match self {
            Self::Owned { owners, .. } => owners.clone(),
            Self::Conflict { field, owner, since, setting, .. } => vec![SizeOwner {
                owner: owner.clone(),
                field: field.clone(),
                since: *since,
                advice: match setting {
                    Some(setting) => format!("let {owner} leave the field to us: {}", setting.place),
                    None => format!("let {owner} give the field up, or take it over by force"),
                },
                setting: setting.as_deref().cloned(),
            }],
            _ => Vec::new(),
        }
    }

    /// Returns true if trying again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Changed { .. } | Self::NotHeld { .. } => true,
            Self::NotFound { .. } | Self::Conflict { .. } | Self::Owned { .. } | Self::Refused { .. } => false,
            Self::BoundsAlone { source, .. } => source.is_transient(),
            Self::Unapplied { transient, .. } | Self::Backend { transient, .. } => *transient,
        }
    }
}

/// Reads and changes HPAs.
///
/// **Given:** a plan that the guards approved; there is no other way to make one. **Promised:** only `minReplicas`,
/// `maxReplicas` and, if the plan says so, container requests are written; with [`ApplyMode::Plan`] and
/// [`ApplyMode::ServerDryRun`] nothing changes (law 3); applying twice equals once (law 6); a plan made for other bounds than
/// those that are there is not applied. **An error** means that nothing changed, unless it says otherwise.
#[async_trait]
pub trait HpaApplier: Send + Sync {
    /// The HPA as it stands.
    ///
    /// # Errors
    /// [`ApplyError`] if it cannot be read.
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError>;

    /// Carries out a plan, as far as `mode` goes.
    ///
    /// # Errors
    /// [`ApplyError`] if it was not carried out.
    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError>;
}

#[async_trait]
impl<T: HpaApplier + ?Sized> HpaApplier for Arc<T> {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        (**self).current(target).await
    }
    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        (**self).apply(plan, mode).await
    }
}

#[async_trait]
impl<T: HpaApplier + ?Sized> HpaApplier for Box<T> {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        (**self).current(target).await
    }
    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        (**self).apply(plan, mode).await
    }
}
