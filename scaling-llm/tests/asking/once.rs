//! Never more than once per question.

use std::sync::Arc;
use std::time::Duration;

use scaling_core::{DecisionEngine, PlannedEvent};
use scaling_llm::{Budget, BudgetConfig, LlmConfig, LlmEngine};

use crate::world::{Asks, Behaviour, GROWS, KEEPS, Model, at, counts, engine, inline, pass, seen, seen_of, tick};

const UNCHANGED: &str = "not asked: the baseline keeps what is there, and nothing has changed since the last question";
const HOLD: &str = r#"{"assessment":"fine","action":"hold","target_replicas":0,"confidence_percent":90}"#;

#[tokio::test(start_paused = true)]
async fn one_question_over_many_ticks() {
    let model = Model::new(Behaviour::Greedy);
    let config = LlmConfig { fresh_for: Some(Duration::from_secs(3_600)), ..LlmConfig::default() };
    let engine = LlmEngine::with_config(model.clone(), GROWS, config).unwrap();
    for second in 0..1_000 {
        // Noise of two percent is no other question.
        tick(&engine, &seen(second, [70.0, 71.4, 68.6][usize::try_from(second % 3).unwrap()])).await;
        pass(1).await;
    }
    assert_eq!((model.asked(), counts(&engine).heard), (1, 999));
}

#[tokio::test(start_paused = true)]
async fn while_the_baseline_keeps_what_is_there_and_nothing_changes_nobody_is_asked_again() {
    let model = Model::new(Behaviour::Says(HOLD));
    let engine = engine(&model, KEEPS);
    for nth in 0..=40 {
        let (pods, said) = tick(&engine, &seen(nth * 15, 50.0)).await;
        let expected = match nth {
            0 => "asked; no answer yet",
            1 | 2 => "agrees, 90 % sure: fine",
            _ => UNCHANGED,
        };
        assert_eq!((pods, &*said), (4, expected), "tick {nth}");
        pass(1).await;
    }
    assert_eq!((model.asked(), counts(&engine).not_asked.unchanged), (1, 38));
    // Ten minutes later the same question is asked again.
    tick(&engine, &seen(601, 50.0)).await;
    pass(1).await;
    assert_eq!(model.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_can_matter_is_asked_again_once_the_answer_is_no_longer_fresh() {
    let sale = |start, end| vec![PlannedEvent::new("sale", at(start), at(end), 2.0).unwrap()];
    let cases = [
        ("it moves", GROWS, vec![], true),
        ("it is unsure", Asks(4, 0.5), vec![], true),
        ("an event goes on", KEEPS, sale(-100, 5_000), true),
        ("an event is near", KEEPS, sale(29 * 60, 5_000), true),
        ("an event is far", KEEPS, sale(50 * 3_600, 60 * 3_600), false),
        ("an event is over", KEEPS, sale(-100, -50), false),
        ("nothing", KEEPS, vec![], false),
    ];
    for (case, baseline, events, again) in cases {
        let model = Model::new(Behaviour::Says(HOLD));
        let engine = engine(&model, baseline);
        for second in [0, 15, 31] {
            tick(&engine, &seen(second, 50.0).with_events(events.clone())).await;
            pass(1).await;
        }
        assert_eq!(model.asked(), 1 + usize::from(again), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn growth_by_advice_that_has_not_shown_its_effect_is_asked_about_again() {
    let model = Model::new(Behaviour::Greedy);
    let engine = engine(&model, KEEPS);
    tick(&engine, &seen(0, 50.0)).await;
    pass(1).await;
    assert_eq!(tick(&engine, &seen(15, 50.0)).await.0, 6, "half of what is needed on top");
    tick(&engine, &seen(31, 50.0)).await;
    pass(1).await;
    assert_eq!(model.asked(), 2);
    assert_eq!(tick(&engine, &seen(45, 50.0)).await.0, 6, "the same growth");
}

#[tokio::test(start_paused = true)]
async fn one_question_about_a_workload_at_a_time() {
    let model = Model::slow(Behaviour::Greedy, 5);
    let engine = engine(&model, GROWS);
    tick(&engine, &seen(0, 70.0)).await;
    let busy = "not asked: an earlier question about this workload is under way";
    assert_eq!(tick(&engine, &seen(1, 95.0)).await, (6, busy.to_owned()));
    pass(6).await;
    assert_eq!(tick(&engine, &seen(7, 95.0)).await.1, "asked; no answer yet");
    assert_eq!((model.asked(), counts(&engine).not_asked.busy), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_at_the_same_time_put_one_question() {
    for config in [LlmConfig::default(), LlmConfig::inline()] {
        let model = Model::new(Behaviour::Greedy);
        let engine = Arc::new(LlmEngine::with_config(model.clone(), GROWS, config).unwrap());
        let decisions: Vec<_> = (0..100)
            .map(|_| {
                let engine = Arc::clone(&engine);
                tokio::spawn(async move { engine.decide(&seen(0, 70.0)).await.unwrap().desired_replicas })
            })
            .collect();
        for decision in decisions {
            assert!([6, 9].contains(&decision.await.unwrap()));
        }
        let counts = engine.stats().counts();
        assert_eq!((counts.asked, counts.decisions), (1, 100));
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_waits_has_its_answer_and_others_about_the_same_inputs_too() {
    let model = Model::slow(Behaviour::Greedy, 5);
    let engine = inline(&model, GROWS);
    let expected = (9, "picked 9 pods instead of 6, 90 % sure: more".to_owned());
    for second in [0, 15, 30] {
        assert_eq!(tick(&engine, &seen(second, 70.0)).await, expected);
    }
    assert_eq!(model.asked(), 1);
    assert_eq!(tick(&engine, &seen(31, 70.0)).await, expected);
    assert_eq!((model.asked(), counts(&engine).answered, counts(&engine).stale), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_decision_gives_its_question_up_and_does_not_put_it_again() {
    let model = Model::slow(Behaviour::Greedy, 5);
    let engine = inline(&model, GROWS);
    let first = seen(0, 70.0);
    tokio::time::timeout(Duration::from_secs(1), engine.decide(&first)).await.unwrap_err();
    assert_eq!((model.under_way(), engine.budget().under_way(), counts(&engine).abandoned), (0, 0, 1));
    assert_eq!(tick(&engine, &seen(15, 70.0)).await, (6, "no advice: the question was given up".to_owned()));
    assert_eq!(tick(&engine, &seen(31, 70.0)).await.0, 9);
    // It may have been paid for: both count.
    assert_eq!((model.asked(), counts(&engine).asked), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn twelve_thousand_workloads_are_asked_about_and_ten_thousand_remembered() {
    let model = Model::new(Behaviour::Greedy);
    let budget = Budget::new(BudgetConfig::unlimited()).unwrap();
    let config = LlmConfig { fresh_for: Some(Duration::from_secs(86_400)), ..LlmConfig::default() };
    let engine = LlmEngine::with_config(model.clone(), GROWS, config).unwrap().with_budget(budget);
    let name = |nth: u32| format!("web-{nth}");
    for nth in 0..12_000 {
        // The account of the budget is given up after an hour, the answers are not.
        tick(&engine, &seen_of(&name(nth), i64::from(nth), 70.0)).await;
        if nth % 100 == 0 {
            pass(1).await;
        }
    }
    pass(1).await;
    let asked = model.asked();
    assert_eq!(tick(&engine, &seen_of(&name(11_999), 12_000, 70.0)).await.0, 9);
    assert_eq!(tick(&engine, &seen_of(&name(2_000), 12_000, 70.0)).await.0, 9);
    assert_eq!(tick(&engine, &seen_of(&name(1_999), 12_000, 70.0)).await.0, 6, "the first ones are forgotten");
    // Of those that were forgotten two thousand had an answer that nobody had used.
    assert_eq!((asked, counts(&engine).stale), (12_000, 2_000));
}
