//! One vector of each kind: run it, and compare every key that is expected.

use chrono::{DateTime, Utc};
use scaling_core::hpa::limits::{self, Events};
use scaling_core::hpa::{
    self, Calculator, ConditionStatus, Conditions, Hpa, HpaController, HpaMemory, HpaSpec, Metric, MetricError,
    MetricKind, MetricSamples, MetricSpec, PodGroups, Proposal, Quantity, Recommendations, Reported, Scale,
    ScaleEvents, ScaledObject, Selector, TargetFields, TargetKind, ValidationOptions,
};
use serde_json::{Value, json};

use super::read::{self, Read, i32_of, i64_of, list, optional, origin, text};

/// Runs one vector.
///
/// # Errors
/// What was expected and what came instead.
pub(crate) fn vector(vector: &Value) -> Result<(), String> {
    let (input, expect) = (&vector["input"], &vector["expect"]);
    let got = match text(&vector["kind"], "kind")? {
        "replica_calc" => replica_calc(input),
        "group_pods" => group_pods(input),
        "pod_requests" => pod_requests(input),
        "per_replica_usage" => per_replica_usage(input),
        "legacy_stabilize" => legacy_stabilize(input),
        "legacy_limit" => legacy_limit(input),
        "scale_up_limit" => speed_limit(input, true),
        "scale_down_limit" => speed_limit(input, false),
        "behavior_limit" => behavior_limit(input),
        "behavior_stabilize" => behavior_stabilize(input),
        "scale_events" => scale_events(input),
        "reconcile" => reconcile(input),
        "scenario" => scenario(input),
        "validation" => validation(input),
        "defaults" => defaults(input),
        other => Err(format!("there is no kind {other:?}")),
    }?;
    if expect.get("error").is_some_and(Value::is_string) && got.get("error").is_none() {
        return Err(format!("expected {expect}, got {got}"));
    }
    let right = if vector["kind"] == "defaults" {
        // The API leaves out what is empty, or does not, field by field. Where it answered itself, nothing may be added either.
        let (expect, got) = (without_empty(expect), without_empty(&got));
        agrees(&expect, &got) && (vector["origin"] != "real" || agrees(&got, &expect))
    } else {
        agrees(expect, &got)
    };
    if right { Ok(()) } else { Err(format!("expected {expect}, got {got}")) }
}

/// Without empty texts, lists and objects, as far as they are fields.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), without_empty(value)));
            Value::Object(fields.filter(|(_, value)| ![json!(""), json!([]), json!({})].contains(value)).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(without_empty).collect()),
        other => other.clone(),
    }
}

/// Every key that is expected is there with an equal value.
fn agrees(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => expected.iter().all(|(key, value)| match got.get(key) {
            None => value.is_null(),
            // Nothing is said of a change that was not made.
            Some(_) if key == "reason_if_changed" && value.is_null() => true,
            // An error may be named where only that there is one can be told.
            Some(Value::Bool(failed)) if key == "error" && !value.is_boolean() => value.is_null() != *failed,
            Some(got) => agrees(value, got),
        }),
        (expected, Value::Array(event)) if is_event(event) => event_agrees(expected, event),
        (Value::Array(expected), Value::Array(got)) => {
            expected.len() == got.len() && expected.iter().zip(got).all(|(expected, got)| agrees(expected, got))
        }
        // A recommendation may be written with its instant or without.
        (Value::Number(_), Value::Array(pair)) => pair.first().is_some_and(|value| agrees(expected, value)),
        (Value::Number(a), Value::Number(b)) => a == b || ((a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64()),
        (Value::String(a), Value::String(b)) => a == b || quantities_agree(a, b),
        (Value::Number(a), Value::String(b)) => quantities_agree(&a.to_string(), b),
        _ => expected == got,
    }
}

fn quantities_agree(a: &str, b: &str) -> bool {
    a.parse::<Quantity>().is_ok_and(|a| b.parse::<Quantity>().is_ok_and(|b| a == b))
}

/// `[size, instant, outdated]`.
fn is_event(got: &[Value]) -> bool {
    got.len() == 3 && got[2].is_boolean()
}

/// An event may be its size alone, a list of what is known of it, or an object of that.
fn event_agrees(expected: &Value, got: &[Value]) -> bool {
    let marked = |marker: &Value| marker.as_bool().unwrap_or(*marker == "outdated") == (got[2] == true);
    match expected {
        Value::Array(known) => known.iter().enumerate().all(|(place, value)| match place {
            0 | 1 => agrees(value, &got[place]),
            _ => marked(value),
        }),
        Value::Object(fields) => fields.iter().all(|(key, value)| match key.as_str() {
            "outdated" => marked(value),
            key if key.ends_with("_s") => agrees(value, &got[1]),
            _ => agrees(value, &got[0]),
        }),
        size => agrees(size, &got[0]),
    }
}

/// Seconds after the origin.
fn seconds(at: DateTime<Utc>) -> Value {
    let milliseconds = (at - origin()).num_milliseconds();
    if milliseconds % 1000 == 0 { json!(milliseconds / 1000) } else { json!(milliseconds as f64 / 1000.0) }
}

fn replica_calc(input: &Value) -> Read<Value> {
    let config = read::config(&input["config"])?;
    let spec_replicas = i32_of(&input["spec_replicas"], "spec_replicas")?;
    let status_replicas =
        optional(&input["status_replicas"], |v| i32_of(v, "status_replicas"))?.unwrap_or(spec_replicas);
    let calculator = Calculator {
        config: &config,
        tolerances: read::tolerances(&input["config"]),
        scale: Scale { spec_replicas, status_replicas },
        now: origin(),
    };
    let metric = read::metric(&input["metric"])?;
    let pods = read::pods(&input["pods"])?;
    let samples = read::samples(&input["samples"])?;
    Ok(match calculator.propose(&metric, &pods, &samples) {
        Err(error) => json!({"error": error.code()}),
        Ok(proposal) => json!({
            "replicas": proposal.replicas,
            "utilization_percent": proposal.utilization_percent,
            "average_value_milli": proposal.average_value_milli,
            "value_milli": proposal.value_milli,
        }),
    })
}

fn group_pods(input: &Value) -> Read<Value> {
    let config = read::config(&input["config"])?;
    let resource = input["resource"].as_str().unwrap_or_default();
    let samples = read::sample_times(&input["samples"])?;
    let groups = PodGroups::of(&read::pods(&input["pods"])?, &samples, resource, &config, origin());
    Ok(json!({
        "ready_count": groups.ready, "unready": groups.unready, "missing": groups.missing, "ignored": groups.ignored,
    }))
}

fn pod_requests(input: &Value) -> Read<Value> {
    let pod_level = input["pod_level_resources"].as_bool().unwrap_or(true);
    let container = input["container"].as_str().filter(|name| !name.is_empty());
    let pods = read::pods(&input["pods"])?;
    Ok(match hpa::requests(&pods, text(&input["resource"], "resource")?, container, pod_level) {
        Ok(requests) => json!({"requests_milli": requests}),
        Err(error) => json!({"error": error.code()}),
    })
}

fn per_replica_usage(input: &Value) -> Read<Value> {
    let usage = i64_of(&input["usage_milli"], "usage_milli")?;
    let replicas = i32_of(&input["status_replicas"], "status_replicas")?;
    Ok(json!({"average_value_milli": hpa::per_replica_usage(usage, replicas)}))
}

fn written(recommendations: &Recommendations) -> Value {
    recommendations.as_slice().iter().map(|one| json!([one.replicas, seconds(one.at)])).collect()
}

fn legacy_stabilize(input: &Value) -> Read<Value> {
    let mut recommendations = read::recommendations(&input["recommendations"])?;
    let desired = i32_of(&input["desired_replicas"], "desired_replicas")?;
    let window = i64_of(&input["downscale_stabilization_s"], "downscale_stabilization_s")?;
    let replicas = recommendations.stabilize(desired, chrono::TimeDelta::seconds(window), origin());
    Ok(json!({"replicas": replicas, "recommendations_after": written(&recommendations)}))
}

fn counts(input: &Value) -> Read<(i32, i32, (i32, i32))> {
    let count = |key: &str| i32_of(&input[key], key);
    Ok((count("current_replicas")?, count("desired_replicas")?, (count("min_replicas")?, count("max_replicas")?)))
}

fn legacy_limit(input: &Value) -> Read<Value> {
    let (current, desired, (min, max)) = counts(input)?;
    let limited = limits::legacy_limit(current, desired, min, max);
    Ok(json!({"replicas": limited.replicas, "reason": limited.reason.as_str()}))
}

fn both_events(input: &Value) -> Read<(ScaleEvents, ScaleEvents)> {
    Ok((read::events(&input["scale_up_events"])?, read::events(&input["scale_down_events"])?))
}

fn speed_limit(input: &Value, upward: bool) -> Read<Value> {
    let current = i32_of(&input["current_replicas"], "current_replicas")?;
    let (up, down) = both_events(input)?;
    let events = Events { up: &up, down: &down };
    let rules = read::rules(&input["rules"], upward)?;
    let limit = if upward { limits::scale_up_limit } else { limits::scale_down_limit };
    Ok(json!({"limit": limit(current, events, &rules, origin())}))
}

fn behavior_limit(input: &Value) -> Read<Value> {
    let (current, desired, bounds) = counts(input)?;
    let (up, down) = both_events(input)?;
    let behavior = read::complete_behavior(&input["behavior"])?;
    let events = Events { up: &up, down: &down };
    let limited = limits::behavior_limit(current, desired, bounds, &behavior, events, origin());
    Ok(json!({"replicas": limited.replicas, "reason": limited.reason.as_str()}))
}

fn behavior_stabilize(input: &Value) -> Read<Value> {
    let mut recommendations = read::recommendations(&input["recommendations"])?;
    let count = |key: &str| i32_of(&input[key], key);
    let window = |key: &str, built_in: i64| {
        let given = optional(&input[key], |seconds| i64_of(seconds, key));
        given.map(|seconds| chrono::TimeDelta::seconds(seconds.unwrap_or(built_in)))
    };
    let (current, desired) = (count("current_replicas")?, count("desired_replicas")?);
    let (up, down) = (window("scale_up_window_s", 0)?, window("scale_down_window_s", 300)?);
    let replicas = recommendations.stabilize_with_behavior(current, desired, up, down, origin());
    Ok(json!({
        "replicas": replicas,
        "recommendations_after": written(&recommendations),
        "reason_if_changed": hpa::stabilized_reason(current, desired),
    }))
}

fn scale_events(input: &Value) -> Read<Value> {
    let mut events = read::events(&input["events"])?;
    let period = i32_of(&input["query_period_s"], "query_period_s")?;
    let change = events.change_within(period, origin());
    if !input["rules"].is_null() {
        let rules = read::rules(&input["rules"], true)?;
        events.remember(i32_of(&input["replica_change"], "replica_change")?, &rules, origin());
    }
    let after = |event: &hpa::ScaleEvent| json!([event.change, seconds(event.at), event.outdated]);
    let after: Vec<Value> = events.as_slice().iter().map(after).collect();
    Ok(json!({"change_in_query_period": change, "events_after": after}))
}

fn conditions(conditions: &Conditions) -> Value {
    let status = |status| match status {
        ConditionStatus::True => "True",
        ConditionStatus::False => "False",
        ConditionStatus::Unknown => "Unknown",
    };
    conditions
        .iter()
        .map(|(name, condition)| (name.to_owned(), json!([status(condition.status), condition.reason])))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn given_conditions(value: &Value) -> Read<Conditions> {
    let mut conditions = Conditions::default();
    for (name, pair) in value.as_object().into_iter().flatten() {
        let condition = hpa::Condition {
            status: match text(&pair[0], "status")? {
                "True" => ConditionStatus::True,
                "False" => ConditionStatus::False,
                _ => ConditionStatus::Unknown,
            },
            reason: text(&pair[1], "reason")?.to_owned().leak(),
            since: origin(),
        };
        let place = match name.as_str() {
            "AbleToScale" => &mut conditions.able_to_scale,
            "ScalingActive" => &mut conditions.scaling_active,
            "ScalingLimited" => &mut conditions.scaling_limited,
            "ScaledToZero" => &mut conditions.scaled_to_zero,
            other => return Err(format!("there is no condition {other:?}")),
        };
        *place = Some(condition);
    }
    Ok(conditions)
}

fn bounded(value: &Value) -> Read<Hpa> {
    Ok(Hpa {
        min_replicas: optional(&value["min_replicas"], |v| i32_of(v, "min_replicas"))?.unwrap_or(1),
        max_replicas: i32_of(&value["max_replicas"], "max_replicas")?,
        metrics: read::metrics(&value["metrics"])?,
        behavior: read::behavior(&value["behavior"])?,
    })
}

fn all_samples(value: &Value) -> Read<Vec<MetricSamples>> {
    list(value, "samples")?.iter().map(read::samples).collect()
}

fn reconcile(input: &Value) -> Read<Value> {
    let controller = HpaController::new(read::config(&input["controller"])?);
    let mut hpa = bounded(&input["hpa"])?;
    if hpa.metrics.is_empty() {
        hpa.metrics = vec![Metric::from(&MetricSpec::utilization("cpu", hpa::DEFAULT_CPU_PERCENT))];
    }
    let state = &input["state"];
    let mut memory = HpaMemory {
        recommendations: optional(&state["recommendations"], read::recommendations)?,
        scale_up_events: read::events(&state["scale_up_events"])?,
        scale_down_events: read::events(&state["scale_down_events"])?,
        conditions: given_conditions(&state["conditions"])?,
        ..HpaMemory::default()
    };
    let spec_replicas = i32_of(&input["scale"]["spec_replicas"], "spec_replicas")?;
    let status = optional(&input["scale"]["status_replicas"], |v| i32_of(v, "status_replicas"))?;
    let scale = Scale { spec_replicas, status_replicas: status.unwrap_or(spec_replicas) };
    let mut seen = Reported {
        scale: (input["scale_get_fails"] != true).then_some(scale),
        selector: match input["selector"].as_str() {
            Some("missing" | "unparsable") => Selector::Invalid,
            Some("ambiguous") => Selector::Ambiguous,
            _ => Selector::Usable,
        },
        pods: read::pods(&input["pods"])?,
        samples: all_samples(&input["samples"])?,
        writable: input["scale_update_fails"] != true,
    };
    let sync = controller.sync(&hpa, &mut memory, &mut seen, origin());
    let desired = if seen.scale.is_some() { sync.desired } else { spec_replicas };
    Ok(json!({
        "desired_replicas": desired,
        "rescaled": sync.rescaled,
        "error": sync.failed,
        "conditions": conditions(&memory.conditions),
        "recommendations_after": memory.recommendations.as_ref().map_or(Value::Null, written),
    }))
}

/// A workload whose metrics all propose what a step says, or all fail.
struct Proposed {
    scale: Scale,
    replicas: Option<i32>,
}

impl ScaledObject for Proposed {
    fn scale(&self) -> Option<Scale> {
        Some(self.scale)
    }

    fn propose(&self, _: usize, _: &Metric, _: &Calculator<'_>) -> Result<Proposal, MetricError> {
        let replicas = self.replicas.ok_or(MetricError::FetchFailed)?;
        Ok(Proposal { replicas, ..Proposal::default() })
    }

    fn write_scale(&mut self, _: i32) -> bool {
        true
    }
}

/// A metric that proposes exactly what a step says: a total for each replica with a target of one.
fn proposing() -> Metric {
    Metric {
        source: MetricKind::External { name: "proposal".into() },
        target: TargetFields {
            kind: TargetKind::AverageValue,
            average_value_milli: Some(1000),
            ..TargetFields::default()
        },
    }
}

fn scenario(input: &Value) -> Read<Value> {
    let controller = HpaController::new(read::config(&input["controller"])?);
    let mut hpa = bounded(&input["hpa"])?;
    let has_metrics = !hpa.metrics.is_empty();
    if !has_metrics {
        hpa.metrics = vec![proposing()];
    }
    let mut memory = HpaMemory::default();
    let mut replicas = i32_of(&input["initial_replicas"], "initial_replicas")?;
    let mut steps = Vec::new();
    for step in list(&input["steps"], "steps")? {
        let edited = |key: &str| step.get(key).map(|value| optional(value, |value| i32_of(value, key)));
        if let Some(min) = edited("set_min_replicas") {
            hpa.min_replicas = min?.unwrap_or(1);
        }
        if let Some(max) = edited("set_max_replicas") {
            hpa.max_replicas = max?.ok_or("set_max_replicas is null")?;
        }
        if let Some(behavior) = step.get("set_behavior") {
            hpa.behavior = read::behavior(behavior)?;
        }
        if let Some(set) = edited("set_replicas") {
            replicas = set?.ok_or("set_replicas is null")?;
        }
        if step["controller_restart"] == true {
            memory = memory.after_restart();
        }
        let status = optional(&step["status_replicas"], |v| i32_of(v, "status_replicas"))?.unwrap_or(replicas);
        let scale = Scale { spec_replicas: replicas, status_replicas: status };
        let now = read::at(&step["t_s"])?;
        let proposal = match &step["proposal"] {
            Value::Null | Value::String(_) => None,
            proposal => Some(i32_of(proposal, "proposal")?),
        };
        let sync = if has_metrics && !step["proposal"].is_null() {
            controller.sync(&hpa, &mut memory, &mut Proposed { scale, replicas: proposal }, now)
        } else {
            let samples = match (&step["proposal"], proposal) {
                (Value::Null, _) => all_samples(&step["samples"])?,
                (_, None) => vec![MetricSamples::Failed],
                (_, Some(proposal)) => vec![MetricSamples::External(vec![i64::from(proposal) * 1000])],
            };
            let pods = read::pods(&step["pods"])?;
            let mut seen = Reported { scale: Some(scale), selector: Selector::Usable, pods, samples, writable: true };
            controller.sync(&hpa, &mut memory, &mut seen, now)
        };
        replicas = sync.desired;
        let reason = |condition: Option<hpa::Condition>| condition.map(|condition| condition.reason);
        steps.push(json!({
            "replicas": replicas,
            "able_to_scale": reason(memory.conditions.able_to_scale),
            "scaling_active": reason(memory.conditions.scaling_active),
            "scaling_limited": reason(memory.conditions.scaling_limited),
            "scaled_to_zero": reason(memory.conditions.scaled_to_zero),
            "error": sync.failed,
        }));
    }
    Ok(json!({"steps": steps}))
}

fn validation(input: &Value) -> Read<Value> {
    let spec = read::spec(&input["spec"])?;
    let options = &input["options"];
    // The stored object is the same but for its minReplicas.
    let stored = optional(&options["old_min_replicas"], |min| i32_of(min, "old_min_replicas"))?
        .map(|min| HpaSpec { min_replicas: Some(min), ..spec.clone() });
    let options = ValidationOptions { scale_to_zero: options["scale_to_zero"] == true, stored: stored.as_ref() };
    let fields: Vec<String> = match spec.validate_with(&options) {
        Ok(()) => Vec::new(),
        Err(invalid) => {
            let mut fields: Vec<_> = invalid.faults().iter().map(|fault| fault.field.clone()).collect();
            fields.dedup();
            fields
        }
    };
    Ok(json!({"valid": fields.is_empty(), "fields": fields}))
}

fn defaults(input: &Value) -> Read<Value> {
    let completed = read::spec(&input["spec"])?.with_defaults();
    Ok(json!({"spec": serde_json::to_value(completed).map_err(|error| error.to_string())?}))
}
