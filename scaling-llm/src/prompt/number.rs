//! Numbers as a model reads them best: four digits, no fraction where there is none.

use std::time::Duration;

use serde_json::Value;

/// The number to four significant digits; `null` if it is none.
pub(super) fn number(value: f64) -> Value {
    if !value.is_finite() {
        return Value::Null;
    }
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    // Whole numbers below 2⁵³ are exact.
    #[allow(clippy::cast_possible_truncation)]
    if rounded.fract() == 0.0 && rounded.abs() < 9e15 { Value::from(rounded as i64) } else { Value::from(rounded) }
}

/// A duration in whole seconds, rounded up.
pub(super) fn whole_seconds(duration: Duration) -> Value {
    number(duration.as_secs_f64().ceil())
}
