//! [`samples`]: the answer of a Prometheus range query, as a file.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde::Deserialize;

use crate::source::parse::{ParseError, Place};
use crate::{Absence, ScalingMetrics, Signal, SignalKind};

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

/// Returns whether a text starts as an answer does: an object with a `status`, which samples do not have.
pub(super) fn is_answer(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head {
        status: String,
    }
    let start: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(16).collect();
    start.starts_with(b"{\"status\"") || serde_json::from_slice::<Head>(bytes).is_ok_and(|head| !head.status.is_empty())
}

/// Reads the samples of its one series.
pub(super) fn samples(bytes: &[u8]) -> Result<Vec<ScalingMetrics>, ParseError> {
    let fault = |what: String| ParseError::new(Place::Line(1), what);
    let json = |error: serde_json::Error| ParseError::new(Place::Line(error.line().max(1)), error.to_string());
    let answer: Answer = serde_json::from_slice(bytes).map_err(json)?;
    if answer.status != "success" {
        return Err(fault(format!("Prometheus answered: {}", answer.error.unwrap_or(answer.status))));
    }
    let data = answer.data.ok_or_else(|| fault("the answer has no data".into()))?;
    if data.result_type != "matrix" {
        return Err(fault(format!("the answer is a {}; a trace needs that of a range query", data.result_type)));
    }
    let mut series: Vec<Series> = serde_json::from_value(data.result).map_err(json)?;
    let Some(one) = series.pop() else { return Err(fault("the query found no series".into())) };
    if !series.is_empty() {
        let labels: Vec<_> = one.metric.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        return Err(fault(format!(
            "{} series, one of them {{{}}}; add them up in the query, as with sum()",
            series.len() + 1,
            labels.join(", ")
        )));
    }
    if one.values.is_empty() {
        return Err(fault("there is no sample in the series".into()));
    }
    one.values.iter().enumerate().map(|(index, (at, value))| sample(*at, value, index + 1)).collect()
}

#[allow(clippy::cast_possible_truncation)] // checked to be small
fn sample(at: f64, value: &str, nth: usize) -> Result<ScalingMetrics, ParseError> {
    let fault = |what: String| ParseError::new(format!("value {nth}"), what);
    let milliseconds = (at * 1000.0).round();
    let instant = (milliseconds.abs() < 1e15).then(|| DateTime::from_timestamp_millis(milliseconds as i64)).flatten();
    let instant = instant.ok_or_else(|| fault(format!("{at} is no instant in seconds since the epoch")))?;
    let rate: f64 = value.parse().map_err(|_| fault(format!("{value:?} is not a number")))?;
    let mut sample = ScalingMetrics::new(instant, 0);
    sample.current_pod_count = None;
    // Prometheus says NaN where a division had nothing to divide.
    let signal = if rate.is_nan() {
        Signal::Absent(Absence::NotFinite)
    } else {
        match SignalKind::RequestRate.check(rate) {
            Signal::Absent(cause) => return Err(fault(format!("{value}: {cause}"))),
            present @ Signal::Present(_) => present,
        }
    };
    sample.set(SignalKind::RequestRate, signal);
    Ok(sample)
}
