//! Spans of a tick, with what an operator searches by. They cost a load of one flag each while nobody listens.
//!
//! `otel.status_description` makes a span an error for OpenTelemetry; to everybody else it is one more field.

use tracing::Span;
use tracing::field::Empty;

use crate::decision::ScalingDecision;
use crate::engine::EngineError;
use crate::plan::HpaPlan;
use crate::record::{DecisionRecord, Outcome};
use crate::state::ApplyMode;
use crate::target::Target;

/// Asking the source, for one workload or for many.
pub(super) fn observe(targets: usize) -> Span {
    tracing::info_span!("observe_metrics", targets)
}

/// One tick of one workload.
pub(super) fn tick(target: &Target, mode: ApplyMode) -> Span {
    tracing::info_span!(
        "tick",
        cluster = target.cluster,
        namespace = target.namespace,
        kind = target.kind,
        name = target.name,
        mode = %mode,
        engine = Empty,
        outcome = Empty,
        guard = Empty,
        replicas = Empty,
        replicas_wanted = Empty,
        floor_replicas = Empty,
        min_replicas = Empty,
        max_replicas = Empty,
        otel.status_description = Empty,
    )
}

/// Enters the end of a tick into its span.
pub(super) fn ticked(span: &Span, record: &DecisionRecord) {
    if span.is_disabled() {
        return;
    }
    if let Some(decision) = &record.decision {
        span.record("engine", &*decision.engine);
        span.record("replicas_wanted", decision.wanted());
    }
    span.record("replicas", record.metrics.as_ref().and_then(crate::metrics::ScalingMetrics::replicas));
    span.record("floor_replicas", record.floor.as_ref().map(|floor| floor.replicas));
    if let Some(bounds) = record.change.map(|change| change.new).or(record.bounds) {
        span.record("min_replicas", bounds.min());
        span.record("max_replicas", bounds.max());
    }
    // What was withheld tells more than that a floor was held all the same.
    for end in [Some(&record.outcome), record.withheld.as_ref()].into_iter().flatten() {
        match end {
            Outcome::Refused { guard, .. } => {
                span.record("guard", &**guard);
            }
            Outcome::Failed { error, .. } => {
                span.record("otel.status_description", &**error);
            }
            Outcome::Unchanged { .. } | Outcome::Planned | Outcome::Validated | Outcome::Applied => {}
        }
    }
    span.record("outcome", record.outcome.label());
}

/// An engine that decides from the metrics.
pub(super) fn analyze(target: &Target, engine: &str) -> Span {
    tracing::info_span!(
        "analyze_metrics",
        cluster = target.cluster,
        namespace = target.namespace,
        name = target.name,
        engine,
        action = Empty,
        replicas = Empty,
        replicas_wanted = Empty,
        confidence = Empty,
        otel.status_description = Empty,
    )
}

/// Enters what an engine answered.
pub(super) fn analyzed(span: &Span, answer: &Result<ScalingDecision, EngineError>) {
    if span.is_disabled() {
        return;
    }
    match answer {
        Ok(decision) => {
            span.record("action", decision.action().label());
            span.record("replicas", decision.current_replicas);
            span.record("replicas_wanted", decision.wanted());
            span.record("confidence", decision.confidence.value());
        }
        Err(error) => {
            span.record("otel.status_description", tracing::field::display(error));
        }
    }
}

/// Carrying a plan out, as far as the mode lets it go.
pub(super) fn update(plan: &HpaPlan, mode: ApplyMode) -> Span {
    let target = plan.target();
    tracing::info_span!(
        "update_hpa_from_metrics",
        cluster = target.cluster,
        namespace = target.namespace,
        name = target.name,
        hpa = target.hpa,
        mode = %mode,
        old_min_replicas = plan.old_bounds().min(),
        old_max_replicas = plan.old_bounds().max(),
        min_replicas = plan.new_bounds().min(),
        max_replicas = plan.new_bounds().max(),
        outcome = Empty,
        otel.status_description = Empty,
    )
}

/// Enters how carrying it out ended.
pub(super) fn updated(span: &Span, outcome: &Outcome) {
    span.record("outcome", outcome.label());
    if let Outcome::Failed { error, .. } = outcome {
        span.record("otel.status_description", &**error);
    }
}
