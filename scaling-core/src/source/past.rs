//! What was seen of a workload before: the trait [`PastSource`], and [`Observed`] for sources without a past of their own.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{MetricsSource, SourceError};
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

/// The past that a source has told with its observations: their history, and what is newest. It begins anew with the process unless the
/// source was given a past when it was started.
#[derive(Clone, Debug)]
pub struct Observed<S>(pub S);

#[async_trait]
impl<S: MetricsSource> PastSource for Observed<S> {
    async fn past(
        &self,
        target: &Target,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<ScalingMetrics>, SourceError> {
        let seen = self.0.observe(target, until).await?;
        let within = |sample: &ScalingMetrics| (since..=until).contains(&sample.timestamp);
        let mut samples: Vec<ScalingMetrics> = seen.history.iter().filter(within).collect();
        samples.extend(Some(seen.current).filter(within));
        Ok(samples)
    }
}

#[async_trait]
impl<S: PastSource + ?Sized> PastSource for std::sync::Arc<S> {
    async fn past(
        &self,
        target: &Target,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<ScalingMetrics>, SourceError> {
        (**self).past(target, since, until).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chrono::TimeDelta;
    use futures::executor::block_on;

    use super::*;
    use crate::MemorySource;

    #[test]
    fn the_past_of_observations_is_their_history_and_what_is_newest_within_the_span() {
        let (source, target) = (MemorySource::new(), Target::deployment("shop", "web"));
        let at = |minute| DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        for minute in 0..10 {
            source.advance(&target, ScalingMetrics::new(at(minute), 2), at(minute)).unwrap();
        }
        let past = block_on(Observed(source).past(&target, at(3), at(9))).unwrap();
        let minutes: Vec<_> = past.iter().map(|sample| (sample.timestamp - at(0)).num_minutes()).collect();
        assert_eq!(minutes, (3..=9).collect::<Vec<_>>());
    }
}
