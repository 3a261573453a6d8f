//! The fields of a `HorizontalPodAutoscaler` and their types, and the check that the API server makes of them before any other:
//! unknown fields, and values of another type than the field's.

use scaling_core::hpa::{Fault, Quantity};
use serde_json::{Map, Value};

use super::diff::joined;

/// Type of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Text,
    Bool,
    Int32,
    Int64,
    Quantity,
    Time,
    /// Text by text.
    Labels,
    Anything,
    Object(&'static [Field]),
    List(&'static Shape),
}

const QUANTITY: &str = "a quantity such as 2, 0.5, 500m, 1.5Gi or 2e3";

type Field = (&'static str, Shape);

use Shape::{Anything, Bool, Int32, Int64, Labels, List, Object, Text, Time};

/// The whole object in `autoscaling/v2`.
pub(super) const V2: Shape = Object(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", METADATA),
    (
        "spec",
        Object(&[
            ("scaleTargetRef", REFERENCE),
            ("minReplicas", Int32),
            ("maxReplicas", Int32),
            ("metrics", List(&METRIC)),
            ("behavior", Object(&[("scaleUp", RULES), ("scaleDown", RULES)])),
        ]),
    ),
    (
        "status",
        Object(&[
            ("observedGeneration", Int64),
            ("lastScaleTime", Time),
            ("currentReplicas", Int32),
            ("desiredReplicas", Int32),
            ("currentMetrics", List(&METRIC_STATUS)),
            ("conditions", List(&CONDITION)),
        ]),
    ),
]);

/// The whole object in `autoscaling/v1`.
pub(super) const V1: Shape = Object(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", METADATA),
    (
        "spec",
        Object(&[
            ("scaleTargetRef", REFERENCE),
            ("minReplicas", Int32),
            ("maxReplicas", Int32),
            ("targetCPUUtilizationPercentage", Int32),
        ]),
    ),
    (
        "status",
        Object(&[
            ("observedGeneration", Int64),
            ("lastScaleTime", Time),
            ("currentReplicas", Int32),
            ("desiredReplicas", Int32),
            ("currentCPUUtilizationPercentage", Int32),
        ]),
    ),
]);

const METADATA: Shape = Object(&[
    ("name", Text),
    ("generateName", Text),
    ("namespace", Text),
    ("labels", Labels),
    ("annotations", Labels),
    ("ownerReferences", List(&OWNER)),
    ("finalizers", List(&Text)),
    ("uid", Text),
    ("resourceVersion", Text),
    ("generation", Int64),
    ("selfLink", Text),
    ("creationTimestamp", Time),
    ("deletionTimestamp", Time),
    ("deletionGracePeriodSeconds", Int64),
    ("managedFields", List(&MANAGED)),
]);

const OWNER: Shape = Object(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("name", Text),
    ("uid", Text),
    ("controller", Bool),
    ("blockOwnerDeletion", Bool),
]);

const MANAGED: Shape = Object(&[
    ("manager", Text),
    ("operation", Text),
    ("apiVersion", Text),
    ("time", Time),
    ("fieldsType", Text),
    ("fieldsV1", Anything),
    ("subresource", Text),
]);

const REFERENCE: Shape = Object(&[("apiVersion", Text), ("kind", Text), ("name", Text)]);

const METRIC: Shape = Object(&[
    ("type", Text),
    ("resource", Object(&[("name", Text), ("target", TARGET)])),
    ("containerResource", Object(&[("name", Text), ("container", Text), ("target", TARGET)])),
    ("pods", Object(&[("metric", IDENTIFIER), ("target", TARGET)])),
    ("object", Object(&[("metric", IDENTIFIER), ("describedObject", REFERENCE), ("target", TARGET)])),
    ("external", Object(&[("metric", IDENTIFIER), ("target", TARGET)])),
]);

const IDENTIFIER: Shape = Object(&[("name", Text), ("selector", SELECTOR)]);

const SELECTOR: Shape = Object(&[("matchLabels", Labels), ("matchExpressions", List(&REQUIREMENT))]);

const REQUIREMENT: Shape = Object(&[("key", Text), ("operator", Text), ("values", List(&Text))]);

const TARGET: Shape = Object(&[
    ("type", Text),
    ("averageUtilization", Int32),
    ("averageValue", Shape::Quantity),
    ("value", Shape::Quantity),
]);

const RULES: Shape = Object(&[
    ("stabilizationWindowSeconds", Int32),
    ("selectPolicy", Text),
    ("policies", List(&Object(&[("type", Text), ("value", Int32), ("periodSeconds", Int32)]))),
    ("tolerance", Shape::Quantity),
]);

const METRIC_STATUS: Shape = Object(&[
    ("type", Text),
    ("resource", Object(&[("name", Text), ("current", CURRENT)])),
    ("containerResource", Object(&[("name", Text), ("container", Text), ("current", CURRENT)])),
    ("pods", Object(&[("metric", IDENTIFIER), ("current", CURRENT)])),
    ("object", Object(&[("metric", IDENTIFIER), ("describedObject", REFERENCE), ("current", CURRENT)])),
    ("external", Object(&[("metric", IDENTIFIER), ("current", CURRENT)])),
]);

const CURRENT: Shape =
    Object(&[("averageUtilization", Int32), ("averageValue", Shape::Quantity), ("value", Shape::Quantity)]);

const CONDITION: Shape = Object(&[
    ("type", Text),
    ("status", Text),
    ("lastTransitionTime", Time),
    ("reason", Text),
    ("message", Text),
    ("observedGeneration", Int64),
]);

/// Checks a value and returns it as the server has it: a null is nothing, and nothing of a kind where one must be.
pub(super) fn conformed(value: Value, shape: Shape, path: &str, faults: &mut Vec<Fault>) -> Value {
    let mut wrong = |value: &Value, must: &str| {
        faults.push(Fault::new(path, format!("is {}; it must be {must}", shown(value))));
        Value::Null
    };
    match (shape, value) {
        (_, Value::Null) => Value::Null,
        (Object(fields), Value::Object(given)) => object(given, fields, path, faults),
        (List(of), Value::Array(items)) => {
            let items = items.into_iter().enumerate().map(|(index, item)| {
                let conformed = conformed(item, *of, &format!("{path}[{index}]"), faults);
                if conformed.is_null() { nothing(*of) } else { conformed }
            });
            Value::Array(items.collect())
        }
        (Labels, Value::Object(given)) => {
            let labels = given.into_iter().map(|(key, value)| {
                let conformed = conformed(value, Text, &joined(path, &key), faults);
                (key, if conformed.is_null() { nothing(Text) } else { conformed })
            });
            Value::Object(labels.collect())
        }
        (Anything, value) | (Text, value @ Value::String(_)) | (Bool, value @ Value::Bool(_)) => value,
        (Time, value) if value.as_str().is_some_and(is_time) => value,
        (Int32, value) if value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) => value,
        (Int64, value) if value.is_i64() => value,
        (Shape::Quantity, value @ (Value::Number(_) | Value::String(_))) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if text.parse::<Quantity>().is_ok() { value } else { wrong(&value, QUANTITY) }
        }
        (Text, value) => wrong(&value, "text; put it in quotes"),
        (Bool, value) => wrong(&value, "true or false"),
        (Time, value) => wrong(&value, "an instant such as 2026-01-31T12:00:00Z"),
        (Int32 | Int64, value @ Value::String(_)) => wrong(&value, "a whole number without quotes"),
        (Int32, value) => wrong(&value, "a whole number of 32 bits"),
        (Int64, value) => wrong(&value, "a whole number of 64 bits"),
        (Shape::Quantity, value) => wrong(&value, QUANTITY),
        (Object(_), value) => wrong(&value, "a mapping of fields"),
        (Labels, value) => wrong(&value, "a mapping of text to text"),
        (List(_), value) => wrong(&value, "a list"),
    }
}

fn object(given: Map<String, Value>, fields: &[Field], path: &str, faults: &mut Vec<Fault>) -> Value {
    let mut kept = Map::new();
    for (key, value) in given {
        let path = joined(path, &key);
        let Some((_, shape)) = fields.iter().find(|(name, _)| *name == key) else {
            let near = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(&key));
            let advice = near.map_or_else(String::new, |(name, _)| format!("; the field is called {name}"));
            faults.push(Fault::new(path, format!("unknown field{advice}")));
            continue;
        };
        let value = conformed(value, *shape, &path, faults);
        if !value.is_null() {
            kept.insert(key, value);
        }
    }
    Value::Object(kept)
}

/// Meaning of an entry that is null.
fn nothing(shape: Shape) -> Value {
    match shape {
        Object(_) | Labels => Value::Object(Map::new()),
        List(_) => Value::Array(Vec::new()),
        _ => Value::String(String::new()),
    }
}

/// A value in a message: short, and with its type.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(text) if text.chars().count() > 60 => {
            format!("the text {:?}…", text.chars().take(60).collect::<String>())
        }
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

fn is_time(text: &str) -> bool {
    scaling_core::chrono::DateTime::parse_from_rfc3339(text).is_ok()
}
