//! The promises of an engine, kept by a schedule in each of the places it can stand.
#![allow(clippy::unwrap_used, missing_docs)]

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use futures::executor::block_on;
use scaling_core::{
    Bounds, DecisionEngine, EngineError, EngineExt, Ensemble, MetricsHistory, Observation, RuleBasedEngine,
    ScalingDecision, ScalingMetrics, SignalKind, WorkloadFacts, conformance,
};
use scaling_schedule::{
    CompileConfig, CompiledSchedule, Days, HpaBeneath, LearntForecast, Need, PredictiveConfig, RenewedSchedule,
    Schedule, ScheduleEngine, Tz, Window, compile_over_hpa, need_by_load,
};

/// Wants half of the pods while every signal is there, and all of them otherwise.
struct Half;

#[async_trait]
impl DecisionEngine for Half {
    fn name(&self) -> &'static str {
        "half"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let current = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let whole = SignalKind::ALL.into_iter().all(|kind| observation.current.value(kind).is_some());
        let desired = if whole { current / 2 } else { current };
        Ok(ScalingDecision::replicas("half", observation.current.timestamp, current, desired))
    }
}

/// Open at any time of any day, or never.
fn schedule(open: bool) -> Schedule {
    let window = Window::parse("always", Days::DAILY, "00:00", "00:00", 5).unwrap();
    Schedule::new(Tz::America__New_York, if open { vec![window] } else { vec![] }).unwrap()
}

fn engine(open: bool) -> ScheduleEngine {
    ScheduleEngine::new(schedule(open))
}

#[test]
fn a_schedule_alone_keeps_the_promises() {
    block_on(conformance::engine(|| engine(true)));
    block_on(conformance::engine(|| engine(false)));
}

#[test]
fn a_schedule_over_an_engine_that_shrinks_keeps_the_promises() {
    for open in [true, false] {
        block_on(conformance::engine(|| Half.floored(schedule(open))));
        block_on(conformance::engine(|| Ensemble::of(Half).with(engine(open))));
    }
}

#[test]
fn a_schedule_over_the_rules_keeps_the_promises() {
    block_on(conformance::engine(|| RuleBasedEngine::default().floored(schedule(true))));
    block_on(conformance::engine(|| RuleBasedEngine::default().floored(schedule(false))));
}

#[test]
fn a_learnt_forecast_under_the_rules_keeps_the_promises() {
    let forecast = || LearntForecast::new(&PredictiveConfig::default()).unwrap();
    block_on(conformance::engine(|| RuleBasedEngine::default().forecasting(forecast())));
}

/// Windows over an HPA for a batch that comes every day at nine.
fn compiled(need: &Need, hpa: &HpaBeneath, config: &CompileConfig) -> CompiledSchedule {
    let monday: DateTime<Utc> = "2026-11-16T00:00:00Z".parse().unwrap();
    let samples = (0..8 * 1440).map(|minute| {
        let at = monday + TimeDelta::minutes(minute);
        let rate = if at.hour() == 9 && at.minute() < 40 { 1600.0 } else { 80.0 };
        ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate)
    });
    let history = MetricsHistory::from_unordered(samples.collect()).0;
    compile_over_hpa(&history, need, hpa, config).unwrap().schedule().unwrap().clone()
}

#[test]
fn a_schedule_made_again_each_night_keeps_the_promises() {
    let need = need_by_load(SignalKind::RequestRate, 50.0);
    let hpa = HpaBeneath::new(70.0, Bounds::new(1, 200).unwrap(), &WorkloadFacts::default());
    let config = CompileConfig::default();
    let compiled = compiled(&need, &hpa, &config);
    let engine = |compiled| RenewedSchedule::new(compiled, &need, &hpa, &config).unwrap();
    block_on(conformance::engine(|| engine(Some(&compiled))));
    block_on(conformance::engine(|| engine(None)));
}
