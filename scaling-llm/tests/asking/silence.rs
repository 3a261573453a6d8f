//! Without a model it simply is the baseline.

use scaling_core::{DecisionEngine, Observation, RuleBasedEngine, conformance::engine::observations};
use scaling_llm::{LlmConfig, LlmEngine};

use crate::world::{GROWS, Model, seen};

#[test]
fn without_a_model_it_is_the_baseline_to_the_byte() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (alone, advised) = (RuleBasedEngine::default(), LlmEngine::without_model(RuleBasedEngine::default()));
    assert_eq!(advised.name(), alone.name());
    let written =
        |engine: &dyn DecisionEngine, observation: &Observation| match runtime.block_on(engine.decide(observation)) {
            Ok(decision) => serde_json::to_string(&decision).unwrap(),
            Err(error) => error.to_string(),
        };
    for (case, observation) in observations() {
        assert_eq!(written(&advised, &observation), written(&alone, &observation), "{case}");
    }
}

#[test]
fn a_missing_model_is_counted() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let engine = LlmEngine::optional(None::<Model>, GROWS, LlmConfig::default()).unwrap();
    for second in 0..3 {
        let decision = runtime.block_on(engine.decide(&seen(second, 70.0))).unwrap();
        assert!(decision.reasons.iter().all(|reason| !reason.to_string().starts_with("llm")));
    }
    let counts = engine.stats().counts();
    assert_eq!((counts.not_asked.no_model, counts.decisions, counts.asked), (3, 3, 0));
}
