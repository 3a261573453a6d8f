//! The numbers of a record, without any text of the cluster: what a model is given, and what its answer is held against.

use scaling_core::DecisionRecord;
use scaling_core::chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

/// Elements of a list that are given; a record holds more only where a host makes many reasons of its own.
const ELEMENTS: usize = 8;

/// Parts of a record that are numbers and codes. The workload and where its numbers are from are names, and stay out.
const PARTS: [&str; 13] = [
    "at",
    "mode",
    "metrics",
    "declared",
    "history_len",
    "bounds",
    "resting",
    "decision",
    "floor",
    "min_without_floor",
    "clamps",
    "change",
    "outcome",
];

/// Fields whose text is one of our own codes.
const CODES: [&str; 14] = [
    "mode",
    "result",
    "step",
    "kind",
    "timing",
    "urgency",
    "driver",
    "model",
    "load",
    "signal",
    "by",
    "absent",
    "declared",
    "no_forecast",
];

/// Guards that this workspace brings; a host's own is called "other".
const GUARDS: [&str; 8] =
    ["hard_limits", "freshness", "absence", "confidence", "cooldown", "step", "resource_limits", "removal_budget"];

/// The numbers and codes of a record as one JSON object.
pub(super) fn facts(record: &DecisionRecord) -> Value {
    // A record has text keys and plain values: it can always be written.
    let Ok(Value::Object(mut all)) = serde_json::to_value(record) else { return Value::Null };
    let withheld = all.remove("withheld");
    let parts = PARTS.iter().filter_map(|part| Some(((*part).to_owned(), kept(part, all.remove(*part)?)?)));
    let mut facts: Map<String, Value> = parts.collect();
    if let Some(withheld) = withheld.and_then(|withheld| kept("withheld", withheld)) {
        facts.insert("withheld".to_owned(), withheld);
    }
    if let (Some(decision), Some(Value::Object(written))) = (&record.decision, facts.get_mut("decision")) {
        written.insert("action".to_owned(), decision.action().label().into());
        written.insert("wanted_replicas".to_owned(), decision.wanted().into());
    }
    Value::Object(facts)
}

/// A value without what is text of others; `None` if nothing is left of it.
fn kept(key: &str, value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) => Some(value),
        Value::String(text) => code(key, &text).map(Value::String),
        Value::Array(elements) => {
            let elements: Vec<_> =
                elements.into_iter().take(ELEMENTS).filter_map(|element| kept(key, element)).collect();
            (!elements.is_empty()).then_some(Value::Array(elements))
        }
        Value::Object(fields) => {
            // What an engine that only looks on said is no part of the decision.
            let fields = fields.into_iter().filter(|(key, _)| key != "shadow");
            let fields: Map<_, _> = fields.filter_map(|(key, value)| Some((key.clone(), kept(&key, value)?))).collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
    }
}

fn code(key: &str, text: &str) -> Option<String> {
    let is_code = |text: &str| text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match key {
        "at" | "timestamp" | "until" => {
            let at = text.parse::<DateTime<Utc>>().ok()?;
            Some(at.to_rfc3339_opts(SecondsFormat::Secs, true))
        }
        "guard" => Some(if GUARDS.contains(&text) { text } else { "other" }.to_owned()),
        "currency" if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) => Some(text.to_owned()),
        _ if CODES.contains(&key) && is_code(text) => Some(text.to_owned()),
        _ => None,
    }
}
