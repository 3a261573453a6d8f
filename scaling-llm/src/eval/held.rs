//! Cost of a size that is held, and the requests that it keeps waiting: replayed in the backtest.

use std::borrow::Cow;
use std::time::Duration;

use async_trait::async_trait;
use scaling_core::backtest::{
    BacktestError, Candidate, CandidateSetup, ClusterModel, Driver, SampleTime, Scenario, Trace, TraceError, score_one,
};
use scaling_core::chrono::TimeDelta;
use scaling_core::{
    Bounds, DecisionEngine, EngineError, HardLimits, InvalidBounds, Observation, ScalingDecision, ScalingMetrics,
    SignalKind,
};
use serde::Serialize;

use super::Situation;

/// Share of requests that may be late beyond those that no size would have served in time.
pub const TOLERATED: f64 = 0.01;
/// Minutes of steady load before now, so that the replay begins where the situation does.
const LEAD: i64 = 10;

/// Reasons why a situation cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeldError {
    /// Its load is no trace.
    #[error("the load that comes cannot be replayed: {0}")]
    Trace(#[from] TraceError),
    /// Its limits are no bounds.
    #[error("the limits cannot be: {0}")]
    Bounds(#[from] InvalidBounds),
    /// The backtest failed.
    #[error(transparent)]
    Backtest(#[from] BacktestError),
}

/// Score of a size that is held over the load that comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Held {
    /// The size.
    pub replicas: u32,
    /// Share of the requests that came late or were dropped.
    pub violating_share: f64,
    /// Requests that came late or were dropped.
    pub violating_requests: f64,
    /// Hours of pods paid for.
    pub pod_hours: f64,
}

/// Asks for one size, always.
#[derive(Debug)]
struct Always(u32);

#[async_trait]
impl DecisionEngine for Always {
    fn name(&self) -> &'static str {
        "held"
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let current = observation.current.replicas().unwrap_or(self.0);
        Ok(ScalingDecision::replicas(Cow::Borrowed("held"), observation.current.timestamp, current, self.0)
            .with_confidence(1.0))
    }
}

impl Situation {
    /// Pods that are there now.
    pub fn current(&self) -> u32 {
        self.observation.current.replicas().unwrap_or(1).clamp(1, self.limit)
    }

    /// Replays the load that comes with a size that is held: pods beyond the present ones serve when they have started.
    ///
    /// # Errors
    /// [`HeldError`] if it cannot be replayed.
    pub async fn held(&self, replicas: u32) -> Result<Held, HeldError> {
        let replicas = replicas.clamp(1, self.limit);
        let scenario = self.scenario()?;
        let bounds = Bounds::new(self.current(), self.limit)?;
        let candidate = Candidate::new("held", move |_| {
            Ok(CandidateSetup::direct(bounds).driven_by(Driver::direct(Always(replicas))))
        });
        let score = score_one(&scenario, &candidate, &()).await?;
        Ok(Held {
            replicas,
            violating_share: score.violating_share,
            violating_requests: score.violating_requests,
            pod_hours: score.pod_hours,
        })
    }

    /// Finds the cheapest size that keeps at most [`TOLERATED`] more of the requests waiting than the largest would, all load known in
    /// advance: requests that come before any new pod has started wait whatever is decided.
    ///
    /// # Errors
    /// [`HeldError`] if it cannot be replayed.
    pub async fn best(&self) -> Result<Held, HeldError> {
        let largest = self.held(self.limit).await?;
        for replicas in 1..self.limit {
            let held = self.held(replicas).await?;
            if held.violating_share <= largest.violating_share + TOLERATED {
                return Ok(held);
            }
        }
        Ok(largest)
    }

    fn scenario(&self) -> Result<Scenario, HeldError> {
        let now = self.observation.current.timestamp;
        let first = self.coming.first().copied().unwrap_or(0.0);
        let lead = (-LEAD..0).map(|minute| (minute, first));
        let minutes = lead.chain((0..).zip(self.coming.iter().copied()));
        let samples: Vec<_> = minutes
            .map(|(minute, rate)| {
                ScalingMetrics::new(now + TimeDelta::minutes(minute), 1).with(SignalKind::RequestRate, rate)
            })
            .collect();
        let history_share = LEAD as f64 / samples.len() as f64;
        let trace = Trace::from_samples(self.name.clone(), samples, SampleTime::Starts)?;
        let facts = &self.observation.facts;
        let model = ClusterModel {
            pod_capacity: self.pod_capacity,
            // The simulation goes in whole steps of 15 s.
            start_up: Duration::from_secs(facts.start_up.as_secs().clamp(15, 1800) / 15 * 15),
            limits: HardLimits::new(1, self.limit)?,
            ..ClusterModel::default()
        };
        Ok(Scenario { history_share, settle: Duration::ZERO, ..Scenario::new(trace, model) })
    }
}
