//! [`WithEvents`]: what no metrics server knows of the future.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{MetricsSource, SourceError};
use crate::metrics::{Observation, PlannedEvent};
use crate::target::Target;

/// The observations of a source with declared events: a sale, a broadcast, a migration, told by the host and not by metrics.
///
/// They are added to those that the source tells itself; of two that are equal one is kept. Every workload that is asked for gets
/// them: a host with events of single workloads gives each group a source of its own
/// ([`Part::only_for`](super::Part::only_for) of a [`Composite`](super::Composite)).
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::source::WithEvents;
/// use scaling_core::{MemorySource, MetricsSource, PlannedEvent, ScalingMetrics, Target};
///
/// let (target, now) = (Target::deployment("shop", "checkout"), DateTime::from_timestamp(1_700_000_000, 0).unwrap());
/// let metrics = MemorySource::new();
/// metrics.advance(&target, ScalingMetrics::new(now, 3), now)?;
///
/// let sale = PlannedEvent::new("sale", now + TimeDelta::hours(1), now + TimeDelta::hours(3), 4.0)?;
/// let source = WithEvents::new(metrics, [sale.clone()]);
/// let seen = futures::executor::block_on(source.observe(&target, now))?;
/// assert_eq!(*seen.events, [sale]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct WithEvents<S> {
    source: S,
    events: Arc<[PlannedEvent]>,
}

impl<S> WithEvents<S> {
    /// Adds events, past and coming, to what a source observes.
    pub fn new(source: S, events: impl Into<Arc<[PlannedEvent]>>) -> Self {
        Self { source, events: events.into() }
    }

    fn added(&self, mut seen: Observation) -> Observation {
        seen.events = if seen.events.is_empty() {
            // Shared: the usual source tells none.
            Arc::clone(&self.events)
        } else {
            let own = self.events.iter().filter(|event| !seen.events.contains(event));
            seen.events.iter().chain(own).cloned().collect()
        };
        seen
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: MetricsSource> MetricsSource for WithEvents<S> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        self.source.observe(target, now).await.map(|seen| self.added(seen))
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let all = self.source.observe_all(targets, now).await;
        all.into_iter().map(|seen| seen.map(|seen| self.added(seen))).collect()
    }
}
