//! Law 8: a model only advises.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use proptest::prelude::*;
use scaling_core::conformance::engine::steady;
use scaling_core::{
    DecisionEngine, EngineError, Observation, Reason, ResourceChange, RuleBasedEngine, ScalingAction, ScalingDecision,
    ScalingMetrics, SignalKind, Target, Urgency, conformance,
};
use scaling_llm::{
    ChatModel, Completion, LlmConfig, LlmCounts, LlmEngine, ModelError, NotAskedCounts, RecordingModel, ReplayModel,
    ReplicaRange, Transcript, Usage,
};

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

/// Says what it was told to say, after a while.
#[derive(Clone, Debug)]
struct Says {
    answer: Result<Completion, ModelError>,
    after: Duration,
}

#[async_trait]
impl ChatModel for Says {
    async fn complete(&self, _: &str, _: &str) -> Result<Completion, ModelError> {
        tokio::time::sleep(self.after).await;
        self.answer.clone()
    }
}

fn says(text: impl Into<String>) -> Says {
    let usage = Usage { input_tokens: 900, output_tokens: 40, ..Usage::default() };
    Says { answer: Ok(Completion { usage, ..Completion::text(text) }), after: Duration::ZERO }
}

fn fails(error: ModelError) -> Says {
    Says { answer: Err(error), after: Duration::ZERO }
}

fn advice(action: &str, target: impl std::fmt::Display, percent: impl std::fmt::Display) -> String {
    format!(
        r#"{{"assessment":"because","action":"{action}","target_replicas":{target},"confidence_percent":{percent}}}"#
    )
}

/// Picks the largest size it may pick.
struct Greedy;

#[async_trait]
impl ChatModel for Greedy {
    async fn complete(&self, _: &str, user: &str) -> Result<Completion, ModelError> {
        let question: serde_json::Value = serde_json::from_str(user).unwrap();
        Ok(Completion::text(advice("scale", &question["allowed"]["highest"], 99)))
    }
}

fn request(current: u32, desired: u32) -> ScalingDecision {
    ScalingDecision::replicas("wants", DateTime::UNIX_EPOCH, current, desired).with_confidence(0.8)
}

fn target() -> Target {
    Target::deployment("shop", "checkout").with_hpa("checkout-hpa")
}

fn observation() -> Observation {
    Observation::new(target(), ScalingMetrics::new(DateTime::UNIX_EPOCH, 4))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

fn inline<M: ChatModel + 'static, B: DecisionEngine>(model: M, baseline: B) -> LlmEngine<M, B> {
    LlmEngine::with_config(model, baseline, LlmConfig::inline()).unwrap()
}

fn ask(model: impl ChatModel + 'static, request: ScalingDecision) -> (ScalingDecision, LlmCounts) {
    let engine = inline(model, Wants(request));
    let decision = block_on(engine.decide(&observation())).unwrap();
    (decision, engine.stats().counts())
}

fn last_reason(decision: &ScalingDecision) -> String {
    decision.reasons.last().unwrap().to_string()
}

#[test]
fn advice_within_the_range_is_followed() {
    let (decision, counts) = ask(says(advice("scale", 8, 80)), request(4, 6));
    assert_eq!((decision.desired_replicas, decision.action()), (8, ScalingAction::ScaleUpHorizontal));
    assert_eq!(decision.engine, "llm over wants");
    assert!((decision.confidence.value() - 0.8).abs() < 1e-9, "the baseline's, not the model's");
    assert_eq!(decision.reasons.first().unwrap().to_string(), "llm: picked 8 pods instead of 6, 80 % sure: because");
    let expected = LlmCounts {
        decisions: 1,
        decisions_changed: 1,
        heard: 1,
        asked: 1,
        answered: 1,
        changed: 1,
        input_tokens: 900,
        output_tokens: 40,
        unpriced: 1,
        ..LlmCounts::default()
    };
    assert_eq!(counts, expected);
}

#[test]
fn hold_keeps_the_baseline_whatever_the_target_says() {
    let (decision, counts) = ask(says(advice("hold", 999, 80)), request(4, 6));
    assert_eq!((decision.desired_replicas, decision.engine.as_ref()), (6, "wants"));
    assert_eq!(last_reason(&decision), "llm: agrees, 80 % sure: because");
    assert_eq!((counts.answered, counts.changed), (1, 0));
}

#[test]
fn law_8_whatever_goes_wrong_is_counted_and_the_baseline_decides() {
    type Counter = fn(&LlmCounts) -> u64;
    let slow = Says { after: Duration::from_secs(11), ..says(advice("scale", 8, 80)) };
    let never = Says { after: Duration::MAX, ..says("") };
    let cases: [(&str, Says, Counter, &str); 12] = [
        ("slow", slow, |counts| counts.late, "no answer in time"),
        ("never", never, |counts| counts.late, "no answer in time"),
        ("refused", fails(ModelError::Refused), |counts| counts.refused, "the model declined to answer"),
        ("down", fails(ModelError::Unavailable("503".into())), |counts| counts.unavailable, "503"),
        ("bad key", fails(ModelError::Rejected("401".into())), |counts| counts.unavailable, "401"),
        ("cut off", fails(ModelError::Truncated), |counts| counts.unavailable, "cut off"),
        ("prose", says(format!("Sure! {}", advice("scale", 8, 80))), |counts| counts.malformed, "does not start"),
        ("fence", says(format!("```json\n{}\n```", advice("scale", 8, 80))), |counts| counts.malformed, "fence"),
        ("fraction", says(advice("scale", 7.5, 80)), |counts| counts.malformed, "7.5"),
        ("too many", says(advice("scale", 10, 80)), |counts| counts.out_of_range, "10 pods are not within 6 to 9"),
        ("too few", says(advice("scale", 5, 80)), |counts| counts.out_of_range, "5 pods are not within 6 to 9"),
        ("unsure", says(advice("scale", 8, 74)), |counts| counts.unsure, "74 % sure, less than 75 %"),
    ];
    for (case, model, counter, why) in cases {
        let (decision, counts) = ask(model, request(4, 6));
        assert_eq!((counts.asked, counts.answered, counter(&counts)), (1, 0, 1), "{case}: {counts:?}");
        let reason = last_reason(&decision);
        assert!(reason.starts_with("llm: no advice: ") && reason.contains(why), "{case}: {reason}");
        let said = decision.reasons.last().unwrap().clone();
        assert_eq!(decision, request(4, 6).because(said), "{case}: nothing else is changed");
    }
}

#[test]
fn a_shrink_may_be_kept_back_but_not_turned_into_growth() {
    assert_eq!(ask(says(advice("scale", 9, 80)), request(10, 3)).0.desired_replicas, 9);
    let (held, _) = ask(says(advice("scale", 10, 80)), request(10, 3));
    assert_eq!((held.desired_replicas, held.action()), (10, ScalingAction::Maintain));
    assert_eq!(ask(says(advice("scale", 11, 80)), request(10, 3)).0.desired_replicas, 3);
    assert_eq!(ask(says(advice("scale", 2, 80)), request(10, 3)).0.desired_replicas, 3);
}

#[test]
fn bigger_pods_are_not_lost() {
    let mut both = request(10, 8);
    both.resources = Some(ResourceChange { cpu_percent: 0, memory_percent: 50 });
    let (held, _) = ask(says(advice("scale", 10, 80)), both.clone());
    assert_eq!((held.action(), held.resources), (ScalingAction::ScaleUpVertical, both.resources));
}

#[test]
fn with_nothing_to_pick_the_model_is_not_asked() {
    let config = LlmConfig { share_above: 0.0, ..LlmConfig::inline() };
    let engine = LlmEngine::with_config(says(advice("scale", 6, 80)), Wants(request(4, 6)), config).unwrap();
    let decision = block_on(engine.decide(&observation())).unwrap();
    let why = "llm: not asked: the baseline's own request leaves no room above 6 pods";
    assert_eq!(last_reason(&decision), why, "law 10, say why");
    assert_eq!(decision, request(4, 6).because(decision.reasons[0].clone()), "nothing else is changed");
    let not_asked = NotAskedCounts { no_room: 1, ..NotAskedCounts::default() };
    assert_eq!(engine.stats().counts(), LlmCounts { decisions: 1, not_asked, ..LlmCounts::default() });
}

#[test]
fn without_a_runtime_the_baseline_decides() {
    let engine = inline(Greedy, Wants(request(4, 6)));
    let observation = observation();
    let mut future = engine.decide(&observation);
    let decision = match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(decision) => decision.unwrap(),
        std::task::Poll::Pending => unreachable!("nothing to wait for"),
    };
    assert!(last_reason(&decision).starts_with("llm: not asked: there is no tokio runtime"), "{decision:?}");
    let counts = engine.stats().counts();
    assert_eq!((counts.asked, counts.not_asked.no_runtime), (0, 1));
}

#[test]
fn an_error_of_the_baseline_is_passed_on_and_no_model_is_asked() {
    let engine = inline(Greedy, RuleBasedEngine::default());
    let mut unknown = observation();
    unknown.current.current_pod_count = None;
    assert!(matches!(block_on(engine.decide(&unknown)), Err(EngineError::NoPodCount)));
    assert_eq!(engine.stats().counts().asked, 0);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let with = |config| LlmEngine::with_config(Greedy, Wants(request(1, 1)), config).err().unwrap().to_string();
    let default = LlmConfig::inline;
    assert!(with(LlmConfig { deadline: Duration::ZERO, ..default() }).contains("deadline"));
    assert_eq!(with(LlmConfig { share_above: -0.5, ..default() }), "share_above is -0.5; it must be from 0 to 10");
    assert!(with(LlmConfig { share_above: f64::NAN, ..default() }).contains("NaN"));
    assert!(with(LlmConfig { min_confidence_percent: 101, ..default() }).contains("101"));
}

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

#[test]
fn over_an_engine_that_shrinks_the_promises_are_kept_whatever_the_model_says() {
    block_on(conformance::engine(|| inline(Greedy, Half)));
    block_on(conformance::engine(|| inline(says(advice("scale", 1, 99)), Half)));
    block_on(conformance::engine(|| inline(says("nonsense"), Half)));
}

#[test]
fn over_the_rules_the_promises_are_kept_whatever_the_model_says() {
    block_on(conformance::engine(|| inline(Greedy, RuleBasedEngine::default())));
    block_on(conformance::engine(|| inline(says("nonsense"), RuleBasedEngine::default())));
    block_on(conformance::engine(|| inline(fails(ModelError::Refused), RuleBasedEngine::default())));
}

#[test]
fn law_5_a_replayed_model_gives_the_same_bytes() {
    // What a server may do in turns: answer, refuse, hang.
    struct Moody(std::sync::atomic::AtomicU32);
    #[async_trait]
    impl ChatModel for Moody {
        async fn complete(&self, system: &str, user: &str) -> Result<Completion, ModelError> {
            match self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 3 {
                0 => Greedy.complete(system, user).await,
                1 => Err(ModelError::Refused),
                _ => std::future::pending().await,
            }
        }
    }
    let run = |model: Box<dyn ChatModel>| -> String {
        let engine = inline(model, RuleBasedEngine::default());
        // Each minute is asked about anew, now and then with the same prompt, and answered otherwise.
        let decide = |tick: u32| {
            let mut observation = steady(4, tick % 5);
            observation.now += chrono::TimeDelta::hours(i64::from(tick));
            serde_json::to_string(&block_on(engine.decide(&observation)).unwrap()).unwrap()
        };
        let decisions: Vec<String> = (0..12_u32).map(decide).collect();
        format!("{decisions:#?} {:?}", engine.stats().counts())
    };
    let recording = Arc::new(RecordingModel::new(Moody(0.into())));
    let first = run(Box::new(recording.clone()));
    assert_eq!(recording.transcript().len(), 12);
    let text = recording.transcript().to_json_lines();
    let transcript = Transcript::from_json_lines(&text).unwrap();
    assert_eq!(transcript.to_json_lines(), text);
    assert_eq!(run(Box::new(ReplayModel::new(transcript))), first);
}

#[test]
fn a_prompt_that_was_not_recorded_is_an_error() {
    let (decision, counts) = ask(ReplayModel::new(Transcript::default()), request(4, 6));
    assert_eq!(last_reason(&decision), "llm: no advice: the prompt is not in the transcript");
    assert_eq!(counts.unavailable, 1);
    let error = Transcript::from_json_lines("\n{\"system\":1}\n").unwrap_err().to_string();
    assert!(error.starts_with("line 2 of the transcript: "), "{error}");
}

fn answers() -> impl Strategy<Value = Says> {
    let target = prop_oneof![
        (0_u64..60).prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:e}")),
    ];
    let text = (prop::sample::select(vec!["scale", "hold", "destroy"]), target, 0_u32..130)
        .prop_map(|(action, target, percent)| says(advice(action, target, percent)));
    let error =
        prop::sample::select(vec![ModelError::Refused, ModelError::Truncated, ModelError::Rejected("no".into())]);
    prop_oneof![
        6 => text,
        1 => ".{0,200}".prop_map(says),
        1 => error.prop_map(fails),
        1 => Just(Says { after: Duration::from_secs(60), ..says("") }),
    ]
}

prop_compose! {
    fn requests()(current in 0_u32..40, desired in 0_u32..40, urgency in 0_usize..4, memory in -50_i32..100, vertical in any::<bool>()) -> ScalingDecision {
        let mut request = request(current, desired);
        request.urgency = [Urgency::Low, Urgency::Normal, Urgency::High, Urgency::Critical][urgency];
        request.resources = vertical.then_some(ResourceChange { cpu_percent: 0, memory_percent: memory });
        request
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn law_8_no_answer_moves_the_size_out_of_the_range(model in answers(), request in requests(), share in 0.0..3.0) {
        let config = LlmConfig { share_above: share, ..LlmConfig::inline() };
        let engine = LlmEngine::with_config(model, Wants(request.clone()), config).unwrap();
        let decision = block_on(engine.decide(&observation())).unwrap();
        let (current, least, got) = (request.current_replicas, request.desired_replicas, decision.desired_replicas);
        prop_assert!(got >= least, "never less than the baseline");
        prop_assert!(f64::from(got) <= (f64::from(least) * (1.0 + share)).ceil().max(f64::from(current)));
        prop_assert!(ReplicaRange::around(&request, share).contains(got));
        prop_assert!(!request.shrinks() || got <= current, "a shrink never becomes growth");
        prop_assert!(!request.grows() || decision.grows(), "a growth stays one");
        prop_assert!(decision.urgency >= request.urgency);
        prop_assert_eq!(decision.confidence, request.confidence);
        prop_assert_eq!(decision.resources, request.resources);
        prop_assert_eq!((decision.at, decision.current_replicas), (request.at, current));
        if got == least {
            prop_assert_eq!(decision.action(), request.action());
        }
        let c = engine.stats().counts();
        let ended = c.answered + c.late + c.refused + c.unavailable + c.malformed + c.out_of_range + c.unsure;
        prop_assert_eq!(c.asked, ended);
        let n = c.not_asked.by_reason().iter().map(|(_, count)| count).sum::<u64>();
        prop_assert_eq!((c.decisions, c.decisions), (1, c.heard + c.awaited + n));
        let said_so = decision.reasons.iter().any(|reason| matches!(reason, Reason::Custom { rule, .. } if rule == "llm"));
        prop_assert!(c.asked == 0 || said_so);
    }
}
