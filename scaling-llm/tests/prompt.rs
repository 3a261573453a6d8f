//! Prompts: bounded, stable, and closed to what others write.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use scaling_core::conformance::engine::{extreme_facts, observations, steady};
use scaling_core::{
    Absence, Bounds, EventKind, Floor, HardLimits, LoadForecast, MetricsHistory, NoForecast, Observation, PlannedEvent,
    Provenance, Reason, ResourceChange, ScalingDecision, ScalingMetrics, SignalKind, SignalSet, StepLimit, Target,
    WorkloadFacts,
};
use scaling_llm::prompt::{BacktestSays, KnownLimits, MAX_BYTES, SYSTEM};
use scaling_llm::{AdviceRange, Prompt, Question, ReplicaRange, reply};
use serde_json::{Value, json};

fn target() -> Target {
    Target::deployment("shop", "checkout").with_hpa("checkout-hpa")
}

fn at() -> DateTime<Utc> {
    "2026-11-24T09:30:00Z".parse().unwrap()
}

fn range(observation: &Observation, baseline: &ScalingDecision) -> AdviceRange {
    AdviceRange::new(ReplicaRange::around(baseline, 0.5), observation, baseline, 0.5)
}

fn written(question: &Question<'_>) -> (String, Value) {
    let prompt = Prompt::new(question);
    assert_eq!(prompt.system, SYSTEM);
    assert!(prompt.user.len() <= MAX_BYTES, "{} bytes: {}", prompt.user.len(), prompt.user);
    let value = serde_json::from_str(&prompt.user).unwrap();
    (prompt.user, value)
}

fn prompt(observation: &Observation, baseline: &ScalingDecision) -> (String, Value) {
    written(&Question::new(observation, baseline, range(observation, baseline)))
}

fn event(start: DateTime<Utc>, hours: i64, factor: f64) -> PlannedEvent {
    PlannedEvent::new("flash sale", start, start + TimeDelta::hours(hours), factor).unwrap()
}

/// An observation with something in every part, and the baseline's decision about it.
fn rich() -> (Observation, ScalingDecision) {
    let sample =
        |minutes, cpu| ScalingMetrics::new(at() - TimeDelta::minutes(minutes), 4).with(SignalKind::CpuUtilization, cpu);
    let past = MetricsHistory::from_unordered(vec![sample(2, 61.5), sample(1, f64::NAN)]).0;
    let mut now = sample(0, 72.3456).with(SignalKind::ErrorRate, f64::NAN).with(SignalKind::MemoryUtilization, 84.0);
    now = now.without(SignalKind::QueueDepth, Absence::Stale { age_s: 90 });
    now.response_time_quantile = Some(0.95);
    let mut facts = WorkloadFacts::default();
    facts.memory_request_bytes = Some(512 << 20);
    facts.memory_limit_bytes = Some(1 << 30);
    facts.pod_capacity = Some(120.0);
    let sale = event(at() + TimeDelta::minutes(20), 2, 10.0).of_kind(EventKind::Sale);
    let unconfirmed = SignalSet::of([SignalKind::CpuUtilization]);
    let mut observation = Observation::new(target(), now).with_history(past).with_events(vec![sale]).with_facts(facts);
    observation.provenance = Some(Provenance { unconfirmed, ..Provenance::default() }.into());
    observation = observation.with_forecast(Ok(LoadForecast {
        signal: SignalKind::RequestRate,
        observed: 760.0,
        expected: 901.26,
        quantile: 0.97,
        ahead_s: 105.0,
    }));
    let window = Reason::Schedule { window: "morning".into(), replicas: 5 };
    let baseline = ScalingDecision::replicas("rules", at(), 4, 6)
        .with_confidence(0.82)
        .with_resources(Some(ResourceChange { cpu_percent: 0, memory_percent: 20 }))
        .because(Reason::Backlog { requests: 12.0 })
        .because(Reason::Event { name: "flash sale".into(), factor: 10.0 })
        .because(window.clone())
        .because(Reason::HpaProposal { metric: "cpu".into(), replicas: 6 })
        .with_floor(Floor::new(5, window).until(at() + TimeDelta::minutes(30)));
    (observation, baseline)
}

#[test]
fn the_whole_question() {
    let (observation, baseline) = rich();
    let limits = KnownLimits {
        hard: Some(HardLimits::new(2, 20).unwrap()),
        bounds: Some(Bounds::new(3, 10).unwrap()),
        step: Some(StepLimit { up: 2.0, down: 0.75 }),
        cooldown_left: Some(std::time::Duration::from_millis(14_200)),
    };
    let says = BacktestSays {
        hours: 168.0,
        violating_share: 0.0042,
        pod_hours: 1234.56,
        oracle_ratio: Some(1.13),
        peak_pods: 11,
    };
    let question = Question::new(&observation, &baseline, range(&observation, &baseline));
    let (text, _) = written(&question.with_limits(limits).with_backtest(Some(says)));
    let expected = concat!(
        r#"{"allowed":{"lowest":6,"highest":9,"cpu_request_percent_of_now":{"lowest":100,"highest":100},"#,
        r#""memory_request_percent_of_now":{"lowest":120,"highest":180}},"#,
        r#""baseline":{"target_replicas":6,"cpu_request_percent_of_now":100,"memory_request_percent_of_now":120,"#,
        r#""floor":{"replicas":5,"ends_in_min":30,"cause":{"kind":"schedule","replicas":5,"window":"w1"}},"#,
        r#""confidence_percent":82,"urgency":"normal","timing":"now","foreseen":false,"causes":["#,
        r#"{"kind":"backlog","requests":12},{"event":"e1","factor":10,"kind":"event"},"#,
        r#"{"kind":"schedule","replicas":5,"window":"w1"},{"kind":"hpa_proposal","metric":"m1","replicas":6}]},"#,
        r#""backtest":{"hours":168,"violating_percent":0.42,"pod_hours":1235,"times_best_pod_hours":1.13,"peak_pods":11},"#,
        r#""limits":{"hard_min":2,"hard_max":20,"hpa_min":3,"hpa_max":10,"step_up_percent":100,"step_down_percent":25,"#,
        r#""shrink_cooldown_left_s":15},"#,
        r#""replicas":4,"ready":4,"resources":{"cpu_request_millicores":null,"cpu_limit_millicores":null,"#,
        r#""memory_request_mib":512,"memory_limit_mib":1024},"#,
        r#""start_up_s":60,"wait_objective_ms":1000,"capacity_per_pod_rps":120,"weekday":"Tue","hour":9,"#,
        r#""now":{"cpu_utilization_percent":72.35,"memory_utilization_percent":84,"#,
        r#""request_rate_per_second":null,"response_time_ms":null,"#,
        r#""error_rate_percent":{"absent":"not_finite"},"active_connections":null,"#,
        r#""queue_depth":{"absent":"stale","age_s":90}},"response_time_quantile":0.95,"#,
        r#""unconfirmed":["cpu_utilization_percent"],"#,
        r#""forecast":{"ahead_s":105,"observed":760,"signal":"request_rate_per_second","upper":901.3,"upper_quantile_percent":97},"#,
        r#""history":["t_min,ready,cpu_utilization_percent,memory_utilization_percent,request_rate_per_second,response_time_ms,error_rate_percent,active_connections,queue_depth","#,
        r#""-2,4,61.5,,,,,,","-1,4,,,,,,,"],"#,
        r#""events":[{"id":"e1","kind":"sale","starts_in_min":20,"ends_in_min":140,"load_factor":10}]}"#,
    );
    assert_eq!(text, expected);
}

#[test]
fn the_baselines_own_forecast_is_told_and_so_is_why_there_is_none() {
    let (observation, baseline) = rich();
    let forecast =
        |observation: &Observation, baseline: &ScalingDecision| prompt(observation, baseline).1["forecast"].clone();
    let mut untold = observation.clone();
    untold.forecast = None;
    assert_eq!(forecast(&untold, &baseline), Value::Null);
    let own = Reason::Forecast { signal: None, observed: 2.5, expected: 3.0, quantile: 0.9, ahead_s: 90.0 };
    let expected = json!({"signal": null, "observed": 2.5, "upper": 3, "upper_quantile_percent": 90, "ahead_s": 90});
    assert_eq!(forecast(&untold, &baseline.clone().because(own.clone())), expected);
    let none = untold.with_forecast(Err(NoForecast::NoLoad { signal: SignalKind::RequestRate }));
    assert_eq!(forecast(&none, &baseline), json!({"no_forecast": "no_load", "signal": "request_rate"}));
    assert_eq!(forecast(&none, &baseline.because(own)), expected);
}

#[test]
fn the_present_and_what_is_later_are_no_history() {
    let observation = steady(3, 40);
    let later = ScalingMetrics::new(observation.current.timestamp + TimeDelta::minutes(1), 9);
    let mut history = MetricsHistory::clone(&observation.history);
    history.push(&observation.current).unwrap();
    history.push(&later).unwrap();
    let baseline = ScalingDecision::replicas("rules", at(), 3, 3);
    let (text, value) = prompt(&observation, &baseline);
    assert_eq!(prompt(&observation.clone().with_history(history), &baseline).0, text);
    let rows = value["history"].as_array().unwrap();
    let minutes: Vec<_> = rows.iter().map(|row| row.as_str().unwrap().split(',').next().unwrap()).collect();
    assert_eq!(minutes, ["t_min", "-30", "-22", "-16", "-12", "-9", "-7", "-5", "-4", "-3", "-2", "-1"]);
}

#[test]
fn times_are_measured_from_when_it_was_asked() {
    let sale = event(at() + TimeDelta::minutes(20), 2, 10.0);
    let past = MetricsHistory::from_unordered(vec![ScalingMetrics::new(at() - TimeDelta::minutes(2), 4)]).0;
    let observation = Observation::new(target(), ScalingMetrics::new(at(), 4)).with_history(past);
    let late = observation.with_events(vec![sale]).at(at() + TimeDelta::minutes(45));
    let (_, value) = prompt(&late, &ScalingDecision::replicas("rules", at(), 4, 6));
    assert_eq!((&value["hour"], &value["history"][1]), (&json!(10), &json!("-47,4,,,,,,,")));
    assert_eq!(value["events"][0]["starts_in_min"], -25);
}

#[test]
fn the_order_in_which_events_were_declared_does_not_matter() {
    let at_hour = |hours, factor| event(at() + TimeDelta::hours(hours), 1, factor);
    let mut events: Vec<_> = (-10..10).flat_map(|hours| [at_hour(hours, 2.0), at_hour(hours, 3.0)]).collect();
    let baseline = ScalingDecision::replicas("rules", at(), 4, 6);
    let observation = Observation::new(target(), ScalingMetrics::new(at(), 4));
    let (first, value) = prompt(&observation.clone().with_events(events.clone()), &baseline);
    assert_eq!(value["events"].as_array().unwrap().len(), 8);
    events.reverse();
    assert_eq!(prompt(&observation.with_events(events), &baseline).0, first);
}

#[test]
fn awkward_observations_make_bounded_prompts_that_can_be_read() {
    for (case, observation) in observations().into_iter().chain(extreme_facts()) {
        let current = observation.current.replicas().unwrap();
        let baseline = ScalingDecision::replicas("rules", observation.current.timestamp, current, current / 2);
        let (_, value) = prompt(&observation, &baseline);
        assert_eq!(value["now"].as_object().unwrap().len(), 7, "{case}");
    }
}

#[test]
fn the_system_text_shows_an_answer_that_is_taken() {
    let example = SYSTEM.lines().find(|line| line.starts_with('{')).unwrap();
    assert!(reply::parse(example).is_ok());
    let (observation, baseline) = rich();
    let mut fields = Vec::new();
    names(&prompt(&observation, &baseline).1, &mut fields);
    // Codes of causes say what they mean, and so do the signals' names; what is in `history` is told of `now`.
    let known = ["kind", "requests", "event", "window", "metric", "factor", "cause", "absent", "age_s", "id"];
    for field in fields {
        let told = known.contains(&field.as_str()) || SignalKind::ALL.iter().any(|kind| kind.field() == field);
        let resource = ["_request_millicores", "_limit_millicores", "_request_mib", "_limit_mib"];
        let told = told || resource.iter().any(|end| field.ends_with(end)) || field.ends_with("request_percent_of_now");
        assert!(told || SYSTEM.contains(&field), "{field} is not explained");
    }
}

fn names(value: &Value, fields: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            fields.push(name.clone());
            names(value, fields);
        }),
        Value::Array(values) => values.iter().for_each(|value| names(value, fields)),
        _ => {}
    }
}

prop_compose! {
    fn samples()(values in prop::collection::vec(any::<f64>(), 7), pods in any::<u32>(), ms in any::<u32>()) -> ScalingMetrics {
        let at = DateTime::from_timestamp_millis(1_700_000_000_000 + i64::from(ms)).unwrap();
        let limited = |(kind, value): (SignalKind, f64)| (kind, value.abs() % (kind.limit() * 1.1));
        SignalKind::ALL.into_iter().zip(values).map(limited).fold(ScalingMetrics::new(at, pods), |sample, (kind, value)| sample.with(kind, value))
    }
}

fn reasons() -> impl Strategy<Value = Reason> {
    prop_oneof![
        (any::<f64>(), any::<f64>()).prop_map(|(observed, demand)| Reason::Load {
            load: SignalKind::ActiveConnections,
            observed,
            demand
        }),
        (".{0,300}", any::<f64>()).prop_map(|(name, factor)| Reason::Event { name, factor }),
        (any::<f64>(), any::<f64>()).prop_map(|(growth, seconds)| Reason::Trend { growth, seconds }),
        (any::<u32>(), any::<f64>(), any::<f64>()).prop_map(|(samples, per_pod, spread)| Reason::Capacity {
            model: scaling_core::CapacityModel::UtilizationRatio,
            load: Some(SignalKind::ActiveConnections),
            per_pod: Some(per_pod),
            samples,
            spread,
        }),
        ".{0,3000}".prop_map(|text| Reason::Custom { rule: text.clone().into(), text: text.into() }),
    ]
}

prop_compose! {
    fn events()(name in ".{0,200}", start in 0_i64..4_000_000_000, length in 1_i64..4_000_000_000, factor in 1e-9..1000.0) -> PlannedEvent {
        let start = DateTime::from_timestamp(start, 0).unwrap();
        PlannedEvent::new(name, start, start + TimeDelta::seconds(length), factor).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_input_makes_a_prompt_too_long_or_unreadable(
        past in prop::collection::vec(samples(), 0..400),
        now in samples(),
        events in prop::collection::vec(events(), 0..40),
        reasons in prop::collection::vec(reasons(), 0..40),
        current in any::<u32>(),
        desired in any::<u32>(),
    ) {
        let mut facts = WorkloadFacts::default();
        facts.cpu_request_millicores = Some(u64::from(current) << 32);
        facts.memory_limit_bytes = Some(u64::MAX);
        let past = MetricsHistory::from_unordered(past).0;
        let observation = Observation::new(target(), now).with_history(past).with_events(events).with_facts(facts);
        let mut baseline = ScalingDecision::replicas("rules", observation.current.timestamp, current, desired);
        baseline.floor = reasons.first().map(|reason| Floor::new(u32::MAX, reason.clone()).until(DateTime::<Utc>::MAX_UTC));
        baseline.reasons = reasons;
        baseline.resources = Some(ResourceChange { cpu_percent: i32::MIN, memory_percent: i32::MAX });
        let (text, _) = prompt(&observation, &baseline);
        prop_assert!(text.is_ascii());
        prop_assert_eq!(prompt(&observation.clone(), &baseline).0, text, "equal inputs, equal bytes");
    }
}
