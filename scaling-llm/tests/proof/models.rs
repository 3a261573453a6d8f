//! Models that are scripted: each picks by a rule of its own within what it is allowed.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use scaling_core::backtest::Arrivals;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{DecisionEngine, EngineError, Floor, Observation, ScalingDecision, Target};
use scaling_llm::{ChatModel, Completion, ModelError};

/// The load to come and the instant of the question: what a model that knows the future knows.
#[derive(Clone)]
pub(crate) struct Future {
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) pod_capacity: f64,
    pub(crate) now: Arc<Mutex<DateTime<Utc>>>,
}

impl Future {
    /// Pods' worth of work of each step from `from` to `to` seconds from now.
    fn work(&self, from: i64, to: i64) -> Vec<f64> {
        let now = *self.now.lock().unwrap();
        let step = |seconds| self.arrivals.step_at(now + TimeDelta::seconds(seconds)).unwrap_or(0);
        let step_s = self.arrivals.step().num_seconds() as f64;
        let range = step(from)..step(to);
        let requests = self.arrivals.requests().get(range).unwrap_or_default();
        requests.iter().map(|requests| requests / step_s / self.pod_capacity).filter(|work| work.is_finite()).collect()
    }
}

/// Rule by which a model picks.
#[derive(Clone)]
pub(crate) enum Script {
    /// The baseline's size.
    Agrees,
    /// The most that is allowed.
    Greedy,
    /// The least that is allowed.
    Timid,
    /// Any size that is allowed.
    Random(Arc<Mutex<u64>>),
    /// The least where the baseline grows, the most where it keeps or shrinks.
    Contrary,
    /// The least before load rises and the most before it falls, by the load to come.
    Adversarial(Future),
    /// What the load to come needs.
    Clairvoyant(Future),
}

impl Script {
    fn pick(&self, lowest: u32, highest: u32, baseline: u32, replicas: u32) -> u32 {
        match self {
            Self::Agrees => baseline,
            Self::Greedy => highest,
            Self::Timid => lowest,
            Self::Random(state) => {
                let mut state = state.lock().unwrap();
                *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                lowest + ((*state >> 33) % u64::from(highest - lowest + 1)) as u32
            }
            Self::Contrary => {
                if baseline > replicas {
                    lowest
                } else {
                    highest
                }
            }
            Self::Adversarial(future) => {
                let mean = |work: Vec<f64>| work.iter().sum::<f64>() / work.len().max(1) as f64;
                let (near, far) = (mean(future.work(0, 60)), mean(future.work(60, 360)));
                if far > near { lowest } else { highest }
            }
            Self::Clairvoyant(future) => {
                let most = future.work(0, 300).into_iter().fold(0.0, f64::max);
                ((most * 1.05).ceil() as u32).clamp(lowest, highest)
            }
        }
    }
}

#[async_trait]
impl ChatModel for Script {
    async fn complete(&self, _: &str, user: &str) -> Result<Completion, ModelError> {
        let question: serde_json::Value = serde_json::from_str(user).unwrap();
        let number = |value: &serde_json::Value| value.as_u64().unwrap() as u32;
        let allowed = &question["allowed"];
        let pick = self.pick(
            number(&allowed["lowest"]),
            number(&allowed["highest"]),
            number(&question["baseline"]["target_replicas"]),
            number(&question["replicas"]),
        );
        Ok(Completion::text(format!(
            r#"{{"assessment":"so","action":"scale","target_replicas":{pick},"confidence_percent":100}}"#
        )))
    }
}

/// An engine whose model is told the time.
pub(crate) struct Timed<E> {
    pub(crate) engine: E,
    pub(crate) now: Arc<Mutex<DateTime<Utc>>>,
}

#[async_trait]
impl<E: DecisionEngine> DecisionEngine for Timed<E> {
    fn name(&self) -> &str {
        self.engine.name()
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        *self.now.lock().unwrap() = observation.now;
        self.engine.decide(observation).await
    }
    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        self.engine.floor(target, now)
    }
}
