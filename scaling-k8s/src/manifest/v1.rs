//! `autoscaling/v1`, completed as the API server completes it: what v1 has no field for stands in annotations.

use std::cmp::Ordering;

use scaling_core::hpa::{HpaBehavior, MetricSpec, Quantity};
use serde_json::{Map, Value, json};

use super::metadata::Metadata;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
/// Annotations that carry fields of other versions, or the status.
const CARRIERS: [&str; 6] = [
    METRICS,
    BEHAVIOR,
    "autoscaling.alpha.kubernetes.io/current-metrics",
    "autoscaling.alpha.kubernetes.io/conditions",
    "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
    "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
];

/// Turns a spec of v1 into one of v2, and takes the annotations away that the server takes away.
///
/// An annotation that cannot be read is passed over without a word, by the server too.
pub(super) fn completed(mut spec: Map<String, Value>, metadata: &mut Metadata) -> Map<String, Value> {
    let annotation = |name: &str| metadata.annotations.as_ref()?.get(name);
    let mut metrics = annotation(METRICS).and_then(|text| metrics(text)).unwrap_or_default();
    if let Some(percent) = spec.remove("targetCPUUtilizationPercentage") {
        metrics.push(json!({ "type": "Resource", "resource": {
            "name": "cpu", "target": { "type": "Utilization", "averageUtilization": percent } } }));
    }
    if !metrics.is_empty() {
        spec.insert("metrics".to_owned(), metrics.into());
    }
    if let Some(behavior) = annotation(BEHAVIOR).and_then(|text| behavior(text)) {
        spec.insert("behavior".to_owned(), behavior);
    }
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|name, _| !CARRIERS.contains(&name.as_str()));
        if annotations.is_empty() {
            metadata.annotations = None;
        }
    }
    spec
}

fn metrics(text: &str) -> Option<Vec<Value>> {
    let written: Vec<Value> = serde_json::from_str(text).ok()?;
    let metrics: Vec<Value> = written.iter().map(metric).collect();
    // The server takes all of them or none.
    serde_json::from_value::<Vec<MetricSpec>>(metrics.clone().into()).ok()?;
    Some(metrics)
}

/// A metric in the form that v1 has for it: the numbers of the target stand beside its name.
fn metric(written: &Value) -> Value {
    let mut metric = Map::new();
    if let Some(kind) = written.get("type") {
        metric.insert("type".to_owned(), kind.clone());
    }
    for (kind, average, value) in [
        ("resource", "targetAverageValue", ""),
        ("containerResource", "targetAverageValue", ""),
        ("pods", "targetAverageValue", ""),
        ("object", "averageValue", "targetValue"),
        ("external", "targetAverageValue", "targetValue"),
    ] {
        let Some(source) = written.get(kind).filter(|source| source.is_object()) else { continue };
        let (average, value) = (source.get(average), source.get(value));
        // The value of an object is never left out: one of 0 yields to the average.
        let zero = |value: &&Value| quantity(value).is_none_or(|quantity| quantity.sign() == Ordering::Equal);
        let value = if kind == "object" && average.is_some() { value.filter(|value| !zero(value)) } else { value };
        let utilization = source.get("targetAverageUtilization");
        let named = match (utilization, value, average) {
            (Some(_), ..) => "Utilization",
            (None, Some(_), average) if kind == "external" || average.is_none() => "Value",
            _ => "AverageValue",
        };
        let mut target = set([("averageUtilization", utilization), ("averageValue", average), ("value", value)]);
        target.insert("type".to_owned(), named.into());
        let mut made = set([
            ("name", source.get("name")),
            ("container", source.get("container")),
            ("describedObject", source.get("target")),
        ]);
        if !matches!(kind, "resource" | "containerResource") {
            let selector = source.get("selector").or(source.get("metricSelector"));
            made.insert("metric".to_owned(), set([("name", source.get("metricName")), ("selector", selector)]).into());
        }
        made.insert("target".to_owned(), target.into());
        metric.insert(kind.to_owned(), made.into());
    }
    metric.into()
}

fn quantity(value: &Value) -> Option<Quantity> {
    serde_json::from_value(value.clone()).ok()
}

fn set<const N: usize>(fields: [(&str, Option<&Value>); N]) -> Map<String, Value> {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
    given.filter(|(_, value)| !value.is_null()).collect()
}

/// The behavior is written with the names of the server's own fields, which begin with a capital.
fn behavior(text: &str) -> Option<Value> {
    let written: Value = serde_json::from_str(text).ok()?;
    let read: HpaBehavior = serde_json::from_value(uncapitalized(written)).ok()?;
    (read != HpaBehavior::default()).then(|| serde_json::to_value(read).ok())?
}

fn uncapitalized(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            let lower = |name: &str| {
                let mut letters = name.chars();
                letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect::<String>()
            };
            Value::Object(fields.map(|(name, value)| (lower(&name), uncapitalized(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(uncapitalized).collect()),
        other => other,
    }
}
