//! The question in the order in which its fields are written.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDateTime, Offset, Timelike, Utc, Weekday};
use scaling_core::{Bounds, Floor, HardLimits, LoadForecast, Reason, ScalingDecision, SignalKind, Timing, Urgency};
use serde::Serialize;
use serde_json::{Value, json};

use super::causes::{self, Aliases};
use super::events::{self, Event};
use super::history;
use super::number::{number, whole_seconds};
use super::signals::Signals;
use super::{BacktestSays, KnownLimits, Question};
use crate::advice::Resize;
use crate::range::PercentRange;

#[derive(Serialize)]
pub(super) struct Written<'a> {
    allowed: Allowed,
    baseline: Baseline,
    backtest: Option<Backtest>,
    limits: Limits,
    replicas: u32,
    ready: Option<u32>,
    resources: Resources,
    start_up_s: Value,
    wait_objective_ms: Value,
    capacity_per_pod_rps: Value,
    weekday: Option<&'static str>,
    hour: Option<u32>,
    now: Signals<'a>,
    response_time_quantile: Value,
    unconfirmed: Vec<&'static str>,
    forecast: Value,
    history: Vec<String>,
    events: Vec<Event>,
}

#[derive(Serialize)]
struct Allowed {
    lowest: u32,
    highest: u32,
    cpu_request_percent_of_now: Range,
    memory_request_percent_of_now: Range,
}

#[derive(Serialize)]
struct Range {
    lowest: u32,
    highest: u32,
}

#[derive(Serialize)]
struct Baseline {
    target_replicas: u32,
    cpu_request_percent_of_now: u32,
    memory_request_percent_of_now: u32,
    floor: Option<FloorSeen>,
    confidence_percent: Value,
    urgency: Urgency,
    timing: Timing,
    foreseen: bool,
    causes: Vec<Value>,
}

#[derive(Serialize)]
struct FloorSeen {
    replicas: u32,
    ends_in_min: Option<i64>,
    cause: Value,
}

#[derive(Serialize)]
struct Backtest {
    hours: Value,
    violating_percent: Value,
    pod_hours: Value,
    times_best_pod_hours: Value,
    peak_pods: u32,
}

#[derive(Serialize)]
struct Limits {
    hard_min: Option<u32>,
    hard_max: Option<u32>,
    hpa_min: Option<u32>,
    hpa_max: Option<u32>,
    step_up_percent: Value,
    step_down_percent: Value,
    shrink_cooldown_left_s: Value,
}

#[derive(Serialize)]
struct Resources {
    cpu_request_millicores: Option<u64>,
    cpu_limit_millicores: Option<u64>,
    memory_request_mib: Value,
    memory_limit_mib: Value,
}

impl<'a> Written<'a> {
    pub(super) fn new(question: &Question<'a>) -> Self {
        let Question { observation, baseline, allowed, limits, backtest } = *question;
        let (now, facts) = (observation.now, &observation.facts);
        let nearest = events::nearest(&observation.events, now);
        let mut aliases = Aliases::new(&nearest);
        let local = local(now, facts.utc_offset_seconds);
        let mib = |bytes: Option<u64>| bytes.map_or(Value::Null, |bytes| number(bytes as f64 / 1_048_576.0));
        let range = |PercentRange { lowest, highest }| Range { lowest, highest };
        let declared = observation.declared();
        let unconfirmed = observation.provenance.as_ref().map(|provenance| provenance.unconfirmed).unwrap_or_default();
        Self {
            allowed: Allowed {
                lowest: allowed.replicas.lowest,
                highest: allowed.replicas.highest,
                cpu_request_percent_of_now: range(allowed.cpu_percent),
                memory_request_percent_of_now: range(allowed.memory_percent),
            },
            baseline: Baseline::new(baseline, now, &mut aliases),
            backtest: backtest.map(Backtest::new),
            limits: Limits::new(&limits),
            replicas: baseline.current_replicas,
            ready: observation.current.current_pod_count,
            resources: Resources {
                cpu_request_millicores: facts.cpu_request_millicores,
                cpu_limit_millicores: facts.cpu_limit_millicores,
                memory_request_mib: mib(facts.memory_request_bytes),
                memory_limit_mib: mib(facts.memory_limit_bytes),
            },
            start_up_s: whole_seconds(facts.start_up),
            wait_objective_ms: number(facts.objective.wait.as_secs_f64() * 1000.0),
            capacity_per_pod_rps: facts.pod_capacity.map_or(Value::Null, number),
            weekday: local.map(|local| weekday(local.weekday())),
            hour: local.map(|local| local.hour()),
            now: Signals { metrics: &observation.current, declared },
            response_time_quantile: observation.current.response_time_quantile.map_or(Value::Null, number),
            unconfirmed: unconfirmed.iter().map(SignalKind::field).collect(),
            forecast: forecast(question),
            history: history::table(&observation.history, observation.current.timestamp, now),
            events: nearest.iter().zip(1..).map(|(event, nth)| Event::new(event, nth, now)).collect(),
        }
    }
}

/// Local time of the workload; none at the end of time.
fn local(now: DateTime<Utc>, offset_seconds: i32) -> Option<NaiveDateTime> {
    let offset = FixedOffset::east_opt(offset_seconds).unwrap_or_else(|| Utc.fix());
    now.naive_utc().checked_add_offset(offset)
}

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "Mon",
        Weekday::Tue => "Tue",
        Weekday::Wed => "Wed",
        Weekday::Thu => "Thu",
        Weekday::Fri => "Fri",
        Weekday::Sat => "Sat",
        Weekday::Sun => "Sun",
    }
}

/// The forecast that the engine was given, or the one that the baseline made itself.
fn forecast(question: &Question<'_>) -> Value {
    let (signal, observed, upper, quantile, ahead_s) = match &question.observation.forecast {
        Some(Ok(LoadForecast { signal, observed, expected, quantile, ahead_s })) => {
            (Some(*signal), observed, expected, quantile, ahead_s)
        }
        given => {
            let own = question.baseline.reasons.iter().find_map(|reason| match reason {
                Reason::Forecast { signal, observed, expected, quantile, ahead_s } => {
                    Some((*signal, observed, expected, quantile, ahead_s))
                }
                _ => None,
            });
            match (own, given) {
                (Some(own), _) => own,
                (None, Some(Err(cause))) => return causes::coded(cause),
                (None, _) => return Value::Null,
            }
        }
    };
    json!({
        "signal": signal.map(SignalKind::field),
        "observed": number(*observed),
        "upper": number(*upper),
        "upper_quantile_percent": number(quantile * 100.0),
        "ahead_s": number(*ahead_s),
    })
}

impl Baseline {
    fn new(decision: &ScalingDecision, now: DateTime<Utc>, aliases: &mut Aliases<'_>) -> Self {
        let Resize { cpu_percent, memory_percent } = Resize::of(decision);
        let floor = |floor: &Floor, aliases: &mut Aliases<'_>| FloorSeen {
            replicas: floor.replicas,
            ends_in_min: floor.until.map(|end| (end - now).num_minutes()),
            cause: causes::cause(&floor.reason, aliases),
        };
        Self {
            target_replicas: decision.desired_replicas,
            cpu_request_percent_of_now: cpu_percent,
            memory_request_percent_of_now: memory_percent,
            floor: decision.floor.as_ref().map(|one| floor(one, aliases)),
            confidence_percent: number(decision.confidence.value() * 100.0),
            urgency: decision.urgency,
            timing: decision.timing,
            foreseen: decision.foreseen,
            causes: causes::causes(&decision.reasons, aliases),
        }
    }
}

impl Backtest {
    fn new(says: BacktestSays) -> Self {
        Self {
            hours: number(says.hours),
            violating_percent: number(says.violating_share * 100.0),
            pod_hours: number(says.pod_hours),
            times_best_pod_hours: says.oracle_ratio.map_or(Value::Null, number),
            peak_pods: says.peak_pods,
        }
    }
}

impl Limits {
    fn new(limits: &KnownLimits) -> Self {
        let KnownLimits { hard, bounds, step, cooldown_left } = *limits;
        let hard = hard.map(HardLimits::bounds);
        Self {
            hard_min: hard.map(Bounds::min),
            hard_max: hard.map(Bounds::max),
            hpa_min: bounds.map(Bounds::min),
            hpa_max: bounds.map(Bounds::max),
            step_up_percent: step.map_or(Value::Null, |step| number((step.up.max(1.0) - 1.0) * 100.0)),
            step_down_percent: step.map_or(Value::Null, |step| number((1.0 - step.down.clamp(0.0, 1.0)) * 100.0)),

            shrink_cooldown_left_s: cooldown_left.map_or(Value::Null, whole_seconds),
        }
    }
}
