//! Budget and breaker, as an engine uses them.

use scaling_core::Currency;
use scaling_llm::{
    Budget, BudgetConfig, LlmEngine, ModelBreaker, ModelError, ModelId, ModelPrice, PriceTable, SpendLimits,
};

use crate::world::{Asks, Behaviour, GROWS, Model, counts, engine, inline, pass, seen, seen_of, tick};

fn with_workload(calls: u64) -> Budget {
    let workload = SpendLimits { calls: Some(calls), ..SpendLimits::default() };
    Budget::new(BudgetConfig { workload, ..BudgetConfig::default() }).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_spent_leaves_the_baseline_and_says_so() {
    let model = Model::new(Behaviour::Greedy);
    let engine = inline(&model, GROWS).with_budget(with_workload(3));
    let spent = "not asked: the budget of calls for this workload is spent for this hour";
    for nth in 0..20 {
        let (pods, said) = tick(&engine, &seen(nth * 60, 70.0)).await;
        assert_eq!((pods, said == spent), if nth < 3 { (9, false) } else { (6, true) }, "{said}");
    }
    assert_eq!(tick(&engine, &seen_of("api", 1_200, 70.0)).await.0, 9, "another workload has its own");
    assert_eq!((model.asked(), counts(&engine).not_asked.over_budget), (4, 17));
    assert_eq!(tick(&engine, &seen(4_200, 70.0)).await.0, 9, "an hour later");
}

#[tokio::test(start_paused = true)]
async fn tokens_and_cost_are_counted_by_the_prices_of_the_host() {
    let id = ModelId::new("anthropic", "claude-haiku-5-5");
    let prices = PriceTable::new(Currency::EUR).with(id, ModelPrice::per_million(0.1, 0.5).unwrap());
    let budget = Budget::new(BudgetConfig { prices, ..BudgetConfig::default() }).unwrap();
    let model = Model::new(Behaviour::Greedy);
    let engine = inline(&model, GROWS).with_budget(budget);
    for second in [0, 60] {
        tick(&engine, &seen(second, 70.0)).await;
    }
    let counts = counts(&engine);
    assert_eq!((counts.input_tokens, counts.output_tokens, counts.unpriced), (1_800, 80, 0));
    assert!((counts.cost - (1_800.0 * 0.1 + 80.0 * 0.5) / 1e6).abs() < 1e-12, "{}", counts.cost);
}

#[tokio::test(start_paused = true)]
async fn so_many_questions_are_under_way_at_a_time_over_all_engines() {
    let model = Model::slow(Behaviour::Greedy, 5);
    let budget = Budget::new(BudgetConfig { under_way: 3, ..BudgetConfig::default() }).unwrap();
    let engines = [0, 1].map(|_| engine(&model, GROWS).with_budget(budget.clone()));
    let mut full = 0;
    for nth in 0..20 {
        let (pods, said) = tick(&engines[nth % 2], &seen_of(&nth.to_string(), 0, 70.0)).await;
        full += usize::from(said == "not asked: 3 questions are under way");
        assert_eq!(pods, 6);
    }
    pass(6).await;
    assert_eq!((full, model.asked(), model.most_under_way(), budget.under_way()), (17, 3, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_is_not_asked_about_any_workload_until_a_probe_works() {
    let model = Model::new(Behaviour::Panics);
    let breaker = ModelBreaker::default();
    let engines = [0, 1].map(|_| inline(&model, GROWS).with_breaker(breaker.clone()));
    for nth in 0..5 {
        let (pods, said) = tick(&engines[nth % 2], &seen_of(&nth.to_string(), 0, 70.0)).await;
        assert_eq!((pods, &*said), (6, "no advice: the model is unavailable: it panicked"));
    }
    let (pods, said) = tick(&engines[1], &seen_of("other", 59, 70.0)).await;
    assert!(pods == 6 && said.starts_with("not asked: the model failed too often and is not asked before "), "{said}");
    assert_eq!((model.asked(), engines[1].stats().counts().not_asked.breaker_open), (5, 1));
    model.becomes(Behaviour::Greedy);
    assert_eq!(tick(&engines[0], &seen_of("other", 60, 70.0)).await.0, 9);
    assert_eq!(tick(&engines[1], &seen_of("another", 60, 70.0)).await.0, 9);
}

#[tokio::test(start_paused = true)]
async fn a_denied_key_costs_one_question_in_a_quarter_of_an_hour() {
    let model = Model::new(Behaviour::Fails(ModelError::Denied("401".into())));
    let engine = engine(&model, GROWS);
    for second in (0..3_600).step_by(15) {
        tick(&engine, &seen(second, 70.0)).await;
        pass(1).await;
    }
    assert_eq!(model.asked(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_question_over_budget_takes_no_probe() {
    let model = Model::new(Behaviour::Fails(ModelError::Denied("401".into())));
    let breaker = ModelBreaker::default();
    let poor = inline(&model, GROWS).with_breaker(breaker.clone()).with_budget(with_workload(1));
    let rich = inline(&model, GROWS).with_breaker(breaker);
    tick(&poor, &seen(0, 70.0)).await;
    model.becomes(Behaviour::Greedy);
    assert!(tick(&poor, &seen(900, 70.0)).await.1.contains("budget"));
    assert_eq!(tick(&rich, &seen(900, 70.0)).await.0, 9);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_price_refuses_where_money_is_limited() {
    let process = SpendLimits { money: Some(1.0), ..SpendLimits::default() };
    let budget = Budget::new(BudgetConfig { process, ..BudgetConfig::default() }).unwrap();
    let model = Model::new(Behaviour::Greedy);
    let engine: LlmEngine<Model, Asks> = engine(&model, GROWS).with_budget(budget);
    let (pods, said) = tick(&engine, &seen(0, 70.0)).await;
    assert_eq!((pods, model.asked()), (6, 0));
    assert_eq!(
        said,
        "not asked: money is limited, and the price of \"claude-haiku-5-5\" of \"anthropic\" is not known"
    );
}
