//! In the background: no tick waits, and an answer serves the inputs that it is about, while it is fresh.

use std::time::Duration;

use scaling_core::{DecisionEngine, Observation, PlannedEvent, Signal, SignalKind, conformance};
use scaling_llm::{LlmConfig, LlmEngine, ModelError};
use tokio::time::Instant;

use crate::world::{Behaviour, GROWS, Model, at, counts, engine, pass, seen, tick};

const WAITS: &str = "asked; no answer yet";
const PICKED: &str = "picked 9 pods instead of 6, 90 % sure: more";

#[tokio::test(start_paused = true)]
async fn a_slow_model_never_delays_a_tick_and_its_answer_is_used_by_a_later_one() {
    let model = Model::slow(Behaviour::Greedy, 9);
    let engine = engine(&model, GROWS);
    let started = Instant::now();
    let alone = GROWS.decide(&seen(0, 70.0)).await.unwrap();
    let asked = engine.decide(&seen(0, 70.0)).await.unwrap();
    assert_eq!(asked.reasons.last().unwrap().to_string(), format!("llm: {WAITS}"));
    assert_eq!(asked, alone.because(asked.reasons.last().unwrap().clone()), "the baseline's, and nothing else changed");
    assert_eq!(tick(&engine, &seen(5, 70.0)).await, (6, WAITS.to_owned()));
    assert_eq!(Instant::now() - started, Duration::ZERO, "no tick has waited");
    pass(10).await;
    assert_eq!(tick(&engine, &seen(15, 70.0)).await, (9, PICKED.to_owned()));
    assert_eq!(tick(&engine, &seen(30, 70.0)).await, (9, PICKED.to_owned()));
    let counts = counts(&engine);
    assert_eq!((counts.asked, counts.awaited, counts.heard, counts.answered, counts.changed), (1, 2, 2, 1, 1));
    assert_eq!((counts.decisions_changed, counts.share_equal_to_baseline()), (2, Some(0.5)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_used_for_other_inputs() {
    type Change = fn(&mut Observation);
    let changes: [(&str, Change); 7] = [
        ("load", |seen| seen.current.set(SignalKind::CpuUtilization, Signal::Present(90.0))),
        ("lost signal", |seen| seen.current.set(SignalKind::CpuUtilization, Signal::NOT_MEASURED)),
        ("pods", |seen| seen.current.current_pod_count = Some(5)),
        ("workload", |seen| *seen = crate::world::seen_of("api", 15, 70.0)),
        ("cluster", |seen| seen.target = std::sync::Arc::new((*seen.target).clone().in_cluster("eu-1"))),
        ("event", |seen| {
            let event = PlannedEvent::new("sale", at(600), at(900), 3.0).unwrap();
            seen.events = [event].into();
        }),
        ("facts", |seen| seen.facts.cpu_request_millicores = Some(500)),
    ];
    for (what, change) in changes {
        let model = Model::new(Behaviour::Greedy);
        let engine = engine(&model, GROWS);
        tick(&engine, &seen(0, 70.0)).await;
        pass(1).await;
        let mut other = seen(15, 70.0);
        change(&mut other);
        assert_eq!(tick(&engine, &other).await, (6, WAITS.to_owned()), "{what}");
        pass(1).await;
        assert_eq!(model.asked(), 2, "{what}: it is another question");
        // Unless what the workload is has changed, the first answer still serves its own inputs.
        let expected = if what == "facts" { 6 } else { 9 };
        assert_eq!(tick(&engine, &seen(16, 70.0)).await.0, expected, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_longer_fresh_is_dropped_and_counted() {
    let model = Model::new(Behaviour::Greedy);
    let engine = engine(&model, GROWS);
    tick(&engine, &seen(0, 70.0)).await;
    pass(1).await;
    // Two sync periods of 15 s.
    assert_eq!(tick(&engine, &seen(31, 70.0)).await, (6, WAITS.to_owned()));
    assert_eq!((counts(&engine).stale, counts(&engine).answered), (1, 0));
    pass(1).await;
    assert_eq!(tick(&engine, &seen(61, 70.0)).await.0, 9, "30 s after the second question");
    assert_eq!((counts(&engine).stale, counts(&engine).answered, model.asked()), (1, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_workload_with_longer_periods_has_longer_lived_answers() {
    let model = Model::new(Behaviour::Greedy);
    let engine = engine(&model, GROWS);
    let minute = |second| {
        let mut seen = seen(second, 70.0);
        seen.facts.sync_period = Duration::from_secs(60);
        seen
    };
    tick(&engine, &minute(0)).await;
    pass(1).await;
    assert_eq!(tick(&engine, &minute(120)).await.0, 9);
    assert_eq!(tick(&engine, &minute(121)).await.0, 6);
}

#[tokio::test(start_paused = true)]
async fn clocks_that_jump_back_lengthen_a_life_by_one() {
    let model = Model::new(Behaviour::Greedy);
    let engine = engine(&model, GROWS);
    tick(&engine, &seen(1_000_000, 70.0)).await;
    pass(1).await;
    assert_eq!(tick(&engine, &seen(0, 70.0)).await.0, 9);
    assert_eq!(tick(&engine, &seen(30, 70.0)).await.0, 9);
    assert_eq!(tick(&engine, &seen(31, 70.0)).await.0, 6);
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_said_by_the_next_tick_and_counted_once() {
    type Counter = fn(&scaling_llm::LlmCounts) -> u64;
    let cases: [(Behaviour, &str, Counter); 6] = [
        (Behaviour::Hangs, "no advice: no answer in time", |counts| counts.late),
        (Behaviour::Panics, "no advice: the model is unavailable: it panicked", |counts| counts.unavailable),
        (Behaviour::Fails(ModelError::Refused), "no advice: the model declined to answer", |counts| counts.refused),
        (Behaviour::Says("Sure!"), "no advice: the answer does not start with a JSON object", |counts| {
            counts.malformed
        }),
        (
            Behaviour::Says(r#"{"assessment":"","action":"scale","target_replicas":10,"confidence_percent":90}"#),
            "no advice: 10 pods are not within 6 to 9",
            |counts| counts.out_of_range,
        ),
        (
            Behaviour::Says(r#"{"assessment":"","action":"scale","target_replicas":9,"confidence_percent":10}"#),
            "no advice: 10 % sure, less than 75 %",
            |counts| counts.unsure,
        ),
    ];
    for (behaviour, why, counter) in cases {
        let model = Model::new(behaviour);
        let engine = engine(&model, GROWS);
        tick(&engine, &seen(0, 70.0)).await;
        pass(11).await;
        for second in [15, 20, 30] {
            assert_eq!(tick(&engine, &seen(second, 70.0)).await, (6, why.to_owned()));
        }
        let counts = counts(&engine);
        assert_eq!((model.asked(), counts.asked, counter(&counts), counts.answered), (1, 1, 1, 0), "{why}");
        assert_eq!(engine.budget().under_way(), 0, "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_workload_takes_its_question_and_answer_along() {
    let model = Model::slow(Behaviour::Greedy, 5);
    let engine = engine(&model, GROWS);
    let first = seen(0, 70.0);
    tick(&engine, &first).await;
    pass(1).await;
    assert_eq!((model.under_way(), engine.budget().under_way()), (1, 1));
    engine.forget(&first.target);
    pass(1).await;
    assert_eq!((model.under_way(), engine.budget().under_way(), counts(&engine).abandoned), (0, 0, 1));
    // Asked anew, answered, and forgotten unused.
    assert_eq!(tick(&engine, &seen(2, 70.0)).await, (6, WAITS.to_owned()));
    pass(6).await;
    engine.forget(&first.target);
    assert_eq!((counts(&engine).stale, counts(&engine).answered), (1, 0));
    assert_eq!(tick(&engine, &seen(9, 70.0)).await, (6, WAITS.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_engine_ends_its_questions() {
    let model = Model::new(Behaviour::Hangs);
    let engine = engine(&model, GROWS);
    let (budget, stats) = (engine.budget().clone(), engine.stats());
    tick(&engine, &seen(0, 70.0)).await;
    pass(1).await;
    drop(engine);
    pass(1).await;
    assert_eq!((model.under_way(), budget.under_way(), stats.counts().abandoned), (0, 0, 1));
}

#[test]
fn a_runtime_that_shuts_down_leaves_nothing_behind() {
    let model = Model::new(Behaviour::Hangs);
    let engine = engine(&model, GROWS);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let first = runtime();
    first.block_on(async {
        tick(&engine, &seen(0, 70.0)).await;
        pass(1).await;
    });
    drop(first);
    assert_eq!((model.under_way(), engine.budget().under_way(), counts(&engine).abandoned), (0, 0, 1));
    // Another one takes over; the same question is not put twice while its answer would be fresh.
    model.becomes(Behaviour::Greedy);
    runtime().block_on(async {
        assert_eq!(tick(&engine, &seen(15, 70.0)).await, (6, "no advice: the question was given up".to_owned()));
        assert_eq!(tick(&engine, &seen(31, 70.0)).await, (6, WAITS.to_owned()));
        pass(1).await;
        assert_eq!(tick(&engine, &seen(45, 70.0)).await, (9, PICKED.to_owned()));
    });
}

#[test]
fn a_runtime_without_a_timer_is_no_panic() {
    let model = Model::new(Behaviour::Greedy);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for config in [LlmConfig::default(), LlmConfig::inline()] {
        let engine = LlmEngine::with_config(model.clone(), GROWS, config).unwrap();
        runtime.block_on(async {
            tick(&engine, &seen(0, 70.0)).await;
            tokio::task::yield_now().await;
            let (pods, said) = tick(&engine, &seen(1, 70.0)).await;
            assert_eq!((pods, &*said), (6, "no advice: the model is unavailable: it panicked"));
        });
    }
}

#[test]
fn the_promises_of_an_engine_are_kept() {
    let current = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let several = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let rules = scaling_core::RuleBasedEngine::default;
    let model = Model::new(Behaviour::Greedy);
    current().block_on(conformance::engine(|| LlmEngine::new(model.clone(), rules())));
    // With several threads an answer may come between two questions; one that never does leaves the decision as it is.
    let model = Model::new(Behaviour::Hangs);
    several.block_on(conformance::engine(|| LlmEngine::new(model.clone(), rules())));
    let late = || LlmEngine::with_config(model.clone(), rules(), LlmConfig::inline()).unwrap();
    current().block_on(conformance::engine(late));
}
