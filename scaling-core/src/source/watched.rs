//! [`Watched`]: a source whose losses are watched over the fleet.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{MetricsSource, SourceError};
use crate::guard::FleetFreeze;
use crate::metrics::Observation;
use crate::target::Target;

/// Tells a [`FleetFreeze`] what was seen, before anybody decides on it.
///
/// ```
/// use scaling_core::guard::FleetFreeze;
/// use scaling_core::source::{MemorySource, Watched};
///
/// let freeze = FleetFreeze::default();
/// let source = Watched::new(MemorySource::new(), freeze.clone());
/// # let _ = source;
/// ```
#[derive(Clone, Debug)]
pub struct Watched<S> {
    source: S,
    freeze: FleetFreeze,
}

impl<S> Watched<S> {
    /// Creates a source that answers as `source` does.
    pub fn new(source: S, freeze: FleetFreeze) -> Self {
        Self { source, freeze }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: MetricsSource> MetricsSource for Watched<S> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let seen = self.source.observe(target, now).await;
        self.freeze.observed([(target, &seen)], now);
        seen
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let seen = self.source.observe_all(targets, now).await;
        self.freeze.observed(targets.iter().zip(&seen), now);
        seen
    }
}
