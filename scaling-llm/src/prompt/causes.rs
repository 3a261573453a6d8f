//! The baseline's reasons as codes and numbers, without anything that somebody wrote.

use scaling_core::{PlannedEvent, Reason, SignalKind};
use serde::Serialize;
use serde_json::{Value, json};

use super::events::alias_of;
use super::number::number;

const MAX_CAUSES: usize = 12;

/// Aliases of what has a name: events by their place in the question, windows and metrics in the order in which they come up.
pub(super) struct Aliases<'a> {
    events: &'a [&'a PlannedEvent],
    windows: Vec<String>,
    metrics: Vec<String>,
}

impl<'a> Aliases<'a> {
    pub(super) fn new(events: &'a [&'a PlannedEvent]) -> Self {
        Self { events, windows: Vec::new(), metrics: Vec::new() }
    }

    fn event(&self, name: &str) -> Option<String> {
        alias_of(name, self.events)
    }

    fn window(&mut self, name: &str) -> String {
        numbered('w', &mut self.windows, name)
    }

    fn metric(&mut self, name: &str) -> String {
        numbered('m', &mut self.metrics, name)
    }
}

fn numbered(letter: char, known: &mut Vec<String>, name: &str) -> String {
    let place = known.iter().position(|one| one == name).unwrap_or_else(|| {
        known.push(name.to_owned());
        known.len() - 1
    });
    format!("{letter}{}", place + 1)
}

pub(super) fn causes(reasons: &[Reason], aliases: &mut Aliases<'_>) -> Vec<Value> {
    reasons.iter().take(MAX_CAUSES).map(|reason| cause(reason, aliases)).collect()
}

/// The value of a type that holds nothing but numbers and names of its own variants.
pub(super) fn coded(value: &(impl Serialize + Copy)) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// One reason. Each is taken apart by hand, so that text of a new kind of reason cannot slip in.
pub(super) fn cause(reason: &Reason, aliases: &mut Aliases<'_>) -> Value {
    let field = |signal: &Option<SignalKind>| signal.map(SignalKind::field);
    match reason {
        Reason::Capacity { model, load, per_pod, samples, spread } => json!({
            "kind": "capacity", "model": coded(model), "load": field(load),
            "per_pod": per_pod.map_or(Value::Null, number), "samples": samples, "spread": number(*spread),
        }),
        Reason::Load { load, observed, demand } => json!({
            "kind": "load", "load": load.field(), "observed": number(*observed), "demand": number(*demand),
        }),
        Reason::Need { driver, replicas } => {
            json!({"kind": "need", "driver": coded(driver), "replicas": number(*replicas)})
        }
        Reason::Backlog { requests } => json!({"kind": "backlog", "requests": number(*requests)}),
        Reason::Errors { percent } => json!({"kind": "errors", "percent": number(*percent)}),
        Reason::SlowResponses { ms, usual_ms } => {
            json!({"kind": "slow_responses", "ms": number(*ms), "usual_ms": number(*usual_ms)})
        }
        Reason::Saturated { cpu_percent } => json!({"kind": "saturated", "cpu_percent": number(*cpu_percent)}),
        Reason::MemoryPressure { percent, target_percent } => json!({
            "kind": "memory_pressure", "percent": number(*percent), "target_percent": number(*target_percent),
        }),
        Reason::OverProvisioned { needed } => json!({"kind": "over_provisioned", "needed": number(*needed)}),
        Reason::RecentDemand { replicas } => json!({"kind": "recent_demand", "replicas": replicas}),
        Reason::SmallShrink { replicas, share } => {
            json!({"kind": "small_shrink", "replicas": replicas, "share": number(*share)})
        }
        // Its numbers are those of the question's forecast.
        Reason::Forecast { .. } => json!({"kind": "forecast"}),
        Reason::NoForecast { cause } => json!({"kind": "no_forecast", "cause": coded(cause)}),
        Reason::Trend { growth, seconds } => {
            json!({"kind": "trend", "growth": number(*growth), "seconds": number(*seconds)})
        }
        Reason::DailyPattern { swing, days } => {
            json!({"kind": "daily_pattern", "swing": number(*swing), "days": number(*days)})
        }
        Reason::Weekend => json!({"kind": "weekend"}),
        Reason::Event { name, factor } => {
            json!({"kind": "event", "event": aliases.event(name), "factor": number(*factor)})
        }
        Reason::SignalAbsent { signal, absence } => {
            json!({"kind": "signal_absent", "signal": signal.field(), "absence": coded(absence)})
        }
        Reason::HeldForAbsence { replicas } => json!({"kind": "held_for_absence", "replicas": replicas}),
        Reason::ScaledToZero => json!({"kind": "scaled_to_zero"}),
        Reason::FellBack { .. } => json!({"kind": "fell_back"}),
        Reason::Ensemble { answered, asked, .. } => {
            json!({"kind": "ensemble", "answered": answered, "asked": asked})
        }
        Reason::Schedule { window, replicas } => {
            json!({"kind": "schedule", "window": aliases.window(window), "replicas": replicas})
        }
        Reason::HpaProposal { metric, replicas } => {
            json!({"kind": "hpa_proposal", "metric": aliases.metric(metric), "replicas": replicas})
        }
        Reason::HpaMetricFailed { metric, .. } => {
            json!({"kind": "hpa_metric_failed", "metric": aliases.metric(metric)})
        }
        Reason::HpaLimited { .. } => json!({"kind": "hpa_limited"}),
        Reason::Custom { .. } => json!({"kind": "custom"}),
        _ => json!({"kind": "other"}),
    }
}
