//! The baseline's reasons as codes and numbers, without anything that somebody wrote.

use scaling_core::Reason;
use serde_json::Value;

use super::number::number;

const MAX_CAUSES: usize = 12;

/// Fields whose text comes from a fixed list.
const CODES: [&str; 6] = ["kind", "driver", "model", "load", "signal", "absent"];

pub(super) fn causes(reasons: &[Reason]) -> Vec<Value> {
    reasons.iter().take(MAX_CAUSES).filter_map(|reason| serde_json::to_value(reason).ok()).map(stripped).collect()
}

fn stripped(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(key, value)| {
                    !matches!(value, Value::String(_) | Value::Array(_)) || CODES.contains(&key.as_str())
                })
                .map(|(key, value)| (key, stripped(value)))
                .collect(),
        ),
        Value::Number(value) => value.as_f64().map_or(Value::Null, number),
        other => other,
    }
}
