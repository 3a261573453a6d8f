//! From the vectors' JSON to the types of the library. A vector that cannot be read fails with what was wrong.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use scaling_core::hpa::{
    Behavior, ConditionStatus, Container, ControllerConfig, HpaSpec, Metric, MetricKind, MetricSamples,
    MissingFallback, Pod, PodPhase, PodUsage, PodValue, Policy, PolicyKind, Quantity, Ready, Recommendation,
    Recommendations, Resources, Rules, SampleTime, ScaleEvent, ScaleEvents, SelectPolicy, TargetFields, TargetKind,
    ToleranceMode, Tolerances,
};
use serde_json::Value;

pub(crate) type Read<T> = Result<T, String>;

pub(crate) fn i32_of(value: &Value, what: &str) -> Read<i32> {
    i64_of(value, what)?.try_into().map_err(|_| format!("{what} does not fit into 32 bits: {value}"))
}

pub(crate) fn i64_of(value: &Value, what: &str) -> Read<i64> {
    value.as_i64().ok_or_else(|| format!("{what} is no integer: {value}"))
}

pub(crate) fn text<'a>(value: &'a Value, what: &str) -> Read<&'a str> {
    value.as_str().ok_or_else(|| format!("{what} is no text: {value}"))
}

/// Nothing, where it is null or not there.
pub(crate) fn optional<T>(value: &Value, read: impl FnOnce(&Value) -> Read<T>) -> Read<Option<T>> {
    if value.is_null() { Ok(None) } else { read(value).map(Some) }
}

pub(crate) fn list<'a>(value: &'a Value, what: &str) -> Read<&'a [Value]> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(items) => Ok(items),
        other => Err(format!("{what} is no list: {other}")),
    }
}

fn each<T>(value: &Value, what: &str, read: impl Fn(&Value) -> Read<T>) -> Read<Vec<T>> {
    list(value, what)?.iter().map(read).collect()
}

/// An instant in seconds; where it is 0 is up to the vector. A fraction below a millisecond is rounded away.
#[allow(clippy::cast_possible_truncation)] // seconds of a test
pub(crate) fn at(seconds: &Value) -> Read<DateTime<Utc>> {
    let seconds = seconds.as_f64().ok_or_else(|| format!("an instant is no number: {seconds}"))?;
    Ok(origin() + TimeDelta::milliseconds((seconds * 1000.0).round() as i64))
}

pub(crate) fn origin() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(crate) fn config(config: &Value) -> Read<ControllerConfig> {
    let mut read = ControllerConfig::default();
    let duration = |key: &str, default: Duration| match &config[key] {
        Value::Null => Ok(default),
        value => value.as_f64().map(Duration::from_secs_f64).ok_or_else(|| format!("{key} is no number: {value}")),
    };
    read.cpu_initialization_period = duration("cpu_initialization_period_s", read.cpu_initialization_period)?;
    read.initial_readiness_delay = duration("initial_readiness_delay_s", read.initial_readiness_delay)?;
    read.downscale_stabilization = duration("downscale_stabilization_s", read.downscale_stabilization)?;
    if let Some(tolerance) = config["tolerance"].as_f64() {
        read.tolerance = tolerance;
    }
    let release = &mut read.release;
    for (key, switch) in [
        ("configurable_tolerance", &mut release.configurable_tolerance),
        ("scale_to_zero", &mut release.scale_to_zero),
        ("scale_from_zero_requires_condition", &mut release.scale_from_zero_requires_condition),
        ("ignore_succeeded_pods", &mut release.ignore_succeeded_pods),
        ("pod_level_resources", &mut release.pod_level_resources),
        ("missing_container_is_error", &mut release.missing_container_fails),
    ] {
        if let Some(value) = config[key].as_bool() {
            *switch = value;
        }
    }
    match config["tolerance_mode"].as_str() {
        Some("distance") => release.tolerance_mode = ToleranceMode::Distance,
        None | Some("interval") => {}
        Some(other) => return Err(format!("tolerance_mode is {other:?}")),
    }
    match config["missing_fallback"].as_str() {
        Some("request") => release.missing_fallback = MissingFallback::Request,
        None | Some("target") => {}
        Some(other) => return Err(format!("missing_fallback is {other:?}")),
    }
    Ok(read)
}

pub(crate) fn tolerances(config: &Value) -> Tolerances {
    let own = config["tolerance"].as_f64().unwrap_or(0.1);
    let of = |key: &str| config[key].as_f64().unwrap_or(own);
    Tolerances { up: of("tolerance_up"), down: of("tolerance_down") }
}

fn resources(value: &Value) -> Read<Resources> {
    match value {
        Value::Null => Ok(Resources::new()),
        Value::Object(amounts) => {
            let stated = amounts.iter().filter(|(_, amount)| !amount.is_null());
            stated.map(|(name, amount)| Ok((name.clone(), i64_of(amount, name)?))).collect()
        }
        other => Err(format!("requests are no object: {other}")),
    }
}

fn container(value: &Value) -> Read<Container> {
    Ok(Container {
        name: value["name"].as_str().unwrap_or_default().to_owned(),
        requests: resources(&value["requests_milli"])?,
        restart_always: value["restart_always"].as_bool().unwrap_or(false),
    })
}

pub(crate) fn pods(value: &Value) -> Read<Vec<Pod>> {
    each(value, "pods", |pod| {
        let ready = optional(&pod["ready"], |ready| {
            Ok(match text(ready, "ready")? {
                "True" => ConditionStatus::True,
                "False" => ConditionStatus::False,
                "Unknown" => ConditionStatus::Unknown,
                other => return Err(format!("ready is {other:?}")),
            })
        })?;
        let since = optional(&pod["ready_transition_s"], at)?;
        Ok(Pod {
            name: text(&pod["name"], "name")?.to_owned(),
            phase: match pod["phase"].as_str() {
                None | Some("" | "Running") => PodPhase::Running,
                Some("Pending") => PodPhase::Pending,
                Some("Succeeded") => PodPhase::Succeeded,
                Some("Failed") => PodPhase::Failed,
                Some(other) => return Err(format!("phase is {other:?}")),
            },
            deleting: pod["deleting"].as_bool().unwrap_or(false),
            ready: ready.map(|status| Ready { status, since }),
            started: optional(&pod["start_s"], at)?,
            containers: each(&pod["containers"], "containers", container)?,
            init_containers: each(&pod["init_containers"], "init_containers", container)?,
            requests: optional(&pod["pod_requests_milli"], resources)?,
            overhead: resources(&pod["overhead_milli"])?,
        })
    })
}

/// Without an instant it is as old as can be.
fn sample_time(sample: &Value) -> Read<SampleTime> {
    Ok(SampleTime {
        at: optional(&sample["timestamp_s"], at)?.unwrap_or(DateTime::<Utc>::MIN_UTC),
        window_s: sample["window_s"].as_i64().unwrap_or(scaling_core::hpa::DEFAULT_WINDOW_S),
    })
}

pub(crate) fn sample_times(value: &Value) -> Read<HashMap<String, SampleTime>> {
    list(value, "samples")?
        .iter()
        .map(|sample| Ok((text(&sample["pod"], "pod")?.to_owned(), sample_time(sample)?)))
        .collect()
}

pub(crate) fn samples(value: &Value) -> Read<MetricSamples> {
    if value["fetch_error"].as_bool() == Some(true) {
        return Ok(MetricSamples::Failed);
    }
    if !value["pod_usage"].is_null() {
        return Ok(MetricSamples::PodUsage(each(&value["pod_usage"], "pod_usage", |usage| {
            Ok(PodUsage {
                pod: text(&usage["pod"], "pod")?.to_owned(),
                time: sample_time(usage)?,
                containers: each(&usage["containers"], "containers", |container| {
                    let name = container["name"].as_str().unwrap_or_default().to_owned();
                    Ok((name, resources(&container["usage_milli"])?))
                })?,
            })
        })?));
    }
    if !value["pod_values"].is_null() {
        return Ok(MetricSamples::PodValues(each(&value["pod_values"], "pod_values", |sample| {
            Ok(PodValue {
                pod: text(&sample["pod"], "pod")?.to_owned(),
                time: sample_time(sample)?,
                value_milli: i64_of(&sample["value_milli"], "value_milli")?,
            })
        })?));
    }
    if !value["object_value_milli"].is_null() {
        return Ok(MetricSamples::Object(i64_of(&value["object_value_milli"], "object_value_milli")?));
    }
    if !value["external_values_milli"].is_null() {
        let what = "external_values_milli";
        return Ok(MetricSamples::External(each(&value[what], what, |series| i64_of(series, what))?));
    }
    // An answer with nothing in it.
    let is_empty = value.is_null() || value.as_object().is_some_and(|fields| fields.values().all(Value::is_null));
    if is_empty { Ok(MetricSamples::PodUsage(Vec::new())) } else { Err(format!("samples of no known form: {value}")) }
}

pub(crate) fn metric(value: &Value) -> Read<Metric> {
    let resource = || value["resource"].as_str().unwrap_or_default().to_owned();
    let name = || value["name"].as_str().unwrap_or("metric").to_owned();
    let target = &value["target"];
    Ok(Metric {
        source: match value["type"].as_str() {
            Some("Resource") => MetricKind::Resource { resource: resource() },
            Some("ContainerResource") => MetricKind::ContainerResource {
                resource: resource(),
                container: value["container"].as_str().unwrap_or_default().to_owned(),
            },
            Some("Pods") => MetricKind::Pods { name: name() },
            Some("Object") => MetricKind::Object { name: name() },
            Some("External") => MetricKind::External { name: name() },
            _ => MetricKind::Unknown,
        },
        target: TargetFields {
            kind: match target["type"].as_str() {
                Some("Value") => TargetKind::Value,
                Some("AverageValue") => TargetKind::AverageValue,
                _ => TargetKind::Utilization,
            },
            average_utilization: optional(&target["average_utilization_percent"], |v| i32_of(v, "percent"))?,
            average_value_milli: optional(&target["average_value_milli"], |v| i64_of(v, "average_value_milli"))?,
            value_milli: optional(&target["value_milli"], |v| i64_of(v, "value_milli"))?,
        },
    })
}

pub(crate) fn metrics(value: &Value) -> Read<Vec<Metric>> {
    each(value, "metrics", metric)
}

/// An API object as a client sends it: what is null there is not set.
pub(crate) fn spec(value: &Value) -> Read<HpaSpec> {
    fn strip(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let set = fields.iter().filter(|(_, value)| !value.is_null());
                set.map(|(key, value)| (key.clone(), strip(value))).collect::<serde_json::Map<_, _>>().into()
            }
            Value::Array(items) => items.iter().map(strip).collect(),
            plain => plain.clone(),
        }
    }
    serde_json::from_value(strip(value)).map_err(|error| format!("spec: {error}"))
}

/// A missing key takes the built-in value of that direction.
pub(crate) fn rules(value: &Value, upward: bool) -> Read<Rules> {
    let built_in = |kind, value| Policy { kind, value, period_s: 15 };
    let policies = match &value["policies"] {
        Value::Null if upward => vec![built_in(PolicyKind::Pods, 4), built_in(PolicyKind::Percent, 100)],
        Value::Null => vec![built_in(PolicyKind::Percent, 100)],
        given => each(given, "policies", |policy| {
            Ok(Policy {
                kind: match text(&policy["type"], "type")? {
                    "Pods" => PolicyKind::Pods,
                    "Percent" => PolicyKind::Percent,
                    other => return Err(format!("policy type {other:?}")),
                },
                value: i32_of(&policy["value"], "value")?,
                period_s: i32_of(&policy["period_s"], "period_s")?,
            })
        })?,
    };
    Ok(Rules {
        window_s: optional(&value["stabilization_window_s"], |v| i32_of(v, "window"))?.or(upward.then_some(0)),
        select: match value["select_policy"].as_str() {
            None | Some("Max") => SelectPolicy::Max,
            Some("Min") => SelectPolicy::Min,
            Some("Disabled") => SelectPolicy::Disabled,
            Some(other) => return Err(format!("select_policy is {other:?}")),
        },
        policies,
        // The API stores a quantity, and the controller reads that.
        tolerance: optional(&value["tolerance"], |v| {
            let written = v.as_str().map_or_else(|| v.to_string(), str::to_owned);
            let quantity: Quantity = written.parse().map_err(|error| format!("tolerance: {error}"))?;
            Ok(quantity.as_f64())
        })?,
    })
}

pub(crate) fn behavior(value: &Value) -> Read<Option<Behavior>> {
    optional(value, complete_behavior)
}

/// Both directions are built in where nothing is said of them.
pub(crate) fn complete_behavior(value: &Value) -> Read<Behavior> {
    Ok(Behavior { scale_up: rules(&value["scale_up"], true)?, scale_down: rules(&value["scale_down"], false)? })
}

/// `[value, instant]`.
pub(crate) fn recommendations(value: &Value) -> Read<Recommendations> {
    each(value, "recommendations", |pair| {
        Ok(Recommendation { replicas: i32_of(&pair[0], "recommendation")?, at: at(&pair[1])? })
    })
    .map(Recommendations::new)
}

/// `[size of change, instant]`, perhaps with a marker; or an object of these.
pub(crate) fn events(value: &Value) -> Read<ScaleEvents> {
    each(value, "events", |event| {
        let (change, when, outdated) = match event {
            Value::Object(fields) => {
                let instant = fields.iter().find(|(key, _)| key.ends_with("_s")).map(|(_, value)| value);
                let change = fields.iter().find(|(key, value)| !key.ends_with("_s") && value.is_number());
                (change.map_or(&Value::Null, |(_, value)| value), instant.unwrap_or(&Value::Null), &event["outdated"])
            }
            _ => (&event[0], &event[1], &event[2]),
        };
        Ok(ScaleEvent {
            change: i32_of(change, "size of change")?,
            at: at(when)?,
            outdated: outdated.as_bool().unwrap_or(*outdated == "outdated"),
        })
    })
    .map(ScaleEvents::new)
}
