//! What was seen of a workload before: the trait [`PastSource`].

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::SourceError;
use crate::{ScalingMetrics, Target};

/// Gives the past of a workload.
///
/// **Given:** which workload, and from when until when. **Promised:** the samples that the backend still has, in the order of time, none of them
/// after `until`; the same past asked for twice is the same where the backend still has it, whoever asks and after whatever restart. What was
/// not measured is absent and never 0. Nothing that the source tells of the present changes. **An error** means that the past is not
/// known, or a piece of it is missing: a gap that a failed query leaves is no gap in the load.
#[async_trait]
pub trait PastSource: Send + Sync {
    /// Fetches once.
    ///
    /// # Errors
    /// [`SourceError`] if the past could not be had, or not all of it.
    async fn past(
        &self,
        target: &Target,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<ScalingMetrics>, SourceError>;
}

#[async_trait]
impl<S: PastSource + ?Sized> PastSource for Arc<S> {
    async fn past(
        &self,
        target: &Target,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<ScalingMetrics>, SourceError> {
        (**self).past(target, since, until).await
    }
}
