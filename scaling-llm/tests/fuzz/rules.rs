//! Independent rules over `serde_json::Value`: what a reply says.

use std::fmt;

use scaling_core::MAX_REPLICAS;
use scaling_llm::reply::MAX_BYTES;
use scaling_llm::{Action, Advice, Resize, SuggestedWindow};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::generate::NUMBERS;

/// The fields of an object as they come, doubled ones too.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// A whole number of pods, percent or hours.
fn whole(value: &Value) -> Option<u32> {
    value.as_u64().filter(|number| *number <= u64::from(MAX_REPLICAS)).map(|number| number as u32)
}

/// Independent rules: the advice that a reply says, `None` if it says none.
pub(super) fn said(text: &str) -> Option<Advice> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let Fields(fields) = serde_json::from_str(text).ok()?;
    let known =
        |name: &str| NUMBERS.contains(&name) || ["assessment", "action", "proposed_window_days"].contains(&name);
    for (nth, (name, value)) in fields.iter().enumerate() {
        let doubled = fields[..nth].iter().any(|(other, _)| other == name);
        let fits = if NUMBERS.contains(&name.as_str()) { whole(value).is_some() } else { value.is_string() };
        if doubled || !fits || !known(name) {
            return None;
        }
    }
    let field = |name: &str| fields.iter().find(|(other, _)| other == name).map(|(_, value)| value);
    let number = |name: &str| field(name).and_then(whole);
    let text = |name: &str| field(name).and_then(Value::as_str);
    let action = match text("action")? {
        "scale" => Action::Scale,
        "hold" => Action::Hold,
        "resize" => Action::Resize(Resize {
            cpu_percent: number("cpu_request_percent_of_now")?,
            memory_percent: number("memory_request_percent_of_now")?,
        }),
        _ => return None,
    };
    let suggested_target_percent = match number("proposed_hpa_target_percent") {
        None | Some(0) => None,
        Some(percent @ 10..=95) => Some(percent),
        Some(_) => return None,
    };
    let days = match text("proposed_window_days") {
        None | Some("none") => None,
        Some(days) => Some(serde_json::from_value(days.into()).ok()?),
    };
    let suggested_window = match days {
        None => None,
        Some(days) => {
            let (start_hour, end_hour) = (number("proposed_window_start_hour")?, number("proposed_window_end_hour")?);
            let min_replicas = number("proposed_window_min_replicas")?;
            if start_hour > 23 || end_hour > 24 || end_hour == 0 || end_hour == start_hour || min_replicas == 0 {
                return None;
            }
            Some(SuggestedWindow { days, start_hour, end_hour, min_replicas })
        }
    };
    let confidence_percent = u8::try_from(number("confidence_percent")?).ok().filter(|percent| *percent <= 100)?;
    // Its text is compared apart.
    let assessment = text("assessment")?.to_owned();
    let target_replicas = number("target_replicas")?;
    Some(Advice { action, target_replicas, confidence_percent, assessment, suggested_target_percent, suggested_window })
}
