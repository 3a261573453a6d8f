//! Law 8 for what a pod requests: measured from the baseline's wish and from use, never from what earlier advice has brought.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs
)]

use std::sync::Mutex;

use async_trait::async_trait;
use chrono::DateTime;
use proptest::prelude::*;
use scaling_core::{
    DecisionEngine, EngineError, Observation, Reason, ResourceChange, ScalingAction, ScalingDecision, ScalingMetrics,
    SignalKind, Target, WindowDays, WorkloadFacts,
};
use scaling_llm::{
    Advice, AdviceRange, ChatModel, Completion, LlmConfig, LlmEngine, ModelError, OutOfRange, PercentRange,
    ReplicaRange, reply,
};

const SHARE: f64 = 0.5;

/// A workload whose pods request 1,000 thousandths of a core and 1,000 MiB.
fn observation(cpu: Option<f64>, memory: Option<f64>) -> Observation {
    let mut facts = WorkloadFacts::default();
    (facts.cpu_request_millicores, facts.memory_request_bytes) = (Some(1000), Some(1000 << 20));
    let mut now = ScalingMetrics::new(DateTime::UNIX_EPOCH, 4);
    for (kind, value) in [(SignalKind::CpuUtilization, cpu), (SignalKind::MemoryUtilization, memory)] {
        now = value.map_or(now.clone(), |value| now.with(kind, value));
    }
    Observation::new(Target::deployment("shop", "web"), now).with_facts(facts)
}

fn wants(cpu_percent: i32, memory_percent: i32) -> ScalingDecision {
    ScalingDecision::replicas("wants", DateTime::UNIX_EPOCH, 4, 4)
        .with_confidence(0.9)
        .with_resources(ResourceChange { cpu_percent, memory_percent }.filled())
}

fn range(observation: &Observation, baseline: &ScalingDecision) -> AdviceRange {
    AdviceRange::new(ReplicaRange::around(baseline, SHARE), observation, baseline, SHARE)
}

fn memory(used: Option<f64>, wanted: i32) -> (u32, u32) {
    let PercentRange { lowest, highest } = range(&observation(None, used), &wants(0, wanted)).memory_percent;
    (lowest, highest)
}

#[test]
fn requests_are_measured_from_the_wish_and_from_use() {
    assert_eq!(memory(None, 0), (100, 100), "nothing tells that more is needed");
    assert_eq!(memory(Some(60.0), 0), (100, 100), "use and half of it are within the request");
    assert_eq!(memory(Some(92.0), 0), (100, 138));
    assert_eq!(memory(Some(400.0), 0), (100, 200), "at most double");
    assert_eq!(memory(None, 30), (130, 195));
    assert_eq!(memory(Some(95.0), 30), (130, 195));
    assert_eq!(memory(None, 50), (150, 200));
    assert_eq!(memory(None, 150), (250, 250), "the baseline's own wish is for the guards");
    assert_eq!(memory(Some(40.0), -30), (70, 100), "a smaller request may be kept back, not turned into growth");
    assert_eq!(memory(Some(400.0), -30), (70, 100));
    assert_eq!(memory(Some(92.0), i32::MIN), (0, 100));
    let mut unknown = observation(Some(99.0), Some(99.0));
    unknown.facts.memory_request_bytes = None;
    unknown.facts.cpu_request_millicores = Some(0);
    let single = range(&unknown, &wants(0, 0));
    assert!(single.cpu_percent.is_single() && single.memory_percent.is_single(), "{single:?}");
    assert!(AdviceRange::pods_only(single.replicas, &wants(0, 0)).is_single());
}

#[test]
fn what_lies_outside_is_named() {
    let (observation, baseline) = (observation(Some(50.0), Some(92.0)), wants(0, 0));
    let range = range(&observation, &baseline);
    let check = |answer: &str| range.check(&reply::parse(answer).unwrap()).map_err(|error| error.to_string());
    let resize = |cpu: u32, memory: u32| {
        check(&format!(
            r#"{{"assessment":"","action":"resize","target_replicas":999,"cpu_request_percent_of_now":{cpu},"memory_request_percent_of_now":{memory},"confidence_percent":90}}"#
        ))
    };
    assert_eq!(resize(100, 138), Ok(()));
    assert_eq!(resize(101, 138), Err("101 % of the present CPU request is not within 100 to 100".into()));
    assert_eq!(resize(100, 99), Err("99 % of the present memory request is not within 100 to 138".into()));
    assert_eq!(resize(0, 0).unwrap_err(), "0 % of the present CPU request is not within 100 to 100");
    let window = |pods: u32| {
        check(&format!(
            r#"{{"assessment":"","action":"hold","target_replicas":4,"confidence_percent":90,"proposed_window_days":"weekdays","proposed_window_start_hour":8,"proposed_window_end_hour":18,"proposed_window_min_replicas":{pods}}}"#
        ))
    };
    assert_eq!(window(40), Ok(()));
    assert_eq!(window(41), Err(OutOfRange::Window { asked: 41, most: 40 }.to_string()));
}

/// Says what it was told to say last.
struct Says(Mutex<ScalingDecision>);

#[async_trait]
impl DecisionEngine for &Says {
    fn name(&self) -> &'static str {
        "says"
    }
    async fn decide(&self, _: &Observation) -> Result<ScalingDecision, EngineError> {
        Ok(self.0.lock().unwrap().clone())
    }
}

/// Picks the largest requests it may pick, and suggests what changes nothing.
struct Greedy;

#[async_trait]
impl ChatModel for Greedy {
    async fn complete(&self, _: &str, user: &str) -> Result<Completion, ModelError> {
        let question: serde_json::Value = serde_json::from_str(user).unwrap();
        let most = |field: &str| question["allowed"][field]["highest"].clone();
        Ok(Completion::text(format!(
            r#"{{"assessment":"more","action":"resize","target_replicas":0,"cpu_request_percent_of_now":{},"memory_request_percent_of_now":{},"confidence_percent":100,"proposed_hpa_target_percent":65,"proposed_window_days":"weekends","proposed_window_start_hour":9,"proposed_window_end_hour":17,"proposed_window_min_replicas":6}}"#,
            most("cpu_request_percent_of_now"),
            most("memory_request_percent_of_now"),
        )))
    }
}

fn advised(observation: &Observation, baseline: &ScalingDecision) -> ScalingDecision {
    let says = Says(Mutex::new(baseline.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(LlmEngine::with_config(Greedy, &says, LlmConfig::inline()).unwrap().decide(observation)).unwrap()
}

#[test]
fn advice_on_requests_is_followed_and_suggestions_change_nothing() {
    let baseline = wants(0, 0);
    let decision = advised(&observation(Some(50.0), Some(92.0)), &baseline);
    assert_eq!(decision.resources, Some(ResourceChange { cpu_percent: 0, memory_percent: 38 }));
    assert_eq!((decision.desired_replicas, decision.action()), (4, ScalingAction::ScaleUpVertical));
    let why = "llm: picked requests of 100 % of the present CPU and 138 % of the present memory, 100 % sure: more";
    assert_eq!(decision.reasons[0].to_string(), why);
    let suggested = [
        Reason::SuggestedTarget { cpu_percent: 65 },
        Reason::SuggestedWindow { days: WindowDays::Weekends, start_hour: 9, end_hour: 17, min_replicas: 6 },
    ];
    assert_eq!(decision.reasons[1..], suggested);
    let mut same = decision.clone();
    (same.resources, same.reasons, same.engine) = (None, Vec::new(), "wants".into());
    assert_eq!(same, baseline, "nothing else is changed");
    let read: ScalingDecision = serde_json::from_str(&serde_json::to_string(&decision).unwrap()).unwrap();
    assert_eq!(read, decision, "and a record reads back as it was written");
}

proptest! {
    #[test]
    fn law_8_the_baselines_wish_is_within_and_nothing_below_it(
        cpu in prop::option::of(0.0..20_000.0), used in prop::option::of(0.0..20_000.0),
        wish in (any::<i32>(), -100..200_i32), share in 0.0..10.0,
    ) {
        let (observation, baseline) = (observation(cpu, used), wants(wish.0, wish.1));
        let range = AdviceRange::new(ReplicaRange::around(&baseline, share), &observation, &baseline, share);
        for (range, wish) in [(range.cpu_percent, wish.0), (range.memory_percent, wish.1)] {
            let wanted = (100 + i64::from(wish)).max(0) as u32;
            prop_assert_eq!(range.lowest, wanted, "never below the baseline's");
            prop_assert!(range.highest <= wanted.max(200), "at most double");
            prop_assert!(wanted >= 100 || range.highest <= 100, "a shrink becomes no growth");
        }
        prop_assert_eq!(range.check(&Advice::hold(0, "")), Ok(()));
    }

    /// A day of a greedy model: the baseline raises a request by three tenths when nine tenths are in use, and keeps it otherwise.
    #[test]
    fn law_8_a_greedy_model_ends_no_higher_than_a_share_above_use_and_the_baselines_own_wish(
        used in prop::collection::vec(100.0..4000.0_f64, 1..100), start in 200_u64..3000,
    ) {
        let (mut request, mut most) = (start as f64, start as f64);
        for used in used {
            let percent = used / request * 100.0;
            let wish = if percent > 90.0 { 30 } else { 0 };
            most = most.max(used * (1.0 + SHARE)).max(if wish > 0 { request.min(used / 0.9) * 1.3 * (1.0 + SHARE) } else { 0.0 });
            let change = advised(&observation(None, Some(percent)), &wants(0, wish)).resources.unwrap_or_default();
            prop_assert!(change.memory_percent >= wish);
            request *= 1.0 + f64::from(change.memory_percent) / 100.0;
            prop_assert!(request <= most * (1.0 + 1e-9), "{request} of {most} with {used} used");
        }
    }
}
