//! The page that Prometheus reads: what a model was asked, what became of it, and what it cost.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use scaling_core::telemetry::Metrics;
use scaling_core::{
    Currency, DecisionEngine, EngineError, Observation, ScalingDecision, ScalingMetrics, SignalKind, Target,
};
use scaling_llm::{
    Budget, BudgetConfig, ChatModel, Completion, LlmConfig, LlmEngine, LlmMetrics, ModelError, ModelId, ModelPrice,
    PriceTable, Usage,
};

/// Answers otherwise each time.
struct Turns(std::sync::atomic::AtomicUsize);

#[async_trait]
impl ChatModel for Turns {
    fn id(&self) -> ModelId {
        ModelId::new("anthropic", "claude-haiku-5-5")
    }

    async fn complete(&self, _: &str, _: &str) -> Result<Completion, ModelError> {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let advice = |target| {
            format!(r#"{{"assessment":"","action":"scale","target_replicas":{target},"confidence_percent":90}}"#)
        };
        let text = match self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => advice(9),
            1 => advice(6),
            2 => advice(99),
            3 => "Sure!".to_owned(),
            4 => return Err(ModelError::Refused),
            5 => std::future::pending().await,
            _ => return Err(ModelError::Denied("401".into())),
        };
        let usage = Usage { input_tokens: 1_000, output_tokens: 100, cache_read_tokens: 600, cache_write_tokens: 0 };
        Ok(Completion { usage, ..Completion::text(text) })
    }
}

struct Six;

#[async_trait]
impl DecisionEngine for Six {
    fn name(&self) -> &'static str {
        "six"
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        Ok(ScalingDecision::replicas("six", observation.current.timestamp, 4, 6).with_confidence(0.9))
    }
}

#[tokio::test(start_paused = true)]
async fn every_outcome_is_on_the_page() {
    let id = ModelId::new("anthropic", "claude-haiku-5-5");
    let price = ModelPrice::per_million(100.0, 500.0).unwrap().with_cache(10.0, 125.0).unwrap();
    let prices = PriceTable::new(Currency::EUR).with(id, price);
    let budget = Budget::new(BudgetConfig { prices, ..BudgetConfig::default() }).unwrap();
    let engine = LlmEngine::with_config(Turns(0.into()), Six, LlmConfig::inline()).unwrap().with_budget(budget);
    let metrics = Metrics::new().with_collector(LlmMetrics::of(&engine));
    for nth in 0..8 {
        let now = DateTime::UNIX_EPOCH + TimeDelta::minutes(nth);
        let seen = ScalingMetrics::new(now, 4).with(SignalKind::CpuUtilization, 90.0);
        engine.decide(&Observation::new(Target::deployment("shop", format!("web-{nth}")), seen)).await.unwrap();
    }
    let page = metrics.render().unwrap();
    let expected = [
        "ai_scaling_llm_questions_total{outcome=\"agreed\"} 1",
        "ai_scaling_llm_questions_total{outcome=\"changed\"} 1",
        "ai_scaling_llm_questions_total{outcome=\"late\"} 1",
        "ai_scaling_llm_questions_total{outcome=\"refused\"} 1",
        "ai_scaling_llm_questions_total{outcome=\"unavailable\"} 1",
        "ai_scaling_llm_questions_total{outcome=\"malformed\"} 1",
        "ai_scaling_llm_questions_total{outcome=\"out_of_range\"} 1",
        "ai_scaling_llm_questions_total{outcome=\"unsure\"} 0",
        "ai_scaling_llm_not_asked_total{reason=\"breaker_open\"} 1",
        "ai_scaling_llm_not_asked_total{reason=\"over_budget\"} 0",
        "ai_scaling_llm_decisions_total{result=\"equal\"} 7",
        "ai_scaling_llm_decisions_total{result=\"changed\"} 1",
        "ai_scaling_llm_tokens_total{type=\"input\"} 4000",
        "ai_scaling_llm_tokens_total{type=\"output\"} 400",
        "ai_scaling_llm_cached_tokens_total{type=\"read\"} 2400",
        // Four answers of 400 tokens at 100, 600 at 10 and 100 at 500 a million.
        "ai_scaling_llm_cost_total{currency=\"EUR\"} 0.384",
        "ai_scaling_llm_unpriced_total 0",
        // Seven questions: six took a second and a half, one the deadline of ten seconds.
        "ai_scaling_llm_latency_seconds_sum 19",
        "ai_scaling_llm_latency_seconds_count 7",
        "ai_scaling_llm_latency_seconds_bucket{le=\"1.0\"} 0",
        "ai_scaling_llm_latency_seconds_bucket{le=\"2.0\"} 6",
        "ai_scaling_llm_latency_seconds_bucket{le=\"10.0\"} 7",
        "ai_scaling_llm_latency_seconds_bucket{le=\"+Inf\"} 7",
        "ai_scaling_llm_under_way 0",
        "ai_scaling_llm_breaker_open{provider=\"anthropic\",model=\"claude-haiku-5-5\"} 1",
    ];
    for line in expected {
        assert!(page.lines().any(|found| found == line || found == format!("{line}.0")), "{line}\n{page}");
    }
    // The table of the docs names every metric of this page.
    let docs = include_str!("../../scaling-core/src/telemetry.rs");
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ai_scaling_llm_")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let total = if kind == "counter" { "_total" } else { "" };
        assert!(docs.contains(&format!("//! | `ai_scaling_llm_{name}{total}` | {kind} ")), "{line}");
    }
    // Labels of few values: no workload among them.
    let lines = page.lines().filter(|line| line.contains("_llm_"));
    assert!(lines.clone().count() < 100 && lines.clone().all(|line| !line.contains("web-")), "{page}");
}
