//! Metrics from text: a JSON object, a JSON array, JSON lines or (feature `csv`) CSV, and the answers of [`prometheus`]. Pure: bytes
//! in, samples out.
//!
//! Names are those of [`SignalKind::field`], with `timestamp` (RFC 3339, or seconds since the epoch) and `current_pod_count`.
//! Short forms that files often use are understood too: `timestamp_s`, `rps`, `pods`, `pod_count`. Other names are ignored, so
//! that a file may carry more than this; a sample in which no name is known is an error.

mod csv;
mod instants;
mod json;
pub mod prometheus;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

pub use self::instants::{InvalidInstant, instant};
use crate::{Absence, MAX_REPLICAS, ScalingMetrics, Signal, SignalKind};

/// A text that cannot be read: the place and the fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ParseError {
    place: String,
    what: String,
}

impl ParseError {
    #[allow(clippy::needless_pass_by_value)] // callers have it by value
    pub(crate) fn new(place: impl ToString, what: impl Into<String>) -> Self {
        Self { place: place.to_string(), what: what.into() }
    }
}

/// Position of a sample in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this line, counted from 1.
    Line(usize),
    /// This element of an array, counted from 1.
    Element(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Element(element) => write!(f, "element {element}"),
        }
    }
}

/// Dates for samples without a timestamp: `interval` apart, the last one at `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undated {
    /// Instant of the last sample.
    pub end: DateTime<Utc>,
    /// Time between two samples.
    pub interval: TimeDelta,
}

/// Reads samples, in the order of the text, which need not be that of time.
///
/// A sample without timestamp is an error unless none has one and `undated` says how to date them.
///
/// # Errors
/// [`ParseError`] with the line or element and the field.
pub fn metrics(text: &[u8], undated: Option<Undated>) -> Result<Vec<ScalingMetrics>, ParseError> {
    placed(text, undated).map(|samples| samples.into_iter().map(|sample| sample.metrics).collect())
}

/// A sample with its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The line or element.
    pub place: Place,
    /// The sample.
    pub metrics: ScalingMetrics,
    /// The first number in it that cannot be: it is absent from `metrics`, but unlike one that is stated to be absent, it was
    /// written there.
    pub impossible: Option<String>,
}

/// Reads samples as [`metrics`] does, each with its place, so that later checks can name it.
///
/// # Errors
/// As [`metrics`].
pub fn placed(text: &[u8], undated: Option<Undated>) -> Result<Vec<Placed>, ParseError> {
    let text = std::str::from_utf8(text)
        .map_err(|error| ParseError::new(format!("byte {}", error.valid_up_to()), "the text is not UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}');
    let rows = match text.trim_start().as_bytes().first() {
        None => return Err(ParseError::new("line 1", "there is no sample: the text is empty")),
        Some(b'[') => json::array(text)?,
        Some(b'{') => json::objects(text)?,
        Some(_) => csv::rows(text)?,
    };
    date(rows, undated)
}

/// A sample whose instant may be missing, and where it stood.
struct Row {
    place: Place,
    at: Option<DateTime<Utc>>,
    metrics: ScalingMetrics,
    impossible: Option<String>,
}

fn date(rows: Vec<Row>, undated: Option<Undated>) -> Result<Vec<Placed>, ParseError> {
    let total = rows.len();
    let dated = rows.iter().filter(|row| row.at.is_some()).count();
    rows.into_iter()
        .enumerate()
        .map(|(index, row)| {
            let at = match (row.at, undated) {
                (Some(at), _) => Some(at),
                (None, Some(Undated { end, interval })) if dated == 0 => i32::try_from(total - 1 - index)
                    .ok()
                    .and_then(|steps| interval.checked_mul(steps))
                    .and_then(|back| end.checked_sub_signed(back)),
                (None, _) => None,
            };
            let at = at.ok_or_else(|| ParseError::new(row.place, "timestamp is missing"))?;
            let mut metrics = row.metrics;
            metrics.timestamp = at;
            Ok(Placed { place: row.place, metrics, impossible: row.impossible })
        })
        .collect()
}

fn row(value: Value, place: Place) -> Result<Row, ParseError> {
    let Value::Object(map) = value else {
        return Err(ParseError::new(place, "a sample must be an object"));
    };
    let at = match either(&map, &["timestamp", "timestamp_s"]) {
        None => None,
        Some((name, value)) => {
            Some(instants::of_value(value).map_err(|what| ParseError::new(place, format!("{name}: {what}")))?)
        }
    };
    let mut metrics = ScalingMetrics::new(DateTime::UNIX_EPOCH, 0);
    let mut known = at.is_some();
    metrics.current_pod_count = pods(&map, &["current_pod_count", "pod_count", "pods"], place)?;
    metrics.desired_pod_count = pods(&map, &["desired_pod_count"], place)?;
    known |= metrics.current_pod_count.is_some();
    metrics.response_time_quantile = match map.get("response_time_quantile") {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_f64().filter(|quantile| (0.0..=1.0).contains(quantile)) {
            Some(quantile) => Some(quantile),
            None => return Err(ParseError::new(place, format!("response_time_quantile: {value} is not within 0..=1"))),
        },
    };
    let mut impossible = None;
    for kind in SignalKind::ALL {
        let names: &[&str] = if kind == SignalKind::RequestRate { &[kind.field(), "rps"] } else { &[kind.field()] };
        if let Some((name, value)) = either(&map, names) {
            let signal: Signal = serde_json::from_value(value.clone())
                .map_err(|error| ParseError::new(place, format!("{name}: {error}")))?;
            metrics.set(kind, signal);
            let cause = metrics.signal(kind).absence();
            if let Some(cause @ (Absence::NotFinite | Absence::OutOfRange)) = cause
                && !value.is_object()
            {
                impossible = impossible.or_else(|| Some(format!("{name}: {cause}")));
            }
            known = true;
        }
    }
    if !known {
        return Err(ParseError::new(place, "no known field; expected names such as cpu_utilization_percent"));
    }
    Ok(Row { place, at, metrics, impossible })
}

fn either<'a>(map: &'a Map<String, Value>, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
    names.iter().find_map(|name| map.get(*name).map(|value| (*name, value)))
}

fn pods(map: &Map<String, Value>, names: &[&'static str], place: Place) -> Result<Option<u32>, ParseError> {
    let Some((name, value)) = either(map, names) else { return Ok(None) };
    if value.is_null() {
        return Ok(None);
    }
    whole(value.as_f64()).map(Some).ok_or_else(|| {
        ParseError::new(place, format!("{name}: {value} is not a whole number within 0..={MAX_REPLICAS}"))
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(value: Option<f64>) -> Option<u32> {
    value.filter(|v| v.fract() == 0.0 && (0.0..=f64::from(MAX_REPLICAS)).contains(v)).map(|v| v as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<ScalingMetrics>, String> {
        metrics(text.as_bytes(), None).map_err(|error| error.to_string())
    }

    #[test]
    fn object_array_and_lines_read_alike() {
        let object = r#"{"timestamp":"2026-01-05T10:00:00Z","current_pod_count":3,"cpu_utilization_percent":40.5}"#;
        let one = parse(object).unwrap();
        assert_eq!(one, parse(&format!("[{object}]")).unwrap());
        assert_eq!(one, parse(&format!("{object}\n\n")).unwrap());
        assert_eq!(one, parse(&object.replace(',', ",\n")).unwrap());
        assert_eq!(one[0].value(SignalKind::CpuUtilization), Some(40.5));
    }

    #[test]
    fn faults_name_the_line_and_the_field() {
        let good = r#"{"timestamp":1,"current_pod_count":3}"#;
        for (bad, place, what) in [
            (r#"{"timestamp":2,"cpu_utilization_percent":"high"}"#, "line 2", "cpu_utilization_percent"),
            (r#"{"timestamp":2,"current_pod_count":2.5}"#, "line 2", "current_pod_count"),
            (r#"{"timestamp":2,"current_pod_count":-1}"#, "line 2", "current_pod_count"),
            (r#"{"timestamp":2,"current_pod_count":1e12}"#, "line 2", "current_pod_count"),
            (r#"{"timestamp":"noon","current_pod_count":1}"#, "line 2", "timestamp"),
            (r#"{"timestamp":1e300,"current_pod_count":1}"#, "line 2", "timestamp"),
            (r#"{"timestamp":2,"cpu":NaN}"#, "line 2", "not JSON"),
            (r#"{"timestamp":2,"#, "line 2", "not JSON"),
            (r#"{"hello":1}"#, "line 2", "no known field"),
            (r#"{"current_pod_count":1}"#, "line 2", "timestamp is missing"),
            ("7", "line 2", "must be an object"),
        ] {
            let error = parse(&format!("{good}\n{bad}")).unwrap_err();
            assert!(error.contains(place) && error.contains(what), "{bad}: {error}");
        }
        assert!(parse("").unwrap_err().contains("empty"));
        assert!(parse("[]").unwrap_err().contains("empty"));
        assert!(metrics(&[0x7b, 0xff], None).is_err());
    }

    #[test]
    fn what_cannot_be_true_is_absent_and_says_why() {
        let samples = parse(
            r#"[{"timestamp":1,"cpu_utilization_percent":-4,"error_rate_percent":101,"queue_depth":"NaN",
                "memory_utilization_percent":null,"request_rate_per_second":{"absent":"stale","age_s":90}}]"#,
        )
        .unwrap();
        let absences: Vec<_> = SignalKind::ALL.iter().map(|kind| samples[0].signal(*kind).absence()).collect();
        let (out, none) = (Some(Absence::OutOfRange), Some(Absence::NotMeasured));
        let stale = Some(Absence::Stale { age_s: 90 });
        assert_eq!(absences, [out, none, stale, none, out, none, Some(Absence::NotFinite)]);
    }

    #[test]
    fn undated_samples_are_dated_from_the_end() {
        let undated = Undated { end: DateTime::from_timestamp(600, 0).unwrap(), interval: TimeDelta::seconds(60) };
        let samples = metrics(b"[{\"pods\":1},{\"pods\":2},{\"pods\":3}]", Some(undated)).unwrap();
        let seconds: Vec<_> = samples.iter().map(|sample| sample.timestamp.timestamp()).collect();
        assert_eq!(seconds, [480, 540, 600]);
    }

    #[cfg(feature = "csv")]
    #[test]
    fn csv_reads_by_name_and_faults_name_the_line() {
        let samples = parse("timestamp_s,rps,cpu_utilization_percent\n0,12.5,\n60,13,41\n").unwrap();
        assert_eq!(samples.len(), 2);
        assert_eq!(samples[0].value(SignalKind::CpuUtilization), None);
        assert_eq!(samples[1].value(SignalKind::RequestRate), Some(13.0));
        let error = parse("timestamp_s,rps\n0,12\n60,many\n").unwrap_err();
        assert!(error.contains("line 3") && error.contains("rps"), "{error}");
        assert!(parse("timestamp_s,rps\n0,12,7\n").unwrap_err().contains("line 2"));
        assert!(parse("\u{1}\u{2}").is_err());
    }

    #[test]
    fn a_sample_survives_writing_and_reading_bit_by_bit() {
        let sample = ScalingMetrics::new(DateTime::from_timestamp_millis(1_700_000_000_123).unwrap(), 3)
            .with(SignalKind::RequestRate, 0.1 + 0.2)
            .with(SignalKind::CpuUtilization, f64::INFINITY);
        let text = serde_json::to_string(&sample).unwrap();
        assert_eq!(parse(&text).unwrap(), std::slice::from_ref(&sample));
        assert_eq!(serde_json::from_str::<ScalingMetrics>(&text).unwrap(), sample);
    }
}
