//! Law 7: a schedule only raises the floor, and a scale-down is agreed by both.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use proptest::prelude::*;
use scaling_core::{
    ApplyMode, Autoscaler, Bounds, Confidence, DecisionEngine, EngineError, EngineExt, MemoryApplier, MetricsHistory,
    MetricsSource, Observation, Reason, ResourceChange, RuleBasedEngine, ScalingAction, ScalingDecision,
    ScalingMetrics, SignalKind, SourceError, Target, Timing, Urgency,
};
use scaling_schedule::{DatedWindow, Days, Schedule, ScheduleEngine, Tz, Window};

fn schedule() -> Schedule {
    Schedule::new(Tz::UTC, vec![Window::parse("peak", Days::DAILY, "08:00", "11:00", 5).unwrap()]).unwrap()
}

fn in_window() -> DateTime<Utc> {
    "2026-11-24T09:00:00Z".parse().unwrap()
}

fn outside() -> DateTime<Utc> {
    "2026-11-24T15:00:00Z".parse().unwrap()
}

fn pods(at: DateTime<Utc>, pods: u32) -> Observation {
    Observation::new(scaling_core::Target::deployment("shop", "web"), ScalingMetrics::new(at, pods))
}

/// Steady at this CPU utilization for an hour.
fn steady(at: DateTime<Utc>, pods: u32, cpu: f64) -> Observation {
    let sample = |at| {
        ScalingMetrics::new(at, pods)
            .with(SignalKind::CpuUtilization, cpu)
            .with(SignalKind::MemoryUtilization, 30.0)
            .with(SignalKind::RequestRate, cpu * f64::from(pods))
    };
    let past = (1..=60).rev().map(|minute| sample(at - TimeDelta::minutes(minute))).collect();
    Observation::new(scaling_core::Target::deployment("shop", "web"), sample(at))
        .with_history(MetricsHistory::from_unordered(past).0)
}

fn decide(engine: &impl DecisionEngine, observation: &Observation) -> ScalingDecision {
    block_on(engine.decide(observation)).unwrap()
}

/// Wants what it was told to want.
struct Wants(ScalingDecision);

#[async_trait]
impl DecisionEngine for Wants {
    fn name(&self) -> &'static str {
        "wants"
    }
    async fn decide(&self, _: &Observation) -> Result<ScalingDecision, EngineError> {
        Ok(self.0.clone())
    }
}

fn over(engine: impl DecisionEngine) -> impl DecisionEngine {
    engine.floored(schedule())
}

#[test]
fn alone_it_holds_the_floor_and_never_asks_for_fewer() {
    let engine = ScheduleEngine::new(schedule());
    let up = decide(&engine, &pods(in_window(), 3));
    assert_eq!((up.action(), up.desired_replicas, up.wanted()), (ScalingAction::ScaleUpHorizontal, 3, 5));
    assert_eq!((up.timing, up.confidence), (Timing::Scheduled, Confidence::new(1.0)));
    let floor = up.floor.unwrap();
    assert_eq!(floor.reason, Reason::Schedule { window: "peak".into(), replicas: 5 });
    assert_eq!(floor.until, Some("2026-11-24T11:00:00Z".parse().unwrap()));
    assert_eq!(decide(&engine, &pods(in_window(), 9)).action(), ScalingAction::Maintain);
    assert_eq!(decide(&engine, &pods(outside(), 9)).action(), ScalingAction::Maintain);
}

#[test]
fn without_a_pod_count_there_is_no_answer_and_the_floor_is_due_all_the_same() {
    let mut unknown = pods(in_window(), 3);
    unknown.current.current_pod_count = None;
    assert!(matches!(block_on(ScheduleEngine::new(schedule()).decide(&unknown)), Err(EngineError::NoPodCount)));
    let over = over(RuleBasedEngine::default());
    assert!(matches!(block_on(over.decide(&unknown)), Err(EngineError::NoPodCount)));
    assert_eq!(over.floor(&unknown.target, in_window()).map(|floor| floor.replicas), Some(5));
    assert_eq!(over.floor(&unknown.target, outside()), None);
}

#[test]
fn windows_follow_the_time_of_the_tick_and_not_that_of_the_metrics() {
    let old = pods(outside(), 3).at(in_window());
    assert_eq!(decide(&over(RuleBasedEngine::default()), &old).wanted(), 5);
    let early = pods(in_window(), 3).at(outside());
    assert_eq!(decide(&ScheduleEngine::new(schedule()), &early).wanted(), 3);
}

#[test]
fn law_7_an_idle_workload_shrinks_to_the_floor_in_a_window_and_below_it_outside() {
    let open = decide(&over(RuleBasedEngine::default()), &steady(in_window(), 9, 10.0));
    assert_eq!((open.action(), open.wanted()), (ScalingAction::ScaleDownHorizontal, 5));
    let closed = decide(&over(RuleBasedEngine::default()), &steady(outside(), 9, 10.0));
    assert_eq!(closed, decide(&RuleBasedEngine::default(), &steady(outside(), 9, 10.0)));
    assert!(closed.wanted() < 5, "{closed:?}");
}

#[test]
fn law_7_the_reactive_side_is_free_to_ask_for_more_and_keeps_its_confidence() {
    let busy = steady(in_window(), 9, 95.0);
    let reactive = decide(&RuleBasedEngine::default(), &busy);
    assert!(reactive.grows());
    let floored = decide(&over(RuleBasedEngine::default()), &busy);
    assert_eq!(ScalingDecision { floor: None, ..floored }, reactive);
    let doubtful = ScalingDecision::replicas("wants", in_window(), 9, 2).with_confidence(0.4);
    let decision = decide(&over(Wants(doubtful)), &pods(in_window(), 9));
    assert_eq!((decision.wanted(), decision.confidence), (5, Confidence::new(0.4)));
}

#[test]
fn bigger_pods_are_not_lost() {
    let change = Some(ResourceChange { cpu_percent: 0, memory_percent: 50 });
    let request = ScalingDecision::replicas("wants", in_window(), 5, 3).with_resources(change);
    let decision = decide(&over(Wants(request)), &pods(in_window(), 5));
    assert_eq!((decision.action(), decision.resources), (ScalingAction::ScaleUpVertical, change));
}

/// Ticks every minute of a day with a window from 08:00 to 11:00; returns the min of the HPA at each full hour.
fn day(
    source: impl Fn(DateTime<Utc>) -> Option<Observation> + Send + Sync + 'static,
    engine: impl DecisionEngine + 'static,
    bounds: Bounds,
) -> Vec<u32> {
    let target = Target::deployment("shop", "web");
    let applier = Arc::new(MemoryApplier::new().with(target.clone(), bounds));
    let autoscaler = Autoscaler::builder()
        .source(Scripted(source))
        .engine(engine)
        .applier(Arc::clone(&applier))
        .mode(ApplyMode::Apply)
        .build();
    let midnight: DateTime<Utc> = "2026-11-24T00:00:00Z".parse().unwrap();
    (0..24 * 60)
        .filter_map(|minute| {
            block_on(autoscaler.tick(&target, midnight + TimeDelta::minutes(minute))).unwrap();
            (minute % 60 == 30).then(|| applier.bounds(&target).unwrap().min())
        })
        .collect()
}

struct Scripted<F>(F);

#[async_trait]
impl<F: Fn(DateTime<Utc>) -> Option<Observation> + Send + Sync> MetricsSource for Scripted<F> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        (self.0)(now).ok_or_else(|| SourceError::NoData { target: Box::new(target.clone()), at: now })
    }
}

fn minutes_of(from: usize, to: usize, held: u32, rest: u32) -> Vec<u32> {
    (0..24).map(|hour| if (from..to).contains(&hour) { held } else { rest }).collect()
}

#[test]
fn law_7_a_window_is_held_and_given_back_while_more_pods_run_and_the_request_is_refused() {
    let bounds = Bounds::new(2, 20).unwrap();
    let expected = minutes_of(8, 11, 5, 2);
    // Ten pods that are needed: the window of five must be in the HPA all the same.
    let busy = |now| Some(steady(now, 10, 60.0));
    assert_eq!(day(busy, over(RuleBasedEngine::default()), bounds), expected);
    assert_eq!(day(busy, ScheduleEngine::new(schedule()), bounds), expected);
    // A request that the guards refuse for its confidence.
    let doubtful = |now| Some(pods(now, 4));
    let refused = ScalingDecision::replicas("wants", in_window(), 4, 3).with_confidence(0.1);
    assert_eq!(day(doubtful, over(Wants(refused)), bounds), expected);
}

#[test]
fn law_7_windows_open_on_time_while_metrics_are_old_or_the_source_is_down_and_close_when_it_is_back() {
    let bounds = Bounds::new(2, 20).unwrap();
    let old = |now: DateTime<Utc>| Some(steady(now - TimeDelta::minutes(6), 4, 50.0).at(now));
    // Old metrics lower nothing (law 2), so what was raised stays.
    assert_eq!(day(old, over(RuleBasedEngine::default()), bounds), minutes_of(8, 24, 5, 2));
    let down_at_eight = |now: DateTime<Utc>| {
        let hour = now.time().signed_duration_since(chrono::NaiveTime::MIN).num_hours();
        (!(7..13).contains(&hour)).then(|| steady(now, 4, 50.0))
    };
    assert_eq!(day(down_at_eight, over(RuleBasedEngine::default()), bounds), minutes_of(8, 13, 5, 2));
}

#[test]
fn law_7_an_event_opens_by_the_clock_while_the_source_is_down_from_the_start() {
    let sale = DatedWindow::parse("sale", "2026-11-24T18:00", "2026-11-24T20:00", 9).unwrap().with_max(30).unwrap();
    let all = schedule().with_events(vec![sale]).unwrap();
    let bounds = Bounds::new(2, 20).unwrap();
    // Without any pod count nothing lowers a min, so what was raised stays until the source is back.
    let held: Vec<u32> = (0..24)
        .map(|hour| {
            if hour < 8 {
                2
            } else if hour < 18 {
                5
            } else {
                9
            }
        })
        .collect();
    assert_eq!(day(|_| None, ScheduleEngine::new(all.clone()), bounds), held);
    assert_eq!(day(|_| None, RuleBasedEngine::default().floored(all.clone()), bounds), held);
    let back = |now: DateTime<Utc>| (now >= in_window() + TimeDelta::hours(12)).then(|| steady(now, 9, 50.0));
    let given_back: Vec<u32> = held.iter().enumerate().map(|(hour, min)| if hour < 21 { *min } else { 2 }).collect();
    assert_eq!(day(back, ScheduleEngine::new(all), bounds), given_back);
}

fn requests() -> impl Strategy<Value = ScalingDecision> {
    let urgency = prop::sample::select(vec![Urgency::Low, Urgency::Normal, Urgency::High, Urgency::Critical]);
    (0_u32..30, 0_u32..30, urgency, 0.0..1.0).prop_map(|(current, desired, urgency, confidence)| {
        let mut request = ScalingDecision::replicas("wants", in_window(), current, desired).with_confidence(confidence);
        request.urgency = urgency;
        request
    })
}

proptest! {
    #[test]
    fn law_7_over_any_request_the_answer_is_the_larger_of_request_and_floor(request in requests(), hour in 0_i64..24) {
        let at = "2026-11-24T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::hours(hour);
        let observation = pods(at, request.current_replicas);
        let floor = schedule().open_at(at).map_or(0, |open| open.min);
        let decision = decide(&over(Wants(request.clone())), &observation);
        prop_assert_eq!(decision.wanted(), request.desired_replicas.max(floor));
        prop_assert_eq!(ScalingDecision { floor: None, ..decision }, request.clone());

        // Alone it never asks for fewer, and holds the floor.
        let alone = decide(&ScheduleEngine::new(schedule()), &observation);
        prop_assert_eq!((alone.desired_replicas, alone.wanted()), (request.current_replicas, request.current_replicas.max(floor)));
    }
}
