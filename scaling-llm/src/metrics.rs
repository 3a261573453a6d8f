//! [`LlmMetrics`]: the counters of an engine on the page that Prometheus reads.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::stats::LATENCY_BUCKETS;
use crate::{Budget, LlmEngine, LlmStats, ModelBreaker};

/// Counters and gauges of an [`LlmEngine`], to be shown by
/// [`Metrics::with_collector`](scaling_core::telemetry::Metrics::with_collector). Its labels have few values, whatever the number of
/// workloads; the table of all of them is in [`scaling_core::telemetry`]. A page takes one: several engines share their counters
/// ([`LlmEngine::with_stats`]), budget and breaker.
///
/// ```
/// use scaling_core::RuleBasedEngine;
/// use scaling_core::telemetry::Metrics;
/// use scaling_llm::{LlmEngine, LlmMetrics};
///
/// let engine = LlmEngine::without_model(RuleBasedEngine::default());
/// let metrics = Metrics::new().with_collector(LlmMetrics::of(&engine));
/// assert!(metrics.render()?.contains("ai_scaling_llm_questions_total{outcome=\"late\"} 0\n"));
/// # Ok::<(), std::fmt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LlmMetrics {
    stats: Arc<LlmStats>,
    budget: Budget,
    breaker: ModelBreaker,
}

impl LlmMetrics {
    /// Creates a view of the counters of an engine, its budget and its breaker.
    pub fn of<M, B>(engine: &LlmEngine<M, B>) -> Self {
        Self { stats: engine.stats(), budget: engine.budget().clone(), breaker: engine.breaker().clone() }
    }
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, label): (&str, &str, &'static str),
    values: &[(&str, u64)],
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in values {
        let labels: Labels<'_> = vec![(label, value)];
        ConstCounter::new(*count).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

impl Collector for LlmMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.stats.counts();
        let name = ("ai_scaling_llm_questions", "Questions to a language model by their end", "outcome");
        let outcomes = [
            ("agreed", counts.answered.saturating_sub(counts.changed)),
            ("changed", counts.changed),
            ("late", counts.late),
            ("refused", counts.refused),
            ("unavailable", counts.unavailable),
            ("malformed", counts.malformed),
            ("out_of_range", counts.out_of_range),
            ("unsure", counts.unsure),
            ("unproved", counts.unproved),
            ("stale", counts.stale),
            ("abandoned", counts.abandoned),
        ];
        counter(&mut encoder, name, &outcomes)?;
        let name = ("ai_scaling_llm_not_asked", "Decisions without a question, by the reason", "reason");
        counter(&mut encoder, name, &counts.not_asked.by_reason())?;
        let equal = counts.decisions.saturating_sub(counts.decisions_changed);
        let name = ("ai_scaling_llm_decisions", "Decisions by whether they are the baseline's", "result");
        counter(&mut encoder, name, &[("equal", equal), ("changed", counts.decisions_changed)])?;
        let name = ("ai_scaling_llm_tokens", "Tokens of questions and answers", "type");
        counter(&mut encoder, name, &[("input", counts.input_tokens), ("output", counts.output_tokens)])?;
        let name =
            ("ai_scaling_llm_cached_tokens", "Input tokens read from or written to the provider's cache", "type");
        counter(&mut encoder, name, &[("read", counts.cache_read_tokens), ("write", counts.cache_write_tokens)])?;
        let help = "Cost of the answers whose price is known";
        let mut metric = encoder.encode_descriptor("ai_scaling_llm_cost", help, None, MetricType::Counter)?;
        let currency = self.budget.currency();
        let labels: Labels<'_> = vec![("currency", currency.code())];
        ConstCounter::new(counts.cost).encode(metric.encode_family(&labels)?)?;
        let help = "Answers whose cost is not known";
        let metric = encoder.encode_descriptor("ai_scaling_llm_unpriced", help, None, MetricType::Counter)?;
        ConstCounter::new(counts.unpriced).encode(metric)?;
        self.encode_latency(&mut encoder)?;
        let help = "Questions under way, of all engines that share the budget";
        let metric = encoder.encode_descriptor("ai_scaling_llm_under_way", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(self.budget.under_way()).unwrap_or(i64::MAX)).encode(metric)?;
        self.encode_breaker(&mut encoder)
    }
}

impl LlmMetrics {
    fn encode_latency(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let latency = self.stats.latency();
        let help = "Time that questions took, answered or not";
        let (name, unit) = ("ai_scaling_llm_latency", Unit::Seconds);
        let mut metric = encoder.encode_descriptor(name, help, Some(&unit), MetricType::Histogram)?;
        let ends = LATENCY_BUCKETS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = ends.zip(latency.counts).collect();
        metric.encode_histogram::<NoLabelSet>(latency.sum_s, latency.counts.iter().sum(), &buckets, None)
    }

    fn encode_breaker(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "1 for a model that is not asked because it failed too often, otherwise 0";
        let mut metric = encoder.encode_descriptor("ai_scaling_llm_breaker_open", help, None, MetricType::Gauge)?;
        for (model, is_open) in self.breaker.models() {
            let labels: Labels<'_> = vec![("provider", &model.provider), ("model", &model.model)];
            ConstGauge::new(i64::from(is_open)).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
