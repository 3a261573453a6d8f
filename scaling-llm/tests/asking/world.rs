//! Models that can be watched, and a baseline that does as it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{
    DecisionEngine, EngineError, NeedDriver, Observation, Reason, ScalingDecision, ScalingMetrics, SignalKind, Target,
};
use scaling_llm::{ChatModel, Completion, LlmConfig, LlmCounts, LlmEngine, ModelError, ModelId, Usage};

/// What a [`Model`] does with a question.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Picks the largest size it may pick.
    Greedy,
    Fails(ModelError),
    Says(&'static str),
    Panics,
    Hangs,
}

/// Counts its questions, and answers after a while.
#[derive(Clone, Debug)]
pub(crate) struct Model(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    after: Duration,
    behaviour: Mutex<Behaviour>,
    asked: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl Model {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        Self::slow(behaviour, 0)
    }

    pub(crate) fn slow(behaviour: Behaviour, seconds: u64) -> Self {
        Self(Arc::new(Inner {
            after: Duration::from_secs(seconds),
            behaviour: Mutex::new(behaviour),
            asked: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn becomes(&self, behaviour: Behaviour) {
        *self.0.behaviour.lock().unwrap() = behaviour;
    }

    pub(crate) fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn under_way(&self) -> usize {
        self.0.under_way.load(Ordering::SeqCst)
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.0.most_under_way.load(Ordering::SeqCst)
    }
}

/// Goes with a question, however it ends.
struct UnderWay<'a>(&'a Inner);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl ChatModel for Model {
    fn id(&self) -> ModelId {
        ModelId::new("anthropic", "claude-haiku-5-5")
    }

    async fn complete(&self, _: &str, user: &str) -> Result<Completion, ModelError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let under_way = self.0.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        let _under_way = UnderWay(&self.0);
        tokio::time::sleep(self.0.after).await;
        let behaviour = self.0.behaviour.lock().unwrap().clone();
        let text = match behaviour {
            Behaviour::Greedy => advice(&highest(user)),
            Behaviour::Says(text) => text.to_owned(),
            Behaviour::Fails(error) => return Err(error),
            Behaviour::Panics => unreachable!("on purpose"),
            Behaviour::Hangs => std::future::pending().await,
        };
        let usage = Usage { input_tokens: 900, output_tokens: 40, ..Usage::default() };
        Ok(Completion { usage, ..Completion::text(text) })
    }
}

fn highest(user: &str) -> String {
    let (_, rest) = user.split_once("\"highest\":").unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect()
}

fn advice(target: &str) -> String {
    format!(r#"{{"assessment":"more","action":"scale","target_replicas":{target},"confidence_percent":90}}"#)
}

/// Asks for so many pods, sure of it; to keep what is there it needs most of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asks(pub(crate) u32, pub(crate) f64);

#[async_trait]
impl DecisionEngine for Asks {
    fn name(&self) -> &'static str {
        "asks"
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let current = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let need = Reason::Need { driver: NeedDriver::Demand, replicas: f64::from(self.0) };
        let decision = ScalingDecision::replicas("asks", observation.current.timestamp, current, self.0);
        Ok(decision.with_confidence(self.1).because(need))
    }
}

/// A baseline that wants six pods where there are four.
pub(crate) const GROWS: Asks = Asks(6, 0.9);
/// A baseline that keeps the four that there are.
pub(crate) const KEEPS: Asks = Asks(4, 0.9);

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_600_000, 0).unwrap() + TimeDelta::seconds(second)
}

pub(crate) fn seen_of(name: &str, second: i64, cpu: f64) -> Observation {
    let metrics = ScalingMetrics::new(at(second), 4)
        .with(SignalKind::CpuUtilization, cpu)
        .with(SignalKind::RequestRate, 10.0 * cpu);
    Observation::new(Target::deployment("shop", name), metrics)
}

pub(crate) fn seen(second: i64, cpu: f64) -> Observation {
    seen_of("web", second, cpu)
}

pub(crate) fn engine(model: &Model, baseline: Asks) -> LlmEngine<Model, Asks> {
    LlmEngine::new(model.clone(), baseline)
}

pub(crate) fn inline(model: &Model, baseline: Asks) -> LlmEngine<Model, Asks> {
    LlmEngine::with_config(model.clone(), baseline, LlmConfig::inline()).unwrap()
}

/// Pods that are wanted, and what the adviser says.
pub(crate) async fn tick(engine: &LlmEngine<Model, Asks>, observation: &Observation) -> (u32, String) {
    let decision = engine.decide(observation).await.unwrap();
    let said =
        decision.reasons.iter().map(ToString::to_string).find_map(|text| Some(text.strip_prefix("llm: ")?.to_owned()));
    (decision.desired_replicas, said.unwrap())
}

pub(crate) async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// The counters, whose sums are right while nothing is under way and no answer waits for its use.
pub(crate) fn counts(engine: &LlmEngine<Model, Asks>) -> LlmCounts {
    let c = engine.stats().counts();
    let not_asked: u64 = c.not_asked.by_reason().iter().map(|(_, count)| count).sum();
    assert_eq!(c.decisions, c.heard + c.awaited + not_asked, "{c:?}");
    let ended = c.answered + c.late + c.refused + c.unavailable + c.malformed + c.out_of_range + c.unsure;
    assert!(c.asked >= ended + c.stale + c.abandoned, "{c:?}");
    c
}
