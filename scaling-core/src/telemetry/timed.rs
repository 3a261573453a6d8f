//! [`Timed`]: an engine whose latency is measured.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use prometheus_client::metrics::histogram::Histogram;

use crate::decision::{Floor, ScalingDecision};
use crate::engine::{DecisionEngine, EngineError};
use crate::metrics::Observation;
use crate::target::Target;

/// Measures how long each decision takes, failed ones too, into `ai_scaling_analysis_latency_seconds`
/// ([`Metrics::timed`](super::Metrics::timed)). A decision that is cancelled is not counted.
pub struct Timed<E> {
    inner: E,
    latency: Histogram,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

impl<E: fmt::Debug> fmt::Debug for Timed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timed").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<E: DecisionEngine> Timed<E> {
    pub(super) fn new(inner: E, latency: Histogram, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { inner, latency, clock: Box::new(clock) }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: DecisionEngine> DecisionEngine for Timed<E> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let start = (self.clock)();
        let decided = self.inner.decide(observation).await;
        // A clock that goes back measured nothing.
        if let Some(taken) = (self.clock)().checked_sub(start) {
            self.latency.observe(taken.as_secs_f64());
        }
        decided
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        self.inner.floor(target, now)
    }
}
