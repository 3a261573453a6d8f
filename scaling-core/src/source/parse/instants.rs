//! Instants as files write them.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// A text or number that is no instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidInstant(String);

/// Reads an instant: RFC 3339, or seconds since the epoch, which may have decimals.
///
/// Seconds are rounded to milliseconds, the grain in which history counts.
///
/// # Errors
/// [`InvalidInstant`] for anything else, and for seconds more than 30,000 years from the epoch.
///
/// ```
/// use scaling_core::source::parse::instant;
///
/// assert_eq!(instant("2026-01-05T11:00:00+01:00"), instant("1767607200.0"));
/// assert!(instant("noon").is_err());
/// ```
pub fn instant(text: &str) -> Result<DateTime<Utc>, InvalidInstant> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number);
    }
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|error| InvalidInstant(format!("{text:?} is neither RFC 3339 nor seconds since the epoch ({error})")))
}

pub(super) fn of_value(value: &Value) -> Result<DateTime<Utc>, InvalidInstant> {
    match value {
        Value::String(text) => instant(text),
        Value::Number(number) => seconds(number.as_f64().unwrap_or(f64::NAN)),
        other => Err(InvalidInstant(format!("{other} is neither RFC 3339 nor seconds since the epoch"))),
    }
}

#[allow(clippy::cast_possible_truncation)] // checked to lie far inside both types
pub(super) fn seconds(value: f64) -> Result<DateTime<Utc>, InvalidInstant> {
    let millis = (value * 1000.0).round();
    (millis.abs() < 1e15)
        .then(|| DateTime::from_timestamp_millis(millis as i64))
        .flatten()
        .ok_or_else(|| InvalidInstant(format!("{value} is no instant in seconds since the epoch")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_name_the_same_instant_and_all_else_is_refused_by_name() {
        let at = DateTime::from_timestamp_millis(1_700_000_000_250);
        for text in ["1700000000.25", " 1700000000.2501 ", "2023-11-14T22:13:20.25Z", "2023-11-14T23:13:20.250+01:00"] {
            assert_eq!(instant(text).ok(), at, "{text}");
        }
        for text in ["noon", "1e300", "NaN", "inf", "", "2023-11-14"] {
            let error = instant(text).unwrap_err().to_string();
            assert!(error.contains("seconds since the epoch"), "{text}: {error}");
        }
        assert!(of_value(&Value::Bool(true)).is_err() && of_value(&Value::from(7)).is_ok());
    }
}
