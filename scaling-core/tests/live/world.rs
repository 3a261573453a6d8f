//! Workloads whose source and applier do what a test tells them.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use scaling_core::live::SimulatedClock;
use scaling_core::{
    Applied, ApplyError, ApplyMode, Bounds, DecisionEngine, EngineError, Floor, HpaApplier, HpaPlan, HpaState,
    MemoryApplier, MetricsSource, Observation, Reason, ScalingDecision, ScalingMetrics, SignalKind, SourceError,
    Target,
};

/// A full minute.
pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_040, 0).unwrap()
}

pub(crate) fn minute(nth: i64) -> DateTime<Utc> {
    start() + TimeDelta::minutes(nth)
}

pub(crate) fn target(nth: usize) -> Target {
    Target::deployment("shop", format!("web-{nth}"))
}

pub(crate) fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

/// HPAs of 2 to 10 pods.
pub(crate) fn hpas(targets: usize) -> MemoryApplier {
    (0..targets).fold(MemoryApplier::new(), |hpas, nth| hpas.with(target(nth), bounds(2, 10)))
}

/// What a source does at one tick.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Metrics,
    /// Answers, so many seconds later.
    Late(i64),
    Down,
    Hangs,
}

/// A source of three calm pods; at each tick it does what is next on the list, and at the end of the list it answers.
pub(crate) struct Scripted {
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) script: Mutex<VecDeque<Answer>>,
    /// Instants at which it was asked.
    pub(crate) asked: Arc<Mutex<Vec<DateTime<Utc>>>>,
}

impl Scripted {
    pub(crate) fn new(clock: &Arc<SimulatedClock>, script: impl IntoIterator<Item = Answer>) -> Self {
        let (clock, script) = (Arc::clone(clock), Mutex::new(script.into_iter().collect()));
        Self { clock, script, asked: Arc::default() }
    }
}

pub(crate) fn down(target: &Target) -> SourceError {
    SourceError::Backend { target: Box::new(target.clone()), transient: true, source: "connection refused".into() }
}

#[async_trait]
impl MetricsSource for Scripted {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        self.observe_all(std::slice::from_ref(target), now).await.remove(0)
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        self.asked.lock().unwrap().push(now);
        let answer = self.script.lock().unwrap().pop_front().unwrap_or(Answer::Metrics);
        match answer {
            Answer::Metrics => {}
            Answer::Late(seconds) => self.clock.advance(TimeDelta::seconds(seconds)),
            Answer::Down => return targets.iter().map(|target| Err(down(target))).collect(),
            Answer::Hangs => pending().await,
        }
        let metrics = ScalingMetrics::new(now, 3).with(SignalKind::CpuUtilization, 50.0);
        targets.iter().map(|target| Ok(Observation::new(target.clone(), metrics.clone()).at(now))).collect()
    }
}

/// Wants what runs, and from an instant on has a floor by the clock.
pub(crate) struct Calendar {
    pub(crate) from: DateTime<Utc>,
    pub(crate) replicas: u32,
}

#[async_trait]
impl DecisionEngine for Calendar {
    fn name(&self) -> &'static str {
        "calendar"
    }

    fn floor(&self, _: &Target, now: DateTime<Utc>) -> Option<Floor> {
        let reason = Reason::Schedule { window: "sale".into(), replicas: self.replicas };
        (now >= self.from).then(|| Floor::new(self.replicas, reason))
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let (at, pods) = (observation.current.timestamp, observation.current.replicas().unwrap());
        Ok(ScalingDecision::replicas("calendar", at, pods, pods).with_confidence(1.0))
    }
}

/// An applier that hangs for one workload: while the HPA is read, or after a write has arrived.
pub(crate) struct Hanging {
    pub(crate) hpas: Arc<MemoryApplier>,
    pub(crate) target: Target,
    pub(crate) reads: bool,
}

#[async_trait]
impl HpaApplier for Hanging {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        if self.reads && *target == self.target {
            pending::<()>().await;
        }
        self.hpas.current(target).await
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        let applied = self.hpas.apply(plan, mode).await;
        if *plan.target() == self.target {
            pending::<()>().await;
        }
        applied
    }
}
