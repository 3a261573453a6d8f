//! Law 7: a schedule only raises the floor, and a scale-down is agreed by both.
#![allow(clippy::unwrap_used, missing_docs)]

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use proptest::prelude::*;
use scaling_core::{
    Confidence, DecisionEngine, EngineError, Ensemble, MetricsHistory, Observation, Reason, ResourceChange,
    RuleBasedEngine, ScalingAction, ScalingDecision, ScalingMetrics, SignalKind, Timing, Urgency,
};
use scaling_schedule::{Days, Schedule, ScheduleEngine, Tz, Window};

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
    Observation::new(scaling_core::Target::deployment("shop", "web", "web"), ScalingMetrics::new(at, pods))
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
    Observation::new(scaling_core::Target::deployment("shop", "web", "web"), sample(at)).with_history(MetricsHistory::from_unordered(past).0)
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

/// Never answers.
struct Fails;

#[async_trait]
impl DecisionEngine for Fails {
    fn name(&self) -> &'static str {
        "fails"
    }
    async fn decide(&self, _: &Observation) -> Result<ScalingDecision, EngineError> {
        Err(EngineError::InvalidAnswer { engine: "fails".into(), detail: "always".into() })
    }
}

#[test]
fn alone_it_raises_to_the_floor_and_never_shrinks() {
    let engine = ScheduleEngine::new(schedule());
    let up = decide(&engine, &pods(in_window(), 3));
    assert_eq!((up.action, up.desired_replicas), (ScalingAction::ScaleUpHorizontal, 5));
    assert_eq!((up.timing, up.confidence), (Timing::Scheduled, Confidence::new(1.0)));
    assert_eq!(up.reasons, [Reason::Schedule { window: "peak".into(), replicas: 5 }]);
    assert_eq!(decide(&engine, &pods(in_window(), 9)).action, ScalingAction::Maintain);
    assert_eq!(decide(&engine, &pods(outside(), 9)).action, ScalingAction::Maintain);
}

#[test]
fn without_a_pod_count_there_is_no_answer() {
    let mut unknown = pods(in_window(), 3);
    unknown.current.current_pod_count = None;
    assert!(matches!(block_on(ScheduleEngine::new(schedule()).decide(&unknown)), Err(EngineError::NoPodCount)));
    let over = ScheduleEngine::new(schedule()).over(RuleBasedEngine::default());
    assert!(matches!(block_on(over.decide(&unknown)), Err(EngineError::NoPodCount)));
}

#[test]
fn law_7_an_idle_workload_shrinks_to_the_floor_in_a_window_and_below_it_outside() {
    let over = ScheduleEngine::new(schedule()).over(RuleBasedEngine::default());
    let vote = Ensemble::of(RuleBasedEngine::default()).with(ScheduleEngine::new(schedule()).as_vote());
    let rules = RuleBasedEngine::default();
    for engine in [&over as &dyn DecisionEngine, &vote] {
        let open = block_on(engine.decide(&steady(in_window(), 9, 10.0))).unwrap();
        assert_eq!((open.action, open.desired_replicas), (ScalingAction::ScaleDownHorizontal, 5), "{}", engine.name());
        let closed = block_on(engine.decide(&steady(outside(), 9, 10.0))).unwrap();
        assert_eq!(closed.desired_replicas, decide(&rules, &steady(outside(), 9, 10.0)).desired_replicas);
        assert!(closed.desired_replicas < 5, "{closed:?}");
    }
}

#[test]
fn law_7_the_reactive_side_is_free_to_ask_for_more() {
    let busy = steady(in_window(), 9, 95.0);
    let reactive = decide(&RuleBasedEngine::default(), &busy);
    assert!(reactive.grows());
    assert_eq!(decide(&ScheduleEngine::new(schedule()).over(RuleBasedEngine::default()), &busy), reactive);
    let vote = Ensemble::of(RuleBasedEngine::default()).with(ScheduleEngine::new(schedule()).as_vote());
    assert_eq!(decide(&vote, &busy).desired_replicas, reactive.desired_replicas);
}

#[test]
fn law_7_a_busy_workload_does_not_shrink_when_the_window_closes() {
    let busy = steady(outside(), 5, 65.0);
    let vote = Ensemble::of(RuleBasedEngine::default()).with(ScheduleEngine::new(schedule()).as_vote());
    assert_eq!(decide(&vote, &busy).desired_replicas, 5);
    assert_eq!(decide(&ScheduleEngine::new(schedule()).over(RuleBasedEngine::default()), &busy).desired_replicas, 5);
}

#[test]
fn a_vote_shrinks_nothing_when_the_reactive_member_has_no_answer() {
    let vote = Ensemble::of(Fails).with(ScheduleEngine::new(schedule()).as_vote());
    assert_eq!(decide(&vote, &pods(outside(), 9)).desired_replicas, 9);
}

#[test]
fn a_failing_reactive_engine_does_not_keep_the_floor_down() {
    let engine = ScheduleEngine::new(schedule()).over(Fails);
    let raised = decide(&engine, &pods(in_window(), 3));
    assert_eq!(raised.desired_replicas, 5);
    assert!(matches!(raised.reasons.last(), Some(Reason::FellBack { engine, .. }) if engine == "fails"));
    assert!(block_on(engine.decide(&pods(in_window(), 5))).is_err(), "the floor is met: left alone");
}

#[test]
fn a_shrink_that_ends_at_the_floor_keeps_the_confidence_of_the_engine_that_wants_it() {
    let wish = ScalingDecision::replicas("wants", in_window(), 9, 2).with_confidence(0.4);
    let decision = decide(&ScheduleEngine::new(schedule()).over(Wants(wish)), &pods(in_window(), 9));
    assert_eq!((decision.desired_replicas, decision.confidence), (5, Confidence::new(0.4)));
}

#[test]
fn bigger_pods_are_not_lost() {
    let mut wish = ScalingDecision::replicas("wants", in_window(), 5, 3);
    wish.resources = Some(ResourceChange { cpu_percent: 0, memory_percent: 50 });
    let decision = decide(&ScheduleEngine::new(schedule()).over(Wants(wish.clone())), &pods(in_window(), 5));
    assert_eq!((decision.action, decision.resources), (ScalingAction::ScaleUpVertical, wish.resources));
}

fn wishes() -> impl Strategy<Value = ScalingDecision> {
    let urgency = prop::sample::select(vec![Urgency::Low, Urgency::Normal, Urgency::High, Urgency::Critical]);
    (0_u32..30, 0_u32..30, urgency, 0.0..1.0).prop_map(|(current, desired, urgency, confidence)| {
        let mut wish = ScalingDecision::replicas("wants", in_window(), current, desired).with_confidence(confidence);
        wish.urgency = urgency;
        wish
    })
}

proptest! {
    #[test]
    fn law_7_over_any_wish_the_answer_is_the_larger_of_wish_and_floor(wish in wishes(), hour in 0_i64..24) {
        let at = "2026-11-24T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::hours(hour);
        let observation = pods(at, wish.current_replicas);
        let floor = schedule().floor_at(at).map_or(0, |(_, floor)| floor);
        let decision = decide(&ScheduleEngine::new(schedule()).over(Wants(wish.clone())), &observation);
        prop_assert_eq!(decision.desired_replicas, wish.desired_replicas.max(floor));
        prop_assert!(decision.urgency >= wish.urgency);
        prop_assert_eq!(decision.action, ScalingDecision::replicas("", at, decision.current_replicas, decision.desired_replicas).action);

        // The vote in an ensemble asks for the same size, but for pods that the schedule keeps at one.
        let ensemble = Ensemble::of(Wants(wish.clone())).with(ScheduleEngine::new(schedule()).as_vote());
        let voted = decide(&ensemble, &observation).desired_replicas;
        prop_assert_eq!(voted, wish.desired_replicas.max(if floor > 0 { floor } else { wish.current_replicas.min(1) }));

        // Alone it never shrinks, and asks for the floor at least.
        let alone = decide(&ScheduleEngine::new(schedule()), &observation).desired_replicas;
        prop_assert_eq!(alone, wish.current_replicas.max(floor));
    }
}
