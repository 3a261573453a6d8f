//! Answers of the Prometheus HTTP API to a range query (`/api/v1/query_range`), as VictoriaMetrics, Thanos and Mimir give them too.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::instants::seconds;
use super::{ParseError, Place};
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
struct RawSeries {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Values in the order of the answer, which is that of time. NaN and infinities are as Prometheus wrote them.
    pub values: Vec<(DateTime<Utc>, f64)>,
}

/// Tells an answer of Prometheus from metrics in JSON: it is an object with a `status`.
pub fn is_answer(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head {
        status: String,
    }
    let start: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(16).collect();
    start.starts_with(b"{\"status\"") || serde_json::from_slice::<Head>(bytes).is_ok_and(|head| !head.status.is_empty())
}

/// Reads all series of the answer to a range query. An answer without a series is an empty list.
///
/// # Errors
/// [`ParseError`] if the text is no such answer, if Prometheus answered with an error, or with the number of the value, counted from 1,
/// that is no number at an instant.
///
/// ```
/// use scaling_core::source::parse::prometheus;
///
/// let text = r#"{"status":"success","data":{"resultType":"matrix","result":[
///     {"metric":{"job":"web"},"values":[[60,"1.5"],[120,"NaN"]]}]}}"#;
/// let series = prometheus::series(text.as_bytes()).unwrap();
/// assert_eq!(series[0].labels["job"], "web");
/// assert_eq!(series[0].values[0].1, 1.5);
/// ```
pub fn series(bytes: &[u8]) -> Result<Vec<Series>, ParseError> {
    let fault = |what: String| ParseError::new(Place::Line(1), what);
    let json = |error: serde_json::Error| ParseError::new(Place::Line(error.line().max(1)), error.to_string());
    let answer: Answer = serde_json::from_slice(bytes).map_err(json)?;
    if answer.status != "success" {
        return Err(fault(format!("Prometheus answered: {}", answer.error.unwrap_or(answer.status))));
    }
    let data = answer.data.ok_or_else(|| fault("the answer has no data".into()))?;
    if data.result_type != "matrix" {
        return Err(fault(format!("the answer is a {}; that of a range query is needed", data.result_type)));
    }
    let all: Vec<RawSeries> = serde_json::from_value(data.result).map_err(json)?;
    let read = |raw: RawSeries| {
        let values = raw.values.iter().enumerate().map(|(index, (at, text))| {
            let fault = |what: String| ParseError::new(nth(index), what);
            let at = seconds(*at).map_err(|error| fault(error.to_string()))?;
            let value = text.parse().map_err(|_| fault(format!("{text:?} is not a number")))?;
            Ok((at, value))
        });
        Ok(Series { values: values.collect::<Result<_, _>>()?, labels: raw.metric })
    };
    all.into_iter().map(read).collect()
}

/// Reads the one series of an answer as samples of one signal, without pod counts.
///
/// Prometheus says NaN where a division had nothing to divide: such a value is absent.
///
/// # Errors
/// [`ParseError`] as [`series`]; also without a series, with more than one, with one that is empty, and for a value that the signal
/// cannot have.
pub fn samples(bytes: &[u8], kind: SignalKind) -> Result<Vec<ScalingMetrics>, ParseError> {
    let fault = |what: String| ParseError::new(Place::Line(1), what);
    let mut all = series(bytes)?;
    let Some(one) = all.pop() else { return Err(fault("the query found no series".into())) };
    if !all.is_empty() {
        let labels: Vec<_> = one.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        return Err(fault(format!(
            "{} series, one of them {{{}}}; add them up in the query, as with sum()",
            all.len() + 1,
            labels.join(", ")
        )));
    }
    if one.values.is_empty() {
        return Err(fault("there is no sample in the series".into()));
    }
    let sample = |(index, (at, value)): (usize, &(DateTime<Utc>, f64))| {
        let signal = if value.is_nan() {
            Signal::Absent(Absence::NotFinite)
        } else {
            match kind.check(*value) {
                Signal::Absent(cause) => return Err(ParseError::new(nth(index), format!("{value}: {cause}"))),
                present @ Signal::Present(_) => present,
            }
        };
        let mut sample = ScalingMetrics::new(*at, 0);
        sample.current_pod_count = None;
        sample.set(kind, signal);
        Ok(sample)
    };
    one.values.iter().enumerate().map(sample).collect()
}

/// Where a value stands in its series.
fn nth(index: usize) -> String {
    format!("value {}", index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(result: &str) -> Vec<u8> {
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#).into_bytes()
    }

    #[test]
    fn every_series_is_read_with_its_labels_and_values_as_written() {
        let text = answer(
            r#"{"metric":{"job":"web","pod":"a"},"values":[[60.25,"1.5"],[120,"+Inf"]]},{"metric":{},"values":[]}"#,
        );
        let all = series(&text).unwrap();
        let first = all.first().unwrap();
        assert_eq!((all.len(), first.labels.len()), (2, 2));
        let at = |ms| DateTime::from_timestamp_millis(ms).unwrap();
        assert_eq!(first.values, [(at(60_250), 1.5), (at(120_000), f64::INFINITY)]);
        assert_eq!(series(&answer("")).unwrap(), []);
    }

    #[test]
    fn one_series_is_samples_of_the_signal_asked_for() {
        let text = answer(r#"{"metric":{},"values":[[60,"40"],[75,"NaN"]]}"#);
        let seen = samples(&text, SignalKind::CpuUtilization).unwrap();
        let values: Vec<_> = seen.iter().map(|sample| sample.signal(SignalKind::CpuUtilization)).collect();
        assert_eq!(values, [Signal::Present(40.0), Signal::Absent(Absence::NotFinite)]);
        assert_eq!(seen.iter().filter_map(|sample| sample.current_pod_count).count(), 0);
        let error = samples(&answer(r#"{"metric":{},"values":[[60,"1"],[75,"-1"]]}"#), SignalKind::QueueDepth);
        assert!(error.unwrap_err().to_string().starts_with("value 2: "));
    }

    #[test]
    fn answers_are_told_from_samples() {
        assert!(is_answer(br#" { "status" : "error" }"#) && is_answer(br#"{"data":null,"status":"success"}"#));
        assert!(!is_answer(br#"{"timestamp":1,"rps":2}"#) && !is_answer(b"timestamp_s,rps\n") && !is_answer(b""));
    }
}
