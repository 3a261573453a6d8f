//! Seeing: the trait [`MetricsSource`], sources that the host feeds ([`MemorySource`]) or that replay a [`Recording`], several as one
//! ([`Composite`]), the past of a workload ([`PastSource`]), declared events added to one ([`WithEvents`]), the [`Accumulator`] that makes a history of samples as they come, and
//! [`parse`] for files.

mod accumulate;
#[cfg(feature = "azure-monitor")]
pub mod azure_monitor;
#[cfg(feature = "cloudwatch")]
pub mod cloudwatch;
mod composite;
#[cfg(feature = "datadog")]
pub mod datadog;
#[cfg(any(feature = "azure-monitor", feature = "cloudwatch", feature = "datadog"))]
pub mod fleet;
pub mod mapping;
mod memory;
pub mod parse;
mod past;
#[cfg(feature = "prometheus")]
pub mod prometheus;
mod replay;
mod watched;
mod with_events;

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use accumulate::{Accumulator, DEFAULT_LIMIT, SampleCounts, SampleError};
pub use composite::{AllFailed, Composite, Part};
pub use memory::MemorySource;
pub use past::PastSource;
pub use replay::{Recording, Replay};
pub use watched::Watched;
pub use with_events::WithEvents;

use crate::{Observation, Target};

/// Reasons why a source has no observation. The workload is left alone (law 2).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The source does not know the workload.
    #[error("{target}: the source knows no such workload")]
    UnknownTarget {
        /// The workload asked for.
        target: Box<Target>,
    },
    /// The source has nothing for this moment: a gap.
    #[error("{target}: no metrics at {at}")]
    NoData {
        /// The workload asked for.
        target: Box<Target>,
        /// The moment asked for.
        at: DateTime<Utc>,
    },
    /// The backend failed.
    #[error("{target}: metrics backend failed: {source}")]
    Backend {
        /// The workload asked for.
        target: Box<Target>,
        /// True if asking again can help.
        transient: bool,
        /// Cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl SourceError {
    /// Returns true if asking again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::UnknownTarget { .. } => false,
            Self::NoData { .. } => true,
            Self::Backend { transient, .. } => *transient,
        }
    }
}

/// Sees a workload.
///
/// **Given:** which workload, and what time it is. **Promised:** nothing later than `now` is in the answer; what could not be
/// measured is absent with its cause and never 0; the same instant asked twice gives the same answer where the backend still
/// has it. **An error** means that nothing is known of this workload now: nothing is changed, and the record says so.
#[async_trait]
pub trait MetricsSource: Send + Sync {
    /// Observes once.
    ///
    /// # Errors
    /// [`SourceError`] if there is nothing to observe.
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError>;

    /// Observes many at once: an answer for each, in their order. A backend that can be asked for many in one query overrides it;
    /// by default they are asked for one after the other.
    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let mut seen = Vec::with_capacity(targets.len());
        for target in targets {
            seen.push(self.observe(target, now).await);
        }
        seen
    }
}

#[async_trait]
impl<S: MetricsSource + ?Sized> MetricsSource for Arc<S> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        (**self).observe(target, now).await
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        (**self).observe_all(targets, now).await
    }
}

#[async_trait]
impl<S: MetricsSource + ?Sized> MetricsSource for Box<S> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        (**self).observe(target, now).await
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        (**self).observe_all(targets, now).await
    }
}
